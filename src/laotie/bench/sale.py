"""`laotie bench sale`: the flash sale against PostgreSQL's own pgbench, in one run on the same cores.

Product: a real `laotie serve`; every buyer has a ticketed socket and buys one piece of one hot SKU as fast as the
answers come (price, shelf, limit per person, stock, order, line, count, ledger hold, outbox; answered after the commit;
fsync and synchronous_commit on). Peer: pgbench writes the same rows to the same server, one transaction an order
(best of 1, 16 and 64 clients, prepared), and 50 orders a transaction. Runs alternate; medians are printed. Only
accepted orders count, and every acknowledged order is looked up in the database afterwards.

`full` is the same sale with everything on every order: a coupon of the buyer's, the limit per person, a guarantee.
`full_ratio` is what that leaves of the plain figure (500 sockets), measured alternately in the same run.
"""

import asyncio
import contextlib
import json
import re
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import psycopg
import uvloop
from cyclopts import Parameter
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from rich.console import Console
from rich.table import Table

from laotie.base.db import Database
from laotie.base.ids import new_id
from laotie.base.migrate import migrate
from laotie.bench.httpload import HttpBuyer
from laotie.bench.market import HotSale, Purse, fill_purses, give_all, open_sale, ticket_for
from laotie.bench.server import ServerUnderTest
from laotie.offers import CouponId

console = Console(stderr=True)

SOCKETS = (64, 500, 2_000)
PEER_CLIENTS = (1, 16, 64)
HTTP_CLIENTS = 64
FULL_SOCKETS = 500
STOCK_PLENTY = 50_000_000
LIMIT_PLENTY = 10_000


class _Answer(msgspec.Struct):
    """What a buyer reads of any frame."""

    t: str
    re: str | None = None
    code: str | None = None
    order: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Answer).decode


