"""The demonstration's trust: a streamer's guarantees with a filled deposit, and fans who say what they received."""

import asyncio
import random
from typing import Any
from uuid import uuid4

import httpx

from laotie.base.logs import log
from laotie.demo.client import Person, RequestRefused
from laotie.demo.market import demo_id

FILLED_AFTER_S = 5
ANSWER_EVERY_S = 40
ANSWERED_AT_ONCE = 2
RECEIVED_AT_ONCE = 3
PROMISES: list[dict[str, Any]] = [
    {"kind": "refund_without_return", "cap": {"amount": 5_000, "currency": "CNY"}},
    {"kind": "return_freight", "cap": {"amount": 1_500, "currency": "CNY"}},
    {"kind": "authentic_ninefold"},
    {"kind": "seven_days", "days": 15},
]
SPARE = 50_000
PRAISE = (
    "收到了，冰袋还没化，个头很匀。", "泡发率真有盒子上写的那么高，家里人都说好。", "第二次买了，跟直播里一样，没有缩水。",
    "包装结实，日期新鲜，孩子爱吃。", "物流快，两天就到，摸着还是凉的。", "料子比想的厚，洗了一水没变形。",
)  # fmt: skip
BLAME = ("比图上小一圈，味道还行。", "有一袋漏气了，客服说可以补。", "尺码偏小，建议拍大一号。")
ANSWERS = ("谢谢支持！有问题随时找我们。", "给您添麻烦了，已经按保障处理，运费我们出。", "谢谢反馈，已经转给加工那边了。")


async def guarantee(person: Person, handle: str) -> None:
    """Promise everything for the shop of a streamer who is signed in, fill the deposit, then answer reviews."""
    shop = f"/api/shops/{demo_id('shop', handle)}"
    try:
        if (await person.call("GET", f"{shop}/pledge"))["pledge"] is None:
            await person.call("PUT", f"{shop}/pledge", {"id": str(uuid4()), "promises": PROMISES})
        await _fill(person, shop)
    except (RequestRefused, httpx.HTTPError) as error:
        log.warning("no guarantees in the demonstration", error=str(error)[:160])
    while True:
        await asyncio.sleep(ANSWER_EVERY_S)
        try:
            waiting = (await person.call("GET", f"{shop}/reviews?unanswered=true"))["items"]
            for review in waiting[:ANSWERED_AT_ONCE]:
                text = ANSWERS[0] if review["goods"] > 3 else random.choice(ANSWERS[1:])  # noqa: S311
                await person.call("PUT", f"/api/reviews/{review['id']}/answer", {"text": text})
        except (RequestRefused, httpx.HTTPError) as error:
            log.warning("no review was answered", error=str(error)[:160])


async def _fill(person: Person, shop: str) -> None:
    """Pay in what is missing, and a little more."""
    await asyncio.sleep(FILLED_AFTER_S)
    missing = (await person.call("GET", f"{shop}/deposit"))["missing"]
    if not missing["amount"]:
        return
    topup = {"id": str(uuid4()), "method": "sandbox", "amount": missing | {"amount": missing["amount"] + SPARE}}
    await person.call("POST", f"{shop}/deposit/topups", topup)
    await person.call("POST", f"/api/sandbox/payments/{topup['id']}/outcome", {"outcome": "approve"})


async def say_what_came(person: Person, chance: random.Random) -> None:
    """Confirm what was delivered, and review some of it."""
    orders = (await person.call("GET", "/api/orders?state=shipped&limit=20"))["items"]
    delivered = [order for order in orders if order["delivered_at"] is not None]
    for order in delivered[:RECEIVED_AT_ONCE]:
        await person.call("POST", f"/api/orders/{order['id']}/receipt", {})
        for line in order["lines"]:
            if chance.random() < 0.3:
                continue
            happy = chance.random() < 0.8
            await person.call(
                "POST",
                f"/api/orders/{order['id']}/reviews",
                {
                    "id": str(uuid4()),
                    "line_no": line["no"],
                    "goods": chance.randint(4, 5) if happy else chance.randint(1, 3),
                    "service": chance.randint(3, 5),
                    "shipping": chance.randint(3, 5),
                    "text": chance.choice(PRAISE if happy else BLAME),
                    "is_anonymous": chance.random() < 0.3,
                },
            )
