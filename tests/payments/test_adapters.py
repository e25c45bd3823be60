"""Stripe, Alipay and WeChat Pay against local servers that behave as their documents say; signatures proven apart.

Published vectors: WeChat Pay's documents sign an example request with a test key that they print; we sign the same and
must get theirs (`test_wechat_s_published_example_comes_out_the_same`). Alipay's documents show how the string to be
signed is put together, but no key that fits; Stripe's show the scheme, but no secret with its result. For those two the
signatures are proven by `cryptography`, by `openssl` and by `hmac`, none of which the adapters' libraries use.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote_plus, urlencode, urlsplit

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key
from wechatpayv3.utils import rsa_sign

from fakes import Answer, Asked, Fake, make_key, private_pem, public_pem, serve
from laotie import payments
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import AccountId, OrderId, PaymentId, new_id
from laotie.base.money import Money
from laotie.base.settings import Settings
from laotie.payments import (
    ProviderDown,
    ProviderRefused,
    SignatureRefused,
    alipay_adapter,
    providers,
    stripe_adapter,
    wechat_adapter,
)
from laotie.payments.provider import Applicant, Charge, Handover, Provider, Repayment, ReportKind

API_KEY = "0123456789abcdef0123456789abcdef"
SECRET = "whsec_a_secret_of_the_tests"


@dataclass
class Keys:
    ours: rsa.RSAPrivateKey
    theirs: rsa.RSAPrivateKey
    folder: Path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    found = Keys(make_key(), make_key(), folder)
    (folder / "ours.pem").write_text(private_pem(found.ours))
    (folder / "theirs.pem").write_text(public_pem(found.theirs))
    return found


@pytest.fixture(scope="module")
def db() -> Database:
    """These adapters keep no books: of the database they use the clock alone, so none is opened."""
    return Database("postgresql://nowhere", clock=Clock(), pool_max=4, wait_s=1)


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serve() as server:
        yield server


@pytest.fixture
def settings(fake: Fake, keys: Keys) -> Settings:
    return Settings(
        payment_providers="stripe, alipay, wechat",
        public_url="https://shop.example",
        stripe_api_key="sk_test_1",
        stripe_webhook_secret=f"whsec_old,{SECRET}",
        stripe_api_url=fake.url,
        alipay_app_id="2021000000000001",
        alipay_private_key=str(keys.folder / "ours.pem"),
        alipay_public_key=str(keys.folder / "theirs.pem"),
        alipay_gateway_url=f"{fake.url}/gateway.do",
        wechat_merchant_id="1900007291",
        wechat_app_id="wxd678efh567hg6787",
        wechat_private_key=str(keys.folder / "ours.pem"),
        wechat_certificate_serial="408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB",
        wechat_api_key=API_KEY,
        wechat_public_key=str(keys.folder / "theirs.pem"),
        wechat_public_key_id="PUB_KEY_ID_1",
        wechat_api_url=fake.url,
    )


def _charge(*, capture: bool = True, name: str = "stripe", money: Money | None = None) -> Charge:
    return Charge(
        payment_id=PaymentId(new_id()),
        order_id=OrderId(new_id()),
        buyer_id=AccountId(new_id()),
        money=money or Money(1999, "CNY"),
        return_url="https://shop.example/orders/1/result",
        notify_url=f"https://shop.example/webhooks/{name}",
        capture=capture,
    )


def _repayment(**changes: Any) -> Repayment:
    fields: dict[str, Any] = {
        "refund_id": payments.RefundId(new_id()), "payment_id": PaymentId(new_id()), "provider_ref": "cs_1",
        "money": Money(500, "CNY"), "reason": "划痕", "charge_ref": "pi_1", "total": Money(1999, "CNY"),
        "notify_url": "https://shop.example/webhooks/x",
    }  # fmt: skip
    return Repayment(**(fields | changes))


def _verify(key: rsa.RSAPrivateKey, signature: str, message: str) -> None:
    """By `cryptography`; and by the openssl program where there is one."""
    key.public_key().verify(base64.b64decode(signature), message.encode(), padding.PKCS1v15(), SHA256())


def _sign(key: rsa.RSAPrivateKey, message: str) -> str:
    return base64.b64encode(key.sign(message.encode(), padding.PKCS1v15(), SHA256())).decode()


# What all have in common.


def test_each_declares_what_it_can_do_and_for_which_money(db: Database, settings: Settings) -> None:
    methods = {one.method: one for one in payments.list_methods(db, settings)}
    assert list(methods) == ["stripe", "alipay", "wechat"]
    assert (methods["wechat"].step, methods["wechat"].currencies) == ("qr", ["CNY"])
    assert "partial_capture" in methods["stripe"].can and "dispute" in methods["stripe"].can
    assert methods["alipay"].can == ["authorise", "look_up", "partial_refund", "refund"]
    assert [one.method for one in payments.list_methods(db, settings, currency="EUR")] == ["stripe"]
    with pytest.raises(payments.CurrencyNotTaken):
        payments.check_method(settings, "wechat", currency="EUR")
    with pytest.raises(payments.NoSuchProvider):
        payments.check_method(settings, "sandbox", currency="CNY")


def test_a_provider_without_keys_or_library_says_what_is_missing(
    db: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(payments.ProviderNotReady) as refused:
        payments.check_providers(db, Settings(payment_providers="stripe"))
    assert refused.value.facts()["missing"] == ["stripe_api_key", "stripe_webhook_secret"]
    monkeypatch.setitem(providers.ADAPTERS, "stripe", "a_library_that_is_not_there:Stripe")
    with pytest.raises(payments.ProviderNotInstalled) as absent:
        payments.open_provider("stripe", db=db, settings=settings)
    assert absent.value.facts() == {"provider": "stripe", "install": "pip install 'laotie[stripe]'"}
    assert [one.method for one in payments.list_methods(db, settings)] == ["alipay", "wechat"]


@pytest.mark.parametrize("name", ["stripe", "alipay", "wechat"])
async def test_who_does_not_answer_is_down_and_who_says_no_refuses(
    db: Database, settings: Settings, fake: Fake, keys: Keys, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_adapter, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(stripe_adapter, "RETRIES", 0)
    monkeypatch.setattr(alipay_adapter, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(wechat_adapter, "TIMEOUT_S", (0.3, 0.3))
    provider = payments.open_provider(name, db=db, settings=settings)
    for answer in (Answer(stall=True), Answer(status=500), Answer(status=503, body=b"busy")):
        fake.answer = _always(answer)
        with pytest.raises(ProviderDown):
            await provider.refund(_repayment())
    no = {
        "stripe": Answer(status=400, body=b'{"error":{"type":"invalid_request_error","code":"charge_already_refunded"}}'),
        "alipay": Answer(body=_alipay_answer(keys, "refund", {"code": "40004", "sub_code": "ACQ.SELLER_BALANCE_NOT_ENOUGH"})),
        "wechat": Answer(status=400, body=b'{"code":"PARAM_ERROR","message":"no"}'),
    }[name]
    fake.answer = _always(no)
    with pytest.raises(ProviderRefused) as refused:
        await provider.refund(_repayment())
    assert refused.value.facts()["reason"] in ("charge_already_refunded", "ACQ.SELLER_BALANCE_NOT_ENOUGH", "PARAM_ERROR")
    gone = payments.open_provider(name, db=db, settings=_elsewhere(settings))
    with pytest.raises(ProviderDown):
        await gone.refund(_repayment())


def _always(answer: Answer) -> Callable[[Asked], Answer]:
    return lambda asked: answer


def _elsewhere(settings: Settings) -> Settings:
    nowhere = "http://127.0.0.1:9"
    return msgspec.structs.replace(
        settings, stripe_api_url=nowhere, alipay_gateway_url=f"{nowhere}/gateway.do", wechat_api_url=nowhere
    )


# Stripe.


@pytest.fixture
def stripe(db: Database, settings: Settings) -> Provider:
    return payments.open_provider("stripe", db=db, settings=settings)


def _form(asked: Asked) -> dict[str, str]:
    return dict(parse_qsl(asked.body.decode()))


async def test_stripe_makes_a_page_for_the_payment_under_its_own_key(stripe: Provider, fake: Fake) -> None:
    fake.answer = lambda asked: Answer(b'{"id":"cs_1","object":"checkout.session","url":"https://checkout.stripe.com/c/1"}')
    charge = _charge(capture=False)
    await stripe.authorise(charge)
    started = await stripe.authorise(charge)
    assert (started.provider_ref, started.next_url) == ("cs_1", "https://checkout.stripe.com/c/1")
    first, second = fake.asked
    assert first.path == "/v1/checkout/sessions"
    assert first.headers["authorization"] == "Bearer sk_test_1"
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == f"pay-{charge.payment_id}"
    form = _form(first)
    assert form["payment_intent_data[capture_method]"] == "manual"
    assert form["payment_intent_data[metadata][payment]"] == str(charge.payment_id)
    assert (form["line_items[0][price_data][unit_amount]"], form["line_items[0][price_data][currency]"]) == ("1999", "cny")


async def test_stripe_captures_a_part_refunds_and_defends(stripe: Provider, fake: Fake) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.path.startswith("/v1/checkout/sessions/"):
            return Answer(b'{"id":"cs_1","object":"checkout.session","payment_intent":"pi_1"}')
        if asked.path.startswith("/v1/refunds"):
            return Answer(b'{"id":"re_1","object":"refund","status":"pending"}')
        return Answer(b'{"id":"x","object":"thing"}')

    fake.answer = answer
    payment_id = PaymentId(new_id())
    await stripe.capture(payment_id, "cs_1", money=Money(700, "CNY"))
    assert fake.asked[-1].path == "/v1/payment_intents/pi_1/capture"
    assert _form(fake.asked[-1]) == {"amount_to_capture": "700"}
    repayment = _repayment(attempt=2)
    assert (await stripe.refund(repayment)).done is False
    asked = fake.asked[-1]
    assert asked.headers["idempotency-key"] == f"refund-{repayment.refund_id}-2"
    assert _form(asked)["payment_intent"] == "pi_1" and _form(asked)["metadata[attempt]"] == "2"
    await stripe.defend("du_1", evidence="it was delivered")
    assert _form(fake.asked[-1]) == {"evidence[uncategorized_text]": "it was delivered", "submit": "true"}


def _stripe_event(kind: str, thing: dict[str, Any]) -> bytes:
    return json.dumps({"id": "evt_1", "object": "event", "type": kind, "data": {"object": thing}}).encode()


def _stripe_headers(body: bytes, at: datetime, secret: str = SECRET) -> dict[str, str]:
    """As https://docs.stripe.com/webhooks/signature says it is made, by `hmac`."""
    stamp = int(at.timestamp())
    mac = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={stamp},v1={mac},v0=00"}


