"""Random lives of orders against a plain model: money is conserved and stock accounted for at every step.

Buyers buy, pay (sometimes twice, sometimes through a provider whose messages are late, repeated, swapped or lost),
decline, call off; the clock jumps; a message is replayed. After each step the house has come to rest and the model,
which knows nothing of batches, agenda or ledgers, must have foreseen where every order, payment and piece is.
"""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from laotie import audit, catalog, ledger, live, payments
from laotie.base.ids import OrderId
from laotie.base.refusals import Refusal
from laotie.base.signer import Signer
from laotie.orders import OrderState
from laotie.orders.model import LimitReached, SoldOut
from laotie.payments import PaymentState
from laotie.payments.sandbox import Outcome, Trouble
from lives import OwnMarket, Pay, came, live_through
from market import Market

T = TypeVar("T")

STEPS = 25
PRICE = 700
STOCK, LIMIT = 6, 4


@dataclass
class Life:
    """An order as the model sees it."""

    buyer: int
    quantity: int
    pay_by: float
    state: OrderState = OrderState.placed
    pays: list[Pay] = field(default_factory=list)


class Lives(RuleBasedStateMachine):
    """See the module. `house` is set by the test: one market for all lives, a new item and new buyers for each."""

    house: "House"
    placed = Bundle("placed")

    @initialize()
    def open(self) -> None:
        self.now = 0.0
        self.lives: dict[OrderId, Life] = {}
        self.item: live.CartItem = self.run(self.market.add_item(price=PRICE, stock=STOCK, limit=LIMIT))
        self.buyers = [self.run(self.market.buyer()) for _ in range(2)]
        self.timeout = self.market.settings.payment_timeout_s
        self.shop_before = self.run(self.market.balance(ledger.AccountKind.shop_held)).posted

    @property
    def market(self) -> Market:
        market: Market = self.house.market
        return market

    def saw(self, *sights: str) -> None:
        self.house.seen.update(sights)

    def run(self, act: Coroutine[Any, Any, T]) -> T:
        return self.house.runner.run(act)

    @rule(target=placed, buyer=st.integers(0, 1), quantity=st.integers(1, 3))
    def place(self, buyer: int, quantity: int) -> OrderId | None:
        held = [one for one in self.lives.values() if one.state is not OrderState.cancelled]
        left = STOCK - sum(one.quantity for one in held if one.state is not OrderState.refunded)
        mine = sum(one.quantity for one in held if one.buyer == buyer)
        try:
            order_id = self.run(self.market.place(self.buyers[buyer], self.item, quantity=quantity))
        except LimitReached:
            assert mine + quantity > LIMIT
            return None
        except SoldOut:
            assert quantity > left
            return None
        assert quantity <= left
        assert mine + quantity <= LIMIT
        self.lives[order_id] = Life(buyer, quantity, self.now + self.timeout)
        return order_id

    @rule(order_id=placed, decision=st.sampled_from([*Trouble, None]), wait=st.booleans())
    def pay(self, order_id: OrderId | None, decision: Trouble | None, wait: bool) -> None:
        """Begin to pay, and (unless the buyer dawdles) approve with some trouble, or decline."""
        if order_id is None:
            return
        one = self.lives[order_id]
        buyer = self.buyers[one.buyer]
        try:
            payment_id = self.run(self.market.start_payment(buyer, order_id))
        except Refusal as refusal:
            assert one.state is not OrderState.placed or len(one.pays) >= 20, refusal
            return
        assert one.state is OrderState.placed
        pay = Pay(payment_id)
        one.pays.append(pay)
        if not wait:
            self._decide(one, pay, decision)

    @rule(order_id=placed, trouble=st.sampled_from(list(Trouble)))
    def pay_twice(self, order_id: OrderId | None, trouble: Trouble) -> None:
        """Two pages open, both approved."""
        if order_id is None or self.lives[order_id].state is not OrderState.placed:
            return
        one = self.lives[order_id]
        two = [Pay(self.run(self.market.start_payment(self.buyers[one.buyer], order_id))) for _ in range(2)]
        one.pays += two
        for pay in two:
            self._decide(one, pay, trouble)

    @rule(order_id=placed, decision=st.sampled_from([*Trouble, None]))
    def decide_late(self, order_id: OrderId | None, decision: Trouble | None) -> None:
        """Come back to a payment page that was left open, whatever has become of the order."""
        if order_id is None:
            return
        one = self.lives[order_id]
        for pay in one.pays:
            if pay.decided is None:
                self._decide(one, pay, decision)
                return

    @rule(order_id=placed, trouble=st.sampled_from(list(Trouble)))
    def come_back_too_late(self, order_id: OrderId | None, trouble: Trouble) -> None:
        """Open the payment page, and approve when the time to pay is over."""
        self.pay(order_id, None, True)
        self.jump(901)
        self.decide_late(order_id, trouble)

    def _decide(self, one: Life, pay: Pay, decision: Trouble | None) -> None:
        outcome = Outcome.decline if decision is None else Outcome.approve
        trouble = decision or Trouble.none
        self.run(self.market.decide(self.buyers[one.buyer], pay.id, outcome, trouble))
        pay.decide(outcome, trouble, now=self.now)
        self._rest()

    @rule(order_id=placed)
    def cancel(self, order_id: OrderId | None) -> None:
        if order_id is None:
            return
        one = self.lives[order_id]
        self.run(self.market.cancel(self.buyers[one.buyer], order_id))
        if one.state is OrderState.placed:
            one.state = OrderState.cancelled
            self.saw("cancelled")
        elif one.state is OrderState.paid:
            one.state = OrderState.refunded
            self.saw("called off")
        self._rest()

    @rule(seconds=st.sampled_from([2, 6, 60, 880, 901]))
    def jump(self, seconds: int) -> None:
        self.market.db.clock.advance(seconds=seconds)
        self.now += seconds
        self._rest()

    @rule()
    def replay(self) -> None:
        """Every message of the provider comes once more, under a new id, in reverse."""
        self.run(self.house.replay())
        self._rest()

    def _rest(self) -> None:
        self.run(self.market.settle())
        for one in self.lives.values():
            money = came(one.pays, self.now)
            if one.state is OrderState.placed and money:
                one.state = OrderState.paid
                self.saw("paid")
            if one.state is OrderState.placed and one.pay_by <= self.now:
                one.state = OrderState.cancelled
                self.saw("overdue")
            if money and one.state is OrderState.cancelled:
                self.saw("paid too late")
            if money > 1 and one.state is OrderState.paid:
                self.saw("paid twice")

    @invariant()
    def everything_is_where_it_should_be(self) -> None:
        if not hasattr(self, "item"):
            return
        held = {state: sum(o.quantity for o in self.lives.values() if o.state is state) for state in OrderState}
        reserved, sold = held[OrderState.placed], held[OrderState.paid]
        books = self.run(self.house.read(self.item, list(self.lives)))
        assert books.stock == (STOCK - reserved - sold, reserved, sold)
        # What is on its way back is the shop's still (called off) or nobody's (too late, twice).
        assert books.shop - self.shop_before + books.unallocated == sold * PRICE + books.on_its_way
        assert books.shop - self.shop_before >= sold * PRICE
        for order_id, one in self.lives.items():
            assert books.states[order_id] is one.state
            states = {payment.id: payment.state for payment in books.payments.get(order_id, [])}
            assert list(states) == [pay.id for pay in one.pays]
            kept = [state for state in states.values() if state is PaymentState.captured]
            assert len(kept) == (1 if one.state is OrderState.paid else 0)
            for pay in one.pays:
                if pay.decided is Outcome.approve and pay.heard:
                    assert states[pay.id] in (PaymentState.captured, PaymentState.refunding, PaymentState.refunded)
                elif pay.decided is Outcome.decline and pay.heard:
                    assert states[pay.id] is PaymentState.failed
                else:
                    assert states[pay.id] is PaymentState.pending

    def teardown(self) -> None:
        for _ in range(3):  # a message that was lost twice is not left for the next life
            self.market.db.clock.advance(seconds=60)
            self.run(self.market.settle())
        report = self.run(audit.take_tallies(self.market.db))
        assert report.findings == []
        assert report.in_flight == 0


