"""The till's judgement: pure, in arrival order, so that a batch answers exactly as its asks one by one would.

A purchase fits whole or not at all, also when its goods are of several shops, and a loser changes nothing for those
behind it. Each shop's part becomes an order (`Deal`); the first one bears the client's id and names the purchase.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from laotie.base.ids import OrderId, ShopId, new_id
from laotie.base.money import AMOUNT_MAX, Money
from laotie.base.refusals import IdReused, Refusal
from laotie.catalog import Shelf
from laotie.live import PriceGrant, Quote, ShowEnded, ShowQuote
from laotie.offers import Priced, Redeemed
from laotie.orders.coupons import Coupons, check_coupons, redeem
from laotie.orders.model import (
    LINES_MAX,
    QUANTITY_MAX,
    Ask,
    AskLine,
    BetweenWaves,
    GrantOver,
    GrantSpent,
    LimitReached,
    MixedCurrencies,
    OffShelf,
    OrderEmpty,
    OrderState,
    Placed,
    PriceChanged,
    PromiseBroken,
    QuantityRefused,
    SaleOver,
    SoldOut,
    TotalChanged,
    TotalRefused,
)
from laotie.orders.seating import Teams, check_seat, take_seat

AskKey = tuple[int, int]
"""Buyer and client id, as whole numbers: hashing a `UUID` costs Python ten times as much, and the till hashes many."""
Bought = dict[tuple[int, int], int]
"""Pieces by buyer and what the limit is counted on (the open wave, else the cart item), as whole numbers."""
Pile = int | tuple[int, int]
"""Where pieces are taken from: a SKU on the shelf, or what a wave has aside of a SKU."""

_encode = msgspec.msgpack.Encoder().encode


class Known(NamedTuple):
    """An order that already answers an ask's id."""

    placed: Placed
    digest: bytes


class Deal(NamedTuple):
    """One shop's part of an accepted ask: an order. Discounts and subsidies by line, empty where there are none."""

    id: OrderId
    shop_id: ShopId
    lines: tuple[AskLine, ...]
    total_amount: int
    places: tuple[int, ...]
    """Which of the ask's lines they are."""
    discounts: tuple[int, ...] = ()
    subsidies: tuple[int, ...] = ()


class Taken(NamedTuple):
    """An accepted ask, ready to be written."""

    ask: Ask
    placed: Placed
    digest: bytes
    deals: tuple[Deal, ...]
    redeemed: tuple[Redeemed, ...] = ()


class Facts(NamedTuple):
    """What the judgement rests on, all read under the row locks, by the ids' whole numbers."""

    shelves: Mapping[int, Shelf]
    shows: Mapping[int, ShowQuote]
    quotes: Mapping[tuple[int, int], Quote]
    bought: Bought
    known: dict[AskKey, Known]
    now: datetime
    pay_by: datetime
    asides: Mapping[tuple[int, int], int] = {}
    """What can be bought of the waves' pieces, by wave and SKU."""
    teams: Teams = {}  # noqa: RUF012 (as with the grants, by the ask that took a seat)
    grants: dict[int, PriceGrant] = {}  # noqa: RUF012 (only what is in it is ever replaced)
    """By the whole id; what an ask before has spent bears its order."""
    coupons: Coupons | None = None
    """Missing when no ask names any."""


class Outcome(NamedTuple):
    """Answers in the order of the asks, the orders to write, and what is left of each pile they touch."""

    answers: list[Placed | Refusal]
    taken: list[Taken]
    left: dict[Pile, int]


def digest_of(ask: Ask) -> bytes:
    """What makes two asks the same: buyer's choice and price, not where it came from."""
    said: tuple[object, ...] = (ask.show_id, (ask.note, ask.notes) if ask.notes else ask.note, ask.lines)
    return hashlib.blake2b(_encode((*said, ask.coupons) if ask.coupons else said), digest_size=12).digest()


def check_form(ask: Ask) -> None:
    """Refuse what no state of the shop could make right."""
    if not 1 <= len(ask.lines) <= LINES_MAX:
        raise OrderEmpty(lines_max=LINES_MAX)
    for line in ask.lines:
        if not 1 <= line.quantity <= QUANTITY_MAX:
            raise QuantityRefused(sku_id=line.sku_id, quantity=line.quantity, quantity_max=QUANTITY_MAX)


