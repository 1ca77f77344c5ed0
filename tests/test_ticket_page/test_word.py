"""The word of a ticket, in every mix of its lines."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from failover.actions import (
    Lines,
    lines_of,
    ticket_word,
)
from failover.lifecycle import FAILOVER
from failover.models import Failover, Ticket
from inventory.models import VM
from tests.cast import Cast, say_yes
from tests.test_ticket_page.seen import (
    end,
    fault,
    push,
    run,
)

# product.md, States, as a table: the first line whose states occur says the word.
SAID = [
    ({"requested", "starting", "undoing"}, "Failing over"),
    ({"terminating"}, "Terminating"),
    ({"running"}, None),  # by kind and confirmation
    ({"start_failed", "termination_failed"}, "Failed"),
    ({"terminated"}, "Terminated"),
    ({"dropped"}, "Given up"),
]


def expected_word(kind: str, counts: Counter[str], confirmed: int) -> str:
    there = {state for state, n in counts.items() if n}
    word = next(word for states, word in SAID if states & there)
    if word is None:
        please = "Running" if kind == "test" else "Running, please confirm"
        word = "Running, confirmed" if confirmed == counts["running"] else please
    total = sum(counts.values())
    additions = [
        (counts["start_failed"] + counts["termination_failed"], "failed"),
        (counts["dropped"], "given up"),
        (counts["terminated"] if there - {"terminated", "dropped"} else 0, "terminated"),
    ]
    return ", ".join([word, *(f"{n} {what}" for n, what in additions if 0 < n < total)])


def test_the_word_of_an_approved_ticket_in_every_mix_of_states() -> None:
    """Every non-empty set of states, with one and with two lines in each, confirmed by none, by some and by all."""
    names, seen = list(FAILOVER.states), set()
    for size, kind, n in itertools.product(range(1, len(names) + 1), ("live", "test"), (1, 2)):
        for mix in itertools.combinations(names, size):
            counts = Counter(dict.fromkeys(mix, n))
            for confirmed in range(counts["running"] + 1):
                lines = Lines(counts.copy(), confirmed)
                shown = ticket_word(Ticket(kind=kind, state="approved"), lines)
                assert shown.word == expected_word(kind, counts, confirmed), (kind, mix, confirmed)
                if {"start_failed", "termination_failed"} & set(mix):
                    assert shown.tone in ("info", "warn", "bad") and shown.tone != "ok"
                assert shown.tone != "live"
                seen.add(shown.name)
    assert seen == {"failing_over", "terminating", "running", "confirmed", "failed", "terminated", "given_up"}


@pytest.mark.parametrize(
    ("counts", "word"),
    [
        ({"running": 2, "start_failed": 1}, "Running, please confirm, 1 failed"),
        ({"terminated": 2, "dropped": 1}, "Terminated, 1 given up"),
        ({"terminated": 1, "running": 2}, "Running, please confirm, 1 terminated"),
        ({"start_failed": 3}, "Failed"),
        ({"terminated": 2, "termination_failed": 1}, "Failed, 1 failed, 2 terminated"),
        ({"dropped": 2}, "Given up"),
    ],
)
def test_what_is_added_to_the_word(counts: dict[str, int], word: str) -> None:
    assert ticket_word(Ticket(kind="live", state="approved"), Lines(Counter(counts))).word == word


def test_a_failed_line_leaves_nothing_green() -> None:
    lines = Lines(Counter(running=2, start_failed=1), confirmed=2)
    shown = ticket_word(Ticket(kind="live", state="approved"), lines)
    assert (shown.word, shown.tone) == ("Running, confirmed, 1 failed", "warn")
    lines = Lines(Counter(running=2, dropped=1), confirmed=2)
    assert ticket_word(Ticket(kind="live", state="approved"), lines).tone == "info"


@pytest.mark.parametrize("state", ["waiting", "rejected", "withdrawn", "lapsed"])
def test_before_its_approval_a_ticket_bears_its_own_word(state: str) -> None:
    ticket = Ticket(kind="live", state=state)
    assert ticket_word(ticket, Lines(Counter(requested=2))) == ticket.shown_state


def test_a_termination_reads_what_it_names(cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch) -> None:
    live = run(cast, vms[:2])
    ending = end(cast, live)

    def word() -> str:
        ending.refresh_from_db()
        return ticket_word(ending, lines_of([ending.pk])[ending.pk]).word

    assert word() == "Waiting for Support"
    say_yes(cast, ending)
    assert word() == "Terminating"  # approved, and the workers have not come to it yet
    fault(monkeypatch, {"fault": "refuse", "kind": "stop", "vm": "web-02"})
    push()
    assert word() == "Failed, 1 failed, 1 terminated"
    assert lines_of([live.pk, ending.pk])[live.pk].counts == {"terminated": 1, "termination_failed": 1}
    Failover.objects.filter(state="termination_failed").update(state="terminated")
    assert word() == "Terminated"
