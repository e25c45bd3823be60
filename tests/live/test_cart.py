"""The show's cart, and what the till is told of it."""

import asyncio
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from laotie import catalog, live
from laotie.base.bus import LocalBus
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.events import Event
from laotie.base.ids import CartItemId, ShowId, SkuId, new_id
from laotie.base.money import Money
from laotie.base.outbox import Relay, list_waiting
from laotie.base.refusals import IdReused, NotFound
from laotie.catalog import ChangedMeanwhile, PriceRefused
from laotie.events import live as news
from laotie.live import Quote, ShowQuote, reactions
from stage import Host, host, join, product, put_in_cart


async def heard(db: Database) -> list[Event]:
    """What was told of carts since the last time."""
    async with db.tx() as tx:
        told = [one.event for one in await list_waiting(tx, limit=1000)]
        await tx.run("DELETE FROM base.outbox")
    return [one for one in told if isinstance(one, news.CartItemChanged | news.CartItemRemoved | news.ItemPinned)]


async def change(db: Database, who: Host, item_id: CartItemId, **fields: object) -> live.CartItem:
    async with db.tx() as tx:
        return await live.change_item(tx, who.actor, item_id, live.CartItemChange(**fields))  # type: ignore[arg-type]


async def test_a_product_lies_in_the_cart_at_show_prices_with_live_stock(db: Database) -> None:
    someone = await host(db)
    goods = await product(db, someone, prices=(9900, 12900))
    item = await put_in_cart(db, someone, goods, price=6900, limit=2)
    assert item == live.CartItem(
        id=item.id,
        product_id=goods.id,
        position=0,
        title="Sea cucumber",
        image=f"/media/pictures/{goods.id}.svg",
        on_shelf=True,
        pinned=False,
        explaining_since=None,
        limit_per_person=2,
        sale_ends_at=None,
        skus=[
            live.CartSku(
                sku_id=sku.id, options=sku.options, price=Money(6900, "CNY"), list_price=None, available=10
            )
            for sku in goods.skus
        ],
        version=1,
    )
    assert await heard(db) == [news.CartItemChanged(show_id=someone.show_id, item_id=item.id, version=1)]
    async with db.read() as tx:
        shown = await live.snapshot(tx, someone.show_id)
        assert shown.show.id == someone.show_id and shown.cart == [item]
        assert await live.cart_item_view(tx, item.id) == item


async def test_without_prices_every_sku_is_sold_at_its_own(db: Database) -> None:
    someone = await host(db)
    goods = await product(db, someone, prices=(9900, 12900))
    async with db.tx() as tx:
        draft = live.CartItemDraft(id=CartItemId(new_id()), product_id=goods.id)
        item = await live.add_item(tx, someone.actor, someone.show_id, draft)
    assert [(sku.price.amount, sku.list_price) for sku in item.skus] == [(9900, None), (12900, None)]


async def test_the_same_draft_again_is_the_same_item_and_a_product_lies_there_once(db: Database) -> None:
    someone = await host(db)
    goods, other = await product(db, someone), await product(db, someone)
    draft = live.CartItemDraft(id=CartItemId(new_id()), product_id=goods.id)
    async with db.tx() as tx:
        first = await live.add_item(tx, someone.actor, someone.show_id, draft)
        assert await live.add_item(tx, someone.actor, someone.show_id, draft) == first
        with pytest.raises(IdReused):
            await live.add_item(
                tx, someone.actor, someone.show_id, live.CartItemDraft(id=draft.id, product_id=other.id)
            )
        with pytest.raises(live.AlreadyInCart) as refused:
            again = live.CartItemDraft(id=CartItemId(new_id()), product_id=goods.id)
            await live.add_item(tx, someone.actor, someone.show_id, again)
        assert refused.value.item_id == draft.id


async def test_only_listed_products_of_the_shows_own_shop_are_sold(db: Database) -> None:
    someone, other = await host(db), await host(db, "other")
    for goods in (await product(db, other), await product(db, someone, is_listed=False)):
        with pytest.raises(live.NotOnSale):
            await put_in_cart(db, someone, goods)


