"""The words of payouts: where money goes, batches and what becomes of them, corrections, and what is refused. No I/O."""

import re
import unicodedata
from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID, uuid5

import msgspec
import stdnum.bic
import stdnum.iban
import stdnum.luhn

from laotie.base.cells import guard
from laotie.base.ids import AccountId
from laotie.base.refusals import Conflict, Invalid
from laotie.identity.model import is_plain_text

BankAccountId = NewType("BankAccountId", UUID)
BatchId = NewType("BatchId", UUID)
PayoutId = NewType("PayoutId", UUID)
CorrectionId = NewType("CorrectionId", UUID)

NAMESPACE = UUID("d0a4fe6e-5f2b-5ad5-9a5f-5b7b6f5a0c32")

TEXT_LENGTH_MAX = 140
REASON_LENGTH_MAX = 300
SHOWN_DIGITS = 4
BATCH_PAYOUTS_MAX = 5_000
"""Most payouts in one batch; who comes after is in the next one."""
CHUNK = 100
"""Payouts that are moved in one transaction."""
RESULT_BYTES_MAX = 2_000_000
CARD = re.compile(r"[0-9]{13,19}")
COMPANY_ACCOUNT = re.compile(r"[0-9]{7,30}")
LATIN_LENGTH_MAX = 70
LATIN = re.compile(r"[A-Za-z0-9/?:().,'+ -]+")
"""What banks in Europe let a name consist of (EPC217-08)."""
SPELT = str.maketrans({
    "ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "đ": "d", "Đ": "D", "&": "+"
})  # fmt: skip


class Owner(msgspec.Struct, frozen=True):
    """Whom the platform owes: a shop, or a streamer by their account."""

    id: UUID
    is_shop: bool


class AccountForm(StrEnum):
    """What kind of number it is: an IBAN, a Chinese bank card of a person, or the account of a Chinese company."""

    iban = "iban"
    card = "card"
    company = "company"


class Channel(StrEnum):
    """By what file a bank hears of a batch."""

    cn = "cn"
    iban = "iban"

    @property
    def forms(self) -> tuple[AccountForm, ...]:
        """The accounts it reaches."""
        return (AccountForm.iban,) if self is Channel.iban else (AccountForm.card, AccountForm.company)


class Route(StrEnum):
    """Over what money goes: a bank's file, or the provider at which a seller has an account."""

    bank = "bank"
    provider = "provider"


class BatchState(StrEnum):
    """Where a batch stands. The ones in -ing are under way, and are gone on with after a crash."""

    drafting = "drafting"
    drafted = "drafted"
    approved = "approved"
    sending = "sending"
    sent = "sent"
    closed = "closed"
    discarding = "discarding"
    discarded = "discarded"


class PayoutState(StrEnum):
    """What became of one owner's money: `withheld` and `returned` went back to what they are owed."""

    drafted = "drafted"
    withheld = "withheld"
    sent = "sent"
    paid = "paid"
    returned = "returned"


class CorrectionState(StrEnum):
    """A correction is booked when it is approved, and never otherwise."""

    proposed = "proposed"
    approved = "approved"
    refused = "refused"
    withdrawn = "withdrawn"


class NewBankAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account as its owner writes it down."""

    id: BankAccountId
    form: AccountForm
    currency: str
    holder: str
    number: str
    bank: str
    branch: str = ""
    bic: str | None = None


class BankAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account as anybody may see it: four digits of its number, never more."""

    id: BankAccountId
    owner_id: UUID
    is_shop: bool
    currency: str
    form: AccountForm
    holder: str
    bank: str
    branch: str
    bic: str | None
    last_digits: str
    made_by: AccountId
    made_at: datetime
    usable_at: datetime
    stopped_at: datetime | None
    has_number: bool


class Payer(msgspec.Struct, frozen=True):
    """The platform's own account, as it was when a batch was sent."""

    name: str
    iban: str
    bic: str | None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Payouts that go out together; who did what to it, and the sums of what is in it."""

    id: BatchId
    route: Route
    channel: str
    currency: str
    minimum_amount: int
    state: BatchState
    drafted_by: AccountId | None
    drafted_at: datetime
    changed_by: list[AccountId]
    approved_by: AccountId | None
    approved_at: datetime | None
    sent_by: AccountId | None
    sent_at: datetime | None
    ended_at: datetime | None
    payer: Payer | None
    reached_id: UUID | None
    counts: dict[PayoutState, int]
    amounts: dict[PayoutState, int]


class Payout(msgspec.Struct, frozen=True, kw_only=True):
    """What one owner gets in a batch, and over which account."""

    id: PayoutId
    batch_id: BatchId
    owner_id: UUID
    is_shop: bool
    currency: str
    amount: int
    state: PayoutState
    reason: str | None
    bank_reference: str | None
    drafted_at: datetime
    sent_at: datetime | None
    ended_at: datetime | None
    account_id: BankAccountId | None
    account_form: AccountForm | None
    holder: str | None
    bank: str | None
    branch: str | None
    bic: str | None
    last_digits: str | None


class ResultRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a bank says of one payout; `payout_id` is missing where the reference is none of ours."""

    line_no: int
    reference: str
    payout_id: PayoutId | None
    outcome: PayoutState
    amount: int | None
    reason: str
    bank_reference: str | None


class Waiting(StrEnum):
    """Why an owner with money is in no batch."""

    ready = "ready"
    under_way = "under_way"
    below_minimum = "below_minimum"
    negative = "negative"
    no_account = "no_account"
    cooling = "cooling"
    held = "held"


