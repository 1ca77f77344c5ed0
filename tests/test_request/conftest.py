"""Priya, signed in, and three protected VMs."""

from __future__ import annotations

import pytest
from django.test import Client

from inventory.models import VM
from tests.cast import Cast, make_vms, protect, sign_in


@pytest.fixture
def priya(cast: Cast, client: Client) -> Client:
    sign_in(client, cast.priya)
    return client


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    made = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02", "web-03"])
    protect(cast, made)
    return made
