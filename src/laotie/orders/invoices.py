"""Invoices: a buyer asks for one, the shop issues it under its next number, and what is refunded later is credited.

Invoices and credit notes of a shop share one sequence of numbers without gaps: a number is taken under the lock of the
shop's count, in the transaction that writes the document, so either both are there or neither. What a document says is
frozen when it is issued. An invoice is of what is left after refunds; a credit note is of what went back since the
documents before it, so that invoice less credit notes is always what the shop kept.
"""

import re
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, NewType
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from laotie import identity
from laotie.base.cells import Cell
from laotie.base.db import Tx
from laotie.base.ids import AccountId, OrderId, ShopId, new_id
from laotie.base.money import Money, percent, tax_in
from laotie.base.refusals import Conflict, Invalid, NotFound
from laotie.identity import Actor
from laotie.orders.listing import EXPORTED_MAX, Order, get_of_shop, get_own
from laotie.orders.model import LATER_STATES

InvoiceId = NewType("InvoiceId", UUID)

PAGE_SIZE_MAX = 100
TITLE_LENGTH_MAX = 100
_TAX_NUMBER = re.compile(r"[0-9A-Z][0-9A-Z -]{4,28}[0-9A-Z]")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,180}\.[^@\s.]{2,60}")


class RecipientKind(StrEnum):
    """Whom an invoice is made out to."""

    person = "person"
    company = "company"


