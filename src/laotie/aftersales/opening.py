"""How a case begins: what may be claimed of an order, checked, written, and answered at once where a right says so.

The order is held from the first statement, so no two cases claim the same piece, whatever else happens to the order.
"""

from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from laotie import catalog, orders, trust
from laotie.aftersales import rights
from laotie.aftersales.exhibits import attach
from laotie.aftersales.model import (
    AT_FAULT,
    AT_ONCE_PER_MONTH_MAX,
    CASES_PER_ORDER_MAX,
    REASONS,
    TEXT_LENGTH_MAX,
    Act,
    AmountTooHigh,
    Case,
    CaseId,
    CaseKind,
    CaseState,
    Claim,
    ClaimRefused,
    ClaimTooLate,
    EntryId,
    Line,
    NoClaim,
    NotHere,
    PartlySent,
    Party,
    PiecesTaken,
    Reason,
    ReplacementRefused,
    TooManyCases,
    WithdrawalExcluded,
    claim_until,
)
from laotie.aftersales.rows import add_case, add_entry, count_claimed, digest_of, find_case
from laotie.aftersales.settling import arrive
from laotie.aftersales.table import judge_opening
from laotie.base.db import Tx
from laotie.base.ids import OrderId
from laotie.base.money import Money
from laotie.base.refusals import IdReused, NotFound
from laotie.catalog import SkuState
from laotie.events.aftersales import CaseOpened
from laotie.identity import Actor

PAID_STATES = (orders.OrderState.paid, orders.OrderState.shipped, orders.OrderState.completed)
SEEN_TO_BE_TRUE = AT_FAULT - {Reason.not_received, Reason.late, Reason.counterfeit}
"""What a guarantee settles without anybody looking."""


class Claimable(NamedTuple):
    """A line of an order, and what may still be claimed of it."""

    line: orders.Line
    left: int
    unsent: int
    withdrawal: rights.Withdrawal
    pledge: trust.Pledge | None


async def open_case(tx: Tx, actor: Actor, claim: Claim, *, data: Path) -> Case:
    """Claim something of the buyer's own order. The same claim again is the same case.

    Holds the order. Refuses `NotFound`, `NoClaim`, `PiecesTaken`, `ClaimTooLate`, `WithdrawalExcluded`, `NotHere`,
    `PartlySent`, `ClaimRefused`, `ReplacementRefused`, `AmountTooHigh`, `TooManyCases`, `IdReused`. Tells `CaseOpened`.
    """
    buyer_id = actor.signed_in()
    held = (await orders.hold_many(tx, [claim.order_id])).get(claim.order_id)
    if held is None or held.buyer_id != buyer_id:
        raise NotFound()
    digest = digest_of(buyer_id, claim)
    known = await find_case(tx, claim.id)
    if known is not None:
        if known.digest != digest:
            raise IdReused()
        return known
    order = (await orders.find_orders(tx, [claim.order_id]))[claim.order_id]
    if order.state not in PAID_STATES:
        raise NoClaim(state=order.state)
    if await _count_cases(tx, order.id) >= CASES_PER_ORDER_MAX:
        raise TooManyCases(count_max=CASES_PER_ORDER_MAX)
    wanted = _check_claim(claim, await list_claimable(tx, order))
    case, lines = await _make_case(tx, claim, order, wanted, digest)
    act = Act.open_by_right if case.kind is CaseKind.withdrawal else Act.open
    if await _is_guaranteed(tx, case, wanted, order):
        act, case = Act.open_guaranteed, msgspec.structs.replace(case, is_guaranteed=True)
    move = judge_opening(case, act, tx.now)
    case = msgspec.structs.replace(case, state=move.state, due_at=move.due_at or tx.now)
    await add_case(tx, case, lines)
    number = await add_entry(
        tx,
        case,
        EntryId(case.id),
        party=Party.buyer,
        actor_id=buyer_id,
        act=act,
        state_before=None,
        text=claim.text,
        facts={"kind": case.kind, "reason": case.reason, "amount": case.amount, "statute": case.statute},
        digest=digest,
    )
    await attach(tx, case.id, number, buyer_id, claim.exhibits, data=data)
    await orders.pause_completion(tx, order.id, case.id)
    tx.tell(
        CaseOpened(
            case_id=case.id,
            order_id=case.order_id,
            shop_id=case.shop_id,
            buyer_id=case.buyer_id,
            kind=case.kind,
            reason=case.reason,
            currency=case.currency,
            amount=case.amount,
            opened_at=tx.now,
        )
    )
    return await arrive(tx, case, act=act, party=Party.buyer, before=None)


