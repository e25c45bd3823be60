"""What everybody may know of the audit: that it was done, over how much, and whether the books agree."""

import asyncio
import time
from datetime import datetime
from weakref import WeakKeyDictionary

import msgspec
from litestar import get

from laotie import audit
from laotie.base.db import Database
from laotie.web.given import Given

KEPT_S = 30.0
"""A report is a full read of the books, so one is shown to everybody for a while."""


class TallyView(msgspec.Struct):
    """One promise checked: over how many rows, and how many break it."""

    name: str
    checked: int
    found: int
    sound: bool
    facts: dict[str, int]


class TalliesView(msgspec.Struct):
    """All tallies of one instant. `in_flight`: orders whose payment was on its way between two rooms just then."""

    checked_at: datetime
    sound: bool
    in_flight: int
    tallies: list[TallyView]


class _Kept:
    """The latest report, and the lock that lets one request make the next."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.until = 0.0
        self.view: TalliesView | None = None


_kept: WeakKeyDictionary[Database, _Kept] = WeakKeyDictionary()


@get("/api/audit/tallies")
async def show_tallies(db: Given[Database]) -> TalliesView:
    """Whether stock, orders, ledger and payments agree: counts only, half a minute old at most."""
    kept = _kept.setdefault(db, _Kept())
    async with kept.lock:
        if kept.view is None or kept.until < time.monotonic():
            kept.view = _view(await audit.take_tallies(db))
            kept.until = time.monotonic() + KEPT_S
        return kept.view


def _view(report: audit.Report) -> TalliesView:
    return TalliesView(
        checked_at=report.checked_at,
        sound=report.sound,
        in_flight=report.in_flight,
        tallies=[
            TallyView(tally.name, tally.checked, tally.found, tally.sound, tally.facts) for tally in report.tallies
        ],
    )


ROUTES = [show_tallies]
