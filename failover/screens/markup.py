"""One row of a list as HTML, written in Python: a page of fifty is most of what a list costs, and a template's is half.

Every word that comes from people or from a provider goes through `escape` here; the rest are our own words, and the
pieces of `ampdr.templatetags`, which escape for themselves. `tests/test_hostile_text.py` holds it to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

from django.utils.html import conditional_escape, escape, format_html
from django.utils.safestring import SafeString, mark_safe

from ampdr import clock
from ampdr.lifecycle import State
from ampdr.templatetags.ampdr import age, ago, day, duration, icon, pill, route, vm_icon, when, whole
from failover.screens.row import Way, readiness
from failover.screens.security import Column, Part
from inventory.models import VM, Role
from replication.views.chart import rpo_line

NONE = "—"


@dataclass(frozen=True)
class Line:
    """A row of a list. `beneath`: a test whose original stands right above."""

    vm: VM
    href: str
    location: str
    course: tuple[str, str]
    pills: Sequence[State]
    way: Way | None
    beneath: bool
    why_not: str
    failover: str


def vms_row(line: Line, picks: bool, tells: bool) -> SafeString:
    """A row of Virtual Machines. `picks`: with a box to choose it; `tells`: with what is known of its replication."""
    vm, cells = line.vm, [_pick(line.vm)] if picks else []
    cells.append(_name(line))
    if tells:
        why_not = f'<span class="sub">{escape(line.why_not)}</span>' if line.why_not else ""
        cells += [
            f'<td role="cell" class="st wrap"><span>{_pills(line)}{_back(vm)}{why_not}</span></td>',
            f'<td role="cell" class="lb" data-l="">{route(*line.course)}</td>',
            f'<td role="cell" class="num lb r" data-l="RPO"><span>{_rpo(vm)}</span></td>',
            f'<td role="cell" class="hide mid">{rpo_line(vm)}</td>',
            f'<td role="cell" class="lb mid nw" data-l="Tested"><span>{_tested(vm)}</span></td>',
            f'<td role="cell" class="act num">{_way(line)}</td>',
        ]
    else:
        cells.append(f'<td role="cell" class="lb" data-l="">{escape(line.location)}</td>')
    return _row(line, cells)


def security_row(line: Line, part: Part, tells: bool) -> SafeString:
    """A row of a screen of security; `tells`: with the failover that a stand-in belongs to."""
    cells = [
        _name(line),
        f'<td role="cell" class="st"><span>{pill(part.status_of(line.vm))}</span></td>',
        f'<td role="cell" class="lb" data-l=""><span class="nowrap">{escape(line.location)}</span></td>',
        _failover(line) if tells else "",
    ]
    edges = cycle(("c1", "r"))  # on a phone figures stand in twos, words have a line of their own
    for column in part.columns:
        look = "lb w" if column.kind == "text" else f"num lb {next(edges)}"
        said = f"{fact(part, column, line.vm)}{_seen(part, line.vm) if column.kind == 'text' else ''}"
        cells.append(f'<td role="cell" class="{look}" data-l="{column.short}"><span>{said}</span></td>')
    return _row(line, cells)


def _seen(part: Part, vm: VM) -> str:
    at = part.reported_at(vm)
    return f'<span class="sub">reported {when(at)}</span>' if at else ""


def fact(part: Part, column: Column, vm: VM) -> SafeString:
    """What the last report said, if there was one."""
    said = getattr(vm, column.field)
    if column.kind == "time":
        return mark_safe(when(said) if said else "never")
    return mark_safe(escape(said) if part.reported_at(vm) and said != "" else NONE)


def _row(line: Line, cells: Sequence[str]) -> SafeString:
    look = ' class="is-live"' if line.vm.role == Role.LIVE else ' class="is-test"' if line.beneath else ""
    return mark_safe(f'<tr role="row" id="vm-{line.vm.uuid}"{look}>{"".join(cells)}</tr>')


def _pick(vm: VM) -> str:
    if vm.role != Role.PRIMARY:
        return '<td role="cell" class="sel"><span class="vh">Not selectable</span></td>'
    return (
        f'<td role="cell" class="sel"><label class="chk"><span class="vh">Select {escape(vm.display_name)}</span>'
        f'<input type="checkbox" name="vm" value="{vm.uuid}" form="bulk" data-pick></label></td>'
    )


def _name(line: Line) -> str:
    vm = line.vm
    facts = [vm.os if vm.role != Role.TEST else "", str(vm.address or "")]
    facts += ["isolated" if vm.role == Role.TEST else "", "off" if vm.power == "off" else ""]
    if vm.vanished_at:
        facts.append(format_html("not found in {} since {}", vm.site.code, day(vm.vanished_at)))
    beneath = " · ".join(conditional_escape(fact) for fact in facts if fact)
    return (
        f'<td role="cell"><div class="nm">{vm_icon(vm.role)}<span><a href="{escape(line.href)}">'
        f'{whole(vm.display_name)}</a><span class="sub">{beneath}</span></span></div></td>'
    )


def _pills(line: Line) -> str:
    return "".join(f"{pill(one)} " for one in line.pills)


def _back(vm: VM) -> str:
    """For a day after a live failover was terminated."""
    at = getattr(vm, "back_at", None)
    if at is None or vm.role != Role.PRIMARY or vm.held_by:
        return ""
    words = f"Back in {escape(vm.site.code)} since {when(at)}"
    return f'<span class="pill info">{icon("rotate-ccw")}<span>{words}</span></span>'


def _rpo(vm: VM) -> str:
    if vm.role == Role.LIVE:
        return f'{NONE}<span class="sub">on since {when(vm.made_at, zone=False)}</span>'
    if vm.role == Role.TEST:
        ends_at = getattr(vm, "ends_at", None)
        return NONE + (f'<span class="sub">ends {ago(ends_at)}</span>' if ends_at else "")
    if vm.newest_point_at:
        return f'{age(vm.newest_point_at)}<span class="sub">target {duration(vm.rpo_target)}</span>'
    return NONE


def _tested(vm: VM) -> str:
    if vm.role == Role.TEST:
        return "running now"
    tested, state = (vm.original or vm).last_test_at, readiness(vm, clock.now())
    if tested is None:
        return NONE if vm.group == "unprotected" else state.word
    words = f"{day(tested)} · {state.word}"
    return f'<span class="txt-{state.tone}">{words}</span>' if state.tone in ("warn", "bad") else words


def _way(line: Line) -> str:
    if not line.way:
        return ""
    whose = f'<span class="vh"> {escape(line.vm.display_name)}</span>'
    return f'<a class="btn sm q" href="{escape(line.way.href)}">{line.way.label}{whose}</a>'


def _failover(line: Line) -> str:
    if line.vm.role == Role.PRIMARY:
        return f'<td role="cell" class="lb r hide" data-l=""><span><span class="muted">{NONE}</span></span></td>'
    number = f'<a class="id" href="{escape(line.failover)}">{line.vm.held_by}</a>' if line.failover else ""
    return f'<td role="cell" class="lb r" data-l=""><span>{_pills(line)}{number}</span></td>'
