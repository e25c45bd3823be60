"""Online Retail: a real retailer's books, read, reconciled, interrupted and read again."""

import asyncio
import csv
import gzip
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import psycopg
import pytest

from laotie import catalog, identity, imports, orders
from laotie.base.db import Database
from laotie.base.ids import AccountId, ShopId, ViewerId, new_id
from laotie.imports import online_retail
from laotie.imports.invoices import HEADER, Deal, Refused, read
from laotie.imports.naming import Naming, category_of, clean_title
from reservoir import told_money

SLICE = Path(str(resources.files("laotie.demo"))) / "data" / "online_retail_slice.csv.gz"


@pytest.fixture
async def shop(db: Database) -> catalog.Shop:
    """An empty shop that counts in pounds."""
    owner = AccountId(new_id())
    async with db.tx() as tx:
        await identity.create_account(tx, owner, handle="owner", password_hash="unused", name="Owner")
        return await catalog.open_shop(tx, owner, ShopId(new_id()), catalog.ShopDraft(name="Retail", currency="GBP"))


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join([",".join(HEADER), *rows, ""]))
    return path


def row(
    invoice: str = "536365",
    code: str = "85123A",
    quantity: object = 6,
    price: str = "2.55",
    *,
    text: str = "WHITE HANGING HEART",
    at: str = "2011-06-01 08:26:00",
    customer: str = "17850.0",
) -> str:
    return ",".join([invoice, code, text, str(quantity), at, price, customer, "United Kingdom"])


async def books(db: Database) -> dict[str, object]:
    """All that an import leaves, for comparison."""
    async with db.read() as tx:
        audit = await catalog.tally(tx)
        assert audit.difference_count == 0
        assert await orders.evidence.list_total_off(tx) == await orders.evidence.list_feed_off(tx) == []
        return {
            "stock": (audit.sku_count, audit.available, audit.sold, audit.received),
            "orders": await tx.tuples('SELECT id, total_amount, placed_at FROM orders."order" ORDER BY id'),
            "lines": await tx.tuples(
                "SELECT order_id, no, title, quantity, unit_price_amount FROM orders.line ORDER BY order_id, no"
            ),
            "returns": await tx.tuples(
                "SELECT reference, total_amount, returned_at FROM orders.past_return ORDER BY reference"
            ),
            "refused": await tx.tuples("SELECT line, reason, said FROM orders.import_refusal ORDER BY line"),
        }


