"""What the sides do with a case, and what time does: checked, judged by the table, written with all that follows.

Each act is one transaction under the order's and the case's locks, so it takes effect once: a second process, or a second
try of the same request, finds the case moved on.
"""

from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from laotie import identity, orders
from laotie.aftersales.exhibits import attach
from laotie.aftersales.model import (
    CARRIER_LENGTH_MAX,
    ENDS,
    FREIGHT_AMOUNT_MAX,
    NUMBER_LENGTH_MAX,
    TEXT_LENGTH_MAX,
    Act,
    ActRefused,
    AmountTooHigh,
    Case,
    CaseId,
    CaseKind,
    CaseState,
    EntryId,
    Line,
    Party,
    Step,
    StepRefused,
)
from laotie.aftersales.rows import add_entry, digest_of, find_case, find_entry, hold_case, list_lines
from laotie.aftersales.settling import arrive, can_reserve, write_inspected
from laotie.aftersales.table import TABLE, judge
from laotie.base.db import Tx
from laotie.base.ids import AccountId, OrderId, new_id
from laotie.base.money import Money
from laotie.base.refusals import IdReused, NotFound
from laotie.identity import Actor, Scope

PARTY_OF: dict[Act, Party] = {row.act: row.party for row in TABLE if row.state is not None}
DECISIONS = (Act.decide_for_buyer, Act.decide_for_shop, Act.decide_split)
OFFERED = (CaseKind.refund_only, CaseKind.return_refund, CaseKind.exchange, CaseKind.repair)


class _Doer(NamedTuple):
    party: Party
    account_id: AccountId | None


async def take_step(tx: Tx, actor: Actor, case_id: CaseId, step: Step, *, data: Path) -> Case:
    """Do something with a case, as the party that the act belongs to. The same step again changes nothing.

    Holds order and case. Refuses `NotFound` to strangers, `ActRefused` what the table does not know, `StepRefused` and
    `AmountTooHigh` what does not fit the act, `IdReused`. Tells `CaseMoved`, and what follows from it.
    """
    case = await _hold(tx, case_id)
    doer = await _identify(tx, actor, case, step.act)
    digest = digest_of(doer.party, step)
    known = await find_entry(tx, step.id)
    if known is not None:
        if (known.case_id, known.digest) != (case_id, digest):
            raise IdReused()
        return case
    lines = (await list_lines(tx, [case_id]))[case_id]
    if len(step.text) > TEXT_LENGTH_MAX:
        raise StepRefused(field="text")
    if step.act is Act.say:
        if case.state in ENDS:
            raise ActRefused(state=case.state, act=step.act)
        if not step.text and not step.exhibits:
            raise StepRefused(field="text")
        return await _write(tx, case, case, doer, step, {}, digest, data=data)
    judge(case, step.act, doer.party, tx.now)
    changed, facts = _applied(case, lines, step)
    move = judge(changed, step.act, doer.party, tx.now)
    changed = msgspec.structs.replace(changed, state=move.state, due_at=move.due_at or tx.now)
    by_will = step.act in (Act.accept, Act.decide_for_buyer, Act.take_offer)
    if by_will and changed.kind is CaseKind.exchange and not await can_reserve(tx, changed, lines):
        raise StepRefused(field="exchange_sku_id")
    if step.act in (Act.approve_goods, Act.dispute_goods):
        facts["restocked"] = await _inspect(tx, changed, lines, step)
    if step.act in DECISIONS:
        await identity.record(tx, actor, "case.decided", subject=str(case_id), verdict=step.act)
    return await _write(tx, case, changed, doer, step, facts, digest, data=data)


