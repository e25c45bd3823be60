"""The product sheet: out and in again, twice, in part, and full of mistakes."""

import csv
import io
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laotie import catalog
from laotie.base.cells import guard, unguard
from laotie.base.db import Database
from laotie.base.ids import ProductId, ShopId, SkuId, new_id
from laotie.base.money import Money

HEADER = "code,product,title,category,state,price,list_price,stock,option:颜色\r\n"


async def bring_in(db: Database, seller: Any, text: str | bytes, **how: Any) -> catalog.SheetReport:
    data = text if isinstance(text, bytes) else text.encode()
    return await catalog.import_sheet(db, seller.owner, seller.shop.id, io.BytesIO(data), **how)


async def take_out(db: Database, seller: Any) -> str:
    async with db.read() as tx:
        return "".join([piece async for piece in catalog.export_sheet(tx, seller.owner, seller.shop.id)])


async def all_products(db: Database, seller: Any, shop_id: ShopId | None = None) -> list[catalog.Product]:
    async with db.read() as tx:
        page = await catalog.list_own_products(tx, seller.owner, shop_id or seller.shop.id, limit=100)
    return page.items


def told(report: catalog.SheetReport) -> tuple[int, int, int, int, int]:
    return report.read, report.created, report.updated, report.unchanged, report.refused


async def test_the_template_can_be_imported_and_twice_changes_nothing(db: Database, seller: Any) -> None:
    assert told(await bring_in(db, seller, catalog.template())) == (3, 3, 0, 0, 0)
    assert told(await bring_in(db, seller, catalog.template())) == (3, 0, 0, 3, 0)
    tee = next(product for product in await all_products(db, seller) if product.code == "TEE")
    found = [(sku.options["颜色"], sku.price_amount, sku.available) for sku in tee.skus]
    assert found == [("红", 5900, 40), ("蓝", 5900, 25)]
    assert (tee.state, tee.version) == ("listed", 1)


async def test_an_export_is_imported_as_what_it_was_also_into_another_shop(db: Database, seller: Any) -> None:
    await bring_in(db, seller, catalog.template())
    sheet = await take_out(db, seller)
    assert told(await bring_in(db, seller, sheet)) == (3, 0, 0, 3, 0)
    other = ShopId(new_id())
    async with db.tx() as tx:
        await catalog.open_shop(tx, seller.owner.account_id, other, catalog.ShopDraft(name="Other", currency="CNY"))
    report = await catalog.import_sheet(db, seller.owner, other, io.BytesIO(sheet.encode()))
    assert told(report) == (3, 3, 0, 0, 0)
    assert {p.title for p in await all_products(db, seller, other)} == {"儿童纯棉T恤", "淡干海参 500g"}


async def test_bad_rows_are_told_with_line_and_reason_and_spoil_nothing(db: Database, seller: Any) -> None:
    rows = [
        ("A,,Good,Home,listed,1.50,,3,", None),
        (",,No code,,,1,,,", "code"),
        ("B,,,,,2,,,", "title"),
        ("C,,No price,,,,,,", None),
        ("D,,Odd price,,,1.505,,,", "price"),
        ("E,,Negative,,,-1,,,", "price"),
        ("F,,Odd stock,,,1,,1.5,", "stock"),
        ("G,,Odd state,,sold,1,,,", "state"),
        ("A,,Again,,,1,,,", None),
        ("H,,Short row", "row"),
        ("I,P,Two lines,,,1,,,红", None),
        ("J,P,Two lines,,,1,,,红", None),
        ("K," + "x" * 99 + ",Long name,,,1,,,", "product"),
        ("L,,\x07bell,,,1,,,", "title"),
    ]
    report = await bring_in(db, seller, HEADER + "".join(f"{row}\r\n" for row, _ in rows))
    assert told(report) == (14, 2, 0, 0, 12)
    assert [error.line for error in report.errors] == [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15]
    assert [error.field for error in report.errors] == [
        "code", "title", None, "price", "price", "stock", "state", None, "row", None, "product", "title",
    ]  # fmt: skip
    assert report.refused_by_code["row-refused"] == 5
    assert [error.code for error in report.errors if error.field is None] == [
        "price-missing", "code-repeated", "options-taken",
    ]  # fmt: skip
    assert sorted(sku.code for product in await all_products(db, seller) for sku in product.skus) == ["A", "I"]


NO_SHEETS = [
    (b"", "code"),
    (b"title,price\r\nx,1\r\n", "`code` is missing"),
    (b"code,colour\r\n", "colour"),
    (b"code,code\r\n", "twice"),
    ("code,title\r\nA,海参\r\n".encode("gbk"), "GBK"),
    ("code,title\r\nA,海参\r\n".encode("utf-16"), "UTF-16"),
    (b"PK\x03\x04", "workbook"),
    ("code,title\r\nA,海参".encode()[:-1], "breaks off"),
]


async def test_a_file_that_is_no_sheet_is_refused_whole(db: Database, seller: Any) -> None:
    for data, why in NO_SHEETS:
        with pytest.raises(catalog.SheetRefused, match=why):
            await bring_in(db, seller, data)
    assert await all_products(db, seller) == []


async def test_a_dry_run_reports_the_same_and_changes_nothing(db: Database, seller: Any) -> None:
    report = await bring_in(db, seller, catalog.template(), dry_run=True)
    assert (told(report), report.dry_run) == ((3, 3, 0, 0, 0), True)
    assert await all_products(db, seller) == []


