"""`laotie demo`: a market with a running show, in one command. Ctrl-C ends everything; the data stays for next time."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Annotated

import httpx
from cyclopts import Parameter
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from laotie.base import logs
from laotie.base import settings as settings_module
from laotie.base.db import Database
from laotie.base.holding import hold
from laotie.base.logs import log
from laotie.base.migrate import migrate
from laotie.base.postgres import EmbeddedPostgres
from laotie.base.refusals import Unavailable
from laotie.base.settings import Settings
from laotie.demo.client import Person, RequestRefused
from laotie.demo.developer import develop
from laotie.demo.goods import FAN_NAMES, PERSONAS
from laotie.demo.market import (
    BRAND_OWNER,
    DEVELOPER,
    OPERATOR,
    PASSWORD,
    RETAILER,
    SECOND_OPERATOR,
    STAFF,
    VIEWER,
    open_market,
)
from laotie.demo.money import tell_past
from laotie.demo.packer import STEP_S
from laotie.demo.past_orders import bring_history
from laotie.demo.past_viewers import Rows, imagine_past, write_past
from laotie.demo.show import Fan, Streamer
from laotie.media import Scene, draw

READY_WAIT_S = 180
PICTURE_WAIT_S = 90
USUAL = {"LAOTIE_SANDBOX_CARRIER_STEP_S": str(STEP_S), "LAOTIE_WEBHOOK_PRIVATE": "true"}
"""The server's settings, unless others are set: parcels travel fast, and the developer's receiver is on this machine."""

console = Console(stderr=True)


def main(
    *,
    fans: Annotated[int, Parameter(help="How many simulated fans come and go (0 to 24).")] = 16,
    shows: Annotated[int, Parameter(help="How many of the two shows have a picture.")] = 2,
) -> None:
    """Start Laotie with a seeded market, a running show with video, and simulated fans."""
    settings = settings_module.load()
    logs.set_up(level="warning", form=settings.log_form)
    with hold(settings.data_path, "demo.lock"):
        try:
            stopped = asyncio.run(_run(settings, fans=max(0, min(fans, len(FAN_NAMES))), shows=max(0, min(shows, 2))))
        finally:
            if settings.database_url is None:
                EmbeddedPostgres.of(settings).stop_leftover()
    console.print("stopped; the data stays in", str(settings.data_path)) if stopped else sys.exit(1)


class ServerBeside:
    """`laotie serve` as a child that ends with us."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.log = settings.data_path / "server.log"
        self.process: subprocess.Popen[bytes]

    def __enter__(self) -> "ServerBeside":
        self._settings.data_path.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "laotie", "serve"],
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                env={**USUAL, **os.environ, "LAOTIE_LOG_FORM": "json"},
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            console.print("· stopping")
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def check(self) -> None:
        """Say why it ended, if it did."""
        if self.process.poll() is not None:
            said = self.log.read_text(errors="replace").strip().splitlines()[-12:]
            console.print(Panel("\n".join(said), title="the server ended", border_style="red"))
            raise Unavailable(part="server")


async def _run(settings: Settings, *, fans: int, shows: int) -> bool:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    running = asyncio.create_task(_play(settings, fans=fans, shows=shows))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in (running, stopping):
        task.cancel()
    outcome, _ = await asyncio.gather(running, stopping, return_exceptions=True)
    if isinstance(outcome, Exception):
        raise outcome
    return True


async def _play(settings: Settings, *, fans: int, shows: int) -> None:
    began = time.monotonic()
    say = _sayer(began)
    drawing = asyncio.gather(*(draw(Scene(persona.scene), settings.data_path) for persona in PERSONAS[:shows]))
    past = await _make_market(settings, say)
    writing = asyncio.create_task(asyncio.to_thread(write_past, settings, past))
    async with AsyncExitStack() as stack:
        server = stack.enter_context(ServerBeside(settings))
        await _until_ready(settings, server, say)
        say("a real retailer's products and orders (a slice of UCI Online Retail, CC BY 4.0)")
        with resources.as_file(resources.files("laotie.demo.data") / "online_retail_slice.csv.gz") as path:
            await _import_history(settings, path)
        if acts := await writing:
            say(f"who came to watch in those two months: {acts:,} acts in the lake")
        if not drawing.done():
            say("drawing the shows' pictures (the first time only)")
        await drawing
        await _open_shows(settings, server, stack, say, fans=fans, shows=shows, began=began)


async def _open_shows(
    settings: Settings,
    server: ServerBeside,
    stack: AsyncExitStack,
    say: Callable[[str], None],
    *,
    fans: int,
    shows: int,
    began: float,
) -> None:
    """Go live, let the fans come, and go on until the server ends or somebody ends us."""
    url = f"http://{settings.host}:{settings.port}"
    async with asyncio.TaskGroup() as group:
        on_air: list[str] = []
        for persona in PERSONAS[:shows]:
            say(f"going live: {persona.name}, {persona.show}")
            streamer = Streamer(url, persona, settings.data_path)
            person = await stack.enter_async_context(Person(url))
            on_air.append(await streamer.open(person))
            group.create_task(streamer.run(person))
        if on_air:
            say("waiting for the first picture")
            await _until_picture(url, on_air[0], server)
        say(f"{fans} simulated fans are on their way")
        for number in range(1, fans + 1):
            group.create_task(Fan(url, number + 1 if number < len(FAN_NAMES) else 1).run())
        _show_addresses(settings, on_air[0] if on_air else None, time.monotonic() - began)
        group.create_task(_develop(url))
        group.create_task(_watch(server))


