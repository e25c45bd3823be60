"""Guesses: how often one may try a password or open accounts, per handle and per address.

Counted per process; several processes behind one balancer allow as many times more, which argon2 and the password
rules carry. Keys fall into a fixed number of buckets under a secret salt, so that memory is bounded whatever is tried.
"""

import hashlib
import secrets
import time

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from laotie.base.refusals import TooFast

BUCKETS = 65_536
WRONG_PER_HANDLE = RateLimitItemPerMinute(10, 15)
WRONG_PER_ADDRESS = RateLimitItemPerMinute(100, 15)


class Attempts:
    """The counts of one process."""

    def __init__(self, *, registrations_per_hour: int) -> None:
        self._salt = secrets.token_bytes(16)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._registrations = RateLimitItemPerHour(registrations_per_hour)

    def check_sign_in(self, *, handle: str, address: str) -> None:
        """Refuse with `TooFast` while there were too many wrong passwords for this handle or from this address."""
        self._check(WRONG_PER_HANDLE, "handle", handle)
        self._check(WRONG_PER_ADDRESS, "address", address)

    def count_wrong(self, *, handle: str, address: str) -> None:
        """Note a wrong password."""
        self._limiter.hit(WRONG_PER_HANDLE, "handle", self._bucket(handle))
        self._limiter.hit(WRONG_PER_ADDRESS, "address", self._bucket(address))

    def count_registration(self, *, address: str) -> None:
        """Note a registration, or refuse it with `TooFast`."""
        if not self._limiter.hit(self._registrations, "register", self._bucket(address)):
            raise self._too_fast(self._registrations, "register", address)

    def _check(self, item: RateLimitItem, kind: str, key: str) -> None:
        if not self._limiter.test(item, kind, self._bucket(key)):
            raise self._too_fast(item, kind, key)

    def _too_fast(self, item: RateLimitItem, kind: str, key: str) -> TooFast:
        reset_at = self._limiter.get_window_stats(item, kind, self._bucket(key)).reset_time
        return TooFast(retry_after_s=max(1, int(reset_at - time.time()) + 1))

    def _bucket(self, key: str) -> str:
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=4, key=self._salt).digest()
        return str(int.from_bytes(digest, "big") % BUCKETS)
