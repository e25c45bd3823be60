"""A shop's own program in real pages: an endpoint made, tried out, its failure looked into and sent again."""

from cinema import Cinema, Show
from playwright.async_api import expect

from receivers import Receiver, is_signed


async def test_an_endpoint_is_made_tried_out_and_what_failed_is_sent_again(cinema: Cinema, show: Show) -> None:
    receiver = Receiver()
    await receiver.open()
    try:
        cinema.tolerate("422")  # the address that is refused
        page = await cinema.desk("/webhooks", show.streamer)
        await page.get_by_test_id("new-webhook").click()
        await page.get_by_test_id("webhook-url").fill("ftp://hooks.example/x")
        await page.get_by_test_id("type-order.refunded").check()
        await page.get_by_test_id("type-catalog.stock_changed").check()
        await page.get_by_test_id("webhook-save").click()
        await expect(page.get_by_role("alert")).to_contain_text("https")
        await page.get_by_test_id("webhook-url").fill(f"{receiver.url}/warehouse")
        await page.get_by_test_id("webhook-description").fill("仓库系统")
        await page.get_by_test_id("webhook-save").click()
        secret = await page.get_by_test_id("webhook-secret").inner_text()
        await page.get_by_test_id("webhook-done").click()
        await expect(page.get_by_test_id("webhooks")).to_contain_text("仓库系统")

        receiver.answers["/warehouse"] = b"500 Broken\r\ncontent-length: 13\r\n\r\nout of stock!"
        await page.get_by_test_id("webhook-ping").click()
        drawer = page.get_by_test_id("delivery")
        await expect(drawer.get_by_test_id("attempts")).to_contain_text("out of stock!")
        await expect(drawer.get_by_test_id("delivery-body")).to_contain_text("webhook.ping")
        receiver.answers.clear()
        await drawer.get_by_test_id("delivery-replay").click()
        await expect(drawer.get_by_test_id("delivery-state")).to_have_text("已送达")
        assert len({one.id for one in receiver.heard}) == 1 and all(is_signed(one, secret) for one in receiver.heard)
        await page.keyboard.press("Escape")

        await page.get_by_test_id("deliveries-delivered").click()
        await expect(page.get_by_test_id("deliveries").locator("tbody tr")).to_have_count(1)
        await page.get_by_test_id("webhook-manage").click()
        await page.get_by_test_id("webhook-remove").click()
        await page.locator(".ask-box .el-button--danger").click()
        await expect(page.get_by_test_id("webhooks")).to_have_count(0)
    finally:
        await receiver.close()
