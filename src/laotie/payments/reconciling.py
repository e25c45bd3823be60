"""Matching a provider's statement with our books: every line with what it is of, every difference written down.

The file is kept with its digest; the same file again is matched again, with the books as they now stand, and replaces
what was found before. What we have and a statement of that day lacks may stand on the next one (a message comes some
seconds after the money): once that is here, it is no difference.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import AccountId, OrderId, new_id
from laotie.base.money import Money
from laotie.base.refusals import NotFound
from laotie.payments.model import (
    Difference,
    DifferenceKind,
    Line,
    LineKind,
    Sheet,
    Statement,
    StatementId,
    StatementUnreadable,
)
from laotie.payments.statements import ZONES, read_statement


class _Entry(msgspec.Struct, frozen=True):
    """Something in our books that a statement's line may be of. `amount` as a statement has it: out is negative."""

    kind: LineKind
    id: UUID
    order_id: OrderId | None
    """Missing: a release, which is of many orders."""
    reference: str | None
    amount: int
    currency: str


class _File(msgspec.Struct, frozen=True):
    provider: str
    stated_on: date
    content: bytes


async def match_statement(
    tx: Tx, provider: str, content: bytes, *, name: str, day: date | None = None, brought_by: AccountId | None = None
) -> Statement:
    """Read, keep and match a statement; the same file again is the same statement.

    `day`: of which day it is, when the file does not say. Refuses `StatementUnreadable`; then nothing is kept.
    """
    sheet = read_statement(provider, content)
    if day is None and sheet.day is None:
        raise StatementUnreadable(reason="the file does not say of which day it is")
    if None not in (day, sheet.day) and day != sheet.day:
        raise StatementUnreadable(reason=f"it is of {sheet.day}, not of {day}")
    statement_id = await tx.one(
        UUID,
        """
        INSERT INTO payments.statement (id, provider, stated_on, digest, name, content, line_count, brought_by,
                                        brought_at, matched_at)
        VALUES (%(id)s, %(provider)s, %(day)s, %(digest)s, %(name)s, %(content)s, %(lines)s, %(by)s, %(now)s, %(now)s)
        ON CONFLICT (provider, digest) DO UPDATE SET matched_at = excluded.matched_at RETURNING id
        """,
        id=new_id(),
        provider=provider,
        day=day or sheet.day,
        digest=hashlib.sha256(content).digest(),
        name=name[:200],
        content=content,
        lines=len(sheet.lines),
        by=brought_by,
        now=tx.now,
    )
    return await _match(tx, StatementId(statement_id), sheet)


async def match_again(tx: Tx, statement_id: StatementId) -> Statement:
    """Match a statement that is kept with the books as they now stand. Absent: `NotFound`."""
    file = await tx.maybe(
        _File,
        """
        UPDATE payments.statement SET matched_at = %(now)s WHERE id = %(id)s RETURNING provider, stated_on, content
        """,
        id=statement_id,
        now=tx.now,
    )
    if file is None:
        raise NotFound()
    return await _match(tx, statement_id, read_statement(file.provider, file.content))


async def _match(tx: Tx, statement_id: StatementId, sheet: Sheet) -> Statement:
    statement = await get_statement(tx, statement_id)
    entries = await _find_entries(tx, statement.provider, sheet.lines)
    subjects = _subjects(sheet.lines, entries)
    await _keep_lines(tx, statement_id, sheet.lines, subjects)
    elsewhere = await _find_elsewhere(tx, statement_id, [entry.id for entry in subjects.values()])
    fees = await _find_fees(tx, statement, [line.reference for line in sheet.lines])
    differences = compare(sheet.lines, subjects, elsewhere, fees)
    named = {(entry.kind, entry.id) for entry in subjects.values()}
    for entry in await _list_of_day(tx, statement):
        if (entry.kind, entry.id) not in named:
            differences.append(_difference(DifferenceKind.missing_there, None, entry, found="nothing"))
    await _write(tx, statement_id, differences, first=1)
    return await get_statement(tx, statement_id)


