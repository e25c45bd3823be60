"""Replays and clips over HTTP: whole answers, playable media, what is hidden, what is bought there."""

import re
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from laotie import live
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.ids import ShowId, ViewerId, new_id
from laotie.base.outbox import Relay
from laotie.live.reactions import REACTIONS
from laotie.media.encoder import find_ffmpeg
from people import Browser, People, problem
from tapes import film, keep
from world import made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the recordings are."""
    return tmp_path / "recordings"


class Stage:
    """A recorded show: twelve seconds, 30 s without an encoder after the eighth; two products explained."""

    def __init__(self, db: Database, bus: LocalBus, people: People, root: Path) -> None:
        self.db, self.people, self.root = db, people, root
        self.relay = Relay(db, bus, REACTIONS)
        self.shop, self.room, self.show = (str(new_id()) for _ in range(3))
        self.products: list[str] = []
        self.skus: list[str] = []
        self.items: list[str] = []
        self.owner: Browser
        self.began_at: datetime

    @property
    def id(self) -> ShowId:
        return ShowId(UUID(self.show))

    async def open(self) -> None:
        """Go live with two products in the cart."""
        self.owner = owner = await self.people.viewer("olga")
        await made(owner.post("/api/shops", json={"id": self.shop, "name": "海边人家", "currency": "CNY"}))
        await made(owner.post("/api/rooms/mine", json={"id": self.room, "shop_id": self.shop, "title": "房间"}))
        await made(owner.post("/api/shows", json={"id": self.show, "room_id": self.room, "title": "今早的潮水"}))
        for number, title in enumerate(("海参", "海带")):
            product, sku, item = (str(new_id()) for _ in range(3))
            await made(owner.post(f"/api/shops/{self.shop}/products", json={"id": product, "title": title}))
            price = {"amount": 9900 + number, "currency": "CNY"}
            body = {"id": sku, "code": f"C{number}", "price": price, "stock": 50}
            await made(owner.post(f"/api/products/{product}/skus", json=body))
            await made(owner.patch(f"/api/products/{product}", json={"state": "listed"}))
            await made(owner.post(f"/api/shows/{self.show}/cart", json={"id": item, "product_id": product}))
            self.products.append(product)
            self.skus.append(sku)
            self.items.append(item)
        await made(owner.post(f"/api/shows/{self.show}/start", json={}))
        self.began_at = self.db.clock.now()

    async def wait(self, seconds: float) -> None:
        self.db.clock.advance(seconds=seconds)

    async def pin(self, number: int | None) -> None:
        item = None if number is None else self.items[number]
        await made(self.owner.put(f"/api/shows/{self.show}/pin", json={"item_id": item}))

    async def play(self) -> None:
        """The whole show."""
        await self.open()
        first = film(self.began_at, seconds=8)
        second = film(self.began_at + timedelta(seconds=38), seconds=4, colour="blue")
        await keep(self.db, self.root, self.id, first)
        await self.wait(1)
        await self.pin(0)
        await self.say("多少钱", 2.5)
        await self.wait(3)
        cheaper = [{"sku_id": self.skus[0], "price": {"amount": 8800, "currency": "CNY"}}]
        await made(self.owner.patch(f"/api/cart-items/{self.items[0]}", json={"prices": cheaper}))
        await self.wait(3)
        await self.pin(1)
        await self.say("人呢", 20)
        await self.wait(33)
        await self.pin(None)
        await keep(self.db, self.root, self.id, second)
        await self.relay.drain()

    async def end(self) -> None:
        await self.wait(3)
        await made(self.owner.post(f"/api/shows/{self.show}/end", json={}))
        await self.relay.drain()
        await keep(self.db, self.root, self.id, [], over=True)

    async def say(self, text: str, second: float) -> None:
        said = live.Saying(
            id=new_id(),
            viewer_id=ViewerId(new_id()),
            name="Anna",
            level=1,
            text=text,
            said_at=self.began_at + timedelta(seconds=second),
        )
        async with self.db.tx() as tx:
            await live.store_sayings(tx, self.id, said=[said])


@pytest.fixture
async def stage(db: Database, bus: LocalBus, people: People, root: Path) -> Stage:
    """Not yet open."""
    return Stage(db, bus, people, root)


def at(stage: Stage, seconds: float) -> str:
    return (stage.began_at + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


async def test_a_replay_tells_what_was_kept_what_is_missing_and_what_was_explained(stage: Stage) -> None:
    await stage.play()
    await stage.end()
    viewer = stage.people.stranger()
    replay = (await viewer.get(f"/api/shows/{stage.show}/replay")).json()
    gap = {"at_s": 8.0, "why": "server"}
    starts_s = (datetime.fromisoformat(replay["starts_at"]) - stage.began_at).total_seconds()
    assert 0 <= starts_s < 0.2, "the first picture's own time"
    assert [{name: one[name] for name in gap} for one in replay["gaps"]] == [gap]
    assert replay["spans"] == [
        {"from_s": 0.0, "to_s": 8.0, "begins_at": replay["starts_at"]},
        {"from_s": 8.0, "to_s": 12.0, "begins_at": replay["gaps"][0]["ends_at"]},
    ]
    clips, marks = replay.pop("clips"), replay.pop("marks")
    assert replay == {
        "show_id": stage.show,
        "shop_id": stage.shop,
        "title": "今早的潮水",
        "cover": None,
        "streamer": {"id": str(stage.owner.account_id), "name": "Olga", "avatar": None},
        "state": "ready",
        "published": True,
        "hls_url": f"/recordings/{stage.show}/replay.m3u8",
        "starts_at": replay["starts_at"],
        "ends_at": replay["ends_at"],
        "duration_s": 12.0,
        "spans": replay["spans"],
        "gaps": replay["gaps"],
    }
    assert [(one["title"], one["to_at"] is not None) for one in marks] == [("海参", True), ("海带", True)]
    assert marks[0]["from_s"] == pytest.approx(position(replay, marks[0]["from_at"]))
    assert [one["price"]["amount"] for one in marks[0]["prices"]] == [9900, 8800]
    assert 3 < marks[0]["prices"][1]["from_s"] - marks[0]["from_s"] < 5
    without_gap = position(replay, marks[1]["to_at"]) - 30
    assert marks[1]["to_s"] == pytest.approx(min(12.0, without_gap))
    assert [(clip["title"], clip["product_id"]) for clip in clips] == list(
        zip(["海参", "海带"], stage.products, strict=True)
    )
    cards = (await viewer.get(f"/api/streamers/{stage.owner.account_id}/replays")).json()["items"]
    assert [(card["show_id"], card["duration_s"]) for card in cards] == [(stage.show, 12.0)]


def position(replay: dict[str, Any], at: str) -> float:
    """Where an instant would be if nothing were missing."""
    return (datetime.fromisoformat(at) - datetime.fromisoformat(replay["starts_at"])).total_seconds()


async def test_chat_is_told_at_its_moments_and_what_was_said_in_a_gap_right_after_it(stage: Stage) -> None:
    await stage.play()
    url = f"/api/shows/{stage.show}/replay/chat"
    viewer = stage.people.stranger()
    said = (await viewer.get(url, params={"from_s": 0, "to_s": 60})).json()["items"]
    assert [(one["text"], one["name"]) for one in said] == [("多少钱", "Anna"), ("人呢", "Anna")]
    assert said[0]["at_s"] == pytest.approx(2.5, abs=0.2) and said[1]["at_s"] == 8.0
    early = (await viewer.get(url, params={"from_s": 0, "to_s": 2})).json()["items"]
    assert early == []
    assert (await viewer.get(url, params={"from_s": 99, "to_s": 100})).json()["items"] == []
    assert (await viewer.get(url, params={"from_s": -1})).status_code == 422


async def test_the_playlist_leads_to_media_that_caches_keep_and_that_decodes(stage: Stage, tmp_path: Path) -> None:
    await stage.play()
    viewer = stage.people.stranger()
    base = f"/recordings/{stage.show}"
    growing = await viewer.get(f"{base}/replay.m3u8")
    assert growing.headers["cache-control"] == "no-store" and "EVENT" in growing.text
    assert "ENDLIST" not in growing.text, "the show may be wound back while it is live"
    await stage.end()
    playlist = await viewer.get(f"{base}/replay.m3u8")
    assert playlist.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert playlist.text.startswith(growing.text.replace("EVENT", "VOD").rpartition("#EXTINF")[0][:200])
    assert playlist.text.endswith("#EXT-X-ENDLIST\n") and playlist.text.count("#EXT-X-DISCONTINUITY\n") == 1
    media = b""
    for name in re.findall(r"i\d+\.mp4|s\d+\.\d+\.m4s", playlist.text):
        answer = await viewer.get(f"{base}/{name}")
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        media += answer.content
        part = await viewer.get(f"{base}/{name}", headers={"range": "bytes=4-7"})
        assert (part.status_code, part.content) == (206, answer.content[4:8])
        assert part.headers["content-range"] == f"bytes 4-7/{len(answer.content)}"
    assert (await viewer.get(f"{base}/{name}", headers={"range": f"bytes={10**9}-"})).status_code == 416
    for wrong in ("s0.999.m4s", "s99.1.m4s", "i1.mp4", "index", "media", "..%2Fsecret.key", "x" * 40):
        assert (await viewer.get(f"{base}/{wrong}")).status_code == 404
    assert len(media) > 10_000


async def test_a_clip_has_a_page_a_playlist_and_a_file(stage: Stage, tmp_path: Path) -> None:
    await stage.play()
    await stage.end()
    viewer = stage.people.stranger()
    (clip,) = (await viewer.get(f"/api/products/{stage.products[0]}/clips")).json()["items"]
    mark = (await viewer.get(f"/api/shows/{stage.show}/replay")).json()["marks"][0]
    page = (await viewer.get(f"/api/clips/{clip['id']}")).json()
    assert page == {
        **clip,
        "show_title": "今早的潮水",
        "streamer": {"id": str(stage.owner.account_id), "name": "Olga", "avatar": None},
        "has_replay": True,
    }
    assert clip == {
        "id": clip["id"],
        "show_id": stage.show,
        "product_id": stage.products[0],
        "title": "海参",
        "from_at": mark["from_at"],
        "to_at": mark["to_at"],
        "from_s": clip["from_s"],
        "duration_s": pytest.approx(7, abs=1),
        "published": True,
        "hls_url": f"/recordings/{stage.show}/clips/{clip['id']}.m3u8",
        "file_url": f"/recordings/{stage.show}/clips/{clip['id']}.mp4",
    }
    playlist = (await viewer.get(clip["hls_url"])).text
    assert "../s" in playlist and playlist.endswith("#EXT-X-ENDLIST\n")
    file = await viewer.get(clip["file_url"])
    assert file.headers["content-disposition"].startswith("attachment; filename*=UTF-8''%E6%B5%B7")
    assert decoded(file.content, tmp_path) == pytest.approx(clip["duration_s"] * 25, abs=1)
    part = await viewer.get(clip["file_url"], headers={"range": "bytes=-100"})
    assert (part.status_code, part.content) == (206, file.content[-100:])
    over_gap = (await viewer.get(f"/api/products/{stage.products[1]}/clips")).json()["items"][0]
    assert (await viewer.get(over_gap["hls_url"])).text.count("#EXT-X-DISCONTINUITY\n") == 1
    joined = (await viewer.get(over_gap["file_url"])).content
    assert decoded(joined, tmp_path) == pytest.approx(over_gap["duration_s"] * 25, abs=1)


def decoded(media: bytes, directory: Path) -> int:
    """Pictures in an MP4."""
    file = directory / "file.mp4"
    file.write_bytes(media)
    said = subprocess.run(
        [find_ffmpeg(), "-v", "error", "-xerror", "-i", str(file), "-map", "0:v", "-f", "framecrc", "-"],
        capture_output=True,
        check=True,
    )
    return sum(line.startswith(b"0,") for line in said.stdout.splitlines())


async def test_clips_are_cut_renamed_hidden_and_removed_by_who_has_a_seat(stage: Stage) -> None:
    await stage.play()
    url = f"/api/shows/{stage.show}/clips"
    draft = {"id": str(new_id()), "from_at": at(stage, 2), "to_at": at(stage, 4), "title": "怎么化冻"}
    anna = await stage.people.viewer("anna")
    assert (await anna.post(url, json=draft)).status_code == 404
    first = await stage.owner.post(url, json=draft)
    assert first.status_code == 201 and first.json()["duration_s"] == pytest.approx(3, abs=1)
    assert (await stage.owner.post(url, json=draft)).json() == first.json()
    assert problem(await stage.owner.post(url, json={**draft, "title": "x"}))["type"] == "/problems/id-reused"
    for wrong in ({"to_at": at(stage, 2)}, {"to_at": at(stage, 9000)}, {"product_id": str(new_id())}):
        refused = await stage.owner.post(url, json={**draft, "id": str(new_id()), **wrong})
        assert problem(refused)["type"] == "/problems/clip-refused", wrong
    clip = f"/api/clips/{draft['id']}"
    assert (await anna.patch(clip, json={"title": "y"})).status_code == 404
    assert (await stage.owner.patch(clip, json={"title": "化冻", "published": False})).json()["title"] == "化冻"
    assert (await anna.get(clip)).status_code == 404 and (await stage.owner.get(clip)).status_code == 200
    assert draft["id"] not in [one["id"] for one in (await anna.get(url)).json()["items"]]
    assert draft["id"] in [one["id"] for one in (await stage.owner.get(url)).json()["items"]]
    assert (await stage.owner.delete(clip)).status_code == 204
    assert (await stage.owner.get(clip)).status_code == 404
    automatic = (await anna.get(url)).json()["items"]
    assert [one["title"] for one in automatic] == ["海参", "海带"]
    await made(stage.owner.delete(f"/api/clips/{automatic[0]['id']}"))
    await stage.end()
    assert [one["title"] for one in (await anna.get(url)).json()["items"]] == ["海带"], "it is not cut again"


async def test_an_order_from_a_clip_is_credited_to_it_and_to_where_the_viewer_came_from(stage: Stage) -> None:
    await stage.play()
    await stage.end()
    anna, bob = await stage.people.viewer("anna"), await stage.people.viewer("bob")
    (clip,) = (await anna.get(f"/api/products/{stage.products[0]}/clips")).json()["items"]
    link = (await made(bob.post(f"/api/clips/{clip['id']}/share-links")))["url"]
    entry = link.partition("entry=")[2]
    assert link.startswith(f"/clips/{clip['id']}?entry=")
    shared = await made(anna.post(f"/api/clips/{clip['id']}/visits", json={"entry": entry}))
    direct = await made(anna.post(f"/api/shows/{stage.show}/replay/visits", json={}))
    elsewhere = await anna.post(f"/api/shows/{stage.show}/replay/visits", json={"entry": entry})
    assert problem(elsewhere)["type"] == "/problems/entry-elsewhere"
    kept = await made(anna.post(f"/api/shows/{stage.show}/replay/visits", json={"visit": shared["visit"]}))
    expected = [
        (shared, "share", f"clip:{clip['id']}"),
        (direct, "direct", f"replay:{stage.show}"),
        (kept, "share", f"replay:{stage.show}"),
    ]
    for visit, source, placement in expected:
        order = await made(anna.post("/api/orders", json=purchase(stage, visit["visit"])))
        seen = (await stage.owner.get(f"/api/shops/{stage.shop}/orders/{order['id']}")).json()
        assert (seen["source"], seen["placement"], seen["show_id"]) == (source, placement, None)
    stolen = await bob.post("/api/orders", json=purchase(stage, shared["visit"]))
    assert problem(stolen)["type"] == "/problems/entry-not-yours"
    sales = (await stage.owner.get(f"/api/shows/{stage.show}/replay/sales")).json()["items"]
    assert sorted(sales, key=lambda one: one["orders"]) == [
        surface(f"clip:{clip['id']}", "clip", "海参", 1),
        surface(f"replay:{stage.show}", "replay", None, 2),
    ]
    assert (await anna.get(f"/api/shows/{stage.show}/replay/sales")).status_code == 404


def surface(placement: str, kind: str, title: str | None, orders: int) -> dict[str, Any]:
    return {
        "placement": placement,
        "kind": kind,
        "title": title,
        "orders": orders,
        "paid": 0,
        "gmv_placed": {"amount": 9900 * orders, "currency": "CNY"},
        "gmv_paid": {"amount": 0, "currency": "CNY"},
    }


def purchase(stage: Stage, visit: str) -> dict[str, Any]:
    """At the shelf's price: the show is over."""
    line = {"sku_id": stage.skus[0], "quantity": 1, "unit_price": {"amount": 9900, "currency": "CNY"}}
    return {"id": str(new_id()), "lines": [line], "visit": visit}