def test_stripe_s_messages_are_checked_and_read(stripe: Provider, db: Database) -> None:
    now = db.clock.now()
    payment, refund = str(new_id()), str(new_id())
    meta = {"payment": payment, "refund": refund, "attempt": "1"}
    intent = {"id": "pi_1", "object": "payment_intent", "amount": 1999, "amount_received": 1200, "currency": "cny", "metadata": meta}
    dispute: dict[str, Any] = {"id": "du_1", "object": "dispute", "amount": 1200, "currency": "cny", "payment_intent": "pi_1",
               "reason": "fraudulent", "status": "lost", "evidence_details": {"due_by": 1_800_000_000}}  # fmt: skip
    cases: list[tuple[str, dict[str, Any], ReportKind, int | None]] = [
        ("payment_intent.processing", intent, ReportKind.pending, 1999),
        ("payment_intent.amount_capturable_updated", intent, ReportKind.authorised, 1999),
        ("payment_intent.succeeded", intent, ReportKind.captured, 1200),
        ("payment_intent.canceled", intent, ReportKind.failed, 1999),
        ("refund.updated", intent | {"id": "re_1", "amount": 500, "status": "succeeded"}, ReportKind.refunded, 500),
        ("refund.failed", intent | {"id": "re_1", "amount": 500, "status": "failed"}, ReportKind.refund_failed, 500),
        ("charge.dispute.funds_withdrawn", dispute, ReportKind.reversed, 1200),
        ("charge.dispute.funds_reinstated", dispute, ReportKind.restored, 1200),
        ("charge.dispute.closed", dispute, ReportKind.lost, 1200),
        ("charge.dispute.closed", dispute | {"status": "won"}, ReportKind.other, None),
        ("payment_intent.payment_failed", intent, ReportKind.other, None),
        ("payment_intent.succeeded", intent | {"metadata": {}}, ReportKind.other, None),
        ("payout.paid", {"id": "po_1"}, ReportKind.other, None),
    ]
    for kind, thing, expected, amount in cases:
        body = _stripe_event(kind, thing)
        report = stripe.parse_webhook(_stripe_headers(body, now), body, now=now)
        assert (report.kind, report.money.amount if report.money else None) == (expected, amount), kind
        if expected in (ReportKind.reversed, ReportKind.restored, ReportKind.lost):
            assert (report.payment_id, report.charge_ref, report.dispute_ref) == (None, "pi_1", "du_1")
    body = _stripe_event("payment_intent.succeeded", intent)
    old = datetime.fromtimestamp(now.timestamp() - 400, now.tzinfo)
    for headers in ({}, {"stripe-signature": "t=1"}, _stripe_headers(body, now, "whsec_x"), _stripe_headers(body, old)):
        with pytest.raises(SignatureRefused):
            stripe.parse_webhook(headers, body, now=now)
    with pytest.raises(SignatureRefused):
        stripe.parse_webhook(_stripe_headers(body, now), body + b" ", now=now)


