"""The words of identity: who acts, with which rights, and what is refused. No I/O here."""

import unicodedata
from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

import msgspec

from laotie.base.ids import AccountId, ShopId, ViewerId
from laotie.base.refusals import Conflict, Forbidden, Invalid, Unauthenticated

SessionId = NewType("SessionId", UUID)
TokenId = NewType("TokenId", UUID)
AddressId = NewType("AddressId", UUID)

HANDLE_LENGTH_MIN, HANDLE_LENGTH_MAX = 3, 64
NAME_LENGTH_MAX = 40
ABOUT_LENGTH_MAX = 500
URL_LENGTH_MAX = 500
PASSWORD_LENGTH_MIN, PASSWORD_LENGTH_MAX = 8, 200
LOCALES = ("zh-CN", "en")
ADDRESSES_MAX = 20
TOKENS_MAX = 20
TOKEN_DAYS_MAX = 366
TOKEN_SHOPS_MAX = 20
OVERLAP_H_MAX = 168
SESSIONS_MAX = 50
SEATS_MAX = 200
ZERO_WIDTH_JOINER = "\u200d"
"""Joins emoji; the one invisible character that names may have."""


class Role(StrEnum):
    """What someone is on the platform. `viewer` is everyone; `shop_staff` is whoever holds a seat."""

    viewer = "viewer"
    streamer = "streamer"
    shop_staff = "shop_staff"
    operator = "operator"


class Scope(StrEnum):
    """What a seat lets its holder do for the shop."""

    catalog = "catalog"
    show = "show"
    orders = "orders"
    staff = "staff"
    money = "money"


class TokenScope(StrEnum):
    """What an API token may be used for: the seats' scopes, the holder's own matters, the operator's.

    A scope that ends in `:read` is worth its namesake wherever nothing is changed.
    """

    account = "account"
    catalog = "catalog"
    show = "show"
    orders = "orders"
    staff = "staff"
    money = "money"
    operator = "operator"
    catalog_read = "catalog:read"
    show_read = "show:read"
    orders_read = "orders:read"
    staff_read = "staff:read"
    money_read = "money:read"

    @property
    def whole(self) -> "TokenScope":
        """The scope that may also change things."""
        return TokenScope(self.value.removesuffix(":read"))


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking. A guest has a viewer id and no account; for an account both ids are the same.

    A known guest has been here before; anybody else without an account has an id that lasts for this request alone.

    An API token without the scope `account` has no `account_id`: it is a stranger everywhere but in the shops where
    its holder has a seat, and of these only in `token_shops` when the token is bound to shops.
    """

    viewer_id: ViewerId
    account_id: AccountId | None = None
    is_known_guest: bool = False
    roles: frozenset[Role] = frozenset()
    session_id: SessionId | None = None
    token_id: TokenId | None = None
    token_scopes: frozenset[TokenScope] | None = None
    token_shops: frozenset[ShopId] | None = None
    seat_holder_id: AccountId | None = None
    address: str | None = None
    user_agent: str = ""
    device_id: UUID | None = None

    def reading(self) -> "Actor":
        """The same, asking something that changes nothing: a token's scopes to read count as whole ones."""
        if self.token_scopes is None:
            return self
        return msgspec.structs.replace(self, token_scopes=frozenset(scope.whole for scope in self.token_scopes))

    def signed_in(self) -> AccountId:
        """The account, or a refusal: `Unauthenticated` for a guest, `ScopeLacking` for a token that may not."""
        if self.account_id is None:
            if self.token_scopes is not None:
                raise ScopeLacking(scope=TokenScope.account)
            raise Unauthenticated()
        return self.account_id

    def require_operator(self) -> AccountId:
        """The operator's account, or a refusal."""
        if Role.operator not in self.roles:
            if self.token_scopes is not None and TokenScope.operator not in self.token_scopes:
                raise ScopeLacking(scope=TokenScope.operator)
            if self.account_id is None:
                raise Unauthenticated()
            raise Forbidden()
        assert self.seat_holder_id is not None
        return self.seat_holder_id


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A person's account as they see it themselves."""

    id: AccountId
    handle: str
    name: str
    avatar: str | None
    about: str
    locale: str
    roles: list[str]
    created_at: datetime


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What everybody may see of an account."""

    id: AccountId
    name: str
    avatar: str | None
    about: str


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One sign-in on one device."""

    id: SessionId
    user_agent: str
    address: str
    created_at: datetime
    last_seen_at: datetime


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """A right to act for a shop. An owner's seat has every scope."""

    shop_id: ShopId
    account_id: AccountId
    is_owner: bool
    scopes: list[Scope]


