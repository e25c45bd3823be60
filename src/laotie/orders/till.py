"""The till: purchases that arrive together are decided and written together, one transaction a batch.

It locks show, cart item and SKU rows (in that order, each by id), reads what bears on the asks under those locks,
decides in arrival order, writes orders, lines, stock movements, holds and news set-based, commits, and only then
answers. Sockets and HTTP use the same till; any number of processes may have one each.
"""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from psycopg.errors import UniqueViolation

from laotie import catalog, ledger, live
from laotie.base import metrics
from laotie.base.batch import Batcher
from laotie.base.db import Database, Sent, Tx, retried
from laotie.base.ids import CartItemId, ShopId, TransferId
from laotie.base.refusals import Refusal
from laotie.events.orders import OrderPlaced, PlacedLine
from laotie.orders.decide import AskKey, Facts, Known, Outcome, Taken, check_form, decide, pay_by, wave_of
from laotie.orders.model import NO_WAVE, Ask, AskLine, OrderState, Placed

RACES_MAX = 3


class Till:
    """One a process. `submit` for sockets, `place` for everyone who can wait."""

    def __init__(self, db: Database, *, payment_timeout_s: int, batch_max: int, waiting_max: int) -> None:
        self._db = db
        self._payment_timeout_s = payment_timeout_s
        self._batcher: Batcher[Ask, Placed] = Batcher(self._decide, batch_max=batch_max, waiting_max=waiting_max)

    @property
    def waiting(self) -> int:
        """Purchases that wait for their batch."""
        return self._batcher.waiting

    @property
    def is_busy(self) -> bool:
        """Whether a sale is under way: a good moment for other work to stand back."""
        return self._batcher.is_busy

    def submit(self, ask: Ask, reply: Callable[[Placed | BaseException], None]) -> None:
        """Queue a purchase; `reply` is called once, after the commit, with the order or the exception."""
        try:
            check_form(ask)
        except Refusal as refusal:
            reply(refusal)
            return
        self._batcher.submit(ask, reply)

    async def place(self, ask: Ask) -> Placed:
        """Buy; refusals are raised."""
        check_form(ask)
        return await self._batcher.ask(ask)

    async def close(self) -> None:
        """Take nothing new, answer everyone who waits."""
        await self._batcher.close()

    async def _decide(self, asks: list[Ask]) -> list[Placed | Refusal]:
        started = time.perf_counter()
        answers = await retried(RACES_MAX, lambda: self._decide_once(asks), on=UniqueViolation)
        metrics.TILL_BATCH_SIZE.observe(len(asks))
        metrics.TILL_BATCH_SECONDS.observe(time.perf_counter() - started)
        for answer in answers:
            if isinstance(answer, Refusal):
                metrics.ORDERS_REFUSED.labels(answer.code).inc()
        metrics.ORDERS_ACCEPTED.inc(sum(1 for answer in answers if isinstance(answer, Placed) and not answer.again))
        return answers

    async def _decide_once(self, asks: list[Ask]) -> list[Placed | Refusal]:
        async with self._db.tx_on_first_trip() as tx:
            facts = await _read_facts(tx, asks, self._payment_timeout_s)
            outcome = decide(asks, facts)
            if outcome.taken:
                await _write(tx, outcome, facts)
        return outcome.answers


async def _read_facts(tx: Tx, asks: list[Ask], payment_timeout_s: int) -> Facts:
    """Take the locks in the order of the house (gate, cart item, SKU), then read: one round trip.

    While the rows are held every turn of the loop counts: other work of this process runs in each.
    """
    show_ids = {ask.show_id.int: ask.show_id for ask in asks if ask.show_id is not None}
    lines = {
        (line.cart_item_id.int if line.cart_item_id is not None else 0, line.sku_id.int): line
        for ask in asks
        for line in ask.lines
    }
    pairs = [(line.cart_item_id, line.sku_id) for line in lines.values() if line.cart_item_id is not None]
    items = [item_id for item_id, _ in pairs]
    grants = [line.grant_id for ask in asks for line in ask.lines if line.grant_id is not None]
    async with tx.pipelined():
        quotes_sent = await live.send_quotes(tx, sorted(show_ids.values()), pairs)
        grants_sent = await live.send_grants(tx, grants) if grants else None
        shelves_sent = await catalog.send_locks(tx, sorted({line.sku_id for line in lines.values()}))
        asides_sent = await catalog.send_asides(tx, [line.sku_id for line in lines.values()]) if items else None
        known_sent = await _send_known(tx, asks)
        bought_sent = await _send_bought(tx, asks, items) if items else None
    shows, quotes = await quotes_sent()
    shelves = await shelves_sent()
    return Facts(
        shelves={sku_id.int: shelf for sku_id, shelf in shelves.items()},
        shows={show_id.int: show for show_id, show in shows.items()},
        quotes={(item_id.int, sku_id.int): quote for (item_id, sku_id), quote in quotes.items()},
        known=_known_of(await known_sent.tuples()),
        bought={(row[0].int, row[1].int): row[2] for row in await bought_sent.tuples()} if bought_sent else {},
        now=tx.now,
        pay_by=pay_by(tx.now, payment_timeout_s),
        asides=await asides_sent() if asides_sent else {},
        grants=await grants_sent() if grants_sent else {},
    )


