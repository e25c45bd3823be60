"""Payments over HTTP: the sandbox's page and the messages of providers."""

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from fakes import make_key, private_pem, public_pem
from laotie import audit, identity
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
    await audit.check_now(market.db, audit.Terms.of(market.settings))
    status = (await people.stranger().get("/api/status")).json()
    assert status["sound"] is False
    assert [one["promise"] for one in status["promises"] if one["broken_since"]] == ["statements"]
    assert [(one["promise"], one["findings"], one["closed_at"]) for one in status["incidents"]] == [("statements", 1, None)]


async def test_the_books_are_public_and_sound(people: People, market: Market) -> None:
    _, _, payment_id = await _begin(people, market)
    body = await _captured(market, payment_id)
    await people.stranger().post("/webhooks/sandbox", content=body, headers=_signed(market, body))
    await market.settle()
    status = (await people.stranger().get("/api/status")).json()
    assert (status["sound"], status["checked_at"]) == (False, None), "nobody has looked"
    await audit.check_now(market.db, audit.Terms.of(market.settings))
    status = (await people.stranger().get("/api/status")).json()
    assert status["sound"] is True
    assert (status["in_flight"], status["incidents"]) == (0, [])
    assert all(one["checked_at"] and one["whole_at"] and not one["broken_since"] for one in status["promises"])
    assert len(status["promises"]) >= 30
    assert [(day["runs"], day["broken"]) for day in status["days"]] == [(1, [])]
    assert str(payment_id) not in str(status)


async def test_the_ways_to_pay_are_public_and_say_what_they_can_do(people: People) -> None:
    stranger = people.stranger()
    methods = (await stranger.get("/api/payment-methods?currency=CNY")).json()
    assert methods == {
        "items": [
            {
                "method": "sandbox",
                "can": [
                    "authorise", "capture", "dispute", "look_up", "onboard", "partial_capture", "partial_refund", "refund",
                    "release", "split",
                ],
                "currencies": [],
                "step": "redirect",
            },
            {
                "method": "alipay",
                "can": ["authorise", "look_up", "partial_refund", "refund"],
                "currencies": ["CNY"],
                "step": "redirect",
            },
        ]
    }
    assert len((await stranger.get("/api/payment-methods?currency=EUR")).json()["items"]) == 1
    assert (await stranger.get("/api/payment-methods?currency=yuan")).status_code == 422
    assert [one["method"] for one in (await stranger.get("/api/payment-methods?wallet=true")).json()["items"]] == ["sandbox"]


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


async def test_a_buyer_has_the_sandbox_s_bank_take_money_back_and_decide(people: People, market: Market) -> None:
    anna, _, payment_id = await _begin(people, market)
    page = f"/api/sandbox/payments/{payment_id}"
    await anna.post(f"{page}/outcome", json={"outcome": "approve"})
    await market.settle()
    new = {"id": str(new_id()), "reason": "not-received", "amount": 900, "evidence_s": 3_600}
    shown = await anna.post(f"{page}/disputes", json=new)
    (dispute,) = shown.json()["disputes"]
    assert (dispute["id"], dispute["state"], dispute["amount"]) == (new["id"], "open", {"amount": 900, "currency": "CNY"})
    url = f"/api/sandbox/disputes/{new['id']}/decision"
    decided = await anna.post(url, json={"won": True})
    assert (decided.status_code, decided.json()["disputes"][0]["state"]) == (200, "won")
    assert (await (await people.viewer("eve")).post(url, json={"won": False})).status_code == 404


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


