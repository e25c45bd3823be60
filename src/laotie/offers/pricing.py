"""What coupons take off a purchase. Pure: quote and till ask the same function, under different circumstances.

Layers count one after the other (show, shop, platform). A threshold looks at the goods in a coupon's scope before any
coupon; a share is of what the earlier layers left. A discount is split over shop orders, then over lines, by largest
remainder. No line falls below zero, and every shop's order keeps one minor unit to pay.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import combinations, product
from math import prod
from typing import NamedTuple
from uuid import UUID

from laotie.base.ids import ShopId
from laotie.base.money import Money, apportion, share
from laotie.offers.model import (
    LAYERS,
    PLATFORM,
    Applied,
    Buyer,
    Coupon,
    CouponKind,
    CouponReason,
    CouponState,
    Facts,
    Good,
    Held,
    Layer,
    Priced,
    Refused,
    Rule,
)

CHOICES_MAX = 1_000
"""Combinations that are tried one by one; beyond, each layer's choice is improved in turn."""
ROUNDS_MAX = 4

_rank = {layer: rank for rank, layer in enumerate(LAYERS)}


class _Candidate(NamedTuple):
    """A claim that counts by itself: on these goods, whose sum before coupons is `base`."""

    held: Held
    scope: tuple[int, ...]
    base: int

    @property
    def group(self) -> tuple[Layer, ShopId | None]:
        """Where a rule's `most` is counted."""
        return self.held.coupon.layer, self.held.coupon.shop_id


def price(
    goods: Sequence[Good],
    held: Sequence[Held],
    buyer: Buyer,
    rule: Rule,
    now: datetime,
    *,
    currency: str,
    spent: Mapping[int, int] | None = None,
) -> Priced:
    """Apply exactly these claims, in the order of the layers and then as given; each that cannot says why.

    `spent` is what else was taken from the coupons' budgets since they were read, by the coupon's whole id.
    """
    candidates: list[_Candidate] = []
    refused: list[Refused] = []
    for one in held:
        judged = _judge(goods, one, buyer, now, currency)
        if isinstance(judged, _Candidate):
            candidates.append(judged)
        else:
            refused.append(Refused(one.id, one.coupon, *judged))
    if len(goods) == len(candidates) == 1:
        return _apply_one(goods[0], candidates[0], refused, rule, spent or {})
    if len(candidates) > 1:
        candidates.sort(key=lambda one: _rank[one.held.coupon.layer])
    return _apply(goods, candidates, refused, rule, spent or {})


def choose(
    goods: Sequence[Good], held: Sequence[Held], buyer: Buyer, rule: Rule, now: datetime, *, currency: str
) -> Priced:
    """Apply the claims that together save the most; fewer are better, then those that end sooner.

    Claims that would count but are not chosen say so: `better-chosen`, with what more the choice saves.
    """
    ordered = sorted(held, key=lambda one: (one.valid_until, one.id.int))
    fit: list[_Candidate] = []
    refused: list[Refused] = []
    for one in ordered:
        judged = _judge(goods, one, buyer, now, currency)
        if not isinstance(judged, _Candidate):
            refused.append(Refused(one.id, one.coupon, *judged))
            continue
        alone = _apply(goods, [judged], [], rule, {})
        if alone.applied:
            fit.append(judged)
        else:
            refused.extend(alone.refused)
    best, reached = _search(goods, fit, rule)
    priced = _apply(goods, best, refused, rule, {})
    chosen = [one.id for one in priced.applied]
    for candidate in fit:
        if candidate.held.id not in chosen:
            more = priced.total - reached.get(candidate.held.id.int, 0)
            facts: Facts = {"by": chosen, "more": Money(max(0, more), currency)}
            priced.refused.append(Refused(candidate.held.id, candidate.held.coupon, CouponReason.better_chosen, facts))
    return priced


def judge_holder(coupon: Coupon, buyer: Buyer) -> tuple[CouponReason, Facts] | None:
    """Why a coupon is not for this person, if so."""
    if coupon.new_buyer and (coupon.shop_id or PLATFORM) in buyer.bought_from:
        return CouponReason.not_new_buyer, {}
    if coupon.streamer_id is not None:
        level = buyer.levels.get(coupon.streamer_id, 0)
        if level < coupon.fan_level:
            facts: Facts = {"level": level, "needed": coupon.fan_level, "streamer_id": coupon.streamer_id}
            return CouponReason.level_too_low, facts
    return None


