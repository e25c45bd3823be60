"""The till's judgement: a batch answers exactly as its asks one by one would."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from laotie.base.entry import Source
from laotie.base.ids import AccountId, CartItemId, ProductId, ShopId, ShowId, SkuId
from laotie.base.money import Money
from laotie.base.refusals import IdReused, Refusal
from laotie.catalog import Shelf
from laotie.live import Quote, ShowQuote
from laotie.orders.decide import Bought, Facts, Known, decide
from laotie.orders.model import Ask, AskLine, LimitReached, OffShelf, Placed, PriceChanged, SaleOver, SoldOut

NOW = datetime(2026, 11, 11, 20, 0, tzinfo=UTC)
SHOW, ENDED_SHOW = ShowId(UUID(int=1)), ShowId(UUID(int=2))
SHOPS = [ShopId(UUID(int=10)), ShopId(UUID(int=11))]
SKUS = [SkuId(UUID(int=100 + n)) for n in range(4)]
ITEMS = [CartItemId(UUID(int=200 + n)) for n in range(4)]
PRICES = [1_000, 2_500, 990, 4_000]


def shelf(number: int, available: int) -> Shelf:
    return Shelf(
        SKUS[number], ProductId(UUID(int=300 + number)), SHOPS[number // 3], available, PRICES[number], "CNY",
        True, f"thing {number}", "{}", "/p.svg",
    )  # fmt: skip


def facts(
    stock: list[int], *, bought: Bought | None = None, known: dict[tuple[int, int], Known] | None = None
) -> Facts:
    limits = [2, None, None, None]
    ends = [None, None, NOW - timedelta(seconds=1), None]
    return Facts(
        shelves={SKUS[n].int: shelf(n, stock[n]) for n in range(4)},
        shows={SHOW.int: ShowQuote("live"), ENDED_SHOW.int: ShowQuote("ended")},
        quotes={
            (ITEMS[n].int, SKUS[n].int): Quote(SHOW, n != 1, PRICES[n] - 100, "CNY", limits[n], ends[n])
            for n in range(4)
        },
        bought=dict(bought or {}),
        known=dict(known or {}),
        now=NOW,
        pay_by=NOW + timedelta(minutes=15),
    )


def ask(*lines: AskLine, buyer: int = 1, client: int = 1) -> Ask:
    return Ask(
        buyer_id=AccountId(UUID(int=buyer)), client_id=UUID(int=client), show_id=SHOW, lines=lines,
        source=Source.direct, placement="direct",
    )  # fmt: skip


def on_shelf(number: int, quantity: int, price: int | None = None) -> AskLine:
    return AskLine(SKUS[number], None, quantity, PRICES[number] if price is None else price)


def in_cart(number: int, quantity: int, price: int | None = None) -> AskLine:
    return AskLine(SKUS[number], ITEMS[number], quantity, PRICES[number] - 100 if price is None else price)


lines = st.builds(
    lambda number, quantity, cart, dear: (in_cart if cart else on_shelf)(
        number, quantity, PRICES[number] + 1 if dear else None
    ),
    st.integers(0, 3),
    st.sampled_from([1, 1, 1, 2, 3, 99]),
    st.booleans(),
    st.sampled_from([False, False, False, False, True]),
)
asks = st.builds(
    lambda some, buyer, client: ask(*some, buyer=buyer, client=client),
    st.lists(lines, min_size=1, max_size=3),
    st.integers(1, 4),
    st.integers(1, 12),
)


def shape(answer: Placed | Refusal) -> tuple[object, ...]:
    """An answer without what differs by nature (the new order's id)."""
    if isinstance(answer, Placed):
        return ("placed", answer.client_id, answer.total_amount, answer.currency, answer.again)
    return (answer.code, tuple(answer.facts().items()))


@settings(max_examples=400, deadline=None)
@given(st.lists(asks, max_size=12), st.lists(st.integers(0, 6), min_size=4, max_size=4))
def test_a_batch_answers_as_one_by_one(batch: list[Ask], stock: list[int]) -> None:
    together = decide(batch, facts(stock))
    left, bought, known = list(stock), dict[tuple[int, int], int](), dict[tuple[int, int], Known]()
    alone = []
    for one in batch:
        before = facts(left, bought=bought, known=known)
        outcome = decide([one], before)
        alone.append(outcome.answers[0])
        bought, known = before.bought, before.known
        for sku, rest in outcome.left.items():
            left[next(n for n in range(4) if SKUS[n].int == sku)] = rest
    assert [shape(answer) for answer in together.answers] == [shape(answer) for answer in alone]
    assert [together.left.get(SKUS[n].int, stock[n]) for n in range(4)] == left
    assert all(rest >= 0 for rest in left)


@settings(max_examples=200, deadline=None)
@given(st.lists(asks, max_size=20), st.lists(st.integers(0, 10), min_size=4, max_size=4))
def test_what_is_taken_is_what_is_missing(batch: list[Ask], stock: list[int]) -> None:
    outcome = decide(batch, facts(stock))
    taken = [0, 0, 0, 0]
    for one in outcome.taken:
        for line in one.ask.lines:
            taken[SKUS.index(line.sku_id)] += line.quantity
    assert [stock[n] - taken[n] for n in range(4)] == [outcome.left.get(SKUS[n].int, stock[n]) for n in range(4)]


def test_an_ask_that_does_not_fit_spoils_nobody_behind_it() -> None:
    outcome = decide(
        [ask(on_shelf(0, 99), client=1), ask(on_shelf(0, 1), client=2), ask(on_shelf(0, 2), client=3)],
        facts([3, 0, 0, 0]),
    )
    assert isinstance(outcome.answers[0], SoldOut)
    assert [isinstance(answer, Placed) for answer in outcome.answers[1:]] == [True, True]
    assert outcome.left == {SKUS[0].int: 0}


def test_the_last_unit_and_two_buyers() -> None:
    outcome = decide([ask(on_shelf(0, 1), buyer=1), ask(on_shelf(0, 1), buyer=2)], facts([1, 0, 0, 0]))
    assert [type(answer) for answer in outcome.answers] == [Placed, SoldOut]


def test_the_same_stock_in_two_lines_of_one_order_is_counted_once() -> None:
    assert isinstance(decide([ask(on_shelf(0, 2), on_shelf(0, 2))], facts([3, 0, 0, 0])).answers[0], SoldOut)
    assert isinstance(decide([ask(on_shelf(0, 2), on_shelf(0, 1))], facts([3, 0, 0, 0])).answers[0], Placed)


def test_an_order_of_several_lines_fits_whole_or_not_at_all() -> None:
    outcome = decide([ask(on_shelf(0, 1), on_shelf(1, 5))], facts([3, 4, 0, 0]))
    assert isinstance(outcome.answers[0], SoldOut)
    assert outcome.left == {}


def test_the_limit_per_person_counts_earlier_orders_and_both_lines() -> None:
    had = {(1, ITEMS[0].int): 1}
    assert isinstance(decide([ask(in_cart(0, 2))], facts([9] * 4, bought=had)).answers[0], LimitReached)
    assert isinstance(decide([ask(in_cart(0, 1), in_cart(0, 1))], facts([9] * 4, bought=had)).answers[0], LimitReached)
    assert isinstance(decide([ask(in_cart(0, 1))], facts([9] * 4, bought=had)).answers[0], Placed)


def test_a_changed_price_is_refused_with_the_new_one() -> None:
    answer = decide([ask(in_cart(3, 1, price=1))], facts([9] * 4)).answers[0]
    assert isinstance(answer, PriceChanged)
    assert answer.facts()["price"].amount == PRICES[3] - 100


def test_a_price_in_another_currency_is_another_price() -> None:
    dollars = msgspec.structs.replace(ask(on_shelf(0, 1)), currency="USD")
    answer = decide([dollars], facts([9] * 4)).answers[0]
    assert isinstance(answer, PriceChanged)
    assert answer.facts()["price"] == Money(PRICES[0], "CNY")


def test_off_the_shelf_and_out_of_time_are_refused() -> None:
    answers = decide([ask(in_cart(1, 1), client=1), ask(in_cart(2, 1), client=2)], facts([9] * 4)).answers
    assert [type(answer) for answer in answers] == [OffShelf, SaleOver]


def test_the_same_id_gives_the_same_answer_and_other_content_is_refused() -> None:
    first, again, other = ask(on_shelf(0, 1)), ask(on_shelf(0, 1)), ask(on_shelf(0, 2))
    outcome = decide([first, again, other], facts([9] * 4))
    placed, repeated, refused = outcome.answers
    assert isinstance(placed, Placed)
    assert isinstance(repeated, Placed)
    assert (repeated.id, repeated.again) == (placed.id, True)
    assert isinstance(refused, IdReused)
    assert len(outcome.taken) == 1