# Alipay.


@pytest.fixture
def alipay(db: Database, settings: Settings) -> Provider:
    return payments.open_provider("alipay", db=db, settings=settings)


def _alipay_answer(keys: Keys, method: str, content: dict[str, str]) -> bytes:
    """An answer as Alipay signs it: over the content just as it stands in the JSON."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return f'{{"alipay_trade_{method}_response":{text},"sign":"{_sign(keys.theirs, text)}"}}'.encode()


def _string_to_sign(fields: dict[str, str]) -> str:
    """https://opendocs.alipay.com/common/02mse3: all but `sign`, by name, joined as they are."""
    return "&".join(f"{name}={value}" for name, value in sorted(fields.items()) if name != "sign" and value != "")


def test_the_string_that_alipay_s_documents_show_is_the_one_that_is_signed(alipay: Provider, keys: Keys) -> None:
    """The parameters and the string are the example of the documents on signing (`alipay.mobile.public.menu.add`).

    They print no key for it, so the signature itself is proven with keys of our own.
    """
    content = '{"button":[{"actionParam":"ZFB_HFCZ","actionType":"out","name":"话费充值"}]}'
    fields = {
        "app_id": "2014072300007148", "method": "alipay.mobile.public.menu.add", "charset": "GBK", "sign_type": "RSA2",
        "timestamp": "2014-07-24 03:07:50", "biz_content": content, "version": "1.0",
    }  # fmt: skip
    shown = (
        f"app_id=2014072300007148&biz_content={content}&charset=GBK&method=alipay.mobile.public.menu.add"
        "&sign_type=RSA2&timestamp=2014-07-24 03:07:50&version=1.0"
    )
    assert _string_to_sign(fields) == shown
    signed = alipay._client.sign_data(dict(fields))  # type: ignore[attr-defined]
    _verify(keys.ours, dict(parse_qsl(signed))["sign"], shown)


async def test_alipay_s_page_is_opened_by_a_signed_address(
    alipay: Provider, keys: Keys, fake: Fake, tmp_path: Path
) -> None:
    charge = _charge(name="alipay")
    started = await alipay.authorise(charge)
    assert fake.asked == [] and started.next_url is not None
    fields = {name: values[0] for name, values in parse_qs(urlsplit(started.next_url).query).items()}
    content = json.loads(fields["biz_content"])
    assert (content["out_trade_no"], content["total_amount"]) == (charge.payment_id.hex, "19.99")
    assert (fields["notify_url"], fields["return_url"]) == (charge.notify_url, charge.return_url)
    _verify(keys.ours, fields["sign"], _string_to_sign(fields))
    if shutil.which("openssl"):
        (tmp_path / "text").write_text(_string_to_sign(fields))
        (tmp_path / "sign").write_bytes(base64.b64decode(fields["sign"]))
        (tmp_path / "key.pem").write_text(public_pem(keys.ours))
        said = subprocess.run(
            ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "sign", "text"],
            cwd=tmp_path, capture_output=True, check=True, env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert said.stdout.strip() == b"Verified OK"


