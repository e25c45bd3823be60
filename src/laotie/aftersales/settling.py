"""What follows when a case arrives in a state: money, stock, guarantees, the order's clock, news. Once, with the move.

The case and its order are held. Money goes back by `orders.give_back` alone, under the case's id, so once; guarantees pay
from the shop's deposit under ids made of the case's. Stock for replacements moves under the case's id and is noted here
too (`aftersales.stock`), for the audit to compare. Locks after order and case: the shop's deposit, SKUs.
"""

from uuid import UUID, uuid5

import msgspec

from laotie import catalog, ledger, orders, trust
from laotie.aftersales.model import (
    AT_FAULT,
    ENDS,
    FREIGHT_AMOUNT_MAX,
    Act,
    Case,
    CaseKind,
    CaseState,
    Line,
    Party,
    Reason,
)
from laotie.aftersales.news import tell_move
from laotie.aftersales.rights import STATUTES
from laotie.aftersales.rows import list_lines, save_case
from laotie.base.db import Tx
from laotie.base.ids import OrderId, SkuId, TransferId
from laotie.base.money import apportion
from laotie.events.aftersales import CaseClosed, ReturnFreightPaid

REFUND_REASON = "aftersales"
FREIGHT_REASON = "wallet.freight"
NINEFOLD = 9


async def arrive(tx: Tx, case: Case, *, act: Act, party: Party, before: CaseState | None) -> Case:
    """Do what the case's new state asks for, write the case, and tell everybody; the case as it is then."""
    lines = (await list_lines(tx, [case.id]))[case.id]
    if act is Act.decide_for_buyer and case.reason is Reason.counterfeit:
        case = await _pay_ninefold(tx, case, lines)
    if case.kind is CaseKind.exchange and case.state in (CaseState.returning, CaseState.preparing):
        await _reserve_replacement(tx, case, lines)
    if case.is_back and case.state in (CaseState.refunded, CaseState.preparing):
        case = await _pay_freight(tx, case, lines)
    if case.state is CaseState.preparing and case.kind is CaseKind.exchange:
        await _restock(tx, case, lines)
    if case.state is CaseState.replacing:
        await _sell_replacement(tx, case)
    if case.state is CaseState.refunded:
        case = await _refund(tx, case, lines)
    if case.state in ENDS:
        await _release_replacement(tx, case)
        case = msgspec.structs.replace(case, due_at=None, closed_at=tx.now)
    case = msgspec.structs.replace(case, changed_at=tx.now)
    await save_case(tx, case)
    if case.state in ENDS:
        await orders.resume_completion(tx, case.order_id, case.id)
        tx.tell(
            CaseClosed(
                case_id=case.id,
                order_id=case.order_id,
                shop_id=case.shop_id,
                buyer_id=case.buyer_id,
                kind=case.kind,
                reason=case.reason,
                state=case.state,
                currency=case.currency,
                refunded_amount=case.refunded_amount,
                closed_at=tx.now,
            )
        )
    await tell_move(tx, case, lines, act=act, party=party, before=before)
    return case


async def can_reserve(tx: Tx, case: Case, lines: list[Line]) -> bool:
    """Whether the piece to be sent in exchange is there, or kept already."""
    if case.exchange_sku_id is None or await _held_pieces(tx, case):
        return case.exchange_sku_id is not None
    shelf = (await catalog.lock_many(tx, [case.exchange_sku_id])).get(case.exchange_sku_id)
    return shelf is not None and shelf.available >= lines[0].quantity


async def _reserve_replacement(tx: Tx, case: Case, lines: list[Line]) -> None:
    """Keep the piece to be sent, unless it is kept; whoever moved the case here has looked (`can_reserve`)."""
    assert case.exchange_sku_id is not None
    if await _held_pieces(tx, case):
        return
    quantity = lines[0].quantity
    shelf = (await catalog.lock_many(tx, [case.exchange_sku_id]))[case.exchange_sku_id]
    await catalog.reserve_many(tx, [(case.exchange_sku_id, quantity, OrderId(case.id), None)])
    tx.tell(catalog.stock_changed(shelf, shelf.available - quantity))
    await _note_stock(tx, case, case.exchange_sku_id, reserved=quantity)


async def _sell_replacement(tx: Tx, case: Case) -> None:
    for sku_id, quantity in await _held_pieces(tx, case):
        await catalog.sell_many(tx, [(sku_id, quantity, OrderId(case.id), None)])
        await _note_stock(tx, case, sku_id, sold=quantity)


async def _release_replacement(tx: Tx, case: Case) -> None:
    for sku_id, quantity in await _held_pieces(tx, case):
        await catalog.release_many(tx, [(sku_id, quantity, OrderId(case.id), None)])
        await _note_stock(tx, case, sku_id, released=quantity)


