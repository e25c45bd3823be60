"""Whose brand and where from, in real pages: registered, verified, granted, a batch entered, and seen on the phone."""

from pathlib import Path

from cinema import ROOT, Cinema, Show, did
from playwright.async_api import Locator, Page, expect

from laotie.demo.dealers import CERTIFICATE, TEST_REPORT, paper
from laotie.demo.market import OPERATOR, PASSWORD

SHOTS = ROOT / "build" / "screenshots"


def _box(where: Page | Locator, name: str) -> Locator:
    """The field itself, whether its component puts the mark on it or around it."""
    return where.locator(f"[data-testid={name}] input, input[data-testid={name}]")


async def test_a_brand_lets_a_shop_sell_and_a_buyer_sees_by_what_right_and_where_from(
    cinema: Cinema, show: Show, market: list[str], tmp_path: Path
) -> None:
    certificate, report = tmp_path / "certificate.pdf", tmp_path / "检测 A.pdf"
    certificate.write_bytes(paper(CERTIFICATE))
    report.write_bytes(paper(TEST_REPORT))
    owner = await cinema.person("品牌方")
    page = await cinema.desk("/brands", owner)
    await page.get_by_test_id("brand-new").click()
    form = page.get_by_test_id("dealing-form")
    await _box(form, "brand-zh").fill("浪尖牌")
    await _box(form, "mark-number").fill("66001177")
    await _box(form, "mark-name").fill("浪尖牌")
    await form.get_by_test_id("document-file").set_input_files(certificate)
    await expect(form).to_contain_text("1 页")
    await page.get_by_test_id("dealing-send").click()
    await expect(page.get_by_test_id("brand-asked")).to_contain_text("浪尖牌")

    operator = await cinema.known(OPERATOR, PASSWORD)
    checks = await cinema.desk("/verification", operator)
    asked = checks.get_by_test_id("asked-brand").filter(has_text="浪尖牌")
    await asked.get_by_test_id("document-open").click()
    await expect(checks.get_by_test_id("document-pages").locator("img")).to_have_js_property("complete", True)
    await checks.keyboard.press("Escape")
    await asked.get_by_test_id("verify-brand").click()
    await expect(asked).to_have_count(0)

    await page.reload()
    await page.get_by_test_id("grant").click()
    await _box(page, "grant-shop").fill(show.shop)
    await _box(page, "grant-shop").press("Tab")
    await page.get_by_test_id("dealing-send").click()
    await expect(page.get_by_test_id("authorisation-granted")).to_contain_text("有效")
    await page.screenshot(path=SHOTS / "console-brands.png")

    product = (await did(show.streamer.get(f"/api/shops/{show.shop}/products?q=即食海参")))["items"][0]
    brand = (await did(owner.get("/api/brands/mine")))["items"][0]
    await did(show.streamer.patch(f"/api/products/{product['id']}", json={"brand_id": brand["id"]}))
    desk = await cinema.desk("/products", show.streamer)
    await desk.get_by_text("即食海参 开袋即食").first.click()
    await expect(desk.get_by_test_id("brand-rights")).to_be_visible()
    await desk.get_by_test_id("batch-add").click()
    batch = desk.get_by_test_id("batch-form")
    await _box(batch, "batch-code").fill("LJ-1122")
    await _box(batch, "batch-quantity").fill("300")
    await _box(batch, "batch-origin").fill("大连长海")
    await batch.get_by_test_id("document-file").set_input_files(report)
    await expect(batch).to_contain_text("1 页")
    await desk.get_by_test_id("batch-save").click()
    await expect(desk.get_by_test_id("batch-open")).to_contain_text("LJ-1122")

    phone = await cinema.phone(f"/products/{product['id']}", await cinema.person("老客"))
    await phone.get_by_test_id("origin-open").click()
    sheet = phone.get_by_test_id("provenance-sheet")
    await expect(sheet.get_by_test_id("rights")).to_contain_text("品牌授权经销商")
    await sheet.get_by_test_id("paper").click()
    await expect(sheet.get_by_test_id("document-pages").locator("img")).to_have_js_property("complete", True)
    assert await sheet.get_by_test_id("document-pages").locator("img").evaluate("(image) => image.naturalWidth") > 500
    await phone.screenshot(path=SHOTS / "provenance.png")
