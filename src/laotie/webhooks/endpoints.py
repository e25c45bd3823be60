"""Endpoints: made, changed, given a new secret, switched off, tried out, removed.

An endpoint carries what happens in a shop to wherever it points, for as long as it stands, so it takes the scope `staff`
to touch one; and since nobody gives what they lack, choosing a type takes that type's own scope too.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
from psycopg import errors

from laotie import identity, messages
from laotie.base.db import Tx
from laotie.base.ids import EventId, ShopId, ViewerId
from laotie.base.refusals import IdReused, NotFound, TooFast
from laotie.base.signer import Signer
from laotie.base.texts import plain_line
from laotie.identity import Actor, Scope
from laotie.webhooks.catalogue import CATALOGUE, PING, encode_message
from laotie.webhooks.model import (
    ENDPOINTS_MAX,
    PINGS_PER_MINUTE_MAX,
    SECRET_PURPOSE,
    SECRETS_OVERLAP,
    DeliveryId,
    Draft,
    Endpoint,
    EndpointId,
    EndpointOff,
    EndpointOffFor,
    EndpointsFull,
    EndpointState,
    TypesRefused,
    check_url,
    delivery_id,
    make_secret,
)

PAGE = "/console/webhooks"
NOTICE = "webhook_disabled"


class Made(NamedTuple):
    """An endpoint and, only when it was made just now, its secret."""

    endpoint: Endpoint
    secret: str | None


class Rotated(NamedTuple):
    """A new secret, and until when the one before signs too."""

    secret: str
    old_secret_until: datetime


async def list_endpoints(tx: Tx, actor: Actor, shop_id: ShopId) -> list[Endpoint]:
    """A shop's endpoints, the oldest first. Needs `staff`."""
    await identity.require_seat(tx, actor, shop_id, Scope.staff)
    return await _read(tx, shop_id, None)


async def get_endpoint(tx: Tx, actor: Actor, endpoint_id: EndpointId) -> Endpoint:
    """One endpoint, or `NotFound`. Needs `staff` at its shop."""
    shop_id = await find_shop(tx, endpoint_id)
    await identity.require_seat(tx, actor, shop_id, Scope.staff)
    (found,) = await _read(tx, shop_id, endpoint_id)
    return found


