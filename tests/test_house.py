"""The laws of the house. An exemption stands here, with its reason."""

from __future__ import annotations

import ast
import io
import re
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import models
from django.db.models import Model
from django.db.models.expressions import CombinedExpression

from accounts.models import Account
from ampdr.lifecycle import Stateful
from tests.laws import (
    APPS,
    HOUSE,
    STATEFUL,
    Found,
    functions,
    hidden_imports,
    length,
    name_of,
    parsed,
    raw_sql,
    sources,
    written_states,
)

CODE = ("ampdr", *APPS)
MODELS = [model for model in apps.get_models() if model.__module__.split(".")[0] in CODE]
TEMPLATES = sorted((HOUSE / "templates").rglob("*.html"))


def breaches(law: Callable[[ast.AST], Found], *folders: str, exempt: dict[str, str]) -> list[str]:
    found = []
    for path in sources(*folders):
        if name_of(path) not in exempt:
            found += [f"{name_of(path)}:{line}: {what}" for line, what in law(parsed(path))]
    return found


# ---- Code ------------------------------------------------------------------------------------------------------------

KERNEL = {"ampdr/lifecycle.py": "the kernel's `fire` is the one writer of states"}
IMPORTS = {
    "ampdr/apps.py": "AppConfig.ready is the one place where an import must wait",
    **{f"{app}/apps.py": "AppConfig.ready, likewise" for app in ("accounts", "notices", "replication", "failover")},
}
SQL = {
    "ampdr/sets.py": "INSERT ... SELECT, which the ORM lacks",
    "ampdr/numbers.py": "nextval of a sequence, which the ORM lacks",
    "accounts/activity/closing.py": "the table's bars go down and up again, which the ORM lacks",
    "ampdr/limits.py": "a session's own limits, for an operator's long transaction, which no page waits for",
    "accounts/management/commands/verify_activity.py": "one snapshot for many reads, which the ORM lacks",
    "ampdr/servers.py": "starts the server, before Django is there",
}


def test_only_the_kernel_writes_a_state() -> None:
    assert breaches(written_states, *CODE, exempt=KERNEL) == []


def test_the_law_of_states_knows_every_stateful_model() -> None:
    assert {model.__name__ for model in MODELS if issubclass(model, Stateful)} == set(STATEFUL)


@pytest.mark.parametrize(
    "code",
    [
        "ticket.state = 'approved'", "a = b.state = x", "rows.filter(pk=1).update(claim=None, state='running')",
        "Failover(vm=vm, state='running')", "Failover.objects.create(state='running')",
        "rows.update(**{'state': Value('running')})", "ticket.save(update_fields=['reason', 'state'])",
        "Ticket.objects.bulk_update(rows, ['state'])", "setattr(ticket, 'state', x)", "row.state_since = now",
        "columns = {'uuid': RandomUUID(), 'state': Value('running')}",
    ],
)  # fmt: skip
def test_the_law_of_states_finds(code: str) -> None:
    assert list(written_states(ast.parse(code)))


def test_no_import_hides_in_a_function() -> None:
    assert breaches(hidden_imports, *CODE, "tests", "bench", exempt=IMPORTS) == []
    assert list(hidden_imports(ast.parse("def f():\n    if True:\n        from a import b")))


def test_sql_is_written_by_the_orm() -> None:
    providers = {
        name_of(path): "a provider's own store is no table of ours" for path in sources("replication/providers")
    }
    assert breaches(raw_sql, *CODE, exempt=SQL | providers) == []
    assert list(raw_sql(ast.parse("with connection.cursor() as cursor: pass")))


def test_functions_are_short() -> None:
    found = [(length(one), one.name, name_of(path)) for path in sources(*CODE) for one in functions(parsed(path))]
    every = found + [
        (length(one), one.name, name_of(path)) for path in sources("tests", "bench") for one in functions(parsed(path))
    ]
    assert [one for one in every if one[0] > 50] == []
    assert statistics.median(size for size, *_ in found) <= 8


def test_files_are_short() -> None:
    sizes = {name_of(path): path.read_text().count("\n") for path in sources(*CODE, "tests", "bench")}
    assert {name: size for name, size in sizes.items() if size > 400} == {}
    assert statistics.median(size for name, size in sizes.items() if size) <= 120


# ---- Apps ------------------------------------------------------------------------------------------------------------

ROOMS = {
    "__init__", "models", "lifecycle", "actions", "tasks", "views", "api", "admin", "forms", "urls", "apps",
    "migrations", "management",
}  # fmt: skip
MORE_ROOMS = {"accounts": {"activity"}, "replication": {"providers"}, "failover": {"screens"}}
NO_NOUNS = {"utils", "util", "common", "core", "helpers", "services", "managers", "signals", "misc", "base_views"}


