"""What fans does on hearing of shows, that a guest became an account, or that a person left."""

from laotie.base.db import Tx
from laotie.base.outbox import on
from laotie.events.identity import AccountErased, GuestMerged
from laotie.events.live import ShowChanged, ShowEnded, ShowScheduled, ShowStarted
from laotie.fans.following import erase, merge
from laotie.fans.reminders import begin, change_plan, erase_reminders, finish, merge_reminders, plan


async def take_over(tx: Tx, event: GuestMerged) -> None:
    """The account follows whom the guest followed, and waits for what the guest waited for."""
    await merge(tx, event.guest_id, event.account_id)
    await merge_reminders(tx, event.guest_id, event.account_id)


async def forget(tx: Tx, event: AccountErased) -> None:
    """Follows from and to the person end."""
    await erase(tx, event.account_id)
    await erase_reminders(tx, event.account_id)


REACTIONS = [
    on(GuestMerged, take_over),
    on(AccountErased, forget),
    on(ShowScheduled, plan),
    on(ShowChanged, change_plan),
    on(ShowStarted, begin),
    on(ShowEnded, finish),
]
