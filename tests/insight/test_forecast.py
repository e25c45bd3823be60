"""Forecasts: published parameters, customers made by a known law, sums done the slow way, and data that say nothing."""

import csv
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import optimize
from scipy.integrate import quad
from scipy.stats import beta, gamma

from laotie.insight import forecast
from laotie.insight.backtest import HoldoutBackwards, Purchases, foretell, judge, score, split
from laotie.insight.forecast import Customers, Fit, Law, TooFewCustomers, TooFewRepeats
from laotie.insight.transactions import NotTransactions, read

DATA = Path(__file__).parents[1] / "data" / "cdnow"


def known(*histories: tuple[float, float, float]) -> Customers:
    repeats, recency, age = np.array(histories).T
    return Customers(repeats, recency, age, np.full_like(age, np.nan), np.zeros_like(age))


@pytest.fixture(scope="module")
def cdnow() -> Customers:
    with (DATA / "customers.csv").open() as file:
        rows = np.array([[float(row[name]) for name in ("x", "t_x", "T", "zbar")] for row in csv.DictReader(file)])
    return Customers(rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3], rows[:, 0])


@pytest.mark.parametrize(
    ("law", "published", "likelihood"),
    [
        (Law.bg_nbd, {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}, -9582.4),
        (Law.pareto_nbd, {"r": 0.553, "alpha": 10.578, "s": 0.606, "beta": 11.669}, -9595.0),
    ],
)
def test_cdnow_gives_the_published_parameters(cdnow: Customers, law: Law, published: dict[str, float], likelihood: float) -> None:
    fit = forecast.fit(law, cdnow)
    assert fit.converged and not fit.at_edge and fit.customers == 2357
    assert fit.parameters == pytest.approx(published, abs=2e-3 if law is Law.pareto_nbd else 5.1e-4)
    assert fit.log_likelihood == pytest.approx(likelihood, abs=0.05)


def test_cdnow_s_spend_gives_the_published_parameters(cdnow: Customers) -> None:
    fit = forecast.fit_spend(cdnow)
    assert fit.converged and fit.customers == 946
    assert (fit.p, fit.q, fit.v) == pytest.approx((6.25, 3.74, 15.45), abs=0.006)
    nobody = forecast.expect_spend(fit, known((0, 0, 10)))
    assert nobody == pytest.approx([fit.p * fit.v / (fit.q - 1)])


def test_cdnow_s_next_39_weeks_are_foretold_within_eight_percent_and_the_naive_rate_is_far_off() -> None:
    purchases, rows = read(DATA / "transactions.csv.gz")
    assert (rows.rows, rows.purchases, rows.refused) == (6919, 6919, {})
    verdict = judge(purchases, date(1997, 9, 30), date(1998, 6, 30))
    assert (verdict.customers, verdict.actual, verdict.weeks) == (2357, 1882, 39)
    assert verdict.converged
    assert verdict.total_error == pytest.approx(-0.034, abs=0.002)
    assert verdict.naive.total_error == pytest.approx(0.557, abs=0.001)
    assert verdict.laws["bg_nbd"].total_error == pytest.approx(-0.121, abs=0.001)
    assert verdict.laws["pareto_nbd"].total_error == pytest.approx(-0.115, abs=0.001)
    assert verdict.correlation is not None and verdict.naive.correlation is not None
    assert verdict.correlation > verdict.naive.correlation + 0.03
    assert verdict.top_decile_capture == pytest.approx(0.464, abs=0.005)


def test_what_came_later_is_compared_and_never_looked_at() -> None:
    purchases, _ = read(DATA / "transactions.csv.gz")
    end = date(1997, 9, 30)
    before = purchases.day <= end.toordinal()
    early = Purchases(purchases.customer[before], purchases.day[before], purchases.amount[before])
    knowing, ignorant = split(purchases, end, date(1998, 6, 30)), split(early, end, date(1998, 6, 30))
    assert all(np.array_equal(one, other, equal_nan=True) for one, other in zip(knowing.customers, ignorant.customers, strict=True))
    assert (knowing.came.sum(), ignorant.came.sum()) == (1882, 0)
    nothing = score(np.ones(20), ignorant.came[:20])
    assert (nothing.total_error, nothing.correlation, nothing.top_decile_capture) == (None, None, None)


