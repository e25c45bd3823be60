"""`laotie bench fanout`: chat in a room of 2,000 sockets, against Socket.IO, in one run on the same cores.

Product: a real `laotie serve`; every viewer has a ticketed socket on the HTTP port, every text comes in by one of those
sockets. Peer: Socket.IO from npm in a process of its own. Both serve the same load generator (this process) under the
same rule: texts of 150 bytes arrive at a fixed rate, no sampling; every client checks that it got every text in the
room's order; the rate is raised until the 99th percentile from sending to receipt passes 150 ms. What counts is
deliveries divided by the CPU seconds of the server's process at the highest rate that held. Steps of both alternate.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import time
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec
import uvloop
from cyclopts import Parameter
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from rich.console import Console
from rich.table import Table

from laotie.base.db import Database
from laotie.base.ids import new_id
from laotie.base.signer import Signer
from laotie.bench.market import HotSale, open_sale, ticket_for
from laotie.bench.server import ServerUnderTest, cpu_seconds

console = Console(stderr=True)

TEXT_BYTES = 150
P99_MAX_MS = 150.0
WARM_SOCKETS = 50
CONNECTING_MAX = 50
BEAT_EVERY_S = 10.0
"""As the protocol asks of every viewer."""
WARM_S = 1.0
DRAIN_S = 5.0
RATE_STEP = 1.3
EASIER_STARTS_MAX = 3
"""How often the first rate is halved when not even that holds (a busy machine)."""
STEPS_MAX = 24
COMPLAINTS_SHOWN_MAX = 5
TICK_S = 0.002
NODE_MIN = 20

FIRST_RATES = {"laotie": 300.0, "socket.io": 10.0}
STAMP = re.compile(rb'"text":"(\d{10}) (\d{20}) ')


class _Quiet:
    """No log lines of two thousand clients."""

    def isEnabledFor(self, _level: int) -> bool:  # noqa: N802 (logging's name)
        return False

    def debug(self, *_: Any, **__: Any) -> None: ...

    info = warning = error = exception = log = debug


QUIET = _Quiet()


class Arrival:
    """One frame of the room as every client must get it, and when each did."""

    __slots__ = ("payload", "received", "sent_at")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.sent_at = [int(stamp) / 1e9 for _, stamp in STAMP.findall(payload)]
        self.received: list[float] = []


class Crowd:
    """Everybody in one side's room. The first to get a frame reads it; the others compare every byte."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.arrivals: list[Arrival] = []
        self.sent = 0
        self.unequal = 0
        self.lost_sockets = 0
        self.complaints = 0
        self.closing = False

    def complain(self, said: str) -> None:
        """Show the first few things that the server did not like."""
        self.complaints += 1
        if self.complaints <= COMPLAINTS_SHOWN_MAX:
            console.log(f"[red]{said}")

    def check(self) -> list[str]:
        """What the clients found wrong since the last `forget`."""
        wrong: list[str] = []
        numbers = [int(number) for one in self.arrivals for number, _ in STAMP.findall(one.payload)]
        if sorted(numbers) != list(range(self.sent)):
            wrong.append(f"{self.sent - len(set(numbers))} texts lost, {len(numbers) - len(set(numbers))} twice")
        short = sum(1 for one in self.arrivals if len(one.received) != len(self.clients))
        if short:
            wrong.append(f"{short} frames did not reach everybody")
        if self.unequal:
            wrong.append(f"{self.unequal} frames differed between clients")
        if self.lost_sockets:
            wrong.append(f"{self.lost_sockets} sockets were lost")
        # One sender's texts keep their order; between senders the room's order counts, and it is the same for all.
        senders = len(self.clients)
        last: dict[int, int] = {}
        for number in numbers:
            if last.get(number % senders, -1) > number:
                wrong.append("a sender's texts changed places")
                break
            last[number % senders] = number
        return wrong

    def forget(self) -> None:
        """Start anew."""
        self.arrivals = []
        self.sent = self.unequal = 0
        for client in self.clients:
            client.place = 0


