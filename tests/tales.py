"""A market made up at random, told to a lake as the product would, with a ledger of its own beside it.

The ledger is a plain list, kept while the story is made up: it shares no line with what reads the lake.
"""

from collections import Counter
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from lakes import DAY, ZONE, Tale, named
from laotie.base.entry import Source
from laotie.insight.definitions import MEASURES
from laotie.insight.engine import empty
from laotie.insight.model import ROLLUPS
from laotie.insight.terms import GmvKind
from laotie.lake import TOPICS

SOURCES = tuple(Source)
DAY_S = 86_400
PLACES = ("product", f"replay:{named('replay')}", f"clip:{named('clip')}", f"video:{named('video')}", "search")
"""Where people come to beside live rooms, in turn."""
HOURS = (0, 23)
"""When things happen: a file an hour is enough to try, and midnight is near."""


class Told:
    """A tale as tables, without files: topics by name, and roll-ups computed of them."""

    def __init__(self, tale: Tale) -> None:
        self.zone = ZoneInfo(ZONE)
        self._tale = tale

    def __getitem__(self, name: str) -> ir.Table:
        if name in ROLLUPS:
            return MEASURES[name].compute(self)
        rows = pa.Table.from_pylist(self._tale.rows[name], schema=TOPICS[name].schema)
        days = [datetime.fromtimestamp(at / 1_000_000, self.zone).date() for at in rows["at_us"].to_pylist()]
        return ibis.memtable(rows.append_column("day", pa.array(days, pa.date32())).cast(empty(name).schema))


class Entry(NamedTuple):
    """Money that moved, as the ledger has it."""

    day: date
    kind: GmvKind
    show: str | None
    streamer: str | None
    shop: str
    source: str
    currency: str
    amount: int


class Market(NamedTuple):
    """What happened, and what moved."""

    tale: Tale
    ledger: list[Entry]
    shops: dict[str, str]
    """Their currencies."""

    def total(self, kind: GmvKind, **of: object) -> Counter[str]:
        """The ledger's total by currency, of a show, streamer, shop, day."""
        found: Counter[str] = Counter()
        for entry in self.ledger:
            if entry.kind is kind and all(getattr(entry, name) == value for name, value in of.items()):
                found[entry.currency] += entry.amount
        return found


def make_up(random: Random, *, days: int = 4, viewers: int = 12, visits: int = 40, orders: int = 25) -> Market:
    """A market of two shops, of two currencies, with three streamers and five shows."""
    tale = Tale()
    shops = {"shop a": "CNY", "shop b": random.choice(["CNY", "EUR"])}
    streamers = {"ann": "shop a", "bo": "shop a", "cy": "shop b"}
    shows = {f"show {no}": random.choice(list(streamers)) for no in range(5)}
    for title, streamer in shows.items():
        begins = _moment(random)
        for ended in (None, begins + 7200):
            tale.add(
                "show", begins if ended is None else ended, show_id=title, shop_id=streamers[streamer], streamer_id=streamer,
                title=title, started_us=tale.at(begins), ended_us=None if ended is None else tale.at(ended),
            )  # fmt: skip
    accounts = {f"guest {no}": f"viewer {no}" for no in range(viewers) if no % 3 == 0}
    for guest, account in accounts.items():
        tale.add("person", _moment(random), guest_id=guest, account_id=account)
    people = [*accounts, *(f"viewer {no}" for no in range(viewers))]
    came: list[tuple[str, str, str, bool, str | None]] = []
    for no in range(visits):
        show = random.choice([None, *shows])
        visit = (f"visit {no}", random.choice(people), random.choice(SOURCES), random.random() < 0.4, show)
        came.append(visit)
        _live(tale, random, visit, streamers, shows, day=DAY + timedelta(days=random.randrange(days)))
    ledger: list[Entry] = []
    for no in range(orders):
        _buy(tale, random, no, came, accounts, streamers, shows, shops, ledger, days)
    return Market(tale, ledger, shops)


def _moment(random: Random) -> int:
    return random.choice(HOURS) * 3600 + random.randrange(2000)


