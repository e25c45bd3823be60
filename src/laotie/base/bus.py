"""The bus: short messages by subject, to whoever listens now. One contract; in-process here, NATS when grown.

Subjects are dotted words; a pattern may end in `.>` (everything below) or hold `*` (one word). Order is kept per
publisher and subject. Delivery is at most once to the listeners present; what must not be lost goes through the
outbox, which publishes here and keeps its row until its reactions have confirmed.
"""

from collections.abc import Callable
from typing import Protocol

from laotie.base.logs import log

Handler = Callable[[str, bytes], None]


class Subscription(Protocol):
    """What `subscribe` gives back."""

    def stop(self) -> None:
        """Hear no more."""


class Bus(Protocol):
    """The contract both buses keep, and one test suite checks."""

    async def publish(self, subject: str, payload: bytes) -> None:
        """Hand a message to every listener whose pattern matches."""

    def subscribe(self, pattern: str, handler: Handler) -> Subscription:
        """Call `handler(subject, payload)` for every match. Handlers are quick and never block."""

    async def close(self) -> None:
        """Let go of everything."""


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject falls under a pattern (NATS' rules)."""
    wanted, given = pattern.split("."), subject.split(".")
    for index, word in enumerate(wanted):
        if word == ">":
            return len(given) > index
        if index >= len(given) or word not in ("*", given[index]):
            return False
    return len(wanted) == len(given)


class _Listening:
    def __init__(self, bus: "LocalBus", pattern: str, handler: Handler) -> None:
        self.bus, self.pattern, self.handler = bus, pattern, handler

    def stop(self) -> None:
        self.bus.forget(self)


class LocalBus:
    """The bus inside one process. Subjects seen are remembered with their listeners, so publishing is a dict look-up."""

    routes_max = 100_000

    def __init__(self) -> None:
        self._listening: list[_Listening] = []
        self._routes: dict[str, list[_Listening]] = {}

    async def publish(self, subject: str, payload: bytes) -> None:
        self.publish_now(subject, payload)

    def publish_now(self, subject: str, payload: bytes) -> None:
        """The same without a turn of the loop."""
        route = self._routes.get(subject)
        if route is None:
            if len(self._routes) >= self.routes_max:
                self._routes.clear()
            route = [one for one in self._listening if matches(one.pattern, subject)]
            self._routes[subject] = route
        for one in route:
            try:
                one.handler(subject, payload)
            except Exception:
                log.exception("a bus listener failed", subject=subject, pattern=one.pattern)

    def subscribe(self, pattern: str, handler: Handler) -> Subscription:
        one = _Listening(self, pattern, handler)
        self._listening.append(one)
        self._routes.clear()
        return one

    def forget(self, one: _Listening) -> None:
        if one in self._listening:
            self._listening.remove(one)
            self._routes.clear()

    async def close(self) -> None:
        self._listening.clear()
        self._routes.clear()
