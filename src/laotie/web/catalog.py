"""Shops, products, SKUs, stock and the product sheet over HTTP; the pictures that are drawn for products."""

import tempfile
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, patch, post
from litestar.params import QueryParameter
from litestar.response import Stream

from laotie import catalog, identity
from laotie.base.db import Database
from laotie.base.ids import ProductId, ShopId, SkuId
from laotie.base.money import Money
from laotie.base.refusals import NotFound
from laotie.catalog import ProductChange, ProductDraft, ProductState, ShopChange, ShopDraft, SkuChange, SkuDraft, Store
from laotie.identity import Actor
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page

SHEET_BYTES_IN_MEMORY_MAX = 4 * 1024 * 1024
PICTURE_SECONDS = 3600

Words = Annotated[str, QueryParameter(name="q", max_length=100, description="Words that must all occur.")]
Category = Annotated[str | None, QueryParameter(name="category", max_length=60, description="Only this category.")]
OfShop = Annotated[UUID | None, QueryParameter(name="shop_id", description="Only this shop.")]
InState = Annotated[ProductState | None, QueryParameter(name="state", description="Only products in this state.")]
DryRun = Annotated[bool, QueryParameter(name="dry_run", description="Report what would happen; change nothing.")]
SetStock = Annotated[
    bool, QueryParameter(name="set_stock", description="Correct the stock of SKUs that are there to the sheet's.")
]


