"""What two rooms say of the same orders, set against each other.

Over everything, each room gives, by the last byte of the order's id, the sum of the hashes of its facts (for the words
of a fact see the views `<room>.order_fact`). Equal sums are equal sets, but for a chance of about 2^-64 a bucket; where
sums differ, the bucket's facts are listed and compared one by one. Over some orders, their facts are listed at once.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple
from uuid import UUID

from laotie import aftersales, catalog, ledger, orders, payments
from laotie.audit.model import Look, Seen, Wrong
from laotie.base.db import Tx
from laotie.base.ids import OrderId

DIFFERING_MAX = 1_000

Facts = set[tuple[OrderId, str]]


class Side(NamedTuple):
    """A room's facts."""

    name: str
    sums: Callable[[Tx, str], Awaitable[dict[int, int]]]
    facts: Callable[[Tx, str, int], Awaitable[Facts]]
    facts_of: Callable[[Tx, str, list[UUID]], Awaitable[Facts]]


async def _sum_sold_for(tx: Tx, topic: str) -> dict[int, int]:
    """What orders and after-sales cases say of the stock, together: sums of hashes add up."""
    ours, theirs = await orders.sum_facts(tx, topic), await aftersales.sum_facts(tx, topic)
    return {bucket: ours.get(bucket, 0) + theirs.get(bucket, 0) for bucket in ours.keys() | theirs.keys()}


async def _list_sold_for(tx: Tx, topic: str, bucket: int) -> Facts:
    return await orders.list_facts(tx, topic, bucket) | await aftersales.list_facts(tx, topic, bucket)


async def _list_sold_for_these(tx: Tx, topic: str, ids: list[UUID]) -> Facts:
    return await orders.evidence.list_facts_of(tx, topic, ids) | await aftersales.evidence.list_facts_of(tx, topic, ids)


BUYERS = Side("orders and cases", _sum_sold_for, _list_sold_for, _list_sold_for_these)
CATALOG = Side("catalog", catalog.sum_facts, catalog.list_facts, catalog.evidence.list_facts_of)
LEDGER = Side("ledger", ledger.sum_facts, ledger.list_facts, ledger.evidence.list_facts_of)
ORDERS = Side("orders", orders.sum_facts, orders.list_facts, orders.evidence.list_facts_of)
PAYMENTS = Side("payments", payments.sum_facts, payments.list_facts, payments.evidence.list_facts_of)


def agree(topic: str, expected: Side, found: Side, *, excused: bool = False) -> Callable[[Look], Awaitable[Seen]]:
    """A check that both say the same of every order; `excused`: but for what is on its way between them."""

    async def check(look: Look) -> Seen:
        differing = await compare(look, topic, expected, found, excused=excused)
        states = {} if look.touched else await orders.evidence.count_states(look.tx)
        rows = len(look.touched.orders) if look.touched else sum(states.values())
        return Seen(rows, [Wrong(str(order_id), ours, theirs) for order_id, ours, theirs in differing])

    return check


async def compare(
    look: Look, topic: str, expected: Side, found: Side, *, excused: bool = False
) -> list[tuple[OrderId, str, str]]:
    """The orders of which the two rooms hold different facts: (order, what the one says, what the other says)."""
    tx = look.tx
    in_flight = await look.in_flight() if excused else set()
    if look.touched is not None:
        ids = sorted(look.touched.orders)
        here, there = await expected.facts_of(tx, topic, ids), await found.facts_of(tx, topic, ids)
        return _differing(expected.name, here, found.name, there, in_flight)
    ours, theirs = await expected.sums(tx, topic), await found.sums(tx, topic)
    differing: list[tuple[OrderId, str, str]] = []
    for bucket in sorted({key for key in ours.keys() | theirs.keys() if ours.get(key, 0) != theirs.get(key, 0)}):
        here = await expected.facts(tx, topic, bucket)
        there = await found.facts(tx, topic, bucket)
        differing += _differing(expected.name, here, found.name, there, in_flight)
        if len(differing) >= DIFFERING_MAX:
            break
    return differing


def _differing(
    ours: str, here: Facts, theirs: str, there: Facts, in_flight: set[OrderId]
) -> list[tuple[OrderId, str, str]]:
    only_here, only_there = _by_order(here - there), _by_order(there - here)
    return [
        (
            order_id,
            f"{ours}: {only_here.get(order_id, 'nothing')}",
            f"{theirs}: {only_there.get(order_id, 'nothing')}",
        )
        for order_id in sorted((only_here.keys() | only_there.keys()) - in_flight)
    ]


def _by_order(facts: Facts) -> dict[OrderId, str]:
    words: dict[OrderId, str] = {}
    for order_id, fact in sorted(facts):
        words[order_id] = f"{words[order_id]}, {fact}" if order_id in words else fact
    return words