async def create_endpoint(
    tx: Tx, actor: Actor, shop_id: ShopId, endpoint_id: EndpointId, draft: Draft, *, signer: Signer, private: bool
) -> Made:
    """Tell this address what happens in the shop from now on; said again it answers without the secret.

    Needs `staff` and the scope of every type. Refuses `EndpointRefused`, `TypesRefused`, `EndpointsFull`, `IdReused`.
    """
    await identity.require_seat(tx, actor, shop_id, Scope.staff)
    await tx.run("SELECT pg_advisory_xact_lock(hashtextextended('webhooks', hashtext(%(id)s)))", id=str(shop_id))
    present = await _read(tx, shop_id, None)
    types, description = await _check(tx, actor, shop_id, draft.types), plain_line(draft.description)
    check_url(draft.url, private=private)
    before = next((one for one in present if one.id == endpoint_id), None)
    if before is not None:
        if (before.url, before.types, before.description) != (draft.url, types, description):
            raise IdReused()
        return Made(before, None)
    if len(present) >= ENDPOINTS_MAX:
        raise EndpointsFull(count_max=ENDPOINTS_MAX)
    secret = make_secret()
    try:
        async with tx.savepoint():
            await tx.run(
                """
                INSERT INTO webhooks.endpoint (id, shop_id, url, description, types, state, secret, created_at,
                                               leased_until, resting_until)
                VALUES (%(id)s, %(shop_id)s, %(url)s, %(description)s, %(types)s, 'active', %(secret)s, %(now)s,
                        %(now)s, %(now)s)
                """,
                id=endpoint_id,
                shop_id=shop_id,
                url=draft.url,
                description=description,
                types=types,
                secret=signer.seal(SECRET_PURPOSE, secret, about=endpoint_id),
                now=tx.now,
            )
    except errors.UniqueViolation:
        raise IdReused() from None
    await identity.record(tx, actor, "webhook.created", subject=str(endpoint_id), shop_id=shop_id, url=draft.url, types=types)
    (made,) = await _read(tx, shop_id, endpoint_id)
    return Made(made, secret)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What of an endpoint shall be different. Resuming one that was disabled forgives its failures."""

    url: str | None = None
    types: list[str] | None = None
    description: str | None = None
    state: EndpointState | None = None


async def change_endpoint(tx: Tx, actor: Actor, endpoint_id: EndpointId, change: Change, *, private: bool) -> Endpoint:
    """Change an endpoint. What waits goes to the new address. Needs `staff`, and the scopes of types it did not hear yet.

    Refuses `NotFound`, `EndpointRefused`, `TypesRefused`. Locks the endpoint.
    """
    before = await _lock(tx, actor, endpoint_id)
    types = before.types
    if change.types is not None:
        types = await _check(tx, actor, before.shop_id, change.types, known=before.types)
    if change.url is not None:
        check_url(change.url, private=private)
    assert change.state is not EndpointState.disabled, "only we disable"
    await tx.run(
        """
        UPDATE webhooks.endpoint
        SET url = %(url)s, types = %(types)s, description = %(description)s, state = %(state)s,
            disabled_for = CASE WHEN %(state)s = 'disabled' THEN disabled_for END,
            failures = CASE WHEN %(anew)s THEN 0 ELSE failures END,
            failing_since = CASE WHEN %(anew)s THEN NULL ELSE failing_since END,
            resting_until = CASE WHEN %(anew)s THEN %(now)s ELSE resting_until END
        WHERE id = %(id)s
        """,
        id=endpoint_id,
        url=change.url or before.url,
        types=types,
        description=before.description if change.description is None else plain_line(change.description),
        state=change.state or before.state,
        anew=change.url is not None or (change.state is EndpointState.active and before.state is not EndpointState.active),
        now=tx.now,
    )
    said = {field: getattr(change, field) for field in Change.__struct_fields__ if getattr(change, field) is not None}
    await identity.record(tx, actor, "webhook.changed", subject=str(endpoint_id), shop_id=before.shop_id, **said)
    (found,) = await _read(tx, before.shop_id, endpoint_id)
    return found


async def rotate_secret(tx: Tx, actor: Actor, endpoint_id: EndpointId, *, signer: Signer) -> Rotated:
    """A new secret; for a day messages bear both signatures. Rotating again ends the oldest at once. Locks the endpoint."""
    endpoint = await _lock(tx, actor, endpoint_id)
    secret, until = make_secret(), tx.now + SECRETS_OVERLAP
    await tx.run(
        """
        UPDATE webhooks.endpoint SET old_secret = secret, old_secret_until = %(until)s, secret = %(secret)s WHERE id = %(id)s
        """,
        id=endpoint_id,
        secret=signer.seal(SECRET_PURPOSE, secret, about=endpoint_id),
        until=until,
    )
    await identity.record(tx, actor, "webhook.secret_rotated", subject=str(endpoint_id), shop_id=endpoint.shop_id)
    return Rotated(secret, until)


async def remove_endpoint(tx: Tx, actor: Actor, endpoint_id: EndpointId) -> None:
    """Tell it nothing more. Address and secret are gone at once; what it was told follows (`sweep`). Locks the endpoint."""
    endpoint = await _lock(tx, actor, endpoint_id)
    await tx.run(
        """
        UPDATE webhooks.endpoint
        SET state = 'removed', disabled_for = NULL, url = '', description = '', secret = ''::bytea, old_secret = NULL,
            old_secret_until = NULL
        WHERE id = %(id)s
        """,
        id=endpoint_id,
    )
    await identity.record(tx, actor, "webhook.removed", subject=str(endpoint_id), shop_id=endpoint.shop_id)


async def ping(tx: Tx, actor: Actor, endpoint_id: EndpointId, event_id: EventId) -> DeliveryId:
    """Send a test message, under the client's id, the way everything goes. Refuses `EndpointOff`, `TooFast`."""
    endpoint = await _lock(tx, actor, endpoint_id)
    if endpoint.state is not EndpointState.active:
        raise EndpointOff()
    made_id = delivery_id(event_id, endpoint_id)
    if await tx.maybe(UUID, "SELECT id FROM webhooks.delivery WHERE id = %(id)s", id=made_id) is not None:
        return made_id
    recent = await tx.one(
        int,
        """
        SELECT count(*) FROM webhooks.message
        WHERE subject_id = %(id)s AND type = %(ping)s AND at > %(since)s
        """,
        id=endpoint_id,
        ping=PING,
        since=tx.now - timedelta(minutes=1),
    )
    if recent >= PINGS_PER_MINUTE_MAX:
        raise TooFast(retry_after_s=60)
    try:
        async with tx.savepoint():
            await tx.run(
                """
                WITH message AS (
                    INSERT INTO webhooks.message (event_id, shop_id, type, subject_id, body, delivery_count, at)
                    VALUES (%(event_id)s, %(shop_id)s, %(ping)s, %(endpoint_id)s, %(body)s, 1, %(now)s)
                )
                INSERT INTO webhooks.delivery (id, event_id, endpoint_id, state, due_at)
                VALUES (%(id)s, %(event_id)s, %(endpoint_id)s, 'waiting', %(now)s)
                """,
                id=made_id,
                event_id=event_id,
                endpoint_id=endpoint_id,
                shop_id=endpoint.shop_id,
                ping=PING,
                body=encode_message(PING, tx.now, {"endpoint_id": endpoint_id}),
                now=tx.now,
            )
    except errors.UniqueViolation:
        raise IdReused() from None
    return made_id


