"""Every event that the code writes has words, and every kind of row a place among what the screen filters by."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from accounts.activity.words import SIGN_INS, TOPICS, WORDS, address, details, done, named, way
from accounts.models import Permission
from ampdr.lifecycle import LIFECYCLES
from tests.laws import called, parsed, sources

APPS = ("accounts", "notices", "inventory", "replication", "failover", "ampdr")
NAME = re.compile(r"[a-z_]+\.[a-z_]+")
# Where a name is put together: the function that does it -> the part that every such name has.
MADE = {"note_person": "person.", "_note_attempt": "person.", "_note": "person."}
# Only in the installation's log.
HOUSE_KINDS = {"level", "person", "site", "machine_token", "vpn_gateway", "vpn_client"}


def written(tree: ast.AST) -> Iterator[str]:
    """The names of events in one file: whole, or of a name that is put together the part that is known."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in ("note", "begin", *MADE):
            yield from _names(node)


def _names(call: ast.Call) -> Iterator[str]:
    for one in call.args[1:]:
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            if called(call) in MADE:
                yield MADE[called(call)] + one.value
            elif NAME.fullmatch(one.value):
                yield one.value
        elif isinstance(one, ast.IfExp):
            ways = (way.value for way in (one.body, one.orelse) if isinstance(way, ast.Constant))
            yield from (MADE.get(called(call), "") + str(way) for way in ways)
        elif isinstance(one, ast.JoinedStr):
            yield from (part.value for part in one.values if isinstance(part, ast.Constant))  # type: ignore[misc]


def has_words(name: str) -> bool:
    if name == ".":
        return True  # wholly put together: whoever calls it says the name
    if name.startswith("."):
        return any(known.endswith(name) for known in WORDS)
    if name.endswith("."):
        return any(known.startswith(name) for known in WORDS)
    return name in WORDS


def test_every_event_has_words() -> None:
    found = {name for path in sources(*APPS) for name in written(parsed(path))}
    moves = {f"{kind}.{move}" for kind, life in LIFECYCLES.items() for move in life.moves}
    begun = {f"{kind}.{name}" for kind in LIFECYCLES for name in ("request", "order") if name in found}
    assert len(found) > 40
    assert {name for name in found - {"request", "order"} | moves | begun if not has_words(name)} == set()


def test_a_name_without_words_would_be_found() -> None:
    code = (
        'change.note(rows, "vm.teleported", x=1)\nnote_person(change, actor, "vanished")\nchange.note(r, f"{k}.gone")'
    )
    assert [name for name in written(ast.parse(code)) if not has_words(name)] == [
        "vm.teleported", "person.vanished", ".gone",
    ]  # fmt: skip


def test_every_kind_has_its_place() -> None:
    placed = [kind for _, kinds in TOPICS.values() for kind in kinds]
    assert len(placed) == len(set(placed))
    assert {name.partition(".")[0] for name in WORDS} - set(placed) == HOUSE_KINDS
    assert {f"person.{event}" for event in SIGN_INS} <= set(WORDS)


def test_words_are_short_enough_for_a_row() -> None:
    assert [words for words in WORDS.values() if not words or len(words) > 60 or words.endswith(".")] == []


@pytest.mark.parametrize("kind", LIFECYCLES)
def test_states_are_said_in_their_words(kind: str) -> None:
    first, *others = LIFECYCLES[kind].states.values()
    assert way(kind, "", first.name) == ("New", first.word)
    assert [way(kind, first.name, one.name) for one in others] == [(first.word, one.word) for one in others]


def test_facts_in_words() -> None:
    facts = {"person": "Ravi Patel", "roles": ["Admin", "Viewer"], "phone": "+1 555 0142", "address": "192.0.2.7"}
    assert (named(facts), details(facts), address(facts, "page")) == (
        "Ravi Patel", "Roles: Admin, Viewer", "192.0.2.7"
    )  # fmt: skip
    asked = {"permission": Permission.READ_FIM, "second_factor": "totp", "proved_at": "2026-11-22T09:09:01+00:00"}
    assert details(asked) == "Permission: Read FIM; Second factor: authenticator app, 09:09:01 UTC"
    assert (named({}), details({}), address({}, "worker"), address({}, "page")) == ("", "", "worker", "")
    assert done("vm", "moved_away") == "moved away"
