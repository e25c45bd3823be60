"""Settlement's words: what is due of an order, how it is divided, and the lines of a statement. No I/O."""

from collections.abc import Iterable
from datetime import date, datetime, tzinfo
from enum import StrEnum
from typing import NewType
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from laotie.base.ids import AccountId, OrderId, ShopId

LineId = NewType("LineId", UUID)

BPS = 10_000


class RateKind(StrEnum):
    """Who takes a part of an order: the platform of its goods, the streamer of its goods, the payment of what was paid."""

    platform = "platform"
    payment = "payment"
    streamer = "streamer"


class LineKind(StrEnum):
    """Why what is owed to somebody changed."""

    sale = "sale"
    """A completed order was settled."""
    refund = "refund"
    """Something of a settled order was given back or taken back (or, positive, came back)."""
    freight = "freight"
    """The way back of a return that the shop bears."""
    payout = "payout"
    payout_back = "payout_back"
    correction = "correction"


class Rates(msgspec.Struct, frozen=True):
    """What is taken, in ten-thousandths: `platform` and `streamer` of goods with subsidy, `payment` of the buyer's money."""

    platform_bps: int = 0
    payment_bps: int = 0
    streamer_bps: int = 0


class Parts(msgspec.Struct, frozen=True):
    """What an order, or a part of it, is worth, in minor units: the buyer's money, and what the platform adds to it."""

    goods_amount: int = 0
    shipping_amount: int = 0
    subsidy_amount: int = 0

    def __sub__(self, other: "Parts") -> "Parts":
        return Parts(
            self.goods_amount - other.goods_amount,
            self.shipping_amount - other.shipping_amount,
            self.subsidy_amount - other.subsidy_amount,
        )

    @property
    def total(self) -> int:
        """All of it."""
        return self.goods_amount + self.shipping_amount + self.subsidy_amount


class Split(msgspec.Struct, frozen=True):
    """Who gets how much, in minor units; the four add up to the total of the parts."""

    platform_amount: int = 0
    payment_amount: int = 0
    streamer_amount: int = 0
    net_amount: int = 0

    def __sub__(self, other: "Split") -> "Split":
        return Split(
            self.platform_amount - other.platform_amount,
            self.payment_amount - other.payment_amount,
            self.streamer_amount - other.streamer_amount,
            self.net_amount - other.net_amount,
        )


def split(parts: Parts, rates: Rates) -> Split:
    """Divide what an order is worth. Each rate's part is rounded down, the shop has the rest, so nothing is lost.

    platform = (goods + subsidy) x platform_bps, streamer = (goods + subsidy) x streamer_bps,
    payment = (goods + shipping) x payment_bps, each / 10,000; net = what is left. `settling.SPLIT` says the same in SQL.
    """
    assert rates.platform_bps + rates.payment_bps + rates.streamer_bps <= BPS
    platform = (parts.goods_amount + parts.subsidy_amount) * rates.platform_bps // BPS
    streamer = (parts.goods_amount + parts.subsidy_amount) * rates.streamer_bps // BPS
    payment = (parts.goods_amount + parts.shipping_amount) * rates.payment_bps // BPS
    return Split(platform, payment, streamer, parts.total - platform - payment - streamer)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a completed order that has one pair of rates; `no` numbers them in the order of its lines."""

    no: int
    streamer_id: AccountId | None
    rates: Rates
    parts: Parts


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A movement of what is owed: `net_amount` to the shop, `streamer_amount` to the streamer. Never changed."""

    id: LineId
    kind: LineKind
    shop_id: ShopId | None
    streamer_id: AccountId | None
    order_id: OrderId | None = None
    no: int = 0
    currency: str
    goods_amount: int = 0
    shipping_amount: int = 0
    subsidy_amount: int = 0
    platform_bps: int = 0
    payment_bps: int = 0
    streamer_bps: int = 0
    platform_amount: int = 0
    payment_amount: int = 0
    streamer_amount: int = 0
    net_amount: int = 0
    booked_on: date
    booked_at: datetime
    subject_id: UUID


def group(claims: Iterable[Claim]) -> list[Claim]:
    """Claims with the same streamer and rates become one; numbered from 0 in the order in which they first come."""
    found: dict[tuple[AccountId | None, Rates], Parts] = {}
    for claim in claims:
        key = (claim.streamer_id, claim.rates)
        found[key] = claim.parts if key not in found else _sum(found[key], claim.parts)
    return [
        Claim(no=no, streamer_id=streamer_id, rates=rates, parts=parts)
        for no, ((streamer_id, rates), parts) in enumerate(found.items())
    ]


def _sum(one: Parts, other: Parts) -> Parts:
    return Parts(
        one.goods_amount + other.goods_amount,
        one.shipping_amount + other.shipping_amount,
        one.subsidy_amount + other.subsidy_amount,
    )


def day_of(instant: datetime, zone: str) -> date:
    """The calendar day of an instant in the house's zone (an IANA name)."""
    place: tzinfo = ZoneInfo(zone)
    return instant.astimezone(place).date()
