"""Group buys over HTTP: a shop's offers, a product's teams, and one team with its people."""

from datetime import datetime
from uuid import UUID

import msgspec
from litestar import get, post

from laotie import catalog, identity, offers, orders, traffic
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, OrderId, ProductId, ShopId, SkuId, ViewerId
from laotie.base.money import Money
from laotie.base.refusals import NotFound
from laotie.base.signer import Signer
from laotie.identity import Actor
from laotie.offers import (
    GroupDraft,
    GroupFigures,
    GroupOffer,
    GroupOfferId,
    GroupState,
    SeatState,
    Team,
    TeamId,
    TeamState,
)
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.orders import Nothing
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page


class GroupSku(msgspec.Struct, kw_only=True):
    """A SKU with its price in a team, and on the shelf."""

    sku_id: SkuId
    options: dict[str, str]
    price: Money
    shelf_price: Money
    list_price: Money | None
    """What may be crossed out beside the team's price: borne out by the price history, or nothing."""
    available: int


class GroupView(msgspec.Struct, kw_only=True):
    """An offer to groups."""

    id: GroupOfferId
    shop_id: ShopId
    product_id: ProductId
    title: str
    image: str
    state: GroupState
    size: int
    gather_hours: int
    limit_per_person: int
    starts_at: datetime
    ends_at: datetime
    skus: list[GroupSku]


class ShopGroupView(GroupView, kw_only=True):
    """An offer as its shop sees it, with what came of it."""

    figures: GroupFigures


class Member(msgspec.Struct, kw_only=True):
    """Somebody in a team. Of others as much of the name as says that it is a person."""

    id: AccountId
    name: str
    avatar: str | None
    is_opener: bool
    is_me: bool
    paid: bool


class MySeat(msgspec.Struct, kw_only=True):
    """My place in a team, and the order that it was taken with."""

    order_id: OrderId
    state: SeatState


class TeamBrief(msgspec.Struct, kw_only=True):
    """A team as a product's page shows it."""

    id: TeamId
    opener: Member
    size: int
    free: int
    deadline_at: datetime


class TeamView(msgspec.Struct, kw_only=True):
    """A team: who is in it, how long it has, and what it buys. `free` seats can be taken; the others are paid or held."""

    id: TeamId
    state: TeamState
    size: int
    free: int
    paid: int
    deadline_at: datetime
    ended_at: datetime | None
    members: list[Member]
    mine: MySeat | None
    is_opener: bool
    offer: GroupView
    entry: str | None = None
    """The way to the product for who came by the team's address: its opener's share."""


class ProductGroups(msgspec.Struct, kw_only=True):
    """What a product's page says of group buys: the offer that runs, and teams to join."""

    offer: GroupView | None
    teams: list[TeamBrief]


class NewTeam(msgspec.Struct, forbid_unknown_fields=True):
    """A team of my own, under my own id."""

    id: TeamId
    offer_id: GroupOfferId


class OrderTeam(msgspec.Struct):
    """The team that an order has its seat in, if any."""

    team: TeamView | None


@get("/api/products/{product_id:uuid}/groups")
async def get_product_groups(product_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> ProductGroups:
    """The offer to groups that runs for a product, and the teams one can join."""
    async with db.read() as tx:
        await catalog.get_product(tx, actor, ProductId(product_id))
        offer = await offers.find_group_of_product(tx, ProductId(product_id))
        if offer is None:
            return ProductGroups(offer=None, teams=[])
        teams = await offers.list_open_teams(tx, offer.id)
        people = await identity.find_profiles(tx, {team.opened_by for team in teams})
        return ProductGroups(
            offer=(await _views(tx, [offer]))[0],
            teams=[
                TeamBrief(
                    id=team.id,
                    opener=_member(actor, team, team.opened_by, people, paid=True),
                    size=team.size,
                    free=team.free_count,
                    deadline_at=team.deadline_at,
                )
                for team in teams
            ],
        )


@post("/api/teams")
async def open_team(data: JSONBody[NewTeam], actor: Given[Actor], db: Given[Database]) -> TeamView:
    """Open a team, or get the one that I have open of this offer. One takes a seat by buying: `team_id` in the order's line."""
    async with db.tx() as tx:
        team = await offers.open_team(tx, actor, data.offer_id, data.id)
        return await _team(tx, actor, team)


@get("/api/teams/{team_id:uuid}")
async def get_team(
    team_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], signer: Given[Signer]
) -> TeamView:
    """A team, for whoever has its link."""
    async with db.read() as tx:
        team = await offers.get_team(tx, TeamId(team_id))
        view = await _team(tx, actor, team)
    if view.mine is None and not view.is_opener:
        subject = f"product:{view.offer.product_id}"
        view.entry = traffic.invite(signer, ViewerId(team.opened_by), "team", subject=subject, at=db.clock.now())
    return view


