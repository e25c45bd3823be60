"""A live show with a cart, and the real gateway in front of it, on uvicorn's port and on its own."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from scene import House, Kept, Market, OpenHouse, answer_http, free_port, make_account

from doors import Server
from laotie import catalog, live
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.ids import RoomId, ShopId, ShowId, new_id
from laotie.base.outbox import Relay
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.gateway import Gateway, Limits, upgrade_class
from laotie.live.reactions import REACTIONS
from laotie.orders import Till


@pytest.fixture
async def market(db: Database, signer: Signer) -> Market:
    owner = await make_account(db, "owner")
    assert owner.account_id is not None
    shop_id, room_id, show_id = ShopId(new_id()), RoomId(new_id()), ShowId(new_id())
    async with db.tx() as tx:
        await catalog.open_shop(tx, owner.account_id, shop_id, catalog.ShopDraft(name="海边人家", currency="CNY"))
        await live.open_room(tx, owner, room_id, shop_id=shop_id, title="海边")
        await live.plan_show(
            tx, owner, live.ShowDraft(id=show_id, title="今晚", planned_at=tx.now + timedelta(minutes=1))
        )
        await live.start_show(tx, owner, show_id)
    market = Market(db, signer, owner, shop_id, show_id)
    await market.add_item("Sea cucumber")
    await market.add_item("Abalone", price=4900, stock=5)
    return market


@pytest.fixture
def open_house(market: Market, tmp_path: Path) -> OpenHouse:
    """Opens the door with the limits that a test wants."""

    @asynccontextmanager
    async def opened(
        limits: Limits | None = None, bus: LocalBus | None = None, **settings: Any
    ) -> AsyncIterator[House]:
        bus = bus or LocalBus()
        own_port = free_port()
        told = Settings(data_dir=str(tmp_path), gateway_port=own_port, **settings)
        gateway = Gateway(settings=told, bus=bus, clock=market.db.clock, limits=limits)
        till = Till(market.db, payment_timeout_s=900, batch_max=64, waiting_max=1000)
        sink = Kept()
        await gateway.start(db=market.db, signer=market.signer, till=till, sink=sink)
        relay = Relay(market.db, bus, REACTIONS, idle_s=0.05)
        carrying = asyncio.create_task(relay.run())
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        config = uvicorn.Config(
            answer_http,
            http="httptools",
            ws=upgrade_class(gateway),
            lifespan="off",
            log_config=None,
            access_log=False,
            ssl_certfile=told.tls_certificate,
            ssl_keyfile=told.tls_key,
        )
        server = Server(config)
        serving = asyncio.create_task(server._serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.001)
        url, own_url = f"ws://127.0.0.1:{port}/ws", f"ws://127.0.0.1:{own_port}/ws"
        try:
            yield House(gateway, relay, bus, url, own_url, server, serving, market, sink.acts)
        finally:
            await gateway.stop()
            await till.close()
            server.should_exit = True
            await serving
            carrying.cancel()
            await asyncio.gather(carrying, return_exceptions=True)

    return opened


@pytest.fixture
async def house(open_house: OpenHouse) -> AsyncIterator[House]:
    """The door with its usual limits."""
    async with open_house() as opened:
        yield opened
