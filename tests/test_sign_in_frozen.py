"""The broker stands still (SIGSTOP): signing in, its second step and the limits don't notice. Real requests."""

from __future__ import annotations

import http.cookiejar
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group

from accounts.actions import SUPPORT
from accounts.models import Person
from ampdr import work
from ampdr.servers import Valkey
from failover.actions import version_of
from failover.models import Ticket
from tests.cast import PASSWORD, Cast, make_vms, protect
from tests.signing import code_of, events, give_app


@pytest.fixture
def frozen(own_valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Valkey]:
    monkeypatch.setattr(settings, "CELERY_BROKER_URL", own_valkey.url)
    work.broker.cache_clear()
    own_valkey.freeze()
    yield own_valkey
    own_valkey.thaw()
    work.broker.cache_clear()


class Browser:
    def __init__(self, address: str) -> None:
        self.address = address
        self.open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())).open

    def get(self, path: str) -> tuple[str, str]:
        """Where it ended, and what stands there."""
        with self.open(self.address + path, timeout=60) as page:
            return urllib.parse.urlsplit(page.url).path, page.read().decode()

    def send(self, path: str, **said: str) -> tuple[str, str]:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(path)[1])
        assert token
        form = urllib.parse.urlencode({**said, "csrfmiddlewaretoken": token[1]}).encode()
        with self.open(self.address + path, form, timeout=60) as page:
            return urllib.parse.urlsplit(page.url).path, page.read().decode()


def test_signing_in_with_the_second_factor(
    transactional_db: None, cast: Cast, live_server: Any, frozen: Valkey
) -> None:
    secret, browser = give_app(cast.olga), Browser(live_server.url)
    assert not frozen.answers()
    for _ in range(10):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            browser.send("/sign-in/", login="priya@example.com", password="wrong horse battery")
    with pytest.raises(urllib.error.HTTPError, match="429"):
        browser.send("/sign-in/", login="priya@example.com", password=PASSWORD)
    other = Browser(live_server.url)
    path, _ = other.send("/sign-in/", login="olga@example.com", password=PASSWORD, next="/contoso/vms/")
    assert path == "/sign-in/code/"
    path, page = other.send(path, code=code_of(secret))
    assert path == "/contoso/vms/" and "Olga Berg" in page
    assert events(cast.olga) == ["signed_in"]


def test_a_live_request_and_its_approval(transactional_db: None, cast: Cast, live_server: Any, frozen: Valkey) -> None:
    """Each signs in with a code, which is fresh enough for the step that follows."""
    vm = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])[0]
    protect(cast, [vm])
    cast.mary.groups.add(Group.objects.get(name=SUPPORT))
    priya, mary = (signed_in(live_server.url, getattr(cast, name)) for name in ("priya", "mary"))
    step_two = f"/northwind/failovers/new/confirm/?kind=live&vm={vm.uuid}"
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', priya.get(step_two)[1]))
    said = {**hidden, "kind": "live", "vm": str(vm.uuid), "reason": "Storage fails", "site_code": "PHX01"}
    path, page = priya.send(step_two, **said)
    ticket = Ticket.objects.get()
    assert path == f"/northwind/failovers/{ticket.number}/" and "Waiting for Support" in page
    path = f"/admin/failover/ticket/{ticket.pk}/change/"
    mary.send(path, decision="approve", version=version_of(ticket), reason="Outage confirmed")
    ticket.refresh_from_db()
    assert ticket.state == "approved" and not frozen.answers()


def signed_in(address: str, person: Person) -> Browser:
    browser, secret = Browser(address), give_app(person)
    path, _ = browser.send("/sign-in/", login=person.email, password=PASSWORD)
    browser.send(path, code=code_of(secret))
    return browser
