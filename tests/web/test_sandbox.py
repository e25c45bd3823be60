"""A sandbox shop: its people's alone, paid by the sandbox alone, and nothing of it in public. Pace of keys."""

from uuid import UUID, uuid4

import httpx
import pytest

from laotie import orders, payments
from laotie.base.db import Database
from laotie.base.ids import OrderId, PaymentId, ShopId, new_id
from laotie.base.settings import Settings
from laotie.catalog import SandboxShop
from laotie.identity import TokenScope
from laotie.web import sandbox
from people import Browser, People, problem
from world import made


async def open_sandbox(owner: Browser) -> str:
    """The owner's sandbox shop."""
    shop = str(new_id())
    answer = await made(owner.post("/api/sandbox-shops", json={"id": shop}))
    assert answer["is_sandbox"] and (await made(owner.post("/api/sandbox-shops", json={"id": shop}))) == answer
    return shop


async def test_nobody_else_sees_a_sandbox_shop(people: People) -> None:
    dev, other, stranger = await people.viewer("dev"), await people.viewer("other"), people.stranger()
    shop = await open_sandbox(dev)
    assert [seat["is_sandbox"] for seat in (await made(dev.get("/api/me")))["seats"]] == [True]
    (product, *_) = (await made(dev.get(f"/api/shops/{shop}/products")))["items"]
    for path in (f"/api/shops/{shop}", f"/api/products/{product['id']}", f"/api/shops/{shop}/products"):
        assert (await dev.get(path)).status_code == 200
        for who in (other, stranger):
            assert (await who.get(path)).status_code in (401, 404), path
    for path in ("/api/products", f"/api/products?shop_id={shop}", "/api/categories", f"/api/categories?shop_id={shop}"):
        assert (await made(stranger.get(path)))["items"] == []
    assert (await made(other.get(f"/api/shops?name={'沙盒小店'}")))["items"] == []
    line = {"sku_id": product["skus"][0]["id"], "quantity": 1, "unit_price": product["skus"][0]["price"]}
    for buyer in (dev, other):
        refused = await buyer.post("/api/orders", json={"id": str(new_id()), "lines": [line]})
        assert problem(refused)["type"] == "/problems/off-shelf"


async def test_it_has_no_public_side(people: People) -> None:
    dev = await people.viewer("dev")
    shop = await open_sandbox(dev)
    room = {"id": str(new_id()), "shop_id": shop, "title": "房间"}
    assert problem(await dev.post("/api/rooms/mine", json=room))["type"] == "/problems/sandbox-shop"
    plain = str(new_id())
    await made(dev.post("/api/shops", json={"id": plain, "name": "真店", "currency": "CNY"}))
    wanted = await dev.post(f"/api/shops/{plain}/sandbox/orders", json={"id": str(new_id())})
    assert problem(wanted)["type"] == "/problems/no-sandbox-shop"
    await open_sandbox(dev)
    await open_sandbox(dev)
    assert problem(await dev.post("/api/sandbox-shops", json={"id": str(new_id())}))["type"] == "/problems/too-many"


async def test_real_money_never_pays_there_and_the_sandbox_always_may(people: People, db: Database) -> None:
    dev = await people.viewer("dev")
    shop = await open_sandbox(dev)
    order = await made(dev.post(f"/api/shops/{shop}/sandbox/orders", json={"id": str(new_id())}))
    buyer = sandbox._buyer_of(ShopId(UUID(shop)))
    real = Settings(payment_providers="stripe")
    async with db.tx() as tx:
        for provider, refusal in (("stripe", SandboxShop), ("gold", SandboxShop)):
            with pytest.raises(refusal):
                await orders.start_payment(
                    tx, buyer, real, OrderId(UUID(order["id"])), PaymentId(new_id()), provider=provider
                )
        payment = await orders.start_payment(
            tx, buyer, real, OrderId(UUID(order["id"])), PaymentId(new_id()), provider="sandbox"
        )
    assert payment.provider == "sandbox"
    assert payments.open_provider("sandbox", db=db, settings=real).can
    with pytest.raises(payments.NoSuchProvider):
        payments.check_method(real, "sandbox", currency="CNY")


async def test_somebody_else_s_goods_cannot_be_simulated(people: People) -> None:
    dev, other = await people.viewer("dev"), await people.viewer("other")
    shop, foreign = await open_sandbox(dev), await open_sandbox(other)
    (product, *_) = (await made(other.get(f"/api/shops/{foreign}/products")))["items"]
    lines = [{"sku_id": product["skus"][0]["id"]}]
    refused = await dev.post(f"/api/shops/{shop}/sandbox/orders", json={"id": str(uuid4()), "lines": lines})
    assert refused.status_code == 404
    assert (await dev.post(f"/api/shops/{foreign}/sandbox/orders", json={"id": str(uuid4())})).status_code == 404
    own = await made(dev.post(f"/api/shops/{shop}/sandbox/orders", json={"id": str(uuid4())}))
    happening = {"id": str(uuid4()), "happening": "refund"}
    path = f"sandbox/orders/{own['id']}/happenings"
    assert (await made(dev.post(f"/api/shops/{shop}/{path}", json=happening)))["state"] == "cancelled"
    assert (await other.post(f"/api/shops/{shop}/{path}", json=happening)).status_code == 404
    assert (await other.post(f"/api/shops/{foreign}/{path}", json=happening)).status_code == 404


class TestPace:
    """How often a key may ask."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(registrations_per_hour=10_000, api_requests_per_minute=3)

    async def test_a_key_is_told_its_pace_and_held_to_it(self, people: People) -> None:
        dev = await people.viewer("dev")
        one, two = [await people.api_client(dev, TokenScope.catalog) for _ in range(2)]
        seen = [await one.get("/api/products") for _ in range(4)]
        assert [answer.status_code for answer in seen] == [200, 200, 200, 429]
        assert [answer.headers["ratelimit-remaining"] for answer in seen] == ["2", "1", "0", "0"]
        last = seen[-1]
        assert last.headers["ratelimit-limit"] == "3" and last.headers["retry-after"] == last.headers["ratelimit-reset"]
        assert problem(last)["type"] == "/problems/too-fast"
        assert (await two.get("/api/products")).status_code == 200
        page: httpx.Response = await dev.get("/api/products")
        assert page.status_code == 200 and "ratelimit-limit" not in page.headers