async def test_stock_of_what_is_there_is_corrected_only_when_asked(db: Database, seller: Any) -> None:
    await bring_in(db, seller, HEADER + "A,,One,,listed,1,,10,\r\n")
    assert told(await bring_in(db, seller, HEADER + "A,,One,,listed,1,,4,\r\n")) == (1, 0, 0, 1, 0)
    assert told(await bring_in(db, seller, HEADER + "A,,One,,listed,1,,4,\r\n", set_stock=True)) == (1, 0, 1, 0, 0)
    (product,) = await all_products(db, seller)
    assert (product.skus[0].available, product.version) == (4, 1)
    async with db.read() as tx:
        assert (await catalog.tally(tx)).difference_count == 0


async def test_absent_columns_change_nothing_and_empty_cells_empty(db: Database, seller: Any) -> None:
    await bring_in(db, seller, HEADER + "A,,One,Home,listed,1,2,,红\r\n")
    await bring_in(db, seller, "code,price\r\nA,3\r\n")
    (product,) = await all_products(db, seller)
    assert (product.title, product.category, product.state) == ("One", "Home", "listed")
    assert (product.skus[0].price_amount, product.skus[0].list_price_amount) == (300, 200)
    await bring_in(db, seller, HEADER + "A,,,,,,,,\r\n")
    (product,) = await all_products(db, seller)
    assert (product.title, product.category, product.state) == ("One", "", "listed")
    assert (product.skus[0].price_amount, product.skus[0].list_price_amount, product.skus[0].options) == (300, None, {})


async def test_rows_of_one_product_meet_also_far_apart(db: Database, seller: Any) -> None:
    rows = [f"P{n},TEE,Tee,,,1,,,{n}\r\n" if n % 600 == 0 else f"X{n},,Other {n},,,1,,,\r\n" for n in range(1_201)]
    assert told(await bring_in(db, seller, HEADER + "".join(rows))) == (1_201, 1_201, 0, 0, 0)
    async with db.read() as tx:
        found = await catalog.list_own_products(tx, seller.owner, seller.shop.id, query="tee")
    assert [len(product.skus) for product in found.items] == [3]


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30).filter(
    lambda text: not any(0x202A <= ord(c) <= 0x202E or 0x2066 <= ord(c) <= 0x2069 or ord(c) >= 0xFFFE for c in text)
)
SPICY = st.builds("".join, st.tuples(st.sampled_from(["", "=", "+1", "-", "@", "'=", "''=", "'", '"', ","]), TEXT))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    title=SPICY.filter(lambda text: text.split() != []),
    description=SPICY,
    category=SPICY,
    options=st.dictionaries(TEXT.filter(lambda t: bool(t.split())), TEXT.filter(lambda t: bool(t.split())), max_size=3),
    price=st.integers(1, 10**9),
    list_price=st.none() | st.integers(1, 10**9),
    stock=st.integers(0, 10**6),
)
async def test_whatever_a_product_says_comes_back_from_its_own_export(
    db: Database,
    seller: Any,
    title: str,
    description: str,
    category: str,
    options: dict[str, str],
    price: int,
    list_price: int | None,
    stock: int,
) -> None:
    shops = [ShopId(new_id()), ShopId(new_id())]
    async with db.tx() as tx:
        # Nobody has twenty shops and more; those of the examples before go to somebody else.
        await tx.run("UPDATE catalog.shop SET owner_id = %(other)s WHERE id <> %(id)s", other=new_id(), id=seller.shop.id)
        for shop_id in shops:
            await catalog.open_shop(tx, seller.owner.account_id, shop_id, catalog.ShopDraft(name="S", currency="CNY"))
    product_id = ProductId(new_id())
    async with db.tx() as tx:
        draft = catalog.ProductDraft(title=title, description=description, category=category)
        await catalog.add_product(tx, seller.owner, shops[0], product_id, draft)
        try:
            await catalog.add_sku(
                tx,
                seller.owner,
                product_id,
                SkuId(new_id()),
                catalog.SkuDraft(
                    code="=1+1",
                    options=options,
                    price=Money(price, "CNY"),
                    list_price=None if list_price is None else Money(list_price, "CNY"),
                    stock=stock,
                ),
            )
        except Exception as refusal:
            assert type(refusal).__name__ == "OptionsRefused"
            return
        pieces = [piece async for piece in catalog.export_sheet(tx, seller.owner, shops[0])]
    sheet = "".join(pieces)
    for row in csv.reader(io.StringIO(sheet.removeprefix("\ufeff"))):
        assert not any(cell[:1] in ("=", "+", "-", "@", "\t", "\r") for cell in row)
    report = await catalog.import_sheet(db, seller.owner, shops[1], io.BytesIO(sheet.encode()))
    assert told(report) == (1, 1, 0, 0, 0), report.errors
    (before,), (after,) = await all_products(db, seller, shops[0]), await all_products(db, seller, shops[1])
    assert [before.title, before.description, before.category] == [after.title, after.description, after.category]
    kept = [(s.code, s.options, s.price_amount, s.list_price_amount, s.available) for s in (before.skus + after.skus)]
    assert kept[0] == kept[1]


@given(cell=st.text(max_size=20))
def test_a_guarded_cell_is_no_formula_and_comes_back(cell: str) -> None:
    assert unguard(guard(cell)) == cell
    assert guard(cell)[:1] not in ("=", "+", "-", "@", "\t", "\r")
