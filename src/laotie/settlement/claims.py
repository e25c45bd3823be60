"""What completed orders have to settle: opened at completion, lowered by what goes back, clawed back once settled.

News only leaves a note (`settlement.look`); the worker looks at the order under its lock, reckons what it is worth now,
and makes the claims, or the lines that were settled, follow. So however refunds, chargebacks and cases come, early, late
or twice, what was settled of an order is always what it is worth at the rates of the instant in which it was paid.
Locks: orders by id, then the order's claims.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import psycopg

from laotie import ledger, live, orders
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, OrderId, ShopId, new_id
from laotie.base.logs import log
from laotie.base.settings import Settings
from laotie.ledger import Account, AccountKind
from laotie.orders import Worth
from laotie.settlement.lines import book_many, payable
from laotie.settlement.model import Claim, Line, LineId, LineKind, Parts, day_of, group, split
from laotie.settlement.rating import Asked, Rate, choose, find_delays, read_rates

BATCH_SIZE_MAX = 200


class Rules(msgspec.Struct, frozen=True):
    """The house's: how long after completion an order is settled, and in whose calendar."""

    delay: timedelta
    zone: str


def rules_of(settings: Settings) -> Rules:
    """The house's rules, from the settings."""
    return Rules(timedelta(hours=settings.settlement_delay_h), settings.books_zone)


async def note(tx: Tx, order_id: OrderId, cause_id: UUID, *, freight_amount: int = 0) -> None:
    """Something happened to the order that may concern its settlement. Inserts only; safe to repeat."""
    await tx.run(
        """
        INSERT INTO settlement.look (cause_id, order_id, freight_amount)
        VALUES (%(cause_id)s, %(order_id)s, %(freight_amount)s) ON CONFLICT DO NOTHING
        """,
        cause_id=cause_id,
        order_id=order_id,
        freight_amount=freight_amount,
    )


async def work_looks(db: Database, rules: Rules, *, size: int = BATCH_SIZE_MAX) -> int:
    """Look at orders of which something changed; one bounded batch, returns how many notes were worked off.

    When a batch fails, its orders are looked at one by one; the one to blame is logged and waits, growing longer.
    """
    try:
        return await _work(db, rules, size)
    except psycopg.OperationalError:
        raise
    except Exception:
        log.exception("orders could not be looked at together", size=size)
    async with db.read() as tx:
        order_ids = await tx.all(
            OrderId,
            "SELECT order_id FROM settlement.look WHERE due_at <= %(now)s ORDER BY due_at, cause_id LIMIT %(size)s",
            now=tx.now,
            size=size,
        )
    worked = 0
    for order_id in sorted(set(order_ids)):
        try:
            worked += await _work(db, rules, size, only=order_id)
        except psycopg.OperationalError:
            raise
        except Exception:
            log.exception("an order's settlement could not be reckoned", order_id=str(order_id))
            async with db.tx() as tx:
                await tx.run(
                    """
                    UPDATE settlement.look SET attempts = attempts + 1,
                        due_at = %(now)s + least(interval '1 hour', interval '5 s' * 2 ^ least(attempts, 10))
                    WHERE order_id = %(order_id)s
                    """,
                    now=tx.now,
                    order_id=order_id,
                )
    return worked


async def _work(db: Database, rules: Rules, size: int, *, only: OrderId | None = None) -> int:
    async with db.tx() as tx:
        noted = await tx.tuples(
            """
            SELECT cause_id, order_id, freight_amount FROM settlement.look
            WHERE due_at <= %(now)s AND (%(only)s::uuid IS NULL OR order_id = %(only)s)
            ORDER BY due_at, cause_id LIMIT %(size)s FOR UPDATE SKIP LOCKED
            """,
            now=tx.now,
            only=only,
            size=size,
        )
        if not noted:
            return 0
        order_ids = sorted({order_id for _, order_id, _ in noted})
        held = await orders.hold_many(tx, order_ids)
        await _follow(tx, rules, order_ids)
        freights = [
            _freight(cause_id, held[order_id], amount, tx.now, rules) for cause_id, order_id, amount in noted if amount
        ]
        await book_many(tx, freights, reason="freight")
        await tx.run(
            "DELETE FROM settlement.look WHERE cause_id = ANY(%(ids)s)", ids=[cause_id for cause_id, _, _ in noted]
        )
        return len(noted)


