"""A market to buy in: one shop, one live show, stock, buyers; the web door on a real port; time and jobs by hand.

    async with open_market(db, signer) as market:
        item = await market.add_item(stock=3, price=9900)
        buyer = await market.buyer()
        order_id = await market.place(buyer, item)
        payment_id = await market.pay(buyer, order_id)
        await market.settle()
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from typing import Any

import msgspec
import uvicorn

from doors import Server, open_door
from laotie import catalog, identity, ledger, live, orders, payments
from laotie.base import jobs
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.entry import Source
from laotie.base.ids import (
    AccountId,
    CartItemId,
    OrderId,
    PaymentId,
    ProductId,
    RoomId,
    ShopId,
    ShowId,
    SkuId,
    ViewerId,
    new_id,
)
from laotie.base.money import Money
from laotie.base.outbox import Relay
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.lake.reactions import REACTIONS as OF_LAKE
from laotie.orders.reactions import REACTIONS
from laotie.payments import sandbox
from laotie.web.house import House

SECRET = "a secret that the tests share with the sandbox"
TURNS_MAX = 200
Turn = Callable[[], Awaitable[int]]
"""Does what is due and says how much that was."""


@dataclass
class Market:
    """See the module."""

    db: Database
    settings: Settings
    context: jobs.Context
    relay: Relay
    till: orders.Till
    house: House
    owner: identity.Actor
    shop_id: ShopId
    show_id: ShowId
    addresses: dict[AccountId, identity.Address] = field(default_factory=dict)

    async def add_item(
        self, title: str = "海参", *, price: int = 9900, stock: int = 10, limit: int | None = None
    ) -> live.CartItem:
        """A product with one SKU, in the show's cart."""
        product_id = ProductId(new_id())
        async with self.db.tx() as tx:
            await catalog.add_product(tx, self.owner, self.shop_id, product_id, catalog.ProductDraft(title=title))
            await catalog.add_sku(
                tx,
                self.owner,
                product_id,
                SkuId(new_id()),
                catalog.SkuDraft(code=product_id.hex[-12:], price=Money(price, "CNY"), stock=stock),
            )
            await catalog.edit_product(
                tx, self.owner, product_id, catalog.ProductChange(state=catalog.ProductState.listed)
            )
            draft = live.CartItemDraft(id=CartItemId(new_id()), product_id=product_id, limit_per_person=limit)
            return await live.add_item(tx, self.owner, self.show_id, draft)

    async def buyer(self) -> identity.Actor:
        """Somebody with an account and an address."""
        actor = await make_account(self.db, f"buyer-{new_id().hex[-10:]}")
        address = identity.Address(
            id=identity.AddressId(new_id()),
            name="王小明",
            phone="13800000000",
            country="CN",
            region="山东",
            city="青岛",
            district="",
            street="海边路 1 号",
            postcode="",
            is_default=True,
        )
        async with self.db.tx() as tx:
            await identity.create_address(tx, actor, address)
        self.addresses[actor.signed_in()] = address
        return actor

    def ask(self, buyer: identity.Actor, *items: live.CartItem, quantity: int = 1, **changes: Any) -> orders.Ask:
        """A purchase of these, at the price they have."""
        fields: dict[str, Any] = {
            "buyer_id": buyer.signed_in(),
            "client_id": new_id(),
            "show_id": self.show_id,
            "lines": tuple(
                orders.AskLine(item.skus[0].sku_id, item.id, quantity, item.skus[0].price.amount) for item in items
            ),
            "source": Source.direct,
            "placement": "direct",
        }
        return orders.Ask(**(fields | changes))

    async def place(self, buyer: identity.Actor, *items: live.CartItem, quantity: int = 1) -> OrderId:
        """Buy, and say where it goes."""
        return (await self.place_all(buyer, self.ask(buyer, *items, quantity=quantity))).id

    async def place_all(self, buyer: identity.Actor, ask: orders.Ask) -> orders.Placed:
        """Buy what is asked, and say where all of it goes."""
        placed = await self.till.place(ask)
        async with self.db.tx() as tx:
            for order_id in sorted(placed.order_ids):
                await orders.attach_address(tx, buyer, order_id, self.addresses[buyer.signed_in()])
        return placed

    async def open_shop(self, currency: str = "CNY") -> tuple[identity.Actor, ShopId]:
        """Another shop, and its owner."""
        owner = await make_account(self.db, f"owner-{new_id().hex[-10:]}")
        shop_id = ShopId(new_id())
        async with self.db.tx() as tx:
            await catalog.open_shop(tx, owner.signed_in(), shop_id, catalog.ShopDraft(name="隔壁小店", currency=currency))
        return owner, shop_id

    async def add_to_shelf(
        self, owner: identity.Actor, shop_id: ShopId, *, price: int = 2500, stock: int = 10, currency: str = "CNY"
    ) -> orders.AskLine:
        """A product on a shop's shelf, as one piece of it is asked for."""
        product_id, sku_id = ProductId(new_id()), SkuId(new_id())
        draft = catalog.SkuDraft(code=product_id.hex[-12:], price=Money(price, currency), stock=stock)
        async with self.db.tx() as tx:
            await catalog.add_product(tx, owner, shop_id, product_id, catalog.ProductDraft(title="茶叶"))
            await catalog.add_sku(tx, owner, product_id, sku_id, draft)
            await catalog.edit_product(tx, owner, product_id, catalog.ProductChange(state=catalog.ProductState.listed))
        return orders.AskLine(sku_id, None, 1, price)

    async def start_payment(self, buyer: identity.Actor, order_id: OrderId) -> PaymentId:
        """Begin to pay; the provider knows of it afterwards, if it is up."""
        payment_id = PaymentId(new_id())
        async with self.db.tx() as tx:
            await orders.start_payment(tx, buyer, self.settings, order_id, payment_id, provider="sandbox")
        await payments.authorise(self.db, self.settings, payment_id)
        return payment_id

    async def decide(
        self,
        buyer: identity.Actor,
        payment_id: PaymentId,
        outcome: sandbox.Outcome = sandbox.Outcome.approve,
        trouble: sandbox.Trouble = sandbox.Trouble.none,
    ) -> None:
        """What the buyer does on the provider's page."""
        async with self.db.tx() as tx:
            await sandbox.decide(
                tx, self.settings, buyer.signed_in(), payment_id, outcome=outcome, trouble=trouble
            )

    async def pay(
        self, buyer: identity.Actor, order_id: OrderId, trouble: sandbox.Trouble = sandbox.Trouble.none
    ) -> PaymentId:
        """Pay and let everything that follows happen."""
        payment_id = await self.start_payment(buyer, order_id)
        await self.decide(buyer, payment_id, trouble=trouble)
        await self.settle()
        return payment_id

    async def start_and_pay(self, buyer: identity.Actor, order_id: OrderId) -> None:
        """Pay, and nothing but what the payment needs: no fold, no sweep."""
        await self.decide(buyer, await self.start_payment(buyer, order_id))
        for _ in range(TURNS_MAX):
            if not await self.run_jobs() + await self.relay.drain() + await orders.work_agenda(self.db):
                return

    async def fold(self) -> None:
        """Everything folded."""
        while await orders.fold_orders(self.db, skew_s=0):
            continue

    async def cancel(self, buyer: identity.Actor, order_id: OrderId) -> None:
        async with self.db.tx() as tx:
            await orders.cancel(tx, buyer, order_id)

    async def settle(self, *others: Turn) -> None:
        """Jobs that are due, news, agenda, sweep and fold (and `others`), until nothing moves any more."""
        turns: tuple[Turn, ...] = (
            self.run_jobs,
            self.relay.drain,
            self.sweep,
            partial(orders.work_agenda, self.db),
            partial(orders.fold_orders, self.db, skew_s=0),
            *others,
        )
        still = 0
        for turn in islice(cycle(turns), TURNS_MAX * len(turns)):
            still = 0 if await turn() else still + 1
            if still == len(turns):  # each has found nothing since anything last moved
                return
        raise AssertionError("it never comes to rest")

    async def sweep(self, *, skew_s: float = 0) -> int:
        return await orders.sweep_unpaid(
            self.db, payment_timeout_s=self.settings.payment_timeout_s, skew_s=skew_s
        )

    async def run_jobs(self) -> int:
        """Run every job that is due by the test's clock, in order, as procrastinate's worker would by the wall's."""
        async with self.db.tx() as tx:
            due = await tx.all(
                _Job,
                """
                DELETE FROM procrastinate_jobs
                WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= %(now)s)
                RETURNING id, task_name, args
                """,
                now=tx.now,
            )
        for job in sorted(due, key=lambda one: one.id):
            await jobs._tasks[job.task_name](self.context, **job.args)
        return len(due)

    async def order(self, buyer: identity.Actor, order_id: OrderId) -> orders.Order:
        async with self.db.read() as tx:
            return await orders.get_own(tx, buyer, order_id)

    async def payment(self, payment_id: PaymentId) -> payments.Payment:
        async with self.db.read() as tx:
            return await payments.get(tx, payment_id)

    async def stock(self, item: live.CartItem) -> tuple[int, int, int]:
        """Available, reserved, sold."""
        async with self.db.read() as tx:
            sku = (await catalog.find_skus(tx, [item.skus[0].sku_id]))[item.skus[0].sku_id]
        return sku.available, sku.reserved, sku.sold

    async def balance(self, kind: ledger.AccountKind) -> ledger.Balance:
        owner = self.shop_id if kind is ledger.AccountKind.shop_held else None
        async with self.db.read() as tx:
            return await ledger.get_balance(tx, ledger.Account(kind, "CNY", owner))

    async def told(self, tag: str) -> list[dict[str, Any]]:
        """What is in the outbox under a tag."""
        async with self.db.read() as tx:
            rows = await tx.all(bytes, "SELECT body FROM base.outbox WHERE tag = %(tag)s ORDER BY id", tag=tag)
        return [json.loads(row) for row in rows]


