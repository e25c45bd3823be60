"""What orders do on hearing news: payments go on the agenda, and a person who left is forgotten."""

from laotie.base.db import Tx
from laotie.base.outbox import on
from laotie.events.identity import AccountErased
from laotie.events.payments import PaymentCaptured, PaymentRefunded
from laotie.orders.agenda import Entry, Kind, enter_many


async def _enter_capture(tx: Tx, event: PaymentCaptured) -> None:
    if event.purpose != "order":
        return
    entry = Entry(
        kind=Kind.captured,
        id=event.payment_id,
        order_id=event.order_id,
        payment_id=event.payment_id,
        amount=event.amount,
        currency=event.currency,
    )
    await enter_many(tx, [entry], due_at=[tx.now])


async def _enter_refund(tx: Tx, event: PaymentRefunded) -> None:
    entry = Entry(
        kind=Kind.refunded,
        id=event.refund_id,
        order_id=event.order_id,
        payment_id=event.payment_id,
        amount=event.amount,
        currency=event.currency,
        reason=event.reason,
    )
    await enter_many(tx, [entry], due_at=[tx.now])


async def _forget(tx: Tx, event: AccountErased) -> None:
    """Blank address and note where no parcel is owed any more; the sums stay, they are the shop's books."""
    await tx.run(
        """
        UPDATE orders."order" SET address = NULL, note = NULL
        WHERE buyer_id = %(buyer_id)s AND state IN ('completed', 'cancelled', 'refunded')
          AND (address IS NOT NULL OR note IS NOT NULL)
        """,
        buyer_id=event.account_id,
    )


REACTIONS = [on(PaymentCaptured, _enter_capture), on(PaymentRefunded, _enter_refund), on(AccountErased, _forget)]
