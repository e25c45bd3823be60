"""An order's money as the lake is told of it: each change once, of what it is made, to the cent and again the same."""

from uuid import UUID

import msgspec

from laotie import catalog, identity, orders
from laotie.base.ids import OrderId, ProductId, SkuId, new_id
from laotie.base.money import Money, tax_in
from laotie.catalog import Measure, Place, Rule, ShippingTemplateId
from laotie.events.orders import Amounts
from laotie.lake.facts import MoneyKind, MoneyRow
from laotie.orders import facts
from laotie.orders.giving_back import refundable
from laotie.payments import sandbox_bank
from laotie.payments.sandbox_bank import DisputeReason
from market import Market
from reservoir import check_money
from vouchers import make, take

RULES = [
    Rule(first=1, first_fee=1_000, further=1, further_fee=100),
    Rule(places=[Place("CN", "江苏")], first=1, first_fee=500, further=1),
    Rule(places=[Place("CN", "上海")], first=1, first_fee=0, further=1),
]


async def _send_by_fees(market: Market) -> None:
    draft = catalog.ShippingDraft(name="usual", measure=Measure.pieces, rules=RULES, is_default=True)
    async with market.db.tx() as tx:
        await catalog.put_template(tx, market.owner, market.shop_id, ShippingTemplateId(new_id()), draft)


async def _send_to(market: Market, buyer: identity.Actor, order_id: OrderId, region: str) -> None:
    address = msgspec.structs.replace(market.addresses[buyer.signed_in()], region=region, city="")
    async with market.db.tx() as tx:
        await orders.attach_address(tx, buyer, order_id, address)


async def _taxed(market: Market, *, price: int, bps: int) -> orders.AskLine:
    product_id, sku_id = ProductId(new_id()), SkuId(new_id())
    async with market.db.tx() as tx:
        draft = catalog.ProductDraft(title="茶叶", tax_bps=bps)
        await catalog.add_product(tx, market.owner, market.shop_id, product_id, draft)
        sku = catalog.SkuDraft(code=product_id.hex[-12:], price=Money(price, "CNY"), stock=50)
        await catalog.add_sku(tx, market.owner, product_id, sku_id, sku)
        listed = catalog.ProductChange(state=catalog.ProductState.listed)
        await catalog.edit_product(tx, market.owner, product_id, listed)
    return orders.AskLine(sku_id, None, 1, price)


async def _dispute(market: Market, buyer: identity.Actor, payment_id: UUID, amount: int | None, *, won: bool) -> None:
    dispute_id = new_id()
    async with market.db.tx() as tx:
        await sandbox_bank.open_dispute(
            tx, buyer.signed_in(), payment_id, dispute_id, reason=DisputeReason.not_received, amount=amount  # type: ignore[arg-type]
        )
    await market.settle()
    async with market.db.tx() as tx:
        await sandbox_bank.decide_dispute(tx, buyer.signed_in(), dispute_id, won=won)
    await market.settle()


def _sum(rows: list[MoneyRow]) -> Amounts:
    total = Amounts()
    for row in rows:
        total += row.amounts
    return total


