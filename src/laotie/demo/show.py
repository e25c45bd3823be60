"""The demonstration's streamers and fans, all through the public API, the room's socket and the RTMP door."""

import asyncio
import contextlib
import random
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from laotie.base.clock import Clock
from laotie.base.logs import log
from laotie.demo import calibration
from laotie.demo.client import Person, RequestRefused, Seat
from laotie.demo.complaints import complain
from laotie.demo.dealers import bring_brand
from laotie.demo.games import Player, play
from laotie.demo.goods import CHAT, PERSONAS, SEA, Persona
from laotie.demo.market import PASSWORD, demo_id, show_price
from laotie.demo.packer import pack
from laotie.demo.trusting import guarantee, say_what_came
from laotie.demo.videos import bring_videos, watch_videos
from laotie.media import EncoderFailed, Scene, TestCard, broadcast

PIN_EVERY_S = 40
LIMIT_PER_PERSON = 3
VIDEOS_AFTER_S = 5
REGULARS = 6
LOOKERS_LIKE, LOOKERS_CLICK, LOOKERS_BUY = 0.15, 0.2, 0.05
"""Assumed: the real viewers were not measured on these."""
LOW_STOCK = 20
RESTOCK = 80

ADDRESS = {
    "name": "演示买家", "phone": "13800000000", "country": "CN", "region": "辽宁省", "city": "大连市", "district": "中山区",
    "street": "人民路 1 号", "postcode": "116001", "is_default": True,
}  # fmt: skip


