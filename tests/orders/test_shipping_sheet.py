"""The shipping sheet: out with what waits, in with carriers and numbers, row by row."""

import csv
import io
import time

import pytest

from laotie import orders
from laotie.base.ids import OrderId
from laotie.orders import OrderState, parcels, shipments, shipping_sheet
from laotie.orders.delivery import Terms
from laotie.orders.shipping_sheet import ShippingReport, ShippingSheetRefused, read_rows
from market import Market

TERMS = Terms(after_delivery=7, after_shipping=15, extension=3)
HEADER = "订单号,快递公司,快递单号"


async def paid(market: Market, quantity: int = 1, title: str = "海参") -> OrderId:
    item = await market.add_item(title, stock=20)
    buyer = await market.buyer()
    order_id = await market.place(buyer, item, quantity=quantity)
    await market.pay(buyer, order_id)
    return order_id


async def bring(market: Market, text: str, *, encoding: str = "utf-8") -> ShippingReport:
    return await shipping_sheet.import_shipping(market.db, market.owner, TERMS, market.shop_id, text.encode(encoding))


async def take_out(market: Market, language: str = "zh") -> str:
    async with market.db.tx() as tx:
        await shipping_sheet.begin_export(tx, market.owner, market.shop_id)
    async with market.db.read() as tx:
        pieces = shipping_sheet.export_shipping(tx, market.owner, market.shop_id, language=language)
        return "".join([piece async for piece in pieces])


async def test_what_waits_goes_out_and_comes_back_shipped(market: Market) -> None:
    ids = [await paid(market, 2, "=cmd|' /C calc'!A0"), await paid(market)]
    sheet = list(csv.reader(io.StringIO((await take_out(market)).removeprefix("\ufeff"))))
    assert sheet[0][:5] == ["订单号", "行号", "商品", "规格", "数量"]
    assert [row[:2] + row[4:7] for row in sheet[1:]] == [
        [str(id_), "1", few, "王小明", "13800000000"] for id_, few in zip(ids, "21", strict=True)
    ]
    assert sheet[1][2].startswith("'="), "no cell is run as a formula"
    for place, row in enumerate(sheet[1:]):
        row[-2:] = ["顺丰", f"SF{place:013d}"]
    filled = "\r\n".join(",".join(f'"{cell}"' for cell in row) for row in sheet)
    report = await bring(market, filled, encoding="gb18030")
    assert (report.read, report.shipped, report.parcels, report.refused) == (2, 2, 2, 0), report
    again = await bring(market, filled)
    assert (again.read, again.unchanged, again.shipped, again.parcels) == (2, 2, 0, 0)
    assert len(list(csv.reader(io.StringIO(await take_out(market, "en"))))) == 1, "nothing waits any more"
    async with market.db.read() as tx:
        assert await tx.one(int, "SELECT count(*) FROM orders.parcel") == 2
        assert await tx.one(
            int, "SELECT count(*) FROM identity.audit_entry WHERE act = 'order.addresses_exported'"
        ) == 2


async def test_every_bad_row_says_why_and_spoils_no_other(market: Market) -> None:
    good, other = await paid(market), await paid(market)
    _, elsewhere = await market.open_shop()
    assert elsewhere != market.shop_id
    rows = [
        f"{good.hex[-10:].upper()},sf,SF1234567890123",
        f"{other},隔壁老王,SF1234567890124",
        f"{other},sf,7.73E+14",
        f"{other},sf,SF1234567890123",
        "0000000000,sf,SF1234567890126",
        ",sf,SF1234567890127",
        f"{other},,",
    ]
    report = await bring(market, "\n".join([HEADER, *rows]))
    assert [(one.line, one.code) for one in report.problems] == [
        (3, "carrier-unknown"), (4, "tracking-number-refused"), (5, "number-taken"), (6, "not-found"), (7, "not-found"),
    ]  # fmt: skip
    assert (report.read, report.shipped, report.refused, report.waiting) == (6, 1, 5, 1)
    assert report.refused_by_code["not-found"] == 2


async def test_rows_with_one_number_are_one_parcel_and_lines_may_be_split(market: Market) -> None:
    items = [await market.add_item(stock=9), await market.add_item(stock=9)]
    buyer = await market.buyer()
    order_id = await market.place(buyer, *items, quantity=3)
    await market.pay(buyer, order_id)
    sheet = (
        "Order number;Line;Quantity;Carrier;Tracking number\n"
        f"{order_id};1;2;SF Express;SF0000000000001\n"
        f"{order_id};2;3;SF Express;SF0000000000001\n"
        f"{order_id};1;1;YTO;YT8812345678901\n"
    )
    report = await bring(market, sheet)
    assert (report.shipped, report.parcels) == (3, 2), report
    async with market.db.read() as tx:
        found = await orders.list_parcels(tx, order_id)
    assert [[(piece.no, piece.quantity) for piece in parcel.pieces] for parcel in found] == [[(1, 2), (2, 3)], [(1, 1)]]
    assert (await bring(market, sheet)).unchanged == 3
    changed = await bring(market, sheet.replace(";1;2;", ";1;1;"))
    assert (changed.unchanged, changed.refused_by_code) == (1, {"nothing-left-to-ship": 2})


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04", "workbook"),
        (b"\xff\xff\xff", "neither"),
        ("订单号,快递公司\n1,2".encode(), "Tracking number"),
        (b"", "missing"),
        (f"{HEADER}\n\"1,2,3".encode(), "cannot be read"),
    ],
)
def test_what_is_no_sheet_is_refused_whole(data: bytes, said: str) -> None:
    with pytest.raises(ShippingSheetRefused) as refused:
        read_rows(data)
    assert said in refused.value.reason


def test_a_spreadsheets_own_ways_of_keeping_digits_are_read() -> None:
    sheet = 'Order number\tCarrier\tTracking number\n\'=1\tsf\t"=""0012"""\n'
    rows = read_rows(sheet.encode("utf-16"))
    assert [(row.line, row.order, row.number) for row in rows] == [(2, "=1", "0012")]


def test_more_rows_than_a_sheet_may_have_are_refused() -> None:
    with pytest.raises(ShippingSheetRefused):
        read_rows("\n".join([HEADER, *["1,sf,2"] * (shipping_sheet.ROWS_MAX + 1)]).encode())


async def test_a_full_sheet_of_strangers_is_read_in_seconds(market: Market) -> None:
    order_id = await paid(market)
    rows = [f"{place:010d},sf,SF{place:013d}" for place in range(shipping_sheet.ROWS_MAX - 1)]
    begun = time.monotonic()
    report = await bring(market, "\n".join([HEADER, *rows, f"{order_id},sf,SF{10**9:013d}"]))
    assert (report.read, report.shipped, report.refused) == (10_000, 1, 9_999)
    assert len(report.problems) == shipping_sheet.ERRORS_SHOWN_MAX
    assert time.monotonic() - begun < 10
    async with market.db.read() as tx:
        found = await shipments.get_standing(tx, market.owner, market.shop_id, order_id)
    assert found.state is OrderState.shipped
    assert found.parcels[0].state is parcels.ParcelState.registered
