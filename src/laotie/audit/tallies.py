"""The tallies: stock, orders, ledger and payments, each by itself and against each other, in one snapshot.

Between two rooms the facts of every order are compared: each room gives, by the last byte of the order's id, the sum of
the hashes of its facts (for the words of a fact see the views `<room>.order_fact`). Equal sums are equal sets, but for
a chance of about 2^-64 a bucket; where sums differ, the bucket's facts are listed and compared one by one.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from laotie import aftersales, catalog, fun, ledger, offers, orders, payments, trust
from laotie.base.db import Database, Tx
from laotie.base.ids import OrderId
from laotie.base.outbox import list_waiting, measure_backlog
from laotie.events.payments import PaymentCaptured, PaymentRefunded, PaymentRestored, PaymentReversed

FINDINGS_MAX = 200
MONEY_NEWS = (PaymentCaptured, PaymentRefunded, PaymentReversed, PaymentRestored)
WAITING_MAX = 1_000_000
ORDERS_READ_MAX = 500


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as promised."""

    tally: str
    subject: str
    expected: str
    found: str


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """One promise checked: over how many rows, and how many break it."""

    name: str
    checked: int
    found: int
    facts: dict[str, int] = {}

    @property
    def sound(self) -> bool:
        """Nothing breaks the promise."""
        return self.found == 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All tallies of one snapshot; `findings` holds the first `FINDINGS_MAX`."""

    checked_at: datetime
    in_flight: int
    tallies: list[Tally]
    findings: list[Finding]

    @property
    def sound(self) -> bool:
        """No promise is broken."""
        return all(tally.sound for tally in self.tallies)


Sum = Callable[[Tx, str], Awaitable[dict[int, int]]]
List = Callable[[Tx, str, int], Awaitable[set[tuple[OrderId, str]]]]


class _Side(NamedTuple):
    """A room's facts."""

    name: str
    sums: Sum
    facts: List


CATALOG = _Side("catalog", catalog.sum_facts, catalog.list_facts)
LEDGER = _Side("ledger", ledger.sum_facts, ledger.list_facts)
ORDERS = _Side("orders", orders.sum_facts, orders.list_facts)
PAYMENTS = _Side("payments", payments.sum_facts, payments.list_facts)

async def _sum_sold_for(tx: Tx, topic: str) -> dict[int, int]:
    """What orders and after-sales cases say of the stock, together: sums of hashes add up."""
    ours, theirs = await orders.sum_facts(tx, topic), await aftersales.sum_facts(tx, topic)
    return {bucket: ours.get(bucket, 0) + theirs.get(bucket, 0) for bucket in ours.keys() | theirs.keys()}


async def _list_sold_for(tx: Tx, topic: str, bucket: int) -> set[tuple[OrderId, str]]:
    return await orders.list_facts(tx, topic, bucket) | await aftersales.list_facts(tx, topic, bucket)


BUYERS = _Side("orders and cases", _sum_sold_for, _list_sold_for)

AGREEMENTS: tuple[tuple[str, str, _Side, _Side], ...] = (
    ("orders: each order's pieces are reserved, released or sold as its state says", "stock", BUYERS, CATALOG),
    ("orders: each order's hold is pending, posted or voided as its state says", "hold", ORDERS, LEDGER),
    ("orders: what is kept of payments is the total of the paid order, and nothing else", "kept", ORDERS, PAYMENTS),
    ("ledger: money at the provider is what payments captured less what they gave back", "money", PAYMENTS, LEDGER),
)


async def take_tallies(db: Database) -> Report:
    """Check everything in one snapshot: a full read of the four rooms, so not for every request."""
    async with db.read() as tx:
        return await check_books(tx)


