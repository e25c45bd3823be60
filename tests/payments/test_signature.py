"""Webhook signatures: the specification's own vector, tolerance, rotation, and every way to be wrong."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from laotie.payments.model import SignatureRefused
from laotie.payments.signature import TOLERANCE_S, sign, verify

# From the Standard Webhooks reference implementations' tests.
SECRET = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

HEADERS = {"webhook-id": MESSAGE_ID, "webhook-timestamp": "1614265330", "webhook-signature": SIGNATURE}


def test_the_specification_s_vector() -> None:
    assert sign([SECRET], MESSAGE_ID, at=AT, body=BODY) == HEADERS
    assert verify([SECRET], HEADERS, BODY, now=AT) == MESSAGE_ID


def test_secrets_change_one_side_after_the_other() -> None:
    old, new = b"old", b"new"
    during = sign([old, new], "1", at=AT, body=BODY)
    assert verify([old], during, BODY, now=AT) == verify([new], during, BODY, now=AT) == "1"
    assert verify([old, new], sign([new], "1", at=AT, body=BODY), BODY, now=AT) == "1"


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-id": ""},
        {"webhook-id": "other"},
        {"webhook-id": "x" * 201},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "-1614265330"},
        {"webhook-timestamp": "١٦١٤٢٦٥٣٣٠"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-timestamp": str(1614265330 - TOLERANCE_S - 1)},
        {"webhook-timestamp": str(1614265330 + TOLERANCE_S + 1)},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v2," + SIGNATURE[3:]},
        {"webhook-signature": SIGNATURE[:-2] + "A="},
        {"webhook-signature": "\xff\x00 é"},
        {"webhook-signature": " ".join(["v1,AAAA"] * 20 + [SIGNATURE])},
    ],
)
def test_what_is_not_signed_as_agreed_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(SignatureRefused):
        verify([SECRET], HEADERS | changes, BODY, now=AT)


def test_another_body_another_secret_and_another_time_are_refused() -> None:
    for secrets, body, now in (
        ([SECRET], BODY + b" ", AT),
        ([b"other"], BODY, AT),
        ([], BODY, AT),
        ([SECRET], BODY, AT + timedelta(seconds=TOLERANCE_S + 1)),
        ([SECRET], BODY, AT - timedelta(seconds=TOLERANCE_S + 1)),
    ):
        with pytest.raises(SignatureRefused):
            verify(secrets, HEADERS, body, now=now)
