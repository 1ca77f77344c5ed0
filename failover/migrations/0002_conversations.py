from collections import defaultdict
from itertools import islice
from types import SimpleNamespace

from django.db import migrations
from django.db.models import Count

from failover.lifecycle import TICKET
from failover.tasks.words import Lines, subject_of, ticket_word

BATCH = 1000


def open_all(apps, schema_editor):
    """Tickets that were made before there were conversations get theirs, with the word that they show now."""
    Ticket, Conversation = apps.get_model("failover", "Ticket"), apps.get_model("notices", "Conversation")
    known = Conversation.objects.filter(kind="failover").values("number")
    tickets = Ticket.objects.exclude(number__in=known).select_related("about").order_by("pk").iterator(BATCH)
    while batch := list(islice(tickets, BATCH)):
        lines = counted(apps, [ticket.pk for ticket in batch])
        Conversation.objects.bulk_create(conversation(Conversation, ticket, lines[ticket.pk]) for ticket in batch)


def counted(apps, keys):
    found = defaultdict(Lines)
    sources = (("Failover", ""), ("Named", "failover__"))
    for name, road in sources:
        rows = apps.get_model("failover", name).objects.filter(ticket__in=keys).order_by()
        sums = {"n": Count("pk"), "confirmed": Count(f"{road}confirmed_at")}
        for ticket, state, n, confirmed in rows.values_list("ticket", f"{road}state").annotate(**sums):
            found[ticket].count(state, n, confirmed)
    return found


def conversation(Conversation, ticket, lines):
    facts = SimpleNamespace(
        state=ticket.state, kind=ticket.kind, shown_state=TICKET.states[ticket.state], about=ticket.about,
        vm_count=ticket.vm_count, target=ticket.target, get_kind_display=ticket.get_kind_display,
    )
    word = ticket_word(facts, lines)
    return Conversation(
        account_id=ticket.account_id, number=ticket.number, kind="failover", title=subject_of(facts),
        vms=ticket.vm_count, opened_by_id=ticket.requested_by_id, opened_at=ticket.requested_at,
        updated_at=ticket.decided_at or ticket.requested_at, turn_since=ticket.requested_at,
        word=word.word, tone=word.tone, icon=word.icon,
    )


class Migration(migrations.Migration):
    dependencies = [("failover", "0001_initial"), ("notices", "0002_conversations")]
    operations = [migrations.RunPython(open_all, migrations.RunPython.noop)]