class Recipient(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom an invoice is made out to, and where it is sent. A company has a tax number."""

    kind: RecipientKind
    title: str
    tax_number: str = ""
    email: str = ""


class InvoiceLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a document. `tax_amount` is contained in `paid_amount`."""

    no: int
    title: str
    options: dict[str, str]
    quantity: int
    unit_price_amount: int
    discount_amount: int
    paid_amount: int
    tax_bps: int
    tax_amount: int


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a document says, frozen. On a credit note all sums are what goes back."""

    seller: str
    currency: str
    placed_at: datetime
    lines: list[InvoiceLine]
    shipping_amount: int

    @property
    def goods_amount(self) -> int:
        """Before discounts."""
        return sum(line.paid_amount + line.discount_amount for line in self.lines)

    @property
    def discount_amount(self) -> int:
        """All discounts."""
        return sum(line.discount_amount for line in self.lines)

    @property
    def total_amount(self) -> int:
        """What was paid, or goes back."""
        return sum(line.paid_amount for line in self.lines) + self.shipping_amount

    @property
    def tax_amount(self) -> int:
        """Contained in the total."""
        return sum(line.tax_amount for line in self.lines)


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice or, with `credits_id`, a credit note. Without a number it is asked for and not issued yet."""

    id: InvoiceId
    order_id: OrderId
    shop_id: ShopId
    credits_id: InvoiceId | None
    number: int | None
    recipient: Recipient
    content: Content | None
    asked_at: datetime
    issued_at: datetime | None


class OfOrder(NamedTuple):
    """An order's invoice, if one was asked for, with its credit notes, and whether one may be asked for now."""

    may_ask: bool
    invoice: Invoice | None
    credit_notes: list[Invoice]


class Page(NamedTuple):
    """A part of a shop's documents, newest first."""

    items: list[Invoice]
    next: InvoiceId | None


class RecipientRefused(Invalid, code="recipient-refused"):
    """An invoice names a person or a company; a company has a tax number, and an e-mail address looks like one."""

    field: str


class InvoiceIssued(Conflict, code="invoice-issued"):
    """The invoice has been issued; it is not changed any more."""

    number: int


class NothingToInvoice(Conflict, code="nothing-to-invoice"):
    """There is an invoice of what was paid and has not gone back, and of nothing else."""


def check_recipient(recipient: Recipient) -> Recipient:
    """The recipient without stray blanks, or `RecipientRefused`."""
    title = " ".join(recipient.title.split())
    tax_number = " ".join(recipient.tax_number.split()).upper()
    email = recipient.email.strip()
    if not title or len(title) > TITLE_LENGTH_MAX or not title.isprintable():
        raise RecipientRefused(field="title")
    if (tax_number or recipient.kind is RecipientKind.company) and not _TAX_NUMBER.fullmatch(tax_number):
        raise RecipientRefused(field="tax_number")
    if email and (not email.isascii() or not email.isprintable() or not _EMAIL.fullmatch(email)):
        raise RecipientRefused(field="email")
    return Recipient(kind=recipient.kind, title=title, tax_number=tax_number, email=email)


def content_of(order: Order, before: Sequence[tuple[Content, bool]] = ()) -> Content | None:
    """What the next document says, or `None` when there is nothing to say. Pure.

    `before`: the documents there are, each with whether it is a credit note. With none, it is the invoice, of what is
    left; else a credit note, of what these documents hold above that.
    """
    signs = [(content, -1 if is_credit else 1) for content, is_credit in before]
    lines = []
    for line in order.lines:
        said = [(one, sign) for content, sign in signs for one in content.lines if one.no == line.no]
        pieces, paid = line.quantity - line.refunded_quantity, line.paid_amount - line.refunded_amount
        tax = tax_in(paid, line.tax_bps)
        if before:
            pieces = sum(sign * one.quantity for one, sign in said) - pieces
            paid = sum(sign * one.paid_amount for one, sign in said) - paid
            tax = sum(sign * one.tax_amount for one, sign in said) - tax
        if pieces or paid:
            lines.append(
                InvoiceLine(
                    no=line.no,
                    title=line.title,
                    options=line.options,
                    quantity=pieces,
                    unit_price_amount=line.unit_price_amount,
                    discount_amount=pieces * line.unit_price_amount - paid if pieces else 0,
                    paid_amount=paid,
                    tax_bps=line.tax_bps,
                    tax_amount=tax,
                )
            )
    shipping = order.shipping_amount - order.refunded_shipping_amount
    if before:
        shipping = sum(sign * content.shipping_amount for content, sign in signs) - shipping
    if not lines and not shipping:
        return None
    return Content(
        seller=order.shop_name, currency=order.currency, placed_at=order.placed_at, lines=lines, shipping_amount=shipping
    )


async def ask_for_invoice(tx: Tx, actor: Actor, order_id: OrderId, recipient: Recipient) -> OfOrder:
    """Ask for an invoice of the buyer's own paid order, or say otherwise to whom, until it is issued.

    Refuses `RecipientRefused`, `NothingToInvoice`, `InvoiceIssued`.
    """
    order = await get_own(tx, actor, order_id)
    recipient = check_recipient(recipient)
    if not _may_have(order):
        raise NothingToInvoice()
    [(number,)] = await tx.tuples(
        """
        INSERT INTO orders.invoice AS known (id, order_id, shop_id, recipient, asked_at)
        VALUES (%(id)s, %(order_id)s, %(shop_id)s, %(recipient)s, %(now)s)
        ON CONFLICT (order_id) WHERE credits_id IS NULL DO UPDATE
        SET recipient = CASE WHEN known.number IS NULL THEN excluded.recipient ELSE known.recipient END
        RETURNING number
        """,
        id=new_id(),
        order_id=order_id,
        shop_id=order.shop_id,
        recipient=Jsonb(recipient),
        now=tx.now,
    )
    found = await _find_of_order(tx, order)
    if number is not None and found.invoice is not None and found.invoice.recipient != recipient:
        raise InvoiceIssued(number=number)
    return found


async def get_invoices(tx: Tx, actor: Actor, order_id: OrderId) -> OfOrder:
    """The documents of the buyer's own order."""
    return await _find_of_order(tx, await get_own(tx, actor, order_id))


async def issue_invoice(tx: Tx, actor: Actor, shop_id: ShopId, invoice_id: InvoiceId) -> Invoice:
    """Issue what was asked for, under the shop's next number. Again: the same. Needs the scope `orders`.

    Refuses `NothingToInvoice` when all of it went back meanwhile. Locks the invoice, then the shop's count.
    """
    await identity.require_seat(tx, actor, shop_id, identity.Scope.orders)
    order_id = await tx.maybe(
        OrderId,
        """
        SELECT order_id FROM orders.invoice
        WHERE id = %(id)s AND shop_id = %(shop_id)s AND credits_id IS NULL FOR NO KEY UPDATE
        """,
        id=invoice_id,
        shop_id=shop_id,
    )
    if order_id is None:
        raise NotFound()
    known = await get_invoice(tx, actor, shop_id, invoice_id)
    if known.number is not None:
        return known
    order = await get_of_shop(tx, actor, shop_id, order_id)
    content = content_of(order) if _may_have(order) else None
    if content is None:
        raise NothingToInvoice()
    await tx.run(
        "UPDATE orders.invoice SET number = %(number)s, content = %(content)s, issued_at = %(now)s WHERE id = %(id)s",
        id=invoice_id,
        number=await _next_number(tx, shop_id),
        content=Jsonb(content),
        now=tx.now,
    )
    await identity.record(tx, actor, "invoice.issued", subject=str(invoice_id))
    return await get_invoice(tx, actor, shop_id, invoice_id)


async def credit(tx: Tx, order: Order) -> None:
    """Credit what went back of an order since its last document, if it has an invoice. Locks the invoice.

    A reaction of refunds; what it hears twice it credits once, because it compares sums.
    """
    invoice = await tx.maybe(
        InvoiceId,
        """
        SELECT id FROM orders.invoice
        WHERE order_id = %(id)s AND credits_id IS NULL AND number IS NOT NULL FOR NO KEY UPDATE
        """,
        id=order.id,
    )
    if invoice is None:
        return
    found = await _find_of_order(tx, order)
    assert found.invoice is not None
    documents = [found.invoice, *found.credit_notes]
    content = content_of(order, [(one.content, one.credits_id is not None) for one in documents if one.content])
    if content is None or content.total_amount <= 0:
        return
    await tx.run(
        """
        INSERT INTO orders.invoice (id, order_id, shop_id, credits_id, number, recipient, content, asked_at, issued_at)
        VALUES (%(id)s, %(order_id)s, %(shop_id)s, %(credits_id)s, %(number)s, %(recipient)s, %(content)s, %(now)s,
                %(now)s)
        """,
        id=new_id(),
        order_id=order.id,
        shop_id=order.shop_id,
        credits_id=invoice,
        number=await _next_number(tx, order.shop_id),
        recipient=Jsonb(found.invoice.recipient),
        content=Jsonb(content),
        now=tx.now,
    )


async def get_invoice(tx: Tx, actor: Actor, shop_id: ShopId, invoice_id: InvoiceId) -> Invoice:
    """One of the shop's documents. Needs the scope `orders`."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.orders)
    invoice = await tx.maybe(
        Invoice,
        """
        SELECT id, order_id, shop_id, credits_id, number, recipient, content, asked_at, issued_at
        FROM orders.invoice WHERE id = %(id)s AND shop_id = %(shop_id)s
        """,
        id=invoice_id,
        shop_id=shop_id,
    )
    if invoice is None:
        raise NotFound()
    return invoice


async def list_invoices(
    tx: Tx, actor: Actor, shop_id: ShopId, *, issued: bool | None = None, after: InvoiceId | None = None, limit: int = 30
) -> Page:
    """The shop's invoices and credit notes, newest first; those to issue, those issued, or all. Scope `orders`."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.orders)
    limit = min(limit, PAGE_SIZE_MAX)
    rows = await tx.all(
        Invoice,
        """
        SELECT id, order_id, shop_id, credits_id, number, recipient, content, asked_at, issued_at
        FROM orders.invoice
        WHERE shop_id = %(shop_id)s AND (%(after)s::uuid IS NULL OR id < %(after)s)
          AND (%(issued)s::boolean IS NULL OR (number IS NOT NULL) = %(issued)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        shop_id=shop_id,
        after=after,
        issued=issued,
        limit=limit + 1,
    )
    return Page(rows[:limit], rows[limit - 1].id if len(rows) > limit else None)


CSV_COLUMNS = [
    "number", "kind", "credits", "issued_at", "order", "recipient_kind", "recipient", "tax_number", "email", "goods",
    "discount", "shipping", "total", "tax", "tax_rates", "currency",
]  # fmt: skip


async def export_invoices(tx: Tx, actor: Actor, shop_id: ShopId) -> AsyncIterator[list[Cell]]:
    """The shop's issued documents by number, as rows of a sheet with the columns first. Needs the scope `orders`."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.orders)
    yield [*CSV_COLUMNS]
    last = 0
    while True:
        rows = await tx.all(
            Invoice,
            """
            SELECT id, order_id, shop_id, credits_id, number, recipient, content, asked_at, issued_at
            FROM orders.invoice WHERE shop_id = %(shop_id)s AND number > %(last)s ORDER BY number LIMIT %(limit)s
            """,
            shop_id=shop_id,
            last=last,
            limit=PAGE_SIZE_MAX,
        )
        numbers = dict(
            await tx.tuples(
                "SELECT id, number FROM orders.invoice WHERE id = ANY(%(ids)s)",
                ids=[row.credits_id for row in rows if row.credits_id is not None],
            )
        )
        for row in rows:
            yield _cells(row, numbers)
        if len(rows) < PAGE_SIZE_MAX:
            return
        assert rows[-1].number is not None
        last = rows[-1].number


def _cells(invoice: Invoice, numbers: dict[Any, Any]) -> list[Cell]:
    content, recipient = invoice.content, invoice.recipient
    assert content is not None and invoice.issued_at is not None
    sign = 1 if invoice.credits_id is None else -1

    def amount(minor: int) -> Money:
        return Money(sign * minor, content.currency)

    return [
        invoice.number,
        "invoice" if invoice.credits_id is None else "credit-note",
        numbers.get(invoice.credits_id),
        invoice.issued_at.isoformat(timespec="seconds"),
        str(invoice.order_id),
        recipient.kind.value,
        recipient.title,
        recipient.tax_number,
        recipient.email,
        amount(content.goods_amount),
        amount(content.discount_amount),
        amount(content.shipping_amount),
        amount(content.total_amount),
        amount(content.tax_amount),
        " ".join(sorted({f"{percent(line.tax_bps)}%" for line in content.lines})),
        content.currency,
    ]


async def export(tx: Tx, account_id: AccountId) -> list[Invoice]:
    """A person's invoices, newest first (for their export)."""
    return await tx.all(
        Invoice,
        """
        SELECT id, order_id, shop_id, credits_id, number, recipient, content, asked_at, issued_at
        FROM orders.invoice
        WHERE order_id IN (SELECT id FROM orders."order" WHERE buyer_id = %(buyer_id)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        buyer_id=account_id,
        limit=EXPORTED_MAX,
    )


def _may_have(order: Order) -> bool:
    return order.state in LATER_STATES and order.total_amount > order.refunded_amount + order.reversed_amount


async def _find_of_order(tx: Tx, order: Order) -> OfOrder:
    rows = await tx.all(
        Invoice,
        """
        SELECT id, order_id, shop_id, credits_id, number, recipient, content, asked_at, issued_at
        FROM orders.invoice WHERE order_id = %(order_id)s ORDER BY number NULLS FIRST
        """,
        order_id=order.id,
    )
    invoice = next((row for row in rows if row.credits_id is None), None)
    may_ask = _may_have(order) and (invoice is None or invoice.number is None)
    return OfOrder(may_ask, invoice, [row for row in rows if row.credits_id is not None])


async def _next_number(tx: Tx, shop_id: ShopId) -> int:
    return await tx.one(
        int,
        """
        INSERT INTO orders.invoice_count AS count (shop_id, last_number) VALUES (%(shop_id)s, 1)
        ON CONFLICT (shop_id) DO UPDATE SET last_number = count.last_number + 1
        RETURNING last_number
        """,
        shop_id=shop_id,
    )
