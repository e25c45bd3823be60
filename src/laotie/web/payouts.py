"""Where owners' money goes, over HTTP: bank accounts, what was paid out, what was corrected.

Everything twice: of a shop, for seats with the scope `money`, and one's own as a streamer.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import get, post
from msgspec import Meta

from laotie import settlement
from laotie.base.db import Database
from laotie.base.money import Currency, Money
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.identity import Actor, Attempts
from laotie.settlement import (
    AccountForm,
    BankAccount,
    BankAccountId,
    CorrectionId,
    NewBankAccount,
    Owner,
    PayoutId,
    PayoutState,
)
from laotie.settlement.payout_model import TEXT_LENGTH_MAX
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page

Text = Annotated[str, Meta(max_length=TEXT_LENGTH_MAX)]


class BankAccountView(msgspec.Struct, kw_only=True):
    """Where money of a currency goes, or went; of its number, the last digits. Nothing is paid to it before `usable_at`."""

    id: BankAccountId
    form: AccountForm
    currency: Currency
    holder: str
    bank: str
    branch: str
    bic: str | None
    last_digits: str
    made_at: datetime
    usable_at: datetime
    stopped_at: datetime | None
    standing: Literal["current", "cooling", "stopped", "replaced"]


class BankAccountViews(msgspec.Struct, kw_only=True):
    """An owner's accounts, the latest first."""

    items: list[BankAccountView]
    cooling_h: int


class BankAccountChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An account to pay to from now on, with the password of whoever says so."""

    id: BankAccountId
    form: AccountForm
    currency: Currency
    holder: Text
    number: Annotated[str, Meta(max_length=60)]
    bank: Text
    branch: Text = ""
    bic: Annotated[str, Meta(max_length=20)] | None = None
    password: Annotated[str, Meta(max_length=200)]


class OwnPayoutView(msgspec.Struct, kw_only=True):
    """Money that went out to an owner, or is about to."""

    id: PayoutId
    amount: Money
    state: PayoutState
    reason: str | None
    bank: str | None
    last_digits: str | None
    drafted_at: datetime
    sent_at: datetime | None
    ended_at: datetime | None


class OwnCorrectionView(msgspec.Struct, kw_only=True):
    """What was put right by hand in an owner's balance."""

    id: CorrectionId
    amount: Money
    reason: str
    booked_at: datetime | None


class OwnCorrectionViews(msgspec.Struct, kw_only=True):
    """The latest first."""

    items: list[OwnCorrectionView]