def _freight(cause_id: UUID, order: orders.Held, amount: int, now: datetime, rules: Rules) -> Line:
    """What the buyer was paid out of what the shop's orders had brought, the shop owes."""
    return Line(
        id=LineId(cause_id),
        kind=LineKind.freight,
        shop_id=order.shop_id,
        streamer_id=None,
        order_id=order.id,
        currency=order.currency,
        net_amount=-amount,
        booked_on=day_of(now, rules.zone),
        booked_at=now,
        subject_id=cause_id,
    )


class _Settled(msgspec.Struct, frozen=True, kw_only=True):
    order_id: OrderId
    no: int
    goods_amount: int
    shipping_amount: int
    subsidy_amount: int


async def _follow(tx: Tx, rules: Rules, order_ids: list[OrderId]) -> None:
    """Bring claims and lines in line with what the orders, which are held, are worth now."""
    await tx.run(
        "SELECT FROM settlement.due WHERE order_id = ANY(%(ids)s) ORDER BY order_id, no FOR UPDATE",
        ids=order_ids,
    )
    settled: dict[OrderId, dict[int, Parts]] = {}
    for row in await tx.all(
        _Settled,
        """
        SELECT order_id, no, sum(goods_amount)::bigint AS goods_amount, sum(shipping_amount)::bigint AS shipping_amount,
               sum(subsidy_amount)::bigint AS subsidy_amount
        FROM settlement.line WHERE order_id = ANY(%(ids)s) AND kind IN ('sale', 'refund') GROUP BY order_id, no
        """,
        ids=order_ids,
    ):
        parts = Parts(row.goods_amount, row.shipping_amount, row.subsidy_amount)
        settled.setdefault(row.order_id, {})[row.no] = parts
    worths = await orders.find_worth(tx, order_ids)
    claims = await _claim_many(tx, list(worths.values()))
    await _put_due(tx, rules, [(worth, claims[worth.order_id]) for worth in worths.values() if worth.order_id not in settled])
    lines = [
        line
        for order_id, before in settled.items()
        for line in _claw_back(worths[order_id], before, claims[order_id], tx.now, rules)
    ]
    await book_many(tx, lines, reason="clawback")


async def _claim_many(tx: Tx, worths: list[Worth]) -> dict[OrderId, list[Claim]]:
    """How each order is to be divided; nothing of it is rounded yet."""
    shows = await live.find_shows(tx, list({worth.show_id for worth in worths if worth.show_id is not None}))
    rates = await read_rates(tx, {worth.shop_id for worth in worths})
    by_shop: dict[ShopId | None, list[Rate]] = {}
    for rate in rates:
        by_shop.setdefault(rate.shop_id, []).append(rate)
    found = {}
    for worth in worths:
        show = shows.get(worth.show_id) if worth.show_id is not None else None
        known = by_shop.get(None, []) + by_shop.get(worth.shop_id, [])
        found[worth.order_id] = group(_parts(worth, known, show.streamer.id if show is not None else None))
    return found


def _parts(worth: Worth, rates: list[Rate], streamer_id: AccountId | None) -> Iterable[Claim]:
    """A claim for each line, the shipping with the first."""
    for index, line in enumerate(worth.lines):
        chosen = choose(rates, Asked(worth.shop_id, line.category, streamer_id, worth.paid_at))
        yield Claim(
            no=0,
            streamer_id=streamer_id if chosen.streamer_bps else None,
            rates=chosen,
            parts=Parts(line.goods_amount, 0 if index else worth.shipping_amount, line.subsidy_amount),
        )


