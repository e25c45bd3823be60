"""Price protection: for some days after a purchase, a buyer who asks gets the difference when the shelf price has fallen.

The shop says for how many days (`catalog.Shop.price_protection_days`). What counts is the price on the shelf against
what was really paid, discounts and earlier refunds included; prices of shows, coupons and teams do not count, nor does a
product that is off the shelf. Once a line.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from laotie import catalog
from laotie.base.db import Tx
from laotie.base.ids import OrderId, ProductId, SkuId, new_id
from laotie.base.refusals import Conflict, NotFound
from laotie.identity import Actor
from laotie.orders.changes import hold_many
from laotie.orders.giving_back import Back, give_back
from laotie.orders.listing import Line, Order, get_own
from laotie.orders.model import OrderState

_PAID = (OrderState.paid, OrderState.shipped, OrderState.completed)
REASON = "price-protection"


class ProtectedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line's difference: what would be given back now, or what was."""

    no: int
    shelf_price_amount: int | None
    """On the shelf now, or when the difference was given; missing when it is not on the shelf."""
    amount: int
    given_at: datetime | None


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    """Where an order stands: `until` is missing when its shop protects no prices or it is not paid."""

    until: datetime | None
    currency: str
    lines: list[ProtectedLine]


class PriceNotLower(Conflict, code="price-not-lower"):
    """Nothing of this order is cheaper on the shelf than what you paid for it, or you had the difference already."""


class ProtectionOver(Conflict, code="protection-over"):
    """The shop does not give differences back any more for this order."""

    until: datetime | None


def difference(line: Line, shelf_price_amount: int) -> int:
    """What the buyer paid above the shelf's price for the pieces that were not given back, in minor units. Pure."""
    kept = line.quantity - line.refunded_quantity
    return max(0, line.paid_amount - line.refunded_amount - kept * shelf_price_amount) if kept else 0


async def get_protection(tx: Tx, actor: Actor, order_id: OrderId) -> Protection:
    """What the buyer of this order could have back now, and what they had."""
    order = await get_own(tx, actor, order_id)
    return await _look_at(tx, order)


async def give_difference(tx: Tx, actor: Actor, order_id: OrderId) -> Protection:
    """Give every difference there is back, through `give_back`. Locks the order.

    Refuses `ProtectionOver` and `PriceNotLower`; said again, it is refused, for a line has it once.
    """
    held = (await hold_many(tx, [order_id])).get(order_id)
    if held is None or held.buyer_id != actor.signed_in():
        raise NotFound()
    order = await get_own(tx, actor, order_id)
    protection = await _look_at(tx, order)
    if protection.until is None or protection.until <= tx.now:
        raise ProtectionOver(until=protection.until)
    due = [line for line in protection.lines if line.given_at is None and line.amount]
    if not due:
        raise PriceNotLower()
    refund_id = new_id()
    await give_back(
        tx, order_id, refund_id=refund_id, lines=[Back(line.no, 0, line.amount) for line in due], reason=REASON
    )
    await tx.run(
        """
        INSERT INTO orders.price_protection (order_id, no, refund_id, shelf_price_amount, amount, given_at)
        SELECT %(order_id)s, no, %(refund_id)s, shelf_price_amount, amount, %(now)s
        FROM unnest(%(numbers)s::smallint[], %(prices)s::bigint[], %(amounts)s::bigint[])
          AS given (no, shelf_price_amount, amount)
        """,
        order_id=order_id,
        refund_id=refund_id,
        numbers=[line.no for line in due],
        prices=[line.shelf_price_amount for line in due],
        amounts=[line.amount for line in due],
        now=tx.now,
    )
    return await _look_at(tx, await get_own(tx, actor, order_id))


async def _look_at(tx: Tx, order: Order) -> Protection:
    shop = await catalog.get_shop(tx, order.shop_id)
    until = None
    if order.state in _PAID and order.paid_at is not None and shop.price_protection_days:
        until = order.paid_at + timedelta(days=shop.price_protection_days)
    given = {
        row[0]: ProtectedLine(no=row[0], shelf_price_amount=row[1], amount=row[2], given_at=row[3])
        for row in await tx.tuples(
            "SELECT no, shelf_price_amount, amount, given_at FROM orders.price_protection WHERE order_id = %(id)s",
            id=order.id,
        )
    }
    shelf = _shelf_prices(await catalog.find_products(tx, [line.product_id for line in order.lines]))
    is_open = until is not None and until > tx.now
    return Protection(
        until=until,
        currency=order.currency,
        lines=[given.get(line.no) or _offer(line, shelf.get(line.sku_id) if is_open else None) for line in order.lines],
    )


def _offer(line: Line, shelf_price_amount: int | None) -> ProtectedLine:
    amount = 0 if shelf_price_amount is None else difference(line, shelf_price_amount)
    return ProtectedLine(no=line.no, shelf_price_amount=shelf_price_amount, amount=amount, given_at=None)


def _shelf_prices(products: Mapping[ProductId, catalog.Product]) -> dict[SkuId, int]:
    return {
        sku.id: sku.price_amount
        for product in products.values()
        for sku in product.skus
        if product.state is catalog.ProductState.listed and sku.state is catalog.SkuState.active
    }
