"""How coupons and the rule lie in the database."""

from typing import Any, LiteralString

from laotie.base.db import Tx
from laotie.offers.model import Coupon, CouponId, CouponKind, CouponState, Layer, Rule, Step

LATEST_RULE: LiteralString = "SELECT version, most, exclusions FROM offers.rule ORDER BY version DESC LIMIT 1"


async def find_many(tx: Tx, coupon_ids: list[CouponId]) -> dict[CouponId, Coupon]:
    """Those of the coupons that exist."""
    coupons = await tx.all(
        Coupon,
        """
        SELECT id, shop_id, layer, title, kind, currency, threshold_amount, off_amount, bps, cap_amount, steps,
               product_ids, show_id, streamer_id, fan_level, new_buyer, alone, quantity, per_person, budget_amount,
               claimed_count, used_count, spent_amount, starts_at, ends_at, valid_days, state, created_at
        FROM offers.coupon WHERE id = ANY(%(ids)s::uuid[])
        """,
        ids=coupon_ids,
    )
    return {coupon.id: coupon for coupon in coupons}


async def hold_many(tx: Tx, coupon_ids: list[CouponId]) -> dict[CouponId, Coupon]:
    """The same with their rows locked, by id: whatever changes a coupon or its claims holds it."""
    await tx.run(
        "SELECT FROM offers.coupon WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id FOR NO KEY UPDATE", ids=coupon_ids
    )
    return await find_many(tx, coupon_ids)


def coupon_of(row: tuple[Any, ...]) -> Coupon:
    """A coupon from its columns, in the order of the fields (for the till, which reads tuples)."""
    values = dict(zip(Coupon.__struct_fields__, row, strict=True))
    steps, products = values["steps"], values["product_ids"]
    values["steps"] = None if steps is None else tuple(Step(**step) for step in steps)
    values["product_ids"] = None if products is None else tuple(products)
    values["layer"], values["kind"] = Layer(values["layer"]), CouponKind(values["kind"])
    values["state"] = CouponState(values["state"])
    return Coupon(**values)


def rule_of(row: tuple[Any, ...]) -> Rule:
    """A rule from `LATEST_RULE`."""
    version, most, exclusions = row
    return Rule(
        version,
        {Layer(layer): count for layer, count in most.items()},
        tuple((Layer(one), Layer(other)) for one, other in exclusions),
    )