class Payee(msgspec.Struct, frozen=True, kw_only=True):
    """An owner with a balance, and how the next batch sees them. `channel`: a bank's file, or a provider's name."""

    owner_id: UUID
    is_shop: bool
    currency: str
    amount: int
    waiting: Waiting
    channel: str | None
    account_id: BankAccountId | None
    usable_at: datetime | None
    held_because: str | None


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """A change of what is owed to somebody, made by hand."""

    id: CorrectionId
    owner_id: UUID
    is_shop: bool
    currency: str
    amount: int
    reason: str
    evidence: str
    state: CorrectionState
    note: str | None
    proposed_by: AccountId
    proposed_at: datetime
    decided_by: AccountId | None
    decided_at: datetime | None


class BankAccountRefused(Invalid, code="bank-account-refused"):
    """This part of the bank account cannot be right."""

    part: str


class BankAccountNotCooling(Conflict, code="bank-account-not-cooling"):
    """This change can no longer be stopped; write down another account instead."""


class PayoutTextRefused(Invalid, code="payout-text-refused"):
    """A reason, a reference or a note is missing, too long, or has characters that cannot be shown."""

    part: str


class NothingToPay(Conflict, code="nothing-to-pay"):
    """Nobody can be paid this way now."""


class BatchMoved(Conflict, code="batch-moved"):
    """The batch is no longer where this could be done."""

    state: BatchState


class PayoutMoved(Conflict, code="payout-moved"):
    """The payout is no longer where this could be done."""

    state: PayoutState


class PayerUnknown(Conflict, code="payer-unknown"):
    """The platform's own account is not set (`payout_payer_name`, `payout_payer_iban`)."""


class NotInGbk(Conflict, code="not-in-gbk"):
    """A name has characters that GBK does not know; take the file in UTF-8."""

    holder: str


class BankFileChanged(Conflict, code="bank-file-changed"):
    """The file would not be the one that was handed out before."""

    digest: str


class ResultsUnreadable(Invalid, code="results-unreadable"):
    """The result file cannot be read; nothing of it was applied."""

    line_no: int
    reason: str


class AlreadyHeld(Conflict, code="already-held"):
    """This owner's payouts are held already."""


class CorrectionMoved(Conflict, code="correction-moved"):
    """The correction was decided before."""

    state: CorrectionState


class CorrectionRefused(Invalid, code="correction-refused"):
    """This correction cannot be made."""

    part: str


def payout_id(batch_id: BatchId, owner_id: UUID) -> PayoutId:
    """The id an owner's payout in a batch has, whoever drafts it and however often."""
    return PayoutId(uuid5(batch_id, str(owner_id)))


def daily_batch_id(day: str, channel: str, currency: str, no: int) -> BatchId:
    """The id of the batch that the platform drafts by itself on a day; `no` when one is not enough."""
    return BatchId(uuid5(NAMESPACE, f"{day}/{channel}/{currency}/{no}"))


def checked(account: NewBankAccount) -> NewBankAccount:
    """The account in its plain form, or `BankAccountRefused` with the part that cannot be right.

    IBANs: ISO 13616, with the countries' own check digits where they are known. Cards: ISO/IEC 7812 (Luhn). Accounts
    of Chinese companies have no check digit that holds for all banks.
    """
    holder, bank, branch = (" ".join(text.split()) for text in (account.holder, account.bank, account.branch))
    for part, text, required in (("holder", holder, True), ("bank", bank, True), ("branch", branch, False)):
        right = is_plain_text(text) and len(text) <= TEXT_LENGTH_MAX and guard(text) == text
        if not right or (required and not text):
            raise BankAccountRefused(part=part)
    if account.form is AccountForm.iban and spell(holder) is None:
        raise BankAccountRefused(part="holder")
    number = re.sub(r"[\s-]", "", account.number).upper()
    if not (number.isascii() and _is_number(account.form, number)):
        raise BankAccountRefused(part="number")
    if account.form is not AccountForm.iban and account.currency != "CNY":
        raise BankAccountRefused(part="currency")
    bic = re.sub(r"\s", "", account.bic or "").upper() or None
    if bic is not None and not (account.form is AccountForm.iban and stdnum.bic.is_valid(bic)):
        raise BankAccountRefused(part="bic")
    return msgspec.structs.replace(account, holder=holder, bank=bank, branch=branch, number=number, bic=bic)


def _is_number(form: AccountForm, number: str) -> bool:
    if form is AccountForm.iban:
        return bool(stdnum.iban.is_valid(number))
    if form is AccountForm.card:
        return CARD.fullmatch(number) is not None and len(set(number)) > 1 and bool(stdnum.luhn.is_valid(number))
    return COMPANY_ACCOUNT.fullmatch(number) is not None


def spell(name: str) -> str | None:
    """A name in the letters that banks in Europe know, accents dropped; `None` when it has others."""
    plain = "".join(one for one in unicodedata.normalize("NFKD", name.translate(SPELT)) if not unicodedata.combining(one))
    return plain[:LATIN_LENGTH_MAX] if LATIN.fullmatch(plain) else None


def checked_text(part: str, text: str, *, required: bool = True) -> str:
    """A line of text as people may see it, or `PayoutTextRefused`."""
    text = " ".join(text.split())
    if not is_plain_text(text) or len(text) > REASON_LENGTH_MAX or (required and not text):
        raise PayoutTextRefused(part=part)
    return text
