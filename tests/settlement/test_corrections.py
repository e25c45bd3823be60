"""Corrections: proposed by one operator, decided by another, booked once."""

from typing import Any

import psycopg
import pytest
from psycopg import errors

from bursary import Bursary
from laotie import settlement
from laotie.base.ids import new_id
from laotie.base.money import Money
from laotie.base.refusals import IdReused, NotFound
from laotie.identity import Actor, SecondPersonNeeded
from laotie.ledger import AccountKind
from laotie.settlement import Correction, CorrectionId, CorrectionState, Owner, corrections
from laotie.settlement.corrections import NewCorrection
from laotie.settlement.payout_model import CorrectionMoved, CorrectionRefused, PayoutTextRefused


def a_correction(owner: Owner, amount: int, **changes: Any) -> NewCorrection:
    fields: dict[str, Any] = {
        "id": CorrectionId(new_id()), "owner": owner, "money": Money(amount, "CNY"), "reason": "仓库发错货的补偿",
        "evidence": "工单 4711",
    }  # fmt: skip
    return NewCorrection(**(fields | changes))


async def propose(bursary: Bursary, actor: Actor, new: NewCorrection) -> Correction:
    async with bursary.db.tx() as tx:
        return await corrections.propose(tx, actor, new)


async def approve(bursary: Bursary, actor: Actor, one: Correction) -> Correction:
    async with bursary.db.tx() as tx:
        return await corrections.approve(tx, actor, bursary.settings, one.id)


@pytest.mark.parametrize("amount", [12_300, -12_300])
async def test_it_is_booked_once_and_only_when_another_has_approved(bursary: Bursary, amount: int) -> None:
    one, two, shop = await bursary.operator(), await bursary.operator(), await bursary.shop(owed=1_000)
    proposed = await propose(bursary, one, a_correction(shop, amount))
    assert await bursary.owed(shop) == 1_000
    with pytest.raises(SecondPersonNeeded):
        await approve(bursary, one, proposed)
    for _ in range(2):
        assert (await approve(bursary, two, proposed)).state is CorrectionState.approved
    assert await bursary.owed(shop) == 1_000 + amount
    assert await bursary.balance(AccountKind.correction) == -amount
    assert await bursary.told(shop) == ["balance_corrected"]
    assert await bursary.acts("correction") == ["correction.proposed", "correction.approved"]
    await bursary.check_books()


async def test_what_is_refused_or_withdrawn_is_not_booked_and_is_final(bursary: Bursary) -> None:
    one, two, shop = await bursary.operator(), await bursary.operator(), await bursary.shop()
    refused = await propose(bursary, one, a_correction(shop, 100))
    withdrawn = await propose(bursary, one, a_correction(shop, 100))
    async with bursary.db.tx() as tx:
        with pytest.raises(SecondPersonNeeded):
            await corrections.refuse(tx, one, refused.id, note="自己")
        assert (await corrections.refuse(tx, two, refused.id, note="证据不足")).note == "证据不足"
        with pytest.raises(NotFound):
            await corrections.withdraw(tx, two, withdrawn.id)
        await corrections.withdraw(tx, one, withdrawn.id)
    for done in (refused, withdrawn):
        with pytest.raises(CorrectionMoved):
            await approve(bursary, two, done)
    assert await bursary.owed(shop) == 0
    async with bursary.db.read() as tx:
        assert await corrections.list_of_owner(tx, bursary.people[shop.id], shop, limit=10) == []


async def test_it_takes_a_reason_evidence_an_amount_and_an_owner(bursary: Bursary) -> None:
    one, shop = await bursary.operator(), await bursary.shop()
    with pytest.raises(CorrectionRefused):
        await propose(bursary, one, a_correction(shop, 0))
    with pytest.raises(CorrectionRefused):
        await propose(bursary, one, a_correction(Owner(new_id(), True), 1))
    for part in ("reason", "evidence"):
        with pytest.raises(PayoutTextRefused):
            await propose(bursary, one, a_correction(shop, 1, **{part: " "}))
    new = a_correction(shop, 1)
    assert await propose(bursary, one, new) == await propose(bursary, one, new)
    with pytest.raises(IdReused):
        await propose(bursary, one, a_correction(shop, 2, id=new.id))


@pytest.mark.parametrize("state", ["approved", "refused"])
async def test_the_database_lets_nobody_decide_what_they_proposed(bursary: Bursary, state: str) -> None:
    one, shop = await bursary.operator(), await bursary.shop()
    proposed = await propose(bursary, one, a_correction(shop, 100))
    with psycopg.connect(bursary.db.url) as connection, pytest.raises(errors.CheckViolation):
        connection.execute(
            "UPDATE settlement.correction SET state = %s, decided_by = proposed_by, decided_at = now() WHERE id = %s",
            (state, proposed.id),
        )


async def test_a_streamer_sees_what_was_corrected_of_theirs(bursary: Bursary) -> None:
    one, two, streamer = await bursary.operator(), await bursary.operator(), await bursary.streamer()
    await approve(bursary, two, await propose(bursary, one, a_correction(streamer, -50)))
    async with bursary.db.read() as tx:
        (seen,) = await settlement.corrections.list_of_owner(tx, bursary.people[streamer.id], streamer, limit=10)
    assert (seen.amount, await bursary.owed(streamer)) == (-50, -50)
