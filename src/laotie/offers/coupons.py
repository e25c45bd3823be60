"""Coupons as those who pay for them see them: made, listed, stopped. A coupon's terms never change.

A shop's are made by its staff with the scope `catalog`, the platform's by operators.
"""

import hashlib
from datetime import timedelta

import msgspec
from psycopg.types.json import Jsonb

from laotie import catalog, identity
from laotie.base.db import Tx
from laotie.base.ids import ProductId, ShopId, ShowId
from laotie.base.money import AMOUNT_MAX, exponent
from laotie.base.refusals import IdReused, NotFound
from laotie.identity import Actor, Scope
from laotie.offers import rows
from laotie.offers.model import (
    BUDGET_MAX,
    DAYS_MAX,
    PER_PERSON_MAX,
    PRODUCTS_MAX,
    QUANTITY_MAX,
    RUNNING_MAX,
    STEPS_MAX,
    TITLE_LENGTH_MAX,
    Coupon,
    CouponDraftRefused,
    CouponId,
    CouponKind,
    Draft,
    Layer,
    TooManyCoupons,
)

FAN_LEVEL_MAX = 10
OPEN_SHOWN_MAX = 100

_encode = msgspec.msgpack.Encoder().encode


async def make_coupon(tx: Tx, actor: Actor, shop_id: ShopId | None, coupon_id: CouponId, draft: Draft) -> Coupon:
    """Make a shop's coupon, or without a shop the platform's. The same draft again is the same coupon.

    That `show_id` is a show of the shop is for the caller to see to: this room knows no shows. Refuses
    `CouponDraftRefused`, `TooManyCoupons`, `IdReused`.
    """
    maker_id = await _require_right(tx, actor, shop_id)
    _check(draft)
    if shop_id is not None:
        await _check_goods(tx, shop_id, draft)
    running = await tx.one(
        int,
        """
        SELECT count(*) FROM offers.coupon
        WHERE shop_id IS NOT DISTINCT FROM %(shop_id)s AND state = 'running' AND ends_at > %(now)s
        """,
        shop_id=shop_id,
        now=tx.now,
    )
    digest = hashlib.blake2b(_encode((shop_id, draft)), digest_size=12).digest()
    if running >= RUNNING_MAX and not await rows.find_many(tx, [coupon_id]):
        raise TooManyCoupons(count_max=RUNNING_MAX)
    await tx.run(
        """
        INSERT INTO offers.coupon (id, shop_id, layer, title, kind, currency, threshold_amount, off_amount, bps,
                                   cap_amount, steps, product_ids, show_id, streamer_id, fan_level, new_buyer, alone,
                                   quantity, per_person, budget_amount, starts_at, ends_at, valid_days, made_by, digest,
                                   created_at)
        VALUES (%(id)s, %(shop_id)s, %(layer)s, %(title)s, %(kind)s, %(currency)s, %(threshold)s, %(off)s, %(bps)s,
                %(cap)s, %(steps)s, %(product_ids)s::uuid[], %(show_id)s, %(streamer_id)s, %(fan_level)s, %(new_buyer)s,
                %(alone)s, %(quantity)s, %(per_person)s, %(budget)s, %(starts_at)s, %(ends_at)s, %(valid_days)s,
                %(made_by)s, %(digest)s, %(now)s)
        ON CONFLICT (id) DO NOTHING
        """,
        id=coupon_id,
        shop_id=shop_id,
        layer=_layer_of(shop_id, draft.show_id),
        title=catalog.clean_text("title", draft.title, required=True),
        kind=draft.kind,
        currency=draft.currency,
        threshold=draft.threshold_amount,
        off=draft.off_amount,
        bps=draft.bps,
        cap=draft.cap_amount,
        steps=None if draft.steps is None else Jsonb(msgspec.to_builtins(draft.steps)),
        product_ids=None if draft.product_ids is None else list(draft.product_ids),
        show_id=draft.show_id,
        streamer_id=draft.streamer_id,
        fan_level=draft.fan_level,
        new_buyer=draft.new_buyer,
        alone=draft.alone,
        quantity=draft.quantity,
        per_person=draft.per_person,
        budget=draft.budget_amount,
        starts_at=draft.starts_at,
        ends_at=draft.ends_at,
        valid_days=draft.valid_days,
        made_by=maker_id,
        digest=digest,
        now=tx.now,
    )
    if await tx.one(bytes, "SELECT digest FROM offers.coupon WHERE id = %(id)s", id=coupon_id) != digest:
        raise IdReused()
    await identity.record(tx, actor, "coupon.made", subject=str(coupon_id), shop_id=shop_id)
    return (await rows.find_many(tx, [coupon_id]))[coupon_id]


async def end_coupon(tx: Tx, actor: Actor, coupon_id: CouponId) -> Coupon:
    """Stop a coupon: none is given out and none is taken any more, whoever holds it. Repeating changes nothing."""
    coupon = (await rows.hold_many(tx, [coupon_id])).get(coupon_id)
    if coupon is None:
        raise NotFound()
    await _require_right(tx, actor, coupon.shop_id)
    stopped = await tx.run(
        "UPDATE offers.coupon SET state = 'stopped' WHERE id = %(id)s AND state = 'running'", id=coupon_id
    )
    if stopped:
        await identity.record(tx, actor, "coupon.ended", subject=str(coupon_id), shop_id=coupon.shop_id)
    return (await rows.find_many(tx, [coupon_id]))[coupon_id]


