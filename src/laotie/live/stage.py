"""Reads for screens: a show, its cart, cards of shows, a streamer's page. Few statements each, whatever the number.

What a show's page and the first frame of its socket show is the same `Snapshot`; what changes later is read again by
`cart_item_view`. Fields that only the doors know (`playback`, the count to the second) are theirs to fill in.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from laotie import catalog, identity
from laotie.base.db import Tx
from laotie.base.ids import AccountId, CartItemId, ProductId, RoomId, ShopId, ShowId, SkuId
from laotie.base.money import Money
from laotie.base.refusals import NotFound
from laotie.catalog import Page, Product, ProductState, Sku, SkuState
from laotie.catalog.brand_model import Origin
from laotie.live.model import (
    COUNT_FRESH_S,
    LIVE_SHOWS_MAX,
    PAGE_SIZE_MAX,
    PAST_SHOWS_SHOWN_MAX,
    CartItem,
    CartSku,
    CartWave,
    OnAir,
    Person,
    PinnedOffer,
    Playback,
    Promise,
    Show,
    ShowCard,
    ShowCounts,
    ShowState,
    Snapshot,
    Streamer,
    StreamerBrief,
    WaveState,
)
from laotie.live.promises import find_promises
from laotie.live.rooms import find_room_of
from laotie.media import ChannelId, MediaServer

PROFILES_ASKED_MAX = 500
OFFERED_MAX = 5_000

class _ShowRow(msgspec.Struct, frozen=True):
    id: ShowId
    room_id: RoomId
    shop_id: ShopId
    streamer_id: AccountId
    title: str
    cover: str | None
    state: ShowState
    planned_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    pinned_item_id: CartItemId | None
    version: int
    viewer_count: int
    viewer_peak: int
    like_count: int


class _Tag(msgspec.Struct, frozen=True):
    sku_id: SkuId
    amount: int
    currency: str


class _ItemRow(msgspec.Struct, frozen=True):
    id: CartItemId
    product_id: ProductId
    position: int
    on_shelf: bool
    pinned: bool
    explaining_since: datetime | None
    limit_per_person: int | None
    sale_ends_at: datetime | None
    version: int
    promise_id: UUID | None
    tags: list[_Tag]
    wave: "_WaveRow | None"


class _WaveRow(msgspec.Struct, frozen=True):
    id: UUID
    no: int
    state: WaveState
    limit_per_person: int | None
    lasts_s: int | None
    opened_at: datetime | None
    ends_at: datetime | None
    tags: list[_Tag]


async def get_show(tx: Tx, show_id: ShowId) -> Show:
    """A show, or `NotFound`."""
    show = (await find_shows(tx, [show_id])).get(show_id)
    if show is None:
        raise NotFound()
    return show


async def find_shows(tx: Tx, show_ids: list[ShowId]) -> dict[ShowId, Show]:
    """Those of the shows that exist, by id, in the order asked."""
    rows = await _find_rows(tx, show_ids)
    people = await find_people(tx, [row.streamer_id for row in rows])
    return {
        row.id: Show(
            id=row.id,
            room_id=row.room_id,
            shop_id=row.shop_id,
            streamer=people[row.streamer_id],
            title=row.title,
            cover=row.cover,
            state=row.state,
            planned_at=row.planned_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
            viewer_count=row.viewer_count,
            viewer_peak=row.viewer_peak,
            like_count=row.like_count,
            pinned_item_id=row.pinned_item_id,
            version=row.version,
        )
        for row in rows
    }


def playback_of(media: MediaServer | None, show: Show) -> Playback | None:
    """Where the show's picture is, while this process has one (also while the encoder is expected back)."""
    if media is None or show.state is not ShowState.live:
        return None
    address = media.find_playback(ChannelId(show.id))
    return None if address is None else Playback(hls=address, away_since=media.find_away_since(ChannelId(show.id)))


def cover_of(media: MediaServer | None, show: Show | ShowCard) -> str | None:
    """The show's cover; one that has none and is on air here is shown by a frame of its own picture."""
    show_id = show.id if isinstance(show, Show) else show.show_id
    if show.cover is not None or show.state is not ShowState.live or not _has_picture(media, show_id):
        return show.cover
    return poster_of(show_id)


