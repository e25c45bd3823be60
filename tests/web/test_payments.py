"""Payments over HTTP: the sandbox's page and the messages of providers."""

import base64
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from fakes import make_key, private_pem, public_pem
from laotie.base.ids import OrderId, PaymentId, new_id
from laotie.base.settings import Settings
from laotie.payments import WEBHOOK_BODY_BYTES_MAX, signature
from laotie.payments.signature import TOLERANCE_S
from laotie.web.house import House
from market import SECRET, Market, furnish
from people import Browser, People

CSV = {"content-type": "text/csv"}


@pytest.fixture(scope="module")
def alipay(tmp_path_factory: pytest.TempPathFactory) -> tuple[rsa.RSAPrivateKey, Path]:
    """Alipay's key, with ours in a folder beside its public half."""
    folder, theirs = tmp_path_factory.mktemp("alipay"), make_key()
    (folder / "ours.pem").write_text(private_pem(make_key()))
    (folder / "theirs.pem").write_text(public_pem(theirs))
    return theirs, folder


@pytest.fixture
def settings(alipay: tuple[rsa.RSAPrivateKey, Path]) -> Settings:
    _, folder = alipay
    return Settings(
        registrations_per_hour=10_000,
        sandbox_secret=SECRET,
        payment_providers="sandbox,alipay",
        alipay_app_id="2021000000000001",
        alipay_private_key=str(folder / "ours.pem"),
        alipay_public_key=str(folder / "theirs.pem"),
    )


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
        "captured": None,
        "refunded": {"amount": 0, "currency": "CNY"},
        "decline_reason": None,
        "code": None,
        "disputes": [],
        "description": f"Order {order_id}",
        "return_url": f"{market.settings.base_url}/orders/{order_id}/result",
        "next": None,
    }
    for _ in range(2):
        decided = await anna.post(f"{page}/outcome", json={"outcome": "approve", "trouble": "duplicate"})
        assert (decided.status_code, decided.json()) == (
            200,
            shown | {"state": "approved", "captured": shown["amount"]},
        )
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
    body = await _captured(market, payment_id, amount=9901)
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
    assert len(tallies["tallies"]) >= 15
    assert UUID(str(payment_id)).hex not in str(tallies)


async def test_the_ways_to_pay_are_public_and_say_what_they_can_do(people: People) -> None:
    stranger = people.stranger()
    methods = (await stranger.get("/api/payment-methods?currency=CNY")).json()
    assert methods == {
        "items": [
            {
                "method": "sandbox",
                "can": ["authorise", "capture", "dispute", "partial_capture", "partial_refund", "refund"],
                "currencies": [],
                "step": "redirect",
            },
            {
                "method": "alipay",
                "can": ["authorise", "partial_refund", "refund"],
                "currencies": ["CNY"],
                "step": "redirect",
            },
        ]
    }
    assert len((await stranger.get("/api/payment-methods?currency=EUR")).json()["items"]) == 1
    assert (await stranger.get("/api/payment-methods?currency=yuan")).status_code == 422


async def test_a_second_factor_over_http_counts_its_tries(people: People, market: Market) -> None:
    anna, _, payment_id = await _begin(people, market)
    page = f"/api/sandbox/payments/{payment_id}"
    shown = await anna.post(f"{page}/outcome", json={"outcome": "approve", "second_factor": True})
    assert (shown.json()["state"], len(shown.json()["code"])) == ("challenged", 6)
    for left in (2, 1):
        wrong = await anna.post(f"{page}/code", json={"code": "x"})
        assert (wrong.status_code, wrong.json()["type"], wrong.json()["tries_left"]) == (409, "/problems/code-wrong", left)
    right = await anna.post(f"{page}/code", json={"code": shown.json()["code"]})
    assert (right.json()["state"], right.json()["code"]) == ("approved", None)
    assert (await anna.post(f"{page}/code", json={"code": "x"})).json()["type"] == "/problems/already-decided"


