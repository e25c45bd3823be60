"""Invoices and price protection over HTTP: the buyer asks, the shop issues; the buyer has the difference back."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post, put
from litestar.params import QueryParameter
from litestar.response import Stream

from laotie import identity
from laotie.base.cells import write_line
from laotie.base.db import Database
from laotie.base.ids import OrderId, ShopId
from laotie.base.money import Money
from laotie.identity import Actor
from laotie.orders import invoices, protection
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.orders import Nothing
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page

Issued = Annotated[
    bool | None, QueryParameter(name="issued", description="Only those issued, or only those that wait for it.")
]


class InvoiceLineView(msgspec.Struct):
    """A line of a document; the tax is contained in what was paid."""

    no: int
    title: str
    options: dict[str, str]
    quantity: int
    unit_price: Money
    discount: Money
    paid: Money
    tax_bps: int
    tax: Money


class InvoiceContentView(msgspec.Struct, kw_only=True):
    """What a document says. Total = goods - discount + shipping."""

    seller: str
    placed_at: datetime
    lines: list[InvoiceLineView]
    goods: Money
    discount: Money
    shipping: Money
    total: Money
    tax: Money


class InvoiceView(msgspec.Struct, kw_only=True):
    """An invoice, or with `credits_id` a credit note of that invoice. Without a number it is not issued yet."""

    id: UUID
    order_id: OrderId
    credits_id: UUID | None
    number: int | None
    recipient: invoices.Recipient
    content: InvoiceContentView | None
    asked_at: datetime
    issued_at: datetime | None


class OrderInvoices(msgspec.Struct):
    """An order's invoice with its credit notes; `may_ask`: one may be asked for now, or the request changed."""

    may_ask: bool
    invoice: InvoiceView | None
    credit_notes: list[InvoiceView]


class ProtectedLineView(msgspec.Struct):
    """A line's difference: what the buyer would have back now, or (`given_at`) had."""

    no: int
    shelf_price: Money | None
    amount: Money
    given_at: datetime | None


class ProtectionView(msgspec.Struct):
    """Until when differences are given back (`null`: not), and what each line's is."""

    until: datetime | None
    lines: list[ProtectedLineView]


