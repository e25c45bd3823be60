"""Brands over HTTP: their owners, the operators who verify them, and the shops that may sell their goods."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import QueryParameter

from laotie import catalog
from laotie.base.db import Database
from laotie.base.ids import AccountId, ProductId, ShopId
from laotie.catalog import BrandId
from laotie.catalog.authorisations import (
    ask_authorisation,
    decide_authorisation,
    grant_authorisation,
    list_authorisations_of_brand,
    list_authorisations_of_shop,
    revoke_authorisation,
)
from laotie.catalog.brand_model import (
    Authorisation,
    AuthorisationId,
    Badge,
    Brand,
    BrandDraft,
    Contest,
    Terms,
    Trademark,
    TrademarkDraft,
    TrademarkId,
    Verdict,
)
from laotie.identity import Actor
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page

Reason = Annotated[str, msgspec.Meta(max_length=200)]
Words = Annotated[str, QueryParameter(name="q", max_length=100, description="Part of a brand's name.")]
Name = Annotated[str, QueryParameter(name="name", max_length=80, description="The shop's name, in full.")]


class NewBrand(BrandDraft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A brand under the client's own id."""

    id: BrandId


class Decision(msgspec.Struct, forbid_unknown_fields=True):
    """What an operator finds. Whoever refuses says why."""

    verified: bool
    reason: Reason = ""


