"""Bringing files over HTTP, resumed and hostile; a film in ranges; a purchase from a video; a picture that is shown."""

import json
from typing import Any
from uuid import UUID

import pytest

from films import film, picture, zipped
from laotie import videos
from laotie.base import jobs
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.entry import read_visit
from laotie.base.ids import new_id
from laotie.base.settings import Settings
from laotie.identity import Scope
from laotie.web.house import House
from people import Browser, People, problem
from world import PRICE, World, made
from world import _goods as add_goods
from world import _shop as open_shop
from world import _stage as open_stage

BYTES = {"Content-Type": "application/octet-stream"}


@pytest.fixture
async def world(people: People) -> World:
    """A shop with a product and a show, its owner, somebody of its staff, and two who have no business there."""
    world = World(people)
    world.by_role["owner"] = owner = await people.viewer("olga")
    world.by_role["viewer"] = await people.viewer("anna")
    world.by_role["other"] = await people.viewer("bob")
    world.shop = await open_shop(owner, "海边人家")
    world.room, world.show = await open_stage(owner, world.shop)
    world.by_role["staff show"] = await people.staff("sven", UUID(world.shop), owner, Scope.show)
    await add_goods(world, owner)
    return world


async def announce(world: World, data: bytes) -> str:
    upload: dict[str, Any] = {"id": str(new_id()), "size_bytes": len(data)}
    answer = await made(world["owner"].post(f"/api/shops/{world.shop}/uploads", json=upload))
    assert answer == {**upload, "received_bytes": 0, "created_at": answer["created_at"]}
    return str(upload["id"])


async def send(who: Browser, upload: str, data: bytes, offset: int = 0) -> Any:
    return await who.patch(f"/api/uploads/{upload}", params={"offset": offset}, content=data, headers=BYTES)


async def publish(world: World, house: House, **said: Any) -> dict[str, Any]:
    """A video that everybody sees, made as a page makes it."""
    owner, data = world["owner"], film()
    upload = await announce(world, data)
    await made(send(owner, upload, data))
    draft = {"id": str(new_id()), "upload_id": upload, "title": "海边的早晨", "is_published": True, **said}
    made_of = await made(owner.post(f"/api/shops/{world.shop}/videos", json=draft))
    assert (made_of["state"], made_of["film_state"], made_of["film"]) == ("published", "processing", None)
    context = jobs.Context(db=house.db, settings=house.settings, signer=house.signer, bus=LocalBus())
    await videos.develop(context, video_id=draft["id"])
    slot: dict[str, Any] = (await world["viewer"].get(f"/api/videos/{draft['id']}")).json()
    return slot


async def test_an_upload_goes_on_where_it_broke_off(world: World, settings: Settings) -> None:
    owner, data = world["owner"], film()
    upload = await announce(world, data)
    assert (await made(send(owner, upload, data[:5_000])))["received_bytes"] == 5_000
    wrong = await send(owner, upload, data[4_000:], offset=4_000)
    assert problem(wrong) == {
        "type": "/problems/offset-wrong",
        "title": "The upload stands elsewhere; go on from `received_bytes`.",
        "status": 409,
        "detail": wrong.json()["detail"],
        "received_bytes": 5_000,
    }
    assert (await made(owner.get(f"/api/uploads/{upload}")))["received_bytes"] == 5_000
    assert (await made(send(owner, upload, data[5_000:], offset=5_000)))["received_bytes"] == len(data)
    assert (settings.data_path / "uploads" / f"{upload}.part").read_bytes() == data


@pytest.mark.parametrize(
    "data",
    [b"<!doctype html><script>alert(1)</script>" * 9, zipped(), b'<svg onload="alert(1)"/>' * 9, picture()],
    ids=["page", "archive", "drawing", "photo"],
)
async def test_what_is_no_film_is_turned_away_at_its_first_bytes_and_nothing_is_kept(
    world: World, settings: Settings, data: bytes
) -> None:
    upload = await announce(world, data)
    answer = await send(world["owner"], upload, data)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/not-a-film")
    assert [path for path in settings.data_path.rglob("*") if path.is_file()] == []


async def test_more_than_announced_is_refused_and_what_came_before_stays(world: World) -> None:
    data = film()
    upload = await announce(world, data[:10_000])
    answer = await send(world["owner"], upload, data)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/upload-overflow")
    assert (await made(world["owner"].get(f"/api/uploads/{upload}")))["received_bytes"] == 0


