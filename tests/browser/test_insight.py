"""The insight pages: what they show is what the API says, in the period and kind that are chosen, and can be taken away."""

import csv
import io
import re
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from cinema import Cinema, Goods, Show, did, open_show
from playwright.async_api import Locator, Page, expect
from test_access import check

from lakes import ZONE, Tale
from laotie.audit.watch import WATCH_LOCK
from laotie.base.db import Database
from laotie.lake import Lake
from laotie.lake.compaction import MERGE_LOCK


async def test_numbers_on_the_pages_are_those_of_the_api(cinema: Cinema) -> None:
    show = await open_show(cinema, Goods("头茬海带结", prices=(3_900,)), title="一场六十个字的标题" * 6)
    me = UUID((await did(show.streamer.get("/api/me")))["viewer_id"])
    then = datetime.now(UTC).astimezone(ZoneInfo(ZONE)).date()
    tale, at = Tale(), {"show_id": UUID(show.id).bytes, "shop_id": UUID(show.shop).bytes, "streamer_id": me.bytes}
    tale.add("show", 1, then, title="一场", started_us=tale.at(1, then), **at)
    for number, source in enumerate(("private", "public_paid", "share")):
        for viewer in range(number + 2):
            name = f"{show.id} {source} {viewer}"
            tale.visit(10, name, name, day=then, source=source, **at)
            tale.watch(10, 95, name, name, day=then, source=source, show_id=at["show_id"])
        for kind in ("placed", "paid")[: 2 - (source == "share")]:
            tale.money(20, kind, f"{name} order", name, 9_876_543_210 + number, day=then, source=source, **at)
    lake = Lake.of(cinema.server.settings)
    db = await Database.open(cinema.server.database_url, pool_max=1)
    async with db.tx() as guard:  # the books do not know this money: the watch, which would find that, waits, and so does merging
        for key in (WATCH_LOCK, MERGE_LOCK):
            await guard.run("SELECT pg_advisory_xact_lock(%(key)s)", key=key)
        told = tale.write(lake)
        try:
            await _compare(cinema, show, then)
        finally:
            for part in told:
                if part.topic == "money":
                    lake.fs.rm(f"{lake.root}/{part.path}")
    await db.close()
    await show.end()


async def _compare(cinema: Cinema, show: Show, then: date) -> None:
    days = f"since={then}&until={then + timedelta(days=1)}"
    where = f"level=shop&of={show.shop}&{days}"
    page = await cinema.desk(f"/insight/overview?{days}&kind=placed&compare=none", show.streamer)
    for kind in ("placed", "paid"):
        await page.get_by_test_id(f"kind-{kind}").click()
        said = await did(show.streamer.get(f"/api/insight/overview?{where}&kind={kind}"))
        await expect(page.get_by_test_id("factor-gmv")).to_have_text(money(said["total"]["gmv_amount"]))
        await expect(page.get_by_test_id("total-gmv")).to_have_text(money(said["total"]["gmv_amount"]))
        assert sum(one["gmv_amount"] for one in said["sources"]) == said["total"]["gmv_amount"] > 0
        shown = {await words(row, 0): await words(row, 1) for row in await rows(page, "by-source")}
        assert shown == {SOURCES[one["source"]]: money(one["gmv_amount"]) for one in said["sources"]}
    await expect(page.get_by_test_id("factor-uv")).to_have_text(str(said["total"]["uv"]))
    await expect(page.get_by_test_id("factor-orders_per_buyer")).to_have_text("1")
    await page.get_by_test_id("gmv-days-toggle").click()
    await expect(page.get_by_test_id("gmv-days").locator("tbody")).to_contain_text(money(9_876_543_210))
    await page.get_by_test_id("define-gmv_paid").click()
    await expect(page.get_by_test_id("definition-sql")).to_contain_text("SELECT")
    await check(page, "definition")
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("definition-sql")).to_have_count(0)
    await expect(page.get_by_test_id("define-gmv_paid")).to_be_focused()
    async with page.expect_download() as download:
        await page.locator("section", has=page.get_by_test_id("by-source")).get_by_test_id("export-menu").click()
        await page.get_by_test_id("export-csv").filter(visible=True).click()
    sheet = (await (await download.value).path()).read_text(encoding="utf-8-sig")
    assert "9876543210" not in sheet and "98765432.10" in [line["gmv"] for line in csv.DictReader(io.StringIO(sheet))]

    await page.get_by_test_id(f"review-{show.id}").click()
    steps = (await did(show.streamer.get(f"/api/insight/overview/steps?level=show&of={show.id}")))["items"]
    whole = next(one for one in steps if one["source"] is None)
    for step in ("came", "watched", "ordered", "paid"):
        await expect(page.get_by_test_id(f"step-{step}")).to_have_text(str(whole[step]))
    await expect(page.get_by_test_id("factor-gmv")).to_have_text(money(said["total"]["gmv_amount"]))
    await check(page, "review")


SOURCES = {"private": "私域", "public_paid": "付费推广", "share": "分享"}


def money(amount: int) -> str:
    """Minor units of yuan as the console writes them."""
    return re.sub(r"\.00$", "", f"¥{amount // 100:,}.{amount % 100:02d}")


async def rows(page: Page, table: str) -> list[Locator]:
    """The lines of a table."""
    return await page.get_by_test_id(table).locator("tbody tr").all()


async def words(row: Locator, column: int) -> str:
    """What a cell says."""
    return (await row.locator("td").nth(column).inner_text()).strip()
