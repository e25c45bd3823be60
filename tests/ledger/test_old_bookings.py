"""Books of before: what was booked where it lay for ever is booked anew by the migration, once, and the watch agrees."""

from importlib import import_module
from typing import cast
from uuid import UUID

import pytest

from laotie import ledger, payments
from laotie.audit.model import Look
from laotie.audit.money import check_balances, check_subsidies, check_wallets
from laotie.base.db import Database
from laotie.base.ids import AccountId, PaymentId, TransferId, new_id
from laotie.base.money import Money
from laotie.ledger import Account, AccountKind, Transfer

BOOKED_ANEW = import_module("laotie.base.migrations.versions.0042_leftovers").BOOKED_ANEW
PROVIDER, SUBSIDY = Account(AccountKind.provider, "CNY"), Account(AccountKind.subsidy, "CNY")
RELEASED = Account(cast(AccountKind, "released"), "CNY")


async def _move(db: Database, debit: Account, credit: Account, amount: int, reason: str, subject: UUID | None = None) -> None:
    async with db.tx() as tx:
        await ledger.transfer_many(tx, [Transfer(TransferId(new_id()), debit, credit, amount, reason, subject or new_id())])


async def _balances(db: Database, *accounts: Account) -> list[int]:
    async with db.read() as tx:
        return [(await ledger.get_balance(tx, account)).posted for account in accounts]


async def _find_wrong(db: Database) -> list[str]:
    async with db.read() as tx:
        return [one.subject for check in (check_balances, check_wallets, check_subsidies) for one in (await check(Look(tx))).wrong]


@pytest.mark.parametrize("folded", [True, False])
async def test_what_sellers_were_let_have_is_no_longer_at_the_provider(db: Database, folded: bool) -> None:
    owner = new_id()
    held, way = Account(AccountKind.shop_held, "CNY", owner), Account(AccountKind.payout, "CNY", owner)
    await _move(db, PROVIDER, held, 7_000, "paid")
    await _move(db, held, way, 5_000, "payout")
    await _move(db, way, RELEASED, 5_000, "payout-done")
    if folded:
        async with db.tx() as tx:
            await ledger.fold(tx)
    assert await _find_wrong(db) == [str(RELEASED.id)]
    for _ in range(2):
        async with db.tx() as tx:
            await tx.run(BOOKED_ANEW)
        assert await _balances(db, PROVIDER, RELEASED, held, way) == [-2_000, 0, 2_000, 0]
    assert await _find_wrong(db) == []


async def test_top_ups_charged_back_of_old_leave_the_wallet_and_no_longer_the_platform(db: Database) -> None:
    owner, payment_id = AccountId(new_id()), PaymentId(new_id())
    wallet = Account(AccountKind.wallet, "CNY", owner)
    async with db.tx() as tx:
        await payments.start_topup(
            tx, payment_id=payment_id, buyer_id=owner, wallet_id=owner, money=Money(1_000, "CNY"), provider="sandbox"
        )
        await tx.run(
            "UPDATE payments.payment SET state = 'captured', captured_at = now(), reversed_amount = 500 WHERE id = %(id)s",
            id=payment_id,
        )
    await _move(db, PROVIDER, wallet, 1_000, "wallet.topup", payment_id)
    await _move(db, SUBSIDY, PROVIDER, 600, "wallet.reversed", payment_id)
    await _move(db, PROVIDER, SUBSIDY, 100, "wallet.restored", payment_id)
    assert sorted(await _find_wrong(db)) == ["CNY", "in CNY"]
    for _ in range(2):
        async with db.tx() as tx:
            await tx.run(BOOKED_ANEW)
        assert await _balances(db, PROVIDER, SUBSIDY, wallet) == [-500, 0, 500]
    assert await _find_wrong(db) == []
