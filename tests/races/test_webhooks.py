"""kill -9 in a burst of webhooks: gone on with after the restart, nothing skipped, everything under the id it had."""

import asyncio
import os
import random
from collections import Counter

from laotie.base.db import Database
from laotie.base.ids import new_id
from laotie.bench.server import ServerUnderTest
from laotie.webhooks.model import delivery_id
from receivers import Receiver, hook_up, is_signed, refunded

FACTS = 500
KILLS = 3 if os.environ.get("TEST_PROVE") else 1
WAIT_S = 60


async def test_kill_9_in_a_burst_skips_nothing_and_sends_nothing_under_another_id() -> None:
    receiver = Receiver()
    await receiver.open()
    with ServerUnderTest(webhook_private="true") as server:
        db = await Database.open(server.database_url, pool_max=4)
        try:
            shop = await hook_up(db, server.signer, receiver)
            endpoint_id, secret = await shop.endpoint("/hook")
            await shop.endpoint("/other")
            order_ids = [new_id() for _ in range(FACTS)]
            async with db.tx() as tx:
                for order_id in order_ids:
                    tx.tell(refunded(order_id, shop.shop_id, tx.now))
            at = sorted(random.Random(7).sample(range(20, FACTS - 100), KILLS))
            for count in at:
                async with asyncio.timeout(WAIT_S):
                    await receiver.until(count, "/hook")
                server.kill()
                assert len({one.id for one in receiver.on("/hook")}) < FACTS, "the fault must strike in the middle"
                server.start()
            async with asyncio.timeout(WAIT_S):
                while any(len({one.id for one in receiver.on(path)}) < FACTS for path in ("/hook", "/other")):
                    receiver.changed.clear()
                    await receiver.changed.wait()
                while (await shop.tally()).waiting:  # the last answers are written down
                    await asyncio.sleep(0.05)
            heard = receiver.on("/hook")
            by_order = {one.said["data"]["order_id"]: one.id for one in heard}
            assert by_order.keys() == {str(order_id) for order_id in order_ids}, "nothing skipped"
            assert len(by_order) == len({one.id for one in heard}), "one id each, however often"
            assert len({(one.id, one.body) for one in heard}) == FACTS
            assert all(is_signed(one, secret) for one in heard)
            assert max(Counter(one.id for one in heard).values()) <= KILLS + 1
            deliveries = await shop.deliveries(endpoint_id=endpoint_id)
            assert all(one.id == delivery_id(one.event_id, endpoint_id) for one in deliveries)
            tally = await shop.tally()
            assert (tally.messages, tally.deliveries) == (FACTS, 2 * FACTS)
            assert (tally.lost, tally.attempts_off, tally.overdue, tally.given_up) == ([], [], [], 0)
            async with db.read() as tx:
                disorder = await tx.one(
                    int,
                    """
                    SELECT count(*) FROM (
                        SELECT at < lag(at) OVER (PARTITION BY delivery_id ORDER BY no) AS is_back FROM webhooks.attempt
                    ) AS attempts WHERE is_back
                    """,
                )
            assert disorder == 0
        finally:
            await db.close()
    await receiver.close()
