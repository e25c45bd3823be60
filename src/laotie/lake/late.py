"""Late: days long past into which something came, noted where it is written, so that nobody need look at every day there is.

Imported history and facts that waited land hour by hour on days that were merged long ago, or that never were there. A note is
an empty file, `_late/<topic>/<day>`, made after the part. It is taken before the day is looked at, and made again while the
day is not tidy; what a note is lost for (a kill, just then) is found at night, when all days are looked at.
"""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from laotie.lake.model import TOPICS, Part
from laotie.lake.parts import Lake
from laotie.lake.stores import make_place

RECENT_DAYS = 2
"""Days that compaction looks at by itself, beside today."""
PLACE = "_late"


def is_past(lake: Lake, day: date, *, now_us: int) -> bool:
    """Whether a day is long over."""
    return day < lake.day_of(now_us) - timedelta(days=RECENT_DAYS)


def note_late(lake: Lake, parts: Iterable[Part], *, now_us: int) -> None:
    """Note the days of parts that were just written, as far as they are long over."""
    for topic, day in sorted({(part.topic, part.day) for part in parts if is_past(lake, part.day, now_us=now_us)}):
        note(lake, topic, day)


def note(lake: Lake, topic: str, day: date) -> None:
    """Have a day looked at."""
    make_place(lake.fs, f"{lake.root}/{PLACE}/{topic}")
    lake.fs.pipe_file(f"{lake.root}/{PLACE}/{topic}/{day}", b"")


def take_notes(lake: Lake) -> Iterator[tuple[str, date]]:
    """The days that were noted, each taken when it is asked for."""
    for topic in TOPICS:
        place = f"{lake.root}/{PLACE}/{topic}"
        names = lake.fs.ls(place, detail=False) if lake.fs.exists(place) else []
        for day in sorted(str(name).rpartition("/")[2] for name in names):
            lake.fs.rm_file(f"{place}/{day}")
            yield topic, date.fromisoformat(day)
