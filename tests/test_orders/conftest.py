"""A browser in which Priya is signed in."""

import pytest
from django.test import Client

from tests.cast import Cast


@pytest.fixture
def client(cast: Cast) -> Client:
    client = Client()
    client.force_login(cast.priya)
    return client
