"""A client of Laotie's API: `Client` waits, `AsyncClient` awaits; both know every operation and its types.

Operations and `models` are generated from the API's description. Every id of what you create is yours to make
(`new_id`) and makes repeating safe.
"""

from uuid import uuid4

from laotie_client import models
from laotie_client.awaiting import AsyncClient
from laotie_client.transport import Refused, each, every
from laotie_client.waiting import Client

__all__ = ["AsyncClient", "Client", "Refused", "each", "every", "models", "new_id"]


def new_id() -> str:
    """An id for what you are about to create: keep it, and the same request can be sent again."""
    return str(uuid4())
