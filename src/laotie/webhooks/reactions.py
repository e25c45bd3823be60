"""What webhooks does on hearing any fact of its catalogue: tells the endpoints."""

from laotie.base.outbox import together
from laotie.webhooks.catalogue import TYPES
from laotie.webhooks.telling import tell

REACTIONS = [together([one.kind for one in TYPES], tell)]
