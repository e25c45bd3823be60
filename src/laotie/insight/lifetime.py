"""What new buyers will have been worth a year after they were won: what they have brought, and what is expected of the days left.

The laws of `forecast` are fitted to every buyer there is, and asked about each new one for the days that are left of their own first
`LIFETIME_DAYS`. Amounts are net: of what is expected to be paid, as much stays as has stayed of what was paid so far. Nothing is
discounted. Who was won longer ago than that is known, not foretold.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laotie.base.refusals import Conflict
from laotie.insight import backtest, forecast, repurchase
from laotie.insight.acquisition import win
from laotie.insight.identities import Level
from laotie.insight.model import Definition, Measure, Unit, Words
from laotie.insight.people import US_PER_DAY, of_one
from laotie.insight.terms import GmvKind

LIFETIME_DAYS = 365
NEWCOMER = (0.0, 0.0, 0.0, np.nan, 0.0)
"""The history of nobody."""


class FitUnsure(Conflict, code="fit-unsure"):
    """The laws did not settle on these histories, so nothing is foretold by them."""


class Worth(NamedTuple):
    """Of some new buyers in minor units: what they have brought in their first `LIFETIME_DAYS`, and what is still expected."""

    buyers: int
    realised: int
    expected: int

    def __add__(self, other: object) -> "Worth":
        assert isinstance(other, Worth)
        return Worth(*(one + more for one, more in zip(self, other, strict=True)))


Won = tuple[str, str]
"""A source and a campaign (empty: none)."""


def brought(
    money: ir.Table, person: ir.Table, *, of: UUID | None = None, since: date | None = None, until: date | None = None
) -> ir.Table:
    """One row a new buyer: source, campaign, currency, buyer, and the net amount of their first `LIFETIME_DAYS`."""
    first, moved = win(money, person, of=of, since=since, until=until)
    joined = first.left_join(moved, [first.buyer == moved.who, first.currency == moved.moved_in])
    within = joined.moved_us < joined.won_us + LIFETIME_DAYS * US_PER_DAY
    keys = ("source", "campaign", "currency", "buyer")
    return joined.group_by(keys).agg(net=ibis.coalesce(joined.moved.sum(where=within), 0).cast("int64")).order_by(keys)


def kept(order_days: ir.Table, *, level: Level = Level.platform, of: UUID | None = None) -> ir.Table:
    """By currency: what was ever paid, and what of it stayed."""
    rows = of_one(order_days, f"{level}_id", of)
    sums = {
        kind.value: ibis.coalesce(rows.amount.sum(where=rows.kind == kind.value), 0).cast("int64")
        for kind in (GmvKind.paid, GmvKind.net)
    }
    return rows.group_by("currency").agg(**sums).order_by("currency")


def foresee(purchases: pa.Table, won: pa.Table, seen_until: date, *, share: float) -> dict[Won, Worth]:
    """What the new buyers `won` (rows of `brought`) will have been worth, by source and campaign.

    `purchases`: the rows of `repurchase.purchase_days` in the same currency, of everybody; `share`: how much of what is paid stays.
    Refuses `TooFewCustomers`, `TooFewRepeats`, `FitUnsure`.
    """
    known, ids = repurchase.read_histories(purchases, seen_until)
    outlook = backtest.foretell(known.customers, LIFETIME_DAYS / backtest.WEEK_DAYS, fitted_max=repurchase.FITTED_MAX)
    spend = outlook.spend or forecast.fit_spend(known.customers)  # which says why there is none
    if not (spend.converged and all(fit.converged for fit in outlook.fits)):
        raise FitUnsure()
    # Last stands somebody of whom nothing is known yet: who came first today.
    customers = forecast.Customers(*(np.append(column, of) for column, of in zip(known.customers, NEWCOMER, strict=True)))
    first = np.append(known.first, seen_until.toordinal())
    place = pc.index_in(won.column("buyer"), ids).fill_null(-1).to_numpy()
    sales = np.zeros(len(place))
    left = np.maximum(first[place] + LIFETIME_DAYS - seen_until.toordinal(), 0)
    for days in np.unique(left[left > 0]).tolist():
        those = left == days
        some = forecast.Customers(*(column[place[those]] for column in customers))
        sales[those] = backtest.expect(outlook.fits, outlook.weights, some, days / backtest.WEEK_DAYS)
        sales[those] *= forecast.expect_spend(spend, some) * share
    return _add_up(won, sales)


def _add_up(won: pa.Table, expected: forecast.Floats) -> dict[Won, Worth]:
    found: dict[Won, tuple[int, int, float]] = {}
    rows: Iterable[tuple[str, str, int, float]] = zip(
        *(won.column(name).to_pylist() for name in ("source", "campaign", "net")), expected.tolist(), strict=True
    )
    for source, campaign, net, more in rows:
        buyers, realised, so_far = found.get((source, campaign), (0, 0, 0.0))
        found[source, campaign] = (buyers + 1, realised + net, so_far + more)
    return {key: Worth(buyers, realised, round(more)) for key, (buyers, realised, more) in found.items()}


def see_until(purchases: pa.Table, today: date) -> date:
    """From which day on one looks ahead: today, or, of books that ended long before, the day after their last purchase."""
    last = pc.max(purchases.column("day")).as_py() or today
    return today if (today - last).days <= repurchase.HORIZON_DAYS else last + timedelta(days=1)


DEFINITIONS = (
    Definition(
        key="lifetime_value",
        name=Words("12 个月价值(预测 LTV)", "12-month value (forecast LTV)"),
        about=Words(
            "新买家自首单起 365 天的净 GMV:已带来的部分,加上剩余天数按 BG/NBD 与“三类人”模型(AIC 加权)推算的购买次数,"
            "乘以 Gamma-Gamma 推算的单笔金额,再乘以至今支付额中留下来(未退)的比例。模型用全部买家拟合。不折现,是成交额,不是毛利。"
            "买家或回头客太少、模型不收敛时不给数,并说明原因。",
            "Net GMV of a new buyer's first 365 days: what they have brought, and for the days left the purchases expected by"
            " BG/NBD and the law of three kinds of people (weighted by AIC), times what Gamma-Gamma expects of a purchase, times"
            " the share of what was ever paid that stayed. The laws are fitted to all buyers. Not discounted; turnover, not margin."
            " With too few buyers or repeats, or where the laws do not settle, there is no figure, and the reason is said.",
        ),
        unit=Unit.money,
        formula="(Σ net GMV within 365 days so far + Σ expected purchases × expected amount × net / paid) / new buyers",
        terms=("realised_value", "repurchase_forecast", "gmv_net", "gmv_paid", "new_buyers"),
        measure="new_buyer_values",
    ),
)

MEASURES = (
    Measure("new_buyer_values", lambda lake: brought(lake["money"], lake["person"])),
    Measure("kept_of_paid", lambda lake: kept(lake["order_days"])),
)