def slowly_bg(x: float, recency: float, age: float, weeks: float) -> float:
    """What comes, by integrating over everybody's rate and share of leaving on a fine grid."""
    grid = (np.arange(1000) + 0.5) / 1000
    p, rate = grid[:, None], grid[None, :] * 4
    prior = gamma.pdf(rate, R, scale=1 / ALPHA) * beta.pdf(p, A, B)
    there = (1 - p) ** x * rate**x * np.exp(-rate * age) * prior
    left = p * (1 - p) ** (x - 1) * rate**x * np.exp(-rate * recency) * prior if x > 0 else np.zeros(1)
    return float((there * -np.expm1(-rate * p * weeks) / p).sum() / (there.sum() + left.sum()))


R, ALPHA, A, B = 2.6, 5.0, 2.3, 3.5


@pytest.mark.parametrize(("x", "recency", "age"), [(3.0, 20.0, 30.0), (0.0, 0.0, 12.0), (9.0, 29.0, 30.0)])
def test_bg_nbd_is_the_integral_that_it_stands_for(x: float, recency: float, age: float) -> None:
    parameters = {"r": R, "alpha": ALPHA, "a": A, "b": B}
    fit = Fit(law=Law.bg_nbd, parameters=parameters, log_likelihood=0, customers=0, converged=True, at_edge=[])
    found = forecast.expect(fit, known((x, recency, age)), 10)[0]
    assert found == pytest.approx(slowly_bg(x, recency, age, 10), rel=1e-4)


@pytest.mark.parametrize(("alpha", "betas"), [(10.6, 4.0), (4.0, 10.6), (7.0, 7.0)])
def test_pareto_nbd_is_the_integral_that_it_stands_for(alpha: float, betas: float) -> None:
    r, s, x, recency, age = 0.9, 1.4, 4.0, 21.0, 33.0

    def left_at(time: float) -> float:
        return float(s * betas**s / (betas + time) ** (s + 1) * (alpha / (alpha + time)) ** r * (alpha + time) ** -x)

    left = quad(left_at, recency, age, epsrel=1e-11)[0]
    there = (betas / (betas + age)) ** s * (alpha / (alpha + age)) ** r * (alpha + age) ** -x
    parameters = {"r": r, "alpha": alpha, "s": s, "beta": betas}
    fit = Fit(law=Law.pareto_nbd, parameters=parameters, log_likelihood=0, customers=0, converged=True, at_edge=[])
    rate = (r + x) / (alpha + age)
    lasting = (betas + age) / (s - 1) * (1 - ((betas + age) / (betas + age + 10)) ** (s - 1))
    found = forecast.expect(fit, known((x, recency, age)), 10)[0]
    assert found == pytest.approx(there / (there + left) * rate * lasting, rel=1e-9)


def listed(rows: list[tuple[int, int, float]]) -> Purchases:
    customer, day, amount = np.array(rows).T
    return Purchases(customer.astype(np.int64), day.astype(np.int64), amount)


def people(count: int, *, loyal: float, passing: float) -> Purchases:
    """Customers of three kinds, two years of them: some stay for good, some come once, the others drift away."""
    rng = np.random.default_rng(7)
    rows: list[tuple[int, int, float]] = []
    for number in range(count):
        kind = rng.choice(3, p=[loyal, passing, 1 - loyal - passing])
        time, rate = float(rng.uniform(0, 60)), rng.gamma(3, 1 / 90)
        leaves = [0.0, 1.0, rng.beta(4, 4)][kind]
        while time < 728:
            rows.append((number, date(2024, 1, 1).toordinal() + int(time), 100.0))
            if kind == 1 or (leaves and rng.random() < leaves):
                break
            time += rng.exponential(1 / rate)
    return listed(rows)


def test_where_some_stay_for_good_the_mixture_sees_it_and_one_kind_of_people_does_not() -> None:
    verdict = judge(people(1500, loyal=0.2, passing=0.4), date(2024, 6, 29), date(2025, 12, 30))
    assert verdict.weights["three_kinds"] > 0.99
    assert verdict.total_error is not None and abs(verdict.total_error) < 0.05
    alone = verdict.laws["bg_nbd"].total_error
    assert alone is not None and alone < -0.15
    fit = next(one for one in verdict.fits if one.law is Law.three_kinds)
    assert fit.parameters["loyal"] == pytest.approx(0.2, abs=0.06)


def test_where_nobody_ever_leaves_it_converges_and_foretells_that_all_go_on() -> None:
    rng = np.random.default_rng(3)
    rates = rng.gamma(1.2, 0.2, 800)
    ages = rng.uniform(5, 40, 800)
    repeats = rng.poisson(rates * ages).astype(float)
    recency = np.array([rng.uniform(0, age, int(x)).max() if x else 0 for x, age in zip(repeats, ages, strict=True)])
    histories = Customers(repeats, recency, ages, np.full(800, 20.0), repeats)
    for law in Law:
        fit = forecast.fit(law, histories)
        assert fit.converged, law
        assert forecast.expect(fit, histories, 10).sum() == pytest.approx((rates * 10).sum(), rel=0.1)


