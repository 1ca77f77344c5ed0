"""Notices by e-mail, to a real server in a thread: repeated recognisably, refused, hung, lost; never in the way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core import mail as outbox
from django.core import signing
from pytest_django import Settings

from accounts.actions import issue_token
from accounts.models import Invitation, Membership, Person, Role
from ampdr import clock, work
from ampdr.lifecycle import PORTAL, changes
from ampdr.work import claim, perform
from notices.actions.notices import send_again
from notices.models import Notice
from notices.tasks import Send
from notices.tasks.mail import heading, message
from replication.models import Replication
from tests.cast import Cast, make_vms, protect
from tests.post import Post, open_post


@pytest.fixture
def post(settings: Settings) -> Iterator[Post]:
    """Nothing from before the test waits for it; the time-out is short, so that a test of silence is."""
    with open_post() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 0.3
        yield server


@pytest.fixture
def due(cast: Cast, post: Post) -> Notice:
    """The one mail that is to go out: Priya's, of a token."""
    work.drive()
    post.mails.clear()
    issue_token(cast.actor("priya"), cast.priya, cast.northwind, "backup", ["read_vms"])
    while work.claim(Send()) is None:
        reading = work._next_batch()
        assert reading
        perform(reading)
    Notice.objects.filter(claim__isnull=False).update(claim=None, next_step_at=clock.now())
    return Notice.objects.get(channel="email", event__startswith="token.issued")


def sent_now() -> bool:
    """Sends what is due, without waiting for pauses; whether all of it went out."""
    Notice.objects.filter(next_step_at__isnull=False).update(next_step_at=clock.now())
    while batch := claim(Send()):
        perform(batch)
    return not Notice.objects.filter(channel="email", sent_at=None).exists()


# ---- What goes out ---------------------------------------------------------------------------------------------------


def test_text_and_html_with_a_link_and_a_stable_id(cast: Cast, post: Post, settings: Settings) -> None:
    settings.DEFAULT_FROM_EMAIL = "Portal <portal@host.example>"
    protect(cast, make_vms(cast.northwind, cast.sites["DFW01"], ["web <01>"]))
    sent_now()
    [one] = [mail for mail in post.mails if mail["To"] == "priya@example.com" and "is ready" in mail["Subject"]]
    row = Notice.objects.get(message_id=one["Message-ID"], channel="email")
    assert row.sent_at and row.next_step_at is None and row.last_error == ""
    text, html = (one.get_body([kind]).get_content() for kind in ("plain", "html"))  # type: ignore[union-attr]
    link = "http://testserver" + row.path
    assert link in text and link in html and "It can be failed over" in text and "It can be failed over" in html
    assert (one["From"], one["Auto-Submitted"]) == ("Portal <portal@host.example>", "auto-generated")
    assert "/northwind/notifications/settings/" in text and "AMPDR · Northwind Health · Support: +1" in text


def test_names_are_escaped_in_html_and_plain_in_text(cast: Cast, due: Notice) -> None:
    Notice.objects.filter(pk=due.pk).update(title="<b>&", text="<script>x</script> & more")
    mail = message(Notice.objects.get(pk=due.pk))
    assert "<script>x</script> & more" in str(mail.body) and "&amp;amp;" not in str(mail.alternatives[0])
    assert "<script>x" not in str(mail.alternatives[0]) and "&lt;script&gt;x" in str(mail.alternatives[0])


PAYLOADS = [
    "a\nBcc: evil@example.com", "a\r\nBcc: evil@example.com", "a\rBcc: evil@example.com", "a\n\nbody",
    "a\r\n\r\n<b>x</b>", "a\n Bcc: evil@example.com", "a\n\tBcc: evil@example.com", "a\x0bBcc: x",
    "a\x0cBcc: x",
    "a\x1cBcc: evil@example.com", "a\x1dBcc: x", "a\x1eBcc: x", "a\x85Bcc: evil@example.com", "a\u2028Bcc: x",
    "a\u2029Bcc: x", "a\x7fBcc: x", "a\x08\x08Bcc: x", "\nTo: evil@example.com", "a\u202emoc.elpmaxe\u202c",
    "=?utf-8?q?=0ABcc:_evil@example.com?=",
]  # fmt: skip


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_no_name_gets_into_the_head_of_a_mail(due: Notice, post: Post, payload: str) -> None:
    Notice.objects.filter(pk=due.pk).update(title=payload)
    assert sent_now()
    [one] = post.mails
    assert one["To"] == "priya@example.com" and one["Bcc"] is None and len(one.get_all("Subject", [])) == 1
    assert set(one.keys()) == {
        "Content-Type", "MIME-Version", "Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted"
    }  # fmt: skip
    assert heading(payload).isprintable() and "\u202e" not in heading(payload)


def test_there_are_twenty_of_them() -> None:
    assert len(set(PAYLOADS)) == 20


# ---- Secrets ---------------------------------------------------------------------------------------------------------


def invite(cast: Cast) -> Invitation:
    with changes(PORTAL) as change:
        invitation = Invitation.objects.create(
            account=cast.northwind, email="new@example.com", invited_by=cast.priya,
            expires_at=clock.now() + timedelta(hours=96),
        )  # fmt: skip
        change.note(Invitation.objects.filter(pk=invitation.pk), "invitation.sent", email=invitation.email)
    return invitation


