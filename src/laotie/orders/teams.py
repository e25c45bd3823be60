"""Teams of a group buy, as far as their orders go: which may be shipped, and what a failed team gives back.

A team fails in a transaction of its own, after which nobody takes a seat in it. Then its unpaid orders are cancelled and
its paid ones given back whole, all in one transaction a team, under the orders' locks; a payment that comes meanwhile is
either seen and given back, or comes to a cancelled order and goes back like any that is late. Whoever is killed in between
leaves a failed team that is not settled, which the next turn takes up: each order is given back under an id that follows
from it, so once. Lock order: orders, team, SKUs.
"""

from collections.abc import Iterable
from uuid import UUID, uuid5

import msgspec

from laotie import catalog, offers
from laotie.base.db import Database, Tx
from laotie.base.ids import OrderId, SkuId
from laotie.base.logs import log
from laotie.base.refusals import Unavailable
from laotie.offers import TeamId
from laotie.orders.changes import change_many, hold_many
from laotie.orders.giving_back import give_back_whole
from laotie.orders.model import EndReason, OrderState

TEAMS_A_TURN_MAX = 50
REASON = "team-failed"
_REFUND_OF = UUID("5d2cf1a2-4d2a-4c63-9a53-0f6b2a7f1c11")
"""Namespace of the refunds of failed teams: one an order, whoever makes it."""


class _Seat(msgspec.Struct, frozen=True):
    order_id: OrderId
    team_id: TeamId


async def find_teams_of(tx: Tx, order_ids: Iterable[OrderId]) -> dict[OrderId, TeamId]:
    """The team that each of these orders has its seat in; most have none."""
    seats = await tx.all(
        _Seat,
        "SELECT DISTINCT order_id, team_id FROM orders.line WHERE order_id = ANY(%(ids)s) AND team_id IS NOT NULL",
        ids=list(order_ids),
    )
    return {seat.order_id: seat.team_id for seat in seats}


async def may_ship(tx: Tx, order_ids: Iterable[OrderId]) -> set[OrderId]:
    """Those of the orders that no team holds back: an order bought in a team is shipped once the team is complete."""
    asked = set(order_ids)
    seats = await find_teams_of(tx, asked)
    teams = await offers.find_teams(tx, list(set(seats.values())))
    waiting = {order_id for order_id, id_ in seats.items() if teams[id_].state is not offers.TeamState.complete}
    return asked - waiting


async def work_teams(db: Database) -> int:
    """Fail the teams whose time is over and give back what was bought in them; returns how many turns were of use."""
    async with db.tx() as tx:
        done = await offers.fail_teams(tx)
    after: TeamId | None = None
    for _ in range(TEAMS_A_TURN_MAX):
        async with db.tx() as tx:
            after = await offers.find_unsettled(tx, after=after)
        if after is None:
            break
        try:
            async with db.tx() as tx:
                await _dissolve(tx, after)
            done += 1
        except Unavailable:
            raise
        except Exception:
            log.exception("a failed team could not be dissolved", team_id=str(after))
    return done


async def _dissolve(tx: Tx, team_id: TeamId) -> None:
    """Everything of a failed team: the unpaid orders end, the paid ones go back whole, pieces return to the shelf."""
    held = await hold_many(tx, [seat.order_id for seat in await offers.list_seats(tx, [team_id])])
    skus = await tx.all(
        SkuId, "SELECT DISTINCT sku_id FROM orders.line WHERE order_id = ANY(%(ids)s) ORDER BY sku_id", ids=list(held)
    )
    await offers.hold_team(tx, team_id)
    await catalog.lock_many(tx, skus)
    unpaid = [order for order in held.values() if order.state is OrderState.placed]
    await change_many(tx, paid=[], cancelled=[(order, EndReason.team_failed) for order in unpaid])
    for order in held.values():
        if order.state in (OrderState.paid, OrderState.shipped, OrderState.completed):
            await give_back_whole(tx, order, refund_id=uuid5(_REFUND_OF, str(order.id)), reason=REASON)
    await offers.settle_team(tx, team_id)
