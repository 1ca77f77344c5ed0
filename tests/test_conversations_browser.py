"""Conversations in a real browser: hostile words stay words, and a half-written message stays half-written."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from notices.actions import Opening, open_conversation, write
from notices.models import Conversation, Message
from tests.cast import Cast, make_vms, protect, request
from tests.payloads import ODD, XSS
from tests.test_acceptance import Look, enter

HOSTILE = [*XSS, *(text for text in ODD if len(text) <= 4000), "https://evil.example/ www.evil.example"]


@pytest.fixture
def asked(transactional_db: None, cast: Cast) -> Conversation:
    return open_conversation(cast.actor("priya"), Opening("other", XSS[0], "\n".join(HOSTILE[:30])), "hostile-key")


@pytest.mark.parametrize("who", ["priya", "mary"])
def test_hostile_words_stay_words(
    asked: Conversation, cast: Cast, live_server: Any, page: Page, context: BrowserContext, who: str
) -> None:
    """As its writer sees it, and as Support does: each payload is there to be read, nothing runs, nothing is a link."""
    write(cast.actor("oscar"), asked, "\n".join(HOSTILE[30:]), "hostile-key-2")
    enter(context, live_server.url, getattr(cast, who))
    look = Look(page, live_server.url)
    page.on("dialog", lambda dialog: look.complaints.append(f"dialog {dialog.message}"))
    one = f"northwind/tickets/{asked.number}/" if who == "priya" else f"admin/notices/conversation/{asked.pk}/change/"
    for path in ("northwind/tickets/" if who == "priya" else "admin/notices/conversation/", one):
        look.at(path)
        assert page.evaluate("window.hit") is None
        assert page.locator("img[src=x], iframe, a[href*=evil], a[href^='javascript:']").count() == 0
    said = "\n".join(page.locator(".say").all_text_contents())
    assert [text for text in HOSTILE if text not in said] == []
    assert page.locator("h1 bdi").text_content() == XSS[0]


def test_a_message_that_is_refused_is_kept(
    asked: Conversation, cast: Cast, live_server: Any, page: Page, context: BrowserContext
) -> None:
    """Typed, sent, refused with the reason beside the field, shortened, sent."""
    enter(context, live_server.url, cast.priya)
    page.goto(f"{live_server.url}/northwind/tickets/{asked.number}/")
    field = page.get_by_label("Message", exact=True)
    field.fill("x" * 10_000)
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#id_text_error")).to_contain_text("10,000 characters")
    expect(page.locator(".note.errors")).to_be_focused()
    expect(field).to_have_value("x" * 10_000)
    field.fill("Shorter.\nAnd on two lines.")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".talk li.own .say").last).to_have_text("Shorter.\nAnd on two lines.")
    assert page.url.endswith(f"/tickets/{asked.number}/#talk")


@pytest.mark.parametrize("place", ["conversation", "ticket"])
def test_a_half_written_message_survives_three_looks(
    asked: Conversation, cast: Cast, live_server: Any, page: Page, context: BrowserContext, place: str
) -> None:
    """Point 35: words, caret, focus and the form's key stay while others' messages come in."""
    path, about = f"tickets/{asked.number}", asked
    if place == "ticket":
        vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
        protect(cast, vms)
        ticket = request(cast, vms)
        path, about = f"failovers/{ticket.number}", Conversation.objects.get(number=ticket.number)
    enter(context, live_server.url, cast.priya)
    page.goto(f"{live_server.url}/northwind/{path}/")
    field, key = page.get_by_label("Message", exact=True), page.locator("#write input[name=key]")
    field.press_sequentially("Half a sen")
    field.evaluate("el => el.setSelectionRange(4, 4)")
    before = key.input_value()
    for n in range(3):
        write(cast.actor("mary"), about, f"News {n}", f"news-of-mary-{n}")
        expect(page.get_by_text(f"News {n}")).to_be_visible(timeout=30_000)
        expect(field).to_be_focused()
        expect(field).to_have_value("Half a sen")
        assert (key.input_value(), field.evaluate("el => el.selectionStart")) == (before, 4)
    field.press_sequentially("!")
    page.get_by_role("button", name="Send").dblclick()
    expect(page.locator(".talk li.own .say").last).to_have_text("Half! a sen")
    assert Message.objects.filter(conversation=about, text="Half! a sen").count() == 1
