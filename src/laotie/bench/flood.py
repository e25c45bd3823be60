"""`laotie bench flood`: what hostile viewers can do to a room, calm and flooded in turns, on one machine.

Product: a real `laotie serve`. Honest people chat (a text every two seconds each) and buy; the time from a purchase to
its answer and the share of their texts that arrive at the others are what counts. Hostile accounts, in a process of
their own, send as fast as they were told: texts, links, hearts, broken frames, resyncs, clicks and purchases that
cannot be; closed, they come back at once with a new ticket, at most once a second each. What they offer is what they
wrote to an open connection, whether or not the server took the trouble to read it.
"""

import asyncio
import contextlib
import json
import multiprocessing
import os
import random
import statistics
import time
from multiprocessing.connection import Connection
from typing import Annotated, Any

import uvloop
from cyclopts import Parameter
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from rich.console import Console

from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import AccountId, new_id
from laotie.base.signer import Signer
from laotie.bench.market import HotSale, open_sale, ticket_for
from laotie.bench.server import ServerUnderTest, cpu_seconds

console = Console(stderr=True)

STOCK_PLENTY = 10_000_000
LIMIT_PLENTY = 10_000
HONEST = 40
BUYERS = 20
CHAT_EVERY_S = 2.0
BUYS_PER_S = 60.0
ARRIVE_S = 3.0
SETTLE_S = 1.0
TICK_S = 0.02
RETURN_AFTER_S = 1.0
BEAT_EVERY_S = 8.0
READY_WAIT_S = 30.0


class _Quiet:
    def isEnabledFor(self, _level: int) -> bool:  # noqa: N802 (logging's name)
        return False

    def debug(self, *_: Any, **__: Any) -> None: ...

    info = warning = error = exception = log = debug


QUIET = _Quiet()


class Honest(WSListener):
    """Somebody who watches, talks and buys."""

    def __init__(self, round_: "Round", ticket: str) -> None:
        self.round = round_
        self.ticket = ticket
        self.version = 0
        self.welcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.post({"t": "hello", "ticket": self.ticket})

    def post(self, frame: dict[str, Any]) -> None:
        """Send."""
        with contextlib.suppress(Exception):
            self.transport.send(WSMsgType.TEXT, json.dumps(frame).encode())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        if frame.msg_type != WSMsgType.TEXT:
            return
        now = time.perf_counter()
        told = json.loads(frame.get_payload_as_bytes())
        match told["t"]:
            case "welcome":
                self.version = told["v"]
                if not self.welcome.done():
                    self.welcome.set_result(None)
            case "batch":
                self.version = told["v"]
                for one in told["f"]:
                    if one["t"] == "chat":
                        self.round.heard(one["id"], now)
            case "order":
                self.round.answered(told["re"], now, accepted=True)
            case "refused":
                self.round.answered(told["re"], now, accepted=False)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.round.lost += not self.round.over


class Round:
    """What honest people saw in one run."""

    def __init__(self) -> None:
        self.asked: dict[str, float] = {}
        self.latencies: list[float] = []
        self.said: dict[str, float] = {}
        self.arrived: set[str] = set()
        self.refused = 0
        self.lost = 0
        self.over = False
        self.offered_per_s = 0.0
        self.server_cpu = 0.0

    def heard(self, saying: str, now: float) -> None:
        """A text is there."""
        said_at = self.said.get(saying)
        if said_at is not None and now - said_at <= ARRIVE_S:
            self.arrived.add(saying)

    def answered(self, re: str | None, now: float, *, accepted: bool) -> None:
        """A purchase (or a text) was answered."""
        asked_at = self.asked.pop(re or "", None)
        if asked_at is not None and accepted:
            self.latencies.append(now - asked_at)
        self.refused += not accepted

    @property
    def p99_ms(self) -> float:
        """Of purchases; one without an answer counts as long as it was waited for."""
        ordered = sorted([*self.latencies, *(ARRIVE_S for _ in self.asked)])
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000 if ordered else float("inf")

    @property
    def delivered(self) -> float:
        """The share of honest texts that arrived."""
        return len(self.arrived) / len(self.said) if self.said else 0.0


