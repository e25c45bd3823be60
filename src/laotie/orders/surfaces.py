"""What surfaces beside the live room sold: a show's replay and its clips, each by its placement.

Read from the orders themselves through an index that only such orders are in; nothing is folded.
"""

from uuid import UUID

import msgspec

from laotie import identity, live
from laotie.base.db import Tx
from laotie.base.ids import ShowId
from laotie.identity import Actor
from laotie.orders.model import LATER_STATES


class SurfaceSales(msgspec.Struct, frozen=True, kw_only=True):
    """What one surface sold: placed (cancelled orders included) and, of that, paid. Amounts in minor units."""

    placement: str
    currency: str
    orders: int
    paid_orders: int
    amount: int
    paid_amount: int


class ReplaySales(msgspec.Struct, frozen=True):
    """A show's surfaces that sold something, and what its clips are called."""

    surfaces: list[SurfaceSales]
    clips: dict[UUID, str]


async def get_replay_sales(tx: Tx, actor: Actor, show_id: ShowId) -> ReplaySales:
    """What a show's replay and clips sold, for its shop's staff (scope `orders`) and its streamer."""
    show = await live.get_show(tx, show_id)
    if actor.account_id is None or actor.account_id != show.streamer.id:
        await identity.require_seat(tx, actor, show.shop_id, identity.Scope.orders)
    titles = await live.clips.find_titles(tx, show_id)
    return ReplaySales(await sum_surfaces(tx, [f"replay:{show_id}", *(f"clip:{one}" for one in titles)]), titles)


async def sum_surfaces(tx: Tx, placements: list[str]) -> list[SurfaceSales]:
    """What each of these placements sold, the one with most paid first; those that sold nothing are left out."""
    return await tx.all(
        SurfaceSales,
        """
        SELECT placement, min(currency) AS currency, count(*) AS orders,
               count(*) FILTER (WHERE state = ANY(%(paid)s)) AS paid_orders,
               sum(total_amount)::bigint AS amount,
               coalesce(sum(total_amount) FILTER (WHERE state = ANY(%(paid)s)), 0)::bigint AS paid_amount
        FROM orders."order" WHERE placement = ANY(%(placements)s) AND placement LIKE '%%:%%'
        GROUP BY placement ORDER BY paid_amount DESC, amount DESC, placement
        """,
        placements=placements,
        paid=list(LATER_STATES),
    )
