"""A show's audience by the minute: what each gateway counts, put down every few seconds, summed when read.

A gateway writes what it has counted in a minute so far, as a whole; writing it again changes nothing, and a gateway that
started anew writes rows of its own. Over several gateways everything adds up; the highest number of viewers is then the
sum of each one's highest, an upper bound.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import CartItemId, ProductId, ShowId


class GatewayMinute(msgspec.Struct, frozen=True, kw_only=True):
    """What one gateway counted in one minute of one show. `viewer_ms`: viewers present, added up over time."""

    show_id: ShowId
    at: datetime
    viewers_max: int
    viewer_ms: int
    watch_ms: int
    joins: int
    likes: int
    chats_sent: int
    chats_shown: int
    clicks: dict[CartItemId, int]


class AudienceMinute(msgspec.Struct, frozen=True, kw_only=True):
    """One minute of a show over all gateways."""

    at: datetime
    viewers_max: int
    viewer_ms: int
    watch_ms: int
    joins: int
    likes: int
    chats_sent: int
    chats_shown: int
    clicks: int


class ProductClicks(msgspec.Struct, frozen=True):
    """How often a product of the cart was looked at."""

    product_id: ProductId
    clicks: int


async def record_minutes(tx: Tx, gateway_id: UUID, minutes: list[GatewayMinute]) -> None:
    """Put down what a gateway has counted. Unknown shows, and items that never lay in the show's cart, are passed over."""
    ordered = sorted(minutes, key=lambda one: (one.show_id, one.at))
    await tx.run(
        """
        INSERT INTO live.minute (show_id, at, gateway_id, viewers_max, viewer_ms, watch_ms, joins, likes, chats_sent,
                                 chats_shown)
        SELECT show_id, at, %(gateway_id)s, viewers_max, viewer_ms, watch_ms, joins, likes, chats_sent, chats_shown
        FROM unnest(%(shows)s::uuid[], %(at)s::timestamptz[], %(viewers_max)s::integer[], %(viewer_ms)s::bigint[],
                    %(watch_ms)s::bigint[], %(joins)s::integer[], %(likes)s::bigint[], %(chats_sent)s::integer[],
                    %(chats_shown)s::integer[])
          AS counted (show_id, at, viewers_max, viewer_ms, watch_ms, joins, likes, chats_sent, chats_shown)
        WHERE EXISTS (SELECT FROM live.show WHERE show.id = counted.show_id)
        ON CONFLICT (show_id, at, gateway_id) DO UPDATE
        SET viewers_max = excluded.viewers_max, viewer_ms = excluded.viewer_ms, watch_ms = excluded.watch_ms,
            joins = excluded.joins, likes = excluded.likes, chats_sent = excluded.chats_sent,
            chats_shown = excluded.chats_shown
        """,
        gateway_id=gateway_id,
        shows=[one.show_id for one in ordered],
        at=[one.at for one in ordered],
        viewers_max=[one.viewers_max for one in ordered],
        viewer_ms=[one.viewer_ms for one in ordered],
        watch_ms=[one.watch_ms for one in ordered],
        joins=[one.joins for one in ordered],
        likes=[one.likes for one in ordered],
        chats_sent=[one.chats_sent for one in ordered],
        chats_shown=[one.chats_shown for one in ordered],
    )
    clicked = [(one, item_id, clicks) for one in ordered for item_id, clicks in sorted(one.clicks.items())]
    if not clicked:
        return
    await tx.run(
        """
        INSERT INTO live.minute_click (show_id, at, gateway_id, product_id, clicks)
        SELECT counted.show_id, counted.at, %(gateway_id)s, item.product_id, sum(counted.clicks)
        FROM unnest(%(shows)s::uuid[], %(at)s::timestamptz[], %(items)s::uuid[], %(clicks)s::integer[])
          AS counted (show_id, at, item_id, clicks)
        JOIN live.cart_item AS item ON item.id = counted.item_id AND item.show_id = counted.show_id
        GROUP BY counted.show_id, counted.at, item.product_id ORDER BY counted.show_id, counted.at, item.product_id
        ON CONFLICT (show_id, at, gateway_id, product_id) DO UPDATE
        SET clicks = greatest(minute_click.clicks, excluded.clicks)
        """,
        gateway_id=gateway_id,
        shows=[one.show_id for one, _, _ in clicked],
        at=[one.at for one, _, _ in clicked],
        items=[item_id for _, item_id, _ in clicked],
        clicks=[clicks for _, _, clicks in clicked],
    )


async def list_minutes(tx: Tx, show_id: ShowId) -> list[AudienceMinute]:
    """Minutes of a show in which anybody was there, in the order of time."""
    return await tx.all(
        AudienceMinute,
        """
        SELECT at, sum(viewers_max)::int AS viewers_max, sum(viewer_ms)::bigint AS viewer_ms,
               sum(watch_ms)::bigint AS watch_ms, sum(joins)::int AS joins, sum(likes)::bigint AS likes,
               sum(chats_sent)::int AS chats_sent, sum(chats_shown)::int AS chats_shown, sum(clicks)::int AS clicks
        FROM (SELECT at, viewers_max, viewer_ms, watch_ms, joins, likes, chats_sent, chats_shown, 0 AS clicks
              FROM live.minute WHERE show_id = %(show_id)s
              UNION ALL
              SELECT at, 0, 0, 0, 0, 0, 0, 0, clicks FROM live.minute_click WHERE show_id = %(show_id)s) AS part
        GROUP BY at ORDER BY at
        """,
        show_id=show_id,
    )


async def count_clicks(tx: Tx, show_id: ShowId) -> list[ProductClicks]:
    """How often each product of a show was looked at."""
    return await tx.all(
        ProductClicks,
        """
        SELECT product_id, sum(clicks)::bigint AS clicks FROM live.minute_click WHERE show_id = %(show_id)s
        GROUP BY product_id ORDER BY product_id
        """,
        show_id=show_id,
    )
