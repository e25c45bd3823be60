"""Shops, products, stock and sheets over HTTP, as the console and the phone page use them."""

from typing import Any

from laotie import catalog, identity
from laotie.base.ids import new_id


async def open_shop(people: Any, handle: str = "shopkeeper", currency: str = "CNY") -> tuple[Any, str]:
    owner = await people.viewer(handle)
    answer = await owner.post(
        "/api/shops",
        json={
            "id": str(new_id()),
            "name": "海边人家",
            "currency": currency,
            "stores": [{"name": "码头店", "city": "大连", "address": "渔港路 1 号"}],
        },
    )
    assert answer.status_code == 201, answer.text
    return owner, answer.json()["id"]


async def add_listed(owner: Any, shop_id: str, title: str = "淡干海参", code: str = "HS-500") -> dict[str, Any]:
    product = (
        await owner.post(
            f"/api/shops/{shop_id}/products", json={"id": str(new_id()), "title": title, "category": "海产"}
        )
    ).json()
    answer = await owner.post(
        f"/api/products/{product['id']}/skus",
        json={
            "id": str(new_id()),
            "code": code,
            "options": {"规格": "500g"},
            "price": {"amount": 89900, "currency": "CNY"},
            "list_price": None,
            "stock": 12,
        },
    )
    assert answer.status_code == 201, answer.text
    answer = await owner.patch(f"/api/products/{product['id']}", json={"state": "listed"})
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def test_a_shop_opens_and_everybody_sees_it(people: Any, client: Any) -> None:
    owner, shop_id = await open_shop(people)
    answer = await owner.patch(f"/api/shops/{shop_id}", json={"about": "跟着潮水走"})
    assert answer.json() == (await client.get(f"/api/shops/{shop_id}")).json() == {
        "id": shop_id,
        "name": "海边人家",
        "about": "跟着潮水走",
        "currency": "CNY",
        "stores": [{"name": "码头店", "city": "大连", "address": "渔港路 1 号"}],
        "price_protection_days": 0,
        "is_sandbox": False,
    }
    stolen = await client.post("/api/shops", json={"id": shop_id, "name": "x", "currency": "CNY"})
    assert stolen.status_code in (401, 403)
    assert (await client.get(f"/api/shops/{new_id()}")).status_code == 404


async def test_a_listed_product_stands_on_the_shelf_with_a_picture(people: Any, client: Any) -> None:
    owner, shop_id = await open_shop(people)
    product = await add_listed(owner, shop_id)
    (sku,) = product["skus"]
    assert product == {
        "id": product["id"],
        "shop_id": shop_id,
        "title": "淡干海参",
        "description": "",
        "images": [f"/media/pictures/{product['id']}.svg"],
        "category": "海产",
        "state": "listed",
        "version": 3,
        "skus": [
            {
                "id": sku["id"],
                "code": "HS-500",
                "options": {"规格": "500g"},
                "price": {"amount": 89900, "currency": "CNY"},
                "list_price": None,
                "available": 12,
                "state": "active",
                "weight_grams": 0,
                "own_list_price": None,
            }
        ],
        "tax_bps": 0,
        "shipping_template_id": None,
        "brand_id": None,
        "delisted_why": None,
    }
    assert (await client.get(f"/api/products/{product['id']}")).json() == product
    assert (await client.get("/api/products", params={"q": "海参"})).json() == {"items": [product], "next": None}
    assert (await client.get("/api/products", params={"q": "鲍鱼"})).json() == {"items": [], "next": None}
    assert (await client.get("/api/categories")).json() == {"items": ["海产"]}
    picture = await client.get(product["images"][0])
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/svg+xml")
    assert picture.headers["content-security-policy"].startswith("default-src 'none'")
    assert ">淡</text>" in picture.text
    for nothing in (f"/media/pictures/{new_id()}.svg", "/media/pictures/x.svg", "/media/pictures/x"):
        assert (await client.get(nothing)).status_code == 404


