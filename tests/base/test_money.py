"""Money: exact, or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laotie.base.money import (
    AmountUnreadable,
    Money,
    RateUnreadable,
    UnknownCurrency,
    apportion,
    parse,
    parse_percent,
    percent,
    share,
    tax_in,
)


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


@pytest.mark.parametrize(
    ("amount", "bps", "tax"),
    [
        (11_300, 1_300, 1_300),
        (100, 0, 0),
        (0, 1_300, 0),
        (10_000, 1_300, 1_150),
        (21, 10_000, 10),  # 10.5: half goes to the even neighbour
        (23, 10_000, 12),  # 11.5
        (-21, 10_000, -10),
        (1, 770, 0),
    ],
)
def test_the_tax_contained_in_an_amount_is_rounded_half_to_even(amount: int, bps: int, tax: int) -> None:
    assert tax_in(amount, bps) == tax


@given(st.integers(-(10**12), 10**12), st.integers(0, 5_000))
def test_contained_tax_is_within_half_a_unit_and_symmetric(amount: int, bps: int) -> None:
    assert 2 * abs(tax_in(amount, bps) * (10_000 + bps) - amount * bps) <= 10_000 + bps
    assert tax_in(-amount, bps) == -tax_in(amount, bps)


@given(st.integers(0, 99_999))
def test_a_rate_that_is_printed_reads_back(bps: int) -> None:
    assert parse_percent(percent(bps)) == bps


@pytest.mark.parametrize("text", ["", "x", "1.234", "-1", "1e1", "1.-", "１３", "1000"])
def test_what_is_not_a_rate_is_refused(text: str) -> None:
    with pytest.raises(RateUnreadable):
        parse_percent(text)