async def _restock(tx: Tx, case: Case, lines: list[Line]) -> None:
    """The exchanged pieces that can be sold again go on the shelf, once."""
    for line in lines:
        known = await tx.one(
            int,
            """
            SELECT coalesce(sum(returned), 0)::bigint FROM aftersales.stock
            WHERE case_id = %(case_id)s AND sku_id = %(sku_id)s
            """,
            case_id=case.id,
            sku_id=line.sku_id,
        )
        if line.restocked_quantity and not known:
            await catalog.return_many(tx, [(line.sku_id, line.restocked_quantity, OrderId(case.id), None)])
            await _note_stock(tx, case, line.sku_id, returned=line.restocked_quantity)


async def _held_pieces(tx: Tx, case: Case) -> list[tuple[SkuId, int]]:
    rows = await tx.tuples(
        """
        SELECT sku_id, reserved - released - sold FROM aftersales.stock
        WHERE case_id = %(id)s AND reserved - released - sold > 0 ORDER BY sku_id
        """,
        id=case.id,
    )
    return [(sku_id, quantity) for sku_id, quantity in rows]


async def _note_stock(
    tx: Tx, case: Case, sku_id: SkuId, *, reserved: int = 0, released: int = 0, sold: int = 0, returned: int = 0
) -> None:
    await tx.run(
        "INSERT INTO aftersales.stock (case_id, sku_id) VALUES (%(case_id)s, %(sku_id)s) ON CONFLICT DO NOTHING",
        case_id=case.id,
        sku_id=sku_id,
    )
    await tx.run(
        """
        UPDATE aftersales.stock SET reserved = reserved + %(reserved)s, released = released + %(released)s,
            sold = sold + %(sold)s, returned = returned + %(returned)s
        WHERE case_id = %(case_id)s AND sku_id = %(sku_id)s
        """,
        case_id=case.id,
        sku_id=sku_id,
        reserved=reserved,
        released=released,
        sold=sold,
        returned=returned,
    )


async def _refund(tx: Tx, case: Case, lines: list[Line]) -> Case:
    """Give the money back, exactly (what a chargeback has of it is owed), and put on the shelf what can be sold again."""
    order = (await orders.find_orders(tx, [case.order_id]))[case.order_id]
    by_no = {line.no: line for line in order.lines}
    backs = _parts(case, lines, by_no)
    shipping = _shipping(case, order, backs)
    restock = await _restockable(tx, case, lines, by_no)
    amount = shipping + sum(back.amount for back in backs)
    if not case.is_unsent:
        sent = [orders.Piece(no=back.no, quantity=back.quantity) for back in backs if back.quantity]
        await orders.note_returned(tx, case.order_id, sent)
    if amount or any(back.quantity for back in backs) or restock:
        given = await orders.give_back(
            tx,
            case.order_id,
            refund_id=case.id,
            lines=backs,
            shipping_amount=shipping,
            reason=REFUND_REASON,
            restock=restock,
            as_left=True,
        )
        amount = given.amount
    return msgspec.structs.replace(case, refunded_amount=amount)


def _parts(case: Case, lines: list[Line], by_no: dict[int, orders.Line]) -> list[orders.Back]:
    """Each line's part: the exact worth of its pieces, or its share of a sum that was agreed or decided.

    A sum for goods that the buyer keeps settles no pieces: the law's rights to them go on. What was given back by other
    ways meanwhile (a team that did not fill) is not given twice.
    """
    left = {line.no: min(line.quantity, by_no[line.no].quantity - by_no[line.no].refunded_quantity) for line in lines}
    if not case.is_part:
        return [orders.Back(no, pieces, orders.refundable(by_no[no], pieces)) for no, pieces in left.items()]
    most = [min(line.amount, by_no[line.no].paid_amount - by_no[line.no].refunded_amount) for line in lines]
    shares = apportion(min(case.amount, sum(most)), most)
    return [
        orders.Back(line.no, left[line.no] if case.is_back else 0, share)
        for line, share in zip(lines, shares, strict=True)
    ]


def _shipping(case: Case, order: orders.Order, backs: list[orders.Back]) -> int:
    """The shipping that goes back too: with the last of the order, if it was not sent, or the shop or the law bears it."""
    by_no = {back.no: back for back in backs}
    whole = not case.is_part and all(
        line.refunded_quantity + (by_no[line.no].quantity if line.no in by_no else 0) == line.quantity
        for line in order.lines
    )
    by_law = any(law.code == case.statute and law.refunds_shipping for law in STATUTES)
    nothing_sent = not any(line.shipped_quantity for line in order.lines)
    if whole and (nothing_sent or by_law or case.reason in AT_FAULT):
        return order.shipping_amount - order.refunded_shipping_amount
    return 0


async def _restockable(
    tx: Tx, case: Case, lines: list[Line], by_no: dict[int, orders.Line]
) -> list[tuple[int, int]]:
    """Pieces that go on the shelf with the refund: never sent ones, and returned ones found good by the shop.

    Those of an exchange were put there when they came back.
    """
    if case.is_unsent and not case.is_part:
        unsent = {no: max(0, one.quantity - one.shipped_quantity - one.refunded_quantity) for no, one in by_no.items()}
        good = {line.no: line.quantity for line in lines if line.quantity <= unsent[line.no]}
        await write_inspected(tx, case, lines, good)
        return sorted(good.items())
    if not case.is_back or await _has_returned(tx, case):
        return []
    return [(line.no, line.restocked_quantity) for line in lines if line.restocked_quantity]


