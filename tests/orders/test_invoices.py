"""Invoices: numbered without gaps, of what was paid, credited when it goes back; price protection beside them."""

import asyncio
import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laotie import catalog, identity, live, orders
from laotie.base.cells import write_line
from laotie.base.ids import OrderId, ProductId, new_id
from laotie.base.money import Money
from laotie.base.refusals import NotFound
from laotie.orders import Back, invoices, protection
from laotie.orders.invoices import (
    InvoiceIssued,
    NothingToInvoice,
    Recipient,
    RecipientKind,
    RecipientRefused,
    content_of,
)
from laotie.orders.protection import PriceNotLower, ProtectionOver
from market import Market

DAY = 86_400
COMPANY = Recipient(kind=RecipientKind.company, title="青岛海货有限公司", tax_number="91370200ma3c1234x5", email="a@b.cn")
PERSON = Recipient(kind=RecipientKind.person, title=" 王 小明 ")


async def paid_order(market: Market, *, quantity: int = 3, price: int = 1_130, tax: int = 1_300) -> tuple[Any, ...]:
    item, buyer = await market.add_item(price=price), await market.buyer()
    async with market.db.tx() as tx:
        change = catalog.ProductChange(tax_bps=tax)
        await catalog.edit_product(tx, market.owner, item.product_id, change)
    order_id = await market.place(buyer, item, quantity=quantity)
    await market.pay(buyer, order_id)
    return buyer, order_id, item


async def ask(
    market: Market, buyer: identity.Actor, order_id: OrderId, recipient: Recipient = COMPANY
) -> invoices.OfOrder:
    async with market.db.tx() as tx:
        return await invoices.ask_for_invoice(tx, buyer, order_id, recipient)


async def issue(market: Market, invoice_id: invoices.InvoiceId, actor: identity.Actor | None = None) -> invoices.Invoice:
    async with market.db.tx() as tx:
        return await invoices.issue_invoice(tx, actor or market.owner, market.shop_id, invoice_id)


async def give_back(market: Market, order_id: OrderId, *lines: Back, shipping: int = 0) -> None:
    async with market.db.tx() as tx:
        await orders.give_back(
            tx, order_id, refund_id=new_id(), lines=list(lines), shipping_amount=shipping, reason="test"
        )
    await market.settle()


async def of_order(market: Market, buyer: identity.Actor, order_id: OrderId) -> invoices.OfOrder:
    async with market.db.read() as tx:
        return await invoices.get_invoices(tx, buyer, order_id)


async def test_an_invoice_is_asked_for_changed_issued_and_stays(market: Market) -> None:
    buyer, order_id, _ = await paid_order(market)
    assert await of_order(market, buyer, order_id) == (True, None, [])
    await ask(market, buyer, order_id, PERSON)
    asked = (await ask(market, buyer, order_id)).invoice
    assert asked is not None and asked.recipient.tax_number == "91370200MA3C1234X5" and asked.number is None
    issued = await issue(market, asked.id)
    assert await issue(market, asked.id) == issued
    assert issued.number == 1 and issued.content is not None
    line = issued.content.lines[0]
    assert (line.quantity, line.paid_amount, line.tax_bps, line.tax_amount) == (3, 3_390, 1_300, 390)
    assert (issued.content.total_amount, issued.content.tax_amount) == (3_390, 390)
    assert (await ask(market, buyer, order_id)).may_ask is False
    with pytest.raises(InvoiceIssued):
        await ask(market, buyer, order_id, PERSON)


async def test_what_goes_back_later_is_credited_once_and_the_sums_meet(market: Market) -> None:
    buyer, order_id, _ = await paid_order(market)
    asked = (await ask(market, buyer, order_id)).invoice
    assert asked is not None
    await give_back(market, order_id, Back(1, 1, 1_130))
    issued = await issue(market, asked.id)
    assert issued.content is not None and issued.content.total_amount == 2_260
    assert (await of_order(market, buyer, order_id)).credit_notes == []
    await give_back(market, order_id, Back(1, 0, 130))
    await give_back(market, order_id, Back(1, 2, 2_130))
    found = await of_order(market, buyer, order_id)
    assert [(one.number, one.credits_id, one.recipient) for one in found.credit_notes] == [
        (2, issued.id, issued.recipient),
        (3, issued.id, issued.recipient),
    ]
    said = [one.content for one in found.credit_notes if one.content is not None]
    assert [(one.lines[0].quantity, one.total_amount) for one in said] == [(0, 130), (2, 2_130)]
    assert sum(one.tax_amount for one in said) == issued.content.tax_amount == 260
    async with market.db.tx() as tx:
        order = (await orders.find_orders(tx, [order_id]))[order_id]
        await invoices.credit(tx, order)
    assert await of_order(market, buyer, order_id) == found


