"""The record is read by time, what people did in it by indexes of its own; and its tables can't be emptied at once."""

from django.contrib.postgres.indexes import OpClass
from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Lower

BAR = """
CREATE TRIGGER activity_bar_truncate BEFORE TRUNCATE ON accounts_activity
    FOR EACH STATEMENT EXECUTE FUNCTION activity_is_append_only();
CREATE TRIGGER seal_bar_truncate BEFORE TRUNCATE ON accounts_seal
    FOR EACH STATEMENT EXECUTE FUNCTION activity_is_append_only();
"""
UNBAR = """
DROP TRIGGER activity_bar_truncate ON accounts_activity;
DROP TRIGGER seal_bar_truncate ON accounts_seal;
"""
OLD = ("activity_tail", "activity_about", "activity_tail_of_kind", "activity_tail_of_person", "activity_tail_of_vm")
BY_PEOPLE = Q(person_id__isnull=False)
NEW = (
    models.Index(fields=["account", "at", "id"], name="activity_tail"),
    models.Index(fields=["account", "kind", "at", "id"], name="activity_tail_of_kind"),
    models.Index(fields=["account", "vm", "at", "id"], name="activity_tail_of_vm", condition=Q(vm__isnull=False)),
    models.Index(fields=["account", "staff", "at", "id"], name="activity_tail_of_people", condition=BY_PEOPLE),
    models.Index(
        models.F("account"), OpClass(Lower("actor"), name="text_pattern_ops"), name="activity_of_actor",
        condition=BY_PEOPLE,
    ),
    models.Index(fields=["subject_id", "at", "id"], name="activity_of_sign_in", condition=Q(account=None, kind="person")),
    models.Index(fields=["about", "at", "id"], name="activity_about", condition=~Q(about="")),
)  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_sign_in")]
    operations = [
        *(migrations.RemoveIndex("activity", name) for name in OLD),
        *(migrations.AddIndex("activity", index) for index in NEW),
        migrations.RunSQL(BAR, UNBAR),
    ]
