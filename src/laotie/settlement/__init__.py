"""Settlement: what completed orders are worth goes to those it belongs to, and everybody can follow it to the cent.

Owns rates and terms, what is due of completed orders, and the lines of statements. Composes orders (what an order is
still worth), live (whose show it was) and ledger. Promises: what was settled of an order is always what it is worth at
the rates of the instant it was paid, whatever comes later and however often; each line has its transfers; an owner's
lines add up to the ledger's `payable`; lines are never changed, so a past month stays as it was.
Also owns where owners want their money, payouts in batches under four eyes, and corrections by hand: a payout is booked
out of what is owed once, and back once, whatever crashes.
Lock order: orders, claims (`due`); the settler alone takes claims without their orders (an advisory lock).
"""

from laotie import identity
from laotie.settlement import accounts, bank_file, batches, corrections, drafting, exporting, payees, payouts
from laotie.settlement.claims import Rules, note, rules_of, work_looks
from laotie.settlement.evidence import Tally, find_in_flight, list_facts, sum_facts, tally
from laotie.settlement.lines import book_owner, find_payable, payable
from laotie.settlement.model import Line, LineId, LineKind, Parts, RateKind, Rates, Split, day_of, split
from laotie.settlement.payout_model import (
    AccountForm,
    BankAccount,
    BankAccountId,
    Batch,
    BatchId,
    BatchState,
    Channel,
    Correction,
    CorrectionId,
    CorrectionState,
    NewBankAccount,
    Owner,
    Payee,
    Payout,
    PayoutId,
    PayoutState,
    ResultRow,
    Route,
    Waiting,
)
from laotie.settlement.rating import Asked, Rate, choose, find_delays, read_rates
from laotie.settlement.settling import Progress, settle_batch, settle_due

__all__ = [
    "AccountForm",
    "Asked",
    "BankAccount",
    "BankAccountId",
    "Batch",
    "BatchId",
    "BatchState",
    "Channel",
    "Correction",
    "CorrectionId",
    "CorrectionState",
    "Line",
    "LineId",
    "LineKind",
    "NewBankAccount",
    "Owner",
    "Parts",
    "Payee",
    "Payout",
    "PayoutId",
    "PayoutState",
    "Progress",
    "Rate",
    "RateKind",
    "Rates",
    "ResultRow",
    "Route",
    "Rules",
    "Split",
    "Tally",
    "Waiting",
    "accounts",
    "bank_file",
    "batches",
    "book_owner",
    "choose",
    "corrections",
    "day_of",
    "drafting",
    "exporting",
    "find_delays",
    "find_in_flight",
    "find_payable",
    "list_facts",
    "note",
    "payable",
    "payees",
    "payouts",
    "read_rates",
    "rules_of",
    "settle_batch",
    "settle_due",
    "split",
    "sum_facts",
    "tally",
    "work_looks",
]

identity.add_to_export("bank_accounts", accounts.export)
