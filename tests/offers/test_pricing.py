"""What coupons take off: a table of cases, and properties that hold whatever is bought with whatever coupons."""

from datetime import UTC, datetime, timedelta
from itertools import chain, combinations
from random import Random
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from laotie.base.ids import AccountId, ProductId, ShopId, ShowId
from laotie.base.money import Money
from laotie.offers import (
    PLATFORM,
    Buyer,
    ClaimId,
    Coupon,
    CouponId,
    CouponKind,
    CouponReason,
    CouponState,
    Good,
    Held,
    Layer,
    Rule,
    Step,
)
from laotie.offers import choose as choose_from
from laotie.offers import price as price_with

NOW = datetime(2026, 11, 11, 12, tzinfo=UTC)
BUYER = AccountId(UUID(int=1))
STREAMER = AccountId(UUID(int=2))
SHOPS = [ShopId(UUID(int=100 + n)) for n in range(3)]
SHOW = ShowId(UUID(int=200))
PRODUCTS = [ProductId(UUID(int=300 + n)) for n in range(4)]
ONE_EACH = Rule(1, {Layer.show: 1, Layer.shop: 1, Layer.platform: 1})


def coupon(number: int = 1, **said: object) -> Coupon:
    shop_id = said.get("shop_id", SHOPS[0])
    layer = Layer.platform if shop_id is None else Layer.shop if said.get("show_id") is None else Layer.show
    plain: dict[str, object] = {
        "id": CouponId(UUID(int=1000 + number)),
        "shop_id": shop_id,
        "layer": layer,
        "title": "a coupon",
        "kind": CouponKind.fixed,
        "currency": "CNY",
        "threshold_amount": 0,
        "off_amount": None,
        "bps": None,
        "cap_amount": None,
        "steps": None,
        "product_ids": None,
        "show_id": None,
        "streamer_id": None,
        "fan_level": 0,
        "new_buyer": False,
        "alone": False,
        "quantity": 100,
        "per_person": 1,
        "budget_amount": 10**9,
        "claimed_count": 1,
        "used_count": 0,
        "spent_amount": 0,
        "starts_at": NOW - timedelta(days=1),
        "ends_at": NOW + timedelta(days=1),
        "valid_days": None,
        "state": CouponState.running,
        "created_at": NOW - timedelta(days=1),
    }
    return Coupon(**{**plain, **said})  # type: ignore[arg-type]


def hold(one: Coupon, *, order_id: UUID | None = None, holder_id: AccountId = BUYER, number: int = 0) -> Held:
    return Held(ClaimId(UUID(int=one.id.int + 10_000 + number)), holder_id, one.ends_at, order_id, one)


def good(amount: int, *, shop: int = 0, product: int = 0, show_id: ShowId | None = None) -> Good:
    return Good(SHOPS[shop], PRODUCTS[product], show_id, amount)


def judge(goods: list[Good], one: Held, buyer: Buyer | None = None) -> tuple[CouponReason, dict[str, object]]:
    priced = price_with(goods, [one], buyer or Buyer(BUYER), ONE_EACH, NOW, currency="CNY")
    return (priced.refused[0].reason, priced.refused[0].facts) if priced.refused else (CouponReason.applied, {})


def amounts(goods: list[Good], *held: Held, rule: Rule = ONE_EACH) -> tuple[int, ...]:
    return price_with(goods, held, Buyer(BUYER), rule, NOW, currency="CNY").discounts


def test_a_fixed_amount_is_split_by_largest_remainder() -> None:
    assert amounts([good(333), good(333), good(334)], hold(coupon(off_amount=100))) == (33, 33, 34)
    assert amounts([good(1000), good(1000), good(1000)], hold(coupon(off_amount=100))) == (34, 33, 33)


def test_a_share_is_rounded_and_capped() -> None:
    percent = coupon(kind=CouponKind.percent, bps=1500)
    assert amounts([good(999)], hold(percent)) == (150,)
    capped = coupon(kind=CouponKind.percent, bps=1500, cap_amount=100)
    assert amounts([good(999)], hold(capped)) == (100,)


def test_the_highest_step_reached_counts() -> None:
    stairs = coupon(kind=CouponKind.steps, steps=(Step(10_000, 1_000), Step(30_000, 5_000)))
    assert amounts([good(29_999)], hold(stairs)) == (1_000,)
    assert amounts([good(30_000)], hold(stairs)) == (5_000,)
    assert judge([good(9_990)], hold(stairs)) == (
        CouponReason.below_threshold,
        {"threshold": Money(10_000, "CNY"), "short": Money(10, "CNY")},
    )


