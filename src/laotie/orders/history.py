"""History: orders and returns out of another house's books, in bulk, as a record and nothing more.

A past order is `completed` and its source is `imported`, which is no kind of traffic. Nothing is told, held or posted
for it: its money moved elsewhere, long ago, so the ledger (which holds what went through this house) does not know it.
Its pieces are entered as received and sold, so the stock's promises hold. Returns have a record of their own, since
the old books do not say which order they belong to; returned pieces do not come back into stock, since their
condition is not told either.

The lake is told of it when all of it is here (`facts.tell_imports`).

An import is a run. Each batch is committed with the run's position and counts, so a run that was killed goes on where
it stopped, and nothing is there twice.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import msgspec
from psycopg.types.json import Jsonb

from laotie import catalog
from laotie.base.db import Tx
from laotie.base.ids import AccountId, OrderId, ProductId, ShopId, SkuId, lowest_id_at, new_id
from laotie.base.refusals import Conflict
from laotie.orders import feed

REFUSALS_PAGE_SIZE = 1_000
KNOWN_BUYER, UNKNOWN_BUYER = "import", "import:unknown"
"""Where history stands instead of a placement."""


class ImportElsewhere(Conflict, code="import-elsewhere"):
    """Another process is importing this file into this shop."""


class ImportRun(msgspec.Struct, frozen=True, kw_only=True):
    """One file's way into one shop. `position` counts the records done; `counts` is the importer's own."""

    id: UUID
    shop_id: ShopId
    name: str
    state: str
    position: int
    counts: dict[str, Any]
    started_at: datetime
    finished_at: datetime | None


class PastLine(NamedTuple):
    """Pieces of one SKU at the price of that day."""

    sku_id: SkuId
    product_id: ProductId
    title: str
    quantity: int
    unit_price_amount: int


class PastDeal(NamedTuple):
    """An order or a return: its number in the old books, whose it was, when, and what.

    Whose nobody knows is a guest's of its own; `placement` says so (`UNKNOWN_BUYER`), for whoever counts buyers.
    """

    reference: str
    buyer_id: AccountId
    at: datetime
    lines: list[PastLine]
    placement: str = KNOWN_BUYER

    @property
    def total_amount(self) -> int:
        """What the lines add up to."""
        return sum(line.quantity * line.unit_price_amount for line in self.lines)


class RefusedRow(NamedTuple):
    """A record that was not imported: its line in the file, why, and what it said."""

    line: int
    reason: str
    said: str


class Kept(msgspec.Struct, frozen=True):
    """What the database holds of a run, for comparison with what the file said."""

    orders: int
    order_lines: int
    sold_amount: int
    returns: int
    return_lines: int
    returned_amount: int
    refused: int


async def open_run(tx: Tx, shop_id: ShopId, *, digest: bytes, name: str) -> ImportRun:
    """Begin, or find what was begun with the same content for the same shop."""
    await tx.run(
        """
        INSERT INTO orders.import_run (id, shop_id, digest, name, started_at)
        VALUES (%(id)s, %(shop_id)s, %(digest)s, %(name)s, %(now)s)
        ON CONFLICT (shop_id, digest) DO NOTHING
        """,
        id=new_id(),
        shop_id=shop_id,
        digest=digest,
        name=name,
        now=tx.now,
    )
    return await tx.one(
        ImportRun,
        """
        SELECT id, shop_id, name, state, position, counts, started_at, finished_at FROM orders.import_run
        WHERE shop_id = %(shop_id)s AND digest = %(digest)s
        """,
        shop_id=shop_id,
        digest=digest,
    )


async def find_foreign(tx: Tx, run: ImportRun, deals: list[tuple[str, AccountId]]) -> set[str]:
    """Those of the references (with their buyers) that another run has imported into the shop already."""
    return set(
        await tx.all(
            str,
            """
            SELECT said.reference
            FROM unnest(%(references)s::text[], %(buyers)s::uuid[], %(clients)s::uuid[])
              AS said (reference, buyer_id, client_id)
            JOIN orders."order" USING (buyer_id, client_id)
            WHERE "order".digest <> %(run)s
            UNION
            SELECT reference FROM orders.past_return
            WHERE shop_id = %(shop_id)s AND reference = ANY(%(references)s) AND run_id <> %(run_id)s
            """,
            references=[reference for reference, _ in deals],
            buyers=[buyer_id for _, buyer_id in deals],
            clients=[_client_id(run.shop_id, reference) for reference, _ in deals],
            run=run.id.bytes,
            run_id=run.id,
            shop_id=run.shop_id,
        )
    )


async def import_history(
    tx: Tx,
    run: ImportRun,
    *,
    currency: str,
    orders: list[PastDeal],
    returns: list[PastDeal],
    refused: list[RefusedRow],
    position: int,
    counts: dict[str, Any],
    done: bool = False,
) -> ImportRun:
    """Write one batch and move the run on; refuses `ImportElsewhere` when the run is not where it was.

    A reference that this run has met before gets the new lines added. Enters the pieces sold in the stock.
    """
    await feed.keep_fold_out(tx)
    moved = await tx.run(
        """
        UPDATE orders.import_run
        SET position = %(position)s, counts = %(counts)s, state = CASE WHEN %(done)s THEN 'done' ELSE state END,
            finished_at = CASE WHEN %(done)s THEN %(now)s END
        WHERE id = %(id)s AND position = %(before)s AND state = 'running'
        """,
        id=run.id,
        before=run.position,
        position=position,
        counts=Jsonb(counts),
        done=done,
        now=tx.now,
    )
    if not moved:
        raise ImportElsewhere()
    await _write_orders(tx, run, currency, orders)
    await _write_returns(tx, run, currency, returns)
    await _write_refused(tx, run, refused)
    pieces: dict[SkuId, int] = {}
    for deal in orders:
        for line in deal.lines:
            pieces[line.sku_id] = pieces.get(line.sku_id, 0) + line.quantity
    if pieces:
        await catalog.record_past_sales(tx, pieces, note=f"history: {run.name}"[:200])
    return msgspec.structs.replace(run, position=position, counts=counts, state="done" if done else "running")


async def list_refused(tx: Tx, run_id: UUID, *, after: int = 0) -> list[RefusedRow]:
    """The next thousand refused records, by line."""
    rows = await tx.tuples(
        """
        SELECT line, reason, said FROM orders.import_refusal
        WHERE run_id = %(run_id)s AND line > %(after)s ORDER BY line LIMIT %(limit)s
        """,
        run_id=run_id,
        after=after,
        limit=REFUSALS_PAGE_SIZE,
    )
    return [RefusedRow._make(row) for row in rows]


async def count_kept(tx: Tx, run: ImportRun) -> Kept:
    """Count what the database holds of a run (a full read)."""
    return await tx.one(
        Kept,
        """
        WITH bought AS (
            SELECT count(DISTINCT o.id) AS orders, count(*) AS order_lines,
                   coalesce(sum(l.quantity * l.unit_price_amount), 0)::bigint AS sold_amount
            FROM orders."order" AS o JOIN orders.line AS l ON l.order_id = o.id
            WHERE o.shop_id = %(shop_id)s AND o.source = 'imported' AND o.digest = %(run)s
        ), returned AS (
            SELECT count(DISTINCT r.id) AS returns, count(*) AS return_lines,
                   coalesce(sum(l.quantity * l.unit_price_amount), 0)::bigint AS returned_amount
            FROM orders.past_return AS r JOIN orders.past_return_line AS l ON l.return_id = r.id
            WHERE r.run_id = %(run_id)s
        )
        SELECT orders, order_lines, sold_amount, returns, return_lines, returned_amount,
               (SELECT count(*) FROM orders.import_refusal WHERE run_id = %(run_id)s) AS refused
        FROM bought, returned
        """,
        shop_id=run.shop_id,
        run=run.id.bytes,
        run_id=run.id,
    )


async def _write_orders(tx: Tx, run: ImportRun, currency: str, deals: list[PastDeal]) -> None:
    clients = [_client_id(run.shop_id, deal.reference) for deal in deals]
    present: dict[tuple[AccountId, UUID], tuple[OrderId, int]] = {
        (buyer_id, client_id): (order_id, lines)
        for buyer_id, client_id, order_id, lines in await tx.tuples(
            """
            SELECT buyer_id, client_id, id, (SELECT count(*) FROM orders.line WHERE order_id = "order".id)
            FROM orders."order"
            JOIN unnest(%(buyers)s::uuid[], %(clients)s::uuid[]) AS said (buyer_id, client_id)
              USING (buyer_id, client_id)
            """,
            buyers=[deal.buyer_id for deal in deals],
            clients=clients,
        )
    }
    ids: list[OrderId] = []
    first_numbers: list[int] = []
    for deal, client_id in zip(deals, clients, strict=True):
        order_id, lines = present.get((deal.buyer_id, client_id), (OrderId(_past_id(deal.at, client_id)), 0))
        ids.append(order_id)
        first_numbers.append(lines + 1)
    await tx.run(
        """
        WITH fresh AS (
            INSERT INTO orders."order" AS o (id, buyer_id, client_id, shop_id, state, currency, total_amount, source,
                                             placement, digest, placed_at, pay_by, paid_at, note)
            SELECT id, buyer_id, client_id, %(shop_id)s, 'completed', %(currency)s, total, 'imported',
                   placement, %(run)s, placed_at, placed_at, placed_at, note
            FROM unnest(%(ids)s::uuid[], %(buyers)s::uuid[], %(clients)s::uuid[], %(totals)s::bigint[],
                        %(times)s::timestamptz[], %(notes)s::text[], %(placements)s::text[])
              AS past (id, buyer_id, client_id, total, placed_at, note, placement)
            ON CONFLICT (buyer_id, client_id) DO UPDATE SET total_amount = o.total_amount + excluded.total_amount
            RETURNING id
        )
        INSERT INTO orders.shop_feed (shop_id, state, order_id)
        SELECT %(shop_id)s, 'completed', id FROM fresh WHERE id <= (SELECT folded_to FROM orders.fold)
        ON CONFLICT DO NOTHING
        """,
        ids=ids,
        buyers=[deal.buyer_id for deal in deals],
        clients=clients,
        totals=[deal.total_amount for deal in deals],
        times=[deal.at for deal in deals],
        notes=[f"Invoice {deal.reference}" for deal in deals],
        placements=[deal.placement for deal in deals],
        shop_id=run.shop_id,
        currency=currency,
        run=run.id.bytes,
    )
    await tx.run(
        """
        INSERT INTO orders.line (order_id, no, sku_id, product_id, quantity, unit_price_amount, title, options)
        SELECT order_id, no, sku_id, product_id, quantity, price, title, '{}'
        FROM unnest(%(owners)s::uuid[], %(numbers)s::smallint[], %(skus)s::uuid[], %(products)s::uuid[],
                    %(quantities)s::integer[], %(prices)s::bigint[], %(titles)s::text[])
          AS line (order_id, no, sku_id, product_id, quantity, price, title)
        """,
        **_line_arrays(deals, ids, first_numbers),
    )


async def _write_returns(tx: Tx, run: ImportRun, currency: str, deals: list[PastDeal]) -> None:
    if not deals:
        return
    present: dict[str, tuple[UUID, int]] = {
        reference: (id_, lines)
        for reference, id_, lines in await tx.tuples(
            """
            SELECT reference, id, (SELECT count(*) FROM orders.past_return_line WHERE return_id = past_return.id)
            FROM orders.past_return WHERE shop_id = %(shop_id)s AND reference = ANY(%(references)s)
            """,
            shop_id=run.shop_id,
            references=[deal.reference for deal in deals],
        )
    }
    ids: list[UUID] = []
    first_numbers: list[int] = []
    for deal in deals:
        id_, lines = present.get(
            deal.reference, (_past_id(deal.at, _client_id(run.shop_id, deal.reference)), 0)
        )
        ids.append(id_)
        first_numbers.append(lines + 1)
    await tx.run(
        """
        INSERT INTO orders.past_return AS r (id, run_id, shop_id, buyer_id, reference, currency, total_amount,
                                             returned_at, placement)
        SELECT id, %(run_id)s, %(shop_id)s, buyer_id, reference, %(currency)s, total, returned_at, placement
        FROM unnest(%(ids)s::uuid[], %(buyers)s::uuid[], %(references)s::text[], %(totals)s::bigint[],
                    %(times)s::timestamptz[], %(placements)s::text[])
          AS past (id, buyer_id, reference, total, returned_at, placement)
        ON CONFLICT (shop_id, reference) DO UPDATE SET total_amount = r.total_amount + excluded.total_amount
        """,
        ids=ids,
        buyers=[deal.buyer_id for deal in deals],
        references=[deal.reference for deal in deals],
        totals=[deal.total_amount for deal in deals],
        times=[deal.at for deal in deals],
        placements=[deal.placement for deal in deals],
        run_id=run.id,
        shop_id=run.shop_id,
        currency=currency,
    )
    await tx.run(
        """
        INSERT INTO orders.past_return_line (return_id, no, sku_id, product_id, quantity, unit_price_amount, title)
        SELECT return_id, no, sku_id, product_id, quantity, price, title
        FROM unnest(%(owners)s::uuid[], %(numbers)s::smallint[], %(skus)s::uuid[], %(products)s::uuid[],
                    %(quantities)s::integer[], %(prices)s::bigint[], %(titles)s::text[])
          AS line (return_id, no, sku_id, product_id, quantity, price, title)
        """,
        **_line_arrays(deals, ids, first_numbers),
    )


async def _write_refused(tx: Tx, run: ImportRun, refused: list[RefusedRow]) -> None:
    if not refused:
        return
    await tx.run(
        """
        INSERT INTO orders.import_refusal (run_id, line, reason, said)
        SELECT %(run_id)s, line, reason, said
        FROM unnest(%(lines)s::bigint[], %(reasons)s::text[], %(said)s::text[]) AS refused (line, reason, said)
        """,
        run_id=run.id,
        lines=[row.line for row in refused],
        reasons=[row.reason for row in refused],
        said=[row.said for row in refused],
    )


def _line_arrays(deals: list[PastDeal], ids: list[Any], first_numbers: list[int]) -> dict[str, list[Any]]:
    rows = [
        (id_, number, line)
        for deal, id_, first in zip(deals, ids, first_numbers, strict=True)
        for number, line in enumerate(deal.lines, start=first)
    ]
    return {
        "owners": [row[0] for row in rows],
        "numbers": [row[1] for row in rows],
        "skus": [row[2].sku_id for row in rows],
        "products": [row[2].product_id for row in rows],
        "quantities": [row[2].quantity for row in rows],
        "prices": [row[2].unit_price_amount for row in rows],
        "titles": [row[2].title for row in rows],
    }


def _client_id(shop_id: ShopId, reference: str) -> UUID:
    """The id of a number in the old books: the same every time the file is read."""
    return uuid5(shop_id, f"history:{reference}")


def _past_id(at: datetime, client_id: UUID) -> UUID:
    """A UUIDv7 of that day, so that history stands before today in every list, and is the same every time."""
    return UUID(int=lowest_id_at(at).int | (client_id.int & ((1 << 62) - 1)))
