"""Repurchase told by hand: who bought again when, the triangle, what came back; and the real retailer's as documented."""

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakes import Tale, named, open_lake
from laotie.insight import definitions, repurchase
from laotie.insight.engine import Engine
from laotie.insight.forecast import TooFewCustomers
from laotie.insight.identities import Level
from laotie.insight.transactions import read

SEPTEMBER, OCTOBER, NOVEMBER = (date(2026, month, 1) for month in (9, 10, 11))
BUYERS = {
    # buyer: (order, day, amount)
    "ann": (("a1", date(2026, 9, 3), 100), ("a2", date(2026, 9, 3), 50), ("a3", date(2026, 11, 5), 70)),
    "bob": (("b1", date(2026, 9, 30), 200), ("b2", date(2026, 10, 30), 30)),
    "cat": (("c1", date(2026, 9, 10), 10), ("c2", date(2026, 10, 11), 10)),
    "dan": (("d1", date(2026, 10, 2), 500),),
    "eve": (("e1", date(2026, 11, 9), 40), ("e2", date(2026, 11, 10), 40)),
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Any:
    tale = Tale()
    for buyer, orders in BUYERS.items():
        for order, day, amount in orders:
            shop = "shop of dan" if buyer == "dan" else "shop"
            for kind in ("placed", "paid"):
                tale.money(40_000, kind, order, buyer, amount, day=day, shop_id=shop)
    tale.money(100, "placed", "never paid", "dan", 900, day=date(2026, 10, 5), shop_id="shop of dan")
    tale.money(200, "cancelled", "never paid", "dan", -900, day=date(2026, 10, 6), shop_id="shop of dan")
    tale.money(100, "refunded", "b1", "bob", -80, day=date(2026, 11, 2), shop_id="shop")
    tale.money(200, "refunded", "b1", "bob", -20, day=date(2026, 11, 3), shop_id="shop")
    tale.money(100, "reversed", "c1", "cat", -10, day=date(2026, 11, 4), shop_id="shop")
    tale.money(100, "refunded", "before the books", "zoe", -7, day=date(2026, 10, 9), shop_id="shop")
    tale.money(100, "paid", "in dollars", "ann", 999, day=date(2026, 10, 9), shop_id="shop", currency="USD")
    lake = open_lake(tmp_path_factory.mktemp("lake"))
    tale.write(lake)
    with Engine(lake, threads=1) as engine:
        yield engine


def ask(engine: Engine, expression: Any, currency: str = "CNY") -> list[dict[str, Any]]:
    rows = engine.run(expression).to_pylist()
    return [{name: row[name] for name in row if name != "currency"} for row in rows if row["currency"] == currency]


def test_each_month_says_who_bought_twice_in_it_and_who_ever_did(engine: Engine) -> None:
    orders = repurchase.paid_orders(definitions.Computed(engine)["order_days"])
    assert ask(engine, repurchase.months(orders)) == [
        {"month": SEPTEMBER, "buyers": 3, "orders": 4, "again": 1, "new": 3, "ever": 3, "ever_again": 1},
        {"month": OCTOBER, "buyers": 3, "orders": 3, "again": 0, "new": 1, "ever": 4, "ever_again": 3},
        {"month": NOVEMBER, "buyers": 2, "orders": 3, "again": 1, "new": 1, "ever": 5, "ever_again": 4},
    ]
    assert ask(engine, repurchase.months(orders), "USD") == [
        {"month": OCTOBER, "buyers": 1, "orders": 1, "again": 0, "new": 1, "ever": 1, "ever_again": 0}
    ]


def test_a_window_counts_its_last_day_and_only_who_has_had_it_in_full(engine: Engine) -> None:
    orders = repurchase.paid_orders(definitions.Computed(engine)["order_days"])
    seen = ask(engine, repurchase.windows(orders, seen_until=date(2026, 11, 30)))
    # ann at once, bob on the thirtieth day, cat on the thirty-first; dan's thirty days are over, eve's are not
    assert seen == [
        {"month": SEPTEMBER, "buyers": 3, "due_30": 3, "due_90": 0, "again_30": 2, "again_90": 0},
        {"month": OCTOBER, "buyers": 1, "due_30": 1, "due_90": 0, "again_30": 0, "again_90": 0},
        {"month": NOVEMBER, "buyers": 1, "due_30": 0, "due_90": 0, "again_30": 0, "again_90": 0},
    ]
    later = ask(engine, repurchase.windows(orders, seen_until=date(2026, 12, 10)))
    assert (later[0]["due_90"], later[0]["again_90"]) == (2, 2)
    assert (later[2]["due_30"], later[2]["again_30"]) == (1, 1)


def test_the_triangle_adds_up_to_the_net_gmv_refunds_in_their_own_month(engine: Engine) -> None:
    rows = ask(engine, repurchase.cohorts(definitions.Computed(engine)["order_days"]))
    assert rows == [
        {"first_month": SEPTEMBER, "since": 0, "buyers": 3, "orders": 4, "net_amount": 360},
        {"first_month": SEPTEMBER, "since": 1, "buyers": 2, "orders": 2, "net_amount": 40},
        {"first_month": SEPTEMBER, "since": 2, "buyers": 1, "orders": 1, "net_amount": 70 - 80 - 20 - 10},
        {"first_month": OCTOBER, "since": 0, "buyers": 1, "orders": 1, "net_amount": 500},
        {"first_month": NOVEMBER, "since": 0, "buyers": 1, "orders": 2, "net_amount": 80},
        {"first_month": None, "since": None, "buyers": 0, "orders": 0, "net_amount": -7},
    ]
    totals = engine.run(definitions.MEASURES["gmv_by_day"].compute(definitions.Computed(engine))).to_pylist()
    net = sum(row["amount"] for row in totals if row["kind"] == "net" and row["currency"] == "CNY")
    assert sum(row["net_amount"] for row in rows) == net
    of_dan = repurchase.cohorts(definitions.Computed(engine)["order_days"], level=Level.shop, of=named("shop of dan"))
    assert [row["net_amount"] for row in ask(engine, of_dan)] == [500]


def test_returns_stand_apart_from_what_was_never_paid_and_from_chargebacks(engine: Engine) -> None:
    rows = ask(engine, repurchase.returns(definitions.Computed(engine)["money"]))
    assert rows[1] == {
        "month": OCTOBER, "paid_orders": 3, "paid_amount": 540, "returned_orders": 1, "returned_amount": 7,
        "cancelled_orders": 1, "cancelled_amount": 900, "reversed_orders": 0, "reversed_amount": 0,
    }  # fmt: skip
    november = [rows[2][f"{name}_{what}"] for name in ("returned", "reversed") for what in ("orders", "amount")]
    assert november == [1, 100, 1, 10]


def test_few_buyers_have_no_forecast_and_many_have_one_with_its_own_past_error(engine: Engine) -> None:
    few = engine.run(repurchase.purchase_days(repurchase.paid_orders(definitions.Computed(engine)["order_days"])))
    with pytest.raises(TooFewCustomers):
        repurchase.foretell(few, date(2026, 11, 30))
    outlook = repurchase.foretell(cdnow(), date(1998, 7, 1))
    assert [(row.first_month, row.buyers) for row in outlook.cohorts] == [
        (date(1997, 1, 1), 781), (date(1997, 2, 1), 857), (date(1997, 3, 1), 719)
    ]  # fmt: skip
    assert outlook.past is not None and outlook.past.total_error is not None
    assert outlook.past.naive.total_error is not None
    # The spring of 1998 was the weakest quarter of all; the forecast says so of itself, and the naive rate is far worse.
    assert outlook.past.total_error == pytest.approx(0.301, abs=0.01)
    assert outlook.past.naive.total_error == pytest.approx(0.714, abs=0.001)
    assert 300 < sum(row.purchases for row in outlook.cohorts) < 600
    assert all(row.amount is not None and row.amount > 0 for row in outlook.cohorts)


def cdnow() -> pa.Table:
    """As `purchase_days` would find it."""
    purchases, _ = read(Path(__file__).parents[1] / "data" / "cdnow" / "transactions.csv.gz")
    return pa.table(
        {
            "buyer_id": pa.array([int(one).to_bytes(16, "big") for one in purchases.customer], pa.binary()),
            "day": pa.array([date.fromordinal(int(day)) for day in purchases.day]),
            "amount": pa.array([round(amount * 100) for amount in purchases.amount]),
        }
    )