async def run_round(server: ServerUnderTest, sale: HotSale, seconds: float, flood: "Flood | None") -> Round:
    """Honest life for some seconds, flooded or not."""
    round_ = Round()
    people = [Honest(round_, ticket_for(server.signer, sale)) for _ in range(HONEST)]
    for person in people:
        await _open(person, server.port)
    await asyncio.gather(*(person.welcome for person in people))
    if flood is not None:
        await flood.begin()
        await asyncio.sleep(SETTLE_S)
    cpu, started = cpu_seconds(server.pid), time.perf_counter()
    offered = flood.offered if flood is not None else 0
    talks = buys = 0
    while (elapsed := time.perf_counter() - started) < seconds:
        while talks < elapsed * HONEST / CHAT_EVERY_S:
            saying = str(new_id())
            round_.said[saying] = time.perf_counter()
            people[talks % HONEST].post({"t": "chat", "id": saying, "text": f"好吃吗 {talks}"})
            talks += 1
        while buys < elapsed * BUYS_PER_S:
            client_id = str(new_id())
            round_.asked[client_id] = time.perf_counter()
            buyer = people[buys % BUYERS]
            with contextlib.suppress(Exception):
                buyer.transport.send(WSMsgType.TEXT, sale.buy_frame(client_id))
            buys += 1
        if int(elapsed / BEAT_EVERY_S) != int((elapsed - TICK_S) / BEAT_EVERY_S):
            for person in people:
                person.post({"t": "beat", "visible": True, "v": person.version})
        await asyncio.sleep(TICK_S / 4)
    ended = time.perf_counter()
    round_.server_cpu = (cpu_seconds(server.pid) - cpu) / (ended - started)
    if flood is not None:
        round_.offered_per_s = (flood.offered - offered) / (ended - started)
    deadline = ended + ARRIVE_S
    while time.perf_counter() < deadline and (round_.asked or len(round_.arrived) < len(round_.said)):
        await asyncio.sleep(0.02)
    round_.over = True
    if flood is not None:
        await flood.end()
    for person in people:
        person.transport.disconnect()
    await asyncio.sleep(SETTLE_S)
    return round_


# --- the hostile process --------------------------------------------------------------------------------------------