async def test_alipay_s_refund_is_done_by_its_answer_and_a_repetition_is_asked_after(
    alipay: Provider, keys: Keys, fake: Fake
) -> None:
    answers = {
        "alipay.trade.refund": _alipay_answer(keys, "refund", {"code": "10000", "fund_change": "Y"}),
        "alipay.trade.fastpay.refund.query": _alipay_answer(
            keys, "fastpay_refund_query", {"code": "10000", "refund_status": "REFUND_SUCCESS"}
        ),
    }
    fake.answer = lambda asked: Answer(answers[parse_qs(urlsplit(asked.path).query)["method"][0]])
    repayment = _repayment(attempt=1)
    repaid = await alipay.refund(repayment)
    assert (repaid.provider_ref, repaid.done) == (f"{repayment.refund_id.hex}-1", True)
    answers["alipay.trade.refund"] = _alipay_answer(keys, "refund", {"code": "10000", "fund_change": "N"})
    assert (await alipay.refund(repayment)).done
    numbers = {
        json.loads(parse_qs(urlsplit(asked.path).query)["biz_content"][0])["out_request_no"] for asked in fake.asked
    }
    assert (len(fake.asked), numbers) == (3, {f"{repayment.refund_id.hex}-1"})
    answers["alipay.trade.refund"] = answers["alipay.trade.refund"].replace(b'"N"', b'"Y"')
    with pytest.raises(ProviderDown):
        await alipay.refund(repayment)  # the signature does not fit any more


def test_alipay_s_notices_are_checked_and_read(alipay: Provider, keys: Keys, db: Database) -> None:
    now, payment = db.clock.now(), new_id()
    fields = {
        "notify_id": "n1", "notify_type": "trade_status_sync", "app_id": "2021000000000001", "charset": "utf-8",
        "version": "1.0", "out_trade_no": payment.hex, "trade_no": "2026112222001", "trade_status": "TRADE_SUCCESS",
        "total_amount": "19.99", "subject": "海参 & 鱼", "notify_time": "2026-11-22 22:00:00",
    }  # fmt: skip

    def form(**changes: str) -> bytes:
        sent = fields | changes
        return urlencode(sent | {"sign_type": "RSA2", "sign": _sign(keys.theirs, _string_to_sign(sent))}).encode()

    report = alipay.parse_webhook({}, form(), now=now)
    assert (report.kind, report.payment_id, report.charge_ref, report.money) == (
        ReportKind.captured, payment, "2026112222001", Money(1999, "CNY"),
    )  # fmt: skip
    for changes, kind in (
        ({"trade_status": "WAIT_BUYER_PAY"}, ReportKind.pending),
        ({"trade_status": "TRADE_CLOSED"}, ReportKind.failed),
        ({"trade_status": "TRADE_CLOSED", "refund_fee": "19.99"}, ReportKind.other),
        ({"out_trade_no": "not ours"}, ReportKind.other),
        ({"total_amount": "x"}, ReportKind.other),
    ):
        assert alipay.parse_webhook({}, form(**changes), now=now).kind is kind
    tampered = form().replace(quote_plus("19.99").encode(), b"00.01")
    for body in (tampered, form(app_id="2021000000000002"), b"", b"a=b", b"\xff\xfe", form()[:-9]):
        with pytest.raises(SignatureRefused):
            alipay.parse_webhook({}, body, now=now)
    assert alipay.answer == "success"


# WeChat Pay.