async def test_prices_are_of_the_products_own_skus_in_the_shops_currency(db: Database) -> None:
    someone = await host(db)
    goods, other = await product(db, someone), await product(db, someone)
    tag, stray = goods.skus[0].id, other.skus[0].id
    item = await put_in_cart(db, someone, goods)
    for prices, refusal in (
        ([], live.PricesRefused),
        ([(stray, Money(100, "CNY"))], live.PricesRefused),
        ([(SkuId(uuid4()), Money(100, "CNY"))], live.PricesRefused),
        ([(tag, Money(100, "CNY")), (tag, Money(200, "CNY"))], live.PricesRefused),
        ([(tag, Money(100, "USD"))], PriceRefused),
        ([(tag, Money(0, "CNY"))], PriceRefused),
        ([(tag, Money(-5, "CNY"))], PriceRefused),
        ([(tag, Money(10**18, "CNY"))], PriceRefused),
    ):
        with pytest.raises(refusal):
            await change(db, someone, item.id, prices=[live.PriceTag(*price) for price in prices])
    async with db.read() as tx:
        assert await live.cart_item_view(tx, item.id) == item


async def test_limits_and_ends_of_sale_make_sense(db: Database) -> None:
    someone = await host(db)
    item = await put_in_cart(db, someone, await product(db, someone))
    for limit in (0, -1, 10**9):
        with pytest.raises(live.LimitRefused):
            await change(db, someone, item.id, limit_per_person=limit)
    with pytest.raises(live.SaleEndRefused):
        await change(db, someone, item.id, sale_ends_at=db.clock.now() - timedelta(seconds=1))
    ends_at = (db.clock.now() + timedelta(minutes=5)).replace(microsecond=0)
    changed = await change(db, someone, item.id, limit_per_person=3, sale_ends_at=ends_at, on_shelf=False)
    assert (changed.limit_per_person, changed.sale_ends_at, changed.on_shelf) == (3, ends_at, False)
    changed = await change(db, someone, item.id, limit_per_person=None, sale_ends_at=None)
    assert (changed.limit_per_person, changed.sale_ends_at, changed.on_shelf) == (None, None, False)


async def test_a_change_from_an_old_version_is_refused(db: Database) -> None:
    someone = await host(db)
    item = await put_in_cart(db, someone, await product(db, someone))
    assert (await change(db, someone, item.id, on_shelf=False, expected_version=1)).version == 2
    with pytest.raises(ChangedMeanwhile) as refused:
        await change(db, someone, item.id, on_shelf=True, expected_version=1)
    assert refused.value.version == 2


async def test_moving_an_item_tells_of_every_item_that_moved(db: Database) -> None:
    someone = await host(db)
    items = [await put_in_cart(db, someone, await product(db, someone, title=f"P{n}")) for n in range(4)]
    await heard(db)
    await change(db, someone, items[3].id, position=1)
    async with db.read() as tx:
        cart = await live.list_cart(tx, someone.show_id)
    assert [(item.title, item.position, item.version) for item in cart] == [
        ("P0", 0, 1),
        ("P3", 1, 2),
        ("P1", 2, 2),
        ("P2", 3, 2),
    ]
    assert {event.item_id for event in await heard(db)} == {item.id for item in items[1:]}  # type: ignore[attr-defined]
    await change(db, someone, items[3].id, position=10**12)
    await change(db, someone, items[2].id, position=-7)
    async with db.read() as tx:
        assert [item.title for item in await live.list_cart(tx, someone.show_id)] == ["P2", "P0", "P1", "P3"]


async def test_one_item_is_explained_at_a_time_from_the_second_it_was_pinned(db: Database, clock: Clock) -> None:
    someone = await host(db)
    first = await put_in_cart(db, someone, await product(db, someone))
    second = await put_in_cart(db, someone, await product(db, someone))
    await heard(db)
    async with db.tx() as tx:
        await live.pin_item(tx, someone.actor, someone.show_id, first.id)
        pinned_at = tx.now
    told = await heard(db)
    assert [type(event) for event in told] == [news.ItemPinned, news.CartItemChanged]
    clock.advance(seconds=90)
    async with db.tx() as tx:
        await live.pin_item(tx, someone.actor, someone.show_id, first.id)
    assert await heard(db) == []
    async with db.tx() as tx:
        view = await live.cart_item_view(tx, first.id)
        assert view is not None and view.pinned and view.explaining_since == pinned_at
        card = (await live.find_cards(tx, [someone.show_id]))[someone.show_id]
        assert card.pinned == live.PinnedOffer(view.title, view.image, Money(6900, "CNY"))
        await live.pin_item(tx, someone.actor, someone.show_id, second.id)
        cart = await live.list_cart(tx, someone.show_id)
        assert [(item.pinned, item.explaining_since) for item in cart] == [(False, None), (True, tx.now)]
        await live.pin_item(tx, someone.actor, someone.show_id, None)
        assert not any(item.pinned or item.explaining_since for item in await live.list_cart(tx, someone.show_id))
        for stray in (CartItemId(uuid4()), (await put_in_cart_elsewhere(db)).id):
            with pytest.raises(NotFound):
                await live.pin_item(tx, someone.actor, someone.show_id, stray)


