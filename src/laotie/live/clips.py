"""Clips: stretches of a show that stand for themselves, most of them one product being explained.

A clip names two instants of a recording; nothing is copied until somebody wants a file of it, so a clip lives as long
as the recording does. Each explanation that was long enough becomes one by itself when it ends.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NewType
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from laotie import catalog, identity
from laotie.base.db import Tx
from laotie.base.ids import ProductId, ShopId, ShowId, new_id
from laotie.base.refusals import Conflict, IdReused, Invalid, NotFound
from laotie.identity import Actor, Scope
from laotie.live.marks import list_marks
from laotie.live.replay import find_recording, may_see_hidden
from laotie.live.rooms import clean_title

ClipId = NewType("ClipId", UUID)

CLIP_S_MIN = 1
CLIP_S_MAX = 1_800
EXPLAINED_S_MIN = 5
"""Shorter explanations were a slip of the finger."""
CLIPS_OF_SHOW_MAX = 2_000
CLIPS_LISTED_MAX = 200


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a show, with the product that it explains."""

    id: ClipId
    show_id: ShowId
    shop_id: ShopId
    product_id: ProductId | None
    title: str
    from_at: datetime
    to_at: datetime
    published: bool
    created_at: datetime


class ClipDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said to cut a clip. Without a title it is called after its product, or its show."""

    id: ClipId
    from_at: datetime
    to_at: datetime
    product_id: ProductId | None = None
    title: str | None = None


class ClipChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different about a clip; what is left out stays."""

    title: str | UnsetType = UNSET
    published: bool | UnsetType = UNSET


class ClipRefused(Invalid, code="clip-refused"):
    """A clip is a stretch of the recorded show, one second to half an hour long, of a product of its shop."""

    seconds_min: int = CLIP_S_MIN
    seconds_max: int = CLIP_S_MAX


class ClipsFull(Conflict, code="clips-full"):
    """The show has as many clips as it may."""

    count_max: int = CLIPS_OF_SHOW_MAX


async def add_clip(tx: Tx, actor: Actor, show_id: ShowId, draft: ClipDraft) -> Clip:
    """Cut a clip out of a recorded show. Needs the scope `show`. The same draft again gives the same clip."""
    shop_id, show_title = await _hold_recorded(tx, show_id)
    await identity.require_seat(tx, actor, shop_id, Scope.show)
    digest = catalog.digest_of(show_id, draft.from_at, draft.to_at, draft.product_id, draft.title)
    known = await tx.maybe(bytes, "SELECT digest FROM live.clip WHERE id = %(id)s", id=draft.id)
    if known is None:
        await _check(tx, shop_id, show_id, draft)
        title = draft.title or await _product_title(tx, draft.product_id) or show_title
        await tx.run(
            """
            INSERT INTO live.clip (id, show_id, shop_id, product_id, title, from_at, to_at, digest, made_by, created_at)
            VALUES (%(id)s, %(show_id)s, %(shop_id)s, %(product_id)s, %(title)s, %(from_at)s, %(to_at)s, %(digest)s,
                    %(made_by)s, %(now)s)
            """,
            id=draft.id,
            show_id=show_id,
            shop_id=shop_id,
            product_id=draft.product_id,
            title=clean_title(title) if draft.title is not None else title,
            from_at=draft.from_at,
            to_at=draft.to_at,
            digest=digest,
            made_by=actor.account_id,
            now=tx.now,
        )
    elif known != digest:
        raise IdReused()
    return await _read(tx, draft.id)


async def _hold_recorded(tx: Tx, show_id: ShowId) -> tuple[ShopId, str]:
    found = await tx.tuples(
        """
        SELECT recording.shop_id, show.title FROM live.recording JOIN live.show ON show.id = recording.show_id
        WHERE recording.show_id = %(id)s AND recording.state <> 'removed' FOR SHARE OF recording
        """,
        id=show_id,
    )
    if not found:
        raise NotFound()
    return ShopId(found[0][0]), found[0][1]


async def _check(tx: Tx, shop_id: ShopId, show_id: ShowId, draft: ClipDraft) -> None:
    if draft.from_at.tzinfo is None or draft.to_at.tzinfo is None or draft.to_at > tx.now + timedelta(minutes=1):
        raise ClipRefused()
    if not timedelta(seconds=CLIP_S_MIN) <= draft.to_at - draft.from_at <= timedelta(seconds=CLIP_S_MAX):
        raise ClipRefused()
    if draft.product_id is not None:
        product = (await catalog.find_products(tx, [draft.product_id])).get(draft.product_id)
        if product is None or product.shop_id != shop_id:
            raise ClipRefused()
    count = await tx.one(int, "SELECT count(*) FROM live.clip WHERE show_id = %(id)s", id=show_id)
    if count >= CLIPS_OF_SHOW_MAX:
        raise ClipsFull()


