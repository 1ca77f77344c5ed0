import ampdr.clock
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """SSL/VPN users hang on memberships, with which they go. Nothing has written such a row before: made anew."""

    dependencies = [
        ("accounts", "0011_outages_told"),
        ("inventory", "0007_vpn_and_readiness"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.DeleteModel(name="VpnMember"),
        migrations.CreateModel(
            name="VpnMember",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("added_at", models.DateTimeField(default=ampdr.clock.now)),
                ("last_used_at", models.DateTimeField(blank=True, null=True)),
                ("added_by", models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL)),
                ("gateway", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="members", to="inventory.vpngateway")),
                ("membership", models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="vpn", to="accounts.membership")),
            ],
            options={
                "verbose_name": "SSL/VPN user",
                "constraints": [models.UniqueConstraint(fields=("membership", "gateway"), name="vpn_member_once")],
            },
        ),
    ]
