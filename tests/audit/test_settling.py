"""What providers took goes into the ledger once; what differs is settled by two operators, and the books are sound again."""

from uuid import UUID

import pytest
from msgspec import structs

from laotie import audit, identity, ledger, payments
from laotie.base.db import Database
from laotie.base.ids import AccountId, OrderId, PaymentId, ViewerId, new_id
from laotie.base.money import Money
from laotie.base.refusals import Forbidden
from laotie.payments import DifferenceKind, ResolutionId, ResolutionState, Verdict
from laotie.payments.hearing import take_in
from laotie.payments.provider import Report, ReportKind

COST, PROVIDER, CORRECTION = (
    ledger.AccountKind.provider_cost, ledger.AccountKind.provider, ledger.AccountKind.correction,
)  # fmt: skip
HEAD = "balance_transaction_id,created_utc,currency,gross,fee,net,reporting_category,source_id,payment_intent_id"


async def _operator(db: Database) -> identity.Actor:
    account_id = AccountId(new_id())
    async with db.tx() as tx:
        await identity.create_account(tx, account_id, handle=f"op-{account_id.hex[-10:]}", password_hash="x", name="运营")
    return identity.Actor(
        viewer_id=ViewerId(account_id), account_id=account_id, seat_holder_id=account_id,
        roles=frozenset({identity.Role.operator}),
    )  # fmt: skip


async def _balance(db: Database, kind: ledger.AccountKind) -> int:
    async with db.read() as tx:
        return (await ledger.get_balance(tx, ledger.Account(kind, "CNY"))).posted


async def _capture(db: Database, charge: str, amount: int = 1999) -> PaymentId:
    payment_id = PaymentId(new_id())
    async with db.tx() as tx:
        await payments.start(
            tx, payment_id=payment_id, order_id=OrderId(new_id()), buyer_id=AccountId(new_id()),
            money=Money(1999, "CNY"), provider="stripe",
        )  # fmt: skip
        report = Report(event_id=charge, kind=ReportKind.captured, name="paid", payment_id=payment_id,
                        charge_ref=charge, money=Money(amount, "CNY"))  # fmt: skip
        await take_in(tx, "stripe", report, b"")
    return payment_id


def _file(db: Database, *rows: str) -> bytes:
    today = db.clock.now().date()
    return "\n".join([HEAD, *(f"txn_{no},{today} 08:00:00,cny,{row}" for no, row in enumerate(rows))]).encode()


async def test_a_provider_s_fee_is_a_cost_once_however_often_it_is_stated(db: Database) -> None:
    await _capture(db, "pi_1")
    await _capture(db, "pi_2")
    rows = ("19.99,0.98,19.01,charge,ch_1,pi_1", "19.99,-0.10,20.09,charge,ch_2,pi_2", "-2.00,0,-2.00,fee,,")
    statement = await audit.reconcile(db, "stripe", _file(db, *rows), name="a.csv")
    assert statement.difference_count == 0
    assert (await _balance(db, COST), await _balance(db, PROVIDER)) == (-288, 288)
    await audit.reconcile(db, "stripe", _file(db, *rows), name="again.csv")
    await audit.reconcile_again(db, statement.id)
    assert await _balance(db, COST) == -288
    other = await audit.reconcile(db, "stripe", _file(db, "19.99,1.08,18.91,charge,ch_1,pi_1"), name="b.csv")
    assert await _balance(db, COST) == -288
    async with db.read() as tx:
        found = [(one.kind, one.expected, one.found) for _, one in await payments.list_differences(tx, other.id)]
        assert [(one.provider, one.fee_amount, one.captured_amount) for one in await payments.list_costs(tx)] == [
            ("stripe", 288, 3998)
        ]
    assert (DifferenceKind.fee, "payment 0.98 CNY", "payment 1.08 CNY") in found


