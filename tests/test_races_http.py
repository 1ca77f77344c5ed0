"""One round of every race of `tests.racers`, over HTTP at real web processes; `make races` runs 200 of each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.db import connection

from accounts.actions import furnish
from accounts.activity import faults
from replication.providers.simulated import doubled
from replication.providers.simulated.settings import ledger_path
from tests.cast import make_cast
from tests.racefield import Answer, Race, Shot, deadlocks, judge, on_the_field, run_rounds
from tests.racers import RACES


@pytest.fixture
def database(transactional_db: None) -> Iterator[str]:
    """The address of a database that other processes see."""
    furnish()
    name = connection.settings_dict["NAME"]
    yield urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()


def test_one_round_of_each(database: str, tmp_path: Path) -> None:
    """All in one test: they share the web server, and each has VMs of its own."""
    before, wrong = deadlocks(), list[str]()
    with on_the_field(make_cast(), database, tmp_path) as field:
        for name, race in RACES.items():
            wrong += [f"{name}: {words}" for words in run_rounds(field, race, 1)[0]]
    assert wrong == []
    assert (deadlocks() - before, list(faults()), doubled(ledger_path())) == (0, [], [])


ONE, BOTH = Race(lambda field, count: []), Race(lambda field, count: [], both=True)


def answers(*statuses: int, text: str = "FO-7, by Mary Osei") -> list[Answer]:
    return [Answer(Shot(who, "", {}), status, text) for who, status in zip(("mary", "tom"), statuses, strict=True)]


def test_the_judge_sees_what_is_wrong() -> None:
    """Two winners, none, another refusal, an error of the portal, a loser who isn't told: each is found."""
    assert judge(answers(200, 409), "FO-7", ONE) == []
    for statuses in ((200, 200), (409, 409), (200, 403), (200, 503)):
        assert judge(answers(*statuses), "FO-7", ONE), statuses
    assert judge(answers(409, 302), "FO-7", ONE), "the loser is told of Mary, and Tom has won"
    assert judge(answers(200, 409), "FO-8", ONE) and judge(answers(200, 409, text="FO-7 is decided"), "FO-7", ONE)


def test_the_judge_of_two_who_may_both_win() -> None:
    assert judge(answers(200, 201), "", BOTH) == judge(answers(409, 201), "", BOTH) == []
    for statuses in ((409, 409), (200, 403), (200, 503)):
        assert judge(answers(*statuses), "", BOTH), statuses
    assert judge(answers(200, 409, text="No"), "", BOTH)