class Results:
    """What the buyers of one run saw."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.accepted: dict[str, str] = {}
        self.refused = 0
        self.unanswered = 0
        self.contradicted = 0
        self.started = 0.0
        self.ended = 0.0

    def accept(self, client_id: str, order_id: str, latency: float) -> None:
        if self.accepted.setdefault(client_id, order_id) != order_id:
            self.contradicted += 1
        self.latencies.append(latency)

    @property
    def orders_per_s(self) -> float:
        return len(self.accepted) / (self.ended - self.started)

    def percentile_ms(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2) if ordered else 0.0


class SocketBuyer(WSListener):
    """One fan with a ticket, who buys again as soon as the answer is there."""

    def __init__(self, sale: HotSale, ticket: str, results: Results, claims: list[str] | None = None) -> None:
        self._sale = sale
        self._ticket = ticket
        self._results = results
        self._claims = claims
        self._sent_at = 0.0
        self._asked: str | None = None
        self.buying = False
        self.welcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.idle = asyncio.Event()
        self.idle.set()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        transport.send(WSMsgType.TEXT, b'{"t":"hello","ticket":"%s"}' % self._ticket.encode())

    def buy(self) -> None:
        """With a purse, a coupon goes with every purchase; who has none left buys no more."""
        claim_id = self._claims.pop() if self._claims else None
        if self._claims is not None and claim_id is None:
            self.buying = False
            self.idle.set()
            return
        self.idle.clear()
        client_id = str(new_id())
        self._asked = client_id
        self._sent_at = time.perf_counter()
        self.transport.send(WSMsgType.TEXT, self._sale.buy_frame(client_id, claim_id=claim_id))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            return
        payload = frame.get_payload_as_bytes()
        if payload.startswith(b'{"t":"batch"'):
            return
        answer = _decode(payload)
        if answer.t == "welcome":
            if not self.welcome.done():
                self.welcome.set_result(None)
        elif answer.t == "order" and answer.re == self._asked and answer.order is not None:
            assert self._asked is not None
            self._results.accept(self._asked, answer.order["id"], time.perf_counter() - self._sent_at)
            self._next()
        elif answer.t == "refused":
            if not self.welcome.done():
                self.welcome.set_exception(RuntimeError(f"refused at the door: {payload.decode()}"))
                return
            self._results.refused += 1
            self._results.latencies.append(time.perf_counter() - self._sent_at)
            if answer.code in ("sold-out", "limit-reached"):
                self.buying = False
            self._next()
        elif answer.t == "bye":
            self.idle.set()

    def _next(self) -> None:
        self._asked = None
        if self.buying:
            self.buy()
        else:
            self.idle.set()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self._asked is not None:
            self._results.unanswered += 1
        self.idle.set()


async def run_sockets(
    server: ServerUnderTest, sale: HotSale, *, buyers: int, seconds: float, purses: list[Purse] | None = None
) -> Results:
    """`buyers` sockets buy in a closed loop for `seconds`; with `purses`, each with its own coupons."""
    results = Results()
    signer = server.signer
    people: list[SocketBuyer] = []
    for number in range(buyers):
        purse = purses[number] if purses is not None else None
        ticket = ticket_for(signer, sale, account_id=purse.account_id if purse else None)
        person = SocketBuyer(sale, ticket, results, list(purse.claims) if purse else None)
        await ws_connect(lambda one=person: one, f"ws://127.0.0.1:{server.port}/ws")
        people.append(person)
    await asyncio.gather(*(person.welcome for person in people))
    await _run_closed_loop(people, results, seconds)
    for person in people:
        person.transport.disconnect()
    await asyncio.sleep(0.2)
    return results


async def run_http(server: ServerUnderTest, sale: HotSale, *, buyers: int, seconds: float) -> Results:
    """The same over HTTP: keep-alive connections with bearer tokens, one request at a time each."""
    results = Results()
    people = [HttpBuyer(sale, token, results) for token in sale.tokens[:buyers]]
    for person in people:
        await person.connect("127.0.0.1", server.port)
    await _run_closed_loop(people, results, seconds)
    for person in people:
        person.close()
    return results


async def _run_closed_loop(people: list[Any], results: Results, seconds: float) -> None:
    results.started = time.perf_counter()
    for person in people:
        person.buying = True
        person.buy()
    deadline = results.started + seconds
    while time.perf_counter() < deadline and any(person.buying for person in people):
        await asyncio.sleep(0.02)
    results.ended = time.perf_counter()
    for person in people:
        person.buying = False
    _, late = await asyncio.wait([asyncio.ensure_future(person.idle.wait()) for person in people], timeout=20)
    results.unanswered += len(late)
    for waiter in late:
        waiter.cancel()
    results.ended = max(results.ended, time.perf_counter()) if len(results.accepted) < len(people) else results.ended


def check(url: str, sale: HotSale, runs: list[Results]) -> dict[str, int]:
    """Compare what the buyers were told with what the database holds."""
    told = {client_id: order_id for run in runs for client_id, order_id in run.accepted.items()}
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            'SELECT o.client_id::text, o.id::text FROM orders."order" AS o JOIN orders.line AS l ON l.order_id = o.id'
            " WHERE l.sku_id = %s",
            (sale.sku_id,),
        ).fetchall()
        stock = connection.execute(
            "SELECT available, reserved, sold, received FROM catalog.sku WHERE id = %s", (sale.sku_id,)
        ).fetchone()
        moved = connection.execute(
            "SELECT coalesce(sum(quantity), 0)::bigint FROM catalog.stock_movement WHERE sku_id = %s AND kind = 'reserved'",
            (sale.sku_id,),
        ).fetchone()
        held = connection.execute(
            "SELECT count(*) FROM ledger.transfer AS t JOIN orders.line AS l ON l.order_id = t.id WHERE l.sku_id = %s",
            (sale.sku_id,),
        ).fetchone()
    assert stock is not None and moved is not None and held is not None
    stored: dict[str, str] = dict(rows)
    available, reserved, sold, received = stock
    taken = len(rows)
    return {
        "oversold": max(0, taken - received) + abs(taken - reserved - sold) + abs(taken - abs(moved[0])),
        "lost": len([client_id for client_id, order_id in told.items() if stored.get(client_id) != order_id])
        + abs(taken - held[0])
        + abs(available + reserved + sold - received),
        "duplicated": len(rows) - len(stored) + sum(run.contradicted for run in runs),
    }


def check_coupons(url: str, orders: int) -> int:
    """Orders, claims and budget of the full sale that do not agree; every full order must be guaranteed."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            """
            SELECT (SELECT count(*) FROM offers.application), (SELECT count(order_ids) FROM offers.claim),
                   (SELECT sum(used_count)::bigint FROM offers.coupon),
                   (SELECT count(*) FROM offers.application
                    JOIN orders.line ON line.order_id = application.order_id AND pledge_id IS NOT NULL
                      AND discount_amount = amount),
                   (SELECT (sum(spent_amount) - (SELECT sum(amount) FROM offers.application))::bigint FROM offers.coupon)
            """
        ).fetchone()
    assert row is not None
    applied, spent, used, guaranteed, amount_off = (int(figure or 0) for figure in row)
    off = abs(applied - spent) + abs(applied - used) + abs(amount_off)
    return max(0, orders - applied) + off + applied - guaranteed


# --- the peer -----------------------------------------------------------------------------------------------------


def peer_script(sale: HotSale, *, orders: int) -> str:
    """pgbench's way to the same rows: locks and reads first, then the inserts, `orders` of them a transaction."""
    head = f"""
BEGIN;
SELECT pg_advisory_xact_lock_shared(4711);
SELECT state FROM live.show WHERE id = '{sale.show_id}';
SELECT i.on_shelf, i.limit_per_person, i.sale_ends_at, p.price_amount FROM live.cart_item AS i
  JOIN live.cart_price AS p ON p.item_id = i.id
  WHERE i.id = '{sale.item_id}' AND p.sku_id = '{sale.sku_id}' FOR NO KEY UPDATE OF i;
SELECT s.available, s.price_amount, s.state, p.state, p.title FROM catalog.sku AS s
  JOIN catalog.product AS p ON p.id = s.product_id WHERE s.id = '{sale.sku_id}' FOR NO KEY UPDATE OF s;
"""
    one = f"""
\\set buyer random(1, 2000)
SELECT id FROM orders."order" WHERE buyer_id = lpad(to_hex(:buyer::bigint), 32, '0')::uuid AND client_id = gen_random_uuid();
SELECT quantity FROM orders.bought
  WHERE cart_item_id = '{sale.item_id}' AND buyer_id = lpad(to_hex(:buyer::bigint), 32, '0')::uuid;
SELECT uuidv7() AS id \\gset
INSERT INTO orders."order" (id, buyer_id, client_id, shop_id, show_id, state, currency, total_amount, source, placement,
    visit_id, digest, placed_at, pay_by)
  VALUES (:id, lpad(to_hex(:buyer::bigint), 32, '0')::uuid, gen_random_uuid(), '{sale.shop_id}', '{sale.show_id}', 'placed', 'CNY',
    {sale.price}, 'direct', 'direct', gen_random_uuid(), '\\x000102030405060708090a0b', now(), now() + interval '15 min');
INSERT INTO orders.line (order_id, no, sku_id, product_id, cart_item_id, quantity, unit_price_amount, title, options)
  VALUES (:id, 1, '{sale.sku_id}', '{sale.product_id}', '{sale.item_id}', 1, {sale.price}, '{sale.title}', '{{}}');
INSERT INTO orders.bought (cart_item_id, buyer_id, quantity)
  VALUES ('{sale.item_id}', lpad(to_hex(:buyer::bigint), 32, '0')::uuid, 1)
  ON CONFLICT (cart_item_id, buyer_id, wave_id) DO UPDATE SET quantity = orders.bought.quantity + 1;
INSERT INTO catalog.stock_movement (id, sku_id, kind, quantity, order_id, moved_at)
  VALUES (uuidv7(), '{sale.sku_id}', 'reserved', 1, :id, now());
INSERT INTO ledger.transfer (id, debit_id, credit_id, amount, currency, phase, reason, subject_id, made_at)
  VALUES (:id, '{sale.debit_id}', '{sale.credit_id}', {sale.price}, 'CNY', 'pending', 'order', :id, now());
INSERT INTO base.outbox (id, tag, body, told_at, request_id)
  VALUES (uuidv7(), 'order.placed', '\\x{sale.news_example.hex()}', now(), 'b7a1c2d3e4f50617');
"""
    tail = f"""
UPDATE catalog.sku SET available = available - {orders}, reserved = reserved + {orders} WHERE id = '{sale.sku_id}'
  AND available >= {orders};
INSERT INTO ledger.delta (id, account_id, currency, debits_pending, credits_pending, debits_posted, credits_posted)
  VALUES (uuidv7(), '{sale.debit_id}', 'CNY', {sale.price * orders}, 0, 0, 0),
    (uuidv7(), '{sale.credit_id}', 'CNY', 0, {sale.price * orders}, 0, 0);
INSERT INTO base.outbox (id, tag, body, told_at)
  VALUES (uuidv7(), 'catalog.stock_changed', '\\x{sale.stock_news_example.hex()}', now());
COMMIT;
"""
    return head + one * orders + tail