class Books(NamedTuple):
    """What the house holds, in one snapshot."""

    stock: tuple[int, int, int]
    shop: int
    unallocated: int
    on_its_way: int
    states: dict[OrderId, OrderState]
    payments: dict[OrderId, list[payments.Payment]]


class House(OwnMarket):
    """A market, and what these lives do to it."""

    async def read(self, item: live.CartItem, order_ids: list[OrderId]) -> Books:
        sku_id, kind = item.skus[0].sku_id, ledger.AccountKind
        shop = ledger.Account(kind.shop_held, "CNY", self.market.shop_id)
        async with self.db.read() as tx:
            sku = (await catalog.find_skus(tx, [sku_id]))[sku_id]
            states = await tx.tuples('SELECT id, state FROM orders."order" WHERE id = ANY(%(ids)s)', ids=order_ids)
            return Books(
                (sku.available, sku.reserved, sku.sold),
                (await ledger.get_balance(tx, shop)).posted,
                (await ledger.get_balance(tx, ledger.Account(kind.unallocated, "CNY"))).posted,
                await tx.one(int, "SELECT coalesce(sum(refunding_amount), 0)::bigint FROM payments.payment"),
                {order_id: OrderState(state) for order_id, state in states},
                await payments.list_of_orders(tx, order_ids),
            )


@pytest.fixture
def house(database_url: str, signer: Signer) -> Any:
    opened = House(database_url, signer)
    yield opened
    opened.close()


def test_orders_live_as_the_model_says(house: House) -> None:
    Lives.house = house
    live_through(Lives, steps=STEPS)
    assert house.seen == {"paid", "cancelled", "called off", "overdue", "paid too late", "paid twice"}
