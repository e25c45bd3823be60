"""The ledger: double entry for every amount that moves, append-only, exact at any instant.

Owns accounts, transfers and balances. A transfer is one row with a debit and a credit side, so whatever is added up
comes to zero. Pending transfers reserve money; each is posted or voided once. Knows ids and sums, nothing of orders.

Promises: rows are never changed or deleted; no transfer mixes currencies; a hold is settled at most once.
Takes no lock on any account when money moves (but `spend`, on the wallet it empties); `fold` alone updates balances.
"""

from laotie.ledger.accounts import fold, get_balance, open_many
from laotie.ledger.checking import tally
from laotie.ledger.evidence import list_facts, sum_facts
from laotie.ledger.model import (
    BATCH_SIZE_MAX,
    Account,
    AccountKind,
    Balance,
    HoldNotOpen,
    InsufficientFunds,
    Tally,
    Transfer,
)
from laotie.ledger.transfers import hold_many, open_for, post_many, transfer_from, transfer_many, void_many
from laotie.ledger.wallets import Movement, list_balances, list_movements, spend

__all__ = [
    "BATCH_SIZE_MAX",
    "Account",
    "AccountKind",
    "Balance",
    "HoldNotOpen",
    "InsufficientFunds",
    "Movement",
    "Tally",
    "Transfer",
    "fold",
    "get_balance",
    "hold_many",
    "list_balances",
    "list_facts",
    "list_movements",
    "open_for",
    "open_many",
    "post_many",
    "spend",
    "sum_facts",
    "tally",
    "transfer_from",
    "transfer_many",
    "void_many",
]