async def _put_due(tx: Tx, rules: Rules, wanted: list[tuple[Worth, list[Claim]]]) -> None:
    """Claims of orders that are not settled, in place of those there were; when they are due does not change."""
    ids = [worth.order_id for worth, _ in wanted]
    known = dict(
        await tx.tuples(
            """
            DELETE FROM settlement.due WHERE order_id = ANY(%(ids)s) RETURNING order_id, due_at
            """,
            ids=ids,
        )
    )
    delays = await find_delays(tx, [worth.shop_id for worth, _ in wanted], default=rules.delay)
    rows = [(worth, claim) for worth, claims in wanted for claim in claims if claim.parts.total]
    if not rows:
        return
    held = [Account(AccountKind.shop_held, worth.currency, worth.shop_id) for worth, _ in rows]
    own = [payable(worth.shop_id, worth.currency) for worth, _ in rows]
    theirs = [payable(claim.streamer_id, worth.currency) if claim.streamer_id else None for worth, claim in rows]
    house = (AccountKind.commission, AccountKind.payment_fee)
    await ledger.open_many(
        tx,
        [
            *held,
            *own,
            *(account for account in theirs if account is not None),
            *(Account(kind, currency) for currency in {worth.currency for worth, _ in rows} for kind in house),
        ],
    )
    await tx.run(
        """
        INSERT INTO settlement.due (order_id, no, shop_id, streamer_id, currency, goods_amount, shipping_amount,
            subsidy_amount, platform_bps, payment_bps, streamer_bps, completed_at, due_at, paused, held_id, payable_id,
            streamer_payable_id)
        SELECT * FROM unnest(%(orders)s::uuid[], %(numbers)s::smallint[], %(shops)s::uuid[], %(streamers)s::uuid[],
            %(currencies)s::text[], %(goods)s::bigint[], %(shippings)s::bigint[], %(subsidies)s::bigint[],
            %(platforms)s::integer[], %(payments)s::integer[], %(shares)s::integer[], %(completed)s::timestamptz[],
            %(due)s::timestamptz[], %(paused)s::boolean[], %(held)s::uuid[], %(own)s::uuid[], %(theirs)s::uuid[])
        """,
        orders=[worth.order_id for worth, _ in rows],
        numbers=[claim.no for _, claim in rows],
        shops=[worth.shop_id for worth, _ in rows],
        streamers=[claim.streamer_id for _, claim in rows],
        currencies=[worth.currency for worth, _ in rows],
        goods=[claim.parts.goods_amount for _, claim in rows],
        shippings=[claim.parts.shipping_amount for _, claim in rows],
        subsidies=[claim.parts.subsidy_amount for _, claim in rows],
        platforms=[claim.rates.platform_bps for _, claim in rows],
        payments=[claim.rates.payment_bps for _, claim in rows],
        shares=[claim.rates.streamer_bps for _, claim in rows],
        completed=[worth.completed_at for worth, _ in rows],
        due=[known.get(worth.order_id) or worth.completed_at + delays[worth.shop_id] for worth, _ in rows],
        paused=[worth.paused for worth, _ in rows],
        held=[account.id for account in held],
        own=[account.id for account in own],
        theirs=[account.id if account is not None else None for account in theirs],
    )


def _claw_back(
    worth: Worth, before: dict[int, Parts], claims: list[Claim], now: datetime, rules: Rules
) -> Iterable[Line]:
    """Lines that lead from what was settled of an order to what it is worth now. Pure but for the lines' ids."""
    for claim in claims:
        was = before.get(claim.no, Parts())
        if was == claim.parts:
            continue
        parts, parted = claim.parts - was, split(claim.parts, claim.rates) - split(was, claim.rates)
        yield Line(
            id=LineId(new_id()),
            kind=LineKind.refund,
            shop_id=worth.shop_id,
            streamer_id=claim.streamer_id,
            order_id=worth.order_id,
            no=claim.no,
            currency=worth.currency,
            goods_amount=parts.goods_amount,
            shipping_amount=parts.shipping_amount,
            subsidy_amount=parts.subsidy_amount,
            platform_bps=claim.rates.platform_bps,
            payment_bps=claim.rates.payment_bps,
            streamer_bps=claim.rates.streamer_bps,
            platform_amount=parted.platform_amount,
            payment_amount=parted.payment_amount,
            streamer_amount=parted.streamer_amount,
            net_amount=parted.net_amount,
            booked_on=day_of(now, rules.zone),
            booked_at=now,
            subject_id=worth.order_id,
        )

