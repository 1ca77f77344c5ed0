"""How the laws of the house look at code: each finds what breaks it, in words that name the line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

HOUSE = Path(__file__).parent.parent
APPS = ("accounts", "notices", "inventory", "replication", "failover")
STATE = ("state", "state_since")
STATEFUL = ("Ticket", "Failover", "Replication")
WRITERS = ("update", "create", "get_or_create", "update_or_create", *STATEFUL)

Function = ast.FunctionDef | ast.AsyncFunctionDef
Found = Iterator[tuple[int, str]]  # line, what is wrong there


def sources(*folders: str) -> list[Path]:
    """Every Python file that people write; migrations are written by Django."""
    found = [path for folder in folders for path in (HOUSE / folder).rglob("*.py")]
    return sorted(path for path in found if "migrations" not in path.parts)


def called(call: ast.Call) -> str:
    """The last name of what is called: `update` of `rows.filter(...).update(...)`."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def words(node: ast.AST) -> set[str]:
    """Every string that is written in this piece of code."""
    return {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def written_states(tree: ast.AST) -> Found:
    """Every place that could write a `state` column: by attribute, by a queryset, by save() or bulk_update()."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Attribute) and target.attr in STATE:
                    yield node.lineno, f"assigns .{target.attr}"
        elif isinstance(node, ast.Call):
            yield from _written_by_call(node)
        elif isinstance(node, ast.Dict):
            yield from _written_by_columns(node)


def _written_by_call(call: ast.Call) -> Found:
    name = called(call)
    if name in WRITERS:
        for keyword in call.keywords:
            if keyword.arg in STATE:
                yield call.lineno, f"{name}({keyword.arg}=...)"
    if name in ("save", "bulk_update", "bulk_create", "setattr") and words(call) & set(STATE):
        yield call.lineno, f"{name}() names a state column"


def _written_by_columns(columns: ast.Dict) -> Found:
    """{"state": Value(...), ...} becomes an INSERT or UPDATE; a state in which its subjects begin may stand there."""
    for key, value in zip(columns.keys, columns.values, strict=True):
        if not (isinstance(key, ast.Constant) and key.value == "state" and isinstance(value, ast.Call)):
            continue
        if called(value) == "Value" and getattr(value.args[0], "attr", "") not in ("initial", "adopted"):
            yield columns.lineno, 'a column "state" in which no subject of its lifecycle begins'


def hidden_imports(tree: ast.AST) -> Found:
    """Imports inside of functions."""
    for function in functions(tree):
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield node.lineno, f"{function.name}() imports"


def raw_sql(tree: ast.AST) -> Found:
    """Ways around the ORM."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in ("cursor", "raw", "extra", "RawSQL"):
            yield node.lineno, f"{called(node)}()"


def functions(tree: ast.AST) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def name_of(path: Path) -> str:
    return str(path.relative_to(HOUSE))