def compare(
    lines: list[Line],
    subjects: dict[int, _Entry],
    elsewhere: set[tuple[LineKind, UUID]],
    fees: dict[tuple[LineKind, str], Money],
) -> list[Difference]:
    """What each line differs in from what it is of (`subjects`, by line). Pure.

    `elsewhere`: what stands on other statements; `fees`: what others say was taken for the same.
    """
    differences: list[Difference] = []
    seen = set(elsewhere)
    stated: set[str] = set()
    for line in lines:
        entry = subjects.get(line.no)
        fee = line.fee if line.kind is not LineKind.fee else -line.amount
        booked = fees.get((line.kind, line.reference))
        if fee and booked is not None and booked != Money(fee, line.currency):
            words = f"{line.kind} {booked}"
            differences.append(_difference(DifferenceKind.fee, line, entry, expected=words, found=_words(fee, line)))
        if line.kind is LineKind.fee:
            if line.reference and line.reference in stated:
                differences.append(_difference(DifferenceKind.twice, line, None, expected=_words(line.amount, line)))
            stated.add(line.reference)
        if line.kind in (LineKind.fee, LineKind.own):
            continue
        if entry is None:
            differences.append(_difference(DifferenceKind.missing_here, line, None, expected="nothing"))
            continue
        if (entry.kind, entry.id) in seen:
            differences.append(_difference(DifferenceKind.twice, line, entry))
            continue
        seen.add((entry.kind, entry.id))
        if line.currency != entry.currency:
            differences.append(_difference(DifferenceKind.currency_differs, line, entry))
        elif line.amount != entry.amount:
            differences.append(_difference(DifferenceKind.amount_differs, line, entry))
    return differences


def _difference(
    kind: DifferenceKind,
    line: Line | None,
    entry: _Entry | None,
    *,
    expected: str | None = None,
    found: str | None = None,
) -> Difference:
    return Difference(
        kind=kind,
        line_no=line.no if line is not None else None,
        subject_id=entry.id if entry is not None else None,
        order_id=entry.order_id if entry is not None else None,
        reference=(line.reference if line is not None else entry.reference if entry is not None else "") or "",
        expected=expected if expected is not None else _words(entry.amount, entry) if entry is not None else "",
        found=found if found is not None else _words(line.amount, line) if line is not None else "",
    )


def _words(amount: int, of: Line | _Entry) -> str:
    return f"{of.kind} {Money(amount, of.currency)}"


def _subjects(lines: list[Line], entries: list[_Entry]) -> dict[int, _Entry]:
    """What each line is of: by our own id when the file has it, else by the provider's name."""
    by_id = {(entry.kind, entry.id): entry for entry in entries}
    by_reference = {(entry.kind, entry.reference): entry for entry in entries if entry.reference}
    found = {}
    for line in lines:
        our_id = _uuid(line.ours)
        entry = by_id.get((line.kind, our_id)) if our_id is not None else None
        entry = entry or by_reference.get((line.kind, line.reference))
        if entry is not None:
            found[line.no] = entry
    return found


