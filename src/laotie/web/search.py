"""The shelf over HTTP: searching it, its categories, suggestions while typing, and the words that mean the same."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import delete, get, post, put
from litestar.params import QueryParameter

from laotie import catalog, identity, live, search, traffic
from laotie.base.db import Database, Tx
from laotie.base.ids import ProductId, ShopId
from laotie.base.refusals import Invalid, TooFast
from laotie.base.signer import Signer
from laotie.catalog.model import PRICE_MAX
from laotie.identity import Actor
from laotie.search import TEXT_MAX, Ask, Shelf, ShelfSort, SynonymGroup
from laotie.web import acts
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.house import House

LIMIT_DEFAULT = 20
CURSOR_MAX = 400
SUGGESTIONS = 8

Text = Annotated[
    str, QueryParameter(name="q", max_length=TEXT_MAX, description="What is looked for; nothing: everything.")
]
OfCategory = Annotated[str | None, QueryParameter(name="category", max_length=60, description="Only this category.")]
OfShop = Annotated[UUID | None, QueryParameter(name="shop_id", description="Only this shop.")]
OfBrand = Annotated[UUID | None, QueryParameter(name="brand_id", description="Only this brand.")]
InCurrency = Annotated[
    str | None,
    QueryParameter(name="currency", pattern="^[A-Z]{3}$", description="Only prices in it; limits of price need it."),
]
PriceMin = Annotated[int | None, QueryParameter(name="price_min", ge=0, le=PRICE_MAX, description="In minor units.")]
PriceMax = Annotated[int | None, QueryParameter(name="price_max", ge=0, le=PRICE_MAX, description="In minor units.")]
InStock = Annotated[bool, QueryParameter(name="in_stock", description="Only what can be bought now.")]
Guaranteed = Annotated[bool, QueryParameter(name="guaranteed", description="Only what a guarantee stands behind.")]
InShow = Annotated[bool, QueryParameter(name="live", description="Only what a live show offers at this moment.")]
InOrder = Annotated[ShelfSort, QueryParameter(name="sort", description="In which order.")]
PageLimit = Annotated[
    int, QueryParameter(name="limit", ge=1, le=search.PAGE_MAX, description="Most items of one page.")
]
PageAfter = Annotated[
    str | None, QueryParameter(name="after", max_length=CURSOR_MAX, description="The `next` of the page before.")
]
Token = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]


class CurrencyMissing(Invalid, code="currency-missing"):
    """Limits of price and orders by price are in one currency; say which."""


class FacetValue(msgspec.Struct, kw_only=True):
    """One value of what was found, and how many products have it."""

    name: str
    count: int
    id: UUID | None = None


class ShelfFacets(msgspec.Struct, kw_only=True):
    """How much was found, and of what: the most frequent values of each kind. Empty while the index is being built."""

    total: int
    categories: list[FacetValue]
    shops: list[FacetValue]
    brands: list[FacetValue]
    currencies: list[FacetValue]


class Suggestions(msgspec.Struct):
    """How what is being typed may go on, the most frequent first."""

    items: list[str]


class HitEntrance(msgspec.Struct, forbid_unknown_fields=True):
    """The entry of the hit that led to the product, or the visit one comes from; neither: just so."""

    entry: Token | None = None
    visit: Token | None = None


class ShelfVisit(msgspec.Struct):
    """What orders from the product's page carry."""

    visit: str
    expires_at: datetime


class SynonymGroups(msgspec.Struct):
    """Words that mean the same, what was changed last first."""

    items: list[SynonymGroup]


class SynonymWords(msgspec.Struct, forbid_unknown_fields=True):
    """Two to twenty words, in whatever language."""

    words: Annotated[list[Annotated[str, msgspec.Meta(max_length=200)]], msgspec.Meta(min_length=2, max_length=20)]


@get("/api/search")
async def search_shelf(
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    shelf: Given[Shelf | None],
    house: Given[House],
    q: Text = "",
    category: OfCategory = None,
    shop_id: OfShop = None,
    brand_id: OfBrand = None,
    currency: InCurrency = None,
    price_min: PriceMin = None,
    price_max: PriceMax = None,
    in_stock: InStock = False,
    guaranteed: Guaranteed = False,
    in_show: InShow = False,
    sort: InOrder = ShelfSort.relevance,
    after: PageAfter = None,
    limit: PageLimit = LIMIT_DEFAULT,
) -> traffic.ShelfPage:
    """What is on the shelf: by words in Chinese or English, or a category's page without any. Each hit is as it is now."""
    ask = _ask(q, category, shop_id, brand_id, currency, price_min, price_max, in_stock, guaranteed, sort)
    async with db.read() as tx:
        ask = await _only_in_shows(tx, ask) if in_show else ask
        page = await traffic.search_shelf(tx, signer, actor, shelf, ask, after=after, limit=limit)
    if after is None and (actor.account_id is not None or actor.is_known_guest):
        await _tell(house, actor, ask, len(page.items))
    return page