async def test_every_change_of_an_order_s_money_is_told_once_and_of_what_it_is_made(market: Market) -> None:
    await _send_by_fees(market)
    other_owner, other_shop = await market.open_shop()
    tea = await market.add_to_shelf(other_owner, other_shop, price=2500)
    own = msgspec.structs.replace(await _taxed(market, price=3333, bps=1300), quantity=3)
    buyer = await market.buyer()
    coupons = (
        await take(market, buyer, (await make(market, off_amount=700)).id),
        await take(market, buyer, (await make(market, shop_id=None, off_amount=1000)).id),
    )
    ask = market.ask(buyer, show_id=None, lines=(own, tea), coupons=coupons, total_amount=None)
    placed = await market.till.place(ask)
    order_id = placed.id
    for region in ("山东", "江苏", "江苏", "上海", "山东"):
        await _send_to(market, buyer, order_id, region)
    payment_id = await market.pay(buyer, order_id)
    await check_money(market.db)
    order = await market.order(buyer, order_id)
    for pieces in (1, 1):
        line = (await market.order(buyer, order_id)).lines[0]
        back = orders.Back(1, pieces, refundable(line, pieces))
        async with market.db.tx() as tx:
            await orders.give_back(tx, order_id, refund_id=new_id(), lines=[back], reason="one", restock=[(1, pieces)])
        await market.settle()
    await _dispute(market, buyer, payment_id, 501, won=True)
    await _dispute(market, buyer, payment_id, None, won=False)
    rows = await check_money(market.db)
    mine = [row for row in rows if row.order_id == order_id]
    kinds = [row.kind for row in mine]
    assert sorted(kinds) == sorted(
        ["placed", *["repriced"] * 4, "paid", "refunded", "refunded", "reversed", "restored", "reversed"]
    )
    of = {kind: [row.amounts for row in mine if row.kind == kind] for kind in MoneyKind}
    paid = of[MoneyKind.paid][0]
    assert paid.goods == 9999
    assert paid.shop_discount == 700
    assert 0 < paid.platform_discount < 1000, "the other shop bears its part"
    assert paid.shipping == 1200
    assert paid.amount == order.total_amount
    assert paid.tax == tax_in(9999 - 700 - paid.platform_discount, bps=1300)
    assert [one.shipping for one in of[MoneyKind.repriced]] == [1200, -700, -500, 1200]
    assert _sum([row for row in mine if row.kind in ("placed", "repriced")]) == paid
    assert sum(row.amounts.amount for row in rows if row.kind == "restored") == 501, "both orders bear their part"
    assert of[MoneyKind.restored][0] in [-one for one in of[MoneyKind.reversed]]
    left = [row for row in mine if row.kind not in ("placed", "repriced")]
    assert _sum(left) == Amounts(), "all of it went back: goods, shipping, tax and both discounts"
    assert {row.source for row in mine} == {"direct"}


async def test_money_that_paid_nothing_is_no_money_of_the_order(market: Market) -> None:
    item = await market.add_item(price=990)
    buyer = await market.buyer()
    order_id = await market.place(buyer, item)
    late = await market.start_payment(buyer, order_id)
    await market.cancel(buyer, order_id)
    await market.decide(buyer, late)
    await market.settle()
    assert (await market.payment(late)).state == "refunded"
    rows = await check_money(market.db)
    assert [(row.kind, row.amounts.amount) for row in sorted(rows, key=lambda row: row.at)] == [
        ("placed", 990),
        ("cancelled", -990),
    ]


async def test_a_part_of_what_is_left_is_made_of_everything_in_it_and_all_of_it_is_all() -> None:
    left = Amounts(goods=1_000, shipping=120, tax=91, shop_discount=100, platform_discount=33)
    assert facts.part_of(left, left.amount) == left
    for amount in range(1, left.amount):
        part = facts.part_of(left, amount)
        assert part.amount == amount
        assert 0 <= part.shipping <= 120
        assert 0 <= part.tax <= 91


async def test_the_order_bears_what_its_visit_was_credited_with(market: Market) -> None:
    item = await market.add_item()
    buyer = await market.buyer()
    visit_id, streamer_id = new_id(), market.owner.signed_in()
    placed = await market.place_all(
        buyer,
        market.ask(
            buyer, item, source="private", placement="feed:1", visit_id=visit_id, is_fan=True, campaign="c",
            streamer_id=streamer_id, rule_version=3,
        ),
    )  # fmt: skip
    await market.pay(buyer, OrderId(placed.id))
    for row in await check_money(market.db):
        assert (row.source, row.placement, row.visit_id, row.is_fan) == ("private", "feed:1", visit_id, True)
        assert (row.campaign, row.streamer_id, row.rule_version, row.show_id) == ("c", streamer_id, 3, market.show_id)
