"""Deposits: what stands behind a shop's promises. Filled from its wallet, paid out to buyers, taken back above the need.

Whoever moves a deposit holds its row first (`hold`), then anything of `catalog`, then buyers' months, then the ledger,
and ends with `settle`: owed claims are paid, the oldest first, and the shop is limited or freed. The sums on the row
guard it (a `CHECK` lets nothing be paid that is not there); the money is the ledger's, and the audit compares the two.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from laotie import catalog, identity, ledger, messages
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, OrderId, ShopId, TransferId, ViewerId, new_id
from laotie.base.money import Money
from laotie.base.refusals import IdReused
from laotie.events.fun import WalletFilled
from laotie.events.trust import DepositMoved, DepositShort, GuaranteePaid, ShopFreed, ShopLimited
from laotie.identity import Actor, Scope
from laotie.trust.model import (
    AMOUNT_MAX,
    SETTLED_AT_ONCE_MAX,
    Deposit,
    DepositAmountRefused,
    DepositNeeded,
    Obligation,
    PromiseKind,
    Standing,
    Terms,
    WrittenTerms,
)

WORKED_AT_ONCE_MAX = 20
LINK = "/console/guarantees"


class _Rule(msgspec.Struct, frozen=True):
    version: int
    terms: WrittenTerms


class _Owed(msgspec.Struct, frozen=True):
    id: UUID
    kind: str
    order_id: OrderId
    line_no: int
    buyer_id: AccountId
    owed_amount: int


async def find_terms(tx: Tx, currency: str) -> Terms:
    """The rule as it is now, for a currency."""
    rule = await tx.one(
        _Rule,
        """
        SELECT version, terms FROM trust.rule WHERE valid_from <= %(now)s AND currency IN (%(currency)s, 'XXX')
        ORDER BY version DESC, currency = 'XXX' LIMIT 1
        """,
        now=tx.now,
        currency=currency,
    )
    return rule.terms.scaled(rule.version, currency)


async def get_standing(tx: Tx, actor: Actor, shop_id: ShopId) -> Standing:
    """How the shop's deposit stands. Needs the scope `money`. A shop that never promised anything has an empty one."""
    await identity.require_seat(tx, actor, shop_id, Scope.money)
    deposit = await _find(tx, shop_id) or _empty(await catalog.get_shop(tx, shop_id))
    terms = await find_terms(tx, deposit.currency)
    limited_from = deposit.short_since + terms.grace if deposit.short_since else None
    return Standing(
        deposit=deposit,
        terms=terms,
        obligations=await _list_obligations(tx, shop_id),
        limited_from=deposit.limited_at or limited_from,
    )


async def put_in(tx: Tx, actor: Actor, shop_id: ShopId, movement_id: UUID, money: Money) -> None:
    """Fill the deposit from the shop's wallet. Needs the scope `money`. The same id again moves nothing more.

    Refuses `ledger.InsufficientFunds`, `DepositAmountRefused`, `IdReused`.
    """
    await identity.require_seat(tx, actor, shop_id, Scope.money)
    held = await hold(tx, shop_id)
    if not await _is_moved(tx, held, movement_id, money, sign=1):
        await _put_in(tx, held, movement_id, money.amount, made_by=actor.seat_holder_id)


async def take_back(tx: Tx, actor: Actor, shop_id: ShopId, movement_id: UUID, money: Money) -> None:
    """Move what the promises do not need back to the shop's wallet. Needs the scope `money`; safe to repeat.

    Refuses `DepositNeeded`, `DepositAmountRefused`, `IdReused`.
    """
    await identity.require_seat(tx, actor, shop_id, Scope.money)
    await settle(tx, await hold(tx, shop_id))
    held = await hold(tx, shop_id)
    if await _is_moved(tx, held, movement_id, money, sign=-1):
        return
    taken = await tx.run(
        """
        UPDATE trust.deposit SET taken_back_amount = taken_back_amount + %(amount)s
        WHERE shop_id = %(shop_id)s
          AND put_in_amount - paid_amount - taken_back_amount - owed_amount - required_amount >= %(amount)s
        """,
        shop_id=shop_id,
        amount=money.amount,
    )
    if not taken:
        raise DepositNeeded(free=Money(held.free_amount, held.currency))
    transfer = ledger.Transfer(
        TransferId(new_id()),
        _account(held),
        _wallet(shop_id, held.currency),
        money.amount,
        "wallet.deposit",
        movement_id,
    )
    await ledger.transfer_many(tx, [transfer])
    await _write_movement(tx, held, movement_id, -money.amount, made_by=actor.seat_holder_id)


