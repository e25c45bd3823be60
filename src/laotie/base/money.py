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
