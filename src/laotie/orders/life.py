"""What a buyer does with an order that waits for payment: say where it goes, pay it, or call it off."""

from psycopg.types.json import Jsonb

from laotie import identity, payments
from laotie.base.db import Tx
from laotie.base.ids import OrderId, PaymentId
from laotie.base.money import Money
from laotie.base.refusals import NotFound
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.orders.changes import Held, change_many, hold_many
from laotie.orders.model import AddressMissing, EndReason, OrderNotOpen, OrderState, PayTimeOver, TooManyPayments

PAYMENTS_MAX = 20


async def attach_address(tx: Tx, actor: Actor, order_id: OrderId, address: identity.Address) -> None:
    """Write where the parcel goes into the buyer's own unpaid order: a copy, which the address book does not change."""
    changed = await tx.run(
        """
        UPDATE orders."order" SET address = %(address)s
        WHERE id = %(id)s AND buyer_id = %(buyer_id)s AND state = 'placed'
        """,
        address=Jsonb(address),
        id=order_id,
        buyer_id=actor.signed_in(),
    )
    if not changed:
        raise OrderNotOpen(state=await _get_state(tx, actor, order_id))


async def start_payment(
    tx: Tx, actor: Actor, settings: Settings, order_id: OrderId, payment_id: PaymentId, *, provider: str
) -> payments.Payment:
    """Write down an attempt to pay the buyer's own order; the door then calls `payments.authorise`.

    The same id again gives the same payment. Several attempts may be open at once: the first to be captured pays the
    order, any other is sent back by itself. Refuses `AddressMissing`, `OrderNotOpen`, `PayTimeOver`,
    `payments.NoSuchProvider`.
    """
    if provider != settings.payment_provider:
        raise payments.NoSuchProvider()
    held = await _hold_own(tx, actor, order_id)
    before = (await payments.list_of_orders(tx, [order_id])).get(order_id, [])
    if not any(payment.id == payment_id for payment in before):
        if held.state is not OrderState.placed:
            raise OrderNotOpen(state=held.state)
        if held.pay_by <= tx.now:
            raise PayTimeOver(pay_by=held.pay_by)
        if not await tx.one(bool, 'SELECT address IS NOT NULL FROM orders."order" WHERE id = %(id)s', id=order_id):
            raise AddressMissing()
        if len(before) >= PAYMENTS_MAX:
            raise TooManyPayments(payments_max=PAYMENTS_MAX)
    return await payments.start(
        tx,
        payment_id=payment_id,
        order_id=order_id,
        buyer_id=held.buyer_id,
        money=Money(held.total_amount, held.currency),
        provider=provider,
    )


async def cancel(tx: Tx, actor: Actor, order_id: OrderId) -> None:
    """Call the buyer's own unpaid order off; stock and limits are given back. Again: nothing more happens.

    A payment that arrives all the same is sent back by itself. Refuses `OrderNotOpen` once it is paid.
    """
    held = await _hold_own(tx, actor, order_id)
    if held.state is OrderState.cancelled:
        return
    if held.state is not OrderState.placed:
        raise OrderNotOpen(state=held.state)
    await change_many(tx, paid=[], cancelled=[(held, EndReason.buyer)])


async def _hold_own(tx: Tx, actor: Actor, order_id: OrderId) -> Held:
    buyer_id = actor.signed_in()
    held = (await hold_many(tx, [order_id])).get(order_id)
    if held is None or held.buyer_id != buyer_id:
        raise NotFound()
    return held


async def _get_state(tx: Tx, actor: Actor, order_id: OrderId) -> OrderState:
    state = await tx.maybe(
        str,
        'SELECT state FROM orders."order" WHERE id = %(id)s AND buyer_id = %(buyer_id)s',
        id=order_id,
        buyer_id=actor.signed_in(),
    )
    if state is None:
        raise NotFound()
    return OrderState(state)
