"""The pages of notices: one's own and nobody else's, read and unread, and which of them one wants."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.actions import issue_token
from accounts.models import Head, Membership, Permission, Person, Role
from ampdr import work
from notices.models import Notice, Preference
from tests.cast import Cast, join, make_person, make_vms, protect, request, sign_in

LIST, SETTINGS, READ = (
    "/northwind/notifications/",
    "/northwind/notifications/settings/",
    "/northwind/notifications/read/",
)


@pytest.fixture
def priya(cast: Cast, client: Client) -> Client:
    """Priya's, after an order, a request for a live failover, and a token."""
    protect(cast, vms := make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"]))
    request(cast, vms, "live")
    issue_token(cast.actor("priya"), cast.priya, cast.northwind, "backup", ["read_vms"])
    work.drive()
    return sign_in(client, cast.priya)


def text(client: Client, address: str = LIST) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def newest(person: Person, **which: str) -> Notice:
    return Notice.objects.filter(person=person, channel="portal", **which).latest("pk")


def test_the_newest_stands_above_with_its_way_and_channels(cast: Cast, priya: Client) -> None:
    found = text(priya)
    assert found.index("An API token of yours was made") < found.index("requested a live failover of 1 VM")
    assert f'href="{newest(cast.priya, kind="live_failover").path}"' in found
    assert "Portal, e-mail" in found and "Mark all read" in found


def test_one_is_marked_read_and_then_all(cast: Cast, priya: Client) -> None:
    one = newest(cast.priya)
    assert priya.post(READ, {"notice": one.pk})["Location"] == LIST
    unread = Notice.objects.filter(person=cast.priya, channel="portal", read_at=None)
    left = unread.count()
    assert not unread.filter(pk=one.pk) and f"Notifications, {left} unread" in text(priya, "/northwind/vms/")
    priya.post(READ)
    assert not unread.exists() and "Mark all read" not in text(priya) and 'aria-label="Notifications"' in text(priya)


def test_another_s_is_as_one_that_never_was(cast: Cast, priya: Client) -> None:
    olga = newest(cast.olga)
    answers = [priya.post(READ, {"notice": key}) for key in (olga.pk, 999_999_999, "x", "9" * 40, "-1", "1 or 1=1")]
    assert {answer.status_code for answer in answers} == {404} and len({answer.content for answer in answers}) == 1
    assert newest(cast.olga).read_at is None and olga.title not in text(priya)


def test_who_lost_read_sees_nothing_of_orders_and_failovers(cast: Cast, priya: Client) -> None:
    role = Role.objects.create(account=cast.northwind, name="Watcher", permissions=[Permission.READ_VMS])
    Membership.objects.get(person=cast.priya).roles.set([role])
    found = text(priya)
    assert "requested a live failover" not in found and "is ready" not in found and "An API token of yours" in found
    assert priya.post(READ, {"notice": newest(cast.priya, kind="live_failover").pk}).status_code == 404
    priya.post(READ)
    assert not Membership.objects.get(person=cast.priya).unread, "the bell doesn't count what can't be seen for ever"
    chosen = text(priya, SETTINGS)
    assert "Live failovers" not in chosen and "Orders" not in chosen and "My rights" in chosen


def test_a_person_in_two_accounts(cast: Cast, priya: Client) -> None:
    """What concerns an account is seen there; what concerns the person, in both."""
    join(cast.priya, cast.contoso, "Admin")
    Notice.objects.create(
        person=cast.priya, email="x@x.example", event="x", kind="security", channel="portal", title="Mine"
    )
    there = text(priya, "/contoso/notifications/")
    assert "An API token of yours" not in there and "Mine" in there and "Mine" in text(priya)


def test_an_open_page_looks_again_when_something_came(cast: Cast, priya: Client) -> None:
    def version() -> int:
        return Head.objects.get(account=cast.northwind).version

    before = version()
    assert priya.get(f"{LIST}?version={before}", headers={"HX-Request": "true"}).status_code == 204
    issue_token(cast.actor("priya"), cast.priya, cast.northwind, "another", ["read_vms"])
    sealed = version()
    work.drive()
    assert version() > sealed > before, "the seal of the token, and then the notice"
    part = priya.get(f"{LIST}?version={sealed}", headers={"HX-Request": "true"})
    assert part.status_code == 200 and "another" in part.content.decode() and "<html" not in part.content.decode()


def test_choices_are_kept_and_hold(cast: Cast, priya: Client) -> None:
    boxes = {
        f"{kind}:{channel}" for kind in ("membership", "orders", "test_failover") for channel in ("portal", "email")
    }
    priya.post(SETTINGS, {"on": sorted(boxes - {"orders:email"} | {"security:email", "nonsense:portal", "orders"})})
    off = Preference.objects.filter(person=cast.priya, on=False).values_list("kind", "channel")
    assert ("orders", "email") in off and ("orders", "portal") not in off and ("membership", "portal") not in off
    assert not Preference.objects.filter(kind__in=("security", "live_failover", "nonsense")).exists()
    found = text(priya, SETTINGS)
    assert 'value="orders:portal" checked' in found and 'value="orders:email" checked' not in found


def test_what_can_t_be_switched_off_says_why(cast: Cast, priya: Client) -> None:
    found = text(priya, SETTINGS)
    assert "You may request failovers, so you hear of every live one." in found
    assert 'value="live_failover:email"' not in found and 'value="security:email"' not in found
    join(ada := make_person("ada@example.com", "Ada Lund"), cast.northwind, "Admin")
    assert 'value="live_failover:email" checked' in text(sign_in(Client(), ada), SETTINGS)


def test_pages_by_keyset(cast: Cast, priya: Client) -> None:
    own = {"person": cast.priya, "account": cast.northwind, "email": "priya@example.com", "kind": "orders"}
    Notice.objects.filter(person=cast.priya).delete()
    Notice.objects.bulk_create(
        Notice(**own, event=f"made-up:{n}", channel="portal", title=f"Number {n:03}") for n in range(120)
    )
    first = text(priya)
    assert "Number 119" in first and "Number 070" in first and "Number 069" not in first
    after = first.split('href="?after=')[1].split('"')[0]
    second = text(priya, f"{LIST}?after={after}")
    assert "Number 069" in second and "Number 020" in second and "Number 070" not in second
    assert "Number 119" in text(priya, f"{LIST}?after=made-up")


def test_hostile_words_stay_words(cast: Cast, priya: Client) -> None:
    Notice.objects.filter(pk=newest(cast.priya).pk).update(title='<img src=x onerror="x">', text="<script>x</script>")
    found = text(priya)
    assert "<img src=x" not in found and "<script>x" not in found and "&lt;script&gt;x" in found
