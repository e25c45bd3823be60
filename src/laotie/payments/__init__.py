"""Payments: money that comes from buyers and goes back to them, through whichever providers are set.

Owns payments, refunds, chargebacks, sellers' accounts with providers and what is let go into them, the messages and
statements of providers, what they took, and the differences between their word and ours until two operators settle
them. Knows orders and wallets by their ids alone. `sandbox` is a provider of its own that moves no money.

Promises: no provider is called while a transaction is open; every call may be repeated (ids are idempotency keys); each
message of a provider takes effect once, whenever it comes; a sum that differs is told or written down, never guessed; a
refund that was asked for is tried until it is done; what is not told is asked after. Money of other people's sales is
taken only by a provider that splits it, unless that was allowed (`pooling`). Tells what `events.payments` has.
"""

from laotie.payments import sandbox, sandbox_bank, sandbox_sellers
from laotie.payments.disputes import answer_dispute, list_disputes
from laotie.payments.evidence import list_facts, sum_facts
from laotie.payments.hearing import hear
from laotie.payments.listing import get, list_of_orders, sum_reversed_of_wallets, sum_topups, tally
from laotie.payments.model import (
    EVIDENCE_LENGTH_MAX,
    MOVES,
    REASON_LENGTH_MAX,
    STATEMENT_BYTES_MAX,
    WEBHOOK_BODY_BYTES_MAX,
    AlreadyResolved,
    CannotDo,
    Cost,
    CurrencyNotTaken,
    Difference,
    DifferenceKind,
    Discrepancy,
    Dispute,
    DisputeClosed,
    DisputeId,
    DisputeState,
    Fee,
    NoSuchProvider,
    Payment,
    PaymentMethod,
    PaymentState,
    PoolingOff,
    ProviderDown,
    ProviderNotInstalled,
    ProviderNotReady,
    ProviderRefused,
    Purpose,
    Refund,
    RefundId,
    RefundState,
    RefundTooMuch,
    Release,
    ReleaseId,
    ReleaseState,
    Resolution,
    ResolutionId,
    ResolutionState,
    Seller,
    SellerId,
    SellerKind,
    SellerNotOpen,
    SellerState,
    SignatureRefused,
    Statement,
    StatementId,
    StatementUnreadable,
    Tally,
    Verdict,
)
from laotie.payments.polling import poll
from laotie.payments.pooling import Channel, check_pooling, list_channels, list_usable, splits, splitting
from laotie.payments.provider import Capability, Provider
from laotie.payments.providers import ADAPTERS, check_method, check_providers, list_methods, open_provider, takes
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
from laotie.payments.releases import find_release, list_open_releases, release
from laotie.payments.resolutions import (
    Matter,
    decide_resolution,
    get_resolution,
    list_costs,
    list_discrepancies,
    list_resolutions,
    propose_resolution,
    take_fees,
)
from laotie.payments.sellers import apply_as_seller, check_seller, find_seller, get_seller, list_sellers, onboard
from laotie.payments.taking import authorise, start, start_topup

__all__ = [
    "ADAPTERS", "EVIDENCE_LENGTH_MAX", "MOVES", "REASON_LENGTH_MAX", "STATEMENT_BYTES_MAX", "WEBHOOK_BODY_BYTES_MAX",
    "AlreadyResolved", "CannotDo", "Capability", "Channel", "Cost", "CurrencyNotTaken", "Difference",
    "DifferenceKind", "Discrepancy", "Dispute", "DisputeClosed", "DisputeId", "DisputeState", "Fee", "Matter",
    "NoSuchProvider", "OpenRefund", "Payment", "PaymentMethod", "PaymentState", "PoolingOff", "Provider",
    "ProviderDown", "ProviderNotInstalled", "ProviderNotReady", "ProviderRefused", "Purpose", "Refund", "RefundId",
    "RefundState", "RefundTooMuch", "Release", "ReleaseId", "ReleaseState", "Resolution", "ResolutionId",
    "ResolutionState", "Seller", "SellerId", "SellerKind", "SellerNotOpen", "SellerState", "SignatureRefused",
    "Statement", "StatementId", "StatementUnreadable", "Tally", "Verdict", "add_ledger_differences", "answer_dispute",
    "apply_as_seller", "authorise", "check_method", "check_pooling", "check_providers", "check_seller",
    "decide_resolution", "find_refund", "find_release", "find_seller", "get", "get_resolution", "get_seller",
    "get_statement", "hear", "list_channels", "list_costs", "list_differences", "list_discrepancies", "list_disputes",
    "list_facts", "list_methods", "list_of_orders", "list_open_refunds", "list_open_releases",
    "list_orders_of_statement", "list_resolutions", "list_sellers", "list_statements", "list_usable", "match_again",
    "match_statement", "onboard", "open_provider", "poll", "propose_resolution", "refund", "release", "retry_refund",
    "sandbox", "sandbox_bank", "sandbox_sellers", "splits", "splitting", "start", "start_topup", "sum_facts",
    "sum_reversed_of_wallets", "sum_topups", "take_fees", "takes", "tally",
]  # fmt: skip
