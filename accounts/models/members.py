"""Who belongs to an account, and what he may do there."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from accounts.models.base import Permission, TenantQuerySet
from accounts.models.people import Account, Person
from ampdr import clock


class Role(models.Model):
    """A named set of permissions. Default ones (no account) can't be edited; `all_permissions` gains new ones."""

    TENANT_PATH = "account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "account"}

    account = models.ForeignKey(Account, null=True, blank=True, on_delete=models.CASCADE, related_name="roles")
    name = models.CharField(max_length=60)
    slug = models.SlugField(max_length=60, default="")
    permissions = ArrayField(models.CharField(max_length=24, choices=Permission), default=list, blank=True)
    all_permissions = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "name"], name="role_name_once", nulls_distinct=False),
            models.UniqueConstraint(
                fields=["account", "slug"], condition=~Q(slug=""), name="role_slug_once", nulls_distinct=False
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def grants(self) -> set[str]:
        return set(Permission.values) if self.all_permissions else set(self.permissions)


class Membership(models.Model):
    """A person in an account. Permissions reach people only through the roles here."""

    TENANT_PATH = "account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "account"}

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="memberships")
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="memberships")
    roles = models.ManyToManyField(Role, related_name="memberships")
    enabled = models.BooleanField(default=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "account"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.person} in {self.account}"


class Invitation(models.Model):
    """Somebody was asked by e-mail to join. The link in the mail is signed when the mail is made, and good until
    `expires_at`; sending it again raises `nonce`, so that an older link opens nothing.
    """

    TENANT_PATH = "account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "account"}

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField()
    roles = models.ManyToManyField(Role, related_name="+")
    invited_by = models.ForeignKey(Person, null=True, on_delete=models.SET_NULL, related_name="+")
    invited_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    nonce = models.PositiveIntegerField(default=1)
    accepted_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "email"], condition=Q(accepted_at=None, withdrawn_at=None),
                name="invitation_open_once",
            ),
            models.CheckConstraint(condition=Q(email=Lower("email")), name="invitation_email_is_lower_case"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"Invitation of {self.email} to {self.account}"


class AccessRequest(models.Model):
    """A member's one message to the administrators: he needs a permission. Closed when his roles change."""

    TENANT_PATH = "account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "account"}

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="access_requests")
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="+")
    permission = models.CharField(max_length=24, choices=Permission)
    asked_at = models.DateTimeField(default=clock.now)
    closed_at = models.DateTimeField(null=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "person"], condition=Q(closed_at=None), name="access_request_open_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.person} asks for {self.get_permission_display()}"


class AuthorizedUser(models.Model):
    """A member whom Support has listed as allowed to request failovers. Only Support changes the list."""

    TENANT_PATH = "account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "account"}

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="authorized_users")
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="listings")
    phone = models.CharField(max_length=40, blank=True)
    added_by = models.ForeignKey(Person, null=True, editable=False, on_delete=models.SET_NULL, related_name="+")
    added_at = models.DateTimeField(default=clock.now, editable=False)
    confirmed_on = models.DateField(null=True, blank=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "person"], name="authorized_user_once")]

    def __str__(self) -> str:
        return f"{self.person} for {self.account}"

    def clean(self) -> None:
        if not Membership.objects.filter(account_id=self.account_id, person_id=self.person_id).exists():
            raise ValidationError({"person": "Only a member of this account can be listed. Invite the person first."})
