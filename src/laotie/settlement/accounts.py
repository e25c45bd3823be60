"""Bank accounts: where owners want their money. A new one cools off, is told to everybody concerned, and can be stopped.

Whoever gets hold of a session must not be able to lead the next payout away: a change takes the password, nothing is
paid to the new account for some days (nothing to the old one either: it may be the one that is closed), and all who may
touch the owner's money hear of it at once and can stop it. Numbers are sealed; nobody sees more than the last digits but
the bank file.
"""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

import msgspec

from laotie import catalog, identity, messages
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, ShopId, ViewerId, new_id
from laotie.base.money import exponent
from laotie.base.refusals import IdReused, NotFound
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.identity import Actor, Attempts, Scope
from laotie.settlement.payout_model import (
    SHOWN_DIGITS,
    BankAccount,
    BankAccountId,
    BankAccountNotCooling,
    NewBankAccount,
    Owner,
    checked,
)

PURPOSE = "bank-account"
LINK, OWN_LINK = "/console/payouts", "/console/my-payouts"
LISTED_MAX = 20


async def change_account(
    db: Database,
    actor: Actor,
    owner: Owner,
    new: NewBankAccount,
    *,
    password: str,
    attempts: Attempts,
    signer: Signer,
    settings: Settings,
) -> BankAccount:
    """Have money of a currency go to another account from now on, once it has cooled off. Opens its own transactions.

    For a shop it takes the owner's seat, for a streamer oneself; and the password again. What was still cooling off is
    stopped by it. The same id again gives the same answer. Refuses `PasswordWrong`, `TooFast`, `BankAccountRefused`,
    `IdReused`.
    """
    exponent(new.currency)
    account = checked(new)
    async with db.read() as tx:
        await require_owner(tx, actor, owner, change=True)
    await identity.confirm_password(db, actor, password, attempts=attempts)
    async with db.tx() as tx:
        await require_owner(tx, actor, owner, change=True)
        await _lock(tx, owner)
        known = await _find(tx, account.id)
        if known is not None:
            if not await _is_same(tx, signer, known, owner, account):
                raise IdReused()
            return known
        await _stop_cooling(tx, actor, owner, account.currency)
        await _write(tx, actor, owner, account, signer, cools=timedelta(hours=settings.bank_account_cooling_h))
        made = await get_account(tx, account.id)
        await _tell(tx, actor, made, "bank_account_changed", act="bank_account.changed")
    return made


async def stop_account(tx: Tx, actor: Actor, account_id: BankAccountId) -> BankAccount:
    """Stop a change that is cooling off; the account before it counts again. Whoever may touch the money may do so.

    Refuses `BankAccountNotCooling`, `NotFound`.
    """
    account = await get_account(tx, account_id)
    owner = Owner(account.owner_id, account.is_shop)
    await require_owner(tx, actor, owner)
    await _lock(tx, owner)
    stopped = await tx.run(
        """
        UPDATE settlement.bank_account SET stopped_by = %(by)s, stopped_at = %(now)s
        WHERE id = %(id)s AND stopped_at IS NULL AND usable_at > %(now)s
        """,
        id=account_id,
        by=actor.seat_holder_id,
        now=tx.now,
    )
    account = await get_account(tx, account_id)
    if not stopped:
        if account.stopped_at is not None:
            return account
        raise BankAccountNotCooling()
    await _tell(tx, actor, account, "bank_account_stopped", act="bank_account.stopped")
    return account


async def list_accounts(tx: Tx, actor: Actor, owner: Owner) -> list[BankAccount]:
    """An owner's accounts, the latest first: what counts, what cools off, what was stopped."""
    await require_owner(tx, actor, owner)
    return await tx.all(
        BankAccount,
        """
        SELECT * FROM settlement.bank_account_shown WHERE owner_id = %(owner_id)s
        ORDER BY made_at DESC, id DESC LIMIT %(limit)s
        """,
        owner_id=owner.id,
        limit=LISTED_MAX,
    )


async def find_current(tx: Tx, owner_ids: Collection[UUID], currency: str) -> dict[UUID, BankAccount]:
    """By owner, the account that counts: the latest that was not stopped. It may still be cooling off."""
    found = await tx.all(
        BankAccount,
        """
        SELECT DISTINCT ON (owner_id) * FROM settlement.bank_account_shown
        WHERE owner_id = ANY(%(owners)s) AND currency = %(currency)s AND stopped_at IS NULL AND has_number
        ORDER BY owner_id, made_at DESC, id DESC
        """,
        owners=list(owner_ids),
        currency=currency,
    )
    return {one.owner_id: one for one in found}


class _Sealed(msgspec.Struct, frozen=True):
    id: BankAccountId
    sealed: bytes


async def open_numbers(tx: Tx, signer: Signer, account_ids: Collection[BankAccountId]) -> dict[BankAccountId, str]:
    """The numbers, for a bank's file and nothing else."""
    found = await tx.all(
        _Sealed,
        "SELECT id, sealed FROM settlement.bank_account WHERE id = ANY(%(ids)s) AND sealed IS NOT NULL",
        ids=list(account_ids),
    )
    return {one.id: signer.unseal(PURPOSE, one.sealed, about=one.id) for one in found}