def run_peer(server: ServerUnderTest, url: str, script: Path, *, clients: int, seconds: float) -> float:
    """Transactions a second by pgbench."""
    match = re.search(r"/([^/?]+)\?host=(.*)$", url)
    assert match is not None
    command = [
        str(server.postgres.bin / "pgbench"), "-h", match[2], "-U", "postgres", "-n", "-M", "prepared", "-f", str(script),
        "-c", str(clients), "-j", str(min(2, clients)), "-T", str(max(1, round(seconds))), match[1],
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own arguments)
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if done.returncode != 0 or found is None:
        raise RuntimeError(f"pgbench failed: {done.stderr[-800:]}")
    return float(found[1])


# --- the run ------------------------------------------------------------------------------------------------------


def main(
    *,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    rounds: int = 3,
    seconds: float = 5.0,
) -> None:
    """Measure the flash sale against pgbench, alternating; prints a table and, with --json, one JSON object last."""
    _raise_file_limit()
    figures = uvloop.run(_measure(rounds=rounds, seconds=seconds))
    _show(figures)
    if as_json:
        print(json.dumps(figures, ensure_ascii=False))


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536) if hard > 0 else 65_536, hard))


async def _measure(*, rounds: int, seconds: float) -> dict[str, Any]:
    with ServerUnderTest(viewer_buys_per_s="1000000") as server, tempfile.TemporaryDirectory() as scratch:
        console.log(f"server ready on {server.url}; opening the market")
        sale = await _open(server, server.database_url, stock=STOCK_PLENTY, http_buyers=HTTP_CLIENTS)
        full_sale = await _open(server, server.database_url, stock=STOCK_PLENTY, http_buyers=0)
        coupon_id = await _give_all(server, full_sale)
        peer_url = _make_peer_database(server)
        peer_sale = await _open(server, peer_url, stock=STOCK_PLENTY, http_buyers=0)
        scripts = {count: Path(scratch) / f"peer{count}.sql" for count in (1, 50)}
        for count, path in scripts.items():
            path.write_text(peer_script(peer_sale, orders=count))
        product: dict[int, list[Results]] = {count: [] for count in SOCKETS}
        over_http: list[Results] = []
        peer: dict[int, list[float]] = {count: [] for count in PEER_CLIENTS}
        batched: list[float] = []
        full: list[Results] = []
        await run_sockets(server, sale, buyers=64, seconds=1.0)
        warm = [await run_sockets(server, sale, buyers=500, seconds=1.5)]
        for number in range(1, rounds + 1):
            for count in SOCKETS:
                await _quiet(server)
                run = await run_sockets(server, sale, buyers=count, seconds=seconds)
                product[count].append(run)
                console.log(
                    f"round {number}: {count} sockets {run.orders_per_s:,.0f} orders/s,"
                    f" p50 {run.percentile_ms(0.5)} ms, p99 {run.percentile_ms(0.99)} ms"
                )
                if count == FULL_SOCKETS:
                    each = 20 + round(1.3 * run.orders_per_s * seconds / count)
                    full.append(await _run_full(server, full_sale, coupon_id, each=each, seconds=seconds))
                    console.log(f"round {number}: {count} sockets, coupons {full[-1].orders_per_s:,.0f} orders/s")
            await _quiet(server)
            run = await run_http(server, sale, buyers=HTTP_CLIENTS, seconds=seconds)
            over_http.append(run)
            console.log(f"round {number}: HTTP {run.orders_per_s:,.0f} orders/s, p99 {run.percentile_ms(0.99)} ms")
            await _quiet(server)
            for clients in PEER_CLIENTS:
                peer[clients].append(run_peer(server, peer_url, scripts[1], clients=clients, seconds=seconds))
                console.log(f"round {number}: pgbench {clients} clients {peer[clients][-1]:,.0f} orders/s")
            batched.append(
                50 * max(run_peer(server, peer_url, scripts[50], clients=c, seconds=seconds) for c in (1, 4))
            )
            console.log(f"round {number}: pgbench, 50 a transaction, {batched[-1]:,.0f} orders/s")
        scarce, few = await _sell_out(server)
        checked = check(server.database_url, sale, warm + [r for runs in product.values() for r in runs] + over_http)
        for those, runs in ((few, [scarce]), (full_sale, full)):
            for name, value in check(server.database_url, those, runs).items():
                checked[name] += value
        checked["lost"] += check_coupons(server.database_url, sum(len(run.accepted) for run in full))
        backlog = await _quiet(server)
    return _figures(product, full, over_http, peer, batched, scarce, checked, backlog)


