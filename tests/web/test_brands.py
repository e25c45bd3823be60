"""Brands, documents and batches as their pages talk about them."""

import io
from typing import Any
from uuid import UUID

import pytest
from PIL import Image

from laotie import catalog
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import new_id
from laotie.base.settings import Settings
from people import Browser, People, problem
from world import World, made, make_world

OCTETS = {"content-type": "application/octet-stream"}
ENDS = "2036-01-01T00:00:00Z"


def pdf(pages: int = 2, size: tuple[int, int] = (300, 400)) -> bytes:
    """An honest document."""
    page, out = Image.new("RGB", size, (250, 245, 235)), io.BytesIO()
    page.save(out, "PDF", save_all=True, append_images=[page] * (pages - 1))
    return out.getvalue()


@pytest.fixture
async def world(people: People) -> World:
    """See `tests/world.py`."""
    return await make_world(people)


async def bring(browser: Browser, content: bytes) -> Any:
    document = str(new_id())
    await made(browser.put(f"/api/documents/{document}", content=content, headers=OCTETS))
    return document


async def ask_brand(browser: Browser, name: str = "獐子岛", number: str = "1234567") -> Any:
    trademark = {
        "id": str(new_id()), "office": "cnipa", "number": number, "class_no": 29, "name": name, "ends_at": ENDS,
        "document_id": await bring(browser, pdf(1)),
    }  # fmt: skip
    brand = {"id": str(new_id()), "name_zh": name, "name_en": "", "trademarks": [trademark]}
    return await made(browser.post("/api/brands", json=brand))


async def verify(world: World, brand: Any) -> Any:
    return await made(world["operator"].post(f"/api/brands/{brand['id']}/decision", json={"verified": True}))


async def test_a_brand_is_asked_for_verified_and_found(world: World) -> None:
    anna = world["viewer"]
    asked = await ask_brand(anna)
    trademark = asked["trademarks"][0]
    assert asked == {
        "id": asked["id"],
        "owner_id": str(anna.account_id),
        "name_zh": "獐子岛",
        "name_en": "",
        "logo": None,
        "state": "asked",
        "reason": "",
        "created_at": asked["created_at"],
        "trademarks": [
            {
                "id": trademark["id"],
                "brand_id": asked["id"],
                "office": "CNIPA",
                "number": "1234567",
                "class_no": 29,
                "name": "獐子岛",
                "ends_at": ENDS,
                "document_id": trademark["document_id"],
                "state": "asked",
                "reason": "",
            }
        ],
        "similar": [],
    }
    assert (await made(anna.get("/api/brands?q=獐子"))) == {"items": []}
    queue = await made(world["operator"].get("/api/brands/asked"))
    assert [brand["id"] for brand in queue["items"]] == [asked["id"]]
    page = f"/api/documents/{trademark['document_id']}/pages/1"
    assert (await world["operator"].get(page)).status_code == 200
    assert (await world["other"].get(page)).status_code == 404
    await verify(world, asked)
    assert (await made(world["other"].get("/api/brands?q=獐子"))) == {
        "items": [{"id": asked["id"], "name_zh": "獐子岛", "name_en": "", "logo": None}]
    }
    draft = {
        name: trademark[name] for name in ("office", "number", "class_no", "name", "ends_at")
    } | {"id": str(new_id())}
    refused = await world["other"].post(
        "/api/brands", json={"id": str(new_id()), "name_zh": "獐 子 島", "trademarks": [draft]}
    )
    assert problem(refused) == {
        "type": "/problems/brand-taken",
        "title": "A verified brand bears this name, or one that looks like it; ask its owner for an authorisation.",
        "status": 409,
        "detail": problem(refused)["detail"],
        "brand_id": asked["id"],
        "brand": "獐子岛",
    }
    similar = await ask_brand(world["other"], name="獐子岛海鲜", number="99")
    queue = await made(world["operator"].get("/api/brands/asked"))
    assert [(brand["id"], brand["similar"]) for brand in queue["items"]] == [(similar["id"], ["獐子岛"])]


