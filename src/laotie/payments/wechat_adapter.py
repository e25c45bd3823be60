"""WeChat Pay (APIv3, direct merchant), through `wechatpayv3`: a code to scan, refunds, encrypted notices.

Native payment answers with a `code_url`, which our page shows as a QR code. Notices are signed by WeChat Pay and their
content is encrypted with the APIv3 key (AES-256-GCM). https://pay.weixin.qq.com/doc/v3/merchant/4012791877.
"""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import requests
from wechatpayv3 import WeChatPay, WeChatPayType

from laotie.base.db import Database
from laotie.base.ids import PaymentId
from laotie.base.money import Money
from laotie.base.settings import Settings
from laotie.payments.model import ProviderDown, ProviderNotReady, ProviderRefused, RefundId, SignatureRefused
from laotie.payments.provider import Capability, Charge, Repaid, Repayment, Report, ReportKind, Started, Unable

TIMEOUT_S = (5, 15)
TOLERANCE_S = 300
NEEDED = (
    "wechat_merchant_id",
    "wechat_app_id",
    "wechat_private_key",
    "wechat_certificate_serial",
    "wechat_api_key",
    "wechat_public_key",
    "wechat_public_key_id",
)
PASSING = {"SYSTEM_ERROR", "FREQUENCY_LIMITED", "BANK_ERROR", "FREQUENCY_LIMIT", "SIGN_ERROR", "NO_AUTH"}
"""Answers that may be another one next time, or after an operator has put the keys right; money owed waits for that."""


UNKNOWN = {"ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS"}
STATES = {
    "SUCCESS": ReportKind.captured,
    "REFUND": ReportKind.captured,
    "CLOSED": ReportKind.failed,
    "REVOKED": ReportKind.failed,
    "PAYERROR": ReportKind.failed,
}
"""How an order stands, where that is news. `REFUND`: it was paid, and some of it went back."""
REFUND_STATES = {
    "SUCCESS": ReportKind.refunded,
    "ABNORMAL": ReportKind.refund_failed,
    "CLOSED": ReportKind.refund_failed,
}


class _Resource(msgspec.Struct, frozen=True):
    """What a notice holds once it is opened: a transaction or a refund."""

    out_trade_no: str = ""
    transaction_id: str = ""
    trade_state: str = ""
    out_refund_no: str = ""
    refund_status: str = ""
    amount: dict[str, Any] = {}


class _Notice(msgspec.Struct, frozen=True):
    id: str
    event_type: str
    resource: _Resource