async def check_books(tx: Tx) -> Report:
    """The same in a transaction that is open already; only a snapshot makes its findings faults."""
    findings: list[Finding] = []
    in_flight = await _find_in_flight(tx)
    tallied = [
        *(await _check_stock(tx, findings)),
        await _check_ledger(tx, findings),
        await _check_payments(tx, findings),
        *(await _check_orders(tx, findings)),
    ]
    order_count = tallied[-1].checked
    for name, topic, expected, found in AGREEMENTS:
        excused = in_flight if PAYMENTS in (expected, found) else set()
        differing = await _compare(tx, topic, expected, found, excused)
        findings += [
            Finding(tally=name, subject=str(order_id), expected=ours, found=theirs)
            for order_id, ours, theirs in differing
        ]
        tallied.append(Tally(name=name, checked=order_count, found=len(differing)))
    tallied += await _check_fun(tx, findings)
    tallied += await _check_offers(tx, findings)
    tallied.append(await _check_trust(tx, findings))
    tallied += await _check_cases(tx, findings)
    tallied.append(await _check_news(tx, findings))
    return Report(checked_at=tx.now, in_flight=len(in_flight), tallies=tallied, findings=findings[:FINDINGS_MAX])


async def compare_money(tx: Tx) -> list[tuple[OrderId, str, str]]:
    """The orders of whose money payments and ledger say different things, but for what is on its way between them."""
    return await _compare(tx, "money", PAYMENTS, LEDGER, await _find_in_flight(tx))


async def _find_in_flight(tx: Tx) -> set[OrderId]:
    """Orders whose payment or refund is told but not yet worked into the order: in the outbox, or on the agenda."""
    waiting = await list_waiting(tx, limit=WAITING_MAX)
    told = {one.event.order_id for one in waiting if isinstance(one.event, MONEY_NEWS)}
    return await orders.find_in_flight(tx, told)


async def _check_stock(tx: Tx, findings: list[Finding]) -> list[Tally]:
    name = "stock: received = available + aside + reserved + sold, and each is the sum of its movements"
    aside_name = "stock: what is set aside for each wave is the sum of its movements"
    tally = await catalog.tally(tx)
    findings += [
        Finding(
            tally=name,
            subject=str(one.sku_id),
            expected=f"{one.available_moved} {one.aside_moved} {one.reserved_moved} {one.sold_moved}"
            f" of {one.received_moved}",
            found=f"{one.available} {one.aside} {one.reserved} {one.sold} of {one.received}",
        )
        for one in tally.differences
    ]
    findings += [
        Finding(
            tally=aside_name,
            subject=f"{one.sku_id} {one.aside_id or 'all'}",
            expected=str(one.remaining_moved),
            found=str(one.remaining),
        )
        for one in tally.asides_off
    ]
    facts = {
        "received": tally.received,
        "available": tally.available,
        "aside": tally.aside,
        "reserved": tally.reserved,
        "sold": tally.sold,
        "movements": tally.movement_count,
    }
    return [
        Tally(name=name, checked=tally.sku_count, found=tally.difference_count, facts=facts),
        Tally(name=aside_name, checked=tally.aside_count, found=len(tally.asides_off)),
    ]


async def _check_ledger(tx: Tx, findings: list[Finding]) -> Tally:
    name = "ledger: all balances sum to zero, each is the sum of its transfers, each hold is settled at most once"
    tally = await ledger.tally(tx)
    wrong = {
        "sum_of_balances": tally.sum_of_balances,
        "balances_off": tally.balances_off,
        "settled_twice": tally.settled_twice,
        "settled_amount_off": tally.settled_amount_off,
    }
    return _count_wrong(name, tally.transfers, wrong, findings, accounts=tally.accounts, holds_open=tally.holds_open)


async def _check_payments(tx: Tx, findings: list[Finding]) -> Tally:
    name = "payments: amounts given back are the sums of refunds, states follow, providers agree"
    tally = await payments.tally(tx)
    wrong = {
        "refund_sums_off": tally.refund_sums_off,
        "states_off": tally.states_off,
        "discrepancies": tally.discrepancies,
    }
    return _count_wrong(
        name, tally.payments, wrong, findings, captured=tally.captured, refunds_open=tally.refunds_open
    )


async def _check_orders(tx: Tx, findings: list[Finding]) -> list[Tally]:
    tally = await orders.tally(tx)
    checks = {
        "orders: each unpaid order comes to its deadline": (tally.never_due, "on the agenda"),
        "orders: each order is in its shop's list": (tally.feed_off, "listed in its state"),
        "orders: each total is the sum of its lines": (tally.total_off, "the sum of its lines"),
    }
    for name, (order_ids, expected) in checks.items():
        findings += [
            Finding(tally=name, subject=str(order_id), expected=expected, found="it is not") for order_id in order_ids
        ]
    return [
        Tally(name=name, checked=tally.orders, found=len(order_ids), facts=tally.by_state)
        for name, (order_ids, _) in checks.items()
    ]


