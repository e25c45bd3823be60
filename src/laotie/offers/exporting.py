"""All of a shop's coupons and what they took off its orders, to take away. Who may have it, the caller has asked."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from laotie.base.db import Database, Tx
from laotie.base.ids import OrderId, ShopId

PAGE_SIZE = 500


class CouponRow(msgspec.Struct, frozen=True, kw_only=True):
    """A coupon of the shop and how far it is used up."""

    id: UUID
    title: str
    layer: str
    kind: str
    state: str
    currency: str
    threshold_amount: int
    off_amount: int | None
    bps: int | None
    cap_amount: int | None
    steps: list[Any] | None
    quantity: int
    per_person: int
    budget_amount: int
    claimed_count: int
    used_count: int
    spent_amount: int
    starts_at: datetime
    ends_at: datetime
    created_at: datetime


class CouponUseRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a coupon (the shop's own or the platform's) took off one of the shop's orders."""

    order_id: OrderId
    coupon_id: UUID
    claim_id: UUID
    layer: str
    currency: str
    amount: int
    subsidy_amount: int
    applied_at: datetime
    ended_at: datetime | None
    """When the order came to nothing and the coupon was given back."""


async def export_coupons(db: Database, shop_id: ShopId, as_of: datetime) -> AsyncIterator[list[CouponRow]]:
    """The shop's coupons, by id."""
    last = UUID(int=0)
    while True:
        async with db.read() as tx:
            page = await tx.all(
                CouponRow,
                """
                SELECT id, title, layer, kind, state, currency, threshold_amount, off_amount, bps, cap_amount, steps,
                       quantity, per_person, budget_amount, claimed_count, used_count, spent_amount, starts_at, ends_at,
                       created_at
                FROM offers.coupon
                WHERE shop_id = %(shop_id)s AND id > %(last)s AND created_at <= %(as_of)s ORDER BY id LIMIT %(limit)s
                """,
                shop_id=shop_id,
                as_of=as_of,
                last=last,
                limit=PAGE_SIZE,
            )
        yield page
        if len(page) < PAGE_SIZE:
            return
        last = page[-1].id


async def list_uses(tx: Tx, order_ids: Sequence[OrderId]) -> list[CouponUseRow]:
    """What coupons took off these orders."""
    return await tx.all(
        CouponUseRow,
        """
        SELECT a.order_id, a.coupon_id, a.claim_id, c.layer, c.currency, a.amount, a.subsidy_amount, a.applied_at,
               a.ended_at
        FROM offers.application AS a JOIN offers.coupon AS c ON c.id = a.coupon_id
        WHERE a.order_id = ANY(%(ids)s) ORDER BY a.order_id DESC, a.claim_id
        """,
        ids=list(order_ids),
    )
