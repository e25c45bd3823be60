"""Random lives: a market on an event loop of its own, for Hypothesis' state machines, whose rules are plain functions."""

import asyncio
import os
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.signer import Signer
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


class OwnMarket:
    """A market that a machine's rules run their coroutines in; `seen` is what happened on the way."""

    market: Market

    def __init__(self, url: str, signer: Signer) -> None:
        self.seen: set[str] = set()
        self.runner = asyncio.Runner()
        self._opening: Any = None
        self.runner.run(self._open(url, signer))

    async def _open(self, url: str, signer: Signer) -> None:
        self.db = await Database.open(url, clock=StandingClock(), pool_max=8)
        self._opening = open_market(self.db, signer)
        self.market = await self._opening.__aenter__()

    def close(self) -> None:
        """Leave nothing open."""
        self.runner.run(self._close())
        self.runner.close()

    async def _close(self) -> None:
        await self._opening.__aexit__(None, None, None)
        await self.db.close()


def live_through(
    machine: type[RuleBasedStateMachine], *, steps: int, lives: int = 12, anew: bool = False
) -> None:
    """Run so many lives, the same ones every time unless `anew`; or as many as `TEST_LIVES` says, and new ones."""
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
