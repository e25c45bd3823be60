"""The shipping sheet: what waits to be shipped goes out as CSV, and comes back with carriers and tracking numbers.

One row a line of an order; rows of one order with one number are one parcel. A row that names no line ships all that is
left of its order. A bad row is reported with its reason and never spoils the others; the same sheet again changes
nothing, so a sheet that broke off is simply sent again. Read are UTF-8 and GBK, commas, semicolons and tabs; columns are
known by their Chinese or English names, others are passed over.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta, timezone
from typing import NamedTuple
from uuid import UUID

import msgspec

from laotie import identity
from laotie.base.cells import unguard, write_line
from laotie.base.db import Database, Tx
from laotie.base.ids import OrderId, ShopId, new_id
from laotie.base.refusals import Invalid, NotFound, Refusal
from laotie.identity import Actor
from laotie.orders.carriers import clean_number, find_carrier
from laotie.orders.delivery import Terms
from laotie.orders.packing import Consignment, ParcelId, Piece, Sent
from laotie.orders.parcels import ParcelState, list_parcels_of, ship_many
from laotie.orders.shipments import Shipment, list_waiting

ROWS_MAX = 10_000
BYTES_MAX = 8 * 1024 * 1024
BATCH_SIZE_MAX = 200
PAGE_SIZE = 200
ERRORS_SHOWN_MAX = 1_000
SHORT_LENGTH = 10
"""So many last digits of an order's id people read out as its number."""
CHINA = timezone(timedelta(hours=8))

COLUMNS = {
    "order": ("订单号", "Order number"),
    "line": ("行号", "Line"),
    "title": ("商品", "Product"),
    "options": ("规格", "Options"),
    "quantity": ("数量", "Quantity"),
    "name": ("收件人", "Recipient"),
    "phone": ("电话", "Phone"),
    "address": ("地址", "Address"),
    "note": ("买家留言", "Buyer's note"),
    "ship_by": ("最晚发货", "Ship by"),
    "carrier": ("快递公司", "Carrier"),
    "number": ("快递单号", "Tracking number"),
}
"""In the order of the export: the Chinese name, the English one."""

OTHER_NAMES = {
    "order": ("order", "order_number", "order id", "订单编号", "订单"),
    "line": ("line_no", "line number", "序号"),
    "quantity": ("qty", "发货数量", "待发数量"),
    "carrier": ("物流公司", "快递", "快递名称", "courier", "shipping carrier"),
    "number": ("number", "tracking", "tracking_number", "tracking no", "运单号", "物流单号", "快递号"),
}
NEEDED = ("order", "carrier", "number")


class ShippingSheetRefused(Invalid, code="shipping-sheet-refused"):
    """The file cannot be read as a shipping sheet; nothing was shipped."""

    reason: str


class CellRefused(Invalid, code="cell-refused"):
    """A cell of the row is empty or cannot be read."""

    column: str


class NumberAmbiguous(Invalid, code="number-ambiguous"):
    """Several orders end in these digits; write the whole order number."""

    order: str


class RowProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A row that shipped nothing: its line in the file, what it said, and why (`code` as in problems)."""

    line: int
    order: str
    carrier: str
    number: str
    code: str
    reason: str


class ShippingReport(msgspec.Struct, kw_only=True):
    """What became of the rows: `read = shipped + unchanged + refused`; `waiting` rows had neither carrier nor number."""

    read: int = 0
    shipped: int = 0
    unchanged: int = 0
    refused: int = 0
    waiting: int = 0
    parcels: int = 0
    refused_by_code: dict[str, int] = {}
    problems: list[RowProblem] = []
    """The first thousand of what was refused."""


class _Row(NamedTuple):
    line: int
    order: str
    carrier: str
    number: str
    no: str
    quantity: str


class _Bundle(NamedTuple):
    """The rows that are one parcel."""

    rows: list[_Row]
    order_id: OrderId
    carrier: str
    number: str
    pieces: tuple[Piece, ...] | None


async def begin_export(tx: Tx, actor: Actor, shop_id: ShopId) -> None:
    """Put on record that all waiting orders' addresses are about to be read. Needs the scope `orders`."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.orders)
    await identity.record(tx, actor, "order.addresses_exported", subject=str(shop_id))


