"""Requesting the termination of what runs."""

from __future__ import annotations

from typing import Any

from django.test import Client

from ampdr import work
from failover.models import Ticket
from inventory.models import VM
from replication.models import PointFeed
from tests.cast import Cast, make_vms, protect, request, say_yes
from tests.test_request.pages import CONFIRM, NEW, form, live_running, text


def test_the_preview_of_a_termination_says_first_that_nothing_is_copied_back(
    cast: Cast, priya: Client, vms: list[VM]
) -> None:
    live = live_running(cast, vms)
    page = priya.get(f"/northwind/failovers/{live.number}/terminate/")
    shown = text(page)
    assert page.status_code == 200
    assert shown.index("not copied back") < shown.index("Virtual machines")
    assert "PHX01 → to DFW01" in shown and "Type the code of the primary site, DFW01" in shown
    assert "Primary site Not known nothing else of yours is protected in DFW01" in shown
    answer = priya.post(page.request["PATH_INFO"], {**form(page), "reason": "Back", "site_code": "PHX01"})
    assert answer.status_code == 400
    assert "PHX01 is where they run now. Type the site they go back to: DFW01." in text(answer)
    body = {**form(page), "reason": "Back", "site_code": "dfw01"}
    first, second = (priya.post(page.request["PATH_INFO"], body) for _ in range(2))
    assert first.status_code == second.status_code == 303 and first["Location"] == second["Location"]
    ending = Ticket.objects.get(kind="terminate")
    assert first["Location"] == f"/northwind/failovers/{ending.number}/" and ending.vm_count == 3
    answer = priya.get(page.request["PATH_INFO"])
    assert answer.status_code == 409 and f"{ending.number} was first" in text(answer)


def test_a_test_is_terminated_without_a_code(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    address = f"/northwind/failovers/{ticket.number}/terminate/"
    assert priya.get(address).status_code == 409  # nothing runs yet
    say_yes(cast, ticket)
    work.drive()
    page = priya.get(address)
    assert "Type the code" not in text(page) and "The original is untouched" in text(page)
    assert priya.post(address, form(page)).status_code == 303


def test_a_primary_site_that_does_not_answer_is_said(cast: Cast, priya: Client, vms: list[VM]) -> None:
    live = live_running(cast, vms[:1])
    PointFeed.objects.filter(site="DFW01").update(attempts=3)
    assert "DFW01 doesn't seem to answer now." in text(priya.get(f"/northwind/failovers/{live.number}/terminate/"))


def test_no_statement_is_needed_per_vm(cast: Cast, priya: Client, django_assert_max_num_queries: Any) -> None:
    many = make_vms(cast.northwind, cast.sites["DFW01"], [f"app-{n:03}" for n in range(60)])
    protect(cast, many, "order-key-3")
    with django_assert_max_num_queries(10):
        assert priya.get(NEW, {"site": "DFW01", "kind": "live"}).status_code == 200
    with django_assert_max_num_queries(10):
        assert priya.get(CONFIRM, {"site": "DFW01", "kind": "live"}).status_code == 200