async def put_in_cart_elsewhere(db: Database) -> live.CartItem:
    other = await host(db, "other")
    return await put_in_cart(db, other, await product(db, other))


async def test_a_removed_item_leaves_the_pin_too(db: Database) -> None:
    someone = await host(db)
    item = await put_in_cart(db, someone, await product(db, someone))
    async with db.tx() as tx:
        await live.pin_item(tx, someone.actor, someone.show_id, item.id)
    await heard(db)
    async with db.tx() as tx:
        await live.remove_item(tx, someone.actor, item.id)
    assert [type(event) for event in await heard(db)] == [news.ItemPinned, news.CartItemRemoved]
    async with db.tx() as tx:
        shown = await live.snapshot(tx, someone.show_id)
        assert (shown.show.pinned_item_id, shown.cart) == (None, [])
        assert await live.cart_item_view(tx, item.id) is None
        with pytest.raises(NotFound):
            await live.remove_item(tx, someone.actor, item.id)


async def test_an_ended_shows_cart_stays_as_it_was(db: Database) -> None:
    someone = await host(db)
    goods = await product(db, someone)
    item = await put_in_cart(db, someone, goods)
    async with db.tx() as tx:
        await live.end_show(tx, someone.actor, someone.show_id)
        for act in (
            live.add_item(
                tx, someone.actor, someone.show_id, live.CartItemDraft(id=CartItemId(new_id()), product_id=goods.id)
            ),
            live.change_item(tx, someone.actor, item.id, live.CartItemChange(on_shelf=False)),
            live.remove_item(tx, someone.actor, item.id),
            live.pin_item(tx, someone.actor, someone.show_id, item.id),
        ):
            with pytest.raises(live.ShowEnded):
                await act


async def test_strangers_cannot_touch_the_cart(db: Database) -> None:
    someone, stranger = await host(db), await join(db, "stranger")
    item = await put_in_cart(db, someone, await product(db, someone))
    async with db.tx() as tx:
        for act in (
            live.change_item(tx, stranger, item.id, live.CartItemChange(on_shelf=False)),
            live.remove_item(tx, stranger, item.id),
            live.pin_item(tx, stranger, someone.show_id, item.id),
        ):
            with pytest.raises(NotFound):
                await act


async def test_a_changed_product_is_shown_anew_and_a_delisted_one_is_off_the_shelf(db: Database) -> None:
    someone = await host(db)
    goods = await product(db, someone)
    item = await put_in_cart(db, someone, goods)
    await heard(db)
    async with db.tx() as tx:
        await catalog.edit_product(
            tx, someone.actor, goods.id, catalog.ProductChange(title="Wild", state=catalog.ProductState.delisted)
        )
    seen: list[str] = []
    bus = LocalBus()
    bus.subscribe("events.>", lambda subject, _: seen.append(subject))
    await Relay(db, bus, reactions.REACTIONS).drain()
    assert "events.show.cart_item_changed" in seen
    async with db.read() as tx:
        view = await live.cart_item_view(tx, item.id)
    assert view is not None and (view.title, view.on_shelf) == ("Wild", False)


async def test_a_snapshot_takes_few_statements_however_full_the_cart_is(db: Database) -> None:
    someone = await host(db)
    for number in range(8):
        await put_in_cart(db, someone, await product(db, someone, title=f"P{number}", prices=(100, 200, 300)))
    async with db.read() as tx:
        statements = 0
        plain = tx._connection.execute

        async def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal statements
            statements += 1
            return await plain(*arguments, **options)

        tx._connection.execute = counted  # type: ignore[method-assign]
        try:
            shown = await live.snapshot(tx, someone.show_id)
        finally:
            tx._connection.execute = plain  # type: ignore[method-assign]
    assert len(shown.cart) == 8 and statements <= 6


