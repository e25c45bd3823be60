"""Reads for screens: videos as everybody sees them, a shop's own list with figures, what a feed weighs."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from laotie import catalog, identity
from laotie.base.db import Tx
from laotie.base.ids import AccountId, ProductId, ShopId, ShowId, ViewerId
from laotie.base.money import Money
from laotie.base.refusals import NotFound
from laotie.base.signer import Signer
from laotie.catalog import Page, Product, ProductState, SkuState
from laotie.identity import Actor, Scope
from laotie.videos.films import film_address, poster_address, preview_address
from laotie.videos.model import (
    PAGE_SIZE_MAX,
    VIDEOS_WEIGHED_MAX,
    Figures,
    FilmState,
    Merits,
    OwnVideo,
    Video,
    VideoId,
    VideoProduct,
    VideoState,
    VideoStreamer,
    video_in,
)

EXPORTED_MAX = 10_000


class SaidVideo(msgspec.Struct, frozen=True):
    """A comment in a person's export."""

    video_id: VideoId
    text: str
    said_at: datetime


class LikedVideo(msgspec.Struct, frozen=True):
    """A like in a person's export."""

    video_id: VideoId
    liked_at: datetime


class WatchedVideo(msgspec.Struct, frozen=True):
    """A play in a person's export."""

    video_id: VideoId
    watched_ms: int
    began_at: datetime


class OwnTitle(msgspec.Struct, frozen=True):
    """A video of one's own in a person's export."""

    id: VideoId
    title: str
    created_at: datetime


class Export(msgspec.Struct, frozen=True):
    """What this room holds about a person."""

    videos: list[OwnTitle]
    comments: list[SaidVideo]
    likes: list[LikedVideo]
    plays: list[WatchedVideo]


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    id: VideoId
    shop_id: ShopId
    streamer_id: AccountId
    title: str
    cover: str | None
    film_id: UUID
    duration_ms: int
    width: int
    height: int
    product_ids: list[ProductId]
    warms_up: ShowId | None
    plays: int
    likes: int
    comments: int
    is_liked: bool
    published_at: datetime


class _OwnRow(msgspec.Struct, frozen=True, kw_only=True):
    id: VideoId
    shop_id: ShopId
    streamer_id: AccountId
    title: str
    cover: str | None
    state: VideoState
    film_state: FilmState
    film_id: UUID
    progress_bps: int
    problem: str | None
    duration_ms: int | None
    width: int | None
    height: int | None
    product_ids: list[ProductId]
    warms_up: ShowId | None
    plays: int
    watched_ms: int
    likes: int
    comments: int
    orders: int
    paid_orders: int
    gmv: int
    gmv_paid: int
    created_at: datetime
    published_at: datetime | None


async def get_video(tx: Tx, viewer_id: ViewerId, video_id: VideoId) -> Video:
    """A video that can be seen, or `NotFound`."""
    video = (await find_videos(tx, viewer_id, [video_id])).get(video_id)
    if video is None:
        raise NotFound()
    return video


async def find_videos(tx: Tx, viewer_id: ViewerId, video_ids: Sequence[VideoId]) -> dict[VideoId, Video]:
    """Those of the videos that can be seen, by id, in the order asked, as this viewer sees them."""
    rows = await tx.all(
        _Row,
        """
        SELECT video.id, shop_id, streamer_id, title, cover, film_id, duration_ms, width, height, warms_up,
               published_at, coalesce(sums.plays, 0)::bigint AS plays, coalesce(sums.likes, 0)::bigint AS likes,
               coalesce(sums.comments, 0)::bigint AS comments,
               ARRAY(SELECT product_id FROM videos.product WHERE video_id = video.id ORDER BY position) AS product_ids,
               EXISTS (SELECT FROM videos.liking WHERE liking.video_id = video.id
                         AND liking.viewer_id = %(viewer_id)s) AS is_liked
        FROM videos.video
        LEFT JOIN (SELECT video_id, sum(plays) AS plays, sum(likes) AS likes, sum(comments) AS comments
                   FROM videos.figure WHERE video_id = ANY(%(ids)s) GROUP BY video_id) AS sums ON sums.video_id = video.id
        WHERE video.id = ANY(%(ids)s) AND state = 'published' AND film_state = 'ready'
        """,
        ids=list(video_ids),
        viewer_id=viewer_id,
    )
    by_id = {row.id: row for row in rows}
    people = await identity.find_profiles(tx, {row.streamer_id for row in rows})
    products = await catalog.find_products(tx, [one for row in rows for one in row.product_ids])
    return {
        video_id: _video(by_id[video_id], people, products)
        for video_id in dict.fromkeys(video_ids)
        if video_id in by_id
    }


async def find_streamer(tx: Tx, placement: str) -> AccountId | None:
    """Whose video a placement names, if it names one."""
    return await tx.maybe(
        AccountId, "SELECT streamer_id FROM videos.video WHERE id = %(id)s", id=video_in(placement)
    )


