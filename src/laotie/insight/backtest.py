"""What a forecast would have said, and what came: purchases up to a day, a forecast from these alone, the purchases after it.

Purchases of one customer on one day are one (as Fader & Hardie count). The law is chosen by what is known on the day of
the forecast: the published BG/NBD and the law of three kinds are mixed by their Akaike weights. What came later is only
ever compared.
"""

from datetime import date
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from laotie.base.refusals import Conflict
from laotie.insight import forecast
from laotie.insight.forecast import Customers, Fit, Floats, Law, SpendFit, TooFewRepeats

MIXED = (Law.bg_nbd, Law.three_kinds)
WEEK_DAYS = 7
FITTED_MAX = 100_000
"""Customers whom laws are fitted to; of more, every so many-th. All are foretold."""


class HoldoutBackwards(Conflict, code="holdout-backwards"):
    """What the forecast is compared with must come after what it is made from."""

    calibration_end: date
    holdout_end: date


class Purchases(NamedTuple):
    """Purchases in any order: whose (numbers from 0), on which day (proleptic ordinal), worth how much (any one unit)."""

    customer: NDArray[np.int64]
    day: NDArray[np.int64]
    amount: Floats


class Split(NamedTuple):
    """Customers known on a day, in the order of their numbers, and what each bought after it."""

    numbers: NDArray[np.int64]
    first: NDArray[np.int64]
    """Day of the first purchase."""
    customers: Customers
    came: Floats
    value: Floats


