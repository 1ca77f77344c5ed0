"""docs/security-model.md says nothing that no test proves, and docs/promises.md names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = (HERE.parent / "docs" / "security-model.md").read_text()
TESTS = set(re.findall(r"^def (test_\w+)\(", "\n".join(path.read_text() for path in HERE.rglob("test_*.py")), re.M))
SENTENCES = [" ".join(part.split()) for part in re.findall(r"^- (.*?)(?=^- |^## |\Z)", PAGE, re.M | re.S)]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_every_sentence_names_the_tests_that_prove_it(sentence: str) -> None:
    words, _, named = sentence.partition(" `test_")
    assert words.endswith(".") and ". " not in words, "one sentence, then its tests"
    names = re.findall(r"test_\w+", f"test_{named}")
    assert names and set(names) <= TESTS, set(names) - TESTS


def test_every_promise_names_tests_that_are_there() -> None:
    promises = re.findall(r"^\| P\d \|.*$", (HERE.parent / "docs" / "promises.md").read_text(), re.M)
    named = [set(re.findall(r"`(test_\w+)`", promise)) for promise in promises]
    assert len(named) == 9 and all(named) and set.union(*named) <= TESTS


def test_every_point_that_is_accepted_names_tests_that_are_there() -> None:
    points = re.findall(r"^\| \d+ \|.*$", (HERE.parent / "docs" / "acceptance.md").read_text(), re.M)
    named = [set(re.findall(r"`(test_\w+)`", point)) for point in points]
    assert len(named) == 20 and all(named) and set.union(*named) <= TESTS


def test_no_part_of_a_page_lets_a_tick_pass() -> None:
    """Ticks come every 3 s: a throttle that ends with one would let it pass, and the part look half as often."""
    pages = [path.read_text() for path in (HERE.parent / "templates").rglob("*.html")]
    seconds = [int(found) for page in pages for found in re.findall(r"throttle:(\d+)s", page)]
    assert len(seconds) > 10 and all(each % 3 == 2 for each in seconds), seconds


def test_the_whole_model_is_there() -> None:
    assert len(SENTENCES) > 50
    topics = ("Doors", "wall", "order of refusals", "Two people", "second factor", "sessions", "Tokens of people",
              "Tokens of machines", "record", "Headers", "Limits", "Logs")  # fmt: skip
    heads = " ".join(re.findall(r"^## (.*)$", PAGE, re.M))
    assert [topic for topic in topics if topic not in heads] == []


def test_a_test_that_is_gone_would_be_found() -> None:
    assert "test_that_nobody_wrote" not in TESTS
    with pytest.raises(AssertionError):
        test_every_sentence_names_the_tests_that_prove_it("All is safe. `test_that_nobody_wrote`")
    with pytest.raises(AssertionError):
        test_every_sentence_names_the_tests_that_prove_it("All is safe.")
