"""Who will buy again, how often, and for how much: customers' histories fitted by their published laws.

A customer buys at a rate of their own until they leave unseen. The laws:

- BG/NBD (Fader, Hardie & Lee 2005, "Counting your customers the easy way", Marketing Science 24/2): rates vary as
  Gamma(r, alpha), after each repeat purchase a share p leaves, p varies as Beta(a, b).
- Pareto/NBD (Schmittlein, Morrison & Colombo 1987; Fader & Hardie 2005, "A note on deriving the Pareto/NBD model"): they leave
  at a time of their own, at rates that vary as Gamma(s, beta).
- Three kinds of people: some are loyal, never leave and buy at rates of their own, Gamma(rho, gamma); some pass by once and
  never come back; the others follow BG/NBD. The laws of one kind let everybody leave in the end, and so foretell too
  little wherever some stay for good.
- Gamma-Gamma for what they spend (Fader & Hardie 2013, "The Gamma-Gamma model of monetary value").

Times are weeks. Everything is fitted by maximum likelihood in logarithms of the parameters, in units in which ages and mean
spend are about one, from several starts; the likelihoods never leave logarithms. It knows no lake and no file.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.special import betainc, betaincc, betaln, digamma, expit, gammaln, hyp2f1, logsumexp
from threadpoolctl import threadpool_limits

from laotie.base.refusals import Conflict

CUSTOMERS_MIN = 50
"""Four parameters of a distribution over people say nothing about fewer."""
REPEATERS_MIN = 10
RANGE = (-9.0, 9.0)
"""Of the logarithms of parameters. Where the likelihood keeps rising towards an edge (nobody ever leaves), it is told."""
EDGE = 0.05
SAME = 1e-9
"""Means of log-likelihoods that differ by less are one."""
LOYAL_LEAST = 0.05
"""Fewer are not a kind of people but a few odd customers, whom a free share would be spent on (a likelihood of mixtures is
highest at such places, and they say nothing about the others)."""
LOYAL_SHAPE_MIN = 0.5
"""Flatter than this, most of "the loyal" would hardly ever buy, and those are who passes by."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(32)

Floats = NDArray[np.float64]


class TooFewCustomers(Conflict, code="too-few-customers"):
    """There are too few customers to tell how they differ."""

    found: int
    needed: int


class TooFewRepeats(Conflict, code="too-few-repeats"):
    """Hardly anybody came back yet, so nothing can be said about how often they will."""

    found: int
    needed: int


class Customers(NamedTuple):
    """Histories in short, one entry a customer: repeat purchases, when the last one was, and how long they are known."""

    repeats: Floats
    recency: Floats
    """Weeks from the first purchase to the last; 0 where there is no repeat."""
    age: Floats
    """Weeks from the first purchase to the end of what was seen."""
    spend: Floats
    """Mean amount of the repeat purchases, not a number where there are none with an amount."""
    valued: Floats
    """How many repeat purchases that mean is of."""


class Law(StrEnum):
    """How customers come back."""

    bg_nbd = "bg_nbd"
    three_kinds = "three_kinds"
    pareto_nbd = "pareto_nbd"


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `at_edge` names parameters that wanted to go on for ever: the law is simpler here than it could be."""

    law: Law
    parameters: dict[str, float]
    log_likelihood: float
    customers: int
    converged: bool
    at_edge: list[str]

    @property
    def aic(self) -> float:
        """Akaike's criterion: smaller is better."""
        return 2 * len(self.parameters) - 2 * self.log_likelihood


class SpendFit(msgspec.Struct, frozen=True, kw_only=True):
    """What they spend: an order's amount varies as Gamma(p, ν) around the customer's mean, ν varies as Gamma(q, v)."""

    p: float
    q: float
    v: float
    customers: int
    log_likelihood: float
    converged: bool