class SeatHolder(msgspec.Struct, frozen=True, kw_only=True):
    """A seat with the name of who sits on it."""

    account_id: AccountId
    handle: str
    name: str
    is_owner: bool
    scopes: list[Scope]


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a parcel goes."""

    id: AddressId
    name: str
    phone: str
    country: str
    region: str
    city: str
    district: str
    street: str
    postcode: str
    is_default: bool


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An API client's key. The secret is shown once, when it is made."""

    id: TokenId
    name: str
    scopes: list[TokenScope]
    shop_ids: list[ShopId] | None
    """The shops it reaches; `null`: every shop where its holder has a seat."""
    hint: str
    """How the secret ends, to tell keys apart."""
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    replaced_by: TokenId | None
    """The key that takes over from this one, which works on until `expires_at`."""


class ShopKey(Token, frozen=True, kw_only=True):
    """A key that reaches a shop, and whose it is."""

    holder_id: AccountId
    holder_name: str


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what to whom, when, from where."""

    id: UUID
    at: datetime
    actor_id: AccountId | None
    act: str
    subject: str
    detail: dict[str, object]
    address: str | None
    request_id: str | None


class HandleTaken(Conflict, code="handle-taken"):
    """Somebody already uses this sign-in name."""


class HandleRefused(Invalid, code="handle-refused"):
    """A sign-in name has 3 to 64 characters, none of them a space or a control character."""


class PasswordRefused(Invalid, code="password-refused"):
    """A password has 8 to 200 characters and is not the sign-in name."""


class ProfileRefused(Invalid, code="profile-refused"):
    """A part of the profile is too long, empty, or has characters that cannot be shown."""

    part: str


class CredentialsWrong(Unauthenticated, code="credentials-wrong"):
    """The sign-in name or the password is wrong."""


class PasswordWrong(Forbidden, code="password-wrong"):
    """The password is wrong."""


class ScopeLacking(Forbidden, code="scope-lacking"):
    """Your seat or your token does not reach that far."""

    scope: str


class LastOwner(Conflict, code="last-owner"):
    """A shop keeps at least one owner; hand it over first."""

    shop_id: ShopId


class NoSuchHandle(Invalid, code="no-such-handle"):
    """Nobody has this sign-in name."""


class TooMany(Conflict, code="too-many"):
    """There are as many of these as there may be; remove one first."""

    count_max: int


class AddressRefused(Invalid, code="address-refused"):
    """A line of the address is not acceptable."""

    line: str


class TokenTermRefused(Invalid, code="token-term-refused"):
    """A token expires in the future, at most 366 days from now."""


class ShopsRefused(Invalid, code="shops-refused"):
    """A key reaches 1 to 20 shops, and you need a seat at each of them."""


class KeyReplaced(Conflict, code="key-replaced"):
    """Another key has taken over from this one already."""


class ScopesRefused(Invalid, code="scopes-refused"):
    """These scopes cannot be given this way: name at least one, and none that you lack."""


def plain_handle(handle: str) -> str:
    """The form in which handles are compared, or `HandleRefused`."""
    plain = unicodedata.normalize("NFKC", handle).strip().casefold()
    if not HANDLE_LENGTH_MIN <= len(plain) <= HANDLE_LENGTH_MAX or not is_plain_text(plain) or " " in plain:
        raise HandleRefused()
    return plain


def check_password(password: str, *, handle: str) -> None:
    """Refuse a password that is too short, too long, or the handle itself."""
    if (
        not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX
        or "\0" in password
        or password.casefold() == handle
    ):
        raise PasswordRefused()


def is_plain_text(text: str) -> bool:
    """No control characters, surrogates or invisible formatting (which also keeps NUL out of PostgreSQL)."""
    return not any(
        unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character != ZERO_WIDTH_JOINER
        for character in text
    )