async def _send_known(tx: Tx, asks: list[Ask]) -> Sent:
    """Orders that already bear one of these ids."""
    return await tx.send(
        """
        SELECT buyer_id, client_id, digest, id, state, currency, total_amount, placed_at, pay_by
        FROM orders."order"
        JOIN unnest(%(buyers)s::uuid[], %(clients)s::uuid[]) AS asked (buyer_id, client_id) USING (buyer_id, client_id)
        """,
        buyers=[ask.buyer_id for ask in asks],
        clients=[ask.client_id for ask in asks],
    )


def _known_of(rows: list[tuple[Any, ...]]) -> dict[AskKey, Known]:
    return {
        (buyer_id.int, client_id.int): Known(
            Placed(id_, client_id, OrderState(state), currency, total, placed_at, deadline, again=True), digest
        )
        for buyer_id, client_id, digest, id_, state, currency, total, placed_at, deadline in rows
    }


async def _send_bought(tx: Tx, asks: list[Ask], items: list[CartItemId]) -> Sent:
    """How many pieces each buyer has of each item with a limit, or of each wave; cancelled orders do not count."""
    return await tx.send(
        """
        SELECT buyer_id, CASE wave_id WHEN %(no_wave)s THEN cart_item_id ELSE wave_id END, quantity FROM orders.bought
        WHERE cart_item_id = ANY(%(items)s::uuid[]) AND buyer_id = ANY(%(buyers)s::uuid[])
        """,
        buyers=[ask.buyer_id for ask in asks],
        items=items,
        no_wave=NO_WAVE,
    )


async def _write(tx: Tx, outcome: Outcome, facts: Facts, *, finish: bool = True) -> None:
    """Every room writes its own rows, one statement each; to `finish` commits with them, in one round trip."""
    taken = outcome.taken
    holds = _holds(taken, facts)
    await ledger.open_for(tx, holds)
    for one in taken:
        tx.tell(_news(one, facts), request_id=one.ask.request_id)
    for pile, left in outcome.left.items():
        if isinstance(pile, int):
            tx.tell(catalog.stock_changed(facts.shelves[pile], left, at=facts.now))
        else:
            sku_id = facts.shelves[pile[1]].sku_id
            tx.tell(catalog.aside_changed(UUID(int=pile[0]), sku_id, left, at=facts.now))
    async with tx.pipelined():
        await _insert_orders(tx, taken, facts)
        await _insert_lines(tx, taken, facts)
        await _raise_bought(tx, taken, facts)
        spent = [
            (line.grant_id, one.placed.id) for one in taken for line in one.ask.lines if line.grant_id is not None
        ]
        if spent:
            await live.spend_grants(tx, spent)
        await catalog.reserve_many(
            tx,
            [
                (facts.shelves[line.sku_id.int].sku_id, line.quantity, one.placed.id, wave_of(line, facts))
                for one in taken
                for line in one.ask.lines
            ],
        )
        await ledger.hold_many(tx, holds)
        if finish:
            await tx.finish()


def _shop_of(one: Taken, facts: Facts) -> ShopId:
    return facts.shelves[one.ask.lines[0].sku_id.int].shop_id


def _holds(taken: list[Taken], facts: Facts) -> list[ledger.Transfer]:
    """Each order's total, held from the payment provider's account for the shop, under the order's own id."""
    accounts: dict[tuple[int, str], tuple[ledger.Account, ledger.Account]] = {}
    holds = []
    for one in taken:
        shop_id, currency = _shop_of(one, facts), one.placed.currency
        pair = accounts.get((shop_id.int, currency))
        if pair is None:
            pair = accounts[shop_id.int, currency] = (
                ledger.Account(ledger.AccountKind.provider, currency),
                ledger.Account(ledger.AccountKind.shop_held, currency, shop_id),
            )
        holds.append(
            ledger.Transfer(
                TransferId(one.placed.id), pair[0], pair[1], one.placed.total_amount, "order", one.placed.id
            )
        )
    return holds


def _news(one: Taken, facts: Facts) -> OrderPlaced:
    ask, placed = one.ask, one.placed
    return OrderPlaced(
        order_id=placed.id,
        client_id=ask.client_id,
        buyer_id=ask.buyer_id,
        shop_id=_shop_of(one, facts),
        show_id=ask.show_id,
        currency=placed.currency,
        total_amount=placed.total_amount,
        lines=tuple(
            PlacedLine(
                sku_id=line.sku_id,
                product_id=facts.shelves[line.sku_id.int].product_id,
                cart_item_id=line.cart_item_id,
                quantity=line.quantity,
                unit_price_amount=line.price_amount,
                title=facts.shelves[line.sku_id.int].title,
            )
            for line in ask.lines
        ),
        source=ask.source,
        placement=ask.placement,
        visit_id=ask.visit_id,
        placed_at=placed.placed_at,
        pay_by=placed.pay_by,
    )


