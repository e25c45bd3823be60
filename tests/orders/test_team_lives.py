"""Random lives of teams against a plain model: seats are counted, a team ends once, and money and pieces are all there.

Buyers open teams, join, pay, change their minds before or after paying; the clock jumps over payment times and deadlines.
After each step the house has come to rest, and the model must have foreseen every team, order and piece.
"""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from laotie import audit, ledger, orders
from laotie.base.ids import OrderId
from laotie.base.refusals import Refusal
from laotie.base.signer import Signer
from laotie.offers import TeamId, TeamState
from laotie.orders import OrderState
from lives import OwnMarket, live_through
from market import Market
from teams import TEAM_PRICE, join, open_offer, open_team, stock, team_of

T = TypeVar("T")

STEPS = 14
SIZE, STOCK, PEOPLE = 2, 5, 3
HOUR = 3600


@dataclass
class Team:
    deadline: float
    state: TeamState = TeamState.gathering
    seats: dict[int, OrderId] = field(default_factory=dict)


@dataclass
class Life:
    buyer: int
    team: TeamId
    pay_by: float
    state: OrderState = OrderState.placed


class Lives(RuleBasedStateMachine):
    """See the module. `house` is set by the test: one market for all lives, new goods and people for each."""

    house: OwnMarket

    @initialize()
    def open(self) -> None:
        self.now = 0.0
        self.teams: dict[TeamId, Team] = {}
        self.lives: dict[OrderId, Life] = {}
        self.offer = self.run(open_offer(self.market, size=SIZE, stock=STOCK, limit=3, gather_hours=1))
        self.people = [self.run(self.market.buyer()) for _ in range(PEOPLE)]
        self.before = self.run(self.kept())

    @property
    def market(self) -> Market:
        return self.house.market

    def run(self, act: Coroutine[Any, Any, T]) -> T:
        return self.house.runner.run(act)

    @rule(who=st.integers(0, PEOPLE - 1))
    def open_one(self, who: int) -> None:
        team = self.run(open_team(self.market, self.people[who], self.offer))
        deadline = self.teams[team.id].deadline if team.id in self.teams and self.teams[team.id].seats else self.now + HOUR
        self.teams.setdefault(team.id, Team(deadline)).deadline = deadline

    @precondition(lambda self: self.teams)
    @rule(who=st.integers(0, PEOPLE - 1), back=st.integers(1, 3))
    def join(self, who: int, back: int) -> None:
        """One of the latest teams, mostly."""
        self._join(who, list(self.teams)[-min(back, len(self.teams))])

    @rule(who=st.integers(0, PEOPLE - 1), pay_last=st.booleans(), wait=st.booleans())
    def gather(self, who: int, pay_last: bool, wait: bool) -> None:
        """Two come, one or both pay, and the hour may pass."""
        self.open_one(who)
        team_id = next(reversed(self.teams))
        for number in (who, (who + 1) % PEOPLE):
            self._join(number, team_id)
        for order_id in list(self.teams[team_id].seats.values())[: 2 if pay_last else 1]:
            if self.lives[order_id].state is OrderState.placed:
                self._pay(order_id)
        if wait:
            self.jump(HOUR + 1)

    def _join(self, who: int, team_id: TeamId) -> None:
        team = self.teams[team_id]
        mine = sum(one.buyer == who and one.state in (OrderState.placed, OrderState.paid) for one in self.lives.values())
        sold = sum(one.state in (OrderState.placed, OrderState.paid) for one in self.lives.values())
        may = team.state is TeamState.gathering and who not in team.seats and len(team.seats) < SIZE
        try:
            order_id = self.run(join(self.market, self.people[who], self.offer, team_id))
        except Refusal as refusal:
            assert not may or mine >= 3 or sold >= STOCK, refusal
            self.house.seen.add("refused")
            return
        assert may and mine < 3 and sold < STOCK
        team.seats[who] = order_id
        self.lives[order_id] = Life(who, team_id, self.now + self.market.settings.payment_timeout_s)

    @precondition(lambda self: self.of(OrderState.placed))
    @rule(which=st.integers(0, 9))
    def pay(self, which: int) -> None:
        self._pay(self.of(OrderState.placed)[which % len(self.of(OrderState.placed))][0])

    def _pay(self, order_id: OrderId) -> None:
        one = self.lives[order_id]
        self.run(self.market.pay(self.people[one.buyer], order_id))
        one.state = OrderState.paid
        team = self.teams[one.team]
        if len(team.seats) == SIZE and all(self.lives[id_].state is OrderState.paid for id_ in team.seats.values()):
            team.state = TeamState.complete
            self.house.seen.add("complete")

    @precondition(lambda self: self.of(OrderState.placed, OrderState.paid))
    @rule(which=st.integers(0, 9))
    def cancel(self, which: int) -> None:
        """Paid orders too: while the team gathers, their seats are free again."""
        standing = self.of(OrderState.placed, OrderState.paid)
        order_id, one = standing[which % len(standing)]
        self.run(self.market.cancel(self.people[one.buyer], order_id))
        self.house.seen.add(f"cancelled {one.state}")
        one.state = OrderState.cancelled if one.state is OrderState.placed else OrderState.refunded
        if self.teams[one.team].state is TeamState.gathering:
            del self.teams[one.team].seats[one.buyer]
        self.rest()

    @precondition(lambda self: any(one.state is TeamState.gathering for one in self.teams.values()))
    @rule()
    def wait_for_the_last_minute(self) -> None:
        """Until shortly before the next deadline."""
        next_one = min(one.deadline for one in self.teams.values() if one.state is TeamState.gathering)
        self.jump(max(1, int(next_one - self.now) - 20))

    @rule(seconds=st.sampled_from([60, 901]))
    def jump(self, seconds: int) -> None:
        self.market.db.clock.advance(seconds=seconds)
        self.now += seconds
        for one in self.lives.values():
            if one.state is OrderState.placed and one.pay_by <= self.now:
                one.state = OrderState.cancelled
                del self.teams[one.team].seats[one.buyer]
        for team in self.teams.values():
            if team.state is TeamState.gathering and team.deadline <= self.now:
                team.state = TeamState.failed
                for order_id in team.seats.values():
                    was = self.lives[order_id].state
                    self.lives[order_id].state = (
                        OrderState.refunded if was is OrderState.paid else OrderState.cancelled
                    )
                    self.house.seen.add(f"failed {was}")
        self.rest()

    async def kept(self) -> int:
        """What the shop has, less what is on its way back to buyers."""
        account = ledger.Account(ledger.AccountKind.shop_held, "CNY", self.market.shop_id)
        async with self.market.db.read() as tx:
            shop = await ledger.get_balance(tx, account)
            leaving = await tx.one(int, "SELECT coalesce(sum(refunding_amount), 0)::bigint FROM payments.payment")
        return shop.posted - leaving

    def of(self, *states: OrderState) -> list[tuple[OrderId, Life]]:
        return [(order_id, one) for order_id, one in self.lives.items() if one.state in states]

    def rest(self) -> None:
        async def settle() -> None:
            await self.market.settle()
            while await orders.work_teams(self.market.db):
                await self.market.settle()

        self.run(settle())

    @invariant()
    def everything_is_where_it_should_be(self) -> None:
        if not hasattr(self, "offer"):
            return
        for team_id, team in self.teams.items():
            found = self.run(team_of(self.market, team_id))
            assert found.state is team.state
            assert team.state is not TeamState.gathering or found.free_count == SIZE - len(team.seats)
        counts = dict.fromkeys(OrderState, 0)
        for order_id, one in self.lives.items():
            assert self.run(self.market.order(self.people[one.buyer], order_id)).state is one.state
            counts[one.state] += 1
        placed, paid = counts[OrderState.placed], counts[OrderState.paid]
        assert self.run(stock(self.market, self.offer.prices[0].sku_id)) == (STOCK - placed - paid, placed, paid)
        assert self.run(self.kept()) - self.before == paid * TEAM_PRICE

    def teardown(self) -> None:
        self.market.db.clock.advance(seconds=HOUR + 60)  # the shop is the next life's too: no team outlasts its own
        self.rest()
        self.market.db.clock.advance(seconds=60)
        self.rest()
        report = self.run(audit.take_tallies(self.market.db))
        assert report.findings == []


@pytest.fixture
def house(database_url: str, signer: Signer) -> Any:
    opened = OwnMarket(database_url, signer)
    yield opened
    opened.close()


def test_teams_live_as_the_model_says(house: OwnMarket) -> None:
    Lives.house = house
    live_through(Lives, steps=STEPS)
    print(f"seen: {', '.join(sorted(house.seen))}")
    assert len(house.seen) >= 3, "lives in which hardly anything happens prove nothing"
