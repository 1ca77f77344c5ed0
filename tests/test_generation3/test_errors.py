"""Every bad line is named, with the column and what to do; with one bad line nothing is imported."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from accounts import activity
from inventory.models import VM
from replication.models import Replication, ServiceLevel
from tests.cast import Cast, make_vms
from tests.test_generation3.lines import COLUMNS, as_csv, everything, line, run

TAKEN, OTHERS, KEPT = (uuid.UUID(int=n) for n in (1, 2, 3))
LINES = 2000

# What is planted (cells of an otherwise good line), in which column it is found, and what is said of it.
PLANTED: list[tuple[dict[str, str], str, str]] = [
    ({"account": ""}, "account", "It is empty. Fill it in."),
    ({"account": "nortwind"}, "account", "There is no account “nortwind”. Make it first, or correct it."),
    ({"account": "999999"}, "account", "There is no account “999999”."),
    ({"name": ""}, "name", "It is empty."),
    ({"name": "x" * 121}, "name", "It has 121 characters, at most 120 are kept. Shorten it."),
    ({"name": "nul\0-01"}, "name", "It holds a sign that can't be printed (U+0000). Take it out."),
    ({"name": "two\nlines"}, "name", "(U+000A)"),
    ({"name": "abc\u202etxt"}, "name", "(U+202E)"),
    ({"name": "caf\udce9-01"}, "name", "It isn't UTF-8. Save the file as UTF-8."),
    ({"name": "old-0101"}, "name", "This VM stands in line 103 too. Leave one of them."),
    ({"name": "OLD-0102"}, "name", "This VM stands in line 104 too as “old-0102”. Leave one of them."),
    ({"name": "four-01"}, "name", "A VM of Generation 4 bears this name."),
    ({"name": "KEPT-01"}, "name", "It is “kept-01” here. Write it so."),
    ({"name": "twin-01"}, "name", "2 VMs bear this name. Give the uuid of the one that is meant."),
    ({"site": "MAD01"}, "site", "There is no site “MAD01”. There are: DFW01, LHR01, PHX01."),
    ({"site": "LHR01"}, "site", "LHR01 has no failover site. Give it one first, or write “no” under service."),
    ({"name": "kept-02", "site": "DFW01"}, "site", "The VM is in PHX01 here."),
    ({"uuid": "1234"}, "uuid", "Write the uuid as 123e4567-"),
    ({"uuid": str(TAKEN)}, "uuid", "It stands in line 2 too."),
    ({"uuid": str(OTHERS)}, "uuid", "Another VM has it."),
    ({"os": "Windows " * 8}, "os", "It has 63 characters, at most 60"),
    ({"address": "10.3.0.256"}, "address", "It is no IP address."),
    ({"disk_gb": "0"}, "disk_gb", "Write a whole number from 1 to 1000000."),
    ({"disk_gb": "40,5"}, "disk_gb", "Write a whole number"),
    ({"power": "paused"}, "power", "Write on or off."),
    ({"service": "maybe"}, "service", "Write yes or no."),
    ({"service": "no", "service_level": "", "last_test": ""}, "protected_since", "Leave it empty: this VM is"),
    ({"protected_since": ""}, "protected_since", "It is empty. Say since when the VM is protected."),
    ({"protected_since": "2099-01-01"}, "protected_since", "It is in the future."),
    ({"protected_since": "2024-02-30"}, "protected_since", "There is no such date or time."),
    ({"protected_since": "2024-03-01T08:00"}, "protected_since", "Give the offset from UTC too"),
    ({"service_level": "Platinum"}, "service_level", "There is no service level “Platinum”. There are: Gold, "),
    ({"rpo_target_minutes": "5"}, "rpo_target_minutes", "Standard keeps no RPO target below 15 minutes."),
    ({"retention_hours": "100000"}, "retention_hours", "Write a whole number from 1 to 9000."),
    ({"newest_point": "2023-12-31T23:00Z"}, "newest_point", "It is before protected_since."),
    ({"shape": "short"}, "", "It has 14 cells, the first line has 15."),
    ({"shape": "quotes"}, "", "A quotation mark isn't closed, or stands within a cell."),
]  # fmt: skip


def there(cast: Cast) -> None:
    """What the lines meet."""
    make_vms(cast.northwind, cast.sites["DFW01"], ["four-01"])
    make_vms(cast.northwind, cast.sites["PHX01"], ["kept-01"], generation=3, uuid=KEPT)
    make_vms(cast.northwind, cast.sites["PHX01"], ["kept-02"], generation=3)
    for slug in ("twin-01", "twin-01-2"):
        make_vms(cast.northwind, cast.sites["DFW01"], [slug], generation=3)
    VM.objects.filter(slug="twin-01-2").update(name="twin-01")
    make_vms(cast.contoso, cast.sites["DFW01"], ["theirs"], uuid=OTHERS)
    ServiceLevel.objects.create(name="Gold", rpo_target="00:05", rpo_minimum="00:05")


def good(n: int) -> list[str]:
    """Two of three have the service, by account's slug or number, by level or with terms of their own."""
    cells = {"account": "contoso" if n % 5 == 0 else "4101", "uuid": str(TAKEN) if n == 0 else ""}
    if n % 4 == 0:
        cells |= {"service_level": "", "rpo_target_minutes": "60", "retention_hours": "48"}
    name = f"old-{n:04}"
    return line(name, **cells) if n % 3 else line(name, False, **{k: cells[k] for k in ("account", "uuid")})


def planted(n: int) -> list[str]:
    cells = {name: value for name, value in PLANTED[n][0].items() if name in COLUMNS}
    return line(cells.pop("name", f"bad-{n}"), **cells)