async def _find_entries(tx: Tx, provider: str, lines: list[Line]) -> list[_Entry]:
    """What of our books the lines may be of."""
    ids = [our_id for line in lines if (our_id := _uuid(line.ours)) is not None]
    references = [line.reference for line in lines if line.reference]
    return await tx.all(
        _Entry,
        """
        SELECT 'payment' AS kind, id, order_id, charge_ref AS reference,
               coalesce(captured_amount, amount) AS amount, currency
        FROM payments.payment
        WHERE provider = %(provider)s AND captured_at IS NOT NULL
          AND (id = ANY(%(ids)s) OR charge_ref = ANY(%(references)s))
        UNION ALL
        SELECT 'refund', r.id, coalesce(r.order_id, p.order_id), r.provider_ref, -r.amount, p.currency
        FROM payments.refund AS r JOIN payments.payment AS p ON p.id = r.payment_id
        WHERE p.provider = %(provider)s AND r.state = 'done'
          AND (r.id = ANY(%(ids)s) OR r.provider_ref = ANY(%(references)s))
        UNION ALL
        SELECT side.kind, d.id, p.order_id, d.provider_ref, side.sign * d.amount, d.currency
        FROM payments.dispute AS d JOIN payments.payment AS p ON p.id = d.payment_id
        CROSS JOIN (VALUES ('reversal', -1), ('restoration', 1)) AS side (kind, sign)
        WHERE d.provider = %(provider)s AND d.provider_ref = ANY(%(references)s)
          AND (side.kind = 'reversal' OR d.money = 'returned')
        UNION ALL
        SELECT 'release', id, NULL, provider_ref, -amount, currency FROM payments.release
        WHERE provider = %(provider)s AND state = 'done' AND (id = ANY(%(ids)s) OR provider_ref = ANY(%(references)s))
        """,
        provider=provider,
        ids=ids,
        references=references,
    )


async def _list_of_day(tx: Tx, statement: Statement) -> list[_Entry]:
    """What our books say happened on the statement's day, but for what stands on another statement."""
    since = datetime.combine(statement.stated_on, time.min, ZONES.get(statement.provider, UTC))
    return await tx.all(
        _Entry,
        """
        WITH booked AS (
            SELECT 'payment' AS kind, id, order_id, coalesce(charge_ref, provider_ref) AS reference,
                   coalesce(captured_amount, amount) AS amount, currency, captured_at AS at
            FROM payments.payment WHERE provider = %(provider)s AND captured_at >= %(since)s AND captured_at < %(until)s
            UNION ALL
            SELECT 'refund', r.id, coalesce(r.order_id, p.order_id), r.provider_ref, -r.amount, p.currency, r.settled_at
            FROM payments.refund AS r JOIN payments.payment AS p ON p.id = r.payment_id
            WHERE p.provider = %(provider)s AND r.state = 'done'
            UNION ALL
            SELECT 'reversal', d.id, p.order_id, d.provider_ref, -d.amount, d.currency, d.opened_at
            FROM payments.dispute AS d JOIN payments.payment AS p ON p.id = d.payment_id
            WHERE d.provider = %(provider)s
            UNION ALL
            SELECT 'restoration', d.id, p.order_id, d.provider_ref, d.amount, d.currency, d.changed_at
            FROM payments.dispute AS d JOIN payments.payment AS p ON p.id = d.payment_id
            WHERE d.provider = %(provider)s AND d.money = 'returned'
            UNION ALL
            SELECT 'release', id, NULL, provider_ref, -amount, currency, settled_at FROM payments.release
            WHERE provider = %(provider)s AND state = 'done'
        )
        SELECT kind, id, order_id, reference, amount, currency FROM booked
        WHERE at >= %(since)s AND at < %(until)s AND NOT EXISTS (
            SELECT FROM payments.statement_line AS l
            WHERE l.subject_id = booked.id AND l.kind = booked.kind AND l.statement_id <> %(statement_id)s)
        ORDER BY at, id
        """,
        provider=statement.provider,
        since=since,
        until=since + timedelta(days=1),
        statement_id=statement.id,
    )


