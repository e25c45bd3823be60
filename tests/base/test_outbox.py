"""The relay: every told fact is carried once, and a failing reaction holds up nobody else."""

import structlog

from laotie.base.bus import LocalBus
from laotie.base.clock import Clock
from laotie.base.db import Database, Tx
from laotie.base.events import Event, Told
from laotie.base.outbox import Relay, list_waiting, measure_backlog, on, together


class Rang(Event, tag="test.rang", frozen=True, kw_only=True):
    """A bell rang."""

    n: int


async def tell(db: Database, *numbers: int) -> None:
    async with db.tx() as tx:
        for n in numbers:
            tx.tell(Rang(n=n))


async def test_facts_are_told_with_the_commit_and_not_without(db: Database) -> None:
    await tell(db, 1)
    try:
        async with db.tx() as tx:
            tx.tell(Rang(n=2))
            raise KeyError
    except KeyError:
        pass
    async with db.tx() as tx:
        assert [told.event for told in await list_waiting(tx)] == [Rang(n=1)]


async def test_reactions_and_bus_hear_facts_in_order_and_the_outbox_empties(db: Database) -> None:
    heard: list[int] = []
    published: list[tuple[str, bytes]] = []
    bus = LocalBus()
    bus.subscribe("events.>", lambda subject, payload: published.append((subject, payload)))

    async def react(tx: Tx, event: Rang) -> None:
        heard.append(event.n)

    await tell(db, 1, 2)
    await tell(db, 3)
    relay = Relay(db, bus, [on(Rang, react)])
    assert await relay.drain() == 3
    assert heard == [1, 2, 3]
    assert published[0] == ("events.test.rang", b'{"tag":"test.rang","n":1}')
    assert len(published) == 3
    async with db.tx() as tx:
        assert (await measure_backlog(tx)).waiting == 0


async def test_a_failing_reaction_waits_alone_and_succeeds_later(db: Database, clock: Clock) -> None:
    done: list[int] = []
    broken = True

    async def react(tx: Tx, event: Rang) -> None:
        if event.n == 2 and broken:
            raise ValueError("not yet")
        await tx.run("INSERT INTO base.job_schema (step) VALUES (%(step)s)", step=f"rang {event.n}")
        done.append(event.n)

    await tell(db, 1, 2, 3)
    relay = Relay(db, LocalBus(), [on(Rang, react)])
    await relay.turn()
    async with db.tx() as tx:
        assert await tx.all(str, "SELECT step FROM base.job_schema WHERE step LIKE 'rang%%' ORDER BY step") == [
            "rang 1",
            "rang 3",
        ]
    assert await relay.turn() == 0
    broken = False
    clock.advance(seconds=2)
    assert await relay.turn() == 1
    assert done[-1] == 2


async def test_an_event_carries_the_request_id_of_its_act(db: Database) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        await tell(db, 1)
    async with db.tx() as tx:
        tx.tell(Rang(n=2), request_id="r-2")
    async with db.tx() as tx:
        assert [told.request_id for told in await list_waiting(tx)] == ["r-1", "r-2"]


async def test_two_relays_carry_each_fact_once(db: Database) -> None:
    seen: list[int] = []

    async def react(tx: Tx, event: Rang) -> None:
        seen.append(event.n)

    await tell(db, *range(500))
    relays = [Relay(db, LocalBus(), [on(Rang, react)]) for _ in range(2)]
    import asyncio

    await asyncio.gather(*(relay.drain() for relay in relays))
    assert sorted(seen) == list(range(500))


async def test_who_hears_together_is_called_once_a_turn_and_holds_up_only_what_it_cannot_take(
    db: Database, clock: Clock
) -> None:
    calls: list[list[int]] = []
    single: list[int] = []
    broken = True

    async def hear(tx: Tx, told: list[Told]) -> None:
        numbers = [one.event.n for one in told if isinstance(one.event, Rang)]
        if broken and 2 in numbers:
            raise RuntimeError("not this one")
        assert all(one.at <= tx.now for one in told)
        calls.append(numbers)

    async def react(tx: Tx, event: Rang) -> None:
        single.append(event.n)

    await tell(db, 1, 2, 3)
    relay = Relay(db, LocalBus(), [together([Rang], hear), on(Rang, react)])
    with structlog.testing.capture_logs():
        await relay.drain()
    assert calls == [[1], [3]], "the turn broke off; then each alone"
    broken = False
    clock.advance(seconds=5)
    await tell(db, 4)
    await relay.drain()
    assert calls == [[1], [3], [2, 4]] and single[-2:] == [2, 4]
