"""The demonstration's older past: four months of orders that the first persona's shop brought along from another house.

Several hundred, of customers who bought once, came again, or stayed away after a while, as people do; those who stayed buy in
the shows that follow (`money`). It is brought as everybody brings history (`orders.history`): a record, source `imported`, with
no money in our books; the lake hears of it, so that cohorts and forecasts have something to go by. All of it is made up.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from random import Random

from laotie import orders
from laotie.base.db import Database
from laotie.base.ids import AccountId, ProductId, SkuId
from laotie.demo.goods import FAN_NAMES
from laotie.demo.market import demo_id
from laotie.demo.money import AGO, CUSTOMERS, SELLER, SHOP, handle_of
from laotie.orders.history import PastDeal, PastLine

BEGAN, ENDED = AGO + timedelta(days=120), AGO + timedelta(days=2)
NAME = "演示历史订单 · demo history"
GAP_DAYS, STAYS = 17.0, 0.8
"""On average so long until somebody buys again; and how likely it is each time that they have not left for good."""
RETURNED = 0.05


async def bring_history(db: Database) -> int:
    """Import it, once; how many orders."""
    chance = Random("past orders")  # noqa: S311  (a simulation, repeatable)
    sold = sorted(_imagine(db.clock.now(), chance), key=lambda deal: deal.at)
    returned = [
        deal._replace(reference=f"R{deal.reference}", at=deal.at + timedelta(days=chance.uniform(3, 12)), lines=deal.lines[:1])
        for deal in sold
        if chance.random() < RETURNED
    ]
    async with db.tx() as tx:
        run = await orders.history.open_run(tx, SHOP, digest=sha256(NAME.encode()).digest(), name=NAME)
        if run.state != "running":
            return 0
        await orders.history.import_history(
            tx, run, currency="CNY", orders=sold, returns=returned, refused=[], position=len(sold), counts={}, done=True
        )
    await orders.facts.tell_imports(db)
    return len(sold)


def _imagine(now: datetime, chance: Random) -> Iterator[PastDeal]:
    """Each customer's orders, from a day on, until they leave or the shop moves here."""
    for customer in range(len(FAN_NAMES) + 1, CUSTOMERS + 1):
        at = now - BEGAN + (BEGAN - ENDED) * chance.random() ** 1.3
        pace = chance.gammavariate(2.0, 0.5)
        number = 0
        while at < now - ENDED:
            number += 1
            yield PastDeal(f"{customer}-{number}", AccountId(demo_id("account", handle_of(customer))), at, _lines(chance))
            if chance.random() > STAYS:
                break
            at += timedelta(days=1 + chance.expovariate(pace / GAP_DAYS))


def _lines(chance: Random) -> list[PastLine]:
    chosen = chance.sample(SELLER.goods, chance.choice((1, 1, 1, 2)))
    return [
        PastLine(
            SkuId(demo_id("sku", goods.code, 1)), ProductId(demo_id("product", goods.code)), goods.title, chance.choice((1, 1, 2)),
            goods.list_price,
        )
        for goods in chosen
    ]  # fmt: skip