async def test_too_large_is_refused_before_a_byte_is_sent(world: World) -> None:
    ask = {"id": str(new_id()), "size_bytes": 10**12}
    answer = await world["owner"].post(f"/api/shops/{world.shop}/uploads", json=ask)
    assert (answer.status_code, answer.json()["type"], answer.json()["bytes_max"]) == (
        422,
        "/problems/upload-too-large",
        512 * 1024**2,
    )
    huge = {**BYTES, "Content-Length": str(2**31)}
    answer = await world["owner"].patch(f"/api/uploads/{new_id()}", content=b"", headers=huge)
    assert answer.json()["type"] == "/problems/body-too-large"


async def test_names_and_paths_of_the_client_lead_nowhere(world: World, settings: Settings) -> None:
    owner, data = world["owner"], film()
    upload = await announce(world, data)
    odd = {**BYTES, "Content-Disposition": f'attachment; filename="../../../{"x" * 100_000}.html"'}
    answer = await owner.patch(f"/api/uploads/{upload}", content=data, headers=odd)
    assert answer.status_code == 200
    assert {path.name for path in settings.data_path.rglob("*") if path.is_file()} == {f"{upload}.part"}
    for path in ("/api/uploads/..%2F..%2Fsecret.key", "/media/videos/..%2F..%2Fsecret.key", "/media/uploads/..%2Fx.webp"):
        assert (await owner.get(path)).status_code == 404, path
    named = await owner.post(f"/api/shops/{world.shop}/uploads", json={"id": str(new_id()), "size_bytes": 9, "name": "x" * 10**6})
    assert named.status_code == 422, "nobody asks for a name"
    form = await owner.patch(f"/api/uploads/{upload}", content=data, headers={"Content-Type": "multipart/form-data"})
    assert form.status_code == 415


async def test_an_upload_is_nobody_elses(world: World) -> None:
    upload = await announce(world, film())
    for who in (world["viewer"], world["other"], world["staff show"]):
        assert (await send(who, upload, film())).status_code == 404
        assert (await who.delete(f"/api/uploads/{upload}")).status_code == 404
    assert (await world["owner"].delete(f"/api/uploads/{upload}")).status_code == 204


