"""Opens the ways that a picture comes in by, and ties each to the house: who may send, who was refused, who has to go."""

from contextlib import AsyncExitStack
from functools import partial

import msgspec

from laotie import live
from laotie.base.bus import Bus
from laotie.base.db import Database
from laotie.base.ids import AccountId, ShowId
from laotie.base.logs import log
from laotie.base.refusals import Conflict, Unavailable
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.events.live import IngestKeyRotated, ShowEnded
from laotie.gateway.ingest import IngestDoor
from laotie.gateway.rtmp import RtmpDoor
from laotie.media import Action, ChannelId, Door, Grant, MediaServer, Rejection


class PortTaken(Conflict, code="port-taken"):
    """Another program listens on this address; stop it, or set another port."""

    address: str
    setting: str


async def open_ingest(
    settings: Settings, stack: AsyncExitStack, db: Database, signer: Signer, bus: Bus, media: MediaServer
) -> IngestDoor:
    """Listen for encoders where that is wanted, and give the door for browsers; the stack closes both."""
    note = partial(_note_rejection, db)
    ingest = IngestDoor(media, signer, db.clock, on_rejected=note)
    stack.push_async_callback(ingest.stop)
    bus.subscribe("events.show.ended", partial(_end_picture, media))
    bus.subscribe("events.room.ingest_key_rotated", partial(_cut_encoder, media))
    for tag in ("identity.seat_revoked", "identity.sessions_ended", "identity.account_erased"):
        bus.subscribe(f"events.{tag}", partial(_send_away, ingest))
    if settings.rtmp_port:
        judge = partial(_authorize, db, signer)
        rtmp = RtmpDoor(media, judge, host=settings.rtmp_host, port=settings.rtmp_port, on_rejected=note)
        try:
            await rtmp.start()
        except OSError:
            taken = f"{settings.rtmp_host}:{settings.rtmp_port} (RTMP)"
            raise PortTaken(address=taken, setting="LAOTIE_RTMP_PORT") from None
        stack.push_async_callback(rtmp.stop)
    return ingest


async def _authorize(db: Database, signer: Signer, action: Action, room: str, key: str, address: str) -> Grant:
    """The encoder's key, judged by `live`."""
    async with db.tx() as tx:
        permit = await live.authorize(tx, signer, live.StreamAction(action.value), key, address=address)
    return Grant(ChannelId(permit.show_id))


async def _note_rejection(db: Database, rejection: Rejection) -> None:
    """Keep it where the streamer sees it; a door is not held up by what cannot be written."""
    channel_id = rejection.channel_id
    try:
        async with db.tx() as tx:
            await live.note_refusal(
                tx,
                rejection.refusal,
                door=rejection.door,
                address=rejection.address,
                key=rejection.key,
                show_id=None if channel_id is None else ShowId(channel_id),
            )
    except Unavailable:
        log.info("a refused publisher was not noted", code=rejection.refusal.code)


def _end_picture(media: MediaServer, _subject: str, payload: bytes) -> None:
    """A show that is over has no picture any more, whatever its encoder still sends."""
    media.end(ChannelId(msgspec.json.decode(payload, type=ShowEnded).show_id), "the show is over")


def _cut_encoder(media: MediaServer, _subject: str, payload: bytes) -> None:
    """Whoever sends with a key that was replaced has to come again with the new one."""
    for show_id in msgspec.json.decode(payload, type=IngestKeyRotated).show_ids:
        media.cut(ChannelId(show_id), "the stream key was replaced", door=Door.RTMP)


class _OfAccount(msgspec.Struct):
    account_id: AccountId


def _send_away(ingest: IngestDoor, _subject: str, payload: bytes) -> None:
    """Who lost a seat or a session does not go on sending; with a right to it, the page comes back at once."""
    ingest.send_away(msgspec.json.decode(payload, type=_OfAccount).account_id)
