"""Balances and statements: what is owed to a shop or a streamer, and month by month how it came to be.

A statement is of one owner, month and currency: opening + lines = closing, and closing is the ledger's balance at the
month's end (its balance now less what was booked since). Both are checked in the snapshot in which it is drawn; what
does not add up is said and logged, and no sheet or paper is made of it. Months that are over are closed by the worker:
their sums are written down once, so an opening costs the same after ten years.
"""

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec

from laotie import identity, ledger
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, OrderId, ShopId
from laotie.base.logs import log
from laotie.base.refusals import Conflict, NotFound
from laotie.identity import Actor, Scope
from laotie.ledger import AccountKind
from laotie.settlement.lines import find_payable
from laotie.settlement.model import LineKind, day_of

CLOSE_LOCK = 0x5E77C105
CLOSE_AFTER = timedelta(hours=1)
"""So long after its end a month is closed: no transaction that began in it is still open."""
PAGE_SIZE_MAX = 500
EXPORTED_AT_ONCE = 250
MONTHS_MAX = 600
DAYS_MAX = 2_000


class StatementOff(Conflict, code="statement-off"):
    """The lines of this statement do not add up to the ledger; nothing is printed until that is cleared up."""

    difference: int
    currency: str


class StatementEmpty(Conflict, code="statement-empty"):
    """Nothing was ever booked up to the end of this month, so there is nothing to print."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected to be settled on a day (of the house's calendar), as far as is known now."""

    day_on: date
    order_count: int
    amount: int


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What an owner has with the platform, in one currency."""

    currency: str
    payable_amount: int
    """Settled and owed to the owner now, exact. Below zero: what was taken back after it had been paid out."""
    on_its_way_amount: int
    """Left for the owner's bank or provider, not confirmed yet."""
    held_amount: int
    """Of completed orders about which a case is open."""
    held_count: int
    expected: list[Waiting]

    @property
    def expected_amount(self) -> int:
        """All that is expected, by all days."""
        return sum(one.amount for one in self.expected)


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """What lines add up to; `amount` is what they change for the owner, the others what it is made of."""

    line_count: int = 0
    goods_amount: int = 0
    shipping_amount: int = 0
    subsidy_amount: int = 0
    platform_amount: int = 0
    payment_amount: int = 0
    streamer_amount: int = 0
    amount: int = 0

    def __add__(self, other: "Sum") -> "Sum":
        return Sum(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A line as its owner sees it."""

    id: UUID
    kind: LineKind
    shop_id: ShopId | None
    streamer_id: AccountId | None
    order_id: OrderId | None
    no: int
    goods_amount: int
    shipping_amount: int
    subsidy_amount: int
    platform_bps: int
    payment_bps: int
    streamer_bps: int
    platform_amount: int
    payment_amount: int
    streamer_amount: int
    amount: int
    booked_on: date
    booked_at: datetime
    subject_id: UUID


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """A month in one line: opening + amount = closing."""

    month_on: date
    currency: str
    opening_amount: int
    amount: int
    line_count: int

    @property
    def closing_amount(self) -> int:
        """What was owed at its end (or is now, while it lasts)."""
        return self.opening_amount + self.amount


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A month of an owner in one currency."""

    owner_id: UUID
    month_on: date
    currency: str
    drawn_at: datetime
    is_open: bool
    """The month is not over: more lines will come."""
    opening_amount: int
    sums: dict[LineKind, Sum]
    days: dict[date, Sum]
    ledger_amount: int
    """The ledger's balance at the month's end."""
    written_difference: int = 0
    """What the lines are now less what they were when the month was closed; never anything but 0."""

    @property
    def total(self) -> Sum:
        """All lines together."""
        return sum(self.sums.values(), Sum())

    @property
    def closing_amount(self) -> int:
        """Opening and all lines."""
        return self.opening_amount + self.total.amount

    @property
    def difference_amount(self) -> int:
        """What closing and ledger, or the lines now and when the month was closed, differ by; never anything but 0."""
        return self.closing_amount - self.ledger_amount or self.written_difference


async def find_owner(tx: Tx, actor: Actor, shop_id: ShopId | None) -> UUID:
    """Whose money it is: a shop's (needs the scope `money`), or without a shop the actor's own as a streamer."""
    if shop_id is None:
        return actor.signed_in()
    await identity.require_seat(tx, actor, shop_id, Scope.money)
    return shop_id


async def get_balances(tx: Tx, owner_id: UUID, *, zone: str) -> list[Balance]:
    """What an owner has, by currency. Rights are asked before (`find_owner`), here and below."""
    payable = await find_payable(tx, owner_id)
    leaving = {
        account.currency: amount
        for account, amount in (await ledger.list_balances(tx, AccountKind.payout, owner_id)).items()
    }
    held: dict[str, tuple[int, int]] = {}
    expected: dict[str, list[Waiting]] = {}
    for currency, day_on, order_count, amount in await tx.tuples(
        """
        SELECT currency, CASE WHEN NOT paused THEN (due_at AT TIME ZONE %(zone)s)::date END AS day_on,
               count(DISTINCT order_id), sum(amount)::bigint
        FROM settlement.expectation WHERE owner_id = %(owner_id)s
        GROUP BY 1, 2 ORDER BY 1, 2 LIMIT %(limit)s
        """,
        zone=zone,
        owner_id=owner_id,
        limit=DAYS_MAX,
    ):
        if day_on is None:
            held[currency] = (order_count, amount)
        else:
            expected.setdefault(currency, []).append(Waiting(day_on=day_on, order_count=order_count, amount=amount))
    return [
        Balance(
            currency=currency,
            payable_amount=payable.get(currency, 0),
            on_its_way_amount=leaving.get(currency, 0),
            held_amount=held.get(currency, (0, 0))[1],
            held_count=held.get(currency, (0, 0))[0],
            expected=expected.get(currency, []),
        )
        for currency in sorted({*payable, *leaving, *held, *expected})
    ]


async def list_months(tx: Tx, owner_id: UUID) -> list[Month]:
    """The months in which anything was booked, the latest first, of every currency."""
    rows = await tx.tuples(
        """
        SELECT month_on, currency, sum(line_count)::bigint, sum(amount)::bigint FROM (
            SELECT month_on, currency, line_count, amount FROM settlement.month_sum WHERE owner_id = %(owner_id)s
            UNION ALL
            SELECT date_trunc('month', booked_on)::date, currency, 1, amount FROM settlement.entry
            WHERE owner_id = %(owner_id)s AND booked_on >= %(since)s
        ) AS part
        GROUP BY 1, 2 ORDER BY 1, 2 LIMIT %(limit)s
        """,
        owner_id=owner_id,
        since=await _open_since(tx),
        limit=MONTHS_MAX,
    )
    openings: dict[str, int] = {}
    months = []
    for month_on, currency, line_count, amount in rows:
        opening = openings.get(currency, 0)
        months.append(
            Month(month_on=month_on, currency=currency, opening_amount=opening, amount=amount, line_count=line_count)
        )
        openings[currency] = opening + amount
    return months[::-1]


async def draw(tx: Tx, owner_id: UUID, month_on: date, currency: str, *, zone: str) -> Statement:
    """A month's statement, checked against the ledger in this snapshot (`difference_amount`). Refuses `NotFound` for
    months to come."""
    assert month_on.day == 1
    today = day_of(tx.now, zone)
    until = _next_month(month_on)
    if month_on > today:
        raise NotFound()
    open_since = await _open_since(tx)
    around = await tx.one(
        _Around,
        """
        SELECT coalesce(sum(amount) FILTER (WHERE booked_on < %(month_on)s), 0)::bigint AS before,
               coalesce(sum(amount) FILTER (WHERE booked_on >= %(until)s), 0)::bigint AS after
        FROM (
            SELECT month_on AS booked_on, amount FROM settlement.month_sum
            WHERE owner_id = %(owner_id)s AND currency = %(currency)s
            UNION ALL
            SELECT booked_on, amount FROM settlement.entry
            WHERE owner_id = %(owner_id)s AND currency = %(currency)s AND booked_on >= %(open_since)s
        ) AS part
        """,
        owner_id=owner_id,
        currency=currency,
        month_on=month_on,
        until=until,
        open_since=open_since,
    )
    sums, days = await _sum_lines(tx, owner_id, month_on, until, currency)
    statement = Statement(
        owner_id=owner_id,
        month_on=month_on,
        currency=currency,
        drawn_at=tx.now,
        is_open=until > today,
        opening_amount=around.before,
        sums=sums,
        days=days,
        ledger_amount=(await find_payable(tx, owner_id)).get(currency, 0) - around.after,
    )
    if month_on < open_since:
        written = await tx.one(
            int,
            """
            SELECT coalesce(sum(amount), 0)::bigint FROM settlement.month_sum
            WHERE owner_id = %(owner_id)s AND currency = %(currency)s AND month_on = %(month_on)s
            """,
            owner_id=owner_id,
            currency=currency,
            month_on=month_on,
        )
        statement = msgspec.structs.replace(statement, written_difference=statement.total.amount - written)
    if statement.difference_amount:
        log.error(
            "a statement does not add up to the ledger",
            owner=str(owner_id),
            month=month_on.isoformat(),
            currency=currency,
            closing=statement.closing_amount,
            ledger=statement.ledger_amount,
        )
    return statement


def require_lines(statement: Statement) -> None:
    """Refuse with `StatementEmpty` what has no lines and opens with nothing."""
    if not statement.total.line_count and not statement.opening_amount:
        raise StatementEmpty()


def require_sound(statement: Statement) -> None:
    """Refuse with `StatementOff` what does not add up."""
    if statement.difference_amount:
        raise StatementOff(difference=statement.difference_amount, currency=statement.currency)


async def list_entries(
    tx: Tx, owner_id: UUID, month_on: date, currency: str, *, after: UUID | None = None, limit: int = PAGE_SIZE_MAX
) -> list[Entry]:
    """The month's lines in the order of days and ids, continued after one of them."""
    start = (month_on, UUID(int=0))
    if after is not None:
        found = await tx.tuples("SELECT booked_on, id FROM settlement.line WHERE id = %(id)s", id=after)
        if not found:
            raise NotFound()
        start = max(start, found[0])
    return await _read(tx, owner_id, start, _next_month(month_on), currency, limit=min(limit, PAGE_SIZE_MAX))


async def walk_entries(tx: Tx, owner_id: UUID, month_on: date, currency: str) -> AsyncIterator[Entry]:
    """All of the month's lines, with memory for a page of them."""
    start, until = (month_on, UUID(int=0)), _next_month(month_on)
    while True:
        entries = await _read(tx, owner_id, start, until, currency, limit=EXPORTED_AT_ONCE)
        for entry in entries:
            yield entry
        if len(entries) < EXPORTED_AT_ONCE:
            return
        start = (entries[-1].booked_on, entries[-1].id)


async def close_months(db: Database, *, zone: str) -> int:
    """Write down the sums of the oldest month that is over and not closed, if there is one; returns how many (0 or 1).

    A month in which nothing was booked is closed with the next that has lines.
    """
    async with db.tx() as tx:
        if not await tx.one(bool, "SELECT pg_try_advisory_xact_lock(%(key)s)", key=CLOSE_LOCK):
            return 0
        until = day_of(tx.now - CLOSE_AFTER, zone).replace(day=1)
        month_on = (
            await tx.one(
                _First,
                """
                SELECT date_trunc('month', min(booked_on))::date AS month_on FROM settlement.line
                WHERE booked_on >= %(since)s AND booked_on < %(until)s
                """,
                since=await _open_since(tx),
                until=until,
            )
        ).month_on
        if month_on is None:
            return 0
        await tx.run(
            "INSERT INTO settlement.month (month_on, closed_at) VALUES (%(month_on)s, %(now)s)",
            month_on=month_on,
            now=tx.now,
        )
        await tx.run(
            """
            INSERT INTO settlement.month_sum (owner_id, currency, month_on, kind, line_count, goods_amount,
                shipping_amount, subsidy_amount, platform_amount, payment_amount, streamer_amount, amount)
            SELECT owner_id, currency, %(month_on)s, kind, count(*), sum(goods_amount), sum(shipping_amount),
                   sum(subsidy_amount), sum(platform_amount), sum(payment_amount), sum(streamer_amount), sum(amount)
            FROM settlement.entry WHERE booked_on >= %(month_on)s AND booked_on < %(until)s
            GROUP BY owner_id, currency, kind
            """,
            month_on=month_on,
            until=_next_month(month_on),
        )
        return 1


class _Around(msgspec.Struct, frozen=True):
    before: int
    after: int


class _First(msgspec.Struct, frozen=True):
    month_on: date | None


async def _open_since(tx: Tx) -> date:
    """The first day of which lines are not yet in the sums of a closed month."""
    last = await tx.one(_First, "SELECT max(month_on) AS month_on FROM settlement.month")
    return date(1970, 1, 1) if last.month_on is None else _next_month(last.month_on)


def _next_month(month_on: date) -> date:
    return (month_on.replace(day=1) + timedelta(days=31)).replace(day=1)


async def _sum_lines(
    tx: Tx, owner_id: UUID, since: date, until: date, currency: str
) -> tuple[dict[LineKind, Sum], dict[date, Sum]]:
    """What the lines themselves add up to, by kind and by day."""
    sums: dict[LineKind, Sum] = {}
    days: dict[date, Sum] = {}
    for day_on, kind, *figures in await tx.tuples(
        """
        SELECT booked_on, kind, count(*), sum(goods_amount)::bigint, sum(shipping_amount)::bigint,
               sum(subsidy_amount)::bigint, sum(platform_amount)::bigint, sum(payment_amount)::bigint,
               sum(streamer_amount)::bigint, sum(amount)::bigint
        FROM settlement.entry
        WHERE owner_id = %(owner_id)s AND currency = %(currency)s AND booked_on >= %(since)s AND booked_on < %(until)s
        GROUP BY booked_on, kind ORDER BY booked_on
        """,
        owner_id=owner_id,
        currency=currency,
        since=since,
        until=until,
    ):
        part = Sum(**dict(zip(Sum.__struct_fields__, figures, strict=True)))
        sums[LineKind(kind)] = sums.get(LineKind(kind), Sum()) + part
        days[day_on] = days.get(day_on, Sum()) + part
    return {kind: sums[kind] for kind in LineKind if kind in sums}, days


async def _read(
    tx: Tx, owner_id: UUID, after: tuple[date, UUID], until: date, currency: str, *, limit: int
) -> list[Entry]:
    rows = await tx.tuples(
        """
        SELECT id, kind, shop_id, streamer_id, order_id, no, goods_amount, shipping_amount, subsidy_amount, platform_bps,
               payment_bps, streamer_bps, platform_amount, payment_amount, streamer_amount, amount, booked_on, booked_at,
               subject_id
        FROM (
            (SELECT * FROM settlement.shop_entry
             WHERE owner_id = %(owner_id)s AND (booked_on, id) > (%(after_on)s, %(after_id)s)
               AND booked_on < %(until)s AND currency = %(currency)s
             ORDER BY booked_on, id LIMIT %(limit)s)
            UNION ALL
            (SELECT * FROM settlement.streamer_entry
             WHERE owner_id = %(owner_id)s AND (booked_on, id) > (%(after_on)s, %(after_id)s)
               AND booked_on < %(until)s AND currency = %(currency)s
             ORDER BY booked_on, id LIMIT %(limit)s)
        ) AS page
        ORDER BY booked_on, id LIMIT %(limit)s
        """,
        owner_id=owner_id,
        after_on=after[0],
        after_id=after[1],
        until=until,
        currency=currency,
        limit=limit,
    )
    return [Entry(**dict(zip(Entry.__struct_fields__, row, strict=True))) for row in rows]