def test_every_reason_is_told_with_its_facts() -> None:
    goods = [good(10_000)]
    order_id = UUID(int=77)
    tomorrow = NOW + timedelta(days=1)
    cases: list[tuple[Held, tuple[CouponReason, dict[str, object]]]] = [
        (hold(coupon(off_amount=1), holder_id=STREAMER), (CouponReason.unknown, {})),
        (hold(coupon(off_amount=1), order_id=order_id), (CouponReason.used, {"order_id": order_id})),
        (hold(coupon(off_amount=1, state=CouponState.stopped)), (CouponReason.stopped, {})),
        (hold(coupon(off_amount=1, starts_at=tomorrow)), (CouponReason.not_begun, {"starts_at": tomorrow})),
        (hold(coupon(off_amount=1, ends_at=NOW)), (CouponReason.expired, {"ended_at": NOW})),
        (hold(coupon(off_amount=1, currency="USD")), (CouponReason.other_currency, {"currency": "USD"})),
        (hold(coupon(off_amount=1, shop_id=SHOPS[1])), (CouponReason.other_shop, {"shop_id": SHOPS[1]})),
        (hold(coupon(off_amount=1, show_id=SHOW)), (CouponReason.other_show, {"show_id": SHOW})),
        (hold(coupon(off_amount=1, product_ids=(PRODUCTS[1],))), (CouponReason.other_goods, {})),
        (
            hold(coupon(off_amount=1, threshold_amount=10_001)),
            (CouponReason.below_threshold, {"threshold": Money(10_001, "CNY"), "short": Money(1, "CNY")}),
        ),
        (hold(coupon(off_amount=500, budget_amount=1_000, spent_amount=501)), (CouponReason.budget_gone, {})),
        (
            hold(coupon(off_amount=1, streamer_id=STREAMER, fan_level=2)),
            (CouponReason.level_too_low, {"level": 0, "needed": 2, "streamer_id": STREAMER}),
        ),
        (hold(coupon(off_amount=1)), (CouponReason.applied, {})),
    ]
    for held, answer in cases:
        assert judge(goods, held) == answer
    assert judge([good(1)], hold(coupon(off_amount=1))) == (CouponReason.nothing_left, {})
    assert judge([], hold(coupon(off_amount=1))) == (CouponReason.other_goods, {})


def test_new_buyers_and_closer_fans_are_told_apart() -> None:
    of_shop = hold(coupon(off_amount=5, new_buyer=True))
    of_platform = hold(coupon(off_amount=5, new_buyer=True, shop_id=None))
    elsewhere = Buyer(BUYER, frozenset({PLATFORM, SHOPS[1]}))
    assert judge([good(100)], of_shop, elsewhere)[0] is CouponReason.applied
    assert judge([good(100)], of_platform, elsewhere)[0] is CouponReason.not_new_buyer
    assert judge([good(100)], of_shop, Buyer(BUYER, frozenset({PLATFORM, SHOPS[0]})))[0] is CouponReason.not_new_buyer
    fans = hold(coupon(off_amount=5, streamer_id=STREAMER, fan_level=2))
    assert judge([good(100)], fans, Buyer(BUYER, levels={STREAMER: 2}))[0] is CouponReason.applied


def test_layers_count_one_after_the_other_and_the_platforms_part_is_subsidy() -> None:
    goods = [good(10_000, show_id=SHOW), good(10_000, shop=1)]
    of_show = hold(coupon(1, off_amount=1_000, show_id=SHOW))
    of_platform = hold(coupon(2, kind=CouponKind.percent, bps=1_000, shop_id=None))
    priced = price_with(goods, [of_platform, of_show], Buyer(BUYER), ONE_EACH, NOW, currency="CNY")
    assert [one.id for one in priced.applied] == [of_show.id, of_platform.id]
    assert priced.discounts == (1_900, 1_000)
    assert priced.subsidies == (900, 1_000)


