"""Who buys again, over HTTP: repurchase by month, the cohort triangle, returns, and a forecast that says how wrong it was."""

from datetime import date, timedelta
from itertools import pairwise
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pyarrow.compute as pc
from litestar import Response, get
from litestar.params import QueryParameter

from laotie.base.db import Database
from laotie.base.refusals import Refusal
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.insight import Engine, definitions, lifetime, repurchase
from laotie.insight.backtest import Score, Verdict
from laotie.insight.forecast import TooFewCustomers, TooFewRepeats
from laotie.insight.identities import Level
from laotie.web.figures import figures
from laotie.web.given import Given
from laotie.web.house import House
from laotie.web.insight_asked import Asked, FigureAnswer, InLevel, InOf, admit, find_today, share_of
from laotie.web.insight_currency import InCurrency, rank_currencies, usual_currency
from laotie.web.insight_exports import FigureForm, InFigureForm, give
from laotie.web.insight_growth import LevelRefused

MONTHS_USUAL = 12
MONTHS_MAX = 36
RETURNED = ("paid", "returned", "cancelled")

InMonths = Annotated[
    int, QueryParameter(name="months", ge=1, le=MONTHS_MAX, description="How many months, this one included. Usually twelve.")
]


class RepurchaseMonth(msgspec.Struct, frozen=True, kw_only=True):
    """A month: who bought, how many of them twice or more in it (`again`), how many for the first time (`new`); buyers up to its
    end (`ever`), and those of two orders or more (`ever_again`). Of those new in it: whose 30 and 90 days are over (`due_…`),
    and who ordered again in them. What was paid, and what of all came back in it: `returned`, apart from orders cancelled
    unpaid and from chargebacks (`reversed`). Amounts in minor units.
    """

    month: date
    currency: str
    buyers: int
    orders: int
    again: int
    again_share: float | None
    new: int
    due_30: int
    again_30: int
    again_30_share: float | None
    due_90: int
    again_90: int
    again_90_share: float | None
    ever: int
    ever_again: int
    ever_again_share: float | None
    paid_orders: int
    paid_amount: int
    returned_orders: int
    returned_amount: int
    returned_share: float | None
    returned_orders_share: float | None
    cancelled_orders: int
    cancelled_amount: int
    reversed_orders: int
    reversed_amount: int


class RepurchaseTotal(msgspec.Struct, frozen=True, kw_only=True):
    """Of all these months together; `ever` as of their end."""

    due_30: int
    again_30: int
    again_30_share: float | None
    due_90: int
    again_90: int
    again_90_share: float | None
    ever: int
    ever_again: int
    ever_again_share: float | None
    paid_orders: int
    paid_amount: int
    returned_orders: int
    returned_amount: int
    returned_share: float | None
    returned_orders_share: float | None
    cancelled_orders: int
    cancelled_amount: int


class CohortRow(msgspec.Struct, frozen=True, kw_only=True):
    """Buyers who came first in a month, so many months later: how many bought, their orders, what stayed of the money.

    Without a first month: money that went back to somebody of whom no purchase is known.
    """

    first_month: date | None
    months_since: int | None
    cohort_buyers: int
    buyers: int
    buyers_share: float | None
    orders: int
    net_amount: int
    currency: str


class ForecastRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected of the buyers who came first in a month."""

    first_month: date
    buyers: int
    purchases: float
    amount: int | None
    currency: str


class RepurchaseAbout(FigureAnswer, frozen=True, kw_only=True):
    """What an answer about repurchase is about."""

    currency: str
    currencies: list[str]


class RepurchaseAnswer(RepurchaseAbout, frozen=True, kw_only=True):
    """In total, and month by month; months without an order or a refund are left out."""

    total: RepurchaseTotal
    items: list[RepurchaseMonth]


class CohortAnswer(RepurchaseAbout, frozen=True, kw_only=True):
    """The triangle of all cohorts that began in these months, in order; the money of no known cohort last."""

    items: list[CohortRow]


class PastError(msgspec.Struct, frozen=True, kw_only=True):
    """What the same method foretold for the last days from what was known before them, what came, and the naive rate's error."""

    since: date
    until: date
    customers: int
    actual: int
    foretold: float
    total_error: float | None
    correlation: float | None
    top_decile_capture: float | None
    value_total_error: float | None
    naive: Score


