"""`laotie serve`: the whole product in one process, PostgreSQL beside it.

The HTTP door opens first and answers `/healthz` with what is still missing; everything else answers 503 until all
parts are ready. SIGTERM or Ctrl-C lets purchases in hand finish, tells the sockets why they close, and stops what this
process started.
"""

import asyncio
import gc
import signal
import socket
import time
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import msgspec
import psycopg
import uvicorn
from psycopg.conninfo import conninfo_to_dict

from laotie import live, messages, payments
from laotie.base import logs
from laotie.base import settings as settings_module
from laotie.base.bus import LocalBus
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.holding import hold
from laotie.base.jobs import Context
from laotie.base.logs import log
from laotie.base.migrate import migrate
from laotie.base.postgres import EmbeddedPostgres
from laotie.base.refusals import Conflict, Unavailable
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.cli.ingest import PortTaken, open_ingest
from laotie.fun import Desk
from laotie.gateway import Gateway, upgrade_class
from laotie.lake import SEGMENTS, Lake, note_in, open_sink
from laotie.media import Change, MediaServer, Recorder, RecordingLimits
from laotie.media import Limits as MediaLimits
from laotie.orders import Till
from laotie.web.app import build_app
from laotie.web.house import House
from laotie.worker import Worker
from laotie.worker.recordings import RecordingKeeper
from laotie.worker.shelf import ShelfKeeper, open_shelf

STOP_WAIT_S = 20
DATABASE_CONNECT_S = 5
WATCH_EVERY_S = 1.0


class DatabaseGone(Conflict, code="database-gone"):
    """PostgreSQL does not answer. Start it, or set LAOTIE_DATABASE_URL right (without it, Laotie brings its own)."""

    address: str
    waited_s: int


def serve() -> None:
    """Run Laotie: HTTP, sockets, media, worker, and PostgreSQL unless LAOTIE_DATABASE_URL names one."""
    settings = settings_module.load()
    logs.set_up(level=settings.log_level, form=settings.log_form)
    with hold(settings.data_path):
        try:
            import uvloop

            uvloop.run(_serve(settings))
        except ImportError:
            asyncio.run(_serve(settings))