async def _keep_lines(tx: Tx, statement_id: StatementId, lines: list[Line], subjects: dict[int, _Entry]) -> None:
    await tx.run("DELETE FROM payments.statement_line WHERE statement_id = %(id)s", id=statement_id)
    await tx.run(
        """
        INSERT INTO payments.statement_line
            (statement_id, no, kind, reference, amount, fee_amount, currency, moved_at, subject_id)
        SELECT %(id)s, * FROM unnest(%(nos)s::integer[], %(kinds)s::text[], %(references)s::text[],
            %(amounts)s::bigint[], %(fees)s::bigint[], %(currencies)s::text[], %(times)s::timestamptz[],
            %(subjects)s::uuid[])
        """,
        id=statement_id,
        nos=[line.no for line in lines],
        kinds=[line.kind for line in lines],
        references=[line.reference[:200] for line in lines],
        amounts=[line.amount for line in lines],
        fees=[line.fee for line in lines],
        currencies=[line.currency for line in lines],
        times=[line.moved_at for line in lines],
        subjects=[subjects[line.no].id if line.no in subjects else None for line in lines],
    )


async def _find_elsewhere(tx: Tx, statement_id: StatementId, ids: list[UUID]) -> set[tuple[LineKind, UUID]]:
    """What of these stands on statements that were brought before this one."""
    rows = await tx.tuples(
        """
        SELECT l.kind, l.subject_id FROM payments.statement_line AS l
        WHERE l.subject_id = ANY(%(ids)s) AND l.statement_id < %(id)s
        """,
        ids=ids,
        id=statement_id,
    )
    return {(LineKind(kind), subject_id) for kind, subject_id in rows}


async def _find_fees(
    tx: Tx, statement: Statement, references: list[str]
) -> dict[tuple[LineKind, str], Money]:
    """What was written down as taken for these when another statement had them."""
    rows = await tx.tuples(
        """
        SELECT kind, reference, amount, currency FROM payments.fee
        WHERE provider = %(provider)s AND reference = ANY(%(references)s) AND statement_id <> %(id)s
        """,
        provider=statement.provider,
        references=references,
        id=statement.id,
    )
    return {(LineKind(kind), reference): Money(amount, currency) for kind, reference, amount, currency in rows}


async def _write(tx: Tx, statement_id: StatementId, differences: list[Difference], *, first: int) -> None:
    """Write differences from the number `first` on, in place of whatever was there."""
    await tx.run(
        "DELETE FROM payments.statement_difference WHERE statement_id = %(id)s AND no >= %(first)s",
        id=statement_id,
        first=first,
    )
    await tx.run(
        """
        INSERT INTO payments.statement_difference
            (statement_id, no, kind, line_no, subject_id, order_id, reference, expected, found)
        SELECT %(id)s, * FROM unnest(%(nos)s::integer[], %(kinds)s::text[], %(lines)s::integer[], %(subjects)s::uuid[],
            %(orders)s::uuid[], %(references)s::text[], %(expected)s::text[], %(found)s::text[])
        """,
        id=statement_id,
        nos=list(range(first, first + len(differences))),
        kinds=[one.kind for one in differences],
        lines=[one.line_no for one in differences],
        subjects=[one.subject_id for one in differences],
        orders=[one.order_id for one in differences],
        references=[one.reference[:200] for one in differences],
        expected=[one.expected[:200] for one in differences],
        found=[one.found[:200] for one in differences],
    )


async def add_ledger_differences(
    tx: Tx, statement_id: StatementId, found: Iterable[tuple[OrderId, str, str]]
) -> Statement:
    """Add where the ledger's word on an order of the statement is another than the payments'."""
    known = await tx.one(
        int,
        "SELECT coalesce(max(no), 0) FROM payments.statement_difference WHERE statement_id = %(id)s",
        id=statement_id,
    )
    differences = [
        Difference(
            kind=DifferenceKind.ledger_differs,
            line_no=None,
            subject_id=None,
            order_id=order_id,
            reference="",
            expected=ours,
            found=theirs,
        )
        for order_id, ours, theirs in found
    ]
    await _write(tx, statement_id, differences, first=known + 1)
    return await get_statement(tx, statement_id)


