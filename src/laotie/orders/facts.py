"""An order's money as facts: what was placed, repriced, cancelled, paid, refunded, reversed, restored, when, and of what.

Every fact is told when it happens, and can be told again from these books, the same to the last bit: what the order's own
row says (placed, paid, cancelled), and rows of a book that only grows (`orders.money_fact`) for the rest. The instant of
each is the ledger's for the same money. History from other books is `placed` and `paid` at its invoice's time, and its
returns are `refunded` under an id of their own, since nobody knows of which order they are; its source is `imported`, and a
buyer whom nobody knows is a guest for one invoice, marked by its placement (`history.UNKNOWN_BUYER`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString, NamedTuple
from uuid import UUID

import msgspec

from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, OrderId, ShopId, ShowId, VisitId
from laotie.base.money import apportion
from laotie.events.orders import Amounts
from laotie.lake import facts as lake
from laotie.lake.facts import MoneyKind, MoneyRow, money_id

PAGE_SIZE = 2_000
FIRST = UUID(int=0)


class Fact(NamedTuple):
    """A change of an order's money that its row does not tell of."""

    id: UUID
    order_id: OrderId
    kind: MoneyKind
    cause_id: UUID
    amounts: Amounts


class Told(msgspec.Struct, frozen=True):
    """How far along an import the lake has been told."""

    id: UUID
    orders_told_to: UUID
    returns_told_to: UUID


def fact_of(order_id: OrderId, kind: MoneyKind, cause_id: UUID, amounts: Amounts) -> Fact:
    """A fact whose id is made of what caused it."""
    return Fact(money_id(order_id, kind, cause_id), order_id, kind, cause_id, amounts)


async def record_many(tx: Tx, facts: Sequence[Fact]) -> None:
    """Write these down; they happen now."""
    if not facts:
        return
    await tx.run(
        """
        INSERT INTO orders.money_fact (id, order_id, kind, cause_id, goods_amount, shipping_amount, tax_amount,
                                       shop_discount_amount, platform_discount_amount, at)
        SELECT fact.*, %(now)s
        FROM unnest(%(ids)s::uuid[], %(orders)s::uuid[], %(kinds)s::text[], %(causes)s::uuid[], %(goods)s::bigint[],
                    %(shipping)s::bigint[], %(tax)s::bigint[], %(shop_discounts)s::bigint[],
                    %(platform_discounts)s::bigint[]) AS fact
        """,
        ids=[fact.id for fact in facts],
        orders=[fact.order_id for fact in facts],
        kinds=[fact.kind for fact in facts],
        causes=[fact.cause_id for fact in facts],
        goods=[fact.amounts.goods for fact in facts],
        shipping=[fact.amounts.shipping for fact in facts],
        tax=[fact.amounts.tax for fact in facts],
        shop_discounts=[fact.amounts.shop_discount for fact in facts],
        platform_discounts=[fact.amounts.platform_discount for fact in facts],
        now=tx.now,
    )


async def find_refunds(tx: Tx, refunds: list[tuple[UUID, OrderId, int]]) -> dict[UUID, Amounts]:
    """What these refunds (id, order, amount) take back, as it was divided when they were asked for; negative."""
    rows = await tx.tuples(
        """
        SELECT id, amount - shipping_amount + shop_discount_amount + subsidy_amount, shipping_amount, tax_amount,
               shop_discount_amount, subsidy_amount
        FROM orders.given_back WHERE id = ANY(%(ids)s)
        """,
        ids=[refund_id for refund_id, _, _ in refunds],
    )
    found = {row[0]: -Amounts(*row[1:]) for row in rows}
    for refund_id, order_id, amount in refunds:
        if refund_id not in found or found[refund_id].amount != -amount:  # the provider gave back what nobody asked for
            found[refund_id] = -part_of((await find_left(tx, [order_id]))[order_id], amount)
    return found


async def find_left(tx: Tx, order_ids: list[OrderId]) -> dict[OrderId, Amounts]:
    """What paid orders are still made of, after everything that was given or taken back."""
    rows = await tx.tuples(
        """
        SELECT o.id, o.total_amount + o.discount_amount - o.shipping_amount - coalesce(g.goods, 0) + coalesce(r.goods, 0),
               o.shipping_amount - coalesce(g.shipping, 0) + coalesce(r.shipping, 0),
               (SELECT coalesce(sum(tax_amount), 0) FROM orders.line WHERE order_id = o.id)::bigint
                   - coalesce(g.tax, 0) + coalesce(r.tax, 0),
               o.discount_amount - o.subsidy_amount - coalesce(g.shop_discount, 0) + coalesce(r.shop_discount, 0),
               o.subsidy_amount - coalesce(g.subsidy, 0) + coalesce(r.subsidy, 0)
        FROM orders."order" AS o
        LEFT JOIN LATERAL (
            SELECT sum(amount - shipping_amount + shop_discount_amount + subsidy_amount)::bigint AS goods,
                   sum(shipping_amount)::bigint AS shipping, sum(tax_amount)::bigint AS tax,
                   sum(shop_discount_amount)::bigint AS shop_discount, sum(subsidy_amount)::bigint AS subsidy
            FROM orders.given_back WHERE order_id = o.id
        ) AS g ON true
        LEFT JOIN LATERAL (
            SELECT sum(goods_amount)::bigint AS goods, sum(shipping_amount)::bigint AS shipping,
                   sum(tax_amount)::bigint AS tax, sum(shop_discount_amount)::bigint AS shop_discount,
                   sum(platform_discount_amount)::bigint AS subsidy
            FROM orders.money_fact WHERE order_id = o.id AND kind IN ('reversed', 'restored')
        ) AS r ON true
        WHERE o.id = ANY(%(ids)s)
        """,
        ids=order_ids,
    )
    return {row[0]: Amounts(*row[1:]) for row in rows}


