"""Shipping over HTTP: a shop's parcels, its shipping page and sheet, what carriers tell, and the buyer's side of it."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, get, patch, post, put
from litestar.params import QueryParameter
from litestar.response import Stream

from laotie import catalog, identity, orders
from laotie.base.db import Database
from laotie.base.ids import AccountId, OrderId, ProductId, ShopId
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.orders import OrderState, ParcelState, carriers, delivery, parcels, shipments, shipping_sheet, tracking
from laotie.orders.delivery import Stage
from laotie.orders.packing import Consignment, ParcelId, Piece
from laotie.orders.parcels import TrackingKind
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.orders import Nothing
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page
from laotie.web.problems import BodyTooLarge

InTab = Annotated[shipments.Tab, QueryParameter(name="tab", description="Which orders: by how far they are.")]
Orders = Annotated[Sequence[UUID], QueryParameter(name="order", description="Orders to pack, at most 100.", max_items=100)]
Language = Annotated[str, QueryParameter(name="language", max_length=20, description="Of the column names: `zh` or `en`.")]
Text = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00]*$")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=60, pattern=r"^[^\x00]*$")]
Quantity = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class CarrierView(msgspec.Struct):
    """A carrier that parcels may go with."""

    code: str
    zh: str
    en: str
    example: str


class NewPiece(msgspec.Struct, forbid_unknown_fields=True):
    """So many pieces of a line."""

    no: Annotated[int, msgspec.Meta(ge=1, le=1_000)]
    quantity: Quantity


class NewParcel(msgspec.Struct, forbid_unknown_fields=True):
    """A parcel under the client's own id. Without `lines`: everything that is still to be shipped."""

    id: UUID
    carrier: Name
    number: Name
    lines: Annotated[list[NewPiece], msgspec.Meta(max_length=100)] | None = None


class ParcelChange(msgspec.Struct, forbid_unknown_fields=True):
    """The right carrier and number."""

    carrier: Name
    number: Name


class NewEvent(msgspec.Struct, forbid_unknown_fields=True):
    """What the shop knows of its parcel, under the client's own id; `at` is now when it is missing."""

    id: UUID
    kind: TrackingKind
    at: datetime | None = None
    place: Text = ""
    note: Text = ""


class ShopDispatch(msgspec.Struct, forbid_unknown_fields=True):
    """What the shop promises from now on; `null`: nothing, and the house's days."""

    ship_within_h: int | None
    confirm_days: int | None


class ProductDispatch(msgspec.Struct, forbid_unknown_fields=True):
    """A product's own promise; `null`: the shop's."""

    ship_within_h: int | None


class EventView(msgspec.Struct):
    """One thing that was heard of a parcel."""

    kind: TrackingKind
    at: datetime
    place: str
    note: str
    source: str


class ParcelView(msgspec.Struct, kw_only=True):
    """A parcel with its contents and its way, the latest first."""

    id: ParcelId
    carrier: CarrierView
    number: str
    state: ParcelState
    lines: list[Piece]
    events: list[EventView]
    made_at: datetime
    delivered_at: datetime | None


class DeliveryView(msgspec.Struct, kw_only=True):
    """How far an order is: what was promised (`ship_by`), and when it completes by itself (`confirm_by`).

    `is_late`: not everything is on its way although the time is over; while nothing is, the buyer may cancel at once.
    """

    order_id: OrderId
    state: OrderState
    stage: Stage | None
    promised_h: int | None
    ship_by: datetime | None
    is_late: bool
    broken_at: datetime | None
    confirm_by: datetime | None
    is_paused: bool
    may_confirm: bool
    may_extend: bool
    extension_days: int
    left: list[Piece]
    parcels: list[ParcelView]


class ShipmentView(msgspec.Struct, kw_only=True):
    """An order on its way out, as its shop sees it; `address` in the packing list alone."""

    order_id: OrderId
    buyer: str
    state: OrderState
    stage: Stage
    note: str | None
    address: identity.Address | None
    paid_at: datetime | None
    ship_by: datetime | None
    broken_at: datetime | None
    confirm_by: datetime | None
    lines: list[shipments.ShipmentLine]
    parcels: list[ParcelView]


class HeardNews(msgspec.Struct):
    """What became of each piece of news, in order."""

    verdicts: list[tracking.Verdict]


