"""What completed orders are still worth, line by line: what settlement divides among those it belongs to."""

from datetime import datetime

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import OrderId, ProductId, ShopId, ShowId
from laotie.base.money import apportion
from laotie.orders.giving_back import subsidy_taken


class LineWorth(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a line, in minor units: the buyer's money, and the platform's part beside it."""

    no: int
    product_id: ProductId
    category: str
    goods_amount: int
    subsidy_amount: int


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """A completed order and what is left of it after everything given or taken back.

    One that was given back whole before that counts as complete since then: a chargeback that is won may bring it something.
    """

    order_id: OrderId
    shop_id: ShopId
    show_id: ShowId | None
    currency: str
    paid_at: datetime
    completed_at: datetime
    paused: bool
    """A case about it is open."""
    shipping_amount: int
    lines: list[LineWorth]


class _Order(msgspec.Struct, frozen=True):
    order_id: OrderId
    shop_id: ShopId
    show_id: ShowId | None
    currency: str
    paid_at: datetime
    completed_at: datetime
    paused: bool
    shipping_amount: int
    reversed_amount: int
    categories: dict[str, str]


class _Line(msgspec.Struct, frozen=True):
    order_id: OrderId
    no: int
    product_id: ProductId
    quantity: int
    paid_amount: int
    subsidy_amount: int
    refunded_quantity: int
    refunded_amount: int


async def find_worth(tx: Tx, order_ids: list[OrderId]) -> dict[OrderId, Worth]:
    """Those of the orders that are complete, or were given back, and were paid here (not imported), by id.

    What a chargeback took is divided among lines and shipping in proportion to what is left of them.
    """
    orders = await tx.all(
        _Order,
        """
        SELECT o.id AS order_id, o.shop_id, o.show_id, o.currency, o.paid_at,
               coalesce(o.completed_at, o.ended_at) AS completed_at,
               EXISTS (SELECT FROM orders.completion_pause AS p WHERE p.order_id = o.id) AS paused,
               o.shipping_amount - o.refunded_shipping_amount AS shipping_amount, o.reversed_amount,
               coalesce(d.categories, '{}') AS categories
        FROM orders."order" AS o LEFT JOIN orders.delivery AS d ON d.order_id = o.id
        WHERE o.id = ANY(%(ids)s) AND (o.completed_at IS NOT NULL OR o.state = 'refunded')
          AND o.paid_at IS NOT NULL AND o.source <> 'imported'
        """,
        ids=order_ids,
    )
    lines: dict[OrderId, list[_Line]] = {}
    for line in await tx.all(
        _Line,
        """
        SELECT order_id, no, product_id, quantity, quantity * unit_price_amount - discount_amount AS paid_amount,
               subsidy_amount, refunded_quantity, refunded_amount
        FROM orders.line WHERE order_id = ANY(%(ids)s) ORDER BY order_id, no
        """,
        ids=[order.order_id for order in orders],
    ):
        lines.setdefault(line.order_id, []).append(line)
    return {order.order_id: _worth(order, lines[order.order_id]) for order in orders}


def _worth(order: _Order, lines: list[_Line]) -> Worth:
    left = [line.paid_amount - line.refunded_amount for line in lines] + [order.shipping_amount]
    taken = apportion(order.reversed_amount, left)
    *goods, shipping = [amount - part for amount, part in zip(left, taken, strict=True)]
    return Worth(
        order_id=order.order_id,
        shop_id=order.shop_id,
        show_id=order.show_id,
        currency=order.currency,
        paid_at=order.paid_at,
        completed_at=order.completed_at,
        paused=order.paused,
        shipping_amount=shipping,
        lines=[
            LineWorth(
                no=line.no,
                product_id=line.product_id,
                category=order.categories.get(str(line.product_id), ""),
                goods_amount=amount,
                subsidy_amount=line.subsidy_amount
                - subsidy_taken(
                    line.subsidy_amount, line.paid_amount, line.quantity, line.refunded_quantity, line.refunded_amount
                ),
            )
            for line, amount in zip(lines, goods, strict=True)
        ],
    )