async def pass_time(tx: Tx, case_id: CaseId) -> Case | None:
    """Let time act on a case whose term is over; nothing if it is not, or another process is at it or was."""
    alone = await tx.one(
        bool, "SELECT pg_try_advisory_xact_lock(hashtextextended(%(key)s, 0))", key=f"aftersales.due.{case_id}"
    )
    if not alone:
        return None
    case = await _hold(tx, case_id)
    if case.due_at is None or case.due_at > tx.now:
        return None
    lines = (await list_lines(tx, [case_id]))[case_id]
    facts: dict[str, Any] = {}
    move = judge(case, Act.time_over, Party.house, tx.now)
    swaps = case.kind is CaseKind.exchange and move.state in (CaseState.returning, CaseState.preparing)
    if swaps and not await can_reserve(tx, case, lines):  # nothing to send in exchange: the buyer gets the money
        case, facts = msgspec.structs.replace(case, kind=CaseKind.return_refund, exchange_sku_id=None), {"sold_out": True}
        move = judge(case, Act.time_over, Party.house, tx.now)
    if case.state is CaseState.sent_back:  # nobody looked at the goods, so none of them is sold again
        await write_inspected(tx, case, lines, {})
    changed = msgspec.structs.replace(
        case,
        state=move.state,
        due_at=move.due_at or tx.now,
        is_back=case.is_back or case.state is CaseState.sent_back,
    )
    step = Step(id=EntryId(new_id()), act=Act.time_over)
    return await _write(tx, case, changed, _Doer(Party.house, None), step, facts, b"")


async def _hold(tx: Tx, case_id: CaseId) -> Case:
    found = await find_case(tx, case_id)
    if found is None:
        raise NotFound()
    await orders.hold_many(tx, [OrderId(found.order_id)])
    case = await hold_case(tx, case_id)
    assert case is not None
    return case


async def _identify(tx: Tx, actor: Actor, case: Case, act: Act) -> _Doer:
    """As whom somebody acts; to strangers the case is not there, to a wrong side the act is refused."""
    party = PARTY_OF.get(act)
    if act in (Act.time_over, Act.open, Act.open_by_right, Act.open_guaranteed):
        raise StepRefused(field="act")
    is_buyer, is_operator = actor.account_id == case.buyer_id, identity.Role.operator in actor.roles
    if is_buyer and party in (None, Party.buyer):
        return _Doer(Party.buyer, actor.account_id)
    if is_operator and party in (None, Party.operator):
        return _Doer(Party.operator, actor.require_operator())
    is_seen = is_buyer or is_operator
    seat = await identity.find_seat(tx, actor, case.shop_id)
    if seat is None and is_seen:
        raise ActRefused(state=case.state, act=act)
    seat = await identity.require_seat(tx, actor, case.shop_id, Scope.orders)
    if party not in (None, Party.shop):
        raise ActRefused(state=case.state, act=act)
    return _Doer(Party.shop, seat.account_id)


async def _write(
    tx: Tx,
    case: Case,
    changed: Case,
    doer: _Doer,
    step: Step,
    facts: dict[str, Any],
    digest: bytes,
    *,
    data: Path | None = None,
) -> Case:
    """The line of the log, its files, and everything that follows from the move."""
    number = await add_entry(
        tx,
        changed,
        step.id,
        party=doer.party,
        actor_id=doer.account_id,
        act=step.act,
        state_before=case.state,
        text=step.text,
        facts=facts,
        digest=digest,
    )
    if step.exhibits:
        assert doer.account_id is not None and data is not None
        await attach(tx, case.id, number, doer.account_id, step.exhibits, data=data)
    if step.act is Act.say:
        return changed
    return await arrive(tx, changed, act=step.act, party=doer.party, before=case.state)


def _applied(case: Case, lines: list[Line], step: Step) -> tuple[Case, dict[str, Any]]:
    """The case as the step's own fields make it, and what the log keeps of them. Pure."""
    if step.act in (Act.counter, Act.dispute_goods):
        return _offered(case, lines, step)
    if step.act is Act.take_offer:
        return _with_offer(case, lines), {"kind": case.offer_kind, "amount": case.offer_amount}
    if step.act in (Act.send_back, Act.send_replacement):
        return _sent(case, step)
    if step.act is Act.refuse and not step.text:
        raise StepRefused(field="text")
    if step.act in DECISIONS:
        return _decided(case, lines, step)
    if step.act is Act.approve_goods:
        return msgspec.structs.replace(case, is_back=True), {}
    return case, {}


