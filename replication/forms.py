"""What Support types about service levels."""

from __future__ import annotations

from typing import ClassVar

from django import forms

from replication.models import ServiceLevel


class Level(forms.ModelForm):  # type: ignore[type-arg]
    """The terms of a service level. What is wrong with them the model says; the verb says it again."""

    class Meta:
        model = ServiceLevel
        fields = ("name", "rpo_target", "rpo_minimum", "retention_hours", "offered", "is_default")
        labels: ClassVar[dict[str, str]] = {
            "rpo_target": "RPO target", "rpo_minimum": "Smallest RPO target",
            "retention_hours": "Recovery points kept, in hours", "is_default": "Default",
        }  # fmt: skip
        help_texts: ClassVar[dict[str, str]] = {
            "rpo_target": "Hours, minutes and seconds: 00:15:00. Whole minutes, 24 hours at most.",
            "rpo_minimum": "Nobody can order a smaller one at this level.",
            "offered": "Can be ordered. What was ordered before keeps its terms.",
            "is_default": "Chosen where nothing is said. A new default takes the place of the old one.",
        }
