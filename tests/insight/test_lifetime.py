"""What a new buyer will have been worth after a year: what came, what is expected of the days left, and when nobody can say."""

from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lakes import DAY, Tale, named, open_lake
from laotie.insight import Engine, backtest, forecast, lifetime, repurchase
from laotie.insight.lifetime import LIFETIME_DAYS, Worth, foresee

TODAY = DAY + timedelta(days=LIFETIME_DAYS)


def purchases(count: int = 80, seed: int = 3) -> pa.Table:
    """Buyers, a new one every few days of the year; half of them come back now and then."""
    draw, rows = Random(seed), []
    for number in range(count):
        day = DAY + timedelta(days=draw.randint(0, 360))
        for _ in range(1 if number % 2 else draw.randint(2, 7)):
            if day < TODAY:
                rows.append({"buyer_id": named(f"buyer {number}").bytes, "day": day, "amount": draw.randint(500, 20_000)})
            day += timedelta(days=draw.randint(1, 60))
    return pa.Table.from_pylist(rows, schema=pa.schema({"buyer_id": pa.binary(), "day": pa.date32(), "amount": pa.int64()}))


def won(*buyers: str, source: str = "slot", net: int = 100) -> pa.Table:
    schema = pa.schema({"source": pa.string(), "campaign": pa.string(), "buyer": pa.binary(), "net": pa.int64()})
    rows = [{"source": source, "campaign": "", "buyer": named(buyer).bytes, "net": net} for buyer in buyers]
    return pa.Table.from_pylist(rows, schema=schema)


def test_a_buyer_s_worth_is_what_came_and_what_is_expected_of_the_days_left() -> None:
    known = purchases()
    found = foresee(known, won("buyer 0"), TODAY, share=0.9)["slot", ""]
    split, ids = repurchase.read_histories(known, TODAY)
    at = ids.to_pylist().index(named("buyer 0").bytes)
    weeks = (split.first[at] + LIFETIME_DAYS - TODAY.toordinal()) / 7
    alone = forecast.Customers(*(column[at : at + 1] for column in split.customers))
    outlook = backtest.foretell(split.customers, weeks)
    assert outlook.spend is not None
    expected = backtest.expect(outlook.fits, outlook.weights, alone, weeks) * forecast.expect_spend(outlook.spend, alone) * 0.9
    assert found == Worth(1, 100, round(float(expected[0]))) and found.expected > 0


def test_buyers_add_up_by_source_and_whoever_came_today_is_not_forgotten() -> None:
    known = purchases()
    both = pa.concat_tables([won("buyer 0", "buyer 2"), won("somebody new", source="share", net=7)])
    found = foresee(known, both, TODAY, share=1.0)
    assert (found["slot", ""].buyers, found["slot", ""].realised) == (2, 200)
    apart = [foresee(known, won(one), TODAY, share=1.0)["slot", ""].expected for one in ("buyer 0", "buyer 2")]
    assert abs(found["slot", ""].expected - sum(apart)) <= 1
    new = found["share", ""]
    assert (new.buyers, new.realised) == (1, 7) and new.expected > 0, "as much as of anybody who comes for the first time"


def test_whose_year_is_over_is_known_and_not_foretold() -> None:
    known = purchases()
    split, ids = repurchase.read_histories(known, TODAY)
    first, last = (named_of(known, ids[int(at)].as_py()) for at in (split.first.argmin(), split.first.argmax()))
    later = date.fromordinal(int(split.first.min())) + timedelta(days=LIFETIME_DAYS)
    assert foresee(known, won(first), later, share=1.0) == {("slot", ""): Worth(1, 100, 0)}
    assert foresee(known, won(last), later, share=1.0)["slot", ""].expected > 0


def named_of(known: pa.Table, id_: bytes) -> str:
    """What a buyer is called here."""
    return next(name for name in (f"buyer {number}" for number in range(len(known))) if named(name).bytes == id_)


def test_too_few_and_laws_that_do_not_settle_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(forecast.TooFewCustomers):
        foresee(purchases(20), won("buyer 0"), TODAY, share=1.0)
    once = purchases().group_by("buyer_id").aggregate([("day", "min"), ("amount", "min")])
    once = once.rename_columns(["buyer_id", "day", "amount"])
    with pytest.raises(forecast.TooFewRepeats):
        foresee(once, won("buyer 0"), TODAY, share=1.0)
    monkeypatch.setattr(forecast, "_search", unsettled(forecast._search))
    with pytest.raises(lifetime.FitUnsure):
        foresee(purchases(), won("buyer 0"), TODAY, share=1.0)


def unsettled(search: object) -> object:
    """The optimiser, which says that it has not come to an end."""

    def give_up(*given: object, **more: object) -> object:
        found = search(*given, **more)  # type: ignore[operator]
        found.success = False
        return found

    return give_up


def test_books_that_ended_long_ago_are_looked_ahead_from_their_end() -> None:
    last = max(purchases()["day"].to_pylist())
    assert lifetime.see_until(purchases(), last + timedelta(days=30)) == last + timedelta(days=30)
    assert lifetime.see_until(purchases(), date(2040, 1, 1)) == last + timedelta(days=1)


def test_what_they_brought_is_net_of_their_first_year_in_the_currency_of_their_first_order(tmp_path: Path) -> None:
    lake, tale = open_lake(tmp_path), Tale()
    shop: dict[str, Any] = {"shop_id": "shop"}
    tale.money(10, "paid", "o1", "ann", 1_000, source="slot", campaign="may", **shop)
    tale.money(10, "paid", "o2", "ann", 500, day=DAY + timedelta(days=364), **shop)
    tale.money(20, "paid", "o3", "ann", 9_000, day=DAY + timedelta(days=366), **shop)
    tale.money(30, "refunded", "o1", "ann", -200, day=DAY + timedelta(days=3), **shop)
    tale.money(40, "paid", "o4", "ann", 70, day=DAY + timedelta(days=3), currency="EUR", **shop)
    tale.money(50, "paid", "o5", "bob", 300, source="share", **shop)
    tale.write(lake)
    with Engine(lake, threads=1) as engine:
        found = engine.run(lifetime.brought(engine.read("money"), engine.read("person"), of=named("shop"))).to_pylist()
    assert [(row["source"], row["campaign"], row["currency"], row["net"]) for row in found] == [
        ("share", "", "CNY", 300), ("slot", "may", "CNY", 1_300),
    ]  # fmt: skip
    assert np.all([len(row["buyer"]) == 16 for row in found])
