"""What everybody has once orders are settled, reckoned by hand for random lives: rates, shares, chargebacks, payouts.

`Fortunes` is a plain model of three owners (two shops and who streams for the first) and of the platform: no claims, no
lines, no ledger. What is owed to an owner is what the settled orders are worth now, at the rates of the instants in which
they were paid, less what is on its way to them or has arrived. `Treasury` is the house's side of it.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from bursary import PASSWORD, Bursary, an_account
from laotie import identity, ledger, live, settlement
from laotie.aftersales.reactions import REACTIONS as OF_AFTERSALES
from laotie.base.ids import AccountId, PaymentId, RoomId, ShopId, ShowId, new_id
from laotie.base.outbox import Relay
from laotie.base.signer import Signer
from laotie.lake.reactions import REACTIONS as OF_LAKE
from laotie.ledger import AccountKind
from laotie.orders.reactions import REACTIONS as OF_ORDERS
from laotie.payments import sandbox_bank
from laotie.payments.sandbox_bank import DisputeReason
from laotie.settlement import Batch, BatchId, Owner, PayoutId, PayoutState, RateKind
from laotie.settlement.rates import NewRate, RateId, set_rate
from laotie.settlement.reactions import REACTIONS as OF_SETTLEMENT
from lives import OwnMarket

DELAY_H = 24
SETTINGS = {"settlement_delay_h": DELAY_H, "payout_minimum": 100}
BPS: dict[RateKind, list[int | None]] = {
    RateKind.platform: [0, 333, 1_000, None],
    RateKind.payment: [0, 61, 99, None],
    RateKind.streamer: [777, 2_000, None],
}
STREAMER = 2
"""The third owner: who streams for the first shop. The shops are 0 and 1."""


class SetRate(NamedTuple):
    """A rate as it was set; `shop` is none for everybody's, `named` says that it is for the streamer by name."""

    kind: RateKind
    shop: ShopId | None
    named: bool
    bps: int | None
    since: datetime


class Divided(NamedTuple):
    """Who has how much of an order."""

    platform: int = 0
    payment: int = 0
    streamer: int = 0
    net: int = 0