def decide(asks: list[Ask], facts: Facts) -> Outcome:
    """Judge the asks in order; each sees what those before it left."""
    left: dict[Pile, int] = {}
    bought = facts.bought
    known = facts.known
    answers: list[Placed | Refusal] = []
    taken: list[Taken] = []
    for ask in asks:
        key = (ask.buyer_id.int, ask.client_id.int)
        digest = digest_of(ask)
        before = known.get(key)
        if before is not None:
            answers.append(
                msgspec.structs.replace(before.placed, again=True) if before.digest == digest else IdReused()
            )
            continue
        judged = _judge(ask, facts, left, bought)
        if isinstance(judged, Refusal):
            answers.append(judged)
            continue
        deals, priced, currency = judged
        for line in ask.lines:
            pile = _pile_of(line, facts)
            left[pile] = _left_of(pile, facts, left) - line.quantity
            if line.cart_item_id is not None:
                person = (ask.buyer_id.int, line.cart_item_id.int if isinstance(pile, int) else pile[0])
                bought[person] = bought.get(person, 0) + line.quantity
        placed = Placed(
            deals[0].id,
            ask.client_id,
            OrderState.placed,
            currency,
            sum(deal.total_amount for deal in deals),
            facts.now,
            facts.pay_by,
            again=False,
            others=tuple(deal.id for deal in deals[1:]),
        )
        for line in ask.lines:
            if line.grant_id is not None:
                facts.grants[line.grant_id.int] = facts.grants[line.grant_id.int]._replace(order_id=placed.id)
            if line.team_id is not None:
                take_seat(facts.teams, ask.buyer_id, line, placed.id)
        redeemed: tuple[Redeemed, ...] = ()
        if facts.coupons is not None:
            parts = [(deal.id, deal.shop_id, deal.places) for deal in deals]
            redeemed = redeem(ask, priced, parts, facts.coupons)
        known[key] = Known(placed, digest)
        taken.append(Taken(ask, placed, digest, deals, redeemed))
        answers.append(placed)
    return Outcome(answers, taken, left)


def wave_of(line: AskLine, facts: Facts) -> UUID | None:
    """The wave that a line of an accepted ask is sold in."""
    return None if line.cart_item_id is None else facts.quotes[line.cart_item_id.int, line.sku_id.int].wave_id


def _pile_of(line: AskLine, facts: Facts) -> Pile:
    wave_id = wave_of(line, facts)
    return line.sku_id.int if wave_id is None else (wave_id.int, line.sku_id.int)


def _left_of(pile: Pile, facts: Facts, left: dict[Pile, int]) -> int:
    known = left.get(pile)
    if known is not None:
        return known
    return facts.shelves[pile].available if isinstance(pile, int) else facts.asides.get(pile, 0)


def _judge(
    ask: Ask, facts: Facts, left: dict[Pile, int], bought: Bought
) -> tuple[tuple[Deal, ...], Priced | None, str] | Refusal:
    """What the ask comes to, an order a shop, what its coupons take off, and its currency; or why not."""
    single = len(ask.lines) == 1
    wanted: dict[Pile, int] = {}
    of_person: dict[int, int] = {}
    of_shop: dict[int, list[int]] = {}
    currency = None
    for place, line in enumerate(ask.lines):
        shelf = facts.shelves.get(line.sku_id.int)
        if shelf is None or not shelf.sellable or shelf.is_sandbox != ask.is_simulated:
            return OffShelf(sku_id=line.sku_id)
        if currency is None:
            currency = shelf.currency
        elif currency != shelf.currency:
            return MixedCurrencies()
        refusal = _check_offer(ask, line, shelf, facts, of_person, bought)
        if refusal is not None:
            return refusal
        pile = _pile_of(line, facts)
        available = _left_of(pile, facts, left)
        need = line.quantity
        if not single:
            need = wanted[pile] = wanted.get(pile, 0) + line.quantity
        if need > available:
            return SoldOut(sku_id=line.sku_id, available=available)
        of_shop.setdefault(shelf.shop_id.int, []).append(place)
    assert currency is not None
    priced = None
    if ask.coupons:
        assert facts.coupons is not None
        checked = check_coupons(ask, facts.shelves, facts.coupons, now=facts.now, currency=currency)
        if isinstance(checked, Refusal):
            return checked
        priced = checked
    deals = tuple(_deal(ask, facts, tuple(places), priced) for places in of_shop.values())
    total = sum(deal.total_amount for deal in deals)
    if total > AMOUNT_MAX:
        return TotalRefused()
    if ask.total_amount is not None and ask.total_amount != total:
        return TotalChanged(total=Money(total, currency))
    return deals, priced, currency


