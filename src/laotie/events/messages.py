"""What people are told."""

from datetime import datetime
from typing import Any
from uuid import UUID

from laotie.base.events import Event
from laotie.base.ids import ViewerId


class Noticed(Event, tag="messages.noticed", frozen=True, kw_only=True):
    """These viewers have a new notice; whoever is here is shown it at once."""

    message_id: UUID
    viewer_ids: tuple[ViewerId, ...]
    kind: str
    facts: dict[str, Any]
    link: str
    at: datetime