@dataclass
class Stake:
    """An order as settlement sees it: what it is worth now (the buyer's money, the platform's beside it), and its rates."""

    shop: int
    streamed: bool
    worth: int = 0
    subsidy: int = 0
    reversed: int = 0
    """What chargebacks have taken of it."""
    rates: tuple[int, int, int] | None = None
    settled: bool = False

    def divided(self) -> Divided:
        """Each rate's part rounded down, the rest the shop's; nothing before it is settled."""
        if not self.settled or self.rates is None:
            return Divided()
        goods = self.worth + self.subsidy
        platform, payment, streamer = self.rates
        parts = (goods * platform // 10_000, self.worth * payment // 10_000, goods * streamer // 10_000)
        return Divided(*parts, goods - sum(parts))


@dataclass
class Chargeback:
    """Money that the buyer's bank took back: how much of which orders, until it is decided."""

    id: UUID
    buyer: int
    parts: list[tuple[Stake, int]]
    until: float
    open: bool = True

    def end(self, *, won: bool) -> None:
        """Won, each order has again what it had borne."""
        self.open = False
        for stake, amount in self.parts:
            stake.reversed -= amount if won else 0


def shared(amount: int, weights: list[int]) -> list[int]:
    """Parts in proportion, whole, adding up: what rounding down leaves goes to the largest rests, the first of equals."""
    whole = sum(weights)
    parts = [amount * weight // whole for weight in weights]
    rests = sorted(range(len(weights)), key=lambda index: (-(amount * weights[index] % whole), index))
    for index in rests[: amount - sum(parts)]:
        parts[index] += 1
    return parts


@dataclass
class Transfer:
    """A payout: drafted, sent, paid, or back (withheld, returned)."""

    id: PayoutId
    owner: int | None
    """None: somebody of an earlier life."""
    amount: int
    state: str = "drafted"

    @property
    def is_gone(self) -> bool:
        return self.state in ("drafted", "sent", "paid")


@dataclass
class Run:
    """A batch of payouts: drafted, approved, sent or over."""

    id: BatchId
    transfers: list[Transfer]
    state: str = "drafted"


@dataclass
class Fortunes:
    """See the module."""

    shops: list[ShopId]
    rates: list[SetRate]
    stakes: list[Stake] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    def rates_at(self, stake: Stake, at: datetime) -> tuple[int, int, int]:
        """The most specific that had begun, the last of equals; one that was ended counts no more."""
        found = []
        for kind in (RateKind.platform, RateKind.payment, RateKind.streamer):
            best: dict[tuple[bool, bool], SetRate] = {}
            for one in self.rates:
                fits = one.shop in (None, self.shops[stake.shop]) and (stake.streamed or not one.named)
                if one.kind is kind and fits and one.since <= at:
                    best[one.shop is not None, one.named] = one  # they are in the order of their time
            counting = [best[key].bps for key in sorted(best, reverse=True) if best[key].bps is not None]
            found.append((counting[0] if counting else 0) or 0)
        return found[0], found[1], found[2] if stake.streamed else 0

    def owed(self, owner: int) -> int:
        """May be below zero: what was paid out of orders that came back."""
        if owner == STREAMER:
            earned = sum(stake.divided().streamer for stake in self.stakes)
        else:
            earned = sum(stake.divided().net for stake in self.stakes if stake.shop == owner)
        return earned - self.moved(owner, "drafted", "sent", "paid")

    def moved(self, owner: int | None, *states: str) -> int:
        """What is in payouts of these states; of everybody, earlier lives too, when no owner is named."""
        return sum(
            one.amount
            for run in self.runs
            for one in run.transfers
            if one.state in states and owner in (None, one.owner)
        )

    def ready(self) -> dict[int, int]:
        """Who would be in the next batch, and with how much."""
        found = {}
        for owner in (0, 1, STREAMER):
            under_way = self.moved(owner, "drafted", "sent")
            if not under_way and self.owed(owner) >= SETTINGS["payout_minimum"]:
                found[owner] = self.owed(owner)
        return found

    def send(self, run: Run) -> None:
        """Who owes us by now is left out; the others' money is on its way."""
        for one in run.transfers:
            if one.state == "drafted":
                one.state = "back" if one.owner is not None and self.owed(one.owner) < 0 else "sent"
        run.state = "sent"


class Held(NamedTuple):
    """What the books say: owed and in payouts by owner, and the platform's own accounts (credits less debits)."""

    owed: list[int]
    on_its_way: list[int]
    commission: int
    payment_fee: int
    subsidy: int
    provider: int


class Treasury(OwnMarket):
    """A market with owners who have bank accounts, two operators, and what these lives do to money."""

    settings = SETTINGS

    def __init__(self, url: str, signer: Signer) -> None:
        super().__init__(url, signer)
        self.market.relay = Relay(self.db, self.market.house.bus, [*OF_ORDERS, *OF_AFTERSALES, *OF_SETTLEMENT, *OF_LAKE])
        self.bursary = Bursary(self.db, self.market.settings, signer)
        self.operators = [self.runner.run(self.bursary.operator()) for _ in range(2)]
        self.rates: list[SetRate] = []

    async def open_owners(self) -> tuple[list[identity.Actor], list[ShopId], ShowId]:
        """Two shops whose owners have said where money goes, the first one live (and its streamer)."""
        found = []
        for _ in range(2):
            owner = await self.bursary.shop()
            await self.bursary.write_down(owner)
            found.append((self.bursary.people[owner.id], ShopId(owner.id)))
        streamer, shop_id = found[0]
        await self.bursary.write_down(Owner(streamer.signed_in(), False), an_account(), actor=streamer, password=PASSWORD)
        async with self.db.tx() as tx:
            await live.open_room(tx, streamer, RoomId(new_id()), shop_id=shop_id, title="房间")
            show = await live.plan_show(tx, streamer, live.ShowDraft(id=ShowId(new_id()), title="今晚"))
            await live.start_show(tx, streamer, show.id)
        self.db.clock.advance(seconds=self.market.settings.bank_account_cooling_h * 3600 + 1)
        return [actor for actor, _ in found], [shop_id for _, shop_id in found], show.id

    async def set_rate(
        self, actor: identity.Actor, kind: RateKind, bps: int | None, shop: ShopId | None, streamer: AccountId | None
    ) -> None:
        """A rate from now on, set by whoever may."""
        wanted = NewRate(
            id=RateId(new_id()), kind=kind, shop_id=shop, streamer_id=streamer, bps=bps, note="as agreed"
        )
        async with self.db.tx() as tx:
            made = await set_rate(tx, actor, wanted)
        self.rates.append(SetRate(kind, shop, streamer is not None, bps, made.valid_from))

    async def dispute(
        self, buyer: identity.Actor, payment_id: PaymentId, dispute_id: UUID, amount: int | None
    ) -> sandbox_bank.SandboxDispute:
        async with self.db.tx() as tx:
            return await sandbox_bank.open_dispute(
                tx, buyer.signed_in(), payment_id, dispute_id, reason=DisputeReason.not_received, amount=amount
            )

    async def decide_dispute(self, buyer: identity.Actor, dispute_id: UUID, *, won: bool) -> None:
        async with self.db.tx() as tx:
            await sandbox_bank.decide_dispute(tx, buyer.signed_in(), dispute_id, won=won)

    async def draft(self, owners: list[UUID]) -> Run:
        """What the first operator drafts; `owners` are this life's."""
        batch = await self.bursary.draft(self.operators[0])
        numbers = {owner_id: number for number, owner_id in enumerate(owners)}
        payouts = await self._list(batch)
        return Run(batch.id, [Transfer(one.id, numbers.get(one.owner_id), one.amount) for one in payouts])

    async def approve(self, run: Run) -> None:
        await self.bursary.approve(self.operators[1], await self.bursary.batch(run.id))

    async def send(self, run: Run) -> None:
        await self.bursary.send(self.operators[0], await self.bursary.batch(run.id))

    async def discard(self, run: Run) -> None:
        await settlement.payouts.discard_batch(self.db, self.operators[0], self.market.settings, run.id)

    async def end(self, one: Transfer, outcome: PayoutState) -> None:
        """What the bank says of it."""
        async with self.db.tx() as tx:
            await settlement.payouts.note_result(
                tx, self.operators[0], self.market.settings, one.id, outcome, reason="account closed"
            )

    async def read_run(self, run: Run) -> list[tuple[PayoutId, PayoutState]]:
        """Its payouts as the house has them."""
        return [(one.id, one.state) for one in await self._list(await self.bursary.batch(run.id))]

    async def read_held(self, owners: list[UUID]) -> Held:
        """In one snapshot."""
        async with self.db.read() as tx:
            kinds = (AccountKind.payable, AccountKind.payout, AccountKind.commission, AccountKind.payment_fee)
            found: dict[tuple[AccountKind, UUID | None], int] = {}
            for kind in (*kinds, AccountKind.subsidy, AccountKind.provider):
                for account, amount in (await ledger.list_balances(tx, kind)).items():
                    found[kind, account.owner_id] = amount
            return Held(
                [found.get((AccountKind.payable, owner_id), 0) for owner_id in owners],
                [found.get((AccountKind.payout, owner_id), 0) for owner_id in owners],
                *(found.get((kind, None), 0) for kind in (*kinds[2:], AccountKind.subsidy, AccountKind.provider)),
            )

    async def _list(self, batch: Batch) -> list[settlement.Payout]:
        async with self.db.read() as tx:
            return await settlement.batches.list_in_batch(tx, self.operators[0], batch.id, limit=1_000)
