"""Identifiers: UUIDv7, so that keys grow with time, as one type a thing so that they cannot be mixed up."""

from datetime import UTC, datetime
from typing import NewType
from uuid import UUID

from uuid_utils.compat import uuid7

AccountId = NewType("AccountId", UUID)
ViewerId = NewType("ViewerId", UUID)
"""A person watching: a guest's own id, or the account's id once signed in."""
ShopId = NewType("ShopId", UUID)
RoomId = NewType("RoomId", UUID)
ShowId = NewType("ShowId", UUID)
VisitId = NewType("VisitId", UUID)
ProductId = NewType("ProductId", UUID)
SkuId = NewType("SkuId", UUID)
CartItemId = NewType("CartItemId", UUID)
OrderId = NewType("OrderId", UUID)
PaymentId = NewType("PaymentId", UUID)
TransferId = NewType("TransferId", UUID)
EventId = NewType("EventId", UUID)

__all__ = [
    "AccountId",
    "CartItemId",
    "EventId",
    "OrderId",
    "PaymentId",
    "ProductId",
    "RoomId",
    "ShopId",
    "ShowId",
    "SkuId",
    "TransferId",
    "ViewerId",
    "VisitId",
    "instant_of",
    "lowest_id_at",
    "new_id",
]


def new_id() -> UUID:
    """A fresh UUIDv7 (RFC 9562, 5.7)."""
    return uuid7()


def lowest_id_at(instant: datetime) -> UUID:
    """The smallest UUIDv7 of that millisecond: a bound for walking a key by time."""
    milliseconds = int(instant.timestamp() * 1000)
    return UUID(int=(milliseconds << 80) | (7 << 76) | (2 << 62))


def instant_of(identifier: UUID) -> datetime:
    """When a UUIDv7 was made, to the millisecond."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)
