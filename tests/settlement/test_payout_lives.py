"""Random lives of batches against a plain model: nobody is paid twice, nothing is lost, whoever acts when."""

import asyncio
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from bursary import Bursary, an_account
from laotie import ledger
from laotie.base.db import Database
from laotie.base.ids import new_id
from laotie.base.refusals import Refusal
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.ledger import Account, AccountKind
from laotie.settlement import PayoutState, payouts
from laotie.settlement.payouts import work_payouts
from lives import StandingClock, live_through

OWNERS, OPERATORS = 3, 3
MINIMUM = 1_000
SAID = st.sampled_from([("paid", "returned"), ("paid", "paid"), ("returned", "paid"), ("returned", "returned")])


class Paying(RuleBasedStateMachine):
    """`owed` and `under_way` are the model; the rest is the product."""

    batches = Bundle("batches")
    opened: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.runner: asyncio.Runner = self.opened[0]
        self.bursary: Bursary = self.opened[1]
        self.owed: dict[UUID, int] = {}

    def run(self, act: Any) -> Any:
        return self.runner.run(act)

    @initialize(target=batches)
    def people(self) -> UUID:
        """Everybody is owed something, and it is drafted: most of what can happen begins there."""
        batch_id = new_id()

        async def make() -> None:
            self.owners = [await self.bursary.ready(owed=5_000) for _ in range(OWNERS)]
            self.operators = [await self.bursary.operator() for _ in range(OPERATORS)]
            await self.bursary.draft(self.operators[0], batch_id=batch_id)

        self.run(make())
        self.owed = {owner.id: 5_000 for owner in self.owners}
        return batch_id

    @rule(owner=st.integers(0, OWNERS - 1), amount=st.sampled_from([5_000, 3_000, 1_000, -2_000]))
    def settles(self, owner: int, amount: int) -> None:
        self.run(self.bursary.owe(self.owners[owner], amount))
        self.owed[self.owners[owner].id] += amount

    @rule(owner=st.integers(0, OWNERS - 1))
    def changes_account(self, owner: int) -> None:
        self.run(self.bursary.write_down(self.owners[owner], an_account()))

    @rule()
    def three_days_go_by(self) -> None:
        self.run(self.bursary.wait(hours=72))

    @rule(target=batches, operator=st.integers(0, OPERATORS - 1))
    def drafts(self, operator: int) -> Any:
        batch_id = new_id()
        done = self.attempt(self.bursary.draft(self.operators[operator], batch_id=batch_id))
        return batch_id if done else multiple()

    @rule()
    def worker_turns(self) -> None:
        self.run(work_payouts(self.bursary.db, self.bursary.settings))

    def approves(self, batch: UUID, operator: int) -> None:
        async def act() -> None:
            await self.bursary.approve(self.operators[operator], await self.bursary.batch(batch))

        self.attempt(act())

    def sends(self, batch: UUID, operator: int) -> None:
        async def act() -> None:
            await self.bursary.send(self.operators[operator], await self.bursary.batch(batch))

        self.attempt(act())

    @rule(batch=batches, operators=st.permutations(range(OPERATORS)), sent=st.booleans())
    def goes_out(self, batch: UUID, operators: list[int], sent: bool) -> None:
        """Whoever may, approves, and sends or not."""
        for operator in operators:
            self.approves(batch, operator)
        for operator in operators if sent else []:
            self.sends(batch, operator)

    @rule(batch=batches, operator=st.integers(0, OPERATORS - 1))
    def discards(self, batch: UUID, operator: int) -> None:
        async def act() -> None:
            found = await self.bursary.batch(batch)
            await payouts.discard_batch(
                self.bursary.db, self.operators[operator], self.bursary.settings, found.id
            )

        self.attempt(act())

    @rule(batch=batches, operator=st.integers(0, OPERATORS - 1), number=st.integers(0, OWNERS - 1))
    def withholds(self, batch: UUID, operator: int, number: int) -> None:
        async def act() -> None:
            found = await self.bursary.payouts(await self.bursary.batch(batch))
            await self.bursary.withhold(self.operators[operator], found[number % len(found)].id)

        self.attempt(act())

    @rule(batch=batches, number=st.integers(0, OWNERS - 1), said=SAID)
    def bank_says(self, batch: UUID, number: int, said: tuple[str, str]) -> None:
        self.goes_out(batch, list(range(OPERATORS)), True)

        async def act(outcome: str) -> None:
            found = await self.bursary.payouts(await self.bursary.batch(batch))
            await self.bursary.note(self.operators[0], found[number % len(found)], outcome, reason="退汇")

        for outcome in said:
            self.attempt(act(outcome))

    def attempt(self, act: Any) -> bool:
        """What may be refused is refused whole."""
        try:
            self.run(act)
        except Refusal:
            return False
        return True

    @invariant()
    def money_is_where_the_payouts_say(self) -> None:
        async def look() -> None:
            async with self.bursary.db.read() as tx:
                rows = await tx.tuples(
                    "SELECT owner_id, state, sum(amount)::bigint, count(*)::int FROM settlement.payout GROUP BY 1, 2"
                )
                owed = await ledger.list_balances(tx, AccountKind.payable)
                on_its_way = await ledger.list_balances(tx, AccountKind.payout)
            found = {(owner_id, state): (amount, count) for owner_id, state, amount, count in rows}
            for owner in self.owners:
                drafted, sent, paid = (
                    found.get((owner.id, state), (0, 0))
                    for state in (PayoutState.drafted, PayoutState.sent, PayoutState.paid)
                )
                assert drafted[1] + sent[1] <= 1
                assert on_its_way.get(Account(AccountKind.payout, "CNY", owner.id), 0) == drafted[0] + sent[0]
                left = self.owed[owner.id] - drafted[0] - sent[0] - paid[0]
                assert owed.get(Account(AccountKind.payable, "CNY", owner.id), 0) == left

        if self.owed:
            self.run(look())

    def teardown(self) -> None:
        if self.owed:
            self.run(self.bursary.check_books())


def test_whatever_happens_in_whatever_order_no_cent_is_paid_twice_or_lost(database_url: str, signer: Signer) -> None:
    with asyncio.Runner() as runner:
        db = runner.run(Database.open(database_url, clock=StandingClock(), pool_max=4))
        try:
            Paying.opened = (runner, Bursary(db, Settings(payout_minimum=MINIMUM), signer))
            live_through(Paying, steps=12, lives=8)
        finally:
            runner.run(db.close())
