"""Teams: people who buy one product together, a fixed number of seats until a deadline.

A seat is held by an unpaid order, kept by a paid one, and free again when its order is cancelled. The last paid seat completes
the team; at its deadline a team that gathers still has failed. Both happen once, under the team's row lock, and a team that
ended takes nobody in. What was bought in a failed team is given back by `orders`, which then says so (`settle_team`).

Locks: the till takes offers, then teams, each by id, before the SKUs; everything else takes teams by id, after orders and cart
items and before SKUs. The offer's row guards the count of pieces a person buys in all teams of it.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, NewType
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import AccountId, OrderId, ProductId, ShopId
from laotie.base.refusals import Conflict, IdReused, NotFound
from laotie.events.offers import TeamCompleted, TeamFailed, TeamOpened
from laotie.identity import Actor
from laotie.offers.groups import GroupOfferId, GroupState, get_group_offer

TEAMS_SHOWN_MAX = 20
FAILED_AT_ONCE_MAX = 100

TeamId = NewType("TeamId", UUID)


class TeamState(StrEnum):
    """Where a team stands."""

    gathering = "gathering"
    complete = "complete"
    failed = "failed"


class SeatState(StrEnum):
    """Where a seat stands: held by an unpaid order, paid, or given back by a failed team."""

    held = "held"
    paid = "paid"
    returned = "returned"


class Team(msgspec.Struct, frozen=True, kw_only=True):
    """People who buy together."""

    id: TeamId
    offer_id: GroupOfferId
    shop_id: ShopId
    product_id: ProductId
    opened_by: AccountId
    size: int
    state: TeamState
    held_count: int
    paid_count: int
    opened_at: datetime
    deadline_at: datetime
    ended_at: datetime | None

    @property
    def free_count(self) -> int:
        """Seats that can be taken."""
        return self.size - self.held_count - self.paid_count


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's place in a team, taken with an order."""

    team_id: TeamId
    buyer_id: AccountId
    order_id: OrderId
    quantity: int
    state: SeatState
    taken_at: datetime


class TeamQuote(NamedTuple):
    """A team as the till sees it, with its row locked. By whole ids: prices of SKUs, who sits in it, pieces bought before."""

    id: TeamId
    offer_id: GroupOfferId
    shop_id: ShopId
    size: int
    state: TeamState
    taken_count: int
    deadline_at: datetime
    limit_per_person: int
    prices: dict[int, int]
    members: dict[int, OrderId]
    bought: dict[int, int]


class GroupOver(Conflict, code="group-over"):
    """This offer to groups takes no new teams."""

    offer_id: GroupOfferId
    state: GroupState


async def open_team(tx: Tx, actor: Actor, offer_id: GroupOfferId, team_id: TeamId) -> Team:
    """Open a team, or give the one that the buyer has open of this offer; one in which nobody sits gets its full time anew.

    Its opener takes a seat by buying, like everybody. Refuses `GroupOver`, `IdReused`, `NotFound`. Tells `TeamOpened`.
    """
    buyer_id = actor.signed_in()
    locked = await tx.run("SELECT FROM offers.group_offer WHERE id = %(id)s FOR NO KEY UPDATE", id=offer_id)
    if not locked:
        raise NotFound()
    offer = await get_group_offer(tx, offer_id)
    known = (await find_teams(tx, [team_id])).get(team_id)
    if known is not None:
        if (known.offer_id, known.opened_by) != (offer_id, buyer_id):
            raise IdReused()
        return known
    if offer.state is not GroupState.running:
        raise GroupOver(offer_id=offer_id, state=offer.state)
    deadline_at = tx.now + timedelta(hours=offer.gather_hours)
    own = await tx.maybe(
        TeamId,
        """
        SELECT id FROM offers.team
        WHERE offer_id = %(offer_id)s AND opened_by = %(buyer_id)s AND state = 'gathering' AND deadline_at > %(now)s
        ORDER BY id LIMIT 1 FOR NO KEY UPDATE
        """,
        offer_id=offer_id,
        buyer_id=buyer_id,
        now=tx.now,
    )
    if own is not None:
        await tx.run(
            "UPDATE offers.team SET deadline_at = %(deadline_at)s WHERE id = %(id)s AND held_count + paid_count = 0",
            id=own,
            deadline_at=deadline_at,
        )
        return await get_team(tx, own)
    inserted = await tx.run(
        """
        INSERT INTO offers.team (id, offer_id, shop_id, product_id, opened_by, size, state, opened_at, deadline_at)
        VALUES (%(id)s, %(offer_id)s, %(shop_id)s, %(product_id)s, %(opened_by)s, %(size)s, 'gathering', %(now)s,
                %(deadline_at)s)
        ON CONFLICT DO NOTHING
        """,
        id=team_id,
        offer_id=offer_id,
        shop_id=offer.shop_id,
        product_id=offer.product_id,
        opened_by=buyer_id,
        size=offer.size,
        now=tx.now,
        deadline_at=deadline_at,
    )
    if not inserted:
        raise IdReused()
    tx.tell(
        TeamOpened(
            team_id=team_id,
            offer_id=offer_id,
            shop_id=offer.shop_id,
            product_id=offer.product_id,
            opened_by=buyer_id,
            size=offer.size,
            deadline_at=deadline_at,
        )
    )
    return await get_team(tx, team_id)


