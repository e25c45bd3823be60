"""The lake: what happened, kept as files that any engine reads.

Owns the topics (typed, versioned Arrow schemas), the way in (behaviour from the gateways by segments synced several times
a second, money facts from the outbox), compaction, what to do with what cannot be true, the watermark, erasure. What the
rows mean is `insight`'s affair; who writes which fact is the rooms' (they tell events).
"""

from laotie.lake import facts, model
from laotie.lake.acts import (
    Act,
    Carted,
    Chatted,
    Clicked,
    Entered,
    Left,
    Liked,
    Nowhere,
    Played,
    Searched,
    Shared,
    Sink,
    Stay,
    Watched,
)
from laotie.lake.compaction import compact, merge_hours
from laotie.lake.erasure import list_erasures, work_erasures
from laotie.lake.ingest import SEGMENTS, SegmentLog, note_in, open_sink
from laotie.lake.knowledge import tell_person
from laotie.lake.model import TOPICS, Part, Topic
from laotie.lake.parts import Lake, id_bytes, list_days, list_parts, write_part, write_parts
from laotie.lake.retention import list_old_days, read_retired, retire, retire_behaviour
from laotie.lake.stores import DriverAbsent, StoreRefuses, StoreTakesNothing, ailing, name_trouble
from laotie.lake.watermark import LakeBehind, await_watermark, require, watermark

__all__ = [
    "SEGMENTS",
    "TOPICS",
    "Act",
    "Carted",
    "Chatted",
    "Clicked",
    "DriverAbsent",
    "Entered",
    "Lake",
    "LakeBehind",
    "Left",
    "Liked",
    "Nowhere",
    "Part",
    "Played",
    "Searched",
    "SegmentLog",
    "Shared",
    "Sink",
    "Stay",
    "StoreRefuses",
    "StoreTakesNothing",
    "Topic",
    "Watched",
    "ailing",
    "await_watermark",
    "compact",
    "facts",
    "id_bytes",
    "list_days",
    "list_erasures",
    "list_old_days",
    "list_parts",
    "merge_hours",
    "model",
    "name_trouble",
    "note_in",
    "open_sink",
    "read_retired",
    "require",
    "retire",
    "retire_behaviour",
    "tell_person",
    "watermark",
    "work_erasures",
    "write_part",
    "write_parts",
]
