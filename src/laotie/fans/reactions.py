"""What fans does on hearing that a guest became an account, or that a person left."""

from laotie.base.db import Tx
from laotie.base.outbox import on
from laotie.events.identity import AccountErased, GuestMerged
from laotie.fans.following import erase, merge


async def take_over(tx: Tx, event: GuestMerged) -> None:
    """The account follows whom the guest followed."""
    await merge(tx, event.guest_id, event.account_id)


async def forget(tx: Tx, event: AccountErased) -> None:
    """Follows from and to the person end."""
    await erase(tx, event.account_id)


REACTIONS = [on(GuestMerged, take_over), on(AccountErased, forget)]