@get("/api/shops/{shop_id:uuid}/bank-accounts")
async def list_shop_bank_accounts(
    shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> BankAccountViews:
    """Where the shop's money goes."""
    return await _accounts(db, settings, actor, Owner(shop_id, True))


@get("/api/me/bank-accounts")
async def list_my_bank_accounts(
    actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> BankAccountViews:
    """Where my money goes, as a streamer."""
    return await _accounts(db, settings, actor, Owner(actor.signed_in(), False))


@post("/api/shops/{shop_id:uuid}/bank-accounts")
async def change_shop_bank_account(
    shop_id: FromPath[UUID],
    data: JSONBody[BankAccountChange],
    actor: Given[Actor],
    db: Given[Database],
    attempts: Given[Attempts],
    signer: Given[Signer],
    settings: Given[Settings],
) -> BankAccountView:
    """Have the shop's money go to another account, once it has cooled off. For its owners."""
    return await _change_account(db, actor, Owner(shop_id, True), data, attempts, signer, settings)


@post("/api/me/bank-accounts")
async def change_my_bank_account(
    data: JSONBody[BankAccountChange],
    actor: Given[Actor],
    db: Given[Database],
    attempts: Given[Attempts],
    signer: Given[Signer],
    settings: Given[Settings],
) -> BankAccountView:
    """Have my money as a streamer go to another account, once it has cooled off."""
    return await _change_account(db, actor, Owner(actor.signed_in(), False), data, attempts, signer, settings)


@post("/api/bank-accounts/{account_id:uuid}/cancellation", status_code=200)
async def stop_bank_account(account_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> BankAccountView:
    """Stop a change that cools off: what was there before counts again. For whoever may touch the owner's money."""
    async with db.tx() as tx:
        account = await settlement.accounts.stop_account(tx, actor, BankAccountId(account_id))
        return _account(account, tx.now, is_latest=False)


@get("/api/shops/{shop_id:uuid}/settlement-payouts")
async def list_shop_payouts(
    shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Page[OwnPayoutView]:
    """What was paid out to the shop, the latest first."""
    return await _own_payouts(db, actor, Owner(shop_id, True), after, limit)


@get("/api/me/settlement-payouts")
async def list_my_payouts(
    actor: Given[Actor], db: Given[Database], after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Page[OwnPayoutView]:
    """What was paid out to me as a streamer, the latest first."""
    return await _own_payouts(db, actor, Owner(actor.signed_in(), False), after, limit)


@get("/api/shops/{shop_id:uuid}/corrections")
async def list_shop_corrections(shop_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> OwnCorrectionViews:
    """What the platform put right in the shop's balance, the latest first."""
    return await _own_corrections(db, actor, Owner(shop_id, True))


@get("/api/me/corrections")
async def list_my_corrections(actor: Given[Actor], db: Given[Database]) -> OwnCorrectionViews:
    """What the platform put right in my balance as a streamer, the latest first."""
    return await _own_corrections(db, actor, Owner(actor.signed_in(), False))


async def _accounts(db: Database, settings: Settings, actor: Actor, owner: Owner) -> BankAccountViews:
    async with db.read() as tx:
        found = await settlement.accounts.list_accounts(tx, actor, owner)
        now = tx.now
    latest: dict[str, UUID] = {}
    for one in found:
        if one.stopped_at is None:
            latest.setdefault(one.currency, one.id)
    return BankAccountViews(
        items=[_account(one, now, is_latest=latest.get(one.currency) == one.id) for one in found],
        cooling_h=settings.bank_account_cooling_h,
    )


async def _change_account(
    db: Database,
    actor: Actor,
    owner: Owner,
    data: BankAccountChange,
    attempts: Attempts,
    signer: Signer,
    settings: Settings,
) -> BankAccountView:
    new = NewBankAccount(**{name: getattr(data, name) for name in NewBankAccount.__struct_fields__})
    account = await settlement.accounts.change_account(
        db, actor, owner, new, password=data.password, attempts=attempts, signer=signer, settings=settings
    )
    return _account(account, db.clock.now(), is_latest=True)


def _account(one: BankAccount, now: datetime, *, is_latest: bool) -> BankAccountView:
    standing: Literal["current", "cooling", "stopped", "replaced"] = "replaced"
    if one.stopped_at is not None:
        standing = "stopped"
    elif is_latest:
        standing = "cooling" if one.usable_at > now else "current"
    fields = {name: getattr(one, name) for name in BankAccountView.__struct_fields__ if name != "standing"}
    return BankAccountView(**fields, standing=standing)


async def _own_payouts(
    db: Database, actor: Actor, owner: Owner, after: UUID | None, limit: int
) -> Page[OwnPayoutView]:
    async with db.read() as tx:
        found = await settlement.batches.list_of_owner(
            tx, actor, owner, after=PayoutId(after) if after is not None else None, limit=limit
        )
    items = [
        OwnPayoutView(
            id=one.id,
            amount=Money(one.amount, one.currency),
            state=one.state,
            reason=one.reason,
            bank=one.bank,
            last_digits=one.last_digits,
            drafted_at=one.drafted_at,
            sent_at=one.sent_at,
            ended_at=one.ended_at,
        )
        for one in found
    ]
    return Page(items=items, next=str(found[-1].id) if len(found) == limit else None)


async def _own_corrections(db: Database, actor: Actor, owner: Owner) -> OwnCorrectionViews:
    async with db.read() as tx:
        found = await settlement.corrections.list_of_owner(tx, actor, owner, limit=LIMIT_DEFAULT)
    items = [
        OwnCorrectionView(
            id=one.id, amount=Money(one.amount, one.currency), reason=one.reason, booked_at=one.decided_at
        )
        for one in found
    ]
    return OwnCorrectionViews(items=items)


ROUTES = [
    list_shop_bank_accounts,
    list_my_bank_accounts,
    change_shop_bank_account,
    change_my_bank_account,
    stop_bank_account,
    list_shop_payouts,
    list_my_payouts,
    list_shop_corrections,
    list_my_corrections,
]
