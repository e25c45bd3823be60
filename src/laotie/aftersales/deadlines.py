"""Terms that end by themselves: the house acts for whoever was silent, one case a transaction.

Bounded, and safe with any number of workers: each case is held under its order, looked at again, and moved once. A process
that dies on the way leaves the case as it was, and it is still due.
"""

from datetime import timedelta
from uuid import UUID

from laotie.aftersales.acts import pass_time
from laotie.aftersales.model import CaseId
from laotie.base.db import Database
from laotie.base.logs import log
from laotie.base.refusals import Unavailable

TURN_SIZE_MAX = 50
PAUSE = timedelta(minutes=1)


async def work_deadlines(db: Database, *, size: int = TURN_SIZE_MAX) -> int:
    """Do what is due, `size` cases at most; returns how many moved on. What fails is put off, and holds nobody up."""
    async with db.read() as tx:
        due = await tx.all(
            UUID,
            "SELECT id FROM aftersales.case WHERE due_at <= %(now)s ORDER BY due_at LIMIT %(size)s",
            now=tx.now,
            size=size,
        )
    moved = 0
    for case_id in due:
        try:
            async with db.tx() as tx:
                moved += await pass_time(tx, CaseId(case_id)) is not None
        except Unavailable:
            raise
        except Exception:
            log.exception("a case could not be moved on; it is tried again", case_id=str(case_id))
            async with db.tx() as tx:
                await tx.run(
                    "UPDATE aftersales.case SET due_at = %(later)s WHERE id = %(id)s AND due_at <= %(now)s",
                    id=case_id,
                    now=tx.now,
                    later=tx.now + PAUSE,
                )
    return moved
