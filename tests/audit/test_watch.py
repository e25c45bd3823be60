"""The watch runs when it is time, one process at a time, keeps what it saw, and follows what it found to its end."""

from datetime import timedelta

import pytest

from faults import FAULTS, plant
from laotie import audit, identity, messages
from laotie.audit import watch
from laotie.audit.promises import PROMISES
from laotie.base import metrics
from laotie.base.db import Database
from laotie.base.ids import ViewerId
from laotie.base.settings import Settings
from market import Market, make_account

TERMS = audit.Terms.of(Settings())
SOME_TIME_S = watch.OVERLAP.total_seconds() + TERMS.every_s


async def test_it_runs_when_it_is_time_over_everything_or_what_has_changed(market: Market) -> None:
    first = await audit.keep_watch(market.db, TERMS)
    assert first is not None and first.is_whole and first.is_complete
    assert (first.finding_count, first.snapshot_count, len(first.checks)) == (0, 1, len(PROMISES))
    assert await audit.keep_watch(market.db, TERMS) is None
    for orders in (2, 0):  # what was placed shortly before the first run; nothing since
        market.db.clock.advance(seconds=SOME_TIME_S)
        second = await audit.keep_watch(market.db, TERMS)
        assert second is not None and not second.is_whole and second.is_complete
        assert {one.promise for one in second.checks if not one.is_whole} == {one.code for one in PROMISES if one.narrow}
        assert {one.rows for one in second.checks if one.promise == "orders-hold"} == {orders}
    buyer = await market.buyer()
    await market.place(buyer, await market.add_item())
    market.db.clock.advance(seconds=TERMS.every_s)
    third = await audit.keep_watch(market.db, TERMS)
    assert third is not None
    assert {one.rows for one in third.checks if one.promise == "orders-hold"} == {1}
    market.db.clock.advance(seconds=TERMS.whole_every_s)
    await market.settle()  # what was unpaid has lapsed
    last = await audit.keep_watch(market.db, TERMS)
    assert last is not None and last.is_whole and last.finding_count == 0
    async with market.db.read() as tx:
        status = await audit.get_status(tx)
        assert status.sound
        assert [(day.run_count, day.whole_count, day.broken) for day in status.days] in ([(5, 2, [])], [(4, 1, []), (1, 1, [])])
        assert [run.id for run in await audit.list_runs(tx)][:2] == [last.id, third.id]
        assert [run.id for run in await audit.list_runs(tx, eventful=True)] == [last.id, first.id]


async def test_one_process_at_a_time(market: Market) -> None:
    async with market.db.tx() as other:
        assert await watch._take_lock(other)
        assert await audit.keep_watch(market.db, TERMS) is None
        with pytest.raises(audit.WatchBusy):
            await audit.check_now(market.db, TERMS)
    assert (await audit.check_now(market.db, TERMS)).is_complete


async def test_a_broken_promise_is_followed_until_it_holds_again(market: Market) -> None:
    operator = await make_account(market.db, "operator")
    async with market.db.tx() as tx:
        await identity.give_role(tx, operator.signed_in(), identity.Role.operator)
    await audit.check_now(market.db, TERMS)
    async with market.db.tx() as tx:
        subject = await plant(tx, FAULTS["reviews"][0])
    market.db.clock.advance(seconds=TERMS.every_s)
    run = await audit.keep_watch(market.db, TERMS)
    assert run is not None and run.finding_count == 1
    async with market.db.read() as tx:
        status = await audit.get_status(tx)
        assert [(one.promise, one.closed_at) for one in status.incidents] == [("reviews", None)]
        assert [one.subject for one in status.incidents[0].findings] == [subject]
        assert not status.sound
        assert [one.promise for one in status.standings if one.broken_since] == ["reviews"]
        assert status.days[-1].broken == ["reviews"]
    assert metrics.REGISTRY.get_sample_value("laotie_promise_broken", {"promise": "reviews"}) == 1
    market.db.clock.advance(seconds=TERMS.every_s)
    await audit.keep_watch(market.db, TERMS)
    async with market.db.tx() as tx:
        await tx.run("DELETE FROM aftersales.review_sum WHERE subject_id = %(id)s::uuid", id=subject)
    market.db.clock.advance(seconds=TERMS.every_s)
    closed = await audit.keep_watch(market.db, TERMS)
    assert closed is not None and closed.finding_count == 0
    async with market.db.read() as tx:
        (incident,) = (await audit.get_status(tx)).incidents
        assert incident.closed_at == closed.began_at
        assert incident.last_seen_at - incident.opened_at >= timedelta(seconds=TERMS.every_s)
        told = await messages.list_notices(tx, ViewerId(operator.signed_in()), after=None, limit=10)
    assert [(one.kind, one.facts) for one in reversed(told.items)] == [
        ("invariant_broken", {"promise": "reviews", "found": 1}),
        ("invariant_whole", {"promise": "reviews", "found": 0}),
    ]
    assert metrics.REGISTRY.get_sample_value("laotie_promise_broken", {"promise": "reviews"}) == 0


