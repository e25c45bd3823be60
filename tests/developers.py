"""A market whose whole API is open on a port, and keys to it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import uvicorn

from doors import Server, open_door
from laotie import identity
from laotie.base.db import Database
from laotie.base.ids import new_id as new_uuid
from laotie.base.signer import Signer
from laotie.identity import TokenScope
from laotie_client import AsyncClient, models, new_id
from market import Market, open_market


@dataclass
class Developer:
    """Somebody with a key to all of the API, and what they type into their program."""

    market: Market
    url: str
    key: str
    client: AsyncClient

    async def sandbox(self) -> models.ShopView:
        """A sandbox shop of theirs."""
        return await self.client.sandbox.make_sandbox_shop(models.NewSandboxShop(id=new_id()))

    async def make_key(self, *scopes: TokenScope) -> str:
        """Another key of the same person."""
        async with self.market.db.tx() as tx:
            made = await identity.create_token(
                tx,
                self.market.owner,
                identity.TokenId(new_uuid()),
                name="program",
                scopes=list(scopes),
                expires_at=tx.now + timedelta(days=30),
            )
        assert made.secret is not None
        return made.secret


@asynccontextmanager
async def open_desk(db: Database, signer: Signer, folder: Path) -> AsyncIterator[Developer]:
    """The market's owner at the keyboard."""
    async with open_market(db, signer, data_dir=str(folder)) as market:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with open_door(market.house) as app:
            server = Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
            serving = asyncio.create_task(server._serve(sockets=[listener]))
            while not server.started:
                await asyncio.sleep(0.001)
            made = Developer(market, url, "", AsyncClient(url))
            made.key = await made.make_key(*(one for one in TokenScope if one is not TokenScope.operator))
            made.client = AsyncClient(url, made.key)
            yield made
            await made.client.close()
            server.should_exit = True
            await serving
