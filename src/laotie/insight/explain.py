"""Why it changed: the difference between two periods (or shows) as amounts, one for each source and factor.

Additive logarithmic-mean Divisia attribution (LMDI-I: Ang, "Decomposition analysis for policymaking in energy", Energy
Policy 32, 2004). With V = x₁·x₂·…·xₙ the factor k of a source is given

    L(V¹, V⁰) · ln(xₖ¹ / xₖ⁰)        L(a, b) = (a − b) / (ln a − ln b),  L(a, a) = a

The logarithms of the factors add up to the logarithm of V, so nothing is left over, and going back in time only turns the
signs. Logarithms are decimals of 60 digits; each source's amounts are rounded to whole minor units by largest remainder, so
that they add up to that source's difference, to the unit.

Zeros go by the analytical limits (Ang & Liu, "Handling zero values in the logarithmic mean Divisia index decomposition
approach", Energy Policy 35, 2007): L goes to zero faster than any logarithm grows, so the factor that enters or leaves takes
the whole difference. Where several are zero at once that is the first in the chain: a source that appears or vanishes is
its viewers' doing, viewers who began to buy are the conversion's, and goods given away are the price's.
When the amount turns its sign (more given back than sold) it passes zero by its last factor, the amount an order; so that
takes the difference. Two amounts below zero are as good as two above: L(−a, −b) = −L(a, b).
Five factors hold only where somebody watched. A source watched in one period and not in the other is explained by the
three that hold in both.
"""

from collections.abc import Iterable, Sequence
from decimal import ROUND_FLOOR, Context, Decimal, localcontext
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple, Protocol

import msgspec

from laotie.insight.model import Definition, Unit, Words

EXACT = Context(prec=60)
DRIVERS_MAX = 3
"""As many as a sentence can name."""


class Factor(StrEnum):
    """What an amount of money is a product of. `conversion` (orders / UV) stands for the middle three where nobody watched."""

    uv = "uv"
    watch_per_viewer = "watch_per_viewer"
    buyers_per_watch = "buyers_per_watch"
    orders_per_buyer = "orders_per_buyer"
    conversion = "conversion"
    gmv_per_order = "gmv_per_order"


class Row(Protocol):
    """One source's counts in one period, as `identities.decompose` gives them."""

    @property
    def source(self) -> str: ...
    @property
    def uv(self) -> int: ...
    @property
    def watch_us(self) -> int: ...
    @property
    def buyers(self) -> int: ...
    @property
    def orders(self) -> int: ...
    @property
    def gmv(self) -> int: ...


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """A row by itself; absent is zero."""

    source: str
    uv: int = 0
    watch_us: int = 0
    buyers: int = 0
    orders: int = 0
    gmv: int = 0


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one factor of one source did to the amount, in minor units."""

    source: str
    factor: Factor
    amount: int


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """What a sentence is made of: from where to where, what drove it, and what held against it."""

    before: int
    after: int
    pushed: tuple[Share, ...]
    """The largest shares in the direction of the difference (either way when there is none), largest first."""
    pulled: Share | None
    """The largest share the other way."""


class _Link(NamedTuple):
    """A factor as one count over another."""

    factor: Factor
    over: str
    under: str | None


FIVE = (
    _Link(Factor.uv, "uv", None),
    _Link(Factor.watch_per_viewer, "watch_us", "uv"),
    _Link(Factor.buyers_per_watch, "buyers", "watch_us"),
    _Link(Factor.orders_per_buyer, "orders", "buyers"),
    _Link(Factor.gmv_per_order, "gmv", "orders"),
)
THREE = (
    _Link(Factor.uv, "uv", None),
    _Link(Factor.conversion, "orders", "uv"),
    _Link(Factor.gmv_per_order, "gmv", "orders"),
)


def attribute(before: Iterable[Row], after: Iterable[Row]) -> list[Share]:
    """Every source's shares of the difference, by source and factor; each source's add up to its own difference exactly.

    A source at most once a period, all of one currency. The order of the rows is of no account.
    """
    old, new = _by_source(before), _by_source(after)
    shares: list[Share] = []
    for source in sorted(old.keys() | new.keys()):
        nothing = Counts(source=source)
        shares += _attribute_one(source, old.get(source, nothing), new.get(source, nothing))
    return shares


def tell(before: Sequence[Row], after: Sequence[Row], shares: Sequence[Share]) -> Story:
    """The facts of the one sentence."""
    start, end = sum(row.gmv for row in before), sum(row.gmv for row in after)
    ranked = sorted(
        (share for share in shares if share.amount), key=lambda one: (-abs(one.amount), one.source, one.factor)
    )
    pushed = [share for share in ranked if (share.amount > 0) == (end > start) or end == start]
    pulled = [share for share in ranked if share not in pushed]

    return Story(
        before=start,
        after=end,
        pushed=tuple(pushed[:DRIVERS_MAX]),
        pulled=pulled[0] if pulled else None,
    )


def value_of(row: Row | None, factor: Factor) -> Fraction | None:
    """A factor's value in a period; `None` where there was nothing to divide by."""
    link = next(one for one in (*FIVE, *THREE) if one.factor is factor)
    under = 1 if link.under is None else getattr(row, link.under, 0)
    return Fraction(getattr(row, link.over, 0), under) if under else None


