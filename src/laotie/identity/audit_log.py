"""The audit log: who did what to whom, when, from where. Appended to, never changed; operators read it.

Every room records here what changes rights or money by hand, and every access to somebody's personal data.
"""

from uuid import UUID

import structlog
from psycopg.types.json import Jsonb

from laotie.base.db import Tx
from laotie.base.ids import new_id
from laotie.identity.model import Actor, AuditEntry


async def record(tx: Tx, actor: Actor | None, act: str, *, subject: str, **detail: object) -> None:
    """Append an entry with this transaction. `actor` is `None` when the platform acts by itself.

    `act` is a dotted past tense (`seat.granted`), `subject` the id of what it was done to; `detail` never holds a
    secret or more personal data than the act needs.
    """
    await tx.run(
        """
        INSERT INTO identity.audit_entry (id, at, actor_id, act, subject, detail, address, request_id)
        VALUES (%(id)s, %(now)s, %(actor_id)s, %(act)s, %(subject)s, %(detail)s, %(address)s, %(request_id)s)
        """,
        id=new_id(),
        now=tx.now,
        actor_id=None if actor is None else actor.seat_holder_id or actor.account_id or actor.viewer_id,
        act=act,
        subject=subject,
        detail=Jsonb(detail),
        address=None if actor is None else actor.address,
        request_id=structlog.contextvars.get_contextvars().get("request_id"),
    )


async def list_audit_entries(
    tx: Tx, actor: Actor, *, subject: str | None = None, before: UUID | None = None, limit: int
) -> list[AuditEntry]:
    """The log for an operator, newest first, of one subject or of all. Reading it is recorded too."""
    actor.require_operator()
    entries = await tx.all(
        AuditEntry,
        """
        SELECT id, at, actor_id, act, subject, detail, address, request_id FROM identity.audit_entry
        WHERE (%(subject)s::text IS NULL OR subject = %(subject)s OR actor_id::text = %(subject)s)
          AND (%(before)s::uuid IS NULL OR id < %(before)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        subject=subject,
        before=before,
        limit=limit,
    )
    await record(tx, actor, "audit_log.read", subject=subject or "all")
    return entries