class Outlook(NamedTuple):
    """What is expected of each customer."""

    fits: list[Fit]
    weights: list[float]
    """How much each law counts."""
    spend: SpendFit | None
    purchases: Floats
    amounts: Floats


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """How good a forecast was. `None` where there is nothing to divide by.

    `total_error` is foretold / actual - 1; `top_decile_capture` the share of what came that came from the tenth of the
    customers of whom most was foretold.
    """

    foretold: float
    total_error: float | None
    correlation: float | None
    top_decile_capture: float | None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A forecast held against what came, beside the naive one: everybody goes on at the rate so far."""

    total_error: float | None
    correlation: float | None
    top_decile_capture: float | None
    naive: Score
    laws: dict[str, Score]
    weights: dict[str, float]
    fits: list[Fit]
    spend: SpendFit | None
    value_total_error: float | None
    """Of the money, where amounts are known."""
    customers: int
    repeats: int
    weeks: float
    actual: int
    foretold: float
    converged: bool


def split(purchases: Purchases, on: date, until: date | None = None) -> Split:
    """Histories up to and with a day, and what came in the days after it, up to and with `until`."""
    keys, where = np.unique(np.stack([purchases.customer, purchases.day]), axis=1, return_inverse=True)
    amounts = _sum(where.ravel(), purchases.amount, keys.shape[1])
    who, day = keys
    end = on.toordinal()
    known = day <= end
    numbers, starts, inverse = np.unique(who[known], return_index=True, return_inverse=True)
    days, spent = day[known], amounts[known]
    first = days[starts]
    last = np.maximum.reduceat(days, starts) if len(starts) else days
    is_repeat = days > first[inverse]
    size = len(numbers)
    valued = _sum(inverse, is_repeat & (spent > 0), size)
    total = _sum(inverse, np.where(is_repeat & (spent > 0), spent, 0), size)
    mean = np.divide(total, valued, out=np.full(size, np.nan), where=valued > 0)
    customers = Customers(
        repeats=_sum(inverse, is_repeat, size),
        recency=(last - first) / WEEK_DAYS,
        age=(end - first) / WEEK_DAYS,
        spend=mean,
        valued=valued,
    )
    later = (day > end) & (day <= (until.toordinal() if until else end)) & np.isin(who, numbers)
    place = np.searchsorted(numbers, who[later])
    return Split(
        numbers,
        first,
        customers,
        _sum(place, np.ones(len(place)), size),
        _sum(place, amounts[later], size),
    )


def _sum(where: NDArray[np.int64], what: NDArray[Any], size: int) -> Floats:
    return np.bincount(where, weights=what, minlength=size).astype(np.float64)


def foretell(customers: Customers, weeks: float, *, fitted_max: int = FITTED_MAX) -> Outlook:
    """Fit the laws and expect by all of them, each as far as it is to be believed. Refuses what `forecast.fit` refuses."""
    some = _some(customers, fitted_max)
    fits = [forecast.fit(law, some) for law in MIXED]
    weights = forecast.weigh(fits)
    expected = expect(fits, weights, customers, weeks)
    try:
        spend = forecast.fit_spend(some)
    except TooFewRepeats:
        return Outlook(fits, weights, None, expected, np.zeros_like(expected))
    return Outlook(fits, weights, spend, expected, expected * forecast.expect_spend(spend, customers))


def expect(fits: list[Fit], weights: list[float], customers: Customers, weeks: float) -> Floats:
    """How many purchases each customer is expected to make, by laws that count as much as their weights."""
    return sum(
        (weight * forecast.expect(one, customers, weeks) for one, weight in zip(fits, weights, strict=True)),
        start=np.zeros(len(customers.repeats)),
    )


def judge(purchases: Purchases, calibration_end: date, holdout_end: date, *, fitted_max: int = FITTED_MAX) -> Verdict:
    """Foretell from the purchases up to a day those after it, and compare.

    Refuses `HoldoutBackwards`, and what `forecast.fit` refuses.
    """
    if holdout_end <= calibration_end:
        raise HoldoutBackwards(calibration_end=calibration_end, holdout_end=holdout_end)
    known = split(purchases, calibration_end, holdout_end)
    weeks = (holdout_end - calibration_end).days / WEEK_DAYS
    outlook = foretell(known.customers, weeks, fitted_max=fitted_max)
    some = _some(known.customers, fitted_max)
    others = [one for one in Law if one not in MIXED]
    fits = [*outlook.fits, *(forecast.fit(law, some) for law in others)]
    laws = {one.law.value: score(forecast.expect(one, known.customers, weeks), known.came) for one in fits}
    own = score(outlook.purchases, known.came)
    priced = outlook.spend is not None and known.value.sum() > 0
    return Verdict(
        total_error=own.total_error,
        correlation=own.correlation,
        top_decile_capture=own.top_decile_capture,
        naive=score(_naive(known.customers, weeks), known.came),
        laws=laws,
        weights={one.law.value: weight for one, weight in zip(outlook.fits, outlook.weights, strict=True)},
        fits=fits,
        spend=outlook.spend,
        value_total_error=float(outlook.amounts.sum() / known.value.sum() - 1) if priced else None,
        customers=len(known.numbers),
        repeats=int(known.customers.repeats.sum()),
        weeks=weeks,
        actual=int(known.came.sum()),
        foretold=own.foretold,
        converged=all(one.converged for one in fits) and (outlook.spend is None or outlook.spend.converged),
    )


def score(foretold: Floats, came: Floats) -> Score:
    """Hold what was foretold of each customer against what came. Who is equal counts in the order of the customers."""
    total = float(came.sum())
    varies = len(came) > 1 and foretold.std() > 0 and came.std() > 0
    best = np.argsort(-foretold, kind="stable")[: -(-len(came) // 10)]
    return Score(
        foretold=float(foretold.sum()),
        total_error=float(foretold.sum()) / total - 1 if total else None,
        correlation=float(np.corrcoef(foretold, came)[0, 1]) if varies else None,
        top_decile_capture=float(came[best].sum()) / total if total else None,
    )


def _some(customers: Customers, most: int) -> Customers:
    step = -(-len(customers.repeats) // most)
    return customers if step <= 1 else Customers(*(column[::step] for column in customers))


def _naive(customers: Customers, weeks: float) -> Floats:
    """Everybody goes on as often as so far."""
    return np.divide(customers.repeats * weeks, customers.age, out=np.zeros_like(customers.age), where=customers.age > 0)