def test_the_rule_says_what_goes_together() -> None:
    goods = [good(10_000, show_id=SHOW)]
    show, shop = hold(coupon(1, off_amount=500, show_id=SHOW)), hold(coupon(2, off_amount=400))
    other = hold(coupon(3, off_amount=300))
    apart = Rule(2, dict(ONE_EACH.most), ((Layer.show, Layer.shop),))
    priced = price_with(goods, [show, shop], Buyer(BUYER), apart, NOW, currency="CNY")
    assert priced.discounts == (500,)
    assert priced.refused[0][2:] == (CouponReason.excluded, {"by": show.id, "layers": [Layer.shop, Layer.show]})
    full = price_with(goods, [shop, other], Buyer(BUYER), ONE_EACH, NOW, currency="CNY")
    assert full.refused[0][2:] == (CouponReason.layer_full, {"layer": Layer.shop, "most": 1, "by": shop.id})
    two = Rule(3, {**ONE_EACH.most, Layer.shop: 2})
    assert amounts(goods, shop, other, rule=two) == (700,)
    alone = hold(coupon(4, off_amount=300, alone=True))
    assert (
        price_with(goods, [show, alone], Buyer(BUYER), two, NOW, currency="CNY").refused[0].reason
        is CouponReason.excluded
    )
    elsewhere = hold(coupon(5, off_amount=300, alone=True, shop_id=SHOPS[1]))
    assert amounts([*goods, good(10_000, shop=1)], show, elsewhere) == (500, 300)


def test_the_better_choice_is_taken_and_says_by_how_much() -> None:
    goods = [good(10_000)]
    less, more = hold(coupon(1, off_amount=500)), hold(coupon(2, kind=CouponKind.percent, bps=800))
    priced = choose_from(goods, [less, more], Buyer(BUYER), ONE_EACH, NOW, currency="CNY")
    assert [one.id for one in priced.applied] == [more.id]
    facts = {"by": [more.id], "more": Money(300, "CNY")}
    assert priced.refused[0][2:] == (CouponReason.better_chosen, facts)


def test_two_claims_of_one_coupon_share_its_budget() -> None:
    one = coupon(off_amount=600, budget_amount=1_000)
    twice = Rule(2, {**ONE_EACH.most, Layer.shop: 2})
    held = [hold(one), hold(one, number=1)]
    priced = price_with([good(10_000)], held, Buyer(BUYER), twice, NOW, currency="CNY")
    assert priced.discounts == (600,)
    assert priced.refused[0].reason is CouponReason.budget_gone
    spent = price_with([good(10_000)], held[:1], Buyer(BUYER), twice, NOW, currency="CNY", spent={one.id.int: 401})
    assert spent.refused[0].reason is CouponReason.budget_gone


amount = st.integers(1, 100_000)
goods_lists = st.lists(
    st.builds(
        good,
        amount,
        shop=st.integers(0, 2),
        product=st.integers(0, 3),
        show_id=st.sampled_from([None, SHOW]),
    ),
    min_size=1,
    max_size=6,
)


@st.composite
def coupons(draw: st.DrawFn, number: int) -> Coupon:
    shop_id = draw(st.sampled_from([None, *SHOPS]))
    kind = draw(st.sampled_from(CouponKind))
    said: dict[str, object] = {"kind": kind, "shop_id": shop_id, "alone": draw(st.integers(0, 4)) == 0}
    if kind is CouponKind.steps:
        low = draw(st.integers(2, 50_000))
        said["steps"] = (Step(low, draw(st.integers(1, low - 1))), Step(low * 2, draw(st.integers(low, 2 * low - 1))))
    else:
        said["threshold_amount"] = draw(st.sampled_from([0, 0, 5_000, 50_000]))
    if kind is CouponKind.fixed:
        said["off_amount"] = draw(amount)
    if kind is CouponKind.percent:
        said["bps"] = draw(st.integers(1, 9_999))
        said["cap_amount"] = draw(st.one_of(st.none(), amount))
    said["product_ids"] = draw(st.sampled_from([None, None, (PRODUCTS[0],), (PRODUCTS[1], PRODUCTS[2])]))
    said["show_id"] = draw(st.sampled_from([None, None, SHOW]))
    said["budget_amount"] = draw(st.sampled_from([10**9, 10**9, 20_000]))
    return coupon(number, **said)


@st.composite
def held_lists(draw: st.DrawFn) -> list[Held]:
    count = draw(st.integers(0, 6))
    return [hold(draw(coupons(number))) for number in range(count)]


rules = st.builds(
    Rule,
    st.just(1),
    st.fixed_dictionaries({layer: st.integers(0, 2) for layer in Layer}),
    st.sampled_from([(), ((Layer.show, Layer.shop),), ((Layer.shop, Layer.platform),)]),
)


