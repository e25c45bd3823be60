"""GMV taken apart: for any market the parts multiply back, and the sum over sources is the ledger's, to the cent."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from itertools import chain
from random import Random
from uuid import UUID

import ibis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakes import DAY, Tale, named
from laotie.insight.identities import KEYS, Level, Row, decompose, read_rows
from laotie.insight.terms import COMPONENTS, GmvKind, gmv_by_day
from tales import Market, Told, make_up

NEXT = DAY + timedelta(days=1)


class Desk:
    """Asks of a tale what the identities say."""

    def __init__(self, tale: Tale, duck: ibis.BaseBackend) -> None:
        told = Told(tale)
        self.duck = duck
        self.viewers, self.orders = (ibis.memtable(duck.to_pyarrow(told[name])) for name in ("viewer_days", "order_days"))

    def ask(
        self, level: Level = Level.platform, kind: GmvKind = GmvKind.paid, *, of: str | None = None, by: tuple[str, ...] = ("source",),
        since: date | None = None, until: date | None = None,
    ) -> list[Row]:  # fmt: skip
        found = decompose(
            self.viewers, self.orders, level=level, kind=kind, of=named(of) if of else None, by=by, since=since, until=until
        )
        return read_rows(self.duck.to_pyarrow(found))


@pytest.fixture(scope="module")
def duck() -> Iterator[ibis.BaseBackend]:
    backend = ibis.duckdb.connect(threads=1, memory_limit="512MB")
    yield backend
    backend.disconnect()


def sums(rows: list[Row]) -> Counter[str]:
    """GMV by currency."""
    found: Counter[str] = Counter()
    for row in rows:
        found[row.currency] += row.gmv
    del found[""]
    return found


def same(one: Counter[str], other: Counter[str]) -> bool:
    """Counters alike, where a currency of nothing is as good as none."""
    return all(one[currency] == other[currency] for currency in {*one, *other})


LEVELS = {Level.show: "show", Level.streamer: "streamer", Level.shop: "shop"}


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=False), kind=st.sampled_from(GmvKind), level=st.sampled_from(list(LEVELS)))
def test_the_sum_over_sources_is_the_ledgers_to_the_cent(
    duck: ibis.BaseBackend, random: Random, kind: GmvKind, level: Level
) -> None:
    hold_against_ledger(duck, random, kind, level)


@pytest.mark.prove
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=False), kind=st.sampled_from(GmvKind), level=st.sampled_from(list(LEVELS)))
def test_the_sum_over_sources_is_the_ledgers_in_very_many_markets(
    duck: ibis.BaseBackend, random: Random, kind: GmvKind, level: Level
) -> None:
    hold_against_ledger(duck, random, kind, level)


def hold_against_ledger(duck: ibis.BaseBackend, random: Random, kind: GmvKind, level: Level) -> None:
    """In total, by day, for each of a level and for one of it, at a border of days."""
    market = make_up(random, days=random.randint(1, 4), visits=random.randint(0, 40), orders=random.randint(0, 25))
    desk = Desk(market.tale, duck)
    name = LEVELS[level]
    subjects = sorted({str(subject) for entry in market.ledger if (subject := getattr(entry, name))})
    asked = {
        "platform": desk.ask(kind=kind, by=()),
        level: desk.ask(level, kind, by=(f"{name}_id", "source")),
        "day": desk.ask(kind=kind, by=("day", "source", "is_fan")),
        "late": desk.ask(kind=kind, since=NEXT, until=NEXT + timedelta(days=1)),
    }
    for row in chain.from_iterable(asked.values()):
        assert_whole(row)
    assert same(sums(asked["platform"]), market.total(kind))
    assert same(sums(asked[level]), market.total(kind))
    for subject in subjects:
        of_it = [row for row in asked[level] if getattr(row, f"{name}_id") == named(subject)]
        assert same(sums(of_it), market.total(kind, **{name: subject}))
    for day in {entry.day for entry in market.ledger}:
        assert same(sums([row for row in asked["day"] if row.day == day]), market.total(kind, day=day))
    assert same(sums(asked["late"]), market.total(kind, day=NEXT))
    if subjects:
        assert same(sums(desk.ask(level, kind, of=subjects[0])), market.total(kind, **{name: subjects[0]}))


def assert_whole(row: Row) -> None:
    """The factors multiply to the GMV, exactly."""
    factors = row.factors()
    assert factors.product() == row.gmv
    assert row.uv >= row.buyers and row.orders >= row.buyers
    assert (row.orders > 0) == (row.buyers > 0) == (row.currency != "")
    if row.watch_us and row.orders:
        assert None not in factors
    elif row.orders:
        assert factors.conversion is not None
        assert factors.uv * factors.conversion * (factors.gmv_per_order or Fraction(0)) == row.gmv


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=False), kind=st.sampled_from(GmvKind))
def test_people_are_exact_sets_by_source_and_in_total(duck: ibis.BaseBackend, random: Random, kind: GmvKind) -> None:
    market = make_up(random)
    desk = Desk(market.tale, duck)
    by_source, fans = sets(market, kind)
    assert {row.source: row.uv for row in desk.ask(kind=kind)} == {source: len(people) for source, people in by_source.items()}
    found = {(row.source, row.is_fan): row.uv for row in desk.ask(kind=kind, by=("source", "is_fan"))}
    assert found == {key: len(people) for key, people in fans.items()}
    everybody = set().union(*by_source.values())
    assert {row.uv for row in desk.ask(kind=kind, by=())} == {len(everybody)}


def sets(market: Market, kind: GmvKind) -> tuple[dict[str, set[bytes]], dict[tuple[str, bool], set[bytes]]]:
    """Who came or bought, by source, and by source and fan status: the slow way."""
    became = {row["guest_id"]: row["account_id"] for row in market.tale.rows["person"]}
    by_source: dict[str, set[bytes]] = defaultdict(set)
    fans: dict[tuple[str, bool], set[bytes]] = defaultdict(set)
    counted = {"placed": ("placed", "repriced"), "paid": ("paid",), "net": ("paid", "refunded", "reversed", "restored")}[kind]
    seen = [
        *((row["viewer_id"], row) for row in (*market.tale.rows["visit"], *market.tale.rows["watch"])),
        *((row["buyer_id"], row) for row in market.tale.rows["money"] if row["kind"] in counted),
    ]
    for who, row in seen:
        by_source[row["source"]].add(became.get(who, who))
        fans[row["source"], row["is_fan"]].add(became.get(who, who))
    return by_source, fans


def test_where_somebody_watched_there_are_five_factors(duck: ibis.BaseBackend) -> None:
    tale = Tale()
    for viewer in ("ann", "bo", "cy", "di"):
        tale.visit(10, viewer, f"of {viewer}", source="private", show_id="s")
    tale.watch(10, 610, "ann", "of ann", source="private", show_id="s")
    tale.watch(20, 320, "bo", "of bo", source="private", show_id="s")
    for order, buyer in (("o1", "ann"), ("o2", "ann"), ("o3", "bo")):
        tale.money(300, "paid", order, buyer, 2_000, source="private", show_id="s")
    [row] = Desk(tale, duck).ask()
    assert (row.uv, row.watch_us, row.buyers, row.orders, row.gmv) == (4, 900_000_000, 2, 3, 6_000)
    assert list(row.factors()) == [4, 225_000_000, Fraction(2, 900_000_000), Fraction(3, 2), Fraction(3, 4), 2_000]
    assert row.factors().product() == 6_000


def test_on_the_shelf_there_are_three(duck: ibis.BaseBackend) -> None:
    tale = Tale()
    for viewer in ("ann", "bo", "cy"):
        tale.visit(10, viewer, f"of {viewer}", source="shelf")
    tale.money(300, "paid", "o1", "ann", 5_000, source="shelf")
    [row] = Desk(tale, duck).ask()
    assert list(row.factors()) == [3, None, None, 1, Fraction(1, 3), 5_000]
    assert row.factors().product() == 5_000


def test_a_buyer_whom_no_visit_tells_of_is_one_of_the_sources_people(duck: ibis.BaseBackend) -> None:
    tale = Tale()
    tale.visit(10, "ann", "of ann", source="private")
    tale.money(300, "paid", "o1", "bo", 100, source="imported")
    rows = Desk(tale, duck).ask()
    assert [(row.source, row.uv, row.orders, row.currency) for row in rows] == [("imported", 1, 1, "CNY"), ("private", 1, 0, "")]
    [whole] = Desk(tale, duck).ask(by=())
    assert (whole.uv, whole.gmv) == (2, 100)


def test_who_came_by_two_sources_is_one_of_each_and_one_in_all(duck: ibis.BaseBackend) -> None:
    tale = Tale()
    tale.visit(10, "ann", "v1", source="private")
    tale.visit(20, "ann", "v2", source="share")
    desk = Desk(tale, duck)
    assert [row.uv for row in desk.ask()] == [1, 1]
    assert [row.uv for row in desk.ask(by=())] == [1]


def test_currencies_stay_apart(duck: ibis.BaseBackend) -> None:
    tale = Tale()
    tale.visit(10, "ann", "v1", source="private")
    tale.money(20, "paid", "o1", "ann", 100, source="private", currency="CNY")
    tale.money(30, "paid", "o2", "bo", 7, source="private", currency="EUR")
    rows = Desk(tale, duck).ask()
    assert [(row.currency, row.uv, row.buyers, row.gmv) for row in rows] == [("CNY", 2, 1, 100), ("EUR", 2, 1, 7)]


def test_a_period_of_nothing_has_no_rows(duck: ibis.BaseBackend) -> None:
    desk = Desk(Tale(), duck)
    assert [desk.ask(by=by) for by in ((), ("source",), KEYS)] == [[], [], []]


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [(GmvKind.placed, (5_800, 2), (300, 1)), (GmvKind.paid, (0, 0), (3_300, 1)), (GmvKind.net, (0, 0), (1_300, 1))],
)
def test_each_term_counts_on_its_own_day(
    duck: ibis.BaseBackend, kind: GmvKind, first: tuple[int, int], second: tuple[int, int]
) -> None:
    """Two placed, one cancelled unpaid; the other repriced, paid and partly refunded the day after."""
    tale = Tale()
    tale.money(100, "placed", "o1", "ann", 3_000)
    tale.money(200, "placed", "o2", "bo", 2_800)
    tale.money(300, "cancelled", "o2", "bo", -2_800, day=NEXT)
    tale.money(400, "repriced", "o1", "ann", 300, day=NEXT, goods_amount=0, shipping_amount=300)
    tale.money(500, "paid", "o1", "ann", 3_300, day=NEXT, goods_amount=3_000, shipping_amount=300)
    tale.money(600, "refunded", "o1", "ann", -1_500, day=NEXT)
    tale.money(700, "reversed", "o1", "ann", -1_800, day=NEXT)
    tale.money(800, "restored", "o1", "ann", 1_300, day=NEXT)
    desk = Desk(tale, duck)
    found = {row.day: (row.gmv, row.orders) for row in desk.ask(kind=kind, by=("day",))}
    assert (found.get(DAY, (0, 0)), found[NEXT]) == (first, second)


def test_an_amount_is_its_components(duck: ibis.BaseBackend) -> None:
    market = make_up(Random(4), orders=60)
    rows = duck.to_pyarrow(gmv_by_day(Told(market.tale)["order_days"])).to_pylist()
    assert {row["kind"] for row in rows} == set(GmvKind)
    for row in rows:
        goods, shop, platform, shipping, _tax = (row[name] for name in COMPONENTS)
        assert row["amount"] == goods - shop - platform + shipping


def test_an_id_is_an_id_again(duck: ibis.BaseBackend) -> None:
    tale = Tale()
    tale.visit(10, "ann", "v1", show_id="s")
    [row] = Desk(tale, duck).ask(by=("show_id",))
    assert row.show_id == named("s") and isinstance(row.show_id, UUID)
