"""Orders as people read them: one, a buyer's, a shop's, and a show's sales."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from laotie import catalog, identity, live, payments
from laotie.base.db import Tx
from laotie.base.ids import AccountId, CartItemId, OrderId, PaymentId, ProductId, ShopId, ShowId, SkuId, lowest_id_at
from laotie.base.refusals import NotFound
from laotie.identity import Actor
from laotie.orders import feed
from laotie.orders.model import OrderState

EXPORTED_MAX = 10_000
PAGE_SIZE_MAX = 100
SEARCHED_MAX = 20_000
SEARCHED_AT_ONCE = 1_000
SPAN_MARGIN = timedelta(minutes=1)
"""Ids are of the machine's clock, a show's times of the transaction's."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an order, as sold."""

    no: int
    sku_id: SkuId
    product_id: ProductId
    cart_item_id: CartItemId | None
    title: str
    image: str
    options: dict[str, str]
    quantity: int
    unit_price_amount: int
    discount_amount: int
    subsidy_amount: int
    tax_bps: int
    tax_amount: int
    """Contained in what was paid."""
    pledge_id: UUID | None
    batch_id: UUID | None
    shipped_quantity: int
    refunded_quantity: int
    refunded_amount: int
    promise: live.Promise | None
    """What was promised of it when the order was decided."""

    @property
    def paid_amount(self) -> int:
        """What was paid for the line: its price less discounts."""
        return self.quantity * self.unit_price_amount - self.discount_amount


class Purchase(msgspec.Struct, frozen=True):
    """Orders that were made and are paid together; `id` is the first one's."""

    id: OrderId
    order_ids: list[OrderId]
    total_amount: int


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order with its lines, its shop's name and the payment that counts: the one that paid it, else the last.

    `total_amount` is lines less discounts plus shipping; `refunded_amount` of it went back or is on its way.
    """

    id: OrderId
    client_id: UUID
    buyer_id: AccountId
    shop_id: ShopId
    shop_name: str
    show_id: ShowId | None
    state: OrderState
    currency: str
    total_amount: int
    discount_amount: int
    subsidy_amount: int
    shipping_amount: int
    refunded_amount: int
    refunded_shipping_amount: int
    reversed_amount: int
    source: str
    placement: str
    note: str | None
    address: dict[str, Any] | None
    placed_at: datetime
    pay_by: datetime
    paid_at: datetime | None
    shipped_at: datetime | None
    delivered_at: datetime | None
    completed_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None
    purchase: Purchase
    lines: list[Line]
    payment: payments.Payment | None


class Page(NamedTuple):
    """A part of a list, newest first, and the id after which the next part begins."""

    items: list[Order]
    next: OrderId | None


class Sales(NamedTuple):
    """A show's sales, with what its products are called and which item of the cart they are now, if any."""

    sales: feed.ShowSales
    titles: dict[ProductId, str]
    items: dict[ProductId, CartItemId]
    currency: str


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    id: OrderId
    client_id: UUID
    buyer_id: AccountId
    shop_id: ShopId
    show_id: ShowId | None
    state: OrderState
    currency: str
    total_amount: int
    discount_amount: int
    subsidy_amount: int
    shipping_amount: int
    refunded_amount: int
    refunded_shipping_amount: int
    reversed_amount: int
    source: str
    placement: str
    note: str | None
    address: dict[str, Any] | None
    placed_at: datetime
    pay_by: datetime
    paid_at: datetime | None
    shipped_at: datetime | None
    delivered_at: datetime | None
    completed_at: datetime | None
    purchase_id: OrderId | None
    payment_id: PaymentId | None
    ended_at: datetime | None
    end_reason: str | None


class _LineRow(msgspec.Struct, frozen=True, kw_only=True):
    order_id: OrderId
    no: int
    sku_id: SkuId
    product_id: ProductId
    cart_item_id: CartItemId | None
    title: str
    options: dict[str, str]
    quantity: int
    unit_price_amount: int
    discount_amount: int
    subsidy_amount: int
    tax_bps: int
    tax_amount: int
    pledge_id: UUID | None
    batch_id: UUID | None
    shipped_quantity: int
    refunded_quantity: int
    refunded_amount: int
    promise_id: UUID | None


async def get_own(tx: Tx, actor: Actor, order_id: OrderId) -> Order:
    """The buyer's own order; anyone else's is not there."""
    buyer_id = actor.signed_in()
    for order in await _read_many(tx, [order_id]):
        if order.buyer_id == buyer_id:
            return order
    raise NotFound()


async def count_paid(tx: Tx, buyer_id: AccountId, since: datetime) -> int:
    """How many orders that a buyer placed since then were paid."""
    return await tx.one(
        int,
        """
        SELECT count(*) FROM orders."order"
        WHERE buyer_id = %(buyer_id)s AND id >= %(bound)s AND state NOT IN ('placed', 'cancelled')
        """,
        buyer_id=buyer_id,
        bound=lowest_id_at(since),
    )