async def export_shipping(tx: Tx, actor: Actor, shop_id: ShopId, *, language: str) -> AsyncIterator[str]:
    """What waits to be shipped, oldest first, with addresses: UTF-8 with a mark. After `begin_export`."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.orders)
    chinese = language.startswith("zh")
    yield "\ufeff" + write_line([names[0] if chinese else names[1] for names in COLUMNS.values()])
    after: OrderId | None = None
    while True:
        page = await list_waiting(tx, shop_id, after=after, limit=PAGE_SIZE)
        yield "".join(write_line(cells) for shipment in page for cells in _cells(shipment))
        if len(page) < PAGE_SIZE:
            return
        after = page[-1].order_id


async def import_shipping(
    db: Database, actor: Actor, terms: Terms, shop_id: ShopId, data: bytes
) -> ShippingReport:
    """Ship what the sheet says, some hundred parcels a transaction. Needs the scope `orders`.

    Refuses the whole file (`ShippingSheetRefused`) before anything is shipped when it is not a sheet at all.
    """
    async with db.read() as tx:
        await identity.require_seat(tx, actor, shop_id, identity.Scope.orders)
        rows = read_rows(data)
        orders = await _find_orders(tx, shop_id, {row.order for row in rows if _is_filled(row)})
    report = ShippingReport(read=sum(_is_filled(row) for row in rows))
    report.waiting = len(rows) - report.read
    by_code: Counter[str] = Counter()
    bundles, refused = bundle([row for row in rows if _is_filled(row)], orders)
    for start in range(0, len(bundles), BATCH_SIZE_MAX):
        batch = bundles[start : start + BATCH_SIZE_MAX]
        async with db.tx() as tx:
            answers = await _ship(tx, terms, shop_id, batch)
        for one, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Refusal):
                refused += [(row, answer) for row in one.rows]
            elif answer.again:
                report.unchanged += len(one.rows)
            else:
                report.shipped += len(one.rows)
                report.parcels += 1
    for row, refusal in sorted(refused, key=lambda pair: pair[0].line):
        report.refused += 1
        by_code[refusal.code] += 1
        if len(report.problems) < ERRORS_SHOWN_MAX:
            report.problems.append(_problem(row, refusal))
    report.refused_by_code = dict(by_code.most_common())
    assert report.read == report.shipped + report.unchanged + report.refused
    return report


def read_rows(data: bytes) -> list[_Row]:
    """The sheet's rows; refuses `ShippingSheetRefused`. Pure."""
    text = _decode(data)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        places = _read_header(next(lines, []))
        rows: list[_Row] = []
        while True:
            line = lines.line_num + 1
            cells = next(lines, None)
            if cells is None:
                return rows
            if not any(cell.strip() for cell in cells):
                continue
            if len(rows) >= ROWS_MAX:
                raise ShippingSheetRefused(reason=f"A sheet has at most {ROWS_MAX} rows.")
            rows.append(_Row(line, *(_cell(cells, places.get(name)) for name in _FIELDS)))
    except csv.Error as error:
        raise ShippingSheetRefused(reason=f"Line {lines.line_num} cannot be read: {error}.") from None


def bundle(
    rows: list[_Row], orders: dict[str, OrderId | Refusal]
) -> tuple[list[_Bundle], list[tuple[_Row, Refusal]]]:
    """Rows put together to parcels, in the order of the file, and those that cannot be understood. Pure."""
    groups: dict[tuple[OrderId, str, str], list[tuple[_Row, Piece | None]]] = {}
    refused: list[tuple[_Row, Refusal]] = []
    for row in rows:
        try:
            carrier = find_carrier(row.carrier)
            number = clean_number(carrier, row.number)
            order_id = orders.get(row.order, _NOT_THERE)
            if isinstance(order_id, Refusal):
                raise order_id
            groups.setdefault((order_id, carrier.code, number), []).append((row, _piece(row)))
        except Refusal as refusal:
            refused.append((row, refusal))
    bundles = []
    for (order_id, carrier_code, number), members in groups.items():
        pieces = [piece for _, piece in members]
        whole = None in pieces
        sums: Counter[int] = Counter()
        for piece in pieces:
            if piece is not None:
                sums[piece.no] += piece.quantity
        bundles.append(
            _Bundle(
                [row for row, _ in members],
                order_id,
                carrier_code,
                number,
                None if whole else tuple(Piece(no, quantity) for no, quantity in sorted(sums.items())),
            )
        )
    return bundles, refused


async def _ship(tx: Tx, terms: Terms, shop_id: ShopId, batch: list[_Bundle]) -> list[Sent | Refusal]:
    """Ship the parcels that are not there yet; one that is, with the same pieces, was sent before."""
    there = {
        (parcel.order_id, parcel.carrier, parcel.number): parcel
        for parcels in (await list_parcels_of(tx, [one.order_id for one in batch])).values()
        for parcel in parcels
        if parcel.state is not ParcelState.cancelled
    }
    answers: dict[int, Sent | Refusal] = {}
    asks: list[tuple[int, Consignment]] = []
    for place, one in enumerate(batch):
        parcel = there.get((one.order_id, one.carrier, one.number))
        if parcel is not None and parcel.shop_id == shop_id and one.pieces in (None, tuple(parcel.pieces)):
            answers[place] = Sent(parcel.id, again=True)
            continue
        asks.append(
            (
                place,
                Consignment(
                    id=ParcelId(new_id()),
                    order_id=one.order_id,
                    carrier=one.carrier,
                    number=one.number,
                    pieces=one.pieces,
                ),
            )
        )
    if asks:
        sent = await ship_many(tx, terms, shop_id, [ask for _, ask in asks])
        answers |= dict(zip((place for place, _ in asks), sent, strict=True))
    return [answers[place] for place in range(len(batch))]


