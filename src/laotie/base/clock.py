"""Time: aware UTC, asked from one clock, so that tests move it and nobody sleeps."""

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """The instant now, plus whatever a test has added."""

    def __init__(self) -> None:
        self._offset = timedelta()
        self._offset_us = 0

    def now(self) -> datetime:
        """The present instant, aware, UTC."""
        return datetime.now(UTC) + self._offset

    def now_us(self) -> int:
        """The present instant in whole microseconds of UTC since 1970, as the lake keeps instants."""
        return time.time_ns() // 1_000 + self._offset_us

    def advance(self, *, seconds: float) -> None:
        """Move the clock forward (tests and simulations only)."""
        assert seconds >= 0
        self._offset += timedelta(seconds=seconds)
        self._offset_us = self._offset // timedelta(microseconds=1)
