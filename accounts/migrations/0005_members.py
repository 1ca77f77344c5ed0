"""Public uuids of memberships and invitations, names in one line of visible signs, a slug for every role."""

import uuid

import accounts.models.people
from django.contrib.postgres.functions import RandomUUID
from django.db import migrations, models
from django.utils.text import slugify


def give_slugs(apps, schema_editor):
    Role = apps.get_model("accounts", "Role")
    for role in Role.objects.filter(slug="").order_by("pk"):
        start = slugify(role.name)[:50] or "role"
        role.slug = start if start not in ("new", "admin", "technical", "billing") else f"{start}-{role.pk}"
        if Role.objects.filter(account=role.account_id, slug=role.slug).exists():
            role.slug = f"{start}-{role.pk}"
        role.save(update_fields=["slug"])


def public(model):
    """Each row that is there gets a uuid of its own from the database, each new one from the model."""
    fields = {"unique": True, "editable": False}
    given = models.UUIDField(db_default=RandomUUID(), **fields)
    return [
        migrations.AddField(model, "uuid", given),
        migrations.AlterField(model, "uuid", models.UUIDField(default=uuid.uuid4, **fields)),
    ]


CHECK = [accounts.models.people.check_name]


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_cache_table")]

    operations = [
        *public("membership"),
        *public("invitation"),
        migrations.AddField("invitation", "name", models.CharField(max_length=120, blank=True, default="")),
        migrations.AlterField("invitation", "name", models.CharField(max_length=120, blank=True, validators=CHECK)),
        migrations.AlterField("account", "name", models.CharField(max_length=120, validators=CHECK)),
        migrations.AlterField("person", "name", models.CharField(max_length=120, validators=CHECK)),
        migrations.AlterField("role", "name", models.CharField(max_length=60, validators=CHECK)),
        migrations.AlterField("role", "slug", models.SlugField(max_length=60, default="", editable=False)),
        migrations.RunPython(give_slugs, migrations.RunPython.noop),
    ]
