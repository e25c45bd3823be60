"""Rooms and their stream keys."""

import pytest

from laotie import live
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import RoomId, ShowId, new_id
from laotie.base.refusals import IdReused, NotFound, Unauthenticated
from laotie.base.signer import Signer
from laotie.catalog import TextRefused
from laotie.identity import Role, Scope, ScopeLacking, get_account, grant_seat, revoke_seat
from laotie.live import StreamAction
from stage import guest, host, join

ADDRESS = "192.0.2.7"


async def test_a_room_is_opened_once_and_makes_a_streamer(db: Database) -> None:
    someone = await host(db)
    async with db.tx() as tx:
        again = await live.open_room(tx, someone.actor, someone.room_id, shop_id=someone.shop_id, title="x")
        assert again == await live.get_own_room(tx, someone.actor)
        assert again.title == "Room of host"
        with pytest.raises(live.RoomTaken) as refused:
            await live.open_room(tx, someone.actor, RoomId(new_id()), shop_id=someone.shop_id, title="x")
        assert refused.value.room_id == someone.room_id
        assert Role.streamer in (await get_account(tx, someone.actor)).roles


async def test_a_room_needs_a_seat_with_the_scope_show(db: Database) -> None:
    owner, clerk, stranger = await host(db), await join(db, "clerk"), await join(db, "stranger")
    async with db.tx() as tx:
        await grant_seat(tx, owner.actor, owner.shop_id, "clerk", scopes=[Scope.catalog])
    for actor, refusal in ((clerk, ScopeLacking), (stranger, NotFound), (guest(), Unauthenticated)):
        with pytest.raises(refusal):
            async with db.tx() as tx:
                await live.open_room(tx, actor, RoomId(new_id()), shop_id=owner.shop_id, title="x")


async def test_somebody_elses_room_id_is_refused(db: Database) -> None:
    first, second = await host(db, "first"), await join(db, "second")
    async with db.tx() as tx:
        await grant_seat(tx, first.actor, first.shop_id, "second", scopes=[Scope.show])
        with pytest.raises(IdReused):
            await live.open_room(tx, second, first.room_id, shop_id=first.shop_id, title="x")


async def test_a_room_without_a_title_is_refused(db: Database) -> None:
    someone = await host(db)
    async with db.tx() as tx:
        with pytest.raises(TextRefused):
            await live.change_room(tx, someone.actor, live.RoomChange(title="  "))
        changed = await live.change_room(tx, someone.actor, live.RoomChange(title="海边", cover="/media/x.svg"))
    assert (changed.title, changed.cover) == ("海边", "/media/x.svg")


async def test_the_stream_key_alone_names_the_show_and_is_not_stored(db: Database, signer: Signer) -> None:
    someone = await host(db)
    async with db.tx() as tx:
        key = await live.rotate_ingest_key(tx, signer, someone.actor)
        permit = await live.authorize(tx, signer, StreamAction.publish, key, address=ADDRESS)
        stored = await tx.one(bytes, "SELECT ingest_secret_hash FROM live.room")
    assert permit.show_id == someone.show_id
    assert permit.streamer_id == someone.id
    assert len(key) == 64 and key.startswith(someone.room_id.hex)
    assert key[32:].encode() not in stored and bytes.fromhex(key[32:]) not in stored


async def test_a_rotated_key_and_every_wrong_one_are_refused(db: Database, signer: Signer) -> None:
    someone, other = await host(db), await host(db, "other")
    async with db.tx() as tx:
        keyless = someone.room_id.hex + "0" * 32
        wrong = [keyless]
        old = await live.rotate_ingest_key(tx, signer, someone.actor)
        new = await live.rotate_ingest_key(tx, signer, someone.actor)
        wrong += [old, "", "x", "é" * 64, "\x00", new[:-1], new + "0", other.room_id.hex + new[32:], "🦑" * 40]
        for key in wrong:
            with pytest.raises(live.StreamRefused):
                await live.authorize(tx, signer, StreamAction.publish, key, address=ADDRESS)
        await live.authorize(tx, signer, StreamAction.publish, new, address=ADDRESS)


async def test_a_key_rehearses_the_next_show_and_serves_none_after_the_last(db: Database, signer: Signer) -> None:
    someone = await host(db, is_live=False)
    async with db.tx() as tx:
        key = await live.rotate_ingest_key(tx, signer, someone.actor)
        assert (await live.authorize(tx, signer, StreamAction.publish, key, address=ADDRESS)).show_id == someone.show_id
        await live.end_show(tx, someone.actor, someone.show_id)
        with pytest.raises(live.StreamRefused):
            await live.authorize(tx, signer, StreamAction.publish, key, address=ADDRESS)


async def test_a_streamer_without_a_seat_any_more_cannot_publish(db: Database, signer: Signer) -> None:
    owner, streamer = await host(db), await join(db, "streamer")
    room_id, draft = RoomId(new_id()), live.ShowDraft(id=ShowId(new_id()), title="x")
    async with db.tx() as tx:
        await grant_seat(tx, owner.actor, owner.shop_id, "streamer", scopes=[Scope.show])
        await live.open_room(tx, streamer, room_id, shop_id=owner.shop_id, title="x")
        await live.plan_show(tx, streamer, draft)
        key = await live.rotate_ingest_key(tx, signer, streamer)
        await live.authorize(tx, signer, StreamAction.publish, key, address=ADDRESS)
        assert streamer.account_id is not None
        await revoke_seat(tx, owner.actor, owner.shop_id, streamer.account_id)
        with pytest.raises(live.StreamRefused):
            await live.authorize(tx, signer, StreamAction.publish, key, address=ADDRESS)


async def test_only_a_live_show_may_be_played(db: Database, signer: Signer) -> None:
    someone = await host(db)
    async with db.tx() as tx:
        played = await live.authorize(tx, signer, StreamAction.play, str(someone.show_id), address=ADDRESS)
        assert played.room_id == someone.room_id
        await live.end_show(tx, someone.actor, someone.show_id)
        for key in (str(someone.show_id), "nothing"):
            with pytest.raises(live.StreamRefused):
                await live.authorize(tx, signer, StreamAction.play, key, address=ADDRESS)


async def test_a_stream_key_outlives_the_rotation_of_the_services_own_key(db: Database, clock: Clock) -> None:
    someone = await host(db)
    old, new = "the service's first key, long enough", "the service's second key, long enough"
    async with db.tx() as tx:
        key = await live.rotate_ingest_key(tx, Signer([old], clock), someone.actor)
        await live.authorize(tx, Signer([old, new], clock), StreamAction.publish, key, address=ADDRESS)
        with pytest.raises(live.StreamRefused):
            await live.authorize(tx, Signer([new], clock), StreamAction.publish, key, address=ADDRESS)
