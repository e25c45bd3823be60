"""Watch time the slow, obvious way: every instant of every span, one by one, owned by whoever came first."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from lakes import ZONE
from laotie.lake import Lake

Key = tuple[date, bytes | None, bytes, str, bool]
LAKE = Lake("memory://slow", ZONE)


def watch_slowly(spans: Iterable[Mapping[str, Any]], accounts: Mapping[bytes, bytes], *, unit_us: int = 1) -> dict[Key, int]:
    """How many units each viewer watched of each show, by day, source and fan status."""

    def place(span: Mapping[str, Any]) -> tuple[Any, ...]:
        day = LAKE.day_of(span["at_us"])
        return span["since_us"], span["connection_id"], span["viewer_id"], day, span["source"], span["is_fan"]

    owners: dict[tuple[bytes, bytes | None, int], tuple[str, bool]] = {}
    for span in sorted(spans, key=place):
        who = accounts.get(span["viewer_id"], span["viewer_id"])
        earliest_us = LAKE.bounds_of(LAKE.day_of(span["at_us"]) - timedelta(days=1))[0]
        for instant in range(max(span["since_us"], earliest_us) // unit_us, span["at_us"] // unit_us):
            owners.setdefault((who, span["show_id"], instant), (span["source"], span["is_fan"]))
    days: dict[int, date] = {}
    watched: dict[Key, int] = defaultdict(int)
    for (who, show_id, instant), (source, is_fan) in owners.items():
        quarter = instant * unit_us // 900_000_000
        day = days.setdefault(quarter, LAKE.day_of(quarter * 900_000_000))
        watched[day, show_id, who, source, is_fan] += 1
    return dict(watched)
