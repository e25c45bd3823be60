"""Who was refused at a room's doors: kept for the streamer, told to the desk, bounded, without secrets."""

from datetime import timedelta

import pytest

from laotie import live
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import ShowId, new_id
from laotie.base.outbox import list_waiting
from laotie.base.refusals import NotFound
from laotie.base.signer import Signer
from laotie.events.identity import AccountErased
from laotie.events.live import IngestKeyRotated, IngestRefused
from laotie.identity import Scope, ScopeLacking, grant_seat
from laotie.live import ShowEnded, StreamAction, StreamRefused
from laotie.live.ingest import forget_refusals
from laotie.media import ChannelBusy
from stage import Host, host, join

ADDRESS = "192.0.2.7"


async def _key(db: Database, signer: Signer, someone: Host) -> str:
    async with db.tx() as tx:
        return await live.rotate_ingest_key(tx, signer, someone.actor)


async def test_a_wrong_key_is_kept_with_its_room_and_told_once_in_a_while(
    db: Database, signer: Signer, clock: Clock
) -> None:
    someone = await host(db)
    old, _ = await _key(db, signer, someone), await _key(db, signer, someone)
    for _ in range(3):
        async with db.tx() as tx:
            with pytest.raises(StreamRefused):
                await live.authorize(tx, signer, StreamAction.publish, old, address=ADDRESS)
            await live.note_refusal(tx, StreamRefused(), door="rtmp", address=ADDRESS, key=old)
        clock.advance(seconds=3)
    async with db.read() as tx:
        kept = await live.list_refusals(tx, someone.room_id)
        told = [one.event for one in await list_waiting(tx) if isinstance(one.event, IngestRefused)]
    assert [(one.door, one.code, one.count, one.address) for one in kept] == [("rtmp", "stream-refused", 3, ADDRESS)]
    assert kept[0].key == f"{old[:4]}…{old[-4:]}" and kept[0].title.startswith("This stream key is wrong")
    assert [(event.show_id, event.key) for event in told] == [(someone.show_id, kept[0].key)]
    assert old[32:] not in str(kept) + str(told)


async def test_a_refusal_after_the_key_was_right_belongs_to_the_show(db: Database) -> None:
    someone = await host(db)
    async with db.tx() as tx:
        await live.note_refusal(tx, ChannelBusy(), door="browser", address=ADDRESS, show_id=someone.show_id)
        await live.note_refusal(tx, ChannelBusy(), door="browser", address=ADDRESS, show_id=ShowId(new_id()))
        await live.note_refusal(tx, StreamRefused(), door="rtmp", address=ADDRESS, key="guess")
        await live.note_refusal(tx, StreamRefused(), door="rtmp", address=ADDRESS, key=new_id().hex * 2)
        assert [one.code for one in await live.list_refusals(tx, someone.room_id)] == ["channel-busy"]
        assert await tx.one(int, "SELECT count(*) FROM live.ingest_refusal") == 1


async def test_whoever_hammers_at_a_door_does_not_fill_a_table(db: Database, clock: Clock) -> None:
    someone = await host(db)
    key = someone.room_id.hex + "0" * 32
    async with db.tx() as tx:
        for number in range(60):
            await live.note_refusal(tx, StreamRefused(), door="rtmp", address=f"10.0.0.{number}", key=key)
        assert len(await live.list_refusals(tx, someone.room_id)) == 20
        assert await tx.one(int, "SELECT count(*) FROM live.ingest_refusal") <= 21
    clock.advance(seconds=timedelta(days=8).total_seconds())
    async with db.read() as tx:
        assert await live.list_refusals(tx, someone.room_id) == []


async def test_what_is_kept_goes_with_the_streamer(db: Database) -> None:
    someone, other = await host(db), await host(db, "other")
    async with db.tx() as tx:
        for one in (someone, other):
            await live.note_refusal(tx, ChannelBusy(), door="browser", address=ADDRESS, show_id=one.show_id)
        await forget_refusals(tx, AccountErased(account_id=someone.id))
        assert await live.list_refusals(tx, someone.room_id) == []
        assert len(await live.list_refusals(tx, other.room_id)) == 1


async def test_a_new_key_tells_which_pictures_the_old_one_may_feed(db: Database, signer: Signer) -> None:
    someone = await host(db)
    await _key(db, signer, someone)
    async with db.read() as tx:
        told = [one.event for one in await list_waiting(tx) if isinstance(one.event, IngestKeyRotated)]
    assert [(event.room_id, event.show_ids) for event in told] == [(someone.room_id, [someone.show_id])]


async def test_a_browser_publishes_with_a_seat_for_shows_alone(db: Database, signer: Signer) -> None:
    someone, stranger = await host(db), await join(db, "stranger")
    clerk, helper = await join(db, "clerk"), await join(db, "helper")
    async with db.tx() as tx:
        await grant_seat(tx, someone.actor, someone.shop_id, "clerk", scopes=[Scope.orders])
        await grant_seat(tx, someone.actor, someone.shop_id, "helper", scopes=[Scope.show])
        token = await live.permit_publication(tx, signer, helper, someone.show_id)
        assert live.read_publication(signer, token).show_id == someone.show_id
        for actor, refusal in ((clerk, ScopeLacking), (stranger, NotFound)):
            with pytest.raises(refusal):
                await live.permit_publication(tx, signer, actor, someone.show_id)
        await live.end_show(tx, someone.actor, someone.show_id)
        with pytest.raises(ShowEnded):
            await live.permit_publication(tx, signer, helper, someone.show_id)
