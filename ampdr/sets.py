"""Sets of rows: what the ORM lacks to write and find thousands of rows in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection, models
from django.db.models import Lookup, QuerySet


def insert_select(model: type[models.Model], columns: Sequence[str], queryset: QuerySet[Any, Any]) -> int:
    """INSERT ... SELECT: the rows of `queryset.values_list(...)` become rows of `model`. Returns how many."""
    sql, params = queryset.query.sql_with_params()
    quote = connection.ops.quote_name
    fields = {field.name: field.column for field in model._meta.concrete_fields}
    names = ", ".join(quote(fields[name] or name) for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {quote(model._meta.db_table)} ({names}) {sql}", params)
        return int(cursor.rowcount)


class Among(Lookup):
    """`pk__among=keys`: like `in`, but the keys are one array, so that a thousand cost no more to say than one."""

    lookup_name = "among"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        left, params = self.process_lhs(compiler, connection)
        kind = self.lhs.output_field.db_type(connection)
        return f"{left} = ANY(%s::{kind}[])", (*params, list(self.rhs))