async def cut_explained(tx: Tx, show_id: ShowId) -> int:
    """Make a clip of each explanation that has ended and is none yet; returns how many. Of shows not recorded: none."""
    shop_id = await tx.maybe(
        ShopId, "SELECT shop_id FROM live.recording WHERE show_id = %(id)s AND state <> 'removed'", id=show_id
    )
    if shop_id is None:
        return 0
    shortest, longest = timedelta(seconds=EXPLAINED_S_MIN), timedelta(seconds=CLIP_S_MAX)
    over = [
        (mark, min(mark.ends_at, mark.begins_at + longest))
        for mark in await list_marks(tx, show_id)
        if mark.ends_at is not None and mark.ends_at - mark.begins_at >= shortest
    ]
    products = await catalog.find_products(tx, list({mark.product_id for mark, _ in over}))
    return await tx.run(
        """
        INSERT INTO live.clip (id, show_id, shop_id, product_id, mark_id, title, from_at, to_at, created_at)
        SELECT cut.id, %(show_id)s, %(shop_id)s, cut.product_id, cut.mark_id, cut.title, cut.from_at, cut.to_at, %(now)s
        FROM unnest(%(ids)s::uuid[], %(product_ids)s::uuid[], %(mark_ids)s::uuid[], %(titles)s::text[],
                    %(from_ats)s::timestamptz[], %(to_ats)s::timestamptz[])
          AS cut (id, product_id, mark_id, title, from_at, to_at)
        ON CONFLICT (mark_id) DO NOTHING
        """,
        show_id=show_id,
        shop_id=shop_id,
        now=tx.now,
        ids=[new_id() for _ in over],
        product_ids=[mark.product_id for mark, _ in over],
        mark_ids=[mark.id for mark, _ in over],
        titles=[products[mark.product_id].title if mark.product_id in products else "" for mark, _ in over],
        from_ats=[mark.begins_at for mark, _ in over],
        to_ats=[ends_at for _, ends_at in over],
    )


async def get_clip(tx: Tx, actor: Actor, clip_id: ClipId) -> Clip:
    """A clip, or `NotFound`; a hidden one, or one of a hidden replay, is there for the shop's own people."""
    clip = await _read(tx, clip_id)
    hidden = not clip.published or not await tx.one(
        bool, "SELECT published FROM live.recording WHERE show_id = %(id)s", id=clip.show_id
    )
    if hidden and not await may_see_hidden(tx, actor, clip.shop_id):
        raise NotFound()
    return clip


async def change_clip(tx: Tx, actor: Actor, clip_id: ClipId, change: ClipChange) -> Clip:
    """Rename, publish or hide a clip. Needs the scope `show`."""
    clip = await _read(tx, clip_id)
    await identity.require_seat(tx, actor, clip.shop_id, Scope.show)
    title = clip.title if change.title is UNSET else clean_title(change.title)
    published = clip.published if change.published is UNSET else change.published
    await tx.run(
        "UPDATE live.clip SET title = %(title)s, published = %(published)s WHERE id = %(id)s",
        id=clip_id,
        title=title,
        published=published,
    )
    return msgspec.structs.replace(clip, title=title, published=published)


async def remove_clip(tx: Tx, actor: Actor, clip_id: ClipId) -> Clip:
    """Remove a clip for good; what it shows stays in the recording. Needs the scope `show`."""
    clip = await _read(tx, clip_id)
    await identity.require_seat(tx, actor, clip.shop_id, Scope.show)
    await tx.run("UPDATE live.clip SET removed_at = %(now)s WHERE id = %(id)s", id=clip_id, now=tx.now)
    return clip


async def list_of_show(tx: Tx, actor: Actor, show_id: ShowId) -> list[Clip]:
    """A show's clips in the order of time: the published ones, and to the shop's own people all."""
    recording = await find_recording(tx, show_id)
    if recording is None or recording.state == "removed":
        return []
    sees_all = await may_see_hidden(tx, actor, recording.shop_id)
    if not sees_all and not recording.published:
        return []
    return await tx.all(
        Clip,
        """
        SELECT id, show_id, shop_id, product_id, title, from_at, to_at, published, created_at
        FROM live.clip WHERE show_id = %(id)s AND removed_at IS NULL AND (published OR %(sees_all)s)
        ORDER BY from_at, id LIMIT %(limit)s
        """,
        id=show_id,
        sees_all=sees_all,
        limit=CLIPS_OF_SHOW_MAX,
    )


async def list_of_product(tx: Tx, product_id: ProductId, *, limit: int = 20) -> list[Clip]:
    """The published clips that explain a product, newest first."""
    return await tx.all(
        Clip,
        """
        SELECT clip.id, clip.show_id, clip.shop_id, product_id, title, from_at, to_at, clip.published, created_at
        FROM live.clip JOIN live.recording ON recording.show_id = clip.show_id
        WHERE product_id = %(id)s AND clip.removed_at IS NULL AND clip.published AND recording.published
        ORDER BY clip.id DESC LIMIT %(limit)s
        """,
        id=product_id,
        limit=min(limit, CLIPS_LISTED_MAX),
    )


async def find_titles(tx: Tx, show_id: ShowId) -> dict[UUID, str]:
    """What a show's clips are called, removed ones included: orders may have come from them."""
    rows = await tx.tuples("SELECT id, title FROM live.clip WHERE show_id = %(id)s", id=show_id)
    return {row[0]: row[1] for row in rows}


async def find_names(tx: Tx, clip_ids: Sequence[UUID]) -> dict[UUID, str]:
    """What these clips are called, removed ones included."""
    return dict(await tx.tuples("SELECT id, title FROM live.clip WHERE id = ANY(%(ids)s)", ids=list(clip_ids)))


async def _read(tx: Tx, clip_id: ClipId) -> Clip:
    clip = await tx.maybe(
        Clip,
        """
        SELECT id, show_id, shop_id, product_id, title, from_at, to_at, published, created_at
        FROM live.clip WHERE id = %(id)s AND removed_at IS NULL
        """,
        id=clip_id,
    )
    if clip is None:
        raise NotFound()
    return clip


async def _product_title(tx: Tx, product_id: ProductId | None) -> str:
    if product_id is None:
        return ""
    product = (await catalog.find_products(tx, [product_id])).get(product_id)
    return product.title if product is not None else ""
