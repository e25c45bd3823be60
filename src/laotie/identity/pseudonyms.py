"""Pseudonyms: accounts for people known only by a number in somebody's old books. Nobody can sign in to them."""

from datetime import datetime
from typing import NamedTuple

from laotie.base.db import Tx
from laotie.base.ids import AccountId
from laotie.identity.model import plain_handle


class Pseudonym(NamedTuple):
    """Who is to be entered. `since` is when they were first seen."""

    id: AccountId
    name: str
    since: datetime


async def add_pseudonyms(tx: Tx, people: list[Pseudonym]) -> int:
    """Enter those who are not there yet; returns how many. Their handle has a blank, so no sign-in can name it."""
    return await tx.run(
        """
        INSERT INTO identity.account (id, handle, name, password_hash, created_at)
        SELECT id, 'pseudonym ' || id, name, '!', since
        FROM unnest(%(ids)s::uuid[], %(names)s::text[], %(since)s::timestamptz[]) AS person (id, name, since)
        ON CONFLICT (id) DO NOTHING
        """,
        ids=[person.id for person in people],
        names=[person.name for person in people],
        since=[person.since for person in people],
    )


async def find_by_handle(tx: Tx, handle: str) -> AccountId | None:
    """The account that signs in under this name, if there is one (for the operator's command line)."""
    return await tx.maybe(
        AccountId,
        "SELECT id FROM identity.account WHERE handle = %(handle)s AND erased_at IS NULL",
        handle=plain_handle(handle),
    )
