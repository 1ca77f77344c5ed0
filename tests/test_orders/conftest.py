"""A browser in which Priya is signed in."""

import pytest
from django.test import Client

from tests.cast import Cast, sign_in


@pytest.fixture
def client(cast: Cast) -> Client:
    client = Client()
    sign_in(client, cast.priya)
    return client
