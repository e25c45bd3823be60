"""What operators do about payments: statements against the books, chargebacks, refunds that did not arrive."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import QueryParameter
from msgspec import Meta

from laotie import audit, payments
from laotie.base.db import Database
from laotie.base.ids import OrderId, PaymentId
from laotie.base.money import Money
from laotie.identity import Actor
from laotie.payments import sandbox_bank
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page
from laotie.web.problems import BodyTooLarge

OfProvider = Annotated[str, QueryParameter(name="provider", max_length=40, description="Whose statement it is.")]
OfDay = Annotated[date | None, QueryParameter(name="date", description="Of which day, when the file does not say.")]
FileName = Annotated[str, QueryParameter(name="name", max_length=200, description="The file's name, to know it again.")]
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
]
