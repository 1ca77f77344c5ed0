"""Faults made on purpose, by rules (`SIMULATION_FAULTS`), and counted in the ledger: a restart doesn't reset them."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from replication.providers.base import Kind
from replication.providers.simulated.chance import seeded


class Fault(StrEnum):
    """What can be made to go wrong."""

    REFUSE = "refuse"  # a definite no, without an effect
    NO_ANSWER = "no_answer"  # the call is cut before any effect
    LOST_ANSWER = "lost_answer"  # the call is cut after its effects
    LEFT_OUT = "left_out"  # the effect is made, and the answer leaves this key out
    SLOW = "slow"  # ten times as long, and 10 s at least
    FORGET = "forget"  # `observe` doesn't know the key
    CRASH = "crash"  # the process dies after the effects, before the answer
    POINTS = "points"  # no new recovery points are told


ON_EFFECT = frozenset({Fault.REFUSE, Fault.SLOW})
ON_CALL = frozenset({Fault.NO_ANSWER, Fault.LOST_ANSWER, Fault.LEFT_OUT, Fault.CRASH})
ON_OBSERVE = frozenset({Fault.FORGET})


class Struck(Protocol):
    """What a rule is held against: a request, or a job that came of one."""

    @property
    def key(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def vm(self) -> str: ...
    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Rule:
    """One fault, for a kind of request and a VM by its name or uuid; "*" is any."""

    fault: Fault
    kind: str = "*"
    vm: str = "*"
    times: int | None = None  # in all, over every process; None = always
    probability: float = 1.0  # for each key and try

    @property
    def counted(self) -> bool:
        return self.times is not None or self.probability < 1

    def concerns(self, subject: Struck) -> bool:
        return self.kind in ("*", subject.kind) and self.vm in ("*", subject.name, subject.vm)


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Return the rules of a JSON list. Raises ValueError, quoting the rule, for one that could never strike."""
    return tuple(map(_rule, json.loads(text or "[]")))


def _rule(said: dict[str, Any]) -> Rule:
    try:
        rule = Rule(**{**said, "fault": Fault(said["fault"])})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"SIMULATION_FAULTS: {said!r}: {error}") from error
    if rule.kind not in {"*", *Kind} or not 0 <= rule.probability <= 1:
        raise ValueError(f"SIMULATION_FAULTS: {said!r}: no such kind, or a probability outside 0..1")
    return rule


@dataclass(slots=True)
class Strikes:
    """The draws of one call. Those of counted rules are read from the ledger, and written there by `save`."""

    db: sqlite3.Connection
    rules: Sequence[Rule]
    seed: str
    drawn: list[tuple[str, str, bool]] = field(default_factory=list)
    _hits: Counter[str] | None = None

    def on(self, subjects: Iterable[Struck], faults: frozenset[Fault]) -> dict[str, Fault]:
        """Return {key: fault} for those struck by one of `faults`; of several rules the first that strikes counts."""
        rules = [rule for rule in self.rules if rule.fault in faults]
        if not rules:
            return {}
        pairs = ((subject.key, self._first(rules, subject)) for subject in subjects)
        return {key: fault for key, fault in pairs if fault}

    def save(self) -> None:
        self.db.executemany("INSERT INTO strikes (rule, key, hit) VALUES (?, ?, ?)", self.drawn)

    def _first(self, rules: Sequence[Rule], subject: Struck) -> Fault | None:
        return next((rule.fault for rule in rules if rule.concerns(subject) and self._draw(rule, subject.key)), None)

    def _draw(self, rule: Rule, key: str) -> bool:
        if not rule.counted:
            return True
        name = str(rule)
        spent = rule.times is not None and self.hits[name] >= rule.times
        hit = not spent and seeded(self.seed, name, key, self._tries(name, key)) < rule.probability
        self.hits[name] += hit
        self.drawn.append((name, key, hit))
        return hit

    def _tries(self, name: str, key: str) -> int:
        """How often this rule was held against this key before: a second try must be able to end otherwise."""
        counted = self.db.execute("SELECT count(*) FROM strikes WHERE rule = ? AND key = ?", (name, key))
        return int(counted.fetchone()[0])

    @property
    def hits(self) -> Counter[str]:
        if self._hits is None:
            self._hits = Counter(dict(self.db.execute("SELECT rule, sum(hit) FROM strikes GROUP BY rule").fetchall()))
        return self._hits