async def test_a_film_is_served_whole_in_ranges_and_for_ever(world: World, house: House) -> None:
    slot = await publish(world, house)
    client, url = world["viewer"], slot["video"]["film"]
    whole = await client.get(url)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "video/mp4")
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert whole.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert whole.content[4:8] == b"ftyp" and int(whole.headers["content-length"]) == len(whole.content)
    part = await client.get(url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"
    assert (await client.get(url, headers={"Range": "bytes=-5"})).content == whole.content[-5:]
    assert (await client.get(url, headers={"Range": "bytes=5-"})).content == whole.content[5:]
    beyond = await client.get(url, headers={"Range": f"bytes={len(whole.content)}-"})
    assert (beyond.status_code, beyond.json()["size_bytes"]) == (416, len(whole.content))
    assert (await client.get(url, headers={"If-None-Match": whole.headers["etag"]})).status_code == 304
    assert (await client.get(slot["video"]["cover"])).headers["content-type"] == "image/jpeg"


async def test_a_hidden_film_is_shown_to_the_shop_alone(world: World, house: House) -> None:
    slot = await publish(world, house)
    video = slot["video"]
    own = await made(world["owner"].patch(f"/api/videos/{video['id']}", json={"state": "hidden"}))
    assert (await world["viewer"].get(video["film"])).status_code == 404
    seen = await world["owner"].get(own["film"])
    assert (seen.status_code, seen.headers["cache-control"]) == (200, "private, no-store")
    assert (await world["viewer"].get(f"/api/videos/{video['id']}")).status_code == 404


async def test_a_purchase_from_a_video_is_credited_to_it(world: World, house: House, db: Database) -> None:
    slot = await publish(world, house, product_ids=[world.product])
    video, viewer = slot["video"], world["viewer"]
    assert [one["title"] for one in video["products"]] == ["海参"]
    slot = (await made(viewer.get("/api/feed/videos")))["items"][0]
    visit = (await made(viewer.post(f"/api/videos/{video['id']}/visits", json={"entry": slot["entry"]})))["visit"]
    line = {"sku_id": world.sku, "quantity": 1, "unit_price": PRICE}
    order = await made(viewer.post("/api/orders", json={"id": str(new_id()), "lines": [line], "visit": visit}))
    read = await made(viewer.get(f"/api/orders/{order['id']}"))
    assert (read["source"], read["placement"], read["show_id"]) == ("public_organic", f"video:{video['id']}", None)
    async with db.read() as tx:
        bodies = await tx.all(bytes, "SELECT body FROM base.outbox WHERE tag = 'order.placed' ORDER BY id")
    assert json.loads(bodies[-1])["placement"] == f"video:{video['id']}"


async def test_a_shared_link_credits_the_share_whoever_opens_it(world: World, house: House) -> None:
    slot = await publish(world, house)
    url = f"/api/videos/{slot['video']['id']}"
    link = await made(world["viewer"].post(f"{url}/share-links"))
    assert link["url"] == f"/videos/{slot['video']['id']}?entry={link['entry']}"
    visit = (await made(world["other"].post(f"{url}/visits", json={"entry": link["entry"]})))["visit"]
    opened = read_visit(house.signer, visit)
    assert (opened.source, opened.placement) == ("share", f"video:{slot['video']['id']}")


async def test_another_videos_entry_and_anothers_are_refused(world: World, house: House) -> None:
    one, other = await publish(world, house), await publish(world, house)
    url = f"/api/videos/{one['video']['id']}/visits"
    assert (await world["viewer"].post(url, json={"entry": other["entry"]})).json()["type"] == "/problems/entry-elsewhere"
    assert (await world["other"].post(url, json={"entry": one["entry"]})).json()["type"] == "/problems/entry-not-yours"


async def test_the_feed_says_why_and_goes_on_by_its_cursor(world: World, house: House) -> None:
    for _ in range(3):
        await publish(world, house)
    viewer = world["viewer"]
    await made(viewer.put(f"/api/follows/{world['owner'].account_id}", json={}))
    first = await made(viewer.get("/api/feed/videos?limit=2", headers={"Accept-Language": "en"}))
    rest = await made(viewer.get(f"/api/feed/videos?limit=2&after={first['next']}"))
    ids = [one["video"]["id"] for one in first["items"] + rest["items"]]
    assert len(ids) == len(set(ids)) == 3 and rest["next"] is None
    assert first["items"][0]["why"] == "you follow them"
    assert first["items"][0]["is_following"] and rest["items"][0]["why"] == "你关注的主播"
    assert (await viewer.get("/api/feed/videos?after=nonsense")).json()["type"] == "/problems/cursor-refused"


async def test_a_warm_up_shows_the_plan(world: World, house: House) -> None:
    show = {"id": str(new_id()), "room_id": world.room, "title": "明晚", "planned_at": "2099-01-01T12:00:00Z"}
    await made(world["owner"].post("/api/shows", json=show))
    slot = await publish(world, house, warms_up=show["id"])
    assert (slot["warms_up"]["title"], slot["warms_up"]["state"]) == ("明晚", "scheduled")
    draft = {"id": str(new_id()), "upload_id": str(new_id()), "title": "x", "warms_up": str(new_id())}
    wrong = await world["owner"].post(f"/api/shops/{world.shop}/videos", json=draft)
    assert wrong.json()["type"] == "/problems/warm-up-refused"


async def test_a_picture_is_made_anew_and_shown_for_ever(world: World, settings: Settings) -> None:
    owner, picture_id = world["owner"], str(new_id())
    answer = await owner.put(f"/api/pictures/{picture_id}?purpose=product", content=picture(), headers=BYTES)
    assert answer.json() == {"id": picture_id, "url": f"/media/uploads/{picture_id}.webp", "width": 320, "height": 200}
    again = await owner.put(f"/api/pictures/{picture_id}?purpose=product", content=picture(), headers=BYTES)
    assert again.json() == answer.json()
    other = await owner.put(f"/api/pictures/{picture_id}", content=picture("PNG"), headers=BYTES)
    assert other.json()["type"] == "/problems/id-reused"
    shown = await world["viewer"].get(answer.json()["url"])
    assert (shown.headers["content-type"], shown.headers["x-content-type-options"]) == ("image/webp", "nosniff")
    listed = await made(owner.patch(f"/api/products/{world.product}", json={"images": [answer.json()["url"]]}))
    assert listed["images"] == [answer.json()["url"]]
    gone = await owner.patch(f"/api/products/{world.product}", json={"images": [f"/media/uploads/{new_id()}.webp"]})
    assert gone.json()["type"] == "/problems/picture-gone"
    assert [path.suffix for path in settings.data_path.rglob("*") if path.is_file()] == [".webp"]


@pytest.mark.parametrize("data", [b"", b"<svg/>" * 50, picture()[:300]], ids=["empty", "drawing", "cut"])
async def test_a_hostile_picture_leaves_nothing(world: World, settings: Settings, data: bytes) -> None:
    answer = await world["viewer"].put(f"/api/pictures/{new_id()}", content=data, headers=BYTES)
    assert answer.status_code == 422, answer.text
    assert [path for path in settings.data_path.rglob("*") if path.is_file()] == []

