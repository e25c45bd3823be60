"""Anchors: the ledger's past, sealed piece by piece while it is young, and what each account had come to by then.

A seal is the digest of some `TRANSFERS_A_SEAL` transfers and of the seal before, so whoever changes, adds or removes an old
row would have to make its seal and every later one anew. What is younger than `LAG` is not sealed: no transaction of ours
lives that long, so nothing comes later into a stretch that is sealed. The sums let a balance be checked from the last anchor
on; they are never believed alone: where they do not fit, the transfers decide, and the sums are reckoned anew.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from laotie.audit.model import Wrong
from laotie.base.db import Database, Tx
from laotie.ledger import checking, replay

LAG = timedelta(hours=1)
TRANSFERS_A_SEAL = 100_000
SEAL_EVERY = timedelta(hours=1)
SEALS_A_RUN = 20
"""A long past is sealed run by run."""
FIRST_DIGEST = bytes(32)
SUMS_STALE = "sums_stale"
"""A check of balances came to know that the sums kept here are wrong, and the balances right."""


class Anchor(msgspec.Struct, frozen=True):
    """A seal."""

    no: int
    from_at: datetime
    until_at: datetime
    transfer_count: int
    digest: bytes


async def list_anchors(tx: Tx) -> list[Anchor]:
    """All of them, from the first."""
    return await tx.all(
        Anchor, "SELECT no, from_at, until_at, transfer_count, digest FROM audit.anchor ORDER BY no"
    )


async def find_last(tx: Tx) -> Anchor | None:
    """The latest."""
    return await tx.maybe(
        Anchor,
        "SELECT no, from_at, until_at, transfer_count, digest FROM audit.anchor ORDER BY no DESC LIMIT 1",
    )


async def drop_anchor(tx: Tx) -> bool:
    """Seal the next stretch, and add it to the accounts' sums; says whether there was one. One at a time (the watch's lock)."""
    last = await find_last(tx)
    since = last.until_at if last else checking.ALWAYS
    until = await checking.find_seal_end(tx, since, tx.now - LAG, transfers=TRANSFERS_A_SEAL)
    if until is None or (until == tx.now - LAG and last is not None and until < last.until_at + SEAL_EVERY):
        return False
    count, digest = await checking.seal(tx, since, until, last.digest if last else FIRST_DIGEST)
    await tx.run(
        """
        INSERT INTO audit.anchor (no, from_at, until_at, transfer_count, digest, made_at)
        VALUES (%(no)s, %(from_at)s, %(until_at)s, %(count)s, %(digest)s, %(now)s)
        """,
        no=last.no + 1 if last else 1,
        from_at=since,
        until_at=until,
        count=count,
        digest=digest,
        now=tx.now,
    )
    await _add_sums(tx, await checking.sum_transfers(tx, since=since, until=until))
    return True


async def reckon_anew(tx: Tx) -> None:
    """Forget the accounts' sums and add up everything that is sealed."""
    await tx.run("DELETE FROM audit.account_sum")
    last = await find_last(tx)
    if last is not None:
        await _add_sums(tx, await checking.sum_transfers(tx, until=last.until_at))


async def list_balances_off(tx: Tx, account_ids: list[UUID]) -> list[checking.Off]:
    """Of these accounts, those whose balance is not what they had at the last anchor and what has moved since."""
    if not account_ids:
        return []
    last = await find_last(tx)
    since = last.until_at if last else checking.ALWAYS
    moved = await checking.sum_transfers(tx, since=since, account_ids=account_ids)
    kept = await checking.find_balances(tx, account_ids)
    had = await _find_sums(tx, account_ids)
    nothing = (0, 0, 0, 0)
    off = []
    for account_id in account_ids:
        past, since_then = had.get(account_id, nothing), moved.get(account_id, nothing)
        expected = tuple(one + more for one, more in zip(past, since_then, strict=True))
        if expected != kept.get(account_id, nothing):
            off.append(checking.Off(account_id, str(expected), str(kept.get(account_id, nothing))))
    return off


async def list_broken(tx: Tx) -> tuple[int, list[Wrong]]:
    """How many sealed transfers there are, and the seals that do not fit them."""
    before, rows, broken = FIRST_DIGEST, 0, []
    for anchor in await list_anchors(tx):
        count, digest = await checking.seal(tx, anchor.from_at, anchor.until_at, before)
        before = anchor.digest  # so a broken one breaks no other
        rows += anchor.transfer_count
        if digest != anchor.digest:
            stretch = f"{anchor.transfer_count} transfers from {anchor.from_at:%Y-%m-%d %H:%M} to {anchor.until_at:%Y-%m-%d %H:%M}"
            broken.append(Wrong(f"anchor {anchor.no}", stretch, f"{count} transfers, not all of them as they were"))
    return rows, broken


async def verify_ledger(db: Database, progress: Callable[[int, int], None]) -> replay.Verdict:
    """Play the whole ledger again in one snapshot, and hold it against its seals."""
    async with db.read() as tx:
        return await replay.replay(tx, await list_anchors(tx), progress)


async def _find_sums(tx: Tx, account_ids: list[UUID]) -> dict[UUID, checking.Sums]:
    rows = await tx.tuples(
        """
        SELECT account_id, debits_pending, credits_pending, debits_posted, credits_posted FROM audit.account_sum
        WHERE account_id = ANY(%(ids)s)
        """,
        ids=account_ids,
    )
    return {account_id: (dp, cp, dd, cc) for account_id, dp, cp, dd, cc in rows}


async def _add_sums(tx: Tx, sums: dict[UUID, checking.Sums]) -> None:
    accounts = sorted(sums)
    await tx.run(
        """
        INSERT INTO audit.account_sum AS had
            (account_id, debits_pending, credits_pending, debits_posted, credits_posted)
        SELECT * FROM unnest(%(ids)s::uuid[], %(dp)s::bigint[], %(cp)s::bigint[], %(dd)s::bigint[], %(cc)s::bigint[])
        ON CONFLICT (account_id) DO UPDATE SET
            debits_pending = had.debits_pending + excluded.debits_pending,
            credits_pending = had.credits_pending + excluded.credits_pending,
            debits_posted = had.debits_posted + excluded.debits_posted,
            credits_posted = had.credits_posted + excluded.credits_posted
        """,
        ids=accounts,
        dp=[sums[account][0] for account in accounts],
        cp=[sums[account][1] for account in accounts],
        dd=[sums[account][2] for account in accounts],
        cc=[sums[account][3] for account in accounts],
    )
