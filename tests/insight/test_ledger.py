"""Real orders by the till, paid, called off, given back, charged back; then insight says what the ledger says, to the cent."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import ibis
import msgspec
import pytest

from lakes import ZONE, open_lake
from laotie import catalog, identity, live, orders
from laotie.base.db import Database
from laotie.base.entry import Source
from laotie.base.ids import RoomId, ShowId, new_id
from laotie.base.refusals import Refusal
from laotie.base.signer import Signer
from laotie.insight import Engine
from laotie.insight.definitions import Computed
from laotie.insight.identities import Level, decompose, read_rows
from laotie.insight.terms import GmvKind
from laotie.lake.facts import Drain
from laotie.orders.giving_back import refundable
from laotie.payments import sandbox_bank
from laotie.payments.sandbox_bank import DisputeReason
from market import Market, open_market
from vouchers import make, take

ORDERS = 30
RULES = [
    catalog.Rule(first=1, first_fee=1_000, further=1, further_fee=100),
    catalog.Rule(places=[catalog.Place("CN", "上海")], first=1, first_fee=300, further=1),
]


class Moved(NamedTuple):
    """Money that the ledger moved."""

    kind: GmvKind
    day: date
    shop_id: UUID
    show_id: UUID | None
    source: str
    amount: int


@pytest.fixture
async def market(db: Database, signer: Signer) -> AsyncIterator[Market]:
    async with open_market(db, signer) as opened:
        yield opened


@pytest.mark.parametrize("seed", [6, *(pytest.param(seed, marks=pytest.mark.prove) for seed in range(100, 120))])
async def test_placed_paid_and_net_are_the_ledgers_by_show_shop_day_and_source(
    market: Market, tmp_path: Path, seed: int
) -> None:
    noon = datetime.combine(market.db.clock.now().astimezone(ZoneInfo(ZONE)).date(), time(12), ZoneInfo(ZONE)) + timedelta(days=1)
    market.db.clock.advance(seconds=(noon - market.db.clock.now()).total_seconds())
    await _live(market, Random(seed))
    lake = open_lake(tmp_path)
    while await Drain(market.db, lake).turn():
        continue
    ledger = await _read_ledger(market.db)
    with Engine(lake, memory_mb=512, threads=1) as engine:
        desk = _Desk(engine)
        for kind in GmvKind:
            moved = [one for one in ledger if one.kind is kind]
            assert len({one.day for one in moved}) > 2 and len({one.show_id for one in moved}) == 3
            assert desk.ask(Level.platform, kind) == {(): sum(one.amount for one in moved)}
            assert desk.ask(Level.platform, kind, "source") == _by(moved, "source")
            assert desk.ask(Level.show, kind, "show_id", "source") == _by(moved, "show_id", "source")
            assert desk.ask(Level.shop, kind, "shop_id", "source") == _by(moved, "shop_id", "source")
            assert desk.ask(Level.platform, kind, "day", "source") == _by(moved, "day", "source")


class _Desk:
    """Asks of the lake what the identities say."""

    def __init__(self, engine: Engine) -> None:
        self.engine, computed = engine, Computed(engine)
        self.viewers, self.orders = (ibis.memtable(engine.run(computed[name])) for name in ("viewer_days", "order_days"))

    def ask(self, level: Level, kind: GmvKind, *by: str) -> dict[tuple[object, ...], int]:
        rows = read_rows(self.engine.run(decompose(self.viewers, self.orders, level=level, kind=kind, by=by)))
        assert all(row.factors().product() == row.gmv for row in rows)
        return {tuple(getattr(row, name) for name in by): row.gmv for row in rows}


def _by(moved: list[Moved], *names: str) -> dict[tuple[object, ...], int]:
    found: Counter[tuple[object, ...]] = Counter()
    for one in moved:
        found[tuple(getattr(one, name) for name in names)] += one.amount
    return dict(found)


async def _read_ledger(db: Database) -> list[Moved]:
    """What went between the providers and what is held for shops: holds, what was posted of them, what was taken back out.

    A hold that is voided for a new fee is replaced; one that is voided with its order was placed all the same.
    """
    async with db.read() as tx:
        rows = await tx.tuples(
            """
            SELECT moved.kind, (t.made_at AT TIME ZONE %(zone)s)::date, o.shop_id, o.show_id, o.source, moved.amount
            FROM ledger.transfer AS t
            JOIN ledger.account AS s ON s.id IN (t.debit_id, t.credit_id) AND s.kind = 'shop_held'
            JOIN ledger.account AS p ON p.id IN (t.debit_id, t.credit_id) AND p.kind = 'provider'
            JOIN orders."order" AS o ON coalesce(o.purchase_id, o.id) = t.subject_id AND o.shop_id = s.owner_id
            CROSS JOIN LATERAL (VALUES
                ('placed', CASE WHEN t.phase = 'pending' THEN t.amount
                                WHEN t.phase = 'voided' AND t.reason = 'shipping' THEN -t.amount END),
                ('paid', CASE WHEN t.phase = 'posted' AND t.settles_id IS NOT NULL THEN t.amount END),
                ('net', CASE WHEN t.phase = 'posted' THEN CASE s.id WHEN t.credit_id THEN t.amount ELSE -t.amount END END)
            ) AS moved (kind, amount)
            WHERE moved.amount IS NOT NULL
            """,
            zone=ZONE,
        )
    return [Moved(GmvKind(row[0]), *row[1:]) for row in rows]


async def _live(market: Market, random: Random) -> None:
    """Some days of buying in two shops, two shows and on the shelf."""
    other = await _open_other(market)
    for one in (market, other):
        draft = catalog.ShippingDraft(name="usual", measure=catalog.Measure.pieces, rules=RULES, is_default=True)
        async with market.db.tx() as tx:
            await catalog.put_template(tx, one.owner, one.shop_id, catalog.ShippingTemplateId(new_id()), draft)
    in_shows = {one.show_id: [await one.add_item(price=price, stock=99) for price in (3_333, 12_000)] for one in (market, other)}
    on_shelf = [await market.add_to_shelf(one.owner, one.shop_id, price=2_501, stock=99) for one in (market, other)]
    said = {"per_person": 9, "ends_at": market.db.clock.now() + timedelta(days=90)}
    coupons = [await make(market, off_amount=700, **said), await make(market, shop_id=None, off_amount=1_000, **said)]
    buyers = [await market.buyer() for _ in range(5)]
    for _ in range(ORDERS):
        buyer = random.choice(buyers)
        claims = tuple([await take(market, buyer, random.choice(coupons).id)] if random.random() < 0.4 else [])
        fields: dict[str, Any] = {
            "source": random.choice(list(Source)), "is_fan": random.random() < 0.5, "coupons": claims, "total_amount": None,
        }  # fmt: skip
        if random.random() < 0.3:
            ask = market.ask(buyer, show_id=None, lines=tuple(random.sample(on_shelf, random.choice([1, 2]))), **fields)
        else:
            at = random.choice([market, other])
            ask = at.ask(buyer, random.choice(in_shows[at.show_id]), quantity=random.randint(1, 3), **fields)
        try:
            placed = await market.till.place(ask)
        except Refusal as refusal:  # a coupon of one shop for what the other sells
            assert claims, refusal
            continue
        for _ in range(random.randint(1, 2)):
            await _send_to(market, buyer, placed.order_ids, random.choice(["上海", "山东"]))
        market.db.clock.advance(seconds=random.randrange(600))
        await _fare(market, buyer, placed, random)
        if random.random() < 0.3:
            market.db.clock.advance(seconds=86_400 * random.choice([1, 1, 2]))
        await market.settle()


async def _fare(market: Market, buyer: identity.Actor, placed: orders.Placed, random: Random) -> None:
    """What becomes of a purchase: nothing, called off, or paid; then something may go back, or all of it."""
    fate = random.random()
    if fate < 0.1:
        return
    if fate < 0.2:
        await market.cancel(buyer, placed.id)
        return
    payment_id = await market.pay(buyer, placed.id)
    if random.random() < 0.3:
        market.db.clock.advance(seconds=86_400)
    for order_id in placed.order_ids:
        if random.random() < 0.4:
            line = (await market.order(buyer, order_id)).lines[0]
            async with market.db.tx() as tx:
                back = [orders.Back(1, 1, refundable(line, 1))]
                await orders.give_back(tx, order_id, refund_id=new_id(), lines=back, reason="one", restock=[(1, 1)])
            await market.settle()
    if random.random() < 0.3:
        await _dispute(market, buyer, payment_id, random)


async def _dispute(market: Market, buyer: identity.Actor, payment_id: UUID, random: Random) -> None:
    dispute_id = new_id()
    try:
        async with market.db.tx() as tx:
            await sandbox_bank.open_dispute(
                tx, buyer.signed_in(), payment_id, dispute_id, reason=DisputeReason.not_received, amount=random.choice([None, 200]),  # type: ignore[arg-type]
            )  # fmt: skip
    except sandbox_bank.NothingToDispute:
        return
    await market.settle()
    market.db.clock.advance(seconds=86_400 * random.choice([0, 1]))
    if random.random() < 0.7:
        async with market.db.tx() as tx:
            await sandbox_bank.decide_dispute(tx, buyer.signed_in(), dispute_id, won=random.random() < 0.5)
        await market.settle()


async def _open_other(market: Market) -> Market:
    """A second shop and its own show, in the same house."""
    owner, shop_id = await market.open_shop()
    async with market.db.tx() as tx:
        await live.open_room(tx, owner, RoomId(new_id()), shop_id=shop_id, title="山里")
        show = await live.plan_show(tx, owner, live.ShowDraft(id=ShowId(new_id()), title="明晚"))
        await live.start_show(tx, owner, show.id)
    return replace(market, owner=owner, shop_id=shop_id, show_id=show.id)


async def _send_to(market: Market, buyer: identity.Actor, order_ids: tuple[UUID, ...], region: str) -> None:
    address = msgspec.structs.replace(market.addresses[buyer.signed_in()], region=region)
    for order_id in sorted(order_ids):
        async with market.db.tx() as tx:
            await orders.attach_address(tx, buyer, order_id, address)  # type: ignore[arg-type]
