"""The demonstration's money: two months of sales that were settled and paid out before anybody came.

One persona's shop sold in a show a week, to those who came (`past_customers`), at rates that were agreed; what it sold was
settled, paid out, partly taken back by a buyer's bank when the money had left (so it owed for some days), and earned again. A
batch of payouts waits for the second operator, the last orders but one wait for their day, and yesterday's for the packer.
Everything goes through the rooms' front doors, by a clock that begins in the past and moves on; it is done before the server
starts, so that nobody else tells the time. A show's orders are placed by the till's batch, and dealt with a transaction a step.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime, time, timedelta
from functools import partial
from itertools import cycle
from random import Random
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import uvicorn

from laotie import fans, identity, live, orders, payments, settlement
from laotie.base import jobs
from laotie.base.bus import LocalBus
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.entry import Source
from laotie.base.ids import AccountId, OrderId, PaymentId, ShopId, ShowId, SkuId, VisitId, lowest_id_at
from laotie.base.outbox import Relay
from laotie.base.refusals import Refusal
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.demo.goods import FAN_NAMES, PERSONAS
from laotie.demo.market import OPERATOR, PASSWORD, SECOND_OPERATOR, actor_of, demo_id
from laotie.demo.past_customers import CUSTOMERS, PURCHASES, SHOWS_HERE, handle_of
from laotie.identity import Attempts, Role
from laotie.lake import Lake
from laotie.lake.facts import Drain
from laotie.orders import delivery, packing, parcels, tracking
from laotie.orders.carriers import BY_CODE
from laotie.payments import sandbox, sandbox_bank
from laotie.settlement import AccountForm, BankAccountId, BatchId, NewBankAccount, Owner, PayoutState, RateKind
from laotie.settlement.rates import NewRate, RateId, set_rate
from laotie.worker.loops import all_reactions

AGO = timedelta(days=64)
SELLER = PERSONAS[0]
SHOP = ShopId(demo_id("shop", SELLER.handle))
RATES = ((RateKind.platform, 500), (RateKind.payment, 60), (RateKind.streamer, 1_500))
PLACE = {"country": "CN", "region": "辽宁", "city": "大连", "district": "中山区", "postcode": "116001"}
CARRIER = "sf"
NOTE = "演示数据 · demo data"
NOBODY_SIGNS_IN = "!"
"""No password fits this."""


class Bought(NamedTuple):
    """Which customer bought how many pieces of which of the goods, and where from they had come."""

    customer: int
    goods: int
    pieces: int
    source: Source = Source.private
    placement: str = "following"
    campaign: str | None = None

    @property
    def handle(self) -> str:
        """The customer's account."""
        return handle_of(self.customer)


CROWD: tuple[tuple[Source, str, str | None, float], ...] = (
    (Source.public_organic, "discover", None, 0.46),
    (Source.private, "following", None, 0.17),
    (Source.public_paid, "boost", "spring-tide", 0.09),
    (Source.slot, "top", None, 0.12),
    (Source.share, "link", None, 0.09),
    (Source.direct, "direct", None, 0.07),
)
"""Where viewers came from: source, placement, campaign and their share. Who bought before comes by their own list."""


def _imagine_sales() -> dict[int, tuple[Bought, ...]]:
    """What was bought in each show, by its day back from today: who is there for the first time has come from anywhere."""
    chance = Random("past sales")  # noqa: S311  (a simulation, repeatable)
    shows: dict[int, list[Bought]] = {ago: [] for ago in SHOWS_HERE}
    for purchase in PURCHASES:
        if not purchase.is_here:
            continue
        source, placement, campaign, _ = chance.choices(CROWD, [share for *_, share in CROWD])[0]
        came = (source, placement, campaign) if purchase.is_first else (Source.private, "following", None)
        goods, pieces = chance.choice((0, 0, 2, 3, 4, 4, 5, 6)), chance.choice((1, 1, 2, 2, 3))
        shows[purchase.ago].append(Bought(purchase.customer, goods, pieces, *came))
    return {ago: tuple(bought) for ago, bought in shows.items()}


PAST_SHOWS = _imagine_sales()
FIRST, SECOND, *LATER, LAST = PAST_SHOWS
SHOW_AT = time(20)
"""In the books' zone."""
NO_FOLLOWERS = {1}
"""The viewer whom people sign in as follows nobody yet."""
BEFORE_SALES, BETWEEN_SALES, AFTER_SALES = 45 * 60, 100, 20
"""Seconds of a show: what is talked about first, and from purchases to purchases (payments do not wait for long)."""
AT_ONCE = 8
"""Purchases that reach the till together."""


