"""Guests: people who watch without an account, and what becomes of them when they sign in; and the browsers they use."""

from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import AccountId, ViewerId
from laotie.base.refusals import Refusal
from laotie.base.signer import Signer
from laotie.events.identity import GuestMerged
from laotie.lake import facts

GUEST_AGE_MAX_S = 400 * 24 * 3600
MERGED_MAX = 1_000


class Guest(msgspec.Struct, frozen=True):
    """What the guest cookie carries."""

    viewer_id: ViewerId


def sign_guest(signer: Signer, viewer_id: ViewerId) -> str:
    """The token by which a guest is recognised again."""
    return signer.sign("guest", Guest(viewer_id))


def recognise_guest(signer: Signer, token: str) -> ViewerId | None:
    """Whose token this is; nobody's when it is forged or too old."""
    try:
        return signer.open("guest", token, Guest, age_max_s=GUEST_AGE_MAX_S).viewer_id
    except Refusal:
        return None


class Device(msgspec.Struct, frozen=True):
    """What the device cookie carries."""

    device_id: UUID


def sign_device(signer: Signer, device_id: UUID) -> str:
    """The token by which a browser is recognised again, whoever signs in on it."""
    return signer.sign("device", Device(device_id))


def recognise_device(signer: Signer, token: str) -> UUID | None:
    """Which browser this is; none when the token is forged or too old."""
    try:
        return signer.open("device", token, Device, age_max_s=GUEST_AGE_MAX_S).device_id
    except Refusal:
        return None


async def merge_guest(tx: Tx, guest_id: ViewerId, account_id: AccountId) -> None:
    """A guest turned out to be this account: one viewer from now on. The first account to say so keeps the guest."""
    merged = await tx.run(
        """
        INSERT INTO identity.guest_merge (guest_id, account_id, merged_at)
        VALUES (%(guest_id)s, %(account_id)s, %(now)s) ON CONFLICT (guest_id) DO NOTHING
        """,
        guest_id=guest_id,
        account_id=account_id,
        now=tx.now,
    )
    if merged:
        tx.tell(GuestMerged(guest_id=guest_id, account_id=account_id))


async def merged_guests(tx: Tx, viewer_id: ViewerId) -> frozenset[ViewerId]:
    """The guests who have become this viewer (the latest `MERGED_MAX`)."""
    return frozenset(
        ViewerId(guest_id)
        for guest_id in await tx.all(
            UUID,
            """
            SELECT guest_id FROM identity.guest_merge WHERE account_id = %(viewer_id)s
            ORDER BY merged_at DESC LIMIT %(limit)s
            """,
            viewer_id=viewer_id,
            limit=MERGED_MAX,
        )
    )


async def tell_again(tx: Tx, after: UUID, limit: int) -> tuple[list[facts.Row], UUID | None]:
    """The next guests who became accounts, by id, as the lake was told of them, and where to go on."""
    found = await tx.tuples(
        """
        SELECT guest_id, account_id, merged_at FROM identity.guest_merge
        WHERE guest_id > %(after)s ORDER BY guest_id LIMIT %(limit)s
        """,
        after=after,
        limit=limit,
    )
    rows: list[facts.Row] = [
        facts.person_row(at=merged_at, guest_id=guest_id, account_id=account_id) for guest_id, account_id, merged_at in found
    ]
    return rows, found[-1][0] if len(found) == limit else None
