"""The desk: entries that arrive together are judged and written together, one transaction a batch.

Like the till: it holds the activities (by id, then the bargains), reads what bears on the asks, judges in the order of
arrival, writes entries, counts and transfers set-based, commits, and only then answers. The table's key refuses a second
entry of the same person whatever happens; shares leave the escrow in the transaction that writes the entry, so a crash
pays all of it or nothing.
"""

import time
from collections.abc import Callable
from uuid import UUID

from psycopg.errors import UniqueViolation

from laotie import fans, ledger
from laotie.base import metrics
from laotie.base.batch import Batcher
from laotie.base.db import Database, Tx, retried
from laotie.base.ids import ViewerId
from laotie.base.refusals import Refusal
from laotie.events.fun import BargainHelped
from laotie.fun import rows
from laotie.fun.judge import Facts, Known, OpenBargain, Outcome, decide
from laotie.fun.model import ActivityId, Ask, BargainId, Entered, Held, Kind

BATCH_MAX = 512
WAITING_MAX = 20_000
RACES_MAX = 3


class Desk:
    """One a process. `submit` for sockets, `enter` for everyone who can wait."""

    def __init__(self, db: Database, *, batch_max: int = BATCH_MAX, waiting_max: int = WAITING_MAX) -> None:
        self._db = db
        self._batcher: Batcher[Ask, Entered] = Batcher(self._decide, batch_max=batch_max, waiting_max=waiting_max)

    def submit(self, ask: Ask, reply: Callable[[Entered | BaseException], None]) -> None:
        """Queue an ask; `reply` is called once, after the commit, with the answer or the exception."""
        self._batcher.submit(ask, reply)

    async def enter(self, ask: Ask) -> Entered:
        """Take part; refusals are raised."""
        return await self._batcher.ask(ask)

    async def close(self) -> None:
        """Take nothing new, answer everyone who waits."""
        await self._batcher.close()

    async def _decide(self, asks: list[Ask]) -> list[Entered | Refusal]:
        started = time.perf_counter()
        answers = await retried(RACES_MAX, lambda: self._decide_once(asks), on=UniqueViolation)
        metrics.DESK_BATCH_SECONDS.observe(time.perf_counter() - started)
        return answers

    async def _decide_once(self, asks: list[Ask]) -> list[Entered | Refusal]:
        async with self._db.tx() as tx:
            facts = await _read_facts(tx, asks)
            outcome = decide(asks, facts)
            if outcome.taken:
                await _write(tx, outcome, facts)
        return outcome.answers


async def _read_facts(tx: Tx, asks: list[Ask]) -> Facts:
    """Hold activities, then bargains; then read."""
    bargain_ids = sorted({BargainId(ask.subject_id) for ask in asks if ask.is_help})
    activity_ids = {ActivityId(ask.subject_id) for ask in asks if not ask.is_help}
    if bargain_ids:
        activity_ids.update(
            await tx.all(UUID, "SELECT activity_id FROM fun.bargain WHERE id = ANY(%(ids)s)", ids=bargain_ids)  # type: ignore[arg-type]
        )
    activities = await rows.hold_many(tx, sorted(activity_ids))
    bargains = await _hold_bargains(tx, bargain_ids) if bargain_ids else {}
    viewers = sorted({ask.viewer_id for ask in asks})
    strict = sorted({held.host_id for held in activities.values() if held.followers_only})
    return Facts(
        activities=activities,
        bargains=bargains,
        known=await _find_known(tx, sorted(activities), viewers),
        follows=await fans.find_since(tx, [(viewer, host) for host in strict for viewer in viewers]) if strict else {},
        today=await _count_today(tx, viewers),
        now=tx.now,
    )


async def _hold_bargains(tx: Tx, bargain_ids: list[BargainId]) -> dict[BargainId, OpenBargain]:
    found = await tx.tuples(
        """
        SELECT id, activity_id, buyer_id, helped_count, cut_amount, grant_id IS NOT NULL FROM fun.bargain
        WHERE id = ANY(%(ids)s) ORDER BY id FOR UPDATE
        """,
        ids=bargain_ids,
    )
    return {row[0]: OpenBargain(*row) for row in found}


