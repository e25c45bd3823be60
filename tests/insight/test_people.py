"""Purpose, acquisition, funnel, retention, stickiness: small stories whose figures one can count by hand."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakes import DAY, Tale, named, open_lake
from laotie.insight import acquisition, funnel, goals, growth, purpose
from laotie.insight.definitions import Computed
from laotie.insight.engine import Engine
from laotie.insight.growth import Missing, Period
from laotie.insight.identities import Level
from laotie.insight.terms import GmvKind

NEXT = DAY + timedelta(days=1)
H = 3600.0


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine over an empty lake."""
    with Engine(open_lake(tmp_path), threads=1) as opened:
        yield opened


def ask(engine: Engine, tale: Tale, measure: Any, *topics: str, **options: Any) -> list[dict[str, Any]]:
    """What a measure finds in a tale."""
    tale.write(engine.lake)
    tables = Computed(engine)
    found: list[dict[str, Any]] = engine.run(measure(*(tables[topic] for topic in topics), **options)).to_pylist()
    return found


def test_an_order_has_a_purpose_when_something_was_looked_for_within_the_hours(engine: Engine) -> None:
    tale = Tale()
    tale.money(30 * H, "placed", "none", "ann", 100, visit_id="v1", show_id="show", source="slot")
    tale.add("search", 30 * H - 1, viewer_id="bob", visit_id="v0", hits=3)
    tale.money(30 * H, "placed", "searched", "bob", 100, visit_id="v2", show_id="show", source="slot")
    tale.add("click", 6 * H - 1, viewer_id="cid", visit_id="v0")  # a second longer ago than a day
    tale.money(30 * H, "placed", "long ago", "cid", 100, visit_id="v3", show_id="show", source="slot")
    tale.add("click", 29 * H, viewer_id="dan", visit_id="v4", show_id="show")  # in the visit that led to the order
    tale.money(30 * H, "placed", "shown", "dan", 100, visit_id="v4", show_id="show", source="slot")
    tale.add("click", 31 * H, viewer_id="eve", visit_id="v5")  # afterwards
    tale.money(30 * H, "placed", "after", "eve", 100, visit_id="v5", show_id="show", source="private")
    tale.add("click", 20 * H, viewer_id="guest", visit_id="v0")
    tale.add("person", 25 * H, guest_id="guest", account_id="fay")
    tale.money(30 * H, "placed", "merged", "fay", 100, visit_id="v6", show_id="show", source="private")
    tale.add("click", 29 * H, viewer_id="gus", visit_id="v7")
    tale.money(30 * H, "placed", "shelf", "gus", 100, visit_id="v7", source="shelf")  # on the shelf every look counts
    tale.money(30 * H, "paid", "none", "ann", 100)
    topics = ("money", "search", "click", "person")
    found = ask(engine, tale, purpose.purposeless, *topics)
    assert found == [
        {"source": "private", "orders": 2, "unprompted": 1, "purposeless": 1},
        {"source": "shelf", "orders": 1, "unprompted": 0, "purposeless": 0},
        {"source": "slot", "orders": 4, "unprompted": 3, "purposeless": 2},
    ]
    longer = ask(engine, Tale(), purpose.purposeless, *topics, within_h=25)
    assert longer[2] == {"source": "slot", "orders": 4, "unprompted": 2, "purposeless": 1}


def test_a_new_buyer_is_won_once_by_the_first_paid_order_of_all_time(engine: Engine) -> None:
    tale = Tale()
    tale.money(0, "paid", "old", "ann", 500, shop_id="shop", source="slot")
    tale.money(0, "paid", "again", "ann", 700, day=NEXT, shop_id="shop", source="share")
    tale.money(5, "paid", "elsewhere", "bob", 900, day=DAY, shop_id="other", source="slot")
    tale.money(
        10,
        "paid",
        "first",
        "bob",
        1000,
        day=NEXT,
        shop_id="shop",
        source="share",
        campaign="may",
        shop_discount_amount=60,
    )
    tale.money(20, "refunded", "first", "bob", -400, day=NEXT, shop_id="shop", source="share")
    tale.money(30, "paid", "second", "bob", 300, day=NEXT, shop_id="shop", source="private")
    tale.money(0, "paid", "late", "bob", 5000, day=NEXT + timedelta(days=30), shop_id="shop", source="private")
    topics = ("money", "person")
    as_of = tale.at(0, NEXT + timedelta(days=40))
    found = ask(
        engine,
        tale,
        acquisition.new_buyers,
        *topics,
        of=named("shop"),
        since=NEXT,
        until=NEXT + timedelta(days=1),
        as_of_us=as_of,
    )
    assert found == [
        {
            "source": "share", "campaign": "may", "currency": "CNY", "new_buyers": 1, "first_amount": 1000, "shop_subsidy": 60,
            "platform_subsidy": 0, "due_30": 1, "value_30": 5900, "due_90": 0, "value_90": 0,
        }
    ]  # fmt: skip
    platform = ask(engine, Tale(), acquisition.new_buyers, *topics, since=NEXT, until=NEXT + timedelta(days=1))
    assert platform == []  # both had bought somewhere before