async def get_coupon(tx: Tx, coupon_id: CouponId) -> Coupon:
    """A coupon's terms are no secret."""
    coupon = (await rows.find_many(tx, [coupon_id])).get(coupon_id)
    if coupon is None:
        raise NotFound()
    return coupon


async def list_coupons(
    tx: Tx, actor: Actor, shop_id: ShopId | None, *, after: CouponId | None, limit: int
) -> list[Coupon]:
    """A shop's coupons, or without a shop the platform's, newest first, for those who make them."""
    await _require_right(tx, actor, shop_id)
    found = await tx.all(
        CouponId,
        """
        SELECT id FROM offers.coupon
        WHERE shop_id IS NOT DISTINCT FROM %(shop_id)s AND (%(after)s::uuid IS NULL OR id < %(after)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        shop_id=shop_id,
        after=after,
        limit=limit,
    )
    coupons = await rows.find_many(tx, found)
    return [coupons[coupon_id] for coupon_id in found]


async def list_open(
    tx: Tx,
    *,
    shop_id: ShopId | None,
    show_id: ShowId | None,
    product_id: ProductId | None,
    currency: str | None = None,
) -> list[Coupon]:
    """Coupons to be had now: of a shop, a show or a product with the platform's, or without any of them all there are.

    With `currency` only those that can take something off its prices. Those that end first come first.
    """
    found = await tx.all(
        CouponId,
        """
        SELECT id FROM offers.coupon
        WHERE state = 'running' AND ends_at > %(now)s AND starts_at <= %(now)s
          AND (%(shop_id)s::uuid IS NULL OR shop_id IS NULL OR shop_id = %(shop_id)s)
          AND (%(currency)s::text IS NULL OR currency = %(currency)s)
          AND (show_id IS NULL OR %(show_id)s::uuid IS NULL OR show_id = %(show_id)s)
          AND (product_ids IS NULL OR %(product_id)s::uuid IS NULL OR %(product_id)s = ANY(product_ids))
        ORDER BY shop_id IS NULL, ends_at, id LIMIT %(limit)s
        """,
        shop_id=shop_id,
        show_id=show_id,
        product_id=product_id,
        currency=currency,
        now=tx.now,
        limit=OPEN_SHOWN_MAX,
    )
    coupons = await rows.find_many(tx, found)
    return [coupons[coupon_id] for coupon_id in found]


async def _require_right(tx: Tx, actor: Actor, shop_id: ShopId | None) -> object:
    if shop_id is None:
        return actor.require_operator()
    return (await identity.require_seat(tx, actor, shop_id, Scope.catalog)).account_id


def _layer_of(shop_id: ShopId | None, show_id: ShowId | None) -> Layer:
    if shop_id is None:
        return Layer.platform
    return Layer.shop if show_id is None else Layer.show


def _check(draft: Draft) -> None:
    """Whether the terms can hold, as far as they can be told by themselves."""
    exponent(draft.currency)
    fit = {
        "title": 0 < len(draft.title.strip()) <= TITLE_LENGTH_MAX,
        "threshold": 0 <= draft.threshold_amount <= AMOUNT_MAX,
        "off": (draft.off_amount is not None) == (draft.kind is CouponKind.fixed)
        and 0 < (draft.off_amount or 1) <= AMOUNT_MAX,
        "bps": (draft.bps is not None) == (draft.kind is CouponKind.percent) and 0 < (draft.bps or 1) < 10_000,
        "cap": draft.cap_amount is None or (draft.kind is CouponKind.percent and 0 < draft.cap_amount <= AMOUNT_MAX),
        "steps": (draft.steps is not None) == (draft.kind is CouponKind.steps) and _is_stair(draft),
        "product_ids": draft.product_ids is None or 0 < len(draft.product_ids) <= PRODUCTS_MAX,
        "fan_level": 0 <= draft.fan_level <= FAN_LEVEL_MAX and (draft.fan_level > 0) == (draft.streamer_id is not None),
        "quantity": 0 < draft.quantity <= QUANTITY_MAX,
        "per_person": 0 < draft.per_person <= min(PER_PERSON_MAX, draft.quantity),
        "budget": 0 < draft.budget_amount <= BUDGET_MAX,
        "ends_at": timedelta(0) < draft.ends_at - draft.starts_at <= timedelta(days=DAYS_MAX),
        "valid_days": draft.valid_days is None or 0 < draft.valid_days <= DAYS_MAX,
    }
    for field, is_fit in fit.items():
        if not is_fit:
            raise CouponDraftRefused(field=field)


def _is_stair(draft: Draft) -> bool:
    """Steps go up in both senses, and none gives more than it asks for."""
    if draft.steps is None:
        return True
    pairs = list(zip(draft.steps, draft.steps[1:], strict=False))
    return (
        0 < len(draft.steps) <= STEPS_MAX
        and draft.threshold_amount == 0
        and all(0 < step.off_amount < step.threshold_amount <= AMOUNT_MAX for step in draft.steps)
        and all(one.threshold_amount < other.threshold_amount for one, other in pairs)
        and all(one.off_amount < other.off_amount for one, other in pairs)
    )


async def _check_goods(tx: Tx, shop_id: ShopId, draft: Draft) -> None:
    """A shop gives on its own goods, in its own currency."""
    shop = await catalog.get_shop(tx, shop_id)
    if draft.currency != shop.currency:
        raise CouponDraftRefused(field="currency")
    if draft.product_ids:
        products = await catalog.find_products(tx, list(draft.product_ids))
        of_shop = {product.id for product in products.values() if product.shop_id == shop_id}
        if of_shop != set(draft.product_ids):
            raise CouponDraftRefused(field="product_ids")
