"""Stock: the ledger and the balance say the same, whatever happens."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.errors import CheckViolation

from laotie import catalog, identity
from laotie.base.db import Database
from laotie.base.ids import OrderId, ProductId, SkuId, new_id
from laotie.base.money import Money
from laotie.base.refusals import Forbidden, IdReused, NotFound
from laotie.events.catalog import StockChanged

Add = Callable[..., Awaitable[catalog.Sku]]


async def figures(db: Database, sku_id: SkuId) -> tuple[int, int, int, int]:
    async with db.read() as tx:
        sku = (await catalog.find_skus(tx, [sku_id]))[sku_id]
        audit = await catalog.tally(tx)
    assert audit.difference_count == 0, audit.differences
    return sku.available, sku.reserved, sku.sold, sku.received


async def test_an_order_takes_pieces_through_reserved_to_sold_and_back(db: Database, add_sku: Add) -> None:
    sku, order_id = await add_sku(stock=10), OrderId(new_id())
    async with db.tx() as tx:
        shelf = (await catalog.lock_many(tx, [sku.id]))[sku.id]
        assert (shelf.available, shelf.sellable, shelf.price_amount) == (10, True, 9900)
        assert shelf.image == f"/media/pictures/{sku.product_id}.svg"
        await catalog.reserve_many(tx, [(sku.id, 3, order_id, None), (sku.id, 2, OrderId(new_id()), None)])
    assert await figures(db, sku.id) == (5, 5, 0, 10)
    async with db.tx() as tx:
        await catalog.release_many(tx, [(sku.id, 2, order_id, None)])
        assert tx.told == [
            StockChanged(sku_id=sku.id, product_id=sku.product_id, shop_id=sku.shop_id, available=7)
        ]
        await catalog.sell_many(tx, [(sku.id, 3, order_id, None)])
    assert await figures(db, sku.id) == (7, 0, 3, 10)
    async with db.tx() as tx:
        await catalog.return_many(tx, [(sku.id, 1, order_id, None)])
    assert await figures(db, sku.id) == (8, 0, 2, 10)


async def test_more_than_there_is_cannot_be_reserved_even_by_a_bug(db: Database, add_sku: Add) -> None:
    sku = await add_sku(stock=2)
    with pytest.raises(CheckViolation):
        async with db.tx() as tx:
            await catalog.reserve_many(tx, [(sku.id, 3, OrderId(new_id()), None)])
    assert await figures(db, sku.id) == (2, 0, 0, 2)


async def test_reserving_is_fit_for_a_pipeline(db: Database, add_sku: Add) -> None:
    sku = await add_sku(stock=9)
    async with db.tx() as tx:
        await catalog.lock_many(tx, [sku.id])
        async with tx.pipelined():
            await catalog.reserve_many(tx, [(sku.id, 4, OrderId(new_id()), None)])
    assert await figures(db, sku.id) == (5, 4, 0, 9)


async def test_a_hand_movement_repeated_with_its_id_moves_once(
    db: Database, add_sku: Add, seller: Any
) -> None:
    sku, id_ = await add_sku(stock=5), new_id()
    for _ in range(2):
        async with db.tx() as tx:
            movement, available = await catalog.move_stock(
                tx, seller.owner, sku.id, id_, kind=catalog.MovementKind.received, quantity=7, note="pallet 3"
            )
        assert (movement.quantity, available) == (7, 12)
    with pytest.raises(IdReused):
        async with db.tx() as tx:
            await catalog.move_stock(
                tx, seller.owner, sku.id, id_, kind=catalog.MovementKind.received, quantity=8, note="pallet 3"
            )
    assert await figures(db, sku.id) == (12, 0, 0, 12)


async def test_movements_that_make_no_sense_are_refused(db: Database, add_sku: Add, seller: Any) -> None:
    sku = await add_sku()
    for kind, quantity in (("received", 0), ("received", -1), ("corrected", 0), ("sold", 1), ("received", 10**10)):
        with pytest.raises(catalog.MovementRefused):
            async with db.tx() as tx:
                await catalog.move_stock(
                    tx, seller.owner, sku.id, new_id(), kind=catalog.MovementKind(kind), quantity=quantity
                )


async def test_a_correction_never_takes_more_than_is_available(db: Database, add_sku: Add, seller: Any) -> None:
    sku = await add_sku(stock=3)
    with pytest.raises(catalog.StockShort) as refused:
        async with db.tx() as tx:
            await catalog.move_stock(
                tx, seller.owner, sku.id, new_id(), kind=catalog.MovementKind.corrected, quantity=-4
            )
    assert refused.value.available == 3
    async with db.tx() as tx:
        await catalog.move_stock(tx, seller.owner, sku.id, new_id(), kind=catalog.MovementKind.corrected, quantity=-3)
    assert await figures(db, sku.id) == (0, 0, 0, 0)


async def test_only_a_seat_with_the_scope_moves_stock(db: Database, add_sku: Add, seller: Any) -> None:
    sku = await add_sku()
    async with db.tx() as tx:
        await identity.grant_seat(tx, seller.owner, sku.shop_id, "stranger", scopes=[identity.Scope.orders])
    with pytest.raises(Forbidden):
        async with db.tx() as tx:
            await catalog.move_stock(
                tx, seller.stranger, sku.id, new_id(), kind=catalog.MovementKind.received, quantity=1
            )
    with pytest.raises(NotFound):
        async with db.tx() as tx:
            await catalog.move_stock(
                tx, seller.owner, SkuId(new_id()), new_id(), kind=catalog.MovementKind.received, quantity=1
            )


async def test_movements_are_paged_newest_first(db: Database, add_sku: Add, seller: Any) -> None:
    sku = await add_sku(stock=1)
    for quantity in range(2, 7):
        async with db.tx() as tx:
            await catalog.move_stock(
                tx, seller.owner, sku.id, new_id(), kind=catalog.MovementKind.received, quantity=quantity
            )
    seen: list[int] = []
    after = None
    async with db.read() as tx:
        while True:
            page = await catalog.list_movements(tx, seller.owner, sku.id, after=after, limit=2)
            seen += [movement.quantity for movement in page.items]
            if (after := page.next) is None:
                break
    assert seen == [6, 5, 4, 3, 2, 1]


async def test_batches_in_any_order_of_lines_never_deadlock_or_lose_a_piece(db: Database, add_sku: Add) -> None:
    skus = [await add_sku(code=f"C-{n}", stock=1_000) for n in range(6)]

    async def cycle(turn: int) -> None:
        order_id = OrderId(new_id())
        lines: list[catalog.Line] = [(sku.id, 1, order_id, None) for sku in (skus if turn % 2 else skus[::-1])]
        async with db.tx() as tx:
            await catalog.lock_many(tx, [sku.id for sku in skus])
            await catalog.reserve_many(tx, lines)
        async with db.tx() as tx:
            await (catalog.sell_many if turn % 3 else catalog.release_many)(tx, lines)
        if turn % 5 == 0:
            async with db.tx() as tx:
                await catalog.set_many(tx, {sku.id: 500 for sku in skus}, note="counted")

    await asyncio.gather(*(cycle(turn) for turn in range(60)))
    for sku in skus:
        _, reserved, sold, _ = await figures(db, sku.id)
        assert (reserved, sold) == (0, 40)


async def test_a_difference_is_found_and_shown(db: Database, add_sku: Add) -> None:
    sku = await add_sku(stock=4)
    async with db.tx() as tx:
        await tx.run("UPDATE catalog.sku SET available = 5, received = 5 WHERE id = %(id)s", id=sku.id)
        audit = await catalog.tally(tx)
    assert (audit.sku_count, audit.difference_count) == (1, 1)
    assert (audit.differences[0].received, audit.differences[0].received_moved) == (5, 4)


STEP = st.tuples(
    st.sampled_from(["receive", "correct", "reserve", "release", "sell", "return"]),
    st.integers(0, 2),
    st.integers(-6, 6),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=30))
async def test_any_history_agrees_with_a_plain_model(
    db: Database, seller: Any, add_sku: Add, steps: list[tuple[str, int, int]]
) -> None:
    """The model: four numbers a SKU, moved by hand."""
    skus = [await add_sku(code=str(new_id()), stock=5) for _ in range(3)]
    model = [{"available": 5, "reserved": 0, "sold": 0, "received": 5} for _ in skus]
    order_id = OrderId(new_id())
    ways = {
        "reserve": (catalog.reserve_many, "available", "reserved"),
        "release": (catalog.release_many, "reserved", "available"),
        "sell": (catalog.sell_many, "reserved", "sold"),
        "return": (catalog.return_many, "sold", "available"),
    }
    for act, which, quantity in steps:
        sku, kept = skus[which], model[which]
        move, source, target = ways.get(act, (None, "", ""))
        try:
            async with db.tx() as tx:
                if move is not None:
                    await move(tx, [(sku.id, quantity, order_id, None)])
                else:
                    kind = catalog.MovementKind.received if act == "receive" else catalog.MovementKind.corrected
                    await catalog.move_stock(tx, seller.owner, sku.id, new_id(), kind=kind, quantity=quantity)
        except (psycopg.errors.CheckViolation, catalog.StockShort, catalog.MovementRefused):
            if move is not None:
                assert quantity <= 0 or kept[source] < quantity
            else:
                assert quantity == 0 or kept["available"] + quantity < 0 or (act == "receive" and quantity < 0)
            continue
        if move is not None:
            kept[source] -= quantity
            kept[target] += quantity
        else:
            kept["available"] += quantity
            kept["received"] += quantity
        assert min(kept.values()) >= 0
    for sku, kept in zip(skus, model, strict=True):
        assert await figures(db, sku.id) == tuple(kept[name] for name in ("available", "reserved", "sold", "received"))


async def test_past_sales_come_and_go_without_touching_what_can_be_bought(db: Database, add_sku: Add) -> None:
    sku = await add_sku(stock=10)
    async with db.tx() as tx:
        await catalog.record_past_sales(tx, {sku.id: 250}, note="history")
        assert tx.told == []
    assert await figures(db, sku.id) == (10, 0, 250, 260)


async def test_what_is_off_the_shelf_is_not_sellable(db: Database, add_sku: Add, seller: Any) -> None:
    sku = await add_sku()
    async with db.tx() as tx:
        await catalog.edit_product(
            tx, seller.owner, ProductId(sku.product_id), catalog.ProductChange(state=catalog.ProductState.delisted)
        )
        assert not (await catalog.lock_many(tx, [sku.id]))[sku.id].sellable
        await catalog.edit_product(
            tx, seller.owner, sku.product_id, catalog.ProductChange(state=catalog.ProductState.listed)
        )
        await catalog.edit_sku(
            tx, seller.owner, sku.id, catalog.SkuChange(price=Money(8800, "CNY"), state=catalog.SkuState.retired)
        )
        shelf = (await catalog.lock_many(tx, [sku.id, SkuId(new_id())]))[sku.id]
    assert (shelf.sellable, shelf.price_amount) == (False, 8800)
