"""An order leaves in two parcels, one by the drawer and one by a sheet, arrives, and is confirmed on the phone."""

from uuid import uuid4

from cinema import Cinema, Show, did
from playwright.async_api import expect


async def test_an_order_is_shipped_in_parts_followed_and_confirmed(cinema: Cinema, show: Show) -> None:
    buyer = await cinema.person("小雨")
    await show.give_address(buyer)
    await did(show.streamer.put(f"/api/shops/{show.shop}/dispatch", json={"ship_within_h": 48, "confirm_days": None}))
    order = await show.buy(buyer, "头茬海带结", quantity=3)
    address = (await did(buyer.get("/api/me/addresses")))["items"][0]["id"]
    await did(buyer.put(f"/api/orders/{order}/address", json={"address_id": address}))
    page = await cinema.phone(f"/orders/{order}", buyer)
    await page.get_by_test_id("order-pay").click()
    await page.get_by_test_id("checkout-pay").click()
    await page.get_by_test_id("sandbox-approve").click()
    await expect(page.get_by_test_id("result")).to_have_attribute("data-state", "paid")

    desk = await cinema.desk("/shipments", show.streamer)
    await desk.get_by_test_id(f"ship-{order}").click()
    await desk.get_by_test_id("pieces-1").locator("input").fill("1")
    await desk.get_by_test_id("number").fill("sf 1234567890123")
    await desk.get_by_test_id("ship-go").click()
    parcel = desk.locator("[data-testid^=parcel-]")
    await expect(parcel).to_contain_text("SF1234567890123")
    await parcel.get_by_test_id("correct").click()
    await parcel.get_by_test_id("correct-number").fill("SF1234567890124")
    await parcel.get_by_test_id("correct-go").click()
    await expect(parcel).to_contain_text("SF1234567890124")

    await desk.goto(f"{cinema.server.url}/console/shipments?tab=partly")
    await expect(desk.get_by_test_id(f"shipment-{order}")).to_contain_text("×2")
    await desk.get_by_test_id("sheet-in").click()
    sheet = f"订单号,快递公司,快递单号\n{order},中通,75312345678901\n{uuid4()},中通,75312345678902\n"
    file = {"name": "发货.csv", "mimeType": "text/csv", "buffer": sheet.encode("gb18030")}
    await desk.get_by_test_id("sheet-file").set_input_files(file)  # type: ignore[arg-type]
    await expect(desk.get_by_test_id("sheet-report")).to_contain_text("店里没有这个订单")
    await expect(desk.get_by_test_id("sheet-report")).to_contain_text("共 1 个包裹")

    way = await did(show.streamer.get(f"/api/shops/{show.shop}/orders/{order}/parcels"))
    for one in way["parcels"]:
        event = {"id": str(uuid4()), "kind": "delivered", "place": "大连"}
        await did(show.streamer.post(f"/api/shops/{show.shop}/parcels/{one['id']}/events", json=event))
    await page.goto(f"{cinema.server.url}/orders/{order}")
    await expect(page.get_by_test_id("order-parcel")).to_have_count(2)
    await page.get_by_test_id("order-parcel").first.click()
    await expect(page.get_by_test_id("parcel")).to_have_attribute("data-state", "delivered")
    await expect(page.get_by_test_id("parcel-way")).to_contain_text("大连")
    await page.get_by_test_id("receive").click()
    await page.get_by_test_id("confirm-yes").click()
    await expect(page.get_by_test_id("receive")).to_be_hidden()
    assert (await did(buyer.get(f"/api/orders/{order}")))["state"] == "completed"
