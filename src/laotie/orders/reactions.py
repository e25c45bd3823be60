"""What orders do on hearing news: payments go on the agenda, and a person who left is forgotten."""

from laotie import catalog, messages
from laotie.base.db import Tx
from laotie.base.ids import ViewerId
from laotie.base.outbox import on
from laotie.events.identity import AccountErased
from laotie.events.offers import TeamCompleted, TeamFailed
from laotie.events.orders import OrderPaid, OrderRefundAsked
from laotie.events.payments import PaymentCaptured, PaymentRefunded, PaymentRestored, PaymentReversed
from laotie.orders import delivery, invoices
from laotie.orders.agenda import Entry, Kind, enter_many
from laotie.orders.baskets import forget_basket
from laotie.orders.listing import find_orders


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


async def _enter_reversal(tx: Tx, event: PaymentReversed | PaymentRestored) -> None:
    if event.purpose != "order":
        return
    reversed_ = isinstance(event, PaymentReversed)
    entry = Entry(
        kind=Kind.reversed if reversed_ else Kind.restored,
        id=event.dispute_id,
        order_id=event.order_id,
        payment_id=event.payment_id,
        amount=event.amount,
        currency=event.currency,
        reason=event.reason if isinstance(event, PaymentReversed) else "won",
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
    await forget_basket(tx, event.account_id)


async def _look_again(tx: Tx, event: OrderRefundAsked) -> None:
    await delivery.look_again(tx, event.order_id, event.refund_id)


async def _credit_invoice(tx: Tx, event: OrderRefundAsked) -> None:
    """What went back after the invoice was issued is credited."""
    await invoices.credit(tx, (await find_orders(tx, [event.order_id]))[event.order_id])


async def _tell_team(tx: Tx, event: TeamCompleted | TeamFailed) -> None:
    """Everybody who has paid hears how it ended."""
    product = (await catalog.find_cards(tx, [event.product_id]))[event.product_id]
    await messages.notify_many(
        tx,
        [ViewerId(buyer_id) for buyer_id in event.buyer_ids],
        "team_complete" if isinstance(event, TeamCompleted) else "team_failed",
        {"title": product.title},
        f"/teams/{event.team_id}",
        once=event.team_id,
    )


REACTIONS = [
    on(PaymentCaptured, _enter_capture),
    on(PaymentRefunded, _enter_refund),
    on(PaymentReversed, _enter_reversal),
    on(PaymentRestored, _enter_reversal),
    on(AccountErased, _forget),
    on(OrderPaid, delivery.begin),
    on(OrderRefundAsked, _look_again),
    on(OrderRefundAsked, _credit_invoice),
    on(TeamCompleted, _tell_team),
    on(TeamFailed, _tell_team),
]