async def test_a_message_that_did_not_fit_is_settled_by_two_and_then_the_books_are_sound(db: Database) -> None:
    first, second = await _operator(db), await _operator(db)
    async with db.tx() as tx:
        report = Report(
            event_id="x", kind=ReportKind.captured, name="paid", payment_id=PaymentId(new_id()), money=Money(500, "CNY")
        )
        assert await take_in(tx, "stripe", report, b"") is Verdict.discrepancy
        [found] = await payments.list_discrepancies(tx)
    assert not (await audit.take_tallies(db)).sound
    id_, of = ResolutionId(new_id()), payments.Matter(discrepancy_id=found.id)
    async with db.tx() as tx:
        one = await audit.propose_settling(
            tx, first, id_, of, reason="a test payment at the provider", correction=Money(500, "CNY")
        )
        assert one == await audit.propose_settling(
            tx, first, id_, of, reason="a test payment at the provider", correction=Money(500, "CNY")
        )
    async with db.tx() as tx:
        with pytest.raises(payments.AlreadyResolved):
            await audit.propose_settling(tx, second, ResolutionId(new_id()), of, reason="something else")
        with pytest.raises(identity.SecondPersonNeeded):
            await audit.decide_settling(tx, first, id_, settle=True)
    assert not (await audit.take_tallies(db)).sound
    async with db.tx() as tx:
        settled = await audit.decide_settling(tx, second, id_, settle=True)
        assert await audit.decide_settling(tx, second, id_, settle=True) == settled
    assert (settled.state, settled.decided_by) == (ResolutionState.settled, second.account_id)
    assert (await _balance(db, PROVIDER), await _balance(db, CORRECTION)) == (-500, 500)
    report_ = await audit.take_tallies(db)
    assert report_.sound, report_.findings
    async with db.tx() as tx:
        assert await payments.list_discrepancies(tx) == []
        with pytest.raises(payments.AlreadyResolved):
            await audit.decide_settling(tx, second, id_, settle=False)
        log = await identity.list_audit_entries(tx, first, subject=str(id_), limit=10)
        assert [one.act for one in log] == ["difference.settled", "difference.proposed"]


async def test_a_statement_s_difference_stays_settled_when_it_is_matched_again_and_not_when_it_is_another(
    db: Database,
) -> None:
    first, second = await _operator(db), await _operator(db)
    await _capture(db, "pi_1")
    row = "18.99,0,18.99,charge,ch_1,pi_1"
    statement = await audit.reconcile(db, "stripe", _file(db, row), name="a.csv")
    assert (statement.difference_count, statement.open_count) == (1, 1)

    async def propose(by: identity.Actor, no: int = 1) -> UUID:
        async with db.tx() as tx:
            id_ = ResolutionId(new_id())
            of = payments.Matter(statement_id=statement.id, no=no)
            await audit.propose_settling(tx, by, id_, of, reason="the provider's own discount")
            return id_

    async with db.tx() as tx:
        await audit.decide_settling(tx, first, ResolutionId(await propose(first)), settle=False)  # own one dropped
    id_ = await propose(second)
    async with db.tx() as tx:
        await audit.decide_settling(tx, first, ResolutionId(id_), settle=True)
    again = await audit.reconcile_again(db, statement.id)
    assert (again.difference_count, again.open_count) == (1, 0)
    async with db.read() as tx:
        [(_, one)] = await payments.list_differences(tx, statement.id)
        assert (one.settled, one.resolution_id) == (True, id_)
        states = [one.state for one in await payments.list_resolutions(tx)]
        assert states == [ResolutionState.settled, ResolutionState.dropped]
    async with db.tx() as tx:
        await tx.run("UPDATE payments.payment SET captured_amount = 1500 WHERE charge_ref = 'pi_1'")
    changed = await audit.reconcile_again(db, statement.id)
    assert (changed.difference_count, changed.open_count) == (1, 1)


async def test_nobody_but_operators_settles(db: Database) -> None:
    nobody = structs.replace(await _operator(db), roles=frozenset())
    async with db.tx() as tx:
        with pytest.raises(Forbidden):
            await audit.propose_settling(
                tx, nobody, ResolutionId(new_id()), payments.Matter(discrepancy_id=new_id()), reason="I say so"
            )