def evening_of(ago: int, today: date, zone: ZoneInfo) -> datetime:
    """When the show of a day begins, counted back from today."""
    return datetime.combine(today - timedelta(days=ago), SHOW_AT, zone)


def show_id_of(ago: int, today: date, zone: ZoneInfo) -> ShowId:
    """The show's id, which sorts by its evening."""
    return ShowId(UUID(int=lowest_id_at(evening_of(ago, today, zone)).int | demo_id("past show", ago).int & ((1 << 62) - 1)))


class PastClock(Clock):
    """Begins in the past."""

    def __init__(self, at: datetime) -> None:
        super().__init__()
        self._offset = at - super().now()
        self._offset_us = self._offset // timedelta(microseconds=1)

    @property
    def to_present_s(self) -> float:
        """How far the present is."""
        return -self._offset.total_seconds()


async def tell_past(url: str, settings: Settings) -> date | None:
    """Let the two months happen; returns the day that is today to them. A run that was cut short is not taken up again."""
    try:
        listening = socket.create_server((settings.host, settings.port))
    except OSError:
        return None  # somebody has the port, as the server is about to say
    zone = ZoneInfo(settings.books_zone)
    today = Clock().now().astimezone(zone).date()
    clock = PastClock(evening_of(AGO.days, today, zone))
    db = await Database.open(url, clock=clock, pool_max=4)
    try:
        async with db.read() as tx:
            if await settlement.accounts.list_accounts(tx, actor_of(SELLER.handle), Owner(SHOP, True)):
                return None
        async with _open_past(db, clock, settings, listening, today) as past:
            await _live_through(past)
        await Drain(db, Lake.of(settings)).empty()  # facts of two months ago that wait are what the watch calls an incident
    finally:
        listening.close()
        await db.close()
    return today


async def _live_through(past: "Past") -> None:
    await past.agree()
    first = await past.sell(FIRST)
    await past.sell(SECOND)
    await past.go_to(ago=SECOND - 5)  # the first show was delivered, confirmed, and settled a week later
    await past.pay_out("first", to_the_end=True)
    await past.go_to(ago=SECOND - 6)
    await past.dispute(first[1], PAST_SHOWS[FIRST][1].handle)  # the money has left: shop and streamer owe
    for ago in LATER:
        await past.sell(ago)
    await past.go_to(ago=LAST + 1)
    await past.pay_out("second", to_the_end=False)
    await past.sell(LAST, is_sent=False)
    await past.go(days=past.clock.to_present_s / 86_400)


