"""Sets of rows: what the ORM lacks to write and find thousands of rows in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection, models
from django.db.models import Lookup, QuerySet


def insert_select(model: type[models.Model], columns: Sequence[str], queryset: QuerySet[Any, Any]) -> int:
    """INSERT ... SELECT: the rows of `queryset.values_list(...)` become rows of `model`. Returns how many."""
    return _insert(model, columns, *queryset.query.sql_with_params())


def insert_rows(model: type[models.Model], columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
    """The same of rows that stand in memory, as an array for each column: no instance is made of any."""
    kinds = [model._meta.get_field(name).db_type(connection) for name in columns]
    arrays = [list(values) for values in zip(*rows, strict=True)]
    placeholders = ", ".join(f"%s::{kind}[]" for kind in kinds)
    return _insert(model, columns, f"SELECT * FROM unnest({placeholders})", arrays) if rows else 0


def _insert(model: type[models.Model], columns: Sequence[str], sql: str, params: Sequence[Any]) -> int:
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
