"""Payments: money that comes from buyers and goes back to them, through whichever providers are set.

Owns payments, refunds, chargebacks, the messages and statements of providers, and the differences between their word and
ours. Knows orders and wallets by their ids alone. `sandbox` is a provider of its own that moves no money.

Promises: no provider is called while a transaction is open; every call may be repeated (ids are idempotency keys); each
message of a provider takes effect once, whenever it comes; a sum that differs is told or written down, never guessed; a
refund that was asked for is tried until it is done. Tells `PaymentCaptured`, `PaymentFailed`, `PaymentRefunded`,
`PaymentReversed`, `PaymentRestored`.
"""

from laotie.payments import sandbox, sandbox_bank
from laotie.payments.disputes import answer_dispute, list_disputes
from laotie.payments.evidence import list_facts, sum_facts
from laotie.payments.hearing import hear
from laotie.payments.listing import get, list_of_orders, sum_topups, tally
from laotie.payments.model import (
    EVIDENCE_LENGTH_MAX,
    MOVES,
    STATEMENT_BYTES_MAX,
    WEBHOOK_BODY_BYTES_MAX,
    CannotDo,
    CurrencyNotTaken,
    Difference,
    DifferenceKind,
    Dispute,
    DisputeClosed,
    DisputeId,
    DisputeState,
    NoSuchProvider,
    Payment,
    PaymentMethod,
    PaymentState,
    ProviderDown,
    ProviderNotInstalled,
    ProviderNotReady,
    ProviderRefused,
    Purpose,
    Refund,
    RefundId,
    RefundState,
    RefundTooMuch,
    SignatureRefused,
    Statement,
    StatementId,
    StatementUnreadable,
    Tally,
    Verdict,
)
from laotie.payments.provider import Capability, Provider
from laotie.payments.providers import ADAPTERS, check_method, check_providers, list_methods, open_provider
from laotie.payments.reconciling import (
    add_ledger_differences,
    get_statement,
    list_differences,
    list_orders_of_statement,
    list_statements,
    match_again,
    match_statement,
)
from laotie.payments.refunds import OpenRefund, find_refund, list_open_refunds, refund, retry_refund
from laotie.payments.taking import authorise, start, start_topup

__all__ = [
    "ADAPTERS",
    "EVIDENCE_LENGTH_MAX",
    "MOVES",
    "STATEMENT_BYTES_MAX",
    "WEBHOOK_BODY_BYTES_MAX",
    "CannotDo",
    "Capability",
    "CurrencyNotTaken",
    "Difference",
    "DifferenceKind",
    "Dispute",
    "DisputeClosed",
    "DisputeId",
    "DisputeState",
    "NoSuchProvider",
    "OpenRefund",
    "Payment",
    "PaymentMethod",
    "PaymentState",
    "Provider",
    "ProviderDown",
    "ProviderNotInstalled",
    "ProviderNotReady",
    "ProviderRefused",
    "Purpose",
    "Refund",
    "RefundId",
    "RefundState",
    "RefundTooMuch",
    "SignatureRefused",
    "Statement",
    "StatementId",
    "StatementUnreadable",
    "Tally",
    "Verdict",
    "add_ledger_differences",
    "answer_dispute",
    "authorise",
    "check_method",
    "check_providers",
    "find_refund",
    "get",
    "get_statement",
    "hear",
    "list_differences",
    "list_disputes",
    "list_facts",
    "list_methods",
    "list_of_orders",
    "list_open_refunds",
    "list_orders_of_statement",
    "list_statements",
    "match_again",
    "match_statement",
    "open_provider",
    "refund",
    "retry_refund",
    "sandbox",
    "sandbox_bank",
    "start",
    "start_topup",
    "sum_facts",
    "sum_topups",
    "tally",
]
