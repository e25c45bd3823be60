"""`laotie bench settlement`: confirmed orders settled, split and put on statements, against a bare `INSERT ... SELECT`.

Product: `settlement.settle_due`, as the worker calls it, over claims of that many completed orders: each is taken from
what is due, divided by its own rates (platform, payment, streamer), put on the statements of shop and streamer, and
moved in the ledger by up to four transfers; batch after batch, each committed with fsync. Peer: the very rows that came
of it, from copies that are in memory already, by one bare `INSERT ... SELECT` a table into empty tables with the same
indexes, checks and foreign keys, on the same server.

What comes before a claim (news of the completion heard, the order locked, its worth and rates looked up) happens one by
one as orders complete, days earlier; it is measured too, over orders in `orders`, as `claims_per_s`, and
`ratio_with_claims` holds it against the same peer.
"""

import asyncio
import json
import resource
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, LiteralString
from uuid import UUID

import psycopg
import uvloop
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from laotie import ledger, settlement
from laotie.base.db import Database, Tx
from laotie.base.ids import TransferId, new_id
from laotie.base.migrate import migrate
from laotie.base.postgres import EmbeddedPostgres
from laotie.ledger import Account, AccountKind
from laotie.settlement.settling import BATCH_SIZE_MAX

console = Console(stderr=True)

SHOPS = 1_000
STREAMERS = 300
WARM_UP = 20_000
CLAIMED = 20_000
FILLED_AT_ONCE = 50_000
RULES = settlement.Rules(timedelta(hours=168), "Asia/Shanghai")


def main(
    *,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    orders: int = 1_000_000,
    batch: int = BATCH_SIZE_MAX,
) -> None:
    """Settle so many completed orders, and insert the same rows barely; a table and, with --json, one JSON object last."""
    figures = uvloop.run(_measure(orders, batch))
    _show(figures)
    if as_json:
        print(json.dumps(figures))


async def _measure(orders: int, batch: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="laotie-bench-") as folder:
        postgres = EmbeddedPostgres(Path(folder))
        url = postgres.start()
        try:
            migrate(url)
            db = await Database.open(url, pool_max=4)
            try:
                return await _run(db, url, orders, batch)
            finally:
                await db.close()
        finally:
            postgres.stop()


