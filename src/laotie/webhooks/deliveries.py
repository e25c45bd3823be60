"""Deliveries as people see them: listed, looked into, sent again; and what is old, swept away."""

from datetime import datetime
from uuid import UUID

import msgspec

from laotie import identity
from laotie.base.db import Tx
from laotie.base.ids import ShopId, lowest_id_at
from laotie.base.refusals import NotFound
from laotie.identity import Actor, Scope, ScopeLacking
from laotie.webhooks.catalogue import scope_of
from laotie.webhooks.endpoints import disable, get_endpoint
from laotie.webhooks.model import (
    KEPT,
    REPLAYS_MAX,
    WAITING_MAX,
    Attempt,
    Delivery,
    DeliveryId,
    DeliveryState,
    EndpointId,
    EndpointOff,
    EndpointOffFor,
    EndpointState,
    MessageGone,
)

PAGE_SIZE_MAX = 100
ATTEMPTS_SHOWN_MAX = 50
SWEPT_AT_ONCE_MAX = 5_000
LAST_ID = UUID(int=2**128 - 1)


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery with what is sent, for whom may see such news, and every attempt, the latest first."""

    delivery: Delivery
    url: str
    body: str | None
    attempts: list[Attempt]


async def list_deliveries(
    tx: Tx,
    actor: Actor,
    shop_id: ShopId,
    *,
    endpoint_id: EndpointId | None = None,
    state: DeliveryState | None = None,
    about: UUID | None = None,
    after: DeliveryId | None = None,
    limit: int,
) -> list[Delivery]:
    """A shop's deliveries, the newest fact first; `about`: of one order, case, SKU … or one delivery. Needs `staff`."""
    await identity.require_seat(tx, actor, shop_id, Scope.staff)
    limit = min(limit, PAGE_SIZE_MAX)
    if about is not None:
        return await tx.all(
            Delivery,
            """
            SELECT d.id, d.event_id, d.endpoint_id, m.shop_id, m.type, m.subject_id, d.state, d.attempts, d.due_at, d.ended_at,
                   m.at, last.status, last.failure
            FROM webhooks.message AS m JOIN webhooks.delivery AS d USING (event_id)
            JOIN webhooks.endpoint AS e ON e.id = d.endpoint_id
            LEFT JOIN webhooks.attempt AS last ON last.delivery_id = d.id AND last.no = d.attempts
            WHERE d.event_id IN (SELECT event_id FROM webhooks.message WHERE subject_id = %(about)s
                                 UNION SELECT event_id FROM webhooks.delivery WHERE id = %(about)s)
              AND (m.subject_id = %(about)s OR d.id = %(about)s) AND m.shop_id = %(shop_id)s AND e.state <> 'removed'
              AND (%(endpoint_id)s::uuid IS NULL OR d.endpoint_id = %(endpoint_id)s)
              AND (%(state)s::text IS NULL OR d.state = %(state)s) AND d.id < %(before)s
            ORDER BY d.id DESC LIMIT %(limit)s
            """,
            about=about,
            shop_id=shop_id,
            endpoint_id=endpoint_id,
            state=state,
            before=after or LAST_ID,
            limit=limit,
        )
    return await tx.all(
        Delivery,
        """
        SELECT d.id, d.event_id, d.endpoint_id, m.shop_id, m.type, m.subject_id, d.state, d.attempts, d.due_at, d.ended_at,
               m.at, last.status, last.failure
        FROM webhooks.endpoint AS e
        CROSS JOIN unnest(%(states)s::text[]) AS asked (state)
        CROSS JOIN LATERAL (
            SELECT * FROM webhooks.delivery
            WHERE endpoint_id = e.id AND delivery.state = asked.state AND id < %(before)s ORDER BY id DESC LIMIT %(limit)s
        ) AS d
        JOIN webhooks.message AS m USING (event_id)
        LEFT JOIN webhooks.attempt AS last ON last.delivery_id = d.id AND last.no = d.attempts
        WHERE e.shop_id = %(shop_id)s AND e.state <> 'removed' AND (%(endpoint_id)s::uuid IS NULL OR e.id = %(endpoint_id)s)
        ORDER BY d.id DESC LIMIT %(limit)s
        """,
        shop_id=shop_id,
        endpoint_id=endpoint_id,
        states=[one.value for one in (DeliveryState if state is None else (state,))],
        before=after or LAST_ID,
        limit=limit,
    )


async def get_delivery(tx: Tx, actor: Actor, delivery_id: DeliveryId) -> Exchange:
    """One delivery with its attempts, or `NotFound`. Needs `staff`; its content also the scope of its type."""
    found = await _find(tx, delivery_id)
    await identity.require_seat(tx, actor, found.shop_id, Scope.staff)
    try:
        await identity.require_seat(tx, actor, found.shop_id, scope_of(found.type))
        may_read = True
    except ScopeLacking:
        may_read = False
    sent = await tx.one(
        _Sent,
        """
        SELECT url, body FROM webhooks.delivery JOIN webhooks.message USING (event_id)
        JOIN webhooks.endpoint ON endpoint.id = endpoint_id WHERE delivery.id = %(id)s
        """,
        id=delivery_id,
    )
    attempts = await tx.all(
        Attempt,
        """
        SELECT no, at, ms, status, failure, answer FROM webhooks.attempt
        WHERE delivery_id = %(id)s ORDER BY no DESC LIMIT %(limit)s
        """,
        id=delivery_id,
        limit=ATTEMPTS_SHOWN_MAX,
    )
    return Exchange(delivery=found, url=sent.url, body=sent.body if may_read else None, attempts=attempts)


