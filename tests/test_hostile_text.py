"""Hostile text in every free-text field there is, on every page there is, in a real browser: nothing runs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.db import connection, models
from playwright.sync_api import BrowserContext, Page

from accounts.actions import SUPPORT
from accounts.models import Activity
from tests.cast import Cast
from tests.payloads import CSV, MAIL_HEADERS, REDIRECTS, XSS, spread
from tests.test_acceptance import Look, enter
from tests.test_screens import paths
from tests.things import Things, furnish

APPS = ("accounts", "notices", "inventory", "replication", "failover")
# Text that only the portal itself writes, from words of its own, or that an address, a key or a number is.
NOT_FREE = {
    "about", "address_hash", "batch", "code", "digest", "email", "event", "fenced", "fingerprint", "from_state",
    "hash", "held_by", "holder", "key", "kind", "made", "message_id", "number", "order_number", "password", "path",
    "permission", "prefix", "previous", "provider", "recovery_environment", "secret", "site", "slug", "source",
    "state", "step_site", "target", "time_zone", "to_state", "tone", "verb", "via", "protected_to", "failover_state",
}  # fmt: skip


def free_text(model: type[models.Model]) -> Iterator[models.CharField[Any, Any] | models.TextField[Any, Any]]:
    for field in model._meta.fields:
        text = isinstance(field, models.CharField | models.TextField)
        if text and not field.choices and not field.generated and field.name not in NOT_FREE:
            yield field  # type: ignore[misc]


def poison() -> set[str]:
    """Every free-text field of every row gets hostile text. Returns the fields."""
    found = set()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_activity DISABLE TRIGGER activity_bar")
    for model in apps.get_models():
        if model._meta.app_label not in APPS:
            continue
        for field in free_text(model):
            if not all(said := spread(min(field.max_length or 4000, 4000), 20)):
                continue  # too short for any of it
            texts = cycle(said)
            for key in model._default_manager.order_by("pk").values_list("pk", flat=True):
                model._default_manager.filter(pk=key).update(**{field.name: next(texts)})
                found.add(f"{model._meta.label}.{field.name}")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_activity ENABLE TRIGGER activity_bar")
    return found


def test_there_are_as_many_as_promised() -> None:
    assert [len(set(one)) for one in (XSS, CSV, REDIRECTS, MAIL_HEADERS)] == [60, 40, 30, 20]


@pytest.mark.parametrize("who", ["priya", "mary"])
def test_nothing_of_it_runs_anywhere(
    transactional_db: None, cast: Cast, live_server: Any, page: Page, context: BrowserContext, who: str
) -> None:
    cast.mary.groups.add(Group.objects.get(name=SUPPORT))
    things: Things = furnish(cast, cast.northwind, "priya")
    fields = poison()
    assert {"inventory.VM.name", "failover.Ticket.reason", "accounts.Person.name", "accounts.Role.name"} <= fields
    assert Activity.objects.filter(actor__contains="<script>").exists()
    enter(context, live_server.url, getattr(cast, who))
    look = Look(page, live_server.url)
    page.on("dialog", lambda dialog: look.complaints.append(f"dialog {dialog.message}"))
    for path in paths(who, things):
        look.at(path)
        assert page.evaluate("window.hit") is None, path
        assert page.locator("img[src=x], iframe, a[href^='javascript:']").count() == 0, path


def test_a_page_that_took_it_for_markup_would_be_found(cast: Cast, live_server: Any, page: Page) -> None:
    look = Look(page, live_server.url)
    look.at("sign-in/")
    page.evaluate("text => document.querySelector('main').innerHTML = text", XSS[1])
    page.wait_for_timeout(200)
    assert look.complaints or page.evaluate("window.hit")
