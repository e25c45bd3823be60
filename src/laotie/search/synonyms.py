"""Words that mean the same, in whatever language: groups that an operator edits, found for each other."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import AccountId
from laotie.search.model import SynonymsFull, SynonymsRefused
from laotie.search.tiers import Alternatives
from laotie.search.words import cut, fold

GROUPS_MAX = 2_000
GROUP_WORDS_MAX = 20
SYNONYM_LENGTH_MAX = 40


class SynonymGroup(msgspec.Struct, frozen=True):
    """Words that mean the same, as they were typed."""

    id: UUID
    words: list[str]
    changed_at: datetime


async def list_synonyms(tx: Tx) -> list[SynonymGroup]:
    """All groups, what was changed last first."""
    return await tx.all(
        SynonymGroup,
        """
        SELECT grouped.id, array_agg(word ORDER BY no) AS words, changed_at
        FROM search.synonym_group AS grouped JOIN search.synonym ON synonym.group_id = grouped.id
        GROUP BY grouped.id ORDER BY changed_at DESC, grouped.id LIMIT %(limit)s
        """,
        limit=GROUPS_MAX,
    )


async def put_synonyms(tx: Tx, group_id: UUID, words: Iterable[str], *, by: AccountId) -> SynonymGroup:
    """Have a group hold these words, under the client's own id. Refuses `SynonymsRefused`, `SynonymsFull`.

    Whether `by` may is asked by the caller.
    """
    said: dict[str, str] = {}
    for word in words:
        said.setdefault(fold(word), " ".join(word.split()))
    said.pop("", None)
    unfit = [word for word in said.values() if len(word) > SYNONYM_LENGTH_MAX or not cut(fold(word))]
    if unfit or not 2 <= len(said) <= GROUP_WORDS_MAX:
        raise SynonymsRefused(word=unfit[0][:SYNONYM_LENGTH_MAX] if unfit else "")
    await tx.run("SELECT pg_advisory_xact_lock(hashtext('search.synonym'))")
    if await tx.one(int, "SELECT count(*) FROM search.synonym_group WHERE id <> %(id)s", id=group_id) >= GROUPS_MAX:
        raise SynonymsFull(groups_max=GROUPS_MAX)
    await tx.run(
        """
        INSERT INTO search.synonym_group (id, changed_by, changed_at) VALUES (%(id)s, %(by)s, %(now)s)
        ON CONFLICT (id) DO UPDATE SET changed_by = excluded.changed_by, changed_at = excluded.changed_at
        """,
        id=group_id,
        by=by,
        now=tx.now,
    )
    await tx.run("DELETE FROM search.synonym WHERE group_id = %(id)s", id=group_id)
    taken = await tx.maybe(str, "SELECT word FROM search.synonym WHERE key = ANY(%(keys)s) LIMIT 1", keys=list(said))
    if taken is not None:
        raise SynonymsRefused(word=taken)
    await tx.run(
        """
        INSERT INTO search.synonym (key, word, group_id, no)
        SELECT key, word, %(id)s, no FROM unnest(%(keys)s::text[], %(words)s::text[]) WITH ORDINALITY AS said (key, word, no)
        """,
        id=group_id,
        keys=list(said),
        words=list(said.values()),
    )
    return SynonymGroup(group_id, list(said.values()), tx.now)


async def drop_synonyms(tx: Tx, group_id: UUID) -> None:
    """These words no longer mean the same."""
    await tx.run("DELETE FROM search.synonym_group WHERE id = %(id)s", id=group_id)


def alternatives_of(groups: Iterable[SynonymGroup]) -> Alternatives:
    """The groups as runs of words that stand for each other."""
    found: dict[tuple[str, ...], frozenset[tuple[str, ...]]] = {}
    for group in groups:
        runs = frozenset(run for word in group.words if (run := tuple(cut(fold(word)))))
        for run in runs:
            found[run] = found.get(run, frozenset()) | runs
    return found
