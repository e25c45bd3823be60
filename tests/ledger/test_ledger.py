"""The ledger: zero-sum by construction, every hold settled once, balances exact before and after the fold."""

from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laotie import ledger
from laotie.base.db import Database
from laotie.base.ids import TransferId, new_id
from laotie.ledger import Account, AccountKind, HoldNotOpen, Transfer

SHOP = UUID(int=7)
MONEY = Account(AccountKind.provider, "CNY")
HELD = Account(AccountKind.shop_held, "CNY", SHOP)


def transfer(amount: int) -> Transfer:
    return Transfer(TransferId(new_id()), MONEY, HELD, amount, "order", UUID(int=1))


async def balances(db: Database) -> tuple[tuple[int, ...], tuple[int, ...]]:
    async with db.read() as tx:
        both = [await ledger.get_balance(tx, account) for account in (MONEY, HELD)]
    return tuple((one.debits_pending, one.credits_pending, one.debits_posted, one.credits_posted) for one in both)  # type: ignore[return-value]


async def fold(db: Database) -> int:
    async with db.tx() as tx:
        return await ledger.fold(tx)


async def sound(db: Database) -> bool:
    async with db.read() as tx:
        tally = await ledger.tally(tx)
    return (tally.sum_of_balances, tally.balances_off, tally.settled_wrong) == (0, 0, 0)


async def test_a_hold_is_pending_then_posted(db: Database) -> None:
    hold = transfer(500)
    async with db.tx() as tx:
        await ledger.hold_many(tx, [hold])
    assert await balances(db) == ((500, 0, 0, 0), (0, 500, 0, 0))
    async with db.tx() as tx:
        await ledger.post_many(tx, [hold.id], reason="paid")
    assert await balances(db) == ((0, 0, 500, 0), (0, 0, 0, 500))
    assert await sound(db)


async def test_a_voided_hold_leaves_nothing(db: Database) -> None:
    hold = transfer(500)
    async with db.tx() as tx:
        await ledger.hold_many(tx, [hold])
    await fold(db)
    async with db.tx() as tx:
        await ledger.void_many(tx, [hold.id], reason="cancelled")
    assert await balances(db) == ((0, 0, 0, 0), (0, 0, 0, 0))
    assert await sound(db)


@pytest.mark.parametrize("second", ["post", "void"])
async def test_a_hold_is_settled_once(db: Database, second: str) -> None:
    hold, other = transfer(500), transfer(70)
    async with db.tx() as tx:
        await ledger.hold_many(tx, [hold, other])
        await ledger.post_many(tx, [hold.id], reason="paid")
    again = ledger.post_many if second == "post" else ledger.void_many
    with pytest.raises(HoldNotOpen):
        async with db.tx() as tx:
            await again(tx, [other.id, hold.id], reason="again")
    assert await balances(db) == ((70, 0, 500, 0), (0, 70, 0, 500))


async def test_the_fold_changes_no_balance_even_when_it_falls_below_an_earlier_one(db: Database) -> None:
    holds = [transfer(100), transfer(30), transfer(7)]
    async with db.tx() as tx:
        await ledger.hold_many(tx, holds)
    assert await fold(db) == 2
    async with db.tx() as tx:
        await ledger.post_many(tx, [holds[0].id], reason="paid")
        await ledger.void_many(tx, [holds[1].id], reason="cancelled")
    before = await balances(db)
    assert await fold(db) == 4
    assert await balances(db) == before == ((7, 0, 100, 0), (0, 7, 0, 100))
    assert await fold(db) == 0
    assert await sound(db)


async def test_no_amount_is_zero_or_negative_and_no_currencies_mix(db: Database) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        async with db.tx() as tx:
            await ledger.transfer_many(tx, [transfer(0)])
    with pytest.raises(AssertionError):
        async with db.tx() as tx:
            dollars = Account(AccountKind.shop_held, "USD", SHOP)
            await ledger.transfer_many(tx, [Transfer(TransferId(new_id()), MONEY, dollars, 1, "x", SHOP)])


async def test_a_planted_difference_is_found(db: Database) -> None:
    async with db.tx() as tx:
        await ledger.transfer_many(tx, [transfer(10)])
    await fold(db)
    async with db.tx() as tx:
        await tx.run(
            "UPDATE ledger.balance SET credits_posted = credits_posted + 1 WHERE account_id = %(id)s", id=HELD.id
        )
    assert not await sound(db)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(["hold", "post", "void", "move", "fold"]), st.integers(1, 10**9)), max_size=25)
)
async def test_whatever_happens_everything_adds_up_to_zero(db: Database, steps: list[tuple[str, int]]) -> None:
    async with db.tx() as tx:
        await tx.run("SET LOCAL session_replication_role = replica")  # past the trigger that keeps it
        await tx.run("TRUNCATE ledger.transfer, ledger.delta")
        await tx.run(
            "UPDATE ledger.balance SET (debits_pending, credits_pending, debits_posted, credits_posted) = (0, 0, 0, 0)"
        )
    holds: list[Transfer] = []
    pending = posted = 0
    for step, number in steps:
        async with db.tx() as tx:
            if step == "hold":
                holds.append(transfer(number))
                await ledger.hold_many(tx, holds[-1:])
                pending += number
            elif step == "move":
                await ledger.transfer_many(tx, [transfer(number)])
                posted += number
            elif step == "fold":
                await ledger.fold(tx)
            elif holds:
                hold = holds.pop(number % len(holds))
                await (ledger.post_many if step == "post" else ledger.void_many)(tx, [hold.id], reason=step)
                pending -= hold.amount
                posted += hold.amount if step == "post" else 0
    assert await balances(db) == ((pending, 0, posted, 0), (0, pending, 0, posted))
    assert await sound(db)
