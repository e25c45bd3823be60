"""The demonstration's brand: registered by its owner, verified by the operator, sold by the fisherman, with a batch.

Made up, and says so; made over HTTP as everybody does, once. The papers are one-page PDFs written here.
"""

import asyncio
from datetime import timedelta
from typing import Any

from laotie.base.clock import Clock
from laotie.demo.client import Person, RequestRefused
from laotie.demo.goods import SEA
from laotie.demo.market import BRAND_OWNER, OPERATOR, PASSWORD, demo_id

BRAND = {"name_zh": "潮头", "name_en": "Chaotou"}
SOLD = ("SC-FRESH", "SC-DRY")
FILM_WAIT_S = 120
CERTIFICATE = [
    "CERTIFICATE OF TRADEMARK REGISTRATION", "", "DEMONSTRATION - not a real document", "", "Registration No. 88001688",
    "Trademark: Chaotou", "Class 29: sea cucumbers, not live; seafood, dried", "Registrant: Chaotou Seafood (demo)",
]  # fmt: skip
TEST_REPORT = [
    "TEST REPORT  No. QT-2026-1108", "", "DEMONSTRATION - not a real document", "",
    "Sample: instant sea cucumber, batch CT-1108", "Lead (Pb)           0.08 mg/kg    limit 0.5      pass",
    "Cadmium (Cd)        0.11 mg/kg    limit 2.0      pass", "Total plate count   120 CFU/g     limit 10000    pass",
    "Chloramphenicol     not detected                  pass", "", "Conclusion: the sample meets GB 31602-2015.",
]  # fmt: skip
ORIGIN = [
    "STATEMENT OF ORIGIN", "", "DEMONSTRATION - not a real document", "", "Waters: Changhai county, sea area 2107-17",
    "Raised on the sea bed for 38 months", "Harvested 8 November 2026 by boat Liaochang 5512", "",
    "Landed, cleaned and frozen the same day.",
]  # fmt: skip


async def bring_brand(streamer: Person) -> None:
    """What is missing of the brand, the authorisation and the batch; `streamer` owns the shop that sells it."""
    async with Person(streamer.url) as owner, Person(streamer.url) as operator:
        await owner.sign_in(BRAND_OWNER, PASSWORD)
        await operator.sign_in(OPERATOR, PASSWORD)
        if not (await owner.call("GET", "/api/brands/mine"))["items"]:
            await _register(owner)
            await operator.call("POST", f"/api/brands/{demo_id('brand')}/decision", {"verified": True})
            await _grant(owner)
    for code in SOLD:
        product = await streamer.call("GET", f"/api/products/{demo_id('product', code)}")
        if product["brand_id"] is None:
            await streamer.call("PATCH", f"/api/products/{product['id']}", {"brand_id": str(demo_id("brand"))})
    product_id = demo_id("product", SOLD[0])
    if not (await streamer.call("GET", f"/api/products/{product_id}/batches"))["items"]:
        await _enter_batch(streamer, str(product_id))


async def _register(owner: Person) -> None:
    mark = {
        "id": str(demo_id("trademark")),
        "office": "CNIPA",
        "number": "88001688",
        "class_no": 29,
        "name": "潮头",
        "ends_at": _in_days(3_000),
        "document_id": await _bring(owner, "certificate", CERTIFICATE),
    }
    await owner.call("POST", "/api/brands", {"id": str(demo_id("brand")), **BRAND, "trademarks": [mark]})


async def _grant(owner: Person) -> None:
    terms = {
        "id": str(demo_id("authorisation")),
        "shop_id": str(demo_id("shop", SEA.handle)),
        "categories": ["海参"],
        "stores": [SEA.stores[0][0]],
        "starts_at": _in_days(0),
        "ends_at": _in_days(200),
    }
    await owner.call("POST", f"/api/brands/{demo_id('brand')}/authorisations", terms)


async def _enter_batch(streamer: Person, product_id: str) -> None:
    batch: dict[str, Any] = {
        "id": str(demo_id("batch")),
        "code": "CT-1108",
        "made_on": "2026-11-08",
        "best_before_on": "2027-11-08",
        "origin": "大连长海 · 獐子岛海域 2107-17 号",
        "quantity": 4_000,
        "documents": [
            {
                "document_id": await _bring(streamer, "test", TEST_REPORT),
                "kind": "inspection",
                "title": "【演示】重金属与微生物检测",
            },
            {
                "document_id": await _bring(streamer, "origin", ORIGIN),
                "kind": "certificate",
                "title": "【演示】海域与捕捞证明",
            },
        ],
        "video_id": await _film(streamer),
    }
    await streamer.call("POST", f"/api/products/{product_id}/batches", batch)
    await streamer.call("PUT", f"/api/batches/{batch['id']}/current")


async def _film(streamer: Person) -> str | None:
    """The first short video of the shop, when it is ready; none if that takes too long."""
    for _ in range(FILM_WAIT_S):
        videos = (await streamer.call("GET", f"/api/shops/{demo_id('shop', SEA.handle)}/videos"))["items"]
        ready = [one["id"] for one in videos if one["film_state"] == "ready" and one["state"] == "published"]
        if ready:
            return str(ready[-1])
        await asyncio.sleep(1)
    return None


async def _bring(person: Person, name: str, lines: list[str]) -> str:
    document = str(demo_id("document", name))
    try:
        await person.send_bytes("PUT", f"/api/documents/{document}", paper(lines))
    except RequestRefused as refused:
        if refused.problem.get("type") != "/problems/id-reused":
            raise
    return document


def paper(lines: list[str]) -> bytes:
    """A PDF of one A4 page with these lines (ASCII) in Helvetica, the first one large."""
    text = ["BT /F1 18 Tf 56 770 Td 22 TL"]
    for number, line in enumerate(lines):
        said = line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        text.append(f"({said}) Tj T*" + (" /F1 11 Tf 18 TL" if number == 0 else ""))
    stream = "\n".join([*text, "ET", "0.85 0.25 0.15 RG 3 w 56 758 m 539 758 l S"]).encode("ascii")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table + end


def _in_days(days: int) -> str:
    return (Clock().now() + timedelta(days=days)).isoformat()