async def find_orders(tx: Tx, order_ids: list[OrderId]) -> dict[OrderId, Order]:
    """Orders for rooms above, whoever asks; what does not exist is left out."""
    return {order.id: order for order in await _read_many(tx, order_ids)}


async def get_of_shop(tx: Tx, actor: Actor, shop_id: ShopId, order_id: OrderId) -> Order:
    """An order of the shop. Needs the scope `orders`."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.orders)
    for order in await _read_many(tx, [order_id]):
        if order.shop_id == shop_id:
            return order
    raise NotFound()


async def export(tx: Tx, account_id: AccountId) -> list[Order]:
    """What this room holds about a person, newest first (for their export)."""
    ids = await tx.all(
        OrderId,
        """
        WITH own AS MATERIALIZED (SELECT id FROM orders."order" WHERE buyer_id = %(buyer_id)s)
        SELECT id FROM own ORDER BY id DESC LIMIT %(limit)s
        """,
        buyer_id=account_id,
        limit=EXPORTED_MAX,
    )
    found: list[Order] = []
    for start in range(0, len(ids), PAGE_SIZE_MAX):
        found += (await _page(tx, ids[start : start + PAGE_SIZE_MAX], PAGE_SIZE_MAX)).items
    return found


async def list_own(
    tx: Tx, actor: Actor, *, state: OrderState | None, after: OrderId | None, limit: int
) -> Page:
    """The buyer's orders, newest first.

    All of the buyer's rows are found through the unique (buyer, client id) index and sorted; the CTE is MATERIALIZED
    lest the planner walk everybody's orders backwards until it has met enough of this buyer's.
    """
    limit = min(limit, PAGE_SIZE_MAX)
    ids = await tx.all(
        OrderId,
        """
        WITH own AS MATERIALIZED (
            SELECT id, state FROM orders."order" WHERE buyer_id = %(buyer_id)s
        )
        SELECT id FROM own WHERE id < %(before)s AND (%(state)s::text IS NULL OR state = %(state)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        buyer_id=actor.signed_in(),
        before=after or feed.LAST_ID,
        state=state,
        limit=limit + 1,
    )
    return await _page(tx, ids, limit)