def test_a_value_of_thirty_days_ends_with_the_thirtieth(engine: Engine) -> None:
    tale = Tale()
    tale.money(10, "paid", "first", "bob", 1000)
    tale.money(9, "paid", "within", "bob", 20, day=DAY + timedelta(days=30))
    tale.money(10, "paid", "after", "bob", 3, day=DAY + timedelta(days=30))
    found = ask(engine, tale, acquisition.new_buyers, "money", "person")
    assert (found[0]["value_30"], found[0]["value_90"]) == (1020, 1023)


def funnel_tale() -> Tale:
    """Ann: shown by a slot, follows, buys twice. Bob: the same slot, buys before he comes. Cid is a fan, Dan came privately."""
    tale = Tale()
    at: dict[str, Any] = {"show_id": "show", "streamer_id": "li", "shop_id": "shop"}
    money: dict[str, Any] = {"shop_id": "shop", "streamer_id": "li", "show_id": "show"}
    tale.visit(10, "guest", "v1", source="slot", campaign="may", **at)
    tale.add("person", 15, guest_id="guest", account_id="ann")
    tale.visit(20, "ann", "v2", source="share", **at)
    tale.add("follow", 30, viewer_id="ann", streamer_id="li", begins=True, source="slot")
    tale.money(40, "paid", "a1", "ann", 100, **money)
    tale.money(50, "paid", "a2", "ann", 100, **money)
    tale.money(5, "paid", "b1", "bob", 100, **money)
    tale.visit(10, "bob", "v3", source="slot", **at)
    tale.add("follow", 60, viewer_id="bob", streamer_id="somebody else", begins=True)
    tale.visit(10, "cid", "v4", source="slot", is_fan=True, **at)
    tale.visit(10, "dan", "v5", source="private", **at)
    tale.visit(20, "dan", "v6", source="slot", **at)
    tale.visit(90, "eve", "v7", source="share", show_id="late", streamer_id="li", shop_id="shop")
    tale.visit(95, "ann", "v8", source="share", show_id="late", streamer_id="li", shop_id="shop")
    return tale


def test_the_funnel_counts_public_viewers_once_where_they_first_came_from(engine: Engine) -> None:
    topics = ("visit", "follow", "money", "person")
    found = ask(engine, funnel_tale(), funnel.deposition, *topics)
    steps = ("viewers", "followers", "buyers", "repeat_buyers", "follower_buyers", "follower_repeat_buyers")
    assert {row["source"]: tuple(row[step] for step in steps) for row in found} == {
        "share": (1, 0, 0, 0, 0, 0),
        "slot": (2, 1, 1, 1, 1, 1),
    }
    by_campaign = ask(engine, Tale(), funnel.deposition, *topics, by=("source", "campaign"))
    assert [(row["source"], row["campaign"], row["viewers"]) for row in by_campaign] == [
        ("share", "", 1),
        ("slot", "", 1),
        ("slot", "may", 1),
    ]
    by_show = ask(engine, Tale(), funnel.deposition, *topics, by=("show_id",))
    assert {row["show_id"]: (row["viewers"], row["followers"], row["buyers"]) for row in by_show} == {
        named("show").bytes: (2, 1, 1),
        named("late").bytes: (2, 0, 0),
    }
    (everybody,) = ask(engine, Tale(), funnel.deposition, *topics, by=())
    assert [everybody[step] for step in steps] == [3, 1, 1, 1, 1, 1]
    assert ask(engine, Tale(), funnel.deposition, *topics, of=named("another shop")) == []


