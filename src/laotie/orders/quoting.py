"""Quotes: what a purchase would come to now, and why each of the buyer's coupons counts or not. Nothing is kept.

Reads without locks what the till reads under them, and asks the till's own judgement and the same `offers.price`. So a
quote is what the till would have answered at that instant; at the till, prices, stock and budgets are looked at anew.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from laotie import catalog, identity, live, offers
from laotie.base.db import Tx
from laotie.base.entry import Source
from laotie.base.ids import AccountId, CartItemId, ProductId, ShopId, ShowId, SkuId, new_id
from laotie.base.money import tax_in
from laotie.base.refusals import Refusal
from laotie.identity import Actor
from laotie.orders.decide import Facts, check_form, decide
from laotie.orders.model import NO_WAVE, Ask, AskLine, MixedCurrencies, OffShelf
from laotie.orders.standing import find_buyer


class WantedLine(NamedTuple):
    """Something that somebody thinks of buying."""

    sku_id: SkuId
    quantity: int
    cart_item_id: CartItemId | None = None
    grant_id: UUID | None = None


class QuotedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line at the price of this instant. One with a `problem` cannot be bought so, and counts in no sum."""

    sku_id: SkuId
    product_id: ProductId | None
    shop_id: ShopId | None
    cart_item_id: CartItemId | None
    title: str
    image: str
    options: dict[str, str]
    quantity: int
    available: int
    unit_price_amount: int
    reference_amount: int | None
    """What may be crossed out beside the price."""
    discount_amount: int
    paid_amount: int
    tax_amount: int
    problem: str | None


class QuotedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One shop's part. `shipping_amount` is missing while nobody said where to, or the shop does not deliver there."""

    shop_id: ShopId
    shop_name: str
    lines: list[QuotedLine]
    goods_amount: int
    discount_amount: int
    shipping_amount: int | None
    shipping_problem: str | None
    tax_amount: int

    @property
    def total_amount(self) -> int:
        """What the shop's order would cost, shipping included as far as it is known."""
        return self.goods_amount - self.discount_amount + (self.shipping_amount or 0)


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What a purchase would come to; what became of the coupons, those that count first."""

    currency: str
    orders: list[QuotedOrder]
    stray: list[QuotedLine]
    """Lines of which there is nothing to be said but that they are not for sale."""
    applied: list[offers.Applied]
    refused: list[offers.Refused]
    rule_version: int

    @property
    def subtotal_amount(self) -> int:
        """Goods less discounts, without shipping: what the till asks to be the same (`Ask.total_amount`)."""
        return sum(order.goods_amount - order.discount_amount for order in self.orders)

    @property
    def total_amount(self) -> int:
        """All, with shipping as far as it is known."""
        return sum(order.total_amount for order in self.orders)


async def quote(
    tx: Tx,
    actor: Actor,
    lines: Sequence[WantedLine],
    *,
    show_id: ShowId | None,
    address: identity.Address | None,
    coupons: Sequence[offers.ClaimId] | None,
) -> Quote:
    """Reckon a purchase for its buyer. `coupons`: exactly these claims; `None`: those of the buyer's that save the most.

    Refuses only what no state of the shops could make right, and lines of two currencies (`MixedCurrencies`).
    """
    buyer_id = actor.signed_in()
    facts = await _read_facts(tx, buyer_id, lines, show_id)
    asks = [_ask(buyer_id, line, show_id, facts) for line in lines]
    check_form(msgspec.structs.replace(_nothing(buyer_id), lines=tuple(ask.lines[0] for ask in asks)))
    answers = decide(asks, facts).answers
    problems = [answer.code if isinstance(answer, Refusal) else None for answer in answers]
    shelves = [facts.shelves.get(line.sku_id.int) for line in lines]
    currencies = {shelf.currency for shelf in shelves if shelf is not None}
    if len(currencies) > 1:
        raise MixedCurrencies()
    currency = next(iter(currencies), "")
    good = [index for index, problem in enumerate(problems) if problem is None]
    priced, rule = await _price(tx, buyer_id, [(asks[index].lines[0], shelves[index], show_id) for index in good],
                                coupons, currency)  # fmt: skip
    discounts = dict(zip(good, priced.discounts, strict=True))
    references = await catalog.find_reference_prices(tx, [line.sku_id for line in lines])
    quoted = [
        _line(ask.lines[0], shelf, problem, discounts.get(index, 0), references.get(ask.lines[0].sku_id), facts)
        for index, (ask, shelf, problem) in enumerate(zip(asks, shelves, problems, strict=True))
    ]
    by_shop: dict[ShopId, list[QuotedLine]] = {}
    for line in quoted:
        if line.shop_id is not None:
            by_shop.setdefault(line.shop_id, []).append(line)
    names = await catalog.find_shops(tx, list(by_shop))
    return Quote(
        currency=currency,
        orders=[await _order(tx, names[shop_id], of_shop, address) for shop_id, of_shop in by_shop.items()],
        stray=[line for line in quoted if line.shop_id is None],
        applied=priced.applied,
        refused=priced.refused,
        rule_version=rule.version,
    )


async def _read_facts(tx: Tx, buyer_id: AccountId, lines: Sequence[WantedLine], show_id: ShowId | None) -> Facts:
    """What the till would read under its locks, read without any."""
    pairs = [(line.cart_item_id, line.sku_id) for line in lines if line.cart_item_id is not None]
    shelves = await catalog.find_shelves(tx, [line.sku_id for line in lines])
    shows, quotes = await live.find_quotes(tx, [show_id] if show_id is not None else [], pairs) if pairs else ({}, {})
    waves = [quote.wave_id for quote in quotes.values() if quote.wave_id is not None]
    asides = await catalog.find_asides(tx, waves)
    grants = [line.grant_id for line in lines if line.grant_id is not None]
    bought = await tx.tuples(
        """
        SELECT CASE wave_id WHEN %(no_wave)s THEN cart_item_id ELSE wave_id END, quantity FROM orders.bought
        WHERE cart_item_id = ANY(%(items)s::uuid[]) AND buyer_id = %(buyer_id)s
        """,
        items=[item_id for item_id, _ in pairs],
        buyer_id=buyer_id,
        no_wave=NO_WAVE,
    )
    return Facts(
        shelves={sku_id.int: shelf for sku_id, shelf in shelves.items()},
        shows={show.int: state for show, state in shows.items()},
        quotes={(item_id.int, sku_id.int): quote for (item_id, sku_id), quote in quotes.items()},
        known={},
        bought={(buyer_id.int, counted_on.int): quantity for counted_on, quantity in bought},
        now=tx.now,
        pay_by=tx.now,
        asides={
            (wave_id.int, sku_id.int): aside.remaining
            for wave_id, of_wave in asides.items()
            for sku_id, aside in of_wave.items()
        },
        grants={grant.id.int: grant for grant in (await live.find_grants(tx, grants)).values()} if grants else {},
    )


def _nothing(buyer_id: AccountId) -> Ask:
    return Ask(buyer_id=buyer_id, client_id=new_id(), show_id=None, lines=(), source=Source.shelf, placement="quote")


def _ask(buyer_id: AccountId, line: WantedLine, show_id: ShowId | None, facts: Facts) -> Ask:
    """One line as a purchase of its own, at whatever price it has now: so the till's judgement names its problem."""
    price_amount = 0
    shelf = facts.shelves.get(line.sku_id.int)
    if shelf is not None:
        price_amount = shelf.price_amount
    if line.cart_item_id is not None:
        offer = facts.quotes.get((line.cart_item_id.int, line.sku_id.int))
        price_amount = price_amount if offer is None else offer.price_amount
    if line.grant_id is not None and line.grant_id.int in facts.grants:
        price_amount = facts.grants[line.grant_id.int].price_amount
    return msgspec.structs.replace(
        _nothing(buyer_id),
        show_id=show_id,
        lines=(AskLine(line.sku_id, line.cart_item_id, line.quantity, price_amount, line.grant_id),),
    )


