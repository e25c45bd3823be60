"""The state machine: one table of state x act x actor -> state, and the one function that reads it.

A row holds when its condition does: what the buyer is still *owed* (`Owed`) decides where the same act leads. No row, no
act. Time is an actor: the house acts when a state's term is over, so every open state ends by itself. The drawing and
the table in docs/aftersales.md are made from here (`laotie aftersales`).
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from laotie.aftersales.model import ENDS, Act, ActRefused, Case, CaseKind, CaseState, Party


class Owed(StrEnum):
    """What stands between the buyer and their right, once it is granted."""

    goods_first = "goods_first"
    """The goods have to come back first."""
    money = "money"
    """Nothing but the money: the goods are not part of it."""
    money_for_goods = "money_for_goods"
    """The goods are back, the money is due."""
    replacement = "replacement"
    """The goods are back; another piece, or the repaired one, is to be sent."""


class Row(NamedTuple):
    """In `state`, `party` may do `act`, which leads to `to`, when the buyer is owed `owed` (if that is said)."""

    state: CaseState | None
    act: Act
    party: Party
    owed: Owed | None
    to: CaseState


TERMS: dict[CaseState, timedelta] = {
    CaseState.requested: timedelta(hours=48),
    CaseState.refused: timedelta(days=7),
    CaseState.countered: timedelta(days=3),
    CaseState.returning: timedelta(days=14),
    CaseState.sent_back: timedelta(days=10),
    CaseState.disputed: timedelta(days=3),
    CaseState.preparing: timedelta(days=5),
    CaseState.replacing: timedelta(days=10),
    CaseState.arbitration: timedelta(days=5),
    CaseState.overdue: timedelta(days=2),
}
"""How long a state may last before the house acts."""


def _granted(state: CaseState | None, act: Act, party: Party) -> tuple[Row, ...]:
    """The claim is granted while the buyer has the goods: they come back first, or the money goes."""
    return (
        Row(state, act, party, Owed.goods_first, CaseState.returning),
        Row(state, act, party, Owed.money, CaseState.refunded),
    )


def _granted_with_goods(state: CaseState, act: Act, party: Party) -> tuple[Row, ...]:
    """The claim is granted when the goods are back: the money goes, or the replacement is made ready."""
    return (
        Row(state, act, party, Owed.money_for_goods, CaseState.refunded),
        Row(state, act, party, Owed.replacement, CaseState.preparing),
    )


TABLE: tuple[Row, ...] = (
    Row(None, Act.open, Party.buyer, None, CaseState.requested),
    # By law, or by a guarantee frozen into the order: nobody is asked.
    *_granted(None, Act.open_by_right, Party.buyer),
    Row(None, Act.open_guaranteed, Party.buyer, Owed.money, CaseState.refunded),
    # The shop answers; its silence is consent.
    *_granted(CaseState.requested, Act.accept, Party.shop),
    Row(CaseState.requested, Act.refuse, Party.shop, None, CaseState.refused),
    Row(CaseState.requested, Act.counter, Party.shop, None, CaseState.countered),
    Row(CaseState.requested, Act.call_off, Party.buyer, None, CaseState.withdrawn),
    *_granted(CaseState.requested, Act.time_over, Party.house),
    # The buyer answers; silence ends the case, and a new one may be opened as long as there is time.
    Row(CaseState.refused, Act.escalate, Party.buyer, None, CaseState.arbitration),
    Row(CaseState.refused, Act.call_off, Party.buyer, None, CaseState.withdrawn),
    *_granted(CaseState.refused, Act.accept, Party.shop),
    Row(CaseState.refused, Act.time_over, Party.house, None, CaseState.expired),
    *_granted(CaseState.countered, Act.take_offer, Party.buyer),
    Row(CaseState.countered, Act.escalate, Party.buyer, None, CaseState.arbitration),
    Row(CaseState.countered, Act.call_off, Party.buyer, None, CaseState.withdrawn),
    Row(CaseState.countered, Act.time_over, Party.house, None, CaseState.expired),
    # The goods travel.
    Row(CaseState.returning, Act.send_back, Party.buyer, None, CaseState.sent_back),
    Row(CaseState.returning, Act.call_off, Party.buyer, None, CaseState.withdrawn),
    Row(CaseState.returning, Act.time_over, Party.house, None, CaseState.expired),
    *_granted_with_goods(CaseState.sent_back, Act.approve_goods, Party.shop),
    Row(CaseState.sent_back, Act.dispute_goods, Party.shop, None, CaseState.disputed),
    # A shop that is silent with the goods in its hands has them, so the buyer has the money, whatever was asked.
    Row(CaseState.sent_back, Act.time_over, Party.house, None, CaseState.refunded),
    # Goods and money must not both stay with the shop: the buyer's silence goes to arbitration, not to an end.
    Row(CaseState.disputed, Act.take_offer, Party.buyer, None, CaseState.refunded),
    Row(CaseState.disputed, Act.escalate, Party.buyer, None, CaseState.arbitration),
    *_granted_with_goods(CaseState.disputed, Act.approve_goods, Party.shop),
    Row(CaseState.disputed, Act.time_over, Party.house, None, CaseState.arbitration),
    # A replacement, or the repaired piece.
    Row(CaseState.preparing, Act.send_replacement, Party.shop, None, CaseState.replacing),
    Row(CaseState.preparing, Act.time_over, Party.house, None, CaseState.refunded),
    Row(CaseState.replacing, Act.confirm, Party.buyer, None, CaseState.replaced),
    Row(CaseState.replacing, Act.escalate, Party.buyer, None, CaseState.arbitration),
    Row(CaseState.replacing, Act.time_over, Party.house, None, CaseState.replaced),
    # Arbitration. Too late: the operators are told, and two days later the house decides for the buyer.
    *(
        row
        for state in (CaseState.arbitration, CaseState.overdue)
        for row in (
            *_granted(state, Act.decide_for_buyer, Party.operator),
            *_granted_with_goods(state, Act.decide_for_buyer, Party.operator),
            Row(state, Act.decide_for_shop, Party.operator, None, CaseState.rejected),
            Row(state, Act.decide_split, Party.operator, None, CaseState.refunded),
            *_granted(state, Act.accept, Party.shop),
            *_granted_with_goods(state, Act.accept, Party.shop),
            Row(state, Act.call_off, Party.buyer, Owed.goods_first, CaseState.withdrawn),
            Row(state, Act.call_off, Party.buyer, Owed.money, CaseState.withdrawn),
        )
    ),
    Row(CaseState.arbitration, Act.time_over, Party.house, None, CaseState.overdue),
    *_granted(CaseState.overdue, Act.time_over, Party.house),
    *_granted_with_goods(CaseState.overdue, Act.time_over, Party.house),
)


class Move(NamedTuple):
    """Where an act leads, and when time acts there."""

    state: CaseState
    due_at: datetime | None


def owed(case: Case) -> Owed:
    """What the buyer is still owed, should the claim be granted."""
    if not case.must_return:
        return Owed.money
    if not case.is_back and case.state is not CaseState.sent_back:
        return Owed.goods_first
    return Owed.replacement if case.kind in (CaseKind.exchange, CaseKind.repair) else Owed.money_for_goods


def judge(case: Case, act: Act, party: Party, now: datetime) -> Move:
    """Where this act by this party leads; refuses with `ActRefused` what the table does not know. Pure.

    The house acts only when the state's term is over; anybody else may act until the house has.
    """
    if act is Act.time_over and (case.due_at is None or case.due_at > now):
        raise ActRefused(state=case.state, act=act)
    if act is Act.take_offer and not has_offer(case):
        raise ActRefused(state=case.state, act=act)
    return _move(case.state, act, party, owed(case), case.kind, now)


def judge_opening(case: Case, act: Act, now: datetime) -> Move:
    """Where a new case begins."""
    return _move(None, act, Party.buyer, owed(case), case.kind, now)


def _move(state: CaseState | None, act: Act, party: Party, due: Owed, kind: CaseKind, now: datetime) -> Move:
    for row in TABLE:
        if (row.state, row.act, row.party) == (state, act, party) and row.owed in (None, due):
            to = CaseState.repaired if row.to is CaseState.replaced and kind is CaseKind.repair else row.to
            return Move(to, now + TERMS[to] if to in TERMS else None)
    raise ActRefused(state=state or CaseState.requested, act=act)


def after_time(case: Case) -> CaseState | None:
    """Where the case goes by itself when its term is over."""
    if case.due_at is None:
        return None
    return _move(case.state, Act.time_over, Party.house, owed(case), case.kind, case.due_at).state


def has_offer(case: Case) -> bool:
    """Whether the shop has offered something else."""
    return case.offer_kind is not None or case.offer_amount is not None


def acts_of(case: Case, party: Party) -> list[Act]:
    """What a party may do now, in the table's order."""
    if case.state in ENDS:
        return []
    due = owed(case)
    found = (row.act for row in TABLE if (row.state, row.party) == (case.state, party) and row.owed in (None, due))
    return [act for act in dict.fromkeys(found) if act is not Act.take_offer or has_offer(case)]