@get("/api/search/facets")
async def count_shelf(
    db: Given[Database],
    shelf: Given[Shelf | None],
    q: Text = "",
    category: OfCategory = None,
    shop_id: OfShop = None,
    brand_id: OfBrand = None,
    currency: InCurrency = None,
    price_min: PriceMin = None,
    price_max: PriceMax = None,
    in_stock: InStock = False,
    guaranteed: Guaranteed = False,
    in_show: InShow = False,
) -> ShelfFacets:
    """How much a search finds, and of which categories, shops, brands and currencies."""
    if shelf is None or not shelf.is_ready:
        return ShelfFacets(total=0, categories=[], shops=[], brands=[], currencies=[])
    ask = _ask(q, category, shop_id, brand_id, currency, price_min, price_max, in_stock, guaranteed, ShelfSort.relevance)
    async with db.read() as tx:
        ask = await _only_in_shows(tx, ask) if in_show else ask
        found = await shelf.count(ask)
        shops = await catalog.find_shops(tx, [ShopId(one) for one, _ in found.shops])
        brands = await catalog.brands.find_brands(tx, [catalog.BrandId(one) for one, _ in found.brands])
    return ShelfFacets(
        total=found.total,
        categories=[FacetValue(name=name, count=count) for name, count in found.categories],
        shops=[
            FacetValue(name=shops[ShopId(one)].name, count=count, id=one)
            for one, count in found.shops
            if ShopId(one) in shops
        ],
        brands=[
            FacetValue(name=brand.name_zh or brand.name_en, count=count, id=one)
            for one, count in found.brands
            if (brand := brands.get(catalog.BrandId(one))) is not None
        ],
        currencies=[FacetValue(name=name, count=count) for name, count in found.currencies],
    )


@get("/api/search/suggestions")
async def suggest_searches(shelf: Given[Shelf | None], q: Text = "") -> Suggestions:
    """How what is being typed may go on; Chinese words also by their sound."""
    if shelf is None or not shelf.is_ready:
        return Suggestions([])
    return Suggestions(await shelf.suggest(q, limit=SUGGESTIONS))


@post("/api/products/{product_id:uuid}/visits", status_code=201)
async def visit_product(
    product_id: FromPath[UUID],
    data: JSONBody[HitEntrance],
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    house: Given[House],
) -> ShelfVisit:
    """The product's page is in sight: the visit that orders from it carry, by a hit's entry or as one came here."""
    async with db.tx() as tx:
        opened = await traffic.open_shelf_visit(
            tx, signer, actor, ProductId(product_id), entry=data.entry, visit=data.visit
        )
    acts.tell_visit(house, actor, opened)
    acts.tell_click(house, opened, ProductId(product_id))
    visit = traffic.SurfaceVisit.of(opened)
    return ShelfVisit(visit.visit, visit.expires_at)


@get("/api/synonyms")
async def list_synonyms(actor: Given[Actor], db: Given[Database]) -> SynonymGroups:
    """Words that the search takes for each other, for operators."""
    actor.require_operator()
    async with db.read() as tx:
        return SynonymGroups(await search.list_synonyms(tx))


@put("/api/synonyms/{group_id:uuid}")
async def put_synonyms(
    group_id: FromPath[UUID], data: JSONBody[SynonymWords], actor: Given[Actor], db: Given[Database]
) -> SynonymGroup:
    """Have these words found for each other, in place of what the group held. In force within seconds."""
    operator_id = actor.require_operator()
    async with db.tx() as tx:
        group = await search.put_synonyms(tx, group_id, data.words, by=operator_id)
        await identity.record(tx, actor, "search.synonyms_put", subject=str(group_id), words=group.words)
        return group


@delete("/api/synonyms/{group_id:uuid}", status_code=204)
async def drop_synonyms(group_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> None:
    """These words no longer stand for each other."""
    actor.require_operator()
    async with db.tx() as tx:
        await search.drop_synonyms(tx, group_id)
        await identity.record(tx, actor, "search.synonyms_dropped", subject=str(group_id))


def _ask(
    text: str,
    category: str | None,
    shop_id: UUID | None,
    brand_id: UUID | None,
    currency: str | None,
    price_min: int | None,
    price_max: int | None,
    in_stock: bool,
    guaranteed: bool,
    sort: ShelfSort,
) -> Ask:
    by_price = price_min is not None or price_max is not None or sort in (ShelfSort.price_up, ShelfSort.price_down)
    if by_price and currency is None:
        raise CurrencyMissing()
    return Ask(
        text=text,
        category=category or None,
        shop_id=shop_id,
        brand_id=brand_id,
        currency=currency,
        price_min=price_min,
        price_max=price_max,
        in_stock=in_stock,
        is_guaranteed=guaranteed,
        sort=sort,
    )


async def _tell(house: House, actor: Actor, ask: Ask, hits: int) -> None:
    """The shelf's first page is a visit to it, or to the one shop that it is asked of; a script's too many are none."""
    is_search = bool(ask.text.strip())
    shop_id = traffic.SHELF if ask.shop_id is None else ShopId(ask.shop_id)
    placement = traffic.SEARCH if is_search else traffic.CATEGORY if shop_id == traffic.SHELF else traffic.SHOP
    try:
        async with house.db.tx() as tx:
            if shop_id != traffic.SHELF and not await catalog.find_shops(tx, [shop_id]):
                return
            opened = await traffic.open_shop_visit(tx, house.signer, actor, shop_id, placement=placement)
    except TooFast:
        return
    acts.tell_visit(house, actor, opened)
    if is_search:
        acts.tell_search(house, opened, hits)


async def _only_in_shows(tx: Tx, ask: Ask) -> Ask:
    offered = await live.find_offered(tx)
    return msgspec.structs.replace(ask, among=frozenset(offered))


ROUTES = [
    search_shelf,
    count_shelf,
    suggest_searches,
    visit_product,
    list_synonyms,
    put_synonyms,
    drop_synonyms,
]
