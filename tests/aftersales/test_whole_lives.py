"""Random lives of orders from the purchase to the last cent, against a plain model.

People buy in one shop or two, with coupons, pay (sometimes twice, sometimes with messages late, repeated, swapped or lost),
call off before and after paying; the shops send parcels in parts; people complain, return, exchange, argue and let terms
pass; operators decide; banks take money back; rates change, completed orders are settled, owners are paid out, and what was
paid may come back; the clock jumps; messages are replayed. After each step the house has come to rest, and the model, which
knows nothing of batches, agenda, cases' deadlines or ledgers, must say what every line has given back, where every piece is
and whose every cent is. The model is told which acts were accepted; what they are worth it works out itself.
"""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fortunes import BPS, DELAY_H, Chargeback, Fortunes, Run, Stake, Treasury, shared
from laotie import aftersales, audit, catalog, identity, ledger, offers, orders, settlement
from laotie.aftersales import Act, AskedLine, Case, CaseKind, CaseState, Claim, Party, Step
from laotie.aftersales.acts import PARTY_OF
from laotie.aftersales.model import REASONS
from laotie.aftersales.rows import find_case
from laotie.aftersales.table import acts_of
from laotie.base.entry import Source
from laotie.base.ids import OrderId, PaymentId, ShopId, ShowId, SkuId, new_id
from laotie.base.refusals import Refusal
from laotie.base.signer import Signer
from laotie.lake.facts import MoneyKind
from laotie.offers import CouponRefused
from laotie.orders import OrderState
from laotie.orders.delivery import Terms, confirm_receipt, terms_of, work_deliveries
from laotie.orders.model import SoldOut
from laotie.orders.packing import Consignment, ParcelId, Piece
from laotie.orders.parcels import TrackingKind, ship
from laotie.orders.tracking import note_by_hand
from laotie.payments.sandbox import Outcome, Trouble
from laotie.payments.sandbox_bank import EVIDENCE_S, NothingToDispute
from laotie.settlement import PayoutState, RateKind
from laotie.settlement.payout_model import NothingToPay
from laotie.settlement.rates import NothingToEnd
from lives import Pay, came, live_through
from market import Market, make_account
from reservoir import check_money

T = TypeVar("T")

STEPS, LIVES = 60, 7
STEPS_MIN = 700
"""Lives go on, a share after the other, until there were so many steps and everything was seen; `make prove` takes a million."""
SHARES_MAX = 8
STOCK = 12
PRICES = (3_333, 2_500)
COUPON, COUPON_FROM = 500, 6_000
HOUR, DAY = 3_600, 86_400


