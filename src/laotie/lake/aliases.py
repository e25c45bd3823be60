"""Aliases: under which random id the lake goes on knowing somebody who left.

One alias a person, for the account and for every guest that became it, drawn when the person leaves. Rows that come later
are given it on their way in; rows that are there already are given it by `erasure`. While facts of the person stay in other
rooms under the account's id (orders are kept by law), the alias is kept, since the order's number connects the two anyway
and the lake must be able to be built anew from them. Otherwise it is forgotten when the last file has been rewritten.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID, uuid4

from laotie.base.db import Tx
from laotie.base.ids import AccountId, ViewerId


async def give_alias(tx: Tx, account_id: AccountId, guest_ids: Iterable[ViewerId], *, due_at: datetime) -> None:
    """Somebody left: draw an alias, and have the lake rewritten from `due_at` on. Doing it again changes nothing."""
    await tx.run(
        """
        INSERT INTO lake.erasure (account_id, alias, asked_at, due_at)
        VALUES (%(account_id)s, %(alias)s, %(now)s, %(due_at)s) ON CONFLICT DO NOTHING
        """,
        account_id=account_id,
        alias=uuid4(),
        now=tx.now,
        due_at=due_at,
    )
    await tx.run(
        """
        INSERT INTO lake.alias (id, account_id, alias)
        SELECT id, account_id, alias FROM lake.erasure CROSS JOIN unnest(%(ids)s::uuid[]) AS known (id)
        WHERE account_id = %(account_id)s ON CONFLICT DO NOTHING
        """,
        account_id=account_id,
        ids=[account_id, *guest_ids],
    )


async def find_aliases(tx: Tx, ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Which of these ids are of people who left, and their aliases."""
    return dict(
        await tx.tuples("SELECT id, alias FROM lake.alias WHERE id = ANY(%(ids)s::uuid[])", ids=list(set(ids)))
    )