class ForecastAnswer(RepurchaseAbout, frozen=True, kw_only=True):
    """Expected purchases from `since` to the day before `until`; `past` says how wrong the method was lately.

    Where too little is known there is no forecast: `refused` says why (`too-few-customers`, `too-few-repeats`).
    """

    days: int
    refused: str | None
    facts: dict[str, int]
    items: list[ForecastRow]
    weights: dict[str, float]
    converged: bool
    past: PastError | None


@get("/api/insight/repurchase")
async def get_repurchase(
    actor: Given[Actor], db: Given[Database], house: Given[House], settings: Given[Settings], level: InLevel,
    of: InOf = None, months: InMonths = MONTHS_USUAL, currency: InCurrency = None, form: InFigureForm = FigureForm.json,
) -> Response[RepurchaseAnswer]:  # fmt: skip
    """Who bought again, month by month: in the month, within 30 and 90 days, ever; and what came back. Not of a single show."""
    asked, about = await _ask(db, actor, settings, level, of, months)
    seen_until, usual = find_today(db.clock, settings), await usual_currency(db, asked)
    found = await figures(house).run(lambda engine: _read_months(engine, asked, about, currency, usual, seen_until))
    chosen, currencies, rows = found.answer
    answer = RepurchaseAnswer(**about, as_of=found.as_of, currency=chosen, currencies=currencies, total=_total(rows), items=rows)
    return give(form, answer, rows, RepurchaseMonth, name=f"repurchase-{level}-{about['since']}")


@get("/api/insight/cohorts")
async def get_cohorts(
    actor: Given[Actor], db: Given[Database], house: Given[House], settings: Given[Settings], level: InLevel,
    of: InOf = None, months: InMonths = MONTHS_USUAL, currency: InCurrency = None, form: InFigureForm = FigureForm.json,
) -> Response[CohortAnswer]:  # fmt: skip
    """The triangle: buyers by the month of their first purchase, in each month since. Not of a single show."""
    asked, about = await _ask(db, actor, settings, level, of, months)
    found = await figures(house).run(
        lambda engine: engine.run(repurchase.cohorts(_order_days(engine), level=asked.level, of=asked.of)).to_pylist()
    )
    chosen, currencies = await _choose(db, asked, currency, found.answer)
    mine = [one for one in found.answer if one["currency"] == chosen]
    about |= _window(about, [_later(one["first_month"], one["since"]) for one in mine if one["first_month"]])
    shown = [one for one in mine if one["first_month"] is None or _within(one["first_month"], about)]
    shown.sort(key=lambda one: (one["first_month"] is None, one["first_month"] or date.min, one["since"] or 0))
    sizes = {one["first_month"]: one["buyers"] for one in shown if one["since"] == 0}
    rows = [_cohort(one, sizes) for one in shown]
    answer = CohortAnswer(**about, as_of=found.as_of, currency=chosen, currencies=currencies, items=rows)
    return give(form, answer, rows, CohortRow, name=f"cohorts-{level}-{about['since']}")


