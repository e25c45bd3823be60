"""Payments over HTTP: the sandbox's page and the messages of providers."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from laotie.base.ids import OrderId, PaymentId, new_id
from laotie.base.settings import Settings
from laotie.payments import WEBHOOK_BODY_BYTES_MAX, signature
from laotie.payments.signature import TOLERANCE_S
from laotie.web.house import House
from market import SECRET, Market, furnish
from people import Browser, People


@pytest.fixture
def settings() -> Settings:
    return Settings(registrations_per_hour=10_000, sandbox_secret=SECRET)


@pytest.fixture
async def market(house: House) -> Market:
    return await furnish(house)


async def _begin(people: People, market: Market) -> tuple[Browser, OrderId, PaymentId]:
    anna = await people.viewer("anna")
    item = await market.add_item(price=9900)
    placed = await market.till.place(market.ask(anna.actor, item))
    address = {"name": "王", "phone": "13800000000", "country": "CN", "city": "青岛", "street": "海边路 1 号"}
    address_id = (await anna.post("/api/me/addresses", json={"id": str(new_id()), **address})).json()["id"]
    await anna.put(f"/api/orders/{placed.id}/address", json={"address_id": address_id})
    payment_id = PaymentId(new_id())
    body = {"id": str(payment_id), "method": "sandbox"}
    for _ in range(2):
        begun = await anna.post(f"/api/orders/{placed.id}/payments", json=body)
        assert (begun.status_code, begun.json()["state"]) == (201, "pending")
    return anna, placed.id, payment_id


def _signed(market: Market, body: bytes, *, secret: str = SECRET, ago_s: int = 0) -> dict[str, str]:
    at = market.db.clock.now()
    headers = signature.sign([secret.encode()], str(new_id()), at=at.fromtimestamp(at.timestamp() - ago_s, at.tzinfo),
                             body=body)
    return headers | {"content-type": "application/json"}


async def _captured(market: Market, payment_id: PaymentId, **changes: Any) -> bytes:
    payment = await market.payment(payment_id)
    message = {
        "type": "payment.captured",
        "payment": payment_id,
        "number": payment.provider_ref,
        "amount": 9900,
        "currency": "CNY",
    }
    return msgspec.json.encode(message | changes)


async def test_the_page_shows_the_payment_and_takes_one_decision(people: People, market: Market) -> None:
    anna, order_id, payment_id = await _begin(people, market)
    page = f"/api/sandbox/payments/{payment_id}"
    shown = (await anna.get(page)).json()
    assert shown == {
        "id": str(payment_id),
        "order_id": str(order_id),
        "number": (await market.payment(payment_id)).provider_ref,
        "state": "open",
        "amount": {"amount": 9900, "currency": "CNY"},
        "description": f"Order {order_id}",
        "return_url": f"{market.settings.base_url}/orders/{order_id}/result",
        "next": None,
    }
    for _ in range(2):
        decided = await anna.post(f"{page}/outcome", json={"outcome": "approve", "trouble": "duplicate"})
        assert (decided.status_code, decided.json()) == (200, shown | {"state": "approved"})
    other = await anna.post(f"{page}/outcome", json={"outcome": "decline"})
    assert (other.status_code, other.json()["type"], other.json()["state"]) == (
        409,
        "/problems/already-decided",
        "approved",
    )
    wrong = await anna.post(f"{page}/outcome", json={"outcome": "maybe"})
    assert wrong.status_code == 422


async def test_a_signed_message_pays_the_order_and_its_repetition_changes_nothing(
    people: People, market: Market
) -> None:
    anna, order_id, payment_id = await _begin(people, market)
    body = await _captured(market, payment_id)
    headers = _signed(market, body)
    stranger = people.stranger()
    for verdict in ("applied", "repeated", "repeated"):
        answer = await stranger.post("/webhooks/sandbox", content=body, headers=headers)
        assert (answer.status_code, answer.json()) == (200, {"verdict": verdict})
    await market.settle()
    assert (await anna.get(f"/api/orders/{order_id}")).json()["state"] == "paid"
    payment = (await anna.get(f"/api/payments/{payment_id}")).json()
    assert (payment["state"], payment["next"]) == ("captured", None)


async def test_what_is_not_signed_or_too_old_is_401_and_leaves_no_trace(people: People, market: Market) -> None:
    _, _, payment_id = await _begin(people, market)
    body = await _captured(market, payment_id)
    stranger = people.stranger()
    for headers in (
        {"content-type": "application/json"},
        _signed(market, body, secret="another secret"),
        _signed(market, body + b" "),
        _signed(market, body, ago_s=TOLERANCE_S + 2),
        _signed(market, body, ago_s=-TOLERANCE_S - 2),
    ):
        answer = await stranger.post("/webhooks/sandbox", content=body, headers=headers)
        assert answer.status_code == 401, answer.text
        assert answer.json()["type"] == "/problems/signature-refused"
    async with market.db.read() as tx:
        assert await tx.one(int, "SELECT count(*) FROM payments.webhook_inbox") == 0


async def test_other_messages_other_providers_and_huge_bodies(people: People, market: Market) -> None:
    stranger = people.stranger()
    for body in (b'{"type":"dispute.opened","n":[1]}', b"\xff\xfe", b""):
        answer = await stranger.post("/webhooks/sandbox", content=body, headers=_signed(market, body))
        assert (answer.status_code, answer.json()) == (200, {"verdict": "not_understood"})
    assert (await stranger.post("/webhooks/gold", content=b"{}", headers=_signed(market, b"{}"))).status_code == 404
    huge = b"x" * (WEBHOOK_BODY_BYTES_MAX + 1)
    assert (await stranger.post("/webhooks/sandbox", content=huge, headers=_signed(market, huge))).status_code == 413


async def test_a_capture_of_another_sum_is_taken_note_of(people: People, market: Market) -> None:
    anna, _, payment_id = await _begin(people, market)
    body = await _captured(market, payment_id, amount=1)
    answer = await people.stranger().post("/webhooks/sandbox", content=body, headers=_signed(market, body))
    assert (answer.status_code, answer.json()) == (200, {"verdict": "discrepancy"})
    assert (await anna.get(f"/api/payments/{payment_id}")).json()["state"] == "pending"
    tallies = (await anna.get("/api/audit/tallies")).json()
    assert tallies["sound"] is False
    assert [(one["found"], one["facts"]) for one in tallies["tallies"] if one["name"].startswith("payments:")] == [
        (1, {"captured": 0, "refunds_open": 0})
    ]


async def test_the_books_are_public_and_sound(people: People, market: Market) -> None:
    _, _, payment_id = await _begin(people, market)
    body = await _captured(market, payment_id)
    await people.stranger().post("/webhooks/sandbox", content=body, headers=_signed(market, body))
    await market.settle()
    tallies = (await people.stranger().get("/api/audit/tallies")).json()
    assert tallies["sound"] is True
    assert tallies["in_flight"] == 0
    assert all(one["found"] == 0 and one["sound"] for one in tallies["tallies"])
    assert len(tallies["tallies"]) == 15
    assert UUID(str(payment_id)).hex not in str(tallies)
