"""The port: what the house asks of whoever takes the money, and how each adapter says what it can do.

No method is called while a transaction is open, and each may be called again with the same id: the id of payment,
refund or payout is the provider's idempotency key. What cannot be reached raises `ProviderDown`; what the provider says
no to for good raises `ProviderRefused`; what an adapter cannot do at all, `CannotDo`.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum, StrEnum
from typing import Protocol
from uuid import UUID

import msgspec

from laotie.base.ids import AccountId, OrderId, PaymentId, ShopId
from laotie.base.money import Money
from laotie.payments.model import CannotDo, RefundId


class Capability(Enum):
    """The services of a payment provider (no `StrEnum`: a string already has a `split`)."""

    onboard = "onboard"
    authorise = "authorise"
    capture = "capture"
    refund = "refund"
    split = "split"
    release = "release"
    payout = "payout"


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What a buyer is to pay."""

    payment_id: PaymentId
    order_id: OrderId
    buyer_id: AccountId
    money: Money
    return_url: str


class Started(msgspec.Struct, frozen=True):
    """The provider knows of the payment. `next_url`: where the buyer goes to approve it."""

    provider_ref: str
    next_url: str | None


class Repayment(msgspec.Struct, frozen=True, kw_only=True):
    """What is to go back, out of which payment."""

    refund_id: RefundId
    payment_id: PaymentId
    provider_ref: str
    money: Money
    reason: str


class Part(msgspec.Struct, frozen=True):
    """A shop's part of a payment."""

    shop_id: ShopId
    money: Money


class ReportKind(StrEnum):
    """What a provider's message can mean to us."""

    pending = "pending"
    captured = "captured"
    failed = "failed"
    refunded = "refunded"
    refund_failed = "refund_failed"
    other = "other"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's message, checked and in our words. `other`: signed, but of a kind we do not know."""

    event_id: str
    kind: ReportKind
    name: str
    payment_id: PaymentId | None = None
    provider_ref: str | None = None
    refund_id: RefundId | None = None
    money: Money | None = None
    reason: str = ""


class Provider(Protocol):
    """Whoever takes the money."""

    name: str
    can: frozenset[Capability]

    async def onboard(self, shop_id: ShopId, *, country: str) -> str:
        """Open a shop's own account with the provider; returns its reference."""

    async def authorise(self, charge: Charge) -> Started:
        """Ask for a payment. Without the capability `capture`, approval captures at once."""

    async def capture(self, payment_id: PaymentId, provider_ref: str, *, money: Money) -> None:
        """Take what was authorised."""

    async def refund(self, repayment: Repayment) -> str:
        """Ask for money to go back; returns the provider's reference. Done when its message says so."""

    async def split(self, payment_id: PaymentId, provider_ref: str, *, parts: list[Part]) -> None:
        """Say which shops the captured money belongs to."""

    async def release(self, payment_id: PaymentId, provider_ref: str, *, parts: list[Part]) -> None:
        """Let held parts go to their shops."""

    async def payout(self, payout_id: UUID, shop_id: ShopId, *, money: Money) -> str:
        """Send a shop's money to its bank; returns the provider's reference."""

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Report:
        """Check and read a message; refuses with `SignatureRefused`. Header names are in lower case."""


class Unable:
    """Every service refused with `CannotDo`; an adapter derives from it and writes what it can do."""

    name: str = ""
    can: frozenset[Capability] = frozenset()

    def _cannot(self, capability: Capability) -> CannotDo:
        assert capability not in self.can, f"{self.name} says that it can {capability.value}"
        return CannotDo(provider=self.name, capability=capability.value)

    async def onboard(self, shop_id: ShopId, *, country: str) -> str:
        raise self._cannot(Capability.onboard)

    async def authorise(self, charge: Charge) -> Started:
        raise self._cannot(Capability.authorise)

    async def capture(self, payment_id: PaymentId, provider_ref: str, *, money: Money) -> None:
        raise self._cannot(Capability.capture)

    async def refund(self, repayment: Repayment) -> str:
        raise self._cannot(Capability.refund)

    async def split(self, payment_id: PaymentId, provider_ref: str, *, parts: list[Part]) -> None:
        raise self._cannot(Capability.split)

    async def release(self, payment_id: PaymentId, provider_ref: str, *, parts: list[Part]) -> None:
        raise self._cannot(Capability.release)

    async def payout(self, payout_id: UUID, shop_id: ShopId, *, money: Money) -> str:
        raise self._cannot(Capability.payout)
