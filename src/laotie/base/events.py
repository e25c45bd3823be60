"""What an event is: a published fact in the past tense with a dotted tag, as a plain frozen type.

The facts themselves stand in `laotie.events`, a file a room. Fields may be added with a default; nothing is renamed
or removed.
"""

from datetime import datetime
from functools import cache
from typing import Any

import msgspec

from laotie.base.ids import EventId


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="tag", tag=""):
    """Base of all published facts. Subclass with `tag="room.happened"`."""


class Told(msgspec.Struct, frozen=True):
    """An event with its envelope: a stable id, when it happened, and the request it came from."""

    id: EventId
    at: datetime
    request_id: str | None
    event: Event


def tag_of(kind: type[Event]) -> str:
    """The dotted tag of an event type."""
    tag = kind.__struct_config__.tag
    assert isinstance(tag, str) and tag, f"{kind.__name__} has no tag"
    return tag


@cache
def _decoders() -> dict[str, msgspec.json.Decoder[Any]]:
    found: dict[str, msgspec.json.Decoder[Any]] = {}
    waiting: list[type[Event]] = list(Event.__subclasses__())
    while waiting:
        kind = waiting.pop()
        waiting.extend(kind.__subclasses__())
        assert tag_of(kind) not in found, f"two events are tagged {tag_of(kind)}"
        found[tag_of(kind)] = msgspec.json.Decoder(kind)
    return found


def known_tags() -> list[str]:
    """Every tag of the house, sorted."""
    return sorted(_decoders())


def decode(tag: str, body: bytes) -> Event | None:
    """An event from its JSON; `None` for a tag of a newer release that this one does not know."""
    decoder = _decoders().get(tag)
    if decoder is None:
        return None
    event = decoder.decode(body)
    assert isinstance(event, Event)
    return event
