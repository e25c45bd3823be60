"""All that a shop owns, to take away: each kind as CSV or JSON lines, or everything in one archive with a manifest.

Streamed: rooms read a page a snapshot (`<room>.exporting`), so that memory stays flat however much there is. What a row
holds is its room's to say; here its fields become columns. `x_amount`, minor units in JSON, is the column `x` in whole
units in CSV. Text that a spreadsheet would run is guarded (`base.cells`).
"""

import asyncio
import csv
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import get
from litestar.params import QueryParameter
from litestar.response import Stream

from laotie import aftersales, catalog, fans, identity, live, offers, orders, settlement
from laotie.base.cells import BYTE_ORDER_MARK, Cell, write_line
from laotie.base.db import Database, Tx, encode
from laotie.base.ids import ShopId
from laotie.base.money import Money
from laotie.base.refusals import TooBusy
from laotie.identity import Actor, Scope, ScopeLacking
from laotie.web.given import FromPath, Given

AT_ONCE_MAX = 4
"""Exports under way in one process."""
RETRY_AFTER_S = 10

Reader = Callable[[Database, ShopId, datetime], AsyncIterator[list[Any]]]


class ExportKind(StrEnum):
    """What can be taken away by itself."""

    products = "products"
    skus = "skus"
    stock_movements = "stock_movements"
    orders = "orders"
    order_lines = "order_lines"
    refunds = "refunds"
    parcels = "parcels"
    cases = "cases"
    reviews = "reviews"
    coupons = "coupons"
    coupon_uses = "coupon_uses"
    fans = "fans"
    shows = "shows"
    statement_lines = "statement_lines"


class ExportForm(StrEnum):
    """How rows are written."""

    csv = "csv"
    jsonl = "jsonl"


InForm = Annotated[ExportForm, QueryParameter(name="form", description="CSV, or a JSON object a line.")]


async def _read_fans(db: Database, shop_id: ShopId, as_of: datetime) -> AsyncIterator[list[Any]]:
    async with db.read() as tx:
        streamers = await live.exporting.list_streamers(tx, shop_id)
    for streamer_id in streamers:
        async for page in fans.exporting.export_followers(db, streamer_id, as_of):
            yield page


@dataclass(frozen=True)
class Export:
    """One kind: which scope it takes, what a row is, and who reads it."""

    scope: Scope
    row: type[msgspec.Struct]
    read: Reader


EXPORTS = {
    ExportKind.products: Export(Scope.catalog, catalog.exporting.ProductRow, catalog.exporting.export_products),
    ExportKind.skus: Export(Scope.catalog, catalog.exporting.SkuRow, catalog.exporting.export_skus),
    ExportKind.stock_movements: Export(
        Scope.catalog, catalog.exporting.MovementRow, catalog.exporting.export_movements
    ),
    ExportKind.orders: Export(Scope.orders, orders.exporting.OrderRow, orders.exporting.export_orders),
    ExportKind.order_lines: Export(Scope.orders, orders.exporting.OrderLineRow, orders.exporting.export_lines),
    ExportKind.refunds: Export(Scope.orders, orders.exporting.RefundRow, orders.exporting.export_refunds),
    ExportKind.parcels: Export(Scope.orders, orders.exporting.ParcelRow, orders.exporting.export_parcels),
    ExportKind.cases: Export(Scope.orders, aftersales.exporting.CaseRow, aftersales.exporting.export_cases),
    ExportKind.reviews: Export(Scope.orders, aftersales.exporting.ReviewRow, aftersales.exporting.export_reviews),
    ExportKind.coupons: Export(Scope.catalog, offers.exporting.CouponRow, offers.exporting.export_coupons),
    ExportKind.coupon_uses: Export(Scope.orders, offers.exporting.CouponUseRow, orders.exporting.export_coupon_uses),
    ExportKind.fans: Export(Scope.show, fans.exporting.FanRow, _read_fans),
    ExportKind.shows: Export(Scope.show, orders.exporting.ShowRow, orders.exporting.export_shows),
    ExportKind.statement_lines: Export(
        Scope.money, settlement.exporting.StatementLineRow, settlement.exporting.export_lines
    ),
}


