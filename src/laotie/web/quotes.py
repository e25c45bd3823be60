"""Quotes over HTTP: what a purchase would come to, and why each coupon counts or not."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import post

from laotie import identity, orders
from laotie.base.db import Database
from laotie.base.ids import CartItemId, ProductId, ShopId, ShowId, SkuId
from laotie.base.money import Money
from laotie.identity import Actor
from laotie.offers import ClaimId, Coupon, CouponReason
from laotie.web.given import Given, JSONBody
from laotie.web.offers import CouponView, fields_of, name_shops
from laotie.web.orders import ShopName


class WantedLine(msgspec.Struct, forbid_unknown_fields=True):
    """Something I think of buying."""

    sku_id: SkuId
    quantity: Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]
    cart_item_id: CartItemId | None = None
    grant_id: UUID | None = None


class NewQuote(msgspec.Struct, forbid_unknown_fields=True):
    """What to reckon. `coupons`: exactly these claims of mine; missing, those that save the most."""

    lines: Annotated[list[WantedLine], msgspec.Meta(max_length=100)]
    show_id: ShowId | None = None
    address_id: identity.AddressId | None = None
    coupons: Annotated[list[ClaimId], msgspec.Meta(max_length=20)] | None = None


class QuotedLineView(msgspec.Struct, kw_only=True):
    """A line at the price of this instant. One with a `problem` cannot be bought so, and counts in no sum."""

    sku_id: SkuId
    product_id: ProductId | None
    cart_item_id: CartItemId | None
    title: str
    image: str
    options: dict[str, str]
    quantity: int
    available: int
    unit_price: Money
    reference_price: Money | None
    amount: Money
    discount: Money
    paid: Money
    tax: Money
    problem: str | None


class QuotedOrderView(msgspec.Struct, kw_only=True):
    """One shop's part. `shipping` is `null` while it is not known where to, or the shop does not deliver there."""

    shop: ShopName
    lines: list[QuotedLineView]
    goods: Money
    discount: Money
    shipping: Money | None
    shipping_problem: str | None
    tax: Money
    total: Money


class JudgedCoupon(msgspec.Struct, kw_only=True):
    """A coupon of mine, and why it counts or not."""

    claim_id: ClaimId
    coupon: CouponView | None
    applied: bool
    amount: Money
    reason: CouponReason
    facts: dict[str, Any]


class QuoteView(msgspec.Struct, kw_only=True):
    """What a purchase would come to.

    `chosen` and `subtotal` (without shipping) are what `POST /api/orders` takes as `coupons` and `total`.
    """

    orders: list[QuotedOrderView]
    stray: list[QuotedLineView]
    coupons: list[JudgedCoupon]
    chosen: list[ClaimId]
    subtotal: Money
    total: Money
    currency: str
    rule_version: int


@post("/api/quotes", status_code=200)
async def quote(data: JSONBody[NewQuote], actor: Given[Actor], db: Given[Database]) -> QuoteView:
    """Reckon a purchase: shipping, tax, and of each of my coupons why it counts or not. Keeps nothing for anybody."""
    async with db.read() as tx:
        address = await identity.get_address(tx, actor, data.address_id) if data.address_id is not None else None
        found = await orders.quote(
            tx,
            actor,
            [orders.WantedLine(line.sku_id, line.quantity, line.cart_item_id, line.grant_id) for line in data.lines],
            show_id=data.show_id,
            address=address,
            coupons=data.coupons,
        )
        coupons = [one.coupon for one in found.applied]
        coupons += [one.coupon for one in found.refused if one.coupon is not None]
        names = await name_shops(tx, coupons)
    return _quote_view(found, names)


def _quote_view(found: orders.Quote, names: dict[ShopId, str]) -> QuoteView:
    def money(amount: int) -> Money:
        return Money(amount, found.currency or "CNY")

    def line_view(line: orders.QuotedLine) -> QuotedLineView:
        return QuotedLineView(
            sku_id=line.sku_id,
            product_id=line.product_id,
            cart_item_id=line.cart_item_id,
            title=line.title,
            image=line.image,
            options=line.options,
            quantity=line.quantity,
            available=line.available,
            unit_price=money(line.unit_price_amount),
            reference_price=None if line.reference_amount is None else money(line.reference_amount),
            amount=money(line.unit_price_amount * line.quantity),
            discount=money(line.discount_amount),
            paid=money(line.paid_amount),
            tax=money(line.tax_amount),
            problem=line.problem,
        )

    def coupon_view(coupon: Coupon | None) -> CouponView | None:
        return None if coupon is None else CouponView(**fields_of(coupon, names))

    return QuoteView(
        orders=[
            QuotedOrderView(
                shop=ShopName(order.shop_id, order.shop_name),
                lines=[line_view(line) for line in order.lines],
                goods=money(order.goods_amount),
                discount=money(order.discount_amount),
                shipping=None if order.shipping_amount is None else money(order.shipping_amount),
                shipping_problem=order.shipping_problem,
                tax=money(order.tax_amount),
                total=money(order.total_amount),
            )
            for order in found.orders
        ],
        stray=[line_view(line) for line in found.stray],
        coupons=[
            *(
                JudgedCoupon(
                    claim_id=one.id,
                    coupon=coupon_view(one.coupon),
                    applied=True,
                    amount=money(one.amount),
                    reason=CouponReason.applied,
                    facts={"base": money(one.base_amount)},
                )
                for one in found.applied
            ),
            *(
                JudgedCoupon(
                    claim_id=one.id,
                    coupon=coupon_view(one.coupon),
                    applied=False,
                    amount=money(0),
                    reason=one.reason,
                    facts=one.facts,
                )
                for one in found.refused
            ),
        ],
        chosen=[one.id for one in found.applied],
        subtotal=money(found.subtotal_amount),
        total=money(found.total_amount),
        currency=found.currency,
        rule_version=found.rule_version,
    )


ROUTES = [quote]
