from django.db import migrations, models
from django.db.models import Q


def count_hidden_as_off(apps, schema_editor):
    """The originals of live failovers that run already: so they count from now on, until the inventory tells else."""
    apps.get_model("inventory", "VM").objects.filter(role="primary", shown=False, power="on").update(power="off")


class Migration(migrations.Migration):

    dependencies = [
        ('inventory', '0009_vpn_kept_by_support'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='vm',
            index=models.Index(
                condition=Q(('power', 'on'), ('role', 'primary'), ('shown', False)), fields=['id'],
                name='vm_in_two_places',
            ),
        ),
        migrations.RunPython(count_hidden_as_off, migrations.RunPython.noop),
    ]
