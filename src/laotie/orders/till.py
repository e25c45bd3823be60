"""The till: purchases that arrive together are decided and written together, one transaction a batch.

It locks show, cart item, SKU and coupon rows (in that order, each by id), reads what bears on the asks under those locks,
decides in arrival order, writes orders, lines, stock movements, holds and news set-based, commits, and only then
answers. Sockets and HTTP use the same till; any number of processes may have one each.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from psycopg.errors import UniqueViolation

from laotie import catalog, ledger, live, offers
from laotie.base import metrics
from laotie.base.batch import Batcher
from laotie.base.db import Database, Sent, Tx, retried
from laotie.base.entry import Credit
from laotie.base.ids import AccountId, CartItemId, OrderId, TransferId
from laotie.base.money import tax_in
from laotie.base.refusals import Refusal
from laotie.events.orders import Amounts, OrderPlaced, PlacedLine
from laotie.orders.coupons import Coupons
from laotie.orders.decide import AskKey, Deal, Facts, Known, Outcome, Taken, check_form, decide, pay_by, wave_of
from laotie.orders.model import NO_WAVE, Ask, AskLine, OrderState, Placed
from laotie.orders.standing import find_buyers

T = TypeVar("T")

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
    """Take the locks in the order of the house (gate, cart item, SKU, coupon), then read: one round trip.

    A second one when a coupon asks what its holder is to shops or streamers.

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
    teams = sorted({line.team_id for ask in asks for line in ask.lines if line.team_id is not None})
    claims = [claim_id for ask in asks for claim_id in ask.coupons]
    async with tx.pipelined():
        quotes_sent = await live.send_quotes(tx, sorted(show_ids.values()), pairs)
        grants_sent = await live.send_grants(tx, grants) if grants else None
        teams_sent = await offers.send_teams(tx, teams, [ask.buyer_id for ask in asks]) if teams else None
        shelves_sent = await catalog.send_locks(tx, sorted({line.sku_id for line in lines.values()}))
        asides_sent = await catalog.send_asides(tx, [line.sku_id for line in lines.values()]) if items else None
        claims_sent = await offers.send_claims(tx, claims) if claims else None
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
        teams=await teams_sent() if teams_sent else {},
        coupons=await _read_coupons(tx, asks, await claims_sent()) if claims_sent else None,
    )


async def _read_coupons(tx: Tx, asks: list[Ask], claims: offers.Claims) -> Coupons:
    """With the claims, what they ask to know of their holders."""
    curious: dict[AccountId, list[offers.Coupon]] = {}
    for ask in asks:
        for claim_id in ask.coupons:
            held = claims.held.get(claim_id.int)
            if held is not None and (held.coupon.new_buyer or held.coupon.streamer_id is not None):
                curious.setdefault(ask.buyer_id, []).append(held.coupon)
    buyers = await find_buyers(tx, curious) if curious else {}
    return Coupons(claims.held, claims.rule, buyers, {})


async def _send_known(tx: Tx, asks: list[Ask]) -> Sent:
    """Orders that already bear one of these ids."""
    return await tx.send(
        """
        SELECT buyer_id, client_id, digest, id, state, currency, total_amount, placed_at, pay_by,
               CASE WHEN purchase_id IS NOT NULL THEN ARRAY(
                   SELECT (other.id, other.total_amount) FROM orders."order" AS other
                   WHERE other.purchase_id = o.purchase_id AND other.id <> o.id ORDER BY other.id) END
        FROM orders."order" AS o
        JOIN unnest(%(buyers)s::uuid[], %(clients)s::uuid[]) AS asked (buyer_id, client_id) USING (buyer_id, client_id)
        """,
        buyers=[ask.buyer_id for ask in asks],
        clients=[ask.client_id for ask in asks],
    )