async def require_owner(tx: Tx, actor: Actor, owner: Owner, *, change: bool = False) -> None:
    """The right to see an owner's money, or to change where it goes: oneself, or a seat with `money` (the owner's)."""
    if not owner.is_shop:
        if actor.signed_in() != owner.id:
            raise NotFound()
        return
    seat = await identity.require_seat(tx, actor, ShopId(owner.id), Scope.money)
    if change and not seat.is_owner:
        raise identity.ScopeLacking(scope="owner")
    if change:
        await catalog.require_public(tx, ShopId(owner.id))  # a sandbox shop's money is not real


async def notify_owner(tx: Tx, owner: Owner, kind: str, facts: dict[str, object], *, once: UUID) -> None:
    """Tell whoever may touch the owner's money."""
    people = await identity.list_seated(tx, ShopId(owner.id), Scope.money) if owner.is_shop else [AccountId(owner.id)]
    await messages.notify_many(tx, [ViewerId(one) for one in people], kind, facts, LINK if owner.is_shop else OWN_LINK, once=once)


async def export(tx: Tx, account_id: AccountId) -> list[BankAccount]:
    """What this room holds about where a person's money goes (for their export)."""
    return await tx.all(
        BankAccount,
        "SELECT * FROM settlement.bank_account_shown WHERE owner_id = %(id)s AND NOT is_shop ORDER BY made_at, id",
        id=account_id,
    )


async def erase(tx: Tx, account_id: AccountId) -> None:
    """A person left: their numbers are gone, but of what is under way. What was paid stays on the books."""
    await tx.run(
        """
        UPDATE settlement.bank_account AS a SET sealed = NULL, holder = '', branch = ''
        WHERE owner_id = %(id)s AND NOT is_shop AND NOT EXISTS (
            SELECT FROM settlement.payout WHERE payout.account_id = a.id AND payout.state IN ('drafted', 'sent'))
        """,
        id=account_id,
    )


async def get_account(tx: Tx, account_id: BankAccountId) -> BankAccount:
    """One account, or `NotFound`. Asks for no right."""
    found = await _find(tx, account_id)
    if found is None:
        raise NotFound()
    return found


async def _find(tx: Tx, account_id: BankAccountId) -> BankAccount | None:
    return await tx.maybe(
        BankAccount, "SELECT * FROM settlement.bank_account_shown WHERE id = %(id)s", id=account_id
    )


async def _lock(tx: Tx, owner: Owner) -> None:
    """Changes of one owner's accounts come one after the other."""
    await tx.run("SELECT pg_advisory_xact_lock(hashtextextended('bank-account/' || %(id)s, 0))", id=str(owner.id))


async def _is_same(tx: Tx, signer: Signer, known: BankAccount, owner: Owner, account: NewBankAccount) -> bool:
    same = all(getattr(known, name) == getattr(account, name) for name in ("form", "currency", "holder", "bank", "branch"))
    numbers = await open_numbers(tx, signer, [known.id])
    return same and known.owner_id == owner.id and known.bic == account.bic and numbers.get(known.id) == account.number


async def _stop_cooling(tx: Tx, actor: Actor, owner: Owner, currency: str) -> None:
    await tx.run(
        """
        UPDATE settlement.bank_account SET stopped_by = %(by)s, stopped_at = %(now)s
        WHERE owner_id = %(owner_id)s AND currency = %(currency)s AND stopped_at IS NULL AND usable_at > %(now)s
        """,
        owner_id=owner.id,
        currency=currency,
        by=actor.seat_holder_id,
        now=tx.now,
    )


async def _write(
    tx: Tx, actor: Actor, owner: Owner, account: NewBankAccount, signer: Signer, *, cools: timedelta
) -> None:
    await tx.run(
        """
        INSERT INTO settlement.bank_account (id, owner_id, is_shop, currency, form, holder, bank, branch, bic, sealed,
            last_digits, made_by, made_at, usable_at)
        VALUES (%(id)s, %(owner_id)s, %(is_shop)s, %(currency)s, %(form)s, %(holder)s, %(bank)s, %(branch)s, %(bic)s,
            %(sealed)s, %(last_digits)s, %(by)s, %(now)s, %(usable_at)s)
        """,
        id=account.id,
        owner_id=owner.id,
        is_shop=owner.is_shop,
        currency=account.currency,
        form=account.form,
        holder=account.holder,
        bank=account.bank,
        branch=account.branch,
        bic=account.bic,
        sealed=signer.seal(PURPOSE, account.number, about=account.id),
        last_digits=account.number[-SHOWN_DIGITS:],
        by=actor.seat_holder_id,
        now=tx.now,
        usable_at=tx.now + cools,
    )


async def _tell(tx: Tx, actor: Actor, account: BankAccount, kind: str, *, act: str) -> None:
    owner = Owner(account.owner_id, account.is_shop)
    facts = {"bank": account.bank, "digits": account.last_digits, "usable_at": account.usable_at}
    await notify_owner(tx, owner, kind, facts, once=new_id())
    await identity.record(
        tx,
        actor,
        act,
        subject=str(account.owner_id),
        account_id=account.id,
        currency=account.currency,
        form=account.form,
        last_digits=account.last_digits,
        usable_at=account.usable_at.isoformat(),
    )
