"""Two server processes on one database sell the same stock."""

import asyncio

from laotie.bench.server import ServerUnderTest
from tests.races.storm import Ask, audit_finds_nothing, check_books, make_asks, send_all
from tests.races.test_crash import open_hot_sale

STOCK = 3_000


async def test_two_processes_never_sell_a_piece_twice_and_sell_them_all() -> None:
    with ServerUnderTest(viewer_buys_per_s="100000") as first:
        keys = first.settings.signing_keys()[0]
        with ServerUnderTest(viewer_buys_per_s="100000", database_url=first.database_url, secret_keys=keys) as second:
            sale = await open_hot_sale(first.database_url, stock=STOCK)
            asks = make_asks(buyers=60, each=100)
            await send_all([first, second], sale, asks, wait_s=90)
            assert all(ask.order_id or ask.refused for ask in asks)
            assert {ask.refused for ask in asks if ask.order_id is None} == {"sold-out"}
            figures = check_books(first.database_url, sale, asks, received=STOCK)
            assert figures == {"orders": STOCK, "taken": STOCK, "available": 0}
            await audit_finds_nothing(first.database_url)


async def test_the_same_ask_at_two_processes_is_one_order() -> None:
    with ServerUnderTest(viewer_buys_per_s="100000") as first:
        keys = first.settings.signing_keys()[0]
        with ServerUnderTest(viewer_buys_per_s="100000", database_url=first.database_url, secret_keys=keys) as second:
            sale = await open_hot_sale(first.database_url, stock=STOCK)
            asks = make_asks(buyers=10, each=50)
            twins = [Ask(ask.buyer_id, ask.client_id) for ask in asks]
            await asyncio.gather(send_all([first], sale, asks, wait_s=60), send_all([second], sale, twins, wait_s=60))
            assert [ask.order_id for ask in asks] == [twin.order_id for twin in twins]
            assert None not in {ask.order_id for ask in asks}
            check_books(first.database_url, sale, asks, received=STOCK)


async def test_the_limit_per_person_holds_across_processes() -> None:
    with ServerUnderTest(viewer_buys_per_s="100000") as first:
        keys = first.settings.signing_keys()[0]
        with ServerUnderTest(viewer_buys_per_s="100000", database_url=first.database_url, secret_keys=keys) as second:
            sale = await open_hot_sale(first.database_url, stock=STOCK, limit=3)
            asks = make_asks(buyers=20, each=10)
            half = [ask for number, ask in enumerate(asks) if number % 2]
            rest = [ask for number, ask in enumerate(asks) if not number % 2]
            await asyncio.gather(send_all([first], sale, half, wait_s=60), send_all([second], sale, rest, wait_s=60))
            figures = check_books(first.database_url, sale, asks, received=STOCK)
            assert figures["orders"] == 20 * 3
            assert {ask.refused for ask in asks if ask.order_id is None} == {"limit-reached"}
