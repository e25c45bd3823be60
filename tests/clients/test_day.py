"""A shop's day, lived through the generated client against a server: what its developer would do, nothing else."""

import asyncio
import csv
import io
import json
import os
import re
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from developers import Developer
from laotie.identity import TokenScope
from laotie_client import AsyncClient, Client, Refused, each, models, new_id

README = Path(__file__).parents[2] / "clients" / "python" / "README.md"
Kind = models.ExportKind
Happening = models.Happening


async def happen(developer: Developer, shop: str, order: str, what: models.Happening) -> models.ShopOrderView:
    """Make it happen, let everything that follows follow, and read the order."""
    client = developer.client
    await client.sandbox.simulate_happening(shop, order, models.NewHappening(id=new_id(), happening=what))
    await developer.market.settle()
    return await client.orders.get_shop_order(shop, order)


async def read_rows(developer: Developer, shop: str, kind: models.ExportKind) -> list[dict[str, str]]:
    """An export as a spreadsheet would read it."""
    data = b"".join([piece async for piece in developer.client.exports.export_rows(shop, kind)])
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


async def test_a_shop_s_day(developer: Developer) -> None:
    client, shop = developer.client, (await developer.sandbox()).id
    assert len([one async for one in each(client.catalog.list_own_products, shop, limit=2)]) == 3

    product = await client.catalog.add_product(shop, models.NewProduct(id=new_id(), title="=1+1 biscuits"))
    price = models.Money(amount=1990, currency="CNY")
    sku = await client.catalog.add_sku(product.id, models.NewSku(id=new_id(), code="B", price=price, stock=10))
    listed = models.ProductChange(state=models.ProductState.listed)
    assert (await client.catalog.change_product(product.id, listed)).state == "listed"

    line = models.SimulatedLine(sku_id=sku.id, quantity=2)
    wanted = models.NewSimulatedOrder(id=new_id(), lines=[line])
    sold = await client.sandbox.simulate_order(shop, wanted)
    assert (await client.sandbox.simulate_order(shop, wanted)).id == sold.id
    assert sold.total.amount >= 3980 and sold.state == "placed"
    declined = await happen(developer, shop, sold.id, Happening.decline)
    assert (declined.state, declined.payment and declined.payment.state) == ("placed", "failed")
    assert (await happen(developer, shop, sold.id, Happening.pay)).state == "paid"
    parcel = models.NewParcel(id=new_id(), carrier="sf", number="SF1234567890123")
    assert (await client.orders.ship_parcel(shop, sold.id, parcel)).state == "shipped"
    assert (await happen(developer, shop, sold.id, Happening.deliver)).delivered_at is not None
    assert (await happen(developer, shop, sold.id, Happening.confirm)).state == "completed"

    back = await client.sandbox.simulate_order(shop, models.NewSimulatedOrder(id=new_id()))
    await happen(developer, shop, back.id, Happening.pay)
    assert (await happen(developer, shop, back.id, Happening.refund)).state == "refunded"
    disputed = await client.sandbox.simulate_order(shop, models.NewSimulatedOrder(id=new_id()))
    await happen(developer, shop, disputed.id, Happening.pay)
    await happen(developer, shop, disputed.id, Happening.ship)
    await happen(developer, shop, disputed.id, Happening.refund)
    await happen(developer, shop, disputed.id, Happening.chargeback)
    (case,) = await read_rows(developer, shop, Kind.cases)
    assert (case["order_id"], case["kind"]) == (disputed.id, "refund_only")

    rows = {row["id"]: row for row in await read_rows(developer, shop, Kind.orders)}
    assert [rows[one]["state"] for one in (sold.id, back.id)] == ["completed", "refunded"]
    assert rows[sold.id]["total"] == "39.80" and rows[disputed.id]["reversed"] == rows[disputed.id]["total"]
    assert rows[sold.id]["address"] == "" and json.loads(rows[disputed.id]["address"])["city"] == "大连市"
    titles = {row["title"] for row in await read_rows(developer, shop, Kind.order_lines)}
    assert "'=1+1 biscuits" in titles


async def test_an_archive_holds_everything_and_counts_it(developer: Developer) -> None:
    client, shop = developer.client, (await developer.sandbox()).id
    await client.sandbox.simulate_order(shop, models.NewSimulatedOrder(id=new_id()))
    data = b"".join([piece async for piece in client.exports.export_everything(shop, form=models.ExportForm.jsonl)])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        manifest = json.loads(archive.read("manifest.json"))
        assert archive.namelist()[-1] == "manifest.json" and manifest["left_out"] == []
        for file in manifest["files"]:
            held = archive.read(file["name"])
            assert (len(held), sha256(held).hexdigest()) == (file["bytes"], file["sha256"])
            if file["name"].endswith(".jsonl"):
                assert len([json.loads(line) for line in held.splitlines()]) == file["rows"]
        sheet = archive.read("import/products.csv")
    assert {file["name"] for file in manifest["files"]} == {*(f"{kind}.jsonl" for kind in Kind), "import/products.csv"}
    assert {file["name"]: file["rows"] for file in manifest["files"]}["skus.jsonl"] == 3
    report = await client.catalog.import_products(shop, sheet)
    assert (report.read, report.unchanged) == (3, 3)


async def test_the_readme_s_example_runs_as_it_stands(developer: Developer, capsys: Any) -> None:
    example = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[0]
    assert len(example.splitlines()) <= 15
    shop = (await developer.sandbox()).id
    program = compile(example, str(README), "exec")
    given = {"LAOTIE_URL": developer.url, "LAOTIE_KEY": developer.key, "LAOTIE_SHOP": str(shop)}
    with patch.dict(os.environ, given):
        await asyncio.to_thread(exec, program, {})
    assert "Sea salt biscuits [100]" in capsys.readouterr().out


async def test_a_refusal_says_why(developer: Developer) -> None:
    shop = (await developer.sandbox()).id
    async with AsyncClient(developer.url, await developer.make_key(TokenScope.catalog_read)) as reader:
        assert (await reader.catalog.list_own_products(shop)).items
        with pytest.raises(Refused) as refused:
            await reader.catalog.add_product(shop, models.NewProduct(id=new_id(), title="x"))
        assert (refused.value.code, refused.value.facts) == ("scope-lacking", {"scope": "catalog"})
        with pytest.raises(Refused, match="scope-lacking"):
            [piece async for piece in reader.exports.export_rows(shop, Kind.orders)]


async def test_who_waits_is_served_too(developer: Developer) -> None:
    shop = (await developer.sandbox()).id

    def ask() -> list[str]:
        with Client(developer.url, developer.key) as client:
            return [kind.kind.value for kind in client.exports.list_exports(shop).items if kind.may]

    assert await asyncio.to_thread(ask) == [kind.value for kind in Kind]