class Client(WSListener):
    """One viewer; subclasses know a protocol."""

    room_frame: bytes

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.place = 0
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        if not payload.startswith(self.room_frame):
            if frame.msg_type == WSMsgType.TEXT:
                self.hear(payload)
            elif frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()
            return
        now = time.monotonic()
        arrivals = self.crowd.arrivals
        place = self.place
        if place == len(arrivals):
            arrivals.append(Arrival(payload))
        elif arrivals[place].payload != payload:
            self.crowd.unequal += 1
        arrivals[place].received.append(now)
        self.place = place + 1

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if not self.crowd.closing:
            self.crowd.lost_sockets += 1

    def hear(self, payload: bytes) -> None:
        """A frame for this client alone."""

    def say(self, number: int) -> None:
        """Send a text that carries its number and the time."""


def _text(number: int) -> bytes:
    return (b"%010d %020d " % (number, time.monotonic_ns())).ljust(TEXT_BYTES, b"x")


class LaotieClient(Client):
    """A ticketed viewer of the real room."""

    room_frame = b'{"t":"batch"'
    ticket: bytes = b""
    version = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        transport.send(WSMsgType.TEXT, b'{"t":"hello","ticket":"%b"}' % self.ticket)

    def hear(self, payload: bytes) -> None:
        if payload.startswith(b'{"t":"welcome"'):
            self.version = msgspec.json.decode(payload, type=_Welcome).v
            self.ready.set_result(None)
        elif payload.startswith((b'{"t":"refused"', b'{"t":"bye"')) and not self.crowd.closing:
            if self.ready.done():
                self.crowd.complain(payload.decode())
            else:
                self.ready.set_exception(RuntimeError(payload.decode()))

    def say(self, number: int) -> None:
        frame = b'{"t":"chat","id":"%b","text":"%b"}' % (str(new_id()).encode(), _text(number))
        self.transport.send(WSMsgType.TEXT, frame)

    def beat(self) -> None:
        """Stay."""
        self.transport.send(WSMsgType.TEXT, b'{"t":"beat","visible":false,"v":%d}' % self.version)


class _Welcome(msgspec.Struct):
    v: int


class SocketIoClient(Client):
    """Engine.IO 4 over WebSocket, as much of it as a room needs."""

    room_frame = b'42["chat"'

    def hear(self, payload: bytes) -> None:
        if payload.startswith(b"0"):
            self.transport.send(WSMsgType.TEXT, b"40")
        elif payload.startswith(b"40"):
            self.ready.set_result(None)
        elif payload == b"2":
            self.transport.send(WSMsgType.TEXT, b"3")

    def say(self, number: int) -> None:
        frame = b'42["chat",{"id":"%b","text":"%b"}]' % (str(new_id()).encode(), _text(number))
        self.transport.send(WSMsgType.TEXT, frame)


class Side(Protocol):
    """One server with its crowd."""

    name: str
    crowd: Crowd

    @property
    def pid(self) -> int: ...
    async def connect(self, crowd: Crowd) -> Client: ...


class LaotieSide:
    """The product."""

    name = "laotie"

    def __init__(self, server: ServerUnderTest, sale: HotSale) -> None:
        self.crowd = Crowd()
        self._server = server
        self._signer: Signer = server.signer
        self._sale = sale

    @property
    def pid(self) -> int:
        return self._server.pid

    async def connect(self, crowd: Crowd) -> Client:
        client = LaotieClient(crowd)
        client.ticket = ticket_for(self._signer, self._sale).encode()
        await _open(client, f"ws://127.0.0.1:{self._server.port}/ws")
        return client