def _known_of(rows: list[tuple[Any, ...]]) -> dict[AskKey, Known]:
    return {
        (buyer_id.int, client_id.int): Known(
            Placed(
                id_,
                client_id,
                OrderState(state),
                currency,
                total + sum(int(amount) for _, amount in others or ()),
                placed_at,
                deadline,
                again=True,
                others=tuple(OrderId(UUID(str(other))) for other, _ in others or ()),
            ),
            digest,
        )
        for buyer_id, client_id, digest, id_, state, currency, total, placed_at, deadline, others in rows
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
    placings = [_Placing(one, deal, one.ask.credit_for(deal.shop_id)) for one in taken for deal in one.deals]
    for placing in placings:
        tx.tell(_news(placing, facts), request_id=placing.one.ask.request_id)
    for pile, left in outcome.left.items():
        if isinstance(pile, int):
            tx.tell(catalog.stock_changed(facts.shelves[pile], left, at=facts.now))
        else:
            sku_id = facts.shelves[pile[1]].sku_id
            tx.tell(catalog.aside_changed(UUID(int=pile[0]), sku_id, left, at=facts.now))
    async with tx.pipelined():
        await _insert_orders(tx, placings, facts)
        await _insert_lines(tx, taken, facts)
        await _raise_bought(tx, taken, facts)
        spent = [
            (line.grant_id, deal.id)
            for one in taken
            for deal in one.deals
            for line in deal.lines
            if line.grant_id is not None
        ]
        if spent:
            await live.spend_grants(tx, spent)
        seated = [
            (line.team_id, one.ask.buyer_id, deal.id, line.quantity)
            for one in taken
            for deal in one.deals
            for line in deal.lines
            if line.team_id is not None
        ]
        if seated:
            await offers.take_seats(tx, seated)
        redeemed = [spent for one in taken for spent in one.redeemed]
        if redeemed:
            assert facts.coupons is not None
            await offers.redeem_many(tx, redeemed, facts.coupons.rule)
        await catalog.reserve_many(
            tx,
            [
                (facts.shelves[line.sku_id.int].sku_id, line.quantity, deal.id, wave_of(line, facts))
                for one in taken
                for deal in one.deals
                for line in deal.lines
            ],
        )
        await ledger.hold_many(tx, holds)
        if finish:
            await tx.finish()


def _holds(taken: list[Taken], facts: Facts) -> list[ledger.Transfer]:
    """Each order's total, held from the payment provider's account for the shop, under the order's own id."""
    accounts: dict[tuple[int, str], tuple[ledger.Account, ledger.Account]] = {}
    holds = []
    for one in taken:
        currency = one.placed.currency
        for deal in one.deals:
            pair = accounts.get((deal.shop_id.int, currency))
            if pair is None:
                pair = accounts[deal.shop_id.int, currency] = (
                    ledger.Account(ledger.AccountKind.provider, currency),
                    ledger.Account(ledger.AccountKind.shop_held, currency, deal.shop_id),
                )
            holds.append(
                ledger.Transfer(TransferId(deal.id), pair[0], pair[1], deal.total_amount, "order", one.placed.id)
            )
    return holds


class _Placing(NamedTuple):
    """An order to be written, with what it is credited with."""

    one: Taken
    deal: Deal
    credit: Credit


def _news(placing: _Placing, facts: Facts) -> OrderPlaced:
    one, deal, credit = placing
    ask, placed = one.ask, one.placed
    return OrderPlaced(
        order_id=deal.id,
        client_id=ask.client_id,
        purchase_id=placed.id if placed.others else None,
        buyer_id=ask.buyer_id,
        shop_id=deal.shop_id,
        show_id=ask.show_id,
        currency=placed.currency,
        total_amount=deal.total_amount,
        lines=tuple(
            PlacedLine(
                sku_id=line.sku_id,
                product_id=facts.shelves[line.sku_id.int].product_id,
                cart_item_id=line.cart_item_id,
                quantity=line.quantity,
                unit_price_amount=line.price_amount,
                title=facts.shelves[line.sku_id.int].title,
            )
            for line in deal.lines
        ),
        source=credit.source,
        placement=credit.placement,
        visit_id=credit.visit_id,
        placed_at=placed.placed_at,
        pay_by=placed.pay_by,
        credit=credit,
        amounts=_amounts(deal, facts),
    )


def _amounts(deal: Deal, facts: Facts) -> Amounts:
    """What the order's total is made of; the fee for sending it comes with its address."""
    discount, subsidy = sum(deal.discounts), sum(deal.subsidies)
    tax = 0
    for place, line in enumerate(deal.lines):
        bps = facts.shelves[line.sku_id.int].tax_bps
        if bps:
            paid = line.price_amount * line.quantity - (deal.discounts[place] if deal.discounts else 0)
            tax += tax_in(paid, bps=bps)
    return Amounts(deal.total_amount + discount, 0, tax, discount - subsidy, subsidy)


async def _insert_orders(tx: Tx, rows: list[_Placing], facts: Facts) -> None:
    await tx.run(
        """
        INSERT INTO orders."order" (id, buyer_id, client_id, shop_id, show_id, state, currency, total_amount, source,
                                    placement, visit_id, digest, placed_at, pay_by, note, purchase_id,
                                    discount_amount, subsidy_amount, campaign, streamer_id, is_fan, rule_version)
        SELECT id, buyer_id, client_id, shop_id, show_id, 'placed', currency, total_amount, source,
               placement, visit_id, digest, %(now)s, %(pay_by)s, note, purchase_id,
               coalesce(discount_amount, 0), coalesce(subsidy_amount, 0), campaign, streamer_id,
               coalesce(is_fan, false), rule_version
        FROM unnest(%(ids)s::uuid[], %(buyers)s::uuid[], %(clients)s::uuid[], %(shops)s::uuid[], %(shows)s::uuid[],
                    %(currencies)s::text[], %(totals)s::bigint[], %(sources)s::text[], %(placements)s::text[],
                    %(visits)s::uuid[], %(digests)s::bytea[], %(notes)s::text[], %(purchases)s::uuid[],
                    %(discounts)s::bigint[], %(subsidies)s::bigint[], %(campaigns)s::text[], %(streamers)s::uuid[],
                    %(fans)s::boolean[], %(rules)s::integer[])
          AS taken (id, buyer_id, client_id, shop_id, show_id, currency, total_amount, source, placement, visit_id,
                    digest, note, purchase_id, discount_amount, subsidy_amount, campaign, streamer_id, is_fan,
                    rule_version)
        """,
        ids=[deal.id for _, deal, _ in rows],
        buyers=[one.ask.buyer_id for one, _, _ in rows],
        clients=[one.ask.client_id if deal.id == one.placed.id else deal.id for one, deal, _ in rows],
        shops=[deal.shop_id for _, deal, _ in rows],
        shows=[one.ask.show_id for one, _, _ in rows],
        currencies=[one.placed.currency for one, _, _ in rows],
        totals=[deal.total_amount for _, deal, _ in rows],
        sources=[credit.source for _, _, credit in rows],
        placements=[credit.placement for _, _, credit in rows],
        visits=[credit.visit_id for _, _, credit in rows],
        digests=[one.digest for one, _, _ in rows],
        notes=[dict(one.ask.notes).get(deal.shop_id, one.ask.note) if one.ask.notes else one.ask.note for one, deal, _ in rows],
        purchases=_or_none([one.placed.id if one.placed.others else None for one, _, _ in rows]),
        discounts=_or_none([sum(deal.discounts) for _, deal, _ in rows]),
        subsidies=_or_none([sum(deal.subsidies) for _, deal, _ in rows]),
        campaigns=_or_none([credit.campaign for _, _, credit in rows]),
        streamers=_or_none([credit.streamer_id for _, _, credit in rows]),
        fans=_or_none([credit.is_fan for _, _, credit in rows]),
        rules=[credit.rule_version for _, _, credit in rows],
        now=facts.now,
        pay_by=facts.pay_by,
    )


class _Row(NamedTuple):
    """A line as it is written."""

    deal: Deal
    no: int
    line: AskLine
    shelf: catalog.Shelf
    quote: live.Quote | None
    discount: int
    subsidy: int

    @property
    def tax_amount(self) -> int:
        bps = self.shelf.tax_bps
        return tax_in(self.line.price_amount * self.line.quantity - self.discount, bps=bps) if bps else 0


async def _insert_lines(tx: Tx, taken: list[Taken], facts: Facts) -> None:
    rows = [
        _Row(
            deal,
            no,
            line,
            facts.shelves[line.sku_id.int],
            _quote_of(line, facts),
            deal.discounts[no - 1] if deal.discounts else 0,
            deal.subsidies[no - 1] if deal.subsidies else 0,
        )
        for one in taken
        for deal in one.deals
        for no, line in enumerate(deal.lines, start=1)
    ]
    await tx.run(
        """
        INSERT INTO orders.line (order_id, no, sku_id, product_id, cart_item_id, quantity, unit_price_amount, title,
                                 options, wave_id, promise_id, discount_amount, subsidy_amount, tax_bps, tax_amount,
                                 pledge_id, batch_id, team_id)
        SELECT order_id, no, sku_id, product_id, cart_item_id, quantity, unit_price_amount, title, options::jsonb,
               wave_id, promise_id, coalesce(discount_amount, 0), coalesce(subsidy_amount, 0), coalesce(tax_bps, 0),
               coalesce(tax_amount, 0), pledge_id, batch_id, team_id
        FROM unnest(%(orders)s::uuid[], %(numbers)s::smallint[], %(skus)s::uuid[], %(products)s::uuid[],
                    %(items)s::uuid[], %(quantities)s::integer[], %(prices)s::bigint[], %(titles)s::text[],
                    %(options)s::text[], %(waves)s::uuid[], %(promises)s::uuid[], %(discounts)s::bigint[],
                    %(subsidies)s::bigint[], %(rates)s::integer[], %(taxes)s::bigint[], %(pledges)s::uuid[],
                    %(batches)s::uuid[], %(teams)s::uuid[])
          AS taken (order_id, no, sku_id, product_id, cart_item_id, quantity, unit_price_amount, title, options,
                    wave_id, promise_id, discount_amount, subsidy_amount, tax_bps, tax_amount, pledge_id, batch_id,
                    team_id)
        """,
        orders=[row.deal.id for row in rows],
        numbers=[row.no for row in rows],
        skus=[row.shelf.sku_id for row in rows],
        products=[row.shelf.product_id for row in rows],
        items=[row.line.cart_item_id for row in rows],
        quantities=[row.line.quantity for row in rows],
        prices=[row.line.price_amount for row in rows],
        titles=[row.shelf.title for row in rows],
        options=[row.shelf.options for row in rows],
        waves=_or_none([row.quote and row.quote.wave_id for row in rows]),
        promises=_or_none([row.quote and row.quote.promise_id for row in rows]),
        discounts=_or_none([row.discount for row in rows]),
        subsidies=_or_none([row.subsidy for row in rows]),
        rates=_or_none([row.shelf.tax_bps for row in rows]),
        taxes=_or_none([row.tax_amount for row in rows]),
        pledges=_or_none([row.shelf.pledge_id for row in rows]),
        batches=_or_none([row.shelf.batch_id for row in rows]),
        teams=_or_none([row.line.team_id for row in rows]),
    )


def _or_none(values: list[T]) -> list[T]:
    """Nothing at all where all are missing or zero: `unnest` pads a shorter array with nulls, and sending costs."""
    return values if any(values) else []


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
