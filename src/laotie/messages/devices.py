"""Devices: browsers that take web push, one row a subscription, until they say goodbye or fall silent.

The endpoint is an address that a client names and this house will call, so it is judged here (its form) and again at
the moment of calling (where its name leads, see `base.post`).
"""

import base64
import binascii
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec

from laotie.base.db import Tx
from laotie.base.ids import ViewerId, new_id
from laotie.base.post import HTTPS_PORT, flaw_of
from laotie.messages.model import DEVICES_MAX, Device, DeviceId, DeviceRefused, NewDevice

POINT_BYTES = 65
AUTH_BYTES = 16
USER_AGENT_LENGTH_MAX = 300


async def add_device(
    tx: Tx,
    viewer_id: ViewerId,
    device: NewDevice,
    *,
    session_id: UUID | None,
    user_agent: str,
    private: bool = False,
) -> Device:
    """Push to this browser from now on; the same one again is the same device, and belongs to who came last.

    Who has `DEVICES_MAX` already loses the oldest. `private` allows plain HTTP and any port. Refuses `DeviceRefused`.
    """
    check_endpoint(device.endpoint, private=private)
    p256dh = _unbase64(device.p256dh, POINT_BYTES)
    auth = _unbase64(device.auth, AUTH_BYTES)
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), p256dh)
    except ValueError:
        raise DeviceRefused(reason="p256dh is no point of the curve") from None
    await tx.run(  # with what was on its way to the one before
        "DELETE FROM messages.device WHERE endpoint = %(endpoint)s AND viewer_id <> %(viewer_id)s",
        endpoint=device.endpoint,
        viewer_id=viewer_id,
    )
    added = await tx.one(
        Device,
        """
        INSERT INTO messages.device (id, viewer_id, endpoint, p256dh, auth, session_id, user_agent, created_at)
        VALUES (%(id)s, %(viewer_id)s, %(endpoint)s, %(p256dh)s, %(auth)s, %(session_id)s, %(user_agent)s, %(now)s)
        ON CONFLICT (endpoint) DO UPDATE
        SET p256dh = excluded.p256dh, auth = excluded.auth, session_id = excluded.session_id,
            user_agent = excluded.user_agent, viewer_id = excluded.viewer_id
        RETURNING id, user_agent, created_at, pushed_at
        """,
        id=new_id(),
        viewer_id=viewer_id,
        endpoint=device.endpoint,
        p256dh=p256dh,
        auth=auth,
        session_id=session_id,
        user_agent=user_agent[:USER_AGENT_LENGTH_MAX],
        now=tx.now,
    )
    await tx.run(
        """
        DELETE FROM messages.device WHERE id IN (
            SELECT id FROM messages.device WHERE viewer_id = %(viewer_id)s AND id <> %(id)s
            ORDER BY id DESC OFFSET %(others)s
        )
        """,
        viewer_id=viewer_id,
        id=added.id,
        others=DEVICES_MAX - 1,
    )
    return added


def check_endpoint(endpoint: str, *, private: bool) -> None:
    """Whether an endpoint has the form of a push service's address, or `DeviceRefused`."""
    flaw = flaw_of(endpoint, private=private, ports=(HTTPS_PORT,))
    if flaw is not None:
        raise DeviceRefused(reason=f"the endpoint's {flaw} is not one of a push service")


async def list_devices(tx: Tx, viewer_id: ViewerId) -> list[Device]:
    """A viewer's devices, the newest first."""
    return await tx.all(
        Device,
        """
        SELECT id, user_agent, created_at, pushed_at FROM messages.device
        WHERE viewer_id = %(viewer_id)s ORDER BY id DESC
        """,
        viewer_id=viewer_id,
    )


async def remove_device(tx: Tx, viewer_id: ViewerId, device_id: DeviceId) -> None:
    """Push to this device no more. One that is gone, or somebody else's, stays as it is."""
    await tx.run(
        "DELETE FROM messages.device WHERE id = %(id)s AND viewer_id = %(viewer_id)s", id=device_id, viewer_id=viewer_id
    )


async def sign_out_devices(tx: Tx, session_ids: list[UUID]) -> None:
    """These sign-ins ended: what they signed in hears nothing more of the account."""
    await tx.run("DELETE FROM messages.device WHERE session_id = ANY(%(ids)s)", ids=session_ids)


async def hand_over_devices(tx: Tx, guest_id: ViewerId, viewer_id: ViewerId) -> None:
    """The guest's devices are the viewer's."""
    await tx.run(
        "UPDATE messages.device SET viewer_id = %(viewer_id)s WHERE viewer_id = %(guest_id)s",
        viewer_id=viewer_id,
        guest_id=guest_id,
    )


async def forget_devices(tx: Tx, viewer_id: ViewerId) -> None:
    """All devices of a viewer, and what was on its way to them."""
    await tx.run("DELETE FROM messages.device WHERE viewer_id = %(viewer_id)s", viewer_id=viewer_id)


def _unbase64(text: str, size: int) -> bytes:
    try:
        found = base64.urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
    except (ValueError, binascii.Error):
        raise DeviceRefused(reason="a key is not base64url") from None
    if len(found) != size:
        raise DeviceRefused(reason="a key has the wrong size")
    return found
