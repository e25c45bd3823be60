"""Every text that somebody can write, written as an attack: nothing runs in another viewer's page, it stands there as is.

A new text needs a line in `FIELDS`: how it is written (over HTTP or the socket, as its owner would) and where somebody
else sees it. `PAYLOADS` are tried one after the other, each carrying the field's name so that the page can be searched.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from cinema import ADDRESS, Cinema, Goods, Show, did, in_room, open_show
from playwright.async_api import Page, expect

from people import Browser as Person

GOODS = (Goods("海虾米 淡晒", prices=(4_500,)),)
SHORT = "<img src=x onerror=pwned=1>{}"
PAYLOADS = (SHORT, '"><svg/onload=pwned=1>{}', "{{{{constructor.constructor('pwned=1')()}}}}{}")
"""An element with a handler, a broken-out attribute, a template's expression. Short enough for the shortest name."""
NAME_PAYLOAD = "<img src=x onerror=pwned=1>"


@dataclass
class Stage:
    """A show, its streamer, a viewer who writes and one who reads."""

    cinema: Cinema
    show: Show
    writer: Person
    handle: str


Write = Callable[[Stage, str], Awaitable[Any]]


@dataclass(frozen=True)
class Field:
    """A text somebody writes, and the page on which others (or the streamer) read it."""

    write: Write
    page: str
    desk: bool = False
    opens: str = ""
    """A test id to click before the text is there."""
    row: bool = False
    """Stands in the drawer of the list's first row."""
    own: bool = False
    """Only its writer sees it."""
    limit: int = 200


async def _title(stage: Stage, text: str) -> None:
    await did(stage.show.streamer.patch(f"/api/shows/{stage.show.id}", json={"title": text}))


async def _name(stage: Stage, text: str) -> None:
    await did(stage.show.streamer.patch("/api/me", json={"name": text}))


async def _about(stage: Stage, text: str) -> None:
    await did(stage.show.streamer.patch("/api/me", json={"about": text}))


async def _headline(stage: Stage, text: str) -> None:
    await did(stage.show.streamer.patch("/api/rooms/mine", json={"title": text}))


async def _shop(stage: Stage, text: str) -> None:
    await did(stage.show.streamer.patch(f"/api/shops/{stage.show.shop}", json={"name": text}))


async def _product(stage: Stage, text: str) -> None:
    await _change_product(stage, title=text)


async def _description(stage: Stage, text: str) -> None:
    await _change_product(stage, description=text)


async def _change_product(stage: Stage, **change: str) -> None:
    products = await did(stage.show.streamer.get(f"/api/shops/{stage.show.shop}/products"))
    await did(stage.show.streamer.patch(f"/api/products/{products['items'][0]['id']}", json=change))


async def _note(stage: Stage, text: str) -> None:
    cart = await did(stage.writer.get(f"/api/shows/{stage.show.id}/cart"))
    item = cart["items"][0]
    sku = item["skus"][0]
    line = {"sku_id": sku["sku_id"], "cart_item_id": item["id"], "quantity": 1, "unit_price": sku["price"]}
    order = {"id": str(uuid4()), "show_id": stage.show.id, "lines": [line], "note": text}
    await did(stage.writer.post("/api/orders", json=order))


async def _address(stage: Stage, text: str) -> None:
    where = {"id": str(uuid4()), **ADDRESS, "street": text}
    await did(stage.writer.post("/api/me/addresses", json=where))


async def _chat(stage: Stage, text: str) -> None:
    page = await stage.cinema.phone(f"/shows/{stage.show.id}", stage.writer)
    await in_room(page)
    await page.get_by_test_id("chat-input").fill(text)
    await page.get_by_test_id("chat-input").press("Enter")
    await expect(page.get_by_test_id("chat-line").filter(has_text=text)).to_have_count(1)
    await page.close()


async def _list_name(stage: Stage, text: str) -> None:
    room = await did(stage.show.streamer.get("/api/rooms/mine"))
    rules = {"lists": [{"name": text[:40], "words": [text[:60]]}]}
    await did(stage.show.streamer.put(f"/api/rooms/{room['id']}/rules", json={"rules": rules}))