async def _insert_orders(tx: Tx, taken: list[Taken], facts: Facts) -> None:
    await tx.run(
        """
        INSERT INTO orders."order" (id, buyer_id, client_id, shop_id, show_id, state, currency, total_amount, source,
                                    placement, visit_id, digest, placed_at, pay_by, note)
        SELECT id, buyer_id, client_id, shop_id, show_id, 'placed', currency, total_amount, source,
               placement, visit_id, digest, %(now)s, %(pay_by)s, note
        FROM unnest(%(ids)s::uuid[], %(buyers)s::uuid[], %(clients)s::uuid[], %(shops)s::uuid[], %(shows)s::uuid[],
                    %(currencies)s::text[], %(totals)s::bigint[], %(sources)s::text[], %(placements)s::text[],
                    %(visits)s::uuid[], %(digests)s::bytea[], %(notes)s::text[])
          AS taken (id, buyer_id, client_id, shop_id, show_id, currency, total_amount, source, placement, visit_id,
                    digest, note)
        """,
        ids=[one.placed.id for one in taken],
        buyers=[one.ask.buyer_id for one in taken],
        clients=[one.ask.client_id for one in taken],
        shops=[_shop_of(one, facts) for one in taken],
        shows=[one.ask.show_id for one in taken],
        currencies=[one.placed.currency for one in taken],
        totals=[one.placed.total_amount for one in taken],
        sources=[one.ask.source for one in taken],
        placements=[one.ask.placement for one in taken],
        visits=[one.ask.visit_id for one in taken],
        digests=[one.digest for one in taken],
        notes=[one.ask.note for one in taken],
        now=facts.now,
        pay_by=facts.pay_by,
    )


async def _insert_lines(tx: Tx, taken: list[Taken], facts: Facts) -> None:
    rows = [
        (one.placed.id, no, line, facts.shelves[line.sku_id.int], _quote_of(line, facts))
        for one in taken
        for no, line in enumerate(one.ask.lines, start=1)
    ]
    await tx.run(
        """
        INSERT INTO orders.line (order_id, no, sku_id, product_id, cart_item_id, quantity, unit_price_amount, title,
                                 options, wave_id, promise_id)
        SELECT order_id, no, sku_id, product_id, cart_item_id, quantity, unit_price_amount, title, options::jsonb,
               wave_id, promise_id
        FROM unnest(%(orders)s::uuid[], %(numbers)s::smallint[], %(skus)s::uuid[], %(products)s::uuid[],
                    %(items)s::uuid[], %(quantities)s::integer[], %(prices)s::bigint[], %(titles)s::text[],
                    %(options)s::text[], %(waves)s::uuid[], %(promises)s::uuid[])
          AS taken (order_id, no, sku_id, product_id, cart_item_id, quantity, unit_price_amount, title, options,
                    wave_id, promise_id)
        """,
        orders=[row[0] for row in rows],
        numbers=[row[1] for row in rows],
        skus=[row[3].sku_id for row in rows],
        products=[row[3].product_id for row in rows],
        items=[row[2].cart_item_id for row in rows],
        quantities=[row[2].quantity for row in rows],
        prices=[row[2].price_amount for row in rows],
        titles=[row[3].title for row in rows],
        options=[row[3].options for row in rows],
        waves=_or_none([row[4] and row[4].wave_id for row in rows]),
        promises=_or_none([row[4] and row[4].promise_id for row in rows]),
    )


def _or_none(ids: list[UUID | None]) -> list[UUID | None]:
    """Nothing at all where all are missing: `unnest` pads a shorter array with nulls."""
    return ids if any(ids) else []


def _quote_of(line: AskLine, facts: Facts) -> live.Quote | None:
    return None if line.cart_item_id is None else facts.quotes[line.cart_item_id.int, line.sku_id.int]


async def _raise_bought(tx: Tx, taken: list[Taken], facts: Facts) -> None:
    """Remember the new counts of limited items and waves (the rows are ours: the cart item is locked)."""
    limited = {item: quote.wave_id for (item, _), quote in facts.quotes.items() if quote.limit_per_person is not None}
    persons = {
        (line.cart_item_id.int, one.ask.buyer_id.int): (line.cart_item_id, one.ask.buyer_id)
        for one in taken
        for line in one.ask.lines
        if line.cart_item_id is not None and line.cart_item_id.int in limited
    }
    if not persons:
        return
    rows = [(*persons[key], limited[key[0]]) for key in sorted(persons)]
    await tx.run(
        """
        INSERT INTO orders.bought (cart_item_id, buyer_id, wave_id, quantity)
        SELECT * FROM unnest(%(items)s::uuid[], %(buyers)s::uuid[], %(waves)s::uuid[], %(quantities)s::integer[])
        ON CONFLICT (cart_item_id, buyer_id, wave_id) DO UPDATE SET quantity = excluded.quantity
        """,
        items=[item_id for item_id, _, _ in rows],
        buyers=[buyer_id for _, buyer_id, _ in rows],
        waves=[wave_id or NO_WAVE for _, _, wave_id in rows],
        quantities=[
            facts.bought[buyer_id.int, item_id.int if wave_id is None else wave_id.int]
            for item_id, buyer_id, wave_id in rows
        ],
    )