async def replay(tx: Tx, actor: Actor, delivery_id: DeliveryId) -> Delivery:
    """Send it again now, with the same id and content and the whole row of attempts; one that waits goes now.

    Needs `staff`. Refuses `NotFound`, `EndpointOff`, `MessageGone`. Locks the endpoint.
    """
    found = await _find(tx, delivery_id)
    await _open(tx, actor, found.endpoint_id)
    if found.at < tx.now - KEPT:
        raise MessageGone()
    await tx.run(
        """
        UPDATE webhooks.delivery SET state = 'waiting', due_at = %(now)s, ended_at = NULL, tries = 0 WHERE id = %(id)s
        """,
        id=delivery_id,
        now=tx.now,
    )
    await identity.record(tx, actor, "webhook.replayed", subject=str(delivery_id), shop_id=found.shop_id)
    return await _find(tx, delivery_id)


async def replay_failed(tx: Tx, actor: Actor, endpoint_id: EndpointId, *, since: datetime) -> int:
    """Send again all that was given up of what happened since then, at most `REPLAYS_MAX`, the oldest first; how many.

    What is between its attempts goes now too. Needs `staff`. Refuses `NotFound`, `EndpointOff`. Locks the endpoint.
    """
    shop_id = await _open(tx, actor, endpoint_id)
    count = await tx.run(
        """
        UPDATE webhooks.delivery SET state = 'waiting', due_at = %(now)s, ended_at = NULL, tries = 0
        WHERE id IN (
            SELECT d.id FROM webhooks.delivery AS d JOIN webhooks.message AS m USING (event_id)
            WHERE endpoint_id = %(id)s AND (state = 'given_up' OR state = 'waiting' AND attempts > 0) AND m.at >= %(since)s
            ORDER BY d.id LIMIT %(limit)s
        )
        """,
        id=endpoint_id,
        since=since,
        now=tx.now,
        limit=REPLAYS_MAX,
    )
    await identity.record(
        tx, actor, "webhook.failed_replayed", subject=str(endpoint_id), shop_id=shop_id, since=since, count=count
    )
    return count


async def _open(tx: Tx, actor: Actor, endpoint_id: EndpointId) -> ShopId:
    await tx.run("SELECT FROM webhooks.endpoint WHERE id = %(id)s FOR NO KEY UPDATE", id=endpoint_id)
    endpoint = await get_endpoint(tx, actor, endpoint_id)
    if endpoint.state is EndpointState.disabled:
        raise EndpointOff()
    await tx.run(  # a person wants it now, whatever rest there was
        "UPDATE webhooks.endpoint SET resting_until = %(now)s WHERE id = %(id)s", id=endpoint_id, now=tx.now
    )
    return endpoint.shop_id


async def _find(tx: Tx, delivery_id: DeliveryId) -> Delivery:
    found = await tx.maybe(
        Delivery,
        """
        SELECT d.id, d.event_id, d.endpoint_id, m.shop_id, m.type, m.subject_id, d.state, d.attempts, d.due_at, d.ended_at,
               m.at, last.status, last.failure
        FROM webhooks.delivery AS d JOIN webhooks.message AS m USING (event_id)
        JOIN webhooks.endpoint AS e ON e.id = d.endpoint_id
        LEFT JOIN webhooks.attempt AS last ON last.delivery_id = d.id AND last.no = d.attempts
        WHERE d.id = %(id)s AND e.state <> 'removed'
        """,
        id=delivery_id,
    )
    if found is None:
        raise NotFound()
    return found


class _Sent(msgspec.Struct, frozen=True):
    url: str
    body: str


async def sweep(tx: Tx) -> int:
    """Forget some of what is older than `KEPT` or was told to removed endpoints; switch off where too much piles up.

    How many deliveries went.
    """
    for endpoint_id in await tx.all(
        EndpointId,
        """
        SELECT e.id FROM webhooks.endpoint AS e WHERE state IN ('active', 'paused') AND EXISTS (
            SELECT FROM webhooks.delivery WHERE endpoint_id = e.id AND state = 'waiting' OFFSET %(max)s
        ) ORDER BY e.id
        """,
        max=WAITING_MAX,
    ):
        await disable(tx, endpoint_id, EndpointOffFor.overflow)
    gone = await tx.run(
        """
        WITH gone AS (
            DELETE FROM webhooks.delivery WHERE id IN (
                (SELECT id FROM webhooks.delivery WHERE id < %(oldest)s ORDER BY id LIMIT %(limit)s)
                UNION ALL
                (SELECT id FROM webhooks.delivery
                 WHERE endpoint_id IN (SELECT id FROM webhooks.endpoint WHERE state = 'removed') LIMIT %(limit)s)
            ) RETURNING event_id
        )
        UPDATE webhooks.message AS m SET delivery_count = delivery_count - gone.count
        FROM (SELECT event_id, count(*) FROM gone GROUP BY event_id) AS gone WHERE m.event_id = gone.event_id
        """,
        oldest=lowest_id_at(tx.now - KEPT),
        limit=SWEPT_AT_ONCE_MAX,
    )
    await tx.run(
        """
        DELETE FROM webhooks.message WHERE event_id IN (
            SELECT event_id FROM webhooks.message WHERE delivery_count = 0 LIMIT %(limit)s
        )
        """,
        limit=SWEPT_AT_ONCE_MAX,
    )
    await tx.run(
        """
        DELETE FROM webhooks.endpoint AS e
        WHERE state = 'removed' AND NOT EXISTS (SELECT FROM webhooks.delivery WHERE endpoint_id = e.id)
        """
    )
    return gone