async def find_reversed(tx: Tx, dispute_id: UUID, order_ids: list[OrderId]) -> dict[OrderId, Amounts]:
    """What a chargeback took of these orders; negative."""
    rows = await tx.tuples(
        """
        SELECT order_id, goods_amount, shipping_amount, tax_amount, shop_discount_amount, platform_discount_amount
        FROM orders.money_fact
        WHERE order_id = ANY(%(ids)s) AND kind = 'reversed' AND cause_id = %(dispute_id)s
        """,
        ids=order_ids,
        dispute_id=dispute_id,
    )
    return {row[0]: Amounts(*row[1:]) for row in rows}


def part_of(left: Amounts, amount: int) -> Amounts:
    """`amount` of what is left, of everything in proportion; all of it when it is all."""
    goods, shipping = apportion(amount, [left.amount - left.shipping, left.shipping])
    whole = left.amount - left.shipping
    taken = [part * goods // whole if whole else 0 for part in (left.tax, left.shop_discount, left.platform_discount)]
    return Amounts(goods + taken[1] + taken[2], shipping, *taken)


async def export(tx: Tx, after: OrderId | UUID = FIRST, limit: int = PAGE_SIZE) -> tuple[list[MoneyRow], UUID | None]:
    """All facts of the next orders by id, and where to go on; `None` when there is nothing more.

    Orders of an import that is not through yet are left out: their amounts may still grow.
    """
    pages = await tx.tuples(
        """
        SELECT id FROM orders."order" WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
        """,
        after=after,
        limit=limit,
    )
    if not pages:
        return [], None
    last = pages[-1][0]
    rows = await tx.all(_Row, _FACTS, after=after, last=last, runs=await _list_open_runs(tx))
    return [_row(row) for row in rows], last


async def export_returns(tx: Tx, after: UUID = FIRST, limit: int = PAGE_SIZE) -> tuple[list[MoneyRow], UUID | None]:
    """The same for returns of imported history."""
    rows = await tx.all(_Row, _RETURNS, after=after, limit=limit, run=None, runs=await _list_open_runs(tx))
    return [_row(row) for row in rows], rows[-1].order_id if len(rows) == limit else None


async def exists_before(tx: Tx, at: datetime) -> bool:
    """Whether anybody had placed an order by then."""
    return await tx.one(bool, """SELECT EXISTS (SELECT FROM orders."order" WHERE placed_at < %(at)s)""", at=at)


async def tell_imports(db: Database, *, page: int = PAGE_SIZE) -> int:
    """Tell the lake of the imports that are through, page by page, each once; returns how many facts that was."""
    told = 0
    while True:
        async with db.tx() as tx:
            run = await tx.maybe(
                Told,
                """
                SELECT id, orders_told_to, returns_told_to FROM orders.import_run
                WHERE state = 'done' AND told_at IS NULL ORDER BY id LIMIT 1 FOR UPDATE
                """,
            )
            if run is None:
                return told
            told += await _tell_page(tx, run, page)


async def _tell_page(tx: Tx, run: Told, page: int) -> int:
    of_orders = await tx.all(
        _Row, _IMPORTED, after=run.orders_told_to, digest=run.id.bytes, limit=page
    )
    of_returns: list[_Row] = []
    if not of_orders:
        of_returns = await tx.all(_Row, _RETURNS, after=run.returns_told_to, limit=page, run=run.id, runs=[])
    rows = of_orders + of_returns
    await lake.keep_rows(tx, [_row(row) for row in rows])
    await tx.run(
        """
        UPDATE orders.import_run
        SET orders_told_to = %(orders)s, returns_told_to = %(returns)s, told_at = CASE WHEN %(done)s THEN %(now)s END
        WHERE id = %(id)s
        """,
        id=run.id,
        orders=of_orders[-1].order_id if of_orders else run.orders_told_to,
        returns=of_returns[-1].order_id if of_returns else run.returns_told_to,
        done=not rows,
        now=tx.now,
    )
    return len(rows)


async def _list_open_runs(tx: Tx) -> list[bytes]:
    return await tx.all(bytes, "SELECT uuid_send(id) FROM orders.import_run WHERE told_at IS NULL")


class _Row(msgspec.Struct, frozen=True):
    id: UUID | None
    kind: MoneyKind
    at: datetime
    order_id: OrderId
    buyer_id: AccountId
    shop_id: ShopId
    show_id: ShowId | None
    streamer_id: AccountId | None
    visit_id: VisitId | None
    source: str
    placement: str
    campaign: str | None
    is_fan: bool
    rule_version: int
    currency: str
    goods: int
    shipping: int
    tax: int
    shop_discount: int
    platform_discount: int


def _row(row: _Row) -> MoneyRow:
    return MoneyRow(
        id=row.id or money_id(row.order_id, row.kind),
        at=row.at,
        kind=row.kind,
        order_id=row.order_id,
        buyer_id=row.buyer_id,
        shop_id=row.shop_id,
        show_id=row.show_id,
        streamer_id=row.streamer_id,
        visit_id=row.visit_id,
        source=row.source,
        placement=row.placement,
        campaign=row.campaign,
        is_fan=row.is_fan,
        rule_version=row.rule_version,
        currency=row.currency,
        amounts=Amounts(row.goods, row.shipping, row.tax, row.shop_discount, row.platform_discount),
    )


_FACTS: LiteralString = """
    WITH part AS MATERIALIZED (
        SELECT * FROM orders."order"
        WHERE id > %(after)s AND id <= %(last)s AND NOT (source = 'imported' AND digest = ANY(%(runs)s::bytea[]))
    ), tax AS (
        SELECT order_id, sum(tax_amount)::bigint AS amount FROM orders.line
        WHERE order_id IN (SELECT id FROM part) GROUP BY order_id
    ), fact AS (
        SELECT NULL::uuid AS id, o.id AS order_id, act.kind, act.at,
               act.sign * (o.total_amount + o.discount_amount - o.shipping_amount) AS goods, act.sign * act.fee AS shipping,
               act.sign * coalesce(tax.amount, 0) AS tax, act.sign * (o.discount_amount - o.subsidy_amount) AS shop_discount,
               act.sign * o.subsidy_amount AS platform_discount
        FROM part AS o LEFT JOIN tax ON tax.order_id = o.id
        CROSS JOIN LATERAL (VALUES
            ('placed', 1, o.placed_at, 0::bigint),
            ('paid', 1, o.paid_at, o.shipping_amount),
            ('cancelled', -1, CASE o.state WHEN 'cancelled' THEN o.ended_at END, o.shipping_amount)
        ) AS act (kind, sign, at, fee)
        WHERE act.at IS NOT NULL
        UNION ALL
        SELECT id, order_id, kind, at, goods_amount, shipping_amount, tax_amount, shop_discount_amount, platform_discount_amount
        FROM orders.money_fact WHERE order_id IN (SELECT id FROM part)
    )
    SELECT fact.id, fact.kind, fact.at, fact.order_id, o.buyer_id, o.shop_id, o.show_id, o.streamer_id, o.visit_id, o.source,
           o.placement, o.campaign, o.is_fan, o.rule_version, o.currency, fact.goods, fact.shipping, fact.tax,
           fact.shop_discount, fact.platform_discount
    FROM fact JOIN part AS o ON o.id = fact.order_id ORDER BY fact.order_id, fact.at, fact.kind
"""
# Both are ordered by the table's column: a bare `id` is the answer's, which is NULL, and pages of no order leave rows out.
_IMPORTED: LiteralString = """
    WITH part AS MATERIALIZED (
        SELECT * FROM orders."order" WHERE id > %(after)s AND source = 'imported' AND digest = %(digest)s
        ORDER BY id LIMIT %(limit)s
    )
    SELECT NULL::uuid AS id, kind, paid_at AS at, id AS order_id, buyer_id, shop_id, show_id, streamer_id, visit_id, source,
           placement, campaign, is_fan, rule_version, currency, total_amount AS goods, 0 AS shipping, 0 AS tax,
           0 AS shop_discount, 0 AS platform_discount
    FROM part CROSS JOIN unnest(ARRAY['paid', 'placed']) AS kind ORDER BY part.id, kind
"""
_RETURNS: LiteralString = """
    SELECT NULL::uuid AS id, 'refunded' AS kind, returned_at AS at, id AS order_id, buyer_id, shop_id, NULL::uuid AS show_id,
           NULL::uuid AS streamer_id, NULL::uuid AS visit_id, 'imported' AS source, placement,
           NULL::text AS campaign, false AS is_fan, 1 AS rule_version, currency, -total_amount AS goods, 0 AS shipping,
           0 AS tax, 0 AS shop_discount, 0 AS platform_discount
    FROM orders.past_return
    WHERE id > %(after)s AND (%(run)s::uuid IS NULL OR run_id = %(run)s)
      AND NOT uuid_send(run_id) = ANY(%(runs)s::bytea[])
    ORDER BY past_return.id LIMIT %(limit)s
"""
