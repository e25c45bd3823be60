"""Alipay (open platform, RSA2), through `python-alipay-sdk`: its page for phones, refunds, notices.

The buyer is sent to Alipay's page by a signed address; Alipay tells of the payment by a signed form, again until it is
answered with the word `success`. A refund is answered at once, or asked after. https://opendocs.alipay.com/open/203.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qsl
from uuid import UUID
from zoneinfo import ZoneInfo

from alipay import AliPay
from alipay.exceptions import AliPayException, AliPayValidationError
from alipay.utils import AliPayConfig

from laotie.base.db import Database
from laotie.base.ids import PaymentId
from laotie.base.money import AmountUnreadable, Money, parse
from laotie.base.settings import Settings
from laotie.payments.model import ProviderDown, ProviderNotReady, ProviderRefused, SignatureRefused
from laotie.payments.provider import Capability, Charge, Repaid, Repayment, Report, ReportKind, Started, Unable

SHANGHAI = ZoneInfo("Asia/Shanghai")
TIMEOUT_S = 15
FIELDS_MAX = 100
PASSING = {"20000", "ACQ.SYSTEM_ERROR", "SYSTEM_ERROR", "isp.unknow-error", "aop.unknow-error"}
"""Answers that may be another one next time: https://opendocs.alipay.com/common/02km9f."""
NEEDED = ("alipay_app_id", "alipay_private_key", "alipay_public_key")


class Alipay(Unable):
    """The adapter. Yuan alone; a payment is captured when the buyer approves.

    It cannot split: Alipay does so for merchants who have agreed on it (分账), by requests that are not written here.
    """

    name = "alipay"
    can = frozenset({Capability.authorise, Capability.refund, Capability.partial_refund, Capability.look_up})
    currencies = ("CNY",)
    answer = "success"

    def __init__(self, db: Database, settings: Settings) -> None:
        missing = [name for name in NEEDED if not getattr(settings, name)]
        if missing:
            raise ProviderNotReady(provider=self.name, missing=missing)
        self._db = db
        self._app_id = settings.alipay_app_id or ""
        try:
            self._client: Any = AliPay(
                appid=self._app_id,
                app_private_key_string=Path(settings.alipay_private_key or "").read_text(),
                alipay_public_key_string=Path(settings.alipay_public_key or "").read_text(),
                sign_type="RSA2",
                config=AliPayConfig(timeout=TIMEOUT_S),
            )
        except (OSError, ValueError) as error:
            raise ProviderNotReady(provider=self.name, missing=[str(error)[:200]]) from None
        if settings.alipay_gateway_url:
            self._client._gateway = settings.alipay_gateway_url  # the library knows two addresses and no other

    async def authorise(self, charge: Charge) -> Started:
        """Nothing is asked of Alipay yet: the signed address itself makes the payment when the buyer opens it."""
        content = {
            "out_trade_no": charge.payment_id.hex,
            "total_amount": _yuan(charge.money),
            "subject": f"Order {charge.order_id}",
            "product_code": "QUICK_WAP_WAY",
        }
        query = self._client.client_api(
            "alipay.trade.wap.pay",
            content,
            timestamp=self._timestamp(),
            return_url=charge.return_url,
            notify_url=charge.notify_url,
        )
        return Started(charge.payment_id.hex, f"{self._client._gateway}?{query}")

    async def refund(self, repayment: Repayment) -> Repaid:
        """Done when the answer says that money moved; an answer to a repetition says no, so then it is asked after."""
        number = f"{repayment.refund_id.hex}-{repayment.attempt}"
        answer = await self._ask(
            "alipay.trade.refund",
            {
                "out_trade_no": repayment.payment_id.hex,
                "refund_amount": _yuan(repayment.money),
                "out_request_no": number,
                "refund_reason": repayment.reason[:200],
            },
        )
        if answer.get("fund_change") == "Y":
            return Repaid(number, done=True)
        known = await self._ask(
            "alipay.trade.fastpay.refund.query",
            {"out_trade_no": repayment.payment_id.hex, "out_request_no": number},
        )
        if known.get("refund_status") != "REFUND_SUCCESS":
            raise ProviderDown(provider=self.name)
        return Repaid(number, done=True)

    async def find_payment(self, payment_id: PaymentId, provider_ref: str) -> Report | None:
        """`alipay.trade.query`: https://opendocs.alipay.com/open/82ea786a. No trade: nobody opened the page yet."""
        try:
            answer = await self._ask("alipay.trade.query", {"out_trade_no": provider_ref})
        except ProviderRefused as refusal:
            if refusal.reason == "ACQ.TRADE_NOT_EXIST":
                return None
            raise
        status = str(answer.get("trade_status", ""))
        kind = STATES.get(status)
        if kind in (None, ReportKind.pending):
            return None
        assert kind is not None
        return Report(
            event_id=f"asked:{payment_id}:{status}",
            kind=kind,
            name=f"asked {status}",
            payment_id=payment_id,
            provider_ref=payment_id.hex,
            charge_ref=answer.get("trade_no") or None,
            money=parse(str(answer.get("total_amount", "")), "CNY"),
            reason="timed-out" if kind is ReportKind.failed else "",
        )

    async def find_refund(self, repayment: Repayment, provider_ref: str) -> Report | None:
        known = await self._ask(
            "alipay.trade.fastpay.refund.query",
            {"out_trade_no": repayment.payment_id.hex, "out_request_no": provider_ref},
        )
        if known.get("refund_status") != "REFUND_SUCCESS":
            return None
        return Report(
            event_id=f"asked:{provider_ref}",
            kind=ReportKind.refunded,
            name="asked REFUND_SUCCESS",
            payment_id=repayment.payment_id,
            refund_id=repayment.refund_id,
            refund_attempt=repayment.attempt,
            money=parse(str(known.get("refund_amount", "")), "CNY"),
        )

    async def _ask(self, method: str, content: dict[str, Any]) -> dict[str, Any]:
        """One call, its answer's signature checked by the library; in a thread, since the library waits."""
        call: Callable[..., Any] = self._client.server_api
        try:
            answer: dict[str, Any] = await asyncio.to_thread(call, method, content, timestamp=self._timestamp())
        except HTTPError as error:
            if 400 <= error.code < 500:
                raise ProviderRefused(reason=f"HTTP {error.code}") from error
            raise ProviderDown(provider=self.name) from error
        except (URLError, TimeoutError, OSError, AliPayValidationError, json.JSONDecodeError) as error:
            raise ProviderDown(provider=self.name) from error
        except AliPayException as error:
            raise ProviderRefused(reason=str(error)[:200]) from error
        if answer.get("code") == "10000":
            return answer
        code = str(answer.get("sub_code") or answer.get("code"))
        if code in PASSING or answer.get("code") in PASSING:
            raise ProviderDown(provider=self.name)
        raise ProviderRefused(reason=code[:200])

    def _timestamp(self) -> str:
        return self._db.clock.now().astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Report:
        """A form, signed over all fields but `sign` and `sign_type`. Its `notify_id` stays the same when it comes again."""
        try:
            fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX))
        except ValueError:
            raise SignatureRefused(reason="the body is no form") from None
        sign = fields.pop("sign", "")
        try:
            fits = bool(self._client.verify(dict(fields), sign))
        except (AliPayException, ValueError):
            fits = False
        if not fits:
            raise SignatureRefused(reason="no signature fits")
        if fields.get("app_id") != self._app_id:
            raise SignatureRefused(reason="it is for another application")
        return _report(fields)


