"""The lake's money against the ledger's: where the lake is away or behind there is nothing to compare, and it is said."""

from pathlib import Path

from laotie import audit
from laotie.audit.lake import check_money
from laotie.audit.model import Look
from laotie.base.settings import Settings
from laotie.lake import Lake, list_parts
from laotie.lake.facts import Drain
from market import Market


async def test_the_lake_says_every_day_what_the_ledger_says(market: Market, lake: Lake) -> None:
    async with market.db.read() as tx:
        seen = await check_money(Look(tx, lake=lake))
    assert seen.wrong == []
    assert seen.rows >= 2
    assert seen.facts == {}


async def test_a_row_that_is_missing_or_there_twice_is_found(market: Market, lake: Lake) -> None:
    part = next(part for part in list_parts(lake, "money"))
    file = Path(f"{lake.root}/{part.path}")
    again = file.with_name("again.parquet")
    again.write_bytes(file.read_bytes())
    async with market.db.read() as tx:
        seen = await check_money(Look(tx, lake=lake))
        assert {wrong.subject for wrong in seen.wrong} >= {f"{part.day} CNY held"}
        again.unlink()
        assert (await check_money(Look(tx, lake=lake))).wrong == []
        file.unlink()
        assert (await check_money(Look(tx, lake=lake))).wrong != []


async def test_a_lake_that_is_away_or_behind_is_no_finding_but_said(market: Market, lake: Lake, tmp_path: Path) -> None:
    async with market.db.read() as tx:
        away = await check_money(Look(tx, lake=Lake((tmp_path / "nowhere").as_uri(), lake.zone.key)))
        assert (away.wrong, away.facts) == ([], {"lake_absent": 1})
        assert (await check_money(Look(tx))).facts == {"lake_absent": 1}
    buyer = await market.buyer()
    await market.place(buyer, await market.add_item())
    market.db.clock.advance(seconds=3_600)
    async with market.db.read() as tx:
        behind = await check_money(Look(tx, lake=lake))
    assert behind.wrong == []
    assert 3_500 < behind.facts["lake_behind_s"] < 3_700
    await market.settle()
    await Drain(market.db, lake).empty()
    async with market.db.read() as tx:
        assert await check_money(Look(tx, lake=lake)) == await check_money(Look(tx, lake=lake))
        assert (await check_money(Look(tx, lake=lake))).wrong == []
    for part in list_parts(lake, "money"):
        Path(f"{lake.root}/{part.path}").write_bytes(b"torn")
    async with market.db.read() as tx:
        torn = await check_money(Look(tx, lake=lake))
    assert (torn.wrong, torn.facts) == ([], {"lake_unreadable": 1})


async def test_a_look_that_could_compare_nothing_closes_no_incident(market: Market, lake: Lake) -> None:
    terms = audit.Terms.of(Settings())
    file = Path(f"{lake.root}/{next(part for part in list_parts(lake, 'money')).path}")
    content = file.read_bytes()
    file.unlink()
    await audit.check_now(market.db, terms, lake=lake)
    file.write_bytes(b"torn")
    for away in (lake, None):
        assert (await audit.check_now(market.db, terms, lake=away)).finding_count == 0
        async with market.db.read() as tx:
            assert [(one.promise, one.closed_at) for one in await audit.list_incidents(tx)] == [("lake-money", None)]
    file.write_bytes(content)
    await audit.check_now(market.db, terms, lake=lake)
    async with market.db.read() as tx:
        assert [one.closed_at is None for one in await audit.list_incidents(tx)] == [False]
