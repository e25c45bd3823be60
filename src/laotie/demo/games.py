"""What the demonstration plays: a poll, then a small red packet, again and again; all through the public API."""

import asyncio
import contextlib
import itertools
import random
from typing import Any
from uuid import uuid4

from laotie.demo.client import Person, RequestRefused, Seat

PLAY_EVERY_S = 45
WALLET = {"amount": 200_000, "currency": "CNY"}
WALLET_LOW = 5_000
POLL = {
    "kind": "poll", "title": "你来定", "duration_s": 40, "question": "下一个讲哪个？",
    "options": ["刚才那个再讲一遍", "下一个新品", "先抽奖"],
}  # fmt: skip
PACKET = {
    "kind": "red_packet", "title": "老铁红包", "duration_s": 40,
    "packet": {"amount": {"amount": 800, "currency": "CNY"}, "count": 8, "split": "lucky"},
}  # fmt: skip


async def play(person: Person, show_id: str) -> None:
    """One thing after another, until cancelled; what the day's limit refuses is left out."""
    for draft in itertools.cycle((POLL, PACKET)):
        await asyncio.sleep(PLAY_EVERY_S)
        with contextlib.suppress(RequestRefused):
            if draft is PACKET:
                await _fill_wallet(person)
            planned = {"id": str(uuid4()), **draft}
            await person.call("POST", f"/api/shows/{show_id}/activities", planned)
            await person.call("POST", f"/api/activities/{planned['id']}/start", {})


async def _fill_wallet(person: Person) -> None:
    balances = (await person.call("GET", "/api/me/wallet"))["balances"]
    if sum(money["amount"] for money in balances) >= WALLET_LOW:
        return
    payment_id = str(uuid4())
    await person.call("POST", "/api/me/topups", {"id": payment_id, "amount": WALLET, "method": "sandbox"})
    await person.call("POST", f"/api/sandbox/payments/{payment_id}/outcome", {"outcome": "approve"})
    await asyncio.sleep(3)


class Player:
    """Keeps what is open in the room, and joins in once."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._open: dict[str, dict[str, Any]] = {}
        self._done: set[str] = set()

    def hear(self, activity: dict[str, Any]) -> None:
        """An activity appeared or changed."""
        if activity["state"] == "open" and activity["id"] not in self._done:
            self._open[activity["id"]] = activity
        else:
            self._open.pop(activity["id"], None)

    def join_in(self, seat: Seat) -> None:
        """Take part in what is open."""
        for activity in self._open.values():
            self._done.add(activity["id"])
            part = {"id": activity["id"], "nonce": f"{self._chance.getrandbits(64):016x}"}
            if activity["kind"] == "red_packet":
                seat.send({"t": "grab", **part})
            elif activity["kind"] == "poll":
                seat.send({"t": "vote", **part, "choice": self._chance.randint(1, len(activity["options"]))})
        self._open.clear()
