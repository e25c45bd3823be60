"""The demonstration's past: customers who came steadily until today, so that its own forecast is believable on any day."""

from collections import Counter
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from laotie.demo.past_customers import PURCHASES, SHOWS_HERE, WEEKS
from laotie.demo.past_orders import imagine
from laotie.insight import backtest
from laotie.insight.repurchase import HORIZON_DAYS

DAYS = (date(2026, 11, 23), date(2027, 1, 1), date(2027, 3, 31), date(2028, 2, 29))
SHANGHAI = ZoneInfo("Asia/Shanghai")


def test_forecast_of_the_past_errs_by_less_than_fifteen_percent_and_less_than_the_naive_one() -> None:
    """By days back from today, so on every day the same."""
    today = date(2026, 11, 23)
    purchases = backtest.Purchases(
        np.array([one.customer for one in PURCHASES]),
        np.array([today.toordinal() - one.ago for one in PURCHASES]),
        np.ones(len(PURCHASES)),
    )
    last = today - timedelta(days=1)
    verdict = backtest.judge(purchases, last - timedelta(days=HORIZON_DAYS), last)
    assert verdict.actual > 200
    assert verdict.total_error == pytest.approx(0, abs=0.15)
    assert verdict.naive.total_error is not None and abs(verdict.naive.total_error) > 0.3


@pytest.mark.parametrize("today", DAYS, ids=str)
def test_every_month_has_new_and_old_buyers_and_the_last_days_have_orders(today: date) -> None:
    first = {one.customer: today - timedelta(days=one.ago) for one in PURCHASES if one.is_first}
    bought = [(one, today - timedelta(days=one.ago)) for one in PURCHASES]
    months = Counter((day.year, day.month) for _, day in bought)
    new = Counter((day.year, day.month) for day in first.values())
    back = {
        ((first[one.customer].year, first[one.customer].month), (day.year, day.month)) for one, day in bought if not one.is_first
    }
    whole = sorted(months)[1:-1]
    assert len(whole) >= 12
    assert min(months[month] for month in whole) >= 40
    assert min(new[month] for month in whole) >= 25
    for number, month in enumerate(whole):
        assert all((month, later) in back for later in whole[number + 1 : number + 4]), "a cohort comes back month by month"
    ago = {one.ago for one in PURCHASES}
    assert 1 in ago and len({one for one in ago if one <= 7}) == 3
    assert max(ago) <= WEEKS * 7


@pytest.mark.parametrize("today", DAYS, ids=str)
def test_what_is_brought_along_lies_before_today_and_comes_back_as_much_as_at_a_real_retailer(today: date) -> None:
    sold, returned = imagine(today, SHANGHAI)
    assert (sold, returned) == imagine(today, SHANGHAI), "the same in every run"
    assert len(sold) + sum(one.is_here for one in PURCHASES) == len(PURCHASES)
    assert max(deal.at.astimezone(SHANGHAI).date() for deal in sold + returned) < today
    assert len({deal.reference for deal in sold + returned}) == len(sold) + len(returned)
    orders = {deal.reference: deal for deal in sold}
    for back in returned:
        order = orders[back.reference[1:]]
        assert back.buyer_id == order.buyer_id and back.at > order.at and back.total_amount <= order.total_amount
    value = sum(back.total_amount for back in returned) / sum(order.total_amount for order in sold)
    assert value == pytest.approx(0.05, abs=0.015)
    here = {(today - timedelta(days=ago)).isoweekday() for ago in SHOWS_HERE}
    assert len(here) == 1, "a show a week, on its day"
