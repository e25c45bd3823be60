"""The ledger's words: accounts by what they stand for, transfers that move one amount from one to another."""

from enum import StrEnum
from uuid import UUID, uuid5

import msgspec

from laotie.base.ids import TransferId
from laotie.base.money import Currency, Money
from laotie.base.refusals import Conflict

NAMESPACE = UUID("6f1a5a52-70b3-5f0e-9d53-0c6c4c1d2f11")

BATCH_SIZE_MAX = 10_000


class AccountKind(StrEnum):
    """What an account stands for. Debit-normal ones are money held somewhere, credit-normal ones money owed to someone."""

    provider = "provider"
    """Money at the payment provider, by provider name's currency (debit-normal)."""
    shop_held = "shop_held"
    """What buyers paid for a shop's orders, until it is settled (credit-normal, owner: the shop)."""
    unallocated = "unallocated"
    """Money that came without an open order, until it goes back (credit-normal)."""
    wallet = "wallet"
    """What somebody has with us (credit-normal, owner: an account or a shop)."""
    escrow = "escrow"
    """What an activity has to give, until it is given or goes back (credit-normal, owner: the activity)."""
    deposit = "deposit"
    """What a shop has put up for its guarantees (credit-normal, owner: the shop)."""
    subsidy = "subsidy"
    """What the platform has added to buyers' payments, by its own coupons (debit-normal)."""
    payable = "payable"
    """What is settled and owed to a shop or a streamer; may be below zero (credit-normal, owner: either)."""
    commission = "commission"
    """What the platform has earned by settled orders (credit-normal)."""
    payment_fee = "payment_fee"
    """What shops were charged for the payments of settled orders (credit-normal)."""
    provider_cost = "provider_cost"
    """What providers took for their services (debit-normal)."""
    payout = "payout"
    """Money on its way to the one it is owed to (credit-normal, owner: a shop or a streamer)."""
    correction = "correction"
    """The platform's side of what was corrected by hand (debit-normal)."""


class Account(msgspec.Struct, frozen=True):
    """An account's name. Its id follows from the name, so it need not be looked up."""

    kind: AccountKind
    currency: Currency
    owner_id: UUID | None = None

    @property
    def id(self) -> UUID:
        """UUIDv5 of the name."""
        return account_id(self.kind, self.currency, self.owner_id)


class Phase(StrEnum):
    """Pending reserves; posted is final; voided gives a reservation back."""

    pending = "pending"
    posted = "posted"
    voided = "voided"


class Transfer(msgspec.Struct, frozen=True):
    """An amount (whole minor units, above zero) out of `credit` into `debit`."""

    id: TransferId
    debit: Account
    credit: Account
    amount: int
    reason: str
    subject_id: UUID


class Balance(msgspec.Struct, frozen=True):
    """The four sums of an account, in minor units, each zero or more."""

    debits_pending: int = 0
    credits_pending: int = 0
    debits_posted: int = 0
    credits_posted: int = 0

    @property
    def posted(self) -> int:
        """Credits less debits: what is owed to the owner (negative for money held)."""
        return self.credits_posted - self.debits_posted


class Tally(msgspec.Struct, frozen=True):
    """The books in figures: row counts, and the differences (the first hundred of a kind), which must all be zero."""

    transfers: int
    accounts: int
    sum_of_balances: int
    balances_off: int
    settled_wrong: int
    holds_open: int


class HoldNotOpen(Conflict, code="hold-not-open"):
    """The held amount was already posted or voided, or never held."""

    transfer_ids: list[TransferId]


class InsufficientFunds(Conflict, code="insufficient-funds"):
    """There is not enough in the wallet."""

    needed: Money
    balance: Money


_ids: dict[tuple[AccountKind, str, UUID | None], UUID] = {}


def account_id(kind: AccountKind, currency: str, owner_id: UUID | None) -> UUID:
    """The id an account of this name has."""
    key = (kind, currency, owner_id)
    found = _ids.get(key)
    if found is None:
        if len(_ids) > 100_000:
            _ids.clear()
        found = _ids[key] = uuid5(NAMESPACE, f"{kind}/{owner_id or ''}/{currency}")
    return found
