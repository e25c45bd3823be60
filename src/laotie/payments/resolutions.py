"""Settling what differs: one operator proposes with a reason, another settles or drops it, and all of it stays.

A difference is a message that did not fit (`discrepancy`) or a line of a provider's statement. What is settled counts no
longer against the books; found again in other words, it is another difference. Who may act, and the ledger's part, are
the caller's (`audit`).
"""

from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import AccountId
from laotie.base.money import Money, exponent
from laotie.base.refusals import IdReused, NotFound
from laotie.payments.model import (
    AlreadyResolved,
    Cost,
    Discrepancy,
    Fee,
    Resolution,
    ResolutionId,
    ResolutionState,
    StatementId,
)


class Matter(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be settled: a message's discrepancy, or the difference `no` of a statement."""

    discrepancy_id: UUID | None = None
    statement_id: StatementId | None = None
    no: int | None = None


class _Words(msgspec.Struct, frozen=True):
    provider: str
    kind: str
    reference: str
    expected: str
    found: str
    mark: str | None


async def propose_resolution(
    tx: Tx, resolution_id: ResolutionId, of: Matter, *, by: AccountId, reason: str, correction: Money | None = None
) -> tuple[Resolution, bool]:
    """Write down how a difference is to be settled; the second says whether it happened just now.

    The same id again gives what there is. Refuses `NotFound`, `AlreadyResolved` while another proposal stands, `IdReused`.
    """
    if correction is not None:
        exponent(correction.currency)
        assert correction.amount
    words = await _find_words(tx, of)
    if words is None:
        raise NotFound()
    fresh = await tx.run(
        """
        INSERT INTO payments.resolution (id, discrepancy_id, statement_id, mark, provider, kind, reference, expected,
                                         found, reason, amount, currency, proposed_by, proposed_at)
        VALUES (%(id)s, %(discrepancy_id)s, %(statement_id)s, %(mark)s, %(provider)s, %(kind)s, %(reference)s,
                %(expected)s, %(found)s, %(reason)s, %(amount)s, %(currency)s, %(by)s, %(now)s)
        ON CONFLICT DO NOTHING
        """,
        id=resolution_id,
        discrepancy_id=of.discrepancy_id,
        statement_id=of.statement_id,
        mark=words.mark,
        provider=words.provider,
        kind=words.kind,
        reference=words.reference,
        expected=words.expected,
        found=words.found,
        reason=reason,
        amount=correction.amount if correction is not None else None,
        currency=correction.currency if correction is not None else None,
        by=by,
        now=tx.now,
    )
    if not fresh:
        standing = await _find_standing(tx, of, words.mark)
        if standing is not None and standing.id != resolution_id:
            raise AlreadyResolved(state=standing.state)
    found = await get_resolution(tx, resolution_id)
    same = (found.discrepancy_id, found.statement_id, found.mark) == (of.discrepancy_id, of.statement_id, words.mark)
    if not same or (found.proposed_by, found.reason) != (by, reason):
        raise IdReused()
    return found, bool(fresh)


async def decide_resolution(
    tx: Tx, resolution_id: ResolutionId, *, by: AccountId, settle: bool
) -> tuple[Resolution, bool]:
    """Settle or drop a proposal; the second says whether it happened just now. Refuses `AlreadyResolved`."""
    wanted = ResolutionState.settled if settle else ResolutionState.dropped
    changed = await tx.run(
        """
        UPDATE payments.resolution SET state = %(state)s, decided_by = %(by)s, decided_at = %(now)s
        WHERE id = %(id)s AND state = 'proposed'
        """,
        state=wanted,
        by=by,
        id=resolution_id,
        now=tx.now,
    )
    found = await get_resolution(tx, resolution_id)
    if found.state is not wanted or (not changed and found.decided_by != by):
        raise AlreadyResolved(state=found.state)
    return found, bool(changed)


async def get_resolution(tx: Tx, resolution_id: ResolutionId) -> Resolution:
    """One. Absent: `NotFound`."""
    found = await tx.maybe(
        Resolution,
        """
        SELECT id, discrepancy_id, statement_id, mark, provider, kind, reference, expected, found, reason, amount,
               currency, state, proposed_by, proposed_at, decided_by, decided_at
        FROM payments.resolution WHERE id = %(id)s
        """,
        id=resolution_id,
    )
    if found is None:
        raise NotFound()
    return found


async def list_resolutions(
    tx: Tx, *, state: ResolutionState | None = None, after: ResolutionId | None = None, limit: int = 50
) -> list[Resolution]:
    """What was proposed and decided, newest first."""
    return await tx.all(
        Resolution,
        """
        SELECT id, discrepancy_id, statement_id, mark, provider, kind, reference, expected, found, reason, amount,
               currency, state, proposed_by, proposed_at, decided_by, decided_at
        FROM payments.resolution
        WHERE (%(state)s::text IS NULL OR state = %(state)s) AND (%(after)s::uuid IS NULL OR id < %(after)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        state=state,
        after=after,
        limit=limit,
    )


async def list_discrepancies(tx: Tx, *, after: UUID | None = None, limit: int = 50) -> list[Discrepancy]:
    """Messages that did not fit and that nobody has settled, newest first."""
    return await tx.all(
        Discrepancy,
        """
        SELECT id, provider, event_id, kind, payment_id, expected, found, found_at FROM payments.discrepancy AS d
        WHERE (%(after)s::uuid IS NULL OR id < %(after)s) AND NOT EXISTS (
            SELECT FROM payments.resolution WHERE discrepancy_id = d.id AND state = 'settled')
        ORDER BY id DESC LIMIT %(limit)s
        """,
        after=after,
        limit=limit,
    )


async def take_fees(tx: Tx, statement_id: StatementId) -> list[Fee]:
    """What a statement says that the provider took, and that was not written down yet: once for each thing.

    A fee has its subject's reference; the same stated again is the same.
    """
    return await tx.all(
        Fee,
        """
        INSERT INTO payments.fee (id, provider, kind, reference, amount, currency, statement_id, line_no, stated_on, booked_at)
        SELECT gen_random_uuid(), s.provider, l.kind, coalesce(nullif(l.reference, ''), s.id || ' ' || l.no),
               CASE l.kind WHEN 'fee' THEN -l.amount ELSE l.fee_amount END, l.currency, s.id, l.no, s.stated_on, %(now)s
        FROM payments.statement_line AS l JOIN payments.statement AS s ON s.id = l.statement_id
        WHERE l.statement_id = %(id)s AND CASE l.kind WHEN 'fee' THEN l.amount ELSE l.fee_amount END <> 0
        ORDER BY l.no
        ON CONFLICT (provider, kind, reference) DO NOTHING
        RETURNING id, statement_id, amount, currency
        """,
        id=statement_id,
        now=tx.now,
    )


async def list_costs(tx: Tx) -> list[Cost]:
    """What each provider took in each currency, and of what was stated to have come in."""
    return await tx.all(
        Cost,
        """
        SELECT f.provider, f.currency, count(*) AS line_count, sum(f.amount)::bigint AS fee_amount,
               coalesce(sum(l.amount) FILTER (WHERE l.kind = 'payment'), 0)::bigint AS captured_amount
        FROM payments.fee AS f
        LEFT JOIN payments.statement_line AS l ON l.statement_id = f.statement_id AND l.no = f.line_no
        GROUP BY f.provider, f.currency ORDER BY f.provider, f.currency
        """,
    )


async def _find_words(tx: Tx, of: Matter) -> _Words | None:
    if of.discrepancy_id is not None:
        return await tx.maybe(
            _Words,
            """
            SELECT provider, kind, event_id AS reference, expected, found, NULL AS mark
            FROM payments.discrepancy WHERE id = %(id)s
            """,
            id=of.discrepancy_id,
        )
    return await tx.maybe(
        _Words,
        """
        SELECT s.provider, d.kind, d.reference, d.expected, d.found, d.mark
        FROM payments.statement_difference AS d JOIN payments.statement AS s ON s.id = d.statement_id
        WHERE d.statement_id = %(id)s AND d.no = %(no)s
        """,
        id=of.statement_id,
        no=of.no,
    )


async def _find_standing(tx: Tx, of: Matter, mark: str | None) -> Resolution | None:
    """The proposal that stands for a difference, or what settled it."""
    return await tx.maybe(
        Resolution,
        """
        SELECT id, discrepancy_id, statement_id, mark, provider, kind, reference, expected, found, reason, amount,
               currency, state, proposed_by, proposed_at, decided_by, decided_at
        FROM payments.resolution
        WHERE state <> 'dropped' AND (discrepancy_id = %(discrepancy_id)s
                                      OR (statement_id = %(statement_id)s AND mark = %(mark)s))
        """,
        discrepancy_id=of.discrepancy_id,
        statement_id=of.statement_id,
        mark=mark,
    )