async def _has_returned(tx: Tx, case: Case) -> bool:
    return await tx.one(
        bool, "SELECT EXISTS (SELECT FROM aftersales.stock WHERE case_id = %(id)s AND returned > 0)", id=case.id
    )


async def write_inspected(tx: Tx, case: Case, lines: list[Line], good: dict[int, int]) -> list[Line]:
    """Note which of the pieces that came back can be sold again; the others are written off.

    Of a line that was exchanged for another SKU, the shelf would get what it never sold: such pieces the shop books by
    hand.
    """
    swapped = set(
        await tx.all(
            int,
            """
            SELECT line.no FROM aftersales.line
            JOIN aftersales.case AS before ON before.id = line.case_id
            WHERE line.order_id = %(order_id)s AND before.id <> %(id)s AND before.state = 'replaced'
              AND before.exchange_sku_id <> line.sku_id
            """,
            order_id=case.order_id,
            id=case.id,
        )
    )
    good = {no: quantity for no, quantity in good.items() if no not in swapped}
    await tx.run(
        """
        UPDATE aftersales.line SET restocked_quantity = seen.good, written_off_quantity = line.quantity - seen.good
        FROM unnest(%(numbers)s::smallint[], %(good)s::integer[]) AS seen (no, good)
        WHERE line.case_id = %(case_id)s AND line.no = seen.no
        """,
        case_id=case.id,
        numbers=[line.no for line in lines],
        good=[good.get(line.no, 0) for line in lines],
    )
    return (await list_lines(tx, [case.id]))[case.id]


async def _pay_freight(tx: Tx, case: Case, lines: list[Line]) -> Case:
    """The way back, once: by the guarantee, else by the shop where it bears it (at fault, or decided so)."""
    if not case.freight_amount or case.freight_paid_amount:
        return case
    pledged = await _find_promise(tx, lines, trust.PromiseKind.return_freight)
    if pledged is not None:
        pledge_id, line = pledged
        payout = await trust.pay(
            tx,
            uuid5(case.id, "freight"),
            pledge_id=pledge_id,
            kind=trust.PromiseKind.return_freight,
            order_id=case.order_id,
            line_no=line.no,
            shop_id=case.shop_id,
            buyer_id=case.buyer_id,
            amount=case.freight_amount,
            currency=case.currency,
        )
        return msgspec.structs.replace(case, freight_paid_amount=payout.amount, freight_is_pledged=True)
    if case.freight_by is not Party.shop:
        return case
    amount = min(case.freight_amount, FREIGHT_AMOUNT_MAX)
    await ledger.transfer_many(
        tx,
        [
            ledger.Transfer(
                TransferId(uuid5(case.id, "freight")),
                debit=ledger.Account(ledger.AccountKind.shop_held, case.currency, case.shop_id),
                credit=ledger.Account(ledger.AccountKind.wallet, case.currency, case.buyer_id),
                amount=amount,
                reason=FREIGHT_REASON,
                subject_id=case.id,
            )
        ],
    )
    tx.tell(
        ReturnFreightPaid(
            case_id=case.id,
            order_id=case.order_id,
            shop_id=case.shop_id,
            buyer_id=case.buyer_id,
            currency=case.currency,
            amount=amount,
            paid_at=tx.now,
        )
    )
    return msgspec.structs.replace(case, freight_paid_amount=amount)


async def _pay_ninefold(tx: Tx, case: Case, lines: list[Line]) -> Case:
    """Decided to be counterfeit: what the guarantee says, line by line."""
    paid = 0
    pledges = await trust.find_pledges(tx, list({line.pledge_id for line in lines if line.pledge_id is not None}))
    for line in lines:
        pledge = pledges.get(line.pledge_id) if line.pledge_id is not None else None
        if pledge is None or pledge.find(trust.PromiseKind.authentic_ninefold) is None or not line.amount:
            continue
        payout = await trust.pay(
            tx,
            uuid5(case.id, f"ninefold.{line.no}"),
            pledge_id=pledge.id,
            kind=trust.PromiseKind.authentic_ninefold,
            order_id=case.order_id,
            line_no=line.no,
            shop_id=case.shop_id,
            buyer_id=case.buyer_id,
            amount=NINEFOLD * line.amount,
            currency=case.currency,
        )
        paid += payout.amount
    return msgspec.structs.replace(case, guarantee_amount=max(paid, case.guarantee_amount))


async def _find_promise(tx: Tx, lines: list[Line], kind: trust.PromiseKind) -> tuple[UUID, Line] | None:
    pledges = await trust.find_pledges(tx, list({line.pledge_id for line in lines if line.pledge_id is not None}))
    for line in lines:
        pledge = pledges.get(line.pledge_id) if line.pledge_id is not None else None
        if pledge is not None and pledge.find(kind) is not None:
            return pledge.id, line
    return None
