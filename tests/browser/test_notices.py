"""A wish on the phone, a start at the desk, and the notice: in the page, on the lock screen, in the inbox."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from cinema import Cinema, Show, did, in_room, until
from playwright.async_api import Page, expect

from pushes import PushService

FAKE_SUBSCRIPTION = """
(given) => {
    const bytes = (text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0))
    let held = null
    PushManager.prototype.getSubscription = async () => held
    PushManager.prototype.subscribe = async (options) => (held = {
        options, endpoint: given.endpoint, unsubscribe: async () => true,
        toJSON: () => ({ endpoint: given.endpoint, keys: { p256dh: given.p256dh, auth: given.auth } }),
    })
}
"""
"""The browser's own push service is another machine; this test's stands in for it, and nothing else is put on."""


async def plan_next(show: Show) -> str:
    """Another show of the same room, in an hour."""
    await show.end()
    mine = await did(show.streamer.get("/api/rooms/mine"))
    planned_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    draft = {"id": str(uuid4()), "room_id": mine["id"], "title": "明早的潮水", "planned_at": planned_at}
    return str((await did(show.streamer.post("/api/shows", json=draft)))["id"])


async def test_remind_me_and_the_start_is_told_on_the_phone_and_on_the_lock_screen(cinema: Cinema, show: Show) -> None:
    service = PushService()
    await service.open()
    try:
        following = await plan_next(show)
        device = service.subscribe("phone")
        page = await cinema.phone(f"/shows/{following}", await cinema.person("小雨"))
        await page.context.grant_permissions(["notifications"])
        await page.evaluate(FAKE_SUBSCRIPTION, {name: getattr(device, name) for name in ("endpoint", "p256dh", "auth")})
        await page.get_by_test_id("remind").click()
        await expect(page.get_by_test_id("remind")).to_have_attribute("aria-pressed", "true")
        await turn_push_on(page)
        await page.go_back()
        await expect(page.get_by_test_id("planned")).to_be_visible()

        await did(show.streamer.post(f"/api/shows/{following}/start", json={}))
        await expect(page.get_by_test_id("notice-banner")).to_contain_text("老纪 开播了")
        async with asyncio.timeout(20):
            while "/phone" not in service.heard:
                await asyncio.sleep(0.05)
        (pushed,) = service.heard["/phone"]
        assert (pushed["kind"], pushed["facts"]["title"]) == ("show_started", "明早的潮水")
        assert await deliver(page, pushed) == [{"title": "老纪 开播了", "body": "明早的潮水", "tag": pushed["id"]}]

        await page.goto(f"{cinema.server.url}/discover")
        await expect(page.get_by_test_id("unread").filter(visible=True)).to_have_text("1")
        await page.get_by_test_id("bell").filter(visible=True).click()
        await expect(page.get_by_test_id("notice")).to_have_attribute("data-kind", "show_started")
        await page.get_by_test_id("notice").get_by_role("button").click()
        await in_room(page)
        assert page.url.endswith(f"/shows/{following}")
        await did(show.streamer.post(f"/api/shows/{following}/end", json={}))
    finally:
        await service.close()


async def turn_push_on(page: Page) -> None:
    """As a person does it: the bell, the gear, the switch."""
    await page.evaluate("history.pushState(history.state, '', location.href)")
    await page.evaluate("document.querySelector('#app').__vue_app__.config.globalProperties.$router.push('/notices')")
    await page.get_by_test_id("notice-wishes").click()
    await page.get_by_test_id("push-switch").click()
    await expect(page.get_by_test_id("push-switch")).to_have_attribute("aria-checked", "true")
    await page.keyboard.press("Escape")


async def deliver(page: Page, pushed: dict[str, Any]) -> list[dict[str, str]]:
    """What Chromium's service worker shows for a push with this content."""
    session = await page.context.new_cdp_session(page)
    registered: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def heard(event: dict[str, Any]) -> None:
        for one in event["registrations"]:
            if not registered.done():
                registered.set_result(one["registrationId"])

    session.on("ServiceWorker.workerRegistrationUpdated", heard)
    await session.send("ServiceWorker.enable")
    push = {"origin": page.url.split("/shows")[0], "registrationId": await registered, "data": json.dumps(pushed)}
    await session.send("ServiceWorker.deliverPushMessage", push)
    shown = "async () => (await (await navigator.serviceWorker.ready).getNotifications()).length"
    await until(page, shown)
    found: list[dict[str, str]] = await page.evaluate(
        """async () => (await (await navigator.serviceWorker.ready).getNotifications())
              .map(({ title, body, tag }) => ({ title, body, tag }))"""
    )
    return found
