"""Coupons in a storm: two servers, kill -9, one budget; every claim on two purchases at once."""

from uuid import UUID

import psycopg

from laotie.base.db import Database
from laotie.base.ids import new_id
from laotie.bench.market import COUPON_OFF, PRICE, HotSale, fill_purses, give_all
from laotie.bench.server import ServerUnderTest
from tests.races.storm import Ask, audit_finds_nothing, check_books, send_all
from tests.races.test_crash import Kill, open_hot_sale, storm_until_killed

BUYERS, EACH, STOCK = 50, 30, 100_000
AFFORDED = 1_100


async def make_coupon_asks(url: str, sale: HotSale) -> list[Ask]:
    """Everybody insists on twice as many purchases as they have claims, in a budget for fewer than there are claims."""
    db = await Database.open(url, pool_max=2)
    try:
        coupon_id = await give_all(db, sale, budget_amount=AFFORDED * COUPON_OFF + COUPON_OFF - 1)
        purses = await fill_purses(db, coupon_id, buyers=BUYERS, each=EACH)
    finally:
        await db.close()
    return [
        Ask(purse.account_id, str(new_id()), claim_id=claim_id)
        for purse in purses
        for claim_id in purse.claims
        for _ in range(2)
    ]


def check_coupons(url: str, asks: list[Ask]) -> None:
    """Exactly what was afforded was spent, no claim twice, and every order paid the lowered price."""
    with psycopg.connect(url) as connection:
        spent = connection.execute("SELECT used_count, spent_amount FROM offers.coupon").fetchall()
        twice = connection.execute(
            "SELECT claim_id FROM offers.application GROUP BY claim_id HAVING count(*) > 1"
        ).fetchall()
        totals = connection.execute('SELECT DISTINCT total_amount, discount_amount FROM orders."order"').fetchall()
        claims = connection.execute("SELECT order_ids[1], id FROM offers.claim WHERE order_ids IS NOT NULL").fetchall()
    assert spent == [(AFFORDED, AFFORDED * COUPON_OFF)]
    assert twice == []
    assert totals == [(PRICE - COUPON_OFF, COUPON_OFF)]
    told = {UUID(ask.order_id): ask.claim_id for ask in asks if ask.order_id is not None}
    assert {order_id: str(claim_id) for order_id, claim_id in claims} == told
    assert {ask.refused for ask in asks if ask.order_id is None} == {"coupon-refused"}


async def test_two_processes_spend_a_budget_to_the_last_cent_and_no_claim_twice() -> None:
    with ServerUnderTest(viewer_buys_per_s="100000") as first:
        keys = first.settings.signing_keys()[0]
        with ServerUnderTest(viewer_buys_per_s="100000", database_url=first.database_url, secret_keys=keys) as second:
            sale = await open_hot_sale(first.database_url, stock=STOCK)
            asks = await make_coupon_asks(first.database_url, sale)
            await send_all([first, second], sale, asks, wait_s=90)
            assert check_books(first.database_url, sale, asks, received=STOCK)["orders"] == AFFORDED
            check_coupons(first.database_url, asks)
            await audit_finds_nothing(first.database_url)


async def test_kill_9_in_a_storm_of_coupons_spends_nothing_twice_and_loses_nothing() -> None:
    with ServerUnderTest(viewer_buys_per_s="100000") as server:
        sale = await open_hot_sale(server.database_url, stock=STOCK)
        asks = await make_coupon_asks(server.database_url, sale)
        await storm_until_killed(server, sale, asks, Kill("server", 11), wanted=AFFORDED // 2)
        server.start()
        before = {ask.client_id: ask.order_id for ask in asks if ask.order_id is not None}
        shoppers = await send_all([server], sale, asks, wait_s=90)
        assert not any(shopper.contradictions for shopper in shoppers)
        after = {ask.client_id: ask.order_id for ask in asks if ask.order_id is not None}
        assert before.items() <= after.items()
        assert check_books(server.database_url, sale, asks, received=STOCK)["orders"] == AFFORDED
        check_coupons(server.database_url, asks)
        await audit_finds_nothing(server.database_url)
