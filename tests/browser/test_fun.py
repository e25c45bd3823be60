"""Fun as viewers see it: a red packet grabbed, checked and kept; a poll that moves by itself; a bargain among friends."""

import asyncio
from typing import Any
from uuid import uuid4

from cinema import Cinema, Show, did, in_room
from playwright.async_api import Page, expect
from test_access import check

from people import Browser as Person

PACKET_FEN = 1_000


async def fill_wallet(person: Person, amount: int) -> None:
    """Money comes into a wallet as it does everywhere: paid at the provider."""
    money = {"amount": amount, "currency": "CNY"}
    payment = await did(person.post("/api/me/topups", json={"id": str(uuid4()), "amount": money, "method": "sandbox"}))
    reference = payment["next"]["url"].rsplit("/", 1)[-1]
    await did(person.post(f"/api/sandbox/payments/{reference}/outcome", json={"outcome": "approve"}))
    async with asyncio.timeout(30):
        while [{"amount": amount, "currency": "CNY"}] != (await did(person.get("/api/me/wallet")))["balances"]:
            await asyncio.sleep(0.1)


async def begin(show: Show, kind: str, title: str, **what: Any) -> str:
    """The streamer starts an activity; its id."""
    draft = {"id": str(uuid4()), "kind": kind, "title": title, "duration_s": 300, **what}
    activity = str((await did(show.streamer.post(f"/api/shows/{show.id}/activities", json=draft)))["activity"]["id"])
    await did(show.streamer.post(f"/api/activities/{activity}/start", json={}))
    return activity


async def grab(page: Page) -> None:
    """Open the packet's chip, read, and grab."""
    await page.locator("[data-testid=fun-chip][data-kind=red_packet]").click()
    await expect(page.get_by_test_id("fun-rules")).to_contain_text("参加不需要购买任何东西")
    await page.get_by_test_id("fun-act").click()
    await expect(page.get_by_test_id("packet-amount")).to_be_visible()


async def test_a_red_packet_is_grabbed_by_two_and_every_promise_of_it_can_be_checked(
    cinema: Cinema, show: Show
) -> None:
    await fill_wallet(show.streamer, PACKET_FEN)
    rain, wind = await cinema.person("小雨"), await cinema.person("阿风")
    one, other = await cinema.phone(f"/shows/{show.id}", rain), await cinema.phone(f"/shows/{show.id}", wind)
    await asyncio.gather(in_room(one), in_room(other))
    money = {"amount": PACKET_FEN, "currency": "CNY"}
    await begin(show, "red_packet", "开场红包", packet={"amount": money, "count": 2, "split": "lucky"})

    await asyncio.gather(grab(one), grab(other))

    await expect(one.get_by_test_id("fun-share")).to_have_count(2)
    shares = [
        int(await share.get_attribute("data-amount") or 0) for share in await one.get_by_test_id("fun-share").all()
    ]
    assert sum(shares) == PACKET_FEN
    assert min(shares) > 0
    await one.get_by_test_id("fun-check").click()
    await expect(one.get_by_test_id("fun-verdict")).to_have_attribute("data-holds", "true")
    holding = [await finding.get_attribute("data-check") for finding in await one.get_by_test_id("fun-finding").all()]
    assert {"committed", "same_entries", "outcome", "adds_up", "promised", "mine"} <= set(holding)

    await check(one, "draw")
    got = await one.get_by_test_id("packet-amount").inner_text()
    await one.get_by_test_id("to-wallet").click()
    await expect(one.get_by_test_id("wallet-balance")).to_have_text(got)
    await expect(one.get_by_test_id("wallet-move")).to_have_attribute("data-reason", "red-packet")
    await check(one, "wallet")


