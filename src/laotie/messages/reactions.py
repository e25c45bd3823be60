"""What messages does on hearing that a guest became an account, that a sign-in ended, or that a person left."""

from laotie.base.db import Tx
from laotie.base.outbox import on
from laotie.events.identity import AccountErased, GuestMerged, SessionsEnded
from laotie.messages.devices import sign_out_devices
from laotie.messages.notices import erase, merge


async def take_over(tx: Tx, event: GuestMerged) -> None:
    """The account has what the guest was told."""
    await merge(tx, event.guest_id, event.account_id)


async def sign_out(tx: Tx, event: SessionsEnded) -> None:
    """Devices signed in by these sessions hear no more."""
    await sign_out_devices(tx, list(event.session_ids))


async def forget(tx: Tx, event: AccountErased) -> None:
    """Nothing of the person stays."""
    await erase(tx, event.account_id)


REACTIONS = [on(GuestMerged, take_over), on(SessionsEnded, sign_out), on(AccountErased, forget)]