@pytest.mark.parametrize("app", APPS)
def test_an_app_has_the_same_rooms_as_every_other(app: str) -> None:
    there = {path.stem for path in (HOUSE / app).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert there - ROOMS - MORE_ROOMS.get(app, set()) == set()
    inside = (HOUSE / app / "management").rglob("*.py")
    assert {path.parent.name for path in inside} <= {"management", "commands"}


def test_what_has_no_noun_has_no_file() -> None:
    named = {name_of(path) for path in sources(*CODE) if NO_NOUNS & {path.stem, *path.parts}}
    assert named == set()


def test_template_tags_live_in_the_kernel_only() -> None:
    found = {name_of(path) for path in sources(*CODE) if "templatetags" in path.parts}
    assert found == {"ampdr/templatetags/__init__.py", "ampdr/templatetags/ampdr.py"}


# ---- Models ----------------------------------------------------------------------------------------------------------


def end_of(model: type[Model], road: str) -> type[Model] | None:
    """Where a TENANT_PATH leads, following each foreign key of it."""
    at: type[Model] | None = model
    for step in road.split("__"):
        field = at._meta.pk if at and step == "pk" else at._meta.get_field(step) if at else None
        at = model if step == "pk" else getattr(field, "related_model", None)
    return at


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_every_model_has_a_road_to_its_account(model: type[Model]) -> None:
    road = vars(model)["TENANT_PATH"]  # its own, not one that it inherits
    if road is None:
        code = Path(HOUSE, *model.__module__.split(".")).with_suffix(".py").read_text()
        own = code[code.index(f"class {model.__name__}(") :]
        line = next(line for line in own.splitlines() if "TENANT_PATH" in line)
        assert re.search(r"= None  # \w+", line), "say why it belongs to no account"
    else:
        assert end_of(model, road) is Account


def test_a_road_that_leads_elsewhere_is_found() -> None:
    assert end_of(apps.get_model("inventory", "VM"), "site") is not Account


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_what_activity_reads_of_a_model_is_there(model: type[Model]) -> None:
    roads: dict[str, str] = getattr(model, "IN_ACTIVITY", {})
    assert set(roads) <= {"account", "vm", "vm_name", "about"}
    for road in roads.values():
        model._default_manager.values_list(road)  # raises FieldError
    if "account" in roads:
        assert end_of(model, roads["account"]) is Account


DEFAULTS = [field for model in MODELS for field in model._meta.concrete_fields if field.has_db_default()]


@pytest.mark.parametrize("field", DEFAULTS, ids=lambda field: f"{field.model._meta.label}.{field.name}")
def test_the_database_and_the_model_have_the_same_default(field: models.Field) -> None:  # type: ignore[type-arg]
    """Rows come by instances and by INSERT ... SELECT: both must get the same. What is reckoned, only a row has."""
    in_database = field.db_default
    if isinstance(in_database, CombinedExpression) and not field.has_default():
        return  # instances are inserted without it, and so get the database's
    assert field.has_default() and field.get_default() == getattr(in_database, "value", in_database)


def test_every_column_of_work_has_a_default_in_the_database() -> None:
    """A row that an INSERT ... SELECT makes says only what it knows."""
    for model in MODELS:
        if model.__name__ in STATEFUL:
            driven = [field for field in model._meta.concrete_fields if field.name in DRIVEN]
            assert len(driven) == len(DRIVEN)
            assert [field.name for field in driven if not field.null and not field.has_db_default()] == []


DRIVEN = {
    "next_step_at", "claim", "verb", "step_site", "generation", "attempts", "refusals", "accepted_at", "step",
    "percent", "last_error", "waiting_on",
}  # fmt: skip


# ---- Pages, documents, locks -----------------------------------------------------------------------------------------

INLINE = re.compile(r"<style|<script(?![^>]*\bsrc=)|<[^>{]*\sstyle=|<[^>]*\son[a-z]+=|javascript:", re.I)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(HOUSE / "templates")))
def test_nothing_is_written_into_a_page_that_the_policy_bars(template: Path) -> None:
    assert INLINE.findall(template.read_text()) == []


@pytest.mark.parametrize(
    "page", ['<p style="x">', "<script>x", "<a onclick=x>", '<a href="javascript:x">', "<style>", '<p id="a"\nstyle=x>']
)
def test_the_law_of_pages_finds(page: str) -> None:
    assert INLINE.search(page)


def test_the_printed_state_tables_are_the_ones_in_force() -> None:
    printed = io.StringIO()
    call_command("print_lifecycles", stdout=printed)
    text = (HOUSE / "docs" / "states.md").read_text()
    assert text[text.index("## ") :].strip() == printed.getvalue().strip(), "run: make states"


def test_locks_name_no_host() -> None:
    locks = sorted((HOUSE / "requirements").glob("*.txt"))
    assert len(locks) == 3
    for lock in locks:
        text = lock.read_text()
        assert not re.search(
            r"://|--(extra-)?index-url|--find-links|--trusted-host", text.replace("--no-emit-index-url", "")
        )
        pinned = re.findall(r"^[a-zA-Z0-9_.-]+(?:\[[^]]*\])?==\S+", text, re.M)
        assert len(pinned) == len(re.findall(r"^[a-zA-Z0-9]", text, re.M)) and "--hash=sha256:" in text


def test_tools_ask_no_host_by_name() -> None:
    for name in ("pyproject.toml", "Makefile", "Dockerfile", ".ci/run"):
        assert not re.search(
            r"index-url(?<!no-emit-index-url)|find-links|\[\[?tool\.uv\.index", (HOUSE / name).read_text()
        )
