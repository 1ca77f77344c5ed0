"""The menu: what it shows to whom, and from which numbers."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import path
from pytest_django import Settings

from ampdr.lifecycle import Actor
from failover.screens import shell

HEAD = SimpleNamespace(all_vms=126, running=2, waiting=1, live=2)


def page(request: HttpRequest, account: str) -> HttpResponse:
    return HttpResponse()


urlpatterns = [path(f"<slug:account>/{name}/", page, name=name) for name in ("vms", "replication", "failovers", "fim")]


@pytest.fixture(autouse=True)
def only_what_is_built(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__


def items(*permissions: str, head: Any = HEAD) -> dict[str, dict[str, Any]]:
    request: Any = RequestFactory().get("/northwind/vms/web-01/")
    request.actor = Actor("Priya Raman", 1, account_slug="northwind", permissions=frozenset(permissions))
    request.head = head
    return {item["label"]: item for group in shell(request)["menu"] for item in group["items"]}


def test_only_screens_that_are_built_are_on_the_menu() -> None:
    assert list(items()) == ["Virtual Machines", "Replication", "Failovers", "FIM"]


def test_without_permission_an_item_stays_locked_and_tells_no_number() -> None:
    shown = items("read_vms")
    assert not shown["Virtual Machines"]["locked"]
    assert shown["Failovers"]["locked"]
    assert (shown["Virtual Machines"]["count"], shown["Failovers"]["count"]) == (126, 0)
    assert shown["Failovers"]["href"] == "/northwind/failovers/"


def test_yellow_means_a_live_failover_runs() -> None:
    assert items("read_replication")["Failovers"]["hot"]
    assert not items("read_vms")["Failovers"]["hot"]
    only_tests = SimpleNamespace(all_vms=126, running=1, waiting=1, live=0)
    shown = items("read_replication", head=only_tests)["Failovers"]
    assert (shown["count"], shown["hot"]) == (2, False)


def test_the_menu_marks_where_the_reader_is() -> None:
    assert [label for label, item in items().items() if item["current"]] == ["Virtual Machines"]


def test_outside_of_an_account_there_is_no_menu() -> None:
    context = shell(RequestFactory().get("/sign-in/"))
    assert context["menu"] == []
    assert context["account"] is None
    assert context["support"]["tel"] == "+15550100"