async def _check_fun(tx: Tx, findings: list[Finding]) -> list[Tally]:
    """Escrows hold what their activities have not given, and nothing else; wallets hold the rest of what came in."""
    tally = await fun.tally(tx)
    escrows = await ledger.list_balances(tx, ledger.AccountKind.escrow)
    held: dict[UUID | None, int] = {account.owner_id: amount for account, amount in escrows.items()}
    kept: dict[UUID | None, int] = dict(tally.kept.items())
    name = "fun: each escrow holds what its activity has still to give; of one that has ended, nothing"
    off = {key for key in held.keys() | kept.keys() if held.get(key) != kept.get(key)}
    findings += [
        Finding(tally=name, subject=str(key), expected=str(kept.get(key, 0)), found=str(held.get(key, 0)))
        for key in sorted(off, key=str)
    ]
    wrong = {
        **{f"paid of {one}": 1 for one in tally.paid_off},
        **{f"entries of {one}": 1 for one in tally.count_off},
        **{f"deadline of {one}": 1 for one in tally.overdue},
    }
    checks = "fun: entries are counted and paid as written, deadlines have acted"
    return [
        Tally(name=name, checked=tally.activities, found=len(off), facts={"escrows_open": len(tally.kept)}),
        _count_wrong(checks, tally.entries, wrong, findings),
        await _check_wallets(tx, escrows, findings),
    ]


async def _check_offers(tx: Tx, findings: list[Finding]) -> list[Tally]:
    """Coupons are claimed, spent and paid for as written, and what they took off is what the orders were lowered by."""
    tally = await offers.tally(tx)
    name = "offers: claims, uses and budget of each coupon are the sums of what was done with it; no claim is spent twice"
    wrong = {
        "claims_off": tally.claims_off,
        "uses_off": tally.uses_off,
        "spent_off": tally.spent_off,
        "spent_twice": tally.spent_twice,
    }
    counted = _count_wrong(name, tally.coupons, wrong, findings)
    taken, given = await orders.sum_discounts(tx), await offers.sum_applied(tx)
    both = "offers: what coupons took off, and the platform's part of it, is on the orders"
    differences = zip(("orders", "amount", "subsidy"), taken, given, strict=True)
    return [counted, _count_wrong(both, taken[0], {key: one - other for key, one, other in differences}, findings)]


async def _check_wallets(tx: Tx, escrows: dict[ledger.Account, int], findings: list[Finding]) -> Tally:
    name = "ledger: wallets, escrows and deposits together hold what was paid into wallets, and no wallet is below zero"
    deposits = await ledger.list_balances(tx, ledger.AccountKind.deposit)
    wallets = await ledger.list_balances(tx, ledger.AccountKind.wallet)
    expected = await payments.sum_topups(tx)
    for currency, amount in (await aftersales.sum_freight(tx)).items():
        expected[currency] = expected.get(currency, 0) + amount
    for one in await list_waiting(tx, limit=WAITING_MAX):
        if isinstance(one.event, PaymentCaptured) and one.event.purpose == payments.Purpose.topup:
            expected[one.event.currency] = expected.get(one.event.currency, 0) - one.event.amount
    found: dict[str, int] = {}
    for account, amount in [*wallets.items(), *escrows.items(), *deposits.items()]:
        found[account.currency] = found.get(account.currency, 0) + amount
    wrong = {
        **{f"in {key}": found.get(key, 0) - expected.get(key, 0) for key in found.keys() | expected.keys()},
        **{f"wallet {account.owner_id}": amount for account, amount in wallets.items() if amount < 0},
    }
    return _count_wrong(name, len(wallets), wrong, findings)


