"""The operators' payouts desk over HTTP: who can be paid, batches under four eyes, files to and from banks."""

import hashlib
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.params import QueryParameter
from msgspec import Meta

from laotie import identity, settlement
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId
from laotie.base.money import Currency, Money
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.identity import Actor
from laotie.settlement import (
    Batch,
    BatchId,
    BatchState,
    Payee,
    Payout,
    PayoutId,
    PayoutState,
    Route,
    Waiting,
)
from laotie.settlement.bank_file import FileForm
from laotie.settlement.payout_model import REASON_LENGTH_MAX, RESULT_BYTES_MAX
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page
from laotie.web.problems import BodyTooLarge
from laotie.web.reconciliation import OperatorName

Reason = Annotated[str, Meta(min_length=1, max_length=REASON_LENGTH_MAX)]
InCurrency = Annotated[str, QueryParameter(name="currency", pattern=r"^[A-Z]{3}$", description="Of which currency.")]
InForm = Annotated[FileForm, QueryParameter(name="form", description="The form in which the bank wants it.")]
FileName = Annotated[str, QueryParameter(name="name", max_length=200, description="The file's name.")]


class DeskPayoutView(msgspec.Struct, kw_only=True):
    """One owner's payout in a batch, as operators see it."""

    id: PayoutId
    batch_id: BatchId
    owner_id: UUID
    owner_name: str
    is_shop: bool
    amount: Money
    state: PayoutState
    reason: str | None
    bank_reference: str | None
    holder: str | None
    bank: str | None
    last_digits: str | None
    sent_at: datetime | None
    ended_at: datetime | None


class PayoutBatchView(msgspec.Struct, kw_only=True):
    """A batch: where it stands, who did what, how many payouts of how much are in which state."""

    id: BatchId
    route: Route
    channel: str
    state: BatchState
    minimum: Money
    drafted_by: OperatorName | None
    drafted_at: datetime
    changed_by: list[OperatorName]
    approved_by: OperatorName | None
    approved_at: datetime | None
    sent_by: OperatorName | None
    sent_at: datetime | None
    ended_at: datetime | None
    counts: dict[PayoutState, int]
    amounts: dict[PayoutState, Money]
    may_approve: bool
    """Whether whoever asks is another pair of eyes."""
    may_send: bool


