"""Lines of statements by hand: a shop and a streamer whose books are filled as settlement, payouts and operators do.

    books = Books(db, shop_id, streamer_id)
    await books.order(date(2026, 10, 31), goods=10_000, platform_bps=500)
    await books.pay_out(date(2026, 11, 2), 4_000)
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

from laotie import ledger, settlement
from laotie.base.db import Database
from laotie.base.ids import AccountId, OrderId, ShopId, new_id
from laotie.ledger import Account, AccountKind
from laotie.settlement import Line, LineId, LineKind, Parts, Rates, split
from laotie.settlement.lines import book_many, payable

ZONE = "Asia/Shanghai"


@dataclass
class Books:
    """See the module."""

    db: Database
    shop: ShopId
    streamer: AccountId

    async def order(self, day: date, *, sign: int = 1, currency: str = "CNY", **parts: int) -> Line:
        """An order that was settled that day; with `sign=-1` one that was clawed back."""
        line = self.line(day, sign=sign, currency=currency, **parts)
        await self.book([line])
        return line

    def line(self, day: date, *, sign: int = 1, currency: str = "CNY", **parts: int) -> Line:
        """The line of such an order, not booked yet."""
        worth = Parts(parts.get("goods", 0), parts.get("shipping", 0), parts.get("subsidy", 0))
        rates = Rates(parts.get("platform_bps", 0), parts.get("payment_bps", 0), parts.get("streamer_bps", 0))
        found = split(worth, rates)
        return Line(
            id=LineId(new_id()),
            kind=LineKind.sale if sign > 0 else LineKind.refund,
            shop_id=self.shop,
            streamer_id=self.streamer if rates.streamer_bps else None,
            order_id=OrderId(new_id()),
            no=0,
            currency=currency,
            goods_amount=sign * worth.goods_amount,
            shipping_amount=sign * worth.shipping_amount,
            subsidy_amount=sign * worth.subsidy_amount,
            platform_bps=rates.platform_bps,
            payment_bps=rates.payment_bps,
            streamer_bps=rates.streamer_bps,
            platform_amount=sign * found.platform_amount,
            payment_amount=sign * found.payment_amount,
            streamer_amount=sign * found.streamer_amount,
            net_amount=sign * found.net_amount,
            booked_on=day,
            booked_at=datetime.combine(day, time(4), UTC),
            subject_id=new_id(),
        )

    async def book(self, lines: list[Line]) -> None:
        """As the engine does."""
        async with self.db.tx() as tx:
            await book_many(tx, lines, reason="settled")

    async def move(self, kind: LineKind, amount: int, *, of_shop: bool = True, currency: str = "CNY") -> None:
        """A payout, its return or a correction, now."""
        owner_id: UUID = self.shop if of_shop else self.streamer
        other = AccountKind.correction if kind is LineKind.correction else AccountKind.payout
        async with self.db.tx() as tx:
            await settlement.book_owner(
                tx,
                line_id=new_id(),
                kind=kind,
                owner_id=owner_id,
                is_shop=of_shop,
                currency=currency,
                amount=amount,
                against=Account(other, currency, None if other is AccountKind.correction else owner_id),
                reason=str(kind),
                subject_id=new_id(),
                zone=ZONE,
            )

    async def spoil(self, amount: int) -> None:
        """Money moves in the ledger without a line."""
        async with self.db.tx() as tx:
            transfer: Any = ledger.Transfer(
                new_id(),  # type: ignore[arg-type]
                Account(AccountKind.commission, "CNY"),
                payable(self.shop, "CNY"),
                amount,
                "settled",
                new_id(),
            )
            await ledger.transfer_many(tx, [transfer])