async def test_operators_match_statements_answer_chargebacks_and_look_after_refunds(
    people: People, market: Market
) -> None:
    _, _, payment_id = await _begin(people, market)
    body = await _captured(market, payment_id)
    await people.stranger().post("/webhooks/sandbox", content=body, headers=_signed(market, body))
    await market.settle()
    opened = await _opened(market, payment_id)
    await people.stranger().post("/webhooks/sandbox", content=opened, headers=_signed(market, opened))
    await market.settle()
    olga = await people.operator("olga")
    (dispute,) = (await olga.get("/api/payment-disputes")).json()["items"]
    assert (dispute["state"], dispute["amount"]) == ("open", {"amount": 900, "currency": "CNY"})
    evidence = f"/api/payment-disputes/{dispute['id']}/evidence"
    for _ in range(2):
        assert (await olga.post(evidence, json={"text": "delivered"})).json()["state"] == "answered"
    assert (await olga.post(evidence, json={"text": "other"})).json()["type"] == "/problems/dispute-closed"
    assert (await olga.get("/api/payment-refunds")).json() == {"items": [], "next": None}
    today = market.db.clock.now().date()
    own = await olga.get(f"/api/sandbox/statements/{today}/lines.csv")
    assert own.headers["content-type"].startswith("text/csv")
    brought = await olga.post(
        "/api/payment-statements.csv?provider=sandbox&name=a.csv", content=own.content, headers=CSV
    )
    assert brought.status_code == 200, brought.text
    statement = brought.json()
    differences = (await olga.get(f"/api/payment-statements/{statement['id']}/differences")).json()["items"]
    assert [(one["kind"], one["expected"]) for one in differences] == [
        ("missing-there", "payment 99.00 CNY"),
        ("missing-there", "reversal -9.00 CNY"),
    ]
    assert statement["difference_count"] == 2
    again = (await olga.post(f"/api/payment-statements/{statement['id']}/matching")).json()
    assert {**again, "matched_at": None} == {**statement, "matched_at": None}
    bad = await olga.post(
        "/api/payment-statements.csv?provider=sandbox", content=own.content + b"x\n", headers=CSV
    )
    assert (bad.status_code, bad.json()["type"], bad.json()["line"]) == (422, "/problems/statement-unreadable", 3)
    assert [one["id"] for one in (await olga.get("/api/payment-statements")).json()["items"]] == [statement["id"]]


async def _opened(market: Market, payment_id: PaymentId) -> bytes:
    more = {"type": "dispute.opened", "amount": 900, "dispute": "sbd_1", "reason": "fraudulent"}
    return await _captured(market, payment_id, **more)


async def test_alipay_s_notice_pays_the_order_and_is_answered_with_its_word(
    people: People, market: Market, alipay: tuple[rsa.RSAPrivateKey, Path]
) -> None:
    anna, order_id, sandboxed = await _begin(people, market)
    payment_id = PaymentId(new_id())
    begun = await anna.post(f"/api/orders/{order_id}/payments", json={"id": str(payment_id), "method": "alipay"})
    assert begun.json()["next"]["url"].startswith("https://openapi.alipay.com/gateway.do?")
    fields = {
        "notify_id": "n1", "notify_type": "trade_status_sync", "app_id": "2021000000000001", "trade_no": "20261122",
        "out_trade_no": payment_id.hex, "trade_status": "TRADE_SUCCESS", "total_amount": "99.00",
    }  # fmt: skip
    text = "&".join(f"{name}={value}" for name, value in sorted(fields.items()))
    sign = alipay[0].sign(text.encode(), padding.PKCS1v15(), SHA256())
    form = fields | {"sign_type": "RSA2", "sign": base64.b64encode(sign).decode()}
    for _ in range(2):
        answer = await people.stranger().post("/webhooks/alipay", data=form)
        assert (answer.status_code, answer.text) == (200, "success")
    refused = await people.stranger().post("/webhooks/alipay", data=form | {"total_amount": "0.01"})
    assert refused.status_code == 401
    await market.settle()
    order = (await anna.get(f"/api/orders/{order_id}")).json()
    assert (order["state"], order["payment"]["id"]) == ("paid", str(payment_id))
    assert (await market.payment(sandboxed)).state == "pending"
