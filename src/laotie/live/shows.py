"""Shows: planned, started, ended; what they are called. Who may: a seat with the scope `show` in the show's shop.

Locks, in this order: the room's row (to start), the show's gate, the show's row. The gate is an advisory lock that
the till shares and that starting and ending take alone. It is not a row lock, because batches of the till overlap:
with `FOR SHARE` on the row there is always one more of them, and a show can't be ended in a storm (measured: never
within 8 s, against 1 ms after the running batches with the gate, whose queue is fair).
"""

from uuid import UUID

import msgspec
from msgspec import UNSET

from laotie import catalog, identity, uploads
from laotie.base.db import Tx
from laotie.base.ids import AccountId, RoomId, ShopId, ShowId
from laotie.base.refusals import IdReused, NotFound
from laotie.events import live as news
from laotie.identity import Actor, Scope
from laotie.live.endings import end_waves_of_show
from laotie.live.marks import mark_only
from laotie.live.model import (
    SHOWS_SCHEDULED_MAX,
    AnotherShowLive,
    PlanRefused,
    Show,
    ShowChange,
    ShowDraft,
    ShowEnded,
    ShowState,
)
from laotie.live.replay import note_pinned_price
from laotie.live.rooms import clean_cover, clean_title, get_own_room, get_room
from laotie.live.stage import get_show


class Held(msgspec.Struct, frozen=True):
    """A show whose row the transaction holds."""

    id: ShowId
    room_id: RoomId
    shop_id: ShopId
    streamer_id: AccountId
    state: ShowState
    version: int


async def plan_show(tx: Tx, actor: Actor, draft: ShowDraft) -> Show:
    """Plan a show in one's own room, or in the room of a shop where one has a seat. Tells `ShowScheduled`.

    The same draft again gives the same show; another draft under its id is `IdReused`.
    """
    room = await (get_own_room(tx, actor) if draft.room_id is None else get_room(tx, draft.room_id))
    await identity.require_seat(tx, actor, room.shop_id, Scope.show)
    digest = catalog.digest_of(room.id, draft.title, draft.cover, draft.planned_at)
    known = await tx.maybe(bytes, "SELECT digest FROM live.show WHERE id = %(id)s", id=draft.id)
    if known is None:
        await _insert(tx, draft, room_id=room.id, shop_id=room.shop_id, streamer_id=room.streamer_id, digest=digest)
        known = await tx.one(bytes, "SELECT digest FROM live.show WHERE id = %(id)s", id=draft.id)
    if known != digest:
        raise IdReused()
    return await get_show(tx, draft.id)


async def _insert(
    tx: Tx, draft: ShowDraft, *, room_id: RoomId, shop_id: ShopId, streamer_id: AccountId, digest: bytes
) -> None:
    if draft.planned_at is not None and (draft.planned_at.tzinfo is None or draft.planned_at <= tx.now):
        raise PlanRefused()
    await tx.one(UUID, "SELECT id FROM live.room WHERE id = %(id)s FOR NO KEY UPDATE", id=room_id)
    planned_count = await tx.one(
        int, "SELECT count(*) FROM live.show WHERE room_id = %(id)s AND state = 'scheduled'", id=room_id
    )
    if planned_count >= SHOWS_SCHEDULED_MAX:
        raise identity.TooMany(count_max=SHOWS_SCHEDULED_MAX)
    title = clean_title(draft.title)
    inserted = await tx.run(
        """
        INSERT INTO live.show (id, room_id, shop_id, streamer_id, title, cover, planned_at, digest, created_at)
        VALUES (%(id)s, %(room_id)s, %(shop_id)s, %(streamer_id)s, %(title)s, %(cover)s, %(planned_at)s, %(digest)s,
                %(now)s)
        ON CONFLICT (id) DO NOTHING
        """,
        id=draft.id,
        room_id=room_id,
        shop_id=shop_id,
        streamer_id=streamer_id,
        title=title,
        cover=clean_cover(draft.cover),
        planned_at=draft.planned_at,
        digest=digest,
        now=tx.now,
    )
    if inserted:
        await uploads.show_pictures(tx, f"show:{draft.id}", [draft.cover])
        tx.tell(
            news.ShowScheduled(
                show_id=draft.id,
                room_id=room_id,
                shop_id=shop_id,
                streamer_id=streamer_id,
                title=title,
                planned_at=draft.planned_at,
            )
        )