@get("/api/insight/repurchase/forecast")
async def get_repurchase_forecast(
    actor: Given[Actor], db: Given[Database], house: Given[House], settings: Given[Settings], level: InLevel,
    of: InOf = None, currency: InCurrency = None, form: InFigureForm = FigureForm.json,
) -> Response[ForecastAnswer]:  # fmt: skip
    """How many purchases each cohort will make in the coming 90 days, and how wrong the same forecast has been. Not of a show."""
    asked, about = await _ask(db, actor, settings, level, of, MONTHS_USUAL)
    today = find_today(db.clock, settings)
    usual = await usual_currency(db, asked)
    found = await figures(house).run(lambda engine: _read_forecast(engine, asked, currency, usual, today))
    chosen, currencies, since, outlook = found.answer
    days = repurchase.HORIZON_DAYS
    about |= {"since": since, "until": since + timedelta(days=days)}
    shared: dict[str, Any] = {**about, "as_of": found.as_of, "currency": chosen, "currencies": currencies, "days": days}
    if isinstance(outlook, Refusal):
        nothing = ForecastAnswer(
            **shared, refused=outlook.code, facts=outlook.facts(), items=[], weights={}, converged=False, past=None
        )
        return give(form, nothing, [], ForecastRow, name=f"forecast-{level}-{since}")
    rows = [
        ForecastRow(first_month=one.first_month, buyers=one.buyers, purchases=one.purchases, amount=one.amount, currency=chosen)
        for one in outlook.cohorts
    ]
    fits = outlook.parameters.fits
    answer = ForecastAnswer(
        **shared, refused=None, facts={}, items=rows, converged=all(one.converged for one in fits),
        weights={one.law.value: weight for one, weight in zip(fits, outlook.parameters.weights, strict=True)},
        past=None if outlook.past is None else _past(outlook.past, since, days),
    )  # fmt: skip
    return give(form, answer, rows, ForecastRow, name=f"forecast-{level}-{since}")


async def _ask(
    db: Database, actor: Actor, settings: Settings, level: Level, of: UUID | None, months: int
) -> tuple[Asked, dict[str, Any]]:
    """Whose, and what every answer says of itself: whole months up to this one."""
    if level is Level.show:
        raise LevelRefused(level=level)
    asked = await admit(db, actor, level, of, zone=settings.books_zone)
    this = find_today(db.clock, settings).replace(day=1)
    since, until = _later(this, 1 - months), _later(this, 1)
    return asked, {"level": asked.level, "of": asked.of, "since": since, "until": until, "zone": settings.books_zone}


async def _choose(db: Database, asked: Asked, currency: str | None, rows: list[dict[str, Any]]) -> tuple[str, list[str]]:
    """The currency that is meant, of those that there are."""
    return _chosen(rows, currency, await usual_currency(db, asked))


def _chosen(rows: list[dict[str, Any]], currency: str | None, usual: str) -> tuple[str, list[str]]:
    there = rank_currencies((row["currency"], row["orders"]) for row in rows)
    return currency or next(iter(there), usual), there


def _order_days(engine: Engine) -> Any:
    return definitions.Computed(engine)["order_days"]


def _read_months(
    engine: Engine, asked: Asked, about: dict[str, Any], currency: str | None, usual: str, seen_until: date
) -> tuple[str, list[str], list[RepurchaseMonth]]:
    """Three measures of the same months, side by side; `about` is told which months these are."""
    orders = repurchase.paid_orders(_order_days(engine), level=asked.level, of=asked.of)
    found = engine.run(repurchase.months(orders)).to_pylist()
    chosen, currencies = _chosen(found, currency, usual)
    months = {row["month"]: row for row in found if row["currency"] == chosen}
    about |= _window(about, list(months))
    # What came back is read of the shown months alone: its facts are not rolled up.
    money = definitions.Computed(engine, about["since"], about["until"])["money"]
    for measure in (
        repurchase.windows(orders, seen_until=seen_until).drop("buyers"),
        repurchase.returns(money, level=asked.level, of=asked.of),
    ):
        for row in engine.run(measure).to_pylist():
            if row["currency"] == chosen:
                months.setdefault(row["month"], {}).update(row)
    rows = [months[month] for month in sorted(months)]
    for before, row in pairwise(rows):
        if "ever" not in row:  # nobody bought: as many as before
            row |= {name: before.get(name, 0) for name in ("ever", "ever_again")}
    return chosen, currencies, [_month(row) for row in rows if _within(row["month"], about)]


