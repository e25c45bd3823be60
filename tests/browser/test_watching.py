"""What a viewer sees of a show: picture, words, news of the cart, its end."""

import pytest
from cinema import MOVING, Cinema, Goods, Relay, Show, did, in_room, open_show, say, until
from playwright.async_api import Page, expect

from people import Browser as Person

GOODS = (Goods("海虾米 淡晒", prices=(4_500,)),)


async def test_the_picture_moves_and_shows_something(cinema: Cinema, on_air: str) -> None:
    page = await cinema.phone(f"/shows/{on_air}")
    first = await until(page, f"() => {{ const seen = ({MOVING})(); return seen?.at > 0.5 && seen }}")
    await until(page, "from => document.querySelector('[data-testid=video]').currentTime > from + 2", first["at"])
    assert first["mean"] > 15, "black"
    assert first["spread"] > 10, "all of one colour"
    assert first["height"] > first["width"] >= 360
    await expect(page.get_by_test_id("status")).to_have_count(0)


async def test_what_one_viewer_says_appears_to_the_other(cinema: Cinema, show: Show) -> None:
    mine = await cinema.phone(f"/shows/{show.id}", await cinema.person("小雨"))
    theirs = await cinema.phone(f"/shows/{show.id}")
    await in_room(mine)
    await in_room(theirs)
    await say(mine, "这个怎么化冻？")
    await expect(mine.get_by_test_id("chat-line")).to_contain_text("这个怎么化冻？")
    line = theirs.get_by_test_id("chat-line").filter(has_text="这个怎么化冻？")
    await expect(line).to_contain_text("小雨")
    await expect(mine.get_by_test_id("chat-line")).to_have_count(1)
    await expect(theirs.get_by_test_id("viewers")).to_have_text("2")


async def test_following_in_the_room_brings_the_streamer_to_the_following_page(cinema: Cinema, show: Show) -> None:
    page = await cinema.phone(f"/shows/{show.id}", await cinema.person("阿泽"))
    follow = page.get_by_test_id("follow")
    await follow.click()
    await expect(follow).to_have_attribute("aria-pressed", "true")
    await page.goto(f"{cinema.server.url}/following")
    card = page.get_by_test_id("following-live")
    await expect(card).to_contain_text("老纪")
    await card.click()
    await in_room(page)
    await expect(page.get_by_test_id("follow")).to_have_attribute("aria-pressed", "true")


async def test_sold_out_is_said_calmly(cinema: Cinema, show: Show) -> None:
    await show.pin("现开海胆黄")
    page = await cinema.phone(f"/shows/{show.id}")
    await expect(page.get_by_test_id("pinned-stock")).to_have_attribute("data-left", "2")
    await show.buy(await cinema.person("手快"), "现开海胆黄", quantity=2)
    await expect(page.get_by_test_id("pinned-stock")).to_have_attribute("data-left", "0")
    await expect(page.get_by_test_id("pinned-buy")).to_be_disabled()
    await expect(page.get_by_test_id("pinned-buy")).to_have_text("已抢光")
    await expect(page.get_by_role("alert")).to_have_count(0)
    await page.get_by_test_id("cart").click()
    item = page.get_by_test_id("cart-item").filter(has_text="现开海胆黄")
    await expect(item.get_by_test_id("cart-buy")).to_be_disabled()


async def test_a_show_that_ends_says_so_and_leads_on(cinema: Cinema, show: Show) -> None:
    other = await open_show(cinema, *GOODS, name="童童妈", title="还在播的一场")
    page = await cinema.phone(f"/shows/{show.id}", await cinema.person("北北"))
    await in_room(page)
    await show.end()
    ended = page.get_by_test_id("ended")
    await expect(ended).to_contain_text("直播已结束")
    await expect(page.get_by_test_id("pinned")).to_have_count(0)
    await expect(page.get_by_test_id("status")).to_have_count(0)
    await ended.get_by_test_id("follow").click()
    await expect(ended.get_by_test_id("follow")).to_have_attribute("aria-pressed", "true")
    await expect(ended.get_by_test_id("show-card").filter(has_text="还在播的一场")).to_be_visible()
    late = await cinema.phone(f"/shows/{show.id}")
    await expect(late.get_by_test_id("ended")).to_contain_text("直播已结束")
    await other.end()