class Flood:
    """Hostile accounts in a process of their own."""

    def __init__(self, server: ServerUnderTest, sale: HotSale, *, accounts: int, frames_per_s: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._count = spawn.Value("q", 0)
        self._here, there = spawn.Pipe()
        self._process = spawn.Process(
            target=_attack,
            args=(there, self._count, server.settings.signing_keys(), server.port, sale, accounts, frames_per_s),
            daemon=True,
        )
        self._process.start()

    @property
    def offered(self) -> int:
        """Frames offered so far."""
        return int(self._count.value)

    async def begin(self) -> None:
        """Attack."""
        self._here.send("begin")
        await asyncio.to_thread(self._here.recv)

    async def end(self) -> None:
        """Leave off."""
        self._here.send("end")
        await asyncio.to_thread(self._here.recv)

    def stop(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            self._here.send("stop")
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()


class Hostile(WSListener):
    """One hostile account."""

    def __init__(self, frames: list[bytes], rng: random.Random) -> None:
        self.frames = frames
        self.rng = rng
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.transport = None

    def send(self, count: int) -> int:
        """Offer frames to the open line; says how many it took."""
        for done in range(count):
            transport = self.transport
            if transport is None or transport.underlying_transport.is_closing():
                return done
            try:
                transport.send(WSMsgType.TEXT, _fresh(self.rng.choice(self.frames)))
            except Exception:
                return done
        return count


def _fresh(frame: bytes) -> bytes:
    return frame.replace(b"{new}", str(new_id()).encode())


def _attack(
    line: Connection, count: Any, keys: list[str], port: int, sale: HotSale, accounts: int, frames_per_s: int
) -> None:
    os.nice(15)  # they come from other machines: what they burn themselves is not taken from the server
    with contextlib.suppress(KeyboardInterrupt, EOFError):
        uvloop.run(_attack_on(line, count, keys, port, sale, accounts, frames_per_s))


async def _attack_on(
    line: Connection, count: Any, keys: list[str], port: int, sale: HotSale, accounts: int, frames_per_s: int
) -> None:
    signer = Signer(keys, Clock())
    people = [AccountId(new_id()) for _ in range(accounts)]
    frames = hostile_frames(sale)
    while True:
        order = await asyncio.to_thread(line.recv)
        if order == "stop":
            return
        stop = asyncio.Event()
        rate = frames_per_s / accounts
        waves = [
            asyncio.create_task(_rage(stop, signer, sale, port, person, frames, rate, count, seed))
            for seed, person in enumerate(people)
        ]
        line.send("begun")
        await asyncio.to_thread(line.recv)
        stop.set()
        await asyncio.gather(*waves, return_exceptions=True)
        line.send("ended")


def hostile_frames(sale: HotSale) -> list[bytes]:
    """What they send, by weight."""
    chat = b'{"t":"chat","id":"{new}","text":"%b"}'
    return [
        *[chat % "加微信 abc12345 免费领海参 https://evil.example.com".encode()] * 4,
        *[chat % ("刷屏" * 90).encode()] * 4,
        chat % b"x" * 1,
        chat % (b"y" * 1_900),
        *[b'{"t":"like","n":50}'] * 3,
        *[b'{"t":"chat","id":1,"text":'] * 2,
        b"\x00\xff not json" * 20,
        b'{"t":"resync"}',
        b'{"t":"click","item":"%b"}' % str(sale.item_id).encode(),
        b'{"t":"beat","visible":true,"v":9007199254740991}',
        sale.buy_frame("{new}", quantity=9_999),
    ]


async def _rage(
    stop: asyncio.Event,
    signer: Signer,
    sale: HotSale,
    port: int,
    person: AccountId,
    frames: list[bytes],
    rate: float,
    count: Any,
    seed: int,
) -> None:
    """One account: connect, hello, send at a rate; when closed, come back after a second and make up for it."""
    rng = random.Random(seed)  # noqa: S311 (not a secret)
    loop = asyncio.get_running_loop()
    await asyncio.sleep(rng.random() * RETURN_AFTER_S)
    owed_from = loop.time()
    sent = 0
    while not stop.is_set():
        hostile = Hostile(frames, rng)
        opened_at = loop.time()
        try:
            await _open(hostile, port)
            assert hostile.transport is not None
            ticket = ticket_for(signer, sale, account_id=person).encode()
            hostile.transport.send(WSMsgType.TEXT, b'{"t":"hello","ticket":"%b"}' % ticket)
        except Exception:
            await asyncio.sleep(RETURN_AFTER_S)
            continue
        while not stop.is_set() and hostile.transport is not None:
            done = hostile.send(max(0, int((loop.time() - owed_from) * rate) - sent))
            sent += done
            with count.get_lock():
                count.value += done
            await asyncio.sleep(TICK_S * 2)
        if hostile.transport is not None:
            hostile.transport.disconnect()
        await asyncio.sleep(max(0.0, RETURN_AFTER_S - (loop.time() - opened_at)))


async def _open(listener: WSListener, port: int) -> None:
    await ws_connect(
        lambda: listener,
        f"ws://127.0.0.1:{port}/ws",
        logger_name=QUIET,  # type: ignore[arg-type]
        max_frame_size=16 * 1024 * 1024,
        websocket_handshake_timeout=READY_WAIT_S,
    )


# --- the run ------------------------------------------------------------------------------------------------------


def main(
    *,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    rounds: int = 5,
    seconds: float = 8.0,
    accounts: int = 200,
    frames_per_s: int = 6_000,
) -> None:
    """Measure what hostile viewers do to a room: calm and flooded rounds in turns; medians."""
    figures = uvloop.run(_measure(rounds=rounds, seconds=seconds, accounts=accounts, frames_per_s=frames_per_s))
    console.print(figures)
    if as_json:
        print(json.dumps(figures, ensure_ascii=False))


async def _measure(*, rounds: int, seconds: float, accounts: int, frames_per_s: int) -> dict[str, Any]:
    load = os.getloadavg()[0]
    with ServerUnderTest() as server:
        db = await Database.open(server.database_url, clock=Clock(), pool_max=4)
        sale = await open_sale(db, stock=STOCK_PLENTY, limit=LIMIT_PLENTY, http_buyers=0)
        await db.close()
        flood = Flood(server, sale, accounts=accounts, frames_per_s=frames_per_s)
        calm: list[Round] = []
        flooded: list[Round] = []
        try:
            await run_round(server, sale, min(2.0, seconds), None)
            for number in range(1, rounds + 1):
                calm.append(await run_round(server, sale, seconds, None))
                flooded.append(await run_round(server, sale, seconds, flood))
                console.log(
                    f"round {number}: calm p99 {calm[-1].p99_ms:.1f} ms; flooded p99 {flooded[-1].p99_ms:.1f} ms,"
                    f" {flooded[-1].delivered:.1%} of honest texts arrived, {flooded[-1].offered_per_s:,.0f} frames/s"
                    f" offered, server {calm[-1].server_cpu:.0%} → {flooded[-1].server_cpu:.0%} of a core"
                )
        finally:
            flood.stop()
    calm_ms = statistics.median(one.p99_ms for one in calm)
    flood_ms = statistics.median(one.p99_ms for one in flooded)
    return {
        "calm_p99_ms": round(calm_ms, 2),
        "flood_p99_ms": round(flood_ms, 2),
        "ratio": round(flood_ms / calm_ms, 2),
        "honest_delivered": round(statistics.median(one.delivered for one in flooded), 4),
        "offered_frames_per_s": round(statistics.median(one.offered_per_s for one in flooded)),
        "calm_delivered": round(statistics.median(one.delivered for one in calm), 4),
        "honest_lost_sockets": sum(one.lost for one in (*calm, *flooded)),
        "server_cpu_calm": round(statistics.median(one.server_cpu for one in calm), 3),
        "server_cpu_flooded": round(statistics.median(one.server_cpu for one in flooded), 3),
        "rounds": rounds,
        "seconds": seconds,
        "accounts": accounts,
        "load_average_before": round(load, 2),
        "cores": os.cpu_count(),
    }
