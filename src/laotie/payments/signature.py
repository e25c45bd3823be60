"""Webhook signatures in the form of the Standard Webhooks specification 1.0 (HMAC-SHA256 over id, time and body).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: headers `webhook-id`,
`webhook-timestamp` and `webhook-signature`; the last holds one or several `v1,<base64>` with spaces between, so that
sender and receiver may change their secret one after the other.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime

from laotie.payments.model import SignatureRefused

TOLERANCE_S = 300
SIGNATURES_MAX = 8


def sign(secrets: Iterable[bytes], message_id: str, *, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers; one signature a secret."""
    timestamp = str(int(at.timestamp()))
    signatures = [f"v1,{_digest(secret, message_id, timestamp, body)}" for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }


def verify(secrets: Iterable[bytes], headers: Mapping[str, str], body: bytes, *, now: datetime) -> str:
    """The message's id, when one of the secrets signed it no longer ago than the tolerance; else `SignatureRefused`."""
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "").split(" ")
    if not message_id or len(message_id) > 200 or not (timestamp.isascii() and timestamp.isdecimal()):
        raise SignatureRefused(reason="headers are missing")
    if len(timestamp) > 12 or abs(int(timestamp) - now.timestamp()) > TOLERANCE_S:
        raise SignatureRefused(reason="the time is out of tolerance")
    for secret in secrets:
        expected = f"v1,{_digest(secret, message_id, timestamp, body)}".encode()
        if any(hmac.compare_digest(expected, one.encode()) for one in given[:SIGNATURES_MAX]):
            return message_id
    raise SignatureRefused(reason="no signature fits")


def _digest(secret: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = message_id.encode() + b"." + timestamp.encode() + b"." + body
    return base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
