"""The demonstration's short videos: two of each persona, cut from the drawn scene, and fans who watch them.

Brought as everybody brings them: announced, sent, made into a video, published. Labelled in the picture and the title.
"""

import asyncio
import contextlib
import random
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from laotie.base.clock import Clock
from laotie.demo.client import Person, RequestRefused
from laotie.demo.goods import CHAT, Persona
from laotie.demo.market import demo_id
from laotie.media import Scene, cut

TITLES = {
    "laoji": ("【演示】潮水退了，看今早这一网", "【演示】今晚开播，先带你看看码头"),
    "tongtong": ("【演示】秋冬新款上身，先给自家娃穿", "【演示】今晚上新，这几件先看为敬"),
}
PLANS = {"laoji": "下一场：鲜活现捞专场", "tongtong": "下一场：上新，全场门店同价"}
PLAN_AHEAD = timedelta(hours=5)


async def bring_videos(person: Person, persona: Persona, data: Path) -> None:
    """Both videos of a persona who is signed in, unless they are there; the second warms up a planned show."""
    shop_id = demo_id("shop", persona.handle)
    there = await person.call("GET", f"/api/shops/{shop_id}/videos")
    if there["items"]:
        return
    for number, title in enumerate(TITLES[persona.handle], start=1):
        film = await cut(Scene(persona.scene), data, number)
        upload = await _send(person, str(shop_id), film.read_bytes())
        goods = persona.goods[(number - 1) * 2 : (number - 1) * 2 + 3]
        await person.call(
            "POST",
            f"/api/shops/{shop_id}/videos",
            {
                "id": str(uuid4()),
                "upload_id": upload,
                "title": title,
                "product_ids": [str(demo_id("product", one.code)) for one in goods],
                "warms_up": await _plan(person, persona) if number == 2 else None,
                "is_published": True,
            },
        )


async def _send(person: Person, shop_id: str, data: bytes) -> str:
    upload = str(uuid4())
    await person.call("POST", f"/api/shops/{shop_id}/uploads", {"id": upload, "size_bytes": len(data)})
    await person.send_bytes("PATCH", f"/api/uploads/{upload}?offset=0", data)
    return upload


async def _plan(person: Person, persona: Persona) -> str | None:
    """A show some hours ahead: the one that is planned, else a new one."""
    shows = await person.call("GET", f"/api/shops/{demo_id('shop', persona.handle)}/shows?state=scheduled")
    planned = [show["id"] for show in shows["items"] if show["planned_at"]]
    if planned:
        return str(planned[0])
    at = (Clock().now() + PLAN_AHEAD).replace(minute=0, second=0, microsecond=0)
    show = {"id": str(uuid4()), "title": PLANS[persona.handle], "planned_at": at.isoformat()}
    with contextlib.suppress(RequestRefused):
        return str((await person.call("POST", "/api/shows", show))["id"])
    return None


async def watch_videos(person: Person, chance: random.Random) -> None:
    """A fan looks through the feed: a few seconds each, now and then a like or a word."""
    feed = await person.call("GET", "/api/feed/videos")
    for slot in feed["items"][: chance.randint(1, 4)]:
        video = slot["video"]
        address = f"/api/videos/{video['id']}"
        visit = (await person.call("POST", f"{address}/visits", {"entry": slot["entry"]}))["visit"]
        play = f"{address}/plays/{uuid4()}"
        await person.call("PUT", play, {"watched_ms": 0, "visit": visit})
        beats = f"/api/plays/{uuid4()}"
        begun = await person.call("PUT", beats, {"visit": visit})
        seconds = chance.uniform(1, 14)
        await asyncio.sleep(seconds)
        shown_ms = int(seconds * 1000)
        await person.call("PUT", beats, {"visit": visit, "beat": begun["beat"], "shown_ms": shown_ms})
        await person.call("PUT", play, {"watched_ms": shown_ms, "visit": visit})
        await _react(person, chance, address)


async def _react(person: Person, chance: random.Random, address: str) -> None:
    with contextlib.suppress(RequestRefused):
        if chance.random() < 0.35:
            await person.call("PUT", f"{address}/like")
        if chance.random() < 0.12:
            said: dict[str, Any] = {"id": str(uuid4()), "text": chance.choice(CHAT[""])}
            await person.call("POST", f"{address}/comments", said)

