"""The file of an import: its signs, its first line, its report."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from inventory.models import VM
from replication.models import Replication
from tests.cast import Cast
from tests.test_generation3.lines import COLUMNS, as_csv, everything, line, run

GOOD = [line("old-01"), line("old-02", False)]


@pytest.mark.parametrize(
    "content",
    [
        as_csv(GOOD, ends="\r\n"),
        as_csv(GOOD, ends="\r"),
        as_csv(GOOD, delimiter=";"),
        as_csv(GOOD, delimiter="\t"),
        b"\xef\xbb\xbf" + as_csv(GOOD),
        as_csv(GOOD).rstrip(),
        as_csv(GOOD) + b"\n\n" + b"," * (len(COLUMNS) - 1) + b"\n",
        as_csv(GOOD).replace(b"account,name", b" Account , NAME"),
        as_csv(GOOD).replace(b"old-01", b'" old-01 "'),
    ],
)
def test_what_spreadsheets_write(cast: Cast, tmp_path: Path, content: bytes) -> None:
    said, last = run(tmp_path / "old.csv", content)
    assert last == "2 lines: 1 orderable, 1 protected. Imported."
    assert said == ["line 2: northwind old-01: protected", "line 3: northwind old-02: orderable"]


HEADER = ",".join(COLUMNS).encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "old.csv is empty. Its first line names the columns"),
        (b"\xef\xbb\xbf", "old.csv is empty"),
        (b"\n\n", "old.csv is empty"),
        (HEADER + b"\n", "old.csv names no VM"),
        (HEADER + b"\r\n\r\n,,,\r\n", "old.csv names no VM"),
        ("account".encode("utf-16"), "old.csv is UTF-16. Save it as UTF-8."),
        (HEADER.replace(b"power", b"powr"), "line 1: There is no column “powr”. Columns are: account, name,"),
        (HEADER.replace(b"power", b""), "line 1: There is no column “”."),
        (HEADER.replace(b"power", b"os"), "line 1: The column os stands there 2 times. Leave one."),
        (HEADER.replace(b"site,", b""), "line 1: The column site is missing."),
        (b"northwind,old-01,DFW01", "line 1: There is no column “northwind”"),
        (HEADER.replace(b"site", b'"si"te'), "line 1: A quotation mark isn't closed"),
        (HEADER.replace(b"site", b"s\xefte\x1b[2J"), "line 1: There is no column “s\ufffdte\ufffd[2j”"),
        (b"PK\x03\x04\0\0\x08" * 9, "line 1: There is no column"),
    ],
)
def test_what_is_no_such_file(cast: Cast, tmp_path: Path, content: bytes, words: str) -> None:
    before = everything()
    said, last = run(tmp_path / "old.csv", content)
    assert (said, words in last, everything()) == ([], True, before), last


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="can't be read: No such file"):
        call_command("import_generation3", tmp_path / "nothing.csv")


def test_a_quotation_mark_that_is_never_closed_ends_at_the_end(cast: Cast, tmp_path: Path) -> None:
    content = as_csv(GOOD) + b'northwind,"old-03,DFW01\n' + b"northwind,old-04,DFW01\n" * 3
    said, last = run(tmp_path / "old.csv", content)
    assert said[-1].startswith("line 4: bad: A quotation mark isn't closed") and last.startswith(
        "refused: 3 lines: 1 bad"
    )


def test_columns_may_be_left_out_and_stand_in_any_order(cast: Cast, tmp_path: Path) -> None:
    content = b"service,disk_gb,site,name,account\nno,40,DFW01,old-01,4101\n"
    assert run(tmp_path / "old.csv", content)[1] == "1 lines: 1 orderable. Imported."
    content = content.replace(b"no,", b"yes,").replace(b"old-01", b"old-02")
    said, _ = run(tmp_path / "old.csv", content)
    assert [one.split(": ")[3] for one in said] == ["protected_since", "rpo_target_minutes", "retention_hours"]


def test_the_report_is_kept_in_a_file(cast: Cast, tmp_path: Path) -> None:
    """A line for each thing that is wrong, harmless in a spreadsheet; the output then tells of bad lines alone."""
    lines, report = [line("=cmd()"), line("bad-01", disk_gb="x", site="X")], tmp_path / "report.csv"
    said, _ = run(tmp_path / "old.csv", lines, dry_run=True, report=report)
    with report.open(encoding="utf-8", newline="") as file:
        kept = list(csv.DictReader(file))
    assert [tuple(row.values())[:5] for row in kept] == [
        ("2", "northwind", "'=cmd()", "protected", ""), ("3", "northwind", "bad-01", "bad", "disk_gb"),
        ("3", "northwind", "bad-01", "bad", "site"),
    ]  # fmt: skip
    assert [one.split(":")[0] for one in said] == ["line 3", "line 3"]


def test_a_report_that_cant_be_kept_stops_the_import(cast: Cast, tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    for report in (path, tmp_path / "no" / "such" / "folder.csv"):
        said, last = run(path, GOOD, report=report)
        assert (said, "can't be made" in last, VM.objects.count()) == ([], True, 0)
    assert path.read_bytes() == as_csv(GOOD)


def test_the_documented_example_is_taken_as_it_stands(cast: Cast, tmp_path: Path) -> None:
    """docs/generation3.md names every column, and shows a file."""
    text = (Path(__file__).parents[2] / "docs" / "generation3.md").read_text()
    assert [column for column in COLUMNS if f"| `{column}` |" not in text] == []
    example = text.partition("```csv\n")[2].partition("```")[0]
    _, last = run(tmp_path / "old.csv", example.encode())
    assert last == "4 lines: 2 orderable, 2 protected. Imported."
    assert Replication.objects.filter(state="protected").count() == 2
