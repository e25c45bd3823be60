"""Webhooks over HTTP: whole bodies, secrets shown once, what is refused, and the documented receiver that takes them."""

import asyncio
import re
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from laotie import webhooks
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.ids import ShopId, new_id
from laotie.base.outbox import Relay
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.identity import Scope
from laotie.webhooks.reactions import REACTIONS
from people import Browser, People, problem
from receivers import refunded

DOCUMENT = Path(__file__).parents[2] / "docs" / "webhooks.md"
WAIT_S = 20


@pytest.fixture
async def owner(people: People) -> Browser:
    """Somebody with a shop of their own, `SHOP`."""
    return await people.owner("olga", SHOP)


SHOP = UUID("019a9f3c-5a10-7000-8000-0000000002e6")


async def make(owner: Browser, **said: Any) -> httpx.Response:
    hook = {"id": str(new_id()), "url": "https://hooks.example/x", "types": ["order.paid"], **said}
    return await owner.post(f"/api/shops/{SHOP}/webhooks", json=hook)


async def test_an_endpoint_is_made_with_a_secret_that_is_shown_once(owner: Browser) -> None:
    hook_id = str(new_id())
    said = {"types": ["order.refunded", "order.paid", "order.paid"], "description": " 仓库\u202e系统 "}
    made = await make(owner, id=hook_id, **said)
    body = made.json()
    secret = body.pop("secret")
    assert made.status_code == 201 and made.headers["cache-control"] == "no-store"
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
    created_at = body["endpoint"].pop("created_at")
    assert datetime.fromisoformat(created_at) < datetime.now(UTC)
    endpoint = {
        "id": hook_id, "shop_id": str(SHOP), "url": "https://hooks.example/x", "description": "仓库系统",
        "types": ["order.paid", "order.refunded"], "state": "active", "disabled_for": None, "old_secret_until": None,
        "failing_since": None, "resting_until": None, "delivered_at": None, "waiting": 0, "given_up": 0,
    }  # fmt: skip
    assert body == {"endpoint": endpoint}
    again = await make(owner, id=hook_id, **said)
    assert (again.status_code, again.json()["secret"]) == (200, None)
    listed = await owner.get(f"/api/shops/{SHOP}/webhooks")
    assert listed.json() == {"items": [{**endpoint, "created_at": created_at}]} and secret not in listed.text
    other = await make(owner, id=hook_id, url="https://hooks.example/y")
    assert problem(other)["type"] == "/problems/id-reused"
    changed = await owner.patch(f"/api/webhooks/{hook_id}", json={"paused": True, "types": ["case.opened"]})
    assert changed.json() == {**endpoint, "created_at": created_at, "state": "paused", "types": ["case.opened"]}
    rotated = (await owner.post(f"/api/webhooks/{hook_id}/secret")).json()
    assert rotated["secret"] != secret
    assert datetime.fromisoformat(rotated["old_secret_until"]) > datetime.now(UTC) + timedelta(hours=23)
    assert (await owner.delete(f"/api/webhooks/{hook_id}")).status_code == 204
    assert (await owner.get(f"/api/shops/{SHOP}/webhooks")).json() == {"items": []}
    assert (await owner.patch(f"/api/webhooks/{hook_id}", json={})).status_code == 404


@pytest.mark.parametrize(
    ("said", "facts"),
    [
        ({"url": "http://hooks.example/x"}, {"type": "/problems/webhook-endpoint-refused", "reason": "scheme"}),
        ({"url": "https://10.1.2.3/x"}, {"type": "/problems/webhook-endpoint-refused", "reason": "private"}),
        ({"url": "https://[::1]/x"}, {"type": "/problems/webhook-endpoint-refused", "reason": "private"}),
        ({"url": "https://hooks.example:6379/"}, {"type": "/problems/webhook-endpoint-refused", "reason": "port"}),
        ({"types": ["order.paid", "order.eaten"]}, {"type": "/problems/webhook-types-refused", "unknown": ["order.eaten"]}),
        ({"types": ["webhook.ping"]}, {"type": "/problems/webhook-types-refused", "unknown": ["webhook.ping"]}),
        ({"types": []}, {"type": "/problems/malformed"}),
    ],
)
async def test_addresses_and_types_that_will_not_do_are_refused(
    owner: Browser, said: dict[str, Any], facts: dict[str, Any]
) -> None:
    refused = problem(await make(owner, **said))
    assert refused["status"] == 422 and refused.items() >= facts.items()
    ready = (await make(owner)).json()["endpoint"]["id"]
    assert problem(await owner.patch(f"/api/webhooks/{ready}", json=said)).items() >= facts.items()


async def test_a_type_takes_its_scope_and_so_does_seeing_what_was_sent(
    people: People, owner: Browser, db: Database
) -> None:
    manager = await people.staff("mia", SHOP, owner, Scope.staff, Scope.catalog)
    lacking = problem(await make(manager, types=["catalog.stock_changed", "payout.sent"]))
    assert (lacking["type"], lacking["scope"]) == ("/problems/scope-lacking", "money")
    hook = (await make(owner, types=["order.refunded"])).json()["endpoint"]["id"]
    renamed = await manager.patch(f"/api/webhooks/{hook}", json={"types": ["order.refunded", "catalog.stock_changed"]})
    assert renamed.status_code == 200, "what it hears already stays"
    async with db.tx() as tx:
        tx.tell(refunded(new_id(), ShopId(SHOP), tx.now))
    await Relay(db, LocalBus(), REACTIONS).drain()
    (told,) = (await manager.get(f"/api/shops/{SHOP}/webhook-deliveries")).json()["items"]
    assert (await manager.get(f"/api/webhook-deliveries/{told['id']}")).json()["body"] is None
    assert '"order.refunded"' in (await owner.get(f"/api/webhook-deliveries/{told['id']}")).json()["body"]


