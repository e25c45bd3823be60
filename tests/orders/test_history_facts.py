"""History is told to the lake page by page: everything once, in whatever order its rows lie in the table."""

from datetime import timedelta
from random import Random
from uuid import UUID

from laotie import orders
from laotie.base.ids import AccountId, new_id
from laotie.lake.facts import MoneyRow
from laotie.orders.history import PastDeal, PastLine
from market import Market

SIZE, PAGE = 40, 7


async def test_pages_of_an_import_miss_no_order_and_no_return(market: Market) -> None:
    item = await market.add_item()
    line = PastLine(item.skus[0].sku_id, item.product_id, "海参", 2, 9_900)
    now = market.db.clock.now()
    sold = [PastDeal(str(n), AccountId(new_id()), now - timedelta(days=n), [line]) for n in range(SIZE)]
    back = [deal._replace(reference=f"R{deal.reference}", at=deal.at + timedelta(hours=1)) for deal in sold]
    Random(7).shuffle(sold)
    Random(8).shuffle(back)
    async with market.db.tx() as tx:
        run = await orders.history.open_run(tx, market.shop_id, digest=b"a book of other days", name="book")
        await orders.history.import_history(
            tx, run, currency="CNY", orders=sold, returns=back, refused=[], position=SIZE, counts={}, done=True
        )
    assert await orders.facts.tell_imports(market.db, page=PAGE) == 3 * SIZE
    async with market.db.read() as tx:
        assert await tx.one(int, "SELECT count(*) FROM lake.waiting") == 3 * SIZE
        exported: list[MoneyRow] = []
        after: UUID | None = orders.facts.FIRST
        while after is not None:
            rows, after = await orders.facts.export_returns(tx, after, PAGE)
            exported += rows
    assert len(exported) == len({row.id for row in exported}) == SIZE
