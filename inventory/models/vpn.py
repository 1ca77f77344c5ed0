"""SSL/VPN: where one connects to, with which client, and who may.

Support keeps gateways and clients; an account's people are let in to one gateway at a time.
"""

from __future__ import annotations

from typing import ClassVar, Self

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator, URLValidator
from django.db import models

from accounts.models import Membership, Person, TenantQuerySet, check_name
from ampdr import clock
from inventory.models.machines import Site

# Without it a browser would open what isn't a client's address, or fetch a program over a wire that anybody changes.
check_https = URLValidator(schemes=["https"], message="An address that begins with https://.")
check_host = RegexValidator(
    r"^(?=.{1,120}\Z)(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))+\Z",
    "The name of a host, in small letters, such as phx01.vpn.example.com.",
)


class VpnGateway(models.Model):
    """The way in to a site, or, with `recovery`, to its recovery environment (rule 18)."""

    TENANT_PATH: ClassVar[str | None] = None  # the house's own
    IN_ACTIVITY: ClassVar[dict[str, str]] = {}  # the installation's own log

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="gateways")
    recovery = models.BooleanField(default=False, db_default=False)
    host = models.CharField(max_length=120, validators=[check_host], help_text="Such as phx01.vpn.example.com")
    port = models.PositiveIntegerField(
        default=443, db_default=443, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )

    class Meta:
        verbose_name = "SSL/VPN gateway"
        constraints = [models.UniqueConstraint(fields=["site", "recovery"], name="one_gateway_of_a_kind")]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """Of the profile: PHX01, or PHX01-Recovery."""
        return self.site.recovery_environment if self.recovery else self.site.code


class VpnClient(models.Model):
    """The program for one kind of computer that connects to a gateway, and where it is downloaded."""

    TENANT_PATH: ClassVar[str | None] = None  # the house's own
    IN_ACTIVITY: ClassVar[dict[str, str]] = {}  # the installation's own log

    class System(models.TextChoices):
        WINDOWS = "windows", "Windows"
        MACOS = "macos", "macOS"
        LINUX = "linux", "Linux"

    gateway = models.ForeignKey(VpnGateway, on_delete=models.CASCADE, related_name="clients")
    system = models.CharField(max_length=8, choices=System)
    generation = models.PositiveSmallIntegerField(default=4, db_default=4, choices=[(4, "4"), (3, "3")])
    name = models.CharField(max_length=80, validators=[check_name])
    version = models.CharField(max_length=40, blank=True, validators=[check_name])
    download_url = models.URLField(
        max_length=400, blank=True, validators=[check_https],
        help_text="Empty: it is installed from the system's own packages",
    )  # fmt: skip

    class Meta:
        verbose_name = "SSL/VPN client"
        constraints = [
            models.UniqueConstraint(fields=["gateway", "system", "generation"], name="one_client_for_a_system")
        ]

    def __str__(self) -> str:
        return f"{self.name} for {self.get_system_display()}"

    def clean(self) -> None:
        if self.generation == 3 and self.gateway_id and self.gateway.recovery:
            raise ValidationError({"generation": "A Generation 3 client reaches no recovery environment."})


class VpnMemberQuerySet(TenantQuerySet["VpnMember"]):
    def standing(self) -> Self:
        """Of members who get in: who is disabled here, or anywhere, connects to nothing."""
        return self.filter(membership__enabled=True, membership__person__is_active=True)


class VpnMember(models.Model):
    """A member of an account who may connect to a gateway: he has its profile. It goes with his membership."""

    TENANT_PATH = "membership__account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "membership__account"}

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="vpn", db_index=False)
    gateway = models.ForeignKey(VpnGateway, on_delete=models.PROTECT, related_name="members")
    added_by = models.ForeignKey(Person, null=True, editable=False, on_delete=models.SET_NULL, related_name="+")
    added_at = models.DateTimeField(default=clock.now)
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects = VpnMemberQuerySet.as_manager()

    class Meta:
        verbose_name = "SSL/VPN user"
        constraints = [models.UniqueConstraint(fields=["membership", "gateway"], name="vpn_member_once")]

    def __str__(self) -> str:
        return f"{self.membership.person} at {self.gateway}"