async def _give_all(server: ServerUnderTest, sale: HotSale) -> CouponId:
    db = await Database.open(server.database_url)
    try:
        return await give_all(db, sale)
    finally:
        await db.close()


async def _run_full(
    server: ServerUnderTest, sale: HotSale, coupon_id: CouponId, *, each: int, seconds: float
) -> Results:
    """A coupon, a limit per person and a guarantee on every order."""
    db = await Database.open(server.database_url)
    try:
        purses = await fill_purses(db, coupon_id, buyers=FULL_SOCKETS, each=each)
    finally:
        await db.close()
    await _quiet(server)
    return await run_sockets(server, sale, buyers=FULL_SOCKETS, seconds=seconds, purses=purses)


async def _sell_out(server: ServerUnderTest) -> tuple[Results, HotSale]:
    """The last 2,000 pieces and 500 buyers: everyone is answered, and exactly 2,000 are sold."""
    few = await _open(server, server.database_url, stock=2_000, http_buyers=0)
    return await run_sockets(server, few, buyers=500, seconds=10), few


async def _open(server: ServerUnderTest, url: str, *, stock: int, http_buyers: int) -> HotSale:
    db = await Database.open(url)
    try:
        return await open_sale(db, stock=stock, limit=LIMIT_PLENTY, http_buyers=http_buyers)
    finally:
        await db.close()


