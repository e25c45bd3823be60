"""Who bought again: within the month, within 30 and 90 days, ever; cohorts by the month of the first purchase; what came back.

An order counts on the day on which it was (first) paid, a buyer's first purchase is the first such day within what is
looked at (a shop, a streamer, everything), and each currency is a market of its own. Months and days are those of the books'
zone. All of it is over `order_days`, of all days: a first purchase is not known from a part.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import ibis
import ibis.expr.types as ir
import msgspec
import numpy as np
import pyarrow as pa

from laotie.insight import backtest, forecast
from laotie.insight.backtest import Purchases, Verdict
from laotie.insight.identities import Level
from laotie.insight.model import Definition, Measure, Unit, Words
from laotie.insight.people import of_one
from laotie.insight.terms import GmvKind

WINDOWS = (30, 90)
"""Days after the first purchase within which a second order counts."""
HORIZON_DAYS = 90
RETURNS = {"paid": "paid", "returned": "refunded", "cancelled": "cancelled", "reversed": "reversed"}
"""Facts of money that a month's returns are told of."""
FITTED_MAX = 20_000
"""Customers whom laws are fitted to; of more, every so many-th."""


def paid_orders(order_days: ir.Table, *, level: Level = Level.platform, of: UUID | None = None) -> ir.Table:
    """One row an order that was paid: currency, buyer, order, the day, the amount."""
    rows = of_one(order_days, f"{level}_id", of)
    rows = rows.filter(rows.kind == GmvKind.paid.value)
    return rows.group_by("currency", "buyer_id", "order_id").agg(day=rows.day.min(), amount=rows.amount.sum().cast("int64"))


def first_purchases(orders: ir.Table) -> ir.Table:
    """One row a buyer: currency, buyer, the day of the first purchase."""
    return orders.group_by("currency", "buyer_id").agg(first_on=orders.day.min())


def months(orders: ir.Table) -> ir.Table:
    """By month: buyers and orders; who had two orders or more; who came first; buyers so far, and those of two orders."""
    monthly = orders.mutate(month=_month(orders.day))
    each = monthly.group_by("currency", "month", "buyer_id").agg(orders=monthly.order_id.nunique())
    in_month = each.group_by("currency", "month").agg(
        buyers=each.count(), orders=each.orders.sum().cast("int64"), again=_count(each.orders >= 2)
    )
    ranked = orders.mutate(
        rank=ibis.row_number().over(
            ibis.window(group_by=["currency", "buyer_id"], order_by=[orders.day, orders.order_id])
        )
    )
    ranked = ranked.mutate(month=_month(ranked.day))
    steps = ranked.group_by("currency", "month").agg(new=_count(ranked["rank"] == 0), second=_count(ranked["rank"] == 1))
    so_far = ibis.window(group_by="currency", order_by="month", preceding=None, following=0)
    steps = steps.mutate(
        ever=steps.new.sum().over(so_far).cast("int64"), ever_again=steps.second.sum().over(so_far).cast("int64")
    )
    both = in_month.join(steps, ["currency", "month"])
    return both.select("currency", "month", "buyers", "orders", "again", "new", "ever", "ever_again").order_by("currency", "month")


def windows(orders: ir.Table, *, seen_until: date) -> ir.Table:
    """By month of the first purchase: buyers; of those whose 30 and 90 days are over by `seen_until`, who ordered again in them."""
    first = first_purchases(orders)
    near = orders.join(first, ["currency", "buyer_id"])
    near = near.mutate(after=_days_between(near.first_on, near.day))
    counts = near.group_by("currency", "buyer_id", "first_on").agg(
        **{f"orders_{days}": _count(near.after <= days) for days in WINDOWS}
    )
    counts = counts.mutate(month=_month(counts.first_on), known=_days_between(counts.first_on, ibis.literal(seen_until)))
    due = {f"due_{days}": _count(counts.known > days) for days in WINDOWS}
    again = {f"again_{days}": _count((counts.known > days) & (counts[f"orders_{days}"] >= 2)) for days in WINDOWS}
    return counts.group_by("currency", "month").agg(buyers=counts.count(), **due, **again).order_by("currency", "month")


