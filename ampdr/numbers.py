"""Public numbers, RO-1042 or FO-2231: one sequence per kind, gaps allowed, apart from primary keys."""

from django.db import connection


def next_number(kind: str) -> str:
    """The next number of a kind, "RO" or "FO"."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(%s)", [f"number_{kind.lower()}"])
        return f"{kind}-{cursor.fetchone()[0]}"