async def list_of_shop(
    tx: Tx,
    actor: Actor,
    shop_id: ShopId,
    *,
    state: OrderState | None,
    after: OrderId | None,
    limit: int,
    q: str = "",
    show_id: ShowId | None = None,
) -> Page:
    """The shop's orders, newest first. Needs the scope `orders`.

    `q` is looked for in the order's id, the titles of its lines and the buyer's name; with it, or with `show_id`, a
    page may be short although more follows: a look goes through `SEARCHED_MAX` orders at most.
    """
    await identity.require_seat(tx, actor, shop_id, identity.Scope.orders)
    limit = min(limit, PAGE_SIZE_MAX)
    states = [state] if state is not None else list(OrderState)
    wanted = q.strip().lower()
    if not wanted and show_id is None:
        return await _page(tx, await feed.find_of_shop(tx, shop_id, states=states, after=after, limit=limit + 1), limit)
    first, last = await _span_of(tx, show_id)
    after = OrderId(min(after or feed.LAST_ID, last))
    found: list[OrderId] = []
    for _ in range(SEARCHED_MAX // SEARCHED_AT_ONCE):
        ids = await feed.find_of_shop(tx, shop_id, states=states, after=after, limit=SEARCHED_AT_ONCE)
        found += await _pick(tx, [one for one in ids if one >= first], wanted, show_id)
        if len(found) > limit:
            return await _page(tx, found[: limit + 1], limit)
        if len(ids) < SEARCHED_AT_ONCE or ids[-1] < first:
            return Page(await _read_many(tx, found), None)
        after = ids[-1]
    return Page(await _read_many(tx, found), after)


async def _span_of(tx: Tx, show_id: ShowId | None) -> tuple[UUID, UUID]:
    """Between which ids a show's orders lie: they grow with time."""
    if show_id is None:
        return UUID(int=0), feed.LAST_ID
    show = await live.get_show(tx, show_id)
    if show.started_at is None:
        return feed.LAST_ID, feed.LAST_ID
    last = lowest_id_at(show.ended_at + SPAN_MARGIN) if show.ended_at is not None else feed.LAST_ID
    return lowest_id_at(show.started_at - SPAN_MARGIN), last


class _Candidate(NamedTuple):
    id: OrderId
    buyer_id: AccountId
    matches: bool


async def _pick(tx: Tx, order_ids: list[OrderId], wanted: str, show_id: ShowId | None) -> list[OrderId]:
    """Those of the orders that are of this show and in which the words are found, in the order given."""
    rows = [
        _Candidate._make(row)
        for row in await tx.tuples(
            """
            SELECT id, buyer_id, strpos(replace(id::text, '-', ''), %(digits)s) > 0
                   OR EXISTS (SELECT FROM orders.line WHERE order_id = id AND strpos(lower(title), %(wanted)s) > 0)
            FROM orders."order"
            WHERE id = ANY(%(ids)s) AND (%(show_id)s::uuid IS NULL OR show_id = %(show_id)s) ORDER BY id DESC
            """,
            ids=order_ids,
            wanted=wanted,
            digits=wanted.replace("-", "") or "?",
            show_id=show_id,
        )
    ]
    names = await identity.find_profiles(tx, {row.buyer_id for row in rows if not row.matches})
    return [
        row.id
        for row in rows
        if not wanted or row.matches or (row.buyer_id in names and wanted in names[row.buyer_id].name.lower())
    ]


async def get_sales(tx: Tx, actor: Actor, show_id: ShowId) -> Sales:
    """What a show sold, for its shop's staff (scope `orders`) and its streamer. Call it in a snapshot."""
    show = await live.get_show(tx, show_id)
    if actor.account_id is None or actor.account_id != show.streamer.id:
        await identity.require_seat(tx, actor, show.shop_id, identity.Scope.orders)
    sales = await feed.sum_show(tx, show_id)
    cards = await catalog.find_cards(tx, [item.product_id for item in sales.items])
    return Sales(
        sales,
        {card.id: card.title for card in cards.values()},
        {item.product_id: item.id for item in await live.list_cart(tx, show_id)},
        sales.currency or (await catalog.get_shop(tx, show.shop_id)).currency,
    )


async def _page(tx: Tx, ids: list[OrderId], limit: int) -> Page:
    orders = await _read_many(tx, ids[:limit])
    return Page(orders, ids[limit - 1] if len(ids) > limit else None)


async def _read_many(tx: Tx, order_ids: list[OrderId]) -> list[Order]:
    """The orders, newest first, with what other rooms know of them."""
    if not order_ids:
        return []
    rows = await tx.all(
        _Row,
        """
        SELECT id, client_id, buyer_id, shop_id, show_id, state, currency, total_amount, discount_amount,
               subsidy_amount, shipping_amount, refunded_amount, refunded_shipping_amount, reversed_amount, source,
               placement, note, address, placed_at, pay_by, paid_at, shipped_at, delivered_at, completed_at,
               purchase_id, payment_id, ended_at, end_reason
        FROM orders."order" WHERE id = ANY(%(ids)s) ORDER BY id DESC
        """,
        ids=order_ids,
    )
    line_rows = await tx.all(
        _LineRow,
        """
        SELECT order_id, no, sku_id, product_id, cart_item_id, title, options, quantity, unit_price_amount,
               discount_amount, subsidy_amount, tax_bps, tax_amount, pledge_id, batch_id, shipped_quantity,
               refunded_quantity, refunded_amount, promise_id
        FROM orders.line WHERE order_id = ANY(%(ids)s) ORDER BY order_id, no
        """,
        ids=order_ids,
    )
    cards = await catalog.find_cards(tx, [line.product_id for line in line_rows])
    promises = await live.find_promises(tx, list({line.promise_id for line in line_rows if line.promise_id is not None}))
    shops = await catalog.find_shops(tx, list({row.shop_id for row in rows}))
    purchases = await _find_purchases(tx, rows)
    payments_of = await payments.list_of_orders(tx, list({purchases[row.id].id for row in rows}))
    lines: dict[OrderId, list[Line]] = {}
    for line in line_rows:
        card = cards.get(line.product_id)
        image = card.image if card is not None else catalog.picture_of(line.product_id, [])
        promise = promises[line.promise_id] if line.promise_id is not None else None
        fields = {name: getattr(line, name) for name in Line.__struct_fields__ if name not in ("image", "promise")}
        lines.setdefault(line.order_id, []).append(Line(image=image, promise=promise, **fields))
    return [
        Order(
            shop_name=shops[row.shop_id].name if row.shop_id in shops else "",
            lines=lines.get(row.id, []),
            purchase=purchases[row.id],
            payment=_payment_that_counts(payments_of.get(purchases[row.id].id, []), row.payment_id),
            **{name: getattr(row, name) for name in _Row.__struct_fields__ if name not in ("payment_id", "purchase_id")},
        )
        for row in rows
    ]


async def _find_purchases(tx: Tx, rows: list[_Row]) -> dict[OrderId, Purchase]:
    """The purchase of each order; most are of one order."""
    found = {row.id: Purchase(row.id, [row.id], row.total_amount) for row in rows}
    of_several = {row.purchase_id for row in rows if row.purchase_id is not None}
    if of_several:
        parts = await tx.tuples(
            """
            SELECT purchase_id, array_agg(id ORDER BY id), sum(total_amount)::bigint FROM orders."order"
            WHERE purchase_id = ANY(%(ids)s) GROUP BY purchase_id
            """,
            ids=list(of_several),
        )
        purchases = {purchase_id: Purchase(purchase_id, ids, total) for purchase_id, ids, total in parts}
        found |= {row.id: purchases[row.purchase_id] for row in rows if row.purchase_id is not None}
    return found


def _payment_that_counts(made: list[payments.Payment], paid_by: PaymentId | None) -> payments.Payment | None:
    for payment in made:
        if payment.id == paid_by:
            return payment
    return made[-1] if made else None
