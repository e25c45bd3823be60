"""The room board: a purchase moves it without a reload, and its figures lead to their table."""

from cinema import Cinema, Show, did, in_room, say
from playwright.async_api import expect


async def test_the_board_moves_while_people_buy(cinema: Cinema, show: Show) -> None:
    board = await cinema.desk(f"/shows/{show.id}/board", show.streamer)
    await expect(board.get_by_test_id("board-ordersPlaced")).to_have_text("0")
    viewer = await cinema.person("小雨")
    page = await cinema.phone(f"/shows/{show.id}", viewer)
    await in_room(page)
    await say(page, "这个新鲜吗")
    await show.pin("头茬海带结")
    await show.buy(viewer, "头茬海带结", quantity=2)
    await expect(board.get_by_test_id("board-ordersPlaced")).to_have_text("1")
    await expect(board.get_by_test_id("board-gmvPlaced")).to_have_text("¥78.00")
    await expect(board.get_by_test_id("board-chatsSent")).to_have_text("1")
    await expect(board.get_by_test_id("board-filtered")).to_have_text("尚未过滤")
    await expect(board.get_by_test_id("board-chart").locator("canvas")).to_be_visible()
    row = board.get_by_test_id("board-products").get_by_role("row").filter(has_text="头茬海带结")
    await expect(row).to_contain_text("¥78")
    await board.get_by_test_id("board-tab-marks").click()
    await expect(board.get_by_test_id("board-marks").get_by_role("row").filter(has_text="头茬海带结")).to_contain_text("¥78")
    async with board.expect_download() as download:
        await board.get_by_test_id("board-csv").click()
    text = (await (await download.value).path()).read_text(encoding="utf-8-sig")
    assert "头茬海带结" in text and "78" in text

    await show.end()
    sales = await did(show.streamer.get(f"/api/shows/{show.id}/sales"))
    assert sales["gmv"]["placed"]["amount"] == 7_800
    await board.reload()
    await expect(board.get_by_test_id("board-gmvPlaced")).to_have_text("¥78.00")
    await board.get_by_test_id("board-orders").click()
    await expect(board.get_by_test_id("orders")).to_contain_text("头茬海带结")
    await expect(board.get_by_test_id("orders-of-show")).to_contain_text("今早的潮水")
