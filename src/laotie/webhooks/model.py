"""The words of webhooks: endpoints, deliveries, attempts, what is refused, and when to try again. No I/O here."""

import base64
import secrets
import uuid
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, NamedTuple, NewType
from uuid import UUID

import msgspec

from laotie.base.ids import EventId, ShopId
from laotie.base.post import URL_LENGTH_MAX, flaw_of
from laotie.base.refusals import Conflict, Invalid
from laotie.base.texts import plain_line

EndpointId = NewType("EndpointId", UUID)
DeliveryId = NewType("DeliveryId", UUID)

ENDPOINTS_MAX = 10
DESCRIPTION_LENGTH_MAX = 120
TYPES_MAX = 60
PORTS = (80, 443, 8443)
SECRET_PREFIX = "whsec_"  # noqa: S105 (the form of one)
SECRET_BYTES = 32
SECRET_PURPOSE = "webhooks.secret"  # noqa: S105
SECRETS_OVERLAP = timedelta(hours=24)
"""How long the secret before signs beside the new one."""

DELAYS_S = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Between the attempts, as Standard Webhooks 1.0 recommends: ten attempts in 75 h."""
TRIES_MAX = len(DELAYS_S) + 1
JITTER = 0.2
"""At most so much of a delay is added to it."""
RETRY_AFTER_MAX = timedelta(days=1)
REST_S, REST_S_MAX = 5, 300
"""An endpoint that does not answer, or says that it is too much, is left alone: 5 s, 10 s, … 5 minutes."""
QUIET_STATUSES = frozenset({429, 502, 503, 504})
GONE = 410
FAILING_MAX = timedelta(days=5)
"""An endpoint that has taken nothing for so long is switched off."""
WAITING_MAX = 100_000
"""As is one that lets so much pile up."""
KEPT = timedelta(days=30)
"""What was told is kept so long, and may be sent again."""
ANSWER_LENGTH_MAX = 500
PINGS_PER_MINUTE_MAX = 5
REPLAYS_MAX = 10_000


class EndpointState(StrEnum):
    """Paused: what happens is kept and sent later. Disabled: by us; nothing is kept."""

    active = "active"
    paused = "paused"
    disabled = "disabled"


class EndpointOffFor(StrEnum):
    """Why we switched an endpoint off: it said 410 Gone, took nothing for days, or let too much pile up."""

    gone = "gone"
    failing = "failing"
    overflow = "overflow"


class DeliveryState(StrEnum):
    """On its way (or waiting for its turn), taken by the endpoint, or given up after the last attempt."""

    waiting = "waiting"
    delivered = "delivered"
    given_up = "given_up"


class Draft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to tell what."""

    url: Annotated[str, msgspec.Meta(min_length=8, max_length=URL_LENGTH_MAX)]
    types: Annotated[list[Annotated[str, msgspec.Meta(max_length=60)]], msgspec.Meta(min_length=1, max_length=TYPES_MAX)]
    description: Annotated[str, msgspec.Meta(max_length=DESCRIPTION_LENGTH_MAX)] = ""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A place of a shop's own that hears what happens. Its secret is not here: it is shown when it is made."""

    id: EndpointId
    shop_id: ShopId
    url: str
    description: str
    types: list[str]
    state: EndpointState
    disabled_for: EndpointOffFor | None
    old_secret_until: datetime | None
    """Until then messages are signed with the secret before, too."""
    failing_since: datetime | None
    resting_until: datetime | None
    delivered_at: datetime | None
    waiting: int
    given_up: int
    created_at: datetime


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one endpoint. `id` is its `webhook-id`, the same at every attempt and replay."""

    id: DeliveryId
    event_id: EventId
    endpoint_id: EndpointId
    shop_id: ShopId
    type: str
    subject_id: UUID | None
    state: DeliveryState
    attempts: int
    due_at: datetime | None
    ended_at: datetime | None
    at: datetime
    status: int | None
    """The last attempt's answer."""
    failure: str | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One time that we called: the answer's status and first words, or why there was none."""

    no: int
    at: datetime
    ms: int
    status: int | None
    failure: str | None
    answer: str


class EndpointRefused(Invalid, code="webhook-endpoint-refused"):
    """Messages cannot be sent to this address."""

    reason: str
    """`form`, `scheme`, `host`, `port` or `private`."""


class TypesRefused(Invalid, code="webhook-types-refused"):
    """Some of these are no types of events; see GET /api/webhook-types."""

    unknown: list[str]


class EndpointsFull(Conflict, code="webhook-endpoints-full"):
    """A shop has at most so many endpoints; remove one first."""

    count_max: int


class EndpointOff(Conflict, code="webhook-endpoint-off"):
    """This endpoint is paused or switched off; resume it first."""


class MessageGone(Conflict, code="webhook-message-gone"):
    """What was sent then is not kept any more."""


class Call(NamedTuple):
    """What came of one call: the answer, or the reason for there being none."""

    at: datetime
    ms: int
    status: int | None
    failure: str | None
    answer: str
    retry_after_s: int | None

    @property
    def is_taken(self) -> bool:
        """Only 2xx is a success; a redirect is none."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def asks_for_quiet(self) -> bool:
        """It did not answer, or it is too much for it."""
        return self.status is None or self.status in QUIET_STATUSES or self.retry_after_s is not None


class Verdict(NamedTuple):
    """Where a delivery stands after a call."""

    state: DeliveryState
    due_at: datetime | None


def judge(call: Call, *, tries: int, now: datetime, luck: float) -> Verdict:
    """What becomes of a delivery; `tries` counts this call, `luck` from 0 to 1 spreads the next ones."""
    assert tries >= 1
    if call.is_taken:
        return Verdict(DeliveryState.delivered, None)
    if call.status == GONE or tries >= TRIES_MAX:
        return Verdict(DeliveryState.given_up, None)
    pause = DELAYS_S[tries - 1] * (1 + JITTER * luck)
    return Verdict(DeliveryState.waiting, now + timedelta(seconds=max(pause, call.retry_after_s or 0)))


def rest_of(calls: list[Call], *, failures: int, now: datetime) -> datetime | None:
    """Until when an endpoint is left alone after a turn's calls; `failures`: turns in a row with nothing taken, this one too."""
    asked = max((call.retry_after_s or 0 for call in calls), default=0)
    if any(call.is_taken for call in calls) or not any(call.asks_for_quiet for call in calls):
        return now + timedelta(seconds=asked) if asked else None
    return now + timedelta(seconds=asked or min(REST_S_MAX, REST_S * 2 ** min(max(failures, 1) - 1, 10)))


def check_url(url: str, *, private: bool) -> None:
    """Refuse an address whose form alone says that it cannot be called. Where its name leads is judged when calling."""
    flaw = flaw_of(url, private=private, ports=PORTS)
    if flaw is not None:
        raise EndpointRefused(reason=flaw)


def make_secret() -> str:
    """A signing secret in the form of Standard Webhooks."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The bytes that sign."""
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX))


def delivery_id(event_id: UUID, endpoint_id: UUID) -> DeliveryId:
    """The `webhook-id`: always the same for an event and an endpoint, and in the order of events (a UUIDv7)."""
    spread = int.from_bytes(sha256(event_id.bytes + endpoint_id.bytes).digest()[:8], "big") & (2**62 - 1)
    return DeliveryId(uuid.UUID(int=(event_id.int >> 64 << 64) | (2 << 62) | spread))


def clean_answer(body: bytes) -> str:
    """The first words of an answer, as people may be shown them."""
    return plain_line(body.decode("utf-8", "replace").replace("\0", ""))[:ANSWER_LENGTH_MAX]
