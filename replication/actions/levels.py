"""Service levels: what can be ordered, kept by Support."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from django.apps import apps as installed
from django.apps.registry import Apps
from django.db.models import QuerySet

from accounts.actions import checked, support_only
from ampdr.errors import Invalid
from ampdr.lifecycle import Actor, changes
from replication.models import ServiceLevel

MINUTE, LONGEST_TARGET = timedelta(minutes=1), timedelta(hours=24)


@dataclass(frozen=True)
class Terms:
    """What an order asks for: a service level by its name (empty: the default), an RPO target (None: the level's)."""

    level: str = ""
    rpo_target: timedelta | None = None


class Agreed(NamedTuple):
    level: ServiceLevel
    rpo_target: timedelta


def furnish(apps: Apps = installed, **_: Any) -> None:
    """Without a level nothing could be ordered: there is one from the first migration on."""
    try:
        apps.get_model("replication", "ServiceLevel")
    except LookupError:
        return  # migrated only in part: its table isn't there yet
    if not ServiceLevel.objects.filter(is_default=True).exists():
        ServiceLevel.objects.create(name="Standard", is_default=True)


def offered_levels() -> QuerySet[ServiceLevel]:
    """What can be ordered now, the default first."""
    return ServiceLevel.objects.filter(offered=True).order_by("-is_default", "name")


def agree(terms: Terms) -> Agreed:
    """What is ordered under these terms. Raises Invalid, naming `service_level` or `rpo_target_minutes`."""
    wanted = {"name": terms.level} if terms.level else {"is_default": True}
    level = offered_levels().filter(**wanted).first()
    if level is None:
        wrong = "This service level is not offered. Choose one that is."
        raise Invalid(wrong, fields={"service_level": [wrong]})
    target = level.rpo_target if terms.rpo_target is None else terms.rpo_target
    if terms.rpo_target is not None and (wrong := why_not_target(target, level)):
        raise Invalid(wrong, fields={"rpo_target_minutes": [wrong]})
    return Agreed(level, target)


def why_not_target(target: timedelta, level: ServiceLevel) -> str:
    """Why replication can't be ordered with this RPO target; empty if it can."""
    if target % MINUTE or not timedelta() < target <= LONGEST_TARGET:
        return "An RPO target is a whole number of minutes, 24 hours (1440) at most."
    if target < level.rpo_minimum:
        least = level.rpo_minimum // MINUTE
        return f"{level.name} keeps no RPO target below {least} minute{'' if least == 1 else 's'}."
    return ""


def save_level(actor: Actor, level: ServiceLevel) -> ServiceLevel:
    """A new level, or other terms of one: for what is ordered from now on. Support's verb, in the installation's log.

    Exactly one is the default: a new one takes that from the one before it. Raises Forbidden, and Invalid (fields).
    """
    support_only(actor)
    event = "level.changed" if level.pk else "level.added"
    with changes(actor) as change:
        others = ServiceLevel.objects.order_by("pk").exclude(pk=level.pk)
        list(ServiceLevel.objects.order_by("pk").select_for_update().values_list("pk"))  # one after the other
        if level.is_default:
            others.filter(is_default=True).update(is_default=False)
        checked(level).save()
        change.note(
            ServiceLevel.objects.filter(pk=level.pk), event, name=level.name, default=level.is_default,
            offered=level.offered, rpo_target_minutes=level.rpo_target // MINUTE,
            rpo_minimum_minutes=level.rpo_minimum // MINUTE, retention_hours=level.retention_hours,
        )  # fmt: skip
    return level
