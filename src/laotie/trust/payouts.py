"""Payouts: a buyer's claim under the pledge that their order bears, paid from the shop's deposit at once.

A claim is cut to what the promise allows an order and the buyer's month. What the deposit does not hold is owed, and is
paid by `deposits.settle` when the shop fills it. All of it is one transaction: a process that dies on the way leaves
either the whole payout, with its transfer, or nothing of it, and then the same id is simply asked for again.
"""

from uuid import UUID

import msgspec

from laotie import identity
from laotie.base.db import Tx
from laotie.base.ids import AccountId, OrderId, ShopId
from laotie.base.refusals import IdReused
from laotie.events.trust import GuaranteeCapReached
from laotie.identity import Actor, Scope
from laotie.trust.deposits import find_terms, hold, settle
from laotie.trust.model import PAGE_SIZE_MAX, Guarantee, NotPledged, Payout, PromiseKind, month_of
from laotie.trust.pledges import find_pledges
from laotie.trust.suspicion import look_at_claims


async def pay(
    tx: Tx,
    payout_id: UUID,
    *,
    pledge_id: UUID,
    kind: PromiseKind,
    order_id: OrderId,
    line_no: int,
    shop_id: ShopId,
    buyer_id: AccountId,
    amount: int,
    currency: str,
) -> Payout:
    """Pay a claim into the buyer's wallet; the same id again gives the same payout and moves nothing.

    Locks the shop's deposit (after the order, if the caller locks that), then the buyer's month. What the promise or
    the month does not allow is cut (`amount`, perhaps to nothing: `GuaranteeCapReached`), what the deposit does not
    hold is owed. Tells `GuaranteePaid`. Refuses `NotPledged`, `IdReused`.
    """
    assert amount > 0
    pledge = (await find_pledges(tx, [pledge_id])).get(pledge_id)
    promise = pledge.find(kind) if pledge is not None and pledge.shop_id == shop_id else None
    if pledge is None or promise is None:
        raise NotPledged(kind=kind)
    assert pledge.currency == currency
    await hold(tx, shop_id)
    known = await _find(tx, payout_id)
    if known is not None:
        same = (known.pledge_id, known.kind, known.order_id, known.line_no, known.buyer_id, known.asked_amount)
        if same != (pledge_id, kind, order_id, line_no, buyer_id, amount):
            raise IdReused()
        return known
    payout = Payout(
        id=payout_id,
        pledge_id=pledge_id,
        kind=kind,
        order_id=order_id,
        line_no=line_no,
        shop_id=shop_id,
        buyer_id=buyer_id,
        currency=currency,
        asked_amount=amount,
        amount=await _grant(tx, payout_id, promise, order_id, shop_id, buyer_id, amount, currency),
        paid_amount=0,
        made_at=tx.now,
    )
    await _write(tx, payout)
    await settle(tx, await hold(tx, shop_id))
    await look_at_claims(tx, buyer_id)
    found = await _find(tx, payout_id)
    assert found is not None
    return found


async def fits_month(tx: Tx, *, buyer_id: AccountId, kind: PromiseKind, amount: int, currency: str) -> bool:
    """Count a claim that is not paid from a deposit in the buyer's month, all of it or nothing; whether it fitted.

    For `refund_without_return`, whose money is the order's own. Locks the buyer's month until the transaction's end.
    """
    assert kind is PromiseKind.refund_without_return and amount > 0
    return await _count_in_month(tx, buyer_id, kind, amount, currency, whole=True) == amount


async def list_of_orders(tx: Tx, order_ids: list[OrderId]) -> dict[OrderId, list[Payout]]:
    """What was paid for these orders, in the order of the claims."""
    found: dict[OrderId, list[Payout]] = {}
    for payout in await tx.all(
        Payout,
        """
        SELECT id, pledge_id, kind, order_id, line_no, shop_id, buyer_id, currency, asked_amount, amount, paid_amount,
               made_at
        FROM trust.payout WHERE order_id = ANY(%(ids)s) ORDER BY made_at, id
        """,
        ids=order_ids,
    ):
        found.setdefault(payout.order_id, []).append(payout)
    return found


async def list_of_shop(
    tx: Tx, actor: Actor, shop_id: ShopId, *, after: UUID | None = None, limit: int = PAGE_SIZE_MAX
) -> list[Payout]:
    """What was claimed of a shop, the latest first. Needs the scope `money`."""
    await identity.require_seat(tx, actor, shop_id, Scope.money)
    return await tx.all(
        Payout,
        """
        SELECT id, pledge_id, kind, order_id, line_no, shop_id, buyer_id, currency, asked_amount, amount, paid_amount,
               made_at
        FROM trust.payout
        WHERE shop_id = %(shop_id)s AND (%(after)s::uuid IS NULL
              OR (made_at, id) < (SELECT made_at, id FROM trust.payout WHERE id = %(after)s))
        ORDER BY made_at DESC, id DESC LIMIT %(limit)s
        """,
        shop_id=shop_id,
        after=after,
        limit=min(limit, PAGE_SIZE_MAX),
    )