async def test_a_shop_asks_is_granted_sells_and_loses_it_again(world: World, db: Database, clock: Clock) -> None:
    anna, owner = world["viewer"], world["owner"]
    brand = await verify(world, await ask_brand(anna))
    refused = await owner.patch(f"/api/products/{world.product}", json={"brand_id": brand["id"]})
    assert (refused.status_code, problem(refused)["type"], problem(refused)["brand"]) == (
        409,
        "/problems/not-authorised",
        "獐子岛",
    )
    now = clock.now().isoformat()
    until = f"{clock.now().year + 1}-06-01T00:00:00Z"
    asked = {"id": str(new_id()), "brand_id": brand["id"], "starts_at": now, "ends_at": until, "note": "想卖"}
    await made(owner.post(f"/api/shops/{world.shop}/authorisations", json=asked))
    [waiting] = (await made(anna.get(f"/api/brands/{brand['id']}/authorisations")))["items"]
    assert (waiting["state"], waiting["shop"], waiting["note"]) == ("asked", "海边人家", "想卖")
    granted = await made(anna.post(f"/api/authorisations/{asked['id']}/decision", json={"granted": True}))
    assert granted["is_live"]
    product = await made(owner.patch(f"/api/products/{world.product}", json={"brand_id": brand["id"]}))
    assert (product["brand_id"], product["state"]) == (brand["id"], "listed")
    cart = await made(world["guest"].get(f"/api/shows/{world.show}/cart"))
    origin = {"brand": "獐子岛", "is_owner": False, "until": until, "batch": None}
    assert [item["origin"] for item in cart["items"]] == [origin]
    seen = await made(world["guest"].get(f"/api/products/{world.product}/provenance"))
    assert seen == {
        "brand": {
            "id": brand["id"],
            "name_zh": "獐子岛",
            "name_en": "",
            "logo": None,
            "rights": {"is_owner": False, "until": until},
        },
        "batch": None,
    }
    assert (await made(world["guest"].get(f"/api/shops/{world.shop}/brands")))["items"][0]["until"] == until
    taken = await made(anna.post(f"/api/authorisations/{asked['id']}/revocation", json={"reason": "卖假货"}))
    assert (taken["state"], taken["is_live"]) == ("revoked", False)
    assert await catalog.covering.end_uncovered(db) == 1
    gone = await made(owner.get(f"/api/products/{world.product}"))
    assert (gone["state"], gone["delisted_why"]) == ("delisted", "not_authorised")
    [item] = (await made(world["guest"].get(f"/api/shows/{world.show}/cart")))["items"]
    assert not item["on_shelf"]
    notices = (await made(owner.get("/api/me/notices")))["items"]
    assert {"products_uncovered", "authorisation_decided"} <= {notice["kind"] for notice in notices}


async def test_a_batch_is_shown_with_its_documents_and_stays_on_the_order(world: World, people: People) -> None:
    owner = world["owner"]
    document = await bring(owner, pdf(2))
    batch = {
        "id": str(new_id()),
        "code": "2026-11-A",
        "made_on": "2026-11-01",
        "best_before_on": "2027-11-01",
        "origin": "大连 · 獐子岛",
        "quantity": 500,
        "documents": [{"document_id": document, "kind": "inspection", "title": "重金属检测"}],
        "video_id": None,
    }
    entered = await made(owner.post(f"/api/products/{world.product}/batches", json=batch))
    assert entered == await made(owner.post(f"/api/products/{world.product}/batches", json=batch))
    assert entered["documents"][0]["page_count"] == 2 and len(entered["documents"][0]["digest"]) == 64
    twin = await owner.post(f"/api/products/{world.product}/batches", json=batch | {"id": str(new_id())})
    assert problem(twin)["type"] == "/problems/batch-code-taken"
    assert (await made(world["guest"].get(f"/api/products/{world.product}/provenance")))["batch"] is None
    await made(owner.put(f"/api/batches/{batch['id']}/current"))
    seen = await made(world["guest"].get(f"/api/products/{world.product}/provenance"))
    assert seen["batch"] == entered | {"is_current": True}
    stranger = people.stranger()
    page = await stranger.get(f"/api/documents/{document}/pages/2")
    assert (page.status_code, page.content[:4], page.content[8:12]) == (200, b"RIFF", b"WEBP")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["content-disposition"] == f'inline; filename="{document}-2.webp"'
    assert "sandbox" in page.headers["content-security-policy"]
    assert (await stranger.get(f"/api/documents/{document}/pages/3")).status_code == 404

    line = {"sku_id": world.sku, "quantity": 2, "unit_price": {"amount": 9900, "currency": "CNY"}}
    order = await made(world["viewer"].post("/api/orders", json={"id": str(new_id()), "lines": [line]}))
    second = batch | {"id": str(new_id()), "code": "2026-11-B", "documents": []}
    await made(owner.post(f"/api/products/{world.product}/batches", json=second))
    await made(owner.put(f"/api/batches/{second['id']}/current"))
    recalled = await made(owner.post(f"/api/batches/{batch['id']}/recall", json={"reason": "标签印错"}))
    assert recalled["state"] == "recalled"
    sold = (await made(world["viewer"].get(f"/api/orders/{order['id']}/provenance")))["items"]
    assert [(one["line"], one["title"], one["batch"]["code"], one["batch"]["state"], one["batch"]["reason"]) for one in sold] == [
        (1, "海参", "2026-11-A", "recalled", "标签印错")
    ]
    assert (await made(world["viewer"].get(f"/api/orders/{world.order}/provenance"))) == {"items": []}
    reached = (await made(owner.get(f"/api/batches/{batch['id']}/orders")))["items"]
    assert [(one["order_id"], one["quantity"], one["kept_quantity"]) for one in reached] == [(order["id"], 2, 2)]
    log = (await made(owner.get(f"/api/batches/{batch['id']}/log")))["items"]
    assert [(entry["act"], entry["reason"]) for entry in log] == [
        ("entered", ""),
        ("current", ""),
        ("recalled", "标签印错"),
    ]
    again = await owner.put(f"/api/batches/{batch['id']}/current")
    assert problem(again)["type"] == "/problems/batch-over"


