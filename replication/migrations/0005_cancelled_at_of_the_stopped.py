"""What was stopped before `cancelled_at` was kept: when, says its record."""

from django.db import migrations
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce


def fill(apps, schema_editor):
    Activity, Replication = apps.get_model("accounts", "Activity"), apps.get_model("replication", "Replication")
    told = Activity.objects.filter(kind="replication", event__in=("stop", "cancel"), subject_id=OuterRef("pk"))
    ended = Q(state__in=("stopped", "stopping")) | Q(state="failed", failed_in="stopping")
    since = Coalesce(Subquery(told.order_by("id").values("at")[:1]), F("state_since"))
    Replication.objects.filter(ended, cancelled_at=None).update(cancelled_at=since)


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0001_initial"),
        ("replication", "0004_paused_at"),
    ]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
