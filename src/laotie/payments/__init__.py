"""Payments: money that comes from buyers and goes back to them, through whichever provider is set.

Owns payments, refunds, the messages of providers, and the discrepancies between their word and ours. Knows orders and
wallets by their ids alone. `sandbox` is a provider of its own that moves no money.

Promises: no provider is called while a transaction is open; every call may be repeated (ids are idempotency keys);
each message of a provider takes effect once, whenever it comes; a sum that differs moves nothing; a refund that was
asked for is tried until it is done. Tells `PaymentCaptured`, `PaymentFailed`, `PaymentRefunded`.
"""

from laotie.payments import sandbox
from laotie.payments.evidence import list_facts, sum_facts
from laotie.payments.hearing import hear
from laotie.payments.listing import get, list_of_orders, sum_topups, tally
from laotie.payments.model import (
    MOVES,
    WEBHOOK_BODY_BYTES_MAX,
    CannotDo,
    NoSuchProvider,
    Payment,
    PaymentState,
    ProviderDown,
    ProviderRefused,
    Purpose,
    Refund,
    RefundId,
    RefundState,
    RefundTooMuch,
    SignatureRefused,
    Tally,
    Verdict,
)
from laotie.payments.provider import Capability, Provider
from laotie.payments.providers import open_provider
from laotie.payments.refunds import find_refund, refund
from laotie.payments.taking import authorise, start, start_topup

__all__ = [
    "MOVES",
    "WEBHOOK_BODY_BYTES_MAX",
    "CannotDo",
    "Capability",
    "NoSuchProvider",
    "Payment",
    "PaymentState",
    "Provider",
    "ProviderDown",
    "ProviderRefused",
    "Purpose",
    "Refund",
    "RefundId",
    "RefundState",
    "RefundTooMuch",
    "SignatureRefused",
    "Tally",
    "Verdict",
    "authorise",
    "find_refund",
    "get",
    "hear",
    "list_facts",
    "list_of_orders",
    "open_provider",
    "refund",
    "sandbox",
    "start",
    "start_topup",
    "sum_facts",
    "sum_topups",
    "tally",
]