async def _reason(stage: Stage, text: str) -> None:
    someone = await stage.cinema.person("某人")
    who = (await did(someone.get("/api/me")))["viewer_id"]
    mute = {"id": str(uuid4()), "kind": "mute", "viewer_id": who, "reason": text}
    await did(stage.show.streamer.post(f"/api/shows/{stage.show.id}/sanctions", json=mute))


async def _promise(stage: Stage, text: str) -> None:
    item = (await did(stage.show.streamer.get(f"/api/shows/{stage.show.id}/cart")))["items"][0]["id"]
    said = {"id": str(uuid4()), "gift": text}
    await did(stage.show.streamer.post(f"/api/cart-items/{item}/promises", json=said))
    await did(stage.show.streamer.put(f"/api/shows/{stage.show.id}/pin", json={"item_id": item}))


async def _poll(stage: Stage, text: str) -> None:
    poll = {"id": str(uuid4()), "kind": "poll", "title": text, "duration_s": 120, "question": text, "options": [text, "B"]}
    await did(stage.show.streamer.post(f"/api/shows/{stage.show.id}/activities", json=poll))
    await did(stage.show.streamer.post(f"/api/activities/{poll['id']}/start", json={}))


ROOM, STREAMER, DESK = "/shows/{show}", "/streamers/{streamer}", "/shows/{show}"
FIELDS: dict[str, Field] = {
    "a text in the room": Field(_chat, ROOM),
    "the name of a streamer": Field(_name, ROOM, limit=40),
    "what a streamer says about themselves": Field(_about, STREAMER),
    "the headline of a room": Field(_headline, STREAMER, limit=80),
    "the title of a show": Field(_title, "/", limit=80),
    "the name of a shop": Field(_shop, "/products/{product}", limit=80),
    "the title of a product": Field(_product, ROOM),
    "the note of an order": Field(_note, "/orders", desk=True, row=True),
    "a street": Field(_address, "/me/addresses", own=True),
    "the reason of a sanction": Field(_reason, DESK, desk=True, opens="open-moderation,order-tab-sanctions"),
    "a promise": Field(_promise, ROOM, limit=60),
    "title, question and answers of a poll": Field(_poll, ROOM, opens="fun-chip", limit=60),
    "the same at the desk": Field(_poll, DESK, desk=True, opens="open-fun", limit=60),
    "the name of a word list": Field(_list_name, DESK, desk=True, opens="open-moderation", limit=40),
}


PAGES = sorted({(field.page, field.desk) for field in FIELDS.values()})


@pytest.mark.parametrize(("where", "at_desk"), PAGES)
async def test_what_somebody_writes_runs_nowhere_and_is_shown_as_it_is(cinema: Cinema, where: str, at_desk: bool) -> None:
    """Every text of a page is written first; then the page is opened, and again for what hides behind a button."""
    show = await open_show(cinema, *GOODS)
    writer = await cinema.person("阿坏")
    stage = Stage(cinema, show, writer, "")
    fields = [(what, field) for what, field in FIELDS.items() if (field.page, field.desk) == (where, at_desk)]
    written: dict[str, list[tuple[Field, str]]] = {}
    for number, (_, field) in enumerate(fields):
        payload = next(one.format(number) for one in PAYLOADS if len(one.format(number)) <= field.limit)
        await field.write(stage, payload)
        written.setdefault(field.opens, []).append((field, payload))
    streamer_id = (await did(show.streamer.get("/api/me")))["viewer_id"]
    cart = await did(writer.get(f"/api/shows/{show.id}/cart"))
    path = where.format(show=show.id, streamer=streamer_id, product=cart["items"][0]["product_id"])
    reader = show.streamer if at_desk else writer if any(field.own for _, field in fields) else None
    page = await (cinema.desk(path, reader) if at_desk and reader else cinema.phone(path, reader))
    for number, (opens, texts) in enumerate(sorted(written.items())):
        if number:
            await page.reload()
        for step in filter(None, opens.split(",")):
            await page.get_by_test_id(step).click()
        if texts[0][0].row:
            await page.locator("tbody tr").first.click()
        for _, payload in texts:
            await _is_tame(page, payload)


