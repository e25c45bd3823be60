"""Every endpoint × every role × somebody else's object.

A new endpoint needs one line in `TABLE`; without it `test_every_endpoint_is_in_the_table` fails. A rule says who gets
in; everybody else must be refused in the rule's own way, before anything happens.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import httpx

from films import picture
from laotie import live, messages, uploads
from laotie.base.db import Database
from laotie.base.ids import ShowId, ViewerId, new_id
from laotie.base.settings import Settings
from laotie.identity import Scope, TokenScope
from laotie.uploads import UploadId
from laotie.web.middleware import Door
from people import PASSWORD, Browser, People
from tapes import film, keep
from world import ADDRESS, IN_A_MONTH, PRICE, World, made, make_world, place_order

BYTES = {"content-type": "application/octet-stream"}

Make = Callable[[World], Awaitable[Any]]


@dataclass(frozen=True)
class Rule:
    """Who gets in. `answers` is what each role gets: ok, unknown (401), forbidden (403), absent (404)."""

    answers: dict[str, str]


ROLES = ("anonymous", "guest", "viewer", "other", "streamer", "staff_without", "staff", "operator", "token")


def rule(**answers: str) -> Rule:
    """Every role's answer, by exception from `rest`."""
    rest = answers.pop("rest")
    return Rule({role: answers.get(role, rest) for role in ROLES})


EVERYBODY = rule(rest="ok")
NO_DUEL = rule(rest="absent")
"""There is none; who may cross over in one is tested in tests/traffic."""
KNOWN = rule(rest="ok", anonymous="unknown", token="unknown")
"""Guests too, but not somebody without any cookie; a token without the scope `account` is nobody here."""
SIGNED_IN = rule(rest="ok", anonymous="unknown", guest="unknown", token="forbidden")
MINE = rule(rest="absent", anonymous="unknown", guest="unknown", viewer="ok", token="forbidden")
NOTICED = rule(rest="absent", anonymous="unknown", token="unknown", viewer="ok")
OPERATOR = rule(rest="forbidden", anonymous="unknown", guest="unknown", operator="ok")
OPERATOR_SEES_NONE = rule(rest="forbidden", anonymous="unknown", guest="unknown", operator="absent")
"""Operators only, and there is none of that id; it is tested where there is one in tests/payments."""
NOBODY_S = rule(rest="absent", anonymous="unknown", guest="unknown", token="forbidden")
OWNER = rule(
    rest="absent", anonymous="unknown", guest="unknown", staff="forbidden", staff_without="forbidden", token="forbidden"
)
"""A seat with the scope is not enough."""
SEAT = rule(
    rest="absent", anonymous="unknown", guest="unknown", staff="ok", staff_without="forbidden", token="forbidden"
)

KEEPERS = rule(rest="absent", anonymous="unknown", guest="unknown", staff="ok", operator="ok")
"""Who keeps order in a room: its own people and operators (and moderators, tested in tests/live)."""
COMMENTER = rule(rest="absent", anonymous="unknown", guest="unknown", viewer="ok", staff="ok", operator="ok")
"""Who said it, and who keeps order under the shop's videos."""
SIDES = rule(
    rest="absent", anonymous="unknown", guest="unknown", viewer="ok", staff="ok", operator="ok",
    staff_without="forbidden", token="forbidden",
)  # fmt: skip
"""The sides of an after-sales case: its buyer, its shop's staff, operators."""
ANY_SEAT = rule(rest="absent", anonymous="unknown", guest="unknown", staff="ok", staff_without="ok")
"""What each seat opens is in the answer."""
SEAT_OR_OPERATOR = rule(
    rest="absent", anonymous="unknown", guest="unknown", staff="ok", operator="ok", staff_without="forbidden",
    token="forbidden",
)  # fmt: skip
OWN_ROOM = rule(rest="absent", anonymous="unknown", guest="unknown", streamer="ok", token="forbidden")


@dataclass(frozen=True)
class Row:
    """An endpoint's rule, how to fill its path, and a body that would do."""

    rule: Rule
    scope: Scope | None = None
    path: Make | None = None
    body: Make | None = None
    once: bool = False
    """The act changes who does it, so whoever gets in does it as a throwaway account."""
    csv: bool = False
    query: str = ""
    token_scope: TokenScope | None = None


def seat(scope: Scope, **options: Any) -> Row:
    """For staff with this scope."""
    return Row(SEAT, scope=scope, **options)


def keepers(**options: Any) -> Row:
    """For who keeps order in the room."""
    return Row(KEEPERS, scope=Scope.show, **options)


def body(**values: Any) -> Make:
    """The same body for everybody; `new` stands for a fresh id, other names in braces for the world's objects."""

    async def make(world: World) -> Any:
        return _filled(values, world)

    return make


def _filled(value: Any, world: World) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one, world) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, world) for one in value]
    if value == "{new}":
        return str(new_id())
    if value == "{code}":
        return f"C{new_id().hex[-10:]}"
    if isinstance(value, str) and value.startswith("{"):
        return getattr(world, value.strip("{}"))
    return value


async def _spare_product(world: World) -> dict[str, str]:
    product = str(new_id())
    owner = world["owner"]
    await made(owner.post(f"/api/shops/{world.shop}/products", json={"id": product, "title": "围巾"}))
    sku = {"id": str(new_id()), "code": f"C{product[-12:]}", "price": {"amount": 100, "currency": "CNY"}, "stock": 9}
    await made(owner.post(f"/api/products/{product}/skus", json=sku))
    await made(owner.patch(f"/api/products/{product}", json={"state": "listed"}))
    return {"product_id": product}


async def _spare_item(world: World) -> dict[str, str]:
    item = {"id": str(new_id()), **(await _spare_product(world))}
    await made(world["owner"].post(f"/api/shows/{world.show}/cart", json=item))
    return {"item_id": item["id"]}


async def _spare_wave(world: World) -> dict[str, str]:
    return await _wave_in(world, world.show)


async def _wave_of_item(world: World) -> dict[str, str]:
    """A wave of the item that everybody knows, made once: a wave's pieces can be added to any time."""
    waves = (await made(world["owner"].get(f"/api/shows/{world.show}/waves")))["items"]
    ready = [wave["id"] for wave in waves if wave["item_id"] == world.item and wave["state"] == "ready"]
    if not ready:
        wave = {"id": str(new_id()), "skus": [{"sku_id": world.sku, "pieces": 1}], "opens": False}
        await made(world["owner"].post(f"/api/cart-items/{world.item}/waves", json=wave))
        ready = [wave["id"]]
    return {"wave_id": ready[0]}


async def _wave_on_air(world: World) -> dict[str, str]:
    """Of a live show in a room of its own, so that no other show has to wait."""
    staff = world[f"staff {Scope.show}"]
    rooms = await staff.get("/api/rooms/mine")
    if rooms.status_code == 404:
        await made(staff.post("/api/rooms/mine", json={"id": str(new_id()), "shop_id": world.shop, "title": "房间"}))
        show = {"id": str(new_id()), "title": "今天"}
        await made(staff.post("/api/shows", json=show))
        await made(staff.post(f"/api/shows/{show['id']}/start"))
    shows = (await made(world["owner"].get(f"/api/shops/{world.shop}/shows?state=live")))["items"]
    return await _wave_in(world, shows[0]["id"])


async def _wave_in(world: World, show: str) -> dict[str, str]:
    owner, item, product = world["owner"], str(new_id()), (await _spare_product(world))["product_id"]
    put = await made(owner.post(f"/api/shows/{show}/cart", json={"id": item, "product_id": product}))
    wave = {"id": str(new_id()), "skus": [{"sku_id": put["skus"][0]["sku_id"], "pieces": 1}], "opens": False}
    await made(owner.post(f"/api/cart-items/{item}/waves", json=wave))
    return {"wave_id": wave["id"]}


async def _spare_show(world: World) -> dict[str, str]:
    show = str(new_id())
    await made(world["owner"].post("/api/shows", json={"id": show, "room_id": world.room, "title": "明天"}))
    return {"show_id": show}


async def _spare_address(world: World) -> dict[str, str]:
    address = str(new_id())
    await made(world["viewer"].post("/api/me/addresses", json={"id": address, **ADDRESS}))
    return {"address_id": address}


async def _own_play(world: World) -> dict[str, str]:
    return {"play_id": str(new_id())}


async def _spare_group(world: World) -> dict[str, str]:
    return {"group_id": str(new_id())}


async def _spare_seat(world: World) -> dict[str, str]:
    gone = await world.throwaway()
    handle = (await gone.get("/api/me")).json()["account"]["handle"]
    await made(world["owner"].post(f"/api/shops/{world.shop}/seats", json={"handle": handle, "scopes": ["staff"]}))
    return {"account_id": str(gone.account_id)}


async def _spare_key(world: World) -> dict[str, str]:
    """A key of the owner's that is bound to the shop."""
    key_id = str(new_id())
    key = {"name": "k", "scopes": ["catalog"], "shop_ids": [world.shop], "expires_at": IN_A_MONTH}
    await made(world["owner"].post("/api/tokens", json={"id": key_id, **key}))
    return {"token_id": key_id}


HOOK = {"url": "https://hooks.example/laotie", "types": ["identity.seat_granted"]}


async def _hook(world: World) -> dict[str, str]:
    """The shop's one endpoint, whatever was done to it before."""
    found = (await world["owner"].get(f"/api/shops/{world.shop}/webhooks")).json()["items"]
    if found:
        await made(world["owner"].patch(f"/api/webhooks/{found[0]['id']}", json={"paused": False}))
        return {"endpoint_id": found[0]["id"]}
    hook = {"id": str(new_id()), **HOOK}
    await made(world["owner"].post(f"/api/shops/{world.shop}/webhooks", json=hook))
    return {"endpoint_id": hook["id"]}


async def _pinged(world: World) -> dict[str, str]:
    """A test message to it."""
    where = await _hook(world)
    told = (await world["owner"].get(f"/api/shops/{world.shop}/webhook-deliveries")).json()["items"]
    if not told:
        ping = world["owner"].post(f"/api/webhooks/{where['endpoint_id']}/pings", json={"id": str(new_id())})
        told = [await made(ping)]
    return {"delivery_id": told[0]["id"]}