@settings(max_examples=300, deadline=None)
@given(goods_lists, held_lists(), rules)
def test_sums_are_exact_and_every_order_keeps_something_to_pay(goods: list[Good], held: list[Held], rule: Rule) -> None:
    priced = price_with(goods, held, Buyer(BUYER), rule, NOW, currency="CNY")
    assert len(priced.applied) + len(priced.refused) == len(held)
    for index, one in enumerate(goods):
        parts = [applied.parts[index] for applied in priced.applied]
        assert min(parts, default=0) >= 0
        assert priced.discounts[index] == sum(parts) <= one.amount
        of_platform = [applied.parts[index] for applied in priced.applied if applied.coupon.shop_id is None]
        assert priced.subsidies[index] == sum(of_platform)
    for applied in priced.applied:
        assert applied.amount == sum(applied.parts) > 0
        assert applied.coupon.spent_amount + applied.amount <= applied.coupon.budget_amount
        for one, part in zip(goods, applied.parts, strict=True):
            assert not part or applied.coupon.shop_id in (None, one.shop_id)
    for shop_id in {one.shop_id for one in goods}:
        rest = [one.amount - off for one, off in zip(goods, priced.discounts, strict=True) if one.shop_id == shop_id]
        assert sum(rest) >= 1
    for layer, most in rule.most.items():
        for seller_id in {applied.coupon.shop_id for applied in priced.applied}:
            taken = [one for one in priced.applied if (one.coupon.layer, one.coupon.shop_id) == (layer, seller_id)]
            assert len(taken) <= most


@settings(max_examples=200, deadline=None)
@given(goods_lists, held_lists(), rules, st.randoms(use_true_random=False))
def test_the_order_of_the_lines_moves_no_more_than_a_tie(
    goods: list[Good], held: list[Held], rule: Rule, random: Random
) -> None:
    order = list(range(len(goods)))
    random.shuffle(order)
    first = price_with(goods, held, Buyer(BUYER), rule, NOW, currency="CNY")
    again = price_with([goods[place] for place in order], held, Buyer(BUYER), rule, NOW, currency="CNY")
    assert [one.id for one in first.applied] == [one.id for one in again.applied]
    assert [(one.id, one.reason) for one in first.refused] == [(one.id, one.reason) for one in again.refused]
    if len(first.applied) <= 1:
        assert [one.amount for one in first.applied] == [one.amount for one in again.applied]
        for place, where in enumerate(order):
            assert abs(again.discounts[place] - first.discounts[where]) <= 1


@settings(max_examples=150, deadline=None)
@given(goods_lists, coupons(0), rules, st.integers(0, 20_000))
def test_one_thing_and_one_coupon_are_reckoned_like_any_others(
    goods: list[Good], one: Coupon, rule: Rule, spent: int
) -> None:
    # beside a good of another shop, out of the coupon's reach, the general way is taken
    first, elsewhere = goods[0], Good(ShopId(UUID(int=999)), PRODUCTS[3], None, 10)
    one = msgspec.structs.replace(one, shop_id=first.shop_id, layer=Layer.shop, show_id=None)
    held = [hold(one)]
    alone, among = (
        price_with(some, held, Buyer(BUYER), rule, NOW, currency="CNY", spent={one.id.int: spent})
        for some in ([first], [first, elsewhere])
    )
    assert alone.discounts == among.discounts[:1]
    assert [answer[1:3] for answer in alone.refused] == [answer[1:3] for answer in among.refused]


@settings(max_examples=200, deadline=None)
@given(goods_lists, held_lists(), rules)
def test_the_choice_is_the_best_of_all_there_are(goods: list[Good], held: list[Held], rule: Rule) -> None:
    chosen = choose_from(goods, held, Buyer(BUYER), rule, NOW, currency="CNY")
    subsets = chain.from_iterable(combinations(held, count) for count in range(len(held) + 1))
    best = 0
    for subset in subsets:
        priced = price_with(goods, subset, Buyer(BUYER), rule, NOW, currency="CNY")
        best = max(best, priced.total)
    assert chosen.total == best
    assert {one.id for one in chosen.applied} | {one.id for one in chosen.refused} == {one.id for one in held}
    again = price_with(
        goods,
        [one for one in held if one.id in {a.id for a in chosen.applied}],
        Buyer(BUYER),
        rule,
        NOW,
        currency="CNY",
    )
    assert again.discounts == chosen.discounts
    assert not again.refused
