"""What operators do about payments: statements against the books, chargebacks, refunds that did not arrive."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import QueryParameter
from msgspec import Meta

from laotie import audit, identity, payments
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, OrderId, PaymentId
from laotie.base.money import Money
from laotie.identity import Actor
from laotie.payments import sandbox_bank
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page
from laotie.web.problems import BodyTooLarge

OfProvider = Annotated[str, QueryParameter(name="provider", max_length=40, description="Whose statement it is.")]
OfDay = Annotated[date | None, QueryParameter(name="date", description="Of which day, when the file does not say.")]
FileName = Annotated[str, QueryParameter(name="name", max_length=200, description="The file's name, to know it again.")]
InState = Annotated[
    payments.ResolutionState | None, QueryParameter(name="state", description="`proposed`, `settled` or `dropped`.")
]
AfterNumber = Annotated[int, QueryParameter(name="after", ge=0, description="The `next` of the page before.")]


class StatementView(msgspec.Struct, kw_only=True):
    """A statement that was brought, and how many differences it has from our books."""

    id: payments.StatementId
    provider: str
    stated_on: date
    digest: str
    name: str
    line_count: int
    difference_count: int
    open_count: int
    """Differences that nobody has settled."""
    brought_at: datetime
    matched_at: datetime


class DifferenceView(msgspec.Struct, kw_only=True):
    """One difference: what our books say, and what the statement says."""

    no: int
    kind: payments.DifferenceKind
    line_no: int | None
    subject_id: UUID | None
    order_id: OrderId | None
    reference: str
    expected: str
    found: str
    resolution_id: payments.ResolutionId | None
    settled: bool


class OperatorName(msgspec.Struct, kw_only=True):
    """An operator."""

    id: AccountId
    name: str


class DiscrepancyView(msgspec.Struct, kw_only=True):
    """A message of a provider that does not fit our books, and that nobody has settled."""

    id: UUID
    provider: str
    event_id: str
    kind: str
    payment_id: PaymentId | None
    expected: str
    found: str
    found_at: datetime


class ResolutionView(msgspec.Struct, kw_only=True):
    """How a difference is to be settled, or was: proposed by one operator, decided by another."""

    id: payments.ResolutionId
    discrepancy_id: UUID | None
    statement_id: payments.StatementId | None
    provider: str
    kind: str
    reference: str
    expected: str
    found: str
    reason: str
    correction: Money | None
    state: payments.ResolutionState
    proposed_by: OperatorName
    proposed_at: datetime
    decided_by: OperatorName | None
    decided_at: datetime | None


class NewResolution(msgspec.Struct, forbid_unknown_fields=True):
    """Propose to settle a difference: a message's (`discrepancy_id`), or number `no` of a statement.

    `correction`: by how much what we have at the provider is more (or, negative, less) than our books say.
    """

    id: UUID
    reason: Annotated[str, Meta(min_length=3, max_length=payments.REASON_LENGTH_MAX)]
    discrepancy_id: UUID | None = None
    statement_id: UUID | None = None
    no: int | None = None
    correction: Money | None = None


class ResolutionDecision(msgspec.Struct, forbid_unknown_fields=True):
    """Settle it, or drop the proposal."""

    settle: bool


class DisputeView(msgspec.Struct, kw_only=True):
    """A chargeback."""

    id: payments.DisputeId
    provider: str
    payment_id: PaymentId
    order_id: OrderId
    amount: Money
    reason: str
    state: payments.DisputeState
    evidence_until: datetime | None
    evidence: str | None
    opened_at: datetime


class Evidence(msgspec.Struct, forbid_unknown_fields=True):
    """Why the money is ours: what was sold, when it was sent and received."""

    text: Annotated[str, Meta(min_length=1, max_length=payments.EVIDENCE_LENGTH_MAX)]


class OpenRefundView(msgspec.Struct, kw_only=True):
    """Money that is owed to a buyer and has not arrived. `failed`: the provider could not pay it out, again and again."""

    id: payments.RefundId
    payment_id: PaymentId
    order_id: OrderId
    provider: str
    amount: Money
    reason: str
    state: payments.RefundState
    attempts: int
    failures: int
    failure: str | None
    asked_at: datetime


@post("/api/payment-statements.csv", status_code=200)
async def bring_statement(
    request: Request[Any, Any, Any],
    actor: Given[Actor],
    db: Given[Database],
    provider: OfProvider = "",
    day: OfDay = None,
    name: FileName = "",
) -> StatementView:
    """Bring a provider's daily statement (the file as it is, in whatever encoding, as `text/csv`) and match it, for operators.

    The same file again is matched again. A file that cannot be read is refused with its line, and nothing is kept.
    """
    operator_id = actor.require_operator()
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > payments.STATEMENT_BYTES_MAX:
            raise BodyTooLarge(bytes_max=payments.STATEMENT_BYTES_MAX)
    return _view(await audit.reconcile(db, provider, bytes(content), name=name, day=day, brought_by=operator_id))


@get("/api/payment-statements")
async def list_statements(
    actor: Given[Actor], db: Given[Database], after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Page[StatementView]:
    """Statements, the latest brought first, for operators."""
    actor.require_operator()
    async with db.read() as tx:
        found = await payments.list_statements(
            tx, after=payments.StatementId(after) if after is not None else None, limit=limit
        )
    return Page(items=[_view(one) for one in found], next=str(found[-1].id) if len(found) == limit else None)


@post("/api/payment-statements/{statement_id:uuid}/matching", status_code=200)
async def match_statement(statement_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> StatementView:
    """Match a statement that is here with the books as they now stand, for operators."""
    actor.require_operator()
    return _view(await audit.reconcile_again(db, payments.StatementId(statement_id)))


@get("/api/payment-statements/{statement_id:uuid}/differences")
async def list_differences(
    statement_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    after: AfterNumber = 0,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[DifferenceView]:
    """In what a statement and our books differ, for operators."""
    actor.require_operator()
    async with db.read() as tx:
        await payments.get_statement(tx, payments.StatementId(statement_id))
        found = await payments.list_differences(tx, payments.StatementId(statement_id), after=after, limit=limit)
    items = [
        DifferenceView(no=no, **{name: getattr(one, name) for name in payments.Difference.__struct_fields__})
        for no, one in found
    ]
    return Page(items=items, next=str(items[-1].no) if len(items) == limit else None)


@get("/api/sandbox/statements/{day:date}/lines.csv")
async def show_sandbox_statement(day: FromPath[date], actor: Given[Actor], db: Given[Database]) -> Response[str]:
    """The sandbox's own statement of a day (UTC), as a provider would send it, for operators."""
    actor.require_operator()
    async with db.read() as tx:
        text = await sandbox_bank.write_statement(tx, day)
    return Response(
        text,
        media_type="text/csv",
        headers={"content-disposition": f'attachment; filename="sandbox-{day}.csv"', "cache-control": "no-store"},
    )


