"""Corrections: what is owed to somebody is put right by hand, with a reason and evidence, under four eyes, once."""

from uuid import uuid5

import msgspec

from laotie import catalog, identity
from laotie.base.db import Tx
from laotie.base.ids import AccountId, ShopId
from laotie.base.money import AMOUNT_MAX, Money, exponent
from laotie.base.refusals import IdReused, NotFound
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.ledger import Account, AccountKind
from laotie.settlement.accounts import notify_owner, require_owner
from laotie.settlement.lines import book_owner
from laotie.settlement.model import LineKind
from laotie.settlement.payout_model import (
    Correction,
    CorrectionId,
    CorrectionMoved,
    CorrectionRefused,
    CorrectionState,
    Owner,
    checked_text,
)


class NewCorrection(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be put right: `amount` is added to what is owed, or taken from it when it is below zero."""

    id: CorrectionId
    owner: Owner
    money: Money
    reason: str
    evidence: str


async def propose(tx: Tx, actor: Actor, new: NewCorrection) -> Correction:
    """Write a correction down for another operator to decide. The same id again gives the same one.

    Refuses `CorrectionRefused`, `PayoutTextRefused`, `IdReused`.
    """
    operator_id = actor.require_operator()
    exponent(new.money.currency)
    if new.money.amount == 0 or abs(new.money.amount) > AMOUNT_MAX:
        raise CorrectionRefused(part="amount")
    if not await _is_owner(tx, new.owner):
        raise CorrectionRefused(part="owner_id")
    reason, evidence = checked_text("reason", new.reason), checked_text("evidence", new.evidence)
    fresh = await tx.run(
        """
        INSERT INTO settlement.correction (id, owner_id, is_shop, currency, amount, reason, evidence, state, proposed_by,
            proposed_at)
        VALUES (%(id)s, %(owner_id)s, %(is_shop)s, %(currency)s, %(amount)s, %(reason)s, %(evidence)s, 'proposed',
            %(by)s, %(now)s)
        ON CONFLICT (id) DO NOTHING
        """,
        id=new.id,
        owner_id=new.owner.id,
        is_shop=new.owner.is_shop,
        currency=new.money.currency,
        amount=new.money.amount,
        reason=reason,
        evidence=evidence,
        by=operator_id,
        now=tx.now,
    )
    found = await get_correction(tx, new.id)
    if fresh:
        await _record(tx, actor, "correction.proposed", found)
        return found
    known = (found.owner_id, found.currency, found.amount, found.reason, found.evidence, found.proposed_by)
    if known != (new.owner.id, new.money.currency, new.money.amount, reason, evidence, operator_id):
        raise IdReused()
    return found


async def approve(tx: Tx, actor: Actor, settings: Settings, correction_id: CorrectionId, *, note: str = "") -> Correction:
    """Approve what another operator proposed, and book it. Said again, it books nothing more.

    Refuses `identity.SecondPersonNeeded`, `CorrectionMoved`.
    """
    actor.require_operator()
    before = await get_correction(tx, correction_id)
    identity.require_other(actor, before.proposed_by)
    found, is_new = await _decide(tx, actor, before, CorrectionState.approved, note)
    if is_new:
        owner = Owner(found.owner_id, found.is_shop)
        await book_owner(
            tx,
            line_id=uuid5(found.id, "booked"),
            kind=LineKind.correction,
            owner_id=found.owner_id,
            is_shop=found.is_shop,
            currency=found.currency,
            amount=found.amount,
            against=Account(AccountKind.correction, found.currency),
            reason="correction",
            subject_id=found.id,
            zone=settings.books_zone,
        )
        facts: dict[str, object] = {"amount": Money(found.amount, found.currency), "reason": found.reason}
        await notify_owner(tx, owner, "balance_corrected", facts, once=found.id)
    return found


async def refuse(tx: Tx, actor: Actor, correction_id: CorrectionId, *, note: str) -> Correction:
    """Refuse what another operator proposed, with a note. Refuses `SecondPersonNeeded`, `CorrectionMoved`."""
    actor.require_operator()
    before = await get_correction(tx, correction_id)
    identity.require_other(actor, before.proposed_by)
    return (await _decide(tx, actor, before, CorrectionState.refused, checked_text("note", note)))[0]


async def withdraw(tx: Tx, actor: Actor, correction_id: CorrectionId) -> Correction:
    """Take one's own proposal back. Another's: `NotFound`. Refuses `CorrectionMoved`."""
    operator_id = actor.require_operator()
    before = await get_correction(tx, correction_id)
    if before.proposed_by != operator_id:
        raise NotFound()
    return (await _decide(tx, actor, before, CorrectionState.withdrawn, ""))[0]


async def list_corrections(
    tx: Tx, actor: Actor, *, open_only: bool = False, after: CorrectionId | None = None, limit: int
) -> list[Correction]:
    """Corrections, the latest first. For operators."""
    actor.require_operator()
    return await tx.all(
        Correction,
        """
        SELECT id, owner_id, is_shop, currency, amount, reason, evidence, state, note, proposed_by, proposed_at,
               decided_by, decided_at
        FROM settlement.correction
        WHERE (NOT %(open_only)s OR state = 'proposed') AND (%(after)s::uuid IS NULL
           OR (proposed_at, id) < (SELECT proposed_at, id FROM settlement.correction WHERE id = %(after)s))
        ORDER BY proposed_at DESC, id DESC LIMIT %(limit)s
        """,
        open_only=open_only,
        after=after,
        limit=limit,
    )


async def list_of_owner(tx: Tx, actor: Actor, owner: Owner, *, limit: int) -> list[Correction]:
    """What was corrected of an owner's balance, the latest first; proposals are not shown."""
    await require_owner(tx, actor, owner)
    return await tx.all(
        Correction,
        """
        SELECT id, owner_id, is_shop, currency, amount, reason, evidence, state, note, proposed_by, proposed_at,
               decided_by, decided_at
        FROM settlement.correction WHERE owner_id = %(owner_id)s AND state = 'approved'
        ORDER BY proposed_at DESC, id DESC LIMIT %(limit)s
        """,
        owner_id=owner.id,
        limit=limit,
    )


async def get_correction(tx: Tx, correction_id: CorrectionId) -> Correction:
    """One correction, or `NotFound`. Asks for no right."""
    found = await tx.maybe(
        Correction,
        """
        SELECT id, owner_id, is_shop, currency, amount, reason, evidence, state, note, proposed_by, proposed_at,
               decided_by, decided_at
        FROM settlement.correction WHERE id = %(id)s
        """,
        id=correction_id,
    )
    if found is None:
        raise NotFound()
    return found


async def _decide(
    tx: Tx, actor: Actor, before: Correction, state: CorrectionState, note: str
) -> tuple[Correction, bool]:
    """Move a proposal to its end, once; whether this call did."""
    operator_id = actor.require_operator()
    moved = await tx.run(
        """
        UPDATE settlement.correction SET state = %(state)s, note = nullif(%(note)s, ''), decided_by = %(by)s,
            decided_at = %(now)s
        WHERE id = %(id)s AND state = 'proposed'
        """,
        id=before.id,
        state=state,
        note=checked_text("note", note, required=False),
        by=operator_id,
        now=tx.now,
    )
    found = await get_correction(tx, before.id)
    if moved:
        await _record(tx, actor, f"correction.{state.value}", found)
    elif (found.state, found.decided_by) != (state, operator_id):
        raise CorrectionMoved(state=found.state)
    return found, bool(moved)


async def _is_owner(tx: Tx, owner: Owner) -> bool:
    if owner.is_shop:
        return bool(await catalog.find_shops(tx, [ShopId(owner.id)]))
    return bool(await identity.find_profiles(tx, [AccountId(owner.id)]))


async def _record(tx: Tx, actor: Actor, act: str, one: Correction) -> None:
    await identity.record(
        tx,
        actor,
        act,
        subject=str(one.owner_id),
        correction_id=one.id,
        amount=one.amount,
        currency=one.currency,
        reason=one.reason,
        evidence=one.evidence,
    )
