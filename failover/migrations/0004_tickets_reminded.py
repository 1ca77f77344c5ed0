from datetime import timedelta

from django.db import migrations, models
from django.db.models import F


def look_at_running_tests(apps, schema_editor):
    """A test that runs already is reminded of too, a day before its end date."""
    lines = apps.get_model("failover", "Failover").objects.filter(state="running", kind="test", verb="")
    lines.filter(ends_at__isnull=False).update(next_step_at=F("ends_at") - timedelta(days=1))


class Migration(migrations.Migration):

    dependencies = [
        ('failover', '0003_waiting_extending_results'),
    ]

    operations = [
        migrations.AddField(
            model_name='ticket',
            name='reminded_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.RunPython(look_at_running_tests, migrations.RunPython.noop),
    ]
