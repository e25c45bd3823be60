"""Exports over HTTP: every kind, in every form, with every text a formula; whose they are; how much memory they take."""

import csv
import io
import json
import tracemalloc
import zipfile
from typing import Any
from uuid import UUID

import msgspec
import pytest

from laotie.base.cells import write_line
from laotie.base.db import Database
from laotie.identity import Scope
from laotie.web import exports
from laotie.web.exports import EXPORTS, ExportForm
from people import People
from world import World, make_world

FORMULA = "=HYPERLINK(\"http://evil\",'x')"


def dangerous(row: type[msgspec.Struct]) -> msgspec.Struct:
    """A row in which every text is a formula."""
    values: dict[str, Any] = {}
    for field in msgspec.inspect.type_info(row).fields:  # type: ignore[attr-defined]
        kind = field.type
        types = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
        text = any(isinstance(one, msgspec.inspect.StrType) for one in types)
        values[field.name] = "CNY" if field.name == "currency" else FORMULA if text else None
    return row(**values)


@pytest.mark.parametrize("kind", EXPORTS)
def test_no_cell_of_any_export_runs(kind: exports.ExportKind) -> None:
    row = EXPORTS[kind].row
    written = exports._write([dangerous(row)], ExportForm.csv).decode()
    (cells,) = csv.reader(io.StringIO(written, newline=""))
    assert len(cells) == len(exports.columns_of(row))
    assert not any(cell.strip()[:1] in set("=+-@\t\r＝＋－＠") and cell.strip() for cell in cells)
    assert any(cell == f"'{FORMULA}" for cell in cells)


def test_sums_are_numbers() -> None:
    row = dangerous(EXPORTS[exports.ExportKind.statement_lines].row)
    cells = dict(zip(exports.columns_of(type(row)), exports.cells_of(msgspec.structs.replace(row, net_amount=-1250)),
                     strict=True))
    assert str(cells["net"]) == "-12.50 CNY" and write_line([cells["net"]]) == "-12.50\r\n"


@pytest.fixture
async def world(people: People) -> World:
    """A shop with an order."""
    return await make_world(people)


async def test_every_kind_is_there_in_both_forms_and_agrees(world: World) -> None:
    owner = world["owner"]
    listed = (await owner.get(f"/api/shops/{world.shop}/exports")).json()["items"]
    assert {one["kind"] for one in listed} == set(EXPORTS) and all(one["may"] for one in listed)
    counts = {}
    for one in listed:
        url = f"/api/shops/{world.shop}/exports/{one['kind']}"
        sheet = await owner.get(url)
        assert sheet.headers["content-type"] == "text/csv; charset=utf-8" and sheet.text[0] == "\ufeff"
        rows = list(csv.DictReader(io.StringIO(sheet.text[1:], newline="")))
        lines = [json.loads(line) for line in (await owner.get(f"{url}?form=jsonl")).text.splitlines()]
        assert len(rows) == len(lines), one["kind"]
        assert all(list(row) == one["columns"] for row in rows)
        counts[one["kind"]] = len(rows)
    assert {kind: counts[kind] for kind in ("products", "skus", "orders", "order_lines", "shows")} == {
        "products": 1, "skus": 1, "orders": 1, "order_lines": 1, "shows": 1,
    }  # fmt: skip
    assert counts["stock_movements"] == 2


async def test_a_seat_takes_what_it_reaches_and_the_archive_says_what_is_missing(world: World, db: Database) -> None:
    clerk = world[f"staff {Scope.orders}"]
    answer = await clerk.get(f"/api/shops/{world.shop}/export.zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert {one["scope"] for one in manifest["left_out"]} == {"catalog", "show", "money"}
    assert "orders.csv" in {one["name"] for one in manifest["files"]}
    refused = await clerk.get(f"/api/shops/{world.shop}/exports/statement_lines")
    assert (refused.status_code, refused.json()["scope"]) == (403, "money")
    assert (await world["other"].get(f"/api/shops/{world.shop}/export.zip")).status_code == 404
    async with db.read() as tx:
        acts = await tx.all(str, "SELECT act FROM identity.audit_entry WHERE subject = %(id)s", id=world.shop)
    assert acts.count("shop.exported") == 1


async def test_a_large_export_takes_no_more_memory_than_a_small_one(world: World, db: Database) -> None:
    """8,000 movements of 8 MB in all."""
    async with db.tx() as tx:
        await tx.run(
            """
            INSERT INTO catalog.stock_movement (sku_id, id, kind, quantity, note, moved_at)
            SELECT %(sku)s, gen_random_uuid(), 'received', 1, repeat('x', 1000), now() - interval '1 hour'
            FROM generate_series(1, 8000)
            """,
            sku=UUID(world.sku),
        )
    export, size, rows = EXPORTS[exports.ExportKind.stock_movements], 0, 0
    tracemalloc.start()
    async for page in export.read(db, UUID(world.shop), db.clock.now()):  # type: ignore[arg-type]
        size, rows = size + len(exports._write(page, ExportForm.csv)), rows + len(page)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 8_002 and size > 8_000_000
    assert peak < 4_000_000, peak


async def test_only_so_many_run_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports._lanes, "taken", exports.AT_ONCE_MAX)
    answer = await world["owner"].get(f"/api/shops/{world.shop}/exports/orders")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