async def test_a_poll_moves_for_everybody_while_they_look_and_guests_may_vote(cinema: Cinema, show: Show) -> None:
    guest, viewer = (
        await cinema.phone(f"/shows/{show.id}"),
        await cinema.phone(f"/shows/{show.id}", await cinema.person("小雨")),
    )
    await asyncio.gather(in_room(guest), in_room(viewer))
    await begin(show, "poll", "明天播什么", question="明天播什么？", options=["海参", "海胆"])
    for page in (guest, viewer):
        await page.locator("[data-testid=fun-chip][data-kind=poll]").click()
        await expect(page.get_by_test_id("fun-count").nth(1)).to_have_attribute("data-count", "0")

    await guest.get_by_test_id("fun-option").nth(1).click()
    await guest.get_by_test_id("fun-act").click()

    await expect(guest.get_by_test_id("fun-result")).to_be_visible()
    for page in (guest, viewer):
        await expect(page.get_by_test_id("fun-count").nth(1)).to_have_attribute("data-count", "1")
    await check(viewer, "poll")


async def test_a_guest_is_asked_to_sign_in_and_whoever_does_not_follow_to_follow(cinema: Cinema, show: Show) -> None:
    guest, viewer = (
        await cinema.phone(f"/shows/{show.id}"),
        await cinema.phone(f"/shows/{show.id}", await cinema.person("小雨")),
    )
    await asyncio.gather(in_room(guest), in_room(viewer))
    prize = {"title": "即食海参一盒", "count": 1, "amount": None}
    await begin(show, "lottery", "人人有份", prizes=[prize])
    await guest.locator("[data-testid=fun-chip][data-kind=lottery]").click()
    await guest.get_by_test_id("fun-act").click()
    await expect(guest.get_by_test_id("sign-in-sheet")).to_be_visible()

    audience = {"who": "followers", "follow_minutes": 0}
    await begin(show, "lottery", "粉丝专属", prizes=[prize], audience=audience)
    await viewer.locator("[data-testid=fun-chip][data-kind=lottery]").nth(1).click()
    await viewer.get_by_test_id("fun-follow").click()
    await viewer.get_by_test_id("fun-act").click()
    await expect(viewer.get_by_test_id("fun-result")).to_be_visible()
    await expect(viewer.get_by_test_id("fun-odds")).to_have_text("抽 1 人，现有 1 人参加，人人机会相同")


async def test_a_friend_brings_a_bargain_down_and_its_owner_buys_at_that_price(cinema: Cinema, show: Show) -> None:
    title = "头茬海带结"
    owner, friend = await cinema.person("小雨"), await cinema.person("阿风")
    await show.give_address(owner)
    page = await cinema.phone(f"/shows/{show.id}", owner)
    await in_room(page)
    offer = {"item_id": show.items[title], "sku_id": show.skus[title][0], "helpers": 1, "pieces": 5}
    await begin(show, "bargain", "砍到底", bargain={**offer, "floor": {"amount": 1_900, "currency": "CNY"}})
    await page.locator("[data-testid=fun-chip][data-kind=bargain]").click()
    await page.get_by_test_id("bargain-start").click()
    await expect(page.get_by_test_id("bargain-price")).to_have_attribute("data-amount", "3900")
    activity = (await did(owner.get(f"/api/shows/{show.id}/activities")))["items"][0]["activity"]["id"]
    bargain = (await did(owner.post(f"/api/activities/{activity}/bargains", json={"id": str(uuid4())})))["id"]

    helping = await cinema.phone(f"/bargains/{bargain}", friend)
    await expect(helping.get_by_test_id("bargain-help")).to_be_visible()
    await check(helping, "bargain")
    await helping.get_by_test_id("bargain-help").click()
    await expect(helping.get_by_test_id("bargain-mine")).to_contain_text("¥20")
    await expect(page.get_by_test_id("bargain-price")).to_have_attribute("data-amount", "1900")
    await page.get_by_test_id("bargain-take").click()
    await page.get_by_test_id("buy-submit").click()
    await expect(page.get_by_test_id("sandbox-amount")).to_have_text("¥19")


async def test_money_put_into_the_wallet_arrives_there(cinema: Cinema) -> None:
    page = await cinema.phone("/me/wallet", await cinema.person("小雨"))
    await page.get_by_test_id("top-up").click()
    await page.get_by_test_id("top-up-50").click()
    await page.get_by_test_id("top-up-go").click()
    await page.get_by_test_id("sandbox-approve").click()
    await expect(page.get_by_test_id("wallet-balance")).to_have_attribute("data-amount", "5000")
    await expect(page.get_by_test_id("wallet-move")).to_have_attribute("data-reason", "topup")