def _live(
    tale: Tale, random: Random, visit: tuple[str, str, str, bool, str | None], streamers: dict[str, str],
    shows: dict[str, str], *, day: date,
) -> None:  # fmt: skip
    name, viewer, source, is_fan, show = visit
    at = _moment(random)
    streamer = shows[show] if show else None
    shop = streamers[streamer] if streamer else random.choice([None, *streamers.values()])
    usual: dict[str, Any] = {"day": day, "source": source, "is_fan": is_fan, "show_id": show}
    placement = _placement(name, show)
    tale.visit(
        at, viewer, name, shop_id=shop, streamer_id=streamer, campaign=random.choice([None, "double 11"]), placement=placement, **usual
    )
    who: dict[str, Any] = {"viewer_id": viewer, "visit_id": name, **usual}
    if show:
        for _ in range(random.randrange(3)):
            since = at + random.randrange(600)
            tale.watch(since, since + random.randrange(1, 900), viewer, name, connection_id=f"{name} {random.random()}", **usual)
        tale.add("like", at + 5, count=random.randrange(1, 9), **who)
        tale.add("chat", at + 6, length=3, **who)
        tale.add("leave", at + 900, watched_ms=5, connection_id=name, **who)
    elif ":" in placement:
        for since in range(3, 40, 9):
            tale.add(
                "play", at + since + 9, since_us=tale.at(at + since, day), shop_id=shop, placement=placement, connection_id=name, **who
            )
    if random.random() < 0.5:
        tale.add("click", at + 9, product_id=f"product {random.randrange(4)}", shop_id=shop, **who)
    if random.random() < 0.3:
        tale.add("cart", at + 10, product_id="product 1", sku_id="sku 1", shop_id=shop or "shop a", quantity=1, **who)
    if random.random() < 0.2:
        tale.add("search", at + 1, hits=random.randrange(5), **who)
        tale.add("share", at + 11, placement="room", **who)
    if streamer and random.random() < 0.4:
        tale.add("follow", at + 12, streamer_id=streamer, begins=random.random() < 0.8, placement="room", **who)


def _placement(visit: str, show: str | None) -> str:
    """Where this visit was."""
    return "direct" if show else PLACES[int(visit.split()[1]) % len(PLACES)]


def _buy(
    tale: Tale, random: Random, no: int, came: list[tuple[str, str, str, bool, str | None]], accounts: dict[str, str],
    streamers: dict[str, str], shows: dict[str, str], shops: dict[str, str], ledger: list[Entry], days: int,
) -> None:  # fmt: skip
    visit, viewer, source, is_fan, show = random.choice(came) if came else ("", "somebody", "direct", False, None)
    if random.random() < 0.2:  # imported, or the visit is not known
        visit, source, show = "", "direct", None
    buyer = accounts.get(viewer, viewer)
    streamer = shows[show] if show else None
    shop = streamers[streamer] if streamer else random.choice(list(shops))
    now = random.randrange(days) * DAY_S + _moment(random)

    placement = _placement(visit, show) if visit else "direct"

    def move(kind: str, goods: int, *, off: int = 0, subsidy: int = 0, shipping: int = 0) -> int:
        nonlocal now
        day = DAY + timedelta(days=now // DAY_S)
        amount = goods - off - subsidy + shipping
        tale.money(
            now % DAY_S, kind, f"order {no}", buyer, amount, day=day, shop_id=shop, show_id=show, streamer_id=streamer,
            visit_id=visit or None, source=source, is_fan=is_fan, placement=placement, currency=shops[shop], goods_amount=goods,
            shop_discount_amount=off, platform_discount_amount=subsidy, shipping_amount=shipping, tax_amount=goods // 9,
            campaign=random.choice([None, "double 11"]) if kind == "placed" else None,
        )  # fmt: skip
        for counted, kinds in MOVES.items():
            if kind in kinds:
                ledger.append(Entry(day, counted, show, streamer, shop, source, shops[shop], amount))
        now = (now // DAY_S + random.randrange(2)) * DAY_S + max(now % DAY_S, _moment(random))
        return amount

    goods = random.randrange(1, 100_000)
    parts = {
        "off": random.choice([0, goods // 5]), "subsidy": random.choice([0, goods // 7]),
        "shipping": random.choice([0, 800]),
    }  # fmt: skip
    due = move("placed", goods, **parts)
    if random.random() < 0.2:
        due += move("repriced", 0, shipping=300)
        parts["shipping"] += 300
    if random.random() < 0.25:
        move("cancelled", -goods, off=-parts["off"], subsidy=-parts["subsidy"], shipping=-parts["shipping"])
        return
    if random.random() < 0.1:
        return
    assert move("paid", goods, **parts) == due
    while due > 0 and random.random() < 0.4:
        back = random.randrange(1, due + 1)
        due += move("refunded", -back)
    if due > 0 and random.random() < 0.3:
        move("reversed", -due)
        if random.random() < 0.5:
            move("restored", due)


MOVES = {
    GmvKind.placed: {"placed", "repriced"},
    GmvKind.paid: {"paid"},
    GmvKind.net: {"paid", "refunded", "reversed", "restored"},
}
"""What the ledger calls each of them, said here again on purpose."""
