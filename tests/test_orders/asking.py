"""What the tests of orders say often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from accounts.models import Receipt
from ampdr.errors import Refusal
from inventory.models import VM
from replication.models import Order, Replication
from replication.providers.sites import provider_of
from tests.cast import Cast, make_vms

KEY = "an-order-key-1"


def servers(cast: Cast, *names: str, site: str = "DFW01", **facts: Any) -> list[VM]:
    """Northwind's VMs of these names."""
    return make_vms(cast.northwind, cast.sites[site], names, **facts)


def refusal(of: type[Refusal], verb: Callable[..., object], *arguments: object) -> Refusal:
    """The refusal that this call ends in, which is of exactly this kind."""
    with pytest.raises(of) as refused:
        verb(*arguments)
    assert type(refused.value) is of
    return refused.value


def untouched() -> bool:
    """Whether nothing was ordered, and no key taken."""
    return not (Order.objects.exists() or Replication.objects.exists() or Receipt.objects.exists())


def state_of(vm: VM) -> tuple[str, str]:
    """The state of the VM's last replication, and what lists show."""
    line = Replication.objects.filter(vm=vm).latest("pk")
    return line.state, VM.objects.get(pk=vm.pk).protection


def simulate(monkeypatch: pytest.MonkeyPatch, **variables: object) -> None:
    """The simulated provider of every site, made anew with these `SIMULATION_*` variables."""
    for name, value in variables.items():
        monkeypatch.setenv(f"SIMULATION_{name.upper()}", str(value))
    provider_of.cache_clear()


@contextmanager
def statements() -> Iterator[list[str]]:
    made: list[str] = []

    def note(execute: Callable[..., object], sql: str, *arguments: object) -> object:
        if not sql.startswith(("SAVEPOINT", "RELEASE")):
            made.append(sql)
        return execute(sql, *arguments)

    with connection.execute_wrapper(note):
        yield made
