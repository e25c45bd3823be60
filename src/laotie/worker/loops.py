"""The loops of one process, with one lifetime."""

import asyncio
import importlib
import importlib.util
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import date

from procrastinate import App
from psycopg import OperationalError

from laotie import (
    aftersales,
    audit,
    catalog,
    fans,
    identity,
    lake,
    ledger,
    live,
    messages,
    payments,
    settlement,
    traffic,
    trust,
    uploads,
    webhooks,
)
from laotie.base import jobs, metrics
from laotie.base.logs import log
from laotie.base.outbox import Reaction, Relay, Together, measure_backlog
from laotie.base.refusals import Unavailable
from laotie.base.settings import Settings
from laotie.fun import work_deadlines
from laotie.insight import Engine
from laotie.insight.rollups import KINDS, Rollups
from laotie.orders import delivery, fold_orders, sweep_unpaid, tracking, work_agenda, work_deliveries, work_teams
from laotie.settlement import statements
from laotie.worker.filling import fill

ROOMS_THAT_REACT = (
    "lake", "messages", "identity", "catalog", "live", "fans", "trust", "videos", "payments", "orders", "fun", "traffic",
    "aftersales", "search", "webhooks", "settlement",
)  # fmt: skip

SWEEP_EVERY_S = 1.0
AGENDA_EVERY_S = 1.0
AGENDA_WAKE_S = 0.05
FOLD_EVERY_S = 2.0
DELIVERIES_EVERY_S = 2.0
FUN_EVERY_S = 0.25
WAVES_EVERY_S = 0.5
TEAMS_EVERY_S = 1.0
MEASURE_EVERY_S = 5.0
REMIND_EVERY_S = 2.0
CASES_EVERY_S = 1.0
LOOKS_EVERY_S = 1.0
SETTLE_EVERY_S = 10.0
MONTH_ENDS_EVERY_S = 300.0
PAYOUTS_EVERY_S = 5.0
DEPOSITS_EVERY_S = 10.0
ASK_EVERY_S = 10.0
COVERS_EVERY_S = 20.0
WATCH_LOOK_S = 2.0
DRAIN_EVERY_S = 5.0
MERGE_EVERY_S = 60.0
FILL_EVERY_S = 600.0
ERASE_EVERY_S = 30.0
RETIRE_EVERY_S = 3_600.0
FORGET_EVERY_S = 600.0
JOBS_AT_ONCE = 4
RESCUE_EVERY_S = 15.0
SWEEP_FILES_EVERY_S = 300.0
RETRY_AFTER_S = 2.0
LAKE_RETRY_AFTER_S = 30.0
IN_LAKE = ("lake filling", "lake merging", "lake erasure", "lake retention", "roll-ups")
"""Loops that a store which is away does not let work. (The drain sees to it itself.)"""
STAND_BACK_S = 0.25
STAND_BACK_S_MAX = 5.0


def all_reactions() -> list[Reaction | Together]:
    """What every room does on hearing news, from `laotie/<room>/reactions.py`."""
    found: list[Reaction | Together] = []
    for room in ROOMS_THAT_REACT:
        name = f"laotie.{room}.reactions"
        if importlib.util.find_spec(name) is not None:
            found += importlib.import_module(name).REACTIONS
    return found