def _make_peer_database(server: ServerUnderTest) -> str:
    """A database of its own on the same server, so that the relay does not work while the peer runs."""
    admin = server.database_url.replace("/laotie?", "/postgres?")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("CREATE DATABASE peer")
    url = server.database_url.replace("/laotie?", "/peer?")
    migrate(url)
    return url


async def _quiet(server: ServerUnderTest) -> int:
    """Wait until the relay has carried everything (at most two minutes), then checkpoint: the same start for all."""
    with psycopg.connect(server.database_url, autocommit=True) as connection:
        deadline = time.monotonic() + 120
        first: int | None = None
        while True:
            row = connection.execute("SELECT count(*) FROM base.outbox").fetchone()
            assert row is not None
            first = row[0] if first is None else first
            if row[0] == 0 or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.1)
        connection.execute("CHECKPOINT")
        return first


def _figures(
    product: dict[int, list[Results]],
    full: list[Results],
    over_http: list[Results],
    peer: dict[int, list[float]],
    batched: list[float],
    scarce: Results,
    checked: dict[str, int],
    backlog: int,
) -> dict[str, Any]:
    def median(runs: list[Results], of: Callable[[Results], float]) -> float:
        return round(statistics.median(of(run) for run in runs), 2)

    pgbench = max(statistics.median(runs) for runs in peer.values())
    best = {count: median(runs, lambda run: run.orders_per_s) for count, runs in product.items()}
    everyone = [run for runs in product.values() for run in runs] + full + over_http + [scarce]
    return {
        "orders_per_s": best[500],
        "pgbench_orders_per_s": round(pgbench, 1),
        "pgbench_batched_orders_per_s": round(statistics.median(batched), 1),
        "ratio": round(best[500] / pgbench, 2),
        "full_orders_per_s": median(full, lambda run: run.orders_per_s),
        "full_ratio": round(median(full, lambda run: run.orders_per_s) / best[FULL_SOCKETS], 2),
        "full_p99_ms": median(full, lambda run: run.percentile_ms(0.99)),
        "p50_ms": median(product[500], lambda run: run.percentile_ms(0.5)),
        "p99_ms": median(product[500], lambda run: run.percentile_ms(0.99)),
        **checked,
        "http_orders_per_s": median(over_http, lambda run: run.orders_per_s),
        "http_ratio": round(median(over_http, lambda run: run.orders_per_s) / pgbench, 2),
        "accepted": sum(len(run.accepted) for run in everyone),
        "refused": sum(run.refused for run in everyone),
        "unanswered": sum(run.unanswered for run in everyone),
        "sold_of_2000": len(scarce.accepted),
        "by_sockets": {
            str(count): {
                "orders_per_s": best[count],
                "ratio": round(best[count] / pgbench, 2),
                "p50_ms": median(runs, lambda run: run.percentile_ms(0.5)),
                "p99_ms": median(runs, lambda run: run.percentile_ms(0.99)),
            }
            for count, runs in product.items()
        },
        "pgbench_by_clients": {str(count): round(statistics.median(runs), 1) for count, runs in peer.items()},
        "relay_backlog_at_end": backlog,
        "rounds": len(batched),
    }


