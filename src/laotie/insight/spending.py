"""What was paid to bring viewers, as people enter it: by day, source and campaign, by hand or from a file.

A payer (a shop, or the platform) has one figure a day, source, campaign and currency. To say it again replaces it, so the
same file twice changes nothing. A file is taken whole or not at all; every line that is wrong is told.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import NewType
from uuid import UUID

import msgspec

from laotie.base.cells import unguard
from laotie.base.db import Tx
from laotie.base.entry import Source
from laotie.base.ids import AccountId, ShopId, new_id
from laotie.base.money import AMOUNT_MAX, AmountUnreadable, UnknownCurrency, parse
from laotie.base.refusals import Invalid

SpendId = NewType("SpendId", UUID)

CAMPAIGN_LENGTH_MAX = 100
NOTE_LENGTH_MAX = 200
LINES_MAX = 10_000
ERRORS_MAX = 100
FIRST_DAY = date(2000, 1, 1)
COLUMNS = ("date", "source", "campaign", "amount", "note")
NEEDED = ("date", "source", "amount")


class SpendDayRefused(Invalid, code="spend-day-refused"):
    """Only what has been spent can be entered: a day from 2000 to today."""

    spent_on: date


class SpendSheetUnreadable(Invalid, code="spend-sheet-unreadable"):
    """The file is not a CSV with the columns date, source, amount."""

    reason: str


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What was paid on a day for a source and campaign (empty: none)."""

    spent_on: date
    source: Source
    campaign: str = ""
    amount: int
    currency: str
    note: str = ""


class Spend(msgspec.Struct, frozen=True, kw_only=True):
    """The same, as it is kept: by whom and when it was said last."""

    id: SpendId
    shop_id: ShopId | None
    spent_on: date
    source: Source
    campaign: str
    amount: int
    currency: str
    note: str
    made_by: AccountId
    made_at: datetime


class SpendTotal(msgspec.Struct, frozen=True, kw_only=True):
    """What a payer spent on a source and campaign in a period."""

    source: str
    campaign: str
    currency: str
    amount: int


class LineError(msgspec.Struct, frozen=True):
    """What is wrong with a line of a file (the heading is line 1)."""

    line: int
    field: str
    code: str
    text: str


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says: its figures, or its errors (the first `ERRORS_MAX`, of `error_count`)."""

    lines: int
    spendings: list[Spending]
    errors: list[LineError]
    error_count: int


async def enter_spend(
    tx: Tx, made_by: AccountId, shop_id: ShopId | None, spendings: Sequence[Spending], *, today: date
) -> list[Spend]:
    """Keep what was paid, each once; what was said before of the same is replaced. Refuses days to come."""
    for one in spendings:
        if not FIRST_DAY <= one.spent_on <= today:
            raise SpendDayRefused(spent_on=one.spent_on)
    return await tx.all(
        Spend,
        """
        INSERT INTO insight.spend (id, shop_id, spent_on, source, campaign, amount, currency, note, made_by, made_at)
        SELECT said.id, %(shop_id)s, said.spent_on, said.source, said.campaign, said.amount, said.currency, said.note,
               %(made_by)s, %(now)s
        FROM unnest(%(ids)s::uuid[], %(days)s::date[], %(sources)s::text[], %(campaigns)s::text[], %(amounts)s::bigint[],
                    %(currencies)s::text[], %(notes)s::text[])
             AS said (id, spent_on, source, campaign, amount, currency, note)
        ON CONFLICT ON CONSTRAINT spend_once DO UPDATE
        SET amount = excluded.amount, note = excluded.note, made_by = excluded.made_by, made_at = excluded.made_at
        RETURNING id, shop_id, spent_on, source, campaign, amount, currency, note, made_by, made_at
        """,
        shop_id=shop_id,
        made_by=made_by,
        now=tx.now,
        ids=[new_id() for _ in spendings],
        days=[one.spent_on for one in spendings],
        sources=[one.source.value for one in spendings],
        campaigns=[one.campaign for one in spendings],
        amounts=[one.amount for one in spendings],
        currencies=[one.currency for one in spendings],
        notes=[one.note for one in spendings],
    )


async def delete_spend(tx: Tx, shop_id: ShopId | None, spend_id: SpendId) -> Spend | None:
    """Take one figure out, and give it back to be told of; `None` when this payer has no such."""
    return await tx.maybe(
        Spend,
        """
        DELETE FROM insight.spend WHERE id = %(spend_id)s AND shop_id IS NOT DISTINCT FROM %(shop_id)s
        RETURNING id, shop_id, spent_on, source, campaign, amount, currency, note, made_by, made_at
        """,
        spend_id=spend_id,
        shop_id=shop_id,
    )


async def list_spend(
    tx: Tx, shop_id: ShopId | None, *, since: date, until: date, after: SpendId | None, limit: int
) -> list[Spend]:
    """What a payer entered for the days of a period, the latest entered first."""
    return await tx.all(
        Spend,
        """
        SELECT id, shop_id, spent_on, source, campaign, amount, currency, note, made_by, made_at
        FROM insight.spend
        WHERE shop_id IS NOT DISTINCT FROM %(shop_id)s AND spent_on >= %(since)s AND spent_on < %(until)s
          AND (%(after)s::uuid IS NULL OR id < %(after)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        shop_id=shop_id,
        since=since,
        until=until,
        after=after,
        limit=limit,
    )