@get("/api/orders/{order_id:uuid}/invoice")
async def get_order_invoice(order_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> OrderInvoices:
    """The invoice of my order, with its credit notes."""
    async with db.read() as tx:
        return _of_order(await invoices.get_invoices(tx, actor, OrderId(order_id)))


@put("/api/orders/{order_id:uuid}/invoice")
async def put_order_invoice(
    order_id: FromPath[UUID], data: JSONBody[invoices.Recipient], actor: Given[Actor], db: Given[Database]
) -> OrderInvoices:
    """Ask for an invoice of my paid order, or change to whom, until it is issued."""
    async with db.tx() as tx:
        return _of_order(await invoices.ask_for_invoice(tx, actor, OrderId(order_id), data))


@get("/api/orders/{order_id:uuid}/price-protection")
async def get_price_protection(order_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> ProtectionView:
    """What I would have back of my order now because the shelf price fell."""
    async with db.read() as tx:
        return _protection(await protection.get_protection(tx, actor, OrderId(order_id)))


@post("/api/orders/{order_id:uuid}/price-protection", status_code=200)
async def ask_price_protection(
    order_id: FromPath[UUID], data: JSONBody[Nothing | None], actor: Given[Actor], db: Given[Database]
) -> ProtectionView:
    """Have the difference back, once a line."""
    async with db.tx() as tx:
        return _protection(await protection.give_difference(tx, actor, OrderId(order_id)))


@get("/api/shops/{shop_id:uuid}/invoices")
async def list_shop_invoices(
    shop_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    issued: Issued = None,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[InvoiceView]:
    """The shop's invoices and credit notes, newest first."""
    async with db.read() as tx:
        page = await invoices.list_invoices(
            tx,
            actor,
            ShopId(shop_id),
            issued=issued,
            after=None if after is None else invoices.InvoiceId(after),
            limit=limit,
        )
    return Page(items=[_view(one) for one in page.items], next=None if page.next is None else str(page.next))


@get("/api/shops/{shop_id:uuid}/invoices/{invoice_id:uuid}")
async def get_shop_invoice(
    shop_id: FromPath[UUID], invoice_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]
) -> InvoiceView:
    """One of the shop's documents."""
    async with db.read() as tx:
        return _view(await invoices.get_invoice(tx, actor, ShopId(shop_id), invoices.InvoiceId(invoice_id)))


@post("/api/shops/{shop_id:uuid}/invoices/{invoice_id:uuid}/number", status_code=200)
async def issue_invoice(
    shop_id: FromPath[UUID],
    invoice_id: FromPath[UUID],
    data: JSONBody[Nothing | None],
    actor: Given[Actor],
    db: Given[Database],
) -> InvoiceView:
    """Issue an invoice under the shop's next number. Said again, it is the same."""
    async with db.tx() as tx:
        return _view(await invoices.issue_invoice(tx, actor, ShopId(shop_id), invoices.InvoiceId(invoice_id)))


@get("/api/shops/{shop_id:uuid}/invoices.csv")
async def export_invoices(shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> Stream:
    """The shop's issued documents by number (CSV, UTF-8); sums of credit notes are negative."""
    async with db.read() as tx:
        await identity.require_seat(tx, actor, ShopId(shop_id), identity.Scope.orders)

    async def pieces() -> AsyncIterator[str]:
        yield "\ufeff"
        async with db.read() as tx:
            async for row in invoices.export_invoices(tx, actor, ShopId(shop_id)):
                yield write_line(row)

    return Stream(
        pieces(),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="invoices.csv"', "cache-control": "no-store"},
    )


def _of_order(found: invoices.OfOrder) -> OrderInvoices:
    return OrderInvoices(
        found.may_ask,
        None if found.invoice is None else _view(found.invoice),
        [_view(one) for one in found.credit_notes],
    )


def _view(invoice: invoices.Invoice) -> InvoiceView:
    return InvoiceView(
        id=invoice.id,
        order_id=invoice.order_id,
        credits_id=invoice.credits_id,
        number=invoice.number,
        recipient=invoice.recipient,
        content=None if invoice.content is None else _content(invoice.content),
        asked_at=invoice.asked_at,
        issued_at=invoice.issued_at,
    )


def _content(content: invoices.Content) -> InvoiceContentView:
    def money(amount: int) -> Money:
        return Money(amount, content.currency)

    return InvoiceContentView(
        seller=content.seller,
        placed_at=content.placed_at,
        lines=[
            InvoiceLineView(
                no=line.no,
                title=line.title,
                options=line.options,
                quantity=line.quantity,
                unit_price=money(line.unit_price_amount),
                discount=money(line.discount_amount),
                paid=money(line.paid_amount),
                tax_bps=line.tax_bps,
                tax=money(line.tax_amount),
            )
            for line in content.lines
        ],
        goods=money(content.goods_amount),
        discount=money(content.discount_amount),
        shipping=money(content.shipping_amount),
        total=money(content.total_amount),
        tax=money(content.tax_amount),
    )


def _protection(found: protection.Protection) -> ProtectionView:
    return ProtectionView(
        until=found.until,
        lines=[
            ProtectedLineView(
                no=line.no,
                shelf_price=(
                    None if line.shelf_price_amount is None else Money(line.shelf_price_amount, found.currency)
                ),
                amount=Money(line.amount, found.currency),
                given_at=line.given_at,
            )
            for line in found.lines
        ],
    )


ROUTES = [
    get_order_invoice,
    put_order_invoice,
    get_price_protection,
    ask_price_protection,
    list_shop_invoices,
    get_shop_invoice,
    issue_invoice,
    export_invoices,
]