def test_a_file_of_2000_lines_with_37_errors(cast: Cast, tmp_path: Path) -> None:
    """All are named, the dry run and the refused one write nothing; put right it goes in, and the second time stays."""
    there(cast)
    assert len(PLANTED) == 37
    lines = [good(n) for n in range(LINES - 1)]
    at = {150 + 50 * n: n for n in range(len(PLANTED))}  # the line's place below the header -> what is planted there
    for place, n in at.items():
        lines[place] = planted(n)
    content = b"\xef\xbb\xbf" + as_csv(lines, ends="\r\n")
    content = broken(content, lines, at)
    before, path = everything(), tmp_path / "old.csv"

    for options in ({"dry_run": True}, {}):
        said, last = run(path, content, **options)
        bad = [one for one in said if ": bad: " in one]
        assert named(bad) == [(number, column) for number, column, _ in expected(at)]
        assert [words for (_, _, words), one in zip(expected(at), bad, strict=True) if words not in one] == []
        assert last.endswith("37 bad, 654 orderable, 1308 protected. Nothing was imported.") and last.startswith(
            "refused"
        )
        assert (len(said), everything()) == (LINES - 1, before)

    right = [one for place, one in enumerate(lines) if place not in at]
    assert run(path, right, dry_run=True)[1].endswith("Nothing was written: a dry run.") and everything() == before
    assert run(path, right)[1] == "1962 lines: 654 orderable, 1308 protected. Imported."
    assert VM.objects.filter(generation=3, name__startswith="old-").count() == 1962
    assert Replication.objects.filter(state="protected", order=None).count() == 1308
    after = everything()
    said, last = run(path, right)
    assert (last, everything()) == ("1962 lines: 1962 already there. Nothing new.", after)
    assert list(activity.faults()) == []


def expected(at: dict[int, int]) -> list[tuple[int, str, str]]:
    """Line of the file (one of the errors takes two lines), column and words."""
    found = []
    more = 0
    for place, n in at.items():
        found.append((place + 2 + more, PLANTED[n][1], PLANTED[n][2]))
        more += "\n" in PLANTED[n][0].get("name", "")
    return found


def broken(content: bytes, lines: list[list[str]], at: dict[int, int]) -> bytes:
    """The same file, with the lines whose shape is wrong."""
    for place, n in at.items():
        shape, name = PLANTED[n][0].get("shape"), lines[place][1].encode("utf-8", "surrogateescape")
        if shape == "short":
            content = content.replace(b"northwind," + name + b",DFW01,", b"northwind," + name + b",")
        elif shape == "quotes":
            content = content.replace(name, b'"bad" quotes')
    return content


def named(bad: list[str]) -> list[tuple[int, str]]:
    """Line and column of each thing that was said."""
    found = []
    for one in bad:
        number, _, rest = one.removeprefix("line ").partition(": ")
        words = rest.partition("bad: ")[2].split(": ")
        found.append((int(number), words[0] if words[0] in COLUMNS else ""))
    return found


@pytest.mark.parametrize(
    ("cells", "column", "words"),
    [
        ({"account": "Northwind"}, "account", "There is no account"),
        ({"account": "٤١٠١"}, "account", "There is no account"),
        ({"site": "dfw01"}, "site", "There is no site"),
        ({"name": "kept-01", "site": "PHX01", "uuid": str(TAKEN)}, "uuid", f"has another: {KEPT}"),
        ({"name": "kept-03", "site": "PHX01", "uuid": str(KEPT)}, "uuid", "Another VM has it"),
        ({"address": "fe80::1%eth0"}, "address", "no IP address"),
        ({"disk_gb": "1e3"}, "disk_gb", "whole number"),
        ({"disk_gb": "٤٠"}, "disk_gb", "whole number"),
        ({"disk_gb": "-1"}, "disk_gb", "whole number"),
        ({"disk_gb": "99999999999999999999"}, "disk_gb", "whole number"),
        ({"service": ""}, "service", "It is empty"),
        ({"protected_since": "01/03/2024"}, "protected_since", "Write a date as 2024-03-01"),
        ({"protected_since": "1999-03-01"}, "protected_since", "Write a date"),
        ({"protected_since": "2024-03-01T25:00Z"}, "protected_since", "no such date or time"),
        ({"service_level": ""}, "rpo_target_minutes", "Fill it in, or name a service level"),
        ({"rpo_target_minutes": "0"}, "rpo_target_minutes", "from 1 to 1440"),
        ({"last_test": "2024-02-01"}, "last_test", "before protected_since"),
        ({"last_test": "2099-02-01"}, "last_test", "in the future"),
    ],
)
def test_more_that_is_wrong(cast: Cast, tmp_path: Path, cells: dict[str, str], column: str, words: str) -> None:
    there(cast)
    before = everything()
    said, last = run(tmp_path / "old.csv", [line("fine-01"), line(cells.pop("name", "bad-01"), **cells)])
    bad = [one for one in said if ": bad: " in one]
    assert (named(bad)[0], words in bad[0]) == ((3, column), True)
    assert last.startswith("refused: 2 lines: 1 bad, 1 protected.") and everything() == before


def test_everything_that_is_wrong_in_a_line_is_said_at_once(cast: Cast, tmp_path: Path) -> None:
    said, last = run(tmp_path / "old.csv", [line("bad-01", site="X", disk_gb="no", power="?", rpo_target_minutes="x")])
    assert [column for _, column in named(said)] == ["disk_gb", "power", "rpo_target_minutes", "site"]
    assert last == "refused: 1 lines: 1 bad. Nothing was imported."