async def test_a_hidden_replay_is_there_for_the_shops_people_alone(stage: Stage) -> None:
    await stage.play()
    await stage.end()
    anna = await stage.people.viewer("anna")
    segment = f"/recordings/{stage.show}/s0.1.m4s"
    clip = (await anna.get(f"/api/shows/{stage.show}/clips")).json()["items"][0]
    assert (await anna.get(segment)).status_code == 200
    hide = f"/api/shows/{stage.show}/replay"
    assert (await anna.patch(hide, json={"published": False})).status_code == 404
    assert (await stage.owner.patch(hide, json={"published": False})).json() == {"published": False}
    gone = (
        segment,
        f"/recordings/{stage.show}/replay.m3u8",
        hide,
        f"{hide}/chat",
        f"/api/clips/{clip['id']}",
        clip["file_url"],
    )
    for url in gone:
        assert (await anna.get(url)).status_code == 404, url
        assert (await stage.owner.get(url)).status_code == 200, url
    assert (await anna.get(f"/api/shows/{stage.show}/clips")).json()["items"] == []
    assert (await anna.get(f"/api/products/{stage.products[0]}/clips")).json()["items"] == []
    assert (await anna.get(f"/api/streamers/{stage.owner.account_id}/replays")).json()["items"] == []


async def test_a_recording_stays_for_its_term_and_is_removed_after_it(stage: Stage) -> None:
    await stage.play()
    await stage.end()
    url = f"/api/shows/{stage.show}/replay"
    kept = (await stage.owner.get(f"/api/shows/{stage.show}/recording")).json()
    assert (kept["state"], kept["duration_s"], kept["dropped_count"]) == ("kept", 12.0, 0)
    refused = problem(await stage.owner.delete(url))
    assert (refused["type"], refused["keep_until"]) == ("/problems/recording-kept", kept["keep_until"])
    stage.db.clock.advance(seconds=1096 * 86_400)
    olga = stage.people.stranger()
    olga.csrf = (await made(olga.post("/api/sessions", json={"handle": "olga", "password": "correct horse battery"})))[
        "csrf_token"
    ]
    assert (await olga.delete(url)).status_code == 204
    assert (await olga.get(url)).status_code == 404
    assert not list(stage.root.rglob("media"))