async def _develop(url: str) -> None:
    """The developer, who is no reason for the show to end."""
    try:
        await develop(url)
    except (RequestRefused, httpx.HTTPError, OSError) as error:
        log.warning("the demonstration's developer stopped", error=str(error)[:200])


def _sayer(began: float) -> Callable[[str], None]:
    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:5.1f} s[/]  {text}", highlight=False)

    return say


async def _until_ready(settings: Settings, server: ServerBeside, say: Callable[[str], None]) -> None:
    said = ""
    async with httpx.AsyncClient(base_url=f"http://{settings.host}:{settings.port}", timeout=5) as http:
        deadline = time.monotonic() + READY_WAIT_S
        while time.monotonic() < deadline:
            server.check()
            try:
                answer = await http.get("/healthz")
                if answer.status_code == 200:
                    return
                waiting_for = str(answer.json().get("part") or answer.json().get("missing"))
            except (httpx.HTTPError, ValueError):
                waiting_for = "the program"
            if waiting_for != said:
                said = waiting_for
                say(f"starting: {said}")
            await asyncio.sleep(0.2)
    raise Unavailable(part=said)


async def _make_market(settings: Settings, say: Callable[[str], None]) -> Rows:
    """Seed through the rooms' front doors, as an operator's set-up does; before the server is there, which tells the time.

    Returns what viewers did in the past that was made, for the lake.
    """
    settings.data_path.mkdir(parents=True, exist_ok=True)
    say("starting: database")
    url = settings.database_url
    if url is None:
        url = await asyncio.to_thread(EmbeddedPostgres.of(settings).start)  # the server takes it over, and stops it
    await asyncio.to_thread(migrate, url)
    db = await Database.open(url, pool_max=4)
    try:
        if not await open_market(db, say):
            say("the market is there from last time")
    finally:
        await db.close()
    if today := await tell_past(url, settings):
        say("two months of sales, settled and paid out")
        return await _imagine_past(url, settings, say, today)
    return {}


async def _imagine_past(url: str, settings: Settings, say: Callable[[str], None], today: date) -> Rows:
    db = await Database.open(url, pool_max=2)
    try:
        say(f"a year before, and the shop on the pier: {await bring_history(db, settings, today):,} orders from elsewhere")
        return await imagine_past(db, settings, today)
    finally:
        await db.close()


async def _import_history(settings: Settings, path: Path) -> None:
    """By the importer that everybody has; repeated on the same file it finds that all is there."""
    importing = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "laotie", "import", "online-retail", str(path)),
        *("--shop", "Online Retail", "--owner", RETAILER, "--stock", "50"),
        *("--report", str(settings.data_path / "online_retail.refused.csv")),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    _, said = await importing.communicate()
    if importing.returncode != 0:
        console.print(f"[yellow]the retailer's history was not imported:[/] {said.decode(errors='replace')[-600:]}")


async def _until_picture(url: str, show_id: str, server: ServerBeside) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=5) as http:
        deadline = time.monotonic() + PICTURE_WAIT_S
        while time.monotonic() < deadline:
            server.check()
            playback = (await http.get(f"/api/shows/{show_id}")).json().get("playback")
            if playback and (await http.get(playback["hls"])).status_code == 200:
                return
            await asyncio.sleep(0.3)
    raise Unavailable(part="picture")


async def _watch(server: ServerBeside) -> None:
    while True:
        server.check()
        await asyncio.sleep(1)


def _show_addresses(settings: Settings, show_id: str | None, seconds: float) -> None:
    base = settings.base_url
    console.rule(f"[green]Laotie is live after {seconds:.0f} s")
    for name, place in (
        ("the room", f"{base}/shows/{show_id}" if show_id else f"{base}/"),
        ("the market", f"{base}/"),
        ("the console", f"{base}/console"),
        ("the API", f"{base}/openapi.json"),
    ):
        console.print(f"  {name:<12} [bold]{place}[/]", soft_wrap=True, highlight=False)
    people = Table("role", "sign in as", "password", box=None, padding=(0, 2))
    people.add_row("viewer", VIEWER, PASSWORD)
    people.add_row("streamer", f"{PERSONAS[0].handle} or {PERSONAS[1].handle}", PASSWORD)
    people.add_row("shop staff", STAFF, PASSWORD)
    people.add_row("brand owner", BRAND_OWNER, PASSWORD)
    people.add_row("developer", DEVELOPER, PASSWORD)
    people.add_row("operator", f"{OPERATOR} (and {SECOND_OPERATOR}, for what takes two)", PASSWORD)
    console.print(people)
    console.print("[dim]The market is made up and labelled so. Ctrl-C stops everything; the data stays.[/]")
    console.print(f"[dim]Log: {settings.data_path / 'server.log'}[/]", soft_wrap=True)