async def get_team(tx: Tx, team_id: TeamId) -> Team:
    """One team, or `NotFound`."""
    found = await find_teams(tx, [team_id])
    if team_id not in found:
        raise NotFound()
    return found[team_id]


async def find_teams(tx: Tx, team_ids: list[TeamId]) -> dict[TeamId, Team]:
    """Those of the teams that exist, by id."""
    teams = await tx.all(
        Team,
        """
        SELECT id, offer_id, shop_id, product_id, opened_by, size, state, held_count, paid_count, opened_at, deadline_at,
               ended_at
        FROM offers.team WHERE id = ANY(%(ids)s::uuid[])
        """,
        ids=team_ids,
    )
    return {team.id: team for team in teams}


async def list_open_teams(tx: Tx, offer_id: GroupOfferId) -> list[Team]:
    """Teams that somebody has paid a seat in and that one can join, those that lack the fewest first."""
    return await tx.all(
        Team,
        """
        SELECT id, offer_id, shop_id, product_id, opened_by, size, state, held_count, paid_count, opened_at, deadline_at,
               ended_at
        FROM offers.team
        WHERE offer_id = %(offer_id)s AND state = 'gathering' AND paid_count > 0 AND held_count + paid_count < size
          AND deadline_at > %(now)s
        ORDER BY size - paid_count - held_count, deadline_at, id LIMIT %(limit)s
        """,
        offer_id=offer_id,
        now=tx.now,
        limit=TEAMS_SHOWN_MAX,
    )


async def list_seats(tx: Tx, team_ids: list[TeamId]) -> list[Seat]:
    """Who sits in these teams, in the order in which they came."""
    return await tx.all(
        Seat,
        """
        SELECT team_id, buyer_id, order_id, quantity, state, taken_at FROM offers.seat
        WHERE team_id = ANY(%(ids)s::uuid[]) ORDER BY team_id, taken_at, order_id
        """,
        ids=team_ids,
    )


