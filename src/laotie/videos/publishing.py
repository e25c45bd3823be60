"""A video's life with its streamer: made of an upload, described, published, hidden, removed.

Who may: a seat with the scope `show` in the video's shop. It is shown as the video of whoever made it.
"""

from pathlib import Path
from uuid import uuid4

import msgspec
from msgspec import UNSET

from laotie import catalog, identity, uploads, words
from laotie.base import jobs
from laotie.base.db import Tx
from laotie.base.ids import AccountId, ProductId, ShopId, ShowId
from laotie.base.refusals import IdReused, NotFound
from laotie.catalog import ProductState
from laotie.events.videos import VideoWithdrawn
from laotie.identity import Actor, Scope
from laotie.uploads import Upload, UploadId
from laotie.videos.films import DEVELOP, DISCARD, announce, check_head, lane_of
from laotie.videos.listing import get_own
from laotie.videos.model import (
    PRODUCTS_MAX,
    FilmNotReady,
    FilmState,
    OwnVideo,
    VideoChange,
    VideoDraft,
    VideoGone,
    VideoId,
    VideoProductsRefused,
    VideoState,
    VideoTitleRefused,
)

HEAD_BYTES = 64


class Held(msgspec.Struct, frozen=True):
    """A video whose row the transaction holds."""

    id: VideoId
    shop_id: ShopId
    streamer_id: AccountId
    title: str
    cover: str | None
    state: VideoState
    film_state: FilmState
    film_id: VideoId
    warms_up: ShowId | None
    problem: str | None


async def begin_upload(
    tx: Tx, actor: Actor, shop_id: ShopId, upload_id: UploadId, *, size_bytes: int, bytes_max: int
) -> Upload:
    """Announce the file of a video-to-be. See `uploads.begin`."""
    await identity.require_seat(tx, actor, shop_id, Scope.show)
    return await uploads.begin(tx, actor.signed_in(), upload_id, size_bytes=size_bytes, bytes_max=bytes_max)


async def make_video(tx: Tx, actor: Actor, shop_id: ShopId, draft: VideoDraft, *, data: Path, lanes: int) -> OwnVideo:
    """Make a video of a complete upload; its film is prepared by a job. The same draft again is the same video.

    Refuses `IdReused`, what is no film, `UploadIncomplete`, `UploadTaken`, `VideoProductsRefused`, texts and pictures
    that will not do. `warms_up` is the caller's to check: shows are not known here.
    """
    await identity.require_seat(tx, actor, shop_id, Scope.show)
    await catalog.require_public(tx, shop_id)
    streamer_id = actor.signed_in()
    digest = catalog.digest_of(shop_id, streamer_id, draft)
    known = await tx.maybe(bytes, "SELECT digest FROM videos.video WHERE id = %(id)s", id=draft.id)
    if known is None:
        path = await uploads.take(tx, data, streamer_id, draft.upload_id, taker=f"video:{draft.id}")
        with path.open("rb") as file:
            check_head(file.read(HEAD_BYTES))
        await _insert(tx, draft, shop_id=shop_id, streamer_id=streamer_id, digest=digest)
        await _put_products(tx, shop_id, draft.id, draft.product_ids)
        await uploads.show_pictures(tx, f"video:{draft.id}", [draft.cover])
        await jobs.defer(tx, DEVELOP, {"video_id": str(draft.id)}, lock=lane_of(draft.id, lanes))
        known = await tx.one(bytes, "SELECT digest FROM videos.video WHERE id = %(id)s", id=draft.id)
    if known != digest:
        raise IdReused()
    return await get_own(tx, draft.id)


async def change_video(tx: Tx, actor: Actor, video_id: VideoId, change: VideoChange) -> OwnVideo:
    """Describe, publish, hide or remove it. Tells `VideoPublished` when it is seen first, `VideoWithdrawn`."""
    video = await _hold(tx, video_id)
    await identity.require_seat(tx, actor, video.shop_id, Scope.show)
    state = video.state if change.state is UNSET else change.state
    _check_step(video, state)
    cover = video.cover if change.cover is UNSET else _clean_cover(change.cover)
    await tx.run(
        """
        UPDATE videos.video SET title = %(title)s, cover = %(cover)s, warms_up = %(warms_up)s, state = %(state)s
        WHERE id = %(id)s
        """,
        id=video_id,
        title=video.title if change.title is UNSET else _clean_title(change.title),
        cover=cover,
        warms_up=video.warms_up if change.warms_up is UNSET else change.warms_up,
        state=state,
    )
    if change.product_ids is not UNSET:
        await _put_products(tx, video.shop_id, video_id, change.product_ids)
    if cover != video.cover:
        await uploads.show_pictures(tx, f"video:{video_id}", [cover])
    await announce(tx, video_id)
    if video.state is VideoState.published and state is not VideoState.published:
        is_removed = state is VideoState.removed
        tx.tell(VideoWithdrawn(video_id=video_id, streamer_id=video.streamer_id, is_removed=is_removed))
    if state is VideoState.removed:
        await uploads.show_pictures(tx, f"video:{video_id}", [])
        await jobs.defer(tx, DISCARD, {"film_id": str(video.film_id)})
        await identity.record(tx, actor, "video.removed", subject=str(video_id), title=video.title)
    return await get_own(tx, video_id)


