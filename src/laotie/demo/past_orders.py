"""The demonstration's orders from elsewhere: what the first persona's shop sold before it came here, and since then on the pier.

A year of shows in another house, and two days a week in the shop on the pier until today. It is brought as everybody brings
history (`orders.history`): a record, source `imported`, with no money in our books; the lake hears of it, so that cohorts and
forecasts have something to go by. All of it is made up; a twentieth of the money comes back, as at the real retailer whose
slice is beside it (`data/online_retail_slice.csv.gz`).
"""

from datetime import date, datetime, time, timedelta
from hashlib import sha256
from random import Random
from zoneinfo import ZoneInfo

from laotie import orders
from laotie.base.db import Database
from laotie.base.ids import AccountId, ProductId, SkuId
from laotie.base.settings import Settings
from laotie.demo.market import demo_id
from laotie.demo.money import SELLER, SHOP
from laotie.demo.past_customers import PURCHASES, Purchase, handle_of
from laotie.orders.history import PastDeal, PastLine

NAME = "演示历史订单 · demo history"
OPENS_H, OPEN_H = 16, 2
"""From which hour on and for how many the pier sells, in the books' zone: when the boats land, so that a year is few files."""
RETURNED, RETURN_DAYS = 0.1, 7
"""The share of orders of which a piece comes back, and after how many days: one on which something is sold."""
WINTER, SUMMER = (1, 1, 1, 2, 2), (1, 1, 1, 1, 2)
"""Pieces of a line: sea cucumbers are eaten in winter."""
WINTER_MONTHS = {11, 12, 1, 2}


async def bring_history(db: Database, settings: Settings, today: date) -> int:
    """Import it, once; how many orders."""
    sold, returned = imagine(today, ZoneInfo(settings.books_zone))
    async with db.tx() as tx:
        run = await orders.history.open_run(tx, SHOP, digest=sha256(NAME.encode()).digest(), name=NAME)
        if run.state != "running":
            return 0
        await orders.history.import_history(
            tx, run, currency="CNY", orders=sold, returns=returned, refused=[], position=len(sold), counts={}, done=True
        )
    await orders.facts.tell_imports(db)
    return len(sold)


def imagine(today: date, zone: ZoneInfo) -> tuple[list[PastDeal], list[PastDeal]]:
    """The orders and what came back of them, by time, all before today."""
    sold: list[PastDeal] = []
    returned: list[PastDeal] = []
    for number, purchase in enumerate(PURCHASES):
        if purchase.is_here:
            continue
        chance = Random(f"past order {number}")  # noqa: S311  (a simulation, repeatable)
        deal = _deal(number, purchase, today - timedelta(days=purchase.ago), zone, chance)
        sold.append(deal)
        if chance.random() < RETURNED and purchase.ago > RETURN_DAYS:
            least = min(deal.lines, key=lambda line: line.unit_price_amount)
            at = deal.at + timedelta(days=RETURN_DAYS)
            returned.append(deal._replace(reference=f"R{number}", at=at, lines=[least._replace(quantity=1)]))
    return sorted(sold, key=lambda deal: deal.at), sorted(returned, key=lambda deal: deal.at)


def _deal(number: int, purchase: Purchase, day: date, zone: ZoneInfo, chance: Random) -> PastDeal:
    at = datetime.combine(day, time(OPENS_H), zone) + timedelta(hours=OPEN_H * chance.random())
    pieces = WINTER if day.month in WINTER_MONTHS else SUMMER
    lines = [
        PastLine(
            SkuId(demo_id("sku", goods.code, 1)), ProductId(demo_id("product", goods.code)), goods.title, chance.choice(pieces),
            goods.list_price,
        )
        for goods in chance.sample(SELLER.goods, chance.choice((1, 1, 1, 2)))
    ]  # fmt: skip
    return PastDeal(str(number), AccountId(demo_id("account", handle_of(purchase.customer))), at, lines)