async def test_a_batch_is_not_rewritten_even_by_hand(world: World, db: Database) -> None:
    owner = world["owner"]
    batch: dict[str, Any] = {"id": str(new_id()), "code": "A", "made_on": "2026-11-01", "origin": "大连", "quantity": 5}
    await made(owner.post(f"/api/products/{world.product}/batches", json=batch))
    with pytest.raises(Exception, match="a batch is not changed"):
        async with db.tx() as tx:
            await tx.run("UPDATE catalog.batch SET origin = '威海' WHERE id = %(id)s", id=UUID(batch["id"]))
    for wrong in ({"quantity": 0}, {"best_before_on": "2026-01-01"}, {"video_id": str(new_id())}):
        answer = await owner.post(
            f"/api/products/{world.product}/batches", json=batch | {"id": str(new_id()), "code": "B"} | wrong
        )
        assert problem(answer)["type"] == "/problems/terms-refused", wrong
    theirs = await bring(world["viewer"], pdf(1))
    answer = await owner.post(
        f"/api/products/{world.product}/batches",
        json=batch
        | {"id": str(new_id()), "code": "C", "documents": [{"document_id": theirs, "kind": "other", "title": "…"}]},
    )
    assert problem(answer)["type"] == "/problems/document-gone"


HOSTILE = {
    "a page that says it is a PDF": (b"<html><script>alert(1)</script>%PDF-1.7", "not-a-document"),
    "a drawing with a script": (b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", "not-a-document"),
    "a PDF in name alone": (b"%PDF-1.7\n<html><script>alert(1)</script></html>", "document-broken"),
    "a PDF cut off": (pdf(1)[:300], "document-broken"),
    "a PDF of too many pages": (pdf(25, (20, 20)), "document-too-long"),
    "an archive": (b"PK\x03\x04" + b"\0" * 100, "not-a-document"),
    "nothing": (b"", "upload-empty"),
    "a page of miles": (pdf(1).replace(b"0 0 300.0", b"0 0 99999", 1), "document-broken"),
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_hostile_documents_are_refused_and_leave_nothing(people: People, settings: Settings, kind: str) -> None:
    content, code = HOSTILE[kind]
    anna = await people.viewer("anna")
    answer = await anna.put(f"/api/documents/{new_id()}", content=content, headers=OCTETS)
    assert problem(answer)["type"] == f"/problems/{code}"
    assert [path for path in settings.data_path.rglob("*") if path.is_file()] == []


async def test_a_polyglot_is_kept_as_its_pages_alone(people: People, settings: Settings) -> None:
    anna = await people.viewer("anna")
    script = b"<script>alert(document.cookie)</script>"
    polyglot = pdf(1) + b"\n" + script + b"PK\x03\x04"
    document = await bring(anna, polyglot)
    files = [path for path in settings.data_path.rglob("*") if path.is_file()]
    assert [path.name for path in files] == [f"{document}-1.webp"]
    assert script not in files[0].read_bytes() and files[0].read_bytes()[:4] == b"RIFF"
    again = await made(anna.put(f"/api/documents/{document}", content=polyglot, headers=OCTETS))
    assert again["page_count"] == 1
    other = await anna.put(f"/api/documents/{document}", content=pdf(2), headers=OCTETS)
    assert problem(other)["type"] == "/problems/id-reused"


async def test_a_document_that_is_too_large_is_not_read_to_its_end(people: People) -> None:
    anna = await people.viewer("anna")
    answer = await anna.put(f"/api/documents/{new_id()}", content=b"%PDF-1.7" + b"\0" * (20 * 1024 * 1024), headers=OCTETS)
    assert problem(answer)["type"] == "/problems/upload-too-large"