class AskedTerms(Terms, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a shop asks a brand for, under the client's own id."""

    id: AuthorisationId
    brand_id: BrandId


class GrantedTerms(Terms, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a brand grants a shop, under the client's own id."""

    id: AuthorisationId
    shop_id: ShopId
    trademark_id: TrademarkId | None = None


class Answer(msgspec.Struct, forbid_unknown_fields=True):
    """What a brand's owner answers. Whoever refuses says why."""

    granted: bool
    reason: Reason = ""
    trademark_id: TrademarkId | None = None


class Revocation(msgspec.Struct, forbid_unknown_fields=True):
    """Why an authorisation is taken back."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class NewContest(msgspec.Struct, forbid_unknown_fields=True):
    """What the word in the title means, if not the brand."""

    brand_id: BrandId
    statement: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class ContestDecision(msgspec.Struct, forbid_unknown_fields=True):
    """Whether an operator believes it. Whoever does not says why."""

    accepted: bool
    reason: Reason = ""


class BrandName(msgspec.Struct):
    """A verified brand, as everybody knows it."""

    id: BrandId
    name_zh: str
    name_en: str
    logo: str | None


class BrandNames(msgspec.Struct):
    """Verified brands, the shortest names first."""

    items: list[BrandName]


class BrandView(msgspec.Struct, kw_only=True):
    """A brand, as its owner and the operators see it. `similar`: verified brands whose names hold one another."""

    id: BrandId
    owner_id: AccountId
    name_zh: str
    name_en: str
    logo: str | None
    state: Verdict
    reason: str
    created_at: datetime
    trademarks: list[Trademark]
    similar: list[str]


class Brands(msgspec.Struct):
    """Brands of mine."""

    items: list[BrandView]


class Badges(msgspec.Struct):
    """The brands that a shop may sell now, its own first."""

    items: list[Badge]


class Contests(msgspec.Struct):
    """What waits for an operator's eye, oldest first."""

    items: list[Contest]


class ShopName(msgspec.Struct):
    """A shop to choose."""

    id: ShopId
    name: str
    about: str


class ShopNames(msgspec.Struct):
    """Shops of one name."""

    items: list[ShopName]


@post("/api/brands", status_code=201)
async def ask_brand(data: JSONBody[NewBrand], actor: Given[Actor], db: Given[Database]) -> BrandView:
    """Ask for a brand of mine to be verified. Said again, it is the same brand."""
    draft = BrandDraft(name_zh=data.name_zh, name_en=data.name_en, logo=data.logo, trademarks=data.trademarks)
    async with db.tx() as tx:
        return view_brand(await catalog.brands.ask_brand(tx, actor, data.id, draft))


@get("/api/brands")
async def search_brands(db: Given[Database], q: Words = "") -> BrandNames:
    """Verified brands by a part of their names."""
    async with db.read() as tx:
        found = await catalog.brands.search_brands(tx, q)
    return BrandNames([BrandName(brand.id, brand.name_zh, brand.name_en, brand.logo) for brand in found])


@get("/api/brands/mine")
async def list_own_brands(actor: Given[Actor], db: Given[Database]) -> Brands:
    """The brands that I asked for, verified or not."""
    async with db.read() as tx:
        return Brands([view_brand(brand) for brand in await catalog.brands.list_own_brands(tx, actor)])


@get("/api/brands/asked")
async def list_asked_brands(
    actor: Given[Actor], db: Given[Database], after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Page[BrandView]:
    """What waits for an operator: brands, and new trademarks of brands."""
    async with db.read() as tx:
        page = await catalog.brands.list_asked_brands(
            tx, actor, after=None if after is None else BrandId(after), limit=limit
        )
        similar = await catalog.brands.list_similar(tx, page.items)
    items = [view_brand(brand, similar.get(brand.id, [])) for brand in page.items]
    return Page(items=items, next=None if page.next is None else str(page.next))


@get("/api/brands/{brand_id:uuid}")
async def show_brand(brand_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> BrandView:
    """A brand of mine, with its trademarks."""
    async with db.read() as tx:
        return view_brand(await catalog.brands.get_brand(tx, actor, BrandId(brand_id)))


@post("/api/brands/{brand_id:uuid}/trademarks", status_code=201)
async def add_trademark(
    brand_id: FromPath[UUID], data: JSONBody[TrademarkDraft], actor: Given[Actor], db: Given[Database]
) -> BrandView:
    """Bring another trademark of a brand of mine, or a renewal. Said again, it is the same one."""
    async with db.tx() as tx:
        return view_brand(await catalog.brands.add_trademark(tx, actor, BrandId(brand_id), data))


@post("/api/brands/{brand_id:uuid}/decision", status_code=200)
async def decide_brand(
    brand_id: FromPath[UUID], data: JSONBody[Decision], actor: Given[Actor], db: Given[Database]
) -> BrandView:
    """Verify a brand with the trademarks that wait, refuse it, or withdraw what was verified."""
    async with db.tx() as tx:
        return view_brand(
            await catalog.brands.decide_brand(
                tx, actor, BrandId(brand_id), verified=data.verified, reason=data.reason
            )
        )


@post("/api/trademarks/{trademark_id:uuid}/decision", status_code=200)
async def decide_trademark(
    trademark_id: FromPath[UUID], data: JSONBody[Decision], actor: Given[Actor], db: Given[Database]
) -> BrandView:
    """Verify a trademark, refuse it, or withdraw it with what rests on it."""
    async with db.tx() as tx:
        return view_brand(
            await catalog.brands.decide_trademark(
                tx, actor, TrademarkId(trademark_id), verified=data.verified, reason=data.reason
            )
        )


@get("/api/brands/{brand_id:uuid}/authorisations")
async def list_dealers(
    brand_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[Authorisation]:
    """Who sells a brand of mine, who asked to, who did. Newest first."""
    async with db.read() as tx:
        page = await list_authorisations_of_brand(
            tx, actor, BrandId(brand_id), after=None if after is None else AuthorisationId(after), limit=limit
        )
    return Page(items=page.items, next=None if page.next is None else str(page.next))


@post("/api/brands/{brand_id:uuid}/authorisations", status_code=201)
async def grant_brand(
    brand_id: FromPath[UUID], data: JSONBody[GrantedTerms], actor: Given[Actor], db: Given[Database]
) -> Authorisation:
    """Let a shop sell a brand of mine. Said again, it is the same authorisation."""
    async with db.tx() as tx:
        return await grant_authorisation(
            tx, actor, BrandId(brand_id), data.id, data.shop_id, _terms(data), trademark_id=data.trademark_id
        )


@get("/api/shops/{shop_id:uuid}/authorisations")
async def list_authorisations(
    shop_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[Authorisation]:
    """What the shop was granted, refused, or asked for. Newest first."""
    async with db.read() as tx:
        page = await list_authorisations_of_shop(
            tx, actor, ShopId(shop_id), after=None if after is None else AuthorisationId(after), limit=limit
        )
    return Page(items=page.items, next=None if page.next is None else str(page.next))


@post("/api/shops/{shop_id:uuid}/authorisations", status_code=201)
async def ask_for_brand(
    shop_id: FromPath[UUID], data: JSONBody[AskedTerms], actor: Given[Actor], db: Given[Database]
) -> Authorisation:
    """Ask a brand to let the shop sell its goods. Said again, it is the same asking."""
    async with db.tx() as tx:
        return await ask_authorisation(tx, actor, ShopId(shop_id), data.id, data.brand_id, _terms(data))


@post("/api/authorisations/{authorisation_id:uuid}/decision", status_code=200)
async def answer_shop(
    authorisation_id: FromPath[UUID], data: JSONBody[Answer], actor: Given[Actor], db: Given[Database]
) -> Authorisation:
    """Answer a shop that asked."""
    async with db.tx() as tx:
        return await decide_authorisation(
            tx,
            actor,
            AuthorisationId(authorisation_id),
            granted=data.granted,
            reason=data.reason,
            trademark_id=data.trademark_id,
        )


@post("/api/authorisations/{authorisation_id:uuid}/revocation", status_code=200)
async def take_back_brand(
    authorisation_id: FromPath[UUID], data: JSONBody[Revocation], actor: Given[Actor], db: Given[Database]
) -> Authorisation:
    """Take an authorisation back. The shop's goods of the brand come off the shelves within a minute."""
    async with db.tx() as tx:
        return await revoke_authorisation(tx, actor, AuthorisationId(authorisation_id), reason=data.reason)


@get("/api/shops/{shop_id:uuid}/brands")
async def list_brands_of_shop(shop_id: FromPath[UUID], db: Given[Database]) -> Badges:
    """The brands that a shop may sell now: its own, and those of which it is an authorised dealer."""
    async with db.read() as tx:
        return Badges(await catalog.covering.list_badges_of_shop(tx, ShopId(shop_id)))


@get("/api/shops")
async def find_shops_by_name(actor: Given[Actor], db: Given[Database], name: Name = "") -> ShopNames:
    """Open shops of exactly this name: whom a brand may authorise."""
    actor.signed_in()
    async with db.read() as tx:
        found = await catalog.find_shops_named(tx, name)
    return ShopNames([ShopName(shop.id, shop.name, shop.about) for shop in found if shop.state != "closed" and not shop.is_sandbox])


@post("/api/products/{product_id:uuid}/brand-contests", status_code=201)
async def contest_brand(
    product_id: FromPath[UUID], data: JSONBody[NewContest], actor: Given[Actor], db: Given[Database]
) -> Contest:
    """Say what a word in the title means, if not the brand. The product may be listed until an operator disagrees."""
    async with db.tx() as tx:
        return await catalog.covering.contest_brand(
            tx, actor, ProductId(product_id), data.brand_id, data.statement
        )


@get("/api/brand-contests")
async def list_brand_contests(actor: Given[Actor], db: Given[Database]) -> Contests:
    """What shops say about words in their titles, and no operator has looked at."""
    async with db.read() as tx:
        return Contests(await catalog.covering.list_contests(tx, actor))


@post("/api/products/{product_id:uuid}/brand-contests/{brand_id:uuid}/decision", status_code=200)
async def decide_brand_contest(
    product_id: FromPath[UUID],
    brand_id: FromPath[UUID],
    data: JSONBody[ContestDecision],
    actor: Given[Actor],
    db: Given[Database],
) -> Contest:
    """Believe a shop or not; not believed, the product leaves the shelf until it names the brand."""
    async with db.tx() as tx:
        return await catalog.covering.decide_contest(
            tx, actor, ProductId(product_id), BrandId(brand_id), accepted=data.accepted, reason=data.reason
        )


def view_brand(brand: Brand, similar: list[str] | None = None) -> BrandView:
    """A brand as its owner and the operators see it."""
    return BrandView(
        id=brand.id,
        owner_id=brand.owner_id,
        name_zh=brand.name_zh,
        name_en=brand.name_en,
        logo=brand.logo,
        state=brand.state,
        reason=brand.reason,
        created_at=brand.created_at,
        trademarks=brand.trademarks,
        similar=similar or [],
    )


def _terms(said: Terms) -> Terms:
    return Terms(**{name: getattr(said, name) for name in Terms.__struct_fields__})


ROUTES = [
    ask_brand,
    search_brands,
    list_own_brands,
    list_asked_brands,
    show_brand,
    add_trademark,
    decide_brand,
    decide_trademark,
    list_dealers,
    grant_brand,
    list_authorisations,
    ask_for_brand,
    answer_shop,
    take_back_brand,
    list_brands_of_shop,
    find_shops_by_name,
    contest_brand,
    list_brand_contests,
    decide_brand_contest,
]
