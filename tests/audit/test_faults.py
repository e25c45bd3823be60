"""The audit finds nothing in sound books, and a fault of each kind in broken ones, naming what is wrong."""

import json
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from faults import FAULTS, Undo, plant
from laotie import audit, orders
from laotie.audit.model import Look
from laotie.audit.promises import BY_CODE, PROMISES
from laotie.audit.touched import find_touched
from laotie.lake import Lake
from market import Market


async def test_sound_books_have_no_findings(market: Market, lake: Lake) -> None:
    report = await audit.take_tallies(market.db, lake)
    assert report.findings == []
    assert report.sound
    assert report.in_flight == 0
    assert {tally.checked for tally in report.tallies if tally.code.startswith("orders")} == {5}


def test_no_promise_is_without_a_planted_fault() -> None:
    assert FAULTS.keys() == BY_CODE.keys()
    assert len(BY_CODE) == len(PROMISES)


async def test_each_kind_of_fault_is_found_in_one_look_and_named(market: Market, lake: Lake) -> None:
    missed = []
    for code, faults in FAULTS.items():
        for fault in faults:
            with suppress(Undo):
                async with market.db.tx() as tx:
                    subject = await plant(tx, fault)
                    found = {one.subject for one in (await BY_CODE[code].check(Look(tx, lake=lake))).wrong}
                    if subject not in found:
                        missed.append((code, fault.name, subject, found))
                    raise Undo
    assert missed == []
    assert (await audit.take_tallies(market.db)).sound


async def test_a_look_at_what_has_changed_finds_what_a_look_at_everything_finds(market: Market, lake: Lake) -> None:
    differing = []
    since = market.db.clock.now() - timedelta(days=1)
    for code, faults in FAULTS.items():
        promise = BY_CODE[code]
        if not promise.narrow:
            continue
        for fault in faults:
            with suppress(Undo):
                async with market.db.tx() as tx:
                    look = Look(tx, lake=lake)
                    touched = await find_touched(tx, since)
                    assert (await promise.check(look.over(touched))).wrong == [], code
                    await plant(tx, fault)
                    touched = await find_touched(tx, since)
                    whole = await promise.check(Look(tx, lake=lake))
                    narrow = await promise.check(Look(tx, touched, lake=lake))
                    if sorted(map(str, whole.wrong)) != sorted(map(str, narrow.wrong)) or not whole.wrong:
                        differing.append((code, fault.name, whole.wrong, narrow.wrong))
                    raise Undo
    assert differing == []


async def test_a_payment_on_its_way_is_no_finding_at_any_step(market: Market) -> None:
    item = await market.add_item(stock=2)
    buyer = await market.buyer()
    order_id, late = await market.place(buyer, item), await market.place(buyer, item)
    payment, late_payment = await market.start_payment(buyer, order_id), await market.start_payment(buyer, late)
    await market.cancel(buyer, late)
    await market.decide(buyer, payment)
    await market.decide(buyer, late_payment)
    seen_in_flight = 0
    for step in (market.run_jobs, market.relay.drain, lambda: orders.work_agenda(market.db)) * 3:
        await step()
        report = await audit.take_tallies(market.db)
        assert report.findings == []
        seen_in_flight += report.in_flight
        async with market.db.read() as tx:
            touched = await find_touched(tx, market.db.clock.now() - timedelta(hours=1))
            for promise in PROMISES:
                assert not promise.narrow or (await promise.check(Look(tx, touched))).wrong == []
    assert seen_in_flight > 0


def test_the_document_is_what_the_promises_say() -> None:
    page = Path(__file__).parents[2] / "docs" / "invariants.md"
    assert page.read_text() == audit.document(), "laotie audit --document > docs/invariants.md"


def test_every_promise_has_words_in_both_languages() -> None:
    folder = Path(__file__).parents[2] / "ui" / "src" / "shared" / "i18n"
    for language in ("zh-CN", "en"):
        words = json.loads((folder / f"common.{language}.json").read_text())["common"]["invariant"]["of"]
        assert words.keys() == BY_CODE.keys(), language
        assert all(one["name"] and one["says"] for one in words.values())