class Past:
    """A house in which time passes by order."""

    def __init__(self, db: Database, clock: PastClock, settings: Settings, signer: Signer, today: date) -> None:
        self.db, self.clock, self._settings, self._signer = db, clock, settings, signer
        self._today, self._zone = today, ZoneInfo(settings.books_zone)
        bus = LocalBus()
        self.till = orders.Till(db, payment_timeout_s=settings.payment_timeout_s, batch_max=64, waiting_max=64)
        self._relay = Relay(db, bus, all_reactions())
        self._jobs = jobs.build_app(db.url, jobs.Context(db=db, settings=settings, signer=signer, bus=bus))
        self._terms = delivery.terms_of(settings)
        self._rules = settlement.rules_of(settings)
        self._seller = actor_of(SELLER.handle)
        self._operators = [
            msgspec.structs.replace(actor_of(handle), roles=frozenset({Role.operator}))
            for handle in (OPERATOR, SECOND_OPERATOR)
        ]

    async def go(self, *, days: float) -> None:
        """Time passes, and what is due happens."""
        self.clock.advance(seconds=days * 86_400)
        await self.rest()

    async def go_to(self, *, ago: int) -> None:
        """It becomes the evening of a day, counted back from today."""
        await self.go(days=max(timedelta(), evening_of(ago, self._today, self._zone) - self.clock.now()) / timedelta(days=1))

    async def rest(self) -> None:
        """News is heard, orders move on, what is due is settled, until nothing moves any more."""
        turns: tuple[Callable[[], Awaitable[int]], ...] = (
            self._relay.drain,
            partial(orders.work_agenda, self.db),
            partial(orders.work_deliveries, self.db, self._terms),
            partial(settlement.work_looks, self.db, self._rules),
            partial(settlement.settle_due, self.db, self._rules),
        )
        still = 0
        for turn in cycle(turns):
            still = 0 if await turn() else still + 1
            if still == len(turns):
                return

    async def agree(self) -> None:
        """Customers come to be; what the platform and payments take and the streamer gets, and where the money goes."""
        streamer_id = self._seller.signed_in()
        async with self.db.tx() as tx:
            for customer in range(len(FAN_NAMES) + 1, CUSTOMERS + 1):
                account_id = AccountId(demo_id("account", f"customer{customer}"))
                await identity.create_account(
                    tx, account_id, handle=f"customer{customer}", password_hash=NOBODY_SIGNS_IN, name=f"演示顾客 {customer}"
                )
        async with self.db.tx() as tx:
            for kind, bps in RATES:
                shop_id = SHOP if kind is RateKind.streamer else None
                actor = self._seller if shop_id else self._operators[0]
                rate = NewRate(id=RateId(demo_id("rate", kind)), kind=kind, shop_id=shop_id, bps=bps, note=NOTE)
                await set_rate(tx, actor, rate)
        for owner, number in ((Owner(SHOP, True), "6222021234567890128"), (Owner(streamer_id, False), "6217001234567890122")):
            account = NewBankAccount(
                id=BankAccountId(demo_id("bank account", owner.id)),
                form=AccountForm.card,
                currency="CNY",
                holder="纪海生",
                number=number,
                bank="中国工商银行",
                branch="大连分行",
            )
            await settlement.accounts.change_account(
                self.db,
                self._seller,
                owner,
                account,
                password=PASSWORD,
                attempts=Attempts(registrations_per_hour=1),
                signer=self._signer,
                settings=self._settings,
            )

    async def sell(self, ago: int, *, is_sent: bool = True) -> list[PaymentId]:
        """A show: each of these customers buys so many pieces of one of its goods; all of it is paid, sent, and received."""
        await self.go_to(ago=ago)
        show_id, sold = show_id_of(ago, self._today, self._zone), PAST_SHOWS[ago]
        title = f"{SELLER.room} · 第 {list(PAST_SHOWS).index(ago) + 1} 场（往期 · 演示）"
        async with self.db.tx() as tx:
            await live.plan_show(tx, self._seller, live.ShowDraft(id=show_id, title=title))
            await live.start_show(tx, self._seller, show_id)
        self.clock.advance(seconds=BEFORE_SALES)
        async with self.db.tx() as tx:
            for bought in sold:
                if bought.source is Source.private and bought.customer not in NO_FOLLOWERS:
                    await fans.follow(tx, actor_of(bought.handle).viewer_id, self._seller.signed_in())
        placed: list[tuple[identity.Actor, OrderId, PaymentId]] = []
        for first in range(0, len(sold), AT_ONCE):
            some = list(enumerate(sold))[first : first + AT_ONCE]
            buyers = [actor_of(bought.handle) for _, bought in some]
            made = await asyncio.gather(*(self.till.place(_ask(show_id, number, bought)) for number, bought in some))
            here = [(buyer, one.id, PaymentId(demo_id("past payment", one.id))) for buyer, one in zip(buyers, made, strict=True)]
            await self._pay(here)
            placed += here
            self.clock.advance(seconds=BETWEEN_SALES)
        self.clock.advance(seconds=AFTER_SALES)
        async with self.db.tx() as tx:
            await live.end_show(tx, self._seller, show_id)
        await self._run_jobs()
        await self.rest()
        if is_sent:
            await self._send_and_receive(placed)
        return [payment_id for *_, payment_id in placed]

    async def _send_and_receive(self, placed: list[tuple[identity.Actor, OrderId, PaymentId]]) -> None:
        await self.go(days=1)
        await self._send([order_id for _, order_id, _ in placed])
        await self.go(days=2)
        async with self.db.tx() as tx:
            for buyer, order_id, _ in sorted(placed, key=lambda one: one[1]):
                await delivery.confirm_receipt(tx, buyer, order_id)
        await self.rest()

    async def _pay(self, placed: list[tuple[identity.Actor, OrderId, PaymentId]]) -> None:
        """Everybody says where it goes to, and pays."""
        async with self.db.tx() as tx:
            for buyer, order_id, payment_id in sorted(placed, key=lambda one: one[1]):
                address = identity.Address(
                    id=identity.AddressId(demo_id("past address", buyer.viewer_id)),
                    name="演示买家",
                    phone="13800000000",
                    street="人民路 1 号",
                    is_default=True,
                    **PLACE,
                )
                await orders.attach_address(tx, buyer, order_id, address)
                await orders.start_payment(tx, buyer, self._settings, order_id, payment_id, provider="sandbox")
        for *_, payment_id in placed:
            await payments.authorise(self.db, self._settings, payment_id)
        async with self.db.tx() as tx:
            for buyer, _, payment_id in placed:
                await sandbox.decide(
                    tx,
                    self._settings,
                    buyer.signed_in(),
                    payment_id,
                    outcome=sandbox.Outcome.approve,
                    trouble=sandbox.Trouble.none,
                )

    async def _send(self, order_ids: list[OrderId]) -> None:
        """A parcel each, and at once the carrier's word that it arrived."""
        sent = [
            packing.Consignment(
                id=packing.ParcelId(demo_id("past parcel", order_id)),
                order_id=order_id,
                carrier=CARRIER,
                number=f"SF{order_id.int % 10**13:013d}",
                pieces=None,
            )
            for order_id in sorted(order_ids)
        ]
        async with self.db.tx() as tx:
            for answer in await parcels.ship_many(tx, self._terms, SHOP, sent):
                assert not isinstance(answer, Refusal), answer
        async with self.db.tx() as tx:
            news = [
                tracking.News(number=parcel.number, key="arrived", kind=parcels.TrackingKind.delivered, at=tx.now, place="大连")
                for parcel in sent
            ]
            heard = await tracking.hear_many(tx, self._terms, BY_CODE[CARRIER], news, source="shop")
            assert set(heard) == {tracking.Verdict.applied}, heard

    async def pay_out(self, name: str, *, to_the_end: bool) -> None:
        """One operator drafts; a second one approves, the first sends, and the bank says that it arrived."""
        one, two = self._operators
        batch_id = BatchId(demo_id("payouts", name))
        await settlement.drafting.draft_batch(self.db, one, self._settings, batch_id, channel="cn", currency="CNY")
        if not to_the_end:
            return
        async with self.db.tx() as tx:
            await settlement.payouts.approve_batch(tx, two, batch_id)
        await settlement.payouts.send_batch(self.db, one, self._settings, batch_id)
        async with self.db.read() as tx:
            sent = await settlement.batches.list_in_batch(tx, one, batch_id, limit=10)
        for payout in sent:
            async with self.db.tx() as tx:
                await settlement.payouts.note_result(tx, one, self._settings, payout.id, PayoutState.paid)

    async def dispute(self, payment_id: PaymentId, handle: str) -> None:
        """A buyer's bank takes all of it back; nobody answers, so it stays so."""
        async with self.db.tx() as tx:
            await sandbox_bank.open_dispute(
                tx,
                actor_of(handle).signed_in(),
                payment_id,
                demo_id("dispute", payment_id),
                reason=sandbox_bank.DisputeReason.not_received,
            )
        await self._run_jobs()
        await self.rest()

    async def _run_jobs(self) -> None:
        """The jobs there are: the sandbox tells, over HTTP, what was decided."""
        async with self._jobs.open_async():
            await self._jobs.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False, concurrency=4)