def cohorts(order_days: ir.Table, *, level: Level = Level.platform, of: UUID | None = None) -> ir.Table:
    """The triangle: month of the first purchase × months since → buyers and orders of that month, and what stayed of the money.

    The net amount is of the month in which it moved. What moved for somebody of whom no purchase is known (a return of
    something bought before the books begin) has no first month, so that all rows add up to the net GMV.
    """
    orders = paid_orders(order_days, level=level, of=of)
    first = first_purchases(orders)
    moved = of_one(order_days, f"{level}_id", of)
    rows = ibis.union(
        orders.select("currency", "buyer_id", "order_id", "day", net=ibis.literal(0, "int64")),
        moved.filter(moved.kind == GmvKind.net.value).select(
            "currency", "buyer_id", order_id=ibis.null("binary"), day=moved.day, net=moved.amount
        ),
    )
    known = rows.left_join(first, ["currency", "buyer_id"])
    who = ibis.ifelse(known.order_id.notnull(), known.buyer_id, None)
    known = known.select("currency", "order_id", "day", "net", "first_on", who=who)
    known = known.mutate(first_month=_month(known.first_on), since=_months_between(known.first_on, known.day))
    return (
        known.group_by("currency", "first_month", "since")
        .agg(buyers=known.who.nunique(), orders=known.order_id.nunique(), net_amount=known.net.sum().cast("int64"))
        .order_by("currency", "first_month", "since")
    )


def returns(money: ir.Table, *, level: Level = Level.platform, of: UUID | None = None) -> ir.Table:
    """By month: what was paid, what came back of it (refunds), and apart from that what was never paid or taken by banks."""
    rows = of_one(money, f"{level}_id", of)
    rows = rows.mutate(month=_month(rows.day))
    counts: dict[str, ir.Value] = {}
    for name, kind in RETURNS.items():
        those, sign = rows.kind == kind, 1 if kind == "paid" else -1
        counts[f"{name}_orders"] = rows.order_id.nunique(where=those)
        counts[f"{name}_amount"] = ibis.coalesce((rows.amount * sign).sum(where=those), 0).cast("int64")
    return rows.group_by("currency", "month").agg(**counts).order_by("currency", "month")


def purchase_days(orders: ir.Table) -> ir.Table:
    """Whose purchases on which day, as forecasts know them: currency, buyer, day, amount."""
    rows = orders.group_by("currency", "buyer_id", "day").agg(amount=orders.amount.sum().cast("int64"))
    return rows.order_by("currency", "buyer_id", "day")