def fit(law: Law, customers: Customers) -> Fit:
    """The parameters that make these histories likeliest. Refuses `TooFewCustomers`, `TooFewRepeats`."""
    _check(customers)
    unit = float(customers.age.max())
    histories, counts = np.unique(
        np.stack([customers.repeats, customers.recency / unit, customers.age / unit], axis=1), axis=0, return_counts=True
    )
    x, recency, age = histories.T.copy()
    known = _Known(x, recency, age, counts.astype(np.float64))
    one = _LAWS[law]
    best = _search(lambda at: one.loss(at, known), one.starts, bounds=one.bounds)
    values = dict(zip(one.names, one.read(best.x).tolist(), strict=True))
    for name in one.times:
        values[name] *= unit
    edges = [name for name, x, (low, high) in zip(one.names, best.x, one.bounds, strict=True) if x - low < EDGE or high - x < EDGE]
    total = counts.sum()
    return Fit(
        law=law,
        parameters=values,
        log_likelihood=float(-best.fun * total - np.log(unit) * customers.repeats.sum()),
        customers=int(total),
        converged=bool(best.success),
        at_edge=edges,
    )


def expect(fit: Fit, customers: Customers, weeks: float) -> Floats:
    """How many purchases each customer is expected to make in the coming weeks."""
    return _LAWS[fit.law].expect(np.array(list(fit.parameters.values())), customers, weeks)


def weigh(fits: list[Fit]) -> list[float]:
    """How much each law is to be believed, from what it was fitted to alone (Akaike weights)."""
    worth = np.array([-one.aic / 2 for one in fits])
    shares = np.exp(worth - worth.max())
    return [float(share) for share in shares / shares.sum()]


def fit_spend(customers: Customers) -> SpendFit:
    """What repeat purchases are worth, of those who made any. Refuses `TooFewRepeats`."""
    who = (customers.valued > 0) & (np.nan_to_num(customers.spend) > 0)
    if (found := int(who.sum())) < REPEATERS_MIN:
        raise TooFewRepeats(found=found, needed=REPEATERS_MIN)
    times = customers.valued[who]
    unit = float(customers.spend[who].mean())
    spend = customers.spend[who] / unit

    def loss(at: Floats) -> tuple[float, Floats]:
        p, q, v = np.exp(at)
        shape, whole = p * times, v + times * spend
        value = gammaln(shape + q) - gammaln(shape) - gammaln(q) + q * np.log(v / whole) + shape * np.log(times * spend / whole)
        by_p = times * (digamma(shape + q) - digamma(shape) + np.log(times * spend / whole))
        by_q = digamma(shape + q) - digamma(q) + np.log(v / whole)
        by_v = q / v - (shape + q) / whole
        gradient = np.array([by_p.sum() * p, by_q.sum() * q, by_v.sum() * v])
        return -float((value - np.log(spend)).sum()) / found, -gradient / found

    bounds = ((-6.0, 9.0), (np.log(1.01), 9.0), RANGE)
    best = _search(loss, np.log([[4.0, 4.0, 1.0], [1.0, 2.0, 0.3]]), bounds=bounds)
    p, q, v = np.exp(best.x).tolist()
    likelihood = -best.fun * found - found * np.log(unit)
    return SpendFit(p=p, q=q, v=v * unit, customers=found, log_likelihood=float(likelihood), converged=bool(best.success))


def expect_spend(fit: SpendFit, customers: Customers) -> Floats:
    """What an order of each customer is expected to be worth; everybody's mean where nothing is known of them."""
    total = customers.valued * np.nan_to_num(customers.spend)
    return np.asarray(fit.p * (fit.v + total) / (fit.p * customers.valued + fit.q - 1), dtype=np.float64)


def _check(customers: Customers) -> None:
    if (found := len(customers.repeats)) < CUSTOMERS_MIN:
        raise TooFewCustomers(found=found, needed=CUSTOMERS_MIN)
    if (found := int((customers.repeats > 0).sum())) < REPEATERS_MIN:
        raise TooFewRepeats(found=found, needed=REPEATERS_MIN)


