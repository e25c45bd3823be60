"""The demonstration's made-up customers: when each came, on which days each bought, and when each left.

They follow the law that forecasts assume of people (BG/NBD): new ones come steadily until today, each buys at a pace of their
own, and after a purchase some leave for good. Days are counted back from today and nothing else is known of the calendar, so
the past is the same on whatever day somebody tries the demonstration, and so is what a forecast of it got wrong.
"""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from laotie.demo.goods import FAN_NAMES

WEEKS, NEW_A_WEEK = 57, 8
"""How long ago the first came (a year and a month, so that there is a year before), and how many come in a week."""
PACE_SHAPE, PACE_WEEKS = 1.2, 6.0
"""Purchases in a week are distributed as a gamma of this shape over so many weeks: on average one in five weeks."""
STAYS_LEAVES = (3.0, 1.0)
"""How likely somebody stays after a purchase is distributed as this beta: on average three in four."""
SHOW, STORE = 1, (3, 5)
"""The days of a week on which something is sold, back from today: yesterday's show, and two days of the shop on the pier."""
SHARES = (0.26, 0.37, 0.37)
"""How much of the purchases falls on each."""
SHOWS_HERE = tuple(range(SHOW + 8 * 7, 0, -7))
"""Days back from today of the shows since the shop sells here; what was sold before, and on the pier, is brought along."""


class Purchase(NamedTuple):
    """Which customer bought on which day, back from today, and whether for the first time."""

    customer: int
    ago: int
    is_first: bool

    @property
    def is_here(self) -> bool:
        """Whether it was in a show of this house."""
        return self.ago in SHOWS_HERE


def handle_of(customer: int) -> str:
    """The fans are the first customers of this house."""
    return f"fan{customer}" if customer <= len(FAN_NAMES) else f"customer{customer}"


def _live() -> Iterator[list[int]]:
    """The days of each customer, the earliest first."""
    size = WEEKS * NEW_A_WEEK
    for number in range(size):
        chance = Random(f"customer {number}")  # noqa: S311  (a simulation, repeatable)
        weeks_ago = (number + chance.random()) / NEW_A_WEEK
        pace, stays = chance.gammavariate(PACE_SHAPE, 1 / PACE_WEEKS), chance.betavariate(*STAYS_LEAVES)
        days: set[int] = set()
        while weeks_ago > 0:
            days.add(7 * int(weeks_ago) + chance.choices((SHOW, *STORE), SHARES)[0])
            if chance.random() > stays:
                break
            weeks_ago -= chance.expovariate(pace)
        yield sorted(days, reverse=True)


def _number(lives: list[list[int]]) -> list[list[int]]:
    """The fans first: some of those who came since the shop sells here, spread over the weeks; they go to its shows alone.

    Of these the most faithful first: as fan 1 people sign in who try the demonstration.
    """
    new = sorted((days for days in lives if days[0] < SHOWS_HERE[0] + 7 - SHOW), key=lambda days: (-days[0], -len(days)))
    fans = sorted(new[:: len(new) // len(FAN_NAMES)][: len(FAN_NAMES)], key=len, reverse=True)
    chosen = set(map(id, fans))
    others = [days for days in lives if id(days) not in chosen]
    return [sorted({ago - (ago - SHOW) % 7 for ago in days}, reverse=True) for days in fans] + others


def _imagine() -> tuple[Purchase, ...]:
    lives = _number(list(_live()))
    return tuple(
        Purchase(customer, ago, ago == days[0]) for customer, days in enumerate(lives, start=1) for ago in days
    )


PURCHASES = _imagine()
"""All of them, by customer."""
CUSTOMERS = PURCHASES[-1].customer
