"""Going live from the page: Chromium's own camera and microphone, its studio, and who watches."""

from cinema import MOVING, Cinema, Goods, Relay, Show, in_room, open_show, until
from playwright.async_api import Page, expect

GOODS = (Goods("海虾米 淡晒", prices=(4_500,)),)
MSE = ["MediaSource", "ManagedMediaSource", "WebKitMediaSource"]
VIDEO = "document.querySelector('[data-testid=video]')"


async def open_studio(cinema: Cinema, show: Show, *, through: Relay | None = None) -> Page:
    """The live desk of a show, camera and microphone allowed and switched on."""
    desk = await cinema.desk(f"/shows/{show.id}", show.streamer, through=through)
    await desk.context.grant_permissions(["camera", "microphone"])
    await desk.get_by_test_id("open-camera").click()
    await until(desk, "() => document.querySelector('[data-testid=own-picture]')?.videoWidth > 0")
    return desk


async def go_on_air(desk: Page) -> None:
    """Send, until the server takes it."""
    await desk.get_by_test_id("send").click()
    await expect(desk.get_by_test_id("studio")).to_have_attribute("data-sending", "sending")


async def watch(cinema: Cinema, show: Show, *, without_mse: bool = False) -> Page:
    """A viewer with a moving picture; without MSE, as an older iPhone is, it is the browser's own HLS that plays."""
    page = await cinema.phone("/discover" if without_mse else f"/shows/{show.id}")
    if without_mse:
        await page.add_init_script("for (const one of MSE) delete window[one]".replace("MSE", str(MSE)))
        await page.goto(f"{cinema.server.url}/shows/{show.id}")
    await until(page, f"() => {VIDEO}?.currentTime > 1")
    return page


async def test_a_streamer_goes_live_from_the_page_and_is_seen_and_heard(cinema: Cinema) -> None:
    show = await open_show(cinema, *GOODS)
    desk = await open_studio(cinema, show)
    await until(desk, "() => document.querySelector('[data-testid=level]').value > 0.1")
    await go_on_air(desk)

    page = await watch(cinema, show)
    seen = await until(page, f"() => {{ const seen = ({MOVING})(); return seen?.at > 1 && seen }}")
    await until(page, f"from => {VIDEO}.currentTime > from + 1", seen["at"])
    assert seen["width"] > seen["height"] >= 360
    assert seen["spread"] > 4, "all of one colour"
    await until(page, f"() => {VIDEO}.webkitAudioDecodedByteCount > 4000")
    await expect(page.get_by_test_id("status")).to_have_count(0)
    await until(desk, "() => parseFloat(document.querySelector('[data-testid=latency]').textContent) < 4")

    await desk.get_by_test_id("mute-mic").click()
    await until(desk, "() => document.querySelector('[data-testid=level]').value === 0")

    second = await open_studio(cinema, show)
    await second.get_by_test_id("send").click()
    await expect(second.get_by_test_id("studio-refused")).to_contain_text("另一台编码器")
    await second.close()

    await desk.locator(".crumbs a").click()
    dock = desk.get_by_test_id("studio-dock")
    await expect(dock).to_contain_text("推流中")
    at = await page.evaluate(f"{VIDEO}.currentTime")
    await until(page, f"from => {VIDEO}.currentTime > from + 1", at)
    await dock.click()
    await desk.get_by_test_id("send").click()
    await expect(desk.get_by_test_id("studio")).to_have_attribute("data-sending", "idle")
    await expect(page.get_by_test_id("status")).to_have_attribute("data-status", "interrupted")
    await show.end()
    await expect(page.get_by_test_id("ended")).to_be_visible()


async def test_a_camera_that_loses_its_line_comes_back_without_a_reload(cinema: Cinema) -> None:
    cinema.tolerate("ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET", "ERR_SOCKET_NOT_CONNECTED", "WebSocket")
    show = await open_show(cinema, *GOODS)
    async with Relay(cinema.server.port) as way:
        desk = await open_studio(cinema, show, through=way)
        await go_on_air(desk)
        pages = [await watch(cinema, show), await watch(cinema, show, without_mse=True)]
        for page in pages:
            await in_room(page)
            await page.evaluate("window.sameDocument = true")
        assert "master.m3u8" in await pages[1].evaluate(f"{VIDEO}.src")
        way.cut()
        await expect(desk.get_by_test_id("studio")).to_have_attribute("data-sending", "reconnecting")
        for page in pages:
            await expect(page.get_by_test_id("status")).to_have_attribute("data-status", "interrupted")
        stood_at = [await page.evaluate(f"{VIDEO}.currentTime") for page in pages]
        way.mend()
        await expect(desk.get_by_test_id("studio")).to_have_attribute("data-sending", "sending")
        for page, at in zip(pages, stood_at, strict=True):
            await until(page, f"from => {VIDEO}.currentTime > from + 2", at)
            await expect(page.get_by_test_id("status")).to_have_count(0)
            assert await page.evaluate("window.sameDocument")
        await desk.close()
    await show.end()


async def test_a_forbidden_camera_is_said_with_the_way_out(cinema: Cinema) -> None:
    show = await open_show(cinema, *GOODS)
    desk = await cinema.desk(f"/shows/{show.id}", show.streamer, locale="en-GB")
    await desk.get_by_test_id("open-camera").click()
    trouble = desk.get_by_test_id("studio-trouble")
    await expect(trouble).to_have_attribute("data-trouble", "denied")
    await expect(trouble).to_contain_text("Allow both in the browser’s address bar")
    await desk.context.grant_permissions(["camera", "microphone"])
    await desk.get_by_test_id("open-camera").click()
    await expect(desk.get_by_test_id("own-picture")).to_be_visible()
    await show.end()
