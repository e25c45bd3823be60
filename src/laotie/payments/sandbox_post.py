"""How the sandbox tells what happened: signed messages over real HTTP, later and again if need be.

Everything survives a restart: a message is a row and a job. Reads and writes the sandbox's own books alone.
"""

import hashlib
import hmac
import ssl
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from uuid import UUID

import httpx
import msgspec

from laotie.base import jobs
from laotie.base.db import Tx
from laotie.base.ids import PaymentId, new_id
from laotie.base.logs import log
from laotie.base.settings import Settings
from laotie.payments import signature
from laotie.payments.model import RefundId, ReleaseId, pause_s

DELIVERIES_MAX = 14
DELIVERY_TIMEOUT_S = 10
TROUBLE_S = 5
LOSSES = 2


class Trouble(StrEnum):
    """How the provider misbehaves in telling of a payment."""

    none = "none"
    delay = "delay"
    """Messages come some seconds late."""
    duplicate = "duplicate"
    """Each message comes three times."""
    reorder = "reorder"
    """The last message comes first."""
    lost = "lost"
    """Each message is lost twice on its way before it comes."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What a sandbox message says."""

    type: str
    payment: PaymentId
    number: str
    amount: int
    currency: str
    refund: RefundId | None = None
    attempt: int | None = None
    dispute: str | None = None
    evidence_until: datetime | None = None
    reason: str = ""


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """What a sandbox message says that is of no payment: a seller's account, or a release into it."""

    type: str
    account: str
    number: str = ""
    release: ReleaseId | None = None
    amount: int = 0
    currency: str = ""
    reason: str = ""


async def tell(tx: Tx, messages: Sequence[Message | Word], trouble: Trouble, *, delay_s: int = 0) -> None:
    """Put messages on their way to the merchant, with that trouble."""
    for index, message in enumerate(messages):
        event_id = new_id()
        await tx.run(
            """
            INSERT INTO payments.sandbox_event (id, payment_reference, body, losses, made_at)
            VALUES (%(id)s, %(payment_id)s, %(body)s, %(losses)s, %(now)s)
            """,
            id=event_id,
            payment_id=message.payment if isinstance(message, Message) else None,
            body=msgspec.json.encode(message),
            losses=LOSSES if trouble is Trouble.lost else 0,
            now=tx.now,
        )
        late = trouble is Trouble.delay or (trouble is Trouble.reorder and index < len(messages) - 1)
        wait_s = delay_s + (TROUBLE_S if late else 0)
        at = tx.now + timedelta(seconds=wait_s) if wait_s else None
        for copy in range(3 if trouble is Trouble.duplicate else 1):
            await jobs.defer(tx, "payments.sandbox_deliver", {"event_id": event_id, "again": copy > 0}, at=at)


@jobs.task("payments.sandbox_deliver")
async def _deliver(context: jobs.Context, event_id: str, again: bool) -> None:
    """Send one message; one that is not answered with 2xx is sent again, `DELIVERIES_MAX` times at most."""
    id_ = UUID(event_id)
    async with context.db.tx() as tx:
        event = await tx.one(
            _Event,
            """
            UPDATE payments.sandbox_event SET attempts = attempts + 1 WHERE id = %(id)s
            RETURNING body, losses, attempts, delivered_at
            """,
            id=id_,
        )
    if event.delivered_at is not None and not again:
        return
    delivered = event.attempts > event.losses and await _post(context.settings, id_, event.body, context.db.clock.now())
    async with context.db.tx() as tx:
        if delivered:
            await tx.run(
                "UPDATE payments.sandbox_event SET delivered_at = %(now)s WHERE id = %(id)s", id=id_, now=tx.now
            )
        elif event.attempts < DELIVERIES_MAX:
            later = tx.now + timedelta(seconds=pause_s(event.attempts - 1))
            await jobs.defer(tx, "payments.sandbox_deliver", {"event_id": id_, "again": again}, at=later)
        else:
            log.error("the sandbox gives up telling", event_id=event_id)
            await tx.run(
                "UPDATE payments.sandbox_event SET given_up_at = %(now)s WHERE id = %(id)s", id=id_, now=tx.now
            )


class _Event(msgspec.Struct, frozen=True):
    body: bytes
    losses: int
    attempts: int
    delivered_at: datetime | None


async def _post(settings: Settings, event_id: UUID, body: bytes, now: datetime) -> bool:
    headers = signature.sign(secrets(settings), str(event_id), at=now, body=body)
    url = f"{settings.base_url}/webhooks/sandbox"
    try:
        async with httpx.AsyncClient(
            verify=_tls(settings.tls_certificate), timeout=DELIVERY_TIMEOUT_S, trust_env=False
        ) as client:
            answer = await client.post(url, content=body, headers={**headers, "content-type": "application/json"})
    except httpx.HTTPError as error:
        log.info("a sandbox message did not arrive", event_id=str(event_id), url=url, error=repr(error)[:200])
        return False
    return answer.is_success


@lru_cache(maxsize=8)
def _tls(certificate: str | None) -> ssl.SSLContext:
    """Reading the authorities costs 20 ms, so it is done once; our own certificate is believed too."""
    context = ssl.create_default_context()
    if certificate is not None:
        context.load_verify_locations(certificate)
    return context


@lru_cache(maxsize=8)
def secrets(settings: Settings) -> tuple[bytes, ...]:
    """Every secret in use: messages carry a signature by each, and one that fits is enough."""
    if settings.sandbox_secret:
        return tuple(secret.strip().encode() for secret in settings.sandbox_secret.split(",") if secret.strip())
    return tuple(
        hmac.new(key.encode(), b"laotie.sandbox-webhook", hashlib.sha256).digest() for key in settings.signing_keys()
    )
