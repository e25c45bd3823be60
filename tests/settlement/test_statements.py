"""Balances, statements, sheets and papers: opening + lines = closing = ledger, for shops and streamers."""

import asyncio
import csv
import io
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import msgspec
import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import AccountId, OrderId, ShopId, new_id
from laotie.base.money import Money
from laotie.base.refusals import NotFound
from laotie.settlement import LineKind, Parts, Rates, find_payable, printing, split, statements
from laotie.settlement.statements import StatementEmpty, StatementOff
from settlement.books import ZONE, Books

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
START = datetime(2026, 12, 31, 4, tzinfo=UTC)


class Pinned(Clock):
    """Begins at a day of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._offset += START - super().now()


@pytest.fixture
def clock() -> Clock:
    return Pinned()


@pytest.fixture
async def books(db: Database) -> AsyncIterator[Books]:
    yield Books(db, ShopId(new_id()), AccountId(new_id()))


async def draw(db: Database, owner_id: UUID, month_on: date, currency: str = "CNY") -> statements.Statement:
    async with db.read() as tx:
        return await statements.draw(tx, owner_id, month_on, currency, zone=ZONE)


async def sheet(db: Database, owner_id: UUID, month_on: date, currency: str = "CNY") -> list[dict[str, str]]:
    async with db.read() as tx:
        statement = await statements.draw(tx, owner_id, month_on, currency, zone=ZONE)
        file = await printing.write_sheet(tx, statement)
    text = b"".join([piece async for piece in printing.read_sheet(file)]).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def minor(text: str) -> int:
    return round(float(text or "0") * 100)


async def test_a_statement_opens_with_the_last_one_and_closes_with_the_ledger(books: Books) -> None:
    await books.order(date(2026, 10, 31), goods=10_000, shipping=800, platform_bps=500, payment_bps=60)
    await books.order(date(2026, 11, 1), goods=5_000, subsidy=500, platform_bps=500, streamer_bps=2_000)
    await books.order(date(2026, 11, 30), sign=-1, goods=10_000, platform_bps=500)
    await books.order(date(2026, 12, 1), goods=100)
    october, november = [await draw(books.db, books.shop, month) for month in (OCTOBER, NOVEMBER)]
    assert (october.opening_amount, october.closing_amount, october.ledger_amount) == (0, 10_236, 10_236)
    assert (november.opening_amount, november.total.amount) == (10_236, 4_125 - 9_500)
    assert november.closing_amount == november.ledger_amount == 4_861
    assert november.sums[LineKind.sale] == statements.Sum(
        line_count=1, goods_amount=5_000, subsidy_amount=500, platform_amount=275, streamer_amount=1_100, amount=4_125
    )
    assert [day.isoformat() for day in november.days] == ["2026-11-01", "2026-11-30"]
    streamers = await draw(books.db, books.streamer, NOVEMBER)
    assert (streamers.total.amount, streamers.ledger_amount, streamers.total.platform_amount) == (1_100, 1_100, 0)
    async with books.db.read() as tx:
        months = await statements.list_months(tx, books.shop)
    assert [(f"{one.month_on:%m}", one.opening_amount, one.closing_amount, one.line_count) for one in months] == [
        ("12", 4_861, 4_961, 1), ("11", 10_236, 4_861, 2), ("10", 0, 10_236, 1)
    ]  # fmt: skip


async def test_a_month_that_is_over_is_written_down_once_and_stays(books: Books) -> None:
    await books.order(date(2026, 10, 3), goods=700)
    await books.order(date(2026, 12, 3), goods=900, streamer_bps=1_000)
    before = [await draw(books.db, books.shop, month) for month in (OCTOBER, NOVEMBER, date(2026, 12, 1))]
    assert await statements.close_months(books.db, zone=ZONE) == 1
    assert await statements.close_months(books.db, zone=ZONE) == 0  # December is not over
    books.db.clock.advance(seconds=86_400 / 2 + 3_599)
    assert await statements.close_months(books.db, zone=ZONE) == 0  # nor so surely that nobody writes in it
    books.db.clock.advance(seconds=2)
    assert await statements.close_months(books.db, zone=ZONE) == 1
    after = [await draw(books.db, books.shop, month) for month in (OCTOBER, NOVEMBER, date(2026, 12, 1))]
    for one, other in zip(before, after, strict=True):
        assert (one.opening_amount, one.sums, one.closing_amount) == (other.opening_amount, other.sums, other.closing_amount)
        assert other.difference_amount == 0 and not other.is_open
    await books.order(date(2026, 12, 31), goods=1)  # which nothing does
    late = await draw(books.db, books.shop, date(2026, 12, 1))
    assert late.difference_amount != 0


async def test_a_statement_that_does_not_add_up_says_so_and_is_not_printed(books: Books) -> None:
    await books.order(date(2026, 11, 3), goods=700)
    await books.spoil(5)
    assert (await draw(books.db, books.shop, NOVEMBER)).difference_amount == -5
    with pytest.raises(StatementOff) as refused:
        await sheet(books.db, books.shop, NOVEMBER)
    assert refused.value.facts() == {"difference": -5, "currency": "CNY"}
    with pytest.raises(StatementOff):
        async with books.db.read() as tx:
            found = await statements.draw(tx, books.shop, NOVEMBER, "CNY", zone=ZONE)
            await printing.compose(tx, found, "海边人家", lang="en", zone=ZONE)


async def test_a_month_to_come_has_no_statement_and_one_without_anything_no_paper(books: Books) -> None:
    with pytest.raises(NotFound):
        await draw(books.db, books.shop, date(2027, 1, 1))
    december = await draw(books.db, books.shop, date(2026, 12, 1))
    assert december.is_open
    with pytest.raises(StatementEmpty):
        async with books.db.read() as tx:
            await printing.compose(tx, december, "x", lang="en", zone=ZONE)


async def test_the_sheet_holds_every_line_and_its_rows_add_up(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "EXPORTED_AT_ONCE", 7)
    await books.order(date(2026, 10, 31), goods=1_000)
    lines = [
        books.line(date(2026, 11, 1 + index % 3), goods=9_999, shipping=index, platform_bps=333, streamer_bps=1_000)
        for index in range(40)
    ]
    await books.book(lines)
    first, *rows, last = await sheet(books.db, books.shop, NOVEMBER)
    assert (first["kind"], first["balance"], last["kind"]) == ("opening", "10.00", "closing")
    assert sorted(row["line_id"] for row in rows) == sorted(str(line.id) for line in lines)
    balance = 1_000
    for row in rows:
        parts = [minor(row[name]) for name in ("goods", "shipping", "subsidy", "platform", "payment", "streamer")]
        assert sum(parts) == minor(row["amount"])
        balance += minor(row["amount"])
        assert minor(row["balance"]) == balance
    assert minor(last["balance"]) == balance == (await draw(books.db, books.shop, NOVEMBER)).closing_amount
    async with books.db.read() as tx:
        page = await statements.list_entries(tx, books.shop, NOVEMBER, "CNY", limit=25)
        rest = await statements.list_entries(tx, books.shop, NOVEMBER, "CNY", after=page[-1].id)
    assert [str(one.id) for one in [*page, *rest]] == [row["line_id"] for row in rows]


async def test_the_paper_is_written_in_both_languages_and_set_with_its_characters(books: Books) -> None:
    name = "海边人家 龍蝦鱻 <b>&{nb}"
    await books.order(date(2026, 11, 3), goods=123_456_789, platform_bps=500)
    async with books.db.read() as tx:
        found = await statements.draw(tx, books.shop, NOVEMBER, "CNY", zone=ZONE)
        chinese, english = [await printing.compose(tx, found, name, lang=lang, zone=ZONE) for lang in ("zh-CN", "en")]
    assert (english.title, english.figures[2]) == ("Settlement statement", ("Closing balance", "1,172,839.50"))
    assert msgspec.json.decode(msgspec.json.encode(chinese), type=printing.Document) == chinese
    paper = pypdfium2.PdfDocument(await printing.set_type(chinese))
    text = paper[0].get_textpage().get_text_range()
    for expected in ("结算单", "期末余额", name, "2026年11月", "1,172,839.50", "-61,728.39", "2026-11-03"):
        assert expected in text, text


async def test_a_huge_month_is_printed_by_day(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing, "LINES_PRINTED_MAX", 5)
    await books.book([books.line(date(2026, 11, 1 + index % 2), goods=100) for index in range(6)])
    async with books.db.read() as tx:
        found = await statements.draw(tx, books.shop, NOVEMBER, "CNY", zone=ZONE)
        document = await printing.compose(tx, found, "x", lang="en", zone=ZONE)
    assert [row[:2] for row in document.tables[1].rows] == [["2026-11-01", "3"], ["2026-11-02", "3"]]
    assert document.tables[1].foot is not None and document.tables[1].foot[-1] == "6.00"
    assert "6 lines" in document.notes[1]


async def test_a_balance_tells_what_is_owed_expected_held_and_on_its_way(books: Books) -> None:
    await books.order(date(2026, 11, 3), goods=700, streamer_bps=1_000)
    await books.move(LineKind.payout, -630)
    await books.move(LineKind.correction, -50)
    for due_at, paused, goods in (
        (datetime(2027, 1, 1, 15, 59, tzinfo=UTC), False, 1_000),
        (datetime(2027, 1, 1, 16, 0, tzinfo=UTC), False, 2_000),
        (datetime(2027, 1, 1, 16, 0, tzinfo=UTC), True, 4_000),
    ):
        await expect_order(books, due_at, Parts(goods, 0, 0), Rates(500, 0, 1_000), paused=paused)
    async with books.db.read() as tx:
        (found,) = await statements.get_balances(tx, books.shop, zone=ZONE)
        (own,) = await statements.get_balances(tx, books.streamer, zone=ZONE)
    assert found == statements.Balance(
        currency="CNY",
        payable_amount=-50,
        on_its_way_amount=630,
        held_amount=3_400,
        held_count=1,
        expected=[
            statements.Waiting(day_on=date(2027, 1, 1), order_count=1, amount=850),
            statements.Waiting(day_on=date(2027, 1, 2), order_count=1, amount=1_700),
        ],
    )
    assert (own.payable_amount, own.expected_amount, own.held_amount) == (70, 300, 400)


async def expect_order(books: Books, due_at: datetime, parts: Parts, rates: Rates, *, paused: bool = False) -> None:
    async with books.db.tx() as tx:
        await tx.run(
            """
            INSERT INTO settlement.due (order_id, no, shop_id, streamer_id, currency, goods_amount, shipping_amount,
                subsidy_amount, platform_bps, payment_bps, streamer_bps, completed_at, due_at, paused,
                held_id, payable_id, streamer_payable_id)
            VALUES (%(id)s, 0, %(shop)s, %(streamer)s, 'CNY', %(goods)s, %(shipping)s, %(subsidy)s, %(platform)s,
                    %(payment)s, %(share)s, %(due_at)s, %(due_at)s, %(paused)s, %(shop)s, %(shop)s, %(streamer)s)
            """,
            id=OrderId(new_id()),
            shop=books.shop,
            streamer=books.streamer,
            goods=parts.goods_amount,
            shipping=parts.shipping_amount,
            subsidy=parts.subsidy_amount,
            platform=rates.platform_bps,
            payment=rates.payment_bps,
            share=rates.streamer_bps,
            due_at=due_at,
            paused=paused,
        )


AMOUNT, BPS = st.integers(0, 10**13), st.integers(0, 3_333)
DAY = st.dates(date(2026, 9, 28), date(2026, 12, 31))
ORDER = st.fixed_dictionaries(
    {"sign": st.sampled_from([1, 1, -1]), "currency": st.sampled_from(["CNY", "CNY", "USD"]), "goods": AMOUNT,
     "shipping": AMOUNT, "subsidy": AMOUNT, "platform_bps": BPS, "payment_bps": BPS, "streamer_bps": BPS}
)  # fmt: skip
MOVE = st.tuples(
    st.sampled_from([LineKind.payout, LineKind.payout_back, LineKind.correction]),
    st.integers(-(10**12), 10**12).filter(bool),
    st.booleans(),
)


def test_lines_add_up_to_totals_and_the_ledger_whatever_is_booked(database_url: str) -> None:
    """Of every month the lines, the days, the sheet and the page say the same; the last closing is the ledger's.

    And when the months are closed afterwards, nothing of it changes.
    """
    drawn: list[statements.Statement] = []
    with asyncio.Runner() as runner:
        db = runner.run(Database.open(database_url, clock=Pinned(), pool_max=4))

        @settings(max_examples=6, deadline=None, derandomize=True)
        @given(st.lists(st.tuples(DAY, ORDER), max_size=12), st.lists(MOVE, max_size=4))
        def hold(orders: list[tuple[date, dict[str, Any]]], moves: list[tuple[LineKind, int, bool]]) -> None:
            drawn.extend(runner.run(_hold(Books(db, ShopId(new_id()), AccountId(new_id())), orders, moves)))

        try:
            hold()
            assert runner.run(_close_all(db)) == 3
            for before in drawn:
                after = runner.run(draw(db, before.owner_id, before.month_on, before.currency))
                assert msgspec.structs.replace(after, drawn_at=before.drawn_at) == before
        finally:
            runner.run(db.close())


async def _hold(
    books: Books, orders: list[tuple[date, dict[str, Any]]], moves: list[tuple[LineKind, int, bool]]
) -> list[statements.Statement]:
    await books.book([books.line(day, **parts) for day, parts in orders])
    for kind, amount, of_shop in moves:
        await books.move(kind, amount, of_shop=of_shop)
    drawn = []
    for owner_id in (books.shop, books.streamer):
        async with books.db.read() as tx:
            payable = await find_payable(tx, owner_id)
        for currency in ("CNY", "USD"):
            opening = 0
            for month in range(9, 13):
                found = await draw(books.db, owner_id, date(2026, month, 1), currency)
                first, *rows, last = await sheet(books.db, owner_id, date(2026, month, 1), currency)
                async with books.db.read() as tx:
                    entries = await statements.list_entries(tx, owner_id, date(2026, month, 1), currency)
                assert found.opening_amount == opening
                assert found.total.amount == sum(one.amount for one in entries)
                assert found.total.line_count == len(entries) == len(rows)
                assert found.total == sum(found.days.values(), statements.Sum())
                assert found.closing_amount == found.ledger_amount and found.difference_amount == 0
                assert [first["balance"], last["balance"]] == [
                    str(Money(amount, currency)).partition(" ")[0] for amount in (opening, found.closing_amount)
                ]
                opening = found.closing_amount
                drawn.append(found)
            assert opening == payable.get(currency, 0)
    return drawn


async def _close_all(db: Database) -> int:
    closed = 0
    while await statements.close_months(db, zone=ZONE):
        closed += 1
    return closed


def test_what_is_expected_is_divided_as_it_will_be_settled(database_url: str) -> None:
    with asyncio.Runner() as runner:
        db = runner.run(Database.open(database_url, pool_max=2))

        @settings(max_examples=25, deadline=None)
        @given(st.builds(Parts, AMOUNT, AMOUNT, AMOUNT), st.builds(Rates, BPS, BPS, BPS))
        def hold(parts: Parts, rates: Rates) -> None:
            books = Books(db, ShopId(new_id()), AccountId(new_id()))
            runner.run(expect_order(books, datetime(2027, 1, 1, tzinfo=UTC), parts, rates))
            expected = split(parts, rates)

            async def read(owner_id: UUID) -> int:
                async with db.read() as tx:
                    return sum(one.expected_amount for one in await statements.get_balances(tx, owner_id, zone=ZONE))

            assert runner.run(read(books.shop)) == expected.net_amount
            assert runner.run(read(books.streamer)) == expected.streamer_amount

        try:
            hold()
        finally:
            runner.run(db.close())


@pytest.mark.prove
async def test_a_month_of_a_hundred_thousand_lines_takes_the_memory_of_one_page(books: Books) -> None:
    count = 100_000
    async with books.db.tx() as tx:
        await tx.run(
            """
            INSERT INTO settlement.line (id, kind, shop_id, order_id, currency, goods_amount, platform_bps,
                platform_amount, net_amount, booked_on, booked_at, subject_id)
            SELECT gen_random_uuid(), 'sale', %(shop)s, gen_random_uuid(), 'CNY', 10000, 500, 500, 9500,
                   '2026-11-01'::date + n %% 30, '2026-11-30', gen_random_uuid()
            FROM generate_series(1, %(count)s) AS n
            """,
            shop=books.shop,
            count=count,
        )
    await books.spoil(9_500 * count)
    async with books.db.read() as tx:
        found = await statements.draw(tx, books.shop, NOVEMBER, "CNY", zone=ZONE)
        tracemalloc.start()
        file = await printing.write_sheet(tx, found)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    lines = 0
    async for piece in printing.read_sheet(file):
        lines += piece.count(b"\n")
    assert lines == count + 3
    assert peak < 8 * 1024 * 1024