class CohortOutlook(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected of the buyers who came first in a month: how many purchases in the coming days, worth how much."""

    first_month: date
    buyers: int
    purchases: float
    amount: int | None


class Outlook(NamedTuple):
    """A forecast from all complete days, and what the same forecast would have got wrong so far."""

    seen_until: date
    days: int
    cohorts: list[CohortOutlook]
    parameters: backtest.Outlook
    past: Verdict | None
    """The same method put back by `days` and compared with what came; `None` where the past is too short."""


def foretell(found: pa.Table, seen_until: date, *, days: int = HORIZON_DAYS) -> Outlook:
    """Foretell from the rows of `purchase_days` of one currency, before the day `seen_until`.

    Refuses `TooFewCustomers`, `TooFewRepeats`.
    """
    purchases = _purchases(found)
    last = seen_until - timedelta(days=1)
    known = backtest.split(purchases, last)
    outlook = backtest.foretell(known.customers, days / backtest.WEEK_DAYS, fitted_max=FITTED_MAX)
    firsts = [date.fromordinal(day).replace(day=1) for day in known.first.tolist()]
    rows = []
    for month in sorted(set(firsts)):
        those = np.array([one == month for one in firsts])
        amount = round(float(outlook.amounts[those].sum())) if outlook.spend is not None else None
        rows.append(
            CohortOutlook(
                first_month=month, buyers=int(those.sum()), purchases=float(outlook.purchases[those].sum()), amount=amount
            )
        )
    try:
        past = backtest.judge(purchases, last - timedelta(days=days), last, fitted_max=FITTED_MAX)
    except (forecast.TooFewCustomers, forecast.TooFewRepeats):
        past = None
    return Outlook(seen_until, days, rows, outlook, past)


def read_histories(found: pa.Table, seen_until: date) -> tuple[backtest.Split, pa.Array]:
    """The histories before a day of everybody in the rows of `purchase_days` of one currency, and whose they are."""
    known = backtest.split(_purchases(found), seen_until - timedelta(days=1))
    ids = found.column("buyer_id").combine_chunks().dictionary_encode().dictionary if len(found) else pa.array([], pa.binary())
    return known, ids.take(pa.array(known.numbers, pa.int64()))


def _purchases(found: pa.Table) -> Purchases:
    codes = found.column("buyer_id").combine_chunks().dictionary_encode().indices if len(found) else []
    days: Iterable[Any] = found.column("day").to_pylist()
    return Purchases(
        np.asarray(codes, dtype=np.int64),
        np.array([day.toordinal() for day in days], dtype=np.int64),
        np.asarray(found.column("amount"), dtype=np.float64),
    )


def _month(day: Any) -> Any:
    return day.truncate("M").cast("date")


def _days_between(first: Any, last: Any) -> Any:
    return last.delta(first, unit="day").cast("int64")


def _months_between(first: Any, last: Any) -> Any:
    return ((last.year() - first.year()) * 12 + last.month() - first.month()).cast("int64")


def _count(those: Any) -> Any:
    return ibis.coalesce(those.cast("int64").sum(), 0).cast("int64")


DEFINITIONS = (
    Definition(
        key="repurchase_month",
        name=Words("月内复购率", "In-month repurchase"),
        about=Words(
            "当月付款两单及以上的人数除以当月付款的人数。",
            "People who paid for two orders or more in a month, divided by all who paid in it.",
        ),
        unit=Unit.share,
        formula="buyers(≥ 2 orders in the month) / buyers(month)",
        measure="repurchase_by_month",
    ),
    Definition(
        key="repurchase_window",
        name=Words("30/90 天复购率", "30/90-day repurchase"),
        about=Words(
            "首购后 30(90)天内又付款一单的人数占比,按首购月份;只计窗口已经结束的人,所以新近月份不会被低估。",
            "Of those who first bought in a month, how many paid for another order within 30 (90) days of it. Only people"
            " whose days are over count, so recent months are not understated.",
        ),
        unit=Unit.share,
        formula="again within N days / first buyers whose N days are over",
        measure="repurchase_windows",
    ),
    Definition(
        key="repurchase_ever",
        name=Words("累计复购率", "Cumulative repurchase"),
        about=Words(
            "截至月末,至少付款两单的人数除以至少付款一单的人数。",
            "Up to the end of a month: people with two paid orders or more, divided by people with one or more.",
        ),
        unit=Unit.share,
        formula="Σ second orders / Σ first orders",
        measure="repurchase_by_month",
    ),
    Definition(
        key="cohorts",
        name=Words("同期群三角", "Cohort triangle"),
        about=Words(
            "按首购月份分组的买家,在之后每个月:多少人下单付款、多少单、净额多少(退款计入发生当月)。"
            "没有已知首购的人(退的是入账之前买的东西)单列,各行相加等于净 GMV。",
            "Buyers by the month of their first purchase, in each month since: how many bought, how many orders, and the net"
            " amount (refunds in the month in which they were made). Who has no known purchase (returning something bought"
            " before the books begin) is a row of their own, so all rows add up to the net GMV.",
        ),
        unit=Unit.rows,
        formula="first month × months since → buyers, orders, Σ net",
        terms=("gmv_net",),
        measure="repurchase_cohorts",
    ),
    Definition(
        key="true_return_rate",
        name=Words("真实退货率", "True return rate"),
        about=Words(
            "期间内完成的退款,除以期间内付款(金额和单数各算)。未付款而取消的订单和拒付不在其中,另行列出。",
            "Refunds made in the period divided by what was paid in it, by value and by orders. Orders cancelled unpaid and"
            " chargebacks are not in it; they stand apart.",
        ),
        unit=Unit.share,
        formula="Σ refunded / Σ paid",
        terms=("refunded", "gmv_paid", "reversed"),
        measure="returns_by_month",
    ),
    Definition(
        key="repurchase_forecast",
        name=Words("复购预测", "Repurchase forecast"),
        about=Words(
            "由每个买家的购买历史推算今后 90 天的购买次数和金额:BG/NBD 与“三类人”模型按 AIC 加权,金额用 Gamma-Gamma。"
            "旁边写着同一方法退回 90 天、只用当时数据所得的误差。",
            "Purchases and amounts in the next 90 days, from each buyer's history: BG/NBD and the law of three kinds of people,"
            " weighted by AIC; amounts by Gamma-Gamma. Beside it stands the error that the same method, put back by 90 days"
            " and knowing only what was known then, has made.",
        ),
        unit=Unit.rows,
        terms=("cohorts",),
        measure="purchase_days",
    ),
)

MEASURES = (
    Measure("repurchase_by_month", lambda lake: months(paid_orders(lake["order_days"]))),
    Measure("repurchase_windows", lambda lake: windows(paid_orders(lake["order_days"]), seen_until=date(2026, 12, 31))),
    Measure("repurchase_cohorts", lambda lake: cohorts(lake["order_days"])),
    Measure("returns_by_month", lambda lake: returns(lake["money"])),
    Measure("purchase_days", lambda lake: purchase_days(paid_orders(lake["order_days"]))),
)
