"""The demonstration's money: two months that happened before anybody came, in books that agree."""

from pathlib import Path

from laotie import audit, settlement
from laotie.base.db import Database
from laotie.base.settings import Settings
from laotie.bench.server import free_port
from laotie.demo.market import OPERATOR, SECOND_OPERATOR, actor_of, open_market
from laotie.demo.money import PAST_SHOWS, SELLER, SHOP, tell_past
from laotie.demo.past_orders import bring_history
from laotie.settlement import BatchState, LineKind, statements


async def test_two_months_are_settled_paid_out_and_owed_again(db: Database, tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path), host="127.0.0.1", port=free_port())
    await open_market(db, lambda _: None)
    today = await tell_past(db.url, settings)
    assert today is not None
    assert await tell_past(db.url, settings) is None
    async with db.read() as tx:
        lines = await tx.all(settlement.Line, "SELECT * FROM settlement.line ORDER BY booked_at, id")
        batches = await tx.tuples("SELECT state, drafted_by, approved_by FROM settlement.payout_batch ORDER BY drafted_at")
        (shop,) = await statements.get_balances(tx, SHOP, zone=settings.books_zone)
        states = await tx.tuples('SELECT state, count(DISTINCT show_id) FROM orders."order" GROUP BY state ORDER BY state')
    assert len({(line.booked_on.year, line.booked_on.month) for line in lines if line.kind is LineKind.sale}) >= 2
    for owner_id in (SHOP, actor_of(SELLER.handle).signed_in()):
        balance, lowest = 0, 0
        for line in lines:
            balance += line.net_amount if line.shop_id == owner_id else 0
            balance += line.streamer_amount if line.streamer_id == owner_id else 0
            lowest = min(lowest, balance)
        assert lowest < 0, "what was paid out came back"
        assert balance == 0, "and was earned again: it is in the batch that waits"
    one, two = (actor_of(handle).account_id for handle in (OPERATOR, SECOND_OPERATOR))
    assert batches == [(BatchState.closed, one, two), (BatchState.drafted, one, None)]
    assert shop.expected
    assert states == [("completed", len(PAST_SHOWS) - 1), ("paid", 1)], "yesterday's orders wait for the packer"
    assert await bring_history(db, settings, today) > 1_000, "customers who came again, for cohorts and forecasts"
    assert await bring_history(db, settings, today) == 0
    report = await audit.take_tallies(db)
    assert report.findings == []