WECHAT_KEY = (
    "MIIEogIBAAKCAQEAptpm+qvIDCh/9wjU26SQCK26ogYkBhDrYxnAaw2JbbBsp1oDbHKk+1r381NeBUG2HEFAuU+Fr72u5ot3yKdzoF/FajAzQNKnm569"
    "/D3upKoi8mYBaST15Uig8j8qoUW1U217LL0jEHlSnHV3lcaDTXqDpTRR4Bfz9IqOgJgFZ8/oTfEomSrjrLYef81Eyxr7ZIMQXEKKEK7V4UXKS0+/fDsi"
    "G/cXidhzt8UbTL9vqXqxM2+IDImyO+FAc/tkBG55LmzxPto1Nq0WbnZzRM/wTzrd0I/8NlevxtFbphg4evlHjFNI7+GrqR87ViEwuAJJ9Je5QQjct5YJ"
    "fFRWiZ5CMQIDAQABAoIBAGBi/GhEgezcHIg1ltlHaFlLGuxsRbUnYwM9phVxnXk7GJlYe2/TjpERjPkIqOC6hBwwadZjJORP3FCcMtc8PKRhjuZ377O7"
    "vU0915x2nnyLOGL1IE2AJ3iLi0ZFzTea0FPgg+5lWHM00s9FYI6qPcGtS41M+xtMWwZiYE3TBBRibHiY8ugGyaNAhiMKehyW05uApjlIF55wwCGxBkyE"
    "SJpGRR/6853iHke6Ge+xVcMa9QmQdoH0QqL/8kT28PL568mJJr0Ow/83t4+dPe70YPzKAxgUnaDsHJqO+b8qH69AEs8rTI5h2Mon6pH+bJT66KUoiXhn"
    "+Kf+4LSshenRP10CgYEA1QJSfuFOWVRjrg3N/rAIc/Ak84BTZavbyrkqBSuoTs9i/nMI/hOzVxpDntg7Bx2Tctl6sZO3GioTxKdc/YYaTKci1TKBbegi"
    "npsqEQVgwkMCy8HpvUmRfyAMqLwZC4h9+j+NiZtuoFJDTCgv+WYbasX+kWYEUM21bnSYuO7yEQsCgYEAyIdPr9uzqPgzN34Tmx+CNTa16VjhBh+zkBtX"
    "RLDLhWBeIYxoYNJARD98Pb1XZdvpkZZWSk7MfaKo2/DomzyyyB/MbHWwAdFi3yb4y7uMJfyC1MzdUSNN3Vp579hJxHkJ+nN4Ys76yfcEeVOLnvUT1Z0K"
    "KCdIWRdT1Lgi+X1itzMCgYBJUXlPzwGG4fNFj97d0X23Wmt9nSgXkOYgi0eZbAOMzPmIF9R6kBFk49dur4Lx2g5Ms+r1gKC/0sfnIqxxX11iEQ1+UNoY"
    "GJUB/uql3TIG68XkmKR50P7RwRhaZBRC0gJ6xrFTMjsL2ATuC88niyvYvrn3FiRaI9RVZrDCxwxvLQKBgEXW4okEAqGBuAzGqztmkOnJoTehDdYdKmOx"
    "MgapcGiGdKJIjX3THDDoz3ONQyglnEZpTqpYoV3MTfU0BT8zt6x9bqwDnQY1D7NalmIWcqw0Mri8lQQSQKcsQLWo5aA466G/n5kCL1Qx5OwAjesRvhOy"
    "uvvbGpZ0ymyWqQ+tfLkDAoGATcul1L8y5D/wNVP1GXbXMZfBsFP3bbqy8c+Ashm6g8OLm2mGNntd5Z6h1KkID7Yksh+dZ6t7XaPBtGACXX5Eryr537JV"
    "vdX8hAVCp5HVtaN/9VBVP8Ka2e4sVS/xeNgOMQ7uzhRPBJ8HiTmdI1nHhDnYQpGiBgQn0Z5RAkSvFMk="
)
WECHAT_MESSAGE = (
    "POST\n/v3/pay/transactions/jsapi\n1554208460\n593BEC0C930BF1AFEB40B4A08C8FB242\n"
    '{"appid":"wxd678efh567hg6787","mchid":"1230000109","description":"Image形象店-深圳腾大-QQ公仔",'
    '"out_trade_no":"1217752501201407033233368018","notify_url":"https://www.weixin.qq.com/wxpay/pay.php",'
    '"amount":{"total":100,"currency":"CNY"},"payer":{"openid":"oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}}\n'
)
WECHAT_SIGNATURE = (
    "gEuexJ547PHFV77TQ6eiE4tphVYfWfUe1Wc2dBmVnoMYU2rl/M4zhw+b3vBhuMw6AC7pteNkryLA7UWU2h+umo0OdSuuLm1++O3NckQPCSfm6dypsjn4"
    "GYm84KMqXWFrhFmyxEwIdEJDr3w1UYfxOcu55OQupfLkrt/ZzuOspnliJFrPzGQFUk7lGqMMtpz3EfbDUNxnVsHblORg3hVmuYNmbGWnS2ovU30Y2Q+i"
    "KFDxzkaXBk8LTy6HzvxizRo6Q+J4SVM7O0hKXfgo1QdI68kpzNULb3EVBXlhTyPUzhkHzzLxECL1qHl3HH2hEv8++C+4wBlsagF3j/O6PABojA=="
)


def test_wechat_s_published_example_comes_out_the_same() -> None:
    """"How to sign a request that has a body", with the test key pair that the page prints for trying it out.

    https://pay.weixin.qq.com/docs/partner/development/generate-request-signature-verification/
    request-body-parameters-signature.html (an edition of it with `mchid` 1230000109; later ones have another number).
    """
    key = load_der_private_key(base64.b64decode(WECHAT_KEY), None)
    assert rsa_sign(key, WECHAT_MESSAGE) == WECHAT_SIGNATURE
    assert isinstance(key, rsa.RSAPrivateKey)
    _verify(key, WECHAT_SIGNATURE, WECHAT_MESSAGE)


@pytest.fixture
def wechat(db: Database, settings: Settings) -> Provider:
    return payments.open_provider("wechat", db=db, settings=settings)


def _wechat_headers(keys: Keys, body: str, at: int) -> dict[str, str]:
    """https://pay.weixin.qq.com/doc/v3/merchant/4013053249: three lines, each ended, under WeChat Pay's key."""
    return {
        "wechatpay-timestamp": str(at),
        "wechatpay-nonce": "n0nce",
        "wechatpay-serial": "PUB_KEY_ID_1",
        "wechatpay-signature-type": "WECHATPAY2-SHA256-RSA2048",
        "wechatpay-signature": _sign(keys.theirs, f"{at}\nn0nce\n{body}\n"),
    }