async def change_show(tx: Tx, actor: Actor, show_id: ShowId, change: ShowChange) -> Show:
    """Change what a show is called, its cover or its plan. Tells `ShowChanged`.

    Refuses `ShowEnded`, and `ChangedMeanwhile` when the show is no longer of the version that the caller saw.
    """
    held = await hold_show(tx, actor, show_id)
    if change.expected_version not in (None, held.version):
        raise catalog.ChangedMeanwhile(version=held.version)
    show = await get_show(tx, show_id)
    planned_at = show.planned_at if change.planned_at is UNSET else change.planned_at
    if planned_at != show.planned_at and planned_at is not None and (planned_at.tzinfo is None or planned_at <= tx.now):
        raise PlanRefused()
    version = await tx.one(
        int,
        """
        UPDATE live.show
        SET title = %(title)s, cover = %(cover)s, planned_at = %(planned_at)s, version = version + 1
        WHERE id = %(id)s RETURNING version
        """,
        id=show_id,
        title=show.title if change.title is UNSET else clean_title(change.title),
        cover=show.cover if change.cover is UNSET else clean_cover(change.cover),
        planned_at=planned_at,
    )
    changed = await get_show(tx, show_id)
    if changed.cover != show.cover:
        await uploads.show_pictures(tx, f"show:{show_id}", [changed.cover])
    tx.tell(
        news.ShowChanged(
            show_id=show_id,
            version=version,
            streamer_id=held.streamer_id,
            title=changed.title,
            planned_at=changed.planned_at,
        )
    )
    return changed


async def start_show(tx: Tx, actor: Actor, show_id: ShowId) -> Show:
    """Go live. Starting a live show changes nothing. Tells `ShowStarted`; refuses `ShowEnded`, `AnotherShowLive`.

    Holds the room, so of two starts at once the second sees the first.
    """
    room_id = await tx.maybe(RoomId, "SELECT room_id FROM live.show WHERE id = %(id)s", id=show_id)
    if room_id is None:
        raise NotFound()
    await tx.one(UUID, "SELECT id FROM live.room WHERE id = %(id)s FOR NO KEY UPDATE", id=room_id)
    await close_gate(tx, show_id)
    held = await hold_show(tx, actor, show_id)
    if held.state is ShowState.live:
        return await get_show(tx, show_id)
    other = await tx.maybe(ShowId, "SELECT id FROM live.show WHERE room_id = %(id)s AND state = 'live'", id=room_id)
    if other is not None:
        raise AnotherShowLive(show_id=other)
    version = await tx.one(
        int,
        """
        UPDATE live.show SET state = 'live', started_at = %(now)s, opening_title = title, version = version + 1
        WHERE id = %(id)s RETURNING version
        """,
        id=show_id,
        now=tx.now,
    )
    show = await get_show(tx, show_id)
    await mark_only(tx, show_id, show.pinned_item_id)
    await note_pinned_price(tx, show_id)
    tx.tell(
        news.ShowStarted(
            show_id=show_id,
            room_id=held.room_id,
            shop_id=held.shop_id,
            streamer_id=held.streamer_id,
            title=show.title,
            at=tx.now,
            version=version,
        )
    )
    return show


async def end_show(tx: Tx, actor: Actor, show_id: ShowId) -> Show:
    """End a show, or call off a planned one, for good. Ending an ended show changes nothing. Tells `ShowEnded`.

    What waves have left goes back to the shelf with it.

    No order of this show is decided after the commit: waits for the till's running batches, and later ones wait here.
    """
    await close_gate(tx, show_id)
    held = await hold_show(tx, actor, show_id, or_ended=True)
    if held.state is ShowState.ended:
        return await get_show(tx, show_id)
    version = await tx.one(
        int,
        """
        UPDATE live.show SET state = 'ended', ended_at = greatest(started_at, %(now)s), version = version + 1
        WHERE id = %(id)s RETURNING version
        """,
        id=show_id,
        now=tx.now,
    )
    await mark_only(tx, show_id, None)
    await end_waves_of_show(tx, show_id)
    show = await get_show(tx, show_id)
    tx.tell(
        news.ShowEnded(
            show_id=show_id,
            room_id=held.room_id,
            shop_id=held.shop_id,
            streamer_id=held.streamer_id,
            started_at=show.started_at,
            at=tx.now,
            version=version,
            title=show.title,
        )
    )
    return show


async def hold_show(tx: Tx, actor: Actor, show_id: ShowId, *, or_ended: bool = False) -> Held:
    """Lock a show's row for an act of somebody with a seat there; acts on one show follow one another.

    Refuses `NotFound` without a seat, and `ShowEnded` unless `or_ended`.
    """
    held = await tx.maybe(
        Held,
        """
        SELECT id, room_id, shop_id, streamer_id, state, version FROM live.show WHERE id = %(id)s FOR NO KEY UPDATE
        """,
        id=show_id,
    )
    if held is None:
        raise NotFound()
    await identity.require_seat(tx, actor, held.shop_id, Scope.show)
    if held.state is ShowState.ended and not or_ended:
        raise ShowEnded(show_id=show_id)
    return held


async def close_gate(tx: Tx, show_id: ShowId) -> None:
    """Wait until no batch of the till judges this show, and keep later ones waiting until the transaction's end."""
    await tx.run("SELECT pg_advisory_xact_lock(%(key)s)", key=gate_key(show_id))


def gate_key(show_id: ShowId) -> int:
    """The advisory lock of a show's gate: the random half of its id. Two shows with one key would only wait more."""
    return int.from_bytes(show_id.bytes[8:], "big", signed=True)
