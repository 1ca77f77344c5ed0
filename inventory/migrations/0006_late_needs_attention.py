from django.db import migrations, models


class Migration(migrations.Migration):
    """What is later than promised needs attention. A generated column can't be altered: it is made anew."""

    dependencies = [
        ('inventory', '0005_round_begun'),
    ]

    operations = [
        migrations.RemoveIndex(model_name='vm', name='vm_list_group'),
        migrations.RemoveField(model_name='vm', name='group'),
        migrations.AddField(
            model_name='vm',
            name='group',
            field=models.GeneratedField(db_persist=True, expression=models.Case(models.When(shown=False, then=models.Value('hidden')), models.When(role='test', then=models.Value('tests')), models.When(role='live', then=models.Value('live')), models.When(models.Q(('protection__in', ('rpo_behind', 'source_unreachable', 'resynchronising', 'outcome_unknown', 'needs_input', 'late', 'failed')), ('failover_state', 'start_failed'), _connector='OR'), then=models.Value('attention')), models.When(protection__in=('ordered', 'provisioning'), then=models.Value('setup')), models.When(protection='protected', then=models.Value('protected')), default=models.Value('unprotected')), output_field=models.CharField(max_length=12)),
        ),
        migrations.AddIndex(
            model_name='vm',
            index=models.Index(
                condition=models.Q(('shown', True)),
                fields=['account', 'group', 'rank', 'name_key', 'family', 'role'], name='vm_list_group',
            ),
        ),
    ]