class Worker:
    """Relay, deadlines, fold and jobs; `start` returns at once, `stop` lets work in hand finish."""

    def __init__(self, context: jobs.Context, *, stand_back: Callable[[], bool] = lambda: False) -> None:
        """`stand_back` says that a sale is under way in this process, whose tail the folds would be."""
        self._context = context
        self._db = context.db
        self._stand_back = stand_back
        self.relay = Relay(context.db, context.bus, all_reactions(), stand_back=stand_back)
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    def start(self) -> None:
        """Begin all loops."""
        loops: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("relay", self.relay.run),
            ("sweep", lambda: self._every(SWEEP_EVERY_S, self._sweep)),
            ("agenda", self._work_agenda),
            ("fun", lambda: self._every(FUN_EVERY_S, lambda: work_deadlines(self._db))),
            ("order fold", lambda: self._every(FOLD_EVERY_S, self._fold_orders)),
            ("deliveries", lambda: self._every(DELIVERIES_EVERY_S, self._work_deliveries)),
            ("waves", self._end_waves),
            ("teams", lambda: self._every(TEAMS_EVERY_S, lambda: work_teams(self._db))),
            ("fold", lambda: self._every(FOLD_EVERY_S, self._fold)),
            ("reminders", lambda: self._every(REMIND_EVERY_S, self._remind)),
            ("forgetting", lambda: self._every(FORGET_EVERY_S, self._forget)),
            ("uploads", lambda: self._every(SWEEP_FILES_EVERY_S, self._sweep_files)),
            ("cases", lambda: self._every(CASES_EVERY_S, lambda: aftersales.work_deadlines(self._db))),
            ("settlement looks", lambda: self._every(LOOKS_EVERY_S, self._look_at_settlements)),
            ("settlement", lambda: self._every(SETTLE_EVERY_S, self._settle)),
            ("month ends", lambda: self._every(MONTH_ENDS_EVERY_S, self._close_months)),
            ("payouts", lambda: self._every(PAYOUTS_EVERY_S, self._work_payouts)),
            ("asking", lambda: self._every(ASK_EVERY_S, lambda: payments.poll(self._db, self._context.settings))),
            ("deposits", lambda: self._every(DEPOSITS_EVERY_S, lambda: trust.work_deposits(self._db))),
            ("covers", lambda: self._every(COVERS_EVERY_S, self._end_uncovered)),
            ("lake", self._drain_into_lake),
            ("lake filling", lambda: self._every(FILL_EVERY_S, self._fill_lake)),
            ("lake merging", lambda: self._every(MERGE_EVERY_S, self._merge_lake)),
            ("lake erasure", lambda: self._every(ERASE_EVERY_S, self._erase_from_lake)),
            ("lake retention", lambda: self._every(RETIRE_EVERY_S, self._retire_behaviour)),
            ("roll-ups", lambda: self._every(self._context.settings.rollup_every_s, self._roll_up)),
            ("watch", self._keep_watch),
            ("measure", lambda: self._every(MEASURE_EVERY_S, self._measure)),
            ("keys", lambda: self._every(FORGET_EVERY_S, lambda: identity.tell_expiring(self._db))),
            ("webhooks", self._send_webhooks),
            ("speakers", lambda: self._every(FORGET_EVERY_S, self._forget_speakers)),
            ("jobs", self._run_jobs),
        ]
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._keep(name, run), name=f"worker.{name}") for name, run in loops]

    async def stop(self) -> None:
        """End all loops; what they had not finished is taken up again by the next process."""
        self._stopping.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """A loop that fails is logged and begun again: no bug in one turn ends the work."""
        while not self._stopping.is_set():
            try:
                await run()
            except Exception as error:
                if name in IN_LAKE and (trouble := lake.name_trouble(error)) is not None:
                    log.warning("the worker waits for the lake", loop=name, error=f"{trouble.title} {trouble.reason}")
                    await asyncio.sleep(LAKE_RETRY_AFTER_S)
                elif isinstance(error, Unavailable | OperationalError):
                    log.warning("the worker waits for the database", loop=name, error=str(error)[:200])
                else:
                    log.exception("a worker loop failed", loop=name)
            await asyncio.sleep(RETRY_AFTER_S)

    async def _every(self, seconds: float, act: Callable[[], Awaitable[int]]) -> None:
        """Again at once while there is work, otherwise after a pause."""
        stood_back_s = 0.0
        while True:
            if self._stand_back() and stood_back_s < STAND_BACK_S_MAX:
                stood_back_s += STAND_BACK_S
                await asyncio.sleep(STAND_BACK_S)
                continue
            stood_back_s = 0.0
            if not await act():
                await asyncio.sleep(seconds)

    async def _sweep(self) -> int:
        return await sweep_unpaid(self._db, payment_timeout_s=self._context.settings.payment_timeout_s)

    async def _sweep_files(self) -> int:
        data = self._context.settings.data_path
        swept = await uploads.sweep(self._db, data) + await uploads.sweep_documents(self._db, data)
        return swept + await uploads.sweep_strays(self._db, data)

    async def _look_at_settlements(self) -> int:
        return await settlement.work_looks(self._db, settlement.rules_of(self._context.settings))

    async def _close_months(self) -> int:
        return await statements.close_months(self._db, zone=self._context.settings.books_zone)

    async def _settle(self) -> int:
        return await settlement.settle_due(self._db, settlement.rules_of(self._context.settings))

    async def _work_payouts(self) -> int:
        return await settlement.payouts.work_payouts(self._db, self._context.settings)

    async def _end_uncovered(self) -> int:
        """What a brand no longer lets a shop sell leaves the shelf within a minute; shops hear of ends beforehand."""
        return await catalog.covering.end_uncovered(self._db) + await catalog.covering.warn_endings(self._db)

    async def _work_agenda(self) -> None:
        """Soon after a payment is heard of on the bus (just before its reaction commits), else once a second."""
        heard = asyncio.Event()
        subscription = self._context.bus.subscribe("events.payment.*", lambda _subject, _payload: heard.set())
        try:
            while True:
                if await work_agenda(self._db):
                    continue
                with suppress(TimeoutError):
                    await asyncio.wait_for(heard.wait(), AGENDA_EVERY_S)
                    await asyncio.sleep(AGENDA_WAKE_S)
                heard.clear()
        finally:
            subscription.stop()

    async def _work_deliveries(self) -> int:
        settings = self._context.settings
        terms = delivery.terms_of(settings)
        return (
            await work_deliveries(self._db, terms)
            + await tracking.catch_up(self._db, terms)
            + await tracking.move_sandbox(self._db, terms, step_s=settings.sandbox_carrier_step_s)
        )

    async def _fold_orders(self) -> int:
        return await fold_orders(self._db)

    async def _fold(self) -> int:
        async with self._db.tx() as tx:
            await ledger.fold(tx)
        return 0

    async def _end_waves(self) -> None:
        """Also in the middle of a sale: a wave's time is what was promised."""
        while True:
            if not await live.end_due_waves(self._db):
                await asyncio.sleep(WAVES_EVERY_S)

    async def _remind(self) -> int:
        return await fans.tell_soon(self._db)

    async def _forget(self) -> int:
        async with self._db.tx() as tx:
            return (
                await messages.sweep_notices(tx) + await fans.sweep_reminders(tx) + await tracking.sweep_unknown(tx)
                + await webhooks.sweep(tx) + await traffic.forget_touches(tx)
            )

    async def _send_webhooks(self) -> None:
        context = self._context
        await webhooks.Sender(self._db, context.settings, context.signer, stand_back=self._stand_back).run()

    async def _forget_speakers(self) -> int:
        async with self._db.tx() as tx:
            await live.forget_speakers(tx)
        return 0

    async def _keep_watch(self) -> None:
        """One run at a time over all processes. It waits out a sale by itself, between two looks and without a snapshot."""
        terms, place = audit.Terms.of(self._context.settings), lake.Lake.of(self._context.settings)
        while True:
            await audit.keep_watch(self._db, terms, lake=place, stand_back=self._stand_back)
            await asyncio.sleep(WATCH_LOOK_S)

    async def _drain_into_lake(self) -> None:
        drain = lake.facts.Drain(self._db, lake.Lake.of(self._context.settings))
        await asyncio.to_thread(lake.facts.table_of, "money", [])  # pyarrow's first array imports pandas: not in a sale
        await self._every(DRAIN_EVERY_S, drain.turn)

    async def _fill_lake(self) -> int:
        settings = self._context.settings
        if settings.lake_fill:
            await fill(self._db, lake.Lake.of(settings), give_way=self._give_way)
        return 0

    async def _give_way(self) -> None:
        """To a sale, for some seconds."""
        stood_back_s = 0.0
        while self._stand_back() and stood_back_s < STAND_BACK_S_MAX:
            stood_back_s += STAND_BACK_S
            await asyncio.sleep(STAND_BACK_S)

    async def _merge_lake(self) -> int:
        context = self._context
        return await lake.merge_hours(self._db, lake.Lake.of(context.settings))

    async def _erase_from_lake(self) -> int:
        return await lake.work_erasures(self._db, lake.Lake.of(self._context.settings))

    async def _retire_behaviour(self) -> int:
        """Behaviour that is old enough goes when its figures are kept."""
        settings = self._context.settings
        await lake.retire_behaviour(
            self._db, lake.Lake.of(settings), days=settings.lake_behaviour_days, keep_figures=_freeze
        )
        return 0

    async def _roll_up(self) -> int:
        """Finished days; whatever has come late or changed since makes them anew."""
        one = lake.Lake.of(self._context.settings)
        await asyncio.to_thread(_refresh, one, self._context.settings, one.day_of(self._db.clock.now_us()))
        return 0

    async def _measure(self) -> int:
        async with self._db.tx() as tx:
            metrics.LAKE_BEHIND.set(tx.now.timestamp() - await lake.watermark(tx) / 1_000_000)
            metrics.LAKE_FACTS_WAITING.set(await lake.facts.count_waiting(tx))
            backlog = await measure_backlog(tx)
        metrics.OUTBOX_WAITING.set(backlog.waiting)
        metrics.OUTBOX_PARKED.set(backlog.parked)
        return 0

    async def _run_jobs(self) -> None:
        app: App = jobs.build_app(self._db.url, self._context)
        async with app.open_async():
            await asyncio.gather(
                app.run_worker_async(
                    concurrency=JOBS_AT_ONCE,
                    install_signal_handlers=False,
                    delete_jobs="successful",
                    fetch_job_polling_interval=1.0,
                ),
                self._every(RESCUE_EVERY_S, lambda: jobs.rescue(app)),
            )


def _refresh(one: lake.Lake, settings: Settings, today: date) -> None:
    """The roll-ups of all days before today, beside whatever else this process does: on one core, or elsewhere."""
    own = Engine.of(one, settings) if settings.analytics_url else Engine(one, memory_mb=settings.analytics_memory_mb, threads=1)
    with own as engine:
        Rollups(one).refresh(engine, until=today, kinds=KINDS)


def _freeze(one: lake.Lake, days: list[date]) -> None:
    """The roll-ups of days whose behaviour is about to go."""
    with Engine(one, threads=1) as engine:
        Rollups(one).freeze(engine, days)