def test_a_secret_stands_in_the_mail_and_nowhere_else(cast: Cast, post: Post, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    invitation = invite(cast)
    work.drive()
    [one] = [mail for mail in post.mails if mail["To"] == "new@example.com"]
    text = one.get_body(["plain"]).get_content()  # type: ignore[union-attr]
    link = next(word for word in text.split() if word.startswith("http://testserver/invitation/"))
    secret = link.rstrip("/").rsplit("/", 1)[1]
    [row] = Notice.objects.filter(email="new@example.com").values()
    assert row["channel"] == "email" and row["person_id"] is None and row["subject_id"] == invitation.pk
    assert not any(secret in str(value) for value in row.values()) and secret not in caplog.text
    assert signing.b64_decode(secret.split(".")[0].encode())  # it is a signed thing, no key of a row


def test_a_link_that_would_open_nothing_isn_t_sent(cast: Cast, post: Post) -> None:
    invitation = invite(cast)
    Invitation.objects.filter(pk=invitation.pk).update(withdrawn_at=clock.now())
    work.drive()
    assert not [mail for mail in post.mails if mail["To"] == "new@example.com"]
    row = Notice.objects.get(email="new@example.com")
    assert row.sent_at is None and row.next_step_at is None and row.last_error.startswith("Not sent")


def test_a_reset_goes_to_the_person_alone(cast: Cast, post: Post) -> None:
    with changes(PORTAL) as change:
        change.note(Person.objects.filter(pk=cast.ravi.pk), "person.reset_asked")
    work.drive()
    assert [mail["To"] for mail in post.mails if "password" in mail["Subject"]] == ["ravi@example.com"]
    assert not Notice.objects.filter(channel="portal", secret="reset") and not Notice.objects.filter(
        path__contains="reset"
    )


def test_who_may_no_longer_read_it_doesn_t_get_it(cast: Cast, post: Post) -> None:
    post.mode = "busy"
    protect(cast, make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"]))
    billing = Role.objects.filter(account=None, name="Billing")
    Membership.objects.get(person=cast.oscar).roles.set(billing)
    post.mode = "ok"
    sent_now()
    assert {mail["To"] for mail in post.mails if "is ready" in mail["Subject"]} == {"priya@example.com"}


# ---- Servers that fail -----------------------------------------------------------------------------------------------


def test_who_is_killed_after_sending_repeats_the_same_mail(due: Notice, post: Post) -> None:
    """Sent, and killed before it was written down: the lease runs out, and another sends it with the same name."""
    batch = claim(Send())
    assert batch
    batch.duty.call(batch.site, batch.duty.load(batch.keys))
    assert claim(Send()) is None
    with clock.ahead(timedelta(seconds=31)):
        again = claim(Send())
        assert again
        perform(again)
    first, second = post.mails
    assert first["Message-ID"] == second["Message-ID"] == due.message_id and first["Subject"] == second["Subject"]
    assert claim(Send()) is None and sent_now()


def test_a_mail_whose_outcome_is_unknown_is_sent_again(due: Notice, post: Post) -> None:
    post.mode = "lose"
    assert not sent_now()
    post.mode = "ok"
    assert sent_now()
    assert len(post.mails) == 2 and len({mail["Message-ID"] for mail in post.mails}) == 1


@pytest.mark.parametrize("mode", ["refuse", "busy", "lose", "hang"])
def test_pauses_grow_and_after_a_day_it_waits_for_support(cast: Cast, due: Notice, post: Post, mode: str) -> None:
    post.mode, pauses = mode, []
    for _ in range(4):
        sent_now()
        due.refresh_from_db()
        assert due.next_step_at and due.last_error and due.sent_at is None
        pauses.append((due.next_step_at - clock.now()).total_seconds())
    assert pauses == pytest.approx([2, 4, 8, 16], abs=1)
    Notice.objects.filter(pk=due.pk).update(made_at=clock.now() - timedelta(days=1, minutes=1))
    sent_now()
    due.refresh_from_db()
    assert due.next_step_at is None and due.waiting_on == "support" and claim(Send()) is None
    post.mode = "ok"
    assert send_again(cast.actor("mary"), Notice.objects.filter(pk=due.pk)) == 1
    assert sent_now()


def test_a_server_that_hangs_is_asked_once_and_not_for_each_mail(cast: Cast, post: Post) -> None:
    post.mode = "hang"
    rows = [
        Notice(person=cast.priya, email=f"p{n}@example.com", event=f"x:{n}", kind="security", channel="email",
               title="x", text="x", message_id=f"<{n}@x>", next_step_at=clock.now())
        for n in range(100)
    ]  # fmt: skip
    Notice.objects.bulk_create(rows)
    connections = post.connections
    while batch := claim(Send()):
        perform(batch)
    assert post.connections - connections == 1
    assert Notice.objects.filter(channel="email", next_step_at__lte=clock.now()).count() == 0


def test_a_dead_server_holds_up_no_work(cast: Cast, post: Post) -> None:
    """One driver alone, and a mail server that takes every connection and says nothing."""
    work.drive()
    post.mode = "hang"
    issue_token(cast.actor("priya"), cast.priya, cast.northwind, "backup", ["read_vms"])
    protect(cast, make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"]))
    assert set(Replication.objects.values_list("state", flat=True)) == {"protected"}


def test_in_the_tests_of_others_mail_stays_here(cast: Cast) -> None:
    issue_token(cast.actor("priya"), cast.priya, cast.northwind, "backup", ["read_vms"])
    work.drive()
    assert "An API token of yours was made" in [mail.subject for mail in outbox.outbox]