async def test_a_shop_opens_its_account_and_the_sandbox_s_page_decides_on_it(people: People, market: Market) -> None:
    owner = await people.viewer("boss")
    async with market.db.tx() as tx:
        await identity.grant_seat(
            tx, market.owner, market.shop_id, handle="boss", scopes=[identity.Scope.money]
        )
    path = f"/api/shops/{market.shop_id}/seller-accounts"
    before = (await owner.get(path)).json()
    assert before == {
        "items": [{"provider": "sandbox", "currencies": [], "seller": None}], "self_operated": False, "pooling": False
    }  # fmt: skip
    step = (await owner.post(path, json={"provider": "sandbox", "country": "CN"})).json()
    assert (step["seller"]["state"], step["url"]) == ("pending", f"/sandbox-account/{step['seller']['id']}")
    page = f"/api{step['url'].replace('sandbox-account', 'sandbox/accounts')}"
    assert (await (await people.viewer("anna")).get(page)).status_code == 404
    assert (await owner.get(page)).json()["balances"] == []
    judged = await owner.post(f"{page}/judgement", json={"state": "limited", "reason": "a licence is missing"})
    assert judged.json()["state"] == "limited"
    olga = await people.operator("olga")
    checked = await olga.post(f"/api/seller-accounts/{step['seller']['id']}/check")
    assert (checked.json()["state"], checked.json()["reason"]) == ("limited", "a licence is missing")
    listed = (await olga.get("/api/seller-accounts")).json()["items"]
    assert [one["owner_id"] for one in listed] == [str(market.shop_id)]
    no = await owner.post(path, json={"provider": "alipay"})
    assert (no.status_code, no.json()["type"]) == (409, "/problems/provider-cannot")
    own = (await owner.post("/api/me/seller-accounts", json={"provider": "sandbox"})).json()
    assert (own["seller"]["kind"], own["seller"]["state"]) == ("streamer", "pending")
    desk = (await olga.get("/api/payment-providers")).json()
    assert [(one["provider"], one["splits"]) for one in desk["channels"]] == [("sandbox", True), ("alipay", False)]


async def test_two_operators_settle_what_did_not_fit(people: People, market: Market) -> None:
    _, _, payment_id = await _begin(people, market)
    body = await _captured(market, payment_id, amount=9901)
    await people.stranger().post("/webhooks/sandbox", content=body, headers=_signed(market, body))
    olga, otto = await people.operator("olga"), await people.operator("otto")
    (found,) = (await olga.get("/api/payment-discrepancies")).json()["items"]
    assert (found["expected"], found["found"]) == ("99.00 CNY", "99.01 CNY")
    ask = {
        "id": str(new_id()), "discrepancy_id": found["id"], "reason": "one cent too much",
        "correction": {"amount": 1, "currency": "CNY"},
    }  # fmt: skip
    for _ in range(2):
        proposed = await olga.post("/api/payment-resolutions", json=ask)
        assert (proposed.status_code, proposed.json()["state"]) == (201, "proposed")
    decision = f"/api/payment-resolutions/{ask['id']}/decision"
    own = await olga.post(decision, json={"settle": True})
    assert (own.status_code, own.json()["type"]) == (403, "/problems/second-person-needed")
    settled = (await otto.post(decision, json={"settle": True})).json()
    assert (settled["state"], settled["proposed_by"]["name"], settled["decided_by"]["name"]) == ("settled", "Olga", "Otto")
    assert (await olga.get("/api/payment-discrepancies")).json()["items"] == []
    history = (await otto.get("/api/payment-resolutions?state=settled")).json()["items"]
    assert [one["correction"] for one in history] == [{"amount": 1, "currency": "CNY"}]


async def test_alipay_s_notice_pays_the_order_and_is_answered_with_its_word(
    people: People, market: Market, alipay: tuple[rsa.RSAPrivateKey, Path]
) -> None:
    anna, order_id, sandboxed = await _begin(people, market)
    payment_id = PaymentId(new_id())
    ask = {"id": str(payment_id), "method": "alipay"}
    pooled = await anna.post(f"/api/orders/{order_id}/payments", json=ask)
    assert (pooled.status_code, pooled.json()["type"], pooled.json()["instead"]) == (409, "/problems/pooling-off", ["sandbox"])
    olga = await people.operator("olga")
    own = f"/api/shops/{market.shop_id}/self-operated"
    assert (await olga.put(own, json={"own": True})).json() == {"own": True}
    offered = (await anna.get(f"/api/payment-methods?shop_id={market.shop_id}")).json()["items"]
    assert [one["method"] for one in offered] == ["sandbox", "alipay"]
    begun = await anna.post(f"/api/orders/{order_id}/payments", json=ask)
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