@pytest.mark.parametrize("fault", ["the device is offline", "the line is cut"])
async def test_a_dropped_line_comes_back_to_the_room_as_it_is_now(cinema: Cinema, show: Show, fault: str) -> None:
    cinema.tolerate(
        "ERR_INTERNET_DISCONNECTED",
        "ERR_EMPTY_RESPONSE",
        "ERR_CONNECTION_RESET",
        "ERR_SOCKET_NOT_CONNECTED",
        "WebSocket",
    )
    async with Relay(cinema.server.port) as way:
        page = await cinema.phone(f"/shows/{show.id}", await cinema.person("海风"), through=way)
        other = await cinema.phone(f"/shows/{show.id}", await cinema.person("Mia"))
        await in_room(page)
        await in_room(other)
        if fault == "the line is cut":
            way.cut()
        else:
            await page.context.set_offline(True)
        await _miss_something(page, other, show, await cinema.person("手快"))
        way.mend()
        await page.context.set_offline(False)
        await in_room(page)
        await expect(page.get_by_test_id("pinned")).to_contain_text("头茬海带结")
        await expect(page.get_by_test_id("pinned-stock")).to_have_attribute("data-left", "37")
        for text in ("你错过了这句", "我掉线了吗"):
            await expect(page.get_by_test_id("chat-line").filter(has_text=text)).to_have_count(1)
            await expect(other.get_by_test_id("chat-line").filter(has_text=text)).to_have_count(1)
        await expect(page.get_by_test_id("status")).to_have_count(0)


async def _miss_something(page: Page, other: Page, show: Show, buyer: Person) -> None:
    """What happens in the room while the page cannot hear it."""
    await expect(page.get_by_test_id("room")).not_to_have_attribute("data-link", "open")
    await expect(page.get_by_test_id("status")).to_have_attribute("data-status", "reconnecting")
    await say(page, "我掉线了吗")
    await say(other, "你错过了这句")
    await show.pin("头茬海带结")
    await show.buy(buyer, "头茬海带结", quantity=3)


MISCHIEF = (
    '<img src=x onerror="window.hurt=1">',
    "<script>window.hurt=1</script>",
    "{{constructor.constructor('window.hurt=1')()}}",
)


async def test_script_in_words_names_and_titles_is_only_text(cinema: Cinema) -> None:
    show = await open_show(cinema, *(Goods(one) for one in MISCHIEF), name=MISCHIEF[0][:40], title=MISCHIEF[0])
    viewer = await cinema.person(MISCHIEF[0][:40])
    desk = await cinema.desk(f"/shows/{show.id}", show.streamer)
    page = await cinema.phone("/me", viewer)
    for mischief in MISCHIEF:
        name = mischief[:40]
        await did(show.streamer.patch("/api/me", json={"name": name}))
        await did(show.streamer.patch(f"/api/shows/{show.id}", json={"title": mischief}))
        await did(viewer.patch("/api/me", json={"name": name}))
        await show.pin(mischief)
        await page.goto(f"{cinema.server.url}/shows/{show.id}")
        await in_room(page)
        await say(page, mischief)
        line = desk.get_by_test_id("desk-line").filter(has_text=mischief)
        await expect(line.last).to_contain_text(name)
        await expect(desk.get_by_test_id("cart")).to_contain_text(mischief)
        await expect(page.get_by_test_id("chat-line").filter(has_text=mischief).last).to_be_visible()
        await expect(page.get_by_test_id("pinned")).to_contain_text(mischief)
        await page.goto(f"{cinema.server.url}/discover")
        await expect(page.get_by_test_id("show-card").filter(has_text=mischief)).to_contain_text(name)
        assert await page.evaluate("window.hurt") is None
    await show.end()
    assert await desk.evaluate("window.hurt") is None


async def test_the_language_is_the_browsers_until_one_is_chosen(cinema: Cinema, show: Show) -> None:
    page = await cinema.phone("/me", await cinema.person("Leo"), locale="en-GB")
    await expect(page.get_by_test_id("tab-orders")).to_have_text("Orders")
    await page.get_by_test_id("locale-zh-CN").click()
    await expect(page.get_by_test_id("tab-orders")).to_have_text("订单")
    await expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    await page.goto(f"{cinema.server.url}/shows/{show.id}")
    await expect(page.get_by_test_id("pinned-buy")).to_have_text("抢购")
    await page.goto(f"{cinema.server.url}/me")
    await page.get_by_test_id("locale-en").click()
    await page.goto(f"{cinema.server.url}/shows/{show.id}")
    await expect(page.get_by_test_id("pinned-buy")).to_have_text("Buy")
