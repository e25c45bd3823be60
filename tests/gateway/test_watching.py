"""Watch time is the server's: visible, acknowledged, in time. Time is moved, nobody sleeps."""

import asyncio
from collections.abc import Callable

import pytest
from room_client import Client
from scene import House

from laotie.lake import Left, Watched


class Hands:
    """The gateway's clock, moved by hand and otherwise standing: how long the machine takes is nobody's watch time."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._instant = now()

    def __call__(self) -> float:
        return self._instant

    def move(self, seconds: float) -> None:
        self._instant += seconds


@pytest.fixture
def hands(house: House) -> Hands:
    hands = Hands(house.gateway.now)
    house.gateway.now = hands
    return hands


async def beat(client: Client, *, visible: bool = True, v: int | None = None) -> None:
    """A beat, and the certainty that it was read."""
    client.send({"t": "beat", "visible": visible, "v": client.state.v if v is None else v})
    client.send({"t": "chat", "id": "x", "text": ""})
    await client.until("refused", since=len(client.frames))


async def leave(house: House, client: Client) -> None:
    """Close, and wait until the other end has noticed."""
    await client.close()
    async with asyncio.timeout(30):
        while house.gateway.sockets:
            await asyncio.sleep(0.01)


def watched_s(house: House) -> float:
    return round(sum(act.watched_ms for act in house.acts if isinstance(act, Watched)) / 1000)


async def test_visible_acknowledged_time_counts(house: House, hands: Hands) -> None:
    client = await house.enter()
    await client.until("counts")
    for _ in range(3):
        hands.move(10)
        await beat(client)
    assert watched_s(house) == 30
    await leave(house, client)
    left = next(act for act in house.acts if isinstance(act, Left))
    assert round(left.watched_ms / 1000) == 30


async def test_hidden_time_does_not_count(house: House, hands: Hands) -> None:
    client = await house.enter()
    hands.move(10)
    await beat(client)
    hands.move(10)
    await beat(client, visible=False)
    hands.move(10)
    await beat(client)
    assert watched_s(house) == 10
    hands.move(10)
    await beat(client)
    assert watched_s(house) == 20


async def test_time_without_beats_does_not_count(house: House, hands: Hands) -> None:
    client = await house.enter()
    hands.move(16)
    await beat(client)
    assert watched_s(house) == 0


async def test_beating_faster_gains_nothing(house: House, hands: Hands) -> None:
    client = await house.enter()
    for _ in range(10):
        hands.move(1)
        await beat(client)
    assert watched_s(house) == 10


async def test_frames_that_are_not_acknowledged_stop_the_count(house: House, hands: Hands) -> None:
    client = await house.enter()
    await client.until("counts")
    stale = client.state.v
    hands.move(10)
    await beat(client, v=stale)
    client.send({"t": "like", "n": 1})
    await client.settle(lambda room: room.v != stale)
    hands.move(10)
    await beat(client, v=stale)
    assert watched_s(house) == 20
    hands.move(10)
    await beat(client, v=stale)
    assert watched_s(house) == 20


async def test_a_version_that_does_not_exist_is_refused(house: House, hands: Hands) -> None:
    client = await house.enter()
    hands.move(10)
    client.send({"t": "beat", "visible": True, "v": 2**53 - 1})
    assert (await client.until("refused"))["code"] == "version-unknown"
    assert watched_s(house) == 0


async def test_a_stay_is_told_to_the_behaviour_log(house: House) -> None:
    client = await house.enter()
    client.chat("好看")
    await client.until("sent")
    client.send({"t": "click", "item": str(house.market.items[0].id)})
    client.send({"t": "like", "n": 4})
    await client.settle(lambda room: room.counts["likes"] == 4)
    await leave(house, client)
    acts = house.acts
    assert [type(act).__name__ for act in acts] == ["Entered", "Chatted", "Clicked", "Liked", "Left"]
    assert len({act.visit_id for act in acts}) == 1


async def test_spans_of_one_connection_never_overlap_whatever_is_done_to_the_wall_clock(
    house: House, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await house.enter()
    await client.until("counts")
    for drift_us in (0, 7_000_000, -9_000_000, -30_000_000):
        now_us = house.gateway.clock.now_us
        monkeypatch.setattr(house.gateway.clock, "now_us", lambda now_us=now_us, drift_us=drift_us: now_us() + drift_us)
        hands.move(10)
        await beat(client)
    spans = [(act.since_us, act.at_us) for act in house.acts if isinstance(act, Watched)]
    assert len(spans) == 4
    assert all(until - since == 10_000_000 for since, until in spans)
    assert all(spans[place][1] == spans[place + 1][0] for place in range(3))