async def find_titles(tx: Tx, video_ids: Sequence[UUID]) -> dict[UUID, str]:
    """What these videos are called, whether they can be seen or not."""
    return dict(await tx.tuples("SELECT id, title FROM videos.video WHERE id = ANY(%(ids)s)", ids=list(video_ids)))


async def list_of_streamer(
    tx: Tx, viewer_id: ViewerId, streamer_id: AccountId, *, after: VideoId | None = None, limit: int = 20
) -> Page[Video]:
    """A streamer's videos that can be seen, newest first."""
    limit = min(limit, PAGE_SIZE_MAX)
    ids = await tx.all(
        VideoId,
        """
        SELECT id FROM videos.video
        WHERE streamer_id = %(streamer_id)s AND state = 'published' AND film_state = 'ready'
          AND (%(after)s::uuid IS NULL OR (published_at, id) <
               (SELECT published_at, id FROM videos.video WHERE id = %(after)s))
        ORDER BY published_at DESC, id DESC LIMIT %(limit)s
        """,
        streamer_id=streamer_id,
        after=after,
        limit=limit + 1,
    )
    found = await find_videos(tx, viewer_id, ids[:limit])
    return Page(list(found.values()), ids[limit - 1] if len(ids) > limit else None)


async def list_merits(tx: Tx) -> list[Merits]:
    """The latest videos that can be seen, with what a feed weighs them by."""
    return await tx.all(
        Merits,
        """
        WITH latest AS (
            SELECT id, streamer_id, warms_up, published_at FROM videos.video
            WHERE state = 'published' AND film_state = 'ready'
            ORDER BY published_at DESC, id DESC LIMIT %(limit)s
        )
        SELECT latest.id, streamer_id, warms_up, published_at, coalesce(sums.plays, 0)::bigint AS plays,
               coalesce(sums.likes, 0)::bigint AS likes, coalesce(sums.comments, 0)::bigint AS comments,
               (SELECT count(*) FROM videos.sale WHERE sale.video_id = latest.id) AS orders
        FROM latest LEFT JOIN (
            SELECT video_id, sum(plays) AS plays, sum(likes) AS likes, sum(comments) AS comments
            FROM videos.figure WHERE video_id IN (SELECT id FROM latest) GROUP BY video_id
        ) AS sums ON sums.video_id = latest.id
        """,
        limit=VIDEOS_WEIGHED_MAX,
    )