async def test_the_slice_reconciles_to_the_penny_and_again_changes_nothing(db: Database, shop: catalog.Shop) -> None:
    summary = await imports.import_online_retail(db, SLICE, shop.id, opening_stock=20)
    assert summary.sound, summary.equations
    with gzip.open(SLICE, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    assert summary.counts.rows == len(rows) == summary.imported + summary.refused
    pence = sum(round(float(r["UnitPrice"]) * 1000) * int(r["Quantity"]) for r in rows)
    assert round(float(summary.counts.value) * 1000) == pence
    assert summary.counts.refused["price-zero"] == sum(float(r["UnitPrice"]) == 0 for r in rows)
    async with db.read() as tx:
        heart = (await catalog.list_products(tx, query="white hanging heart", limit=1)).items[0]
        postage = (await catalog.list_own_products(tx, await _owner(db, shop), shop.id, query="postage")).items[0]
        people = await tx.tuples("SELECT name, handle FROM identity.account WHERE handle LIKE 'pseudonym%%'")
    assert (heart.title, heart.category, heart.skus[0].available) == (
        "White Hanging Heart T-Light Holder", "Candles & Lights", 20,
    )  # fmt: skip
    assert (postage.state, postage.skus[0].available) == ("delisted", 0)
    assert len(people) == summary.counts.customers > 500
    assert all(name.startswith("Customer ") and " " in handle for name, handle in people)
    before = await books(db)
    again = await imports.import_online_retail(db, SLICE, shop.id, opening_stock=20)
    assert (again.counts, again.kept, await books(db)) == (summary.counts, summary.kept, before)


async def _owner(db: Database, shop: catalog.Shop) -> identity.Actor:
    return identity.Actor(viewer_id=ViewerId(shop.owner_id), account_id=shop.owner_id, seat_holder_id=shop.owner_id)


async def test_an_import_killed_in_the_middle_goes_on_and_ends_the_same(
    db: Database, shop: catalog.Shop, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "import asyncio, sys, uuid; from pathlib import Path\n"
        "from laotie import imports; from laotie.base.db import Database; from laotie.imports import online_retail\n"
        "online_retail.BATCH_ROWS = 300\n"
        "async def main():\n"
        "    db = await Database.open(sys.argv[1], pool_max=4)\n"
        "    await imports.import_online_retail(db, Path(sys.argv[2]), uuid.UUID(sys.argv[3]))\n"
        "asyncio.run(main())\n"
    )
    positions: list[int] = []
    for wanted in (1_000, 5_000):
        found = None
        process = subprocess.Popen([sys.executable, "-c", program, database_url, str(SLICE), str(shop.id)])
        with psycopg.connect(database_url, autocommit=True) as watch:
            for _ in range(6_000):
                found = watch.execute("SELECT position FROM orders.import_run").fetchone()
                if process.poll() is not None or (found and found[0] >= wanted):
                    break
                await asyncio.sleep(0.005)
        os.kill(process.pid, 9)
        assert process.wait() == -9, "the import was faster than the test"
        positions.append(found[0] if found else 0)
    monkeypatch.setattr(online_retail, "BATCH_ROWS", 777)
    summary = await imports.import_online_retail(db, SLICE, shop.id)
    assert summary.sound, summary.equations
    assert summary.resumed_at >= positions[1] >= 5_000 > positions[0] >= 1_000
    interrupted = await books(db)
    async with db.tx() as tx:
        await tx.run("SET LOCAL session_replication_role = replica")  # past the triggers that keep what is written
        await tx.run(
            """
            TRUNCATE orders.past_return_line, orders.past_return, orders.line, orders."order", orders.shop_feed,
                     orders.import_refusal, orders.import_run, catalog.stock_movement CASCADE
            """
        )
        await tx.run("UPDATE catalog.sku SET sold = 0, received = 0, available = 0")
        await tx.run("DELETE FROM identity.account WHERE handle LIKE 'pseudonym%%'")
    whole = await imports.import_online_retail(db, SLICE, shop.id)
    assert (whole.counts, await books(db)) == (summary.counts, interrupted)


async def test_every_odd_row_is_refused_with_its_line_and_reason(
    db: Database, shop: catalog.Shop, tmp_path: Path
) -> None:
    said = [
        (row(), None),
        (row(quantity="six"), "quantity-unreadable"),
        (row(quantity="1.5"), "quantity-unreadable"),
        (row(price="free"), "price-unreadable"),
        (row(price="0.0"), "price-zero"),
        (row(price="-1"), "price-negative"),
        (row(price="0.001"), "price-below-a-penny"),
        (row(quantity=-6), "quantity-negative"),
        (row(quantity=0), "quantity-zero"),
        (row(invoice="C536366"), "return-of-positive-quantity"),
        (row(invoice="A536366"), "bookkeeping"),
        (row(code="AMAZONFEE"), "bookkeeping"),
        (row(invoice="?"), "invoice-unreadable"),
        (row(code=""), "code-unreadable"),
        (row(at="yesterday"), "time-unreadable"),
        (row(customer="Mrs Miller"), "customer-unreadable"),
        (row(price="99999999"), "amount-beyond-measure"),
        (row() + ",more", "cells-too-many"),
        ("536365,85123A", "cells-missing"),
        (row(text="bell\x07"), "text-unreadable"),
        ('536365,"' + "x" * 140_000 + '",', "unreadable"),
        (row(invoice="C536367", quantity=-2), None),
    ]
    path = write(tmp_path / "odd.csv", *(text for text, _ in said))
    summary = await imports.import_online_retail(db, path, shop.id)
    assert summary.sound, summary.equations
    assert (summary.counts.order_lines, summary.counts.return_lines) == (1, 1)
    await imports.write_report(db, summary, tmp_path / "report.csv")
    with (tmp_path / "report.csv").open(encoding="utf-8-sig", newline="") as file:
        report = [(int(r["line"]), r["reason"].partition(":")[0]) for r in csv.DictReader(file)]
    assert report == [(line, reason) for line, (_, reason) in enumerate(said, start=2) if reason is not None]


async def test_returns_keep_their_value_and_leave_stock_and_orders_alone(
    db: Database, shop: catalog.Shop, tmp_path: Path
) -> None:
    path = write(
        tmp_path / "returns.csv",
        row(quantity=6),
        row(invoice="C536400", quantity=-2, at="2011-06-02 10:00:00"),
        row(invoice="C536400", quantity=-1, code="D", text="Discount", price="27.50", at="2011-06-02 10:00:00"),
        row(invoice="C536401", quantity=-9, code="99999", text="NEVER SOLD", at="2011-06-03 10:00:00"),
    )
    summary = await imports.import_online_retail(db, path, shop.id)
    assert summary.sound and (summary.kept.returns, summary.kept.returned_amount) == (2, 510 + 2750 + 2295)
    async with db.read() as tx:
        codes = await catalog.list_codes(tx, shop.id)
        skus = await catalog.find_skus(tx, [sku_id for sku_id, _, _ in codes.values()])
        placed = await tx.tuples('SELECT placed_at::text, state, source FROM orders."order"')
    assert {skus[codes[code][0]].sold for code in ("85123A",)} == {6}
    assert skus[codes["99999"][0]].sold == 0
    assert placed == [("2011-06-01 07:26:00+00", "completed", "imported")]


async def test_an_invoice_cut_in_two_becomes_one_order(
    db: Database, shop: catalog.Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online_retail, "BATCH_ROWS", 1)
    path = write(
        tmp_path / "split.csv",
        row(code="10001", price="1"),
        row(code="10002", price="2"),
        row(invoice="536999", code="10001", price="1"),
        row(code="10003", price="4", at="2011-06-01 08:27:00"),
        row(code="10003", price="4", at="2011-06-01 08:27:00"),
    )
    summary = await imports.import_online_retail(db, path, shop.id)
    assert summary.sound and (summary.kept.orders, summary.counts.repeated) == (2, 1)
    async with db.read() as tx:
        totals = await tx.tuples(
            """
            SELECT total_amount, (SELECT array_agg(no ORDER BY no) FROM orders.line WHERE order_id = id)
            FROM orders."order" ORDER BY total_amount DESC
            """
        )
    assert totals == [(6 * 1100, [1, 2, 3, 4]), (600, [1])]


async def test_what_another_file_brought_is_not_brought_again(
    db: Database, shop: catalog.Shop, tmp_path: Path
) -> None:
    first = write(tmp_path / "first.csv", row(), row(invoice="C536400", quantity=-2))
    longer = write(tmp_path / "longer.csv", row(), row(invoice="C536400", quantity=-2), row(invoice="536500"))
    await imports.import_online_retail(db, first, shop.id)
    summary = await imports.import_online_retail(db, longer, shop.id)
    assert summary.sound
    assert (summary.counts.order_lines, summary.counts.refused) == (1, {"imported-before": 2})


async def test_a_damaged_file_or_one_of_another_kind_is_refused_before_anything_is_written(
    db: Database, shop: catalog.Shop, tmp_path: Path
) -> None:
    (tmp_path / "cut.csv.gz").write_bytes(SLICE.read_bytes()[:50_000])
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "noise.csv").write_bytes(bytes(range(256)) * 50)
    for name in ("cut.csv.gz", "other.csv", "noise.csv"):
        with pytest.raises(imports.FileRefused):
            await imports.import_online_retail(db, tmp_path / name, shop.id)
    assert (await books(db))["stock"] == (0, 0, 0, 0)


