"""The audit finds nothing in sound books, and each kind of fault that is planted."""

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from laotie import audit, orders
from laotie.base.db import Database
from laotie.base.signer import Signer
from laotie.payments.sandbox import Outcome
from market import Market, open_market


@pytest.fixture
async def market(db: Database, signer: Signer) -> AsyncIterator[Market]:
    """A market in which everything has happened: placed, paid, cancelled, overdue, declined, late, paid twice."""
    async with open_market(db, signer) as opened:
        item, other = await opened.add_item(stock=100, price=990), await opened.add_item("童装", stock=50, price=5900)
        buyer = await opened.buyer()
        late = await opened.place(buyer, item)
        late_payment = await opened.start_payment(buyer, late)
        opened.db.clock.advance(seconds=opened.settings.payment_timeout_s + 1)
        await opened.settle()
        await opened.decide(buyer, late_payment)
        await opened.place(buyer, item, other)
        await opened.cancel(buyer, await opened.place(buyer, other))
        paid = await opened.place(buyer, item, other, quantity=2)
        first, second = await opened.start_payment(buyer, paid), await opened.start_payment(buyer, paid)
        await opened.decide(buyer, first)
        await opened.decide(buyer, second)
        declined = await opened.place(buyer, item)
        await opened.decide(buyer, await opened.start_payment(buyer, declined), Outcome.decline)
        await opened.settle()
        yield opened


async def test_sound_books_have_no_findings(market: Market) -> None:
    report = await audit.take_tallies(market.db)
    assert report.findings == []
    assert report.sound
    assert report.in_flight == 0
    assert {tally.checked for tally in report.tallies if tally.name.startswith("orders")} == {5}


async def test_a_payment_on_its_way_is_no_finding_at_any_step(market: Market) -> None:
    item = await market.add_item(stock=2)
    buyer = await market.buyer()
    order_id, late = await market.place(buyer, item), await market.place(buyer, item)
    payment, late_payment = await market.start_payment(buyer, order_id), await market.start_payment(buyer, late)
    await market.cancel(buyer, late)
    await market.decide(buyer, payment)
    await market.decide(buyer, late_payment)
    seen_in_flight = 0
    for step in (market.run_jobs, market.relay.drain, lambda: orders.work_agenda(market.db)) * 4:
        await step()
        report = await audit.take_tallies(market.db)
        assert report.findings == []
        seen_in_flight += report.in_flight
    assert seen_in_flight > 0


FAULTS = {
    "a piece is gone": (
        "UPDATE catalog.sku SET available = available - 1, sold = sold + 1 WHERE price_amount = 990",
        "stock: received",
    ),
    "a movement is gone": (
        "DELETE FROM catalog.stock_movement WHERE ctid = "
        "(SELECT ctid FROM catalog.stock_movement WHERE kind = 'sold' LIMIT 1)",
        "orders: each order's pieces",
    ),
    "an order was paid by nobody": (
        """UPDATE orders."order" SET state = 'paid' WHERE state = 'placed' AND id = """
        """(SELECT min(id::text)::uuid FROM orders."order" WHERE state = 'placed')""",
        "orders: what is kept of payments",
    ),
    "a hold was never posted": (
        "DELETE FROM ledger.transfer WHERE settles_id IS NOT NULL AND phase = 'posted'",
        "orders: each order's hold",
    ),
    "a balance was touched": (
        "UPDATE ledger.delta SET credits_posted = credits_posted + 1 WHERE ctid = (SELECT min(ctid) FROM ledger.delta)",
        "ledger: all balances",
    ),
    "a refund was forgotten": (
        "DELETE FROM payments.refund WHERE id = (SELECT min(id::text)::uuid FROM payments.refund)",
        "payments: amounts given back",
    ),
    "a capture was made up": (
        "UPDATE payments.payment SET state = 'captured', captured_at = now() WHERE state = 'failed'",
        "ledger: money at the provider",
    ),
    "a total was changed": (
        """UPDATE orders."order" SET total_amount = total_amount + 1 WHERE state = 'cancelled'""",
        "orders: each total",
    ),
    "a deadline was lost": (
        """UPDATE orders.sweep SET swept_to = 'ffffffff-ffff-ffff-ffff-ffffffffffff'""",
        "orders: each unpaid order",
    ),
    "a shop's list is wrong": (
        "UPDATE orders.shop_feed SET state = 'shipped' WHERE state = 'paid'",
        "orders: each order is",
    ),
    "a fact is parked": (
        "INSERT INTO base.outbox (id, tag, body, told_at, parked) VALUES (gen_random_uuid(), 'x', '{}', now(), true)",
        "news:",
    ),
}


async def test_each_kind_of_fault_is_found(market: Market) -> None:
    missed = {}
    for fault, (sql, expected) in FAULTS.items():
        with suppress(Undo):
            async with market.db.tx() as tx:
                assert await tx.run(sql) > 0, fault
                report = await audit.check_books(tx)
                found = {finding.tally for finding in report.findings}
                if report.sound or not any(tally.startswith(expected) for tally in found):
                    missed[fault] = found
                raise Undo
    assert missed == {}
    assert (await audit.take_tallies(market.db)).sound


class Undo(Exception):
    """Roll the fault back."""