def _judge(
    goods: Sequence[Good], held: Held, buyer: Buyer, now: datetime, currency: str
) -> _Candidate | tuple[CouponReason, Facts]:
    """Whether a claim counts for these goods, all others left aside."""
    coupon = held.coupon
    if held.holder_id != buyer.id:
        return CouponReason.unknown, {}
    if held.order_id is not None:
        return CouponReason.used, {"order_id": held.order_id}
    if coupon.state is CouponState.stopped:
        return CouponReason.stopped, {}
    if now < coupon.starts_at:
        return CouponReason.not_begun, {"starts_at": coupon.starts_at}
    if held.valid_until <= now:
        return CouponReason.expired, {"ended_at": held.valid_until}
    if coupon.currency != currency:
        return CouponReason.other_currency, {"currency": coupon.currency}
    scope = _scope(goods, coupon)
    if isinstance(scope, CouponReason):
        return scope, _whose(scope, coupon)
    barred = judge_holder(coupon, buyer)
    if barred is not None:
        return barred
    base = sum(goods[index].amount for index in scope)
    threshold = min(step.threshold_amount for step in coupon.steps) if coupon.steps else coupon.threshold_amount
    if base < threshold:
        short = Money(threshold - base, currency)
        return CouponReason.below_threshold, {"threshold": Money(threshold, currency), "short": short}
    return _Candidate(held, scope, base)


def _scope(goods: Sequence[Good], coupon: Coupon) -> tuple[int, ...] | CouponReason:
    """The goods that a coupon counts on; when there are none, what the nearest of them misses."""
    misses = [_miss(good, coupon) for good in goods]
    within = tuple(index for index, missed in enumerate(misses) if missed is None)
    if within:
        return within
    return max(
        (missed for missed in misses if missed is not None), key=_NEARNESS.index, default=CouponReason.other_goods
    )


_NEARNESS = (CouponReason.other_shop, CouponReason.other_show, CouponReason.other_goods)


def _miss(good: Good, coupon: Coupon) -> CouponReason | None:
    if coupon.shop_id is not None and good.shop_id != coupon.shop_id:
        return CouponReason.other_shop
    if coupon.show_id is not None and good.show_id != coupon.show_id:
        return CouponReason.other_show
    if coupon.product_ids is not None and good.product_id not in coupon.product_ids:
        return CouponReason.other_goods
    return None


def _whose(reason: CouponReason, coupon: Coupon) -> Facts:
    if reason is CouponReason.other_shop:
        return {"shop_id": coupon.shop_id}
    return {"show_id": coupon.show_id} if reason is CouponReason.other_show else {}


def _apply(
    goods: Sequence[Good], ordered: list[_Candidate], refused: list[Refused], rule: Rule, spent: Mapping[int, int]
) -> Priced:
    """Take off one candidate after the other (they come in the order of the layers)."""
    left = [good.amount for good in goods]
    subsidies = [0] * len(goods)
    applied: list[Applied] = []
    taken: list[_Candidate] = []
    drawn = dict(spent)
    for one in ordered:
        coupon = one.held.coupon
        barred = _bar(one, taken, rule)
        if barred is not None:
            refused.append(Refused(one.held.id, coupon, *barred))
            continue
        room = _room(goods, one.scope, left)
        amount = min(_reckon(coupon, one.base, sum(left[index] for index in one.scope)), sum(room.values()))
        if amount <= 0:
            refused.append(Refused(one.held.id, coupon, CouponReason.nothing_left, {}))
            continue
        before = drawn.get(coupon.id.int, 0)
        if coupon.spent_amount + before + amount > coupon.budget_amount:
            refused.append(Refused(one.held.id, coupon, CouponReason.budget_gone, {}))
            continue
        parts = _split(goods, one.scope, left, room, amount)
        for index, part in parts.items():
            left[index] -= part
            if coupon.shop_id is None:
                subsidies[index] += part
        drawn[coupon.id.int] = before + amount
        taken.append(one)
        line_parts = tuple([parts.get(index, 0) for index in range(len(goods))])
        applied.append(Applied(one.held.id, coupon, amount, line_parts, one.base))
    discounts = tuple([good.amount - rest for good, rest in zip(goods, left, strict=True)])
    return Priced(discounts, tuple(subsidies), applied, refused)


def _apply_one(good: Good, one: _Candidate, refused: list[Refused], rule: Rule, spent: Mapping[int, int]) -> Priced:
    """The same for one thing and one coupon, as in a room: half of what a coupon costs the till was the general case."""
    coupon = one.held.coupon
    amount = min(_reckon(coupon, good.amount, good.amount), good.amount - 1)
    fits = coupon.spent_amount + spent.get(coupon.id.int, 0) + amount <= coupon.budget_amount
    if amount <= 0 or not fits or rule.most.get(coupon.layer, 0) < 1:
        return _apply([good], [one], refused, rule, spent)
    subsidy = amount if coupon.shop_id is None else 0
    return Priced((amount,), (subsidy,), [Applied(one.held.id, coupon, amount, (amount,), one.base)], refused)


