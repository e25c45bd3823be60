"""The till's judgement of coupons: pure, like all of it. All that an ask names count, or nothing is bought.

What asks before have spent in the same batch is taken off what was read, so that a claim is spent once and a budget is
never exceeded within a batch either; between batches the coupons' locks see to it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from laotie import offers
from laotie.base.ids import OrderId, ShopId
from laotie.base.refusals import Refusal
from laotie.catalog import Shelf
from laotie.orders.model import Ask, AskLine


class Coupons(NamedTuple):
    """What the till knows of the coupons in its batch, by whole ids; the dictionaries follow what is decided."""

    held: dict[int, offers.Held]
    rule: offers.Rule
    buyers: dict[int, offers.Buyer]
    """Of those whose coupons ask for it."""
    spent: dict[int, int]
    """From each coupon's budget, by asks of this batch."""


def check_coupons(
    ask: Ask, shelves: Mapping[int, Shelf], coupons: Coupons, *, now: datetime, currency: str
) -> offers.Priced | Refusal:
    """What the coupons of an ask take off its lines, or why the first one that does not count does not."""
    held: list[offers.Held] = []
    for number, claim_id in enumerate(ask.coupons):
        one = coupons.held.get(claim_id.int)
        if one is None or number >= offers.COUPONS_PER_PURCHASE_MAX:
            return _refuse(offers.ClaimId(claim_id), offers.CouponReason.unknown, {})
        if any(one.id == other.id for other in held):
            return _refuse(one.id, offers.CouponReason.used, {})
        held.append(one)
    buyer = coupons.buyers.get(ask.buyer_id.int) or offers.Buyer(ask.buyer_id)
    goods = [_good(ask, line, shelves[line.sku_id.int]) for line in ask.lines]
    priced = offers.price(goods, held, buyer, coupons.rule, now, currency=currency, spent=coupons.spent)
    if priced.refused:
        first = priced.refused[0]
        return _refuse(first.id, first.reason, first.facts)
    return priced


def redeem(
    ask: Ask, priced: offers.Priced | None, parts: Sequence[tuple[OrderId, ShopId, Sequence[int]]], coupons: Coupons
) -> tuple[offers.Redeemed, ...]:
    """What an accepted ask spends, an entry an order and claim; the asks behind it find it spent.

    `parts`: its orders, the first one first, with the places of their lines in the ask.
    """
    buyer = coupons.buyers.get(ask.buyer_id.int)
    if buyer is not None:
        sellers = {offers.PLATFORM, *(shop_id for _, shop_id, _ in parts)}
        coupons.buyers[ask.buyer_id.int] = buyer._replace(bought_from=buyer.bought_from | sellers)
    redeemed: list[offers.Redeemed] = []
    for applied in priced.applied if priced is not None else ():
        coupon = applied.coupon
        coupons.held[applied.id.int] = coupons.held[applied.id.int]._replace(order_id=parts[0][0])
        coupons.spent[coupon.id.int] = coupons.spent.get(coupon.id.int, 0) + applied.amount
        for order_id, _, places in parts:
            of_order = tuple(
                (no, applied.parts[place]) for no, place in enumerate(places, start=1) if applied.parts[place]
            )
            amount = sum(part for _, part in of_order)
            if amount:
                subsidy = amount if coupon.shop_id is None else 0
                redeemed.append(
                    offers.Redeemed(
                        applied.id, coupon, ask.buyer_id, order_id, amount, subsidy, of_order, applied.base_amount
                    )
                )
    return tuple(redeemed)


def _good(ask: Ask, line: AskLine, shelf: Shelf) -> offers.Good:
    show_id = None if line.cart_item_id is None else ask.show_id
    return offers.Good(shelf.shop_id, shelf.product_id, show_id, line.price_amount * line.quantity)


def _refuse(claim_id: offers.ClaimId, reason: offers.CouponReason, facts: offers.Facts) -> Refusal:
    return offers.CouponRefused(claim_id=claim_id, reason=reason, reason_facts=facts)