def _offered(case: Case, lines: list[Line], step: Step) -> tuple[Case, dict[str, Any]]:
    """What the shop would do instead. With the goods in its hands, money is all it can offer."""
    facts = {"kind": step.kind, "amount": step.amount}
    whole = sum(line.amount for line in lines)
    if step.amount is not None and not 0 < step.amount <= whole:
        raise AmountTooHigh(amount_max=Money(whole, case.currency))
    if step.act is Act.dispute_goods:
        if not step.text:
            raise StepRefused(field="text")
        if step.kind is not None:
            raise StepRefused(field="kind")
        return msgspec.structs.replace(case, is_back=True, offer_kind=None, offer_amount=step.amount), facts
    if step.kind not in OFFERED or (step.kind is CaseKind.exchange and len(lines) != 1):
        raise StepRefused(field="kind")
    if (step.kind is CaseKind.refund_only) != (step.amount is not None):
        raise StepRefused(field="amount")
    if step.kind is not CaseKind.refund_only and not case.must_return and case.is_unsent:
        raise StepRefused(field="kind")
    return msgspec.structs.replace(case, offer_kind=step.kind, offer_amount=step.amount), facts


def _with_offer(case: Case, lines: list[Line]) -> Case:
    """The case, had the buyer asked for what the shop offers."""
    whole = sum(line.amount for line in lines)
    amount = case.offer_amount if case.offer_amount is not None else whole
    kind = case.offer_kind or case.kind
    return msgspec.structs.replace(
        case,
        kind=kind,
        amount=amount,
        is_part=amount < whole,
        must_return=case.must_return if case.is_back else kind is not CaseKind.refund_only,
        exchange_sku_id=(case.exchange_sku_id or lines[0].sku_id) if kind is CaseKind.exchange else None,
    )


def _sent(case: Case, step: Step) -> tuple[Case, dict[str, Any]]:
    carrier, number = step.carrier.strip(), step.number.strip()
    if not carrier or len(carrier) > CARRIER_LENGTH_MAX:
        raise StepRefused(field="carrier")
    if not number or len(number) > NUMBER_LENGTH_MAX:
        raise StepRefused(field="number")
    facts = {"carrier": carrier, "number": number}
    if step.act is Act.send_replacement:
        return msgspec.structs.replace(case, replacement_carrier=carrier, replacement_number=number), facts
    if not 0 <= step.freight <= FREIGHT_AMOUNT_MAX:
        raise StepRefused(field="freight")
    changed = msgspec.structs.replace(
        case, return_carrier=carrier, return_number=number, freight_amount=step.freight
    )
    return changed, {**facts, "freight": step.freight}


def _decided(case: Case, lines: list[Line], step: Step) -> tuple[Case, dict[str, Any]]:
    """A decision: its reasons in words, what is paid, who bears the way back."""
    if not step.text.strip():
        raise StepRefused(field="text")
    if step.freight_by in (Party.operator, Party.house):
        raise StepRefused(field="freight_by")
    case = msgspec.structs.replace(case, freight_by=step.freight_by or case.freight_by)
    facts = {"freight_by": case.freight_by, "amount": step.amount, "in_money": step.in_money}
    if step.act is not Act.decide_split and step.amount is not None:
        raise StepRefused(field="amount")
    if step.act is Act.decide_split:
        whole = sum(line.amount for line in lines)
        if step.amount is None or step.amount < 1:
            raise StepRefused(field="amount")
        if step.amount >= whole:
            raise AmountTooHigh(amount_max=Money(whole - 1, case.currency))
        return msgspec.structs.replace(case, amount=step.amount, is_part=True), facts
    if step.act is Act.decide_for_buyer and step.in_money and case.kind in (CaseKind.exchange, CaseKind.repair):
        case = msgspec.structs.replace(case, kind=CaseKind.return_refund)
    return case, facts


async def _inspect(tx: Tx, case: Case, lines: list[Line], step: Step) -> dict[str, int]:
    """Which pieces can be sold again: as the shop says, by default all of them when it finds them good."""
    good = {one.no: one.restock for one in step.inspected} or _all_good(lines, step)
    by_no = {line.no: line for line in lines}
    if any(no not in by_no or not 0 <= pieces <= by_no[no].quantity for no, pieces in good.items()):
        raise StepRefused(field="inspected")
    if case.kind is CaseKind.repair:
        return {}
    seen = await write_inspected(tx, case, lines, good)
    return {str(line.no): line.restocked_quantity for line in seen}


def _all_good(lines: list[Line], step: Step) -> dict[int, int]:
    if step.act is Act.dispute_goods:
        return {}
    return {line.no: line.quantity for line in lines}
