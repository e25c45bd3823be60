"""Beside the live room, over HTTP: what is played is watched as long as the server saw; a duel leads into the other room."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from doors import open_door
from laotie import fun, live, traffic
from laotie.base.entry import Source, Visit
from laotie.base.ids import RoomId, ShowId, new_id
from laotie.identity import Actor
from laotie.lake import Act, Played
from laotie.web import acts
from laotie.web.house import House
from laotie.web.middleware import Door
from market import Market, furnish
from people import Browser, People, problem
from world import made


class Kept:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.acts: list[Act] = []

    def append(self, act: Act) -> None:
        self.acts.append(act)

    @property
    def played(self) -> list[Played]:
        return [act for act in self.acts if isinstance(act, Played)]


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def app(house: House, kept: Kept) -> Iterator[Door]:
    with open_door(replace(house, sink=kept)) as opened:
        yield opened


@pytest.fixture
async def market(house: House) -> Market:
    return await furnish(house)


async def come(market: Market, actor: Actor, kind: str = "replay") -> traffic.Opened:
    """Somebody comes to the replay of the market's show."""
    host = market.owner.signed_in()
    surface = traffic.Surface(
        placement=f"{kind}:{market.show_id}", shop_id=market.shop_id, streamer_id=host, show_id=ShowId(market.show_id)
    )
    async with market.db.tx() as tx:
        return await traffic.open_surface_visit(tx, market.house.signer, actor, surface, entry=None, visit=None)


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, problem(answer)["type"]) == (status, f"/problems/{code}")


async def beat(browser: Browser, play: Any, visit: str, last: str | None, shown_ms: int) -> dict[str, Any]:
    said = {"visit": visit, "beat": last, "shown_ms": shown_ms}
    answer: dict[str, Any] = await made(browser.put(f"/api/plays/{play}", json=said))
    return answer


async def test_what_ran_in_sight_is_told_to_the_lake_and_no_more_than_time_has_passed(
    people: People, market: Market, kept: Kept
) -> None:
    anna = await people.viewer("anna")
    opened, play = await come(market, anna.actor), uuid4()
    first = await beat(anna, play, opened.token, None, 60_000)
    assert (first["counted_ms"], first["beat_s"]) == (0, 10)
    market.db.clock.advance(seconds=10)
    second = await beat(anna, play, opened.token, first["beat"], 4_000)
    market.db.clock.advance(seconds=5)
    third = await beat(anna, play, opened.token, second["beat"], 3_600_000)
    assert second["counted_ms"] == 4_000 and 5_000 <= third["counted_ms"] < 6_500
    market.db.clock.advance(seconds=16)
    assert (await beat(anna, play, opened.token, third["beat"], 16_000))["counted_ms"] == 0
    one, other = kept.played
    assert one.at_us <= other.since_us, "spans of a play follow each other"
    assert (one.placement, one.shop_id, one.streamer_id) == (f"replay:{market.show_id}", market.shop_id, market.owner.account_id)
    assert (one.show_id, one.visit_id, one.stay.connection_id) == (None, opened.visit.id, play), "a replay is not the live room"
    stranger = await people.viewer("bob")
    theirs = await stranger.put(f"/api/plays/{play}", json={"visit": opened.token, "beat": first["beat"], "shown_ms": 1})
    refused(theirs, 403, "entry-not-yours")
    forged = await anna.put(f"/api/plays/{uuid4()}", json={"visit": opened.token, "beat": first["beat"], "shown_ms": 1})
    refused(forged, 401, "token-invalid")


async def test_the_shops_own_people_are_no_viewers(people: People, market: Market, kept: Kept) -> None:
    opened = await come(market, market.owner)
    assert not opened.visit.counts
    acts.tell_play(replace(market.house, sink=kept), opened.visit, uuid4(), traffic.Span(1_000_000, 2_000_000))
    assert not kept.played


async def test_what_reaches_over_midnight_is_two_days(market: Market, kept: Kept) -> None:
    opened = await come(market, await market.buyer())
    midnight_us = 1_780_243_200_000_000  # 2026-06-01 in Shanghai
    acts.tell_play(
        replace(market.house, sink=kept), opened.visit, uuid4(), traffic.Span(midnight_us - 3_000_000, midnight_us + 2_000_000)
    )
    assert [(act.since_us - midnight_us, act.at_us - midnight_us) for act in kept.played] == [(-3_000_000, -1), (0, 2_000_000)]


async def test_who_goes_over_to_the_rivals_room_was_brought_by_the_duel(people: People, market: Market) -> None:
    rival, shop_id = await market.open_shop()
    rival_show = ShowId(new_id())
    async with market.db.tx() as tx:
        await live.open_room(tx, rival, RoomId(new_id()), shop_id=shop_id, title="The other room")
        await live.plan_show(tx, rival, live.ShowDraft(id=rival_show, title="The other show"))
        await live.start_show(tx, rival, rival_show)
        draft = {"id": new_id(), "kind": "pk", "title": "PK", "duration_s": 60, "rival_show_id": rival_show}
        duel = await fun.plan_activity(tx, market.owner, market.show_id, msgspec.convert(msgspec.to_builtins(draft), fun.Draft))
    anna = await people.viewer("anna")
    here = (await made(anna.post(f"/api/shows/{market.show_id}/tickets", json={})))["visit"]
    early = await anna.post(f"/api/activities/{duel}/crossings", json={"visit": here})
    refused(early, 404, "not-found")
    side = await people.viewer("side")
    await people.give_every_right(side, shop_id)
    await made(side.post(f"/api/activities/{duel}/consent"))
    entry = (await made(anna.post(f"/api/activities/{duel}/crossings", json={"visit": here})))["entry"]
    there = (await made(anna.post(f"/api/shows/{rival_show}/tickets", json={"entry": entry})))["visit"]
    visit = market.house.signer.open("visit", there, Visit, age_max_s=None)
    assert (visit.source, visit.placement, visit.show_id) == (Source.pk, "pk", rival_show)
    bob = await people.viewer("bob")
    refused(await bob.post(f"/api/activities/{duel}/crossings", json={"visit": here}), 403, "entry-not-yours")
    replayed = (await come(market, anna.actor)).token
    refused(await anna.post(f"/api/activities/{duel}/crossings", json={"visit": replayed}), 404, "not-found")