def _ask(show_id: ShowId, number: int, bought: Bought) -> orders.Ask:
    """The purchase; `past_viewers` tells of the visit that it names."""
    goods = SELLER.goods[bought.goods % len(SELLER.goods)]
    return orders.Ask(
        buyer_id=actor_of(bought.handle).signed_in(),
        client_id=demo_id("past order", show_id, bought.handle),
        show_id=show_id,
        lines=(orders.AskLine(SkuId(demo_id("sku", goods.code, 1)), None, bought.pieces, goods.prices[0]),),
        source=bought.source,
        placement=bought.placement,
        campaign=bought.campaign,
        visit_id=VisitId(demo_id("past visit", show_id, f"buyer {number}")),
        note=NOTE,
    )


@asynccontextmanager
async def _open_past(
    db: Database, clock: PastClock, settings: Settings, listening: socket.socket, today: date
) -> AsyncIterator[Past]:
    """With somebody at the door who hears the sandbox's messages, and nothing else."""

    async def ear(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/webhooks/sandbox":
            await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        await payments.hear(db, settings, provider="sandbox", headers=headers, body=body)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(
        ear,
        log_config=None,
        lifespan="off",
        ws="none",
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve(sockets=[listening]))
    past = Past(db, clock, settings, Signer(settings.signing_keys(), clock), today)
    try:
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        yield past
    finally:
        await past.till.close()
        server.should_exit = True
        await serving
