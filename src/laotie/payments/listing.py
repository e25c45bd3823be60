"""Reads: one payment, the payments of orders, and the tally for the audit."""

from uuid import UUID

from laotie.base.db import Tx
from laotie.base.ids import AccountId, OrderId, PaymentId
from laotie.base.refusals import NotFound
from laotie.payments.model import Payment, Tally


async def get(tx: Tx, payment_id: PaymentId, *, buyer_id: AccountId | None = None) -> Payment:
    """The payment; with a buyer given, only theirs. Absent: `NotFound`."""
    payment = await tx.maybe(
        Payment,
        """
        SELECT id, order_id, buyer_id, provider, provider_ref, amount, currency, state, next_url, failure,
               refunding_amount, refunded_amount, created_at, captured_at, purpose, wallet_id, captured_amount,
               reversed_amount, charge_ref, next_kind
        FROM payments.payment
        WHERE id = %(id)s AND (%(buyer_id)s::uuid IS NULL OR buyer_id = %(buyer_id)s)
        """,
        id=payment_id,
        buyer_id=buyer_id,
    )
    if payment is None:
        raise NotFound()
    return payment


async def list_of_orders(tx: Tx, order_ids: list[OrderId]) -> dict[OrderId, list[Payment]]:
    """Each order's payments, oldest first; an order without one is not in the answer."""
    found: dict[OrderId, list[Payment]] = {}
    for payment in await tx.all(
        Payment,
        """
        SELECT id, order_id, buyer_id, provider, provider_ref, amount, currency, state, next_url, failure,
               refunding_amount, refunded_amount, created_at, captured_at, purpose, wallet_id, captured_amount,
               reversed_amount, charge_ref, next_kind
        FROM payments.payment WHERE order_id = ANY(%(order_ids)s) ORDER BY order_id, created_at, id
        """,
        order_ids=order_ids,
    ):
        found.setdefault(payment.order_id, []).append(payment)
    return found


async def tally(tx: Tx) -> Tally:
    """Payments against their refunds, disputes and states; all differences must be zero."""
    return await tx.one(
        Tally,
        """
        WITH sums AS (
            SELECT payment_id, coalesce(sum(amount) FILTER (WHERE state = 'done'), 0) AS done,
                   coalesce(sum(amount) FILTER (WHERE state <> 'done'), 0) AS open
            FROM payments.refund GROUP BY payment_id
        ), taken AS (
            SELECT payment_id, sum(amount) AS amount FROM payments.dispute WHERE money = 'taken' GROUP BY payment_id
        )
        SELECT
            (SELECT count(*) FROM payments.payment) AS payments,
            (SELECT count(*) FROM payments.payment WHERE captured_at IS NOT NULL) AS captured,
            (SELECT count(*) FROM payments.refund WHERE state <> 'done') AS refunds_open,
            (SELECT count(*) FROM payments.payment LEFT JOIN sums ON sums.payment_id = id
             LEFT JOIN taken ON taken.payment_id = id
             WHERE (refunded_amount, refunding_amount, reversed_amount)
                <> (coalesce(done, 0), coalesce(open, 0), coalesce(taken.amount, 0))) AS refund_sums_off,
            (SELECT count(*) FROM payments.payment WHERE captured_at IS NOT NULL AND state <> CASE
                WHEN refunding_amount > 0 THEN 'refunding'
                WHEN refunded_amount + reversed_amount < coalesce(captured_amount, amount) THEN 'captured'
                WHEN reversed_amount > 0 THEN 'reversed'
                ELSE 'refunded' END) AS states_off,
            (SELECT count(*) FROM payments.discrepancy AS d WHERE NOT EXISTS (
                SELECT FROM payments.resolution WHERE discrepancy_id = d.id AND state = 'settled')) AS discrepancies,
            (SELECT count(*) FROM payments.statement_difference AS d WHERE NOT EXISTS (
                SELECT FROM payments.resolution AS r
                WHERE r.statement_id = d.statement_id AND r.mark = d.mark AND r.state = 'settled')) AS differences,
            (SELECT count(*) FROM payments.resolution WHERE state = 'settled') AS resolutions,
            (SELECT count(*) FROM payments.dispute WHERE state IN ('open', 'answered')) AS disputes_open,
            (SELECT count(*) FROM payments.webhook_inbox WHERE verdict = 'early') AS early
        """,
    )


async def sum_topups(tx: Tx) -> dict[str, int]:
    """What was paid into wallets less what went back out of them, by currency."""
    rows = await tx.tuples(
        """
        SELECT currency, sum(coalesce(captured_amount, amount) - refunded_amount - reversed_amount)::bigint
        FROM payments.payment WHERE purpose = 'topup' AND captured_at IS NOT NULL GROUP BY currency
        """
    )
    return dict(rows)


async def sum_reversed_of_wallets(tx: Tx) -> dict[tuple[UUID, str], int]:
    """By wallet's owner and currency, what chargebacks have taken of the payments into it: it may be that far below zero."""
    rows = await tx.tuples(
        """
        SELECT wallet_id, currency, sum(reversed_amount)::bigint FROM payments.payment
        WHERE purpose = 'topup' AND reversed_amount > 0 GROUP BY wallet_id, currency
        """
    )
    return {(wallet_id, currency): amount for wallet_id, currency, amount in rows}