def test_a_fan_who_left_and_came_back_has_stayed_and_too_young_fans_are_not_judged(engine: Engine) -> None:
    tale = Tale()
    for who in ("stays", "leaves", "returns", "young"):
        day = DAY + timedelta(days=35) if who == "young" else DAY
        tale.add("follow", 100, day, viewer_id=who, streamer_id="li", begins=True, source="slot")
    tale.add("follow", 200, DAY + timedelta(days=3), viewer_id="leaves", streamer_id="li", begins=False)
    tale.add("follow", 300, DAY, viewer_id="returns", streamer_id="li", begins=False)
    tale.add("follow", 400, DAY + timedelta(days=2), viewer_id="returns", streamer_id="li", begins=True)
    tale.visit(500, "stays", "v1", streamer_id="li")  # the same day is not a return
    tale.visit(100, "stays", "v2", day=DAY + timedelta(days=7), streamer_id="li")
    tale.visit(101, "leaves", "v3", day=DAY + timedelta(days=7), streamer_id="li")  # a second too late for seven days
    as_of = tale.at(100, DAY + timedelta(days=36))
    found = ask(engine, tale, funnel.retention, "follow", "visit", "person", as_of_us=as_of)
    assert found == [
        {
            "source": "slot", "fans": 4,
            "due_1": 4, "kept_1": 3, "back_1": 0,
            "due_7": 3, "kept_7": 2, "back_7": 1,
            "due_30": 3, "kept_30": 2, "back_30": 2,
        }
    ]  # fmt: skip
    assert ask(engine, Tale(), funnel.fans_won, "follow", "person", until=NEXT) == [{"fans": 2}]
    assert ask(engine, Tale(), funnel.fans_won, "follow", "person", streamers=[named("wu")]) == [{"fans": 0}]


def test_growth_says_what_is_missing_and_never_divides_by_nothing(engine: Engine) -> None:
    tale = Tale()
    month_before = date(2026, 10, 2)
    tale.visit(0, "ann", "v0", day=month_before - timedelta(days=2))
    tale.money(0, "paid", "o0", "zoe", 100, day=month_before - timedelta(days=2))
    tale.visit(10, "ann", "v1", day=month_before)
    tale.visit(10, "ann", "v2")
    tale.visit(10, "ann", "v3", day=NEXT)
    tale.visit(10, "bob", "v4")
    tale.money(20, "paid", "o1", "bob", 100)
    tale.write(engine.lake)
    now, month, year = growth.grow(
        engine, lambda days: Computed(engine, days.since, days.until), Period(DAY, DAY + timedelta(days=2)),
        level=Level.platform, of=None, kind=GmvKind.paid, currency="CNY",
    )  # fmt: skip
    assert (now.uv, now.active_days, now.returned, now.gmv) == (2, 3, 1, 100)
    assert growth.values_of(now)["days_active"] == 1.5
    assert growth.values_of(now)["return_rate"] == 0.5
    assert (month.since, month.until) == (month_before, month_before + timedelta(days=2))
    assert month.changes["uv"] == 1.0
    assert (month.changes["gmv"], month.missing["gmv"], month.missing["gmv_per_order"]) == (
        None,
        Missing.from_zero,
        Missing.nobody,
    )
    assert set(year.missing.values()) == {Missing.not_recorded}
    assert set(year.changes.values()) == set(year.values.values()) == {None}


def test_months_are_compared_with_months_and_days_with_days() -> None:
    assert growth.shift(Period(date(2026, 3, 1), date(2026, 4, 1)), 1) == (date(2026, 2, 1), date(2026, 3, 1))
    assert growth.shift(Period(date(2026, 2, 1), date(2026, 3, 1)), 1) == (date(2026, 1, 1), date(2026, 2, 1))
    assert growth.shift(Period(date(2024, 2, 29), date(2024, 3, 1)), 12) == (date(2023, 2, 28), date(2023, 3, 1))
    assert growth.shift(Period(date(2026, 3, 30), date(2026, 3, 31)), 1) == (date(2026, 2, 28), date(2026, 3, 1))
    assert growth.shift(Period(date(2026, 1, 5), date(2026, 1, 12)), 1) == (date(2025, 12, 5), date(2025, 12, 12))


def test_an_empty_lake_has_figures_of_nothing(engine: Engine) -> None:
    everything = Computed(engine)
    assert engine.run(growth.stickiness(everything["viewer_days"])).to_pylist() == [
        {"seen": 0, "active_days": 0, "returned": 0}
    ]
    now, month, _ = growth.grow(
        engine, lambda _: everything, Period(DAY, NEXT), level=Level.platform, of=None, kind=GmvKind.net, currency="CNY"
    )
    assert (now.gmv, now.uv, month.missing["gmv"]) == (0, 0, Missing.not_recorded)
    assert growth.values_of(now)["return_rate"] is None
    assert goals.MEASURES == ()