class _Job(msgspec.Struct, frozen=True):
    id: int
    task_name: str
    args: dict[str, Any]


async def make_account(db: Database, handle: str) -> identity.Actor:
    account_id = AccountId(new_id())
    async with db.tx() as tx:
        await identity.create_account(tx, account_id, handle=handle, password_hash="unused", name=handle)
    return identity.Actor(viewer_id=ViewerId(account_id), account_id=account_id, seat_holder_id=account_id)


async def furnish(house: House) -> Market:
    """A shop with an owner who is live, in a house that stands already."""
    db, till = house.db, house.till
    assert till is not None
    owner = await make_account(db, "owner")
    async with db.tx() as tx:
        shop = await catalog.open_shop(
            tx, owner.signed_in(), ShopId(new_id()), catalog.ShopDraft(name="海边人家", currency="CNY")
        )
        await live.open_room(tx, owner, RoomId(new_id()), shop_id=shop.id, title="海边")
        show = await live.plan_show(tx, owner, live.ShowDraft(id=ShowId(new_id()), title="今晚"))
        await live.start_show(tx, owner, show.id)
    context = jobs.Context(db=db, settings=house.settings, signer=house.signer, bus=house.bus)
    relay = Relay(db, house.bus, [*REACTIONS, *OF_LAKE])
    return Market(db, house.settings, context, relay, till, house, owner, shop.id, show.id)


@asynccontextmanager
async def open_market(db: Database, signer: Signer, **changes: Any) -> AsyncIterator[Market]:
    """A market with the web door open on a port of its own (the sandbox delivers there)."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    settings = Settings(
        **({"host": "127.0.0.1", "port": listener.getsockname()[1], "sandbox_secret": SECRET} | changes)
    )
    bus = LocalBus()
    till = orders.Till(db, payment_timeout_s=settings.payment_timeout_s, batch_max=64, waiting_max=10_000)
    house = House(db=db, settings=settings, signer=signer, bus=bus, till=till)
    with open_door(house, "payments") as app:  # the one room that the sandbox talks to
        server = Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
        serving = asyncio.create_task(server._serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.001)
        try:
            yield await furnish(house)
        finally:
            await till.close()
            server.should_exit = True
            await serving


__all__ = ["SECRET", "Market", "furnish", "make_account", "open_market"]
