"""Mary's browser."""

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.actions import SUPPORT
from tests.cast import Cast
from tests.test_admin.desk import signed_in


@pytest.fixture
def mary(cast: Cast) -> Client:
    """Mary's browser. She is in the staff group, and no superuser."""
    cast.mary.groups.add(Group.objects.get(name=SUPPORT))
    return signed_in(cast.mary)
