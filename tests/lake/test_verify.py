"""`laotie lake verify --deep`: whether connections keep the order that figures of watch time build on."""

from pathlib import Path
from typing import Any

import pytest

from lakes import Tale, open_lake
from laotie.lake import Lake
from laotie.lake.verify import verify


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path)


def orderly() -> Tale:
    """Two tabs at once, one after another's heartbeat, over the hour, and one of no length: all as it should be."""
    tale = Tale()
    for since, until in ((3_580, 3_590), (3_590, 3_600), (3_600, 3_610), (3_615, 3_620)):
        tale.watch(since, until, "ann", "first", show_id="show")
        tale.watch(since + 3, until + 3, "ann", "second", show_id="show", source="share")
    tale.watch(3_585, 3_585, "ann", "first", show_id="show")
    tale.watch(3_585, 3_586, "bob", "shelf")
    return tale


def found(lake: Lake, tale: Tale) -> list[tuple[str, str | None]]:
    tale.write(lake)
    assert verify(lake).is_sound, "that is looked at in every row only"
    return [(problem.what, problem.detail) for problem in verify(lake, deep=True).problems]


def test_spans_that_touch_and_tabs_that_overlap_are_in_order(lake: Lake) -> None:
    assert found(lake, orderly()) == []


@pytest.mark.parametrize(
    ("since", "until"),
    [(3_595, 3_605), (3_601, 3_602), (3_500, 3_700), (3_590, 3_600)],
    ids=["over the hour", "inside one", "around all", "the same again under another id"],
)
def test_spans_of_one_connection_that_overlap_are_a_problem(lake: Lake, since: float, until: float) -> None:
    tale = orderly()
    tale.watch(since, until, "ann", "first", show_id="show")
    ((what, detail),) = found(lake, tale)
    assert what == "spans overlap" and detail is not None and "connection" in detail


def test_a_row_that_is_there_twice_overlaps_nothing(lake: Lake) -> None:
    orderly().write(lake)
    assert [what for what, _ in found(lake, orderly())] == ["rows twice", "rows twice"]


@pytest.mark.parametrize("other", [{"viewer": "bob"}, {"show_id": "another"}, {"show_id": None}, {"source": "slot"}, {"is_fan": True}])
def test_a_connection_of_two_viewers_shows_or_sources_is_a_problem(lake: Lake, other: dict[str, Any]) -> None:
    tale = orderly()
    tale.watch(4_000, 4_010, **({"viewer": "ann", "visit": "first", "show_id": "show"} | other))
    assert [what for what, _ in found(lake, tale)] == ["connection of several"]
