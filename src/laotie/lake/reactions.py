"""What the lake does on hearing of money, shows, follows and guests who sign in (it keeps a row of each), and of who leaves."""

from laotie.base.db import Tx
from laotie.base.outbox import Reaction, Together, on, together
from laotie.events.identity import AccountErased
from laotie.lake.aliases import give_alias
from laotie.lake.facts import HEARD, keep


async def begin_erasure(tx: Tx, event: AccountErased) -> None:
    """From now on the person is known by an alias, and the files are gone through."""
    await give_alias(tx, event.account_id, event.guest_ids, due_at=tx.now)


REACTIONS: list[Reaction | Together] = [together(HEARD, keep), on(AccountErased, begin_erasure)]
