"""Money: whole minor units of a currency, never a float. All rounding of the house happens here."""

from typing import Annotated

import msgspec

from laotie.base.refusals import Invalid

Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$", description="ISO 4217 code")]

EXPONENTS = {"CNY": 2, "USD": 2, "EUR": 2, "GBP": 2, "HKD": 2, "SGD": 2, "MYR": 2, "THB": 2, "JPY": 0, "KRW": 0}
"""Digits after the point (ISO 4217). A currency that is not listed here is refused, not guessed."""

AMOUNT_MAX = 10**15
"""Ten trillion units with two digits: far above any order, far below what a bigint sum can hold."""


class UnknownCurrency(Invalid, code="unknown-currency"):
    """The currency is not one this platform settles in."""

    currency: str


class AmountUnreadable(Invalid, code="amount-unreadable"):
    """The text is not an amount of that currency."""

    text: str
    currency: str


class RateUnreadable(Invalid, code="rate-unreadable"):
    """The text is not a rate in per cent."""

    text: str


class Money(msgspec.Struct, frozen=True, order=True):
    """An amount in whole minor units (cents, fen) of one currency."""

    amount: int
    currency: Currency

    def __add__(self, other: "Money") -> "Money":
        assert self.currency == other.currency, "amounts of two currencies are never added"
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        assert self.currency == other.currency, "amounts of two currencies are never subtracted"
        return Money(self.amount - other.amount, self.currency)

    def __mul__(self, count: int) -> "Money":
        return Money(self.amount * count, self.currency)

    def __str__(self) -> str:
        digits = exponent(self.currency)
        sign = "-" if self.amount < 0 else ""
        whole, rest = divmod(abs(self.amount), 10**digits)
        return f"{sign}{whole}.{rest:0{digits}d} {self.currency}" if digits else f"{sign}{whole} {self.currency}"


def exponent(currency: str) -> int:
    """Digits after the point, or a refusal."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise UnknownCurrency(currency=currency) from None


def parse(text: str, currency: str) -> Money:
    """`"2.55"` as 255 minor units, exactly; more digits than the currency has are refused, not rounded."""
    digits = exponent(currency)
    stripped = text.strip()
    sign = -1 if stripped.startswith("-") else 1
    whole, _, rest = (stripped[1:] if stripped[:1] in ("+", "-") else stripped).partition(".")
    rest = rest.rstrip("0")
    plain = whole.isascii() and whole.isdecimal() and (rest == "" or (rest.isascii() and rest.isdecimal()))
    if not plain or len(rest) > digits or len(whole) > 13:
        raise AmountUnreadable(text=text[:40], currency=currency)
    return Money(sign * (int(whole) * 10**digits + int(rest.ljust(digits, "0") or "0")), currency)


def share(amount: int, *, bps: int) -> int:
    """`bps` ten-thousandths of an amount, rounded half away from zero."""
    product = abs(amount) * bps
    rounded = (product + 5_000) // 10_000
    return rounded if amount >= 0 else -rounded


def mean(amount: int, count: int) -> int:
    """What is one of `count` equal parts of an amount, rounded half away from zero."""
    assert count > 0
    rounded = (2 * abs(amount) + count) // (2 * count)
    return rounded if amount >= 0 else -rounded


def tax_in(amount: int, bps: int) -> int:
    """The tax contained in a paid amount at a rate of `bps`: amount x bps / (10000 + bps), rounded half to even.

    Half to even, because an order has many lines and rounding them all up would add up (IEEE 754's rule; ISO 80000-1
    annex B, rule A).
    """
    assert bps >= 0
    whole, rest = divmod(abs(amount) * bps, 10_000 + bps)
    rounded = whole + (2 * rest > 10_000 + bps or (2 * rest == 10_000 + bps and whole % 2 == 1))
    return rounded if amount >= 0 else -rounded


def percent(bps: int) -> str:
    """A rate as people write it: 1300 is "13", 770 is "7.7"."""
    whole, rest = divmod(bps, 100)
    return f"{whole}.{rest:02d}".rstrip("0").rstrip(".")


def parse_percent(text: str) -> int:
    """`"7.7"` as 770 ten-thousandths, exactly; what is not such a rate is refused (`RateUnreadable`)."""
    whole, _, rest = text.strip().partition(".")
    if not (whole.isascii() and whole.isdecimal() and len(whole) <= 3) or len(rest) > 2 or (
        rest and not (rest.isascii() and rest.isdecimal())
    ):
        raise RateUnreadable(text=text[:40])
    return int(whole) * 100 + int(rest.ljust(2, "0") or "0")


def apportion(amount: int, weights: list[int]) -> list[int]:
    """Split an amount by weights so that the parts add up exactly (largest remainder; ties to the earlier part).

    Source: Hamilton's method. Weights are not negative; all zero counts as all equal.
    """
    assert weights and all(weight >= 0 for weight in weights)
    total = sum(weights)
    if total == 0:
        weights, total = [1] * len(weights), len(weights)
    sign = -1 if amount < 0 else 1
    parts = [abs(amount) * weight // total for weight in weights]
    remainders = [abs(amount) * weight % total for weight in weights]
    left = abs(amount) - sum(parts)
    for index in sorted(range(len(weights)), key=lambda i: (-remainders[i], i))[:left]:
        parts[index] += 1
    return [sign * part for part in parts]
