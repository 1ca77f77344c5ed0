"""Choices kept on the server: what they hold, whose they are, and the way from a list through the check to an order."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import QuerySet
from django.test import Client

from accounts.models import Activity
from ampdr import clock, work
from ampdr.errors import Absent, Forbidden, Invalid
from inventory.actions import chosen, keep
from inventory.models import VM, Choice, Role, why_not_orderable
from replication.models import Order, Replication
from tests.cast import Cast, make_vms, protect, request, say_yes, sign_in
from tests.test_orders.asking import refusal, servers, statements
from tests.test_orders.reading import NEW, TOP, hidden, ordered, sent, text

VMS = "/northwind/vms/"
CHOOSE = f"{VMS}choose/"


def all_of(cast: Cast) -> QuerySet[VM]:
    return VM.objects.filter(account=cast.northwind)


def bulk(client: Client, address: str, **pressed: Any) -> Any:
    """Presses a button of the bar of a list, as the list that is at this address has it."""
    page = client.get(address)
    form = page.content.decode().partition('<form id="bulk"')[2].partition("</form>")[0]
    return client.post(CHOOSE, dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form)) | pressed)


# ---- Keeping ---------------------------------------------------------------------------------------------------------


def test_a_choice_holds_its_vms_and_costs_the_same_for_any_number(cast: Cast) -> None:
    counted = []
    for n in (1, 200):
        vms = servers(cast, *[f"vm-{n}-{i:03}" for i in range(n)])
        with statements() as made:
            choice = keep(cast.actor("priya"), all_of(cast).filter(pk__in=[vm.pk for vm in vms]))
        counted.append(len(made))
        assert set(chosen(cast.actor("priya"), str(choice.uuid))) == set(vms)
    assert counted[0] == counted[1]


def test_a_choice_is_its_persons_own_and_of_one_account(cast: Cast) -> None:
    servers(cast, "web-01")
    choice = keep(cast.actor("priya"), all_of(cast))
    for text_of_it in (str(choice.uuid), str(uuid.uuid4()), "nonsense", ""):
        refusal(Absent, chosen, cast.actor("oscar"), text_of_it)
        refusal(Absent, chosen, cast.actor("olga"), text_of_it)
    (theirs,) = make_vms(cast.contoso, cast.sites["DFW01"], ["theirs"])
    mixed = keep(cast.actor("priya"), VM.objects.all())
    assert theirs not in chosen(cast.actor("priya"), str(mixed.uuid))
    refusal(Forbidden, keep, cast.actor("mary"), all_of(cast))


def test_nothing_is_no_choice_and_leaves_no_row(cast: Cast) -> None:
    refusal(Invalid, keep, cast.actor("priya"), all_of(cast))
    assert not Choice.objects.exists()


def test_own_choices_older_than_a_day_go_with_the_next_one(cast: Cast) -> None:
    servers(cast, "web-01")
    theirs, old, young = (keep(cast.actor(who), all_of(cast)) for who in ("oscar", "priya", "priya"))
    Choice.objects.exclude(pk=young.pk).update(made_at=clock.now() - timedelta(hours=25))
    before = Activity.objects.count()
    new = keep(cast.actor("priya"), all_of(cast))
    assert set(Choice.objects.all()) == {theirs, young, new} and old.pk
    assert Activity.objects.count() == before  # nothing of record happened


# ---- From the list ---------------------------------------------------------------------------------------------------


def test_all_that_match_are_the_originals_that_the_filters_let_through(cast: Cast, client: Client) -> None:
    live, two = servers(cast, "web-live", "web-two")
    protect(cast, [live, two])
    say_yes(cast, request(cast, [live], "live"))
    work.drive()  # its stand-in is listed in its place
    servers(cast, *[f"web-{n:02}" for n in range(60)])
    servers(cast, "db-01")
    answer = bulk(client, f"{VMS}?q=WEB", order="all")
    assert answer.status_code == 303 and answer["Location"].startswith(f"{NEW}?choice=")
    names = set(Choice.objects.get().vms.values_list("name", "role"))
    assert len(names) == 61 and ("db-01", Role.PRIMARY) not in names and {role for _, role in names} == {Role.PRIMARY}
    assert "Leave this 1 out and order 60" in text(client.get(answer["Location"]))


@pytest.mark.parametrize(
    ("query", "words"),
    [("", "for all 70 that match"), ("state=unprotected", "for all 70 that match"), ("q=vm", "for all that match"),
     ("site=DFW01", "for all that match"), ("q=vm-00", "for all 10 that match")],
)  # fmt: skip
def test_their_number_is_said_where_it_is_known(cast: Cast, client: Client, query: str, words: str) -> None:
    servers(cast, *[f"vm-{n:03}" for n in range(70)])
    assert f"Order replication {words}" in text(client.get(f"{VMS}?{query}"))


def test_ticked_ones_and_what_is_none_of_ours(cast: Cast, client: Client) -> None:
    one, two = servers(cast, "web-01", "web-02")
    (theirs,) = make_vms(cast.contoso, cast.sites["DFW01"], ["theirs"])
    assert bulk(client, VMS, order="chosen", vm=[one.uuid, two.uuid]).status_code == 303
    assert set(Choice.objects.get().vms.all()) == {one, two}
    for name in (theirs.uuid, uuid.uuid4(), "nonsense"):
        assert bulk(client, VMS, order="chosen", vm=[one.uuid, name]).status_code == 404
    assert Choice.objects.count() == 1


def test_nothing_ticked_and_nothing_that_matches_say_so(cast: Cast, client: Client) -> None:
    servers(cast, "web-01")
    for form in ({"order": "chosen"}, {"order": "all", "q": "zzz"}):
        answer = client.post(CHOOSE, form)
        assert answer.status_code == 400 and "no VM in this choice" in text(answer)
        assert f'href="{VMS}?' in answer.content.decode()


def test_who_may_not_order_or_request_chooses_nothing(cast: Cast, client: Client) -> None:
    (vm,) = servers(cast, "web-01")
    sign_in(client, cast.ravi)
    assert 'id="bulk"' not in client.get(VMS).content.decode()
    for purpose in ("order", "failover"):
        assert client.post(CHOOSE, {purpose: "chosen", "vm": str(vm.uuid)}).status_code == 403
    sign_in(client, cast.oscar)  # may order, isn't listed
    assert client.post(CHOOSE, {"failover": "all"}).status_code == 403
    assert not Choice.objects.exists()


def test_a_vm_that_is_called_choose_has_its_page(cast: Cast, client: Client) -> None:
    assert client.get(CHOOSE).status_code == 404
    servers(cast, "choose")
    assert client.get(CHOOSE).status_code == 200


def test_not_protected_leads_the_same_way(cast: Cast, client: Client) -> None:
    servers(cast, *[f"vm-{n:03}" for n in range(55)])
    protect(cast, servers(cast, "vm-done"))
    assert "for all 55 that match" in text(client.get(f"{TOP}not-protected/"))
    check = client.get(bulk(client, f"{TOP}not-protected/?q=vm-00", order="all")["Location"])
    assert "Order replication of 10 VMs" in text(check)


# ---- The check -------------------------------------------------------------------------------------------------------


def test_the_database_says_why_not_in_the_words_of_the_vm(cast: Cast) -> None:
    now = clock.now()
    servers(cast, "good", "stopped")
    VM.objects.filter(name="stopped").update(protection="stopped")
    servers(cast, "far", site="LHR01", cannot_replicate="Hidden behind the site.")
    servers(cast, "off", cannot_replicate="Powered off: start it first.")
    servers(cast, "gone", vanished_at=now, cannot_replicate="Powered off: start it first.")
    servers(cast, "imported", protection="protected")
    (web,) = servers(cast, "web-01")
    protect(cast, [web])
    VM.objects.create(
        account=cast.northwind, site=cast.sites["PHX01"], name="web-01", slug="web-01", role="test", original=web,
        made_by=uuid.uuid4(),
    )  # fmt: skip
    found = list(VM.objects.select_related("site").annotate(why=why_not_orderable()))
    assert {vm.why for vm in found} == {vm.why_not_orderable for vm in found}
    assert all(vm.why == vm.why_not_orderable for vm in found)
    assert len({vm.why_not_orderable for vm in found}) == 7


def kept_check(cast: Cast, client: Client) -> Any:
    """The check of 6 that can be ordered, 2 protected ones, 1 in another's order and 1 that can't."""
    protect(cast, servers(cast, "done-1", "done-2"))
    ordered(cast, *servers(cast, "queue-1"), who="oscar")
    servers(cast, "vault-1", cannot_replicate="Shared disk.")
    servers(cast, *[f"app-{n}" for n in range(6)])
    return client.get(bulk(client, VMS, order="all")["Location"])


def test_the_check_names_each_group_and_one_button_leaves_the_rest_out(cast: Cast, client: Client) -> None:
    page = kept_check(cast, client)
    words, number = text(page), Order.objects.get(ordered_by=cast.oscar).number
    for said in ("6 can be ordered", "2 are already protected", f"1 is in order {number}", "Left out. Shared disk."):
        assert said in words
    assert words.count("Leave these 4 out and order 6") == 1
    answer = client.post(NEW, sent(page))
    order = Order.objects.latest("pk")
    assert (answer.status_code, answer["Location"]) == (303, f"{TOP}orders/{order.number}/")
    assert set(order.lines.values_list("vm__name", flat=True)) == {f"app-{n}" for n in range(6)}
    again = client.post(NEW, sent(page))  # a double click, or back and once more
    assert again["Location"] == answer["Location"] and Order.objects.count() == 3


def test_what_changed_meanwhile_is_said_and_nothing_is_ordered(cast: Cast, client: Client) -> None:
    page = kept_check(cast, client)
    VM.objects.filter(name="app-0").update(cannot_replicate="Powered off: start it first.")
    VM.objects.filter(name="app-1").update(cannot_replicate="Powered off: start it first.")
    fewer = client.post(NEW, sent(page))
    assert fewer.status_code == 409 and "4 VMs can be ordered now, 6 when you looked." in text(fewer)
    VM.objects.filter(name__in=["app-0", "app-1", "vault-1"]).update(cannot_replicate="")
    more = client.post(NEW, sent(fewer))
    assert more.status_code == 409 and "7 VMs can be ordered now, 4 when you looked." in text(more)
    VM.objects.filter(name="app-0").update(cannot_replicate="Powered off: start it first.")
    VM.objects.filter(name="done-1").update(protection="stopped")
    Replication.objects.filter(vm__name="done-1").delete()
    others = client.post(NEW, sent(more))
    assert others.status_code == 409 and "Other VMs can be ordered now than those that you saw." in text(others)
    assert Order.objects.count() == 2
    assert client.post(NEW, sent(others)).status_code == 303 and Order.objects.latest("pk").vm_count == 7


def test_of_two_who_order_the_same_the_later_hears_who_was_first(cast: Cast, client: Client) -> None:
    servers(cast, *[f"app-{n}" for n in range(6)])
    page = client.get(bulk(client, VMS, order="all")["Location"])
    number = ordered(cast, *VM.objects.all(), who="oscar").number
    late = client.post(NEW, sent(page))
    assert late.status_code == 409 and "Oscar Lind was first" in text(late) and f"Open {number}" in text(late)
    assert Order.objects.count() == 1


def test_the_check_costs_the_same_few_statements_for_any_number(cast: Cast, client: Client) -> None:
    counted = []
    for n in (1, 200):
        servers(cast, *[f"vm-{n}-{i:03}" for i in range(n)])
        address = bulk(client, VMS, order="all")["Location"]
        with statements() as made:
            page = client.get(address)
        counted.append(len(made))
    assert counted[0] == counted[1] <= 10
    assert "and 151 more" in text(page) and hidden(page, "choice")