@get("/api/orders/{order_id:uuid}/team")
async def get_order_team(order_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> OrderTeam:
    """The team that my order was bought in; most orders have none."""
    async with db.read() as tx:
        order = await orders.get_own(tx, actor, OrderId(order_id))
        team_id = (await orders.find_teams_of(tx, [order.id])).get(order.id)
        if team_id is None:
            return OrderTeam(None)
        return OrderTeam(await _team(tx, actor, await offers.get_team(tx, team_id)))


@get("/api/shops/{shop_id:uuid}/group-offers")
async def list_group_offers(
    shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Page[ShopGroupView]:
    """The shop's offers to groups, the latest first, for its staff."""
    async with db.read() as tx:
        found = await offers.list_group_offers(tx, actor, ShopId(shop_id), after=after, limit=limit)
        views = await _views(tx, [offer for offer, _ in found])
    return Page(
        items=[
            ShopGroupView(figures=figures, **msgspec.structs.asdict(view))
            for view, (_, figures) in zip(views, found, strict=True)
        ],
        next=str(views[-1].id) if len(views) == limit else None,
    )


@post("/api/shops/{shop_id:uuid}/group-offers")
async def offer_group(
    shop_id: FromPath[UUID], data: JSONBody[GroupDraft], actor: Given[Actor], db: Given[Database]
) -> GroupView:
    """Offer a product to groups."""
    async with db.tx() as tx:
        return (await _views(tx, [await offers.offer_group(tx, actor, ShopId(shop_id), data)]))[0]


@post("/api/group-offers/{offer_id:uuid}/closure", status_code=200)
async def close_group_offer(
    offer_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], data: JSONBody[Nothing | None] = None
) -> GroupView:
    """Take an offer back: no new teams; those that gather go on."""
    async with db.tx() as tx:
        return (await _views(tx, [await offers.close_group(tx, actor, GroupOfferId(offer_id))]))[0]


async def _team(tx: Tx, actor: Actor, team: Team) -> TeamView:
    offer = await offers.get_group_offer(tx, team.offer_id)
    seats = await offers.list_seats(tx, [team.id])
    people = await identity.find_profiles(tx, {team.opened_by, *(seat.buyer_id for seat in seats)})
    mine = next((seat for seat in seats if seat.buyer_id == actor.account_id), None)
    views = await _views(tx, [offer])
    if not views:
        raise NotFound()
    return TeamView(
        id=team.id,
        state=team.state,
        size=team.size,
        free=team.free_count,
        paid=team.paid_count,
        deadline_at=team.deadline_at,
        ended_at=team.ended_at,
        members=[
            _member(actor, team, seat.buyer_id, people, paid=seat.state is not SeatState.held) for seat in seats
        ],
        mine=MySeat(order_id=mine.order_id, state=mine.state) if mine is not None else None,
        is_opener=team.opened_by == actor.account_id,
        offer=views[0],
    )


def _member(
    actor: Actor, team: Team, account_id: AccountId, people: dict[AccountId, identity.Profile], *, paid: bool
) -> Member:
    profile = people.get(account_id)
    is_me = account_id == actor.account_id
    name = profile.name if profile is not None else ""
    return Member(
        id=account_id,
        name=name if is_me or not name else f"{name[0]}**",
        avatar=profile.avatar if profile is not None else None,
        is_opener=account_id == team.opened_by,
        is_me=is_me,
        paid=paid,
    )


async def _views(tx: Tx, found: list[GroupOffer]) -> list[GroupView]:
    products = await catalog.find_products(tx, [offer.product_id for offer in found])
    views = []
    for offer in found:
        product = products[offer.product_id]
        skus = {sku.id: sku for sku in product.skus}
        views.append(
            GroupView(
                id=offer.id,
                shop_id=offer.shop_id,
                product_id=offer.product_id,
                title=product.title,
                image=catalog.picture_of(product.id, product.images),
                state=offer.state,
                size=offer.size,
                gather_hours=offer.gather_hours,
                limit_per_person=offer.limit_per_person,
                starts_at=offer.starts_at,
                ends_at=offer.ends_at,
                skus=[
                    GroupSku(
                        sku_id=one.sku_id,
                        options=skus[one.sku_id].options,
                        price=one.price,
                        shelf_price=skus[one.sku_id].price,
                        list_price=skus[one.sku_id].crossed_beside(one.price.amount),
                        available=skus[one.sku_id].available
                        if product.state is catalog.ProductState.listed
                        and skus[one.sku_id].state is catalog.SkuState.active
                        else 0,
                    )
                    for one in offer.prices
                ],
            )
        )
    return views


ROUTES = [
    get_product_groups,
    open_team,
    get_team,
    get_order_team,
    list_group_offers,
    offer_group,
    close_group_offer,
]
