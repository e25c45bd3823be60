"""Payees: owners with a balance, whether the next batch takes them, over which channel, and why not."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from laotie import catalog, identity, ledger, payments
from laotie.base.db import Tx
from laotie.base.ids import AccountId, ShopId, new_id
from laotie.base.refusals import NotFound
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.ledger import AccountKind
from laotie.settlement.accounts import find_current
from laotie.settlement.payout_model import (
    AccountForm,
    AlreadyHeld,
    BankAccount,
    Channel,
    Payee,
    Waiting,
    checked_text,
)

PAGE_SIZE_MAX = 200


async def list_payees(
    tx: Tx, settings: Settings, *, currency: str, after: UUID | None = None, limit: int = PAGE_SIZE_MAX
) -> list[Payee]:
    """Whoever has a balance in a currency, by id, and how the next batch sees them. Asks for no right."""
    limit = min(limit, PAGE_SIZE_MAX)
    balances = await ledger.list_balances(tx, AccountKind.payable, currency=currency, after=after, limit=limit)
    owed = {account.owner_id: amount for account, amount in balances.items() if account.owner_id is not None}
    accounts = await find_current(tx, owed, currency)
    providers = await _find_providers(tx, settings, owed, currency)
    held = await find_holds(tx, owed)
    under_way = await _find_under_way(tx, owed, currency)
    shops = await catalog.find_shops(tx, [ShopId(owner_id) for owner_id in owed])
    found = []
    for owner_id, amount in owed.items():
        account, provider = accounts.get(owner_id), providers.get(owner_id)
        if owner_id in shops and shops[ShopId(owner_id)].is_sandbox:
            account = provider = None  # none of its money is real
        channel = provider or (str(_channel(account.form)) if account else None)
        found.append(
            Payee(
                owner_id=owner_id,
                is_shop=owner_id in shops,
                currency=currency,
                amount=amount,
                waiting=judge(
                    amount,
                    minimum=settings.payout_minimum,
                    usable_at=None if provider or account is None else account.usable_at,
                    has_route=channel is not None,
                    is_held=owner_id in held,
                    is_under_way=owner_id in under_way,
                    now=tx.now,
                ),
                channel=channel,
                account_id=account.id if account and not provider else None,
                usable_at=account.usable_at if account and not provider else None,
                held_because=held.get(owner_id),
            )
        )
    return found


def judge(
    amount: int,
    *,
    minimum: int,
    usable_at: datetime | None,
    has_route: bool,
    is_held: bool,
    is_under_way: bool,
    now: datetime,
) -> Waiting:
    """Whether an owner is in the next batch, and if not, the first reason why."""
    if is_held:
        return Waiting.held
    if amount < 0:
        return Waiting.negative
    if is_under_way:
        return Waiting.under_way
    if not has_route:
        return Waiting.no_account
    if usable_at is not None and usable_at > now:
        return Waiting.cooling
    return Waiting.ready if amount >= minimum else Waiting.below_minimum


async def list_currencies(tx: Tx) -> list[str]:
    """In which currencies anybody is owed anything."""
    balances = await ledger.list_balances(tx, AccountKind.payable)
    return sorted({account.currency for account in balances})


async def hold_payouts(tx: Tx, actor: Actor, owner_id: UUID, reason: str) -> None:
    """Have an owner paid nothing until somebody lifts it. For operators. Refuses `AlreadyHeld`."""
    operator_id = actor.require_operator()
    reason = checked_text("reason", reason)
    placed = await tx.run(
        """
        INSERT INTO settlement.payout_hold (id, owner_id, reason, placed_by, placed_at)
        VALUES (%(id)s, %(owner_id)s, %(reason)s, %(by)s, %(now)s)
        ON CONFLICT (owner_id) WHERE lifted_at IS NULL DO NOTHING
        """,
        id=new_id(),
        owner_id=owner_id,
        reason=reason,
        by=operator_id,
        now=tx.now,
    )
    if not placed:
        raise AlreadyHeld()
    await identity.record(tx, actor, "payout_hold.placed", subject=str(owner_id), reason=reason)


async def lift_hold(tx: Tx, actor: Actor, owner_id: UUID) -> None:
    """Let an owner be paid again. For operators. Refuses `NotFound`."""
    operator_id = actor.require_operator()
    lifted = await tx.run(
        """
        UPDATE settlement.payout_hold SET lifted_by = %(by)s, lifted_at = %(now)s
        WHERE owner_id = %(owner_id)s AND lifted_at IS NULL
        """,
        owner_id=owner_id,
        by=operator_id,
        now=tx.now,
    )
    if not lifted:
        raise NotFound()
    await identity.record(tx, actor, "payout_hold.lifted", subject=str(owner_id))


async def find_holds(tx: Tx, owner_ids: Collection[UUID]) -> dict[UUID, str]:
    """Of these owners, who is held and why."""
    rows = await tx.tuples(
        "SELECT owner_id, reason FROM settlement.payout_hold WHERE owner_id = ANY(%(owners)s) AND lifted_at IS NULL",
        owners=list(owner_ids),
    )
    return dict(rows)


async def name_owners(tx: Tx, owner_ids: Collection[UUID]) -> dict[UUID, str]:
    """What shops and streamers are called."""
    shops = await catalog.find_shops(tx, [ShopId(one) for one in owner_ids])
    people = await identity.find_profiles(tx, [AccountId(one) for one in owner_ids if one not in shops])
    return {one.id: one.name for one in shops.values()} | {one.id: one.name for one in people.values()}


def list_providers(settings: Settings, currency: str) -> list[str]:
    """The providers that let money of a currency go into sellers' own accounts."""
    return [name for name in payments.splitting(settings) if payments.takes(settings, name, currency)]


async def _find_under_way(tx: Tx, owner_ids: Collection[UUID], currency: str) -> set[UUID]:
    return set(
        await tx.all(
            UUID,
            """
            SELECT owner_id FROM settlement.payout
            WHERE owner_id = ANY(%(owners)s) AND currency = %(currency)s AND state IN ('drafted', 'sent')
            """,
            owners=list(owner_ids),
            currency=currency,
        )
    )


async def _find_providers(tx: Tx, settings: Settings, owner_ids: Collection[UUID], currency: str) -> dict[UUID, str]:
    """At which provider each has an account of their own that is ready: money there never passes through our hands."""
    able = list_providers(settings, currency)
    if not able or not owner_ids:
        return {}
    sellers = await payments.list_sellers(tx, owner_ids=list(owner_ids), limit=len(owner_ids) * len(able))
    ready = [one for one in sellers if one.provider in able and one.state is payments.SellerState.ready]
    ready.sort(key=lambda one: able.index(one.provider), reverse=True)
    return {one.owner_id: one.provider for one in ready}


def _channel(form: AccountForm) -> Channel:
    return next(channel for channel in Channel if form in channel.forms)


def is_payable_to(account: BankAccount | None, now: datetime) -> bool:
    """Whether an account may be paid to at this instant."""
    return account is not None and account.usable_at <= now
