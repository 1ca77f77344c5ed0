"""What was ordered before promises were kept is promised too, and due if it isn't ready."""

import datetime

from django.db import migrations, models
from django.db.models import Exists, F, OuterRef
from django.db.models.functions import Now

PROMISE = datetime.timedelta(hours=48)


def fill(apps, schema_editor):
    Order, Replication = apps.get_model("replication", "Order"), apps.get_model("replication", "Replication")
    unready = Replication.objects.filter(order=OuterRef("pk"), state__in=("ordered", "provisioning", "failed"))
    old = Order.objects.filter(promised_at=None)
    old.filter(Exists(unready)).update(promised_at=F("ordered_at") + PROMISE, next_step_at=F("ordered_at") + PROMISE)
    old.update(promised_at=F("ordered_at") + PROMISE)


class Migration(migrations.Migration):
    dependencies = [
        ("replication", "0006_unready_lines"),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
        migrations.AlterField(
            model_name="order",
            name="promised_at",
            field=models.DateTimeField(db_default=Now() + PROMISE),
        ),
    ]