class _Known(NamedTuple):
    """Different histories, in units of the oldest age, and how many customers have each."""

    repeats: Floats
    recency: Floats
    age: Floats
    weights: Floats


Loss = Callable[[Floats], tuple[float, Floats]]
Bounds = tuple[tuple[float, float], ...]


def _search(loss: Loss, starts: Floats, *, bounds: Bounds) -> Any:
    """Over matrices of a few rows BLAS's threads only wait for each other: on two cores ten times the work, on a busy machine more."""
    with threadpool_limits(1, user_api="blas"):
        found = [
            optimize.minimize(
                loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-7}
            )
            for start in starts
        ]
    best = min(found, key=lambda one: one.fun)
    # A search whose last steps are smaller than rounding says that it failed; where another one ended as well, it did not.
    best.success = best.success or any(one is not best and one.fun - best.fun < SAME for one in found)
    return best


class _Law(NamedTuple):
    names: tuple[str, ...]
    times: tuple[str, ...]
    """Parameters that are times."""
    starts: Floats
    bounds: Bounds
    loss: Callable[[Floats, _Known], tuple[float, Floats]]
    expect: Callable[[Floats, Customers, float], Floats]
    read: Callable[[Floats], Floats] = np.exp


def _bg(parameters: Floats, x: Floats, recency: Floats, age: Floats) -> tuple[Floats, Floats]:
    """BG/NBD: the logarithms of the likelihood of having such a history and being there still, or having left (eq. 6)."""
    r, alpha, a, b = parameters
    base = gammaln(r + x) - gammaln(r) + r * np.log(alpha) - betaln(a, b)
    there = base + betaln(a, b + x) - (r + x) * np.log(alpha + age)
    left = base + betaln(a + 1, b + np.maximum(x - 1, 0)) - (r + x) * np.log(alpha + recency)
    return there, np.where(x > 0, left, -np.inf)


def _bg_slopes(parameters: Floats, x: Floats, recency: Floats, age: Floats) -> tuple[Floats, Floats]:
    """Their derivatives by the logarithms of r, alpha, a, b: [4, customers] each."""
    r, alpha, a, b = parameters
    by_r, by_a, by_b = digamma(r + x) - digamma(r) + np.log(alpha), digamma(a + b) - digamma(a), digamma(a + b) - digamma(b)
    before = np.maximum(x - 1, 0)
    there = (
        by_r - np.log(alpha + age),
        r / alpha - (r + x) / (alpha + age),
        by_a + digamma(a) - digamma(a + b + x),
        by_b + digamma(b + x) - digamma(a + b + x),
    )
    left = (
        by_r - np.log(alpha + recency),
        r / alpha - (r + x) / (alpha + recency),
        by_a + digamma(a + 1) - digamma(a + 1 + b + before),
        by_b + digamma(b + before) - digamma(a + 1 + b + before),
    )
    return np.stack(there) * parameters[:, None], np.stack(left) * parameters[:, None]


def _bg_loss(at: Floats, known: _Known) -> tuple[float, Floats]:
    parameters, (*history, weights) = np.exp(at), known
    there, left = _bg(parameters, *history)
    whole = np.logaddexp(there, left)
    by_there, by_left = _bg_slopes(parameters, *history)
    share = np.exp(there - whole)
    gradient = (by_there * share + by_left * (1 - share)) @ weights
    return -float(whole @ weights) / weights.sum(), -gradient / weights.sum()


def _bg_future(parameters: Floats, x: Floats, age: Floats, weeks: float) -> Floats:
    """Purchases to come of somebody who is there still (eq. 10 without its denominator)."""
    r, alpha, a, b = parameters
    if abs(a - 1) < 1e-6:
        a = 1 + 1e-6  # a removable singularity
    r, alpha, b = r + x, alpha + age, b + x
    with np.errstate(over="ignore", invalid="ignore"):
        kept = np.exp(r * np.log(alpha / (alpha + weeks))) * hyp2f1(r, b, a + b - 1, weeks / (alpha + weeks))
        come = (a + b - 1) / (a - 1) * (1 - kept)
    for one in np.flatnonzero(~np.isfinite(come)):  # thousands of purchases: the function overflows, its integral does not
        come[one] = _bg_come(r[one], alpha[one], a, b[one], weeks)
    return np.asarray(come, dtype=np.float64)


