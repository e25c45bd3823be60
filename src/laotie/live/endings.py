"""How waves end: by time, by the streamer, by the next wave, with their item, with their show.

What is left of a wave's pieces goes back to the shelf in the transaction that ends it, and a wave ends once, so the
pieces come back once, whatever crashes. Callers hold the show's row; taken here: the items by id, then their SKUs.
"""

from uuid import UUID

import msgspec

from laotie import catalog
from laotie.base.db import Database, Tx
from laotie.base.ids import CartItemId, ShowId
from laotie.events import live as news
from laotie.live.model import WaveEnd
from laotie.live.replay import note_pinned_price

SHOWS_SWEPT_MAX = 50


class _Touched(msgspec.Struct, frozen=True):
    id: CartItemId
    version: int


async def end_waves(tx: Tx, show_id: ShowId, wave_ids: list[UUID], reason: WaveEnd) -> None:
    """End these waves of the show; ended ones are left alone. Tells `CartItemChanged` and the stock's news."""
    if not wave_ids:
        return
    await tx.run(
        """
        SELECT FROM live.cart_item WHERE id IN (SELECT item_id FROM live.wave WHERE id = ANY(%(ids)s))
        ORDER BY id FOR NO KEY UPDATE
        """,
        ids=wave_ids,
    )
    ended = await tx.tuples(
        """
        UPDATE live.wave SET state = 'ended', ended_at = greatest(created_at, opened_at, %(now)s), end_reason = %(reason)s
        WHERE id = ANY(%(ids)s) AND state <> 'ended' RETURNING id, item_id
        """,
        ids=wave_ids,
        reason=reason,
        now=tx.now,
    )
    if ended:
        await catalog.put_back(tx, [wave_id for wave_id, _ in ended])
        await point_anew(tx, show_id, [item_id for _, item_id in ended])


async def end_waves_of_item(tx: Tx, show_id: ShowId, item_id: CartItemId, reason: WaveEnd) -> None:
    """End the item's open wave and give up those that are ready."""
    ids = await tx.all(UUID, "SELECT id FROM live.wave WHERE item_id = %(id)s AND state <> 'ended'", id=item_id)
    await end_waves(tx, show_id, ids, reason)


async def end_waves_of_show(tx: Tx, show_id: ShowId) -> None:
    """End all waves of the show. The caller has closed its gate, too, so no order of a wave is decided afterwards."""
    ids = await tx.all(UUID, "SELECT id FROM live.wave WHERE show_id = %(id)s AND state <> 'ended'", id=show_id)
    await end_waves(tx, show_id, ids, WaveEnd.show)


async def end_due_waves(db: Database) -> int:
    """End the waves whose time is over, a transaction a show; how many. The till refuses them from that instant on."""
    async with db.read() as tx:
        show_ids = await tx.all(
            ShowId,
            """
            SELECT DISTINCT show_id FROM live.wave WHERE state = 'open' AND ends_at <= %(now)s LIMIT %(limit)s
            """,
            now=tx.now,
            limit=SHOWS_SWEPT_MAX,
        )
    count = 0
    for show_id in show_ids:
        async with db.tx() as tx:
            await tx.run("SELECT FROM live.show WHERE id = %(id)s FOR NO KEY UPDATE", id=show_id)
            due = await tx.all(
                UUID,
                "SELECT id FROM live.wave WHERE show_id = %(id)s AND state = 'open' AND ends_at <= %(now)s",
                id=show_id,
                now=tx.now,
            )
            await end_waves(tx, show_id, due, WaveEnd.time)
            count += len(due)
    return count


async def point_anew(tx: Tx, show_id: ShowId, item_ids: list[CartItemId]) -> None:
    """Write on the items what the till reads there: the wave, the promise that stands, the price it allows at most.

    The wave is the open one, else the first that is ready. A promise said for a wave stands while that is open, any
    other until the next; of both, the lower price counts. Tells `CartItemChanged`. The caller holds the items.
    """
    touched = await tx.all(
        _Touched,
        """
        UPDATE live.cart_item AS item
        SET wave_id = now_is.wave_id, promise_id = now_is.promise_id, price_max = now_is.price_max,
            version = item.version + 1
        FROM (
            SELECT item.id, wave.id AS wave_id, coalesce(of_wave.id, of_item.id) AS promise_id,
                   least(of_wave.price_amount, of_item.price_amount) AS price_max
            FROM live.cart_item AS item
            LEFT JOIN LATERAL (
                SELECT id, state FROM live.wave WHERE item_id = item.id AND state <> 'ended'
                ORDER BY state = 'open' DESC, no LIMIT 1
            ) AS wave ON true
            LEFT JOIN LATERAL (
                SELECT id, price_amount FROM live.promise WHERE item_id = item.id AND wave_id IS NULL
                ORDER BY version DESC LIMIT 1
            ) AS of_item ON true
            LEFT JOIN LATERAL (
                SELECT id, price_amount FROM live.promise
                WHERE item_id = item.id AND wave_id = wave.id AND wave.state = 'open'
                ORDER BY version DESC LIMIT 1
            ) AS of_wave ON true
            WHERE item.id = ANY(%(ids)s)
        ) AS now_is
        WHERE item.id = now_is.id RETURNING item.id, item.version
        """,
        ids=item_ids,
    )
    await note_pinned_price(tx, show_id)
    for item in touched:
        tx.tell(news.CartItemChanged(show_id=show_id, item_id=item.id, version=item.version))
