"""The demonstration's past viewers: who came to the shows of the past two months, and to the shelf between them.

The sales of that time are real in the books (`money`); here they get the visits that they came from and all the people who
only looked, by the manners measured on real viewers (`calibration`). It goes into the lake as the product writes it, each
row on its own day, the same in every run. How many came, from where, what they liked and looked at is made up.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pyarrow as pa

from laotie import live
from laotie.base.db import Database
from laotie.base.entry import Source
from laotie.base.ids import AccountId, ShopId, ShowId
from laotie.base.settings import Settings
from laotie.demo import calibration
from laotie.demo.goods import PERSONAS
from laotie.demo.market import demo_id
from laotie.demo.money import AGO, CROWD, PAST_SHOWS, SELLER, SHOP, Bought, show_id_of
from laotie.lake import TOPICS, Lake, write_parts

AUDIENCE, GROWTH = 200, 20
"""People who came to the first of the past shows, and how many more to each later one."""
SHELF_A_DAY = 40
SHELF_EVERY_DAYS, SHELF_HOUR = 3, 20
"""When the shelf is visited: on few days at one hour, so that two months are a hundred small files."""
CLICKS, LIKES, CARTS, SEARCHES = 0.22, 0.15, 0.05, 0.3
"""Assumed shares of visits: looked at a product, liked, put into the basket, searched."""
NAME = "demo-past"

Rows = dict[str, list[dict[str, Any]]]
"""Of each topic, as the lake keeps them."""


class Show(NamedTuple):
    """A show that is over."""

    show_id: ShowId
    began_at: datetime
    ended_at: datetime
    bought: tuple[Bought, ...]


async def imagine_past(db: Database, settings: Settings, today: date) -> Rows:
    """Everything that they did, by topic."""
    shows = []
    async with db.read() as tx:
        for ago, bought in PAST_SHOWS.items():
            show = await live.get_show(tx, show_id_of(ago, today, ZoneInfo(settings.books_zone)))
            if show.started_at is not None and show.ended_at is not None:
                shows.append(Show(show.id, show.started_at, show.ended_at, bought))
    return imagine(shows, now=db.clock.now(), lake=Lake.of(settings))


def write_past(settings: Settings, rows: Rows) -> int:
    """Put it into the lake; how many rows. Again, it writes the same files."""
    for topic, those in rows.items():
        write_parts(Lake.of(settings), topic, pa.Table.from_pylist(those, schema=TOPICS[topic].schema), name=NAME)
    return sum(map(len, rows.values()))


def imagine(shows: list[Show], *, now: datetime, lake: Lake) -> Rows:
    """All rows by topic: the shows' audiences, and the shelf's visitors of every whole day since."""
    told: Rows = defaultdict(list)
    for number, show in enumerate(sorted(shows, key=lambda one: one.began_at)):
        chance = Random(f"show {number}")  # noqa: S311  (a simulation, repeatable)
        for topic, row in _audience(show, chance, size=AUDIENCE + GROWTH * number):
            told[topic].append(row)
    today = lake.day_of(int(now.timestamp() * 1_000_000))
    for ago in range(AGO.days - 1, 0, -SHELF_EVERY_DAYS):
        day = today - timedelta(days=ago)
        for topic, row in _shelf(lake.bounds_of(day)[0], Random(f"shelf {ago}"), growth=1 + (AGO.days - ago) / 90):  # noqa: S311
            told[topic].append(row)
    return told


def _audience(show: Show, chance: Random, *, size: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Those who bought first: they came by their own list, and stayed until then. Then everybody else."""
    length = (show.ended_at - show.began_at).total_seconds()
    for number, bought in enumerate(show.bought):
        yield from _sit(
            show, chance, f"buyer {number}", demo_id("account", bought.handle), (bought.source, bought.placement, bought.campaign),
            after_s=length * 0.1 * number / len(show.bought), stays_s=length * 0.8, is_guest=False, clicks=True,
        )  # fmt: skip
    for number in range(size):
        source, placement, campaign, _ = chance.choices(CROWD, [share for *_, share in CROWD])[0]
        is_guest = chance.random() < 0.7
        viewer = demo_id("past viewer", chance.randrange(6 * AUDIENCE)) if is_guest else _member(chance)
        yield from _sit(
            show, chance, number, viewer, (source, placement, campaign), after_s=chance.random() * length * 0.95,
            stays_s=None, is_guest=is_guest, clicks=chance.random() < CLICKS,
        )  # fmt: skip


