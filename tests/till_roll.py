"""Orders that come to completion and are settled, with rates set by hand, and what everybody then has.

    roll = await open_roll(market, data)
    order_id = await roll.completed(item)
    await roll.wait(hours=168)
    assert await roll.owed(market.shop_id) == 9900
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from claims import Desk
from laotie import ledger, orders, settlement
from laotie.base.ids import OrderId, new_id
from laotie.base.outbox import Relay
from laotie.ledger import Account, AccountKind
from laotie.orders.reactions import REACTIONS as OF_ORDERS
from laotie.settlement.reactions import REACTIONS as OF_SETTLEMENT
from market import Market

RULES = settlement.Rules(timedelta(hours=168), "Asia/Shanghai")


@dataclass
class Roll:
    """See the module."""

    market: Market
    desk: Desk

    async def completed(self, *items: Any, quantity: int = 1) -> OrderId:
        """An order that was paid, sent, delivered and confirmed by its buyer."""
        order_id = await self.desk.delivered(*items, quantity=quantity)
        async with self.market.db.tx() as tx:
            await orders.delivery.confirm_receipt(tx, self.desk.buyers[order_id], order_id)
        await self.follow()
        return order_id

    async def follow(self) -> None:
        """News is heard and looked at; nothing is settled yet."""
        await self.market.settle()
        while await settlement.work_looks(self.market.db, RULES):
            pass

    async def settle(self) -> int:
        """What is due is settled; how many claims that were."""
        return await settlement.settle_due(self.market.db, RULES)

    async def wait(self, *, hours: float) -> int:
        """So much later: what is due by then is settled."""
        self.market.db.clock.advance(seconds=hours * 3600)
        await self.follow()
        return await self.settle()

    async def rate(self, kind: str, bps: int | None, **scope: Any) -> None:
        """A rate from now on."""
        async with self.market.db.tx() as tx:
            await tx.run(
                """
                INSERT INTO settlement.rate (id, kind, shop_id, category, streamer_id, bps, valid_from, note, made_at)
                VALUES (%(id)s, %(kind)s, %(shop_id)s, %(category)s, %(streamer_id)s, %(bps)s, %(now)s, '', %(now)s)
                """,
                **({"shop_id": None, "category": None, "streamer_id": None} | scope),
                id=new_id(),
                kind=kind,
                bps=bps,
                now=tx.now,
            )

    async def owed(self, owner_id: UUID) -> int:
        """What the ledger says is owed to an owner."""
        async with self.market.db.read() as tx:
            return (await settlement.find_payable(tx, owner_id)).get("CNY", 0)

    async def balance(self, kind: AccountKind, owner_id: UUID | None = None) -> int:
        """What an account has (credits less debits)."""
        async with self.market.db.read() as tx:
            return (await ledger.get_balance(tx, Account(kind, "CNY", owner_id))).posted

    async def lines(self, order_id: OrderId) -> list[settlement.Line]:
        """Everything that was booked about an order, in order."""
        async with self.market.db.read() as tx:
            return await tx.all(
                settlement.Line, "SELECT * FROM settlement.line WHERE order_id = %(id)s ORDER BY booked_at, no", id=order_id
            )


def open_roll(market: Market, data: Path) -> Roll:
    """Settlement hears what orders hear."""
    market.relay = Relay(market.db, market.house.bus, [*OF_ORDERS, *OF_SETTLEMENT])
    return Roll(market, Desk(market, data))
