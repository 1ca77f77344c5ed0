"""The bell: it never raises, never takes long, and keeps silent when the broker doesn't answer."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import transaction
from redis import Redis

from ampdr import work
from ampdr.servers import Valkey, temporary_folder

AT_MOST = 4 * 0.3  # seconds: a deadline of a test fails at four times what is promised


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a broker answers, and a busy machine may not be taken for a dead one."""
    monkeypatch.setattr(work, "PATIENCE", 30)


@pytest.fixture
def valkey(monkeypatch: pytest.MonkeyPatch) -> Iterator[Valkey]:
    """A broker of this test's own, which it may freeze and kill."""
    folder = temporary_folder("ampdr-tests-")
    server = Valkey(folder).start()
    monkeypatch.setattr(settings, "CELERY_BROKER_URL", server.url)
    work.broker.cache_clear()
    monkeypatch.setattr(work._Bell, "silent_until", 0.0)
    work.ring_now()  # the first one of a process pays for its imports, which is why each process rings once at start
    yield server
    work.broker.cache_clear()
    server.stop()
    shutil.rmtree(folder)


def rings(times: int = 1) -> list[float]:
    """The seconds that each ring took."""
    took = []
    for _ in range(times):
        begun = time.monotonic()
        work.ring_now()
        took.append(time.monotonic() - begun)
    return took


def messages(server: Valkey) -> list[dict[str, object]]:
    with Redis.from_url(server.client_url, socket_timeout=1) as client:
        return [json.loads(one) for one in client.lrange("celery", 0, -1)]


def silent() -> bool:
    return work._Bell.silent_until > time.monotonic()


def test_a_ring_is_one_message_without_content(patient: None, valkey: Valkey) -> None:
    rings(3)
    assert not silent()
    said = messages(valkey)
    assert len(said) == 4 and {one["headers"]["task"] for one in said} == {work.BELL}  # type: ignore[index]
    assert {(one["headers"]["argsrepr"], one["headers"]["kwargsrepr"]) for one in said} == {("()", "{}")}  # type: ignore[index]


def test_a_frozen_broker_costs_one_ring(valkey: Valkey, caplog: pytest.LogCaptureFixture) -> None:
    """The connection is there, and nothing answers: the first ring waits, those after it don't."""
    valkey.freeze()
    first, *others = rings(20)
    assert 0.05 < first <= AT_MOST and silent()
    assert sum(others) < AT_MOST
    assert caplog.text.count("the broker doesn't take messages") == 1


def test_a_frozen_broker_that_must_be_connected_to_costs_one_ring(valkey: Valkey) -> None:
    work.broker.cache_clear()
    valkey.freeze()
    first, *others = rings(20)
    assert first <= AT_MOST and silent() and sum(others) < AT_MOST


def test_a_killed_broker_costs_nothing(valkey: Valkey) -> None:
    valkey.kill()
    assert sum(rings(20)) < AT_MOST and silent()


@pytest.mark.parametrize("failure", ["frozen", "killed"])
def test_after_a_while_it_rings_again(valkey: Valkey, failure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    valkey.freeze() if failure == "frozen" else valkey.kill()
    rings()
    assert silent() and work._Bell.silent_until - time.monotonic() == pytest.approx(15, abs=5)
    valkey.thaw() if failure == "frozen" else valkey.start()
    before = len(messages(valkey))
    rings()
    assert len(messages(valkey)) == before  # still silent
    monkeypatch.setattr(work._Bell, "silent_until", time.monotonic() - 0.001)
    rings()
    assert not silent()
    assert len(messages(valkey)) == before + 1


def test_a_broker_that_is_nowhere_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("redis+socket:///nonexistent/valkey.sock", "redis://127.0.0.1:1/0"):
        monkeypatch.setattr(settings, "CELERY_BROKER_URL", url)
        monkeypatch.setattr(work._Bell, "silent_until", 0.0)
        work.broker.cache_clear()
        assert rings()[0] < AT_MOST and silent()
    work.broker.cache_clear()


@pytest.mark.django_db(transaction=True)
def test_it_rings_after_the_commit_and_not_without_one(patient: None, valkey: Valkey) -> None:
    """Whoever hears it finds what it was rung for."""
    with transaction.atomic():
        work.ring()
        assert len(messages(valkey)) == 1
    assert len(messages(valkey)) == 2
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        work.ring()
        raise ZeroDivisionError
    assert len(messages(valkey)) == 2