class SocketIoSide:
    """The peer."""

    name = "socket.io"

    def __init__(self, directory: Path, node: str) -> None:
        self.crowd = Crowd()
        self._process = subprocess.Popen(  # noqa: S603 (our own script)
            [node, "server.js"], cwd=directory, stdout=subprocess.PIPE, env={**os.environ, "NODE_ENV": "production"}
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.strip():
            raise RuntimeError("the Socket.IO server did not start")
        self._port = int(line)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def connect(self, crowd: Crowd) -> Client:
        client = SocketIoClient(crowd)
        await _open(client, f"ws://127.0.0.1:{self._port}/socket.io/?EIO=4&transport=websocket")
        return client

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(10)


async def _open(client: Client, url: str) -> None:
    await ws_connect(
        lambda: client,
        url,
        logger_name=QUIET,  # type: ignore[arg-type]
        read_buffer_init_size=32 * 1024,
        max_frame_size=16 * 1024 * 1024,
    )
    await asyncio.wait_for(client.ready, 20)


class Step(msgspec.Struct, kw_only=True):
    """One rate, held for some seconds."""

    side: str
    rate: float
    deliveries_per_s: float
    per_core: float
    cpu_share: float
    p50_ms: float
    p99_ms: float
    wrong: list[str]

    @property
    def held(self) -> bool:
        return self.p99_ms <= P99_MAX_MS and not self.wrong


async def fill(side: Side, sockets: int) -> float:
    """Connect everybody; returns kB of the server's resident memory a connection, after a first few that warm it."""
    warm = Crowd()
    warm.clients = [await side.connect(warm) for _ in range(WARM_SOCKETS)]
    warm.closing = True
    for client in warm.clients:
        client.transport.disconnect()
    await asyncio.sleep(2)
    before = _resident_kb(side.pid)
    gate = asyncio.Semaphore(CONNECTING_MAX)

    async def join() -> None:
        async with gate:
            side.crowd.clients.append(await side.connect(side.crowd))

    await asyncio.gather(*(join() for _ in range(sockets)))
    await asyncio.sleep(2)
    side.crowd.forget()
    return (_resident_kb(side.pid) - before) / sockets


async def hold(side: Side, rate: float, seconds: float) -> Step:
    """Send texts at a rate, in turns from every socket, and see what arrives."""
    crowd = side.crowd
    crowd.forget()
    started = time.monotonic()
    opened, closed = started + WARM_S, started + WARM_S + seconds
    cpu_before = cpu_after = 0.0
    measuring = False
    while (now := time.monotonic()) < closed:
        if not measuring and now >= opened:
            measuring, opened = True, now
            cpu_before = cpu_seconds(side.pid)
        due = int((now - started) * rate)
        while crowd.sent < due:
            crowd.clients[crowd.sent % len(crowd.clients)].say(crowd.sent)
            crowd.sent += 1
        await asyncio.sleep(TICK_S)
    cpu_after = cpu_seconds(side.pid)
    closed = time.monotonic()
    sent_share = crowd.sent / ((closed - started) * rate)
    deadline = closed + DRAIN_S
    while time.monotonic() < deadline:
        if sum(len(one.sent_at) for one in crowd.arrivals) >= crowd.sent and all(
            client.place == len(crowd.arrivals) for client in crowd.clients
        ):
            break
        await asyncio.sleep(0.05)
    wrong = crowd.check()
    if sent_share < 0.97:
        wrong.append(f"the load generator sent only {sent_share:.0%} of the rate")
    delivered = sum(
        len(one.sent_at) * sum(1 for at in one.received if opened <= at <= closed) for one in crowd.arrivals
    )
    cpu = cpu_after - cpu_before
    p50, p99 = _percentiles(crowd.arrivals, opened, closed)
    crowd.forget()
    return Step(
        side=side.name,
        rate=rate,
        deliveries_per_s=delivered / (closed - opened),
        per_core=delivered / cpu if cpu else 0.0,
        cpu_share=cpu / (closed - opened),
        p50_ms=p50,
        p99_ms=p99,
        wrong=wrong,
    )


def _percentiles(arrivals: list[Arrival], opened: float, closed: float) -> tuple[float, float]:
    """p50 and p99 in ms over every text and every client, in bins of a millisecond (times rounded against us)."""
    found: Counter[int] = Counter()
    for one in arrivals:
        sent = Counter(int(at * 1000) for at in one.sent_at if opened <= at <= closed)
        received = Counter(int(at * 1000) + 1 for at in one.received)
        for sent_ms, texts in sent.items():
            for received_ms, clients in received.items():
                found[received_ms - sent_ms] += texts * clients
    total = sum(found.values())
    if not total:
        return float("inf"), float("inf")
    values: list[float] = []
    for share in (0.5, 0.99):
        left = total * share
        for milliseconds in sorted(found):
            left -= found[milliseconds]
            if left <= 0:
                values.append(float(milliseconds))
                break
    return values[0], values[1]


async def climb(sides: list[Side], *, seconds: float, repeats: int) -> dict[str, list[Step]]:
    """Raise each side's rate until it no longer holds, taking turns; then repeat the best rate of each."""
    steps: dict[str, list[Step]] = {side.name: [] for side in sides}
    rates = {side.name: FIRST_RATES[side.name] for side in sides}
    climbing = list(sides)
    easier = dict.fromkeys(rates, 0)
    for _ in range(STEPS_MAX):
        for side in list(climbing):
            step = await _report(side, rates[side.name], seconds)
            steps[side.name].append(step)
            if not step.held:
                # Once may be the machine's doing: a rate is given up when it fails twice.
                again = await _report(side, rates[side.name], seconds)
                steps[side.name].append(again)
                if not again.held:
                    if any(one.held for one in steps[side.name]) or easier[side.name] == EASIER_STARTS_MAX:
                        climbing.remove(side)
                    else:
                        easier[side.name] += 1
                        rates[side.name] /= 2
                    continue
            rates[side.name] *= RATE_STEP
        if not climbing:
            break
    for _ in range(repeats):
        for side in sides:
            held = [step for step in steps[side.name] if step.held]
            if held:
                steps[side.name].append(await _report(side, max(step.rate for step in held), seconds))
    return steps


async def _report(side: Side, rate: float, seconds: float) -> Step:
    step = await hold(side, rate, seconds)
    console.log(
        f"{side.name:9} {rate:7,.0f} texts/s → {step.deliveries_per_s:11,.0f} deliveries/s at {step.cpu_share:4.0%}"
        f" of a core = {step.per_core:11,.0f} a core, p50 {step.p50_ms:.0f} ms, p99 {step.p99_ms:.0f} ms"
        + (f" [red]{'; '.join(step.wrong)}" if step.wrong else "")
    )
    await asyncio.sleep(0.5)
    return step


def best(steps: list[Step]) -> Step | None:
    """The median run at the highest rate that held."""
    held = [step for step in steps if step.held]
    if not held:
        return None
    top = [step for step in held if step.rate == max(one.rate for one in held)]
    return sorted(top, key=lambda step: step.per_core)[(len(top) - 1) // 2]


def install_peer() -> tuple[Path, str] | None:
    """Socket.IO in a cache directory, by `npm ci` from the lock file; `None`, with a word why, without Node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        console.log(
            f"[yellow]No Node.js here: the peer is left out. Install Node.js {NODE_MIN} or newer (nodejs.org, or your"
            " system's packages; npm comes with it) and run again."
        )
        return None
    source = resources.files("laotie.bench") / "peers" / "socketio"
    files = {name: (source / name).read_bytes() for name in ("package.json", "package-lock.json", "server.js")}
    mark = hashlib.sha256(b"".join(files.values())).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "laotie" / f"bench-socketio-{mark}"
    if not (cache / "installed").exists():
        console.log(f"installing Socket.IO into {cache}")
        cache.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (cache / name).write_bytes(content)
        done = subprocess.run(  # noqa: S603 (npm, fixed arguments)
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=cache,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if done.returncode != 0:
            raise RuntimeError(f"npm ci failed: {done.stderr[-800:]}")
        (cache / "installed").touch()
    return cache, node


def main(
    *,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    sockets: int = 2_000,
    seconds: float = 3.0,
    repeats: int = 2,
) -> None:
    """Measure chat fan-out against Socket.IO, alternating; prints a table and, last, one JSON object."""
    _raise_file_limit()
    peer = install_peer()
    figures = uvloop.run(run(peer, sockets=sockets, seconds=seconds, repeats=repeats))
    if not as_json:
        _show(figures)
    print(json.dumps(figures, ensure_ascii=False))


async def run(peer: tuple[Path, str] | None, *, sockets: int, seconds: float, repeats: int) -> dict[str, Any]:
    """Start both, climb, and give the figures."""
    load = os.getloadavg()[0]
    with (
        ServerUnderTest(room_chats_per_s="0", viewer_chats_per_s="20") as server,
        contextlib.ExitStack() as stack,
    ):
        db = await Database.open(server.database_url)
        try:
            sale = await open_sale(db, stock=1_000, limit=None, http_buyers=0)
        finally:
            await db.close()
        product = LaotieSide(server, sale)
        sides: list[Side] = [product]
        if peer is not None:
            other = SocketIoSide(*peer)
            stack.callback(other.stop)
            sides.append(other)
        memory: dict[str, float] = {}
        beating = asyncio.create_task(_beat(product.crowd))
        for side in sides:
            memory[side.name] = await fill(side, sockets)
            console.log(f"{side.name}: {sockets:,} sockets, {memory[side.name]:.1f} kB each")
        steps = await climb(sides, seconds=seconds, repeats=repeats)
        beating.cancel()
        for side in sides:
            side.crowd.closing = True
    return _figures(steps, memory, sockets=sockets, load=load)


async def _beat(crowd: Crowd) -> None:
    """Idle viewers say now and then that they are there; spread out, so that it is no storm."""
    while True:
        clients = list(crowd.clients)
        for place, client in enumerate(clients):
            if isinstance(client, LaotieClient):
                client.beat()
            if place % 20 == 19:
                await asyncio.sleep(BEAT_EVERY_S * 20 / len(clients))
        await asyncio.sleep(1)


def _figures(steps: dict[str, list[Step]], memory: dict[str, float], *, sockets: int, load: float) -> dict[str, Any]:
    ours = best(steps["laotie"])
    peer = best(steps["socket.io"]) if "socket.io" in steps else None
    aim = [step for step in steps["laotie"] if step.held and step.p99_ms < 100]
    return {
        "deliveries_per_s_per_core": round(ours.per_core) if ours else None,
        "socketio_deliveries_per_s_per_core": round(peer.per_core) if peer else None,
        "ratio": round(ours.per_core / peer.per_core, 1) if ours and peer else None,
        "p99_ms": ours.p99_ms if ours else None,
        "kb_per_connection": round(memory["laotie"], 1),
        "socketio_kb_per_connection": round(memory["socket.io"], 1) if "socket.io" in memory else None,
        "deliveries_per_s": round(ours.deliveries_per_s) if ours else None,
        "socketio_deliveries_per_s": round(peer.deliveries_per_s) if peer else None,
        "socketio_p99_ms": peer.p99_ms if peer else None,
        "deliveries_per_s_per_core_under_100_ms": round(max(step.per_core for step in aim)) if aim else None,
        "texts_per_s": round(ours.rate, 1) if ours else None,
        "socketio_texts_per_s": round(peer.rate, 1) if peer else None,
        "sockets": sockets,
        "text_bytes": TEXT_BYTES,
        "spread": {
            name: round(_spread([step.per_core for step in found if step.held and step.rate == top.rate]), 3)
            for name, found in steps.items()
            if (top := best(found)) is not None
        },
        "load_average_before": round(load, 2),
        "cores": os.cpu_count(),
    }


def _spread(values: list[float]) -> float:
    return (max(values) - min(values)) / statistics.median(values)


def _show(figures: dict[str, Any]) -> None:
    table = Table(title=f"Chat of {TEXT_BYTES} bytes to {figures['sockets']:,} sockets in one room")
    for column in ("server", "deliveries/s a core", "deliveries/s", "texts/s", "p99 ms", "kB a connection"):
        table.add_column(column, justify="left" if column == "server" else "right")
    for name, prefix in (("laotie", ""), ("Socket.IO", "socketio_")):
        if figures[f"{prefix}deliveries_per_s_per_core"] is None:
            continue
        table.add_row(
            name,
            f"{figures[f'{prefix}deliveries_per_s_per_core']:,}",
            f"{figures[f'{prefix}deliveries_per_s']:,}",
            f"{figures[f'{prefix}texts_per_s']:,}",
            f"{figures[f'{prefix}p99_ms']:.0f}",
            f"{figures[f'{prefix}kb_per_connection']}",
        )
    console.print(table)
    if figures["ratio"] is not None:
        console.print(f"ratio {figures['ratio']}")
    else:
        console.print(
            "No ratio: a side is missing, or held no rate at all (is the machine busy? load average before the run:"
            f" {figures['load_average_before']} on {figures['cores']} cores)"
        )


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536) if hard > 0 else 65_536, hard))


def _resident_kb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024
