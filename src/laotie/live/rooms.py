"""Rooms: one a streamer, made when first asked for; the ingest key; and who may publish or play a picture.

A stream key is 64 hexadecimal digits: the room's id, then 128 random bits, so that the key alone names the room.
Only a keyed hash of the random half is kept; the key is shown once, when it is made.
"""

import re
import secrets
from uuid import UUID

import msgspec
from msgspec import UNSET

from laotie import catalog, identity, uploads
from laotie.base.db import Tx
from laotie.base.ids import AccountId, RoomId, ShopId, ShowId, ViewerId
from laotie.base.logs import log, mask
from laotie.base.refusals import Forbidden, IdReused, NotFound, Unauthenticated
from laotie.base.signer import Signer
from laotie.events.live import IngestKeyRotated
from laotie.identity import Actor, Role, Scope
from laotie.live.model import (
    SHOWS_SCHEDULED_MAX,
    Room,
    RoomChange,
    RoomTaken,
    StreamAction,
    StreamPermit,
    StreamRefused,
)

PURPOSE = "ingest"
NOBODY = bytes(32)
DRAWN = re.compile(r"/media/pictures/[0-9a-f-]{36}\.svg", re.ASCII)


async def open_room(
    tx: Tx, actor: Actor, room_id: RoomId, *, shop_id: ShopId, title: str, cover: str | None = None
) -> Room:
    """Open the actor's room in a shop where they may hold shows. The same request again gives the same room.

    Makes the account a streamer. Refuses `RoomTaken` when they have another room already, `IdReused` when the id is
    somebody else's.
    """
    streamer_id = actor.signed_in()
    await identity.require_seat(tx, actor, shop_id, Scope.show)
    await catalog.require_public(tx, shop_id)
    opened = await tx.run(
        """
        INSERT INTO live.room (id, streamer_id, shop_id, title, cover, created_at)
        VALUES (%(id)s, %(streamer_id)s, %(shop_id)s, %(title)s, %(cover)s, %(now)s) ON CONFLICT DO NOTHING
        """,
        id=room_id,
        streamer_id=streamer_id,
        shop_id=shop_id,
        title=clean_title(title),
        cover=clean_cover(cover),
        now=tx.now,
    )
    room = await find_room_of(tx, streamer_id)
    if room is None:
        raise IdReused()
    if room.id != room_id:
        raise RoomTaken(room_id=room.id)
    if opened:
        await uploads.show_pictures(tx, f"room:{room_id}", [room.cover])
        await identity.give_role(tx, streamer_id, Role.streamer)
    return room


async def change_room(tx: Tx, actor: Actor, change: RoomChange) -> Room:
    """Change the actor's own room. Another shop needs a seat there, and counts for shows planned later."""
    room = await get_own_room(tx, actor)
    if change.shop_id is not UNSET:
        await identity.require_seat(tx, actor, change.shop_id, Scope.show)
    if change.cover is not UNSET:
        await uploads.show_pictures(tx, f"room:{room.id}", [change.cover])
    return await tx.one(
        Room,
        """
        UPDATE live.room SET title = %(title)s, cover = %(cover)s, shop_id = %(shop_id)s, records = %(records)s
        WHERE id = %(id)s
        RETURNING id, streamer_id, shop_id, title, cover, records, ingest_key_issued_at, created_at
        """,
        id=room.id,
        title=room.title if change.title is UNSET else clean_title(change.title),
        cover=room.cover if change.cover is UNSET else clean_cover(change.cover),
        shop_id=room.shop_id if change.shop_id is UNSET else change.shop_id,
        records=room.records if change.records is UNSET else change.records,
    )


async def get_own_room(tx: Tx, actor: Actor) -> Room:
    """The actor's room, or `NotFound` when they never opened one."""
    room = await find_room_of(tx, actor.signed_in())
    if room is None:
        raise NotFound()
    return room


async def find_room_of(tx: Tx, streamer_id: AccountId) -> Room | None:
    """A streamer's room, if there is one."""
    return await tx.maybe(
        Room,
        """
        SELECT id, streamer_id, shop_id, title, cover, records, ingest_key_issued_at, created_at FROM live.room
        WHERE streamer_id = %(streamer_id)s
        """,
        streamer_id=streamer_id,
    )


async def list_streamers_of(tx: Tx, shop_id: ShopId) -> list[AccountId]:
    """Who streams for a shop."""
    return await tx.all(
        AccountId, "SELECT streamer_id FROM live.room WHERE shop_id = %(shop_id)s ORDER BY streamer_id", shop_id=shop_id
    )


async def get_room(tx: Tx, room_id: RoomId) -> Room:
    """A room by its id, or `NotFound`."""
    room = await tx.maybe(
        Room,
        """
        SELECT id, streamer_id, shop_id, title, cover, records, ingest_key_issued_at, created_at FROM live.room
        WHERE id = %(room_id)s
        """,
        room_id=room_id,
    )
    if room is None:
        raise NotFound()
    return room


