"""Who belongs to an account, and what he may do there."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar, Self

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Lower
from django.utils.text import slugify

from accounts.models.base import Permission, TenantQuerySet
from accounts.models.people import Account, Person, check_name
from ampdr import clock


class Role(models.Model):
    """A named set of permissions. Default ones (no account) can't be edited; `all_permissions` gains new ones."""

    TENANT_PATH = "account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "account"}

    account = models.ForeignKey(Account, null=True, blank=True, on_delete=models.CASCADE, related_name="roles")
    name = models.CharField(max_length=60, validators=[check_name])
    slug = models.SlugField(max_length=60, default="", editable=False)
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

    def save(self, *args: Any, **kwargs: Any) -> None:
        """A role keeps its slug when it gets another name: addresses stay."""
        self.slug = self.slug or self.free_slug()
        super().save(*args, **kwargs)

    def free_slug(self) -> str:
        """Of the name, apart from this account's other roles, the default ones, and the page of a new role."""
        start = slugify(self.name)[:50] or "role"
        seen = Q(account=None) | Q(account=self.account_id)
        taken = {"new", *Role.objects.filter(seen, slug__startswith=start).values_list("slug", flat=True)}
        return next(slug for n in range(1, 10_000) if (slug := start if n == 1 else f"{start}-{n}") not in taken)

    def grants(self) -> set[str]:
        return set(Permission.values) if self.all_permissions else set(self.permissions)


class Membership(models.Model):
    """A person in an account. Permissions reach people only through the roles here."""

    TENANT_PATH = "account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "account"}

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)  # in addresses; it opens nothing
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="memberships")
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="memberships")
    roles = models.ManyToManyField(Role, related_name="memberships")
    enabled = models.BooleanField(default=True)
    unread = models.PositiveIntegerField(default=0, db_default=0, editable=False)  # notices: kept by `notices`

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

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)  # in addresses; it opens nothing
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField()
    name = models.CharField(max_length=120, blank=True, validators=[check_name])
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

    @property
    def over(self) -> bool:
        return self.expires_at <= clock.now()

    @property
    def known(self) -> bool:
        """Whether somebody signs in with this address already."""
        return Person.objects.filter(email=self.email).exists()

    @property
    def inviter(self) -> str:
        """Who can send another one, in words."""
        if self.invited_by is None:
            return "an administrator of the account"
        return "Support" if self.invited_by.is_staff else self.invited_by.name


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


class ListedQuerySet(TenantQuerySet["AuthorizedUser"]):
    def annotate_suspended(self) -> Self:
        """`suspended`: who is no member any more, or a disabled one, may request nothing, listed or not."""
        member = Membership.objects.filter(
            account=OuterRef("account"), person=OuterRef("person"), enabled=True, person__is_active=True
        )
        return self.annotate(suspended=~Exists(member))

    def standing(self) -> Self:
        return self.annotate_suspended().filter(suspended=False)


class AuthorizedUser(models.Model):
    """A member whom Support has listed as allowed to request failovers. Only Support changes the list."""

    TENANT_PATH = "account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "account"}

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="authorized_users")
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="listings")
    phone = models.CharField(max_length=40, blank=True, validators=[check_name])
    added_by = models.ForeignKey(Person, null=True, editable=False, on_delete=models.SET_NULL, related_name="+")
    added_at = models.DateTimeField(default=clock.now, editable=False)
    confirmed_on = models.DateField(null=True, blank=True)

    objects = ListedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "person"], name="authorized_user_once")]

    def __str__(self) -> str:
        return f"{self.person} for {self.account}"

    def clean(self) -> None:
        if not Membership.objects.filter(account_id=self.account_id, person_id=self.person_id).exists():
            raise ValidationError({"person": "Only a member of this account can be listed. Invite the person first."})
