"""Who acts in the browser tests: a server, streamers with shows of their own, and pages that are watched for faults.

show = await open_show(cinema, Goods("即食海参", prices=(19_900, 37_900), stock=40))
page = await cinema.phone(f"/shows/{show.id}", await cinema.person("小雨"))
await page.get_by_test_id("pinned-buy").click()
"""

import asyncio
import itertools
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, WebError, expect

from laotie.bench.server import ServerUnderTest
from laotie.media import Scene, TestCard, broadcast
from people import PASSWORD
from people import Browser as Person

ROOT = Path(__file__).parents[2]
PHONE, TABLET, DESK = (390, 844), (768, 1024), (1440, 900)
WAIT_MS = 45_000
"""Longer than anything takes, also on a machine that does other things."""

ADDRESS = {"name": "老客", "phone": "13800000000", "country": "CN", "city": "大连市", "street": "海边路 1 号"}

MOVING = """() => {
  const video = document.querySelector('[data-testid=video]')
  if (!(video?.readyState >= 2)) return null
  const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 64 })
  const pen = canvas.getContext('2d')
  pen.drawImage(video, 0, 0, 64, 64)
  const bytes = pen.getImageData(0, 0, 64, 64).data
  const light = Array.from({ length: 64 * 64 }, (_, at) => (bytes[at * 4] + bytes[at * 4 + 1] + bytes[at * 4 + 2]) / 3)
  const mean = light.reduce((sum, one) => sum + one, 0) / light.length
  const spread = Math.sqrt(light.reduce((sum, one) => sum + (one - mean) ** 2, 0) / light.length)
  return { at: video.currentTime, mean, spread, width: video.videoWidth, height: video.videoHeight }
}"""
"""What the room's picture shows at this moment: its time, light and size; nothing before there is one."""

expect.set_options(timeout=WAIT_MS)
numbers = itertools.count(1)

REPORT_POLICY_BREAKS = """
addEventListener('securitypolicyviolation', (event) =>
  console.error(`CSP: ${event.violatedDirective} forbids ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`))
"""