async def _check_trust(tx: Tx, findings: list[Finding]) -> Tally:
    """Deposits hold what was put in, less payouts, less what was taken back; payouts are within their caps."""
    name = "trust: each deposit is what was put in less payouts less what was taken back; payouts are within their caps"
    tally = await trust.tally(tx)
    accounts = await ledger.list_balances(tx, ledger.AccountKind.deposit)
    held = {account.owner_id: amount for account, amount in accounts.items()}
    wrong = {
        **{
            f"deposit of {key}": held.get(key, 0) - tally.held.get(key, 0)
            for key in held.keys() | tally.held.keys()
            if key is not None
        },
        **{f"sums of {key}": 1 for key in tally.sums_off},
        **{f"month of {key}": 1 for key in tally.months_off},
        **{f"cap of {key}": 1 for key in tally.caps_off},
    }
    return _count_wrong(name, tally.deposits + tally.payouts, wrong, findings)


async def _check_cases(tx: Tx, findings: list[Finding]) -> list[Tally]:
    """No piece is claimed twice or after it was given back, no case gave more than its order did, terms have acted."""
    tally = await aftersales.tally(tx)
    name = "after-sales: open cases claim pieces that are left, closed ones gave what their orders gave"
    order_ids = sorted({one.order_id for one in tally.claimed} | tally.given.keys())
    off: dict[str, tuple[int, int]] = {}
    for start in range(0, len(order_ids), ORDERS_READ_MAX):
        found = await orders.find_orders(tx, order_ids[start : start + ORDERS_READ_MAX])
        left = {(order.id, line.no): line.quantity - line.refunded_quantity for order in found.values() for line in order.lines}
        for one in tally.claimed:
            if one.order_id in found and one.pieces > left[one.order_id, one.no]:
                off[f"{one.order_id} {one.no}"] = (left[one.order_id, one.no], one.pieces)
        for order_id, order in found.items():
            if tally.given.get(order_id, 0) > order.refunded_amount:
                off[str(order_id)] = (order.refunded_amount, tally.given[order_id])
    findings += [
        Finding(tally=name, subject=subject, expected=f"at most {most}", found=str(there))
        for subject, (most, there) in sorted(off.items())
    ]
    wrong = {
        **{f"term of {one}": 1 for one in tally.overdue},
        **{f"log of {one}": 1 for one in tally.log_off},
    }
    checks = "after-sales: each case stands where its log says, and nothing is overdue"
    return [
        Tally(name=name, checked=len(order_ids), found=len(off), facts={"open": tally.open}),
        _count_wrong(checks, tally.cases, wrong, findings),
    ]


async def _check_news(tx: Tx, findings: list[Finding]) -> Tally:
    name = "news: every fact told has been carried, or waits for its turn"
    backlog = await measure_backlog(tx)
    return _count_wrong(name, backlog.waiting + backlog.parked, {"parked": backlog.parked}, findings)


def _count_wrong(
    name: str, checked: int, wrong: dict[str, int], findings: list[Finding], **facts: int
) -> Tally:
    findings += [
        Finding(tally=name, subject=subject, expected="0", found=str(count))
        for subject, count in wrong.items()
        if count
    ]
    return Tally(name=name, checked=checked, found=sum(abs(count) for count in wrong.values()), facts=facts)


async def _compare(
    tx: Tx, topic: str, expected: _Side, found: _Side, in_flight: set[OrderId]
) -> list[tuple[OrderId, str, str]]:
    """The orders of which the two rooms hold different facts: (order, what the one says, what the other says)."""
    ours, theirs = await expected.sums(tx, topic), await found.sums(tx, topic)
    differing: list[tuple[OrderId, str, str]] = []
    for bucket in sorted({key for key in ours.keys() | theirs.keys() if ours.get(key, 0) != theirs.get(key, 0)}):
        here = await expected.facts(tx, topic, bucket)
        there = await found.facts(tx, topic, bucket)
        only_here, only_there = _by_order(here - there), _by_order(there - here)
        differing += [
            (
                order_id,
                f"{expected.name}: {only_here.get(order_id, 'nothing')}",
                f"{found.name}: {only_there.get(order_id, 'nothing')}",
            )
            for order_id in sorted((only_here.keys() | only_there.keys()) - in_flight)
        ]
    return differing


def _by_order(facts: set[tuple[OrderId, str]]) -> dict[OrderId, str]:
    words: dict[OrderId, str] = {}
    for order_id, fact in sorted(facts):
        words[order_id] = f"{words[order_id]}, {fact}" if order_id in words else fact
    return words