def _show(figures: dict[str, Any]) -> None:
    table = Table(title="Flash sale, one hot SKU (medians)")
    for column in ("way", "orders/s", "× pgbench", "p50 ms", "p99 ms"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for count, row in figures["by_sockets"].items():
        table.add_row(
            f"laotie, {count} sockets",
            f"{row['orders_per_s']:,.0f}",
            f"{row['ratio']}",
            f"{row['p50_ms']}",
            f"{row['p99_ms']}",
        )
    table.add_row(
        f"laotie, {FULL_SOCKETS} sockets, coupon + limit + guarantee",
        f"{figures['full_orders_per_s']:,.0f}",
        f"{figures['full_ratio']} × plain",
        "",
        f"{figures['full_p99_ms']}",
    )
    table.add_row(f"laotie, {HTTP_CLIENTS} × HTTP", f"{figures['http_orders_per_s']:,.0f}", f"{figures['http_ratio']}")
    for count, value in figures["pgbench_by_clients"].items():
        table.add_row(f"pgbench, {count} clients", f"{value:,.0f}")
    table.add_row("pgbench, 50 orders a transaction", f"{figures['pgbench_batched_orders_per_s']:,.0f}")
    console.print(table)
    console.print(
        f"oversold {figures['oversold']}, lost {figures['lost']}, duplicated {figures['duplicated']},"
        f" unanswered {figures['unanswered']}"
    )
