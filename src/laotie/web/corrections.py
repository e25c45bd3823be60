"""Corrections by hand over HTTP: proposed by one operator, decided by another."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import QueryParameter
from msgspec import Meta

from laotie import settlement
from laotie.base.db import Database, Tx
from laotie.base.money import Money
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.settlement import Correction, CorrectionId, CorrectionState, Owner
from laotie.settlement.payout_model import REASON_LENGTH_MAX
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page
from laotie.web.payout_desk import name_operators
from laotie.web.reconciliation import OperatorName

Reason = Annotated[str, Meta(min_length=1, max_length=REASON_LENGTH_MAX)]
OpenOnly = Annotated[bool, QueryParameter(name="open", description="Only those that wait for a decision.")]



class CorrectionView(msgspec.Struct, kw_only=True):
    """A change of what is owed to somebody, made by hand."""

    id: CorrectionId
    owner_id: UUID
    owner_name: str
    is_shop: bool
    amount: Money
    reason: str
    evidence: str
    state: CorrectionState
    note: str | None
    proposed_by: OperatorName
    proposed_at: datetime
    decided_by: OperatorName | None
    decided_at: datetime | None
    may_decide: bool
    is_mine: bool


class CorrectionProposal(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What to add to an owner's balance (or, below zero, to take from it), why, and where the evidence is."""

    id: CorrectionId
    owner_id: UUID
    is_shop: bool
    amount: Money
    reason: Reason
    evidence: Reason


class CorrectionNote(msgspec.Struct, forbid_unknown_fields=True):
    """Why it is refused."""

    note: Reason


@get("/api/corrections")
async def list_corrections(
    actor: Given[Actor],
    db: Given[Database],
    open_only: OpenOnly = False,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[CorrectionView]:
    """Corrections, the latest first, for operators."""
    async with db.read() as tx:
        found = await settlement.corrections.list_corrections(
            tx, actor, open_only=open_only, after=CorrectionId(after) if after is not None else None, limit=limit
        )
        items = await _corrections(tx, actor, found)
    return Page(items=items, next=str(found[-1].id) if len(found) == limit else None)


@post("/api/corrections")
async def propose_correction(
    data: JSONBody[CorrectionProposal], actor: Given[Actor], db: Given[Database]
) -> CorrectionView:
    """Propose a correction for another operator to decide."""
    new = settlement.corrections.NewCorrection(
        id=data.id,
        owner=Owner(data.owner_id, data.is_shop),
        money=data.amount,
        reason=data.reason,
        evidence=data.evidence,
    )
    async with db.tx() as tx:
        return await _correction(tx, actor, await settlement.corrections.propose(tx, actor, new))


@post("/api/corrections/{correction_id:uuid}/approval", status_code=200)
async def approve_correction(
    correction_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> CorrectionView:
    """Approve what another operator proposed; it is booked at once."""
    async with db.tx() as tx:
        found = await settlement.corrections.approve(tx, actor, settings, CorrectionId(correction_id))
        return await _correction(tx, actor, found)


@post("/api/corrections/{correction_id:uuid}/refusal", status_code=200)
async def refuse_correction(
    correction_id: FromPath[UUID], data: JSONBody[CorrectionNote], actor: Given[Actor], db: Given[Database]
) -> CorrectionView:
    """Refuse what another operator proposed."""
    async with db.tx() as tx:
        found = await settlement.corrections.refuse(tx, actor, CorrectionId(correction_id), note=data.note)
        return await _correction(tx, actor, found)


@post("/api/corrections/{correction_id:uuid}/withdrawal", status_code=200)
async def withdraw_correction(
    correction_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]
) -> CorrectionView:
    """Take my own proposal back."""
    async with db.tx() as tx:
        found = await settlement.corrections.withdraw(tx, actor, CorrectionId(correction_id))
        return await _correction(tx, actor, found)


async def _correction(tx: Tx, actor: Actor, one: Correction) -> CorrectionView:
    return (await _corrections(tx, actor, [one]))[0]


async def _corrections(tx: Tx, actor: Actor, found: list[Correction]) -> list[CorrectionView]:
    asking = actor.require_operator()
    owners = await settlement.payees.name_owners(tx, [one.owner_id for one in found])
    people = {each for one in found for each in (one.proposed_by, one.decided_by) if each is not None}
    names = await name_operators(tx, people)
    return [
        CorrectionView(
            id=one.id,
            owner_id=one.owner_id,
            owner_name=owners.get(one.owner_id, ""),
            is_shop=one.is_shop,
            amount=Money(one.amount, one.currency),
            reason=one.reason,
            evidence=one.evidence,
            state=one.state,
            note=one.note,
            proposed_by=names[one.proposed_by],
            proposed_at=one.proposed_at,
            decided_by=names.get(one.decided_by) if one.decided_by else None,
            decided_at=one.decided_at,
            may_decide=one.state is CorrectionState.proposed and asking != one.proposed_by,
            is_mine=asking == one.proposed_by,
        )
        for one in found
    ]


ROUTES = [
    list_corrections,
    propose_correction,
    approve_correction,
    refuse_correction,
    withdraw_correction,
]