class Relay:
    """The way to the server, which can be cut and mended."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._is_cut = False
        self._lines: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server
        self.url = ""

    async def __aenter__(self) -> "Relay":
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self._server.close()

    def cut(self) -> None:
        """Every line breaks, and none is answered."""
        self._is_cut = True
        for line in self._lines:
            line.transport.abort()

    def mend(self) -> None:
        """New lines go through again."""
        self._is_cut = False

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        there, onward = await asyncio.open_connection("127.0.0.1", self._to)
        self._lines |= {writer, onward}
        await asyncio.gather(_copy(reader, onward), _copy(there, writer), return_exceptions=True)
        self._lines -= {writer, onward}


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    finally:
        sink.close()


KEPT = "cookies,local_storage,indexeddb,service_workers,cache_storage,file_systems"
"""What a site leaves in a browser profile, but for its files, which are the same for everybody."""


@dataclass
class Profiles:
    """Browser profiles, lent to one test after the other: emptied of all that a person leaves, with the site's files kept.

    A profile that never saw the site reads and compiles a megabyte of pages anew, which took a third of these tests' time.
    """

    browser: Browser
    spare: dict[str, list[BrowserContext]] = field(default_factory=dict)

    async def lend(self, look: dict[str, Any]) -> BrowserContext:
        """A profile that looks like this, as nobody had used it."""
        spare = self.spare.setdefault(str(look), [])
        if spare:
            return spare.pop()
        context = await self.browser.new_context(**look)
        context.set_default_timeout(WAIT_MS)
        await context.add_init_script(REPORT_POLICY_BREAKS)
        return context

    async def take_back(self, context: BrowserContext, look: dict[str, Any], origin: str) -> None:
        """Empty it and keep it for the next one; what stays open of it is closed."""
        page = await context.new_page()
        cleaner = await context.new_cdp_session(page)
        for other in context.pages:
            if other is not page:
                await other.close()
        await cleaner.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": KEPT})
        await context.clear_cookies()
        await context.clear_permissions()
        await context.set_offline(False)
        await page.close()
        self.spare[str(look)].append(context)


@dataclass
class Cinema:
    """Opens pages, each with cookies of its own, and collects what goes wrong on them."""

    server: ServerUnderTest
    profiles: Profiles
    contexts: list[tuple[BrowserContext, dict[str, Any] | None]] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    tolerated: list[str] = field(default_factory=list)

    def tolerate(self, *patterns: str) -> None:
        """Faults that a test brings about itself."""
        self.tolerated += patterns

    def unexpected(self) -> list[str]:
        """What went wrong, but for what was meant to."""
        return [fault for fault in self.faults if not any(re.search(one, fault) for one in self.tolerated)]

    async def person(self, name: str) -> Person:
        """Somebody who registered just now."""
        person = self.visitor()
        handle = f"b{next(numbers)}-{uuid4().hex[:8]}"
        account = {"id": str(uuid4()), "handle": handle, "password": PASSWORD, "name": name}
        person.csrf = (await did(person.post("/api/accounts", json=account)))["csrf_token"]
        return person

    async def known(self, handle: str, password: str) -> Person:
        """Somebody of the demonstration's market."""
        person = self.visitor()
        me = await did(person.post("/api/sessions", json={"handle": handle, "password": password}))
        person.csrf = me["csrf_token"]
        return person

    def visitor(self) -> Person:
        """Somebody who was never here."""
        person = Person(base_url=self.server.url, timeout=60)
        self.people.append(person)
        return person

    async def phone(self, path: str, person: Person | None = None, **look: Any) -> Page:
        """The viewer's page on a phone."""
        return await self.open(path, person, **{"size": PHONE, "scale": 2, "touch": True, **look})

    async def desk(self, path: str, person: Person, **look: Any) -> Page:
        """The console on a desk."""
        return await self.open(f"/console{path}", person, **{"size": DESK, **look})

    async def open(
        self,
        path: str,
        person: Person | None = None,
        *,
        size: tuple[int, int],
        scale: float = 1,
        touch: bool = False,
        locale: str = "zh-CN",
        theme: Any = "light",
        through: Relay | None = None,
    ) -> Page:
        """A page in a browser profile of its own, in which the person is signed in."""
        look = {
            "viewport": {"width": size[0], "height": size[1]},
            "device_scale_factor": scale,
            "has_touch": touch,
            "locale": locale,
            "color_scheme": theme,
        }
        context = await self.profiles.lend(look)
        self.contexts.append((context, None if through else look))
        if person is not None:
            await context.add_cookies(
                [{"name": one.name, "value": one.value or "", "url": self.server.url} for one in person.cookies.jar]
            )
        for event, listener in self._listeners():
            context.on(event, listener)
        page = await context.new_page()
        await page.goto(f"{through.url if through else self.server.url}{path}")
        return page

    async def close(self) -> None:
        """Everybody goes home."""
        for context, look in self.contexts:
            for event, listener in self._listeners():
                context.remove_listener(event, listener)
            if look is None:  # another way to the server is another site
                await context.close()
            else:
                await self.profiles.take_back(context, look, self.server.url)
        for person in self.people:
            await person.aclose()

    def _look_at_request(self, request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.faults.append(f"asked another machine: {request.url}")

    def _listeners(self) -> list[tuple[Any, Any]]:
        return [("request", self._look_at_request), ("console", self._look_at_console), ("weberror", self._look_at_error)]

    def _look_at_error(self, error: WebError) -> None:
        self.faults.append(f"uncaught: {error.error}")

    def _look_at_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text} ({message.location.get('url')})")


async def did(request: Any) -> Any:
    """The body of an answer that must be good."""
    answer: httpx.Response = await request
    assert answer.is_success, f"{answer.request.method} {answer.request.url} {answer.status_code} {answer.text}"
    return answer.json() if answer.content else None


@dataclass(frozen=True)
class Goods:
    """What a show sells; more prices than one are sizes of it."""

    title: str
    prices: tuple[int, ...] = (9_900,)
    stock: int = 40


@dataclass
class Show:
    """A live show with a cart, and the streamer who runs it."""

    id: str
    shop: str
    streamer: Person
    items: dict[str, str]
    skus: dict[str, list[str]]

    async def pin(self, title: str | None) -> None:
        """Explain a product, or none."""
        item = self.items[title] if title else None
        await did(self.streamer.put(f"/api/shows/{self.id}/pin", json={"item_id": item}))

    async def buy(self, buyer: Person, title: str, *, quantity: int = 1) -> str:
        """Somebody else's order, not yet paid; its id."""
        cart = await did(buyer.get(f"/api/shows/{self.id}/cart"))
        item = next(one for one in cart["items"] if one["title"] == title)
        sku = item["skus"][0]
        line = {"sku_id": sku["sku_id"], "cart_item_id": item["id"], "quantity": quantity, "unit_price": sku["price"]}
        order = {"id": str(uuid4()), "show_id": self.id, "lines": [line]}
        return str((await did(buyer.post("/api/orders", json=order)))["id"])

    async def give_address(self, buyer: Person) -> str:
        """Make somebody a returning buyer; the address's id."""
        address = {"id": str(uuid4()), "is_default": True, **ADDRESS}
        await did(buyer.post("/api/me/addresses", json=address))
        return address["id"]

    async def buy_and_pay(self, buyer: Person, title: str, *, quantity: int = 1) -> str:
        """Somebody else's order with an address, paid at the provider; its id. How pages do it is tested on its own."""
        address_id = await self.give_address(buyer)
        order_id = await self.buy(buyer, title, quantity=quantity)
        await did(buyer.put(f"/api/orders/{order_id}/address", json={"address_id": address_id}))
        payment = {"id": str(uuid4()), "method": "sandbox"}
        await did(buyer.post(f"/api/orders/{order_id}/payments", json=payment))
        await did(buyer.post(f"/api/sandbox/payments/{payment['id']}/outcome", json={"outcome": "approve"}))
        async with asyncio.timeout(30):
            while (await did(buyer.get(f"/api/orders/{order_id}")))["state"] != "paid":
                await asyncio.sleep(0.1)
        return order_id

    async def end(self) -> None:
        """The show is over."""
        await did(self.streamer.post(f"/api/shows/{self.id}/end", json={}))