async def plan_topup(tx: Tx, actor: Actor, shop_id: ShopId, payment_id: UUID) -> None:
    """Say that this payment into the shop's wallet is for the deposit: it goes there as soon as it has come."""
    await identity.require_seat(tx, actor, shop_id, Scope.money)
    await tx.run(
        """
        INSERT INTO trust.topup (payment_id, shop_id, made_by, made_at)
        VALUES (%(payment_id)s, %(shop_id)s, %(by)s, %(now)s) ON CONFLICT DO NOTHING
        """,
        payment_id=payment_id,
        shop_id=shop_id,
        by=actor.seat_holder_id,
        now=tx.now,
    )


async def take_topup(tx: Tx, event: WalletFilled) -> None:
    """A payment has come (a reaction). What was spent from the wallet meanwhile is not there to be put in."""
    made_by = await tx.maybe(
        UUID,
        "SELECT made_by FROM trust.topup WHERE payment_id = %(id)s AND shop_id = %(shop_id)s",
        id=event.payment_id,
        shop_id=event.wallet_id,
    )
    if made_by is None:
        return
    held = await hold(tx, ShopId(event.wallet_id))
    if held.currency != event.currency:
        return
    try:
        async with tx.savepoint():
            await _put_in(tx, held, event.payment_id, event.amount, made_by=AccountId(made_by))
    except ledger.InsufficientFunds:
        return


async def hold(tx: Tx, shop_id: ShopId) -> Deposit:
    """The shop's deposit with its row locked; an empty one is opened when there is none."""
    while True:
        found = await tx.maybe(
            Deposit,
            """
            SELECT shop_id, currency, required_amount, rule_version, put_in_amount, paid_amount, taken_back_amount,
                   owed_amount, short_since, limited_at, look_again_at
            FROM trust.deposit WHERE shop_id = %(shop_id)s FOR UPDATE
            """,
            shop_id=shop_id,
        )
        if found is not None:
            return found
        await tx.run(
            """
            INSERT INTO trust.deposit (shop_id, currency, opened_at) VALUES (%(shop_id)s, %(currency)s, %(now)s)
            ON CONFLICT DO NOTHING
            """,
            shop_id=shop_id,
            currency=(await catalog.get_shop(tx, shop_id)).currency,
            now=tx.now,
        )


async def settle(tx: Tx, held: Deposit) -> None:
    """Bring a held deposit in order: what it must hold, owed claims, and whether the shop may sell.

    Owed to a buyer, a shop is limited at once; below the requirement, after the rule's grace. Full again, it is freed.
    """
    terms = await find_terms(tx, held.currency)
    obligations = await _list_obligations(tx, held.shop_id)
    standing = {one.kind for one in obligations if one.ends_at is None or one.ends_at > tx.now}
    more_owed = await _pay_owed(tx, held)
    held = await hold(tx, held.shop_id)
    required = terms.need(standing)
    is_short = held.owed_amount > 0 or held.balance_amount < required
    short_since = (held.short_since or tx.now) if is_short else None
    limited_from = short_since + (timedelta() if held.owed_amount else terms.grace) if short_since else None
    is_limited = limited_from is not None and limited_from <= tx.now
    limited_at = (held.limited_at or tx.now) if is_limited else None
    ends = [one.ends_at for one in obligations if one.ends_at is not None and one.ends_at > tx.now]
    waits = [*ends, *([tx.now] if more_owed else []), *([limited_from] if limited_from and not is_limited else [])]
    await tx.run(
        """
        UPDATE trust.deposit
        SET required_amount = %(required)s, rule_version = %(version)s, short_since = %(short_since)s,
            limited_at = %(limited_at)s, look_again_at = %(look_again_at)s
        WHERE shop_id = %(shop_id)s
        """,
        shop_id=held.shop_id,
        required=required,
        version=terms.version,
        short_since=short_since,
        limited_at=limited_at,
        look_again_at=min(waits, default=None),
    )
    after = msgspec.structs.replace(held, required_amount=required, short_since=short_since, limited_at=limited_at)
    await _tell_change(tx, held, after, limited_from=limited_from)