async def rotate_ingest_key(tx: Tx, signer: Signer, actor: Actor) -> str:
    """A new stream key for the actor's room; the old one is void from the commit on. Shown this once.

    Tells `IngestKeyRotated`, on which an encoder with the old key is sent away.
    """
    room = await get_own_room(tx, actor)
    await identity.require_seat(tx, actor, room.shop_id, Scope.show)
    secret = secrets.token_hex(16)
    await tx.run(
        "UPDATE live.room SET ingest_secret_hash = %(hash)s, ingest_key_issued_at = %(now)s WHERE id = %(id)s",
        id=room.id,
        hash=signer.fingerprint(PURPOSE, secret),
        now=tx.now,
    )
    feedable = await tx.all(
        ShowId,
        "SELECT id FROM live.show WHERE room_id = %(id)s AND state IN ('scheduled', 'live') LIMIT %(limit)s",
        id=room.id,
        limit=SHOWS_SCHEDULED_MAX + 1,
    )
    tx.tell(IngestKeyRotated(room_id=room.id, show_ids=feedable, at=tx.now))
    await identity.record(tx, actor, "room.ingest_key_rotated", subject=str(room.id))
    return room.id.hex + secret


class _Held(msgspec.Struct, frozen=True):
    id: RoomId
    streamer_id: AccountId
    ingest_secret_hash: bytes | None


class _OnStage(msgspec.Struct, frozen=True):
    id: ShowId
    room_id: RoomId
    streamer_id: AccountId
    shop_id: ShopId


async def authorize(tx: Tx, signer: Signer, action: StreamAction, key: str, *, address: str) -> StreamPermit:
    """The one question every media door asks: may this be published, or played?

    To publish, `key` is a stream key; it serves the room's live show, else the next planned one (a rehearsal), as long
    as the streamer still has a seat there. To play, `key` is a show's id, and the show is live. Anything else is
    `StreamRefused`, in the same time whether the room, the secret or the show is missing.
    """
    permit = await (_permit_publishing(tx, signer, key) if action is StreamAction.publish else _permit_playing(tx, key))
    if permit is None:
        log.info("stream refused", action=action.value, stream_key=mask(key), address=address)
        raise StreamRefused()
    return permit


async def _permit_publishing(tx: Tx, signer: Signer, key: str) -> StreamPermit | None:
    held = await tx.maybe(
        _Held,
        "SELECT id, streamer_id, ingest_secret_hash FROM live.room WHERE id = %(id)s",
        id=_id_in(key[:32]),
    )
    fingerprint = held.ingest_secret_hash if held is not None else None
    known = signer.recognises(PURPOSE, key[32:], fingerprint or NOBODY)
    if held is None or not known:
        return None
    stage = await tx.maybe(
        _OnStage,
        """
        SELECT id, room_id, streamer_id, shop_id FROM live.show
        WHERE room_id = %(room_id)s AND state IN ('scheduled', 'live')
        ORDER BY state = 'live' DESC, planned_at NULLS LAST, id DESC LIMIT 1
        """,
        room_id=held.id,
    )
    if stage is None or not await _is_seated(tx, stage.streamer_id, stage.shop_id):
        return None
    return _permit(StreamAction.publish, stage)


async def _permit_playing(tx: Tx, key: str) -> StreamPermit | None:
    stage = await tx.maybe(
        _OnStage,
        "SELECT id, room_id, streamer_id, shop_id FROM live.show WHERE id = %(id)s AND state = 'live'",
        id=_id_in(key),
    )
    return None if stage is None else _permit(StreamAction.play, stage)


def _permit(action: StreamAction, stage: _OnStage) -> StreamPermit:
    return StreamPermit(
        action=action, show_id=stage.id, room_id=stage.room_id, streamer_id=stage.streamer_id, shop_id=stage.shop_id
    )


async def _is_seated(tx: Tx, account_id: AccountId, shop_id: ShopId) -> bool:
    holder = Actor(viewer_id=ViewerId(account_id), account_id=account_id, seat_holder_id=account_id)
    try:
        await identity.require_seat(tx, holder, shop_id, Scope.show)
    except (NotFound, Forbidden, Unauthenticated):
        return False
    return True


def _id_in(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def clean_title(title: str) -> str:
    """A title fit to be shown, or `TextRefused`."""
    return catalog.clean_text("title", title, kind="name", required=True)


def clean_cover(cover: str | None) -> str | None:
    """The address of a picture, one that is drawn included, or `ImageRefused`."""
    if not cover or DRAWN.fullmatch(cover):
        return cover or None
    return next(iter(catalog.clean_images([cover])), None)
