"""The audit's words: promises, how one is looked at, and what was found. No SQL here."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import msgspec

from laotie import orders
from laotie.base.db import Tx
from laotie.base.events import Told
from laotie.base.ids import OrderId
from laotie.base.outbox import list_waiting
from laotie.events.payments import PaymentCaptured, PaymentRefunded, PaymentRestored, PaymentReversed
from laotie.lake import Lake

FINDINGS_MAX = 200
WAITING_MAX = 1_000_000
MONEY_NEWS = (PaymentCaptured, PaymentRefunded, PaymentReversed, PaymentRestored)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as promised."""

    tally: str
    subject: str
    expected: str
    found: str


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """One promise checked: over how many rows, and how many break it."""

    name: str
    code: str
    checked: int
    found: int
    facts: dict[str, int] = {}

    @property
    def sound(self) -> bool:
        """Nothing breaks the promise."""
        return self.found == 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All tallies of one snapshot; `findings` holds the first `FINDINGS_MAX`."""

    checked_at: datetime
    in_flight: int
    tallies: list[Tally]
    findings: list[Finding]

    @property
    def sound(self) -> bool:
        """No promise is broken."""
        return all(tally.sound for tally in self.tallies)


class Wrong(msgspec.Struct, frozen=True):
    """What breaks a promise: what of it, what it must be, what it is."""

    subject: str
    expected: str
    found: str


class Seen(msgspec.Struct, frozen=True):
    """What a look at a promise came to: rows, what breaks it (some of it, at least), and what an operator likes to know.

    A `is_blind` look had nothing to compare with: it finds nothing, and proves nothing either.
    """

    rows: int
    wrong: list[Wrong]
    facts: dict[str, int] = {}
    is_blind: bool = False


class Touched(msgspec.Struct, frozen=True):
    """What has changed since an instant, by ids. Orders come with all others of their purchases."""

    since: datetime
    orders: frozenset[UUID]
    skus: frozenset[UUID]
    payments: frozenset[UUID]
    accounts: frozenset[UUID]


class Look:
    """One look: a snapshot, what has changed (missing: look at everything), and what several promises need to know."""

    def __init__(self, tx: Tx, touched: Touched | None = None, *, lake: Lake | None = None) -> None:
        self.tx = tx
        self.touched = touched
        self.lake = lake
        self._known = _Known()

    def over(self, touched: Touched) -> "Look":
        """The same snapshot, over what has changed."""
        look = Look(self.tx, touched, lake=self.lake)
        look._known = self._known
        return look

    async def waiting(self) -> list[Told]:
        """What is told and not carried yet."""
        if self._known.waiting is None:
            self._known.waiting = await list_waiting(self.tx, limit=WAITING_MAX)
        return self._known.waiting

    async def in_flight(self) -> set[OrderId]:
        """Orders whose payment or refund is told but not yet worked into the order: in the outbox, or on the agenda."""
        if self._known.in_flight is None:
            told = {one.event.order_id for one in await self.waiting() if isinstance(one.event, MONEY_NEWS)}
            self._known.in_flight = await orders.find_in_flight(self.tx, told)
        return self._known.in_flight


class _Known:
    def __init__(self) -> None:
        self.waiting: list[Told] | None = None
        self.in_flight: set[OrderId] | None = None


Check = Callable[[Look], Awaitable[Seen]]


class About(StrEnum):
    """What a promise is about, for people who read them."""

    goods = "goods"
    orders = "orders"
    money = "money"
    settlement = "settlement"
    service = "service"


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the house promises of its books, and how it is checked.

    `code` never changes: pages have the words for people under it. `how` tells what is compared with what. `narrow`: the
    check can be limited to what has changed since the last one.
    """

    code: str
    about: About
    rooms: tuple[str, ...]
    says: str
    how: str
    check: Check
    narrow: bool = False


class HasOff(Protocol):
    """What the rooms' own checks list."""

    @property
    def id(self) -> UUID: ...
    @property
    def expected(self) -> str: ...
    @property
    def found(self) -> str: ...


def wrong_of(found: Iterable[HasOff]) -> list[Wrong]:
    """As the audit says it."""
    return [Wrong(str(one.id), one.expected, one.found) for one in found]


def differences(expected: dict[str, int], found: dict[str, int]) -> list[Wrong]:
    """Where two sums say different things; what is missing is zero."""
    return [
        Wrong(key, str(expected.get(key, 0)), str(found.get(key, 0)))
        for key in sorted(expected.keys() | found.keys())
        if expected.get(key, 0) != found.get(key, 0)
    ]


def forgotten(ids: Iterable[UUID], expected: str, found: str = "it is not") -> list[Wrong]:
    """The same thing wrong with each of these."""
    return [Wrong(str(one), expected, found) for one in ids]