async def list_of_shop(
    tx: Tx,
    signer: Signer,
    actor: Actor,
    shop_id: ShopId,
    *,
    state: VideoState | None = None,
    after: VideoId | None = None,
    limit: int = 20,
) -> Page[OwnVideo]:
    """A shop's videos in every state but removed, newest first, with figures. Needs the scope `show`."""
    await identity.require_seat(tx, actor, shop_id, Scope.show)
    limit = min(limit, PAGE_SIZE_MAX)
    ids = await tx.all(
        VideoId,
        """
        SELECT id FROM videos.video
        WHERE shop_id = %(shop_id)s AND state <> 'removed' AND (%(state)s::text IS NULL OR state = %(state)s)
          AND (%(after)s::uuid IS NULL OR id < %(after)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        shop_id=shop_id,
        state=state,
        after=after,
        limit=limit + 1,
    )
    items = await _find_own(tx, signer, ids[:limit])
    return Page(items, ids[limit - 1] if len(ids) > limit else None)


async def get_own(tx: Tx, video_id: VideoId, signer: Signer | None = None) -> OwnVideo:
    """A video as its shop's people see it, whoever asks: the caller has asked for their right. Or `NotFound`."""
    found = await _find_own(tx, signer, [video_id])
    if not found:
        raise NotFound()
    return found[0]


async def export(tx: Tx, account_id: AccountId) -> Export:
    """What this room holds about a person (for their export)."""
    asked = {"id": account_id, "limit": EXPORTED_MAX}
    return Export(
        await tx.all(
            OwnTitle,
            "SELECT id, title, created_at FROM videos.video WHERE streamer_id = %(id)s ORDER BY id DESC LIMIT %(limit)s",
            **asked,
        ),
        await tx.all(
            SaidVideo,
            """
            SELECT video_id, text, said_at FROM videos.comment WHERE author_id = %(id)s
            ORDER BY said_at DESC LIMIT %(limit)s
            """,
            **asked,
        ),
        await tx.all(
            LikedVideo,
            "SELECT video_id, liked_at FROM videos.liking WHERE viewer_id = %(id)s ORDER BY liked_at LIMIT %(limit)s",
            **asked,
        ),
        await tx.all(
            WatchedVideo,
            """
            SELECT video_id, watched_ms, began_at FROM videos.play WHERE viewer_id = %(id)s
            ORDER BY began_at DESC LIMIT %(limit)s
            """,
            **asked,
        ),
    )


async def _find_own(tx: Tx, signer: Signer | None, video_ids: list[VideoId]) -> list[OwnVideo]:
    rows = await tx.all(
        _OwnRow,
        """
        SELECT video.id, shop_id, streamer_id, title, cover, state, film_state, film_id, progress_bps, problem,
               duration_ms, width, height, warms_up, created_at, published_at,
               ARRAY(SELECT product_id FROM videos.product WHERE video_id = video.id ORDER BY position) AS product_ids,
               coalesce(sums.plays, 0)::bigint AS plays, coalesce(sums.watched_ms, 0)::bigint AS watched_ms,
               coalesce(sums.likes, 0)::bigint AS likes, coalesce(sums.comments, 0)::bigint AS comments,
               coalesce(sold.orders, 0) AS orders, coalesce(sold.paid_orders, 0) AS paid_orders,
               coalesce(sold.gmv, 0)::bigint AS gmv, coalesce(sold.gmv_paid, 0)::bigint AS gmv_paid
        FROM videos.video
        LEFT JOIN (SELECT video_id, sum(plays) AS plays, sum(watched_ms) AS watched_ms, sum(likes) AS likes,
                          sum(comments) AS comments
                   FROM videos.figure WHERE video_id = ANY(%(ids)s) GROUP BY video_id) AS sums ON sums.video_id = video.id
        LEFT JOIN (SELECT video_id, count(*) AS orders, count(paid_at) AS paid_orders, sum(amount) AS gmv,
                          sum(amount) FILTER (WHERE paid_at IS NOT NULL) AS gmv_paid
                   FROM videos.sale WHERE video_id = ANY(%(ids)s) GROUP BY video_id) AS sold ON sold.video_id = video.id
        WHERE video.id = ANY(%(ids)s) ORDER BY video.id DESC
        """,
        ids=video_ids,
    )
    people = await identity.find_profiles(tx, {row.streamer_id for row in rows})
    currencies = {shop_id: (await catalog.get_shop(tx, shop_id)).currency for shop_id in {row.shop_id for row in rows}}
    return [_own(row, people, currencies[row.shop_id], signer) for row in rows]


def _video(row: _Row, people: dict[AccountId, identity.Profile], products: dict[ProductId, Product]) -> Video:
    sold = [_product(products[one]) for one in row.product_ids if _is_sold(products.get(one))]
    return Video(
        id=row.id,
        shop_id=row.shop_id,
        streamer=_streamer(row.streamer_id, people),
        title=row.title,
        cover=row.cover or poster_address(row.film_id),
        film=film_address(row.film_id),
        duration_ms=row.duration_ms,
        width=row.width,
        height=row.height,
        products=sold,
        warms_up=row.warms_up,
        plays=row.plays,
        likes=row.likes,
        comments=row.comments,
        is_liked=row.is_liked,
        published_at=row.published_at,
    )


def _own(
    row: _OwnRow, people: dict[AccountId, identity.Profile], currency: str, signer: Signer | None
) -> OwnVideo:
    def address(plain: str) -> str | None:
        if row.film_state is not FilmState.ready:
            return None
        if row.state is VideoState.published or signer is None:
            return plain
        return preview_address(signer, plain, row.film_id)

    return OwnVideo(
        id=row.id,
        shop_id=row.shop_id,
        streamer=_streamer(row.streamer_id, people),
        title=row.title,
        cover=row.cover or address(poster_address(row.film_id)),
        film=address(film_address(row.film_id)),
        state=row.state,
        film_state=row.film_state,
        progress_bps=row.progress_bps,
        problem=row.problem,
        duration_ms=row.duration_ms,
        width=row.width,
        height=row.height,
        product_ids=row.product_ids,
        warms_up=row.warms_up,
        figures=Figures(
            plays=row.plays,
            plays_filtered=None,
            watched_ms=row.watched_ms,
            likes=row.likes,
            comments=row.comments,
            orders=row.orders,
            paid_orders=row.paid_orders,
            gmv=Money(row.gmv, currency),
            gmv_paid=Money(row.gmv_paid, currency),
        ),
        created_at=row.created_at,
        published_at=row.published_at,
    )


def _streamer(streamer_id: AccountId, people: dict[AccountId, identity.Profile]) -> VideoStreamer:
    profile = people.get(streamer_id)
    return VideoStreamer(streamer_id, profile.name if profile else "", profile.avatar if profile else None)


def _is_sold(product: Product | None) -> bool:
    return (
        product is not None
        and product.state is ProductState.listed
        and any(sku.state is SkuState.active for sku in product.skus)
    )


def _product(product: Product) -> VideoProduct:
    """The product by its cheapest choice that is left, else by its cheapest."""
    active = [sku for sku in product.skus if sku.state is SkuState.active]
    shown = min(active, key=lambda sku: (sku.available <= 0, sku.price_amount, sku.id))
    return VideoProduct(
        id=product.id,
        title=product.title,
        image=catalog.picture_of(product.id, product.images),
        price=Money(shown.price_amount, shown.currency),
        list_price=shown.crossed_price,
        available=sum(sku.available for sku in active),
    )
