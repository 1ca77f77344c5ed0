import pytest
from django.test import Client

from inventory.models import VM
from tests.cast import Cast, make_vms, protect, sign_in


@pytest.fixture
def web(cast: Cast, client: Client) -> VM:
    """web-01, protected, beside db-01; Priya looks."""
    _, web = vms = make_vms(cast.northwind, cast.sites["DFW01"], ["db-01", "web-01"])
    protect(cast, vms)
    sign_in(client, cast.priya)
    return web