async def test_wechat_gives_a_code_and_its_request_is_signed_as_documented(
    wechat: Provider, keys: Keys, fake: Fake
) -> None:
    said = '{"code_url":"weixin://wxpay/bizpayurl?pr=p4lpSuKzz"}'
    fake.answer = lambda asked: Answer(said.encode(), headers=_wechat_headers(keys, said, 1))
    charge = _charge(name="wechat")
    started = await wechat.authorise(charge)
    assert (started.next_kind, started.next_url) == ("qr", "weixin://wxpay/bizpayurl?pr=p4lpSuKzz")
    (asked,) = fake.asked
    assert asked.path == "/v3/pay/transactions/native"
    sent = json.loads(asked.body)
    assert (sent["out_trade_no"], sent["amount"]) == (charge.payment_id.hex, {"total": 1999, "currency": "CNY"})
    assert sent["notify_url"] == charge.notify_url
    kind, _, rest = asked.headers["authorization"].partition(" ")
    parts = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    assert (kind, parts["mchid"]) == ("WECHATPAY2-SHA256-RSA2048", "1900007291")
    message = f"POST\n{asked.path}\n{parts['timestamp']}\n{parts['nonce_str']}\n{asked.body.decode()}\n"
    _verify(keys.ours, parts["signature"], message)
    fake.answer = lambda asked: Answer(said.encode(), headers=_wechat_headers(keys, said + " ", 1))
    with pytest.raises(ProviderDown):
        await wechat.authorise(charge)


async def test_wechat_s_refund_may_be_done_at_once_or_be_told_later(wechat: Provider, keys: Keys, fake: Fake) -> None:
    repayment = _repayment(attempt=3)
    for status, done in (("PROCESSING", False), ("SUCCESS", True)):
        said = json.dumps({"refund_id": "503", "status": status})
        fake.answer = _always(Answer(said.encode(), headers=_wechat_headers(keys, said, 1)))
        repaid = await wechat.refund(repayment)
        assert (repaid.provider_ref, repaid.done) == (f"{repayment.refund_id.hex}-3", done)
    sent = json.loads(fake.asked[-1].body)
    assert sent["amount"] == {"refund": 500, "total": 1999, "currency": "CNY"}
    assert (sent["out_refund_no"], sent["reason"]) == (f"{repayment.refund_id.hex}-3", "划痕")


def _wechat_notice(event_type: str, resource: dict[str, Any], *, key: str = API_KEY) -> str:
    """https://pay.weixin.qq.com/doc/v3/merchant/4012071382: the resource under AES-256-GCM with the APIv3 key."""
    sealed = AESGCM(key.encode()).encrypt(b"0123456789ab", json.dumps(resource).encode(), b"transaction")
    return json.dumps({
        "id": "EV-1", "create_time": "2026-11-22T22:00:00+08:00", "resource_type": "encrypt-resource",
        "event_type": event_type, "summary": "支付成功",
        "resource": {"original_type": "transaction", "algorithm": "AEAD_AES_256_GCM", "nonce": "0123456789ab",
                     "ciphertext": base64.b64encode(sealed).decode(), "associated_data": "transaction"},
    }, ensure_ascii=False)  # fmt: skip


def test_wechat_s_notices_are_checked_opened_and_read(wechat: Provider, keys: Keys, db: Database) -> None:
    now, payment, refund = db.clock.now(), new_id(), new_id()
    at = int(now.timestamp())
    paid = {"out_trade_no": payment.hex, "transaction_id": "4200001", "trade_state": "SUCCESS",
            "amount": {"total": 1999, "payer_total": 1999, "currency": "CNY"}}  # fmt: skip
    back = {"out_trade_no": payment.hex, "transaction_id": "4200001", "out_refund_no": f"{refund.hex}-2",
            "refund_status": "ABNORMAL", "amount": {"total": 1999, "refund": 500}}  # fmt: skip
    cases = [
        ("TRANSACTION.SUCCESS", paid, ReportKind.captured, 1999),
        ("TRANSACTION.SUCCESS", paid | {"trade_state": "NOTPAY"}, ReportKind.other, None),
        ("REFUND.SUCCESS", back, ReportKind.refunded, 500),
        ("REFUND.ABNORMAL", back, ReportKind.refund_failed, 500),
        ("COUPON.USE", {}, ReportKind.other, None),
        ("TRANSACTION.SUCCESS", paid | {"out_trade_no": "not ours"}, ReportKind.other, None),
    ]
    for event_type, resource, kind, amount in cases:
        body = _wechat_notice(event_type, resource)
        report = wechat.parse_webhook(_wechat_headers(keys, body, at), body.encode(), now=now)
        assert (report.kind, report.money.amount if report.money else None) == (kind, amount)
        if kind is ReportKind.refund_failed:
            assert (report.refund_id, report.refund_attempt, report.reason) == (refund, 2, "abnormal")
    body = _wechat_notice("TRANSACTION.SUCCESS", paid)
    good = _wechat_headers(keys, body, at)
    sealed_otherwise = _wechat_notice("TRANSACTION.SUCCESS", paid, key=API_KEY[::-1])
    for headers, text in (
        ({}, body),
        (good, body + " "),
        (_wechat_headers(keys, body, at - 400), body),
        (good | {"wechatpay-serial": "PUB_KEY_ID_2"}, body),
        (good | {"wechatpay-signature": "WECHATPAY/SIGNTEST/x"}, body),
        (_wechat_headers(keys, sealed_otherwise, at), sealed_otherwise),
    ):
        with pytest.raises(SignatureRefused):
            wechat.parse_webhook(headers, text.encode(), now=now)


