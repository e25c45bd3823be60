"""Signed tokens: tickets, entry tokens, visits, guest cookies. Rights to act, never secrets to read.

Built on itsdangerous (HMAC-SHA256 here); a purpose is part of the key, so that a token of one kind never passes for
another. The newest key signs; older ones still open, so keys can be rotated. What the database must keep but nobody may
read there (a bank account's number) is sealed under keys derived from the same ones.
"""

import hashlib
import hmac
import secrets
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from itsdangerous import BadSignature, SignatureExpired, TimestampSigner
from itsdangerous.encoding import base64_decode, base64_encode

from laotie.base.clock import Clock
from laotie.base.refusals import Refusal

T = TypeVar("T")

NONCE_BYTES = 12

__all__ = ["Signer", "TokenExpired", "TokenInvalid"]


class TokenInvalid(Refusal, code="token-invalid", status=401):
    """The token is not one that this service signed for this purpose."""

    purpose: str


class TokenExpired(Refusal, code="token-expired", status=401):
    """The token has expired; ask for a new one."""

    purpose: str


class _Timed(TimestampSigner):
    clock: Clock

    def get_timestamp(self) -> int:
        return int(self.clock.now().timestamp())


class Signer:
    """Signs and opens payloads, a purpose each."""

    def __init__(self, keys: list[str], clock: Clock) -> None:
        """`keys`: oldest first; the last one signs."""
        assert keys and all(len(key) >= 16 for key in keys)
        self._keys = keys
        self._clock = clock
        self._signers: dict[str, _Timed] = {}

    def _signer(self, purpose: str) -> _Timed:
        signer = self._signers.get(purpose)
        if signer is None:
            signer = _Timed(self._keys, salt=f"laotie.{purpose}", key_derivation="hmac", digest_method=hashlib.sha256)
            signer.clock = self._clock
            self._signers[purpose] = signer
        return signer

    def sign(self, purpose: str, payload: Any) -> str:
        """A URL-safe token that carries the payload (readable by anyone, forgeable by none)."""
        body = base64_encode(msgspec.json.encode(payload))
        return self._signer(purpose).sign(body).decode("ascii")

    def open(self, purpose: str, token: str, kind: type[T], *, age_max_s: int | None) -> T:
        """The payload, or `TokenInvalid` / `TokenExpired`."""
        try:
            body = self._signer(purpose).unsign(token, max_age=age_max_s)
            return msgspec.json.decode(base64_decode(body), type=kind)
        except SignatureExpired:
            raise TokenExpired(purpose=purpose) from None
        except (BadSignature, msgspec.MsgspecError, UnicodeError, ValueError):
            raise TokenInvalid(purpose=purpose) from None

    def seal(self, purpose: str, text: str, *, about: UUID) -> bytes:
        """A text that only this service reads again, for this purpose and this row (AES-256-GCM, keys by HKDF)."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + AESGCM(_sealing_key(self._keys[-1], purpose)).encrypt(nonce, text.encode(), about.bytes)

    def unseal(self, purpose: str, sealed: bytes, *, about: UUID) -> str:
        """The text that was sealed under the newest key or an older one. Another row's, or a lost key: a bug, so it fails."""
        for key in reversed(self._keys):
            try:
                opened = AESGCM(_sealing_key(key, purpose)).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about.bytes)
            except InvalidTag:
                continue
            return opened.decode()
        raise RuntimeError(f"no signing key opens what was sealed for {purpose}; was one removed from the settings?")

    def fingerprint(self, purpose: str, secret: str) -> bytes:
        """A keyed hash of a secret, to be kept in the secret's place."""
        return _fingerprint(self._keys[-1], purpose, secret)

    def recognises(self, purpose: str, secret: str, fingerprint: bytes) -> bool:
        """Whether this secret left that fingerprint, under the newest key or an older one; in constant time."""
        found = [hmac.compare_digest(_fingerprint(key, purpose, secret), fingerprint) for key in self._keys]
        return any(found)


def _sealing_key(key: str, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"laotie.{purpose}".encode()).derive(key.encode())


def _fingerprint(key: str, purpose: str, secret: str) -> bytes:
    text = f"laotie.{purpose}.{secret}"
    return hmac.new(key.encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
