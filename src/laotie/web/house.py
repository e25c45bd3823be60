"""The house as a door sees it: everything a process was started with, handed to handlers by name."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property

from laotie.base.bus import Bus
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.fun import Desk
from laotie.lake import Nowhere, Sink
from laotie.media import Archive, MediaServer
from laotie.orders import Till
from laotie.search import Shelf
from laotie.web.figures import Figures

Check = Callable[[], Awaitable[str | None]]
"""Says what is still missing, or `None` when the part is ready."""


@dataclass(frozen=True)
class House:
    """One process's parts. `parts` are asked by `GET /healthz`."""

    db: Database
    settings: Settings
    signer: Signer
    bus: Bus
    till: Till | None = None
    desk: Desk | None = None
    media: MediaServer | None = None
    shelf: Shelf | None = None
    sink: Sink = field(default_factory=Nowhere)
    parts: dict[str, Check] = field(default_factory=dict)

    @cached_property
    def archive(self) -> Archive:
        """The recordings of this data directory."""
        return Archive(self.settings.data_path / "recordings")

    @cached_property
    def figures(self) -> Figures:
        """Where figures are computed; handlers ask `web.figures.figures(house)`."""
        return Figures(self.db, self.settings)

    @property
    def clock(self) -> Clock:
        """The clock that the database's transactions go by."""
        return self.db.clock

    def add_part(self, name: str, check: Check) -> None:
        """Have `GET /healthz` ask this part too."""
        assert name not in self.parts
        self.parts[name] = check