async def test_a_room_that_does_not_record_has_no_replay(stage: Stage) -> None:
    await stage.open()
    async with stage.db.read() as tx:
        since = await live.replay.find_start(tx, stage.id)
    assert since is not None and abs(since - stage.began_at) < timedelta(seconds=1)
    assert (await stage.owner.patch("/api/rooms/mine", json={"records": False})).json()["records"] is False
    async with stage.db.read() as tx:
        assert await live.replay.find_start(tx, stage.id) is None
    off = (await stage.owner.get(f"/api/shows/{stage.show}/recording")).json()
    assert (off["state"], off["duration_s"]) == ("off", 0.0)
    assert (await stage.people.stranger().get(f"/api/shows/{stage.show}/replay")).status_code == 404
    await stage.pin(0)
    await stage.wait(60)
    await stage.pin(None)
    await stage.relay.drain()
    assert (await stage.owner.get(f"/api/shows/{stage.show}/clips")).json()["items"] == []


async def test_a_recording_in_which_nothing_was_kept_is_none(stage: Stage) -> None:
    await stage.open()
    async with stage.db.tx() as tx:
        await live.replay.begin(tx, stage.id)
        await live.replay.finish(tx, stage.id, duration_ms=0, size_bytes=0, keep_days=1)
        assert await live.replay.find_recording(tx, stage.id) is None
