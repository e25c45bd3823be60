"""Webhooks: a shop's own programs hear what happens, signed in the form of Standard Webhooks 1.0.

Owns endpoints with their secrets, messages as they were frozen when the fact was told, deliveries and attempts.
Promises: a message exists exactly when its fact does; it reaches each endpoint at least once, always under the same id,
or is given up after ten attempts in three days and can be sent again; a slow or dead endpoint delays no other; only
public addresses are called. Not here: what happens (rooms tell facts), how a stranger's address is called (`base.post`).
"""

from laotie.webhooks.catalogue import (
    CATALOGUE,
    PING,
    PING_ABOUT,
    EventType,
    example_of,
    ping_example,
    ping_schema,
    schema_of,
    write_document,
)
from laotie.webhooks.deliveries import Exchange, get_delivery, list_deliveries, replay, replay_failed, sweep
from laotie.webhooks.endpoints import (
    Change,
    Made,
    Rotated,
    change_endpoint,
    create_endpoint,
    get_endpoint,
    list_endpoints,
    ping,
    remove_endpoint,
    rotate_secret,
)
from laotie.webhooks.evidence import Tally, tally
from laotie.webhooks.model import (
    Attempt,
    Delivery,
    DeliveryId,
    DeliveryState,
    Draft,
    Endpoint,
    EndpointId,
    EndpointOffFor,
    EndpointState,
)
from laotie.webhooks.sending import Sender

__all__ = [
    "CATALOGUE", "PING", "PING_ABOUT", "Attempt", "Change", "Delivery", "DeliveryId", "DeliveryState", "Draft",
    "Endpoint", "EndpointId", "EndpointOffFor", "EndpointState", "EventType", "Exchange", "Made", "Rotated", "Sender", "Tally",
    "change_endpoint", "create_endpoint", "example_of", "get_delivery", "get_endpoint", "list_deliveries", "list_endpoints",
    "ping", "ping_example", "ping_schema", "remove_endpoint", "replay", "replay_failed", "rotate_secret", "schema_of",
    "sweep", "tally", "write_document",
]  # fmt: skip