def _bar(one: _Candidate, taken: list[_Candidate], rule: Rule) -> tuple[CouponReason, Facts] | None:
    """What the rule, or a coupon that wants to be alone, has against one more."""
    coupon = one.held.coupon
    same = [other for other in taken if other.group == one.group]
    most = rule.most.get(coupon.layer, 0)
    if len(same) >= most:
        return CouponReason.layer_full, {"layer": coupon.layer, "most": most, "by": same[-1].held.id if same else None}
    for other in taken:
        theirs = other.held.coupon
        if not _meet(coupon, theirs):
            continue
        pair = (coupon.layer, theirs.layer)
        if pair in rule.exclusions or pair[::-1] in rule.exclusions:
            return CouponReason.excluded, {"by": other.held.id, "layers": list(pair)}
        if coupon.alone or theirs.alone:
            return CouponReason.excluded, {"by": other.held.id, "layers": None}
    return None


def _meet(one: Coupon, other: Coupon) -> bool:
    """Whether both bear on one shop's order."""
    return one.shop_id == other.shop_id or one.shop_id is None or other.shop_id is None


def _reckon(coupon: Coupon, base: int, left: int) -> int:
    """What a coupon gives, before what is left to pay bounds it."""
    if coupon.kind is CouponKind.fixed:
        assert coupon.off_amount is not None
        return coupon.off_amount
    if coupon.kind is CouponKind.percent:
        assert coupon.bps is not None
        amount = share(left, bps=coupon.bps)
        return amount if coupon.cap_amount is None else min(amount, coupon.cap_amount)
    assert coupon.steps is not None
    return max((step.off_amount for step in coupon.steps if step.threshold_amount <= base), default=0)


def _room(goods: Sequence[Good], scope: tuple[int, ...], left: list[int]) -> dict[UUID, int]:
    """What may still be taken off each shop's order within the scope: one minor unit of the order stays."""
    if len(goods) == 1:
        return {goods[0].shop_id: max(0, left[0] - 1)}
    whole: dict[UUID, int] = {}
    for good, rest in zip(goods, left, strict=True):
        whole[good.shop_id] = whole.get(good.shop_id, 0) + rest
    within: dict[UUID, int] = {}
    for index in scope:
        shop_id = goods[index].shop_id
        within[shop_id] = within.get(shop_id, 0) + left[index]
    return {shop_id: max(0, min(amount, whole[shop_id] - 1)) for shop_id, amount in within.items()}


def _split(
    goods: Sequence[Good], scope: tuple[int, ...], left: list[int], room: dict[UUID, int], amount: int
) -> dict[int, int]:
    """An amount over shops, by what each has room for, and over each shop's lines, by what is left of them.

    Hamilton's method gives nobody more than the weight when the amount is at most their sum, so no line falls below zero.
    """
    if len(scope) == 1:
        return {scope[0]: amount}
    parts: dict[int, int] = {}
    for shop_id, of_shop in zip(room, apportion(amount, list(room.values())), strict=True):
        lines = [index for index in scope if goods[index].shop_id == shop_id]
        if of_shop:
            parts.update(zip(lines, apportion(of_shop, [left[index] for index in lines]), strict=True))
    return parts


def _search(goods: Sequence[Good], fit: list[_Candidate], rule: Rule) -> tuple[list[_Candidate], dict[int, int]]:
    """The best choice, and for each candidate the most that any choice with it would save (as far as was looked)."""
    groups: dict[tuple[Layer, ShopId | None], list[_Candidate]] = {}
    for one in fit:
        groups.setdefault(one.group, []).append(one)
    ordered = [groups[group] for group in sorted(groups, key=lambda group: (_rank[group[0]], str(group[1])))]
    options = [list(_options(group, rule.most.get(group[0].group[0], 0))) for group in ordered]
    best: list[_Candidate] = []
    most = (0, 0)
    reached: dict[int, int] = {}

    def weigh(choice: tuple[tuple[_Candidate, ...], ...]) -> tuple[int, int]:
        wanted = [one for picked in choice for one in picked]
        priced = _apply(goods, wanted, [], rule, {})
        if priced.refused:
            return (-1, 0)  # a smaller choice says the same
        for one in wanted:
            reached[one.held.id.int] = max(reached.get(one.held.id.int, 0), priced.total)
        return priced.total, -len(wanted)

    if prod(len(option) for option in options) <= CHOICES_MAX:
        for choice in product(*options):
            weight = weigh(choice)
            if weight > most:
                most, best = weight, [one for picked in choice for one in picked]
        return best, reached
    current: list[tuple[_Candidate, ...]] = [() for _ in options]
    for _ in range(ROUNDS_MAX):
        before = most
        for place, option in enumerate(options):
            for picked in option:
                choice = (*current[:place], picked, *current[place + 1 :])
                weight = weigh(choice)
                if weight > most:
                    most, current = weight, list(choice)
        if most == before:
            break
    return [one for picked in current for one in picked], reached


def _options(group: list[_Candidate], most: int) -> Iterator[tuple[_Candidate, ...]]:
    for count in range(min(most, len(group)) + 1):
        yield from combinations(group, count)