async def _price(
    tx: Tx,
    buyer_id: AccountId,
    lines: list[tuple[AskLine, catalog.Shelf | None, ShowId | None]],
    coupons: Sequence[offers.ClaimId] | None,
    currency: str,
) -> tuple[offers.Priced, offers.Rule]:
    """What the coupons take off the lines that can be bought."""
    goods = [
        offers.Good(
            shelf.shop_id,
            shelf.product_id,
            show_id if line.cart_item_id is not None else None,
            line.price_amount * line.quantity,
        )
        for line, shelf, show_id in lines
        if shelf is not None
    ]
    rule = await offers.get_rule(tx)
    if coupons is None:
        held = await offers.list_usable(tx, buyer_id)
    else:
        found = await offers.find_held(tx, list(coupons))
        held = [found[claim_id] for claim_id in coupons if claim_id in found]
    buyer = await find_buyer(tx, buyer_id, [one.coupon for one in held])
    if coupons is None:
        return offers.choose(goods, held, buyer, rule, tx.now, currency=currency), rule
    priced = offers.price(goods, held, buyer, rule, tx.now, currency=currency)
    there = {one.id for one in held}
    unknown = [offers.Refused(id_, None, offers.CouponReason.unknown, {}) for id_ in coupons if id_ not in there]
    return priced._replace(refused=[*priced.refused, *unknown]), rule


def _line(
    line: AskLine,
    shelf: catalog.Shelf | None,
    problem: str | None,
    discount_amount: int,
    reference_amount: int | None,
    facts: Facts,
) -> QuotedLine:
    amount = line.price_amount * line.quantity
    offer = None if line.cart_item_id is None else facts.quotes.get((line.cart_item_id.int, line.sku_id.int))
    available = 0 if shelf is None else shelf.available
    if offer is not None and offer.wave_id is not None:
        available = facts.asides.get((offer.wave_id.int, line.sku_id.int), 0)
    counts = shelf is not None and problem is None
    paid_amount = amount - discount_amount if counts else 0
    return QuotedLine(
        sku_id=line.sku_id,
        product_id=shelf.product_id if shelf else None,
        shop_id=shelf.shop_id if shelf else None,
        cart_item_id=line.cart_item_id,
        title=shelf.title if shelf else "",
        image=shelf.image if shelf else "",
        options=msgspec.json.decode(shelf.options, type=dict[str, str]) if shelf else {},
        quantity=line.quantity,
        available=available,
        unit_price_amount=line.price_amount,
        reference_amount=reference_amount if reference_amount and reference_amount > line.price_amount else None,
        discount_amount=discount_amount,
        paid_amount=paid_amount,
        tax_amount=tax_in(paid_amount, shelf.tax_bps) if shelf and shelf.tax_bps else 0,
        problem=problem if shelf else OffShelf.code,
    )


async def _order(tx: Tx, shop: catalog.Shop, lines: list[QuotedLine], address: identity.Address | None) -> QuotedOrder:
    good = [line for line in lines if line.problem is None]
    fee, problem = None, None
    if address is not None and good:
        items = [(line.product_id, line.sku_id, line.quantity, line.paid_amount) for line in good if line.product_id]
        try:
            fee = await catalog.price_shipping(
                tx, shop.id, items, address.region, address.city, country=address.country
            )
        except catalog.NotDelivered as refusal:
            problem = refusal.code
    return QuotedOrder(
        shop_id=shop.id,
        shop_name=shop.name,
        lines=lines,
        goods_amount=sum(line.unit_price_amount * line.quantity for line in good),
        discount_amount=sum(line.discount_amount for line in good),
        shipping_amount=fee,
        shipping_problem=problem,
        tax_amount=sum(line.tax_amount for line in good),
    )