async def total_spend(tx: Tx, shop_id: ShopId | None, *, since: date, until: date) -> list[SpendTotal]:
    """What a payer spent in a period, by source, campaign and currency."""
    return await tx.all(
        SpendTotal,
        """
        SELECT source, campaign, currency, sum(amount)::bigint AS amount
        FROM insight.spend
        WHERE shop_id IS NOT DISTINCT FROM %(shop_id)s AND spent_on >= %(since)s AND spent_on < %(until)s
        GROUP BY source, campaign, currency ORDER BY source, campaign, currency
        """,
        shop_id=shop_id,
        since=since,
        until=until,
    )


def read_sheet(data: bytes, currency: str, *, today: date) -> Read:
    """The figures of a CSV file with a heading: date, source, amount (in whole units), and perhaps campaign and note."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SpendSheetUnreadable(reason="encoding") from None
    rows = csv.reader(io.StringIO(text, newline=""))
    heading = [cell.strip().lower() for cell in next(rows, [])]
    if not set(NEEDED) <= set(heading) or len(set(heading)) < len(heading):
        raise SpendSheetUnreadable(reason="columns")
    spendings: dict[tuple[object, ...], Spending] = {}
    errors: list[LineError] = []
    lines = 0
    try:
        for number, cells in enumerate(rows, start=2):
            if not any(cell.strip() for cell in cells):
                continue
            lines += 1
            if lines > LINES_MAX:
                raise SpendSheetUnreadable(reason="too-long")
            cells += [""] * (len(heading) - len(cells))
            line = {name: unguard(cell).strip() for name, cell in zip(heading, cells, strict=False)}
            wrong = list(_find_errors(line, number, currency, today))
            errors += wrong
            if wrong:
                continue
            one = Spending(
                spent_on=date.fromisoformat(line["date"]), source=Source(line["source"]), campaign=line.get("campaign", ""),
                amount=parse(line["amount"], currency).amount, currency=currency, note=line.get("note", ""),
            )  # fmt: skip
            key = (one.spent_on, one.source, one.campaign)
            if key in spendings:
                errors.append(
                    LineError(number, "date", "said-twice", f"{one.spent_on} {one.source} {one.campaign}".strip())
                )
            spendings[key] = one
    except csv.Error:
        raise SpendSheetUnreadable(reason="quoting") from None
    return Read(
        lines=lines,
        spendings=[] if errors else list(spendings.values()),
        errors=errors[:ERRORS_MAX],
        error_count=len(errors),
    )


def _find_errors(line: dict[str, str], number: int, currency: str, today: date) -> Iterator[LineError]:
    try:
        day = date.fromisoformat(line["date"])
        if not FIRST_DAY <= day <= today:
            yield LineError(number, "date", "day-refused", line["date"][:40])
    except ValueError:
        yield LineError(number, "date", "unreadable", line["date"][:40])
    if line["source"] not in set(Source):
        yield LineError(number, "source", "unknown", line["source"][:40])
    try:
        amount = parse(line["amount"], currency).amount
        if not 0 <= amount <= AMOUNT_MAX:
            yield LineError(number, "amount", "out-of-range", line["amount"][:40])
    except (AmountUnreadable, UnknownCurrency):
        yield LineError(number, "amount", "unreadable", line["amount"][:40])
    for name, length in (("campaign", CAMPAIGN_LENGTH_MAX), ("note", NOTE_LENGTH_MAX)):
        if len(line.get(name, "")) > length:
            yield LineError(number, name, "too-long", line[name][:40])