async def work_deposits(db: Database) -> int:
    """Look at some deposits whose time has come: the grace is over, a promise has ended, the rule is a new one."""
    async with db.tx() as tx:
        due = await tx.all(
            UUID,
            """
            SELECT shop_id FROM trust.deposit
            WHERE look_again_at <= %(now)s
               OR rule_version < (SELECT max(version) FROM trust.rule WHERE valid_from <= %(now)s)
            ORDER BY shop_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
            """,
            now=tx.now,
            limit=WORKED_AT_ONCE_MAX,
        )
        for shop_id in due:
            await settle(tx, await hold(tx, ShopId(shop_id)))
    return len(due)


async def _pay_owed(tx: Tx, held: Deposit) -> bool:
    """Pay claims with what is there, the oldest first, the last one perhaps in part; whether there are more to pay."""
    if not held.owed_amount or not held.balance_amount:
        return False
    owed = await tx.all(
        _Owed,
        """
        SELECT id, kind, order_id, line_no, buyer_id, amount - paid_amount AS owed_amount FROM trust.payout
        WHERE shop_id = %(shop_id)s AND paid_amount < amount ORDER BY made_at, id LIMIT %(limit)s
        """,
        shop_id=held.shop_id,
        limit=SETTLED_AT_ONCE_MAX,
    )
    left = held.balance_amount
    paid: list[tuple[_Owed, int]] = []
    for one in owed:
        amount = min(left, one.owed_amount)
        if amount:
            paid.append((one, amount))
        left -= amount
    total = held.balance_amount - left
    await tx.run(
        """
        UPDATE trust.payout SET paid_amount = paid_amount + paid.amount
        FROM unnest(%(ids)s::uuid[], %(amounts)s::bigint[]) AS paid (id, amount) WHERE payout.id = paid.id
        """,
        ids=[one.id for one, _ in paid],
        amounts=[amount for _, amount in paid],
    )
    await tx.run(
        """
        UPDATE trust.deposit SET paid_amount = paid_amount + %(total)s, owed_amount = owed_amount - %(total)s
        WHERE shop_id = %(shop_id)s
        """,
        shop_id=held.shop_id,
        total=total,
    )
    account = _account(held)
    await ledger.transfer_many(
        tx,
        [
            ledger.Transfer(
                TransferId(new_id()), account, _wallet(one.buyer_id, held.currency), amount, "wallet.guarantee", one.id
            )
            for one, amount in paid
        ],
    )
    for one, amount in paid:
        await _tell_paid(tx, held, one, amount)
    return left > 0 and len(owed) == SETTLED_AT_ONCE_MAX


async def _tell_paid(tx: Tx, held: Deposit, one: _Owed, amount: int) -> None:
    tx.tell(
        GuaranteePaid(
            payout_id=one.id,
            shop_id=held.shop_id,
            buyer_id=one.buyer_id,
            order_id=one.order_id,
            line_no=one.line_no,
            kind=one.kind,
            amount=amount,
            owed_amount=one.owed_amount - amount,
            currency=held.currency,
            paid_at=tx.now,
        )
    )
    facts = {"amount": Money(amount, held.currency), "promise": one.kind}
    await messages.notify_many(
        tx, [ViewerId(one.buyer_id)], "guarantee_paid", facts, f"/orders/{one.order_id}", once=new_id()
    )


async def _tell_change(tx: Tx, before: Deposit, after: Deposit, *, limited_from: datetime | None) -> None:
    """Put the shop on its new footing, and let its people know."""
    sums = {
        "missing_amount": after.missing_amount, "owed_amount": after.owed_amount, "currency": after.currency
    }  # fmt: skip
    facts: dict[str, object] = {
        "missing": Money(after.missing_amount, after.currency), "owed": Money(after.owed_amount, after.currency)
    }  # fmt: skip
    if after.limited_at and not before.limited_at:
        await catalog.limit_shop(tx, after.shop_id, is_limited=True)
        tx.tell(ShopLimited(shop_id=after.shop_id, **sums))  # type: ignore[arg-type]
        await _notify(tx, after, "shop_limited", facts)
    elif after.short_since and not before.short_since:
        assert limited_from is not None
        tx.tell(DepositShort(shop_id=after.shop_id, limited_from=limited_from, **sums))  # type: ignore[arg-type]
        await _notify(tx, after, "deposit_short", facts)
    elif before.limited_at and not after.limited_at:
        await catalog.limit_shop(tx, after.shop_id, is_limited=False)
        tx.tell(ShopFreed(shop_id=after.shop_id))
        await _notify(tx, after, "shop_freed", {})