async def send_teams(
    tx: Tx, team_ids: list[UUID], buyer_ids: list[AccountId]
) -> Callable[[], Awaitable[dict[int, TeamQuote]]]:
    """Lock and read teams inside a pipeline of the caller's: call what it returns after the block. Keys are whole ids.

    What depends on the locks is read by statements of its own, after them.
    """
    await tx.run(
        """
        SELECT FROM offers.group_offer WHERE id IN (SELECT offer_id FROM offers.team WHERE id = ANY(%(ids)s::uuid[]))
        ORDER BY id FOR NO KEY UPDATE
        """,
        ids=team_ids,
    )
    await tx.run("SELECT FROM offers.team WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id FOR NO KEY UPDATE", ids=team_ids)
    teams = await tx.send(
        """
        SELECT team.id, team.offer_id, team.shop_id, team.size, team.state, team.held_count + team.paid_count,
               team.deadline_at, group_offer.limit_per_person
        FROM offers.team JOIN offers.group_offer ON group_offer.id = team.offer_id WHERE team.id = ANY(%(ids)s::uuid[])
        """,
        ids=team_ids,
    )
    prices = await tx.send(
        """
        SELECT offer_id, sku_id, price_amount FROM offers.group_price
        WHERE offer_id IN (SELECT offer_id FROM offers.team WHERE id = ANY(%(ids)s::uuid[]))
        """,
        ids=team_ids,
    )
    seats = await tx.send(
        """
        SELECT team_id, offer_id, buyer_id, order_id, quantity FROM offers.seat
        WHERE buyer_id = ANY(%(buyers)s::uuid[]) AND state <> 'returned'
          AND offer_id IN (SELECT offer_id FROM offers.team WHERE id = ANY(%(ids)s::uuid[]))
        """,
        ids=team_ids,
        buyers=buyer_ids,
    )

    async def finish() -> dict[int, TeamQuote]:
        of_offer: dict[UUID, dict[int, int]] = {}
        for offer_id, sku_id, amount in await prices.tuples():
            of_offer.setdefault(offer_id, {})[sku_id.int] = amount
        members: dict[UUID, dict[int, OrderId]] = {}
        bought: dict[UUID, dict[int, int]] = {}
        for team_id, offer_id, buyer_id, order_id, quantity in await seats.tuples():
            members.setdefault(team_id, {})[buyer_id.int] = order_id
            mine = bought.setdefault(offer_id, {})
            mine[buyer_id.int] = mine.get(buyer_id.int, 0) + quantity
        return {
            row[0].int: TeamQuote(
                row[0], row[1], row[2], row[3], TeamState(row[4]), row[5], row[6], row[7],
                of_offer.get(row[1], {}), members.get(row[0], {}), bought.setdefault(row[1], {}),
            )
            for row in await teams.tuples()
        }  # fmt: skip

    return finish


async def take_seats(tx: Tx, taken: list[tuple[UUID, AccountId, OrderId, int]]) -> None:
    """Hold seats in locked teams: team, buyer, order, pieces. The caller has judged; a `CHECK` stands behind it."""
    await tx.run(
        """
        WITH taken AS (
            SELECT * FROM unnest(%(teams)s::uuid[], %(buyers)s::uuid[], %(orders)s::uuid[], %(quantities)s::integer[])
              AS taken (team_id, buyer_id, order_id, quantity)
        ), counted AS (
            UPDATE offers.team SET held_count = held_count + more.seats
            FROM (SELECT team_id, count(*) AS seats FROM taken GROUP BY team_id) AS more WHERE team.id = more.team_id
        )
        INSERT INTO offers.seat (team_id, buyer_id, offer_id, order_id, quantity, state, taken_at)
        SELECT team_id, buyer_id, team.offer_id, order_id, quantity, 'held', %(now)s
        FROM taken JOIN offers.team ON team.id = team_id
        """,
        teams=[team_id for team_id, _, _, _ in taken],
        buyers=[buyer_id for _, buyer_id, _, _ in taken],
        orders=[order_id for _, _, order_id, _ in taken],
        quantities=[quantity for _, _, _, quantity in taken],
        now=tx.now,
    )


async def move_seats(tx: Tx, team_ids: list[UUID], *, paid: list[OrderId], cancelled: list[OrderId]) -> None:
    """Seats whose orders were paid are kept, those whose orders were cancelled are free; locks these teams by id.

    Tells `TeamCompleted` for a team whose last seat this pays. In a failed team a seat that is paid now is given back with
    the others.
    """
    await tx.run("SELECT FROM offers.team WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id FOR NO KEY UPDATE", ids=team_ids)
    completed = await tx.all(
        Team,
        """
        WITH kept AS (
            UPDATE offers.seat SET state = 'paid' WHERE order_id = ANY(%(paid)s::uuid[]) AND state = 'held'
            RETURNING team_id
        ), freed AS (
            DELETE FROM offers.seat WHERE order_id = ANY(%(cancelled)s::uuid[]) AND state = 'held' RETURNING team_id
        ), counted AS (
            SELECT team_id, sum(kept) AS kept, count(*) AS left_held
            FROM (SELECT team_id, 1 AS kept FROM kept UNION ALL SELECT team_id, 0 FROM freed) AS seat GROUP BY team_id
        ), moved AS (
            UPDATE offers.team
            SET held_count = held_count - left_held, paid_count = paid_count + kept,
                state = CASE WHEN state = 'gathering' AND paid_count + kept = size THEN 'complete' ELSE state END,
                ended_at = CASE WHEN state = 'gathering' AND paid_count + kept = size THEN %(now)s ELSE ended_at END
            FROM counted WHERE team.id = counted.team_id
            RETURNING team.*, kept
        )
        SELECT id, offer_id, shop_id, product_id, opened_by, size, state, held_count, paid_count, opened_at, deadline_at,
               ended_at
        FROM moved WHERE state = 'complete' AND kept > 0 AND paid_count = size
        """,
        paid=paid,
        cancelled=cancelled,
        now=tx.now,
    )
    await _tell_ends(tx, completed, TeamCompleted)


