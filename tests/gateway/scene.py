"""What the gateway's tests share: a market to show, the running door, people who come in."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from room_client import Client

from laotie import catalog, identity, live
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.entry import Source, Visit
from laotie.base.ids import (
    AccountId,
    CartItemId,
    ProductId,
    ShopId,
    ShowId,
    SkuId,
    ViewerId,
    VisitId,
    new_id,
)
from laotie.base.money import Money
from laotie.base.outbox import Relay, list_waiting
from laotie.base.signer import Signer
from laotie.gateway import Gateway
from laotie.lake import Act


@dataclass
class Market:
    """A live show with two things in its cart, and ways to change it."""

    db: Database
    signer: Signer
    owner: identity.Actor
    shop_id: ShopId
    show_id: ShowId
    items: list[live.CartItem] = field(default_factory=list)

    def ticket(self, *, account: AccountId | None = None, guest: bool = False, **changes: Any) -> str:
        """A ticket as the API issues it: for a new account, or a guest."""
        viewer = ViewerId(account or new_id())
        show_id = changes.pop("show_id", self.show_id)
        visit = Visit(
            id=VisitId(new_id()),
            viewer_id=viewer,
            show_id=show_id,
            source=Source.direct,
            placement="direct",
            at=self.db.clock.now(),
        )
        fields: dict[str, Any] = {
            "jti": new_id(),
            "viewer_id": viewer,
            "account_id": None if guest else AccountId(viewer),
            "name": "小明",
            "show_id": show_id,
            "shop_id": self.shop_id,
            "visit": visit,
        }
        return live.issue_ticket(self.signer, live.Ticket(**(fields | changes)))

    async def add_item(self, title: str, *, price: int = 9900, stock: int = 10) -> live.CartItem:
        product_id = ProductId(new_id())
        async with self.db.tx() as tx:
            await catalog.add_product(
                tx, self.owner, self.shop_id, product_id, catalog.ProductDraft(title=title, category="海产")
            )
            await catalog.add_sku(
                tx,
                self.owner,
                product_id,
                SkuId(new_id()),
                catalog.SkuDraft(code=f"{product_id}"[-8:], price=Money(price, "CNY"), stock=stock),
            )
            await catalog.edit_product(
                tx, self.owner, product_id, catalog.ProductChange(state=catalog.ProductState.listed)
            )
            item = await live.add_item(
                tx, self.owner, self.show_id, live.CartItemDraft(id=CartItemId(new_id()), product_id=product_id)
            )
        self.items.append(item)
        return item

    def buy(self, item: live.CartItem, *, qty: int = 1, price: int | None = None) -> dict[str, Any]:
        sku = item.skus[0]
        return {
            "t": "buy",
            "id": str(new_id()),
            "lines": [
                {
                    "sku": str(sku.sku_id),
                    "item": str(item.id),
                    "qty": qty,
                    "price": sku.price.amount if price is None else price,
                }
            ],
        }


async def make_account(db: Database, handle: str) -> identity.Actor:
    account_id = AccountId(new_id())
    async with db.tx() as tx:
        await identity.create_account(tx, account_id, handle=handle, password_hash="unused", name=handle)
    return identity.Actor(viewer_id=ViewerId(account_id), account_id=account_id, seat_holder_id=account_id)


class Kept:
    """A sink that keeps acts, for a test to look at."""

    def __init__(self) -> None:
        self.acts: list[Act] = []

    def append(self, act: Act) -> None:
        self.acts.append(act)


@dataclass
class House:
    """The running door."""

    gateway: Gateway
    relay: Relay
    bus: LocalBus
    url: str
    own_url: str
    server: uvicorn.Server
    serving: asyncio.Task[None]
    market: Market
    acts: list[Act] = field(default_factory=list)

    async def carried(self) -> None:
        """Wait until every fact told so far has reached the bus."""
        async with asyncio.timeout(30):
            while True:
                async with self.market.db.read() as tx:
                    if not await list_waiting(tx):
                        return
                await asyncio.sleep(0.01)

    async def enter(self, *, own_port: bool = False, resume: int | None = None, **ticket: Any) -> Client:
        """A viewer in the room."""
        client = await Client.connect(self.own_url if own_port else self.url)
        frame = await client.hello(self.market.ticket(**ticket), resume=resume)
        assert frame["t"] in ("welcome", "batch"), frame
        return client


async def answer_http(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"over http"})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


OpenHouse = Callable[..., AbstractAsyncContextManager[House]]


