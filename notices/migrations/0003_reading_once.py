from typing import Any

from django.db import migrations, models


def begin_at_the_end(apps: Any, schema_editor: Any) -> None:
    """What happened before there were notices is told to nobody: each record is read from where it ends now."""
    reading, head = apps.get_model("notices", "Reading"), apps.get_model("accounts", "Head")
    heads = head.objects.values_list("account_id", "number")
    reading.objects.bulk_create([reading(account_id=account, number=number) for account, number in heads])


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0007_record_by_time'),
        ('notices', '0002_conversations'),
    ]

    operations = [
        migrations.AddConstraint(
            model_name='reading',
            constraint=models.UniqueConstraint(fields=('account',), name='reading_once', nulls_distinct=False),
        ),
        migrations.RunPython(begin_at_the_end, migrations.RunPython.noop),
    ]