async def give_up_seat(tx: Tx, order_id: OrderId) -> None:
    """A paid order came back whole: while its team gathers, the seat is free for somebody else."""
    team_id = await tx.maybe(TeamId, "SELECT team_id FROM offers.seat WHERE order_id = %(id)s", id=order_id)
    if team_id is None:
        return
    await tx.run("SELECT FROM offers.team WHERE id = %(id)s FOR NO KEY UPDATE", id=team_id)
    await tx.run(
        """
        WITH freed AS (
            DELETE FROM offers.seat USING offers.team
            WHERE seat.order_id = %(order_id)s AND seat.state = 'paid' AND team.id = seat.team_id AND team.state = 'gathering'
            RETURNING seat.team_id
        )
        UPDATE offers.team SET paid_count = paid_count - 1 FROM freed WHERE team.id = freed.team_id
        """,
        order_id=order_id,
    )


async def fail_teams(tx: Tx) -> int:
    """Teams whose time is over have failed, `FAILED_AT_ONCE_MAX` at most; returns how many. Tells `TeamFailed`."""
    failed = await tx.all(
        Team,
        """
        UPDATE offers.team SET state = 'failed', ended_at = %(now)s
        WHERE id IN (
            SELECT id FROM offers.team WHERE state = 'gathering' AND deadline_at <= %(now)s
            ORDER BY id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
        )
        RETURNING id, offer_id, shop_id, product_id, opened_by, size, state, held_count, paid_count, opened_at, deadline_at,
                  ended_at
        """,
        now=tx.now,
        limit=FAILED_AT_ONCE_MAX,
    )
    await _tell_ends(tx, failed, TeamFailed)
    return len(failed)


async def find_unsettled(tx: Tx, *, after: TeamId | None = None) -> TeamId | None:
    """The next failed team of which something is still to be given back."""
    return await tx.maybe(
        TeamId,
        """
        SELECT id FROM offers.team
        WHERE state = 'failed' AND settled_at IS NULL AND (%(after)s::uuid IS NULL OR id > %(after)s) ORDER BY id LIMIT 1
        """,
        after=after,
    )


async def hold_team(tx: Tx, team_id: TeamId) -> None:
    """Lock a team's row."""
    await tx.run("SELECT FROM offers.team WHERE id = %(id)s FOR NO KEY UPDATE", id=team_id)


async def settle_team(tx: Tx, team_id: TeamId) -> None:
    """Everything that was bought in this failed team is given back in this transaction at the latest; its row is held."""
    await tx.run("UPDATE offers.seat SET state = 'returned' WHERE team_id = %(id)s AND state = 'paid'", id=team_id)
    await tx.run(
        """
        UPDATE offers.team SET settled_at = %(now)s
        WHERE id = %(id)s AND state = 'failed' AND settled_at IS NULL AND held_count = 0
        """,
        id=team_id,
        now=tx.now,
    )


async def _tell_ends(tx: Tx, teams: list[Team], news: type[TeamCompleted] | type[TeamFailed]) -> None:
    if not teams:
        return
    buyers: dict[TeamId, list[AccountId]] = {}
    orders: dict[TeamId, list[OrderId]] = {}
    for seat in await list_seats(tx, [team.id for team in teams]):
        if seat.state is SeatState.paid:
            buyers.setdefault(seat.team_id, []).append(seat.buyer_id)
            orders.setdefault(seat.team_id, []).append(seat.order_id)
    for team in teams:
        tx.tell(
            news(
                team_id=team.id,
                offer_id=team.offer_id,
                shop_id=team.shop_id,
                product_id=team.product_id,
                buyer_ids=tuple(buyers.get(team.id, ())),
                order_ids=tuple(orders.get(team.id, ())),
            )
        )