def poster_of(show_id: ShowId) -> str:
    """Where a frame of the picture of a show on air is."""
    return f"/media/{show_id}/poster.jpg"


async def list_shows(
    tx: Tx, shop_id: ShopId, *, state: ShowState | None = None, after: ShowId | None = None, limit: int = 20
) -> Page[Show]:
    """A shop's shows, newest first."""
    limit = max(1, min(limit, PAGE_SIZE_MAX))
    ids = await tx.all(
        UUID,
        """
        SELECT id FROM live.show
        WHERE shop_id = %(shop_id)s AND (%(state)s::text IS NULL OR state = %(state)s)
          AND (%(after)s::uuid IS NULL OR id < %(after)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        shop_id=shop_id,
        state=state,
        after=after,
        limit=limit + 1,
    )
    shows = await find_shows(tx, [ShowId(id_) for id_ in ids[:limit]])
    return Page(list(shows.values()), ids[limit - 1] if len(ids) > limit else None)


async def snapshot(tx: Tx, show_id: ShowId) -> Snapshot:
    """A show with its cart, or `NotFound`. Within `db.read()` all of it is of one instant."""
    return Snapshot(await get_show(tx, show_id), await list_cart(tx, show_id))


async def list_cart(tx: Tx, show_id: ShowId) -> list[CartItem]:
    """The show's cart in its order; off-shelf items are in it and say so. Empty for a show that does not exist."""
    return await _view(
        tx,
        await tx.all(
            _ItemRow,
            """
            SELECT item.id, item.product_id, item.position, item.on_shelf, item.explaining_since,
                   item.limit_per_person, item.sale_ends_at, item.version, item.promise_id,
                   item.id IS NOT DISTINCT FROM show.pinned_item_id AS pinned,
                   (SELECT coalesce(json_agg(json_build_object(
                        'sku_id', price.sku_id, 'amount', price.price_amount, 'currency', price.currency)), '[]')
                    FROM live.cart_price AS price WHERE price.item_id = item.id) AS tags,
                   (SELECT json_build_object('id', wave.id, 'no', wave.no, 'state', wave.state,
                        'limit_per_person', wave.limit_per_person, 'lasts_s', wave.lasts_s,
                        'opened_at', wave.opened_at, 'ends_at', wave.ends_at,
                        'tags', (SELECT json_agg(json_build_object(
                            'sku_id', price.sku_id, 'amount', price.price_amount, 'currency', price.currency))
                         FROM live.wave_price AS price WHERE price.wave_id = wave.id))
                    FROM live.wave WHERE wave.id = item.wave_id) AS wave
            FROM live.cart_item AS item JOIN live.show ON show.id = item.show_id
            WHERE item.show_id = %(show_id)s ORDER BY item.position, item.id
            """,
            show_id=show_id,
        ),
    )


async def cart_item_view(tx: Tx, item_id: CartItemId) -> CartItem | None:
    """One item of a cart as everybody sees it, or nothing when it is gone."""
    views = await _view(
        tx,
        await tx.all(
            _ItemRow,
            """
            SELECT item.id, item.product_id, item.position, item.on_shelf, item.explaining_since,
                   item.limit_per_person, item.sale_ends_at, item.version, item.promise_id,
                   item.id IS NOT DISTINCT FROM show.pinned_item_id AS pinned,
                   (SELECT coalesce(json_agg(json_build_object(
                        'sku_id', price.sku_id, 'amount', price.price_amount, 'currency', price.currency)), '[]')
                    FROM live.cart_price AS price WHERE price.item_id = item.id) AS tags,
                   (SELECT json_build_object('id', wave.id, 'no', wave.no, 'state', wave.state,
                        'limit_per_person', wave.limit_per_person, 'lasts_s', wave.lasts_s,
                        'opened_at', wave.opened_at, 'ends_at', wave.ends_at,
                        'tags', (SELECT json_agg(json_build_object(
                            'sku_id', price.sku_id, 'amount', price.price_amount, 'currency', price.currency))
                         FROM live.wave_price AS price WHERE price.wave_id = wave.id))
                    FROM live.wave WHERE wave.id = item.wave_id) AS wave
            FROM live.cart_item AS item JOIN live.show ON show.id = item.show_id
            WHERE item.id = %(item_id)s
            """,
            item_id=item_id,
        ),
    )
    return views[0] if views else None


async def find_cards(tx: Tx, show_ids: list[ShowId]) -> dict[ShowId, ShowCard]:
    """Shows as lists present them, by id, in the order asked."""
    rows = await _find_rows(tx, show_ids)
    people = await find_people(tx, [row.streamer_id for row in rows])
    pinned = await _find_pinned(tx, [row.id for row in rows if row.pinned_item_id and row.state is ShowState.live])
    return {
        row.id: ShowCard(
            show_id=row.id,
            streamer=people[row.streamer_id],
            title=row.title,
            cover=row.cover,
            state=row.state,
            viewer_count=row.viewer_count,
            planned_at=row.planned_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
            pinned=pinned.get(row.id),
        )
        for row in rows
    }


async def list_on_air(tx: Tx) -> list[OnAir]:
    """Every live show in brief, for ranking; the latest `LIVE_SHOWS_MAX` of them."""
    return await tx.all(
        OnAir,
        """
        SELECT show.id AS show_id, show.streamer_id, show.started_at, coalesce(audience.viewers, 0) AS viewer_count
        FROM live.show LEFT JOIN (
            SELECT show_id, sum(viewer_count) AS viewers FROM live.audience
            WHERE counted_at > %(fresh)s GROUP BY show_id
        ) AS audience ON audience.show_id = show.id
        WHERE show.state = 'live' ORDER BY show.started_at DESC, show.id DESC LIMIT %(limit)s
        """,
        fresh=tx.now - timedelta(seconds=COUNT_FRESH_S),
        limit=LIVE_SHOWS_MAX,
    )


async def find_offered(tx: Tx, product_ids: list[ProductId] | None = None) -> dict[ProductId, ShowId]:
    """What live shows offer at this moment, each with the latest such show: of these products, or of all."""
    rows = await tx.tuples(
        """
        SELECT DISTINCT ON (item.product_id) item.product_id, show.id
        FROM live.show JOIN live.cart_item AS item ON item.show_id = show.id
        WHERE show.state = 'live' AND item.on_shelf AND (item.sale_ends_at IS NULL OR item.sale_ends_at > %(now)s)
          AND (%(ids)s::uuid[] IS NULL OR item.product_id = ANY(%(ids)s))
        ORDER BY item.product_id, show.started_at DESC, show.id DESC LIMIT %(limit)s
        """,
        ids=product_ids,
        now=tx.now,
        limit=OFFERED_MAX,
    )
    return {ProductId(product_id): ShowId(show_id) for product_id, show_id in rows}


async def find_streamers(tx: Tx, streamer_ids: list[AccountId]) -> dict[AccountId, StreamerBrief]:
    """Every one asked about, by id: name and headline, the live show if there is one, when they were last live.

    Somebody without a room, or whose name is gone, is still in the answer, with what there is.
    """
    people = await find_people(tx, streamer_ids)
    rooms = await tx.all(
        _RoomRow,
        """
        SELECT room.streamer_id, room.title,
               (SELECT show.id FROM live.show WHERE show.room_id = room.id AND show.state = 'live') AS live_show_id,
               (SELECT max(coalesce(show.ended_at, %(now)s)) FROM live.show
                WHERE show.room_id = room.id AND show.started_at IS NOT NULL) AS last_live_at
        FROM live.room WHERE room.streamer_id = ANY(%(ids)s)
        """,
        ids=streamer_ids,
        now=tx.now,
    )
    by_streamer = {room.streamer_id: room for room in rooms}
    return {
        streamer_id: StreamerBrief(
            person=people[streamer_id],
            headline=room.title if (room := by_streamer.get(streamer_id)) else "",
            live_show_id=room.live_show_id if room else None,
            last_live_at=room.last_live_at if room else None,
        )
        for streamer_id in streamer_ids
    }


async def find_hosts(tx: Tx, show_ids: list[ShowId]) -> dict[ShowId, AccountId]:
    """Whose show each of these is; unknown ones are left out."""
    hosts = await tx.tuples("SELECT id, streamer_id FROM live.show WHERE id = ANY(%(ids)s)", ids=show_ids)
    return {ShowId(show_id): AccountId(streamer_id) for show_id, streamer_id in hosts}


class _RoomRow(msgspec.Struct, frozen=True):
    streamer_id: AccountId
    title: str
    live_show_id: ShowId | None
    last_live_at: datetime | None


class _OfRoom(msgspec.Struct, frozen=True):
    id: ShowId
    state: ShowState


async def get_streamer(tx: Tx, streamer_id: AccountId) -> Streamer:
    """A streamer's page: profile, shop with its stores, live, next and past shows. `NotFound` without a room."""
    room = await find_room_of(tx, streamer_id)
    if room is None:
        raise NotFound()
    shows = await tx.all(
        _OfRoom,
        """
        (SELECT id, state FROM live.show WHERE room_id = %(room_id)s AND state = 'live')
        UNION ALL
        (SELECT id, state FROM live.show WHERE room_id = %(room_id)s AND state = 'scheduled' AND planned_at > %(now)s
         ORDER BY planned_at, id LIMIT 1)
        UNION ALL
        (SELECT id, state FROM live.show WHERE room_id = %(room_id)s AND state = 'ended' AND started_at IS NOT NULL
         ORDER BY started_at DESC, id DESC LIMIT %(past_max)s)
        """,
        room_id=room.id,
        now=tx.now,
        past_max=PAST_SHOWS_SHOWN_MAX,
    )
    cards = await find_cards(tx, [show.id for show in shows])
    profile = (await identity.find_profiles(tx, [streamer_id])).get(streamer_id)
    by_state = {state: [cards[show.id] for show in shows if show.state is state] for state in ShowState}
    return Streamer(
        person=_person(streamer_id, profile),
        about=profile.about if profile else "",
        headline=room.title,
        room_id=room.id,
        shop=await catalog.get_shop(tx, room.shop_id),
        live_show=next(iter(by_state[ShowState.live]), None),
        next_show=next(iter(by_state[ShowState.scheduled]), None),
        past_shows=by_state[ShowState.ended],
    )


async def find_people(tx: Tx, account_ids: list[AccountId]) -> dict[AccountId, Person]:
    """Everybody asked about, by id; somebody whose name is gone has an empty one."""
    wanted = list(dict.fromkeys(account_ids))
    profiles: dict[AccountId, identity.Profile] = {}
    for start in range(0, len(wanted), PROFILES_ASKED_MAX):
        profiles |= await identity.find_profiles(tx, wanted[start : start + PROFILES_ASKED_MAX])
    return {account_id: _person(account_id, profiles.get(account_id)) for account_id in wanted}


async def count_shows(tx: Tx) -> ShowCounts:
    """How many shows there are in each state."""
    return await tx.one(
        ShowCounts,
        """
        SELECT count(*) FILTER (WHERE state = 'scheduled') AS scheduled, count(*) FILTER (WHERE state = 'live') AS live,
               count(*) FILTER (WHERE state = 'ended') AS ended
        FROM live.show
        """,
    )


def _has_picture(media: MediaServer | None, show_id: ShowId) -> bool:
    return media is not None and media.has_poster(ChannelId(show_id))


def _person(account_id: AccountId, profile: identity.Profile | None) -> Person:
    return Person(account_id, profile.name if profile else "", profile.avatar if profile else None)


async def _find_rows(tx: Tx, show_ids: list[ShowId]) -> list[_ShowRow]:
    rows = await tx.all(
        _ShowRow,
        """
        SELECT show.id, show.room_id, show.shop_id, show.streamer_id, show.title,
               coalesce(show.cover, room.cover) AS cover, show.state,
               show.planned_at, show.started_at, show.ended_at, show.pinned_item_id, show.version,
               CASE WHEN show.state = 'live' THEN coalesce(audience.viewers, 0) ELSE 0 END AS viewer_count,
               coalesce(peak.viewer_count, 0) AS viewer_peak, coalesce(audience.likes, 0) AS like_count
        FROM live.show
        JOIN live.room ON room.id = show.room_id
        LEFT JOIN live.audience_peak AS peak ON peak.show_id = show.id
        LEFT JOIN LATERAL (
            SELECT (sum(viewer_count) FILTER (WHERE counted_at > %(fresh)s))::bigint AS viewers,
                   sum(like_count)::bigint AS likes
            FROM live.audience WHERE audience.show_id = show.id
        ) AS audience ON true
        WHERE show.id = ANY(%(ids)s)
        """,
        ids=show_ids,
        fresh=tx.now - timedelta(seconds=COUNT_FRESH_S),
    )
    by_id = {row.id: row for row in rows}
    return [by_id[show_id] for show_id in dict.fromkeys(show_ids) if show_id in by_id]


class _PinnedRow(msgspec.Struct, frozen=True):
    show_id: ShowId
    product_id: ProductId
    price_amount: int
    currency: str


async def _find_pinned(tx: Tx, show_ids: list[ShowId]) -> dict[ShowId, PinnedOffer]:
    if not show_ids:
        return {}
    rows = await tx.all(
        _PinnedRow,
        """
        SELECT show.id AS show_id, item.product_id,
               min(coalesce(offer.price_amount, price.price_amount)) AS price_amount, min(price.currency) AS currency
        FROM live.show
        JOIN live.cart_item AS item ON item.id = show.pinned_item_id AND item.on_shelf
        JOIN live.cart_price AS price ON price.item_id = item.id
        LEFT JOIN live.wave ON wave.id = item.wave_id AND wave.state = 'open'
        LEFT JOIN live.wave_price AS offer ON offer.wave_id = wave.id AND offer.sku_id = price.sku_id
        WHERE show.id = ANY(%(ids)s) GROUP BY show.id, item.product_id
        """,
        ids=show_ids,
    )
    products = await catalog.find_products(tx, [row.product_id for row in rows])
    return {
        row.show_id: PinnedOffer(
            product.title, catalog.picture_of(product.id, product.images), Money(row.price_amount, row.currency)
        )
        for row in rows
        if (product := products.get(row.product_id)) is not None
    }


async def _view(tx: Tx, rows: list[_ItemRow]) -> list[CartItem]:
    products = await catalog.find_products(tx, [row.product_id for row in rows])
    asides = await catalog.find_asides(tx, [row.wave.id for row in rows if row.wave is not None])
    promises = await find_promises(tx, [row.promise_id for row in rows if row.promise_id is not None])
    told = [one.id for one in products.values() if one.brand_id is not None or one.batch_id is not None]
    origins = await catalog.covering.find_origins(tx, told) if told else {}
    return [
        _item(
            row,
            products[row.product_id],
            asides.get(row.wave.id, {}) if row.wave is not None else {},
            promises.get(row.promise_id) if row.promise_id is not None else None,
            origins.get(row.product_id),
        )
        for row in rows
        if row.product_id in products
    ]


def _item(
    row: _ItemRow,
    product: Product,
    asides: dict[SkuId, catalog.Aside],
    promise: Promise | None,
    origin: Origin | None,
) -> CartItem:
    tags = {tag.sku_id: tag for tag in row.tags}
    skus = [sku for sku in product.skus if sku.state is SkuState.active and sku.id in tags]
    return CartItem(
        id=row.id,
        product_id=row.product_id,
        position=row.position,
        title=product.title,
        image=catalog.picture_of(product.id, product.images),
        on_shelf=row.on_shelf and product.state is ProductState.listed,
        pinned=row.pinned,
        explaining_since=row.explaining_since,
        limit_per_person=row.limit_per_person,
        sale_ends_at=row.sale_ends_at,
        skus=[_sku(sku, tags[sku.id], row.wave, asides.get(sku.id)) for sku in skus],
        version=row.version,
        wave=None if row.wave is None else _wave(row.wave, asides),
        promise=promise,
        origin=origin,
    )


def _sku(sku: Sku, tag: _Tag, wave: _WaveRow | None, aside: catalog.Aside | None) -> CartSku:
    """While a wave is open, its price and its pieces; while one is ready, nothing can be bought."""
    available = sku.available
    if wave is not None:
        tag = next((one for one in wave.tags if one.sku_id == sku.id), tag)
        available = aside.remaining if aside is not None and wave.state is WaveState.open else 0
    return CartSku(
        sku_id=sku.id,
        options=sku.options,
        price=Money(tag.amount, tag.currency),
        list_price=sku.crossed_beside(tag.amount),
        available=available,
        aside=aside.remaining if aside is not None else 0,
    )


def _wave(row: _WaveRow, asides: dict[SkuId, catalog.Aside]) -> CartWave:
    fields = {name: getattr(row, name) for name in _WaveRow.__struct_fields__ if name != "tags"}
    return CartWave(pieces=sum(aside.put for aside in asides.values()), **fields)
