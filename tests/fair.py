"""A fair to play at: a market whose owner has money in the wallet, people to play, time by hand."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from laotie import audit, fans, fun, identity, ledger, orders, payments
from laotie.base.ids import OrderId, PaymentId, new_id
from laotie.base.money import Money
from laotie.base.outbox import Relay
from laotie.payments.hearing import take_in
from laotie.payments.provider import Report, ReportKind
from laotie.worker.loops import all_reactions
from market import Market, make_account

SPEND_MAX = 2_000_000


def yuan(amount: int) -> Money:
    return Money(amount, "CNY")


@dataclass
class Fair:
    """See the module."""

    market: Market
    desk: fun.Desk
    people: list[identity.Actor] = field(default_factory=list)

    @classmethod
    def of(cls, market: Market) -> "Fair":
        market.relay = Relay(market.db, market.house.bus, all_reactions())
        return cls(market, fun.Desk(market.db))

    @property
    def owner(self) -> identity.Actor:
        return self.market.owner

    async def join(self, count: int) -> list[identity.Actor]:
        """So many people with accounts."""
        found = [await make_account(self.market.db, f"p{new_id().hex[-12:]}") for _ in range(count)]
        self.people += found
        return found

    async def fill(self, amount: int, *, owner_id: UUID | None = None) -> PaymentId:
        """Put money into the owner's wallet: a payment, of which the provider says twice that it is there."""
        payer = self.owner.signed_in()
        payment_id = PaymentId(new_id())
        db, settings = self.market.db, self.market.settings
        async with db.tx() as tx:
            await fun.start_topup(
                tx, settings, payer, owner_id or payer, payment_id, yuan(amount), provider="sandbox"
            )
        await self.hear_capture(payment_id, amount)
        await self.market.settle()
        return payment_id

    async def hear_capture(self, payment_id: PaymentId, amount: int) -> None:
        """The provider says, twice, that the money is there."""
        report = Report(
            event_id=str(new_id()),
            kind=ReportKind.captured,
            name="payment.captured",
            payment_id=payment_id,
            money=yuan(amount),
        )
        async with self.market.db.tx() as tx:
            assert await take_in(tx, "sandbox", report, b"") is payments.Verdict.applied
        async with self.market.db.tx() as tx:
            assert await take_in(tx, "sandbox", report, b"") is payments.Verdict.repeated

    async def pay(self, buyer: identity.Actor, order_id: OrderId, amount: int) -> None:
        """Pay an order."""
        payment_id = PaymentId(new_id())
        async with self.market.db.tx() as tx:
            await orders.start_payment(
                tx, buyer, self.market.settings, order_id, payment_id, provider="sandbox"
            )
        await self.hear_capture(payment_id, amount)
        await self.market.settle()

    async def plan(self, kind: str, actor: identity.Actor | None = None, **fields: Any) -> fun.ActivityId:
        draft = {"id": new_id(), "kind": kind, "title": f"A {kind}", "duration_s": 60} | fields
        async with self.market.db.tx() as tx:
            return await fun.plan_activity(
                tx, actor or self.owner, self.market.show_id, msgspec.convert(msgspec.to_builtins(draft), fun.Draft)
            )

    async def start(self, activity_id: fun.ActivityId, actor: identity.Actor | None = None) -> fun.Activity:
        async with self.market.db.tx() as tx:
            await fun.start_activity(tx, actor or self.owner, activity_id, spend_per_day_max=SPEND_MAX)
        return await self.see(activity_id)

    async def open(self, kind: str, **fields: Any) -> fun.ActivityId:
        """Planned and started."""
        activity_id = await self.plan(kind, **fields)
        await self.start(activity_id)
        return activity_id

    async def cancel(self, activity_id: fun.ActivityId, actor: identity.Actor | None = None) -> None:
        async with self.market.db.tx() as tx:
            await fun.cancel_activity(tx, actor or self.owner, activity_id)

    async def enter(self, actor: identity.Actor, subject_id: UUID, **fields: Any) -> fun.Entered:
        return await self.desk.enter(
            fun.Ask(
                subject_id=subject_id, viewer_id=actor.viewer_id, has_account=actor.account_id is not None, **fields
            )
        )

    async def see(self, activity_id: fun.ActivityId) -> fun.Activity:
        async with self.market.db.read() as tx:
            return await fun.get_activity(tx, activity_id)

    async def proof(self, activity_id: fun.ActivityId) -> fun.draw.Proof:
        async with self.market.db.read() as tx:
            return await fun.get_proof(tx, activity_id)

    async def wait(self, seconds: float) -> None:
        """Time passes; whatever is due happens."""
        self.market.db.clock.advance(seconds=seconds)
        await self.work()

    async def work(self) -> None:
        for _ in range(20):
            if not await fun.work_deadlines(self.market.db):
                self.market.db.clock.advance(seconds=1.1)
                if not await fun.work_deadlines(self.market.db):
                    return
        raise AssertionError("deadlines never come to rest")

    async def balance(self, owner_id: UUID) -> int:
        async with self.market.db.read() as tx:
            return (
                await ledger.get_balance(tx, ledger.Account(ledger.AccountKind.wallet, "CNY", owner_id))
            ).posted

    async def escrow(self, activity_id: fun.ActivityId) -> int:
        async with self.market.db.read() as tx:
            return (
                await ledger.get_balance(tx, ledger.Account(ledger.AccountKind.escrow, "CNY", activity_id))
            ).posted

    async def follow(self, actor: identity.Actor) -> None:
        async with self.market.db.tx() as tx:
            await fans.follow(tx, actor.viewer_id, self.owner.signed_in())

    async def audit_finds_nothing(self) -> None:
        await self.market.settle()
        report = await audit.take_tallies(self.market.db)
        assert report.findings == [], report.findings