@dataclass
class Row:
    """A line: what was bought, paid, and what has gone back of it."""

    quantity: int
    paid: int
    refunded_quantity: int = 0
    refunded: int = 0
    restocked: int = 0
    returned: int = 0
    """Pieces that had been sent and came back."""
    owed: int = 0
    """Granted while a chargeback had the money."""

    def worth(self, quantity: int) -> int:
        """So many more pieces: the whole share of all that are gone then, less what has gone."""
        return max(0, self.paid * (self.refunded_quantity + quantity) // self.quantity - self.refunded)


@dataclass
class Part:
    """One shop's order of a purchase."""

    id: OrderId
    shop: int
    row: Row
    stake: Stake
    sent: int = 0
    ended: bool = False
    """Nothing was left of it when something was last given back."""

    @property
    def left(self) -> int:
        """What the buyer's money of it is still here."""
        return self.row.paid - self.row.refunded - self.stake.reversed


@dataclass
class Purchase:
    """What was bought at once."""

    buyer: int
    pay_by: float
    parts: list[Part]
    state: OrderState = OrderState.placed
    pays: list[Pay] = field(default_factory=list)


@dataclass
class Quarrel:
    """A case as the model sees it: the pieces it is about, and the sum if it is not simply their worth."""

    id: UUID
    part: Part
    buyer: int
    quantity: int
    unsent: bool
    agreed: int | None
    kind: CaseKind
    whole: int
    """What the pieces were worth when the case was opened."""
    offered: int | None = None
    good: int = 0
    back: bool = False
    swapped: int = 0
    """Pieces that left the shelf in exchange."""
    swapped_back: int = 0
    """Pieces that came back to the shelf in exchange."""
    over: bool = False


class WholeLives(RuleBasedStateMachine):
    """See the module. One house for all lives; each has new products, shops and buyers."""

    house: "House"

    @initialize()
    def open(self) -> None:
        self.now = 0.0
        self.purchases: list[Purchase] = []
        self.quarrels: list[Quarrel] = []
        self.parcels: list[ParcelId] = []
        self.chargebacks: list[Chargeback] = []
        self.owing: set[int] = set()
        self.scene: Scene = self.run(self.house.open_scene())
        self.fortunes = Fortunes(self.scene.shops, self.house.rates)
        self.before = self.run(self.house.read_held(self.scene.payees))
        self.timeout = self.market.settings.payment_timeout_s

    @property
    def market(self) -> Market:
        market: Market = self.house.market
        return market

    def saw(self, *sights: str) -> None:
        self.house.seen.update(sights)

    def run(self, act: Coroutine[Any, Any, T]) -> T:
        return self.house.runner.run(act)

    def check_invariants(self, *args: Any, **kwargs: Any) -> None:
        self.house.steps += 1
        super().check_invariants(*args, **kwargs)

    def is_any(self, state: OrderState) -> bool:
        return any(one.state is state for one in self.purchases)

    def rest(self) -> None:
        """Everything that is due happens; then the model catches up with the clock."""
        self.run(self.house.rest())
        for one in self.purchases:
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
        for chargeback in self.chargebacks:
            if chargeback.open and chargeback.until <= self.now:
                chargeback.end(won=False)
                self.saw("silent about a chargeback")
        for quarrel in self.quarrels:
            if not quarrel.over:
                self.follow(quarrel)

    def follow(self, quarrel: Quarrel) -> None:
        """What a case has come to. That it ended, and how, is the house's word; what that is worth is ours."""
        case = self.run(self.house.read_case(quarrel.id))
        part, row = quarrel.part, quarrel.part.row
        quarrel.kind = case.kind
        quarrel.back = case.is_back
        if case.kind is CaseKind.exchange:
            if case.state in (CaseState.returning, CaseState.preparing, CaseState.replacing, CaseState.replaced):
                quarrel.swapped = quarrel.quantity
            if case.state in (CaseState.preparing, CaseState.replacing, CaseState.replaced):
                quarrel.swapped_back = quarrel.good
        if case.closed_at is None:
            return
        quarrel.over = True
        self.saw(f"case {case.state}")
        if case.state is not CaseState.replaced:
            quarrel.swapped = 0
        if case.state is not CaseState.refunded:
            return
        if quarrel.agreed is None or quarrel.agreed >= quarrel.whole:
            unsent = row.quantity - part.sent - max(0, row.refunded_quantity - row.returned)
            if not quarrel.unsent and quarrel.back:
                row.returned += quarrel.quantity
            if quarrel.unsent and unsent >= quarrel.quantity:
                row.restocked += quarrel.quantity
            self.give(part, quarrel.quantity, row.worth(quarrel.quantity))
        else:
            if quarrel.back:
                row.returned += quarrel.quantity
            amount = min(quarrel.agreed, quarrel.whole, row.paid - row.refunded)
            self.give(part, quarrel.quantity if quarrel.back else 0, amount)
        if quarrel.back:
            row.restocked += quarrel.good - quarrel.swapped_back

    def give(self, part: Part, quantity: int, amount: int) -> None:
        """No more than is left: a chargeback may have taken the rest already, which is owed then."""
        row, asked, amount = part.row, amount, min(amount, part.left)
        if not quantity and not asked:
            return
        row.refunded_quantity += quantity
        row.refunded += amount
        row.owed = min(asked - amount + (0 if quantity else row.owed), row.paid - row.refunded)
        part.ended = part.ended or part.left == 0
        self.saw("given back in part" if row.refunded < row.paid else "given back whole")
        if part.stake.settled and amount:
            self.saw("clawed back")

    def give_owed(self, part: Part) -> None:
        """A chargeback was won: first the buyer has what was granted meanwhile; all, of what was called off."""
        row = part.row
        owed = row.paid - row.refunded if part.ended and not part.sent else row.owed
        amount = max(0, min(part.left, owed - part.stake.reversed))
        row.refunded += amount
        row.owed = max(0, row.owed - amount)
        self.saw(*["won for the buyer"] * (amount > 0), *["won for a shop that had given all back"] * (part.ended and part.left > 0))

    def drawn(self, data: st.DataObject, what: list[T]) -> T | None:
        return data.draw(st.sampled_from(what)) if what else None

    def left(self, shop: int) -> int:
        """What can be bought in a shop."""
        gone = 0
        for one in self.purchases:
            if one.state is not OrderState.cancelled:
                gone += sum(part.row.quantity - part.row.restocked for part in one.parts if part.shop == shop)
        for quarrel in self.quarrels:
            if quarrel.part.shop == shop:
                gone += quarrel.swapped - quarrel.swapped_back
        return STOCK - gone

    @rule(data=st.data())
    def live(self, data: st.DataObject) -> None:
        """One step: something that can be done now, what moves an order on the oftenest."""
        is_paid = self.is_any(OrderState.paid)
        choices = [self.buy] * 2 + [self.jump]
        choices += [self.pay, self.pay, self.pay_and_linger] * self.is_any(OrderState.placed)
        choices += ([self.complain] * 3 + [self.ship] * 3) * is_paid
        choices += [self.act] * 6 * any(not one.over for one in self.quarrels)
        choices += [self.call_off] * 2 * bool(self.purchases) + [self.deliver, self.confirm] * bool(self.parcels)
        choices += [self.replay] * any(pay.heard for one in self.purchases for pay in one.pays)
        is_settled = any(stake.settled for stake in self.fortunes.stakes)
        choices += [self.agree] + [self.charge_back] * (is_paid + is_settled)
        choices += [self.decide_chargeback] * any(one.open for one in self.chargebacks)
        choices += [self.pay_out] * 4 * is_settled + [self.jump, self.confirm] * (bool(self.parcels) and not is_settled)
        data.draw(st.sampled_from(choices))(data)

    def buy(self, data: st.DataObject) -> None:
        """Place an order; mostly pay it as well."""
        buyer, coupon, pays = data.draw(st.tuples(st.integers(0, 1), st.booleans(), st.sampled_from([True, True, False])))
        quantities = data.draw(st.sampled_from([(1, 0), (2, 0), (0, 2), (2, 1), (3, 3), (0, 1)]))
        wanted = [(shop, quantity) for shop, quantity in enumerate(quantities) if quantity]
        if not wanted:
            return
        fits = all(quantity <= self.left(shop) for shop, quantity in wanted)
        goods = sum(quantity * PRICES[shop] for shop, quantity in wanted)
        streamed = len(wanted) == 1 and wanted[0][0] == 0 and data.draw(st.sampled_from([True, True, False]))
        claim = self.run(self.house.claim(self.scene, buyer)) if coupon else None
        try:
            placed = self.run(self.house.buy(self.scene, buyer, wanted, claim, streamed=streamed))
        except SoldOut:
            assert not fits
            return
        except CouponRefused:
            assert goods < COUPON_FROM
            return
        assert fits
        assert placed.total_amount == goods - (COUPON if claim else 0)
        if claim:
            self.saw("coupon")
        if len(wanted) > 1:
            self.saw("two shops")
        paid = self.run(self.house.read_paid(placed.order_ids))
        assert sum(paid.values()) == placed.total_amount
        parts = [
            Part(order_id, shop, Row(quantity, paid[order_id]), Stake(shop, streamed))
            for order_id, (shop, quantity) in zip(placed.order_ids, wanted, strict=True)
        ]
        self.fortunes.stakes += [part.stake for part in parts]
        self.purchases.append(Purchase(buyer, self.now + self.timeout, parts))
        if pays:
            one = self.purchases[-1]
            one.pays.append(Pay(self.run(self.market.start_payment(self.scene.buyers[buyer], parts[0].id))))
            self.decide(one, one.pays[0], Trouble.none)

    def pay(self, data: st.DataObject) -> None:
        """Pay (or be declined), in one page or two at once."""
        decision, times = data.draw(st.tuples(DECISIONS, st.sampled_from([1, 1, 2])))
        one = self.drawn(data, [one for one in self.purchases if one.state is OrderState.placed])
        if one is None or len(one.pays) > 15:
            return
        buyer = self.scene.buyers[one.buyer]
        order_id = data.draw(st.sampled_from(one.parts)).id
        fresh = [Pay(self.run(self.market.start_payment(buyer, order_id))) for _ in range(times)]
        one.pays += fresh
        for pay in fresh:
            self.decide(one, pay, decision)

    def pay_and_linger(self, data: st.DataObject) -> None:
        """Open the payment page and come back to it whenever, whatever has become of the order."""
        decision = data.draw(DECISIONS)
        for one in self.purchases:
            for pay in one.pays:
                if pay.decided is None:
                    self.decide(one, pay, decision)
                    return
        fresh = self.drawn(data, [one for one in self.purchases if one.state is OrderState.placed])
        if fresh is not None and len(fresh.pays) < 15:
            buyer = self.scene.buyers[fresh.buyer]
            fresh.pays.append(Pay(self.run(self.market.start_payment(buyer, fresh.parts[0].id))))

    def decide(self, one: Purchase, pay: Pay, decision: Trouble | None) -> None:
        outcome = Outcome.decline if decision is None else Outcome.approve
        trouble = decision or Trouble.none
        self.run(self.market.decide(self.scene.buyers[one.buyer], pay.id, outcome, trouble))
        pay.decide(outcome, trouble, now=self.now)
        self.rest()

    def call_off(self, data: st.DataObject) -> None:
        one = self.drawn(data, self.purchases)
        if one is None:
            return
        part = data.draw(st.sampled_from(one.parts))
        try:
            self.run(self.market.cancel(self.scene.buyers[one.buyer], part.id))
        except Refusal:
            assert one.state is OrderState.paid
            assert (
                part.sent
                or any(not q.over for q in self.quarrels if q.part is part)
                or part.ended
            )
            return
        if one.state is OrderState.placed:
            one.state = OrderState.cancelled
            self.saw("called off unpaid")
        elif one.state is OrderState.paid and not part.ended:
            quantity = part.row.quantity - part.row.refunded_quantity
            self.give(part, quantity, part.row.worth(quantity))
            part.row.restocked += quantity
            self.saw("called off paid")
        self.rest()

    def ship(self, data: st.DataObject) -> None:
        few, arrives = data.draw(st.tuples(st.sampled_from([1, 3, None, None, None]), st.sampled_from([True, True, False])))
        paid = [part for one in self.purchases if one.state is OrderState.paid for part in one.parts]
        part = self.drawn(data, paid)
        if part is None:
            return
        row = part.row
        left = row.quantity - part.sent - max(0, row.refunded_quantity - row.returned)
        quantity = few or max(1, left)
        try:
            self.parcels.append(self.run(self.house.ship(self.scene, part.shop, part.id, quantity)))
        except Refusal:
            assert quantity > left or part.ended
            return
        assert quantity <= left
        part.sent += quantity
        self.saw("sent")
        if arrives:
            self.run(self.house.deliver(self.scene, self.parcels[-1]))
        self.rest()

    def deliver(self, data: st.DataObject) -> None:
        parcel_id = self.drawn(data, self.parcels)
        if parcel_id is not None:
            self.run(self.house.deliver(self.scene, parcel_id))
            self.rest()

    def confirm(self, data: st.DataObject) -> None:
        one = self.drawn(data, [one for one in self.purchases if one.state is OrderState.paid])
        if one is None:
            return
        try:
            self.run(self.house.confirm(self.scene, one.buyer, data.draw(st.sampled_from(one.parts)).id))
        except Refusal:
            return
        self.saw("confirmed")
        self.rest()

    def complain(self, data: st.DataObject) -> None:
        kind = data.draw(st.sampled_from(list(CaseKind)))
        quantity, share = data.draw(st.tuples(st.sampled_from([1, 1, 2, 3]), st.sampled_from([None, None, 1, 500])))
        reason = data.draw(st.sampled_from(sorted(REASONS[kind])))
        one = self.drawn(data, [one for one in self.purchases if one.state is OrderState.paid])
        if one is None:
            return
        part = data.draw(st.sampled_from(one.parts))
        quantity = min(quantity, part.sent or part.row.quantity)
        whole = part.row.worth(min(quantity, part.row.quantity - part.row.refunded_quantity))
        claim = Claim(
            id=aftersales.CaseId(new_id()),
            order_id=part.id,
            kind=kind,
            reason=reason,
            lines=(AskedLine(1, quantity),),
            amount=share if kind is CaseKind.refund_only else None,
            exchange_sku_id=self.scene.skus[part.shop] if kind is CaseKind.exchange else None,
        )
        try:
            case = self.run(self.house.open_case(self.scene, one.buyer, claim))
        except Refusal:
            return
        claimed = sum(q.quantity for q in self.quarrels if q.part is part and not q.over)
        assert quantity <= part.row.quantity - part.row.refunded_quantity - claimed, "no piece is claimed twice"
        quarrel = Quarrel(claim.id, part, one.buyer, quantity, case.is_unsent, claim.amount, kind, whole)
        self.quarrels.append(quarrel)
        self.saw(f"asked for {kind}")
        self.rest()

    def act(self, data: st.DataObject) -> None:
        """Somebody does something about a case: what may be done there, or anything; then it may be refused."""
        wild: Act | None = data.draw(st.sampled_from([*[None] * 40, *Act]))
        number, share = data.draw(st.tuples(st.integers(0, 3), st.sampled_from([1, 700, 2_000])))
        quarrel = self.drawn(data, [one for one in self.quarrels if not one.over])
        if quarrel is None:
            return
        case = self.run(self.house.read_case(quarrel.id))
        act = wild or data.draw(st.sampled_from(sorted({one for party in Party for one in acts_of(case, party)})))
        kind = data.draw(st.sampled_from([CaseKind.refund_only, CaseKind.return_refund, None]))
        good = min(number, quarrel.quantity)
        is_offer = act in (Act.counter, Act.dispute_goods)
        amount = share if act is Act.decide_split or (is_offer and kind is not CaseKind.return_refund) else None
        step = Step(
            id=aftersales.EntryId(new_id()),
            act=act,
            text="because",
            kind=kind if act is Act.counter else None,
            amount=amount,
            carrier="sf",
            number=f"SF{new_id().int % 10**13:013}",
            inspected=(aftersales.Inspected(1, good),) if act is Act.approve_goods else (),
        )
        if act in (Act.open, Act.open_by_right, Act.open_guaranteed, Act.time_over):
            return
        try:
            self.run(self.house.act(self.scene, quarrel, step))
        except Refusal:
            return
        self.saw(f"did {act}")
        if is_offer:
            quarrel.offered = amount
        elif act is Act.take_offer:
            quarrel.agreed = quarrel.offered
        elif act is Act.decide_split:
            quarrel.agreed = amount
        elif act is Act.approve_goods and quarrel.kind is not CaseKind.repair:
            quarrel.good = good
        self.rest()

    def jump(self, data: st.DataObject) -> None:
        seconds = data.draw(st.sampled_from([6, 60, 901, 3 * HOUR, 2 * DAY, 4 * DAY, 8 * DAY]))
        self.market.db.clock.advance(seconds=seconds)
        self.now += seconds
        self.rest()

    def replay(self, data: st.DataObject) -> None:
        """Every message of the provider comes once more, under a new id, in reverse."""
        self.run(self.house.replay())
        self.rest()

    def agree(self, data: st.DataObject) -> None:
        """A rate is set or ended: everybody's, a shop's, or what a shop gives its streamer."""
        kind = data.draw(st.sampled_from(list(RateKind)))
        bps, own, named = data.draw(st.tuples(st.sampled_from(BPS[kind]), st.booleans(), st.booleans()))
        streams = kind is RateKind.streamer
        shop = self.scene.shops[0] if streams else self.scene.shops[1] if own else None
        streamer = self.scene.owners[0].signed_in() if streams and named else None
        actor = self.scene.owners[0] if streams else self.scene.operator
        try:
            self.run(self.house.set_rate(actor, kind, bps, shop, streamer))
        except NothingToEnd:
            assert bps is None
            return
        self.saw("a rate set" if bps is not None else "a rate ended")

    def charge_back(self, data: st.DataObject) -> None:
        """The buyer's bank takes a part back, or all that is left."""
        amount = data.draw(st.sampled_from([None, 1, 1_000, 4_000]))
        one = self.drawn(data, [one for one in self.purchases if one.state is OrderState.paid])
        if one is None:
            return
        left = [part.left for part in one.parts]
        payment_id = self.run(self.house.read_payment(one.parts[0].id))
        try:
            dispute = self.run(self.house.dispute(self.scene.buyers[one.buyer], payment_id, new_id(), amount))
        except NothingToDispute:
            assert sum(left) < (amount or 1)
            return
        assert dispute.amount == (amount or sum(left)) <= sum(left)
        shares = [(part.stake, share) for part, share in zip(one.parts, shared(dispute.amount, left), strict=True)]
        for stake, share in shares:
            stake.reversed += share
            self.saw("charged back", *["charged back once settled"] * stake.settled)
        self.chargebacks.append(Chargeback(dispute.id, one.buyer, shares, self.now + EVIDENCE_S))
        self.rest()

    def decide_chargeback(self, data: st.DataObject) -> None:
        one = self.drawn(data, [one for one in self.chargebacks if one.open])
        if one is not None:
            won = data.draw(st.booleans())
            self.run(self.house.decide_dispute(self.scene.buyers[one.buyer], one.id, won=won))
            one.end(won=won)
            for part in [part for bought in self.purchases for part in bought.parts] if won else []:
                if any(part.stake is stake for stake, _ in one.parts):
                    self.give_owed(part)
            self.saw("won a chargeback" if won else "lost a chargeback")
            self.rest()

    def pay_out(self, data: st.DataObject) -> None:
        """A batch of payouts goes a step further: drafted, approved or given up, sent, ended one by one."""
        run = next((run for run in self.fortunes.runs if run.state != "over"), None)
        forward = data.draw(st.sampled_from([True, True, True, True, False]))
        if run is None:
            self.draft()
        elif run.state == "sent":
            waiting = [one for one in run.transfers if one.state == "sent"]
            bounced = [one for one in run.transfers if one.state == "paid"]
            if waiting or (bounced and not forward):
                one = (waiting or bounced)[0]
                one.state = "paid" if forward else "back"
                self.run(self.house.end(one, PayoutState.paid if forward else PayoutState.returned))
                self.saw(f"payout {one.state}")
            if not any(one.state == "sent" for one in run.transfers):
                run.state = "over"
        elif not forward:
            self.run(self.house.discard(run))
            run.state = "over"
            for one in run.transfers:
                one.state = "back"
            self.saw("batch discarded")
        elif run.state == "drafted" and data.draw(st.booleans()):
            self.run(self.house.approve(run))
            run.state = "approved"
        else:
            if run.state == "drafted":
                self.run(self.house.approve(run))
            self.run(self.house.send(run))
            self.fortunes.send(run)
        self.rest()

    def draft(self) -> None:
        ready = self.fortunes.ready()
        try:
            run = self.run(self.house.draft(self.scene.payees))
        except NothingToPay:
            assert not ready
            return
        assert {one.owner: one.amount for one in run.transfers if one.owner is not None} == ready
        self.fortunes.runs.append(run)

    @invariant()
    def everything_is_where_it_should_be(self) -> None:
        if not hasattr(self, "scene"):
            return
        books = self.run(self.house.read(self.scene, [part.id for one in self.purchases for part in one.parts]))
        self.settle(books)
        held = [0, 0]
        for one in self.purchases:
            kept = 0
            for part in one.parts:
                row, seen = part.row, books.orders[part.id]
                assert (seen.refunded_quantity, seen.refunded, seen.restocked) == (
                    row.refunded_quantity, row.refunded, row.restocked,
                ), part  # fmt: skip
                assert seen.reversed == part.stake.reversed, part
                if one.state is OrderState.paid:
                    held[part.shop] += 0 if part.stake.settled else part.left + seen.subsidy
                    kept += part.left
                    expected = {OrderState.refunded} if part.ended else SOLD
                else:
                    expected = {one.state}
                assert seen.state in expected, part
            assert books.kept.get(one.parts[0].id, 0) == kept, one
        assert books.available == [self.left(0), self.left(1)]
        assert books.held == held
        assert books.unallocated == books.on_its_way
        self.whose_is_it(books)

    def settle(self, books: "Books") -> None:
        """When an order was paid and was over is the house's word; that it is settled by now, and for what, is ours."""
        for one in self.purchases:
            for part in one.parts:
                seen, stake = books.orders[part.id], part.stake
                stake.worth, stake.subsidy = (part.left, seen.subsidy) if one.state is OrderState.paid else (0, 0)
                if stake.rates is None and seen.paid_at is not None:
                    stake.rates = self.fortunes.rates_at(stake, seen.paid_at)
                is_quiet = all(quarrel.over for quarrel in self.quarrels if quarrel.part is part)
                if seen.over_at is not None and not stake.settled and is_quiet:
                    stake.settled = seen.over_at + timedelta(hours=DELAY_H) <= self.market.db.clock.now()
                    self.saw(*["settled", *["a streamer's share"] * (stake.divided().streamer > 0)] * stake.settled)

    def whose_is_it(self, books: "Books") -> None:
        """What each owner is owed and is being paid, what the platform has, and what is at the provider."""
        fortunes, before, has = self.fortunes, self.before, self.run(self.house.read_held(self.scene.payees))
        owed = [fortunes.owed(owner) for owner in range(3)]
        assert has.owed == owed
        assert has.on_its_way == [fortunes.moved(owner, "drafted", "sent") for owner in range(3)]
        divided = [stake.divided() for stake in fortunes.stakes]
        assert has.commission - before.commission == sum(one.platform for one in divided)
        assert has.payment_fee - before.payment_fee == sum(one.payment for one in divided)
        assert before.subsidy - has.subsidy == sum(stake.subsidy for stake in fortunes.stakes)
        kept = sum(stake.worth for stake in fortunes.stakes) + books.unallocated
        assert before.provider - has.provider == kept - fortunes.moved(None, "paid")
        for owner, amount in enumerate(owed):
            if amount < 0:
                self.owing.add(owner)
                self.saw("below zero")
            elif owner in self.owing:
                self.owing.remove(owner)
                self.saw("recovered")

    def teardown(self) -> None:
        if not hasattr(self, "scene"):
            return
        calm = 0
        for _ in range(15):  # terms end by themselves: nothing stays open, and what arrived is settled before the next life
            calm = calm + 1 if all(quarrel.over for quarrel in self.quarrels) else 0
            if calm > 3:
                break
            self.market.db.clock.advance(seconds=8 * DAY)
            self.now += 8 * DAY
            self.rest()
            self.everything_is_where_it_should_be()
        assert all(quarrel.over for quarrel in self.quarrels)
        for run in self.fortunes.runs:
            self.run(self.house.end_all(run))
        report = self.run(audit.take_tallies(self.market.db))
        assert report.findings == []
        assert report.in_flight == 0


SOLD = {OrderState.paid, OrderState.shipped, OrderState.completed}
DECISIONS = st.sampled_from([*Trouble, None])
NOWHERE = Path("/nonexistent")
SIGHTS = {
    "paid", "called off unpaid", "called off paid", "overdue", "two shops", "coupon", "sent", "given back in part",
    "given back whole", "asked for refund_only", "asked for return_refund", "asked for exchange", "asked for repair",
    "asked for withdrawal", "case refunded", "settled", "a streamer's share", "a rate set", "charged back",
    "won a chargeback", "lost a chargeback", "silent about a chargeback", "payout paid",
}  # fmt: skip


class Scene(NamedTuple):
    """Two shops with one thing each, two buyers, an operator, a coupon of the platform."""

    owners: list[identity.Actor]
    shops: list[ShopId]
    asks: list[orders.AskLine]
    buyers: list[identity.Actor]
    operator: identity.Actor
    coupon_id: offers.CouponId
    show_id: ShowId
    """Of the first shop; its owner streams."""

    @property
    def payees(self) -> list[UUID]:
        """Who is owed: the shops, and the streamer."""
        return [*self.shops, self.owners[0].signed_in()]

    @property
    def skus(self) -> list[SkuId]:
        return [ask.sku_id for ask in self.asks]


class Seen(msgspec.Struct, frozen=True):
    """An order and its one line, as the books have it. `subsidy`: what the platform has added and not taken back.

    `over_at`: when it was complete, or given back whole before.
    """

    id: OrderId
    state: OrderState
    refunded_quantity: int
    refunded: int
    restocked: int
    reversed: int
    paid_at: datetime | None
    over_at: datetime | None
    subsidy: int


class Books(NamedTuple):
    """What the house holds, in one snapshot."""

    orders: dict[OrderId, Seen]
    kept: dict[OrderId, int]
    available: list[int]
    held: list[int]
    unallocated: int
    on_its_way: int


class House(Treasury):
    """A market, and what these lives do to it."""

    steps = 0

    @property
    def terms(self) -> Terms:
        return terms_of(self.market.settings)

    async def open_scene(self) -> Scene:
        market = self.market
        owners, shops, show_id = await self.open_owners()
        await self.set_rate(owners[0], RateKind.streamer, 1_500, shops[0], owners[0].signed_in())
        await self.rest()
        asks = [
            await market.add_to_shelf(owner, shop_id, price=price, stock=STOCK)
            for owner, shop_id, price in zip(owners, shops, PRICES, strict=True)
        ]
        operator = await make_account(self.db, f"operator-{new_id().hex[-10:]}")
        operator = msgspec.structs.replace(operator, roles=frozenset({identity.Role.operator}))
        draft = offers.Draft(
            title="platform",
            kind=offers.CouponKind.fixed,
            currency="CNY",
            threshold_amount=COUPON_FROM,
            off_amount=COUPON,
            quantity=1_000,
            per_person=50,
            budget_amount=1_000_000,
            starts_at=self.db.clock.now(),
            ends_at=self.db.clock.now() + timedelta(days=360),
        )
        async with self.db.tx() as tx:
            coupon = await offers.make_coupon(tx, operator, None, offers.CouponId(new_id()), draft)
        buyers = [await market.buyer() for _ in range(2)]
        return Scene(owners, shops, asks, buyers, operator, coupon.id, show_id)

    async def rest(self) -> None:
        """Until nothing moves any more."""
        rules = settlement.rules_of(self.market.settings)
        await self.market.settle(
            partial(work_deliveries, self.db, self.terms),
            partial(aftersales.work_deadlines, self.db),
            partial(settlement.work_looks, self.db, rules),
            partial(settlement.settle_due, self.db, rules),
        )

    async def claim(self, scene: Scene, buyer: int) -> UUID:
        claim_id = offers.ClaimId(new_id())
        async with self.db.tx() as tx:
            await offers.claim(tx, offers.Buyer(id=scene.buyers[buyer].signed_in()), scene.coupon_id, claim_id)
        return claim_id

    async def buy(
        self, scene: Scene, buyer: int, wanted: list[tuple[int, int]], claim: UUID | None, *, streamed: bool
    ) -> orders.Placed:
        return await self.market.place_all(
            scene.buyers[buyer],
            orders.Ask(
                buyer_id=scene.buyers[buyer].signed_in(),
                client_id=new_id(),
                show_id=scene.show_id if streamed else None,
                lines=tuple(msgspec.structs.replace(scene.asks[shop], quantity=n) for shop, n in wanted),
                source=Source.shelf,
                placement="shelf",
                coupons=(claim,) if claim else (),
            ),
        )

    async def ship(self, scene: Scene, shop: int, order_id: OrderId, quantity: int) -> ParcelId:
        parcel_id = ParcelId(new_id())
        parcel = Consignment(
            id=parcel_id,
            order_id=order_id,
            carrier="sf",
            number=f"SF{new_id().int % 10**13:013}",
            pieces=(Piece(1, quantity),),
        )
        async with self.db.tx() as tx:
            await ship(tx, scene.owners[shop], self.terms, scene.shops[shop], parcel)
        return parcel_id

    async def deliver(self, scene: Scene, parcel_id: ParcelId) -> None:
        async with self.db.tx() as tx:
            shop_id = await tx.one(ShopId, "SELECT shop_id FROM orders.parcel WHERE id = %(id)s", id=parcel_id)
            owner = scene.owners[scene.shops.index(shop_id)]
            await note_by_hand(
                tx, owner, self.terms, shop_id, parcel_id, new_id(), TrackingKind.delivered, at=None, place="", note=""
            )

    async def confirm(self, scene: Scene, buyer: int, order_id: OrderId) -> None:
        async with self.db.tx() as tx:
            await confirm_receipt(tx, scene.buyers[buyer], order_id)

    async def open_case(self, scene: Scene, buyer: int, claim: Claim) -> Case:
        async with self.db.tx() as tx:
            return await aftersales.open_case(tx, scene.buyers[buyer], claim, data=NOWHERE)

    async def act(self, scene: Scene, quarrel: Quarrel, step: Step) -> None:
        """As whoever may do this; a step that everybody may take is the buyer's."""
        party = PARTY_OF.get(step.act)
        actor = scene.buyers[quarrel.buyer]
        if party is Party.shop:
            actor = scene.owners[quarrel.part.shop]
        elif party is Party.operator:
            actor = scene.operator
        async with self.db.tx() as tx:
            await aftersales.take_step(tx, actor, aftersales.CaseId(quarrel.id), step, data=NOWHERE)

    async def read_case(self, case_id: UUID) -> Case:
        async with self.db.read() as tx:
            case = await find_case(tx, aftersales.CaseId(case_id))
        assert case is not None
        return case

    async def read_payment(self, order_id: OrderId) -> PaymentId:
        """Which payment paid for it."""
        async with self.db.read() as tx:
            return await tx.one(PaymentId, 'SELECT payment_id FROM orders."order" WHERE id = %(id)s', id=order_id)

    async def end_all(self, run: Run) -> None:
        """Nothing of a life is under way in the next one."""
        if run.state in ("drafted", "approved"):
            await self.discard(run)
        for one in run.transfers:
            if one.state == "sent":
                await self.end(one, PayoutState.paid)

    async def read_paid(self, order_ids: tuple[OrderId, ...]) -> dict[OrderId, int]:
        async with self.db.read() as tx:
            return dict(
                await tx.tuples(
                    """
                    SELECT order_id, quantity * unit_price_amount - discount_amount
                    FROM orders.line WHERE order_id = ANY(%(ids)s)
                    """,
                    ids=list(order_ids),
                )
            )

    async def read(self, scene: Scene, order_ids: list[OrderId]) -> Books:
        kind = ledger.AccountKind
        async with self.db.read() as tx:
            skus = await catalog.find_skus(tx, scene.skus)
            seen = await tx.all(
                Seen,
                """
                SELECT o.id, o.state, l.refunded_quantity, l.refunded_amount AS refunded,
                       l.restocked_quantity AS restocked, o.reversed_amount AS reversed, o.paid_at,
                       CASE WHEN o.paid_at IS NOT NULL THEN coalesce(o.completed_at, o.ended_at) END AS over_at,
                       CASE WHEN o.state IN ('placed', 'cancelled') THEN 0 ELSE
                         o.subsidy_amount - coalesce((SELECT sum(b.subsidy_amount) FROM orders.given_back AS b
                                                      WHERE b.order_id = o.id), 0)::bigint END AS subsidy
                FROM orders."order" AS o JOIN orders.line AS l ON l.order_id = o.id WHERE o.id = ANY(%(ids)s)
                """,
                ids=order_ids,
            )
            kept = await tx.tuples(
                """
                SELECT order_id, sum(coalesce(captured_amount, amount) - refunded_amount - refunding_amount - reversed_amount)::bigint
                FROM payments.payment WHERE order_id = ANY(%(ids)s) AND captured_at IS NOT NULL GROUP BY order_id
                """,
                ids=order_ids,
            )
            return Books(
                {one.id: one for one in seen},
                dict(kept),
                [skus[sku_id].available for sku_id in scene.skus],
                [
                    (await ledger.get_balance(tx, ledger.Account(kind.shop_held, "CNY", shop_id))).posted
                    for shop_id in scene.shops
                ],
                (await ledger.get_balance(tx, ledger.Account(kind.unallocated, "CNY"))).posted,
                await tx.one(int, "SELECT coalesce(sum(refunding_amount), 0)::bigint FROM payments.payment"),
            )


@pytest.fixture
def house(database_url: str, signer: Signer) -> Any:
    opened = House(database_url, signer)
    yield opened
    opened.close()


def test_orders_live_to_their_last_cent_as_the_model_says(house: House) -> None:
    WholeLives.house = house
    for share in range(SHARES_MAX):
        live_through(WholeLives, steps=STEPS, lives=LIVES, share=share)
        if house.steps >= STEPS_MIN and house.seen >= SIGHTS:
            break
    told = house.runner.run(check_money(house.db, page=200))
    print(f"{house.steps} steps; seen: {', '.join(sorted(house.seen))}")
    assert house.steps >= STEPS_MIN
    assert house.seen >= SIGHTS, SIGHTS - house.seen
    assert {row.kind for row in told} == set(MoneyKind) - {MoneyKind.repriced}


@pytest.mark.prove
@pytest.mark.parametrize("share", range(20))
def test_a_million_steps(house: House, share: int) -> None:
    WholeLives.house = house
    while house.steps < 1_000_000 // 20:
        live_through(WholeLives, steps=STEPS, lives=6 * LIVES, anew=True)