def _deal(ask: Ask, facts: Facts, places: tuple[int, ...], priced: Priced | None) -> Deal:
    lines = tuple(ask.lines[place] for place in places)
    shop_id = facts.shelves[lines[0].sku_id.int].shop_id
    amount = sum(line.price_amount * line.quantity for line in lines)
    if priced is None:
        return Deal(OrderId(new_id()), shop_id, lines, amount, places)
    if len(places) == len(ask.lines):
        total = amount - sum(priced.discounts)
        return Deal(OrderId(new_id()), shop_id, lines, total, places, priced.discounts, priced.subsidies)
    discounts = tuple(priced.discounts[place] for place in places)
    subsidies = tuple(priced.subsidies[place] for place in places)
    return Deal(OrderId(new_id()), shop_id, lines, amount - sum(discounts), places, discounts, subsidies)


def _check_offer(
    ask: Ask, line: AskLine, shelf: Shelf, facts: Facts, of_person: dict[int, int], bought: Bought
) -> Refusal | None:
    """Price, shelf, wave, time, promise and limit of one line."""
    if line.team_id is not None:
        return check_seat(ask, line, shelf, facts.teams, facts.now)
    if line.cart_item_id is None:
        if line.grant_id is not None:
            return GrantOver(grant_id=line.grant_id)
        if line.price_amount != shelf.price_amount or ask.currency not in (None, shelf.currency):
            return PriceChanged(sku_id=line.sku_id, price=Money(shelf.price_amount, shelf.currency))
        return None
    item = line.cart_item_id.int
    quote = facts.quotes.get((item, line.sku_id.int))
    if quote is None or quote.show_id != ask.show_id:
        return OffShelf(sku_id=line.sku_id)
    show = facts.shows.get(quote.show_id.int)
    if show is None or show.state != "live":
        return ShowEnded(show_id=quote.show_id)
    if not quote.on_shelf or quote.currency != shelf.currency:
        return OffShelf(sku_id=line.sku_id)
    if not quote.is_open:
        return BetweenWaves(sku_id=line.sku_id)
    if quote.sale_ends_at is not None and quote.sale_ends_at <= facts.now:
        return SaleOver(sku_id=line.sku_id, ended_at=quote.sale_ends_at)
    price_amount = quote.price_amount
    if line.grant_id is not None:
        grant = _check_grant(ask, line, facts)
        if isinstance(grant, Refusal):
            return grant
        price_amount = grant.price_amount
    if line.price_amount != price_amount or ask.currency not in (None, quote.currency):
        return PriceChanged(sku_id=line.sku_id, price=Money(price_amount, quote.currency))
    if quote.price_max is not None and price_amount > quote.price_max:
        return PromiseBroken(sku_id=line.sku_id, price_max=Money(quote.price_max, quote.currency))
    if quote.limit_per_person is not None:
        counted_on = item if quote.wave_id is None else quote.wave_id.int
        had = bought.get((ask.buyer_id.int, counted_on), 0)
        asked = of_person[item] = of_person.get(item, 0) + line.quantity
        if had + asked > quote.limit_per_person:
            return LimitReached(sku_id=line.sku_id, limit=quote.limit_per_person, bought=had)
    return None


def _check_grant(ask: Ask, line: AskLine, facts: Facts) -> PriceGrant | Refusal:
    """The price of one's own that a line names: one piece of that item, for that person, in time, once."""
    assert line.grant_id is not None
    grant = facts.grants.get(line.grant_id.int)
    named = sum(1 for other in ask.lines if other.grant_id == line.grant_id)
    if (
        grant is None
        or (grant.viewer_id, grant.item_id, grant.sku_id) != (ask.buyer_id, line.cart_item_id, line.sku_id)
        or line.quantity != 1
        or named != 1
        or (grant.valid_until <= facts.now and grant.order_id is None)
    ):
        return GrantOver(grant_id=line.grant_id)
    return GrantSpent(grant_id=line.grant_id) if grant.order_id is not None else grant


def pay_by(now: datetime, timeout_s: int) -> datetime:
    """The deadline of an order placed now."""
    return now + timedelta(seconds=timeout_s)