async def test_the_till_is_quoted_what_there_is_and_nothing_else(db: Database) -> None:
    someone = await host(db)
    goods = await product(db, someone)
    item, sku_id = await put_in_cart(db, someone, goods, limit=2), goods.skus[0].id
    async with db.tx() as tx:
        shows, quotes = await live.quote_many(
            tx,
            [someone.show_id, ShowId(uuid4()), someone.show_id],
            [(item.id, sku_id), (item.id, SkuId(uuid4())), (CartItemId(uuid4()), sku_id), (item.id, sku_id)],
        )
        assert shows == {someone.show_id: ShowQuote("live")}
        assert quotes == {(item.id, sku_id): Quote(someone.show_id, True, 6900, "CNY", 2, None)}
        assert await live.quote_many(tx, [], []) == ({}, {})


async def test_a_price_changes_before_or_after_a_batch_and_never_within(db: Database) -> None:
    someone = await host(db)
    goods = await product(db, someone)
    item = await put_in_cart(db, someone, goods, price=6900)
    pair = (item.id, goods.skus[0].id)
    order: list[str] = []

    async def reprice() -> None:
        await change(db, someone, item.id, prices=[live.PriceTag(goods.skus[0].id, Money(5900, "CNY"))])
        order.append("repriced")

    async with db.tx() as tx:
        _, quotes = await live.quote_many(tx, [someone.show_id], [pair])
        assert quotes[pair].price_amount == 6900
        waiting = asyncio.create_task(reprice())
        await asyncio.sleep(0.2)
        _, quotes = await live.quote_many(tx, [someone.show_id], [pair])
        assert quotes[pair].price_amount == 6900
        order.append("decided")
    await waiting
    assert order == ["decided", "repriced"]
    async with db.tx() as tx:
        _, quotes = await live.quote_many(tx, [someone.show_id], [pair])
        assert quotes[pair].price_amount == 5900


async def test_a_batch_that_waited_for_a_price_reads_the_new_one(db: Database) -> None:
    someone = await host(db)
    goods = await product(db, someone)
    item = await put_in_cart(db, someone, goods, price=6900)
    pair = (item.id, goods.skus[0].id)

    async def quote() -> Quote:
        async with db.tx() as tx:
            _, quotes = await live.quote_many(tx, [someone.show_id], [pair])
            return quotes[pair]

    async with db.tx() as tx:
        await live.change_item(
            tx,
            someone.actor,
            item.id,
            live.CartItemChange(prices=[live.PriceTag(goods.skus[0].id, Money(5900, "CNY"))], on_shelf=False),
        )
        waiting = asyncio.create_task(quote())
        await asyncio.sleep(0.2)
        assert not waiting.done()
    quoted = await waiting
    assert (quoted.price_amount, quoted.on_shelf) == (5900, False)


async def test_a_batch_that_waited_for_the_end_of_a_show_sees_it_ended(db: Database) -> None:
    someone = await host(db)

    async def quote() -> ShowQuote:
        async with db.tx() as tx:
            shows, _ = await live.quote_many(tx, [someone.show_id], [])
            return shows[someone.show_id]

    async with db.tx() as tx:
        await live.end_show(tx, someone.actor, someone.show_id)
        waiting = asyncio.create_task(quote())
        await asyncio.sleep(0.2)
        assert not waiting.done()
    assert (await waiting).state == "ended"


async def test_a_show_can_be_ended_and_pinned_in_a_storm_of_overlapping_batches(db: Database) -> None:
    someone = await host(db)
    goods = await product(db, someone)
    item = await put_in_cart(db, someone, goods)
    stop = asyncio.Event()
    batches = 0

    async def till() -> None:
        nonlocal batches
        while not stop.is_set():
            async with db.tx() as tx:
                await live.quote_many(tx, [someone.show_id], [(item.id, goods.skus[0].id)])
                await asyncio.sleep(0.02)
            batches += 1

    tills = [asyncio.create_task(till()) for _ in range(3)]
    try:
        await asyncio.sleep(0.2)
        began = time.monotonic()
        async with asyncio.timeout(5):
            async with db.tx() as tx:
                await live.pin_item(tx, someone.actor, someone.show_id, item.id)
            async with db.tx() as tx:
                await live.end_show(tx, someone.actor, someone.show_id)
        assert time.monotonic() - began < 2
    finally:
        stop.set()
        await asyncio.gather(*tills)
    assert batches > 3
