"""Random lives: a market on an event loop of its own, for Hypothesis' state machines, whose rules are plain functions.

What every model of paid orders knows of payments is here too: when a decision's money is heard of, whatever the provider
does to its messages.
"""

import asyncio
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import uvloop
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from laotie.base import jobs
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import PaymentId
from laotie.base.signer import Signer
from laotie.payments.sandbox import TROUBLE_S, Outcome, Trouble
from market import Market, open_market

EXAMPLES = int(os.environ.get("TEST_LIVES", "0"))


class StandingClock(Clock):
    """Stands still but for a microsecond a look: how long the machine takes is no part of a life."""

    def __init__(self) -> None:
        super().__init__()
        self._instant = super().now()

    def now(self) -> datetime:
        self._instant += timedelta(microseconds=1)
        return self._instant + self._offset


@dataclass
class Pay:
    """A payment as a model sees it: when its money will be heard of, and whether it has been."""

    id: PaymentId
    decided: Outcome | None = None
    due: float | None = None
    tries: int = 0
    losses: int = 0
    heard: bool = False

    def decide(self, outcome: Outcome, trouble: Trouble, *, now: float) -> None:
        """Its customer has decided; the messages meet this trouble."""
        self.decided = outcome
        self.losses = 2 if trouble is Trouble.lost else 0
        self.due = now + (TROUBLE_S if trouble is Trouble.delay else 0)

    def hear(self, now: float) -> None:
        """The provider has told what it could by now; a message that was lost is told again, later each time."""
        while not self.heard and self.due is not None and self.due <= now:
            self.tries += 1
            self.heard = self.tries > self.losses
            self.due = now + 2 ** (self.tries - 1)

    @property
    def came(self) -> bool:
        """Whether its money is here."""
        return self.heard and self.decided is Outcome.approve


def came(pays: list[Pay], now: float) -> int:
    """How many of these have brought money by now."""
    for pay in pays:
        pay.hear(now)
    return sum(pay.came for pay in pays)


class OwnMarket:
    """A market that a machine's rules run their coroutines in; `seen` is what happened on the way."""

    market: Market
    settings: ClassVar[dict[str, Any]] = {}
    """Of the market, where they are not as they come."""

    def __init__(self, url: str, signer: Signer) -> None:
        self.seen: set[str] = set()
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)  # what the product runs on, and quicker
        self._opening: Any = None
        self.runner.run(self._open(url, signer))

    async def _open(self, url: str, signer: Signer) -> None:
        self.db = await Database.open(url, clock=StandingClock(), pool_max=8)
        self._opening = open_market(self.db, signer, **self.settings)
        self.market = await self._opening.__aenter__()

    async def replay(self) -> None:
        """What was delivered so far is delivered again, last first, as if the provider had told it anew."""
        async with self.db.tx() as tx:
            await tx.run("DELETE FROM payments.webhook_inbox WHERE heard_at > %(now)s - interval '1 hour'", now=tx.now)
            again = await tx.all(
                UUID,
                """
                SELECT id FROM payments.sandbox_event WHERE delivered_at > %(now)s - interval '1 hour' ORDER BY id DESC
                LIMIT 20
                """,
                now=tx.now,
            )
        for event_id in again:
            await jobs._tasks["payments.sandbox_deliver"](self.market.context, event_id=str(event_id), again=True)

    def close(self) -> None:
        """Leave nothing open."""
        self.runner.run(self._close())
        self.runner.close()

    async def _close(self) -> None:
        await self._opening.__aexit__(None, None, None)
        await self.db.close()


def live_through(
    machine: type[RuleBasedStateMachine], *, steps: int, lives: int = 12, anew: bool = False, share: int | None = None
) -> None:
    """Run so many lives, the same ones every time (of each `share`) unless `anew`; or as many as `TEST_LIVES` says, and new ones."""
    if share is not None and not (EXAMPLES or anew):
        machine = seed(share)(machine)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES or lives,
            stateful_step_count=steps,
            deadline=None,
            derandomize=not (EXAMPLES or anew),
            suppress_health_check=list(HealthCheck),
        ),
    )
