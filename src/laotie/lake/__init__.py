"""The lake: what happened, kept as files that any engine reads.

Owns the topics (typed, versioned Arrow schemas), the way in (behaviour from the gateways by segments synced several times
a second, money facts from the outbox), compaction, what to do with what cannot be true, the watermark, erasure. What the
rows mean is `insight`'s affair; who writes which fact is the rooms' (they tell events).
"""

from laotie.lake import model
from laotie.lake.model import TOPICS, Part, Topic
from laotie.lake.parts import Lake, id_bytes, list_days, list_parts, write_part, write_parts

__all__ = ["TOPICS", "Lake", "Part", "Topic", "id_bytes", "list_days", "list_parts", "model", "write_part", "write_parts"]