class Front:
    """The ASGI application from the first moment on: says what is missing until the real one takes over."""

    def __init__(self) -> None:
        self.app: Any = None
        self.waiting_for = "start"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.app is not None:
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        body = msgspec.json.encode(
            {"type": "/problems/unavailable", "title": "Starting.", "status": 503, "part": self.waiting_for}
        )
        headers = [(b"content-type", b"application/problem+json"), (b"retry-after", b"1")]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    front = Front()
    async with AsyncExitStack() as stack:
        listening = _listen(settings)
        ready = asyncio.create_task(_open_house(settings, front, stack, listening, stop))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({ready, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            ready.result()
            await stop.wait()
        else:
            ready.cancel()
            await asyncio.gather(ready, return_exceptions=True)
        stopped.cancel()
        log.info("stopping")


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError:
        listening.close()
        raise PortTaken(address=f"{settings.host}:{settings.port}", setting="LAOTIE_PORT") from None
    listening.listen(1024)
    listening.setblocking(False)
    return listening


async def _open_house(
    settings: Settings, front: Front, stack: AsyncExitStack, listening: socket.socket, stop: asyncio.Event
) -> None:
    """Open part after part; the exit stack closes them in the opposite order."""
    clock = Clock()
    bus = LocalBus()
    gateway = Gateway(settings=settings, bus=bus, clock=clock)
    await _open_http(settings, front, stack, listening, gateway, stop)
    front.waiting_for = "database"
    url = await _open_database(settings, stack)
    front.waiting_for = "migrations"
    await asyncio.to_thread(migrate, url, progress=lambda revision: log.info("migrating", revision=revision))
    db = await Database.open(url, clock=clock, pool_max=settings.database_pool_max)
    stack.push_async_callback(db.close)
    signer = Signer(settings.signing_keys(), clock)
    messages.open_vapid(settings)
    front.waiting_for = "till"
    till = Till(
        db,
        payment_timeout_s=settings.payment_timeout_s,
        batch_max=settings.till_batch_max,
        waiting_max=settings.till_waiting_max,
    )
    stack.push_async_callback(till.close)
    desk = Desk(db)
    stack.push_async_callback(desk.close)
    context = Context(db=db, settings=settings, signer=signer, bus=bus)
    front.waiting_for = "media"
    media = MediaServer(
        MediaLimits(
            ffmpeg=settings.ffmpeg or "",
            grace_s=settings.media_grace_s,
            external_hls_url=(settings.media_external_hls_url or "/hls").rstrip("/"),
        ),
        on_change=partial(_tell_media, bus),
        recorder=Recorder(
            settings.data_path / "recordings",
            RecordingLimits(reserve_bytes=settings.recording_reserve_mb * 1024 * 1024),
        ),
    )
    await media.start()
    stack.push_async_callback(media.stop)
    gateway.ingest = await open_ingest(settings, stack, db, signer, bus, media)
    front.waiting_for = "gateway"
    sink = open_sink(
        Lake.of(settings),
        settings.data_path / SEGMENTS,
        clock=clock,
        part_every_s=settings.lake_part_every_s,
        note=note_in(db, settings.data_path / SEGMENTS),
    )
    await sink.start()
    stack.push_async_callback(sink.close)
    await gateway.start(db=db, signer=signer, till=till, sink=sink, desk=desk, playback=partial(live.playback_of, media))
    stack.push_async_callback(gateway.stop)
    worker = Worker(context, stand_back=lambda: till.is_busy)
    worker.start()
    stack.push_async_callback(worker.stop)
    payments.check_providers(db, settings)
    shelf = open_shelf(db, settings.data_path)
    shelf_keeper = ShelfKeeper(shelf, bus)
    shelf_keeper.start()
    stack.push_async_callback(shelf_keeper.stop)
    house = House(
        db=db, settings=settings, signer=signer, bus=bus, till=till, desk=desk, media=media, shelf=shelf, sink=sink
    )
    keeper = RecordingKeeper(db, bus, media, house.archive, keep_days=settings.recording_days)
    keeper.start()
    stack.push_async_callback(keeper.stop)
    stack.callback(db.wind_down)
    front.app = build_app(house)
    _settle_memory()
    log.info("ready", url=settings.base_url)


def _settle_memory() -> None:
    """Keep the cycle collector away from what lives for ever, and let it come often but briefly.

    Its pauses are a sale's tail: one over 50,000 young objects took up to 74 ms while two hundred hostile accounts came
    and went (`laotie bench flood`); one over 5,000 takes a tenth of that. The whole heap is looked at rarely.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 50, 100)


async def _tell_media(bus: LocalBus, change: Change) -> None:
    """What happens to a channel, for the gateway; it is of the moment and not kept."""
    await bus.publish(f"events.media.channel_{change.news}", msgspec.json.encode(change))


async def _open_http(
    settings: Settings,
    front: Front,
    stack: AsyncExitStack,
    listening: socket.socket,
    gateway: Gateway,
    stop: asyncio.Event,
) -> None:
    config = uvicorn.Config(
        front,
        http="httptools",
        ws=upgrade_class(gateway),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        backlog=1024,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=STOP_WAIT_S,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server._serve(sockets=[listening]))

    async def close() -> None:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(close)
    task.add_done_callback(lambda _: stop.set())
    while not server.started and not task.done():
        await asyncio.sleep(0.01)


async def _open_database(settings: Settings, stack: AsyncExitStack) -> str:
    if settings.database_url:
        await _wait_for_database(settings.database_url, wait_s=settings.database_wait_s)
        return settings.database_url
    embedded = EmbeddedPostgres.of(settings)
    url = await asyncio.to_thread(embedded.start)
    stack.push_async_callback(asyncio.to_thread, embedded.stop)
    keeping = asyncio.create_task(_keep_running(embedded))
    stack.push_async_callback(_cancel, keeping)
    return url


async def _keep_running(embedded: EmbeddedPostgres) -> None:
    """Start the embedded server again when it died (killed, or stopped itself on a full disk)."""
    while True:
        await asyncio.sleep(WATCH_EVERY_S)
        if await asyncio.to_thread(lambda: embedded.is_running):
            continue
        log.error("the embedded database is gone; starting it again")
        try:
            await asyncio.to_thread(embedded.start)
            log.info("the embedded database is back")
        except (Unavailable, psycopg.Error, OSError) as error:
            log.warning("the embedded database does not start yet", error=str(error)[:200])


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _wait_for_database(url: str, *, wait_s: int) -> None:
    """An external server may still be starting: try for a while, then say so."""
    deadline = time.monotonic() + wait_s
    said = ""
    while True:
        try:
            connection = await psycopg.AsyncConnection.connect(url, connect_timeout=DATABASE_CONNECT_S)
            await connection.close()
            return
        except psycopg.OperationalError as error:
            if time.monotonic() >= deadline:
                raise DatabaseGone(address=_address_of(url), waited_s=wait_s) from None
            why = str(error).strip()[:200]
            if why != said:
                log.warning("waiting for the database", address=_address_of(url), for_s=wait_s, error=why)
            said = why
            await asyncio.sleep(1)


def _address_of(url: str) -> str:
    """Where it should be, without who asks and with what password."""
    parts = conninfo_to_dict(url)
    return f"{parts.get('host') or 'a local socket'}:{parts.get('port') or 5432}/{parts.get('dbname') or ''}"