class Wechat(Unable):
    """The adapter. Yuan alone; a payment is captured when the buyer approves.

    It cannot split: WeChat Pay does so for merchants who have agreed on it (分账), by requests that are not written here.
    """

    name = "wechat"
    can = frozenset({Capability.authorise, Capability.refund, Capability.partial_refund, Capability.look_up})
    currencies = ("CNY",)
    step = "qr"

    def __init__(self, db: Database, settings: Settings) -> None:
        missing = [name for name in NEEDED if not getattr(settings, name)]
        if missing:
            raise ProviderNotReady(provider=self.name, missing=missing)
        self._merchant_id = settings.wechat_merchant_id
        try:
            self._client: Any = WeChatPay(
                wechatpay_type=WeChatPayType.NATIVE,
                mchid=settings.wechat_merchant_id,
                private_key=Path(settings.wechat_private_key or "").read_text(),
                cert_serial_no=settings.wechat_certificate_serial,
                appid=settings.wechat_app_id,
                apiv3_key=settings.wechat_api_key,
                public_key=Path(settings.wechat_public_key or "").read_text(),
                public_key_id=settings.wechat_public_key_id,
                timeout=TIMEOUT_S,
            )
        except Exception as error:  # the library raises nothing narrower
            raise ProviderNotReady(provider=self.name, missing=[str(error)[:200]]) from None
        if settings.wechat_api_url:
            self._client._core._gate_way = settings.wechat_api_url  # the library knows one address and no other

    async def authorise(self, charge: Charge) -> Started:
        answer = await self._ask(
            self._client.pay,
            description=f"Order {charge.order_id}"[:127],
            out_trade_no=charge.payment_id.hex,
            amount={"total": charge.money.amount, "currency": charge.money.currency},
            notify_url=charge.notify_url,
        )
        return Started(charge.payment_id.hex, str(answer["code_url"]), "qr")

    async def refund(self, repayment: Repayment) -> Repaid:
        number = f"{repayment.refund_id.hex}-{repayment.attempt}"
        assert repayment.total is not None
        answer = await self._ask(
            self._client.refund,
            out_refund_no=number,
            out_trade_no=repayment.payment_id.hex,
            amount={
                "refund": repayment.money.amount,
                "total": repayment.total.amount,
                "currency": repayment.money.currency,
            },
            reason=repayment.reason[:80],
            notify_url=repayment.notify_url,
        )
        return Repaid(number, done=answer.get("status") == "SUCCESS")

    async def find_payment(self, payment_id: PaymentId, provider_ref: str) -> Report | None:
        """The order by our number: https://pay.weixin.qq.com/doc/v3/merchant/4012791900."""
        answer = await self._find(self._client.query, out_trade_no=provider_ref)
        state = str(answer.get("trade_state", ""))
        if state not in STATES:
            return None
        amount = answer.get("amount") or {}
        return Report(
            event_id=f"asked:{payment_id}:{state}",
            kind=STATES[state],
            name=f"asked {state}",
            payment_id=payment_id,
            provider_ref=payment_id.hex,
            charge_ref=answer.get("transaction_id") or None,
            money=Money(int(amount["total"]), str(amount.get("currency", "CNY"))) if "total" in amount else None,
            reason=state.lower() if STATES[state] is ReportKind.failed else "",
        )

    async def find_refund(self, repayment: Repayment, provider_ref: str) -> Report | None:
        """The refund by our number: https://pay.weixin.qq.com/doc/v3/merchant/4012791904."""
        answer = await self._find(self._client.query_refund, out_refund_no=provider_ref)
        status = str(answer.get("status", ""))
        if status not in REFUND_STATES:
            return None
        return Report(
            event_id=f"asked:{provider_ref}:{status}",
            kind=REFUND_STATES[status],
            name=f"asked {status}",
            payment_id=repayment.payment_id,
            refund_id=repayment.refund_id,
            refund_attempt=repayment.attempt,
            money=Money(int(answer["amount"]["refund"]), "CNY"),
            reason=status.lower(),
        )

    async def _find(self, call: Any, **given: Any) -> dict[str, Any]:
        """Empty: WeChat Pay knows nothing of it."""
        try:
            return await self._ask(call, **given)
        except ProviderRefused as refusal:
            if refusal.reason in UNKNOWN:
                return {}
            raise

    async def _ask(self, call: Any, **given: Any) -> dict[str, Any]:
        """One call, its answer's signature checked by the library; in a thread, since the library waits."""
        try:
            status, text = await asyncio.to_thread(call, **given)
        except Exception as error:
            if type(error) is Exception or isinstance(error, requests.RequestException):
                raise ProviderDown(provider=self.name) from error  # bare: an answer that is not signed as agreed
            raise
        try:
            answer: dict[str, Any] = json.loads(text) if text else {}
        except json.JSONDecodeError:
            raise ProviderDown(provider=self.name) from None
        if 200 <= status < 300:
            return answer
        code = str(answer.get("code", status))
        if status >= 500 or status in (401, 403, 429) or code in PASSING:
            raise ProviderDown(provider=self.name)
        raise ProviderRefused(reason=code[:200])

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Report:
        timestamp = headers.get("wechatpay-timestamp", "")
        if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
            raise SignatureRefused(reason="headers are missing")
        if abs(int(timestamp) - now.timestamp()) > TOLERANCE_S:
            raise SignatureRefused(reason="the time is out of tolerance")
        if headers.get("wechatpay-serial") != self._client._core._public_key_id:
            raise SignatureRefused(reason="it is signed with another key")
        try:
            opened = self._client.callback(dict(headers), body)
        except Exception:  # the library raises nothing narrower
            raise SignatureRefused(reason="it cannot be opened") from None
        if not opened:
            raise SignatureRefused(reason="no signature fits")
        try:
            return _report(msgspec.convert(opened, _Notice))
        except (msgspec.ValidationError, ValueError):
            name = str(opened.get("event_type", "unreadable"))
            return Report(event_id=str(opened.get("id", "unreadable")), kind=ReportKind.other, name=name)


def _report(notice: _Notice) -> Report:
    """Notices: payment https://pay.weixin.qq.com/doc/v3/merchant/4012791882, refund …/4012791886."""
    thing = notice.resource
    if notice.event_type == "TRANSACTION.SUCCESS" and thing.trade_state == "SUCCESS":
        payment_id = PaymentId(UUID(thing.out_trade_no))
        return Report(
            event_id=notice.id,
            kind=ReportKind.captured,
            name=notice.event_type,
            payment_id=payment_id,
            provider_ref=payment_id.hex,
            charge_ref=thing.transaction_id or None,
            money=Money(int(thing.amount["total"]), str(thing.amount.get("currency", "CNY"))),
        )
    kinds = {
        "REFUND.SUCCESS": ReportKind.refunded,
        "REFUND.ABNORMAL": ReportKind.refund_failed,
        "REFUND.CLOSED": ReportKind.refund_failed,
    }
    if notice.event_type not in kinds:
        return Report(event_id=notice.id, kind=ReportKind.other, name=notice.event_type)
    refund, _, attempt = thing.out_refund_no.partition("-")
    return Report(
        event_id=notice.id,
        kind=kinds[notice.event_type],
        name=notice.event_type,
        payment_id=PaymentId(UUID(thing.out_trade_no)),
        refund_id=RefundId(UUID(refund)),
        refund_attempt=int(attempt),
        charge_ref=thing.transaction_id or None,
        money=Money(int(thing.amount["refund"]), "CNY"),
        reason=thing.refund_status.lower(),
    )
