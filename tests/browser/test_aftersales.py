"""Two complaints about one order: one that the shop grants, one that it refuses and an operator decides."""

from uuid import uuid4

from cinema import ROOT, Cinema, Show, did
from playwright.async_api import Page, expect

from laotie.demo.market import OPERATOR, PASSWORD

PHOTO = ROOT / "docs" / "pictures" / "room.webp"


async def _complain(cinema: Cinema, page: Page, order: str, *, kind: str, reason: str) -> str:
    """Claim one piece, with a picture; the case's id."""
    await page.goto(f"{cinema.server.url}/orders/{order}/claim")
    await page.get_by_test_id("pieces-1").locator("input").fill("1")
    await page.get_by_test_id(f"kind-{kind}").check()
    await page.get_by_test_id(f"reason-{reason}").check(force=True)
    await page.get_by_test_id("claim-text").fill("拆开就是碎的")
    await page.get_by_test_id("evidence-file").set_input_files(PHOTO)
    await expect(page.get_by_test_id("claim-send")).to_be_enabled()
    await page.get_by_test_id("claim-send").click()
    await expect(page.get_by_test_id("case")).to_have_attribute("data-state", "requested")
    return page.url.rsplit("/", 1)[1]


async def _choose(desk: Page, act: str) -> None:
    """By its label: a click on that waits until the drawer stands still."""
    await desk.locator("label", has=desk.get_by_test_id(act)).click()
    await expect(desk.get_by_test_id(act)).to_be_checked()


async def test_a_complaint_is_granted_and_another_goes_to_arbitration(
    cinema: Cinema, show: Show, market: list[str]
) -> None:
    buyer = await cinema.person("小雨")
    order = await show.buy_and_pay(buyer, "头茬海带结", quantity=2)
    page = await cinema.phone(f"/orders/{order}", buyer)
    parcel = {"id": str(uuid4()), "carrier": "sf", "number": "SF1234567890129"}
    await did(show.streamer.post(f"/api/shops/{show.shop}/orders/{order}/parcels", json=parcel))
    event = {"id": str(uuid4()), "kind": "delivered", "place": "大连"}
    await did(show.streamer.post(f"/api/shops/{show.shop}/parcels/{parcel['id']}/events", json=event))
    price = (await did(buyer.get(f"/api/orders/{order}")))["lines"][0]["unit_price"]["amount"]

    granted = await _complain(cinema, page, order, kind="refund_only", reason="damaged")
    desk = await cinema.desk("/aftersales", show.streamer)
    await desk.get_by_test_id(f"case-{granted}").click()
    await _choose(desk, "act-accept")
    await desk.get_by_test_id("step-send").click()
    await expect(desk.get_by_test_id("case-detail")).to_have_attribute("data-state", "refunded")
    await page.reload()
    await expect(page.get_by_test_id("case")).to_have_attribute("data-state", "refunded")

    argued = await _complain(cinema, page, order, kind="refund_only", reason="damaged")
    await desk.goto(f"{cinema.server.url}/console/aftersales")
    await desk.get_by_test_id(f"case-{argued}").click()
    await _choose(desk, "act-refuse")
    await desk.get_by_test_id("step-text").fill("发货前拍过视频，是好的")
    await desk.get_by_test_id("step-send").click()
    await expect(desk.get_by_test_id("case-detail")).to_have_attribute("data-state", "refused")
    await page.reload()
    await page.get_by_test_id("escalate").click()
    await page.get_by_test_id("say-text").fill("请平台看照片")
    await page.get_by_test_id("case-send").click()
    await expect(page.get_by_test_id("case")).to_have_attribute("data-state", "arbitration")

    judge = await cinema.desk("/arbitration", await cinema.known(OPERATOR, PASSWORD))
    await judge.get_by_test_id(f"case-{argued}").click()
    await _choose(judge, "act-decide_for_buyer")
    await judge.get_by_test_id("step-text").fill("照片清楚，商家没有留证")
    await judge.get_by_test_id("step-send").click()
    await expect(judge.get_by_test_id("case-detail")).to_have_attribute("data-state", "refunded")
    await page.reload()
    await expect(page.get_by_test_id("case")).to_have_attribute("data-state", "refunded")
    await expect(page.get_by_test_id("case-log")).to_contain_text("照片清楚")
    seen = await did(buyer.get(f"/api/orders/{order}"))
    assert (seen["bill"]["refunded"]["amount"], seen["lines"][0]["refunded_quantity"]) == (2 * price, 2)