async def _is_tame(page: Page, payload: str) -> None:
    """The text can be read on the page, or in a field of it, and nothing of it ran or became an element."""
    await page.wait_for_function(
        """payload => document.body.innerText.includes(payload)
            || [...document.querySelectorAll('input,textarea')].some(one => one.value.includes(payload))
            || [...document.querySelectorAll('[title],[aria-label]')].some(one =>
                 (one.title + one.ariaLabel).includes(payload))""",
        arg=payload[:40],
    )
    ran = await page.evaluate(
        "() => ({ pwned: window.pwned, made: document.querySelectorAll('[onerror],[onload]').length })"
    )
    assert ran == {"made": 0} or ran == {"pwned": None, "made": 0}, ran


async def test_every_kind_of_attack_is_only_a_text_in_the_room(cinema: Cinema) -> None:
    show = await open_show(cinema, *GOODS)
    stage = Stage(cinema, show, await cinema.person("阿坏"), "")
    reader = await cinema.phone(f"/shows/{show.id}")
    desk = await cinema.desk(f"/shows/{show.id}", show.streamer)
    await in_room(reader)
    for number, one in enumerate(PAYLOADS):
        payload = one.format(number)
        await _chat(stage, payload)
        await expect(reader.get_by_test_id("chat-line").filter(has_text=payload)).to_have_count(1)
        await _is_tame(reader, payload)
        await _is_tame(desk, payload)


async def test_a_moderator_deletes_mutes_and_bans_from_the_desk(cinema: Cinema) -> None:
    show = await open_show(cinema, *GOODS)
    rude = await cinema.person("阿坏")
    theirs = await cinema.phone(f"/shows/{show.id}", rude)
    other = await cinema.phone(f"/shows/{show.id}")
    desk = await cinema.desk(f"/shows/{show.id}", show.streamer)
    await in_room(theirs)
    await in_room(other)
    await theirs.get_by_test_id("chat-input").fill("主播不行")
    await theirs.get_by_test_id("chat-input").press("Enter")
    await expect(other.get_by_test_id("chat-line").filter(has_text="主播不行")).to_have_count(1)
    line = desk.get_by_test_id("desk-line").filter(has_text="主播不行")
    await line.get_by_test_id("line-acts").click()
    await line.get_by_test_id("act-mute").click()
    await expect(theirs.get_by_test_id("chat-bound")).to_contain_text("你被禁言到")
    await expect(theirs.get_by_test_id("chat-input")).to_be_disabled()
    await line.get_by_test_id("line-acts").click()
    await line.get_by_test_id("act-delete").click()
    for page in (theirs, other):
        await expect(page.get_by_test_id("chat-line").filter(has_text="主播不行")).to_have_count(0)
    await expect(desk.get_by_test_id("desk-line").filter(has_text="主播不行")).to_have_count(0)


async def test_a_held_text_waits_at_its_sender_and_appears_when_approved(cinema: Cinema) -> None:
    show = await open_show(cinema, *GOODS)
    theirs = await cinema.phone(f"/shows/{show.id}", await cinema.person("小雨"))
    other = await cinema.phone(f"/shows/{show.id}")
    desk = await cinema.desk(f"/shows/{show.id}", show.streamer)
    await in_room(theirs)
    await in_room(other)
    await expect(desk.get_by_test_id("link")).to_have_class("link-state open")
    await theirs.get_by_test_id("chat-input").fill("有人刷单吗")
    await theirs.get_by_test_id("chat-input").press("Enter")
    await expect(theirs.get_by_test_id("chat-held")).to_be_visible()
    await expect(other.get_by_test_id("chat-line").filter(has_text="有人刷单吗")).to_have_count(0)
    await expect(desk.get_by_test_id("held-text")).to_contain_text("有人刷单吗")
    await desk.get_by_test_id("approve-held").click()
    await expect(other.get_by_test_id("chat-line").filter(has_text="有人刷单吗")).to_have_count(1)
    await expect(theirs.get_by_test_id("chat-held")).to_have_count(0)
    await expect(desk.get_by_test_id("held-text")).to_have_count(0)