async def _find_known(
    tx: Tx, activity_ids: list[ActivityId], viewers: list[ViewerId]
) -> dict[tuple[ActivityId, ViewerId], Known]:
    found = await tx.tuples(
        """
        SELECT activity_id, viewer_id, no, head, choice, amount FROM fun.entry
        WHERE activity_id = ANY(%(activities)s::uuid[]) AND viewer_id = ANY(%(viewers)s::uuid[])
        """,
        activities=activity_ids,
        viewers=viewers,
    )
    return {(activity_id, viewer_id): Known(*rest) for activity_id, viewer_id, *rest in found}


async def _count_today(tx: Tx, viewers: list[ViewerId]) -> dict[ViewerId, int]:
    """Entries of the last 24 hours; polls count too, which only makes the bound a little stricter."""
    found = await tx.tuples(
        """
        SELECT viewer_id, count(*) FROM fun.entry
        WHERE viewer_id = ANY(%(viewers)s::uuid[]) AND entered_at > %(now)s::timestamptz - interval '24 hours'
        GROUP BY viewer_id
        """,
        viewers=viewers,
        now=tx.now,
    )
    return dict(found)


async def _write(tx: Tx, outcome: Outcome, facts: Facts) -> None:
    shares = [
        rows.payout(facts.activities[one.activity_id], one.viewer_id, one.amount, "red-packet")
        for one in outcome.taken
        if one.amount is not None and facts.activities[one.activity_id].kind is Kind.red_packet
    ]
    await ledger.open_for(tx, shares)
    async with tx.pipelined():
        await _insert_entries(tx, outcome)
        await _move_on(tx, outcome, facts)
        if outcome.bargains:
            await _lower_bargains(tx, list(outcome.bargains.values()))
        await ledger.transfer_many(tx, shares)
    for activity_id in outcome.running:
        rows.tell(tx, facts.activities[activity_id])
    for bargain in outcome.bargains.values():
        tx.tell(
            BargainHelped(
                bargain_id=bargain.id, activity_id=bargain.activity_id, buyer_id=ViewerId(bargain.buyer_id)
            )
        )


async def _insert_entries(tx: Tx, outcome: Outcome) -> None:
    taken = outcome.taken
    await tx.run(
        """
        INSERT INTO fun.entry (activity_id, viewer_id, no, nonce, choice, amount, head, entered_at)
        SELECT activity_id, viewer_id, no, nonce, choice, amount, head, at
        FROM unnest(%(activities)s::uuid[], %(viewers)s::uuid[], %(numbers)s::integer[], %(nonces)s::text[],
                    %(choices)s::text[], %(amounts)s::bigint[], %(heads)s::bytea[],
                    %(instants)s::timestamptz[])
          AS taken (activity_id, viewer_id, no, nonce, choice, amount, head, at)
        """,
        activities=[one.activity_id for one in taken],
        viewers=[one.viewer_id for one in taken],
        numbers=[one.no for one in taken],
        nonces=[one.nonce for one in taken],
        choices=[one.choice for one in taken],
        amounts=[one.amount for one in taken],
        heads=[one.head for one in taken],
        instants=[one.at for one in taken],
    )


async def _move_on(tx: Tx, outcome: Outcome, facts: Facts) -> None:
    """Counts, chain and money; an empty red packet is due at once."""
    for activity_id, running in outcome.running.items():
        held: Held = facts.activities[activity_id]
        paid = sum(
            one.amount or 0
            for one in outcome.taken
            if one.activity_id == activity_id and held.kind is Kind.red_packet
        )
        await tx.run(
            """
            UPDATE fun.activity
            SET head = %(head)s, entry_count = %(entries)s, left_count = %(left)s, counts = %(counts)s,
                paid_amount = paid_amount + %(paid)s, version = version + 1,
                due_at = CASE WHEN %(is_empty)s THEN %(now)s ELSE due_at END
            WHERE id = %(id)s
            """,
            id=activity_id,
            head=running.head,
            entries=running.entries,
            left=running.left,
            counts=running.counts,
            paid=paid,
            is_empty=held.kind is Kind.red_packet and running.left == 0,
            now=tx.now,
        )


async def _lower_bargains(tx: Tx, bargains: list[OpenBargain]) -> None:
    await tx.run(
        """
        UPDATE fun.bargain SET helped_count = given.helped, cut_amount = given.cut
        FROM unnest(%(ids)s::uuid[], %(helped)s::integer[], %(cuts)s::bigint[]) AS given (id, helped, cut)
        WHERE bargain.id = given.id
        """,
        ids=[one.id for one in bargains],
        helped=[one.helped_count for one in bargains],
        cuts=[one.cut_amount for one in bargains],
    )
