"""What after-sales does on hearing that a person left."""

from laotie.aftersales import reviews
from laotie.base.db import Tx
from laotie.base.outbox import on
from laotie.events.identity import AccountErased


async def forget(tx: Tx, event: AccountErased) -> None:
    """What the person said of goods goes; the stars stay."""
    await reviews.erase(tx, event.account_id)


REACTIONS = [on(AccountErased, forget)]
