"""A developer makes a sandbox shop and a key in the console, sells in it, looks an operation up, and takes the data away."""

import httpx
from cinema import Cinema, Show, did
from playwright.async_api import expect


async def test_a_developer_makes_a_key_a_sandbox_and_an_export(cinema: Cinema, show: Show) -> None:
    desk = await cinema.desk("/keys", show.streamer)
    own = (await did(show.streamer.get("/api/me")))["seats"][0]["shop_id"]
    await desk.get_by_test_id("sandbox-make").click()
    await expect(desk.get_by_test_id("sandbox-banner")).to_be_visible()
    await desk.get_by_test_id("sandbox-order").click()
    await desk.get_by_test_id("happen-pay").click()
    await expect(desk.get_by_test_id("happen-ship")).to_be_visible(timeout=20_000)

    await desk.get_by_test_id("key-new").click()
    await desk.get_by_test_id("key-name").fill("库存同步")
    await desk.get_by_test_id("key-catalog").check()
    await desk.get_by_test_id("key-go").click()
    secret = await desk.get_by_test_id("key-secret").input_value()
    await desk.get_by_test_id("key-kept").click()
    await expect(desk.get_by_test_id("keys")).to_contain_text(secret[-4:])
    async with httpx.AsyncClient(base_url=cinema.server.url) as program:
        program.headers["Authorization"] = f"Bearer {secret}"
        sandbox = next(
            seat["shop_id"]
            for seat in (await did(show.streamer.get("/api/me")))["seats"]
            if seat["is_sandbox"]
        )
        assert len((await program.get(f"/api/shops/{sandbox}/products")).json()["items"]) == 3
        assert (await program.get(f"/api/shops/{own}/products")).status_code == 404

    await desk.get_by_test_id("to-reference").click()
    await desk.get_by_test_id("reference-find").fill("list_own_products")
    await desk.get_by_test_id("op-list_own_products").click()
    await expect(desk.get_by_test_id("reference-answer")).to_contain_text('"items"')
    await desk.goto(f"{cinema.server.url}/console/exports")
    async with desk.expect_download() as downloading:
        await desk.get_by_test_id("export-orders").click()
    path = await (await downloading.value).path()
    assert path.read_text(encoding="utf-8-sig").count("\n") == 2

    await desk.goto(f"{cinema.server.url}/console/keys")
    await desk.get_by_test_id("revoke-库存同步").click()
    await desk.get_by_role("button", name="作废").last.click()
    await expect(desk.get_by_test_id("keys")).to_be_hidden()