async def _notify(tx: Tx, deposit: Deposit, kind: str, facts: dict[str, object]) -> None:
    people = await identity.list_seated(tx, deposit.shop_id, Scope.money)
    await messages.notify_many(tx, [ViewerId(account_id) for account_id in people], kind, facts, LINK, once=new_id())


async def _put_in(tx: Tx, held: Deposit, movement_id: UUID, amount: int, *, made_by: AccountId | None) -> None:
    transfer = ledger.Transfer(
        TransferId(new_id()),
        _wallet(held.shop_id, held.currency),
        _account(held),
        amount,
        "wallet.deposit",
        movement_id,
    )
    await ledger.spend(tx, transfer)
    await tx.run(
        "UPDATE trust.deposit SET put_in_amount = put_in_amount + %(amount)s WHERE shop_id = %(shop_id)s",
        shop_id=held.shop_id,
        amount=amount,
    )
    await _write_movement(tx, held, movement_id, amount, made_by=made_by)
    await settle(tx, await hold(tx, held.shop_id))


async def _is_moved(tx: Tx, held: Deposit, movement_id: UUID, money: Money, *, sign: int) -> bool:
    """Whether this movement has been made; refuses an amount that cannot be, and an id used for something else."""
    if money.currency != held.currency or not 0 < money.amount <= AMOUNT_MAX:
        raise DepositAmountRefused(currency=held.currency)
    known = await tx.tuples("SELECT shop_id, amount FROM trust.movement WHERE id = %(id)s", id=movement_id)
    if known and known[0] != (held.shop_id, sign * money.amount):
        raise IdReused()
    return bool(known)


async def _write_movement(tx: Tx, held: Deposit, movement_id: UUID, amount: int, *, made_by: AccountId | None) -> None:
    await tx.run(
        """
        INSERT INTO trust.movement (id, shop_id, amount, made_by, made_at)
        VALUES (%(id)s, %(shop_id)s, %(amount)s, %(by)s, %(now)s)
        """,
        id=movement_id,
        shop_id=held.shop_id,
        amount=amount,
        by=made_by,
        now=tx.now,
    )
    tx.tell(DepositMoved(shop_id=held.shop_id, movement_id=movement_id, amount=amount, currency=held.currency))


async def _find(tx: Tx, shop_id: ShopId) -> Deposit | None:
    return await tx.maybe(
        Deposit,
        """
        SELECT shop_id, currency, required_amount, rule_version, put_in_amount, paid_amount, taken_back_amount,
               owed_amount, short_since, limited_at, look_again_at
        FROM trust.deposit WHERE shop_id = %(shop_id)s
        """,
        shop_id=shop_id,
    )


async def _list_obligations(tx: Tx, shop_id: ShopId) -> list[Obligation]:
    found = await tx.all(
        Obligation, "SELECT kind, ends_at FROM trust.obligation WHERE shop_id = %(shop_id)s", shop_id=shop_id
    )
    kinds = list(PromiseKind)
    return sorted(found, key=lambda one: kinds.index(one.kind))


def _empty(shop: catalog.Shop) -> Deposit:
    return Deposit(
        shop_id=shop.id,
        currency=shop.currency,
        required_amount=0,
        rule_version=0,
        put_in_amount=0,
        paid_amount=0,
        taken_back_amount=0,
        owed_amount=0,
        short_since=None,
        limited_at=None,
        look_again_at=None,
    )


def _account(deposit: Deposit) -> ledger.Account:
    return ledger.Account(ledger.AccountKind.deposit, deposit.currency, deposit.shop_id)


def _wallet(owner_id: UUID, currency: str) -> ledger.Account:
    return ledger.Account(ledger.AccountKind.wallet, currency, owner_id)