@get("/api/carriers", sync_to_thread=False)
def list_carriers(settings: Given[Settings]) -> list[CarrierView]:
    """The carriers that parcels may go with."""
    return [
        _carrier(one) for one in carriers.CARRIERS if one.code != carriers.SANDBOX or settings.sandbox_carrier_step_s
    ]


@get("/api/orders/{order_id:uuid}/parcels")
async def get_own_parcels(
    order_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> DeliveryView:
    """How far my order is, and its parcels."""
    async with db.read() as tx:
        return _standing(await shipments.get_own_standing(tx, actor, OrderId(order_id)), settings, tx.now)


@post("/api/orders/{order_id:uuid}/receipt", status_code=200)
async def confirm_receipt(
    order_id: FromPath[UUID],
    data: JSONBody[Nothing | None],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> DeliveryView:
    """I have it: the order is complete."""
    async with db.tx() as tx:
        await delivery.confirm_receipt(tx, actor, OrderId(order_id))
        return _standing(await shipments.get_own_standing(tx, actor, OrderId(order_id)), settings, tx.now)


@post("/api/orders/{order_id:uuid}/extension", status_code=200)
async def extend_time(
    order_id: FromPath[UUID],
    data: JSONBody[Nothing | None],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> DeliveryView:
    """I need more time before my order completes by itself; once an order."""
    async with db.tx() as tx:
        await delivery.extend_time(tx, actor, delivery.terms_of(settings), OrderId(order_id))
        return _standing(await shipments.get_own_standing(tx, actor, OrderId(order_id)), settings, tx.now)


@get("/api/shops/{shop_id:uuid}/orders/{order_id:uuid}/parcels")
async def get_parcels(
    shop_id: FromPath[UUID],
    order_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> DeliveryView:
    """How far one of the shop's orders is, and its parcels."""
    async with db.read() as tx:
        found = await shipments.get_standing(tx, actor, ShopId(shop_id), OrderId(order_id))
        return _standing(found, settings, tx.now)


@post("/api/shops/{shop_id:uuid}/orders/{order_id:uuid}/parcels", status_code=201)
async def ship_parcel(
    shop_id: FromPath[UUID],
    order_id: FromPath[UUID],
    data: JSONBody[NewParcel],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> DeliveryView:
    """Send a parcel on its way. The same id with the same content changes nothing."""
    ask = Consignment(
        id=ParcelId(data.id),
        order_id=OrderId(order_id),
        carrier=data.carrier,
        number=data.number,
        pieces=tuple(Piece(piece.no, piece.quantity) for piece in data.lines) if data.lines is not None else None,
    )
    async with db.tx() as tx:
        await parcels.ship(tx, actor, delivery.terms_of(settings), ShopId(shop_id), ask)
        found = await shipments.get_standing(tx, actor, ShopId(shop_id), OrderId(order_id))
        return _standing(found, settings, tx.now)


@patch("/api/shops/{shop_id:uuid}/parcels/{parcel_id:uuid}")
async def correct_parcel(
    shop_id: FromPath[UUID],
    parcel_id: FromPath[UUID],
    data: JSONBody[ParcelChange],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> ParcelView:
    """Put the right number on a parcel that does not move yet."""
    async with db.tx() as tx:
        await parcels.correct_parcel(
            tx, actor, delivery.terms_of(settings), ShopId(shop_id), ParcelId(parcel_id),
            carrier=data.carrier, number=data.number,
        )  # fmt: skip
        return _parcel(await parcels.get_parcel(tx, ParcelId(parcel_id)))


@post("/api/shops/{shop_id:uuid}/parcels/{parcel_id:uuid}/cancellation", status_code=200)
async def cancel_parcel(
    shop_id: FromPath[UUID],
    parcel_id: FromPath[UUID],
    data: JSONBody[Nothing | None],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> ParcelView:
    """Call a parcel off that does not move yet; its pieces are to be shipped again."""
    async with db.tx() as tx:
        await parcels.cancel_parcel(tx, actor, delivery.terms_of(settings), ShopId(shop_id), ParcelId(parcel_id))
        return _parcel(await parcels.get_parcel(tx, ParcelId(parcel_id)))


@post("/api/shops/{shop_id:uuid}/parcels/{parcel_id:uuid}/events", status_code=201)
async def note_event(
    shop_id: FromPath[UUID],
    parcel_id: FromPath[UUID],
    data: JSONBody[NewEvent],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> ParcelView:
    """Write down what the shop knows of its parcel, where the carrier does not tell."""
    async with db.tx() as tx:
        await tracking.note_by_hand(
            tx, actor, delivery.terms_of(settings), ShopId(shop_id), ParcelId(parcel_id), data.id, data.kind,
            at=data.at, place=data.place, note=data.note,
        )  # fmt: skip
        return _parcel(await parcels.get_parcel(tx, ParcelId(parcel_id)))


@get("/api/shops/{shop_id:uuid}/shipments")
async def list_shipments(
    shop_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    tab: InTab = shipments.Tab.waiting,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[ShipmentView]:
    """The shop's paid orders by how far they are: oldest first while they wait, newest first afterwards."""
    async with db.read() as tx:
        page = await shipments.list_shipments(
            tx, actor, ShopId(shop_id), tab, after=OrderId(after) if after is not None else None, limit=limit
        )
        names = await identity.find_profiles(tx, {one.buyer_id for one in page.items})
    return Page(
        items=[_shipment(one, names) for one in page.items], next=str(page.next) if page.next is not None else None
    )


@get("/api/shops/{shop_id:uuid}/shipment-counts")
async def count_shipments(
    shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]
) -> shipments.ShipmentCounts:
    """How many orders stand where, and how many promises the shop broke in the last 30 days."""
    async with db.read() as tx:
        return await shipments.count_shipments(tx, actor, ShopId(shop_id))


@get("/api/shops/{shop_id:uuid}/packing-list")
async def list_packing(
    shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], order: Orders = ()
) -> list[ShipmentView]:
    """These orders with their addresses, to be packed; that they were read is on record."""
    async with db.tx() as tx:
        items = await shipments.list_packing(tx, actor, ShopId(shop_id), [OrderId(one) for one in order])
        names = await identity.find_profiles(tx, {one.buyer_id for one in items})
    return [_shipment(one, names) for one in items]


@get("/api/shops/{shop_id:uuid}/shipments.csv")
async def export_shipments(
    shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], language: Language = "zh"
) -> Stream:
    """What waits to be shipped as a sheet (CSV, UTF-8) that the import takes back with carriers and numbers."""
    async with db.tx() as tx:
        await shipping_sheet.begin_export(tx, actor, ShopId(shop_id))

    async def pieces() -> AsyncIterator[str]:
        async with db.read() as tx:
            async for piece in shipping_sheet.export_shipping(tx, actor, ShopId(shop_id), language=language):
                yield piece

    return Stream(
        pieces(),
        media_type="text/csv",
        headers={"content-disposition": 'attachment; filename="to-ship.csv"', "cache-control": "no-store"},
    )


@post("/api/shops/{shop_id:uuid}/shipments.csv", status_code=200)
async def import_shipments(
    shop_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> shipping_sheet.ShippingReport:
    """Ship what a sheet says (CSV, UTF-8 or GBK, at most 10,000 rows). The same sheet again changes nothing."""
    async with db.read() as tx:
        await identity.require_seat(tx, actor, ShopId(shop_id), identity.Scope.orders)
    sheet = bytearray()
    async for piece in request.stream():
        sheet += piece
        if len(sheet) > shipping_sheet.BYTES_MAX:
            raise BodyTooLarge(bytes_max=shipping_sheet.BYTES_MAX)
    return await shipping_sheet.import_shipping(
        db, actor, delivery.terms_of(settings), ShopId(shop_id), bytes(sheet)
    )


@get("/api/shops/{shop_id:uuid}/dispatch")
async def get_dispatch(shop_id: FromPath[UUID], db: Given[Database]) -> catalog.Dispatch:
    """What the shop promises: within how many hours it ships, and after how many days its orders are complete."""
    async with db.read() as tx:
        return await catalog.get_dispatch(tx, ShopId(shop_id))


@put("/api/shops/{shop_id:uuid}/dispatch")
async def put_dispatch(
    shop_id: FromPath[UUID], data: JSONBody[ShopDispatch], actor: Given[Actor], db: Given[Database]
) -> catalog.Dispatch:
    """Promise this of everything that is paid from now on."""
    async with db.tx() as tx:
        word = catalog.Dispatch(data.ship_within_h, data.confirm_days)
        return await catalog.set_dispatch(tx, actor, ShopId(shop_id), word)


@get("/api/products/{product_id:uuid}/dispatch")
async def get_product_dispatch(product_id: FromPath[UUID], db: Given[Database]) -> catalog.ProductPromise:
    """What is promised of a product: its own hours, and those that hold."""
    async with db.read() as tx:
        return await catalog.get_product_dispatch(tx, ProductId(product_id))


@put("/api/products/{product_id:uuid}/dispatch")
async def put_product_dispatch(
    product_id: FromPath[UUID], data: JSONBody[ProductDispatch], actor: Given[Actor], db: Given[Database]
) -> catalog.ProductPromise:
    """A product's own promise goes before its shop's."""
    async with db.tx() as tx:
        await catalog.set_product_dispatch(tx, actor, ProductId(product_id), data.ship_within_h)
        return await catalog.get_product_dispatch(tx, ProductId(product_id))


@post("/webhooks/carriers/{name:str}", status_code=200)
async def hear_carrier(
    name: FromPath[str], request: Request[Any, Any, Any], db: Given[Database], settings: Given[Settings]
) -> HeardNews:
    """A carrier's signed message: news of its numbers, known to us or not, in any order, as often as it likes."""
    body = await request.body()
    if len(body) > tracking.BODY_BYTES_MAX:
        raise BodyTooLarge(bytes_max=tracking.BODY_BYTES_MAX)
    headers = {key.lower(): value for key, value in request.headers.items()}
    return HeardNews(await tracking.hear_carrier(db, settings, name=name, headers=headers, body=body))


def _standing(found: shipments.Standing, settings: Settings, now: datetime) -> DeliveryView:
    stands = found.delivery
    under_way = found.state is OrderState.shipped and stands is not None
    late = (
        stands is not None
        and stands.stage in (Stage.waiting, Stage.partly)
        and (stands.broken_at is not None or (stands.ship_by is not None and stands.ship_by <= now))
    )
    paused = stands is not None and stands.paused_at is not None
    return DeliveryView(
        order_id=found.order_id,
        state=found.state,
        stage=stands.stage if stands else None,
        promised_h=stands.promised_h if stands else None,
        ship_by=stands.ship_by if stands else None,
        is_late=late,
        broken_at=stands.broken_at if stands else None,
        confirm_by=stands.confirm_by if stands else None,
        is_paused=paused,
        may_confirm=under_way and not paused,
        may_extend=under_way and not paused and stands is not None and stands.extended_at is None,
        extension_days=settings.confirm_extension_days,
        left=found.left,
        parcels=[_parcel(parcel) for parcel in found.parcels],
    )


def _parcel(parcel: orders.Parcel) -> ParcelView:
    return ParcelView(
        id=parcel.id,
        carrier=_carrier(carriers.BY_CODE[parcel.carrier]),
        number=parcel.number,
        state=parcel.state,
        lines=parcel.pieces,
        events=[EventView(one.kind, one.at, one.place, one.note, one.source) for one in parcel.events],
        made_at=parcel.made_at,
        delivered_at=parcel.delivered_at,
    )


def _shipment(one: shipments.Shipment, names: dict[AccountId, identity.Profile]) -> ShipmentView:
    buyer = names.get(one.buyer_id)
    return ShipmentView(
        order_id=one.order_id,
        buyer=buyer.name if buyer is not None else "",
        state=one.state,
        stage=one.stage,
        note=one.note,
        address=msgspec.convert(one.address, identity.Address) if one.address is not None else None,
        paid_at=one.paid_at,
        ship_by=one.ship_by,
        broken_at=one.broken_at,
        confirm_by=one.confirm_by,
        lines=one.lines,
        parcels=[_parcel(parcel) for parcel in one.parcels],
    )


def _carrier(carrier: carriers.Carrier) -> CarrierView:
    return CarrierView(carrier.code, carrier.zh, carrier.en, carrier.example)


ROUTES = [
    list_carriers,
    get_own_parcels,
    confirm_receipt,
    extend_time,
    get_parcels,
    ship_parcel,
    correct_parcel,
    cancel_parcel,
    note_event,
    list_shipments,
    count_shipments,
    list_packing,
    export_shipments,
    import_shipments,
    get_dispatch,
    put_dispatch,
    get_product_dispatch,
    put_product_dispatch,
    hear_carrier,
]
