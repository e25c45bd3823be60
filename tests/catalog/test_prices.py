"""Prices that may be crossed out come from what the shelf really asked, whichever way a price was changed."""

import io
import itertools
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laotie import catalog
from laotie.base.db import Database
from laotie.base.ids import ProductId, SkuId, new_id
from laotie.base.money import Money
from laotie.catalog import ListPriceGap, ProductState, SkuState, Step
from laotie.catalog.prices import IN_FORCE_MIN, WINDOW, began_at, find_references, lowest_before

Add = Callable[..., Awaitable[catalog.Sku]]
DAY = 86_400
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def steps(*told: tuple[float, int, bool]) -> list[Step]:
    return [Step(BEGIN + timedelta(days=day), price, on_shelf) for day, price, on_shelf in told]


@pytest.mark.parametrize(
    ("told", "until", "lowest"),
    [
        ([(0, 100, True)], 6.9, None),
        ([(0, 100, True)], 7, 100),
        ([(0, 100, True)], 400, 100),
        ([(0, 100, False)], 400, None),
        ([(0, 100, True), (3, 100, False), (20, 100, True)], 23.9, None),
        ([(0, 100, True), (3, 100, False), (20, 100, True)], 24, 100),
        ([(0, 100, True), (20, 300, True)], 20.1, 100),
        ([(0, 100, True), (20, 300, True)], 49.9, 100),
        ([(0, 100, True), (20, 300, True)], 50, 300),
        ([(0, 100, True), (10, 40, True), (10.01, 100, True)], 30, 40),
        ([(0, 100, True), (10, 40, False), (10.01, 100, True)], 30, 100),
        ([(0, 100, True), (40, 90, True)], 20, 100),
    ],
)
def test_the_reference_is_the_lowest_price_of_thirty_days_on_the_shelf(
    told: list[tuple[float, int, bool]], until: float, lowest: int | None
) -> None:
    assert lowest_before(steps(*told), BEGIN + timedelta(days=until)) == lowest