class ExportKindView(msgspec.Struct):
    """A kind of export, the scope that it takes, and its columns."""

    kind: ExportKind
    scope: Scope
    columns: list[str]
    may: bool
    """Whether your seat or key reaches that far."""


class ExportList(msgspec.Struct):
    """What can be taken away."""

    items: list[ExportKindView]


class ExportedFile(msgspec.Struct):
    """A file of an archive."""

    name: str
    rows: int
    bytes: int
    sha256: str


class LeftOut(msgspec.Struct):
    """What is not in an archive, for want of a scope."""

    kind: ExportKind
    scope: Scope


class Manifest(msgspec.Struct):
    """The last file of an archive: an archive with it is complete."""

    shop_id: UUID
    shop_name: str
    form: ExportForm
    as_of: datetime
    finished_at: datetime
    files: list[ExportedFile]
    left_out: list[LeftOut]


class _Lanes:
    """How many exports are under way in this process."""

    def __init__(self) -> None:
        self.taken = 0

    def check(self) -> None:
        if self.taken >= AT_ONCE_MAX:
            raise TooBusy(retry_after_s=RETRY_AFTER_S)

    async def run(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        self.taken += 1
        try:
            async for piece in pieces:
                yield piece
        finally:
            self.taken -= 1


_lanes = _Lanes()


@get("/api/shops/{shop_id:uuid}/exports")
async def list_exports(shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> ExportList:
    """What of the shop can be taken away, and by which scope."""
    async with db.read() as tx:
        may = await _reach(tx, actor, ShopId(shop_id))
    return ExportList(
        [
            ExportKindView(kind=kind, scope=export.scope, columns=columns_of(export.row), may=export.scope in may)
            for kind, export in EXPORTS.items()
        ]
    )


@get("/api/shops/{shop_id:uuid}/exports/{kind:str}")
async def export_rows(
    shop_id: FromPath[UUID],
    kind: FromPath[ExportKind],
    actor: Given[Actor],
    db: Given[Database],
    form: InForm = ExportForm.csv,
) -> Stream:
    """All rows of a kind, streamed. Sums are in whole units in CSV and in minor units in JSON."""
    export, shop = EXPORTS[kind], ShopId(shop_id)
    _lanes.check()
    async with db.tx() as tx:
        await identity.require_seat(tx, actor, shop, export.scope)
        await identity.record(tx, actor, "shop.exported", subject=str(shop_id), kinds=[kind], form=form)
        as_of = tx.now

    async def pieces() -> AsyncIterator[bytes]:
        yield _head(export, form)
        async for page in export.read(db, shop, as_of):
            yield _write(page, form)

    return _stream(pieces(), f"{kind}.{form}", "text/csv" if form is ExportForm.csv else "application/x-ndjson")


@get("/api/shops/{shop_id:uuid}/export.zip")
async def export_everything(
    shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], form: InForm = ExportForm.csv
) -> Stream:
    """All that your scopes reach, a file a kind, in one archive, streamed. `manifest.json` comes last and counts it."""
    shop = ShopId(shop_id)
    _lanes.check()
    async with db.tx() as tx:
        may = await _reach(tx, actor, shop)
        if not may:
            raise ScopeLacking(scope=Scope.catalog)
        chosen = {kind: export for kind, export in EXPORTS.items() if export.scope in may}
        await identity.record(tx, actor, "shop.exported", subject=str(shop_id), kinds=list(chosen), form=form)
        manifest = Manifest(
            shop_id=shop_id,
            shop_name=(await catalog.get_shop(tx, shop)).name,
            form=form,
            as_of=tx.now,
            finished_at=tx.now,
            files=[],
            left_out=[LeftOut(kind, export.scope) for kind, export in EXPORTS.items() if kind not in chosen],
        )
    sheet = Scope.catalog in may
    return _stream(_pack(db, actor, shop, chosen, manifest, sheet=sheet), "export.zip", "application/zip")


def columns_of(row: type[msgspec.Struct]) -> list[str]:
    """The columns of a CSV of such rows."""
    return [name.removesuffix("_amount") for name in row.__struct_fields__]


def cells_of(row: msgspec.Struct) -> list[Cell]:
    """A row's cells: sums with their currency's point, lists and objects as JSON."""
    return [_cell(name, getattr(row, name), getattr(row, "currency", None)) for name in row.__struct_fields__]


def _cell(name: str, value: Any, currency: str | None) -> Cell:
    if isinstance(value, int) and currency is not None and (name == "amount" or name.endswith("_amount")):
        return Money(value, currency)
    if isinstance(value, list | dict):
        return encode(value).decode()
    return value  # type: ignore[no-any-return]


async def _reach(tx: Tx, actor: Actor, shop_id: ShopId) -> set[Scope]:
    """The scopes that the actor has here; `NotFound` without a seat."""
    reached = set()
    for scope in Scope:
        try:
            await identity.require_seat(tx, actor, shop_id, scope)
            reached.add(scope)
        except ScopeLacking:
            continue
    return reached


def _head(export: Export, form: ExportForm) -> bytes:
    return (BYTE_ORDER_MARK + write_line(columns_of(export.row))).encode() if form is ExportForm.csv else b""


def _write(page: list[Any], form: ExportForm) -> bytes:
    if form is ExportForm.csv:
        return "".join(write_line(cells_of(row)) for row in page).encode()
    return b"".join(encode(row) + b"\n" for row in page)


def _stream(pieces: AsyncIterator[bytes], name: str, media_type: str) -> Stream:
    return Stream(
        _lanes.run(pieces),
        media_type=media_type,
        headers={"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"},
    )


class _Pipe:
    """What a zip file is written to, taken away piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        taken, self._pieces = b"".join(self._pieces), []
        return taken


async def _pack(
    db: Database,
    actor: Actor,
    shop_id: ShopId,
    chosen: dict[ExportKind, Export],
    manifest: Manifest,
    *,
    sheet: bool,
) -> AsyncIterator[bytes]:
    pipe, form = _Pipe(), manifest.form
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        for kind, export in chosen.items():
            async for piece in _add(archive, pipe, manifest, f"{kind}.{form}", _pages(db, shop_id, export, manifest)):
                yield piece
        if sheet:
            rows = _sheet(db, actor, shop_id)
            async for piece in _add(archive, pipe, manifest, "import/products.csv", rows):
                yield piece
        manifest.finished_at = db.clock.now()
        archive.writestr("manifest.json", msgspec.json.format(encode(manifest), indent=2))
    yield pipe.take()


async def _add(
    archive: zipfile.ZipFile,
    pipe: _Pipe,
    manifest: Manifest,
    name: str,
    pages: AsyncIterator[tuple[int, bytes]],
) -> AsyncIterator[bytes]:
    """Write one file, off the loop, and note it in the manifest."""
    digest, row_count, byte_count = hashlib.sha256(), 0, 0
    entry = zipfile.ZipInfo(name, manifest.as_of.timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(entry, "w", force_zip64=True) as file:
        async for rows, data in pages:
            row_count, byte_count = row_count + rows, byte_count + len(data)
            digest.update(data)
            await asyncio.to_thread(file.write, data)
            yield pipe.take()
    manifest.files.append(ExportedFile(name=name, rows=row_count, bytes=byte_count, sha256=digest.hexdigest()))


async def _pages(
    db: Database, shop_id: ShopId, export: Export, manifest: Manifest
) -> AsyncIterator[tuple[int, bytes]]:
    yield 0, _head(export, manifest.form)
    async for page in export.read(db, shop_id, manifest.as_of):
        yield len(page), _write(page, manifest.form)


async def _sheet(db: Database, actor: Actor, shop_id: ShopId) -> AsyncIterator[tuple[int, bytes]]:
    """The products as `POST …/products.csv` takes them back."""
    async with db.read() as tx:
        head = True
        async for piece in catalog.export_sheet(tx, actor, shop_id):
            yield 0 if head else sum(1 for _ in csv.reader(io.StringIO(piece, newline=""))), piece.encode()
            head = False


ROUTES = [list_exports, export_rows, export_everything]