async def disable(tx: Tx, endpoint_id: EndpointId, reason: EndpointOffFor) -> None:
    """Switch an endpoint off and tell the shop's staff; one that is off already, or gone, stays so."""
    found = await tx.maybe(
        _Named,
        """
        UPDATE webhooks.endpoint SET state = 'disabled', disabled_for = %(reason)s
        WHERE id = %(id)s AND state IN ('active', 'paused') RETURNING shop_id, url
        """,
        id=endpoint_id,
        reason=reason,
    )
    if found is None:
        return
    await identity.record(tx, None, "webhook.disabled", subject=str(endpoint_id), shop_id=found.shop_id, reason=reason)
    staff = await identity.list_seated(tx, found.shop_id, Scope.staff)
    facts = {"reason": reason, "url": found.url[:200]}
    await messages.notify_many(tx, [ViewerId(one) for one in staff], NOTICE, facts, PAGE)


class _Named(msgspec.Struct, frozen=True):
    shop_id: ShopId
    url: str


async def find_shop(tx: Tx, endpoint_id: EndpointId) -> ShopId:
    """Whose endpoint it is, or `NotFound`."""
    shop_id = await tx.maybe(
        ShopId, "SELECT shop_id FROM webhooks.endpoint WHERE id = %(id)s AND state <> 'removed'", id=endpoint_id
    )
    if shop_id is None:
        raise NotFound()
    return shop_id


async def _lock(tx: Tx, actor: Actor, endpoint_id: EndpointId) -> Endpoint:
    shop_id = await find_shop(tx, endpoint_id)
    await identity.require_seat(tx, actor, shop_id, Scope.staff)
    await tx.run("SELECT FROM webhooks.endpoint WHERE id = %(id)s FOR NO KEY UPDATE", id=endpoint_id)
    found = await _read(tx, shop_id, endpoint_id)
    if not found:
        raise NotFound()
    return found[0]


async def _check(
    tx: Tx, actor: Actor, shop_id: ShopId, types: Collection[str], *, known: Collection[str] = ()
) -> list[str]:
    unknown = sorted(set(types) - CATALOGUE.keys())
    if unknown:
        raise TypesRefused(unknown=unknown)
    chosen = [tag for tag in CATALOGUE if tag in types]
    for scope in sorted({CATALOGUE[tag].scope for tag in chosen if tag not in known}):
        await identity.require_seat(tx, actor, shop_id, scope)
    return chosen


async def _read(tx: Tx, shop_id: ShopId, endpoint_id: EndpointId | None) -> list[Endpoint]:
    return await tx.all(
        Endpoint,
        """
        SELECT id, shop_id, url, description, types, state, disabled_for,
               CASE WHEN old_secret_until > %(now)s THEN old_secret_until END AS old_secret_until, failing_since,
               CASE WHEN resting_until > %(now)s THEN resting_until END AS resting_until, delivered_at,
               (SELECT count(*) FROM webhooks.delivery WHERE endpoint_id = endpoint.id AND state = 'waiting') AS waiting,
               (SELECT count(*) FROM webhooks.delivery WHERE endpoint_id = endpoint.id AND state = 'given_up') AS given_up,
               created_at
        FROM webhooks.endpoint
        WHERE shop_id = %(shop_id)s AND state <> 'removed' AND (%(id)s::uuid IS NULL OR id = %(id)s) ORDER BY created_at, id
        """,
        shop_id=shop_id,
        id=endpoint_id,
        now=tx.now,
    )
