"""The till's judgement of a seat in a team: pure, like all of it.

A place in a team is an order of one line at the team's price, past carts, coupons and prices of one's own.
"""

from datetime import datetime
from uuid import UUID

from laotie.base.ids import AccountId, OrderId
from laotie.base.money import Money
from laotie.base.refusals import Conflict, Invalid, Refusal
from laotie.catalog import Shelf
from laotie.offers import TeamQuote, TeamState
from laotie.orders.model import Ask, AskLine, LimitReached, OffShelf, PriceChanged

Teams = dict[int, TeamQuote]
"""By the whole id; who was given a seat by an ask before sits in it."""


class SeatAlone(Invalid, code="seat-alone"):
    """A place in a team is bought alone: one product off the shelf, without coupons."""


class TeamOver(Conflict, code="team-over"):
    """This team takes nobody in any more."""

    team_id: UUID
    state: TeamState


class TeamFull(Conflict, code="team-full"):
    """All places of this team are taken; one may come free until its time is over."""

    team_id: UUID


class AlreadyInTeam(Conflict, code="already-in-team"):
    """You are in this team already; each person has one place."""

    team_id: UUID
    order_id: OrderId


def check_seat(ask: Ask, line: AskLine, shelf: Shelf, teams: Teams, now: datetime) -> Refusal | None:
    """Whether this line may take a seat in the team it names, at this price."""
    assert line.team_id is not None
    if len(ask.lines) > 1 or line.cart_item_id is not None or line.grant_id is not None or ask.coupons:
        return SeatAlone()
    team = teams.get(line.team_id.int)
    if team is None or team.shop_id != shelf.shop_id:
        return TeamOver(team_id=line.team_id, state=TeamState.failed)
    buyer = ask.buyer_id.int
    if buyer in team.members:
        return AlreadyInTeam(team_id=team.id, order_id=team.members[buyer])
    if team.state is not TeamState.gathering:
        return TeamOver(team_id=team.id, state=team.state)
    if team.deadline_at <= now:
        return TeamOver(team_id=team.id, state=TeamState.failed)
    if team.taken_count >= team.size:
        return TeamFull(team_id=team.id)
    price_amount = team.prices.get(line.sku_id.int)
    if price_amount is None:
        return OffShelf(sku_id=line.sku_id)
    if line.price_amount != price_amount or ask.currency not in (None, shelf.currency):
        return PriceChanged(sku_id=line.sku_id, price=Money(price_amount, shelf.currency))
    had = team.bought.get(buyer, 0)
    if had + line.quantity > team.limit_per_person:
        return LimitReached(sku_id=line.sku_id, limit=team.limit_per_person, bought=had)
    return None


def take_seat(teams: Teams, buyer_id: AccountId, line: AskLine, order_id: OrderId) -> None:
    """The next ask finds the seat taken. What a person bought is counted over all teams of the offer."""
    assert line.team_id is not None
    team = teams[line.team_id.int]
    team.members[buyer_id.int] = order_id
    team.bought[buyer_id.int] = team.bought.get(buyer_id.int, 0) + line.quantity
    teams[line.team_id.int] = team._replace(taken_count=team.taken_count + 1)
