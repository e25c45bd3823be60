"""A shop with money in its wallet, and people who may claim."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fair import Fair, yuan
from laotie import audit, catalog, identity, ledger, trust
from laotie.base.db import Database
from laotie.base.ids import AccountId, OrderId, ShopId, new_id
from laotie.trust import Guarantee, PromiseKind

FREIGHT = Guarantee(PromiseKind.return_freight, cap_amount=1_500)
NINEFOLD = Guarantee(PromiseKind.authentic_ninefold)
KEEP = Guarantee(PromiseKind.refund_without_return, cap_amount=3_000)


@dataclass
class Guild:
    """A shop that promises things, seen from all sides."""

    fair: Fair

    @property
    def db(self) -> Database:
        return self.fair.market.db

    @property
    def shop_id(self) -> ShopId:
        return self.fair.market.shop_id

    @property
    def owner(self) -> identity.Actor:
        return self.fair.owner

    async def promise(self, *promises: Guarantee) -> UUID:
        async with self.db.tx() as tx:
            return (await trust.set_pledge(tx, self.owner, self.shop_id, new_id(), list(promises))).id

    async def put_in(self, amount: int) -> None:
        async with self.db.tx() as tx:
            await trust.put_in(tx, self.owner, self.shop_id, new_id(), yuan(amount))

    async def pay(self, pledge_id: UUID, buyer_id: AccountId, amount: int, **changes: Any) -> trust.Payout:
        asked: dict[str, Any] = {
            "payout_id": new_id(), "pledge_id": pledge_id, "kind": PromiseKind.authentic_ninefold,
            "order_id": OrderId(new_id()), "line_no": 1, "shop_id": self.shop_id, "buyer_id": buyer_id,
            "amount": amount, "currency": "CNY",
        } | changes  # fmt: skip
        async with self.db.tx() as tx:
            return await trust.pay(tx, **asked)

    async def standing(self) -> trust.Standing:
        async with self.db.read() as tx:
            return await trust.get_standing(tx, self.owner, self.shop_id)

    async def wallet(self, owner_id: UUID) -> int:
        async with self.db.read() as tx:
            return (await ledger.get_balance(tx, ledger.Account(ledger.AccountKind.wallet, "CNY", owner_id))).posted

    async def state(self) -> str:
        async with self.db.read() as tx:
            return (await catalog.get_shop(tx, self.shop_id)).state

    async def work(self) -> None:
        while await trust.work_deposits(self.db):
            continue

    async def check(self) -> None:
        report = await audit.take_tallies(self.db)
        assert report.findings == []
