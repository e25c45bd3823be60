"""Group buys for tests: an offer, a team, and seats in it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from laotie import catalog, identity, offers, orders
from laotie.base.ids import OrderId, SkuId, new_id
from laotie.base.money import Money
from laotie.offers import GroupDraft, GroupOffer, GroupOfferId, GroupPrice, TeamId
from market import Market

PRICE, TEAM_PRICE = 9900, 6900


async def open_offer(market: Market, *, size: int = 2, stock: int = 10, limit: int = 1, **changes: Any) -> GroupOffer:
    """A product of the market's shop, offered to groups."""
    line = await market.add_to_shelf(market.owner, market.shop_id, price=PRICE, stock=stock)
    async with market.db.tx() as tx:
        sku = (await catalog.find_skus(tx, [line.sku_id]))[line.sku_id]
        fields: dict[str, Any] = {
            "id": GroupOfferId(new_id()),
            "product_id": sku.product_id,
            "prices": [GroupPrice(sku.id, Money(TEAM_PRICE, "CNY"))],
            "size": size,
            "limit_per_person": limit,
            "ends_at": tx.now + timedelta(days=2),
        }
        return await offers.offer_group(tx, market.owner, market.shop_id, GroupDraft(**(fields | changes)))


async def open_team(market: Market, opener: identity.Actor, offer: GroupOffer) -> offers.Team:
    async with market.db.tx() as tx:
        return await offers.open_team(tx, opener, offer.id, TeamId(new_id()))


def seat(market: Market, buyer: identity.Actor, offer: GroupOffer, team_id: UUID, **changes: Any) -> orders.Ask:
    fields: dict[str, Any] = {"sku_id": offer.prices[0].sku_id, "cart_item_id": None, "quantity": 1}
    fields |= {"price_amount": TEAM_PRICE, "team_id": team_id}
    return market.ask(buyer, show_id=None, lines=(orders.AskLine(**(fields | changes)),))


async def join(market: Market, buyer: identity.Actor, offer: GroupOffer, team_id: UUID, **changes: Any) -> OrderId:
    return (await market.place_all(buyer, seat(market, buyer, offer, team_id, **changes))).id


async def team_of(market: Market, team_id: TeamId) -> offers.Team:
    async with market.db.read() as tx:
        return await offers.get_team(tx, team_id)


async def stock(market: Market, sku_id: SkuId) -> tuple[int, int, int]:
    async with market.db.read() as tx:
        sku = (await catalog.find_skus(tx, [sku_id]))[sku_id]
    return sku.available, sku.reserved, sku.sold