def chain_of(before: Row, after: Row) -> tuple[_Link, ...]:
    """Which factors explain a source: five where it was watched in both periods."""
    return FIVE if before.watch_us > 0 and after.watch_us > 0 else THREE


def _attribute_one(source: str, before: Row, after: Row) -> list[Share]:
    chain = chain_of(before, after)
    amounts = [0] * len(chain)
    if before.gmv != after.gmv or before.gmv != 0:
        entering = _entering(chain, before, after)
        if entering is not None:
            amounts[entering] = after.gmv - before.gmv
        elif (before.gmv, _counts(before)) <= (after.gmv, _counts(after)):
            amounts = _divide(chain, before, after)
        else:  # rounded one way only, so that going back turns the signs and no more
            amounts = [-amount for amount in _divide(chain, after, before)]
    return [
        Share(source=source, factor=link.factor, amount=amount) for link, amount in zip(chain, amounts, strict=True)
    ]


def _entering(chain: tuple[_Link, ...], before: Row, after: Row) -> int | None:
    """The first factor that is zero in one of the periods, or the last when the amount turned its sign."""
    for index, link in enumerate(chain):
        if getattr(before, link.over) == 0 or getattr(after, link.over) == 0:
            return index
    return len(chain) - 1 if (before.gmv < 0) != (after.gmv < 0) else None


def _divide(chain: tuple[_Link, ...], before: Row, after: Row) -> list[int]:
    with localcontext(EXACT):
        return _round(_weigh(chain, before, after), after.gmv - before.gmv)


def _weigh(chain: tuple[_Link, ...], before: Row, after: Row) -> list[Decimal]:
    """The shares before rounding: L(V¹, V⁰)·ln of each factor's growth."""
    growths = [_log(getattr(after, link.over), getattr(before, link.over)) for link in chain]
    logs = [growth - (growths[index - 1] if index else 0) for index, growth in enumerate(growths)]
    mean = Decimal(before.gmv) if before.gmv == after.gmv else (after.gmv - before.gmv) / growths[-1]
    return [mean * one for one in logs]


def _log(over: int, under: int) -> Decimal:
    """The logarithm of a quotient of two counts of the same sign."""
    return Decimal(abs(over)).ln() - Decimal(abs(under)).ln()


def _round(weights: Sequence[Decimal], total: int) -> list[int]:
    """Whole numbers that add up to `total`: all rounded down, and the units left given by largest remainder."""
    floors = [int(weight.to_integral_value(ROUND_FLOOR)) for weight in weights]
    remainders = [weight - floor for weight, floor in zip(weights, floors, strict=True)]
    left = total - sum(floors)
    assert 0 <= left <= len(weights)
    for index in sorted(range(len(weights)), key=lambda at: (-remainders[at], at))[:left]:
        floors[index] += 1
    return floors


def _counts(row: Row) -> tuple[int, int, int, int]:
    return row.uv, row.watch_us, row.buyers, row.orders


def _by_source(rows: Iterable[Row]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for row in rows:
        assert row.source not in found, "a source at most once"
        found[row.source] = row
    return found


DEFINITIONS = (
    Definition(
        key="why",
        name=Words("为什么变", "Why it changed"),
        about=Words(
            "把两期 GMV 之差归到每个来源的每个因子(加法对数均值迪氏分解 LMDI-I),相加正好等于差额,一分不差;前后互换只变符号。"
            "某期为零的,归给由零而起(或归零)的第一个因子:新出现的来源归访客数;净额由正转负归客单价;只有一期有观看的来源用三个因子。",
            "The difference between two GMVs, given to each factor of each source (additive log-mean Divisia, LMDI-I), adding up to"
            " the cent; the other way round only the signs turn. Where something was zero in one of them, the first factor that"
            " comes from zero takes it: the visitors of a new source; the average order where net GMV changes its sign. A source"
            " that was watched in one of the two only is explained by three factors.",
        ),
        unit=Unit.rows,
        formula="L(V1, V0) · ln(x1 / x0),  L(a, b) = (a - b) / (ln a - ln b)",
        terms=("uv", "watch_per_viewer", "buyers_per_watch", "orders_per_buyer", "conversion", "gmv_per_order"),
        measure="gmv_by_source",
    ),
)

MEASURES = ()