async def test_only_a_look_at_everything_closes_an_incident(market: Market) -> None:
    await audit.check_now(market.db, TERMS)
    async with market.db.tx() as tx:
        await plant(tx, FAULTS["parcels"][0])
    await audit.check_now(market.db, TERMS)
    async with market.db.tx() as tx:  # as it would be with a million orders: too dear to look at whole every time
        await tx.run("UPDATE audit.standing SET whole_took_ms = 600000, whole_at = %(now)s", now=tx.now)
    market.db.clock.advance(seconds=SOME_TIME_S)
    await audit.keep_watch(market.db, TERMS)
    market.db.clock.advance(seconds=SOME_TIME_S)
    short = await audit.keep_watch(market.db, TERMS)
    assert short is not None and not short.is_whole
    assert [(one.is_whole, one.found) for one in short.checks if one.promise == "parcels"] == [(False, 0)]
    assert "reviews" not in {one.promise for one in short.checks}, "too dear, and nothing of it is known to be broken"
    assert await _open_incidents(market.db) == ["parcels"]
    async with market.db.tx() as tx:
        await tx.run("UPDATE orders.line SET shipped_quantity = 0")
    await audit.check_now(market.db, TERMS)
    assert await _open_incidents(market.db) == []


async def test_a_promise_that_cannot_be_looked_at_blinds_to_no_other(market: Market) -> None:
    async with market.db.tx() as tx:
        await tx.run("ALTER TABLE aftersales.review_sum RENAME TO lost")
        await plant(tx, FAULTS["invoices"][0])
    run = await audit.check_now(market.db, TERMS)
    assert [one.promise for one in run.checks if one.rows is None] == ["reviews"]
    assert [one.promise for one in run.checks if one.found] == ["invoices"]
    assert not run.is_complete
    assert run.snapshot_count == 2
    assert await _open_incidents(market.db) == ["invoices"]


async def test_runs_are_forgotten_in_time_and_days_are_not(market: Market) -> None:
    await audit.check_now(market.db, TERMS)
    market.db.clock.advance(seconds=60)
    await audit.check_now(market.db, TERMS, whole=False)
    market.db.clock.advance(seconds=watch.SHORT_RUNS_KEPT.total_seconds() + 1)
    await market.settle()
    await audit.check_now(market.db, TERMS)
    async with market.db.read() as tx:
        assert [run.is_whole for run in await audit.list_runs(tx)] == [True, True]
    market.db.clock.advance(seconds=watch.RUNS_KEPT.total_seconds())
    await audit.check_now(market.db, TERMS)
    async with market.db.read() as tx:
        assert len(await audit.list_runs(tx)) == 1
        assert sum(await tx.all(int, "SELECT run_count FROM audit.day")) == 4


async def test_an_operator_can_have_everything_looked_at(market: Market) -> None:
    operator = await make_account(market.db, "operator")
    async with market.db.tx() as tx:
        await audit.ask(tx, operator.signed_in())
    await market.run_jobs()
    async with market.db.read() as tx:
        (run,) = await audit.list_runs(tx)
    assert (run.is_whole, run.asked_by) == (True, operator.signed_in())


async def _open_incidents(db: Database) -> list[str]:
    async with db.read() as tx:
        return [one.promise for one in (await audit.get_status(tx)).incidents if one.closed_at is None]
