"""Security status of VMs (rule 15): one expression, by which rows are shown, filtered and counted."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Case, CharField, Q, Value, When

from ampdr import clock
from ampdr.lifecycle import State

SECURITY: dict[str, State] = {
    state.name: state
    for state in (
        State("secured", "Secured", "ok", "circle-check"),
        State("warning", "Warning", "warn", "triangle-alert"),
        State("critical", "Critical", "bad", "octagon-alert"),
        State("none", "No report", "off", "circle-dashed"),
    )
}
DAY = timedelta(days=1)


def fim_status() -> Case:
    """First match wins. A VM that is off isn't judged: it counts under No report, so that the four add up."""
    now = clock.now()
    never = Q(fim_report_at=None)
    return Case(
        When(power="off", then=Value("none")),
        When(never & Q(made_at__gt=now - DAY), then=Value("none")),
        When(fim_report_at__lt=now - 2 * DAY, then=Value("critical")),
        When(never | Q(fim_report_at__lte=now - DAY), then=Value("warning")),
        default=Value("secured"),
        output_field=CharField(),
    )
