"""Baskets: kept with the account, shown at the prices of now, and nobody else's business."""

import pytest

from laotie import catalog, identity, live, orders
from laotie.base.ids import SkuId, new_id
from laotie.base.money import Money
from laotie.orders import BasketLine, Trouble
from laotie.orders.model import OffShelf, QuantityRefused
from market import Market


async def basket(market: Market, buyer: identity.Actor) -> list[BasketLine]:
    async with market.db.read() as tx:
        return await orders.list_basket(tx, buyer)


async def put(market: Market, buyer: identity.Actor, sku_id: SkuId, quantity: int = 1, **found: object) -> None:
    async with market.db.tx() as tx:
        await orders.put_line(tx, buyer, sku_id, quantity, **found)  # type: ignore[arg-type]


async def test_a_basket_is_the_persons_on_every_device_and_nobody_elses(market: Market) -> None:
    first = await market.add_to_shelf(market.owner, market.shop_id, price=2500)
    owner, shop_id = await market.open_shop()
    second = await market.add_to_shelf(owner, shop_id, price=1000)
    anna, ben = await market.buyer(), await market.buyer()
    await put(market, anna, first.sku_id, 2)
    await put(market, anna, second.sku_id)
    await put(market, anna, first.sku_id, 3)
    lines = {line.sku_id: line for line in await basket(market, anna)}
    assert {id_: line.quantity for id_, line in lines.items()} == {first.sku_id: 3, second.sku_id: 1}
    assert lines[second.sku_id].shop_id == shop_id
    assert lines[first.sku_id].price == Money(2500, "CNY")
    assert await basket(market, ben) == []
    async with market.db.tx() as tx:
        await orders.take_out(tx, anna, [first.sku_id, SkuId(new_id())])
    assert [line.sku_id for line in await basket(market, anna)] == [second.sku_id]


async def test_a_line_of_a_show_has_its_price_while_the_show_is_on_and_the_shelfs_after(market: Market) -> None:
    item = await market.add_item(price=9900, stock=4)
    sku_id = item.skus[0].sku_id
    async with market.db.tx() as tx:
        await live.change_item(
            tx, market.owner, item.id, live.CartItemChange(prices=[live.PriceTag(sku_id, Money(7900, "CNY"))])
        )
    anna = await market.buyer()
    await put(market, anna, sku_id, show_id=market.show_id, cart_item_id=item.id)
    (line,) = await basket(market, anna)
    assert (line.price, line.seen_price, line.cart_item_id) == (Money(7900, "CNY"), Money(7900, "CNY"), item.id)
    await put(market, anna, sku_id, 2)
    assert (await basket(market, anna))[0].cart_item_id == item.id
    async with market.db.tx() as tx:
        await live.end_show(tx, market.owner, market.show_id)
    (line,) = await basket(market, anna)
    assert (line.price, line.seen_price, line.show_id) == (Money(9900, "CNY"), Money(7900, "CNY"), None)


async def test_a_line_says_why_it_cannot_be_bought(market: Market) -> None:
    first = await market.add_to_shelf(market.owner, market.shop_id, stock=3)
    anna = await market.buyer()
    await put(market, anna, first.sku_id, 5)
    assert (await basket(market, anna))[0].trouble is Trouble.too_few
    ben = await market.buyer()
    await market.place_all(ben, market.ask(ben, show_id=None, lines=(orders.AskLine(first.sku_id, None, 3, 2500),)))
    assert (await basket(market, anna))[0].trouble is Trouble.sold_out
    async with market.db.tx() as tx:
        product_id = (await catalog.find_skus(tx, [first.sku_id]))[first.sku_id].product_id
        await catalog.edit_product(
            tx, market.owner, product_id, catalog.ProductChange(state=catalog.ProductState.delisted)
        )
    assert (await basket(market, anna))[0].trouble is Trouble.off_shelf


async def test_what_is_not_for_sale_or_no_number_does_not_go_in_and_a_basket_is_not_endless(market: Market) -> None:
    line = await market.add_to_shelf(market.owner, market.shop_id)
    anna = await market.buyer()
    with pytest.raises(OffShelf):
        await put(market, anna, SkuId(new_id()))
    for quantity in (0, -1, 10_000):
        with pytest.raises(QuantityRefused):
            await put(market, anna, line.sku_id, quantity)
    async with market.db.tx() as tx:
        await tx.run(
            """
            INSERT INTO orders.basket_line (buyer_id, sku_id, quantity, seen_amount, added_at)
            SELECT %(buyer)s, gen_random_uuid(), 1, 1, %(now)s FROM generate_series(1, 100)
            """,
            buyer=anna.signed_in(),
            now=tx.now,
        )
    with pytest.raises(orders.BasketFull):
        await put(market, anna, line.sku_id)