def test_summer_and_winter_time_are_london_s(tmp_path: Path) -> None:
    path = write(tmp_path / "times.csv", row(at="2011-01-04 10:00:00"), row(at="2011-08-31 17:45:00"))
    deals = [record for record in read(path) if isinstance(record, Deal)]
    assert [deal.at.isoformat() for deal in deals] == ["2011-01-04T10:00:00+00:00", "2011-08-31T16:45:00+00:00"]


def test_a_refused_row_keeps_its_value(tmp_path: Path) -> None:
    (refused,) = read(write(tmp_path / "fee.csv", row(code="AMAZONFEE", quantity=-1, price="6662.51")))
    assert isinstance(refused, Refused) and str(refused.value) == "-6662.51"


@pytest.mark.parametrize(
    ("said", "title", "category"),
    [
        ("WHITE HANGING HEART T-LIGHT HOLDER", "White Hanging Heart T-Light Holder", "Candles & Lights"),
        ("POPPY'S PLAYHOUSE BEDROOM ", "Poppy's Playhouse Bedroom", "Toys & Games"),
        ("SET OF 3  CAKE TINS", "Set of 3 Cake Tins", "Baking & Party"),
        ("Dotcomgiftshop Gift Voucher £40.00", "Dotcomgiftshop Gift Voucher £40.00", "Gifts"),
        ("*USB Office Mirror Ball", "USB Office Mirror Ball", "Pictures & Mirrors"),
        ("SOMETHING ELSE", "Something Else", "Curiosities"),
    ],
)
def test_names_are_cleaned_and_shelved(said: str, title: str, category: str) -> None:
    assert clean_title(said) == title
    assert category_of("20000", title) == category


def test_the_name_is_the_usual_one_and_the_price_the_present_one() -> None:
    naming = Naming()
    for price in [250] * 40 + [295] * 20 + [500]:
        naming.hear("RED BAG", price)
    naming.hear("damaged", 295)
    assert (naming.title("20000"), naming.price_amount()) == ("Red Bag", 295)
    assert Naming().title("POST") == "Postage"


async def test_the_lake_is_told_of_history_once_when_all_of_it_is_here(db: Database, shop: catalog.Shop, tmp_path: Path) -> None:
    file = write(
        tmp_path / "some.csv",
        row(quantity=2),
        row(code="22423", price="10.00", quantity=1),
        row("536366", customer="", quantity=1, at="2011-06-02 09:00:00"),
        row("C536367", quantity=-1, at="2011-06-03 09:00:00"),
    )
    for _ in range(2):
        await imports.import_online_retail(db, file, shop.id)
    told = sorted((await told_money(db)).values(), key=lambda one: (one.at, one.kind))
    assert [(one.kind, one.amounts.amount, one.placement) for one in told] == [
        ("paid", 1510, "import"),
        ("placed", 1510, "import"),
        ("paid", 255, "import:unknown"),
        ("placed", 255, "import:unknown"),
        ("refunded", -255, "import"),
    ]
    assert {(one.source, one.currency, one.shop_id) for one in told} == {("imported", "GBP", shop.id)}
    assert told[0].buyer_id == told[4].buyer_id != told[2].buyer_id
    async with db.read() as tx:
        again = [*(await orders.facts.export(tx))[0], *(await orders.facts.export_returns(tx))[0]]
    assert {one.id: one for one in again} == {one.id: one for one in told}
