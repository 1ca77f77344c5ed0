"""Pages by keyset, and filters."""

import re

import pytest
from django.test import Client

from accounts.models import Permission
from ampdr import work
from ampdr.lifecycle import PORTAL, changes
from failover.screens import Filters, rows
from inventory.actions import relist
from inventory.models import VM
from tests.cast import Cast, make_vms, request, say_yes, sign_in
from tests.test_lists.reading import SCREENS, get, listing, make_many


def walk(client: Client, start: str, rel: str) -> list[list[str]]:
    """The rows of each page, from the address on, by the links of its Previous or Next button."""
    pages, address = [], start
    while address:
        html = client.get(f"/northwind/vms/{address}").content.decode()
        pages.append(re.findall(r'<tr role="row" id="vm-([0-9a-f-]+)"', html))
        link = re.search(rf'href="([^"]*)" rel="{rel}"', html)
        address = link[1].replace("&amp;", "&") if link else ""
        assert len(pages) < 12
    return pages


def test_120_equal_names_forward_and_back_without_gap_or_repeat(cast: Cast, client: Client) -> None:
    made = make_many(cast, 120, lambda n: ("same", "Same", "SAME")[n % 3])
    sign_in(client, cast.priya)
    forward = walk(client, "?size=25", "next")
    assert [len(page) for page in forward] == [25, 25, 25, 25, 20]
    assert [uuid for page in forward for uuid in page] == [str(vm.uuid) for vm in made]
    page = rows(cast.actor("priya"), Permission.READ_VMS, Filters(size=25))
    for _ in range(4):
        page = rows(cast.actor("priya"), Permission.READ_VMS, Filters(size=25, after=page.next))
    assert not page.next
    back = walk(client, f"?size=25&before={page.previous}", "prev")
    assert [*reversed(back)] == forward[:4]


def test_paging_holds_while_rows_come_and_go(cast: Cast, client: Client) -> None:
    made = make_many(cast, 60, lambda n: f"vm-{n:02}")
    actor = cast.actor("priya")
    first = rows(actor, Permission.READ_VMS, Filters(size=25))
    with changes(PORTAL) as change:
        relist(change, VM.objects.filter(pk__in=[vm.pk for vm in made[20:30]]), shown=False)
    second = rows(actor, Permission.READ_VMS, Filters(size=25, after=first.next))
    assert [vm.name for vm in second.rows] == [f"vm-{n:02}" for n in range(30, 55)]
    with changes(PORTAL) as change:
        relist(change, VM.objects.filter(pk__in=[vm.pk for vm in made[55:]]), shown=False)
    assert second.next  # what was there is gone: the list begins anew
    assert (
        rows(actor, Permission.READ_VMS, Filters(size=25, after=second.next)).rows == first.rows[:20] + second.rows[:5]
    )


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"q": "WEB"}, ["web-01", "web-01 - Test"]),
        ({"q": "web-01 - test"}, ["web-01 - Test"]),
        ({"q": "eb"}, []),
        ({"q": "%"}, []),
        ({"q": "10.20.1.7"}, ["db-01"]),
        ({"q": "10.20.1."}, []),
        ({"q": "Öl"}, ["ölpumpe"]),
        ({"site": "phx01"}, ["web-01 - Test"]),
        ({"site": "LHR01", "q": "ö"}, ["ölpumpe"]),
        ({"state": "protected", "q": "d"}, ["db-01"]),
        ({"state": "tests"}, ["web-01 - Test"]),
    ],
)
def test_filters(cast: Cast, client: Client, web: VM, query: dict[str, str], wanted: list[str]) -> None:
    make_vms(cast.northwind, cast.sites["LHR01"], ["oil"])
    VM.objects.filter(name="oil").update(name="ölpumpe")
    VM.objects.filter(name="db-01").update(address="10.20.1.7")
    say_yes(cast, request(cast, [web]))
    work.drive()
    html = get(client, **query)
    assert [name for name, *_ in listing(html)] == wanted
    if not wanted:
        assert f"No VM matches “{query['q']}”" in html and "Clear filters" in html


@pytest.mark.parametrize(
    "query",
    [
        {"state": "hidden"}, {"status": "none"}, {"size": "7"}, {"size": "x"}, {"after": "x.y"}, {"before": "."},
        {"after": "x", "before": "y"}, {"q": " "}, {"sort": "-rpo"}, {"version": "-1"},
    ],
)  # fmt: skip
def test_a_value_that_means_nothing_is_as_if_not_sent(client: Client, web: VM, query: dict[str, str]) -> None:
    assert [name for name, *_ in listing(get(client, **query))] == ["db-01", "web-01"]


def test_a_forged_place_is_no_place(cast: Cast, client: Client, web: VM) -> None:
    forged = "WzAsImEiLDEsImxpdmUiXQ." + "A" * 43
    assert len(listing(get(client, after=forged))) == 2
    assert len(listing(get(client, "security/fim", before=forged))) == 2


def test_an_account_without_vms_says_what_will_be_here(cast: Cast, client: Client) -> None:
    sign_in(client, cast.priya)
    for screen in SCREENS:
        assert "No virtual machines yet" in get(client, screen)
