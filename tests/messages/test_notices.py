"""Notices are written once, read, bounded and forgotten."""

import asyncio
from uuid import UUID

import pytest

from laotie import messages
from laotie.base.bus import LocalBus
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import AccountId, ViewerId, new_id
from laotie.base.outbox import Relay, list_waiting
from laotie.base.refusals import NotFound
from laotie.events.identity import AccountErased, GuestMerged
from laotie.events.messages import Noticed
from laotie.messages.model import NOTICES_KEPT_MAX
from laotie.messages.reactions import REACTIONS

FACTS = {"title": "海鲜夜", "streamer": "老李"}


def viewers(count: int) -> list[ViewerId]:
    return [ViewerId(new_id()) for _ in range(count)]


async def tell(db: Database, whom: list[ViewerId], *, once: UUID | None = None, kind: str = "show_started") -> int:
    async with db.tx() as tx:
        return await messages.notify_many(tx, whom, kind, FACTS, "/shows/1", once=once)


async def inbox(db: Database, viewer_id: ViewerId) -> messages.NoticePage:
    async with db.read() as tx:
        return await messages.list_notices(tx, viewer_id, after=None, limit=100)


async def test_the_same_thing_told_by_many_at_once_reaches_each_viewer_once(db: Database) -> None:
    whom, once = viewers(300), new_id()
    told = await asyncio.gather(*(tell(db, whom[start:], once=once) for start in (0, 100, 50, 0, 200)))
    assert sum(told) == 300
    async with db.read() as tx:
        assert await tx.one(int, "SELECT count(*) FROM messages.notice") == 300
        assert await tx.one(int, "SELECT count(*) FROM messages.message") == 1
        news = [told.event for told in await list_waiting(tx) if isinstance(told.event, Noticed)]
    assert sorted(viewer_id for one in news for viewer_id in one.viewer_ids) == sorted(whom)
    assert (await inbox(db, whom[0])).unread_count == 1


async def test_other_content_or_another_cause_is_another_notice(db: Database) -> None:
    (anna,) = viewers(1)
    once = new_id()
    assert await tell(db, [anna, anna], once=once) == 1
    assert await tell(db, [anna], once=once, kind="show_soon") == 1
    assert await tell(db, [anna]) == 1
    assert await tell(db, [anna]) == 1
    assert (await inbox(db, anna)).unread_count == 4


async def test_reading_counts_from_what_was_on_the_screen(db: Database) -> None:
    anna, bob = viewers(2)
    for _ in range(3):
        await tell(db, [anna, bob])
    newest, middle, oldest = (await inbox(db, anna)).items
    async with db.tx() as tx:
        await messages.mark_all_read(tx, anna, up_to=middle.id)
        assert await messages.count_unread(tx, anna) == 1
        assert await messages.count_unread(tx, bob) == 3
        assert await messages.open_notice(tx, anna, newest.id) == "/shows/1"
        assert await messages.count_unread(tx, anna) == 0
        with pytest.raises(NotFound):
            await messages.open_notice(tx, anna, messages.MessageId(new_id()))
    assert [one.id for one in (await inbox(db, anna)).items] == [newest.id, middle.id, oldest.id]
    async with db.read() as tx:
        first = await messages.list_notices(tx, anna, after=None, limit=2)
        rest = await messages.list_notices(tx, anna, after=first.next, limit=2)
    assert [one.id for one in first.items + rest.items] == [newest.id, middle.id, oldest.id]
    assert rest.next is None


async def test_a_kind_that_is_switched_off_is_not_told(db: Database) -> None:
    anna, bob = viewers(2)
    async with db.tx() as tx:
        await messages.set_preference(tx, anna, messages.Preference(off_kinds=["show_soon"]))
        with pytest.raises(messages.PreferenceRefused):
            await messages.set_preference(tx, anna, messages.Preference(quiet_from=60))
        with pytest.raises(messages.PreferenceRefused):
            await messages.set_preference(tx, anna, messages.Preference(time_zone="../etc/passwd"))
    assert await tell(db, [anna, bob], kind="show_soon") == 1
    assert await tell(db, [anna, bob]) == 2


async def test_an_inbox_is_bounded_in_number_and_in_time(db: Database, clock: Clock) -> None:
    anna, bob = viewers(2)
    await tell(db, [bob])
    for _ in range(NOTICES_KEPT_MAX + 5):
        await tell(db, [anna])
    async with db.tx() as tx:
        assert await messages.count_unread(tx, anna) == NOTICES_KEPT_MAX
        assert await messages.count_unread(tx, bob) == 1
    clock.advance(seconds=61 * 86_400)
    await tell(db, [anna])
    async with db.tx() as tx:
        # Message ids are of the machine's clock, which the test cannot move: what it moved is the sweep's.
        assert await messages.sweep_notices(tx) > NOTICES_KEPT_MAX
        assert await tx.one(int, "SELECT count(*) FROM messages.message") == 0


async def test_a_guest_brings_notices_along_and_who_leaves_takes_all_away(db: Database) -> None:
    guest, account = viewers(2)
    relay = Relay(db, LocalBus(), REACTIONS)
    both = new_id()
    await tell(db, [guest, account], once=both)
    await tell(db, [guest])
    async with db.tx() as tx:
        await messages.set_preference(tx, guest, messages.Preference(off_kinds=["fun_won"]))
        tx.tell(GuestMerged(guest_id=guest, account_id=AccountId(account)))
    await relay.drain()
    assert len((await inbox(db, account)).items) == 2
    assert (await inbox(db, guest)).items == []
    async with db.tx() as tx:
        held = await messages.export(tx, AccountId(account))
        assert (len(held.notices), held.preference.off_kinds) == (2, ["fun_won"])
        tx.tell(AccountErased(account_id=AccountId(account)))
    await relay.drain()
    async with db.tx() as tx:
        held = await messages.export(tx, AccountId(account))
    assert (held.notices, held.preference, held.devices) == ([], messages.Preference(), [])
