import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from hypothesis import settings as hypothesis
from pytest_django import DjangoDbBlocker, Settings

from accounts.activity import faults
from ampdr import work
from failover import tasks as failover_tasks  # noqa: F401
from notices import tasks as notices_tasks  # noqa: F401
from replication import tasks  # noqa: F401  the duties of all apps, as every process that drives has them
from replication.providers.sites import provider_of
from tests.cast import Cast, make_cast, make_vms, protect, request, say_yes

# The same examples in every run, however slow the machine is.
hypothesis.register_profile("house", deadline=None, derandomize=True, database=None)
hypothesis.load_profile("house")


def lift(connection: BaseDatabaseWrapper, **_: object) -> None:
    """A test may stand still for longer than a page: a busy machine is no fault. Other processes keep their limits."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '60s'; SET statement_timeout = '120s'")  # emptying all tables is one
        cursor.execute("SET idle_in_transaction_session_timeout = 0")


connection_created.connect(lift)

LONGEST = (
    "test_storm", "test_screens", "test_other_people", "test_permissions", "test_whole_road", "test_order_road",
    "test_hostile_text",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules with the longest tests first, so that two processes end at about the same time."""
    places = {f"tests.{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0][:-3].replace("/", "."), len(LONGEST)))


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """The record's tables can't be emptied; after a test that commits, Django empties them all."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for table, trigger in BARS:
            cursor.execute("SELECT tgenabled FROM pg_trigger WHERE tgname = %s", [trigger])
            assert cursor.fetchone() == ("O",), f"{trigger} is off"
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")


BARS = (("accounts_activity", "activity_bar_truncate"), ("accounts_seal", "seal_bar_truncate"))


@pytest.fixture(autouse=True)
def instant(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """The simulated provider with a fresh ledger, without delays; a test sets its own faults."""
    monkeypatch.setenv("SIMULATION_LEDGER", f"{tmp_path}/ledger.sqlite3")
    monkeypatch.setenv("SIMULATION_TIME_SCALE", "0")
    monkeypatch.setenv("SIMULATION_FAILOVER_TIME_SCALE", "0")
    provider_of.cache_clear()


@pytest.fixture(autouse=True)
def fast(settings: Settings) -> None:
    """Six people with real password hashes would cost every test two seconds."""
    settings.WHITENOISE_AUTOREFRESH = True  # else every client reads the whole static folder first
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def record(cast: Cast) -> Cast:
    """A record with batches of several rows, in two accounts and in the installation's log."""
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["db-01", "web-01", "web-02"])
    protect(cast, vms)
    ticket = request(cast, vms[1:])
    say_yes(cast, ticket)
    work.drive()
    assert list(faults()) == []
    return cast