async def test_numbers_have_no_gap_under_concurrency_and_refused_issues(market: Market) -> None:
    ids, order_ids = [], []
    for _ in range(6):
        buyer, order_id, _ = await paid_order(market, quantity=1)
        found = await ask(market, buyer, order_id)
        assert found.invoice is not None
        ids.append(found.invoice.id)
        order_ids.append(order_id)
    await give_back(market, order_ids[-1], Back(1, 1, 1_130))
    answers = await asyncio.gather(*(issue(market, id_) for id_ in ids + ids), return_exceptions=True)
    assert [type(one) for one in answers if isinstance(one, Exception)] == [NothingToInvoice] * 2
    numbers = {one.number for one in answers if isinstance(one, invoices.Invoice)}
    assert numbers == {1, 2, 3, 4, 5}
    async with market.db.read() as tx:
        page = await invoices.list_invoices(tx, market.owner, market.shop_id, issued=True, limit=3)
        rest = await invoices.list_invoices(tx, market.owner, market.shop_id, issued=True, after=page.next, limit=3)
        waiting = await invoices.list_invoices(tx, market.owner, market.shop_id, issued=False)
        sheet = "".join([write_line(row) async for row in invoices.export_invoices(tx, market.owner, market.shop_id)])
        rows = list(csv.reader(io.StringIO(sheet)))
    assert (len(page.items), len(rest.items), rest.next, len(waiting.items)) == (3, 2, None, 1)
    assert [row[0] for row in rows] == ["number", "1", "2", "3", "4", "5"]
    assert rows[1][9:] == ["11.30", "0.00", "0.00", "11.30", "1.30", "13%", "CNY"]


async def test_there_is_no_invoice_of_what_was_not_paid_or_is_somebody_elses(market: Market) -> None:
    item, buyer = await market.add_item(), await market.buyer()
    order_id = await market.place(buyer, item)
    with pytest.raises(NothingToInvoice):
        await ask(market, buyer, order_id)
    with pytest.raises(NotFound):
        await ask(market, await market.buyer(), order_id)
    await market.pay(buyer, order_id)
    found = await ask(market, buyer, order_id)
    assert found.invoice is not None
    with pytest.raises(NotFound):
        await issue(market, found.invoice.id, buyer)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"title": "  "}, "title"),
        ({"title": "x" * 101}, "title"),
        ({"title": "a\u202eb"}, "title"),
        ({"tax_number": ""}, "tax_number"),
        ({"tax_number": "=1+1"}, "tax_number"),
        ({"email": "nobody"}, "email"),
        ({"email": "a@b"}, "email"),
    ],
)
def test_a_recipient_that_cannot_be_written_is_refused(changes: dict[str, str], field: str) -> None:
    fields = {"title": "公司", "tax_number": "91370200MA3C1234X5", "email": "a@b.cn"} | changes
    with pytest.raises(RecipientRefused) as refused:
        invoices.check_recipient(Recipient(kind=RecipientKind.company, **fields))
    assert refused.value.field == field


