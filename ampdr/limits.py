"""The time limits of connections, given by the settings: who is frozen in mid-transaction must not hold others up."""

from django.db import connection


def lift_limits() -> None:
    """Of this process's connection, which ends with it: a command that an operator started may take longer in one
    transaction than a page may.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '60s'")
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SET idle_in_transaction_session_timeout = 0")
