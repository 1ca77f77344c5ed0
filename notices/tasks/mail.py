"""Notices go out by e-mail. A server that hangs holds a worker for a few seconds at most, and then all of them wait."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from smtplib import SMTPDataError, SMTPRecipientsRefused
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db.models import F, Q, QuerySet
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.models import Person
from ampdr import clock, work
from ampdr.lifecycle import Change
from ampdr.work import NOTHING_TO_DO, Duty, WaitingOn
from notices.models import Notice
from notices.tasks.reading import members_of
from notices.tasks.registry import SECRETS

HOLD = 3.0  # seconds after which a batch begins no further mail
GIVE_UP = timedelta(days=1)
LONGEST_PAUSE = 600  # seconds
NO_LONGER = "Not sent: what it told is no longer this person's to know, or its link would open nothing."


@dataclass
class Posted:
    """What became of the mails of one batch: key -> what was said against it, empty when the server took it.

    `silence`: what the server was when it stopped answering. What was not tried then, or for want of time, is in none.
    """

    said: dict[int, str] = field(default_factory=dict)
    vain: list[int] = field(default_factory=list)
    silence: str = ""


@work.register
class Send(Duty):
    """Sends what is due. Unknown outcome or refusal: again after growing pauses; after a day it waits for Support."""

    name, model, priority, size = "send notices", Notice, 90, 20

    def load(self, keys: Sequence[int]) -> list[Notice]:
        return list(self.rows.filter(pk__among=keys).select_related("account").order_by("pk"))

    def call(self, site: str, rows: list[Notice]) -> Posted:
        posted, until = Posted(vain=vain(rows)), time.monotonic() + HOLD
        try:
            with get_connection() as post:
                for row in rows:
                    if row.pk not in posted.vain and time.monotonic() < until:
                        posted.said[row.pk] = send(post, row)
        except OSError as error:  # of the network, and whatever else smtplib raises
            posted.silence = f"The mail server doesn't take it: {error}"[:400]
        return posted

    def commit(self, change: Change, mine: QuerySet[Any], answer: Posted) -> None:
        sent = [pk for pk, error in answer.said.items() if not error]
        mine.filter(pk__among=sent).update(**NOTHING_TO_DO, sent_at=change.at)
        mine.filter(pk__among=answer.vain).update(**NOTHING_TO_DO | {"last_error": NO_LONGER})
        for pk, error in answer.said.items():
            if error:
                put_off(mine.filter(pk=pk), error)
        rest = mine.exclude(pk__among=[*answer.said, *answer.vain])
        if answer.silence:
            self.wait_for_the_server(rest, answer.silence)
        else:
            rest.update(claim=None, next_step_at=clock.db_now())

    def wait_for_the_server(self, rest: QuerySet[Any], silence: str) -> None:
        """All that is due waits as long as this batch, so that a dead server is asked once and not for each mail."""
        tries = put_off(rest, silence)
        others = self.due().filter(claim=None).order_by("pk").select_for_update(skip_locked=True, of=("self",))
        keys = list(others.values_list("pk", flat=True)[: work.BATCH])
        self.rows.filter(pk__among=keys).update(next_step_at=clock.db_now(pause_after(tries)))


def put_off(rows: QuerySet[Any], error: str) -> int:
    """Again after a pause; what is older than a day waits for Support. Returns after how many tries."""
    tries = max(rows.values_list("attempts", flat=True), default=0)
    old = Q(made_at__lt=clock.now() - GIVE_UP)
    rows.filter(old).update(next_step_at=None, claim=None, last_error=error, waiting_on=WaitingOn.SUPPORT)
    rows.exclude(old).update(
        next_step_at=clock.db_now(pause_after(tries)), claim=None, attempts=F("attempts") + 1, last_error=error,
    )  # fmt: skip
    return tries


def pause_after(tries: int) -> timedelta:
    """2, 4, 8 ... seconds, up to ten minutes (with a lease of 30 s; a shorter one shortens all of them alike)."""
    return timedelta(seconds=settings.LEASE_SECONDS / 30 * min(LONGEST_PAUSE, 2 ** min(tries + 1, 20)))


def vain(rows: Sequence[Notice]) -> list[int]:
    """Those that nobody may get any more: he has lost the permission meanwhile, or the link would open nothing."""
    accounts = {row.account_id for row in rows if row.permission and row.account_id}
    may = {(account, one.person_id): one.permissions for account in accounts for one in members_of(account)}
    return [
        row.pk
        for row in rows
        if (row.permission and row.permission not in may.get((row.account_id or 0, row.person_id or 0), ()))
        or (row.secret and (_too_old(row) or not SECRETS[row.secret](row.subject_id or 0)))
    ]


def _too_old(row: Notice) -> bool:
    """A link to another password goes out soon or not at all, and to nobody who has changed his address since."""
    if row.secret != "reset":
        return False
    asked_before = clock.now() - timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)
    return row.made_at < asked_before or not Person.objects.filter(pk=row.subject_id or 0, email=row.email).exists()


def send(post: Any, row: Notice) -> str:
    """Empty when the server took it, else its refusal of this very mail. Raises OSError when it doesn't answer."""
    try:
        post.send_messages([message(row)])
    except (SMTPRecipientsRefused, SMTPDataError) as refusal:
        return f"The mail server refused it: {refusal}"[:400]
    return ""


def settings_of(row: Notice) -> str:
    """Where its reader chooses what he gets; empty for somebody who is no member yet."""
    if not (row.account and row.person_id):
        return ""
    return str(settings.SITE_ORIGIN) + reverse("notification-settings", args=[row.account.slug])


def message(row: Notice) -> EmailMultiAlternatives:
    """Text and HTML. A secret link is made here, and stands nowhere else."""
    path = SECRETS[row.secret](row.subject_id or 0) if row.secret else row.path
    words = {
        "notice": row, "title": heading(row.title), "account": row.account, "secret": row.secret,
        "link": settings.SITE_ORIGIN + path if path else "", "support": settings.SUPPORT_PHONE,
        "settings": settings_of(row),
    }  # fmt: skip
    mail = EmailMultiAlternatives(
        subject=heading(row.title), body=render_to_string("notices/mail.txt", words), to=[row.email],
        headers={"Message-ID": row.message_id, "Auto-Submitted": "auto-generated"},
    )  # fmt: skip
    mail.attach_alternative(render_to_string("notices/mail.html", words), "text/html")
    return mail


def heading(title: str) -> str:
    """One line, whatever stands in the names that it is made of: no control characters, nothing that turns its way."""
    return " ".join("".join(" " if _breaks(one) else one for one in title).split())[:200]


def _breaks(one: str) -> bool:
    return unicodedata.category(one) in ("Cc", "Zl", "Zp") or one in TURNS


TURNS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
