"""Lists and sums: the same before and after the fold, for the right eyes only."""

from typing import Any

import pytest

from laotie import identity, live, orders
from laotie.base.ids import OrderId, ShowId, new_id
from laotie.base.refusals import Forbidden, NotFound, Unauthenticated
from laotie.orders import OrderState
from market import Market, make_account


async def _shop_ids(market: Market, **options: Any) -> list[OrderId]:
    found: list[OrderId] = []
    after: OrderId | None = None
    while True:
        async with market.db.read() as tx:
            page = await orders.list_of_shop(
                tx, market.owner, market.shop_id, **({"state": None, "limit": 2} | options), after=after
            )
        found += [order.id for order in page.items]
        if page.next is None:
            return found
        after = page.next


async def _life(market: Market, item: live.CartItem, other: live.CartItem) -> dict[str, list[OrderId]]:
    """Orders of every state, some of them from before the fold, some changed after it."""
    buyer = await market.buyer()
    made = [await market.place(buyer, item) for _ in range(3)]
    made += [await market.place(buyer, item, other, quantity=2) for _ in range(3)]
    await market.pay(buyer, made[0])
    await market.cancel(buyer, made[1])
    await market.pay(buyer, made[3])
    made.append(await market.place(buyer, other))
    return {"paid": [made[0], made[3]], "cancelled": [made[1]], "placed": [made[2], *made[4:]], "all": made}


@pytest.mark.parametrize("folded", [False, True])
async def test_a_shop_pages_through_its_orders_newest_first_by_state(market: Market, folded: bool) -> None:
    made = await _life(market, await market.add_item(), await market.add_item())
    if folded:
        await market.settle()
    assert await _shop_ids(market) == sorted(made["all"], reverse=True)
    for state in (OrderState.placed, OrderState.paid, OrderState.cancelled):
        assert await _shop_ids(market, state=state) == sorted(made[state], reverse=True)
    assert await _shop_ids(market, state=OrderState.shipped) == []


async def test_a_show_s_sales_are_the_same_before_and_after_the_fold(market: Market) -> None:
    item, other = await market.add_item("海参", price=1000), await market.add_item("童装", price=500)
    await _life(market, item, other)
    seen = []
    for _ in range(2):
        async with market.db.read() as tx:
            seen.append(await orders.get_sales(tx, market.owner, market.show_id))
        await market.settle()
    assert seen[0] == seen[1]
    sales = seen[0].sales
    assert (sales.currency, sales.orders, sales.paid_orders) == ("CNY", 7, 2)
    assert [
        (seen[0].titles[one.product_id], one.orders, one.units, one.amount, one.paid_units, one.paid_amount)
        for one in sales.items
    ] == [("海参", 6, 9, 9000, 3, 3000), ("童装", 4, 7, 3500, 2, 1000)]
    assert seen[0].items == {item.product_id: item.id, other.product_id: other.id}


async def test_a_show_that_sold_nothing_has_zeros_in_its_shop_s_currency(market: Market) -> None:
    async with market.db.read() as tx:
        found = await orders.get_sales(tx, market.owner, market.show_id)
    assert (found.sales.orders, found.sales.items, found.currency) == (0, [], "CNY")


async def test_a_buyer_pages_through_their_own_orders(market: Market) -> None:
    item = await market.add_item()
    buyer, other = await market.buyer(), await market.buyer()
    made = [await market.place(buyer, item) for _ in range(5)]
    await market.place(other, item)
    await market.cancel(buyer, made[1])
    found: list[OrderId] = []
    after = None
    for _ in range(3):
        async with market.db.read() as tx:
            page = await orders.list_own(tx, buyer, state=None, after=after, limit=2)
        found += [order.id for order in page.items]
        after = page.next
    assert found == made[::-1]
    assert after is None
    async with market.db.read() as tx:
        ended = await orders.list_own(tx, buyer, state=OrderState.cancelled, after=None, limit=2)
    assert [order.id for order in ended.items] == [made[1]]


async def test_a_shop_s_orders_are_for_its_staff(market: Market) -> None:
    order_id = await market.place(await market.buyer(), await market.add_item())
    stranger, packer = await make_account(market.db, "stranger"), await make_account(market.db, "packer")
    guest = identity.Actor(viewer_id=stranger.viewer_id)
    async with market.db.tx() as tx:
        await identity.grant_seat(tx, market.owner, market.shop_id, "packer", scopes=[identity.Scope.catalog])
    for actor, refusal in ((stranger, NotFound), (packer, Forbidden), (guest, Unauthenticated)):
        async with market.db.read() as tx:
            with pytest.raises(refusal):
                await orders.list_of_shop(tx, actor, market.shop_id, state=None, after=None, limit=9)
            with pytest.raises(refusal):
                await orders.get_of_shop(tx, actor, market.shop_id, order_id)
            with pytest.raises(refusal):
                await orders.get_sales(tx, actor, market.show_id)
    async with market.db.read() as tx:
        order = await orders.get_of_shop(tx, market.owner, market.shop_id, order_id)
    assert order.id == order_id
    assert order.shop_name == "海边人家"


async def test_staff_find_orders_by_number_title_buyer_and_show(market: Market) -> None:
    item, other = await market.add_item("海参 500g"), await market.add_item("Wool Coat")
    anna, bob = await market.buyer(), await market.buyer()
    first, second = await market.place(anna, item), await market.place(bob, other)
    async with market.db.tx() as tx:
        await tx.run("UPDATE identity.account SET name = '陈小明' WHERE id = %(id)s", id=anna.account_id)
    await market.fold()
    third = await market.place(bob, item, other)
    for words, expected in (
        ("海参", [third, first]),
        ("wool coat", [third, second]),
        ("小明", [first]),
        (second.hex[-8:], [second]),
        (str(second).upper(), [second]),
        ("nothing like it", []),
        ("%", []),
        ("", [third, second, first]),
    ):
        assert await _shop_ids(market, q=words) == expected, words
        assert await _shop_ids(market, q=words, show_id=market.show_id) == expected, words
    assert await _shop_ids(market, q="海参", state=OrderState.paid) == []
    async with market.db.tx() as tx:
        await live.end_show(tx, market.owner, market.show_id)
        later = await live.plan_show(tx, market.owner, live.ShowDraft(id=ShowId(new_id()), title="明天"))
    assert await _shop_ids(market, show_id=later.id) == []
    assert await _shop_ids(market, show_id=market.show_id) == [third, second, first]
