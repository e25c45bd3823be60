"""What happened to who someone is: accounts, sessions, guests, seats."""

from uuid import UUID

from laotie.base.events import Event
from laotie.base.ids import AccountId, ShopId, ViewerId


class AccountRegistered(Event, tag="identity.account_registered", frozen=True, kw_only=True):
    """A person has an account from now on."""

    account_id: AccountId
    name: str


class ProfileChanged(Event, tag="identity.profile_changed", frozen=True, kw_only=True):
    """The public face of an account is different."""

    account_id: AccountId
    name: str
    avatar: str | None


class GuestMerged(Event, tag="identity.guest_merged", frozen=True, kw_only=True):
    """A guest signed in: both are one viewer, the account."""

    guest_id: ViewerId
    account_id: AccountId


class SessionsEnded(Event, tag="identity.sessions_ended", frozen=True, kw_only=True):
    """These sign-ins (or API tokens) are over; whoever remembers them forgets them."""

    account_id: AccountId
    session_ids: tuple[UUID, ...]


class AccountErased(Event, tag="identity.account_erased", frozen=True, kw_only=True):
    """A person left: what names them is gone here; the other rooms blank theirs."""

    account_id: AccountId
    guest_ids: tuple[ViewerId, ...] = ()
    """The guests that had become this person, the latest thousand."""


class SeatGranted(Event, tag="identity.seat_granted", frozen=True, kw_only=True):
    """Someone may act for a shop, within these scopes."""

    shop_id: ShopId
    account_id: AccountId
    scopes: tuple[str, ...]


class SeatRevoked(Event, tag="identity.seat_revoked", frozen=True, kw_only=True):
    """Someone may no longer act for a shop."""

    shop_id: ShopId
    account_id: AccountId