async def open_show(cinema: Cinema, *goods: Goods, name: str = "老纪", title: str = "今早的潮水") -> Show:
    """A streamer of its own goes live with these goods; the first is being explained."""
    streamer = await cinema.person(name)
    shop, room, show = str(uuid4()), str(uuid4()), str(uuid4())
    await did(streamer.post("/api/shops", json={"id": shop, "name": f"{name}的店", "currency": "CNY"}))
    await did(streamer.post("/api/rooms/mine", json={"id": room, "shop_id": shop, "title": f"{name}的房间"}))
    await did(streamer.post("/api/shows", json={"id": show, "room_id": room, "title": title}))
    opened = Show(show, shop, streamer, {}, {})
    products = await asyncio.gather(*(_make(opened, one) for one in goods))
    for one, product in zip(goods, products, strict=True):
        await _put_in_cart(opened, one, product)
    await did(streamer.post(f"/api/shows/{show}/start", json={}))
    await opened.pin(goods[0].title)
    return opened


async def _make(show: Show, goods: Goods) -> str:
    product = str(uuid4())
    what = {"id": product, "title": goods.title, "description": f"{goods.title}，当季。", "category": "海鲜"}
    await did(show.streamer.post(f"/api/shops/{show.shop}/products", json=what))
    show.skus[goods.title] = []
    for number, price in enumerate(goods.prices, start=1):
        sku_id = str(uuid4())
        sku = {
            "id": sku_id,
            "code": f"S{next(numbers)}",
            "options": {"规格": f"{number * 500}g"} if len(goods.prices) > 1 else {},
            "price": {"amount": price, "currency": "CNY"},
            "stock": goods.stock,
        }
        await did(show.streamer.post(f"/api/products/{product}/skus", json=sku))
        show.skus[goods.title].append(sku_id)
    await did(show.streamer.patch(f"/api/products/{product}", json={"state": "listed"}))
    return product


async def _put_in_cart(show: Show, goods: Goods, product: str) -> None:
    item = str(uuid4())
    await did(show.streamer.post(f"/api/shows/{show.id}/cart", json={"id": item, "product_id": product}))
    show.items[goods.title] = item


class Encoder:
    """Sends the drawn scene to a show as OBS would, beside the tests, until it is stopped."""

    def __init__(self, url: str, key: str, scene: Scene, drawn: Path) -> None:
        self._card = TestCard(scene=scene, url=url, key=key, data=drawn)
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it and its ffmpeg."""
        self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())
        self._thread.join(30)

    def _run(self) -> None:
        self._task = self._loop.create_task(broadcast(self._card))
        try:
            self._loop.run_until_complete(asyncio.gather(self._task, return_exceptions=True))
        finally:
            self._loop.close()


async def sign_in(page: Page, handle: str, password: str = PASSWORD) -> None:
    """Fill in the sign-in sheet or page as a person does."""
    await page.get_by_test_id("sign-in-handle").fill(handle)
    await page.get_by_test_id("sign-in-password").fill(password)
    await page.get_by_test_id("sign-in-submit").click()


async def say(page: Page, text: str) -> None:
    """Say something in the room, and put the keyboard away."""
    await page.get_by_test_id("chat-input").fill(text)
    await page.get_by_test_id("chat-input").press("Enter")
    await expect(page.get_by_test_id("chat-input")).to_have_value("")
    await page.get_by_test_id("chat-input").blur()


async def until(page: Page, holds: str, given: Any = None) -> Any:
    """What the expression gives as soon as it is true; asked from outside, where the page's policy allows it."""
    deadline = time.monotonic() + WAIT_MS / 1000
    while True:
        if answer := await page.evaluate(holds, given):
            return answer
        assert time.monotonic() < deadline, f"never came true: {holds}"
        await asyncio.sleep(0.1)


async def in_room(page: Page) -> None:
    """Until the room's line is open."""
    await expect(page.get_by_test_id("room")).to_have_attribute("data-link", "open")
