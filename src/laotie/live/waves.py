"""Waves: one sale after another of the same item, each with its own pieces, price, limit per person and time.

A wave is planned with its pieces set aside from the shelf; it opens at once or when the streamer calls, and ends as
`live.endings` tells. While an item has a wave that has not ended, it sells in waves only: from the open one, or not at all.
One wave of an item is open at a time; opening the next ends it. Waves are kept as history.

Locks: the show's row, the item, the SKUs (ascending), as everywhere.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from laotie import catalog, identity
from laotie.base.db import Tx
from laotie.base.ids import CartItemId, ProductId, ShopId, ShowId, SkuId, new_id
from laotie.base.money import Money
from laotie.base.refusals import IdReused, NotFound
from laotie.identity import Actor, Scope
from laotie.live.endings import end_waves, point_anew
from laotie.live.model import (
    WAVE_LASTS_S_MAX,
    WAVES_OF_ITEM_MAX,
    WAVES_READY_MAX,
    NotOnShelf,
    PromiseDraft,
    PromiseStands,
    ShowEnded,
    ShowState,
    TooManyWaves,
    Wave,
    WaveDraft,
    WaveEnd,
    WaveOver,
    WavePieces,
    WaveRefused,
    WaveState,
    check_limit,
)
from laotie.live.promises import check_bound, check_promise, write_promise
from laotie.live.shows import Held, hold_show

WAVES_LISTED_MAX = 2_000


class _Item(msgspec.Struct, frozen=True):
    product_id: ProductId
    on_shelf: bool


class _Price(msgspec.Struct, frozen=True):
    sku_id: SkuId
    price_amount: int
    currency: str


class _Row(msgspec.Struct, frozen=True):
    id: UUID
    show_id: ShowId
    item_id: CartItemId
    product_id: ProductId
    no: int
    state: WaveState
    limit_per_person: int | None
    lasts_s: int | None
    promise: PromiseDraft | None
    created_at: datetime
    opened_at: datetime | None
    ends_at: datetime | None
    ended_at: datetime | None
    end_reason: WaveEnd | None
    digest: bytes
    prices: list[_Price]


async def plan_wave(tx: Tx, actor: Actor, item_id: CartItemId, draft: WaveDraft) -> Wave:
    """Set pieces aside for a wave of this item, and open it unless it waits to be called.

    The same draft again gives the same wave. Refuses `WaveRefused`, `catalog.AsideShort`, `PromiseStands`,
    `TooManyWaves`, `NotOnShelf`, `ShowEnded`, `IdReused`. Tells `CartItemChanged` and the stock's news.
    """
    held = await _hold_show_of(tx, actor, item_id)
    digest = catalog.digest_of(item_id, draft)
    known = await _find(tx, draft.id)
    if known is not None:
        if known.digest != digest:
            raise IdReused()
        return (await _with_pieces(tx, [known]))[0]
    item = await _hold_item(tx, item_id)
    if not item.on_shelf:
        raise NotOnShelf(item_id=item_id)
    prices = await _check_draft(tx, item_id, draft)
    no = await _next_no(tx, item_id)
    promise = draft.promise and check_promise(draft.promise, currency=prices[0].currency)
    await tx.run(
        """
        INSERT INTO live.wave (id, show_id, item_id, product_id, no, state, limit_per_person, lasts_s, promise,
                               created_at, digest)
        VALUES (%(id)s, %(show_id)s, %(item_id)s, %(product_id)s, %(no)s, 'ready', %(limit)s, %(lasts_s)s, %(promise)s,
                %(now)s, %(digest)s)
        """,
        id=draft.id,
        show_id=held.id,
        item_id=item_id,
        product_id=item.product_id,
        no=no,
        limit=check_limit(draft.limit_per_person),
        lasts_s=draft.lasts_s,
        promise=None if promise is None else Jsonb(promise),
        now=tx.now,
        digest=digest,
    )
    await _put_prices(tx, draft.id, prices)
    await _set_aside(tx, draft.id, [(one.sku_id, one.pieces, new_id()) for one in draft.skus])
    if draft.opens:
        await _open(tx, actor, held, draft.id)
    else:
        await point_anew(tx, held.id, [item_id])
    return await _get(tx, draft.id)


async def open_wave(tx: Tx, actor: Actor, wave_id: UUID) -> Wave:
    """Open a wave that is ready; its time begins, and the wave before it ends. An open one stays as it is.

    Refuses `WaveOver`, `ShowEnded` unless the show is live, `NotOnShelf`, `PromiseStands`.
    """
    row, held = await _hold_wave(tx, actor, wave_id)
    if row.state is WaveState.ended:
        raise WaveOver(wave_id=wave_id)
    if row.state is WaveState.ready:
        item = await _hold_item(tx, row.item_id)
        if not item.on_shelf:
            raise NotOnShelf(item_id=row.item_id)
        await check_bound(tx, row.item_id, [Money(one.price_amount, one.currency) for one in row.prices])
        await _open(tx, actor, held, wave_id)
    return await _get(tx, wave_id)


async def close_wave(tx: Tx, actor: Actor, wave_id: UUID) -> Wave:
    """End a wave, or give one up that is ready: what is left goes back to the shelf. An ended one stays as it is."""
    row, held = await _hold_wave(tx, actor, wave_id, or_ended=True)
    if row.state is not WaveState.ended:
        await end_waves(tx, held.id, [wave_id], WaveEnd.closed)
    return await _get(tx, wave_id)


async def add_pieces(tx: Tx, actor: Actor, wave_id: UUID, addition_id: UUID, *, sku_id: SkuId, pieces: int) -> Wave:
    """Set more pieces of one of the wave's SKUs aside for it. The same addition again adds nothing.

    Refuses `WaveOver`, `WaveRefused`, `catalog.AsideShort`.
    """
    row, held = await _hold_wave(tx, actor, wave_id)
    if row.state is WaveState.ended:
        raise WaveOver(wave_id=wave_id)
    if all(one.sku_id != sku_id for one in row.prices):
        raise WaveRefused(lasts_s_max=WAVE_LASTS_S_MAX)
    await _hold_item(tx, row.item_id)
    await _set_aside(tx, wave_id, [(sku_id, pieces, addition_id)])
    await point_anew(tx, held.id, [row.item_id])
    return await _get(tx, wave_id)


async def list_waves(tx: Tx, actor: Actor, show_id: ShowId) -> list[Wave]:
    """All waves of a show in the order they were planned, those of items long gone, too. Needs the scope `show`."""
    shop_id = await tx.maybe(ShopId, "SELECT shop_id FROM live.show WHERE id = %(id)s", id=show_id)
    if shop_id is None:
        raise NotFound()
    await identity.require_seat(tx, actor, shop_id, Scope.show)
    return await _with_pieces(tx, await _list(tx, show_id))


async def _open(tx: Tx, actor: Actor, held: Held, wave_id: UUID) -> None:
    """The caller holds the show and the item."""
    if held.state is not ShowState.live:
        raise ShowEnded(show_id=held.id)
    row = await _find(tx, wave_id)
    assert row is not None
    before = await tx.all(UUID, "SELECT id FROM live.wave WHERE item_id = %(id)s AND state = 'open'", id=row.item_id)
    await end_waves(tx, held.id, before, WaveEnd.next)
    await tx.run(
        "UPDATE live.wave SET state = 'open', opened_at = %(now)s, ends_at = %(ends_at)s WHERE id = %(id)s",
        id=wave_id,
        now=tx.now,
        ends_at=None if row.lasts_s is None else tx.now + timedelta(seconds=row.lasts_s),
    )
    if row.promise is not None:
        await write_promise(tx, actor, row.item_id, row.promise, wave_id=wave_id)
    else:
        await point_anew(tx, held.id, [row.item_id])


async def _hold_show_of(tx: Tx, actor: Actor, item_id: CartItemId) -> Held:
    show_id = await tx.maybe(ShowId, "SELECT show_id FROM live.cart_item WHERE id = %(id)s", id=item_id)
    if show_id is None:
        raise NotFound()
    return await hold_show(tx, actor, show_id)


async def _hold_wave(tx: Tx, actor: Actor, wave_id: UUID, *, or_ended: bool = False) -> tuple[_Row, Held]:
    show_id = await tx.maybe(ShowId, "SELECT show_id FROM live.wave WHERE id = %(id)s", id=wave_id)
    if show_id is None:
        raise NotFound()
    held = await hold_show(tx, actor, show_id, or_ended=or_ended)
    row = await _find(tx, wave_id)
    assert row is not None
    return row, held


async def _hold_item(tx: Tx, item_id: CartItemId) -> _Item:
    item = await tx.maybe(
        _Item, "SELECT product_id, on_shelf FROM live.cart_item WHERE id = %(id)s FOR NO KEY UPDATE", id=item_id
    )
    if item is None:
        raise NotFound()
    return item


async def _check_draft(tx: Tx, item_id: CartItemId, draft: WaveDraft) -> list[_Price]:
    """What each SKU of the wave costs in it, or a refusal."""
    of_cart = {
        one.sku_id: one
        for one in await tx.all(
            _Price, "SELECT sku_id, price_amount, currency FROM live.cart_price WHERE item_id = %(id)s", id=item_id
        )
    }
    named = [one.sku_id for one in draft.skus]
    lasting = draft.lasts_s is None or 0 < draft.lasts_s <= WAVE_LASTS_S_MAX
    if not named or len(set(named)) < len(named) or any(sku_id not in of_cart for sku_id in named) or not lasting:
        raise WaveRefused(lasts_s_max=WAVE_LASTS_S_MAX)
    prices = []
    for one in draft.skus:
        usual = of_cart[one.sku_id]
        amount = usual.price_amount if one.price is None else catalog.check_price(one.price, currency=usual.currency)
        prices.append(_Price(one.sku_id, amount, usual.currency))
    asked = [Money(one.price_amount, one.currency) for one in prices]
    await check_bound(tx, item_id, asked)
    promised = draft.promise.price if draft.promise is not None else None
    for price in asked:
        if promised is not None and price.amount > promised.amount:
            raise PromiseStands(price_max=promised)
    return prices


async def _next_no(tx: Tx, item_id: CartItemId) -> int:
    last, ready_count = (
        await tx.tuples(
            """
            SELECT coalesce(max(no), 0), count(*) FILTER (WHERE state = 'ready') FROM live.wave WHERE item_id = %(id)s
            """,
            id=item_id,
        )
    )[0]
    if last >= WAVES_OF_ITEM_MAX:
        raise TooManyWaves(count_max=WAVES_OF_ITEM_MAX)
    if ready_count >= WAVES_READY_MAX:
        raise TooManyWaves(count_max=WAVES_READY_MAX)
    return int(last) + 1


async def _put_prices(tx: Tx, wave_id: UUID, prices: list[_Price]) -> None:
    await tx.run(
        """
        INSERT INTO live.wave_price (wave_id, sku_id, price_amount, currency)
        SELECT %(wave_id)s, price.sku_id, price.amount, price.currency
        FROM unnest(%(sku_ids)s::uuid[], %(amounts)s::bigint[], %(currencies)s::text[])
          AS price (sku_id, amount, currency)
        """,
        wave_id=wave_id,
        sku_ids=[price.sku_id for price in prices],
        amounts=[price.price_amount for price in prices],
        currencies=[price.currency for price in prices],
    )


async def _set_aside(tx: Tx, wave_id: UUID, pieces: list[tuple[SkuId, int, UUID]]) -> None:
    await catalog.set_aside(tx, wave_id, [catalog.Portion(*one) for one in pieces])


async def _find(tx: Tx, wave_id: UUID) -> _Row | None:
    return await tx.maybe(
        _Row,
        """
        SELECT id, show_id, item_id, product_id, no, state, limit_per_person, lasts_s, promise, created_at, opened_at,
               ends_at, ended_at, end_reason, digest,
               (SELECT coalesce(json_agg(json_build_object('sku_id', sku_id, 'price_amount', price_amount,
                                                           'currency', currency) ORDER BY sku_id), '[]')
                FROM live.wave_price WHERE wave_id = wave.id) AS prices
        FROM live.wave WHERE id = %(id)s
        """,
        id=wave_id,
    )


async def _list(tx: Tx, show_id: ShowId) -> list[_Row]:
    return await tx.all(
        _Row,
        """
        SELECT id, show_id, item_id, product_id, no, state, limit_per_person, lasts_s, promise, created_at, opened_at,
               ends_at, ended_at, end_reason, digest,
               (SELECT coalesce(json_agg(json_build_object('sku_id', sku_id, 'price_amount', price_amount,
                                                           'currency', currency) ORDER BY sku_id), '[]')
                FROM live.wave_price WHERE wave_id = wave.id) AS prices
        FROM live.wave WHERE show_id = %(id)s ORDER BY created_at, id LIMIT %(limit)s
        """,
        id=show_id,
        limit=WAVES_LISTED_MAX,
    )


async def _get(tx: Tx, wave_id: UUID) -> Wave:
    row = await _find(tx, wave_id)
    assert row is not None
    return (await _with_pieces(tx, [row]))[0]


async def _with_pieces(tx: Tx, rows: list[_Row]) -> list[Wave]:
    asides = await catalog.find_asides(tx, [row.id for row in rows])
    hidden = ("prices", "digest", "promise")
    return [
        Wave(
            skus=[
                WavePieces(
                    sku_id=price.sku_id,
                    price=Money(price.price_amount, price.currency),
                    pieces=aside.put,
                    remaining=aside.remaining,
                    returned=aside.returned,
                )
                for price in row.prices
                if (aside := asides.get(row.id, {}).get(price.sku_id)) is not None
            ],
            **{name: getattr(row, name) for name in _Row.__struct_fields__ if name not in hidden},
        )
        for row in rows
    ]
