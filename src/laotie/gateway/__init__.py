"""The gateway: the door for room sockets (and, in `rtmp` and `ingest`, for encoders and cameras).

Owns connections, rooms as they are shown, frames and their coalescing, watch time. A viewer shows a ticket that `live`
issued, gets the room as it is and then what changes; purchases go to the till and are answered as soon as they are
durable. What a room shows can always be rebuilt: snapshot, then frames by version, and a fresh snapshot on a gap.

Promises: commerce frames are never dropped; an answer to a buy never waits for a room's batch; a client that floods,
lies or does not read harms nobody else and is closed with a reason; memory is bounded by `Limits`.
"""

from laotie.gateway.door import Gateway, TicketSpent, TooManySockets, upgrade_class
from laotie.gateway.limits import Limits

__all__ = ["Gateway", "Limits", "TicketSpent", "TooManySockets", "upgrade_class"]
