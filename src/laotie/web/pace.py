"""How often one API key may ask, said in headers with every answer.

Counted per process, in windows of a minute that begin with a key's first request; several processes behind one balancer
allow as many times more. What a program reads: `RateLimit-Limit`, `RateLimit-Remaining`, `RateLimit-Reset` (seconds).
"""

import time
from uuid import UUID

from laotie.base.refusals import TooFast

WINDOW_S = 60.0
KEYS_MAX = 50_000

Header = tuple[bytes, bytes]


class Pace:
    """The counts of one process."""

    def __init__(self, per_minute: int) -> None:
        """`per_minute` 0: nobody is held back, and nothing is said."""
        self._per_minute = per_minute
        self._windows: dict[UUID, tuple[float, int]] = {}

    def count(self, key_id: UUID) -> tuple[list[Header], TooFast | None]:
        """Note a request of a key: the headers to answer with, and the refusal when it was one too many."""
        if not self._per_minute:
            return [], None
        now = time.monotonic()
        began, count = self._windows.get(key_id, (now, 0))
        if now - began >= WINDOW_S:
            began, count = now, 0
        if len(self._windows) >= KEYS_MAX:
            self._windows = {key: one for key, one in self._windows.items() if now - one[0] < WINDOW_S}
        self._windows[key_id] = (began, count + 1)
        left_s = max(1, int(began + WINDOW_S - now) + 1)
        headers = [
            (b"ratelimit-limit", b"%d" % self._per_minute),
            (b"ratelimit-remaining", b"%d" % max(0, self._per_minute - count - 1)),
            (b"ratelimit-reset", b"%d" % left_s),
        ]
        return headers, TooFast(retry_after_s=left_s) if count >= self._per_minute else None
