"""What befell those who wanted to send a room's picture and were refused: kept for the streamer, told to the desk.

The last few a room, each kind counted up. A stream key appears by its first and last digits only.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import RoomId, ShowId, new_id
from laotie.base.refusals import Refusal
from laotie.events.identity import AccountErased
from laotie.events.live import IngestRefused
from laotie.live.model import IngestRefusal

REFUSALS_KEPT_MAX = 20
KEPT_DAYS = 7
TOLD_EVERY = timedelta(seconds=5)
ADDRESS_LENGTH_MAX = 64


class _Place(msgspec.Struct, frozen=True):
    room_id: RoomId
    show_id: ShowId | None


class _Noted(msgspec.Struct, frozen=True):
    count: int
    before: datetime | None


async def note_refusal(
    tx: Tx, refusal: Refusal, *, door: str, address: str, key: str = "", show_id: ShowId | None = None
) -> None:
    """Keep a refusal with the room that the key or the show names; nothing when neither names one.

    Tells `IngestRefused`, of one kind every few seconds at most.
    """
    place = await _find_place(tx, key, show_id)
    if place is None:
        return
    said = {"door": door, "code": refusal.code, "key": mask_key(key), "address": address[:ADDRESS_LENGTH_MAX]}
    noted = await tx.one(
        _Noted,
        """
        WITH before AS (
            SELECT at FROM live.ingest_refusal
            WHERE room_id = %(room_id)s AND door = %(door)s AND code = %(code)s AND key = %(key)s
              AND address = %(address)s
        )
        INSERT INTO live.ingest_refusal AS kept (id, room_id, door, code, title, key, address, count, at)
        VALUES (%(id)s, %(room_id)s, %(door)s, %(code)s, %(title)s, %(key)s, %(address)s, 1, %(now)s)
        ON CONFLICT (room_id, door, code, key, address) DO UPDATE SET count = kept.count + 1, at = %(now)s
        RETURNING count, (SELECT at FROM before) AS before
        """,
        id=new_id(),
        room_id=place.room_id,
        title=refusal.title,
        now=tx.now,
        **said,
    )
    if noted.count == 1:
        await _forget_old(tx, place.room_id)
    if noted.before is None or tx.now - noted.before >= TOLD_EVERY:
        tx.tell(IngestRefused(room_id=place.room_id, show_id=place.show_id, title=refusal.title, at=tx.now, **said))


async def list_refusals(tx: Tx, room_id: RoomId) -> list[IngestRefusal]:
    """The last refusals at a room's doors, newest first."""
    return await tx.all(
        IngestRefusal,
        """
        SELECT door, code, title, key, address, count, at FROM live.ingest_refusal
        WHERE room_id = %(room_id)s AND at > %(since)s ORDER BY at DESC LIMIT %(limit)s
        """,
        room_id=room_id,
        since=tx.now - timedelta(days=KEPT_DAYS),
        limit=REFUSALS_KEPT_MAX,
    )


async def forget_refusals(tx: Tx, event: AccountErased) -> None:
    """Addresses of whoever was refused at a room go with its streamer."""
    await tx.run(
        """
        DELETE FROM live.ingest_refusal
        WHERE room_id IN (SELECT id FROM live.room WHERE streamer_id = %(account_id)s)
        """,
        account_id=event.account_id,
    )


def mask_key(key: str) -> str:
    """Enough of a stream key to tell two of them apart, too little to guess one."""
    return f"{key[:4]}…{key[-4:]}" if len(key) >= 32 else "…" if key else ""


async def _find_place(tx: Tx, key: str, show_id: ShowId | None) -> _Place | None:
    if show_id is not None:
        return await tx.maybe(
            _Place, "SELECT room_id, id AS show_id FROM live.show WHERE id = %(show_id)s", show_id=show_id
        )
    try:
        room_id = UUID(key[:32])
    except ValueError:
        return None
    return await tx.maybe(
        _Place,
        """
        SELECT id AS room_id, (
            SELECT id FROM live.show WHERE room_id = room.id AND state IN ('scheduled', 'live')
            ORDER BY state = 'live' DESC, planned_at NULLS LAST, id DESC LIMIT 1
        ) AS show_id FROM live.room WHERE id = %(room_id)s
        """,
        room_id=room_id,
    )


async def _forget_old(tx: Tx, room_id: RoomId) -> None:
    await tx.run(
        """
        DELETE FROM live.ingest_refusal WHERE room_id = %(room_id)s AND (at < %(since)s OR id NOT IN (
            SELECT id FROM live.ingest_refusal WHERE room_id = %(room_id)s ORDER BY at DESC LIMIT %(kept)s
        ))
        """,
        room_id=room_id,
        since=tx.now - timedelta(days=KEPT_DAYS),
        kept=REFUSALS_KEPT_MAX,
    )