async def list_claimable(tx: Tx, order: orders.Order) -> list[Claimable]:
    """What may still be claimed of each line of an order."""
    claimed = await count_claimed(tx, order.id)
    cards = await catalog.find_cards(tx, [line.product_id for line in order.lines])
    categories = {card.id: card.category for card in cards.values()}
    categories |= await orders.find_categories(tx, order.id)
    pledges = await trust.find_pledges(tx, list({line.pledge_id for line in order.lines if line.pledge_id is not None}))
    country = (order.address or {}).get("country")
    received_at = order.delivered_at or order.completed_at
    found = []
    for line in order.lines:
        pledge = pledges.get(line.pledge_id) if line.pledge_id is not None else None
        longer = pledge.find(trust.PromiseKind.seven_days) if pledge is not None else None
        found.append(
            Claimable(
                line=line,
                left=max(0, line.quantity - line.refunded_quantity - claimed.get(line.no, 0)),
                unsent=max(0, line.quantity - line.shipped_quantity - line.refunded_quantity),
                withdrawal=rights.withdrawal_of(
                    category=categories.get(line.product_id, ""),
                    country=country,
                    delivered_at=received_at,
                    promised_days=longer.days if longer is not None else None,
                ),
                pledge=pledge,
            )
        )
    return found


def _check_claim(claim: Claim, claimable: list[Claimable]) -> list[tuple[Claimable, int]]:
    """The lines that are claimed, with their pieces."""
    by_no = {one.line.no: one for one in claimable}
    if claim.reason not in REASONS[claim.kind]:
        raise ClaimRefused(field="reason")
    if not claim.lines or len({asked.no for asked in claim.lines}) != len(claim.lines):
        raise ClaimRefused(field="lines")
    if len(claim.text) > TEXT_LENGTH_MAX:
        raise ClaimRefused(field="text")
    if claim.amount is not None and claim.kind is not CaseKind.refund_only:
        raise ClaimRefused(field="amount")
    if (claim.exchange_sku_id is not None) != (claim.kind is CaseKind.exchange):
        raise ClaimRefused(field="exchange_sku_id")
    if claim.kind is CaseKind.exchange and len(claim.lines) != 1:
        raise ClaimRefused(field="lines")
    wanted = []
    for asked in sorted(claim.lines, key=lambda one: one.no):
        if asked.no not in by_no or asked.quantity < 1:
            raise ClaimRefused(field="lines")
        one = by_no[asked.no]
        if asked.quantity > one.left:
            raise PiecesTaken(no=asked.no, left=one.left)
        wanted.append((one, asked.quantity))
    return wanted


async def _make_case(
    tx: Tx, claim: Claim, order: orders.Order, wanted: list[tuple[Claimable, int]], digest: bytes
) -> tuple[Case, list[Line]]:
    _check_time(tx, claim, order, wanted)
    is_unsent = _is_unsent(claim, wanted)
    if claim.kind is CaseKind.exchange:
        await _check_exchange(tx, claim, wanted[0][0].line, wanted[0][1])
    lines = [
        Line(
            no=one.line.no,
            sku_id=one.line.sku_id,
            product_id=one.line.product_id,
            pledge_id=one.line.pledge_id,
            title=one.line.title,
            options=one.line.options,
            quantity=quantity,
            bought_quantity=one.line.quantity,
            amount=orders.refundable(one.line, quantity),
        )
        for one, quantity in wanted
    ]
    whole = sum(line.amount for line in lines)
    amount = whole if claim.amount is None else claim.amount
    if amount > whole:
        raise AmountTooHigh(amount_max=Money(whole, order.currency))
    if claim.amount is not None and amount < 1:
        raise ClaimRefused(field="amount")
    case = Case(
        id=claim.id,
        digest=digest,
        order_id=order.id,
        shop_id=order.shop_id,
        buyer_id=order.buyer_id,
        kind=claim.kind,
        reason=claim.reason,
        statute=wanted[0][0].withdrawal.statute if claim.kind is CaseKind.withdrawal else None,
        state=CaseState.requested,
        currency=order.currency,
        amount=amount,
        is_part=amount < whole,
        must_return=claim.kind is not CaseKind.refund_only and not is_unsent,
        is_back=False,
        is_guaranteed=False,
        is_unsent=is_unsent,
        exchange_sku_id=claim.exchange_sku_id,
        offer_kind=None,
        offer_amount=None,
        return_carrier=None,
        return_number=None,
        replacement_carrier=None,
        replacement_number=None,
        freight_amount=0,
        freight_by=Party.shop if claim.reason in AT_FAULT else Party.buyer,
        freight_paid_amount=0,
        freight_is_pledged=False,
        refunded_amount=0,
        guarantee_amount=0,
        opened_at=tx.now,
        changed_at=tx.now,
        due_at=None,
        closed_at=None,
        entry_count=0,
    )
    return case, lines


