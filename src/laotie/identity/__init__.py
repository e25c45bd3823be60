"""Identity: who someone is, how they prove it, and for which shop they may act.

Promises: passwords are kept as argon2id, secrets as hashes; a sign-out is told (`SessionsEnded`) so that every process
forgets; a shop keeps an owner, and nobody grants what they lack; the audit log is append-only.
Not here: what a seat is used for (each room asks `require_seat`), cookies and headers (`web`), sanctions (`trust`).
"""

from laotie.identity.accounts import (
    SignedIn,
    change_password,
    change_profile,
    confirm_password,
    create_account,
    find_profiles,
    get_account,
    get_profile,
    give_role,
    has_role,
    list_with_role,
    register,
    sign_in,
)
from laotie.identity.addresses import change_address, create_address, delete_address, get_address, list_addresses
from laotie.identity.attempts import Attempts
from laotie.identity.audit_log import list_audit_entries, record
from laotie.identity.departure import add_to_export, erase_account, export_account
from laotie.identity.four_eyes import SecondPersonNeeded, require_other
from laotie.identity.guests import merged_guests, recognise_device, recognise_guest, sign_device, sign_guest
from laotie.identity.model import (
    Account,
    Actor,
    Address,
    AddressId,
    AuditEntry,
    NoSuchHandle,
    Profile,
    Role,
    Scope,
    ScopeLacking,
    Seat,
    SeatHolder,
    Session,
    SessionId,
    ShopKey,
    Token,
    TokenId,
    TokenScope,
    TooMany,
    check_password,
)
from laotie.identity.passwords import hash_password
from laotie.identity.pseudonyms import Pseudonym, add_pseudonyms, find_by_handle
from laotie.identity.seats import (
    find_seat,
    grant_seat,
    list_seat_holders,
    list_seated,
    list_seats,
    may,
    require_seat,
    revoke_seat,
    seat_owner,
)
from laotie.identity.sessions import end_session, end_sessions, find_by_session, find_by_token, list_sessions
from laotie.identity.tokens import (
    MadeKey,
    create_token,
    is_secret,
    list_shop_keys,
    list_tokens,
    revoke_shop_key,
    revoke_token,
    rotate_token,
    tell_expiring,
)

__all__ = [
    "Account", "Actor", "Address", "AddressId", "Attempts", "AuditEntry", "MadeKey", "NoSuchHandle", "Profile",
    "Pseudonym", "Role", "Scope", "ScopeLacking", "Seat", "SeatHolder", "SecondPersonNeeded", "Session", "SessionId",
    "ShopKey", "SignedIn", "Token", "TokenId", "TokenScope", "TooMany", "add_pseudonyms", "add_to_export",
    "change_address", "change_password", "change_profile", "check_password", "confirm_password", "create_account",
    "create_address", "create_token", "delete_address", "end_session", "end_sessions", "erase_account",
    "export_account", "find_by_handle", "find_by_session", "find_by_token", "find_profiles", "find_seat",
    "get_account", "get_address", "get_profile", "give_role", "grant_seat", "has_role", "hash_password", "is_secret",
    "list_addresses", "list_audit_entries", "list_seat_holders", "list_seated", "list_seats", "list_sessions",
    "list_shop_keys", "list_tokens", "list_with_role", "may", "merged_guests", "recognise_device", "recognise_guest",
    "record", "register", "require_other", "require_seat", "revoke_seat", "revoke_shop_key", "revoke_token",
    "rotate_token", "seat_owner", "sign_device", "sign_guest", "sign_in", "tell_expiring",
]  # fmt: skip