async def _grant(
    tx: Tx,
    payout_id: UUID,
    promise: Guarantee,
    order_id: OrderId,
    shop_id: ShopId,
    buyer_id: AccountId,
    amount: int,
    currency: str,
) -> int:
    """What of the claim is within the promise and the buyer's month, which it is counted in (its row is locked)."""
    granted = limited = amount
    if promise.cap_amount is not None:
        before = await tx.one(
            int,
            """
            SELECT coalesce(sum(amount), 0)::bigint FROM trust.payout
            WHERE order_id = %(order_id)s AND shop_id = %(shop_id)s AND kind = %(kind)s
            """,
            order_id=order_id,
            shop_id=shop_id,
            kind=promise.kind,
        )
        granted = limited = min(amount, max(0, promise.cap_amount - before))
    granted = await _count_in_month(tx, buyer_id, promise.kind, limited, currency)
    if granted < amount:
        tx.tell(
            GuaranteeCapReached(
                payout_id=payout_id,
                shop_id=shop_id,
                buyer_id=buyer_id,
                order_id=order_id,
                kind=promise.kind,
                asked_amount=amount,
                granted_amount=granted,
                currency=currency,
                limit="month" if granted < limited else "promise",
            )
        )
    return granted


class _Month(msgspec.Struct, frozen=True):
    granted_amount: int
    cap_amount: int


async def _count_in_month(
    tx: Tx, buyer_id: AccountId, kind: PromiseKind, amount: int, currency: str, *, whole: bool = False
) -> int:
    """Lock the buyer's month, count what still fits into it, and return that; its cap is the rule's of now.

    With `whole`, what does not fit whole is not counted at all.
    """
    key = {"buyer_id": buyer_id, "month_on": month_of(tx.now), "kind": kind, "currency": currency}
    terms = await find_terms(tx, currency)
    await tx.run(
        """
        INSERT INTO trust.month (buyer_id, month_on, kind, currency, cap_amount)
        VALUES (%(buyer_id)s, %(month_on)s, %(kind)s, %(currency)s, %(cap)s) ON CONFLICT DO NOTHING
        """,
        **key,
        cap=terms.monthly.get(kind, 0),
    )
    month = await tx.one(
        _Month,
        """
        SELECT granted_amount, cap_amount FROM trust.month
        WHERE buyer_id = %(buyer_id)s AND month_on = %(month_on)s AND kind = %(kind)s AND currency = %(currency)s
        FOR UPDATE
        """,
        **key,
    )
    cap = max(terms.monthly.get(kind, 0), month.granted_amount)
    granted = min(amount, cap - month.granted_amount)
    if whole and granted < amount:
        granted = 0
    await tx.run(
        """
        UPDATE trust.month SET granted_amount = granted_amount + %(granted)s, cap_amount = %(cap)s
        WHERE buyer_id = %(buyer_id)s AND month_on = %(month_on)s AND kind = %(kind)s AND currency = %(currency)s
        """,
        **key,
        granted=granted,
        cap=cap,
    )
    return granted


async def _write(tx: Tx, payout: Payout) -> None:
    await tx.run(
        """
        INSERT INTO trust.payout (id, pledge_id, kind, order_id, line_no, shop_id, buyer_id, currency, month_on,
                                  asked_amount, amount, made_at)
        VALUES (%(id)s, %(pledge_id)s, %(kind)s, %(order_id)s, %(line_no)s, %(shop_id)s, %(buyer_id)s, %(currency)s,
                %(month_on)s, %(asked)s, %(amount)s, %(now)s)
        """,
        id=payout.id,
        pledge_id=payout.pledge_id,
        kind=payout.kind,
        order_id=payout.order_id,
        line_no=payout.line_no,
        shop_id=payout.shop_id,
        buyer_id=payout.buyer_id,
        currency=payout.currency,
        month_on=month_of(tx.now),
        asked=payout.asked_amount,
        amount=payout.amount,
        now=tx.now,
    )
    await tx.run(
        "UPDATE trust.deposit SET owed_amount = owed_amount + %(amount)s WHERE shop_id = %(shop_id)s",
        shop_id=payout.shop_id,
        amount=payout.amount,
    )


async def _find(tx: Tx, payout_id: UUID) -> Payout | None:
    return await tx.maybe(
        Payout,
        """
        SELECT id, pledge_id, kind, order_id, line_no, shop_id, buyer_id, currency, asked_amount, amount, paid_amount,
               made_at
        FROM trust.payout WHERE id = %(id)s
        """,
        id=payout_id,
    )