async def _find_orders(tx: Tx, shop_id: ShopId, names: Iterable[str]) -> dict[str, OrderId | Refusal]:
    """The orders that the sheet names, by whole id or by the digits that people read out."""
    digits = {name: re.sub(r"[\s-]", "", name).lower() for name in names}
    rows = await tx.tuples(
        """
        SELECT asked.digits, d.order_id
        FROM unnest(%(digits)s::text[]) AS asked (digits) JOIN (
            SELECT order_id, replace(order_id::text, '-', '') AS digits FROM orders.delivery WHERE shop_id = %(shop_id)s
        ) AS d ON right(d.digits, %(short)s) = right(asked.digits, %(short)s)
              AND (d.digits = asked.digits OR length(asked.digits) = %(short)s)
        """,
        digits=sorted(set(digits.values())),
        short=SHORT_LENGTH,
        shop_id=shop_id,
    )
    found: dict[str, list[OrderId]] = {}
    for text, order_id in rows:
        found.setdefault(text, []).append(order_id)
    return {name: _only(name, found.get(text, [])) for name, text in digits.items()}


def _only(name: str, found: list[OrderId]) -> OrderId | Refusal:
    if not found:
        return _NOT_THERE
    return found[0] if len(found) == 1 else NumberAmbiguous(order=name[:60])


_NOT_THERE = NotFound()
_FIELDS = ("order", "carrier", "number", "line", "quantity")


def _is_filled(row: _Row) -> bool:
    """A row with neither carrier nor number has not been shipped yet: the export's own rows look so."""
    return bool(row.carrier or row.number)


def _piece(row: _Row) -> Piece | None:
    if not row.no:
        return None
    for column, text in (("line", row.no), ("quantity", row.quantity)):
        if not re.fullmatch(r"\d{1,6}", text, re.ASCII) or int(text) < 1:
            raise CellRefused(column=column)
    return Piece(int(row.no), int(row.quantity))


def _decode(data: bytes) -> str:
    if len(data) > BYTES_MAX:
        raise ShippingSheetRefused(reason=f"A sheet has at most {BYTES_MAX // 1024 // 1024} MB.")
    if data[:2] in (b"PK", b"\xd0\xcf"):
        raise ShippingSheetRefused(reason="The file is a workbook, not CSV; save it as “CSV UTF-8”.")
    for encoding in ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ShippingSheetRefused(reason="The file is neither UTF-8 nor GBK; save it as “CSV UTF-8”.")


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)


def _read_header(cells: list[str]) -> dict[str, int]:
    places: dict[str, int] = {}
    for place, cell in enumerate(cells):
        name = _BY_NAME.get(_plain(unguard(cell)))
        if name is not None:
            places.setdefault(name, place)
    missing = [COLUMNS[name] for name in NEEDED if name not in places]
    if missing:
        wanted = ", ".join(f"{zh} / {en}" for zh, en in missing)
        raise ShippingSheetRefused(reason=f"The first line must name the columns; missing: {wanted}.")
    return places


def _cell(cells: list[str], place: int | None) -> str:
    """A spreadsheet's `="123"` and its apostrophe keep digits as they are; neither belongs to the text."""
    text = unguard(cells[place]).strip() if place is not None and place < len(cells) else ""
    return re.sub(r'^="(.*)"$', r"\1", text)


def _cells(shipment: Shipment) -> list[list[str]]:
    address = shipment.address or {}
    where = " ".join(str(address.get(part) or "") for part in ("region", "city", "district", "street", "postcode"))
    return [
        [
            str(shipment.order_id),
            str(line.no),
            line.title,
            " ".join(f"{name}:{value}" for name, value in line.options.items()),
            str(line.left),
            str(address.get("name") or ""),
            str(address.get("phone") or ""),
            re.sub(r" +", " ", where).strip(),
            shipment.note or "",
            _when(shipment.ship_by),
            "",
            "",
        ]
        for line in shipment.lines
        if line.left
    ]


def _when(instant: datetime | None) -> str:
    return "" if instant is None else instant.astimezone(CHINA).strftime("%Y-%m-%d %H:%M")


def _problem(row: _Row, refusal: Refusal) -> RowProblem:
    facts = ", ".join(f"{name}: {value}" for name, value in refusal.facts().items() if not isinstance(value, UUID))
    return RowProblem(
        line=row.line,
        order=row.order[:60],
        carrier=row.carrier[:60],
        number=row.number[:60],
        code=refusal.code,
        reason=f"{refusal.title.rstrip('.')}{f' ({facts})' if facts else ''}",
    )


def _plain(name: str) -> str:
    return re.sub(r"[\s_*'’]+", "", name).casefold()


_BY_NAME = {
    _plain(name): column
    for column, names in COLUMNS.items()
    for name in (column, *names, *OTHER_NAMES.get(column, ()))
}