def test_thousands_of_purchases_of_one_customer_stay_finite() -> None:
    histories = [(float(x), 30.0 if x else 0.0, 35.0) for x in range(60)] + [(9000.0, 38.9, 39.0)]
    for law in Law:
        fit = forecast.fit(law, known(*histories))
        assert np.isfinite(fit.log_likelihood)
        assert np.isfinite(forecast.expect(fit, known(*histories), 10)).all()


def test_who_cannot_be_known_is_refused() -> None:
    with pytest.raises(TooFewCustomers) as few:
        foretell(known(*[(1.0, 2.0, 9.0)] * 49), 4)
    assert few.value.facts() == {"found": 49, "needed": 50}
    with pytest.raises(TooFewRepeats) as none:
        foretell(known(*[(0.0, 0.0, 9.0)] * 80, (1.0, 3.0, 9.0)), 4)
    assert none.value.facts() == {"found": 1, "needed": 10}
    with pytest.raises(TooFewCustomers):
        judge(Purchases(np.array([], np.int64), np.array([], np.int64), np.array([])), date(2024, 1, 1), date(2024, 2, 1))
    with pytest.raises(HoldoutBackwards):
        judge(people(60, loyal=0.5, passing=0.1), date(2024, 2, 1), date(2024, 2, 1))


def test_purchases_of_one_day_are_one_and_free_ones_count() -> None:
    day = date(2024, 5, 1).toordinal()
    rows = [(0, day, 5.0), (0, day, 7.0), (0, day + 14, 0.0), (0, day + 21, 9.0), (1, day + 30, 4.0), (0, day + 40, 8.0)]
    found = split(listed(rows), date.fromordinal(day + 28), date.fromordinal(day + 41))
    assert found.numbers.tolist() == [0]
    assert [column.tolist() for column in found.customers] == [[2.0], [3.0], [4.0], [9.0], [1.0]]
    assert (found.came.tolist(), found.value.tolist()) == ([1.0], [8.0])


def test_rows_that_cannot_be_read_are_counted_by_reason(tmp_path: Path) -> None:
    file = tmp_path / "purchases.csv"
    file.write_text(
        "time,customer,amount,note\n2024-05-01,a,5,x\n2024-05-02T10:00:00+08:00,a,5,\n20240503,a,0\n2024-05-04,a,-5\n"
        ",a,5\n2024-13-01,a,5\n2024-05-01,,5\n2024-05-01,a,\n2024-05-01,a,nan\n2024-05-01,a,five\n2024-05-01\n"
        f"2024-05-01,{'a' * 201},1\n"
    )
    purchases, rows = read(file)
    assert purchases.amount.tolist() == [5, 5, 0]
    assert (rows.rows, rows.purchases, rows.returns) == (12, 3, 1)
    assert rows.refused == {
        "amount-unreadable": 2, "customer-too-long": 1, "no-amount": 1, "no-customer": 2, "no-time": 1, "time-unreadable": 1,
    }  # fmt: skip
    for name, bytes_, reason in (
        ("no.csv", b"customer,when\n1,2\n", "No column time, amount"),
        ("empty.csv", b"", "No column customer, time, amount"),
        ("torn.csv.gz", (DATA / "transactions.csv.gz").read_bytes()[:9000], "end-of-stream"),
        ("latin.csv", "customer,time,amount\nJos\xe9,2024-05-01,1\n".encode("latin-1"), "utf-8"),
    ):
        (tmp_path / name).write_bytes(bytes_)
        with pytest.raises(NotTransactions, match=reason):
            read(tmp_path / name)


def test_searches_that_end_at_the_same_place_have_arrived_whatever_the_last_step_says(
    cdnow: Customers, monkeypatch: pytest.MonkeyPatch
) -> None:
    minimize = optimize.minimize

    def stumble(*given: Any, **more: Any) -> Any:
        found = minimize(*given, **more)
        found.success = False
        return found

    monkeypatch.setattr(optimize, "minimize", stumble)
    assert forecast.fit(Law.bg_nbd, cdnow).converged
    monkeypatch.setattr(forecast, "SAME", -1.0)
    assert not forecast.fit(Law.bg_nbd, cdnow).converged
