"""Trust: what shops guarantee, and the deposits that stand behind it.

Owns pledges, deposits, payouts, each buyer's month, the rule, and signals of abuse. Promises: a pledge never changes,
and an order goes by the one it was placed under; a payout is paid once, never from money that is not there, never above
the promise's cap or the buyer's month; what is owed is paid first when the deposit is filled; a shop that owes, or is
short for longer than the rule's grace, sells nothing new until then.
Lock order: the shop's deposit (after the order), shelf, the buyer's month, ledger.
Not here: when a claim is due (`aftersales` decides), the shelf's pointer to a pledge (`catalog`), refunds (`orders`).
"""

from laotie.trust.deposits import get_standing, plan_topup, put_in, take_back, work_deposits
from laotie.trust.evidence import Tally, tally
from laotie.trust.model import (
    Deposit,
    DepositAmountRefused,
    DepositNeeded,
    Guarantee,
    GuaranteeRefused,
    NotPledged,
    Obligation,
    Offered,
    Payout,
    Pledge,
    PromiseKind,
    Standing,
    Terms,
)
from laotie.trust.payouts import fits_month, list_of_orders, list_of_shop, pay
from laotie.trust.pledges import clear_pledge, find_of_shop, find_offered, find_pledges, set_pledge
from laotie.trust.suspicion import count_orders_with

__all__ = [
    "Deposit", "DepositAmountRefused", "DepositNeeded", "Guarantee", "GuaranteeRefused", "NotPledged", "Obligation",
    "Offered", "Payout", "Pledge", "PromiseKind", "Standing", "Tally", "Terms", "clear_pledge", "count_orders_with",
    "find_of_shop", "find_offered", "find_pledges", "fits_month", "get_standing", "list_of_orders", "list_of_shop",
    "pay", "plan_topup", "put_in", "set_pledge", "take_back", "tally", "work_deposits",
]  # fmt: skip