def _member(chance: Random) -> UUID:
    return demo_id("account", f"fan{chance.randint(2, 24)}")


def _sit(
    show: Show, chance: Random, number: object, viewer: UUID, came: tuple[Source, str, str | None], *,
    after_s: float, stays_s: float | None, is_guest: bool, clicks: bool,
) -> Iterator[tuple[str, dict[str, Any]]]:  # fmt: skip
    """One visit to a show: comes, watches, does what such people do, leaves."""
    manners = calibration.stay(chance)
    source, placement, campaign = came
    begins = show.began_at + timedelta(seconds=after_s)
    ends = min(begins + timedelta(seconds=stays_s or manners.seconds), show.ended_at)
    visit = demo_id("past visit", show.show_id, number)
    who: dict[str, Any] = {
        "viewer_id": viewer.bytes, "visit_id": visit.bytes, "source": source.value, "is_fan": False, "show_id": show.show_id.bytes,
    }  # fmt: skip
    seller = AccountId(demo_id("account", SELLER.handle))
    at = _within(begins, ends, chance)
    yield "visit", _row("visit", visit, begins, who) | {
        "placement": placement, "campaign": campaign, "shop_id": SHOP.bytes, "streamer_id": seller.bytes, "is_guest": is_guest,
        "connection_id": visit.bytes,
    }  # fmt: skip
    yield "watch", _row("watch", visit, ends, who) | {"since_us": _us(begins), "connection_id": visit.bytes}
    yield "leave", _row("leave", visit, ends, who) | {
        "watched_ms": (ends - begins) // timedelta(milliseconds=1), "connection_id": visit.bytes,
    }  # fmt: skip
    if manners.comments:
        yield "chat", _row("chat", visit, at, who) | {"length": chance.randint(2, 24)}
    if manners.forwards:
        yield "share", _row("share", visit, at, who) | {"placement": "link"}
    if chance.random() < LIKES:
        yield "like", _row("like", visit, at, who) | {"count": chance.randint(1, 9)}
    if clicks:
        goods = chance.choice(SELLER.goods)
        product = demo_id("product", goods.code)
        yield "click", _row("click", visit, at, who) | {"product_id": product.bytes, "shop_id": SHOP.bytes}


def _shelf(begins_us: int, chance: Random, *, growth: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """A day's visitors of both shops' products."""
    for number in range(round(SHELF_A_DAY * growth * chance.uniform(0.7, 1.3))):
        persona = chance.choice(PERSONAS)
        shop_id = ShopId(demo_id("shop", persona.handle))
        goods = chance.choice(persona.goods)
        product = demo_id("product", goods.code)
        is_guest = chance.random() < 0.8
        viewer = demo_id("past viewer", chance.randrange(6 * AUDIENCE)) if is_guest else _member(chance)
        second = SHELF_HOUR * 3600 + chance.randrange(3000)
        at = datetime.fromtimestamp(begins_us / 1_000_000, UTC) + timedelta(seconds=second)
        visit = demo_id("shelf visit", begins_us, number)
        who: dict[str, Any] = {"viewer_id": viewer.bytes, "visit_id": visit.bytes, "source": Source.shelf.value, "is_fan": False}
        yield "visit", _row("visit", visit, at, who) | {
            "placement": "shelf", "shop_id": shop_id.bytes, "is_guest": is_guest, "connection_id": visit.bytes,
        }  # fmt: skip
        if chance.random() < SEARCHES:
            yield "search", _row("search", visit, at + timedelta(seconds=5), who) | {"hits": chance.randint(1, 12)}
        look = at + timedelta(seconds=10)
        yield "click", _row("click", visit, look, who) | {"product_id": product.bytes, "shop_id": shop_id.bytes}
        if chance.random() < CARTS:
            yield "cart", _row("cart", visit, look + timedelta(seconds=20), who) | {
                "product_id": product.bytes, "sku_id": demo_id("sku", goods.code, 1).bytes, "shop_id": shop_id.bytes, "quantity": 1,
            }  # fmt: skip


def _within(begins: datetime, ends: datetime, chance: Random) -> datetime:
    return begins + (ends - begins) * chance.random()


def _row(topic: str, visit: UUID, at: datetime, who: dict[str, Any]) -> dict[str, Any]:
    return {"id": demo_id("past", topic, visit).bytes, "at_us": _us(at), **who}


def _us(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
