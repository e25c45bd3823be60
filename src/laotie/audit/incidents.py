"""Incidents: a promise that is broken, from the run that first saw it to the one that found it whole again.

One is open a promise at a time. Only a look at everything closes one, and one that saw something: what has changed may be
sound while the broken row stands where it stood, and a store that is away proves nothing. Operators are told when one opens
and when it closes.
"""

from datetime import datetime
from typing import NewType
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from laotie import identity, messages
from laotie.audit.model import Seen, Wrong
from laotie.base.db import Tx
from laotie.base.ids import ViewerId, new_id
from laotie.base.logs import log

IncidentId = NewType("IncidentId", UUID)

FINDINGS_KEPT_MAX = 50
FINDING_LENGTH_MAX = 500
OPERATORS_TOLD_MAX = 100
LINK = "/console/checks"


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """A broken promise; `findings` are those of the last look, `FINDINGS_KEPT_MAX` at most."""

    id: IncidentId
    promise: str
    opened_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None
    finding_count: int
    finding_count_max: int
    findings: list[Wrong]


async def follow(tx: Tx, at: datetime, promise: str, seen: Seen, *, is_whole: bool) -> None:
    """Open, keep or close the promise's incident, after a look at it."""
    open_id = await tx.maybe(
        IncidentId, "SELECT id FROM audit.incident WHERE promise = %(promise)s AND closed_at IS NULL", promise=promise
    )
    if not seen.wrong:
        if open_id is not None and is_whole and not seen.is_blind:
            await tx.run("UPDATE audit.incident SET closed_at = %(at)s WHERE id = %(id)s", at=at, id=open_id)
            log.warning("a broken promise holds again", promise=promise)
            await _tell(tx, open_id, "invariant_whole", promise, 0)
        return
    findings = Jsonb([_shortened(one) for one in seen.wrong[:FINDINGS_KEPT_MAX]])
    count = len(seen.wrong)
    if open_id is not None:
        await tx.run(
            """
            UPDATE audit.incident SET last_seen_at = %(at)s, finding_count = %(count)s,
                finding_count_max = greatest(finding_count_max, %(count)s), findings = %(findings)s
            WHERE id = %(id)s
            """,
            at=at,
            count=count,
            findings=findings,
            id=open_id,
        )
        return
    made_id = IncidentId(new_id())
    await tx.run(
        """
        INSERT INTO audit.incident (id, promise, opened_at, last_seen_at, finding_count, finding_count_max, findings)
        VALUES (%(id)s, %(promise)s, %(at)s, %(at)s, %(count)s, %(count)s, %(findings)s)
        """,
        id=made_id,
        promise=promise,
        at=at,
        count=count,
        findings=findings,
    )
    first = seen.wrong[0]
    log.error("a promise is broken", promise=promise, found=count, subject=first.subject, expected=first.expected, is_=first.found)
    await _tell(tx, made_id, "invariant_broken", promise, count)


async def list_incidents(tx: Tx, *, after: IncidentId | None = None, limit: int = 50) -> list[Incident]:
    """The latest first, continued after one."""
    return await tx.all(
        Incident,
        """
        SELECT id, promise, opened_at, last_seen_at, closed_at, finding_count, finding_count_max, findings
        FROM audit.incident WHERE %(after)s::uuid IS NULL OR id < %(after)s ORDER BY id DESC LIMIT %(limit)s
        """,
        after=after,
        limit=limit,
    )


async def _tell(tx: Tx, incident_id: IncidentId, kind: str, promise: str, found: int) -> None:
    operators = await identity.list_with_role(tx, identity.Role.operator, limit=OPERATORS_TOLD_MAX)
    facts = {"promise": promise, "found": found}
    await messages.notify_many(
        tx, [ViewerId(operator) for operator in operators], kind, facts, LINK, once=incident_id
    )


def _shortened(one: Wrong) -> Wrong:
    return Wrong(*(text[:FINDING_LENGTH_MAX] for text in (one.subject, one.expected, one.found)))
