"""Replays, clips and videos: watch time that nobody can make up, merged as the obvious way does; GMV that adds up to the ledger."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakes import DAY, ZONE, Tale, named, open_lake
from laotie.base.clock import Clock
from laotie.base.entry import EntryElsewhere, Source, Visit
from laotie.base.ids import ShopId, ViewerId, VisitId
from laotie.base.signer import Signer, TokenInvalid
from laotie.insight import Engine
from laotie.insight.engine import empty
from laotie.insight.identities import Level, decompose, read_rows
from laotie.insight.rollups import KINDS, Rollups
from laotie.insight.surfaces import SURFACES, SurfaceRow, orders_at, surface_days, viewers_at
from laotie.insight.terms import GmvKind
from laotie.lake import Lake, retire
from laotie.traffic import Span, hear_play
from laotie.worker.loops import _freeze
from slow_watch import watch_slowly
from tales import Told, make_up

SIGNER = Signer(["a key of sixteen or more"], Clock())
CLIP, VIDEO = (f"{kind}:{named(kind)}" for kind in ("clip", "video"))
NOON_US = Lake("memory://surfaces", ZONE).bounds_of(DAY)[0] + 12 * 3_600_000_000
ACCOUNTS = {named("guest of ann").bytes: named("ann").bytes}


def visit_to(placement: str, viewer: str = "ann", *, source: Source = Source.direct) -> Visit:
    return Visit(
        id=VisitId(named(f"{viewer} at {placement} by {source}")), viewer_id=ViewerId(named(viewer)), show_id=None, source=source,
        placement=placement, at=Clock().now(), shop_id=ShopId(named("shop")),
    )  # fmt: skip


class Page:
    """A page that plays, and says of it what it likes."""

    def __init__(self, number: int, visit: Visit) -> None:
        self.visit, self.play_id = visit, named(f"play {number}")
        self.heard: list[str] = []

    def beat(self, now_us: int, shown_ms: int, *, back: int = 0) -> Span | None:
        """A beat that shows the last answer, or an older one."""
        shown = self.heard[-1 - back % len(self.heard)] if self.heard else None
        heard, span = hear_play(SIGNER, self.visit, self.play_id, beat=shown, shown_ms=shown_ms, now_us=now_us)
        self.heard.append(heard.beat)
        assert heard.counted_ms == (span.until_us - span.since_us) // 1_000 if span else heard.counted_ms == 0
        return span


BEATS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20_000), st.integers(0, 60_000), st.integers(0, 2)), max_size=25)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(Lake("memory://surfaces", ZONE), threads=1) as one:
        yield one


class Merger:
    """Merges what lies in a table, by the expression compiled once: compiling takes longer than a hundred examples."""

    def __init__(self, engine: Engine) -> None:
        self._con = engine.backend.con
        guests = [{"guest_id": guest, "account_id": account} for guest, account in ACCOUNTS.items()]
        for name, rows in (("visit", empty("visit")), ("play", empty("play")), ("person", pa.Table.from_pylist(guests))):
            self._con.register(f"given_{name}", rows)
            self._con.execute(f"CREATE TABLE {name} AS SELECT * FROM given_{name}")
        days = surface_days(*map(engine.backend.table, ("visit", "play", "person")), zone=engine.lake.zone)
        self._sql = str(ibis.to_sql(days.select("placement", "viewer_id", "source", "watch_us"), dialect="duckdb"))

    def __call__(self, spans: list[dict[str, Any]]) -> dict[Any, int]:
        self._con.execute("DELETE FROM play")
        self._con.register("told", pa.Table.from_pylist(spans, schema=empty("play").schema))
        self._con.execute("INSERT INTO play SELECT * FROM told")
        return {row[:3]: row[3] for row in self._con.execute(self._sql).fetchall()}


@pytest.fixture(scope="module")
def merged(engine: Engine) -> Merger:
    return Merger(engine)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(beats=BEATS)
def test_no_page_is_believed_more_than_time_has_passed_and_tabs_are_merged_as_the_obvious_way_does(
    merged: Merger, beats: list[tuple[int, int, int, int]]
) -> None:
    pages = [
        Page(0, visit_to(CLIP)), Page(1, visit_to(CLIP, source=Source.share)), Page(2, visit_to(CLIP, "guest of ann")),
        Page(3, visit_to(VIDEO)),
    ]  # fmt: skip
    now_us, began_us = NOON_US, NOON_US
    rows: list[dict[str, Any]] = []
    for which, pause_ms, shown_ms, back in beats:
        now_us += pause_ms * 1_000
        page = pages[which]
        span = page.beat(now_us, shown_ms, back=back)
        if span is not None:
            rows.append(
                {
                    "id": named(f"span {len(rows)}").bytes, "at_us": span.until_us, "since_us": span.since_us, "day": DAY,
                    "viewer_id": page.visit.viewer_id.bytes, "visit_id": page.visit.id.bytes, "source": page.visit.source.value,
                    "is_fan": False, "show_id": None, "placement": page.visit.placement, "shop_id": named("shop").bytes,
                    "streamer_id": None, "connection_id": page.play_id.bytes,
                }
            )  # fmt: skip
    found = merged(rows)
    slowly: dict[Any, int] = defaultdict(int)
    spans = [{**row, "show_id": row["placement"].encode()} for row in rows]
    for (_, what, who, source, _), ms in watch_slowly(spans, ACCOUNTS, unit_us=1_000).items():
        slowly[(what or b"").decode(), who, source] += ms * 1_000
    assert found == slowly
    of_one = Counter[Any]()
    for (placement, who, _), us in found.items():
        of_one[placement, who] += us
    assert all(us <= now_us - began_us for us in of_one.values())


def test_a_beat_that_comes_late_or_out_of_nowhere_earns_nothing() -> None:
    page = Page(0, visit_to(CLIP))
    assert page.beat(NOON_US, 9_000) is None, "a play begins with nothing"
    assert page.beat(NOON_US + 10_000_000, 9_000) == (NOON_US + 1_000_000, NOON_US + 10_000_000)
    assert page.beat(NOON_US + 40_000_000, 9_000) is None, "too late"
    assert page.beat(NOON_US + 39_000_000, 9_000) is None, "a clock that went back"
    other = Page(1, visit_to(CLIP, "bob"))
    with pytest.raises(TokenInvalid):
        hear_play(SIGNER, other.visit, other.play_id, beat=page.heard[-1], shown_ms=1, now_us=NOON_US)
    with pytest.raises(TokenInvalid):
        hear_play(SIGNER, page.visit, page.play_id, beat="made up", shown_ms=1, now_us=NOON_US)
    with pytest.raises(EntryElsewhere):
        hear_play(SIGNER, visit_to("follow-page"), page.play_id, beat=None, shown_ms=1, now_us=NOON_US)


@pytest.mark.parametrize("seed", range(2))
def test_the_surfaces_add_up_to_the_ledger_and_each_is_the_product_of_its_factors(engine: Engine, seed: int) -> None:
    market = make_up(Random(seed), visits=60, orders=50)
    told = Told(market.tale)
    viewers = ibis.memtable(engine.run(viewers_at(told["viewer_days"], told["surface_days"])))
    sold = ibis.memtable(engine.run(orders_at(told["order_days"], told["money"])))
    live_watch = engine.run(told["viewer_days"].watch_us.sum().name("us").as_table()).to_pylist()[0]["us"]
    for kind in GmvKind:
        found = engine.run(decompose(viewers, sold, level=Level.platform, kind=kind, by=("surface",)))
        rows = read_rows(found, SurfaceRow)
        assert {row.surface for row in rows} == set(SURFACES)
        assert all(row.factors().product() == row.gmv for row in rows)
        total = Counter[str]()
        for row in rows:
            total[row.currency] += row.gmv
        assert {currency: amount for currency, amount in total.items() if currency} == dict(market.total(kind))
        watched = {row.surface: row.watch_us for row in rows}
        assert watched["live"] == live_watch and watched["shelf"] == 0
        assert all(watched[surface] > 0 for surface in ("replay", "clip", "video"))


def test_they_stay_when_the_behaviour_goes(tmp_path: Path) -> None:
    lake, tale = open_lake(tmp_path), Tale()
    for day in (DAY, DAY + timedelta(days=1)):
        who: dict[str, Any] = {"viewer_id": "ann", "visit_id": f"ann {day}", "placement": CLIP, "shop_id": "shop"}
        tale.add("visit", 100, day, connection_id="page", **who)
        tale.add("play", 130, day, since_us=tale.at(120, day), connection_id="page", **who)
        tale.add("play", 135, day, since_us=tale.at(125, day), connection_id="another tab", **who)
    tale.write(lake)

    def days_of(one: Lake) -> list[dict[str, Any]]:
        with Engine(one, threads=1) as own:
            rows: list[dict[str, Any]] = own.run(Rollups(one).surface_days(own)).to_pylist()
        return sorted(rows, key=str)

    before = days_of(lake)
    assert [(row["surface"], row["visits"], row["watch_us"]) for row in before] == [("clip", 1, 15_000_000)] * 2
    with Engine(lake, threads=1) as own:
        assert Rollups(lake).refresh(own, kinds=KINDS) == [DAY, DAY + timedelta(days=1)]
    assert days_of(lake) == before
    _freeze(lake, [DAY, DAY + timedelta(days=1)])
    assert retire(lake, DAY + timedelta(days=1), now_us=tale.at(0, DAY + timedelta(days=9))) > 0
    assert days_of(lake) == before