def _bg_come(r: float, alpha: float, a: float, b: float, weeks: float) -> float:
    """The same by the trapezoidal rule over the logit of p, the tails apart: correct to six digits."""
    logit, step = np.linspace(-40, 40, 641, retstep=True)
    p = expit(logit)
    weight = np.exp(a * np.log(p) + b * np.log(expit(-logit)) - betaln(a, b))
    weight[[0, -1]] /= 2
    come = -np.expm1(-r * np.log1p(p * weeks / alpha)) / p
    return float(weight @ come * step + betainc(a, b, p[0]) * r * weeks / alpha + betaincc(a, b, p[-1]) * come[-1])


def _bg_expect(parameters: Floats, customers: Customers, weeks: float) -> Floats:
    x, recency, age = customers[:3]
    there, left = _bg(parameters, x, recency, age)
    return np.asarray(expit(there - left) * _bg_future(parameters, x, age, weeks), dtype=np.float64)


def _loyal(parameters: Floats, x: Floats, age: Floats) -> Floats:
    """The likelihood's logarithm of a history of somebody who never leaves (NBD)."""
    rho, gamma = parameters
    return np.asarray(gammaln(rho + x) - gammaln(rho) + rho * np.log(gamma) - (rho + x) * np.log(gamma + age), dtype=np.float64)


def _kinds(shares: Floats, parameters: Floats, x: Floats, recency: Floats, age: Floats) -> Floats:
    """Logarithms of the likelihood of being loyal, passing by, there still, having left: [4, customers]."""
    passing = np.where(x > 0, -np.inf, 0.0)
    kinds = np.stack([_loyal(parameters[:2], x, age), passing, *_bg(parameters[2:], x, recency, age)])
    return np.asarray(kinds + np.log(shares[[0, 1, 2, 2]])[:, None], dtype=np.float64)


def _mixed_loss(at: Floats, known: _Known) -> tuple[float, Floats]:
    """Parameters: odds of being loyal, and of passing by if not; those of the loyal; those of the others."""
    shares, parameters = _shares(at), np.exp(at[2:])
    rho, gamma = parameters[:2]
    *history, weights = known
    kinds = _kinds(shares, parameters, *history)
    whole = logsumexp(kinds, axis=0)
    of = np.exp(kinds - whole)
    x, _, age = history
    by_loyal = np.stack(
        [
            (digamma(rho + x) - digamma(rho) + np.log(gamma) - np.log(gamma + age)) * rho,
            (rho / gamma - (rho + x) / (gamma + age)) * gamma,
        ]
    )
    by_there, by_left = _bg_slopes(parameters[2:], *history)
    by_odds = np.stack([of[0] - shares[0], of[1] - (1 - of[0]) * expit(at[1])])
    slopes = np.concatenate([by_odds, by_loyal * of[0], by_there * of[2] + by_left * of[3]])
    return -float(whole @ weights) / weights.sum(), -(slopes @ weights) / weights.sum()


def _mixed_expect(parameters: Floats, customers: Customers, weeks: float) -> Floats:
    loyal, passing = parameters[:2]
    x, recency, age = customers[:3]
    kinds = _kinds(np.array([loyal, passing, 1 - loyal - passing]), parameters[2:], x, recency, age)
    of = np.exp(kinds - logsumexp(kinds, axis=0))
    rho, gamma = parameters[2:4]
    steady = (rho + x) / (gamma + age) * weeks
    return np.asarray(of[0] * steady + of[2] * _bg_future(parameters[4:], x, age, weeks), dtype=np.float64)


def _shares(at: Floats) -> Floats:
    """Of the loyal, those who pass by, the others."""
    loyal, passing = expit(at[:2])
    return np.array([loyal, (1 - loyal) * passing, (1 - loyal) * (1 - passing)])