def _check_time(tx: Tx, claim: Claim, order: orders.Order, wanted: list[tuple[Claimable, int]]) -> None:
    if claim.kind is not CaseKind.withdrawal:
        until = claim_until(claim.reason, order.delivered_at or order.completed_at)
        if until is not None and until < tx.now:
            raise ClaimTooLate(until=until)
        return
    for one, _ in wanted:
        right = one.withdrawal
        if right.excludes(is_unsealed=claim.is_unsealed):
            assert right.ground is not None and right.law is not None
            raise WithdrawalExcluded(no=one.line.no, ground=right.ground, law=right.law)
        if right.until is not None and right.until < tx.now:
            raise ClaimTooLate(until=right.until)


def _is_unsent(claim: Claim, wanted: list[tuple[Claimable, int]]) -> bool:
    """Whether nothing of it has left the shop; what has to be with the buyer must have."""
    if claim.kind in (CaseKind.refund_only, CaseKind.withdrawal) and all(one.unsent >= quantity for one, quantity in wanted):
        return True
    if claim.kind is CaseKind.refund_only:
        return False
    for one, quantity in wanted:
        if one.line.shipped_quantity < quantity:
            if claim.kind is CaseKind.withdrawal and one.line.shipped_quantity:
                raise PartlySent(no=one.line.no)
            raise NotHere(no=one.line.no)
    return False


async def _check_exchange(tx: Tx, claim: Claim, line: orders.Line, quantity: int) -> None:
    assert claim.exchange_sku_id is not None
    skus = await catalog.find_skus(tx, [line.sku_id, claim.exchange_sku_id])
    old, new = skus.get(line.sku_id), skus.get(claim.exchange_sku_id)
    fits = (
        old is not None
        and new is not None
        and new.product_id == line.product_id
        and new.state is SkuState.active
        and new.price_amount == old.price_amount
        and new.available >= quantity
    )
    if not fits:
        raise ReplacementRefused(sku_id=claim.exchange_sku_id)


async def _is_guaranteed(
    tx: Tx, case: Case, wanted: list[tuple[Claimable, int]], order: orders.Order
) -> bool:
    """Whether the guarantee frozen into the order settles this without anybody looking: small, and not too often."""
    if case.kind is not CaseKind.refund_only or case.reason not in SEEN_TO_BE_TRUE or order.delivered_at is None:
        return False
    promises = [one.pledge.find(trust.PromiseKind.refund_without_return) if one.pledge else None for one, _ in wanted]
    caps = [promise.cap_amount for promise in promises if promise is not None and promise.cap_amount is not None]
    if len(caps) < len(wanted):
        return False
    already, lately = (
        await tx.tuples(
            """
            SELECT coalesce(sum(refunded_amount) FILTER (WHERE order_id = %(order_id)s), 0)::bigint,
                   count(*) FILTER (WHERE opened_at > %(since)s)
            FROM aftersales.case WHERE buyer_id = %(buyer_id)s AND is_guaranteed
            """,
            order_id=order.id,
            buyer_id=order.buyer_id,
            since=tx.now - timedelta(days=30),
        )
    )[0]
    if already + case.amount > min(caps) or lately >= AT_ONCE_PER_MONTH_MAX:
        return False
    return await trust.fits_month(
        tx,
        buyer_id=case.buyer_id,
        kind=trust.PromiseKind.refund_without_return,
        amount=case.amount,
        currency=case.currency,
    )


async def _count_cases(tx: Tx, order_id: OrderId) -> int:
    return await tx.one(int, "SELECT count(*) FROM aftersales.case WHERE order_id = %(id)s", id=order_id)


async def has_open_case(tx: Tx, order_id: OrderId) -> bool:
    """Whether anybody still waits for something about this order."""
    return await tx.one(
        bool,
        "SELECT EXISTS (SELECT FROM aftersales.case WHERE order_id = %(id)s AND closed_at IS NULL)",
        id=order_id,
    )


async def list_of_order(tx: Tx, order_id: OrderId) -> list[CaseId]:
    """The cases about an order, oldest first."""
    return await tx.all(CaseId, "SELECT id FROM aftersales.case WHERE order_id = %(id)s ORDER BY id", id=order_id)