STATES = {
    "WAIT_BUYER_PAY": ReportKind.pending,
    "TRADE_SUCCESS": ReportKind.captured,
    "TRADE_FINISHED": ReportKind.captured,
    "TRADE_CLOSED": ReportKind.failed,
}


def _report(fields: dict[str, str]) -> Report:
    """https://opendocs.alipay.com/open/203/105286. A notice of a refund is no news: the refund's answer said so."""
    status = fields.get("trade_status", "")
    event_id, name = fields.get("notify_id", "unreadable"), f"{fields.get('notify_type', '')} {status}".strip()
    kind = STATES.get(status, ReportKind.other)
    try:
        payment_id = PaymentId(UUID(fields.get("out_trade_no", "")))
        money = parse(fields.get("total_amount", ""), "CNY")
    except (ValueError, AmountUnreadable):
        return Report(event_id=event_id, kind=ReportKind.other, name=name)
    if kind is ReportKind.other or "refund_fee" in fields or "gmt_refund" in fields:
        return Report(event_id=event_id, kind=ReportKind.other, name=name)
    return Report(
        event_id=event_id,
        kind=kind,
        name=name,
        payment_id=payment_id,
        provider_ref=payment_id.hex,
        charge_ref=fields.get("trade_no") or None,
        money=money,
        reason="timed-out" if kind is ReportKind.failed else "",
    )


def _yuan(money: Money) -> str:
    return str(money).removesuffix(f" {money.currency}")