def _read_forecast(
    engine: Engine, asked: Asked, currency: str | None, usual: str, today: date
) -> tuple[str, list[str], date, repurchase.Outlook | Refusal]:
    """From today; of books that ended long before, from the day after their last purchase."""
    orders = repurchase.paid_orders(_order_days(engine), level=asked.level, of=asked.of)
    found = engine.run(repurchase.purchase_days(orders))
    named = [{"currency": one["values"], "orders": one["counts"]} for one in found.column("currency").value_counts().to_pylist()]
    chosen, currencies = _chosen(named, currency, usual)
    rows = found.filter(pc.field("currency") == chosen)
    since = lifetime.see_until(rows, today)
    try:
        return chosen, currencies, since, repurchase.foretell(rows, since)
    except (TooFewCustomers, TooFewRepeats) as refusal:
        return chosen, currencies, since, refusal


def _month(row: dict[str, Any]) -> RepurchaseMonth:
    counts = {name: row.get(name, 0) for name in RepurchaseMonth.__struct_fields__ if not name.endswith("_share")}
    return RepurchaseMonth(
        **counts | {"month": row["month"], "currency": row["currency"]},
        again_share=share_of(counts["again"], counts["buyers"]),
        again_30_share=share_of(counts["again_30"], counts["due_30"]),
        again_90_share=share_of(counts["again_90"], counts["due_90"]),
        ever_again_share=share_of(counts["ever_again"], counts["ever"]),
        returned_share=share_of(counts["returned_amount"], counts["paid_amount"]),
        returned_orders_share=share_of(counts["returned_orders"], counts["paid_orders"]),
    )


def _total(rows: list[RepurchaseMonth]) -> RepurchaseTotal:
    added = ("due_30", "again_30", "due_90", "again_90", *(f"{kind}_{what}" for kind in RETURNED for what in ("orders", "amount")))
    sums = {name: sum(getattr(row, name) for row in rows) for name in added}
    ever, ever_again = max((row.ever for row in rows), default=0), max((row.ever_again for row in rows), default=0)
    return RepurchaseTotal(
        **sums,
        ever=ever,
        ever_again=ever_again,
        again_30_share=share_of(sums["again_30"], sums["due_30"]),
        again_90_share=share_of(sums["again_90"], sums["due_90"]),
        ever_again_share=share_of(ever_again, ever),
        returned_share=share_of(sums["returned_amount"], sums["paid_amount"]),
        returned_orders_share=share_of(sums["returned_orders"], sums["paid_orders"]),
    )


def _cohort(row: dict[str, Any], sizes: dict[date | None, int]) -> CohortRow:
    size = sizes.get(row["first_month"], 0)
    return CohortRow(
        first_month=row["first_month"], months_since=row["since"], cohort_buyers=size, buyers=row["buyers"],
        buyers_share=share_of(row["buyers"], size), orders=row["orders"], net_amount=row["net_amount"], currency=row["currency"],
    )  # fmt: skip


def _past(verdict: Verdict, until: date, days: int) -> PastError:
    return PastError(
        since=until - timedelta(days=days), until=until, customers=verdict.customers, actual=verdict.actual,
        foretold=verdict.foretold, total_error=verdict.total_error, correlation=verdict.correlation,
        top_decile_capture=verdict.top_decile_capture, value_total_error=verdict.value_total_error, naive=verdict.naive,
    )  # fmt: skip


def _window(about: dict[str, Any], months: list[date]) -> dict[str, date]:
    """As many months up to this one; of books that ended before these (an import), up to their last."""
    if not months or (last := max(months)) >= about["since"]:
        return {}
    back = (about["until"].year - last.year) * 12 + about["until"].month - last.month - 1
    return {"since": _later(about["since"], -back), "until": _later(last, 1)}


def _later(month: date, by: int) -> date:
    months = month.year * 12 + month.month - 1 + by
    return date(months // 12, months % 12 + 1, 1)


def _within(month: date, about: dict[str, Any]) -> bool:
    return bool(about["since"] <= month < about["until"])


ROUTES = [get_repurchase, get_cohorts, get_repurchase_forecast]