async def list_orders_of_statement(tx: Tx, statement_id: StatementId) -> set[OrderId]:
    """The orders (of a purchase, its first) whose payments, refunds and chargebacks the statement names."""
    rows = await tx.tuples(
        """
        SELECT p.order_id FROM payments.statement_line AS l JOIN payments.payment AS p ON p.id = l.subject_id
        WHERE l.statement_id = %(id)s
        UNION SELECT p.order_id FROM payments.statement_line AS l JOIN payments.refund AS r ON r.id = l.subject_id
        JOIN payments.payment AS p ON p.id = r.payment_id WHERE l.statement_id = %(id)s
        UNION SELECT p.order_id FROM payments.statement_line AS l JOIN payments.dispute AS d ON d.id = l.subject_id
        JOIN payments.payment AS p ON p.id = d.payment_id WHERE l.statement_id = %(id)s
        """,
        id=statement_id,
    )
    return {OrderId(row[0]) for row in rows}


async def list_statements(tx: Tx, *, after: StatementId | None = None, limit: int = 50) -> list[Statement]:
    """Statements, the latest brought first."""
    return await tx.all(
        Statement,
        """
        SELECT id, provider, stated_on, encode(digest, 'hex') AS digest, name, line_count, brought_at, matched_at,
               (SELECT count(*) FROM payments.statement_difference WHERE statement_id = s.id) AS difference_count,
               (SELECT count(*) FROM payments.statement_difference AS d WHERE statement_id = s.id AND NOT EXISTS (
                   SELECT FROM payments.resolution AS r
                   WHERE r.statement_id = s.id AND r.mark = d.mark AND r.state = 'settled')) AS open_count
        FROM payments.statement AS s
        WHERE %(after)s::uuid IS NULL OR id < %(after)s ORDER BY id DESC LIMIT %(limit)s
        """,
        after=after,
        limit=limit,
    )


async def get_statement(tx: Tx, statement_id: StatementId) -> Statement:
    """One statement. Absent: `NotFound`."""
    statement = await tx.maybe(
        Statement,
        """
        SELECT id, provider, stated_on, encode(digest, 'hex') AS digest, name, line_count, brought_at, matched_at,
               (SELECT count(*) FROM payments.statement_difference WHERE statement_id = s.id) AS difference_count,
               (SELECT count(*) FROM payments.statement_difference AS d WHERE statement_id = s.id AND NOT EXISTS (
                   SELECT FROM payments.resolution AS r
                   WHERE r.statement_id = s.id AND r.mark = d.mark AND r.state = 'settled')) AS open_count
        FROM payments.statement AS s WHERE id = %(id)s
        """,
        id=statement_id,
    )
    if statement is None:
        raise NotFound()
    return statement


async def list_differences(
    tx: Tx, statement_id: StatementId, *, after: int = 0, limit: int = 100
) -> list[tuple[int, Difference]]:
    """The differences of a statement with their numbers, from the one behind `after` on."""
    rows = await tx.all(
        _Numbered,
        """
        SELECT d.no, d.kind, d.line_no, d.subject_id, d.order_id, d.reference, d.expected, d.found,
               r.id AS resolution_id, coalesce(r.state = 'settled', false) AS settled
        FROM payments.statement_difference AS d
        LEFT JOIN payments.resolution AS r
          ON r.statement_id = d.statement_id AND r.mark = d.mark AND r.state <> 'dropped'
        WHERE d.statement_id = %(id)s AND d.no > %(after)s ORDER BY d.no LIMIT %(limit)s
        """,
        id=statement_id,
        after=after,
        limit=limit,
    )
    return [
        (row.no, Difference(**{name: getattr(row, name) for name in Difference.__struct_fields__})) for row in rows
    ]


class _Numbered(Difference, frozen=True, kw_only=True):
    no: int


def _uuid(text: str) -> UUID | None:
    """Our ids as files have them: with or without dashes, a refund's with `-attempt` behind."""
    plain = text if len(text) == 36 else text.partition("-")[0]
    try:
        return UUID(plain)
    except ValueError:
        return None