# Sellers' accounts, and what is asked after.


async def test_stripe_opens_a_connected_account_and_leads_the_seller_to_its_pages(stripe: Provider, fake: Fake) -> None:
    """https://docs.stripe.com/api/accounts/create, https://docs.stripe.com/api/account_links/create."""
    answers = {
        "/v1/accounts": b'{"id":"acct_1","object":"account"}',
        "/v1/account_links": b'{"object":"account_link","url":"https://connect.stripe.com/setup/1"}',
    }
    fake.answer = lambda asked: Answer(answers[asked.path])
    applicant = Applicant(
        seller_id=payments.SellerId(new_id()), kind=payments.SellerKind.shop, name="海边人家", country="FR",
        asked_by=AccountId(new_id()), return_url="https://shop.example/console/getting-paid",
    )  # fmt: skip
    assert await stripe.onboard(applicant) == await stripe.onboard(applicant) == "acct_1"
    first, second = fake.asked
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == f"seller-{applicant.seller_id}"
    form = _form(first)
    assert form["country"] == "FR" and form["controller[stripe_dashboard][type]"] == "express"
    assert (form["controller[fees][payer]"], form["controller[losses][payments]"]) == ("application", "application")
    assert form["capabilities[transfers][requested]"] == "true"
    assert form["metadata[seller]"] == str(applicant.seller_id)
    assert await stripe.link("acct_1", return_url=applicant.return_url) == "https://connect.stripe.com/setup/1"
    link = _form(fake.asked[-1])
    assert (link["account"], link["type"], link["return_url"]) == ("acct_1", "account_onboarding", applicant.return_url)
    assert link["refresh_url"].startswith(applicant.return_url)


@pytest.mark.parametrize(
    ("account", "state", "reason"),
    [
        ({"details_submitted": True, "capabilities": {"transfers": "active"}}, "ready", ""),
        ({"capabilities": {"transfers": "inactive"}, "requirements": {"currently_due": ["tos"]}}, "pending", "tos"),
        (
            {"details_submitted": True, "requirements": {"disabled_reason": "requirements.pending_verification"}},
            "pending",
            "",
        ),
        (
            {"details_submitted": True, "requirements": {"disabled_reason": "requirements.past_due"}},
            "limited",
            "requirements.past_due",
        ),
        ({"requirements": {"disabled_reason": "rejected.fraud"}}, "refused", "rejected.fraud"),
    ],
)
async def test_stripe_s_word_on_an_account_is_read(
    stripe: Provider, fake: Fake, account: dict[str, Any], state: str, reason: str
) -> None:
    fake.answer = lambda asked: Answer(json.dumps({"id": "acct_1", "object": "account"} | account).encode())
    standing = await stripe.find_seller("acct_1")
    assert (standing.state, standing.reason) == (state, reason)


async def test_stripe_lets_money_go_once_though_its_memory_is_a_day_long(stripe: Provider, fake: Fake) -> None:
    """https://docs.stripe.com/api/transfers/create; what is tried again is looked for first, by its group."""
    known: list[dict[str, Any]] = []

    def answer(asked: Asked) -> Answer:
        if asked.method == "GET":
            return Answer(json.dumps({"object": "list", "data": known, "has_more": False, "url": "/v1/transfers"}).encode())
        return Answer(b'{"id":"tr_1","object":"transfer"}')

    fake.answer = answer
    handover = Handover(release_id=payments.ReleaseId(new_id()), seller_ref="acct_1", money=Money(1500, "EUR"))
    handed = await stripe.release(handover)
    assert (handed.provider_ref, handed.done) == ("tr_1", True)
    asked = fake.asked[-1]
    assert (asked.path, asked.headers["idempotency-key"]) == ("/v1/transfers", f"release-{handover.release_id}")
    form = _form(asked)
    assert (form["amount"], form["currency"], form["destination"]) == ("1500", "eur", "acct_1")
    assert form["transfer_group"] == f"release-{handover.release_id}"
    assert await stripe.find_release(handover) is None
    known.append({"id": "tr_1", "object": "transfer"})
    again = await stripe.release(msgspec.structs.replace(handover, attempt=1))
    query = parse_qs(urlsplit(fake.asked[-1].path).query)
    assert (again.provider_ref, query["transfer_group"]) == ("tr_1", [f"release-{handover.release_id}"])
    assert [one.method for one in fake.asked] == ["POST", "GET", "GET"]
    report = await stripe.find_release(handover)
    assert report is not None and (report.kind, report.money) == (ReportKind.released, Money(1500, "EUR"))


