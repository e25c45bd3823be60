"""The ledger's past is sealed, and a replay of all of it finds what was done to it."""

from contextlib import suppress
from uuid import UUID

import pytest

from faults import FAULTS, Undo, plant
from laotie import audit, ledger
from laotie.audit import anchors
from laotie.base.db import Database, Tx
from laotie.base.ids import TransferId, new_id
from laotie.ledger import replay
from market import Market

GROWING = (
    "ledger.transfer", "catalog.stock_movement", "orders.given_back", "audit.anchor", "settlement.line", "settlement.rate",
    "settlement.term", "trust.movement",
)  # fmt: skip
SEEN_BY_REPLAY = {
    "ledger-balances": {"balance", "currency", "kind"},
    "ledger-currencies": {"currency", "account"},
    "ledger-holds": {"hold"},
    "ledger-anchors": {"seal"},
}


async def test_a_sound_ledger_is_played_again_without_a_fault(market: Market) -> None:
    async with market.db.tx() as tx:
        await ledger.fold(tx)
    heard: list[tuple[int, int]] = []
    verdict = await audit.verify_ledger(market.db, lambda done, total: heard.append((done, total)))
    assert verdict.faults == []
    assert heard[-1] == (verdict.transfers, verdict.transfers)
    assert (verdict.seals, verdict.holds_open) == (1, 2)


async def test_a_replay_finds_what_the_ledger_promises_and_does_not_hold(market: Market) -> None:
    missed = []
    for code, kinds in SEEN_BY_REPLAY.items():
        for fault in FAULTS[code]:
            if "another currency" in fault.name:
                continue  # nothing is in it
            with suppress(Undo):
                async with market.db.tx() as tx:
                    subject = await plant(tx, fault)
                    verdict = await replay.replay(tx, await anchors.list_anchors(tx))
                    named = {one.subject for one in verdict.faults if one.kind in kinds}
                    if not named or (subject not in named and not subject.startswith("all of")):
                        missed.append((fault.name, subject, verdict.faults))
                    raise Undo
    assert missed == []


async def test_a_wallet_that_was_below_zero_for_an_instant_is_found(market: Market) -> None:
    spent = await _fill_late(market, reason="wallet.x")
    verdict = await audit.verify_ledger(market.db, lambda _done, _all: None)
    assert [(one.kind, one.subject, one.expected) for one in verdict.faults] == [("below zero", spent, "0 or more")]
    assert verdict.faults[0].found.startswith("-5 at ")


async def test_a_chargeback_may_take_a_wallet_below_zero(market: Market) -> None:
    await _fill_late(market, reason="wallet.reversed")
    assert (await audit.verify_ledger(market.db, lambda _done, _all: None)).faults == []


async def _fill_late(market: Market, *, reason: str) -> str:
    """Five out of an empty wallet, and eight into it a second later; its account."""
    wallet = ledger.Account(ledger.AccountKind.wallet, "CNY", market.shop_id)
    money = ledger.Account(ledger.AccountKind.provider, "CNY")
    for debit, credit, amount, why in ((wallet, money, 5, reason), (money, wallet, 8, "wallet.topup")):
        market.db.clock.advance(seconds=1)
        async with market.db.tx() as tx:
            moved = ledger.Transfer(TransferId(new_id()), debit, credit, amount, why, market.shop_id)
            await ledger.transfer_many(tx, [moved])
    return str(wallet.id)


async def test_what_is_young_is_not_sealed_and_seals_follow_one_another(market: Market) -> None:
    async with market.db.tx() as tx:
        assert not await anchors.drop_anchor(tx)
        last = await anchors.find_last(tx)
        young = await tx.one(int, "SELECT count(*) FROM ledger.transfer WHERE made_at >= %(at)s", at=tx.now - anchors.LAG)
    assert last is not None and last.no == 1 and young > 0
    market.db.clock.advance(seconds=(anchors.LAG + anchors.SEAL_EVERY).total_seconds() + 60)
    async with market.db.tx() as tx:
        assert await anchors.drop_anchor(tx)
        first, second = await anchors.list_anchors(tx)
        assert (second.no, second.from_at) == (2, first.until_at)
        assert second.transfer_count == young
        assert await anchors.list_broken(tx) == (first.transfer_count + second.transfer_count, [])
        touched = await _all_accounts(tx)
        assert await anchors.list_balances_off(tx, touched) == []


async def test_sums_that_are_stale_are_no_finding_and_are_reckoned_anew(market: Market) -> None:
    await audit.check_now(market.db, audit.Terms(5, 3600, 60))
    async with market.db.tx() as tx:
        await tx.run("UPDATE audit.account_sum SET debits_posted = debits_posted + 1")
        assert await anchors.list_balances_off(tx, await _all_accounts(tx)) != []
    market.db.clock.advance(seconds=60)
    run = await audit.check_now(market.db, audit.Terms(5, 3600, 60), whole=False)
    assert run.finding_count == 0
    async with market.db.read() as tx:
        assert await anchors.list_balances_off(tx, await _all_accounts(tx)) == []


async def test_books_that_only_grow_refuse_every_change(db: Database) -> None:
    for table in GROWING:
        for act in ("DELETE FROM {}", "TRUNCATE {} CASCADE"):
            with pytest.raises(Exception, match="append-only"):
                async with db.tx() as tx:
                    await tx.run(act.format(table))


async def _all_accounts(tx: Tx) -> list[UUID]:
    return await tx.all(UUID, "SELECT id FROM ledger.account ORDER BY id")

