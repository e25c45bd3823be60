"""Terms: how long after completion orders are settled, of one shop or of every shop that has no term of its own.

Rows are only added, like rates; one without hours ends the one before. A term counts for orders that complete from its
instant on; what waits already keeps its day.
"""

from datetime import datetime
from typing import NewType
from uuid import UUID

import msgspec

from laotie import catalog, identity
from laotie.base.db import Tx
from laotie.base.ids import AccountId, ShopId
from laotie.base.refusals import IdReused
from laotie.identity import Actor
from laotie.settlement.rates import (
    PAGE_SIZE_MAX,
    RATES_LOCK,
    NothingToEnd,
    RateRefused,
    RateState,
    check_note,
    read_start,
)

TermId = NewType("TermId", UUID)

DELAY_H_MAX = 366 * 24


class NewTerm(msgspec.Struct, frozen=True, kw_only=True):
    """What to set; without `valid_from`, from now on. Without `delay_h` it ends the term there is."""

    id: TermId
    shop_id: ShopId | None = None
    delay_h: int | None
    valid_from: datetime | None = None
    note: str


class SetTerm(msgspec.Struct, frozen=True, kw_only=True):
    """A term as it was set, and whether it counts."""

    id: TermId
    shop_id: ShopId | None
    delay_h: int | None
    valid_from: datetime
    note: str
    made_by: AccountId | None
    made_at: datetime
    state: RateState


async def set_term(tx: Tx, actor: Actor, wanted: NewTerm) -> SetTerm:
    """Set how long orders wait, or end what was set. Operators only; the same id and content again is the same term.

    Refuses `RateRefused`, `RateInThePast`, `NothingToEnd`, `IdReused`.
    """
    made_by = actor.require_operator()
    check_note(wanted.note)
    if wanted.delay_h is not None and not 0 <= wanted.delay_h <= DELAY_H_MAX:
        raise RateRefused(field="delay_h", reason="out-of-range")
    if wanted.shop_id is not None and not await catalog.find_shops(tx, [wanted.shop_id]):
        raise RateRefused(field="shop_id", reason="unknown")
    await tx.run("SELECT pg_advisory_xact_lock(%(key)s)", key=RATES_LOCK)
    if (known := await _find(tx, wanted.id)) is not None:
        if (known.shop_id, known.delay_h, known.note) != (wanted.shop_id, wanted.delay_h, wanted.note) or (
            wanted.valid_from not in (None, known.valid_from)
        ):
            raise IdReused()
        return known
    valid_from = read_start(wanted.valid_from, tx.now)
    set_or_ended = await tx.run(
        """
        INSERT INTO settlement.term (id, shop_id, delay_h, valid_from, note, made_by, made_at)
        SELECT %(id)s, %(shop_id)s::uuid, %(delay_h)s::integer, %(valid_from)s, %(note)s, %(made_by)s, %(now)s
        WHERE %(delay_h)s::integer IS NOT NULL OR (
            SELECT delay_h IS NOT NULL FROM settlement.term WHERE shop_id IS NOT DISTINCT FROM %(shop_id)s::uuid
            ORDER BY valid_from DESC, id DESC LIMIT 1)
        """,
        id=wanted.id,
        shop_id=wanted.shop_id,
        delay_h=wanted.delay_h,
        valid_from=valid_from,
        note=wanted.note,
        made_by=made_by,
        now=tx.now,
    )
    if not set_or_ended:
        raise NothingToEnd()
    subject = str(wanted.shop_id or wanted.id)
    facts = {"delay_h": wanted.delay_h, "valid_from": valid_from.isoformat(), "note": wanted.note}
    act = "term.ended" if wanted.delay_h is None else "term.set"
    await identity.record(tx, actor, act, subject=subject, term=str(wanted.id), **facts)
    found = await _find(tx, wanted.id)
    assert found is not None
    return found


async def list_terms(tx: Tx, actor: Actor, *, after: UUID | None = None, limit: int = PAGE_SIZE_MAX) -> list[SetTerm]:
    """All terms there are and were, for an operator, the last set first."""
    actor.require_operator()
    return await _list(tx, after=after, limit=limit)


async def _find(tx: Tx, term_id: TermId) -> SetTerm | None:
    found = await _list(tx, term_id=term_id, limit=1)
    return found[0] if found else None


async def _list(tx: Tx, *, term_id: TermId | None = None, after: UUID | None = None, limit: int) -> list[SetTerm]:
    return await tx.all(
        SetTerm,
        """
        SELECT id, shop_id, delay_h, valid_from, note, made_by, made_at,
               CASE WHEN valid_from > %(now)s THEN 'planned'
                    WHEN EXISTS (
                        SELECT FROM settlement.term AS later
                        WHERE later.valid_from <= %(now)s AND later.shop_id IS NOT DISTINCT FROM term.shop_id
                          AND (later.valid_from, later.id) > (term.valid_from, term.id)
                    ) THEN 'past'
                    WHEN delay_h IS NULL THEN 'ended'
                    ELSE 'in_force' END AS state
        FROM settlement.term
        WHERE (%(id)s::uuid IS NULL OR id = %(id)s) AND (%(after)s::uuid IS NULL OR id < %(after)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        now=tx.now,
        id=term_id,
        after=after,
        limit=min(limit, PAGE_SIZE_MAX),
    )
