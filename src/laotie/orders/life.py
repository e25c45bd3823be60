"""What a buyer does with an order: say where it goes, pay it, or call it off."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID, uuid5

from psycopg.types.json import Jsonb

from laotie import catalog, identity, ledger, payments
from laotie.base.db import Tx
from laotie.base.ids import OrderId, PaymentId, ProductId, ShopId, SkuId, TransferId, new_id
from laotie.base.money import Money
from laotie.base.refusals import NotFound
from laotie.base.settings import Settings
from laotie.events.orders import Amounts, OrderRepriced
from laotie.identity import Actor
from laotie.lake.facts import MoneyKind
from laotie.orders import facts
from laotie.orders.changes import Held, change_many, hold_many
from laotie.orders.delivery import CompletionPaused, is_completion_paused
from laotie.orders.giving_back import find_given_back, give_back_whole
from laotie.orders.model import (
    AddressMissing,
    EndReason,
    OrderNotOpen,
    OrderState,
    PaymentUnderWay,
    PayTimeOver,
    TooManyPayments,
)

PAYMENTS_MAX = 20
CALLED_OFF = "called-off"


async def attach_address(
    tx: Tx, actor: Actor, order_id: OrderId, address: identity.Address, *, only_missing: bool = False
) -> int:
    """Write where the parcels go into the buyer's own unpaid purchase, and what sending them there costs.

    A copy, which the address book does not change. All orders of the purchase get it, each its own shop's fee: the hold
    of the old fee is voided, the new one is held, and `OrderRepriced` is told. While a payment is under way the sum must
    stay: an address with another fee is refused (`PaymentUnderWay`), one with the same is taken. With `only_missing` an
    order that has an address, or is past its payment, stays as it is. Returns the purchase's total. Refuses
    `OrderNotOpen` and `catalog.NotDelivered`; then nothing has happened.
    """
    parts = await _hold_own(tx, actor, order_id)
    goods = await _read_goods(tx, parts)
    if only_missing and (parts[0].state is not OrderState.placed or goods[parts[0].id].has_address):
        return sum(part.total_amount for part in parts)
    if parts[0].state is not OrderState.placed:
        raise OrderNotOpen(state=parts[0].state)
    fees = {
        part.id: await catalog.price_shipping(
            tx, part.shop_id, goods[part.id].items, address.region, address.city, country=address.country
        )
        for part in parts
    }
    changed = [part for part in parts if fees[part.id] != goods[part.id].shipping_amount]
    if changed and await _is_being_paid(tx, parts[0].purchase_id):
        raise PaymentUnderWay()
    holds = await _hold_shipping(tx, changed, fees)
    await tx.run(
        """
        UPDATE orders."order" AS o
        SET address = %(address)s, shipping_amount = said.fee,
            total_amount = o.total_amount - o.shipping_amount + said.fee,
            shipping_hold_id = CASE WHEN said.fee = o.shipping_amount THEN o.shipping_hold_id ELSE said.hold_id END
        FROM unnest(%(ids)s::uuid[], %(fees)s::bigint[], %(holds)s::uuid[]) AS said (id, fee, hold_id)
        WHERE o.id = said.id
        """,
        address=Jsonb(address),
        ids=[part.id for part in parts],
        fees=[fees[part.id] for part in parts],
        holds=[holds.get(part.id) for part in parts],
    )
    await _tell_repriced(tx, changed, {part.id: fees[part.id] - goods[part.id].shipping_amount for part in changed})
    return sum(part.total_amount - goods[part.id].shipping_amount + fees[part.id] for part in parts)


async def price_delivery(
    tx: Tx, wanted: Sequence[tuple[SkuId, int, int]], address: identity.Address
) -> dict[ShopId, int]:
    """What each shop would ask for sending `(SKU, quantity, amount)` there. Refuses `catalog.NotDelivered`."""
    skus = await catalog.find_skus(tx, list({sku_id for sku_id, _, _ in wanted}))
    items: dict[ShopId, list[_Item]] = {}
    for sku_id, quantity, amount in wanted:
        if sku_id in skus:
            sku = skus[sku_id]
            items.setdefault(sku.shop_id, []).append((sku.product_id, sku_id, quantity, amount))
    return {
        shop_id: await catalog.price_shipping(
            tx, shop_id, of_shop, address.region, address.city, country=address.country
        )
        for shop_id, of_shop in items.items()
    }


async def start_payment(
    tx: Tx, actor: Actor, settings: Settings, order_id: OrderId, payment_id: PaymentId, *, provider: str
) -> payments.Payment:
    """Write down an attempt to pay the buyer's own order; the door then calls `payments.authorise`.

    The orders of one purchase are paid together, whichever is named. The same id again gives the same payment. Several
    attempts may be open at once: the first to be captured pays, any other is sent back by itself. Refuses
    `AddressMissing`, `OrderNotOpen`, `PayTimeOver`, `payments.NoSuchProvider`, `payments.CurrencyNotTaken`,
    `payments.PoolingOff`, and `catalog.SandboxShop` for real money in a sandbox.
    """
    parts = await _hold_own(tx, actor, order_id)
    held = parts[0]
    if await catalog.find_sandboxes(tx, [part.shop_id for part in parts]):
        if provider != "sandbox":
            raise catalog.SandboxShop()
    else:
        payments.check_method(settings, provider, currency=held.currency)
    purchase_id = held.purchase_id
    before = (await payments.list_of_orders(tx, [purchase_id])).get(purchase_id, [])
    if not any(payment.id == payment_id for payment in before):
        if held.state is not OrderState.placed:
            raise OrderNotOpen(state=held.state)
        if held.pay_by <= tx.now:
            raise PayTimeOver(pay_by=held.pay_by)
        if not await tx.one(
            bool,
            'SELECT bool_and(address IS NOT NULL) FROM orders."order" WHERE id = ANY(%(ids)s)',
            ids=[part.id for part in parts],
        ):
            raise AddressMissing()
        if len(before) >= PAYMENTS_MAX:
            raise TooManyPayments(payments_max=PAYMENTS_MAX)
        others = await _find_others(tx, parts)
        if others and provider != "sandbox":  # it moves no money, and a sandbox shop is paid by it wherever
            payments.check_pooling(settings, provider, others=others, currency=held.currency)
    return await payments.start(
        tx,
        payment_id=payment_id,
        order_id=purchase_id,
        buyer_id=held.buyer_id,
        money=Money(sum(part.total_amount for part in parts), held.currency),
        provider=provider,
    )


async def _find_others(tx: Tx, parts: list[Held]) -> list[ShopId]:
    """The shops of a purchase that are not the house's own."""
    shop_ids = sorted({part.shop_id for part in parts})
    own = await catalog.find_own_shops(tx, shop_ids)
    return [shop_id for shop_id in shop_ids if shop_id not in own]


