"""Watch time against a slow, obvious implementation: instants as whole numbers, each of which somebody owns."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakes import DAY, ZONE, named
from laotie.insight import Engine
from laotie.insight.engine import empty
from laotie.insight.watch import ROW, merge, midnight_us
from laotie.lake import Lake
from slow_watch import LAKE, Key, watch_slowly

MIDNIGHT_US = LAKE.bounds_of(DAY)[0]
VIEWERS = [named(name).bytes for name in ("ann", "bob", "guest of ann", "guest of nobody")]
ACCOUNTS = {VIEWERS[2]: VIEWERS[0]}
SHOWS = [named("a show").bytes, named("another").bytes, None]
Span = dict[str, Any]


class Merger:
    """Merges what lies in a table, by the expression compiled once: compiling takes longer than a hundred examples."""

    def __init__(self, engine: Engine) -> None:
        self._con = engine.backend.con
        guests = [{"guest_id": guest, "account_id": account} for guest, account in ACCOUNTS.items()]
        for name, rows in (("watch", empty("watch")), ("person", pa.Table.from_pylist(guests))):
            self._con.register(f"given_{name}", rows)
            self._con.execute(f"CREATE TABLE {name} AS SELECT * FROM given_{name}")
        watch, person = engine.backend.table("watch"), engine.backend.table("person")
        self._sql = {
            is_orderly: str(ibis.to_sql(merge(watch, person, zone=LAKE.zone, is_orderly=is_orderly), dialect="duckdb"))
            for is_orderly in (True, False)
        }

    def __call__(self, spans: Sequence[Span], *, is_orderly: bool) -> dict[Key, int]:
        self._con.execute("DELETE FROM watch")
        self._con.register("told", pa.Table.from_pylist(list(spans), schema=empty("watch").schema))
        self._con.execute("INSERT INTO watch SELECT * FROM told")
        found = self._con.execute(self._sql[is_orderly]).fetchall()
        answer = {tuple(row[: len(ROW)]): row[-1] for row in found}
        assert len(answer) == len(found), "a row for each"
        return answer


@pytest.fixture(scope="module")
def merged() -> Iterator[Merger]:
    with Engine(Lake("memory://watch", ZONE), threads=1) as engine:
        yield Merger(engine)


def span(number: int, connection: int, since: int, until: int, viewer: int, show: int, source: str, is_fan: bool) -> Span:
    """From one microsecond to another, counted from midnight."""
    return {
        "id": named(f"span {number}").bytes, "at_us": MIDNIGHT_US + until, "since_us": MIDNIGHT_US + since,
        "viewer_id": VIEWERS[viewer], "visit_id": bytes(16), "source": source, "is_fan": is_fan, "show_id": SHOWS[show],
        "connection_id": named(f"connection {connection}").bytes, "day": LAKE.day_of(MIDNIGHT_US + until),
    }  # fmt: skip


SOURCES = st.sampled_from(["slot", "share"])
INSTANT = st.integers(-30, 40)


@st.composite
def any_spans(draw: st.DrawFn) -> list[Span]:
    """Touching, nested, identical, of no length, below zero, over midnight, with ids that come again: in any order."""
    spans = [
        span(
            number, draw(st.integers(0, 4)), since := draw(INSTANT), since + draw(st.integers(-2, 25)),
            draw(st.integers(0, 3)), draw(st.integers(0, 2)), draw(SOURCES), draw(st.booleans()),
        )
        for number in range(draw(st.integers(0, 12)))
    ]  # fmt: skip
    again = [draw(st.sampled_from(spans)) for _ in range(draw(st.integers(0, 3)))] if spans else []
    return draw(st.permutations(spans + again))


@st.composite
def orderly_spans(draw: st.DrawFn) -> list[Span]:
    """As the gateway measures: each connection is one visit's, and its spans come one after another."""
    spans: list[Span] = []
    for connection in range(draw(st.integers(0, 6))):
        who = draw(st.integers(0, 3)), draw(st.integers(0, 2)), draw(SOURCES), draw(st.booleans())
        bounds = sorted(draw(st.lists(INSTANT, min_size=2, max_size=6)))
        for since, until in pairwise(bounds):
            if draw(st.booleans()):
                spans.append(span(len(spans), connection, since, until, *who))
    return draw(st.permutations(spans))


USUAL = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@USUAL
@given(spans=any_spans())
def test_any_spans_are_merged_as_the_obvious_way_does(merged: Merger, spans: list[Span]) -> None:
    assert merged(spans, is_orderly=False) == watch_slowly(spans, ACCOUNTS)


@USUAL
@given(spans=orderly_spans())
def test_the_short_way_gives_the_same_where_connections_keep_order(merged: Merger, spans: list[Span]) -> None:
    assert merged(spans, is_orderly=True) == watch_slowly(spans, ACCOUNTS)


@pytest.mark.parametrize("is_orderly", [True, False])
def test_a_second_tab_earns_only_what_the_first_does_not_show(merged: Merger, is_orderly: bool) -> None:
    first = span(1, 1, 0, 10, 0, 0, "slot", False)
    nested = span(2, 2, 2, 8, 0, 0, "share", False)
    longer = span(3, 3, 5, 14, 2, 0, "share", False)  # as a guest, before signing in
    elsewhere = span(4, 4, 5, 14, 0, 1, "share", False)
    assert merged([first, nested, longer, elsewhere], is_orderly=is_orderly) == {
        (DAY, SHOWS[0], VIEWERS[0], "slot", False): 10,
        (DAY, SHOWS[0], VIEWERS[0], "share", False): 4,
        (DAY, SHOWS[1], VIEWERS[0], "share", False): 9,
    }


@pytest.mark.parametrize("is_orderly", [True, False])
def test_a_span_over_midnight_is_two_days(merged: Merger, is_orderly: bool) -> None:
    over = span(1, 1, -4, 3, 0, 0, "slot", False)
    assert merged([over], is_orderly=is_orderly) == {
        (DAY - timedelta(days=1), SHOWS[0], VIEWERS[0], "slot", False): 4,
        (DAY, SHOWS[0], VIEWERS[0], "slot", False): 3,
    }


def test_a_lost_connection_is_not_watched_and_what_came_back_is(merged: Merger) -> None:
    spans = [span(1, 1, 0, 10, 0, 0, "slot", False), span(2, 2, 13, 20, 0, 0, "slot", False)]
    assert merged(spans, is_orderly=True) == {(DAY, SHOWS[0], VIEWERS[0], "slot", False): 17}


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"])
def test_days_begin_at_midnight_of_the_books_zone(zone: str) -> None:
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(0, 420, 3)]
    days += [date(2026, 3, 8), date(2026, 3, 9), date(2026, 11, 1), date(2026, 11, 2)]  # clocks change in New York
    table = ibis.memtable(pa.table({"day": pa.array(days)}))
    lake = Lake("memory://zones", zone)
    with Engine(lake, threads=1) as engine:
        found = engine.run(table.mutate(begins_us=midnight_us(table.day, lake.zone))).to_pylist()
    assert {row["day"]: row["begins_us"] for row in found} == {day: lake.bounds_of(day)[0] for day in days}
