"""Telling: a fact becomes a message and one delivery for each endpoint that hears its type.

It happens in the transaction that takes the fact out of the outbox, so each fact is told once and none is skipped; one
statement looks who listens for all facts of a turn, because mostly nobody does.
"""

from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.events import Told, tag_of
from laotie.webhooks.catalogue import CATALOGUE, EventType, encode_message
from laotie.webhooks.model import EndpointId, delivery_id


class _Listener(msgspec.Struct, frozen=True):
    id: EndpointId
    shop_id: UUID
    types: list[str]


async def tell(tx: Tx, told: list[Told]) -> None:
    """Write what these facts are to their shops' endpoints. Of absolute figures the newest of these is told."""
    facts = [(one, CATALOGUE[tag_of(type(one.event))], _shop_of(one)) for one in told]
    listeners = await tx.all(
        _Listener,
        """
        SELECT id, shop_id, types FROM webhooks.endpoint
        WHERE shop_id = ANY(%(shops)s) AND state IN ('active', 'paused') AND types && %(types)s ORDER BY id
        """,
        shops=sorted({shop for _, _, shop in facts if shop is not None}),
        types=sorted({kind.tag for _, kind, _ in facts}),
    )
    if not listeners:
        return
    newest: dict[tuple[str, UUID], UUID] = {
        (kind.tag, kind.subject_of(one.event)): one.id for one, kind, _ in facts if kind.is_level
    }
    messages: list[tuple[Told, EventType, UUID, list[EndpointId]]] = []
    for one, kind, shop in facts:
        if shop is None or newest.get((kind.tag, kind.subject_of(one.event)), one.id) != one.id:
            continue
        hearing = [listener.id for listener in listeners if listener.shop_id == shop and kind.tag in listener.types]
        if hearing:
            messages.append((one, kind, shop, hearing))
    if messages:
        await _write(tx, messages)


async def _write(tx: Tx, messages: list[tuple[Told, EventType, UUID, list[EndpointId]]]) -> None:
    deliveries = [(one.id, endpoint_id) for one, _, _, hearing in messages for endpoint_id in hearing]
    await tx.run(
        """
        INSERT INTO webhooks.message (event_id, shop_id, type, subject_id, body, delivery_count, at)
        SELECT event_id, shop_id, type, subject_id, body, delivery_count, at
        FROM unnest(%(ids)s::uuid[], %(shops)s::uuid[], %(types)s::text[], %(subjects)s::uuid[], %(bodies)s::text[],
                    %(counts)s::bigint[], %(ats)s::timestamptz[])
          AS told (event_id, shop_id, type, subject_id, body, delivery_count, at)
        """,
        ids=[one.id for one, *_ in messages],
        shops=[shop for _, _, shop, _ in messages],
        types=[kind.tag for _, kind, _, _ in messages],
        subjects=[kind.subject_of(one.event) for one, kind, _, _ in messages],
        bodies=[encode_message(kind.tag, one.at, kind.data_of(one.event)) for one, kind, _, _ in messages],
        counts=[len(hearing) for *_, hearing in messages],
        ats=[one.at for one, *_ in messages],
    )
    await tx.run(
        """
        INSERT INTO webhooks.delivery (id, event_id, endpoint_id, state, due_at)
        SELECT id, event_id, endpoint_id, 'waiting', %(now)s
        FROM unnest(%(ids)s::uuid[], %(events)s::uuid[], %(endpoints)s::uuid[]) AS told (id, event_id, endpoint_id)
        """,
        ids=[delivery_id(event_id, endpoint_id) for event_id, endpoint_id in deliveries],
        events=[event_id for event_id, _ in deliveries],
        endpoints=[endpoint_id for _, endpoint_id in deliveries],
        now=tx.now,
    )


def _shop_of(one: Told) -> UUID | None:
    """The shop that a fact is of; a payout to a streamer is of none."""
    shop: UUID | None = getattr(one.event, "shop_id", None)
    return shop