class Streamer:
    """Runs one persona's show: goes live, fills the cart, explains product after product, restocks."""

    def __init__(self, url: str, persona: Persona, data: Path) -> None:
        self._url = url
        self._persona = persona
        self._data = data
        self.show_id = ""

    async def open(self, person: Person) -> str:
        """The persona's live show, with its cart: found if it is on, else begun."""
        await person.sign_in(self._persona.handle, PASSWORD)
        shop_id = demo_id("shop", self._persona.handle)
        shows = await person.call("GET", f"/api/shops/{shop_id}/shows?state=live")
        if shows["items"]:
            show = shows["items"][0]
        else:
            show = await person.call("POST", "/api/shows", {"id": str(uuid4()), "title": self._persona.show})
            await person.call("POST", f"/api/shows/{show['id']}/start", {})
            await self._give_coupon(person, show["id"])
        self.show_id = show["id"]
        await self._fill_cart(person)
        return self.show_id

    async def _give_coupon(self, person: Person, show_id: str) -> None:
        """One for this show's viewers alone."""
        now = Clock().now()
        await person.call(
            "POST",
            f"/api/shops/{demo_id('shop', self._persona.handle)}/coupons",
            {
                "id": str(uuid4()),
                "title": "本场立减",
                "kind": "fixed",
                "currency": "CNY",
                "off_amount": 300,
                "show_id": show_id,
                "quantity": 500,
                "budget_amount": 150_000,
                "starts_at": now.isoformat(),
                "ends_at": (now + timedelta(days=1)).isoformat(),
            },
        )

    async def _fill_cart(self, person: Person) -> None:
        cart = await person.call("GET", f"/api/shows/{self.show_id}/cart")
        present = {item["product_id"] for item in cart["items"]}
        for goods in self._persona.goods:
            product_id = str(demo_id("product", goods.code))
            if product_id in present:
                continue
            prices = [
                {
                    "sku_id": str(demo_id("sku", goods.code, number)),
                    "price": {"amount": show_price(goods, price), "currency": "CNY"},
                }
                for number, price in enumerate(goods.prices, start=1)
            ]
            await person.call(
                "POST",
                f"/api/shows/{self.show_id}/cart",
                {"id": str(uuid4()), "product_id": product_id, "prices": prices, "limit_per_person": LIMIT_PER_PERSON},
            )

    async def run(self, person: Person) -> None:
        """Picture, explanations, words and restocking, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_picture(person))
            group.create_task(self._explain(person))
            group.create_task(self._talk(person))
            group.create_task(play(person, self.show_id))
            group.create_task(self._bring_videos(person))
            group.create_task(pack(person, self._persona.handle))
            group.create_task(guarantee(person, self._persona.handle))

    async def _bring_videos(self, person: Person) -> None:
        """A little later, so that the picture of the show comes first."""
        await asyncio.sleep(VIDEOS_AFTER_S)
        try:
            await bring_videos(person, self._persona, self._data)
            if self._persona is SEA:
                await bring_brand(person)
        except (RequestRefused, EncoderFailed, httpx.HTTPError) as error:
            log.warning("no demonstration videos", persona=self._persona.handle, error=str(error)[:160])

    async def _keep_picture(self, person: Person) -> None:
        """Push the drawn scene as any encoder would, under a stream key made for this run."""
        ingest = await person.call("POST", "/api/rooms/mine/ingest-key", {})
        await broadcast(
            TestCard(scene=Scene(self._persona.scene), url=ingest["rtmp_url"], key=ingest["key"], data=self._data)
        )

    async def _explain(self, person: Person) -> None:
        while True:
            cart = await person.call("GET", f"/api/shows/{self.show_id}/cart")
            for item in cart["items"]:
                with contextlib.suppress(RequestRefused):
                    await person.call("PUT", f"/api/shows/{self.show_id}/pin", {"item_id": item["id"]})
                await self._restock(person, item["id"])
                await asyncio.sleep(PIN_EVERY_S)

    async def _restock(self, person: Person, item_id: str) -> None:
        cart = await person.call("GET", f"/api/shows/{self.show_id}/cart")
        for sku in (sku for item in cart["items"] if item["id"] == item_id for sku in item["skus"]):
            if sku["available"] < LOW_STOCK:
                with contextlib.suppress(RequestRefused):
                    await person.call(
                        "POST",
                        f"/api/skus/{sku['sku_id']}/movements",
                        {"id": str(uuid4()), "kind": "received", "quantity": RESTOCK, "note": "demo restock"},
                    )

    async def _talk(self, person: Person) -> None:
        while True:
            seat = await person.enter(self.show_id, None, lambda _frame: None)
            for number in range(10_000):
                if seat.gone.is_set():
                    break
                seat.send(
                    {"t": "chat", "id": str(uuid4()), "text": self._persona.lines[number % len(self._persona.lines)]}
                )
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(seat.gone.wait(), 25)
            await asyncio.sleep(3)


class Fan:
    """One simulated fan, with a temper of their own: finds the show in the feed, watches, talks, likes, follows, buys.

    The first `REGULARS` are the streamers' company: they stay, and keep the room lively, as written here. All others come,
    stay, comment, follow and share as real viewers were measured to (`calibration`); how often they like, click and buy is
    made up.
    """

    def __init__(self, url: str, number: int) -> None:
        self._url = url
        self._is_regular = number <= REGULARS
        self._handle = f"fan{number}"
        self._chance = random.Random(number)  # noqa: S311  (a simulation, repeatable)
        self._handles = {str(demo_id("account", persona.handle)): persona.handle for persona in PERSONAS}
        self._words = CHAT[""]
        self._cart: dict[str, dict[str, Any]] = {}
        self._pinned: str | None = None
        self._placed: list[str] = []
        self._player = Player(self._chance)

    async def run(self) -> None:
        """Come and go until cancelled."""
        await asyncio.sleep(self._chance.uniform(0, 8))
        async with Person(self._url) as person:
            await person.sign_in(self._handle, PASSWORD)
            await self._settle_in(person)
            while True:
                try:
                    if self._chance.random() < 0.35:
                        await watch_videos(person, self._chance)
                    await self._watch_one(person)
                    await say_what_came(person, self._chance)
                    await complain(person, self._chance)
                except (RequestRefused, httpx.HTTPError, OSError) as error:
                    log.info("a demonstration fan paused", fan=self._handle, error=str(error)[:160])
                await asyncio.sleep(self._chance.uniform(3, 15))

    async def _settle_in(self, person: Person) -> None:
        addresses = await person.call("GET", "/api/me/addresses")
        if not addresses["items"]:
            await person.call("POST", "/api/me/addresses", {"id": str(uuid4()), **ADDRESS})

    async def _watch_one(self, person: Person) -> None:
        feed = await person.call("GET", "/api/feed/discover")
        if not feed["items"]:
            return
        weights = [3 if number == 0 else 1 for number in range(len(feed["items"]))]
        card = self._chance.choices(feed["items"], weights)[0]
        if not self._is_regular and not calibration.opens(self._chance):
            return
        seat = await person.enter(card["show_id"], card["entry"], self._hear)
        try:
            self._words = CHAT[""] + CHAT.get(self._handles.get(card["streamer"]["id"], ""), ())
            if self._is_regular:
                await self._take_part(person, seat, card["streamer"]["id"], stay_s=self._chance.uniform(60, 300))
            else:
                await self._look_in(person, seat, card["streamer"]["id"], calibration.stay(self._chance))
        finally:
            seat.leave()

    async def _look_in(self, person: Person, seat: Seat, streamer_id: str, manners: calibration.Stay) -> None:
        """As long as such a viewer stays, at some moment doing what such viewers do."""
        moment = manners.seconds * self._chance.random()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(seat.gone.wait(), moment)
        self._player.join_in(seat)
        if manners.comments:
            seat.send({"t": "chat", "id": str(uuid4()), "text": self._chance.choice(self._words)})
        if manners.follows:
            await person.call("PUT", f"/api/follows/{streamer_id}", {"visit": seat.visit})
        if manners.forwards:
            await person.call("POST", f"/api/shows/{seat.show_id}/share-links")
        if self._chance.random() < LOOKERS_LIKE:
            seat.send({"t": "like", "n": self._chance.randint(1, 8)})
        if self._chance.random() < LOOKERS_CLICK and self._pinned:
            seat.send({"t": "click", "item": self._pinned})
        if self._chance.random() < LOOKERS_BUY:
            self._buy_pinned(seat)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(seat.gone.wait(), max(0.0, manners.seconds - moment))
        await self._pay_for_what_was_placed(person)

    async def _take_part(self, person: Person, seat: Seat, streamer_id: str, *, stay_s: float) -> None:
        deadline = asyncio.get_running_loop().time() + stay_s
        while asyncio.get_running_loop().time() < deadline and not seat.gone.is_set():
            await asyncio.sleep(self._chance.uniform(2, 9))
            self._player.join_in(seat)
            dice = self._chance.random()
            if dice < 0.30:
                seat.send({"t": "chat", "id": str(uuid4()), "text": self._chance.choice(self._words)})
            elif dice < 0.65:
                seat.send({"t": "like", "n": self._chance.randint(1, 8)})
            elif dice < 0.72:
                await person.call("PUT", f"/api/follows/{streamer_id}", {"visit": seat.visit})
            elif dice < 0.86:
                self._buy_pinned(seat)
            await self._pay_for_what_was_placed(person)

    def _buy_pinned(self, seat: Seat) -> None:
        item = self._cart.get(self._pinned or "")
        skus = [sku for sku in item["skus"] if sku["available"] > 0] if item and item["on_shelf"] else []
        if item and skus:
            seat.buy(item, self._chance.choice(skus))

    async def _pay_for_what_was_placed(self, person: Person) -> None:
        placed, self._placed = self._placed, []
        for order_id in placed:
            if self._chance.random() < 0.12:
                continue
            addresses = await person.call("GET", "/api/me/addresses")
            await person.call("PUT", f"/api/orders/{order_id}/address", {"address_id": addresses["items"][0]["id"]})
            payment_id = str(uuid4())
            await person.call("POST", f"/api/orders/{order_id}/payments", {"id": payment_id, "method": "sandbox"})
            await asyncio.sleep(self._chance.uniform(0.5, 3))
            outcome = "approve" if self._chance.random() < 0.95 else "decline"
            await person.call("POST", f"/api/sandbox/payments/{payment_id}/outcome", {"outcome": outcome})

    def _hear(self, frame: dict[str, Any]) -> None:
        match frame.get("t"):
            case "welcome":
                self._cart = {item["id"]: item for item in frame["cart"]}
                self._pinned = frame["show"].get("pinned_item_id")
                for activity in frame["activities"]:
                    self._player.hear(activity)
            case "activity":
                self._player.hear(frame)
            case "item":
                self._cart[frame["id"]] = frame
            case "gone":
                self._cart.pop(frame["item"], None)
            case "pin":
                self._pinned = frame["item"]
            case "stock":
                for item in self._cart.values():
                    for sku in item["skus"]:
                        if sku["sku_id"] == frame["sku"]:
                            sku["available"] = frame["available"]
            case "order":
                self._placed.append(frame["order"]["id"])
