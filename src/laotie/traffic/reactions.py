"""What traffic does when an order is paid in a show (buyer and streamer are closer, the show has momentum), when one ends, and
when a person leaves.
"""

from laotie import fans, identity, live
from laotie.base.db import Tx
from laotie.base.ids import ViewerId
from laotie.base.outbox import on
from laotie.events.identity import AccountErased
from laotie.events.live import ShowEnded
from laotie.events.orders import OrderPaid
from laotie.traffic.attribution import erase_touches
from laotie.traffic.model import ORDERS_HALF_LIFE

HALVINGS_MAX = 500


async def feel_purchase(tx: Tx, event: OrderPaid) -> None:
    """Count a paid order for its show and for the bond of buyer and streamer."""
    if event.show_id is None:
        return
    streamer_id = (await live.find_hosts(tx, [event.show_id])).get(event.show_id)
    if streamer_id is None:
        return
    await fans.warm(tx, ViewerId(event.buyer_id), streamer_id, fans.PURCHASE_WARMTH, at=event.paid_at)
    await tx.run(
        """
        INSERT INTO traffic.momentum AS now (show_id, orders, counted_at)
        VALUES (%(show_id)s, 1, %(at)s)
        ON CONFLICT (show_id) DO UPDATE
        SET orders = now.orders * power(2, -least(%(halvings_max)s, extract(epoch FROM
                       greatest(now.counted_at, excluded.counted_at) - now.counted_at)::float8 / %(half_life_s)s))
                   + power(2, -least(%(halvings_max)s, extract(epoch FROM
                       greatest(now.counted_at, excluded.counted_at) - excluded.counted_at)::float8 / %(half_life_s)s)),
            counted_at = greatest(now.counted_at, excluded.counted_at)
        """,
        show_id=event.show_id,
        at=event.paid_at,
        half_life_s=ORDERS_HALF_LIFE.total_seconds(),
        halvings_max=float(HALVINGS_MAX),
    )


async def let_go(tx: Tx, event: ShowEnded) -> None:
    """A show that is over has no momentum."""
    await tx.run("DELETE FROM traffic.momentum WHERE show_id = %(show_id)s", show_id=event.show_id)


async def forget(tx: Tx, event: AccountErased) -> None:
    """Where the person came from, as an account or as a guest, is remembered no longer."""
    viewer_id = ViewerId(event.account_id)
    await erase_touches(tx, [viewer_id, *await identity.merged_guests(tx, viewer_id)])


REACTIONS = [on(OrderPaid, feel_purchase), on(ShowEnded, let_go), on(AccountErased, forget)]
