"""Where goods come from, over HTTP: documents, batches, and what a buyer sees of them."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post, put

from laotie import catalog, uploads, videos
from laotie.base.db import Database, Tx
from laotie.base.ids import OrderId, ProductId, SkuId
from laotie.base.refusals import NotFound
from laotie.base.settings import Settings
from laotie.catalog import BatchId, BrandId
from laotie.catalog.brand_model import (
    Batch,
    BatchDocument,
    BatchDraft,
    BatchLogEntry,
    BatchState,
    TermsRefused,
)
from laotie.identity import Actor
from laotie.media import Limits
from laotie.orders.provenance import BatchOrder, list_orders_of_batch, list_sold_batches
from laotie.uploads import Document, DocumentId
from laotie.videos import VideoId
from laotie.web.files import send_file
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page

PRIVATELY = "private, max-age=3600"
"""Who may see a document may change: a day's cache would say otherwise."""


class NewBatch(BatchDraft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch under the client's own id."""

    id: BatchId


class Ending(msgspec.Struct, forbid_unknown_fields=True):
    """Why a batch is closed or recalled."""

    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""


class DocumentView(msgspec.Struct):
    """A document, kept as pictures of its pages. `digest` is the SHA-256 of the file as it was brought."""

    id: DocumentId
    page_count: int
    digest: str
    created_at: datetime


class VideoView(msgspec.Struct):
    """A film of where goods come from."""

    id: UUID
    title: str
    cover: str
    film: str
    duration_ms: int


class BatchView(msgspec.Struct, kw_only=True):
    """Pieces of one making, with what was tested and filmed. `reason` says why it was recalled."""

    id: BatchId
    product_id: ProductId
    code: str
    made_on: date
    best_before_on: date | None
    origin: str
    quantity: int
    state: BatchState
    reason: str
    is_current: bool
    created_at: datetime
    documents: list[BatchDocument]
    video: VideoView | None


class BatchLog(msgspec.Struct):
    """What was done with a batch, oldest first."""

    items: list[BatchLogEntry]


class Rights(msgspec.Struct):
    """By whose right the brand's goods are sold here: the brand's own shop, or a dealer until then."""

    is_owner: bool
    until: datetime


class BrandOfProduct(msgspec.Struct):
    """The brand that a product names. Without `rights` the shop may not list it."""

    id: BrandId
    name_zh: str
    name_en: str
    logo: str | None
    rights: Rights | None


class ProductProvenance(msgspec.Struct):
    """Where a product comes from: its brand, and the batch that is being sold."""

    brand: BrandOfProduct | None
    batch: BatchView | None


class SoldBatch(msgspec.Struct):
    """The batch that a line of an order was sold from."""

    line: int
    title: str
    sku_id: SkuId
    batch: BatchView


class OrderProvenance(msgspec.Struct):
    """Where the goods of an order come from, as they were sold."""

    items: list[SoldBatch]


@put("/api/documents/{document_id:uuid}")
async def put_document(
    document_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> DocumentView:
    """Bring a PDF or a picture as `application/octet-stream`, 20 MB and 20 pages at most; kept are its pages' pictures."""
    document = await uploads.bring_document(
        db,
        settings.data_path,
        actor.signed_in(),
        DocumentId(document_id),
        request.stream(),
        pixels_max=settings.picture_pixels_max,
        limits=Limits(ffmpeg=settings.ffmpeg or ""),
    )
    return _document(document)


@get("/api/documents/{document_id:uuid}")
async def show_document(document_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> DocumentView:
    """How many pages a document has."""
    async with db.read() as tx:
        return _document(await _get_document(tx, actor, DocumentId(document_id)))


@get("/api/documents/{document_id:uuid}/pages/{number:int}", media_type="image/webp")
async def show_document_page(
    document_id: FromPath[UUID],
    number: FromPath[int],
    request: Request[Any, Any, Any],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> Response[Any]:
    """A page of a document, from 1 on, as a WebP picture."""
    async with db.read() as tx:
        document = await _get_document(tx, actor, DocumentId(document_id))
    if not 1 <= number <= document.page_count:
        raise NotFound()
    path = uploads.page_place(settings.data_path, document.id, number)
    answer = await send_file(request, path, media_type="image/webp", cache_control=PRIVATELY)
    answer.headers["content-disposition"] = f'inline; filename="{document.id}-{number}.webp"'
    answer.headers["content-security-policy"] = "default-src 'none'; sandbox"
    return answer


@post("/api/products/{product_id:uuid}/batches", status_code=201)
async def add_batch(
    product_id: FromPath[UUID], data: JSONBody[NewBatch], actor: Given[Actor], db: Given[Database]
) -> BatchView:
    """Enter a batch of a product, once and for good. Said again, it is the same batch."""
    draft = BatchDraft(**{name: getattr(data, name) for name in BatchDraft.__struct_fields__})
    async with db.tx() as tx:
        batch = await catalog.batches.add_batch(tx, actor, ProductId(product_id), data.id, draft)
        [view] = await _views(tx, actor, [batch])
        if data.video_id is not None and view.video is None:
            raise TermsRefused(field="video_id", reason="not-of-this-shop")
        return view


@get("/api/products/{product_id:uuid}/batches")
async def list_batches(
    product_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[BatchView]:
    """A product's batches, newest first."""
    async with db.read() as tx:
        page = await catalog.batches.list_batches(
            tx, actor, ProductId(product_id), after=None if after is None else BatchId(after), limit=limit
        )
        items = await _views(tx, actor, page.items)
    return Page(items=items, next=None if page.next is None else str(page.next))


@put("/api/batches/{batch_id:uuid}/current")
async def make_current(batch_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> BatchView:
    """Sell from this batch from now on: new orders bear it."""
    async with db.tx() as tx:
        [view] = await _views(tx, actor, [await catalog.batches.make_current(tx, actor, BatchId(batch_id))])
        return view


@post("/api/batches/{batch_id:uuid}/closure", status_code=200)
async def close_batch(
    batch_id: FromPath[UUID], data: JSONBody[Ending], actor: Given[Actor], db: Given[Database]
) -> BatchView:
    """The batch is done with."""
    async with db.tx() as tx:
        batch = await catalog.batches.close_batch(tx, actor, BatchId(batch_id), reason=data.reason)
        [view] = await _views(tx, actor, [batch])
        return view


@post("/api/batches/{batch_id:uuid}/recall", status_code=200)
async def recall_batch(
    batch_id: FromPath[UUID], data: JSONBody[Ending], actor: Given[Actor], db: Given[Database]
) -> BatchView:
    """Call the batch back, and say why: buyers see it on their orders."""
    async with db.tx() as tx:
        batch = await catalog.batches.recall_batch(tx, actor, BatchId(batch_id), reason=data.reason)
        [view] = await _views(tx, actor, [batch])
        return view


@get("/api/batches/{batch_id:uuid}/log")
async def show_batch_log(batch_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> BatchLog:
    """What was done with a batch, by whom and why."""
    async with db.read() as tx:
        return BatchLog(await catalog.batches.list_batch_log(tx, actor, BatchId(batch_id)))


@get("/api/batches/{batch_id:uuid}/orders")
async def list_batch_orders(
    batch_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[BatchOrder]:
    """Which orders have pieces of a batch: whom a recall reaches. Newest first."""
    async with db.read() as tx:
        page = await list_orders_of_batch(
            tx, actor, BatchId(batch_id), after=None if after is None else OrderId(after), limit=limit
        )
    return Page(items=page.items, next=None if page.next is None else str(page.next))


@get("/api/products/{product_id:uuid}/provenance")
async def show_provenance(product_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> ProductProvenance:
    """Where a product comes from: whose brand, by whose right, and the batch that is being sold."""
    async with db.read() as tx:
        product = await catalog.get_product(tx, actor, ProductId(product_id))
        brand = None
        if product.brand_id is not None:
            known = (await catalog.brands.find_brands(tx, [BrandId(product.brand_id)]))[BrandId(product.brand_id)]
            badge = await catalog.covering.find_badge(tx, product)
            rights = None if badge is None else Rights(badge.is_owner, badge.until)
            brand = BrandOfProduct(known.id, known.name_zh, known.name_en, known.logo, rights)
        current = [] if product.batch_id is None else [BatchId(product.batch_id)]
        batches = await catalog.batches.find_batches(tx, current)
        views = await _views(tx, actor, list(batches.values()))
    return ProductProvenance(brand, views[0] if views else None)


@get("/api/orders/{order_id:uuid}/provenance")
async def show_order_provenance(
    order_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]
) -> OrderProvenance:
    """The batches that an order was sold from, as they were, and whether one was recalled since."""
    actor.signed_in()
    async with db.read() as tx:
        sold = await list_sold_batches(tx, actor, OrderId(order_id))
        views = await _views(tx, actor, [batch for _, batch in sold])
    return OrderProvenance(
        [
            SoldBatch(line.no, line.title, line.sku_id, view)
            for (line, _), view in zip(sold, views, strict=True)
        ]
    )


async def _get_document(tx: Tx, actor: Actor, document_id: DocumentId) -> Document:
    document = (await uploads.find_documents(tx, [document_id])).get(document_id)
    if document is None or not await catalog.batches.may_see_document(tx, actor, document_id):
        raise NotFound()
    return document


def _document(document: Document) -> DocumentView:
    return DocumentView(document.id, document.page_count, document.digest.hex(), document.created_at)


async def _views(tx: Tx, actor: Actor, batches: list[Batch]) -> list[BatchView]:
    """Batches with their films, of which only those are shown that can be seen and are of the same shop."""
    ids = [VideoId(batch.video_id) for batch in batches if batch.video_id is not None]
    films = await videos.find_videos(tx, actor.viewer_id, ids) if ids else {}
    views = []
    for batch in batches:
        film = None if batch.video_id is None else films.get(VideoId(batch.video_id))
        video = None
        if film is not None and film.shop_id == batch.shop_id:
            video = VideoView(film.id, film.title, film.cover, film.film, film.duration_ms)
        views.append(
            BatchView(
                id=batch.id,
                product_id=batch.product_id,
                code=batch.code,
                made_on=batch.made_on,
                best_before_on=batch.best_before_on,
                origin=batch.origin,
                quantity=batch.quantity,
                state=batch.state,
                reason=batch.reason,
                is_current=batch.is_current,
                created_at=batch.created_at,
                documents=batch.documents,
                video=video,
            )
        )
    return views


ROUTES = [
    put_document,
    show_document,
    show_document_page,
    add_batch,
    list_batches,
    make_current,
    close_batch,
    recall_batch,
    show_batch_log,
    list_batch_orders,
    show_provenance,
    show_order_provenance,
]