async def test_lists_go_on_where_they_ended_and_are_narrowed(owner: Browser, db: Database) -> None:
    first, second = [(await make(owner, types=["order.refunded"])).json()["endpoint"]["id"] for _ in range(2)]
    orders = [new_id() for _ in range(3)]
    async with db.tx() as tx:
        for order_id in orders:
            tx.tell(refunded(order_id, ShopId(SHOP), tx.now))
    await Relay(db, LocalBus(), REACTIONS).drain()
    path = f"/api/shops/{SHOP}/webhook-deliveries"
    seen: list[str] = []
    after: str | None = None
    while True:
        page = (await owner.get(path, params={"limit": 4, **({"after": after} if after else {})})).json()
        seen += [one["id"] for one in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 6 and seen == sorted(seen, reverse=True)
    of_order = (await owner.get(path, params={"about": str(orders[1])})).json()["items"]
    assert {one["endpoint_id"] for one in of_order} == {first, second}
    one = (await owner.get(path, params={"about": str(orders[1]), "endpoint_id": first})).json()["items"]
    assert [(found["subject_id"], found["state"]) for found in one] == [(str(orders[1]), "waiting")]
    assert (await owner.get(path, params={"state": "delivered"})).json()["items"] == []


async def test_tests_are_bounded_and_only_for_endpoints_that_are_on(owner: Browser) -> None:
    hook = (await make(owner)).json()["endpoint"]["id"]
    ping = {"id": str(new_id())}
    first = await owner.post(f"/api/webhooks/{hook}/pings", json=ping)
    assert (first.status_code, first.json()["type"], first.json()["state"]) == (202, "webhook.ping", "waiting")
    assert (await owner.post(f"/api/webhooks/{hook}/pings", json=ping)).json() == first.json()
    answers = [await owner.post(f"/api/webhooks/{hook}/pings", json={"id": str(new_id())}) for _ in range(5)]
    assert [one.status_code for one in answers] == [202] * 4 + [429]
    await owner.patch(f"/api/webhooks/{hook}", json={"paused": True})
    assert problem(await owner.post(f"/api/webhooks/{hook}/pings", json=ping))["type"] == "/problems/webhook-endpoint-off"


async def test_a_shop_has_ten_endpoints_at_most(owner: Browser) -> None:
    assert [(await make(owner)).status_code for _ in range(10)] == [201] * 10
    full = problem(await make(owner))
    assert (full["type"], full["count_max"]) == ("/problems/webhook-endpoints-full", 10)


async def test_the_receiver_in_the_documents_takes_what_is_sent_and_prints_each_message_once(
    owner: Browser, db: Database, signer: Signer, tmp_path: Path
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    script = tmp_path / "receive.py"
    script.write_text(example, encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with db.tx() as tx:
        draft = webhooks.Draft(url=f"http://127.0.0.1:{port}/", types=["order.refunded"])
        hook_id = webhooks.EndpointId(new_id())
        made = await webhooks.create_endpoint(tx, owner.actor, ShopId(SHOP), hook_id, draft, signer=signer, private=True)
        assert made.secret is not None
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), made.secret, str(port), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    sender = webhooks.Sender(db, Settings(webhook_private=True), signer)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            while True:  # until it listens
                try:
                    (await asyncio.open_connection("127.0.0.1", port))[1].close()
                    break
                except ConnectionError:
                    await asyncio.sleep(0.05)
            async with db.tx() as tx:
                tx.tell(refunded(order_id := new_id(), ShopId(SHOP), tx.now))
            await Relay(db, LocalBus(), REACTIONS).drain()
            await sender.drain()
            line = (await process.stdout.readline()).decode()
            assert line.startswith("order.refunded") and str(order_id) in line
            (told,) = (await owner.get(f"/api/shops/{SHOP}/webhook-deliveries")).json()["items"]
            assert (told["state"], told["status"]) == ("delivered", 200)
            assert (await owner.post(f"/api/webhook-deliveries/{told['id']}/replays")).status_code == 202
            await sender.drain()
            ping = await owner.post(f"/api/webhooks/{hook_id}/pings", json={"id": str(new_id())})
            await sender.drain()
            assert (await process.stdout.readline()).decode().startswith("webhook.ping"), "the replay was known"
            async with httpx.AsyncClient() as forger:
                forged = await forger.post(
                    f"http://127.0.0.1:{port}/",
                    content=b'{"type":"order.refunded"}',
                    headers={"webhook-id": ping.json()["id"], "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"},
                )
            assert forged.status_code == 401
    finally:
        await sender.stop()
        process.kill()
        await process.wait()


async def test_whoever_writes_a_receiver_is_shown_every_type_with_its_schema_and_an_example(owner: Browser) -> None:
    found = (await owner.get("/api/webhook-types")).json()["items"]
    assert {one["type"] for one in found} == {*webhooks.CATALOGUE, webhooks.PING}
    assert all(one["message_schema"]["required"] and one["example"]["type"] == one["type"] for one in found)