async def test_stripe_is_asked_how_payments_and_refunds_stand(stripe: Provider, fake: Fake, db: Database) -> None:
    payment_id, refund = PaymentId(new_id()), _repayment()
    session: dict[str, Any] = {"id": "cs_1", "object": "checkout.session", "amount_total": 1999, "currency": "cny"}
    intent = {"id": "pi_1", "object": "payment_intent", "amount": 1999, "amount_received": 1200, "currency": "cny"}
    cases: list[tuple[dict[str, Any], tuple[ReportKind, int] | None]] = [
        ({"status": "complete", "payment_intent": intent | {"status": "succeeded"}}, (ReportKind.captured, 1200)),
        ({"status": "complete", "payment_intent": intent | {"status": "requires_capture"}}, (ReportKind.authorised, 1999)),
        ({"status": "open", "payment_intent": intent | {"status": "canceled"}}, (ReportKind.failed, 1999)),
        ({"status": "open", "payment_intent": intent | {"status": "requires_payment_method"}}, None),
        ({"status": "expired", "payment_intent": None}, (ReportKind.failed, 1999)),
        ({"status": "open", "payment_intent": None}, None),
    ]
    for changes, expected in cases:
        fake.answer = _always(Answer(json.dumps(session | changes).encode()))
        report = await stripe.find_payment(payment_id, "cs_1")
        assert (report and report.money and (report.kind, report.money.amount)) == expected, changes
    assert fake.asked[-1].path.startswith("/v1/checkout/sessions/cs_1?expand")
    metadata = {"payment": str(refund.payment_id), "refund": str(refund.refund_id), "attempt": "0"}
    for status, kind in (("succeeded", ReportKind.refunded), ("failed", ReportKind.refund_failed), ("pending", None)):
        thing = {"id": "re_1", "object": "refund", "amount": 500, "currency": "cny", "metadata": metadata, "status": status}
        fake.answer = _always(Answer(json.dumps(thing).encode()))
        found = await stripe.find_refund(refund, "re_1")
        assert (found and found.kind) == kind
    assert fake.asked[-1].path == "/v1/refunds/re_1"
    body = _stripe_event("account.updated", {"id": "acct_1", "object": "account"})
    told = stripe.parse_webhook(_stripe_headers(body, db.clock.now()), body, now=db.clock.now())
    assert (told.kind, told.seller_ref) == (ReportKind.seller, "acct_1")


async def test_alipay_is_asked_how_payments_and_refunds_stand(alipay: Provider, keys: Keys, fake: Fake) -> None:
    """`alipay.trade.query` (https://opendocs.alipay.com/open/82ea786a) and `alipay.trade.fastpay.refund.query`."""
    payment_id, refund = PaymentId(new_id()), _repayment()
    for content, expected in (
        ({"code": "10000", "trade_status": "TRADE_SUCCESS", "total_amount": "19.99", "trade_no": "t1"}, ReportKind.captured),
        ({"code": "10000", "trade_status": "TRADE_CLOSED", "total_amount": "19.99"}, ReportKind.failed),
        ({"code": "10000", "trade_status": "WAIT_BUYER_PAY", "total_amount": "19.99"}, None),
        ({"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}, None),
    ):
        fake.answer = _always(Answer(_alipay_answer(keys, "query", content)))
        report = await alipay.find_payment(payment_id, payment_id.hex)
        assert (report and report.kind) == expected
    query = parse_qs(urlsplit(fake.asked[0].path).query)
    assert query["method"] == ["alipay.trade.query"]
    assert json.loads(query["biz_content"][0]) == {"out_trade_no": payment_id.hex}
    fake.answer = _always(Answer(_alipay_answer(keys, "query", {"code": "40004", "sub_code": "ACQ.INVALID_PARAMETER"})))
    with pytest.raises(ProviderRefused):
        await alipay.find_payment(payment_id, payment_id.hex)
    done = {"code": "10000", "refund_status": "REFUND_SUCCESS", "refund_amount": "5.00"}
    fake.answer = _always(Answer(_alipay_answer(keys, "fastpay_refund_query", done)))
    found = await alipay.find_refund(refund, "r-0")
    assert found is not None and (found.kind, found.money) == (ReportKind.refunded, Money(500, "CNY"))
    fake.answer = _always(Answer(_alipay_answer(keys, "fastpay_refund_query", {"code": "10000"})))
    assert await alipay.find_refund(refund, "r-0") is None


async def test_wechat_is_asked_how_payments_and_refunds_stand(
    wechat: Provider, keys: Keys, fake: Fake, db: Database
) -> None:
    """Orders and refunds by our number: https://pay.weixin.qq.com/doc/v3/merchant/4012791900, …/4012791904."""
    payment_id, refund = PaymentId(new_id()), _repayment()

    def answer(content: dict[str, Any], status: int = 200) -> None:
        text = json.dumps(content)
        at = int(db.clock.now().timestamp())
        fake.answer = _always(Answer(text.encode(), status, _wechat_headers(keys, text, at)))

    amount = {"total": 1999, "currency": "CNY"}
    for state, kind in (
        ("SUCCESS", ReportKind.captured), ("REFUND", ReportKind.captured), ("CLOSED", ReportKind.failed),
        ("NOTPAY", None), ("USERPAYING", None),
    ):  # fmt: skip
        answer({"trade_state": state, "out_trade_no": payment_id.hex, "transaction_id": "42", "amount": amount})
        report = await wechat.find_payment(payment_id, payment_id.hex)
        assert (report and report.kind) == kind, state
    assert fake.asked[-1].path == f"/v3/pay/transactions/out-trade-no/{payment_id.hex}?mchid=1900007291"
    answer({"code": "ORDER_NOT_EXIST", "message": "no"}, 404)
    assert await wechat.find_payment(payment_id, payment_id.hex) is None
    for status, kind in (("SUCCESS", ReportKind.refunded), ("ABNORMAL", ReportKind.refund_failed), ("PROCESSING", None)):
        answer({"status": status, "amount": {"refund": 500, "total": 1999}})
        found = await wechat.find_refund(refund, "r-0")
        assert (found and found.kind) == kind
    assert fake.asked[-1].path == "/v3/refund/domestic/refunds/r-0"
