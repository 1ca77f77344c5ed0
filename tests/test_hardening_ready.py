"""/readyz: what a balancer and an operator ask."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.test import Client
from pytest_django import Settings

from ampdr import clock, work
from ampdr.servers import Valkey
from ampdr.tasks import answer_the_bell
from failover.models import Ticket
from tests.cast import Cast, make_vms, protect, request, say_yes


def asked(status: int = 200) -> dict[str, object]:
    answer = Client().get("/readyz")
    assert answer.status_code == status
    found: dict[str, object] = answer.json()
    return found


@pytest.fixture
def all_is_well(settings: Settings, own_valkey: Valkey) -> Valkey:
    """A broker that answers, and a driver that was here."""
    settings.CELERY_BROKER_URL = own_valkey.url
    work.broker.cache_clear()
    work.sign_of_life("driver")
    return own_valkey


@pytest.mark.django_db
def test_all_is_well(all_is_well: Valkey) -> None:
    found = asked()
    assert (found["status"], found["trouble"], found["broker"], found["worker"]) == ("ok", [], True, None)
    answer_the_bell()
    assert asked()["worker"]


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_a_broker_that_is_away_is_told_soon(all_is_well: Valkey, how: str) -> None:
    getattr(all_is_well, how)()
    found = asked()
    assert found["status"] == "degraded" and "broker does not answer" in str(found["trouble"])
    work.broker.cache_clear()


@pytest.mark.django_db
def test_a_silent_driver_is_told(all_is_well: Valkey) -> None:
    with clock.ahead(timedelta(seconds=61)):
        found = asked()
    assert found["status"] == "degraded" and "No driver" in str(found["trouble"])


def test_overdue_work_is_told(cast: Cast, all_is_well: Valkey) -> None:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    protect(cast, vms)
    say_yes(cast, request(cast, vms))
    assert "due for a minute" not in str(asked()["trouble"])
    Ticket.objects.update(next_step_at=clock.now() - timedelta(seconds=61))
    found = asked()
    assert found["oldest_due"] and "Work has been due for a minute." in str(found["trouble"])


@pytest.mark.django_db
def test_without_a_database_it_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError("secret host")

    monkeypatch.setattr(work, "oldest_due", away)
    assert asked(503) == {"status": "unavailable", "trouble": ["The database does not answer."]}
