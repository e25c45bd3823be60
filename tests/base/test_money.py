"""Money: exact, or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laotie.base.money import AmountUnreadable, Money, UnknownCurrency, apportion, parse, share


@pytest.mark.parametrize(
    ("text", "currency", "amount"),
    [
        ("2.55", "GBP", 255),
        ("0.1", "CNY", 10),
        ("-3", "CNY", -300),
        ("7", "JPY", 7),
        ("1.500", "USD", 150),
        ("0", "USD", 0),
    ],
)
def test_amounts_are_read_exactly(text: str, currency: str, amount: int) -> None:
    assert parse(text, currency) == Money(amount, currency)


@pytest.mark.parametrize("text", ["", ".", ".5.", "1.234", "1e3", "１２", "1,000", "--1", "nan", "9" * 14])
def test_what_is_not_an_amount_is_refused(text: str) -> None:
    with pytest.raises(AmountUnreadable):
        parse(text, "CNY")


def test_an_unknown_currency_is_refused() -> None:
    with pytest.raises(UnknownCurrency):
        parse("1", "XXX")


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
def test_parts_always_add_up_to_the_whole(amount: int, weights: list[int]) -> None:
    parts = apportion(amount, weights)
    assert sum(parts) == amount
    total = sum(weights) or len(weights)
    for part, weight in zip(parts, weights if sum(weights) else [1] * len(weights), strict=True):
        assert abs(abs(part) - abs(amount) * weight / total) < 1


@given(st.integers(-(10**12), 10**12), st.integers(0, 10_000))
def test_a_share_is_within_half_a_unit(amount: int, bps: int) -> None:
    assert abs(share(amount, bps=bps) * 10_000 - amount * bps) <= 5_000


@given(st.integers(-(10**12), 10**12))
def test_what_is_printed_reads_back(amount: int) -> None:
    money = Money(amount, "CNY")
    assert parse(str(money).removesuffix(" CNY"), "CNY") == money