@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(1, 5), st.booleans()), min_size=1, max_size=12),
    st.integers(1, 2_000),
)
def test_the_reference_is_what_hour_by_hour_counting_gives(told: list[tuple[int, int, bool]], until: int) -> None:
    hours = list(itertools.accumulate(gap for gap, _, _ in told))
    history = [
        Step(BEGIN + timedelta(hours=at), price, on_shelf) for at, (_, price, on_shelf) in zip(hours, told, strict=True)
    ]
    asked = []
    for hour in range(until - WINDOW // timedelta(hours=1), until):
        now = [one for at, one in zip(hours, told, strict=True) if at <= hour]
        if now and now[-1][2]:
            asked.append(now[-1][1])
    wanted = min(asked) if timedelta(hours=len(asked)) >= IN_FORCE_MIN else None
    assert lowest_before(history, BEGIN + timedelta(hours=until)) == wanted


def test_a_price_began_when_it_was_set_not_when_the_sku_came_back() -> None:
    history = steps((0, 100, True), (5, 80, True), (6, 80, False), (9, 80, True))
    assert began_at(history) == BEGIN + timedelta(days=5)


async def change(db: Database, seller: Any, sku_id: SkuId, **change: Any) -> catalog.Sku:
    async with db.tx() as tx:
        return await catalog.edit_sku(tx, seller.owner, sku_id, catalog.SkuChange(**change))


def yuan(amount: int) -> Money:
    return Money(amount, "CNY")


async def shown(db: Database, sku: catalog.Sku) -> catalog.Sku:
    async with db.read() as tx:
        [found] = (await catalog.find_products(tx, [sku.product_id]))[sku.product_id].skus
    return found


async def references(db: Database, sku: catalog.Sku) -> int | None:
    async with db.read() as tx:
        return (await catalog.find_reference_prices(tx, [sku.id])).get(sku.id)


async def test_a_typed_list_price_is_shown_only_as_far_as_the_history_bears_it_out(
    db: Database, seller: Any, add_sku: Add
) -> None:
    sku = await add_sku(price=9_900)
    await change(db, seller, sku.id, list_price=yuan(19_900))
    one = await shown(db, sku)
    assert (one.crossed_price, one.list_price_gap, await references(db, sku)) == (None, ListPriceGap.no_history, None)
    db.clock.advance(seconds=8 * DAY)
    one = await shown(db, sku)
    assert (one.crossed_price, one.list_price_gap) == (None, ListPriceGap.no_history)
    await change(db, seller, sku.id, price=yuan(7_900))
    one = await shown(db, sku)
    assert (one.crossed_price, one.list_price_gap) == (yuan(9_900), ListPriceGap.above_reference)
    assert await references(db, sku) == 9_900
    await change(db, seller, sku.id, list_price=yuan(8_900))
    one = await shown(db, sku)
    assert (one.crossed_price, one.list_price_gap) == (yuan(8_900), None)
    await change(db, seller, sku.id, list_price=yuan(7_900))
    one = await shown(db, sku)
    assert (one.crossed_price, one.list_price_gap) == (None, ListPriceGap.not_above)
    await change(db, seller, sku.id, list_price=None)
    one = await shown(db, sku)
    assert (one.crossed_price, one.list_price_gap) == (None, None)


async def test_a_price_raised_for_the_occasion_is_never_crossed_out(db: Database, seller: Any, add_sku: Add) -> None:
    sku = await add_sku(price=9_900)
    db.clock.advance(seconds=20 * DAY)
    await change(db, seller, sku.id, price=yuan(29_900), list_price=yuan(29_900))
    db.clock.advance(seconds=8 * DAY)
    await change(db, seller, sku.id, price=yuan(9_800))
    assert (await shown(db, sku)).crossed_price == yuan(9_900)
    await change(db, seller, sku.id, price=yuan(9_900))
    one = await shown(db, sku)
    assert (one.crossed_price, one.list_price_gap) == (None, ListPriceGap.no_reduction)


async def test_beside_a_show_price_stands_what_the_shelf_asked_lately(db: Database, seller: Any, add_sku: Add) -> None:
    sku = await add_sku(price=9_900)
    assert (await shown(db, sku)).crossed_beside(6_900) is None
    db.clock.advance(seconds=8 * DAY)
    await change(db, seller, sku.id, price=yuan(12_900))
    one = await shown(db, sku)
    assert one.crossed_beside(6_900) == yuan(9_900)
    assert one.crossed_beside(9_900) is None
    assert one.crossed_beside(12_900) is None
    await change(db, seller, sku.id, list_price=yuan(8_000))
    assert (await shown(db, sku)).crossed_beside(6_900) == yuan(8_000)


async def list_steps(db: Database, sku_id: SkuId) -> list[tuple[int, bool, bool]]:
    async with db.read() as tx:
        return await tx.tuples(
            "SELECT price_amount, on_shelf, brought FROM catalog.price_step WHERE sku_id = %(id)s ORDER BY at, no",
            id=sku_id,
        )


async def test_every_way_a_price_or_a_state_changes_is_in_the_history(
    db: Database, seller: Any, add_sku: Add
) -> None:
    sku = await add_sku(code="T-1", price=100)
    assert await list_steps(db, sku.id) == [(100, False, False), (100, True, False)]
    await change(db, seller, sku.id, price=yuan(200))
    await change(db, seller, sku.id, code="T-2")
    await change(db, seller, sku.id, state=SkuState.retired)
    await change(db, seller, sku.id, state=SkuState.active)
    async with db.tx() as tx:
        for state in (ProductState.delisted, ProductState.listed):
            await catalog.edit_product(tx, seller.owner, sku.product_id, catalog.ProductChange(state=state))
    sheet = b"code,price,state,sku_state,title\nT-2,3.00,,,\nT-2X,4.00,listed,,New\n"
    report = await catalog.import_sheet(db, seller.owner, seller.shop.id, io.BytesIO(sheet))
    assert (report.created, report.updated, report.refused) == (1, 1, 0)
    await catalog.import_sheet(db, seller.owner, seller.shop.id, io.BytesIO(b"code,state\nT-2,delisted\n"))
    assert await list_steps(db, sku.id) == [
        (100, False, False),
        (100, True, False),
        (200, True, False),
        (200, False, False),
        (200, True, False),
        (200, False, False),
        (200, True, False),
        (300, True, False),
        (300, False, False),
    ]
    async with db.read() as tx:
        made = (await catalog.list_codes(tx, seller.shop.id))["T-2X"][0]
    assert await list_steps(db, made) == [(400, True, False)]


async def test_the_history_is_not_rewritten(db: Database, add_sku: Add) -> None:
    sku = await add_sku()
    for statement in ("UPDATE catalog.price_step SET price_amount = 1", "DELETE FROM catalog.price_step"):
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            async with db.tx() as tx:
                await tx.run(statement)
    assert len(await list_steps(db, sku.id)) == 2


async def test_a_history_that_is_brought_is_marked_and_reaches_only_before_our_own(
    db: Database, seller: Any, add_sku: Add
) -> None:
    sku = await add_sku(price=5_900)
    now = db.clock.now()
    told = [
        Step(now - timedelta(days=60), 7_900, True),
        Step(now - timedelta(days=1), 6_900, True),
        Step(now + timedelta(days=1), 99_900, True),
    ]
    for _ in range(2):
        async with db.tx() as tx:
            await catalog.bring_history(tx, {sku.id: told})
    assert await list_steps(db, sku.id) == [
        (7_900, True, True),
        (6_900, True, True),
        (5_900, False, False),
        (5_900, True, False),
    ]
    await change(db, seller, sku.id, list_price=yuan(9_900))
    assert (await shown(db, sku)).crossed_price == yuan(6_900)


async def test_with_more_steps_than_are_read_nothing_is_claimed(db: Database, add_sku: Add) -> None:
    sku = await add_sku(price=5_000)
    now = db.clock.now()
    async with db.tx() as tx:
        await catalog.bring_history(
            tx, {sku.id: [Step(now - timedelta(days=20) + timedelta(hours=n), 9_000 + n, True) for n in range(220)]}
        )
        assert (await find_references(tx, [sku.id]))[sku.id] == (None, None)


async def test_a_products_draft_is_no_time_on_the_shelf(db: Database, seller: Any) -> None:
    product_id, sku_id = ProductId(new_id()), SkuId(new_id())
    async with db.tx() as tx:
        await catalog.add_product(tx, seller.owner, seller.shop.id, product_id, catalog.ProductDraft(title="x"))
        draft = catalog.SkuDraft(code="x", price=yuan(9_900), list_price=yuan(9_900))
        await catalog.add_sku(tx, seller.owner, product_id, sku_id, draft)
    db.clock.advance(seconds=60 * DAY)
    sku = await change(db, seller, sku_id, price=yuan(5_000))
    assert (sku.crossed_price, sku.list_price_gap) == (None, ListPriceGap.no_history)


def test_whoever_writes_a_price_or_a_shelf_records_it() -> None:
    writes = re.compile(
        r"INSERT INTO catalog\.sku|UPDATE catalog\.sku\s+SET [^;\"]*?\bprice_amount ="
        r"|UPDATE catalog\.product\s+SET [^;\"]*?\bstate ="
    )
    rooms = Path(catalog.__file__).parent
    found = {file.name: file.read_text() for file in rooms.glob("*.py") if writes.search(file.read_text())}
    assert {"products.py", "intake.py"} <= found.keys()
    assert [name for name, text in found.items() if "prices.record(" not in text] == []
