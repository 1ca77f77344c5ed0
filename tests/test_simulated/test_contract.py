"""What the contract's own module promises."""

import pytest

from replication.providers.base import Kind, Progress, provider_class
from replication.providers.simulated import Simulated
from tests.test_simulated.asking import ask, run


def test_the_contract_imports_neither_django_nor_an_application() -> None:
    code = (
        "import sys, replication.providers.base, replication.providers.simulated;"
        "print(sorted(name for name in sys.modules"
        " if name.split('.')[0] in {'django', 'ampdr', 'accounts', 'inventory', 'failover'}"
        " or name.startswith('replication.') and not name.startswith('replication.providers')))"
    )
    assert run(code).communicate()[0].strip() == "[]"


def test_a_request_knows_whose_it_is() -> None:
    sites = {kind: ask(kind).site for kind in Kind}
    recovery = {kind for kind, site in sites.items() if site == "PHX01"}
    assert recovery == {Kind.START_TEST, Kind.START_LIVE, Kind.STOP}


def test_done_and_refused_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="never both"):
        Progress(done=True, refused="No room.")


def test_a_provider_is_found_by_dotted_path() -> None:
    assert provider_class("replication.providers.simulated.Simulated") is Simulated


class Entry:
    def load(self) -> object:
        return Simulated


def test_a_provider_is_found_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {("ampdr.providers", "toy"): [Entry()]}
    monkeypatch.setattr("replication.providers.base.entry_points", lambda group, name: found.get((group, name), []))
    assert provider_class("toy") is Simulated


@pytest.mark.parametrize("dotted", ["toy", "no.such.Provider", "replication.providers.simulated.Nothing"])
def test_a_provider_that_is_not_there_is_named_with_what_was_tried(dotted: str) -> None:
    with pytest.raises(LookupError, match=rf"{dotted}.*ampdr\.providers"):
        provider_class(dotted)


def test_what_is_no_provider_is_refused() -> None:
    with pytest.raises(TypeError, match="no subclass"):
        provider_class("pathlib.Path")
