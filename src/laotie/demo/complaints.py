"""The demonstration's after-sales: now and then a fan claims something, and the shop answers some of it.

What is left unanswered stands on the shop's desk; every other refusal goes to arbitration, so that operators have something
to decide.
"""

import random
from typing import Any
from uuid import UUID, uuid4

from laotie.demo.client import Person, RequestRefused

CLAIMS: tuple[tuple[str, str, str], ...] = (
    ("return_refund", "damaged", "盒子压扁了，里面也磕坏了一角。"),
    ("refund_only", "missing_parts", "少了一包赠品，其他都好。"),
    ("return_refund", "not_as_described", "颜色和直播间看到的不一样。"),
    ("withdrawal", "changed_mind", ""),
    ("repair", "defective", "用了两天就坏了，能修吗？"),
    ("refund_only", "not_as_promised", "主播说买一送一，只收到一件。"),
)
REFUSALS = ("发货前我们都拍了照，当时是完好的。", "赠品在夹层里，麻烦再找找看。")
ANSWERED_AT_ONCE = 3


async def complain(person: Person, chance: random.Random) -> None:
    """Claim something of one order that has come, or ask the platform where the shop refused."""
    cases = (await person.call("GET", "/api/cases"))["items"]
    for case in cases:
        if case["state"] == "refused" and UUID(case["id"]).int % 2:
            step = {"id": str(uuid4()), "act": "escalate", "text": "请平台看一下照片和直播录像。"}
            await person.call("POST", f"/api/cases/{case['id']}/entries", step)
    claimed = {case["order_id"] for case in cases}
    orders = (await person.call("GET", "/api/orders?state=completed&limit=20"))["items"]
    open_to = [order for order in orders if order["id"] not in claimed]
    if not open_to or chance.random() < 0.6:
        return
    kind, reason, text = chance.choice(CLAIMS)
    claim: dict[str, Any] = {"id": str(uuid4()), "kind": kind, "reason": reason, "text": text}
    await person.call("POST", f"/api/orders/{open_to[0]['id']}/cases", claim | {"lines": [{"no": 1, "quantity": 1}]})


async def answer(person: Person, shop: str) -> None:
    """What the shop does about a part of it: agrees, refuses, or leaves it for whoever looks at the desk."""
    waiting = (await person.call("GET", f"{shop}/cases"))["items"]
    for case in [one for one in waiting if one["state"] == "requested"][:ANSWERED_AT_ONCE]:
        dice = UUID(case["id"]).int % 4
        if dice > 1:
            continue
        step = {"id": str(uuid4()), "act": "accept" if dice else "refuse"}
        if not dice:
            step["text"] = REFUSALS[UUID(case["id"]).int // 4 % len(REFUSALS)]
        try:
            await person.call("POST", f"/api/cases/{case['id']}/entries", step)
        except RequestRefused:
            continue
