"""An after-sales desk: orders bought, shipped and delivered as they are in life, cases opened and moved on.

    order = await desk.delivered(item, quantity=2)
    case = await desk.open(order, kind=CaseKind.return_refund, reason=Reason.damaged, pieces=1)
    case = await desk.shop(case, Act.accept)
"""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from laotie import aftersales, catalog, identity, live, orders, trust
from laotie.aftersales import Act, AskedLine, Case, CaseId, CaseKind, CaseState, Claim, EntryId, Reason, Step
from laotie.aftersales.table import TERMS
from laotie.base.ids import OrderId, ProductId, SkuId, new_id
from laotie.base.money import Money
from laotie.orders import delivery, packing, parcels, tracking
from market import Market, make_account

TERMS_OF_PARCELS = delivery.Terms(after_delivery=7, after_shipping=15, extension=3)


@dataclass
class Desk:
    """See the module."""

    market: Market
    data: Path
    buyers: dict[OrderId, identity.Actor] = field(default_factory=dict)
    _operator: identity.Actor | None = None

    async def paid(self, *items: live.CartItem, quantity: int = 1, buyer: identity.Actor | None = None) -> OrderId:
        """An order that is paid and has not left the shop."""
        buyer = buyer or await self.market.buyer()
        order_id = await self.market.place(buyer, *items, quantity=quantity)
        await self.market.pay(buyer, order_id)
        self.buyers[order_id] = buyer
        return order_id

    async def delivered(
        self, *items: live.CartItem, quantity: int = 1, buyer: identity.Actor | None = None
    ) -> OrderId:
        """An order that has arrived."""
        order_id = await self.paid(*items, quantity=quantity, buyer=buyer)
        await self.send(order_id)
        return order_id

    async def send(self, order_id: OrderId, *pieces: tuple[int, int], arrives: bool = True) -> None:
        """Ship these pieces, or all; and let the parcel arrive."""
        market, number = self.market, f"SBX{new_id().int % 10**10:010d}"
        parcel = packing.Consignment(
            id=packing.ParcelId(new_id()),
            order_id=order_id,
            carrier="sandbox",
            number=number,
            pieces=tuple(orders.Piece(no, count) for no, count in pieces) or None,
        )
        async with market.db.tx() as tx:
            await parcels.ship(tx, market.owner, TERMS_OF_PARCELS, market.shop_id, parcel)
        if arrives:
            async with market.db.tx() as tx:
                await tracking.note_by_hand(
                    *(tx, market.owner, TERMS_OF_PARCELS, market.shop_id, parcel.id, new_id()),
                    parcels.TrackingKind.delivered,
                    at=None,
                    place="",
                    note="",
                )
        await market.settle()

    async def open(
        self,
        order_id: OrderId,
        *,
        kind: CaseKind = CaseKind.refund_only,
        reason: Reason = Reason.damaged,
        pieces: int = 1,
        lines: tuple[AskedLine, ...] = (),
        case_id: CaseId | None = None,
        **options: Any,
    ) -> Case:
        """The buyer opens a case about so many pieces of the first line, or these lines."""
        claim = Claim(
            id=case_id or CaseId(new_id()),
            order_id=order_id,
            kind=kind,
            reason=reason,
            lines=lines or (AskedLine(1, pieces),),
            **options,
        )
        async with self.market.db.tx() as tx:
            return await aftersales.open_case(tx, self.buyers[order_id], claim, data=self.data)

    async def step(self, actor: identity.Actor, case: Case, act: Act, **fields: Any) -> Case:
        step = Step(id=EntryId(new_id()), act=act, **fields)
        async with self.market.db.tx() as tx:
            return await aftersales.take_step(tx, actor, case.id, step, data=self.data)

    async def buyer(self, case: Case, act: Act, **fields: Any) -> Case:
        return await self.step(self.buyers[case.order_id], case, act, **fields)

    async def shop(self, case: Case, act: Act, **fields: Any) -> Case:
        return await self.step(self.market.owner, case, act, **fields)

    async def operator(self, case: Case, act: Act, **fields: Any) -> Case:
        return await self.step(await self.arbiter(), case, act, **{"text": "because", **fields})

    async def arbiter(self) -> identity.Actor:
        """Somebody who runs the platform."""
        if self._operator is None:
            account = await make_account(self.market.db, f"operator-{new_id().hex[-8:]}")
            async with self.market.db.tx() as tx:
                await identity.give_role(tx, account.signed_in(), identity.Role.operator)
            self._operator = identity.Actor(
                viewer_id=account.viewer_id,
                account_id=account.account_id,
                seat_holder_id=account.account_id,
                roles=frozenset({identity.Role.operator}),
            )
        return self._operator

    async def wait(self, state: CaseState, *, more: timedelta = timedelta(seconds=1)) -> int:
        """Let a state's term pass; how many cases time moved on."""
        self.market.db.clock.advance(seconds=(TERMS[state] + more).total_seconds())
        return await aftersales.work_deadlines(self.market.db)

    async def send_back(self, case: Case, *, freight: int = 0) -> Case:
        return await self.buyer(case, Act.send_back, carrier="SF", number="SF123", freight=freight)

    async def case(self, case: Case) -> Case:
        """As it is now."""
        return (await self.seen(case)).brief.case

    async def seen(self, case: Case) -> aftersales.Seen:
        async with self.market.db.tx() as tx:
            return await aftersales.get_case(tx, self.buyers[case.order_id], case.id)

    async def order(self, order_id: OrderId) -> orders.Order:
        return await self.market.order(self.buyers[order_id], order_id)

    async def stock(self, sku_id: SkuId) -> tuple[int, int, int]:
        """Available, reserved, sold."""
        async with self.market.db.read() as tx:
            sku = (await catalog.find_skus(tx, [sku_id]))[sku_id]
        return sku.available, sku.reserved, sku.sold

    async def add_sku(self, product_id: ProductId, *, price: int = 9900, stock: int = 5) -> SkuId:
        """Another SKU of a product."""
        sku_id = SkuId(new_id())
        draft = catalog.SkuDraft(
            code=sku_id.hex[-12:], options={"色": sku_id.hex[-4:]}, price=Money(price, "CNY"), stock=stock
        )
        async with self.market.db.tx() as tx:
            await catalog.add_sku(tx, self.market.owner, product_id, sku_id, draft)
        return sku_id

    async def pledge(self, *promises: trust.Guarantee) -> None:
        """What the shop promises whoever orders from now on; its deposit is large."""
        async with self.market.db.tx() as tx:
            await trust.set_pledge(tx, self.market.owner, self.market.shop_id, new_id(), list(promises))

    async def wallet(self, order_id: OrderId) -> int:
        """What is in the wallet of an order's buyer."""
        from laotie import ledger

        owner = self.buyers[order_id].signed_in()
        async with self.market.db.read() as tx:
            return (await ledger.get_balance(tx, ledger.Account(ledger.AccountKind.wallet, "CNY", owner))).posted
