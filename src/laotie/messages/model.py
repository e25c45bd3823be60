"""The words of messages: notices, devices, preferences, and what is refused. No I/O here."""

from datetime import datetime, time, timedelta
from typing import Annotated, Any, NewType
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from laotie.base.refusals import Invalid

MessageId = NewType("MessageId", UUID)
DeviceId = NewType("DeviceId", UUID)

VIEWERS_AT_ONCE_MAX = 1_000
"""Most viewers one call tells. Whoever has more goes through them in chunks, in a job."""
NOTICES_KEPT_MAX = 200
NOTICES_KEPT = timedelta(days=60)
DEVICES_MAX = 10
OFF_KINDS_MAX = 50
FACTS_BYTES_MAX = 2_000
LINK_LENGTH_MAX = 300
PUSH_USEFUL = timedelta(hours=1)
"""What could not be pushed by then is old news; it waits in the inbox."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something a person was told. The page has the words for `kind` and fills `facts` in."""

    id: MessageId
    kind: str
    facts: dict[str, Any]
    link: str
    at: datetime
    read_at: datetime | None


class NoticePage(msgspec.Struct, frozen=True):
    """A part of an inbox, newest first; `next` is the id after which it goes on."""

    items: list[Notice]
    next: MessageId | None
    unread_count: int


class Preference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person does not want to hear, and when their devices stay silent.

    Kinds in `off_kinds` are not told at all. In quiet hours (minutes of the day in `time_zone`; over midnight when
    `quiet_from` is the later) nothing is pushed; the inbox fills all the same.
    """

    off_kinds: Annotated[
        list[Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z_]{0,39}$")]], msgspec.Meta(max_length=OFF_KINDS_MAX)
    ] = []
    quiet_from: Annotated[int, msgspec.Meta(ge=0, lt=1440)] | None = None
    quiet_to: Annotated[int, msgspec.Meta(ge=0, lt=1440)] | None = None
    time_zone: Annotated[str, msgspec.Meta(max_length=60)] = "UTC"


class NewDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A browser's push subscription, as `PushManager` gives it: keys are base64url."""

    endpoint: str
    p256dh: str
    auth: str


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device that takes web push."""

    id: DeviceId
    user_agent: str
    created_at: datetime
    pushed_at: datetime | None


class DeviceRefused(Invalid, code="device-refused"):
    """This push subscription cannot be used."""

    reason: str


class PreferenceRefused(Invalid, code="preference-refused"):
    """The time zone is not known, or only one end of the quiet hours is given."""


def is_quiet(quiet_from: int | None, quiet_to: int | None, time_zone: str, now: datetime) -> bool:
    """Whether an instant lies in the quiet hours: from the first minute, up to but without the last."""
    if quiet_from is None or quiet_to is None or quiet_from == quiet_to:
        return False
    local: time = now.astimezone(ZoneInfo(time_zone)).time()
    minute = local.hour * 60 + local.minute
    if quiet_from < quiet_to:
        return quiet_from <= minute < quiet_to
    return minute >= quiet_from or minute < quiet_to