async def shop_of(tx: Tx, video_id: VideoId) -> ShopId:
    """Whose shop a video belongs to, or `NotFound`."""
    shop_id = await tx.maybe(
        ShopId, "SELECT shop_id FROM videos.video WHERE id = %(id)s AND state <> 'removed'", id=video_id
    )
    if shop_id is None:
        raise NotFound()
    return shop_id


async def _insert(tx: Tx, draft: VideoDraft, *, shop_id: ShopId, streamer_id: AccountId, digest: bytes) -> None:
    await tx.run(
        """
        INSERT INTO videos.video (id, shop_id, streamer_id, title, cover, state, warms_up, upload_id, film_id, digest,
                                  created_at)
        VALUES (%(id)s, %(shop_id)s, %(streamer_id)s, %(title)s, %(cover)s, %(state)s, %(warms_up)s, %(upload_id)s,
                %(film_id)s, %(digest)s, %(now)s)
        ON CONFLICT DO NOTHING
        """,
        id=draft.id,
        shop_id=shop_id,
        streamer_id=streamer_id,
        title=_clean_title(draft.title),
        cover=_clean_cover(draft.cover),
        state=VideoState.published if draft.is_published else VideoState.draft,
        warms_up=draft.warms_up,
        upload_id=draft.upload_id,
        film_id=uuid4(),
        digest=digest,
        now=tx.now,
    )
    await tx.run("INSERT INTO videos.figure (video_id, slot) VALUES (%(id)s, 0) ON CONFLICT DO NOTHING", id=draft.id)


async def _hold(tx: Tx, video_id: VideoId) -> Held:
    video = await tx.maybe(
        Held,
        """
        SELECT id, shop_id, streamer_id, title, cover, state, film_state, film_id, warms_up, problem
        FROM videos.video WHERE id = %(id)s FOR NO KEY UPDATE
        """,
        id=video_id,
    )
    if video is None:
        raise NotFound()
    return video


def _check_step(video: Held, state: VideoState) -> None:
    if video.state is VideoState.removed:
        raise VideoGone()
    if state is VideoState.published and video.film_state is FilmState.failed:
        raise FilmNotReady(problem=video.problem)


async def _put_products(tx: Tx, shop_id: ShopId, video_id: VideoId, product_ids: list[ProductId]) -> None:
    """The cart of the video, in this order."""
    wanted = list(dict.fromkeys(product_ids))
    if len(wanted) > PRODUCTS_MAX:
        raise VideoProductsRefused(products_max=PRODUCTS_MAX)
    found = await catalog.find_products(tx, wanted)
    if any(
        (product := found.get(product_id)) is None
        or product.shop_id != shop_id
        or product.state is not ProductState.listed
        for product_id in wanted
    ):
        raise VideoProductsRefused(products_max=PRODUCTS_MAX)
    await tx.run("DELETE FROM videos.product WHERE video_id = %(id)s", id=video_id)
    await tx.run(
        """
        INSERT INTO videos.product (video_id, position, product_id)
        SELECT %(id)s, position, product_id
        FROM unnest(%(products)s::uuid[]) WITH ORDINALITY AS asked (product_id, position)
        """,
        id=video_id,
        products=wanted,
    )


def _clean_title(title: str) -> str:
    """A title fit to be shown; words that the house refuses anywhere are refused here too, milder ones masked."""
    cleaned = catalog.clean_text("title", title, kind="name", required=True)
    verdict = words.judge_text(cleaned)
    if verdict.action is words.Action.block:
        raise VideoTitleRefused(words=[found.seen for found in verdict.found])
    return verdict.text


def _clean_cover(cover: str | None) -> str | None:
    return next(iter(catalog.clean_images([cover])), None) if cover else None
