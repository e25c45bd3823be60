"""Time: aware UTC, asked from one clock, so that tests move it and nobody sleeps."""

from datetime import UTC, datetime, timedelta


class Clock:
    """The instant now, plus whatever a test has added."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def now(self) -> datetime:
        """The present instant, aware, UTC."""
        return datetime.now(UTC) + self._offset

    def advance(self, *, seconds: float) -> None:
        """Move the clock forward (tests and simulations only)."""
        assert seconds >= 0
        self._offset += timedelta(seconds=seconds)