class NewShop(ShopDraft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shop under the client's own id."""

    id: UUID


class NewProduct(ProductDraft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A product under the client's own id; it begins as a draft."""

    id: UUID


class NewSku(SkuDraft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A SKU under the client's own id; `stock` pieces are received with it."""

    id: UUID


class NewMovement(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Pieces received or corrected by hand, under the client's own id."""

    id: UUID
    kind: catalog.MovementKind
    quantity: int
    note: str | None = None


class ShopView(msgspec.Struct):
    """A shop as everybody sees it."""

    id: UUID
    name: str
    about: str
    currency: str
    stores: list[Store]
    price_protection_days: int
    """For so many days after paying, a buyer gets the difference when the shelf price falls; 0: not."""
    is_sandbox: bool
    """A developer's own, seen by its people alone."""


class ListPriceView(msgspec.Struct):
    """For the shop alone: the list price as typed, and why it is not shown so."""

    typed: Money
    gap: catalog.ListPriceGap | None


class SkuView(msgspec.Struct):
    """One choice of a product."""

    id: UUID
    code: str
    options: dict[str, str]
    price: Money
    list_price: Money | None
    """What may be crossed out beside the price: borne out by the price history, or nothing."""
    available: int
    state: str
    weight_grams: int
    own_list_price: ListPriceView | None


class ProductView(msgspec.Struct):
    """A product with its SKUs. `version` is what an edit says it was made from."""

    id: UUID
    shop_id: UUID
    title: str
    description: str
    images: list[str]
    category: str
    state: str
    version: int
    skus: list[SkuView]
    tax_bps: int
    """The rate of the tax that the prices contain, in ten-thousandths."""
    shipping_template_id: UUID | None
    brand_id: UUID | None
    delisted_why: str | None
    """Why the platform took it off the shelf, if it did: `not_authorised`, `brand_not_named`."""


class MovementView(msgspec.Struct):
    """A line of a SKU's stock ledger."""

    id: UUID
    kind: str
    quantity: int
    order_id: UUID | None
    note: str | None
    at: datetime


class MovedView(MovementView):
    """The movement just made, and what can be bought now."""

    available: int


class Categories(msgspec.Struct):
    """The categories on the shelf, most products first."""

    items: list[str]


@post("/api/shops", status_code=201)
async def open_shop(data: JSONBody[NewShop], actor: Given[Actor], db: Given[Database]) -> ShopView:
    """Open a shop of my own. Said again, it is the same shop."""
    draft = ShopDraft(name=data.name, about=data.about, currency=data.currency, stores=data.stores)
    async with db.tx() as tx:
        return view_shop(await catalog.open_shop(tx, actor.signed_in(), ShopId(data.id), draft))


@get("/api/shops/{shop_id:uuid}")
async def show_shop(shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> ShopView:
    """A shop and where it can be visited; a sandbox is shown to its people alone."""
    async with db.read() as tx:
        shop = await catalog.get_shop(tx, ShopId(shop_id))
        if shop.is_sandbox and (
            actor.seat_holder_id is None or await identity.find_seat(tx, actor, ShopId(shop_id)) is None
        ):
            raise NotFound()
        return view_shop(shop)


@patch("/api/shops/{shop_id:uuid}")
async def change_shop(
    shop_id: FromPath[UUID], data: JSONBody[ShopChange], actor: Given[Actor], db: Given[Database]
) -> ShopView:
    """Change what the shop says of itself."""
    async with db.tx() as tx:
        return view_shop(await catalog.edit_shop(tx, actor, ShopId(shop_id), data))


@get("/api/products")
async def search_products(
    db: Given[Database],
    q: Words = "",
    category: Category = None,
    shop_id: OfShop = None,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[ProductView]:
    """What is on the shelf, newest first, by plain words; `GET /api/search` is what finds."""
    async with db.read() as tx:
        page = await catalog.list_products(
            tx,
            query=q,
            category=category,
            shop_id=None if shop_id is None else ShopId(shop_id),
            after=None if after is None else ProductId(after),
            limit=limit,
        )
    return _page(page)


@get("/api/categories")
async def list_categories(db: Given[Database], shop_id: OfShop = None) -> Categories:
    """The categories on the shelf."""
    async with db.read() as tx:
        return Categories(await catalog.list_categories(tx, None if shop_id is None else ShopId(shop_id)))


@get("/api/products/{product_id:uuid}")
async def show_product(product_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> ProductView:
    """One product; drafts and retired SKUs are shown to the shop alone."""
    async with db.read() as tx:
        product = await catalog.get_product(tx, actor, ProductId(product_id))
        return _product(product, own=await identity.may(tx, actor, product.shop_id, identity.Scope.catalog))


@get("/api/shops/{shop_id:uuid}/products")
async def list_own_products(
    shop_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    q: Words = "",
    in_state: InState = None,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[ProductView]:
    """The shop's products in every state, newest first; the words may be a SKU's code."""
    async with db.read() as tx:
        page = await catalog.list_own_products(
            tx,
            actor,
            ShopId(shop_id),
            query=q,
            state=in_state,
            after=None if after is None else ProductId(after),
            limit=limit,
        )
    return _page(page, own=True)


@post("/api/shops/{shop_id:uuid}/products", status_code=201)
async def add_product(
    shop_id: FromPath[UUID], data: JSONBody[NewProduct], actor: Given[Actor], db: Given[Database]
) -> ProductView:
    """Add a product as a draft. Said again, it is the same product."""
    draft = ProductDraft(
        title=data.title,
        description=data.description,
        images=data.images,
        category=data.category,
        code=data.code,
        tax_bps=data.tax_bps,
        shipping_template_id=data.shipping_template_id,
        brand_id=data.brand_id,
    )
    async with db.tx() as tx:
        product = await catalog.add_product(tx, actor, ShopId(shop_id), ProductId(data.id), draft)
        return _product(product, own=True)


@patch("/api/products/{product_id:uuid}")
async def change_product(
    product_id: FromPath[UUID], data: JSONBody[ProductChange], actor: Given[Actor], db: Given[Database]
) -> ProductView:
    """Change a product, list it or take it off the shelf. What is left out stays."""
    async with db.tx() as tx:
        return _product(await catalog.edit_product(tx, actor, ProductId(product_id), data), own=True)


@post("/api/products/{product_id:uuid}/skus", status_code=201)
async def add_sku(
    product_id: FromPath[UUID], data: JSONBody[NewSku], actor: Given[Actor], db: Given[Database]
) -> SkuView:
    """Add a SKU to a product. Said again, it is the same SKU."""
    draft = SkuDraft(
        code=data.code,
        options=data.options,
        price=data.price,
        list_price=data.list_price,
        stock=data.stock,
        weight_grams=data.weight_grams,
    )
    async with db.tx() as tx:
        return _sku(await catalog.add_sku(tx, actor, ProductId(product_id), SkuId(data.id), draft), own=True)


@patch("/api/skus/{sku_id:uuid}")
async def change_sku(
    sku_id: FromPath[UUID], data: JSONBody[SkuChange], actor: Given[Actor], db: Given[Database]
) -> SkuView:
    """Change a SKU's code, options or price; retire it or take it back. What is left out stays."""
    async with db.tx() as tx:
        return _sku(await catalog.edit_sku(tx, actor, SkuId(sku_id), data), own=True)


@post("/api/skus/{sku_id:uuid}/movements", status_code=201)
async def move_stock(
    sku_id: FromPath[UUID], data: JSONBody[NewMovement], actor: Given[Actor], db: Given[Database]
) -> MovedView:
    """Receive or correct stock. Said again, it moves nothing more."""
    async with db.tx() as tx:
        movement, available = await catalog.move_stock(
            tx, actor, SkuId(sku_id), data.id, kind=data.kind, quantity=data.quantity, note=data.note
        )
    return MovedView(**_movement(movement), available=available)


@get("/api/skus/{sku_id:uuid}/movements")
async def list_movements(
    sku_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[MovementView]:
    """A SKU's stock ledger, newest first."""
    async with db.read() as tx:
        page = await catalog.list_movements(tx, actor, SkuId(sku_id), after=after, limit=limit)
    return Page(
        items=[MovementView(**_movement(movement)) for movement in page.items],
        next=None if page.next is None else str(page.next),
    )


@get("/api/shops/{shop_id:uuid}/products.csv")
async def export_products(shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> Stream:
    """The shop's products as a sheet (CSV, UTF-8) that the import takes back."""
    async with db.read() as tx:
        await identity.require_seat(tx, actor, ShopId(shop_id), identity.Scope.catalog)

    async def pieces() -> AsyncIterator[str]:
        async with db.read() as tx:
            async for piece in catalog.export_sheet(tx, actor, ShopId(shop_id)):
                yield piece

    return Stream(
        pieces(),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="products.csv"', "cache-control": "no-store"},
    )


@post("/api/shops/{shop_id:uuid}/products.csv", status_code=200)
async def import_products(
    shop_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    actor: Given[Actor],
    db: Given[Database],
    dry_run: DryRun = False,
    set_stock: SetStock = False,
) -> catalog.SheetReport:
    """Import a sheet of products (CSV, UTF-8, at most 64 MB): made or brought up to date by SKU code."""
    async with db.read() as tx:
        await identity.require_seat(tx, actor, ShopId(shop_id), identity.Scope.catalog)
    with tempfile.SpooledTemporaryFile(max_size=SHEET_BYTES_IN_MEMORY_MAX) as sheet:
        async for piece in request.stream():
            sheet.write(piece)
        sheet.seek(0)
        return await catalog.import_sheet(
            db, actor, ShopId(shop_id), sheet, dry_run=dry_run, set_stock=set_stock
        )


@get("/api/product-sheet-template.csv", sync_to_thread=False)
def show_template() -> Response[str]:
    """An example sheet to begin with."""
    return Response(
        catalog.template(),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="products-template.csv"'},
    )


@get("/media/pictures/{name:str}", include_in_schema=False)
async def show_picture(name: FromPath[str], db: Given[Database]) -> Response[str]:
    """The picture drawn for a product that has none of its own."""
    product_id = _named_product(name)
    async with db.read() as tx:
        product = (await catalog.find_products(tx, [product_id])).get(product_id)
    if product is None:
        raise NotFound()
    return Response(
        catalog.draw_picture(product.title, product.category),
        media_type="image/svg+xml",
        headers={
            "cache-control": f"public, max-age={PICTURE_SECONDS}",
            "content-security-policy": "default-src 'none'",
        },
    )


def _named_product(name: str) -> ProductId:
    stem, _, kind = name.partition(".")
    try:
        if kind == "svg":
            return ProductId(UUID(stem))
    except ValueError:
        pass
    raise NotFound()


def view_shop(shop: catalog.Shop) -> ShopView:
    """A shop as everybody sees it."""
    return ShopView(
        id=shop.id,
        name=shop.name,
        about=shop.about,
        currency=shop.currency,
        stores=shop.stores,
        price_protection_days=shop.price_protection_days,
        is_sandbox=shop.is_sandbox,
    )


def _page(page: catalog.Page[catalog.Product], *, own: bool = False) -> Page[ProductView]:
    return Page(
        items=[_product(product, own=own) for product in page.items], next=None if page.next is None else str(page.next)
    )


def _product(product: catalog.Product, *, own: bool = False) -> ProductView:
    return ProductView(
        id=product.id,
        shop_id=product.shop_id,
        title=product.title,
        description=product.description,
        images=product.images or [catalog.picture_of(product.id, [])],
        category=product.category,
        state=product.state,
        version=product.version,
        skus=[_sku(sku, own=own) for sku in product.skus],
        tax_bps=product.tax_bps,
        shipping_template_id=product.shipping_template_id,
        brand_id=product.brand_id,
        delisted_why=product.delisted_why,
    )


def _sku(sku: catalog.Sku, *, own: bool = False) -> SkuView:
    return SkuView(
        id=sku.id,
        code=sku.code,
        options=sku.options,
        price=sku.price,
        list_price=sku.crossed_price,
        available=sku.available,
        state=sku.state,
        weight_grams=sku.weight_grams,
        own_list_price=(
            ListPriceView(sku.list_price, sku.list_price_gap) if own and sku.list_price is not None else None
        ),
    )


def _movement(movement: catalog.Movement) -> dict[str, Any]:
    return {
        "id": movement.id,
        "kind": movement.kind,
        "quantity": movement.quantity,
        "order_id": movement.order_id,
        "note": movement.note,
        "at": movement.moved_at,
    }


ROUTES = [
    open_shop,
    show_shop,
    change_shop,
    search_products,
    list_categories,
    show_product,
    list_own_products,
    add_product,
    change_product,
    add_sku,
    change_sku,
    move_stock,
    list_movements,
    export_products,
    import_products,
    show_template,
    show_picture,
]
