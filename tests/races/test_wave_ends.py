"""A wave runs out of time in a storm of purchases while its server is killed: its pieces come back, once."""

import asyncio
import contextlib
from uuid import UUID, uuid4

import psycopg

from laotie import identity, live
from laotie.base.db import Database
from laotie.base.ids import ViewerId
from laotie.bench.market import HotSale
from laotie.bench.server import ServerUnderTest
from tests.races.storm import audit_finds_nothing, check_books, make_asks, send_all
from tests.races.test_crash import open_hot_sale

STOCK, PIECES, LASTS_S = 5_000, 3_000, 2


async def open_wave(url: str, sale: HotSale) -> UUID:
    owner = identity.Actor(viewer_id=ViewerId(sale.owner_id), account_id=sale.owner_id, seat_holder_id=sale.owner_id)
    draft = live.WaveDraft(id=uuid4(), skus=[live.WaveSku(sku_id=sale.sku_id, pieces=PIECES)], lasts_s=LASTS_S)
    db = await Database.open(url, pool_max=2)
    try:
        async with db.tx() as tx:
            await live.plan_wave(tx, owner, sale.item_id, draft)
    finally:
        await db.close()
    return draft.id


def look(url: str, wave_id: UUID) -> tuple[str, int, int, int]:
    """The wave's state, what is left of its pieces, what went back, and how many movements put them back."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT wave.state, aside.remaining, coalesce(aside.returned, -1),"
            " (SELECT count(*) FROM catalog.stock_movement WHERE kind = 'put_back' AND aside_id = wave.id)"
            " FROM live.wave JOIN catalog.aside ON aside.id = wave.id WHERE wave.id = %s",
            (wave_id,),
        ).fetchone()
    assert row is not None
    return row[0], row[1], row[2], row[3]


async def test_a_waves_pieces_come_back_once_though_its_server_is_killed_when_it_ends() -> None:
    with ServerUnderTest(viewer_buys_per_s="100000") as server:
        sale = await open_hot_sale(server.database_url, stock=STOCK)
        wave_id = await open_wave(server.database_url, sale)
        asks = make_asks(buyers=20, each=40)
        storm = asyncio.ensure_future(send_all([server], sale, asks, wait_s=20))
        await asyncio.sleep(LASTS_S * 0.6)  # somewhere in the wave; wherever it strikes, the books must hold
        server.kill()
        await storm
        await asyncio.sleep(LASTS_S * 0.6)  # its time runs out while nobody is there
        sold = PIECES - look(server.database_url, wave_id)[1]
        server.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20):
                while look(server.database_url, wave_id)[0] != "ended":
                    await asyncio.sleep(0.1)
        assert look(server.database_url, wave_id) == ("ended", 0, PIECES - sold, 1)
        figures = check_books(server.database_url, sale, asks, received=STOCK)
        assert figures == {"orders": sold, "taken": sold, "available": STOCK - sold}
        # What had no answer is asked again: the same orders, and for the rest the shelf.
        await send_all([server], sale, asks, wait_s=20)
        assert all(ask.order_id for ask in asks)
        check_books(server.database_url, sale, asks, received=STOCK)
        await audit_finds_nothing(server.database_url)
