"""Web push: a notice on the lock screen, encrypted for the device (RFC 8291), signed by this house (RFC 8292).

A batch of deliveries is a job. What was delivered, or never will be, leaves the table; while something is left the job
fails and comes again with growing pauses, until the notice is old news. A crash between a service's answer and our
commit sends twice: services and devices keep one per `Topic`.
"""

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID

import http_ece
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import VapidException

from laotie.base import jobs, metrics
from laotie.base.logs import log
from laotie.base.post import AddressForbidden, CallFailed, Post
from laotie.messages.model import PUSH_USEFUL, DeviceId, MessageId, is_quiet
from laotie.messages.vapid import sign_push

PUSH_TASK = "messages.push"
AT_ONCE_MAX = 16
FAILURES_MAX = 20
"""A device that could not be reached so often in a row is forgotten."""

_encode = msgspec.json.encode


class PushUnfinished(Exception):
    """Some deliveries of a batch are left; the job comes again."""


class _Delivery(msgspec.Struct, frozen=True):
    device_id: DeviceId
    endpoint: str
    p256dh: bytes
    auth: bytes
    failures: int
    quiet_from: int | None
    quiet_to: int | None
    time_zone: str
    message_id: MessageId
    kind: str
    facts: dict[str, Any]
    link: str
    at: datetime


@jobs.task(PUSH_TASK)
async def push_batch(context: jobs.Context, *, batch_id: str) -> None:
    """Send what is left of a batch; raises `PushUnfinished` while something stays that may still arrive."""
    async with context.db.read() as tx:
        now = tx.now
        waiting = await tx.all(
            _Delivery,
            """
            SELECT device.id AS device_id, endpoint, p256dh, auth, failures, quiet_from, quiet_to,
                   coalesce(time_zone, 'UTC') AS time_zone, message.id AS message_id, kind, facts, link, at
            FROM messages.delivery JOIN messages.device ON device.id = delivery.device_id
            JOIN messages.message ON message.id = delivery.message_id
            LEFT JOIN messages.preference USING (viewer_id)
            WHERE batch_id = %(batch_id)s ORDER BY device.id
            """,
            batch_id=UUID(batch_id),
        )
    sending = [
        one
        for one in waiting
        if now - one.at < PUSH_USEFUL and not is_quiet(one.quiet_from, one.quiet_to, one.time_zone, now)
    ]
    answers: dict[DeviceId, int] = {}
    turn = asyncio.Semaphore(AT_ONCE_MAX)
    async with Post(private=context.settings.push_private) as post:

        async def send(one: _Delivery) -> None:
            async with turn:
                answers[one.device_id] = await _send(context, post, one)

        await asyncio.gather(*(send(one) for one in sending))
    later = [one.device_id for one in sending if _again(answers[one.device_id])]
    gone = [
        one.device_id
        for one in sending
        if _is_gone(answers[one.device_id])
        or (not 200 <= answers[one.device_id] < 300 and one.failures + 1 >= FAILURES_MAX)
    ]
    arrived = [id_ for id_, status in answers.items() if 200 <= status < 300]
    async with context.db.tx() as tx:
        await tx.run(
            "DELETE FROM messages.delivery WHERE batch_id = %(batch_id)s AND NOT device_id = ANY(%(later)s)",
            batch_id=UUID(batch_id),
            later=later,
        )
        await tx.run("DELETE FROM messages.device WHERE id = ANY(%(gone)s)", gone=gone)
        await tx.run(
            """
            UPDATE messages.device
            SET pushed_at = CASE WHEN id = ANY(%(arrived)s) THEN %(now)s ELSE pushed_at END,
                failures = CASE WHEN id = ANY(%(arrived)s) THEN 0 ELSE failures + 1 END
            WHERE id = ANY(%(asked)s)
            """,
            arrived=arrived,
            asked=list(answers),
            now=tx.now,
        )
    left = set(later) - set(gone)
    log.info("pushed", batch_id=batch_id, arrived=len(arrived), gone=len(gone), later=len(left))
    metrics.PUSHES.labels("arrived").inc(len(arrived))
    metrics.PUSHES.labels("gone").inc(len(gone))
    metrics.PUSHES.labels("later").inc(len(left))
    if left:
        raise PushUnfinished(f"{len(left)} of {len(waiting)}")


async def _send(context: jobs.Context, post: Post, one: _Delivery) -> int:
    """The status of the service's answer; 0 when nobody answered, 410 when the address is none to call."""
    payload = _encode({"id": one.message_id, "kind": one.kind, "facts": one.facts, "link": one.link, "at": one.at})
    body: bytes = http_ece.encrypt(
        payload,
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=one.p256dh,
        auth_secret=one.auth,
        version="aes128gcm",
    )
    try:
        headers = {
            **sign_push(context.settings, context.db.clock, one.endpoint),
            "TTL": str(int(PUSH_USEFUL.total_seconds())),
            "Urgency": "high",
            "Topic": one.message_id.hex,
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
        }
        return (await post.send(one.endpoint, headers, body)).status
    except (AddressForbidden, VapidException):
        return 410
    except CallFailed:
        return 0


def _again(status: int) -> bool:
    """Silence, too fast, or trouble on their side: worth another try."""
    return status == 0 or status in (408, 425, 429) or status >= 500


def _is_gone(status: int) -> bool:
    """The subscription is over (404, 410), or was made for another key of ours (403)."""
    return status in (403, 404, 410)