class NewPayoutBatch(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Draft a batch over a channel (`cn`, `iban`, or a provider's name), under an id of one's own."""

    id: BatchId
    channel: Annotated[str, Meta(max_length=40)]
    currency: Currency


class PayeeView(msgspec.Struct, kw_only=True):
    """Whoever has a balance, and how the next batch sees them."""

    owner_id: UUID
    owner_name: str
    is_shop: bool
    amount: Money
    waiting: Waiting
    channel: str | None
    usable_at: datetime | None
    held_because: str | None


class Payees(msgspec.Struct, kw_only=True):
    """A page of them; `currencies`: in which anybody is owed anything."""

    items: list[PayeeView]
    next: str | None
    currencies: list[Currency]
    minimum: Money


class PayoutReason(msgspec.Struct, forbid_unknown_fields=True):
    """Why."""

    reason: Reason


class PayoutResult(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What the bank says of a payout. A return takes a reason."""

    outcome: Literal["paid", "returned"]
    reason: Annotated[str, Meta(max_length=REASON_LENGTH_MAX)] = ""
    bank_reference: Annotated[str, Meta(max_length=64)] = ""


class RefusedResult(msgspec.Struct, kw_only=True):
    """A row that was not applied: `unknown`, `amount`, `reason` (a return without one), `moved` (it ended otherwise)."""

    line_no: int
    reference: str
    why: str


class BroughtResults(msgspec.Struct, kw_only=True):
    """What became of a result file."""

    row_count: int
    refused: list[RefusedResult]
    batch: PayoutBatchView


@get("/api/payees")
async def list_payees(
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
    currency: InCurrency = "CNY",
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Payees:
    """Whoever has a balance in a currency, for operators."""
    actor.require_operator()
    async with db.read() as tx:
        found = await settlement.payees.list_payees(tx, settings, currency=currency, after=after, limit=limit)
        names = await settlement.payees.name_owners(tx, [one.owner_id for one in found])
        currencies = await settlement.payees.list_currencies(tx)
    return Payees(
        items=[_payee(one, names) for one in found],
        next=str(found[-1].owner_id) if len(found) == limit else None,
        currencies=currencies,
        minimum=Money(settings.payout_minimum, currency),
    )


@put("/api/payees/{owner_id:uuid}/hold", status_code=204)
async def hold_payee(
    owner_id: FromPath[UUID], data: JSONBody[PayoutReason], actor: Given[Actor], db: Given[Database]
) -> None:
    """Have an owner paid nothing until further notice, for operators."""
    async with db.tx() as tx:
        await settlement.payees.hold_payouts(tx, actor, owner_id, data.reason)


@delete("/api/payees/{owner_id:uuid}/hold", status_code=204)
async def lift_payee_hold(owner_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> None:
    """Let an owner be paid again, for operators."""
    async with db.tx() as tx:
        await settlement.payees.lift_hold(tx, actor, owner_id)


@get("/api/payout-batches")
async def list_payout_batches(
    actor: Given[Actor], db: Given[Database], after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Page[PayoutBatchView]:
    """Batches, the latest first, for operators."""
    async with db.read() as tx:
        found = await settlement.batches.list_batches(
            tx, actor, after=BatchId(after) if after is not None else None, limit=limit
        )
        items = await _batches(tx, actor, found)
    return Page(items=items, next=str(found[-1].id) if len(found) == limit else None)


@post("/api/payout-batches")
async def draft_payout_batch(
    data: JSONBody[NewPayoutBatch], actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> PayoutBatchView:
    """Draft a payout for everybody who can be paid now over a channel, for operators."""
    batch = await settlement.drafting.draft_batch(
        db, actor, settings, data.id, channel=data.channel, currency=data.currency
    )
    return await _show_batch(db, actor, batch)


@get("/api/payout-batches/{batch_id:uuid}")
async def get_payout_batch(batch_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> PayoutBatchView:
    """A batch, for operators."""
    actor.require_operator()
    async with db.read() as tx:
        return (await _batches(tx, actor, [await settlement.batches.get_batch(tx, BatchId(batch_id))]))[0]


@get("/api/payout-batches/{batch_id:uuid}/payouts")
async def list_batch_payouts(
    batch_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[DeskPayoutView]:
    """What is in a batch, for operators."""
    async with db.read() as tx:
        found = await settlement.batches.list_in_batch(tx, actor, BatchId(batch_id), after=after, limit=limit)
        names = await settlement.payees.name_owners(tx, [one.owner_id for one in found])
    return Page(
        items=[_desk_payout(one, names) for one in found],
        next=str(found[-1].owner_id) if len(found) == limit else None,
    )


@post("/api/payout-batches/{batch_id:uuid}/approval", status_code=200)
async def approve_payout_batch(batch_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> PayoutBatchView:
    """Approve what another operator drafted or changed."""
    async with db.tx() as tx:
        batch = await settlement.payouts.approve_batch(tx, actor, BatchId(batch_id))
    return await _show_batch(db, actor, batch)


@post("/api/payout-batches/{batch_id:uuid}/dispatch", status_code=200)
async def send_payout_batch(
    batch_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> PayoutBatchView:
    """Send what another operator approved; a bank's file can be had from now on."""
    return await _show_batch(db, actor, await settlement.payouts.send_batch(db, actor, settings, BatchId(batch_id)))


@post("/api/payout-batches/{batch_id:uuid}/cancellation", status_code=200)
async def discard_payout_batch(
    batch_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> PayoutBatchView:
    """Give up a batch that was not sent, for operators."""
    return await _show_batch(db, actor, await settlement.payouts.discard_batch(db, actor, settings, BatchId(batch_id)))


@get("/api/payout-batches/{batch_id:uuid}/file")
async def download_payout_file(
    batch_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    form: InForm = FileForm.csv,
) -> Response[bytes]:
    """The file that the bank gets, for operators; the same bytes each time, and each time written to the audit log."""
    async with db.tx() as tx:
        file = await settlement.bank_file.make_file(tx, actor, signer, BatchId(batch_id), form)
    return Response(
        file.content,
        media_type=file.media_type,
        headers={
            "content-disposition": f'attachment; filename="{file.name}"',
            "cache-control": "no-store",
            "digest": f"sha-256={file.digest}",
        },
    )


@post("/api/payout-batches/{batch_id:uuid}/payout-results.csv", status_code=200)
async def bring_payout_results(
    request: Request[Any, Any, Any],
    batch_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
    name: FileName = "",
) -> BroughtResults:
    """Bring the bank's result file (as `text/csv`, UTF-8 or GB18030): applied row by row, and again without harm.

    A file that cannot be read is refused with its line, and nothing of it is applied.
    """
    actor.require_operator()
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > RESULT_BYTES_MAX:
            raise BodyTooLarge(bytes_max=RESULT_BYTES_MAX)
    async with db.read() as tx:
        batch = await settlement.batches.get_batch(tx, BatchId(batch_id))
    rows = settlement.bank_file.read_results(bytes(content), currency=batch.currency)
    refused = await settlement.payouts.bring_results(
        db, actor, settings, batch.id, rows, digest=hashlib.sha256(content).hexdigest(), name=name
    )
    async with db.read() as tx:
        after = (await _batches(tx, actor, [await settlement.batches.get_batch(tx, batch.id)]))[0]
    return BroughtResults(
        row_count=len(rows),
        refused=[RefusedResult(line_no=row.line_no, reference=row.reference, why=why) for row, why in refused],
        batch=after,
    )


@post("/api/settlement-payouts/{payout_id:uuid}/withholding", status_code=200)
async def withhold_payout(
    payout_id: FromPath[UUID],
    data: JSONBody[PayoutReason],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> DeskPayoutView:
    """Take one payout out of a batch that is not approved yet, for operators."""
    async with db.tx() as tx:
        payout = await settlement.payouts.withhold(tx, actor, settings, PayoutId(payout_id), data.reason)
        return _desk_payout(payout, await settlement.payees.name_owners(tx, [payout.owner_id]))


@post("/api/settlement-payouts/{payout_id:uuid}/result", status_code=200)
async def note_payout_result(
    payout_id: FromPath[UUID],
    data: JSONBody[PayoutResult],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> DeskPayoutView:
    """Write down what the bank says of a payout, for operators. A return may come after it was paid."""
    async with db.tx() as tx:
        payout = await settlement.payouts.note_result(
            tx,
            actor,
            settings,
            PayoutId(payout_id),
            PayoutState(data.outcome),
            reason=data.reason,
            bank_reference=data.bank_reference,
        )
        return _desk_payout(payout, await settlement.payees.name_owners(tx, [payout.owner_id]))


def _payee(one: Payee, names: dict[UUID, str]) -> PayeeView:
    return PayeeView(
        owner_id=one.owner_id,
        owner_name=names.get(one.owner_id, ""),
        is_shop=one.is_shop,
        amount=Money(one.amount, one.currency),
        waiting=one.waiting,
        channel=one.channel,
        usable_at=one.usable_at,
        held_because=one.held_because,
    )


def _desk_payout(one: Payout, names: dict[UUID, str]) -> DeskPayoutView:
    return DeskPayoutView(
        id=one.id,
        batch_id=one.batch_id,
        owner_id=one.owner_id,
        owner_name=names.get(one.owner_id, ""),
        is_shop=one.is_shop,
        amount=Money(one.amount, one.currency),
        state=one.state,
        reason=one.reason,
        bank_reference=one.bank_reference,
        holder=one.holder,
        bank=one.bank,
        last_digits=one.last_digits,
        sent_at=one.sent_at,
        ended_at=one.ended_at,
    )


async def _show_batch(db: Database, actor: Actor, batch: Batch) -> PayoutBatchView:
    async with db.read() as tx:
        return (await _batches(tx, actor, [batch]))[0]


async def _batches(tx: Tx, actor: Actor, batches: list[Batch]) -> list[PayoutBatchView]:
    asking = actor.require_operator()
    people = {
        one
        for batch in batches
        for one in (batch.drafted_by, *batch.changed_by, batch.approved_by, batch.sent_by)
        if one is not None
    }
    names = await name_operators(tx, people)
    return [
        PayoutBatchView(
            id=one.id,
            route=one.route,
            channel=one.channel,
            state=one.state,
            minimum=Money(one.minimum_amount, one.currency),
            drafted_by=names.get(one.drafted_by) if one.drafted_by else None,
            drafted_at=one.drafted_at,
            changed_by=[names[each] for each in one.changed_by if each in names],
            approved_by=names.get(one.approved_by) if one.approved_by else None,
            approved_at=one.approved_at,
            sent_by=names.get(one.sent_by) if one.sent_by else None,
            sent_at=one.sent_at,
            ended_at=one.ended_at,
            counts=one.counts,
            amounts={state: Money(amount, one.currency) for state, amount in one.amounts.items()},
            may_approve=one.state is BatchState.drafted and asking not in (one.drafted_by, *one.changed_by),
            may_send=one.state is BatchState.approved and asking != one.approved_by,
        )
        for one in batches
    ]


async def name_operators(tx: Tx, account_ids: set[AccountId]) -> dict[AccountId, OperatorName]:
    """Their names; who has left keeps an empty one."""
    profiles = await identity.find_profiles(tx, account_ids)
    return {
        one: OperatorName(id=one, name=profiles[one].name if one in profiles else "") for one in account_ids
    }


ROUTES = [
    list_payees,
    hold_payee,
    lift_payee_hold,
    list_payout_batches,
    draft_payout_batch,
    get_payout_batch,
    list_batch_payouts,
    approve_payout_batch,
    send_payout_batch,
    discard_payout_batch,
    download_payout_file,
    bring_payout_results,
    withhold_payout,
    note_payout_result,
]