async def _run(db: Database, url: str, orders: int, batch: int) -> dict[str, Any]:
    shops, streamers = await open_parties(db)
    console.print("claims of completed orders …")
    claims_per_s = await _measure_claims(db, shops)
    await fill(db, WARM_UP, shops, streamers)
    await settlement.settle_due(db, RULES, size=batch)
    tenth = max(1, orders // 10)
    await fill(db, tenth, shops, streamers)
    await settlement.settle_due(db, RULES, size=batch)
    peak_tenth_mb = _peak_mb()
    console.print(f"{orders:,} orders become due …")
    expected = await fill(db, orders, shops, streamers)
    async with db.tx() as tx:
        await ledger.fold(tx)
        since = await tx.one(UUID, "SELECT order_id FROM settlement.due ORDER BY order_id LIMIT 1")
    before = await _sums(db)
    console.print("settling …")
    started = time.perf_counter()
    settled = await settlement.settle_due(db, RULES, size=batch)
    settle_s = time.perf_counter() - started
    peak_mb = _peak_mb()
    after = await _sums(db)
    console.print("the bare INSERT of the same rows …")
    rows, bare_s = await asyncio.to_thread(_insert_bare, url, since)
    difference = abs(sum(after.values()) - sum(before.values()) - expected) + await check(db)
    bare, ours = orders / bare_s, settled / settle_s
    return {
        "orders": settled,
        "orders_per_s": round(ours),
        "bare_insert_orders_per_s": round(bare),
        "ratio": round(ours / bare, 3),
        "rows_per_order": round(rows / settled, 2),
        "peak_mb": peak_mb,
        "peak_mb_at_a_tenth": peak_tenth_mb,
        "difference_minor_units": difference + abs(settled - orders),
        "claims_per_s": round(claims_per_s),
        "ratio_with_claims": round(1 / (1 / ours + 1 / claims_per_s) / bare, 3),
        "batch": batch,
        "shops": SHOPS,
        "streamers": STREAMERS,
    }


def _peak_mb() -> int:
    """The most memory this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


async def open_parties(db: Database) -> tuple[list[UUID], list[UUID]]:
    """Shops and streamers with their accounts, and the rates that count for them."""
    shops, streamers = [new_id() for _ in range(SHOPS)], [new_id() for _ in range(STREAMERS)]
    async with db.tx() as tx:
        for owner_id in [*shops, *streamers]:
            held, own = Account(AccountKind.shop_held, "CNY", owner_id), settlement.payable(owner_id, "CNY")
            await ledger.open_many(tx, [held, own])
        house = (AccountKind.commission, AccountKind.payment_fee, AccountKind.provider)
        await ledger.open_many(tx, [Account(kind, "CNY") for kind in house])
        for kind, bps in (("platform", 500), ("payment", 60)):
            await tx.run(
                """
                INSERT INTO settlement.rate (id, kind, bps, valid_from, note, made_at)
                VALUES (%(id)s, %(kind)s, %(bps)s, %(now)s, 'bench', %(now)s)
                """,
                id=new_id(),
                kind=kind,
                bps=bps,
                now=tx.now,
            )
    return shops, streamers


async def fill(db: Database, count: int, shops: list[UUID], streamers: list[UUID]) -> int:
    """Claims that are due, and what buyers paid for them in each shop's hands; returns their sum (minor units)."""
    async with db.tx() as tx:
        total = 0
        for begun in range(0, count, FILLED_AT_ONCE):
            total += await _fill_some(tx, begun, min(FILLED_AT_ONCE, count - begun), shops, streamers)
        held = await tx.tuples(
            """
            SELECT shop_id, sum(goods_amount + shipping_amount + subsidy_amount)::bigint FROM settlement.due GROUP BY 1
            """
        )
        provider = Account(AccountKind.provider, "CNY")
        await ledger.transfer_many(
            tx,
            [
                ledger.Transfer(
                    TransferId(new_id()),
                    debit=provider,
                    credit=Account(AccountKind.shop_held, "CNY", shop_id),
                    amount=amount,
                    reason="paid",
                    subject_id=shop_id,
                )
                for shop_id, amount in held
            ],
        )
    await _vacuum(db)
    return total


async def _fill_some(tx: Tx, begun: int, count: int, shops: list[UUID], streamers: list[UUID]) -> int:
    return await tx.one(
        int,
        """
        WITH filled AS (
            INSERT INTO settlement.due (order_id, no, shop_id, streamer_id, currency, goods_amount, shipping_amount,
                subsidy_amount, platform_bps, payment_bps, streamer_bps, completed_at, due_at, held_id, payable_id,
                streamer_payable_id)
            SELECT id, 0, (%(shops)s::uuid[])[1 + (n * 7919) %% %(shop_count)s],
                   CASE WHEN n %% 10 < 7 THEN (%(streamers)s::uuid[])[1 + (n * 104729) %% %(streamer_count)s] END,
                   'CNY', 1000 + (n * 31) %% 50000, (n %% 3) * 500, CASE WHEN n %% 5 = 0 THEN 300 ELSE 0 END,
                   300 + n %% 300, 60, CASE WHEN n %% 10 < 7 THEN 1000 + n %% 1500 ELSE 0 END,
                   %(now)s - interval '8 days', %(now)s - interval '1 day' + n * interval '1 microsecond',
                   (%(held)s::uuid[])[1 + (n * 7919) %% %(shop_count)s],
                   (%(payable)s::uuid[])[1 + (n * 7919) %% %(shop_count)s],
                   CASE WHEN n %% 10 < 7 THEN (%(theirs)s::uuid[])[1 + (n * 104729) %% %(streamer_count)s] END
            FROM (SELECT id, %(begun)s + position AS n
                  FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS one (id, position)) AS made
            RETURNING goods_amount + shipping_amount + subsidy_amount AS amount
        )
        SELECT sum(amount)::bigint FROM filled
        """,
        ids=[new_id() for _ in range(count)],
        begun=begun,
        shops=shops,
        held=[Account(AccountKind.shop_held, "CNY", shop_id).id for shop_id in shops],
        payable=[settlement.payable(shop_id, "CNY").id for shop_id in shops],
        theirs=[settlement.payable(streamer_id, "CNY").id for streamer_id in streamers],
        shop_count=len(shops),
        streamers=streamers,
        streamer_count=len(streamers),
        now=tx.now,
    )


async def _vacuum(db: Database) -> None:
    """What autovacuum would have done in the days that lie between."""

    def work() -> None:
        with psycopg.connect(db.url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE settlement.due")
            connection.execute("CHECKPOINT")

    await asyncio.to_thread(work)


async def _measure_claims(db: Database, shops: list[UUID]) -> float:
    """How many completed orders a second become claims; these are orders of `orders`, and are not settled here."""
    order_ids = [new_id() for _ in range(CLAIMED)]
    async with db.tx() as tx:
        await tx.run(
            """
            WITH made AS (
                INSERT INTO orders."order" (id, buyer_id, client_id, shop_id, state, currency, total_amount, source,
                    placement, digest, placed_at, pay_by, paid_at, shipped_at, completed_at, payment_id)
                SELECT id, gen_random_uuid(), gen_random_uuid(), (%(shops)s::uuid[])[1 + n %% %(shop_count)s],
                       'completed', 'CNY', 2 * (500 + n), 'shelf', 'direct', '\\x00', %(now)s, %(now)s, %(now)s, %(now)s,
                       %(now)s, gen_random_uuid()
                FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS one (id, n) RETURNING id, shop_id, total_amount
            ), line AS (
                INSERT INTO orders.line (order_id, no, sku_id, product_id, quantity, unit_price_amount, title, options)
                SELECT id, 1, gen_random_uuid(), gen_random_uuid(), 2, total_amount / 2, 'bench', '{}' FROM made
            ), delivery AS (
                INSERT INTO orders.delivery (order_id, shop_id, stage) SELECT id, shop_id, 'closed' FROM made
            )
            SELECT count(*) FROM made
            """,
            shops=shops,
            shop_count=len(shops),
            ids=order_ids,
            now=tx.now,
        )
        await tx.run(
            "INSERT INTO settlement.look (cause_id, order_id) SELECT id, id FROM unnest(%(ids)s::uuid[]) AS id",
            ids=order_ids,
        )
    started = time.perf_counter()
    while await settlement.work_looks(db, RULES):
        pass
    lasted = time.perf_counter() - started
    async with db.tx() as tx:
        claimed = await tx.run("DELETE FROM settlement.due")
    assert claimed == CLAIMED, f"{claimed} of {CLAIMED} orders became claims"
    return CLAIMED / lasted


async def _sums(db: Database) -> dict[AccountKind, int]:
    """What all accounts of a kind have together."""
    kinds = (AccountKind.payable, AccountKind.commission, AccountKind.payment_fee)
    async with db.read() as tx:
        return {kind: sum((await ledger.list_balances(tx, kind)).values()) for kind in kinds}


async def check(db: Database) -> int:
    """By how much owners' lines, the ledger and what buyers paid differ in the end, in minor units."""
    async with db.read() as tx:
        tally = await settlement.tally(tx)
        owed = {
            (str(account.owner_id), account.currency): amount
            for account, amount in (await ledger.list_balances(tx, AccountKind.payable)).items()
        }
        held = await ledger.list_balances(tx, AccountKind.shop_held)
        books = await ledger.tally(tx)
    off = sum(abs(owed.get(key, 0) - tally.owed.get(key, 0)) for key in owed.keys() | tally.owed.keys())
    wrong = len(tally.split_off) + len(tally.twice) + books.balances_off + abs(books.sum_of_balances)
    return off + sum(abs(amount) for amount in held.values()) + wrong


def _insert_bare(url: str, since: UUID) -> tuple[int, float]:
    """The rows of the last run once more, into empty tables of the same form; how many, and how long it took."""
    tables: tuple[tuple[LiteralString, LiteralString], ...] = (
        ("line", "SELECT * FROM settlement.line WHERE order_id >= %(since)s"),
        (
            "transfer",
            "SELECT t.* FROM ledger.transfer AS t JOIN bare.line_copy AS l ON l.id = t.subject_id",
        ),
        ("delta", "SELECT * FROM ledger.delta"),
    )
    schemas: dict[str, LiteralString] = {"line": "settlement.line", "transfer": "ledger.transfer", "delta": "ledger.delta"}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET work_mem = '256MB'")
        connection.execute("CREATE SCHEMA bare")
        for name, rows in tables:
            connection.execute(f"CREATE UNLOGGED TABLE bare.{name}_copy AS {rows}", {"since": since})
            connection.execute(f"CREATE TABLE bare.{name} (LIKE {schemas[name]} INCLUDING ALL)")
            connection.execute(f"VACUUM ANALYZE bare.{name}_copy")
        connection.execute("ALTER TABLE bare.transfer ADD FOREIGN KEY (settles_id) REFERENCES ledger.transfer (id)")
        connection.execute("ALTER TABLE bare.delta ADD FOREIGN KEY (account_id, currency) REFERENCES ledger.account (id, currency)")
        connection.execute("CHECKPOINT")
        started = time.perf_counter()
        written = 0
        with connection.transaction():
            for name, _ in tables:
                written += connection.execute(f"INSERT INTO bare.{name} TABLE bare.{name}_copy").rowcount
        lasted = time.perf_counter() - started
        connection.execute("DROP SCHEMA bare CASCADE")
    return written, lasted


def _show(figures: dict[str, Any]) -> None:
    table = Table(title=f"{figures['orders']:,} completed orders, {figures['rows_per_order']} rows each")
    for column in ("way", "orders/s", "x bare"):
        table.add_column(column, justify="left" if column == "way" else "right")
    table.add_row("laotie: settled, split, on statements", f"{figures['orders_per_s']:,}", f"{figures['ratio']}")
    table.add_row("laotie: completed orders become claims", f"{figures['claims_per_s']:,}", "")
    table.add_row("both together", "", f"{figures['ratio_with_claims']}")
    table.add_row("bare INSERT ... SELECT of the same rows", f"{figures['bare_insert_orders_per_s']:,}", "1")
    console.print(table)
    console.print(
        f"peak {figures['peak_mb']} MB ({figures['peak_mb_at_a_tenth']} MB at a tenth of the orders),"
        f" difference {figures['difference_minor_units']}"
    )