async def test_an_edit_from_an_old_version_is_a_conflict(people: Any) -> None:
    owner, shop_id = await open_shop(people)
    product = await add_listed(owner, shop_id)
    url = f"/api/products/{product['id']}"
    assert (await owner.patch(url, json={"title": "海参", "expected_version": 3})).json()["version"] == 4
    answer = await owner.patch(url, json={"title": "参", "expected_version": 3})
    assert (answer.status_code, answer.json()["type"], answer.json()["version"]) == (
        409, "/problems/changed-meanwhile", 4,
    )  # fmt: skip
    kept = await owner.patch(url, json={"images": product["images"]})
    assert kept.json()["version"] == 4, "the drawn picture is no image of the product's own"


async def test_stock_moves_once_an_id_and_its_ledger_is_read(people: Any) -> None:
    owner, shop_id = await open_shop(people)
    sku = (await add_listed(owner, shop_id))["skus"][0]
    url, said = f"/api/skus/{sku['id']}/movements", {"id": str(new_id()), "kind": "corrected", "quantity": -2}
    first = await owner.post(url, json=said)
    assert (first.status_code, first.json()["available"]) == (201, 10)
    assert (await owner.post(url, json=said)).json() == first.json()
    assert (await owner.post(url, json={**said, "quantity": -3})).json()["type"] == "/problems/id-reused"
    short = await owner.post(url, json={"id": str(new_id()), "kind": "corrected", "quantity": -11})
    assert (short.status_code, short.json()["type"], short.json()["available"]) == (409, "/problems/stock-short", 10)
    page = (await owner.get(url, params={"limit": 1})).json()
    assert [(m["kind"], m["quantity"]) for m in page["items"]] == [("corrected", -2)]
    rest = (await owner.get(url, params={"after": page["next"]})).json()
    assert [(m["kind"], m["quantity"], m["note"]) for m in rest["items"]] == [("received", 12, "opening stock")]


async def test_strangers_and_staff_without_the_scope_change_nothing(people: Any, client: Any) -> None:
    owner, shop_id = await open_shop(people)
    product = await add_listed(owner, shop_id)
    sku_id = product["skus"][0]["id"]
    stranger = await people.viewer("stranger")
    helper = await people.staff("helper", shop_id, owner, identity.Scope.orders)
    guest = await people.guest()
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("PATCH", f"/api/shops/{shop_id}", {"json": {"name": "Mine"}}),
        ("GET", f"/api/shops/{shop_id}/products", {}),
        ("POST", f"/api/shops/{shop_id}/products", {"json": {"id": str(new_id()), "title": "x"}}),
        ("PATCH", f"/api/products/{product['id']}", {"json": {"title": "x"}}),
        ("POST", f"/api/products/{product['id']}/skus",
         {"json": {"id": str(new_id()), "code": "x", "price": {"amount": 1, "currency": "CNY"}}}),
        ("PATCH", f"/api/skus/{sku_id}", {"json": {"price": {"amount": 1, "currency": "CNY"}}}),
        ("POST", f"/api/skus/{sku_id}/movements", {"json": {"id": str(new_id()), "kind": "received", "quantity": 1}}),
        ("GET", f"/api/skus/{sku_id}/movements", {}),
        ("GET", f"/api/shops/{shop_id}/products.csv", {}),
        ("POST", f"/api/shops/{shop_id}/products.csv",
         {"content": b"code\r\nHS-500\r\n", "headers": {"Content-Type": "text/csv"}}),
    ]  # fmt: skip
    for method, url, said in calls:
        statuses = [(await who.request(method, url, **said)).status_code for who in (stranger, helper, guest)]
        assert statuses == [404, 403, 401], (method, url)
    assert (await client.get(f"/api/products/{product['id']}")).json() == product


