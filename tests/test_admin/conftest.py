"""Mary's and Tom's browsers."""

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.actions import LEAD, SUPPORT
from tests.cast import Cast
from tests.test_admin.desk import signed_in


@pytest.fixture
def mary(cast: Cast) -> Client:
    """Mary's browser. She is in the staff group, and no superuser."""
    cast.mary.groups.add(Group.objects.get(name=SUPPORT))
    return signed_in(cast.mary)


@pytest.fixture
def lead(cast: Cast) -> Client:
    """Tom's browser, as a Support lead."""
    cast.tom.groups.add(Group.objects.get(name=LEAD))
    return signed_in(cast.tom)