async def cancel(tx: Tx, actor: Actor, order_id: OrderId) -> None:
    """Call the buyer's own order off. Again: nothing more happens.

    Unpaid, the whole purchase ends: stock and limits are given back, and a payment that arrives all the same is sent back
    by itself. Paid, and nothing of it on its way yet: all of this one order's money goes back, its pieces to the shelf.
    Refuses `OrderNotOpen` once a piece has been sent, `CompletionPaused` while a case about it is open.
    """
    parts = await _hold_own(tx, actor, order_id)
    order = parts[0]
    if order.state is OrderState.placed:
        await change_many(tx, paid=[], cancelled=[(part, EndReason.buyer) for part in parts])
    elif order.state is OrderState.paid:
        await _give_all_back(tx, order)
    elif order.state is not OrderState.cancelled and not await _was_called_off(tx, order.id):
        raise OrderNotOpen(state=order.state)


async def _give_all_back(tx: Tx, order: Held) -> None:
    if await tx.one(
        bool,
        "SELECT EXISTS (SELECT FROM orders.line WHERE order_id = %(id)s AND shipped_quantity > 0)",
        id=order.id,
    ):
        raise OrderNotOpen(state=order.state)
    if await is_completion_paused(tx, order.id):  # a case has its hands on these pieces
        raise CompletionPaused()
    await give_back_whole(tx, order, refund_id=_calling_off(order.id), reason=CALLED_OFF)


