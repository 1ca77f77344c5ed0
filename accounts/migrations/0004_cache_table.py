from django.core.management import call_command
from django.db import migrations


def create(apps, schema_editor):
    """Django's own table for what the portal remembers for a short while, such as which codes were used."""
    call_command("createcachetable", "cache", database=schema_editor.connection.alias, verbosity=0)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_people")]
    operations = [
        migrations.RunPython(create, migrations.RunPython.noop),
        migrations.RunSQL("CREATE SEQUENCE number_t START 88231", "DROP SEQUENCE number_t"),
    ]