@get("/api/payment-disputes")
async def list_disputes(
    actor: Given[Actor], db: Given[Database], after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Page[DisputeView]:
    """Chargebacks, newest first, for operators."""
    actor.require_operator()
    async with db.read() as tx:
        found = await payments.list_disputes(
            tx, after=payments.DisputeId(after) if after is not None else None, limit=limit
        )
    return Page(items=[_dispute(one) for one in found], next=str(found[-1].id) if len(found) == limit else None)


@post("/api/payment-disputes/{dispute_id:uuid}/evidence", status_code=200)
async def answer_dispute(
    dispute_id: FromPath[UUID], data: JSONBody[Evidence], actor: Given[Actor], db: Given[Database]
) -> DisputeView:
    """Answer a chargeback inside its window, once, for operators."""
    actor.require_operator()
    async with db.tx() as tx:
        return _dispute(await payments.answer_dispute(tx, payments.DisputeId(dispute_id), data.text))


@get("/api/payment-refunds")
async def list_open_refunds(
    actor: Given[Actor], db: Given[Database], after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Page[OpenRefundView]:
    """Refunds that have not arrived, for operators."""
    actor.require_operator()
    async with db.read() as tx:
        found = await payments.list_open_refunds(
            tx, after=payments.RefundId(after) if after is not None else None, limit=limit
        )
    return Page(items=[_refund(one) for one in found], next=str(found[-1].id) if len(found) == limit else None)


@post("/api/payment-refunds/{refund_id:uuid}/attempts", status_code=202)
async def retry_refund(refund_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> None:
    """Have a refund that was given up tried again, for operators."""
    actor.require_operator()
    async with db.tx() as tx:
        await payments.retry_refund(tx, payments.RefundId(refund_id))


@get("/api/payment-discrepancies")
async def list_discrepancies(
    actor: Given[Actor], db: Given[Database], after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Page[DiscrepancyView]:
    """Messages of providers that do not fit our books, newest first, for operators."""
    actor.require_operator()
    async with db.read() as tx:
        found = await payments.list_discrepancies(tx, after=after, limit=limit)
    items = [
        DiscrepancyView(**{name: getattr(one, name) for name in DiscrepancyView.__struct_fields__}) for one in found
    ]
    return Page(items=items, next=str(items[-1].id) if len(items) == limit else None)


@get("/api/payment-resolutions")
async def list_resolutions(
    actor: Given[Actor],
    db: Given[Database],
    in_state: InState = None,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[ResolutionView]:
    """What operators proposed and decided on differences, newest first, for operators."""
    actor.require_operator()
    async with db.read() as tx:
        found = await payments.list_resolutions(
            tx, state=in_state, after=payments.ResolutionId(after) if after is not None else None, limit=limit
        )
        items = await _resolutions(tx, found)
    return Page(items=items, next=str(items[-1].id) if len(items) == limit else None)


@post("/api/payment-resolutions", status_code=201)
async def propose_resolution(
    data: JSONBody[NewResolution], actor: Given[Actor], db: Given[Database]
) -> ResolutionView:
    """Propose how a difference is to be settled, for operators; another operator decides."""
    of = payments.Matter(discrepancy_id=data.discrepancy_id)
    if data.statement_id is not None and data.discrepancy_id is None:
        of = payments.Matter(statement_id=payments.StatementId(data.statement_id), no=data.no)
    correction = data.correction if data.correction is not None and data.correction.amount else None
    async with db.tx() as tx:
        found = await audit.propose_settling(
            tx, actor, payments.ResolutionId(data.id), of, reason=data.reason, correction=correction
        )
        return (await _resolutions(tx, [found]))[0]


@post("/api/payment-resolutions/{resolution_id:uuid}/decision", status_code=200)
async def decide_resolution(
    resolution_id: FromPath[UUID], data: JSONBody[ResolutionDecision], actor: Given[Actor], db: Given[Database]
) -> ResolutionView:
    """Settle a proposed difference, for an operator other than who proposed it; or drop the proposal, for any."""
    async with db.tx() as tx:
        found = await audit.decide_settling(tx, actor, payments.ResolutionId(resolution_id), settle=data.settle)
        return (await _resolutions(tx, [found]))[0]


async def _resolutions(tx: Tx, found: list[payments.Resolution]) -> list[ResolutionView]:
    ids = {one.proposed_by for one in found} | {one.decided_by for one in found if one.decided_by is not None}
    profiles = await identity.find_profiles(tx, sorted(ids))
    people = {id_: OperatorName(id=id_, name=profiles[id_].name if id_ in profiles else "") for id_ in ids}
    return [
        ResolutionView(
            id=one.id,
            discrepancy_id=one.discrepancy_id,
            statement_id=one.statement_id,
            provider=one.provider,
            kind=one.kind,
            reference=one.reference,
            expected=one.expected,
            found=one.found,
            reason=one.reason,
            correction=Money(one.amount, one.currency) if one.amount is not None and one.currency is not None else None,
            state=one.state,
            proposed_by=people[one.proposed_by],
            proposed_at=one.proposed_at,
            decided_by=people[one.decided_by] if one.decided_by is not None else None,
            decided_at=one.decided_at,
        )
        for one in found
    ]


def _view(statement: payments.Statement) -> StatementView:
    return StatementView(**{name: getattr(statement, name) for name in StatementView.__struct_fields__})


def _dispute(dispute: payments.Dispute) -> DisputeView:
    return DisputeView(
        id=dispute.id,
        provider=dispute.provider,
        payment_id=dispute.payment_id,
        order_id=dispute.order_id,
        amount=Money(dispute.amount, dispute.currency),
        reason=dispute.reason,
        state=dispute.state,
        evidence_until=dispute.evidence_until,
        evidence=dispute.evidence,
        opened_at=dispute.opened_at,
    )


def _refund(refund: payments.OpenRefund) -> OpenRefundView:
    return OpenRefundView(
        id=refund.id,
        payment_id=refund.payment_id,
        order_id=refund.order_id,
        provider=refund.provider,
        amount=Money(refund.amount, refund.currency),
        reason=refund.reason,
        state=refund.state,
        attempts=refund.attempts,
        failures=refund.failures,
        failure=refund.failure,
        asked_at=refund.asked_at,
    )


ROUTES = [
    bring_statement,
    list_statements,
    match_statement,
    list_differences,
    show_sandbox_statement,
    list_disputes,
    answer_dispute,
    list_open_refunds,
    retry_refund,
    list_discrepancies,
    list_resolutions,
    propose_resolution,
    decide_resolution,
]
