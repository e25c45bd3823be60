"""Every fact the house publishes, a file a room. Import a room's facts from its file: `laotie.events.orders`."""

from laotie.events import fans as fans
from laotie.events import live as live
from laotie.events import orders as orders
from laotie.events import payments as payments
