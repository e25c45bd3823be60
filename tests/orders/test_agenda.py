"""Deadlines and payments worked off in batches: nothing is passed over, nothing done twice, nobody held up."""

import asyncio

import psycopg
import pytest

from laotie import audit, orders
from laotie.base.refusals import Refusal
from laotie.orders import OrderState
from laotie.orders.decide import decide
from laotie.orders.till import _read_facts, _write
from market import Market


async def test_the_sweep_never_passes_an_order_that_commits_late(market: Market) -> None:
    slow_item, item = await market.add_item(stock=1), await market.add_item(stock=1)
    slow_buyer, buyer = await market.buyer(), await market.buyer()
    await market.cancel(buyer, await market.place(buyer, item))  # the ledger's accounts are open
    ask = market.ask(slow_buyer, slow_item)
    async with market.db.tx() as till:
        facts = await _read_facts(till, [ask], market.settings.payment_timeout_s)
        outcome = decide([ask], facts)
        await _write(till, outcome, facts, finish=False)
        late_id = outcome.taken[0].placed.id
        order_id = await market.place(buyer, item)
        assert late_id < order_id
        market.db.clock.advance(seconds=market.settings.payment_timeout_s + 1)
        assert await market.sweep() == 1  # the cancelled one, from before
        await market.settle()
        assert (await market.order(buyer, order_id)).state is OrderState.placed
    await market.settle()
    assert (await market.order(slow_buyer, late_id)).state is OrderState.cancelled
    assert (await market.order(buyer, order_id)).state is OrderState.cancelled
    assert await market.stock(slow_item) == await market.stock(item) == (1, 0, 0)


async def test_a_till_that_has_its_locks_but_no_ids_yet_gets_ids_beyond_the_sweep(market: Market) -> None:
    slow_item, item = await market.add_item(stock=1), await market.add_item(stock=1)
    slow_buyer, buyer = await market.buyer(), await market.buyer()
    before = await market.place(buyer, item)
    market.db.clock.advance(seconds=market.settings.payment_timeout_s + 1)
    ask = market.ask(slow_buyer, slow_item)
    async with market.db.tx() as till:
        facts = await _read_facts(till, [ask], market.settings.payment_timeout_s)
        await market.settle()
        assert (await market.order(buyer, before)).state is OrderState.cancelled
        outcome = decide([ask], facts)
        await _write(till, outcome, facts, finish=False)
    market.db.clock.advance(seconds=market.settings.payment_timeout_s + 1)
    await market.settle()
    assert (await market.order(slow_buyer, outcome.taken[0].placed.id)).state is OrderState.cancelled


async def test_a_longer_deadline_waits_on_the_agenda_and_holds_nobody_up(market: Market) -> None:
    item = await market.add_item(stock=5)
    buyer = await market.buyer()
    patient = orders.Till(market.db, payment_timeout_s=86_400, batch_max=8, waiting_max=100)
    long_order = (await patient.place(market.ask(buyer, item))).id
    short_order = await market.place(buyer, item)
    await patient.close()
    market.db.clock.advance(seconds=market.settings.payment_timeout_s + 1)
    await market.settle()
    assert (await market.order(buyer, short_order)).state is OrderState.cancelled
    assert (await market.order(buyer, long_order)).state is OrderState.placed
    market.db.clock.advance(seconds=86_400)
    await market.settle()
    assert (await market.order(buyer, long_order)).state is OrderState.cancelled
    assert await market.stock(item) == (5, 0, 0)


async def test_many_workers_end_each_order_once(market: Market) -> None:
    one, other = await market.add_item(stock=40), await market.add_item(stock=40, limit=40)
    buyer = await market.buyer()
    placed = await asyncio.gather(
        *(market.till.place(market.ask(buyer, *((one, other) if n % 2 else (other, one)))) for n in range(40))
    )
    market.db.clock.advance(seconds=market.settings.payment_timeout_s + 1)
    for _ in range(6):
        await asyncio.gather(
            *(market.sweep() for _ in range(3)), *(orders.work_agenda(market.db, size=7) for _ in range(3))
        )
    ended = await market.told("order.cancelled")
    await market.settle()
    assert await market.stock(one) == await market.stock(other) == (40, 0, 0)
    assert sorted(event["order_id"] for event in ended) == sorted(str(order.id) for order in placed)
    assert (await audit.take_tallies(market.db)).findings == []


async def test_till_payments_cancellations_and_deadlines_meet_on_the_same_skus_and_none_deadlocks(
    market: Market,
) -> None:
    items = [await market.add_item(stock=200, limit=150) for _ in range(3)]
    buyers = [await market.buyer() for _ in range(4)]
    doomed = [await market.place(buyer, *items) for buyer in buyers for _ in range(3)]
    market.db.clock.advance(seconds=market.settings.payment_timeout_s + 1)
    to_pay = [(buyer, await market.place(buyer, *reversed(items))) for buyer in buyers for _ in range(3)]
    to_cancel = [(buyer, await market.place(buyer, items[1], items[0])) for buyer in buyers for _ in range(3)]
    for buyer, order_id in to_pay:
        await market.decide(buyer, await market.start_payment(buyer, order_id))
    await market.run_jobs()
    await market.relay.drain()
    await market.sweep()

    async def buy(n: int) -> None:
        try:
            await market.till.place(market.ask(buyers[n % 4], *(items if n % 2 else items[::-1])))
        except Refusal as refusal:
            assert refusal.code != "unavailable", "a deadlock"

    await asyncio.gather(
        *(buy(n) for n in range(60)),
        *(orders.work_agenda(market.db, size=5) for _ in range(8)),
        *(market.cancel(buyer, order_id) for buyer, order_id in to_cancel),
    )
    await market.settle()
    async with market.db.read() as tx:
        states = dict(await tx.tuples('SELECT state, count(*) FROM orders."order" GROUP BY state'))
    assert states == {"cancelled": len(doomed) + len(to_cancel), "paid": len(to_pay), "placed": 60}
    assert (await audit.take_tallies(market.db)).findings == []


async def test_an_order_that_cannot_be_settled_is_put_off_alone(market: Market, database_url: str) -> None:
    item = await market.add_item(stock=3)
    buyer = await market.buyer()
    broken, sound = await market.place(buyer, item), await market.place(buyer, item)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("SET session_replication_role = replica")  # past the trigger that keeps it
        await connection.execute("UPDATE ledger.transfer SET phase = 'posted' WHERE id = %s", (broken,))
    for order_id in (broken, sound):
        await market.decide(buyer, await market.start_payment(buyer, order_id))
    for _ in range(4):
        await market.run_jobs()
        await market.relay.drain()
    assert await orders.work_agenda(market.db) == 2
    assert (await market.order(buyer, sound)).state is OrderState.paid
    assert (await market.order(buyer, broken)).state is OrderState.placed
    assert await orders.work_agenda(market.db) == 0
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("SET session_replication_role = replica")  # past the trigger that keeps it
        await connection.execute("UPDATE ledger.transfer SET phase = 'pending' WHERE id = %s", (broken,))
    market.db.clock.advance(seconds=6)
    await market.settle()
    assert (await market.order(buyer, broken)).state is OrderState.paid


@pytest.mark.parametrize("skew_s", [3.0])
async def test_fresh_orders_are_left_alone_for_the_margin_of_the_clocks(market: Market, skew_s: float) -> None:
    item = await market.add_item(stock=1)
    await market.place(await market.buyer(), item)
    market.db.clock.advance(seconds=market.settings.payment_timeout_s + 1)
    assert await market.sweep(skew_s=skew_s) == 0
    assert await market.sweep(skew_s=0) == 1