async def _definition(_world: World) -> dict[str, str]:
    return {"key": "uv"}


async def _spare_spend(world: World) -> dict[str, str]:
    spent = {"spent_on": "2026-01-05", "source": "slot", "campaign": new_id().hex, "amount": 1, "currency": "CNY"}
    kept = await made(world["owner"].post(f"/api/insight/spend?level=shop&of={world.shop}", json=spent))
    return {"spend_id": kept["id"]}


async def _spare_goal(world: World) -> dict[str, str]:
    goal = {"id": str(new_id()), "measure": "buyers", "target": 9, "since": "2026-01-01", "until": "2026-02-01"}
    await made(world["owner"].post(f"/api/insight/goals?level=shop&of={world.shop}", json=goal))
    return {"goal_id": goal["id"]}


async def _orders_kind(_world: World) -> dict[str, str]:
    return {"kind": "orders"}


async def _item_of_spare(world: World) -> Any:
    return {"id": str(new_id()), **(await _spare_product(world))}


async def _new_seat(world: World) -> Any:
    gone = await world.throwaway()
    return {"handle": (await gone.get("/api/me")).json()["account"]["handle"], "scopes": ["staff"]}


async def _no_dispute(world: World) -> dict[str, str]:
    return {"dispute_id": str(new_id())}


async def _no_statement(world: World) -> dict[str, str]:
    return {"statement_id": str(new_id())}


async def _no_refund(world: World) -> dict[str, str]:
    return {"refund_id": str(new_id())}


async def _no_resolution(world: World) -> dict[str, str]:
    return {"resolution_id": str(new_id())}


async def _no_seller(world: World) -> dict[str, str]:
    return {"seller_id": str(new_id())}


async def _no_sandbox_account(world: World) -> dict[str, str]:
    return {"account_id": str(new_id())}


async def _a_day(world: World) -> dict[str, str]:
    return {"day": "2026-11-22"}


async def _sandbox_payment(world: World) -> dict[str, str]:
    order = await place_order(world)
    pay = {"id": str(new_id()), "method": "sandbox"}
    await made(world["viewer"].post(f"/api/orders/{order['order_id']}/payments", json=pay))
    return {"payment_id": pay["id"]}


async def _notice(world: World) -> dict[str, str]:
    viewer = world["viewer"]
    async with world.people.db.tx() as tx:
        await messages.notify_many(tx, [viewer.actor.viewer_id], "show_soon", {"title": str(new_id())}, "/me")
    return {"notice_id": (await viewer.get("/api/me/notices")).json()["items"][0]["id"]}


async def _new_coupon(_world: World) -> Any:
    return {
        "id": str(new_id()),
        "title": "立减",
        "kind": "fixed",
        "currency": "CNY",
        "off_amount": 1,
        "quantity": 100,
        "per_person": 100,
        "budget_amount": 100,
        "starts_at": "2020-01-01T00:00:00Z",
        "ends_at": "2020-12-01T00:00:00Z",
    }


async def _coupon(world: World) -> dict[str, str]:
    """A coupon of the shop, to be had now."""
    now = datetime.now(UTC)
    term = {"starts_at": now.isoformat(), "ends_at": (now + timedelta(days=1)).isoformat()}
    coupon = await _new_coupon(world) | term
    await made(world["owner"].post(f"/api/shops/{world.shop}/coupons", json=coupon))
    return {"coupon_id": coupon["id"]}


async def _no_device(_world: World) -> dict[str, str]:
    return {"device_id": str(new_id())}


async def _parcel(world: World) -> dict[str, str]:
    """A parcel of the viewer's order, without the payment that it takes."""
    parcel_id = new_id()
    async with world.people.db.tx() as tx:
        await tx.run(
            """
            INSERT INTO orders.parcel (id, order_id, shop_id, carrier, number, state, digest, made_at)
            VALUES (%(id)s, %(order)s, %(shop)s, 'other', %(number)s, 'registered', '', now())
            """,
            id=parcel_id,
            order=UUID(world.order),
            shop=UUID(world.shop),
            number=parcel_id.hex.upper(),
        )
        await tx.run("DELETE FROM orders.parcel WHERE number = 'ANOTHER-1'")
    return {"parcel_id": str(parcel_id)}


async def _carrier_name(_world: World) -> dict[str, str]:
    return {"name": "sf"}


SUBSCRIPTION = {
    "endpoint": "https://push.example.com/anybody",
    "keys": {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    },
}
"""The example of RFC 8291, section 5."""

async def _new_clip(world: World) -> Any:
    tape = (await made(world["owner"].get(f"/api/shows/{world.show}/replay")))
    return {"id": str(new_id()), "from_at": tape["starts_at"], "to_at": tape["ends_at"]}


async def _spare_clip(world: World) -> dict[str, str]:
    clip = await _new_clip(world)
    await made(world["owner"].post(f"/api/shows/{world.show}/clips", json=clip))
    return {"clip_id": clip["id"]}


async def _clip_name(world: World) -> dict[str, str]:
    return {"name": f"{(await _spare_clip(world))['clip_id']}.m3u8"}


async def _opening_name(_world: World) -> dict[str, str]:
    return {"name": "i0.mp4"}


async def _new_moderator(world: World) -> Any:
    return {"handle": (await _new_seat(world))["handle"], "rights": ["mute"]}


async def _spare_moderator(world: World) -> dict[str, str]:
    moderator = await made(world["owner"].post(f"/api/rooms/{world.room}/moderators", json=await _new_moderator(world)))
    return {"account_id": moderator["account_id"]}


async def _new_sanction(world: World) -> Any:
    return {"id": str(new_id()), "kind": "mute", "viewer_id": str((await world.throwaway()).account_id)}


async def _spare_sanction(world: World) -> dict[str, str]:
    sanction = await _new_sanction(world)
    await made(world["owner"].post(f"/api/shows/{world.show}/sanctions", json=sanction))
    return {"sanction_id": sanction["id"]}


async def _no_saying(_world: World) -> dict[str, str]:
    return {"saying_id": str(new_id())}


async def _held_saying(world: World) -> dict[str, str]:
    async with world.people.db.tx() as tx:
        held = live.HeldSaying(
            id=new_id(), viewer_id=ViewerId(new_id()), name="…", level=0, text="…", why="review", said_at=tx.now
        )
        await live.store_sayings(tx, ShowId(UUID(world.show)), said=[], held=[held])
    return {"saying_id": str(held.id)}


async def _upload(world: World) -> dict[str, str]:
    """A file on its way here, announced by the viewer (who could not over HTTP: it takes a shop)."""
    upload = UploadId(new_id())
    async with world.people.db.tx() as tx:
        await tx.run("DELETE FROM uploads.upload")
        await uploads.begin(tx, world["viewer"].account_id, upload, size_bytes=1000, bytes_max=1000)
    return {"upload_id": str(upload)}


async def _new_picture(_world: World) -> dict[str, str]:
    return {"picture_id": str(new_id())}


async def _video_of_upload(world: World) -> Any:
    async with world.people.db.tx() as tx:
        await tx.run("DELETE FROM uploads.upload")
    upload = {"id": str(new_id()), "size_bytes": 1000}
    await made(world[f"staff {Scope.show}"].post(f"/api/shops/{world.shop}/uploads", json=upload))
    return {"id": str(new_id()), "upload_id": upload["id"], "title": "海边"}


async def _video(world: World) -> dict[str, str]:
    """A video that everybody sees. Its film, which takes a job and a program, is only said to be there."""
    video = str(new_id())
    async with world.people.db.tx() as tx:
        await tx.run(
            """
            INSERT INTO videos.video (id, shop_id, streamer_id, title, state, upload_id, film_state, film_id, duration_ms,
                                      width, height, size_bytes, digest, created_at, published_at)
            VALUES (%(id)s, %(shop)s, %(owner)s, '海边', 'published', %(id)s, 'ready', %(id)s, 9000, 9, 16, 9, '', now(),
                    now())
            """,
            id=UUID(video),
            shop=UUID(world.shop),
            owner=world["owner"].account_id,
        )
    return {"video_id": video, "play_id": str(new_id())}


async def _comment(world: World) -> dict[str, str]:
    """A comment of the viewer's."""
    comment, video = str(new_id()), (await _video(world))["video_id"]
    async with world.people.db.tx() as tx:
        await tx.run(
            """
            INSERT INTO videos.comment (id, video_id, author_id, text, is_held, said_at)
            VALUES (%(id)s, %(video)s, %(author)s, '好', true, now())
            """,
            id=UUID(comment),
            video=UUID(video),
            author=world["viewer"].account_id,
        )
    return {"comment_id": comment}