def _mixed_read(at: Floats) -> Floats:
    return np.concatenate([_shares(at)[:2], np.exp(at[2:])])


def _pareto(parameters: Floats, x: Floats, recency: Floats, age: Floats) -> tuple[Floats, Floats]:
    """Pareto/NBD: the logarithms for being there still, or having left at some time since the last purchase.

    The second is s/κ·∫ over that time, κ = r + s + x. The textbook's difference of two hypergeometric functions loses its
    digits where they are close and takes different forms for alpha above and below beta. With z = ((alpha + recency) /
    (alpha + u))^κ for the time u the integrand is smooth and of one form, and 32 Gauss nodes are exact to rounding.
    """
    r, alpha, s, beta = parameters
    kappa = r + s + x
    base = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
    there = base - (r + x) * np.log(alpha + age) - s * np.log(beta + age)
    span = -np.expm1(-kappa * np.log((alpha + age) / (alpha + recency)))
    gone = span[:, None] * (NODES + 1) / 2
    nearness = np.exp(np.log1p(-gone) / kappa[:, None])
    inside = ((beta - alpha) * nearness + (alpha + recency)[:, None]) ** -(s + 1)
    with np.errstate(divide="ignore"):
        integral = np.log(inside @ WEIGHTS * span / 2)
    return there, base + np.log(s / kappa) + (1 - r - x) * np.log(alpha + recency) + integral


def _pareto_loss(at: Floats, known: _Known) -> tuple[float, Floats]:
    def value(at: Floats) -> float:
        there, left = _pareto(np.exp(at), *known[:3])
        return -float(np.logaddexp(there, left) @ known.weights / known.weights.sum())

    step = 1e-5
    slopes = [(value(at + move) - value(at - move)) / (2 * step) for move in np.eye(4) * step]
    return value(at), np.array(slopes)


def _pareto_expect(parameters: Floats, customers: Customers, weeks: float) -> Floats:
    r, alpha, s, beta = parameters
    x, recency, age = customers[:3]
    there, left = _pareto(parameters, x, recency, age)
    if abs(s - 1) < 1e-9:
        s = 1 + 1e-9  # a removable singularity
    lasting = (beta + age) * -np.expm1((1 - s) * np.log1p(weeks / (beta + age))) / (s - 1)
    return np.asarray(expit(there - left) * (r + x) / (alpha + age) * lasting, dtype=np.float64)


_LOYAL_ODDS = float(np.log((1 - LOYAL_LEAST) / LOYAL_LEAST))
_BG = ("r", "alpha", "a", "b")
_BG_STARTS = np.log([[0.5, 0.25, 0.5, 2.0], [1.0, 1.0, 0.8, 4.0], [0.25, 0.1, 1.5, 10.0]])
_LAWS: Mapping[Law, _Law] = {
    Law.bg_nbd: _Law(_BG, ("alpha",), _BG_STARTS, (RANGE,) * 4, _bg_loss, _bg_expect),
    Law.pareto_nbd: _Law(
        ("r", "alpha", "s", "beta"), ("alpha", "beta"),
        np.log([[0.5, 0.25, 0.5, 0.25], [1.0, 1.0, 0.5, 2.0]]), (RANGE,) * 4, _pareto_loss, _pareto_expect,
    ),
    Law.three_kinds: _Law(
        ("loyal", "passing", "rho", "gamma", *_BG), ("gamma", "alpha"),
        np.array(
            [[*odds, *np.log([rho, 0.5]), *start] for odds, rho in (((-1, -1), 1.0), ((0, -3), 3.0)) for start in _BG_STARTS[:2]]
        ),
        ((-_LOYAL_ODDS, _LOYAL_ODDS), (-6.0, 6.0), (float(np.log(LOYAL_SHAPE_MIN)), RANGE[1]), *((RANGE,) * 5)),
        _mixed_loss, _mixed_expect, _mixed_read,
    ),
}  # fmt: skip
