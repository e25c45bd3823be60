"""Short videos in real pages: brought at the console, swiped on the phone, liked, spoken about, bought from."""

from pathlib import Path

from cinema import ROOT, Cinema, Show, did, until
from playwright.async_api import expect

from films import film, zipped

INJECTION = '<img src=x onerror="window.taken=1"> 真不错'
SHOTS = ROOT / "build" / "screenshots"


async def test_a_video_is_brought_published_watched_liked_and_bought_from(
    cinema: Cinema, show: Show, tmp_path: Path
) -> None:
    cinema.tolerate("422")  # the file that is no film
    page = await cinema.desk("/videos", show.streamer)
    clip = tmp_path / "2024 海边 b.mp4"
    clip.write_bytes(film(seconds=6, size="180x320", rate=12))
    wrong = tmp_path / "holiday.mp4"
    wrong.write_bytes(zipped())
    await page.get_by_test_id("video-file").set_input_files([wrong])
    await expect(page.get_by_test_id("upload-error")).to_contain_text("不是能播放的视频")
    await page.get_by_test_id("upload-cancel").click()
    await expect(page.get_by_test_id("upload")).to_have_count(0)
    await page.get_by_test_id("video-file").set_input_files([clip])

    drawer = page.get_by_test_id("video-form")
    await expect(drawer).to_be_visible()
    title = drawer.get_by_test_id("video-title")
    await expect(title).to_have_value("2024 海边 b")
    await title.fill(INJECTION)
    await drawer.get_by_test_id("video-products").click()
    await page.get_by_role("option").filter(has_text="头茬海带结").click()
    await page.keyboard.press("Escape")
    await page.get_by_test_id("video-publish").click()
    await expect(drawer.get_by_test_id("video-preview")).to_be_visible()
    await page.screenshot(path=SHOTS / "console-video.png")

    buyer = await cinema.person("老客")
    await show.give_address(buyer)
    phone = await cinema.phone("/videos", buyer)
    slide = phone.get_by_role("feed").locator("article").filter(has_text="真不错")
    await until(phone, "() => document.querySelector('[data-active=true] [data-testid=film]')?.currentTime > 3.5")
    await slide.get_by_test_id("video-like").click()
    await expect(slide.get_by_test_id("video-like")).to_have_attribute("aria-pressed", "true")
    await phone.screenshot(path=SHOTS / "video.png")
    await slide.get_by_test_id("video-comments").click()
    await phone.get_by_test_id("comment-text").fill(INJECTION)
    await phone.get_by_test_id("comment-send").click()
    await expect(phone.get_by_test_id("comment").first).to_contain_text("<img src=x")
    await phone.screenshot(path=SHOTS / "video-comments.png")
    await phone.get_by_test_id("sheet-close").first.click()
    assert await phone.evaluate("window.taken") is None

    await slide.get_by_test_id("video-buy").click()
    await expect(phone.get_by_test_id("buy-price")).to_contain_text("39")
    await phone.get_by_test_id("buy-submit").click()
    await phone.get_by_test_id("sandbox-approve").click()
    await expect(phone.get_by_test_id("result")).to_have_attribute("data-state", "paid")
    videos = (await did(show.streamer.get(f"/api/shops/{show.shop}/videos")))["items"]
    order = (await did(buyer.get("/api/orders")))["items"][0]
    assert (order["placement"], order["show_id"]) == (f"video:{videos[0]['id']}", None)
    await page.reload()
    await expect(page.get_by_test_id("video-form")).to_contain_text("1 单，已付 1")
    figures = (await did(show.streamer.get(f"/api/shops/{show.shop}/videos")))["items"][0]["figures"]
    assert (figures["plays"], figures["likes"], figures["comments"]) == (1, 1, 1)
