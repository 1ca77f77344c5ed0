"""Service levels: what can be ordered, kept by Support."""

from __future__ import annotations

from typing import Any

from django.apps import apps as installed
from django.apps.registry import Apps

from replication.models import ServiceLevel


def furnish(apps: Apps = installed, **_: Any) -> None:
    """Without a level nothing could be ordered: there is one from the first migration on."""
    try:
        apps.get_model("replication", "ServiceLevel")
    except LookupError:
        return  # migrated only in part: its table isn't there yet
    if not ServiceLevel.objects.filter(is_default=True).exists():
        ServiceLevel.objects.create(name="Standard", is_default=True)