async def test_what_makes_no_sense_is_refused_by_type(people: Any) -> None:
    owner, shop_id = await open_shop(people)
    product = await add_listed(owner, shop_id)
    sku_id = product["skus"][0]["id"]
    cny = {"amount": 1, "currency": "CNY"}
    calls: list[tuple[str, str, dict[str, Any], str]] = [
        ("PATCH", f"/api/products/{product['id']}", {"price": 1}, "malformed"),
        ("PATCH", f"/api/products/{product['id']}", {"title": "a\x00"}, "text-refused"),
        ("PATCH", f"/api/products/{product['id']}", {"images": ["javascript:x"]}, "image-refused"),
        ("PATCH", f"/api/products/{product['id']}", {"state": "draft"}, "state-refused"),
        ("PATCH", f"/api/skus/{sku_id}", {"price": {"amount": 10**30, "currency": "CNY"}}, "price-refused"),
        ("PATCH", f"/api/skus/{sku_id}", {"price": {"amount": 1.5, "currency": "CNY"}}, "malformed"),
        ("PATCH", f"/api/skus/{sku_id}", {"options": {"a": ""}}, "options-refused"),
        ("POST", f"/api/skus/{sku_id}/movements", {"id": str(new_id()), "kind": "sold", "quantity": 1},
         "movement-refused"),
        ("POST", f"/api/skus/{sku_id}/movements", {"id": str(new_id()), "kind": "received", "quantity": 10**40},
         "movement-refused"),
        ("POST", f"/api/products/{product['id']}/skus", {"id": str(new_id()), "code": "HS-500", "price": cny},
         "code-taken"),
        ("POST", f"/api/products/{product['id']}/skus",
         {"id": str(new_id()), "code": "N", "price": cny, "options": {"规格": "500g"}}, "options-taken"),
        ("POST", "/api/shops", {"id": str(new_id()), "name": "x", "currency": "XAU"}, "unknown-currency"),
    ]  # fmt: skip
    for method, url, said, code in calls:
        answer = await owner.request(method, url, json=said)
        assert answer.json()["type"] == f"/problems/{code}", (url, said, answer.text)
        assert 400 <= answer.status_code < 500


def _row(sheet: str, **cells: str) -> str:
    """A line that says only this, under the sheet's own header."""
    header = sheet.removeprefix("\ufeff").split("\r\n", 1)[0].split(",")
    return ",".join(cells.get(column, "") for column in header) + "\r\n"


async def test_a_sheet_goes_out_and_comes_in(people: Any) -> None:
    owner, shop_id = await open_shop(people)
    await add_listed(owner, shop_id)
    url = f"/api/shops/{shop_id}/products.csv"
    sheet = await owner.get(url)
    assert sheet.headers["content-type"].startswith("text/csv") and sheet.text.startswith("\ufeffcode,product,title")
    csv = {"Content-Type": "text/csv; charset=utf-8"}
    new = _row(sheet.text, code="NEW-1", title="新货", state="listed", price="1.50", stock="3")
    said = sheet.text + new + _row(sheet.text, code="BAD")
    dry = await owner.post(url, params={"dry_run": "true"}, content=said.encode(), headers=csv)
    done = await owner.post(url, content=said.encode(), headers=csv)
    assert (dry.status_code, done.status_code) == (200, 200)
    assert done.json() == dry.json() | {"dry_run": False} == {
        "read": 3,
        "created": 1,
        "updated": 0,
        "unchanged": 1,
        "refused": 1,
        "refused_by_code": {"text-refused": 1},
        "errors": [
            {
                "line": 4,
                "field": "title",
                "code": "text-refused",
                "reason": "A text is missing, too long, or has characters that cannot be shown (length_max: 200)",
            }
        ],
        "dry_run": False,
    }
    refused = await owner.post(url, content="code,名\r\n".encode("gbk"), headers=csv)
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/sheet-refused")
    assert "GBK" in refused.json()["detail"]
    assert (await owner.get("/api/product-sheet-template.csv")).text == catalog.template()
