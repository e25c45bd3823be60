"""What the till asks of a show: its state, and the prices, shelf, waves, limits and ends of sale of its cart, under lock.

Locks, in this order: the gates of the shows (shared, by key), the cart items by id (exclusively, since limits per
person are judged under them). Console acts take the same in the same order: gate, show, cart items.
"""

from collections.abc import Awaitable, Callable

from laotie.base.db import Tx
from laotie.base.ids import CartItemId, ShowId, SkuId
from laotie.live.model import Quote, ShowQuote
from laotie.live.shows import gate_key

Quotes = tuple[dict[ShowId, ShowQuote], dict[tuple[CartItemId, SkuId], Quote]]


async def quote_many(tx: Tx, show_ids: list[ShowId], pairs: list[tuple[CartItemId, SkuId]]) -> Quotes:
    """Read and hold what is asked about; what there is not is not in the answer."""
    async with tx.pipelined():
        finish = await send_quotes(tx, show_ids, pairs)
    return await finish()


async def send_quotes(
    tx: Tx, show_ids: list[ShowId], pairs: list[tuple[CartItemId, SkuId]]
) -> Callable[[], Awaitable[Quotes]]:
    """The same inside a pipeline of the caller's: call what it returns after the block, for the answer.

    Prices and states are read by statements of their own, after the locks: a statement that waits for a lock sees the
    locked row afresh, but everything beside it as of before the wait.
    """
    wanted = list(dict.fromkeys(pairs))
    if show_ids:
        await tx.run(
            "SELECT pg_advisory_xact_lock_shared(key) FROM unnest(%(keys)s::bigint[]) AS gate (key)",
            keys=sorted({gate_key(show_id) for show_id in show_ids}),
        )
    held = await tx.send(
        """
        SELECT id, show_id, on_shelf, limit_per_person, sale_ends_at, promise_id, price_max FROM live.cart_item
        WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id FOR NO KEY UPDATE
        """,
        ids=list({item_id for item_id, _ in wanted}),
    )
    found = await tx.send(
        """
        SELECT price.item_id, price.sku_id, coalesce(offer.price_amount, price.price_amount), price.currency,
               wave.id, wave.state, wave.limit_per_person, wave.ends_at
        FROM unnest(%(item_ids)s::uuid[], %(sku_ids)s::uuid[]) AS wanted (item_id, sku_id)
        JOIN live.cart_price AS price ON price.item_id = wanted.item_id AND price.sku_id = wanted.sku_id
        JOIN live.cart_item AS item ON item.id = price.item_id
        LEFT JOIN live.wave ON wave.id = item.wave_id
        LEFT JOIN live.wave_price AS offer ON offer.wave_id = wave.id AND offer.sku_id = price.sku_id
        UNION ALL
        SELECT show.id, NULL, NULL, show.state, NULL, NULL, NULL, NULL
        FROM live.show WHERE show.id = ANY(%(show_ids)s::uuid[])
        """,
        item_ids=[item_id for item_id, _ in wanted],
        sku_ids=[sku_id for _, sku_id in wanted],
        show_ids=list(set(show_ids)),
    )

    async def finish() -> Quotes:
        items = {row[0]: row[1:] for row in await held.tuples()}
        shows: dict[ShowId, ShowQuote] = {}
        quotes: dict[tuple[CartItemId, SkuId], Quote] = {}
        for subject_id, sku_id, amount, word, wave_id, wave_state, wave_limit, wave_ends_at in await found.tuples():
            if sku_id is None:
                shows[subject_id] = ShowQuote(word)
            elif subject_id in items:
                show_id, on_shelf, limit, ends_at, promise_id, price_max = items[subject_id]
                if wave_id is not None:
                    limit, ends_at = wave_limit, wave_ends_at
                quotes[subject_id, sku_id] = Quote(
                    show_id, on_shelf, amount, word, limit, ends_at, wave_id, wave_state in (None, "open"), promise_id,
                    price_max,
                )  # fmt: skip
        return shows, quotes

    return finish


async def find_quotes(tx: Tx, show_ids: list[ShowId], pairs: list[tuple[CartItemId, SkuId]]) -> Quotes:
    """The same without any lock, for a page that shows what a purchase would come to. The till decides anew."""
    found = await tx.tuples(
        """
        SELECT item.id, price.sku_id, item.show_id, item.on_shelf, coalesce(offer.price_amount, price.price_amount),
               price.currency, CASE WHEN wave.id IS NULL THEN item.limit_per_person ELSE wave.limit_per_person END,
               CASE WHEN wave.id IS NULL THEN item.sale_ends_at ELSE wave.ends_at END, wave.id,
               wave.id IS NULL OR wave.state = 'open', item.promise_id, item.price_max
        FROM unnest(%(item_ids)s::uuid[], %(sku_ids)s::uuid[]) AS wanted (item_id, sku_id)
        JOIN live.cart_item AS item ON item.id = wanted.item_id
        JOIN live.cart_price AS price ON price.item_id = item.id AND price.sku_id = wanted.sku_id
        LEFT JOIN live.wave ON wave.id = item.wave_id
        LEFT JOIN live.wave_price AS offer ON offer.wave_id = wave.id AND offer.sku_id = price.sku_id
        """,
        item_ids=[item_id for item_id, _ in pairs],
        sku_ids=[sku_id for _, sku_id in pairs],
    )
    shows = await tx.tuples("SELECT id, state FROM live.show WHERE id = ANY(%(ids)s::uuid[])", ids=show_ids)
    return (
        {show_id: ShowQuote(state) for show_id, state in shows},
        {(row[0], row[1]): Quote._make(row[2:]) for row in found},
    )
