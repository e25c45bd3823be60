"""Who asked to be reminded of a show hears of it in time, once; who follows hears of the start if they want to."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from laotie import fans, live, messages
from laotie.base import jobs
from laotie.base.bus import LocalBus
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import ViewerId, new_id
from laotie.base.outbox import Relay
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.events.identity import GuestMerged
from laotie.events.live import ShowChanged
from laotie.fans import reactions
from laotie.fans.reminders import (
    _Chunk,
    _next_chunk,  # to do a chunk's work again, as after a crash
)
from pushes import run_jobs
from stage import Host, guest, host, join


class Stage:
    """A host with a show planned in an hour, and what carries news and does jobs."""

    def __init__(self, db: Database, host: Host, context: jobs.Context) -> None:
        self.db, self.host, self._context = db, host, context
        self._relay = Relay(db, LocalBus(), reactions.REACTIONS)

    async def settle(self) -> None:
        """All news carried, all jobs done."""
        await self._relay.drain()
        await run_jobs(self._context)

    async def plan(self, minutes: float | None) -> None:
        planned_at = None if minutes is None else self.db.clock.now() + timedelta(minutes=minutes)
        async with self.db.tx() as tx:
            await live.change_show(tx, self.host.actor, self.host.show_id, live.ShowChange(planned_at=planned_at))
        await self.settle()

    async def start(self) -> None:
        async with self.db.tx() as tx:
            await live.start_show(tx, self.host.actor, self.host.show_id)
        await self.settle()

    async def end(self) -> None:
        async with self.db.tx() as tx:
            await live.end_show(tx, self.host.actor, self.host.show_id)
        await self.settle()

    async def remind(self, viewer_id: ViewerId) -> None:
        async with self.db.tx() as tx:
            await fans.remind(tx, viewer_id, self.host.show_id)

    async def follow(self, viewer_id: ViewerId, *, notify: bool = True) -> None:
        async with self.db.tx() as tx:
            await fans.follow(tx, viewer_id, self.host.id)
            await fans.set_notify(tx, viewer_id, self.host.id, notify=notify)

    async def told(self, viewer_id: ViewerId) -> list[str]:
        """What a viewer was told, oldest first."""
        async with self.db.read() as tx:
            page = await messages.list_notices(tx, viewer_id, after=None, limit=100)
        return [one.kind for one in reversed(page.items)]


@pytest.fixture
async def stage(db: Database, signer: Signer, tmp_path: Path) -> Stage:
    made = Stage(
        db,
        await host(db, is_live=False),
        jobs.Context(db, Settings(data_dir=str(tmp_path)), signer, LocalBus()),
    )
    await made.plan(60)
    return made


async def test_who_asked_hears_ten_minutes_before_and_at_the_start(stage: Stage, db: Database, clock: Clock) -> None:
    anna, bob = guest().viewer_id, guest().viewer_id
    await stage.remind(anna)
    clock.advance(seconds=49 * 60)
    assert await fans.tell_soon(db) == 0
    clock.advance(seconds=60)
    assert sum(await asyncio.gather(*(fans.tell_soon(db) for _ in range(5)))) == 1, "however many workers there are"
    assert await fans.tell_soon(db) == 0, "also after a restart: what was told is in the table"
    await stage.settle()
    assert await stage.told(anna) == ["show_soon"]
    clock.advance(seconds=600)
    await stage.start()
    assert await stage.told(anna) == ["show_soon", "show_started"]
    assert await stage.told(bob) == []
    async with db.read() as tx:
        page = await messages.list_notices(tx, anna, after=None, limit=1)
    assert page.items[0].link == f"/shows/{stage.host.show_id}"
    assert (page.items[0].facts["title"], page.items[0].facts["streamer"]) == ("Fresh from the sea", "host")


async def test_a_job_done_again_after_a_crash_tells_nobody_twice(stage: Stage, db: Database, clock: Clock) -> None:
    anna, fan = guest().viewer_id, guest().viewer_id
    await stage.remind(anna)
    await stage.follow(fan)
    await stage.follow(anna)
    async with db.tx() as tx:
        chunk = _Chunk(
            show_id=stage.host.show_id, kind="show_started", facts={}, link="/", once=new_id(), followers_of=stage.host.id
        )
        for _ in range(3):
            await _next_chunk(tx, chunk)
    await stage.settle()
    assert await stage.told(anna) == ["show_started"]
    assert await stage.told(fan) == ["show_started"]


async def test_followers_hear_of_a_start_if_they_want_to(stage: Stage) -> None:
    glad, weary, both = guest().viewer_id, guest().viewer_id, guest().viewer_id
    await stage.follow(glad)
    await stage.follow(weary, notify=False)
    await stage.follow(both)
    await stage.remind(both)
    await stage.start()
    assert await stage.told(glad) == ["show_started"]
    assert await stage.told(weary) == []
    assert await stage.told(both) == ["show_started"]


async def test_a_show_that_moves_or_is_called_off_tells_those_who_wait(
    stage: Stage, db: Database, clock: Clock
) -> None:
    anna, fan = guest().viewer_id, guest().viewer_id
    await stage.remind(anna)
    await stage.follow(fan)
    clock.advance(seconds=55 * 60)
    await fans.tell_soon(db)
    await stage.plan(30)
    assert await stage.told(anna) == ["show_moved"] or await stage.told(anna) == ["show_soon", "show_moved"]
    clock.advance(seconds=25 * 60)
    assert await fans.tell_soon(db) == 1, "the new plan is told, too"
    await stage.settle()
    await stage.plan(None)
    await stage.end()
    told = await stage.told(anna)
    assert sorted(told) == ["show_called_off", "show_moved", "show_moved", "show_soon", "show_soon"]
    assert told[-1] == "show_called_off"
    assert await stage.told(fan) == []


async def test_a_plan_that_passed_unseen_is_not_told(stage: Stage, db: Database, clock: Clock) -> None:
    await stage.remind(guest().viewer_id)
    clock.advance(seconds=3_601)
    assert await fans.tell_soon(db) == 0


async def test_there_is_nothing_to_be_reminded_of_once_it_began(stage: Stage, db: Database, clock: Clock) -> None:
    anna = guest().viewer_id
    await stage.remind(anna)
    async with db.tx() as tx:
        await fans.forget_reminder(tx, anna, stage.host.show_id)
        assert await fans.list_reminders(tx, anna) == []
    await stage.start()
    assert await stage.told(anna) == []
    with pytest.raises(fans.ShowNotPlanned):
        await stage.remind(anna)
    await stage.end()
    clock.advance(seconds=2 * 86_400)
    async with db.tx() as tx:
        assert await fans.sweep_reminders(tx) == 1


async def test_a_guest_who_signs_in_keeps_reminders_and_wishes(stage: Stage, db: Database) -> None:
    someone, account = guest().viewer_id, await join(db, "anna")
    assert account.account_id is not None
    await stage.remind(someone)
    await stage.follow(someone, notify=False)
    async with db.tx() as tx:
        tx.tell(GuestMerged(guest_id=someone, account_id=account.account_id))
    await stage.settle()
    async with db.read() as tx:
        assert [one.show_id for one in await fans.list_reminders(tx, account.viewer_id)] == [stage.host.show_id]
        (follow,) = await fans.list_follows(tx, account.viewer_id)
    assert not follow.notify


async def test_late_news_changes_nothing(stage: Stage, db: Database) -> None:
    anna = guest().viewer_id
    await stage.remind(anna)
    await stage.start()
    async with db.tx() as tx:
        tx.tell(
            ShowChanged(
                show_id=stage.host.show_id, version=2, streamer_id=stage.host.id, title="old", planned_at=tx.now
            )
        )
    await stage.settle()
    assert await stage.told(anna) == ["show_started"]


@pytest.mark.prove
async def test_a_hundred_thousand_followers_each_hear_once(stage: Stage, db: Database) -> None:
    async with db.tx() as tx:
        await tx.run(
            """
            INSERT INTO fans.follow (viewer_id, streamer_id, since, source, placement)
            SELECT gen_random_uuid(), %(id)s, now(), 'direct', 'direct' FROM generate_series(1, 100000)
            """,
            id=stage.host.id,
        )
    await stage.start()
    async with db.read() as tx:
        assert await tx.one(int, "SELECT count(*) FROM messages.notice") == 100_000
        assert await tx.one(int, "SELECT count(DISTINCT viewer_id) FROM messages.notice") == 100_000