class _Line:
    def __init__(self, no: int, quantity: int, price: int, discount: int, tax: int) -> None:
        self.no, self.title = no, "x"
        self.options: dict[str, str] = {}
        self.quantity, self.unit_price_amount, self.discount_amount, self.tax_bps = quantity, price, discount, tax
        self.paid_amount = quantity * price - discount
        self.refunded_quantity = self.refunded_amount = 0


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(1, 9_999), st.integers(0, 50), st.sampled_from([0, 600, 1_300])),
        min_size=1,
        max_size=4,
    ),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 9_999)), max_size=6),
    st.integers(0, 2_000),
)
def test_invoice_less_credit_notes_is_always_what_was_kept(
    told: list[tuple[int, int, int, int]], backs: list[tuple[int, int, int]], shipping: int
) -> None:
    lines = [_Line(no, n, price, n * price * part // 100, tax) for no, (n, price, part, tax) in enumerate(told, start=1)]
    order: Any = type("Order", (), {})()
    order.lines, order.shop_name, order.currency, order.placed_at = lines, "S", "CNY", None
    order.shipping_amount, order.refunded_shipping_amount = shipping, 0
    documents: list[tuple[invoices.Content, bool]] = []
    for step in [None, *backs]:
        if step is not None:
            line = lines[step[0] % len(lines)]
            line.refunded_quantity = min(line.quantity, line.refunded_quantity + step[1])
            line.refunded_amount = min(line.paid_amount, line.refunded_amount + step[2])
            order.refunded_shipping_amount = min(shipping, order.refunded_shipping_amount + step[2] // 7)
        content = content_of(order, documents)
        if content is not None:
            assert content.goods_amount - content.discount_amount + content.shipping_amount == content.total_amount
            documents.append((content, bool(documents)))
    kept = sum(line.paid_amount - line.refunded_amount for line in lines) + shipping - order.refunded_shipping_amount
    assert sum(-one.total_amount if is_credit else one.total_amount for one, is_credit in documents) == kept


async def protect(market: Market, days: int) -> None:
    async with market.db.tx() as tx:
        await catalog.edit_shop(tx, market.owner, market.shop_id, catalog.ShopChange(price_protection_days=days))


async def reprice(market: Market, item: live.CartItem, amount: int) -> None:
    async with market.db.tx() as tx:
        change = catalog.SkuChange(price=Money(amount, "CNY"))
        await catalog.edit_sku(tx, market.owner, item.skus[0].sku_id, change)


async def look(market: Market, buyer: identity.Actor, order_id: OrderId) -> protection.Protection:
    async with market.db.read() as tx:
        return await protection.get_protection(tx, buyer, order_id)


async def claim(market: Market, buyer: identity.Actor, order_id: OrderId) -> protection.Protection:
    async with market.db.tx() as tx:
        return await protection.give_difference(tx, buyer, order_id)


async def test_the_difference_to_a_fallen_price_is_given_back_once(market: Market) -> None:
    buyer, order_id, item = await paid_order(market, quantity=3, price=1_000)
    await reprice(market, item, 900)
    assert (await look(market, buyer, order_id)).until is None
    with pytest.raises(ProtectionOver):
        await claim(market, buyer, order_id)
    await protect(market, 7)
    offer = await look(market, buyer, order_id)
    assert [(line.shelf_price_amount, line.amount, line.given_at) for line in offer.lines] == [(900, 300, None)]
    await claim(market, buyer, order_id)
    await market.settle()
    order = await market.order(buyer, order_id)
    assert (order.refunded_amount, order.lines[0].refunded_quantity, order.state) == (300, 0, "paid")
    await reprice(market, item, 500)
    with pytest.raises(PriceNotLower):
        await claim(market, buyer, order_id)
    line = (await look(market, buyer, order_id)).lines[0]
    assert (line.shelf_price_amount, line.amount, line.given_at is not None) == (900, 300, True)
    await market.cancel(buyer, order_id)
    assert (await market.order(buyer, order_id)).refunded_amount == 3_000


async def test_pieces_that_went_back_and_prices_that_rose_have_no_difference(market: Market) -> None:
    buyer, order_id, item = await paid_order(market, quantity=3, price=1_000)
    await protect(market, 7)
    with pytest.raises(PriceNotLower):
        await claim(market, buyer, order_id)
    await give_back(market, order_id, Back(1, 2, 2_000))
    await reprice(market, item, 990)
    assert (await look(market, buyer, order_id)).lines[0].amount == 10
    async with market.db.tx() as tx:
        change = catalog.ProductChange(state=catalog.ProductState.delisted)
        await catalog.edit_product(tx, market.owner, ProductId(item.product_id), change)
    with pytest.raises(PriceNotLower):
        await claim(market, buyer, order_id)


async def test_after_its_days_nothing_is_given_back(market: Market) -> None:
    buyer, order_id, item = await paid_order(market, quantity=1, price=1_000)
    await protect(market, 7)
    await reprice(market, item, 400)
    market.db.clock.advance(seconds=7 * DAY - 60)
    assert (await look(market, buyer, order_id)).lines[0].amount == 600
    market.db.clock.advance(seconds=60)
    with pytest.raises(ProtectionOver):
        await claim(market, buyer, order_id)


async def test_two_who_ask_at_once_have_it_once(market: Market) -> None:
    buyer, order_id, item = await paid_order(market, quantity=1, price=1_000)
    await protect(market, 7)
    await reprice(market, item, 400)
    answers = await asyncio.gather(*(claim(market, buyer, order_id) for _ in range(4)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in answers) == ["PriceNotLower"] * 3 + ["Protection"]
    assert (await market.order(buyer, order_id)).refunded_amount == 600


async def test_an_invoice_of_an_order_with_a_difference_is_credited(market: Market) -> None:
    buyer, order_id, item = await paid_order(market, quantity=1, price=1_130)
    found = await ask(market, buyer, order_id)
    assert found.invoice is not None
    await issue(market, found.invoice.id)
    await protect(market, 7)
    await reprice(market, item, 565)
    await claim(market, buyer, order_id)
    await market.settle()
    [note] = (await of_order(market, buyer, order_id)).credit_notes
    assert note.content is not None
    assert (note.content.total_amount, note.content.tax_amount, note.content.lines[0].quantity) == (565, 65, 0)