BRAND_SIDE = rule(rest="absent", anonymous="unknown", guest="unknown", viewer="ok", operator="ok", token="forbidden")
"""The brand's owner (the viewer here), and operators."""
TERMS = {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2035-01-01T00:00:00Z"}
TRADEMARK = {"office": "CNIPA", "class_no": 29, "name": "…", "ends_at": "2036-01-01T00:00:00Z"}


async def _brand(world: World) -> dict[str, str]:
    """A verified brand of the viewer's, made once, with its trademark."""
    viewer = world["viewer"]
    if not (mine := (await made(viewer.get("/api/brands/mine")))["items"]):
        number = new_id().hex[-12:]
        draft = {"id": str(new_id()), "name_zh": f"品牌{number}"}
        trademark = TRADEMARK | {"id": str(new_id()), "number": number}
        brand = await made(viewer.post("/api/brands", json=draft | {"trademarks": [trademark]}))
        mine = [await made(world["operator"].post(f"/api/brands/{brand['id']}/decision", json={"verified": True}))]
    return {"brand_id": mine[0]["id"], "trademark_id": mine[0]["trademarks"][0]["id"], "product_id": world.product}


async def _asked_brand(world: World) -> Any:
    return {"id": str(new_id()), "brand_id": (await _brand(world))["brand_id"], **TERMS}


async def _new_trademark(_world: World) -> Any:
    return TRADEMARK | {"id": str(new_id()), "number": new_id().hex[-12:]}


async def _authorisation(world: World) -> dict[str, str]:
    brand = (await _brand(world))["brand_id"]
    granted = {"id": str(new_id()), "shop_id": world.shop, **TERMS}
    await made(world["viewer"].post(f"/api/brands/{brand}/authorisations", json=granted))
    return {"authorisation_id": granted["id"]}


async def _asking(world: World) -> dict[str, str]:
    asked = await _asked_brand(world)
    await made(world["owner"].post(f"/api/shops/{world.shop}/authorisations", json=asked))
    return {"authorisation_id": asked["id"]}


async def _contest(world: World) -> Any:
    return {"brand_id": (await _brand(world))["brand_id"], "statement": "…"}


async def _contested(world: World) -> dict[str, str]:
    await made(world["owner"].post(f"/api/products/{world.product}/brand-contests", json=await _contest(world)))
    return await _brand(world)


async def _batch(world: World) -> dict[str, str]:
    batch = BATCH | {"id": str(new_id()), "code": new_id().hex[-12:]}
    await made(world["owner"].post(f"/api/products/{world.product}/batches", json=batch))
    return {"batch_id": batch["id"]}


BATCH = {"id": "{new}", "code": "{code}", "made_on": "2026-01-01", "origin": "大连", "quantity": 9}


async def _document(world: World) -> dict[str, str]:
    """A document of the viewer's, which nothing shows; its page is only said to be there."""
    document = str(new_id())
    async with world.people.db.tx() as tx:
        await tx.run(
            """
            INSERT INTO uploads.document (id, owner_id, page_count, size_bytes, digest, created_at)
            VALUES (%(id)s, %(owner)s, 2, 9, '', now())
            """,
            id=UUID(document),
            owner=world["viewer"].account_id,
        )
    return {"document_id": document, "number": "3"}


async def _new_document(_world: World) -> dict[str, str]:
    return {"document_id": str(new_id())}


TAKING_PART = rule(rest="ok", anonymous="unknown", token="forbidden")
POLL = {"id": "{new}", "kind": "poll", "title": "…", "duration_s": 3_600, "question": "?", "options": ["a", "b"]}


async def _planned(world: World) -> dict[str, str]:
    draft = POLL | {"id": str(new_id())}
    await made(world["owner"].post(f"/api/shows/{world.show}/activities", json=draft))
    return {"activity_id": draft["id"]}


async def _on_air(world: World, kind: str) -> dict[str, str]:
    """An activity of a live show that everybody may see: the one there is, else a new one."""
    await _wave_on_air(world)
    owner = world["owner"]
    show = (await made(owner.get(f"/api/shops/{world.shop}/shows?state=live")))["items"][0]["id"]
    there = [one["activity"] for one in (await made(owner.get(f"/api/shows/{show}/activities")))["items"]]
    for one in there:
        if one["kind"] == kind and one["state"] == "open":
            return {"activity_id": one["id"]}
    draft: dict[str, Any] = POLL | {"id": str(new_id())}
    if kind == "bargain":
        item = (await made(owner.get(f"/api/shows/{show}/cart")))["items"][0]
        bargain = {"item_id": item["id"], "sku_id": item["skus"][0]["sku_id"], "helpers": 9, "pieces": 9}
        del draft["question"], draft["options"]
        draft |= {"kind": kind, "bargain": bargain | {"floor": {"amount": 1, "currency": "CNY"}}}
    await made(owner.post(f"/api/shows/{show}/activities", json=draft))
    await made(owner.post(f"/api/activities/{draft['id']}/start"))
    return {"activity_id": draft["id"]}


async def _poll_on_air(world: World) -> dict[str, str]:
    return await _on_air(world, "poll")


async def _bargain_on_air(world: World) -> dict[str, str]:
    return await _on_air(world, "bargain")


async def _bargain_of_viewer(world: World) -> dict[str, str]:
    offer = (await _on_air(world, "bargain"))["activity_id"]
    bargain = await made(world["viewer"].post(f"/api/activities/{offer}/bargains", json={"id": str(new_id())}))
    return {"bargain_id": bargain["id"]}


async def _complete_order(world: World) -> dict[str, str]:
    order = await place_order(world)
    async with world.people.db.tx() as tx:
        await tx.run(
            """UPDATE orders."order" SET state = 'completed', completed_at = now() WHERE id = %(id)s""",
            id=UUID(order["order_id"]),
        )
    return order


async def _review(world: World) -> dict[str, str]:
    """A review that the viewer wrote."""
    order = (await _complete_order(world))["order_id"]
    said = {"id": str(new_id()), "line_no": 1, "goods": 5, "service": 5, "shipping": 5}
    await made(world["viewer"].post(f"/api/orders/{order}/reviews", json=said))
    return {"review_id": said["id"]}


async def _claim(_world: World) -> Any:
    line = {"no": 1, "quantity": 1}
    return {"id": str(new_id()), "kind": "refund_only", "reason": "damaged", "lines": [line]}


async def _case(world: World) -> dict[str, str]:
    """A case that the viewer opened."""
    order, claim = (await _complete_order(world))["order_id"], await _claim(world)
    await made(world["viewer"].post(f"/api/orders/{order}/cases", json=claim))
    return {"case_id": claim["id"]}


async def _acceptances(world: World) -> Any:
    """Of a case that was called off: the world's orders are complete without ever having been paid."""
    case = await _case(world)
    step = {"id": str(new_id()), "act": "call_off"}
    await made(world["viewer"].post(f"/api/cases/{case['case_id']}/entries", json=step))
    return {"items": [{"entry_id": str(new_id()), **case}]}


async def _exhibit(world: World) -> dict[str, str]:
    """A picture that goes with a case of the viewer's; made once, for it takes a program."""
    viewer, exhibit = world["viewer"], str(new_id())
    for case in (await made(viewer.get("/api/cases")))["items"]:
        for entry in (await made(viewer.get(f"/api/cases/{case['id']}")))["entries"]:
            if entry["exhibits"]:
                return {"exhibit_id": entry["exhibits"][0]["id"]}
    await made(viewer.put(f"/api/pictures/{exhibit}?purpose=evidence", content=picture(), headers=BYTES))
    said = {"id": str(new_id()), "act": "say", "exhibits": [exhibit]}
    await made(viewer.post(f"/api/cases/{(await _case(world))['case_id']}/entries", json=said))
    return {"exhibit_id": exhibit}


PROMISES = [{"kind": "authentic_ninefold"}]

async def _new_group(world: World) -> Any:
    product = await _spare_product(world)
    sku = (await made(world["owner"].get(f"/api/products/{product['product_id']}")))["skus"][0]["id"]
    prices = [{"sku_id": sku, "price": {"amount": 90, "currency": "CNY"}}]
    ends_at = (world.people.db.clock.now() + timedelta(days=2)).isoformat()
    return {"id": str(new_id()), **product, "prices": prices, "size": 2, "ends_at": ends_at}


async def _group(world: World) -> dict[str, str]:
    group = await made(world["owner"].post(f"/api/shops/{world.shop}/group-offers", json=await _new_group(world)))
    return {"offer_id": group["id"]}


async def _new_team(world: World) -> Any:
    return {"id": str(new_id()), **(await _group(world))}


async def _team(world: World) -> dict[str, str]:
    team = await made(world["viewer"].post("/api/teams", json=await _new_team(world)))
    return {"team_id": team["id"]}


async def _template(world: World) -> dict[str, str]:
    return {"template_id": str(new_id())}


async def _made_template(world: World) -> dict[str, str]:
    template = str(new_id())
    said = {"name": template, "measure": "pieces", "rules": [{}]}
    await made(world["owner"].put(f"/api/shops/{world.shop}/shipping-templates/{template}", json=said))
    return {"template_id": template}


async def _invoice(world: World) -> dict[str, str]:
    invoice_id, order_id = new_id(), (await place_order(world))["order_id"]
    async with world.people.db.tx() as tx:
        await tx.run(
            """
            INSERT INTO orders.invoice (id, order_id, shop_id, recipient, asked_at)
            VALUES (%(id)s, %(order_id)s, %(shop_id)s, '{"kind": "person", "title": "王小明"}', now())
            """,
            id=invoice_id,
            order_id=UUID(order_id),
            shop_id=UUID(world.shop),
        )
    return {"invoice_id": str(invoice_id)}


BANK_ACCOUNT = {
    "form": "card", "currency": "CNY", "holder": "王小明", "number": "6222021234567890128", "bank": "工商银行",
    "password": PASSWORD,
}  # fmt: skip


async def _bank_account(world: World) -> dict[str, str]:
    account = {"id": str(new_id()), **BANK_ACCOUNT}
    await made(world["owner"].post(f"/api/shops/{world.shop}/bank-accounts", json=account))
    return {"account_id": account["id"]}


async def _no_batch(_world: World) -> dict[str, str]:
    return {"batch_id": str(new_id())}


async def _no_payout(_world: World) -> dict[str, str]:
    return {"payout_id": str(new_id())}


async def _no_correction(_world: World) -> dict[str, str]:
    return {"correction_id": str(new_id())}


async def _payee(world: World) -> dict[str, str]:
    return {"owner_id": world.shop}


async def _month(_world: World) -> dict[str, str]:
    return {"month": "2026-01"}


TABLE: dict[str, Row] = {
    # service
    "GET /healthz": Row(EVERYBODY),
    "GET /metrics": Row(EVERYBODY),
    "GET /openapi.json": Row(EVERYBODY),
    "GET /problems/{code}": Row(EVERYBODY),
    "GET /": Row(EVERYBODY),
    "GET /{path}": Row(EVERYBODY),
    # identity
    "POST /api/accounts": Row(EVERYBODY, body=body()),
    "POST /api/sessions": Row(EVERYBODY, body=body()),
    "GET /api/sessions": Row(SIGNED_IN),
    "DELETE /api/sessions/current": Row(SIGNED_IN, once=True),
    "DELETE /api/sessions": Row(SIGNED_IN, once=True),
    "DELETE /api/sessions/{session_id}": Row(MINE),
    "GET /api/me": Row(EVERYBODY),
    "PATCH /api/me": Row(SIGNED_IN, body=body(about="…")),
    "POST /api/me/password": Row(SIGNED_IN, once=True, body=body(old=PASSWORD, new="another password")),
    "GET /api/me/export": Row(SIGNED_IN),
    "POST /api/me/erasure": Row(SIGNED_IN, once=True, body=body(password=PASSWORD)),
    "GET /api/me/addresses": Row(SIGNED_IN),
    "POST /api/me/addresses": Row(SIGNED_IN, body=body(id="{new}", **ADDRESS)),
    "PUT /api/me/addresses/{address_id}": Row(MINE, body=body(**ADDRESS)),
    "DELETE /api/me/addresses/{address_id}": Row(MINE, path=_spare_address),
    "GET /api/tokens": Row(SIGNED_IN),
    "POST /api/tokens": Row(
        SIGNED_IN, body=body(id="{new}", name="t", scopes=["account"], expires_at=IN_A_MONTH)
    ),
    "POST /api/tokens/{token_id}/rotation": Row(MINE, body=body(id="{new}", overlap_h=24)),
    "DELETE /api/tokens/{token_id}": Row(MINE),
    "GET /api/shops/{shop_id}/keys": seat(Scope.staff),
    "DELETE /api/shops/{shop_id}/keys/{token_id}": seat(Scope.staff, path=_spare_key),
    "GET /api/shops/{shop_id}/seats": seat(Scope.staff),
    "POST /api/shops/{shop_id}/seats": seat(Scope.staff, body=_new_seat),
    "DELETE /api/shops/{shop_id}/seats/{account_id}": seat(Scope.staff, path=_spare_seat),
    "GET /api/audit-log": Row(OPERATOR, token_scope=TokenScope.operator),
    # catalog
    "POST /api/shops": Row(SIGNED_IN, once=True, body=body(id="{new}", name="店", currency="CNY")),
    "GET /api/shops/{shop_id}": Row(EVERYBODY),
    "PATCH /api/shops/{shop_id}": seat(Scope.catalog, body=body(about="…")),
    "GET /api/products": Row(EVERYBODY),
    "GET /api/categories": Row(EVERYBODY),
    "GET /api/products/{product_id}": Row(EVERYBODY),
    "GET /api/product-sheet-template.csv": Row(EVERYBODY),
    "GET /api/shops/{shop_id}/products": seat(Scope.catalog),
    "POST /api/shops/{shop_id}/products": seat(Scope.catalog, body=body(id="{new}", title="帽子")),
    "PATCH /api/products/{product_id}": seat(Scope.catalog, body=body(title="海参")),
    "POST /api/products/{product_id}/skus": seat(
        Scope.catalog, body=body(id="{new}", code="{code}", options={"大小": "{code}"}, price=PRICE)
    ),
    "PATCH /api/skus/{sku_id}": seat(Scope.catalog, body=body(price=PRICE)),
    "POST /api/skus/{sku_id}/movements": seat(Scope.catalog, body=body(id="{new}", kind="received", quantity=1)),
    "GET /api/skus/{sku_id}/movements": seat(Scope.catalog),
    "GET /api/shops/{shop_id}/products.csv": seat(Scope.catalog),
    "POST /api/shops/{shop_id}/products.csv": seat(Scope.catalog, csv=True),
    "GET /api/shops/{shop_id}/shipping-templates": seat(Scope.catalog),
    "PUT /api/shops/{shop_id}/shipping-templates/{template_id}": seat(
        Scope.catalog, path=_template, body=body(name="{new}", measure="weight", rules=[{}])
    ),
    "DELETE /api/shops/{shop_id}/shipping-templates/{template_id}": seat(Scope.catalog, path=_made_template),
    "GET /media/pictures/{name}": Row(EVERYBODY),
    # live
    "POST /api/rooms/mine": seat(Scope.show, body=body(id="{new}", shop_id="{shop}", title="房间")),
    "GET /api/rooms/mine": Row(OWN_ROOM),
    "PATCH /api/rooms/mine": Row(OWN_ROOM, body=body(title="房间")),
    "POST /api/rooms/mine/ingest-key": Row(OWN_ROOM),
    "GET /api/rooms/{room_id}": Row(EVERYBODY),
    "GET /api/streamers/{streamer_id}": Row(EVERYBODY),
    "GET /api/shops/{shop_id}/shows": Row(EVERYBODY),
    "POST /api/shows": seat(Scope.show, body=body(id="{new}", room_id="{room}", title="明天")),
    "GET /api/shows/{show_id}": Row(EVERYBODY),
    "PATCH /api/shows/{show_id}": seat(Scope.show, body=body(title="今天")),
    "POST /api/shows/{show_id}/start": seat(Scope.show, path=_spare_show),
    "POST /api/shows/{show_id}/end": seat(Scope.show, path=_spare_show),
    "GET /api/shows/{show_id}/ingest": seat(Scope.show),
    "POST /api/shows/{show_id}/publications": seat(Scope.show),
    "GET /api/shows/{show_id}/cart": Row(EVERYBODY),
    "POST /api/shows/{show_id}/cart": seat(Scope.show, body=_item_of_spare),
    "PATCH /api/cart-items/{item_id}": seat(Scope.show, body=body(limit_per_person=5)),
    "DELETE /api/cart-items/{item_id}": seat(Scope.show, path=_spare_item),
    "PUT /api/shows/{show_id}/pin": seat(Scope.show, body=body(item_id="{item}")),
    "POST /api/cart-items/{item_id}/promises": seat(Scope.show, body=body(id="{new}", gift="刷子")),
    "GET /api/shows/{show_id}/promises": Row(EVERYBODY),
    "POST /api/cart-items/{item_id}/waves": seat(
        Scope.show, body=body(id="{new}", skus=[{"sku_id": "{sku}", "pieces": 1}], opens=False)
    ),
    "GET /api/shows/{show_id}/waves": seat(Scope.show),
    "POST /api/waves/{wave_id}/opening": seat(Scope.show, path=_wave_on_air),
    "POST /api/waves/{wave_id}/closing": seat(Scope.show, path=_spare_wave),
    "POST /api/waves/{wave_id}/pieces": seat(
        Scope.show, path=_wave_of_item, body=body(id="{new}", sku_id="{sku}", pieces=1)
    ),
    "POST /api/shows/{show_id}/tickets": Row(EVERYBODY, body=body(entry=None)),
    "POST /api/shows/{show_id}/share-links": Row(EVERYBODY),
    "GET /media/{show_id}/{name}": Row(EVERYBODY),
    "GET /media/{show_id}/poster.jpg": Row(EVERYBODY),
    # order in a room
    "GET /api/rooms/{room_id}/moderators": keepers(),
    "POST /api/rooms/{room_id}/moderators": keepers(body=_new_moderator),
    "DELETE /api/rooms/{room_id}/moderators/{account_id}": keepers(path=_spare_moderator),
    "GET /api/rooms/{room_id}/rules": keepers(),
    "PUT /api/rooms/{room_id}/rules": keepers(body=body(rules={"slow_s": 5})),
    "GET /api/rooms/{room_id}/moderation-log": keepers(),
    "GET /api/shows/{show_id}/moderation-log": keepers(),
    "POST /api/shows/{show_id}/sayings/{saying_id}/deletion": keepers(path=_no_saying, body=body(reason="…")),
    "GET /api/shows/{show_id}/held": keepers(),
    "POST /api/shows/{show_id}/held/{saying_id}/review": keepers(path=_held_saying, body=body(approved=True)),
    "GET /api/shows/{show_id}/sanctions": keepers(),
    "POST /api/shows/{show_id}/sanctions": keepers(body=_new_sanction),
    "DELETE /api/sanctions/{sanction_id}": keepers(path=_spare_sanction),
    # replays and clips
    "GET /api/shows/{show_id}/replay": Row(EVERYBODY),
    "GET /api/shows/{show_id}/replay/chat": Row(EVERYBODY),
    "PATCH /api/shows/{show_id}/replay": seat(Scope.show, body=body(published=True)),
    "DELETE /api/shows/{show_id}/replay": seat(Scope.show),
    "POST /api/shows/{show_id}/replay/visits": Row(EVERYBODY, body=body()),
    "POST /api/shows/{show_id}/replay/share-links": Row(EVERYBODY, body=body(at_s=1)),
    "GET /api/shows/{show_id}/replay/sales": seat(Scope.orders),
    "GET /api/shows/{show_id}/recording": seat(Scope.show),
    "GET /api/streamers/{streamer_id}/replays": Row(EVERYBODY),
    "GET /api/shows/{show_id}/clips": Row(EVERYBODY),
    "POST /api/shows/{show_id}/clips": seat(Scope.show, body=_new_clip),
    "GET /api/products/{product_id}/clips": Row(EVERYBODY),
    "GET /api/clips/{clip_id}": Row(EVERYBODY, path=_spare_clip),
    "PATCH /api/clips/{clip_id}": seat(Scope.show, path=_spare_clip, body=body(title="…")),
    "DELETE /api/clips/{clip_id}": seat(Scope.show, path=_spare_clip),
    "POST /api/clips/{clip_id}/visits": Row(EVERYBODY, path=_spare_clip, body=body()),
    "POST /api/clips/{clip_id}/share-links": Row(EVERYBODY, path=_spare_clip),
    "GET /recordings/{show_id}/{name}": Row(EVERYBODY, path=_opening_name),
    "GET /recordings/{show_id}/clips/{name}": Row(EVERYBODY, path=_clip_name),
    # search
    "GET /api/search": Row(EVERYBODY),
    "GET /api/search/facets": Row(EVERYBODY),
    "GET /api/search/suggestions": Row(EVERYBODY),
    "POST /api/products/{product_id}/visits": Row(EVERYBODY, body=body(entry="of nobody's")),
    "GET /api/synonyms": Row(OPERATOR, token_scope=TokenScope.operator),
    "PUT /api/synonyms/{group_id}": Row(
        OPERATOR, path=_spare_group, body=body(words=["茶杯垫", "{new}"]), token_scope=TokenScope.operator
    ),
    "DELETE /api/synonyms/{group_id}": Row(OPERATOR, path=_spare_group, token_scope=TokenScope.operator),
    # fans and traffic
    "PUT /api/follows/{streamer_id}": Row(KNOWN, body=body()),
    "PATCH /api/follows/{streamer_id}": Row(KNOWN, body=body(notify=False)),
    "DELETE /api/follows/{streamer_id}": Row(KNOWN),
    "PUT /api/shows/{show_id}/reminder": Row(KNOWN),
    "DELETE /api/shows/{show_id}/reminder": Row(KNOWN),
    "GET /api/me/reminders": Row(EVERYBODY),
    "GET /api/me/notices": Row(EVERYBODY),
    "GET /api/me/notices/unread": Row(EVERYBODY),
    "PUT /api/me/notices/read-mark": Row(KNOWN, body=body(up_to="{new}")),
    "POST /api/me/notices/{notice_id}/opening": Row(NOTICED, path=_notice),
    "GET /api/me/notice-preferences": Row(EVERYBODY),
    "PUT /api/me/notice-preferences": Row(KNOWN, body=body(off_kinds=["show_soon"])),
    "GET /api/push-key": Row(EVERYBODY),
    "GET /api/me/push-devices": Row(EVERYBODY),
    "POST /api/me/push-devices": Row(KNOWN, body=body(**SUBSCRIPTION)),
    "DELETE /api/me/push-devices/{device_id}": Row(KNOWN, path=_no_device),
    "GET /api/me/follows": Row(EVERYBODY),
    "GET /api/feed/following": Row(EVERYBODY),
    "GET /api/feed/discover": Row(EVERYBODY),
    "GET /api/attribution-rules": Row(OPERATOR, token_scope=TokenScope.operator),
    "POST /api/attribution-rules": Row(
        OPERATOR,
        body=body(kind="last_touch", window_h=24, valid_from="2020-01-01T00:00:00Z"),
        token_scope=TokenScope.operator,
    ),
    # orders and payments
    "POST /api/orders": Row(
        SIGNED_IN, body=body(id="{new}", lines=[{"sku_id": "{sku}", "quantity": 1, "unit_price": PRICE}])
    ),
    "GET /api/orders": Row(SIGNED_IN),
    "GET /api/orders/{order_id}": Row(MINE),
    "GET /api/orders/{order_id}/team": Row(MINE),
    "GET /api/basket": Row(SIGNED_IN),
    "PUT /api/basket/lines/{sku_id}": Row(SIGNED_IN, body=body(quantity=2)),
    "POST /api/basket/removals": Row(SIGNED_IN, body=body(sku_ids=["{sku}"])),
    "GET /api/products/{product_id}/groups": Row(EVERYBODY),
    "POST /api/teams": Row(SIGNED_IN, body=_new_team),
    "GET /api/teams/{team_id}": Row(EVERYBODY, path=_team),
    # coupons
    "GET /api/coupons": Row(EVERYBODY),
    "POST /api/coupons/{coupon_id}/claims": Row(SIGNED_IN, path=_coupon, body=body(id="{new}")),
    "POST /api/coupons/{coupon_id}/end": seat(Scope.catalog, path=_coupon, body=body()),
    "GET /api/me/coupons": Row(SIGNED_IN),
    "GET /api/shops/{shop_id}/coupons": seat(Scope.catalog),
    "POST /api/shops/{shop_id}/coupons": seat(Scope.catalog, body=_new_coupon),
    "GET /api/platform/coupons": Row(OPERATOR, token_scope=TokenScope.operator),
    "POST /api/platform/coupons": Row(OPERATOR, body=_new_coupon, token_scope=TokenScope.operator),
    "GET /api/orders/{order_id}/coupons": Row(MINE),
    "GET /api/stacking-rules/current": Row(EVERYBODY),
    "POST /api/stacking-rules": Row(
        OPERATOR, body=body(most={"show": 1, "shop": 1, "platform": 1}), token_scope=TokenScope.operator
    ),
    "POST /api/quotes": Row(SIGNED_IN, body=body(lines=[{"sku_id": "{sku}", "quantity": 1}])),
    "GET /api/shops/{shop_id}/group-offers": seat(Scope.catalog),
    "POST /api/shops/{shop_id}/group-offers": seat(Scope.catalog, body=_new_group),
    "POST /api/group-offers/{offer_id}/closure": seat(Scope.catalog, path=_group),
    "PUT /api/orders/{order_id}/address": Row(MINE, body=body(address_id="{address}")),
    "POST /api/orders/{order_id}/cancellation": Row(MINE, path=place_order, body=body()),
    "POST /api/orders/{order_id}/payments": Row(MINE, path=place_order, body=body(id="{new}", method="sandbox")),
    "GET /api/payments/{payment_id}": Row(MINE),
    "GET /api/orders/{order_id}/invoice": Row(MINE),
    "PUT /api/orders/{order_id}/invoice": Row(MINE, body=body(kind="person", title="王小明")),
    "GET /api/orders/{order_id}/price-protection": Row(MINE),
    "POST /api/orders/{order_id}/price-protection": Row(MINE, body=body()),
    "GET /api/shops/{shop_id}/invoices": seat(Scope.orders),
    "GET /api/shops/{shop_id}/invoices.csv": seat(Scope.orders),
    "GET /api/shops/{shop_id}/invoices/{invoice_id}": seat(Scope.orders, path=_invoice),
    "POST /api/shops/{shop_id}/invoices/{invoice_id}/number": seat(Scope.orders, path=_invoice, body=body()),
    "GET /api/shops/{shop_id}/orders": seat(Scope.orders),
    "GET /api/shops/{shop_id}/orders/{order_id}": seat(Scope.orders),
    "GET /api/shows/{show_id}/sales": seat(Scope.orders),
    "GET /api/shows/{show_id}/board": Row(
        rule(rest="absent", anonymous="unknown", guest="unknown", staff="ok", staff_without="ok", token="forbidden"),
        scope=Scope.show,
    ),
    # parcels
    "GET /api/carriers": Row(EVERYBODY),
    "GET /api/orders/{order_id}/parcels": Row(MINE),
    "POST /api/orders/{order_id}/receipt": Row(MINE, body=body()),
    "POST /api/orders/{order_id}/extension": Row(MINE, body=body()),
    "GET /api/shops/{shop_id}/orders/{order_id}/parcels": seat(Scope.orders),
    "POST /api/shops/{shop_id}/orders/{order_id}/parcels": seat(
        Scope.orders, body=body(id="{new}", carrier="sf", number="SF1234567890123")
    ),
    "PATCH /api/shops/{shop_id}/parcels/{parcel_id}": seat(
        Scope.orders, path=_parcel, body=body(carrier="other", number="ANOTHER-1")
    ),
    "POST /api/shops/{shop_id}/parcels/{parcel_id}/cancellation": seat(Scope.orders, path=_parcel, body=body()),
    "POST /api/shops/{shop_id}/parcels/{parcel_id}/events": seat(
        Scope.orders, path=_parcel, body=body(id="{new}", kind="collected")
    ),
    "GET /api/shops/{shop_id}/shipments": seat(Scope.orders),
    "GET /api/shops/{shop_id}/shipment-counts": seat(Scope.orders),
    "GET /api/shops/{shop_id}/packing-list": seat(Scope.orders),
    "GET /api/shops/{shop_id}/shipments.csv": seat(Scope.orders),
    "POST /api/shops/{shop_id}/shipments.csv": seat(Scope.orders, csv=True),
    "GET /api/shops/{shop_id}/dispatch": Row(EVERYBODY),
    "PUT /api/shops/{shop_id}/dispatch": seat(Scope.orders, body=body(ship_within_h=48, confirm_days=None)),
    "GET /api/products/{product_id}/dispatch": Row(EVERYBODY),
    "PUT /api/products/{product_id}/dispatch": seat(Scope.catalog, body=body(ship_within_h=48)),
    "POST /webhooks/carriers/{name}": Row(EVERYBODY, path=_carrier_name),
    "GET /api/sandbox/payments/{payment_id}": Row(MINE),
    "POST /api/sandbox/payments/{payment_id}/outcome": Row(MINE, path=_sandbox_payment, body=body(outcome="approve")),
    "POST /api/sandbox/payments/{payment_id}/code": Row(MINE, body=body(code="000000")),
    "POST /api/sandbox/payments/{payment_id}/disputes": Row(MINE, body=body(id="{new}")),
    "POST /api/sandbox/disputes/{dispute_id}/decision": Row(NOBODY_S, path=_no_dispute, body=body(won=True)),
    "GET /api/sandbox/statements/{day}/lines.csv": Row(OPERATOR, path=_a_day, token_scope=TokenScope.operator),
    "GET /api/payment-methods": Row(EVERYBODY),
    "GET /api/payment-statements": Row(OPERATOR, token_scope=TokenScope.operator),
    "POST /api/payment-statements.csv": Row(OPERATOR, csv=True, token_scope=TokenScope.operator),
    "POST /api/payment-statements/{statement_id}/matching": Row(
        OPERATOR_SEES_NONE, path=_no_statement, token_scope=TokenScope.operator
    ),
    "GET /api/payment-statements/{statement_id}/differences": Row(
        OPERATOR_SEES_NONE, path=_no_statement, token_scope=TokenScope.operator
    ),
    "GET /api/payment-disputes": Row(OPERATOR, token_scope=TokenScope.operator),
    "POST /api/payment-disputes/{dispute_id}/evidence": Row(
        OPERATOR_SEES_NONE, path=_no_dispute, body=body(text="…"), token_scope=TokenScope.operator
    ),
    "GET /api/payment-refunds": Row(OPERATOR, token_scope=TokenScope.operator),
    "POST /api/payment-refunds/{refund_id}/attempts": Row(
        OPERATOR_SEES_NONE, path=_no_refund, token_scope=TokenScope.operator
    ),
    "GET /api/payment-discrepancies": Row(OPERATOR, token_scope=TokenScope.operator),
    "GET /api/payment-resolutions": Row(OPERATOR, token_scope=TokenScope.operator),
    "POST /api/payment-resolutions": Row(
        OPERATOR_SEES_NONE, body=body(id="{new}", reason="it was a test", discrepancy_id="{new}"), token_scope=TokenScope.operator
    ),
    "POST /api/payment-resolutions/{resolution_id}/decision": Row(
        OPERATOR_SEES_NONE, path=_no_resolution, body=body(settle=True), token_scope=TokenScope.operator
    ),
    "GET /api/payment-providers": Row(OPERATOR, token_scope=TokenScope.operator),
    "GET /api/seller-accounts": Row(OPERATOR, token_scope=TokenScope.operator),
    "POST /api/seller-accounts/{seller_id}/check": Row(
        OPERATOR_SEES_NONE, path=_no_seller, token_scope=TokenScope.operator
    ),
    "PUT /api/shops/{shop_id}/self-operated": Row(OPERATOR, body=body(own=False), token_scope=TokenScope.operator),
    "GET /api/shops/{shop_id}/seller-accounts": seat(Scope.money),
    "POST /api/shops/{shop_id}/seller-accounts": seat(Scope.money, body=body(provider="sandbox")),
    "GET /api/me/seller-accounts": Row(SIGNED_IN),
    "POST /api/me/seller-accounts": Row(SIGNED_IN, body=body(provider="sandbox")),
    "GET /api/sandbox/accounts/{account_id}": Row(NOBODY_S, path=_no_sandbox_account),
    "POST /api/sandbox/accounts/{account_id}/judgement": Row(NOBODY_S, path=_no_sandbox_account, body=body(state="ready")),
    "POST /webhooks/{provider}": Row(EVERYBODY),
    "POST /hooks/rtmp": Row(EVERYBODY),
    # videos and uploads
    "POST /api/shops/{shop_id}/uploads": seat(Scope.show, body=body(id="{new}", size_bytes=1000)),
    "GET /api/uploads/{upload_id}": Row(MINE, path=_upload),
    "PATCH /api/uploads/{upload_id}": Row(MINE, path=_upload),
    "DELETE /api/uploads/{upload_id}": Row(MINE, path=_upload),
    "PUT /api/pictures/{picture_id}": Row(SIGNED_IN, path=_new_picture),
    "GET /media/uploads/{name}": Row(EVERYBODY),
    "POST /api/shops/{shop_id}/videos": seat(Scope.show, body=_video_of_upload),
    "GET /api/shops/{shop_id}/videos": seat(Scope.show),
    "PATCH /api/videos/{video_id}": seat(Scope.show, path=_video, body=body(title="海边")),
    "GET /api/videos/{video_id}": Row(EVERYBODY, path=_video),
    "GET /api/feed/videos": Row(EVERYBODY),
    "GET /api/streamers/{streamer_id}/videos": Row(EVERYBODY),
    "POST /api/videos/{video_id}/visits": Row(EVERYBODY, path=_video, body=body()),
    "POST /api/videos/{video_id}/share-links": Row(EVERYBODY, path=_video),
    "PUT /api/plays/{play_id}": Row(EVERYBODY, path=_own_play, body=body(visit="of nobody's")),
    "PUT /api/videos/{video_id}/plays/{play_id}": Row(KNOWN, path=_video, body=body(watched_ms=1)),
    "PUT /api/videos/{video_id}/like": Row(KNOWN, path=_video),
    "DELETE /api/videos/{video_id}/like": Row(KNOWN, path=_video),
    "GET /api/videos/{video_id}/comments": Row(EVERYBODY, path=_video),
    "POST /api/videos/{video_id}/comments": Row(SIGNED_IN, path=_video, body=body(id="{new}", text="好")),
    "GET /api/video-comments/{comment_id}/answers": Row(EVERYBODY, path=_comment),
    "POST /api/video-comments/{comment_id}/approval": Row(KEEPERS, scope=Scope.show, path=_comment),
    "DELETE /api/video-comments/{comment_id}": Row(COMMENTER, scope=Scope.show, path=_comment),
    "PUT /api/video-comments/{comment_id}/like": Row(SIGNED_IN, path=_comment),
    "DELETE /api/video-comments/{comment_id}/like": Row(SIGNED_IN, path=_comment),
    "GET /media/videos/{name}": Row(EVERYBODY),
    # after-sales
    "GET /api/orders/{order_id}/claimable": Row(MINE),
    "GET /api/orders/{order_id}/cases": Row(MINE),
    "POST /api/orders/{order_id}/cases": Row(MINE, path=_complete_order, body=_claim),
    "GET /api/cases": Row(SIGNED_IN),
    "GET /api/cases/{case_id}": Row(SIDES, scope=Scope.orders, path=_case),
    "POST /api/cases/{case_id}/entries": Row(
        SIDES, scope=Scope.orders, path=_case, body=body(id="{new}", act="say", text="…")
    ),
    "POST /api/evidence-films": Row(SIGNED_IN, body=body(id="{new}", size_bytes=0)),
    "GET /api/evidence/{exhibit_id}": Row(SIDES, scope=Scope.orders, path=_exhibit),
    "GET /api/shops/{shop_id}/cases": seat(Scope.orders),
    "POST /api/shops/{shop_id}/case-acceptances": seat(Scope.orders, body=_acceptances),
    "GET /api/arbitration": Row(OPERATOR, token_scope=TokenScope.operator),
    # fun
    "GET /api/activity-templates": Row(EVERYBODY),
    "GET /api/shows/{show_id}/activities": Row(EVERYBODY),
    "POST /api/shows/{show_id}/activities": seat(Scope.show, body=body(**POLL)),
    "GET /api/activities/{activity_id}": Row(EVERYBODY, path=_poll_on_air),
    "POST /api/activities/{activity_id}/start": seat(Scope.show, path=_planned),
    "POST /api/activities/{activity_id}/crossings": Row(NO_DUEL, path=_poll_on_air, body=body(visit="of no duel")),
    "POST /api/activities/{activity_id}/consent": seat(Scope.show, path=_planned),
    "POST /api/activities/{activity_id}/cancellation": seat(Scope.show, path=_planned),
    "POST /api/activities/{activity_id}/entries": Row(TAKING_PART, path=_poll_on_air, body=body(choice=1)),
    "GET /api/draws/{activity_id}/proof": Row(EVERYBODY, path=_poll_on_air),
    "POST /api/activities/{activity_id}/bargains": Row(SIGNED_IN, path=_bargain_on_air, body=body(id="{new}")),
    "GET /api/bargains/{bargain_id}": Row(EVERYBODY, path=_bargain_of_viewer),
    "POST /api/bargains/{bargain_id}/helps": Row(SIGNED_IN, path=_bargain_of_viewer),
    "POST /api/bargains/{bargain_id}/grant": Row(MINE, path=_bargain_of_viewer),
    "GET /api/me/wallet": Row(SIGNED_IN),
    "POST /api/me/topups": Row(SIGNED_IN, body=body(id="{new}", method="sandbox", amount=PRICE)),
    "GET /api/shops/{shop_id}/wallet": seat(Scope.money),
    "POST /api/shops/{shop_id}/topups": seat(Scope.money, body=body(id="{new}", method="sandbox", amount=PRICE)),
    # webhooks
    "GET /api/webhook-types": Row(EVERYBODY),
    "GET /api/shops/{shop_id}/webhooks": seat(Scope.staff),
    "POST /api/shops/{shop_id}/webhooks": seat(Scope.staff, body=body(id="{new}", **HOOK)),
    "PATCH /api/webhooks/{endpoint_id}": seat(Scope.staff, path=_hook, body=body(paused=True)),
    "DELETE /api/webhooks/{endpoint_id}": seat(Scope.staff, path=_hook),
    "POST /api/webhooks/{endpoint_id}/secret": seat(Scope.staff, path=_hook),
    "POST /api/webhooks/{endpoint_id}/pings": seat(Scope.staff, path=_hook, body=body(id="{new}")),
    "POST /api/webhooks/{endpoint_id}/replays": seat(Scope.staff, path=_hook, body=body(since="2026-01-01T00:00:00Z")),
    "GET /api/shops/{shop_id}/webhook-deliveries": seat(Scope.staff),
    "GET /api/webhook-deliveries/{delivery_id}": seat(Scope.staff, path=_pinged),
    "POST /api/webhook-deliveries/{delivery_id}/replays": seat(Scope.staff, path=_pinged),
    # brands and where goods come from
    "POST /api/brands": Row(SIGNED_IN, body=body(id="{new}", name_zh="好当家")),
    "GET /api/brands": Row(EVERYBODY),
    "GET /api/brands/mine": Row(SIGNED_IN),
    "GET /api/brands/asked": Row(OPERATOR, token_scope=TokenScope.operator),
    "GET /api/brands/{brand_id}": Row(BRAND_SIDE, path=_brand),
    "POST /api/brands/{brand_id}/trademarks": Row(MINE, path=_brand, body=_new_trademark),
    "POST /api/brands/{brand_id}/decision": Row(
        OPERATOR, path=_brand, body=body(verified=True), token_scope=TokenScope.operator
    ),
    "POST /api/trademarks/{trademark_id}/decision": Row(
        OPERATOR, path=_brand, body=body(verified=True), token_scope=TokenScope.operator
    ),
    "GET /api/brands/{brand_id}/authorisations": Row(BRAND_SIDE, path=_brand),
    "POST /api/brands/{brand_id}/authorisations": Row(
        MINE, path=_brand, body=body(id="{new}", shop_id="{shop}", **TERMS)
    ),
    "GET /api/shops/{shop_id}/authorisations": seat(Scope.catalog),
    "POST /api/shops/{shop_id}/authorisations": seat(Scope.catalog, body=_asked_brand),
    "POST /api/authorisations/{authorisation_id}/decision": Row(MINE, path=_asking, body=body(granted=True)),
    "POST /api/authorisations/{authorisation_id}/revocation": Row(
        BRAND_SIDE, path=_authorisation, body=body(reason="…")
    ),
    "GET /api/shops/{shop_id}/brands": Row(EVERYBODY),
    "GET /api/shops": Row(SIGNED_IN),
    "POST /api/products/{product_id}/brand-contests": seat(Scope.catalog, body=_contest),
    "GET /api/brand-contests": Row(OPERATOR, token_scope=TokenScope.operator),
    "POST /api/products/{product_id}/brand-contests/{brand_id}/decision": Row(
        OPERATOR, path=_contested, body=body(accepted=True), token_scope=TokenScope.operator
    ),
    "PUT /api/documents/{document_id}": Row(SIGNED_IN, path=_new_document),
    "GET /api/documents/{document_id}": Row(
        rule(rest="absent", viewer="ok", operator="ok"), path=_document
    ),
    "GET /api/documents/{document_id}/pages/{number}": Row(rule(rest="absent"), path=_document),
    "POST /api/products/{product_id}/batches": seat(Scope.catalog, body=body(**BATCH)),
    "GET /api/products/{product_id}/batches": seat(Scope.catalog),
    "PUT /api/batches/{batch_id}/current": seat(Scope.catalog, path=_batch),
    "POST /api/batches/{batch_id}/closure": seat(Scope.catalog, path=_batch, body=body()),
    "POST /api/batches/{batch_id}/recall": Row(
        rule(
            rest="absent", anonymous="unknown", guest="unknown", staff="ok", staff_without="forbidden", operator="ok",
            token="forbidden",
        ),
        scope=Scope.catalog, path=_batch, body=body(reason="…"),
    ),
    "GET /api/batches/{batch_id}/log": seat(Scope.catalog, path=_batch),
    "GET /api/batches/{batch_id}/orders": seat(Scope.orders, path=_batch),
    "GET /api/products/{product_id}/provenance": Row(EVERYBODY),
    "GET /api/orders/{order_id}/provenance": Row(
        rule(
            rest="absent", anonymous="unknown", guest="unknown", viewer="ok", staff="ok", staff_without="forbidden",
            token="forbidden",
        ),
        scope=Scope.orders,
    ),
    # trust
    "GET /api/shops/{shop_id}/pledge": Row(EVERYBODY),
    "PUT /api/shops/{shop_id}/pledge": seat(Scope.money, body=body(id="{new}", promises=PROMISES)),
    "DELETE /api/shops/{shop_id}/pledge": seat(Scope.money),
    "PUT /api/products/{product_id}/pledge": seat(Scope.money, body=body(id="{new}", promises=PROMISES)),
    "DELETE /api/products/{product_id}/pledge": seat(Scope.money),
    "GET /api/guarantees": Row(EVERYBODY),
    "GET /api/orders/{order_id}/guarantees": Row(MINE),
    "GET /api/shops/{shop_id}/orders/{order_id}/guarantees": seat(Scope.orders),
    "GET /api/shops/{shop_id}/deposit": seat(Scope.money),
    "POST /api/shops/{shop_id}/deposit/movements": seat(
        Scope.money, body=body(id="{new}", direction="in", amount=PRICE)
    ),
    "POST /api/shops/{shop_id}/deposit/topups": seat(Scope.money, body=body(id="{new}", amount=PRICE, method="sandbox")),
    "GET /api/shops/{shop_id}/payouts": seat(Scope.money),
    # reviews
    "GET /api/orders/{order_id}/reviews": Row(MINE),
    "POST /api/orders/{order_id}/reviews": Row(
        MINE, body=body(id="{new}", line_no=1, goods=5, service=5, shipping=5, text="好")
    ),
    "GET /api/reviews/{review_id}": Row(EVERYBODY, path=_review),
    "PUT /api/reviews/{review_id}/follow-up": Row(MINE, path=_review, body=body(text="还是好")),
    "PUT /api/reviews/{review_id}/answer": seat(Scope.orders, path=_review, body=body(text="谢谢")),
    "POST /api/reviews/{review_id}/reports": Row(SIGNED_IN, path=_review, body=body(reason="spam")),
    "PUT /api/reviews/{review_id}/judgement": Row(
        OPERATOR, path=_review, body=body(hide=True, reason="…"), token_scope=TokenScope.operator
    ),
    "GET /api/review-reports": Row(OPERATOR, token_scope=TokenScope.operator),
    "GET /api/products/{product_id}/reviews": Row(EVERYBODY),
    "GET /api/products/{product_id}/review-summary": Row(EVERYBODY),
    "GET /api/shops/{shop_id}/review-summary": Row(EVERYBODY),
    "GET /api/shops/{shop_id}/reviews": seat(Scope.orders),
    # payouts
    "GET /api/shops/{shop_id}/bank-accounts": seat(Scope.money),
    "POST /api/shops/{shop_id}/bank-accounts": Row(OWNER, scope=Scope.money, body=body(id="{new}", **BANK_ACCOUNT)),
    "POST /api/bank-accounts/{account_id}/cancellation": seat(Scope.money, path=_bank_account),
    "GET /api/shops/{shop_id}/settlement-payouts": seat(Scope.money),
    "GET /api/shops/{shop_id}/corrections": seat(Scope.money),
    "GET /api/me/bank-accounts": Row(SIGNED_IN),
    "POST /api/me/bank-accounts": Row(SIGNED_IN, body=body(id="{new}", **BANK_ACCOUNT)),
    "GET /api/me/settlement-payouts": Row(SIGNED_IN),
    "GET /api/me/corrections": Row(SIGNED_IN),
    "GET /api/payees": Row(OPERATOR, token_scope=TokenScope.operator),
    "PUT /api/payees/{owner_id}/hold": Row(
        OPERATOR, path=_payee, body=body(reason="核实中"), token_scope=TokenScope.operator
    ),
    "DELETE /api/payees/{owner_id}/hold": Row(OPERATOR, path=_payee, token_scope=TokenScope.operator),
    "GET /api/payout-batches": Row(OPERATOR, token_scope=TokenScope.operator),
    "POST /api/payout-batches": Row(
        OPERATOR, body=body(id="{new}", channel="cn", currency="CNY"), token_scope=TokenScope.operator
    ),
    "GET /api/payout-batches/{batch_id}": Row(
        OPERATOR_SEES_NONE, path=_no_batch, token_scope=TokenScope.operator
    ),
    "GET /api/payout-batches/{batch_id}/payouts": Row(
        OPERATOR_SEES_NONE, path=_no_batch, token_scope=TokenScope.operator
    ),
    "POST /api/payout-batches/{batch_id}/approval": Row(
        OPERATOR_SEES_NONE, path=_no_batch, token_scope=TokenScope.operator
    ),
    "POST /api/payout-batches/{batch_id}/dispatch": Row(
        OPERATOR_SEES_NONE, path=_no_batch, token_scope=TokenScope.operator
    ),
    "POST /api/payout-batches/{batch_id}/cancellation": Row(
        OPERATOR_SEES_NONE, path=_no_batch, token_scope=TokenScope.operator
    ),
    "GET /api/payout-batches/{batch_id}/file": Row(
        OPERATOR_SEES_NONE, path=_no_batch, token_scope=TokenScope.operator
    ),
    "POST /api/payout-batches/{batch_id}/payout-results.csv": Row(
        OPERATOR_SEES_NONE, path=_no_batch, csv=True, token_scope=TokenScope.operator
    ),
    "POST /api/settlement-payouts/{payout_id}/withholding": Row(
        OPERATOR_SEES_NONE, path=_no_payout, body=body(reason="核实中"), token_scope=TokenScope.operator
    ),
    "POST /api/settlement-payouts/{payout_id}/result": Row(
        OPERATOR_SEES_NONE, path=_no_payout, body=body(outcome="paid"), token_scope=TokenScope.operator
    ),
    "GET /api/corrections": Row(OPERATOR, token_scope=TokenScope.operator),
    "POST /api/corrections": Row(
        OPERATOR,
        body=body(id="{new}", owner_id="{shop}", is_shop=True, amount=PRICE, reason="补偿", evidence="工单 1"),
        token_scope=TokenScope.operator,
    ),
    "POST /api/corrections/{correction_id}/approval": Row(
        OPERATOR_SEES_NONE, path=_no_correction, token_scope=TokenScope.operator
    ),
    "POST /api/corrections/{correction_id}/refusal": Row(
        OPERATOR_SEES_NONE, path=_no_correction, body=body(note="证据不足"), token_scope=TokenScope.operator
    ),
    "POST /api/corrections/{correction_id}/withdrawal": Row(
        OPERATOR_SEES_NONE, path=_no_correction, token_scope=TokenScope.operator
    ),
    # insight: definitions and GMV
    "GET /api/insight/definitions": Row(EVERYBODY),
    "GET /api/insight/definitions/{key}": Row(EVERYBODY, path=_definition),
    "GET /api/insight/gmv": Row(SEAT_OR_OPERATOR, scope=Scope.orders, query="level=shop&of={shop_id}"),
    "GET /api/shows/{show_id}/insight": Row(
        rule(rest="absent", anonymous="unknown", guest="unknown", staff="ok", staff_without="ok", operator="ok", token="forbidden"),
        scope=Scope.show,
    ),
    # insight: overview
    **{
        f"GET /api/insight/{name}": Row(SEAT_OR_OPERATOR, scope=Scope.orders, query="level=shop&of={shop_id}")
        for name in ("overview", "overview/shows", "overview/steps", "overview/surfaces")
    },
    # insight: growth, funnel, why, spending, goals
    **{
        f"GET /api/insight/{name}": Row(SEAT_OR_OPERATOR, scope=Scope.orders, query="level=shop&of={shop_id}")
        for name in ("why", "growth", "funnel", "retention", "purpose", "acquisition", "spend", "goals")
    },
    # insight: repurchase
    **{
        f"GET /api/insight/{name}": Row(SEAT_OR_OPERATOR, scope=Scope.orders, query="level=shop&of={shop_id}")
        for name in ("repurchase", "cohorts", "repurchase/forecast")
    },
    "POST /api/insight/spend": seat(
        Scope.money, query="level=shop&of={shop_id}", body=body(spent_on="2026-01-05", source="slot", amount=1, currency="CNY")
    ),
    "POST /api/insight/spend.csv": seat(Scope.money, query="level=shop&of={shop_id}", csv=True),
    "DELETE /api/insight/spend/{spend_id}": seat(Scope.money, query="level=shop&of={shop_id}", path=_spare_spend),
    "POST /api/insight/goals": seat(
        Scope.orders, query="level=shop&of={shop_id}",
        body=body(id="{new}", measure="buyers", target=9, since="2026-01-01", until="2026-02-01"),
    ),
    "PATCH /api/insight/goals/{goal_id}": seat(
        Scope.orders, query="level=shop&of={shop_id}", path=_spare_goal,
        body=body(version=1, target=8, since="2026-01-01", until="2026-02-01"),
    ),
    "DELETE /api/insight/goals/{goal_id}": seat(Scope.orders, query="level=shop&of={shop_id}", path=_spare_goal),
    # exports, sandbox
    "GET /api/shops/{shop_id}/exports": Row(ANY_SEAT),
    "GET /api/shops/{shop_id}/exports/{kind}": seat(Scope.orders, path=_orders_kind),
    "GET /api/shops/{shop_id}/export.zip": Row(ANY_SEAT),
    "POST /api/sandbox-shops": Row(SIGNED_IN, once=True, body=body(id="{new}")),
    "POST /api/shops/{shop_id}/sandbox/orders": seat(Scope.orders, body=body(id="{new}")),
    "POST /api/shops/{shop_id}/sandbox/orders/{order_id}/happenings": seat(
        Scope.orders, body=body(id="{new}", happening="pay")
    ),
    # rates, balances, statements
    "GET /api/rates": Row(OPERATOR, token_scope=TokenScope.operator),
    "POST /api/rates": Row(
        OPERATOR, token_scope=TokenScope.operator, body=body(id="{new}", kind="platform", bps=100, note="年框")
    ),
    "GET /api/terms": Row(OPERATOR, token_scope=TokenScope.operator),
    "POST /api/terms": Row(
        OPERATOR, token_scope=TokenScope.operator, body=body(id="{new}", delay_h=72, note="缩短账期")
    ),
    "GET /api/shops/{shop_id}/rates": Row(SEAT_OR_OPERATOR, scope=Scope.money),
    "GET /api/shops/{shop_id}/streamer-rates": seat(Scope.money),
    "POST /api/shops/{shop_id}/streamer-rates": seat(Scope.money, body=body(id="{new}", bps=1000, note="约定")),
    "GET /api/me/streamer-rates": Row(SIGNED_IN),
    "GET /api/shops/{shop_id}/balance": seat(Scope.money),
    "GET /api/me/balance": Row(SIGNED_IN),
    "GET /api/shops/{shop_id}/statements": seat(Scope.money),
    "GET /api/me/statements": Row(SIGNED_IN),
    "GET /api/shops/{shop_id}/statements/{month}": seat(Scope.money, path=_month),
    "GET /api/me/statements/{month}": Row(SIGNED_IN, path=_month),
    "GET /api/shops/{shop_id}/statements/{month}/lines": seat(Scope.money, path=_month),
    "GET /api/me/statements/{month}/lines": Row(SIGNED_IN, path=_month),
    "GET /api/shops/{shop_id}/statements/{month}/lines.csv": seat(Scope.money, path=_month),
    "GET /api/me/statements/{month}/lines.csv": Row(SIGNED_IN, path=_month),
    "GET /api/shops/{shop_id}/statements/{month}/statement.pdf": seat(Scope.money, path=_month),
    "GET /api/me/statements/{month}/statement.pdf": Row(SIGNED_IN, path=_month),
    # audit
    "GET /api/status": Row(EVERYBODY),
    "GET /api/audit/incidents": Row(OPERATOR, token_scope=TokenScope.operator),
    "GET /api/audit/runs": Row(OPERATOR, token_scope=TokenScope.operator),
    "POST /api/audit/runs": Row(OPERATOR, token_scope=TokenScope.operator),
}

DENIALS = {
    "unauthenticated": "unknown",
    "forbidden": "forbidden",
    "scope-lacking": "forbidden",
    "not-found": "absent",
    "cross-site": "cross-site",
    "method-not-allowed": "no such method",
}


def endpoints(app: Door) -> set[str]:
    """Every `METHOD /path` that the application answers."""
    found = set()
    for route in app.litestar.routes:
        for method in getattr(route, "methods", ()):
            if method not in ("HEAD", "OPTIONS"):
                found.add(f"{method} {route.path_format}")
    return found


def test_every_endpoint_is_in_the_table(app: Door) -> None:
    assert endpoints(app) == set(TABLE)


async def test_every_role_gets_in_where_it_may_and_nowhere_else(
    people: People, db: Database, settings: Settings
) -> None:
    world = await make_world(people)
    await keep(db, settings.data_path / "recordings", ShowId(UUID(world.show)), film(db.clock.now(), seconds=2))
    wrong: list[str] = []
    for endpoint, row in TABLE.items():
        refused_first = sorted(ROLES, key=lambda role: row.rule.answers[role] == "ok")
        asked: Asked | None = None
        for role in refused_first:
            expected = row.rule.answers[role]
            try:
                if asked is None or (expected == "ok" and not endpoint.startswith("GET ")):
                    asked = await _prepare(world, endpoint, row)  # what was refused or read is as it was
                got = await _try(world, endpoint, row, role, expected, asked)
            except AssertionError as error:
                got = f"could not be tried: {error}"
            if got != expected:
                wrong.append(f"{endpoint} as {role}: {got}, not {expected}")
    assert not wrong, "\n".join(wrong)


OF_A_PERSON = ("POST /api/rooms/mine", "POST /api/shows/{show_id}/publications")
"""A streamer's room is a person's, so these also take the scope `account`."""


async def test_a_key_reaches_as_far_as_its_scopes_and_no_further(
    people: People, db: Database, settings: Settings
) -> None:
    """Every endpoint of a shop's: a key with all other scopes is told which one it lacks; one that reads, reads."""
    world = await make_world(people)
    await keep(db, settings.data_path / "recordings", ShowId(UUID(world.show)), film(db.clock.now(), seconds=2))
    reading = [scope for scope in TokenScope if scope.value.endswith(":read")]
    keys = {"reader": await people.api_client(world["owner"], *reading)}
    for scope in Scope:
        others = [one for one in TokenScope if one.whole not in (scope.value, "account", "operator")]
        keys[scope] = await people.api_client(world["owner"], *others)
    wrong = []
    for endpoint, row in TABLE.items():
        if row.rule is not SEAT or row.scope is None:
            continue
        reads = endpoint.startswith("GET ")
        for key, lacking in ((keys[row.scope], True), (keys["reader"], not reads)):
            answer = await (await _prepare(world, endpoint, row)).by(key)
            refusal = answer.json() if answer.headers.get("content-type") == "application/problem+json" else {}
            said = (refusal.get("type"), refusal.get("scope"))
            if lacking and endpoint in OF_A_PERSON:
                said = (said[0], row.scope.value)  # the first thing it lacks is `account`
            if lacking != (said == ("/problems/scope-lacking", row.scope.value)):
                wrong.append(f"{endpoint}: {answer.status_code} {answer.text[:80]}")
    assert not wrong, "\n".join(wrong)


class Asked(NamedTuple):
    """A request that would do, whoever sends it."""

    method: str
    where: str
    options: dict[str, Any]

    async def by(self, browser: Browser) -> httpx.Response:
        return await browser.request(self.method, self.where, **self.options)


async def _try(world: World, endpoint: str, row: Row, role: str, expected: str, asked: Asked) -> str:
    browser = await _browser(world, row, role)
    if row.once and expected == "ok" and role not in ("anonymous", "guest", "token"):
        browser = await world.throwaway()
    path = endpoint.partition(" ")[2]
    answer = await asked.by(browser)
    assert answer.status_code < 500 or path == "/media/{show_id}/{name}", f"{answer.status_code} {answer.text[:300]}"
    if answer.headers.get("content-type") != "application/problem+json":
        return "ok" if answer.status_code < 400 else str(answer.status_code)
    code = answer.json()["type"].removeprefix("/problems/")
    if path.startswith("/media/") and code == "not-found":
        return "ok"  # nothing is being broadcast here; what matters is that nobody is asked who they are
    return DENIALS.get(code, "ok")


async def _prepare(world: World, endpoint: str, row: Row) -> Asked:
    method, _, path = endpoint.partition(" ")
    values = {
        "shop_id": world.shop, "room_id": world.room, "show_id": world.show, "product_id": world.product,
        "sku_id": world.sku, "item_id": world.item, "order_id": world.order, "payment_id": world.payment,
        "address_id": world.address, "token_id": world.token, "session_id": world.session,
        "streamer_id": str(world["owner"].account_id), "account_id": str(world["staff"].account_id),
        "code": "sold-out", "provider": "sandbox", "path": "feed",
    }  # fmt: skip
    if path.startswith("/media/"):
        values["name"] = f"{world.product}.svg" if "pictures" in path else "index.m3u8"
    if row.path is not None:
        values |= await row.path(world)
    options: dict[str, Any] = {}
    if row.body is not None:
        options["json"] = await row.body(world)
    if row.csv:
        options = {"content": b"code,title,price\n", "headers": {"content-type": "text/csv"}}
    where = f"{path}?{row.query}" if row.query else path
    return Asked(method, where.format_map(values), options)


async def _browser(world: World, row: Row, role: str) -> Browser:
    if role == "anonymous":
        return world.people.stranger()
    if row.scope is not None and role in ("staff", "staff_without", "token"):
        return world[f"{role} {row.scope}"]
    if role == "token" and row.token_scope is not None:
        return world["token of operator"]
    return world[role]
