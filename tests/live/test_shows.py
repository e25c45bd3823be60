"""Shows from plan to end."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from laotie import live
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import ShowId, new_id
from laotie.base.outbox import list_waiting
from laotie.base.refusals import IdReused, NotFound
from laotie.catalog import ChangedMeanwhile
from laotie.events import live as news
from laotie.identity import Scope, grant_seat
from laotie.live import Audience, ShowState
from stage import host, join


async def test_a_show_goes_from_planned_to_live_to_ended_and_stays_so(db: Database) -> None:
    someone = await host(db, is_live=False)
    async with db.tx() as tx:
        planned = await live.get_show(tx, someone.show_id)
        assert (planned.state, planned.version, planned.started_at) == (ShowState.scheduled, 1, None)
        assert planned.streamer.name == "host"
        started = await live.start_show(tx, someone.actor, someone.show_id)
        assert (started.state, started.version, started.started_at) == (ShowState.live, 2, tx.now)
        assert await live.start_show(tx, someone.actor, someone.show_id) == started
        ended = await live.end_show(tx, someone.actor, someone.show_id)
        assert (ended.state, ended.version, ended.ended_at) == (ShowState.ended, 3, tx.now)
        assert await live.end_show(tx, someone.actor, someone.show_id) == ended
        with pytest.raises(live.ShowEnded):
            await live.start_show(tx, someone.actor, someone.show_id)
        with pytest.raises(live.ShowEnded):
            await live.change_show(tx, someone.actor, someone.show_id, live.ShowChange(title="x"))
    async with db.read() as tx:
        told = [one.event for one in await list_waiting(tx)]
        assert [type(event) for event in told if type(event).__module__ == news.__name__] == [
            news.ShowScheduled,
            news.ShowStarted,
            news.ShowEnded,
        ]
        assert await live.count_shows(tx) == live.ShowCounts(scheduled=0, live=0, ended=1)


async def test_the_same_plan_again_is_the_same_show_and_another_one_is_refused(db: Database) -> None:
    someone = await host(db)
    async with db.tx() as tx:
        draft = live.ShowDraft(id=ShowId(new_id()), title="Tomorrow", planned_at=tx.now + timedelta(days=1))
        first = await live.plan_show(tx, someone.actor, draft)
        await live.change_show(tx, someone.actor, draft.id, live.ShowChange(title="The day after"))
        again = await live.plan_show(tx, someone.actor, draft)
        assert (first.title, again.title, again.id) == ("Tomorrow", "The day after", first.id)
        with pytest.raises(IdReused):
            await live.plan_show(tx, someone.actor, live.ShowDraft(id=draft.id, title="Another"))


async def test_a_show_is_not_planned_for_the_past(db: Database) -> None:
    someone = await host(db)
    async with db.tx() as tx:
        for moment in (tx.now, tx.now - timedelta(days=1), (tx.now + timedelta(days=1)).replace(tzinfo=None)):
            with pytest.raises(live.PlanRefused):
                await live.plan_show(
                    tx, someone.actor, live.ShowDraft(id=ShowId(new_id()), title="x", planned_at=moment)
                )


async def test_an_old_version_of_a_show_is_not_changed(db: Database) -> None:
    someone = await host(db)
    async with db.tx() as tx:
        show = await live.get_show(tx, someone.show_id)
        change = live.ShowChange(title="New", expected_version=show.version)
        changed = await live.change_show(tx, someone.actor, show.id, change)
        with pytest.raises(ChangedMeanwhile) as refused:
            await live.change_show(tx, someone.actor, show.id, change)
        assert refused.value.version == changed.version == show.version + 1


async def test_staff_with_the_scope_show_run_it_and_strangers_do_not_see_the_switch(db: Database) -> None:
    owner, staff, stranger = await host(db, is_live=False), await join(db, "staff"), await join(db, "stranger")
    async with db.tx() as tx:
        await grant_seat(tx, owner.actor, owner.shop_id, "staff", scopes=[Scope.show])
        draft = live.ShowDraft(id=ShowId(new_id()), room_id=owner.room_id, title="By staff")
        assert (await live.plan_show(tx, staff, draft)).streamer.id == owner.id
        await live.start_show(tx, staff, draft.id)
        for act in (live.start_show, live.end_show):
            with pytest.raises(NotFound):
                await act(tx, stranger, owner.show_id)
            with pytest.raises(NotFound):
                await act(tx, owner.actor, ShowId(uuid4()))


async def test_a_room_is_live_with_one_show_whoever_starts_at_once(db: Database) -> None:
    someone = await host(db, is_live=False)
    drafts = [live.ShowDraft(id=ShowId(new_id()), title=f"Show {n}") for n in range(5)]
    async with db.tx() as tx:
        for draft in drafts:
            await live.plan_show(tx, someone.actor, draft)

    async def start(show_id: ShowId) -> bool:
        try:
            async with db.tx() as tx:
                await live.start_show(tx, someone.actor, show_id)
            return True
        except live.AnotherShowLive:
            return False

    assert sum(await asyncio.gather(*(start(draft.id) for draft in drafts))) == 1
    async with db.read() as tx:
        assert (await live.count_shows(tx)).live == 1


async def test_one_show_started_twice_at_once_is_told_once(db: Database) -> None:
    someone = await host(db, is_live=False)

    async def start() -> live.Show:
        async with db.tx() as tx:
            return await live.start_show(tx, someone.actor, someone.show_id)

    first, *others = await asyncio.gather(*(start() for _ in range(5)))
    assert all(other == first for other in others)
    async with db.read() as tx:
        told = [one.event for one in await list_waiting(tx)]
    assert sum(isinstance(event, news.ShowStarted) for event in told) == 1


async def test_gateways_counts_are_summed_and_grow_old(db: Database, clock: Clock) -> None:
    someone = await host(db)
    one, two = uuid4(), uuid4()
    async with db.tx() as tx:
        await live.count_audience(tx, one, [Audience(someone.show_id, 30, 5), Audience(ShowId(uuid4()), 9, 9)])
        await live.count_audience(tx, two, [Audience(someone.show_id, 12, 1)])
        show = await live.get_show(tx, someone.show_id)
    assert (show.viewer_count, show.viewer_peak, show.like_count) == (42, 42, 6)
    clock.advance(seconds=60)
    async with db.tx() as tx:
        await live.count_audience(tx, two, [Audience(someone.show_id, 7, 2)])
        show = await live.get_show(tx, someone.show_id)
    assert (show.viewer_count, show.viewer_peak, show.like_count) == (7, 42, 7)


async def test_a_shops_shows_come_in_pages_newest_first(db: Database) -> None:
    someone = await host(db)
    async with db.tx() as tx:
        for number in range(4):
            await live.plan_show(tx, someone.actor, live.ShowDraft(id=ShowId(new_id()), title=f"Show {number}"))
        first = await live.list_shows(tx, someone.shop_id, limit=3)
        assert first.next is not None
        rest = await live.list_shows(tx, someone.shop_id, after=ShowId(first.next), limit=3)
        only_live = await live.list_shows(tx, someone.shop_id, state=ShowState.live)
    assert [show.title for show in first.items] == ["Show 3", "Show 2", "Show 1"]
    assert [show.title for show in rest.items] == ["Show 0", "Fresh from the sea"] and rest.next is None
    assert [show.id for show in only_live.items] == [someone.show_id]


async def test_a_streamers_page_has_what_is_on_what_comes_and_what_was(db: Database) -> None:
    someone = await host(db)
    async with db.tx() as tx:
        page = await live.get_streamer(tx, someone.id)
        assert page.live_show is not None and page.live_show.show_id == someone.show_id
        assert (page.headline, page.shop.name, page.past_shows) == ("Room of host", "host", [])
        await live.end_show(tx, someone.actor, someone.show_id)
        called_off = live.ShowDraft(id=ShowId(new_id()), title="Called off")
        await live.plan_show(tx, someone.actor, called_off)
        await live.end_show(tx, someone.actor, called_off.id)
        draft = live.ShowDraft(id=ShowId(new_id()), title="Soon", planned_at=tx.now + timedelta(hours=1))
        await live.plan_show(tx, someone.actor, draft)
        page = await live.get_streamer(tx, someone.id)
        assert page.live_show is None
        assert page.next_show is not None and page.next_show.title == "Soon"
        assert [card.show_id for card in page.past_shows] == [someone.show_id]
        assert (await join_and_find(db)) is None


async def join_and_find(db: Database) -> live.Streamer | None:
    viewer = await join(db, "viewer")
    assert viewer.account_id is not None
    async with db.read() as tx:
        try:
            return await live.get_streamer(tx, viewer.account_id)
        except NotFound:
            return None