def _calling_off(order_id: OrderId) -> UUID:
    """The id of the one refund that calling an order off may be."""
    return uuid5(order_id, CALLED_OFF)


async def _was_called_off(tx: Tx, order_id: OrderId) -> bool:
    return await find_given_back(tx, _calling_off(order_id)) is not None


_Item = tuple[ProductId, SkuId, int, int]


class _Goods(NamedTuple):
    """What of an order bears on its shipping."""

    items: list[_Item]
    shipping_amount: int
    has_address: bool


async def _read_goods(tx: Tx, parts: list[Held]) -> dict[OrderId, _Goods]:
    ids = [part.id for part in parts]
    goods = {
        order_id: _Goods([], shipping_amount, has_address)
        for order_id, shipping_amount, has_address in await tx.tuples(
            'SELECT id, shipping_amount, address IS NOT NULL FROM orders."order" WHERE id = ANY(%(ids)s)', ids=ids
        )
    }
    for order_id, product_id, sku_id, quantity, amount in await tx.tuples(
        """
        SELECT order_id, product_id, sku_id, quantity, quantity * unit_price_amount - discount_amount
        FROM orders.line WHERE order_id = ANY(%(ids)s) ORDER BY order_id, no
        """,
        ids=ids,
    ):
        goods[order_id].items.append((product_id, sku_id, quantity, amount))
    return goods


async def _is_being_paid(tx: Tx, purchase_id: OrderId) -> bool:
    """Whether somebody may be paying the sum as it is (who starts a payment holds the order's row too)."""
    made = (await payments.list_of_orders(tx, [purchase_id])).get(purchase_id, [])
    over = (payments.PaymentState.failed, payments.PaymentState.refunding, payments.PaymentState.refunded)
    return any(payment.state not in over for payment in made)


async def _hold_shipping(tx: Tx, parts: list[Held], fees: dict[OrderId, int]) -> dict[OrderId, TransferId]:
    """Void what was held for the old fees, hold the new ones; the new holds by order, where there is a fee."""
    stale = [part.shipping_hold_id for part in parts if part.shipping_hold_id is not None]
    await ledger.void_many(tx, stale, reason="shipping")
    holds = {part.id: TransferId(new_id()) for part in parts if fees[part.id]}
    await ledger.hold_many(
        tx,
        [
            ledger.Transfer(
                holds[part.id],
                debit=ledger.Account(ledger.AccountKind.provider, part.currency),
                credit=ledger.Account(ledger.AccountKind.shop_held, part.currency, part.shop_id),
                amount=fees[part.id],
                reason="shipping",
                subject_id=part.purchase_id,
            )
            for part in parts
            if part.id in holds
        ],
    )
    return holds


async def _tell_repriced(tx: Tx, parts: list[Held], differences: dict[OrderId, int]) -> None:
    repriced = [
        facts.fact_of(part.id, MoneyKind.repriced, new_id(), Amounts(shipping=differences[part.id])) for part in parts
    ]
    await facts.record_many(tx, repriced)
    for part, fact in zip(parts, repriced, strict=True):
        tx.tell(
            OrderRepriced(
                order_id=part.id,
                buyer_id=part.buyer_id,
                shop_id=part.shop_id,
                show_id=part.show_id,
                currency=part.currency,
                total_amount=part.total_amount + fact.amounts.amount,
                repriced_at=tx.now,
                fact_id=fact.id,
                credit=part.credit,
                amounts=fact.amounts,
            )
        )


async def _hold_own(tx: Tx, actor: Actor, order_id: OrderId) -> list[Held]:
    """The buyer's own order, locked, and behind it the other orders of its purchase."""
    buyer_id = actor.signed_in()
    held = await hold_many(tx, [order_id])
    if order_id not in held or held[order_id].buyer_id != buyer_id:
        raise NotFound()
    return [held[order_id], *(order for order in held.values() if order.id != order_id)]
