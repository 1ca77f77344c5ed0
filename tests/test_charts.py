"""What a chart says beside its drawing."""

from datetime import timedelta

from ampdr import clock
from ampdr.charts import Ages, chart

STEP = timedelta(minutes=15)


def drawn(*values: int | None) -> tuple[str, list[str]]:
    now = clock.now()
    made = chart("c", "RPO", Ages(now - len(values) * STEP, now, STEP, values), STEP)
    return made.description, [row.value for row in made.rows]


def test_one_value_is_no_range() -> None:
    assert drawn(40, 40)[0] == "It was 40 s. The target is 15 min: it was always met."


def test_where_nothing_is_known_there_is_no_figure() -> None:
    words, rows = drawn(None, 40, 60)
    assert words.startswith("Between 40 s and 1 min, ") and words.endswith("of this time there is no figure.")
    assert rows == ["1 min", "40 s", "no figure"]
    assert drawn(None, None) == ("There is no figure for this time.", ["no figure"] * 2)
