"""The port: what the house asks of whoever takes the money, and how each adapter says what it can do.

No method is called while a transaction is open, and each may be called again with the same id: the id of payment,
refund or release is the provider's idempotency key. What cannot be reached raises `ProviderDown`; what the provider says
no to for good raises `ProviderRefused`; what an adapter cannot do at all, `CannotDo`.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum, StrEnum
from typing import Protocol

import msgspec

from laotie.base.ids import AccountId, OrderId, PaymentId
from laotie.base.money import Money
from laotie.payments.model import CannotDo, RefundId, ReleaseId, SellerId, SellerKind, SellerState


class Capability(Enum):
    """The services of a payment provider (no `StrEnum`: a string already has a `split`)."""

    onboard = "onboard"
    """Sellers get accounts of their own with it."""
    authorise = "authorise"
    capture = "capture"
    refund = "refund"
    split = "split"
    """What buyers pay stays with it until it goes to each seller; it need not pass through the house's hands."""
    release = "release"
    """It lets money go into sellers' own accounts."""
    look_up = "look_up"
    """It says how a payment, a refund or a release stands when it is asked."""
    partial_capture = "partial_capture"
    partial_refund = "partial_refund"
    dispute = "dispute"


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What a buyer is to pay."""

    payment_id: PaymentId
    order_id: OrderId
    buyer_id: AccountId
    money: Money
    return_url: str
    notify_url: str = ""
    capture: bool = True
    """False: only have the money kept ready; `capture` takes it."""


class Started(msgspec.Struct, frozen=True):
    """The provider knows of the payment. `next_url`: where the buyer goes to approve it, or what the code says."""

    provider_ref: str
    next_url: str | None
    next_kind: str = "redirect"
    """`redirect`, or `qr`: to be shown as a code that the buyer's phone scans."""


class Repayment(msgspec.Struct, frozen=True, kw_only=True):
    """What is to go back, out of which payment."""

    refund_id: RefundId
    payment_id: PaymentId
    provider_ref: str
    money: Money
    reason: str
    charge_ref: str | None = None
    total: Money | None = None
    """What was captured of the payment."""
    attempt: int = 0
    """How often the provider failed to pay it out; each attempt is a refund of its own to the provider."""
    notify_url: str = ""


class Repaid(msgspec.Struct, frozen=True):
    """The provider knows of the refund. `done`: the answer says so already, and no message will."""

    provider_ref: str
    done: bool = False


class Applicant(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants an account of their own with the provider."""

    seller_id: SellerId
    kind: SellerKind
    name: str
    country: str
    asked_by: AccountId
    return_url: str
    """Where the provider's page leads back to."""


class Standing(msgspec.Struct, frozen=True):
    """How a seller's account stands. `reason`: what the provider wants, or why it says no."""

    state: SellerState
    reason: str = ""


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """What is to go into a seller's own account."""

    release_id: ReleaseId
    seller_ref: str
    money: Money
    attempt: int = 0
    """How often it was tried before without a certain answer."""


class Handed(msgspec.Struct, frozen=True):
    """The provider knows of the release. `done`: the answer says so already, and no message will."""

    provider_ref: str
    done: bool = False


class ReportKind(StrEnum):
    """What a provider's message can mean to us."""

    pending = "pending"
    authorised = "authorised"
    captured = "captured"
    failed = "failed"
    refunded = "refunded"
    refund_failed = "refund_failed"
    reversed = "reversed"
    """A chargeback: the money is taken back until it is decided."""
    restored = "restored"
    """A chargeback was won: the money is back."""
    lost = "lost"
    """A chargeback was lost for good."""
    seller = "seller"
    """A seller's account stands otherwise: ask how."""
    released = "released"
    release_failed = "release_failed"
    other = "other"


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A provider's message, checked and in our words. `other`: signed, but of a kind we do not know.

    The payment is named by `payment_id`, or else by `charge_ref`, the provider's name of its money.
    """

    event_id: str
    kind: ReportKind
    name: str
    payment_id: PaymentId | None = None
    provider_ref: str | None = None
    refund_id: RefundId | None = None
    money: Money | None = None
    reason: str = ""
    charge_ref: str | None = None
    refund_attempt: int | None = None
    dispute_ref: str | None = None
    evidence_until: datetime | None = None
    seller_ref: str | None = None
    release_id: ReleaseId | None = None


class Provider(Protocol):
    """Whoever takes the money."""

    name: str
    can: frozenset[Capability]
    currencies: tuple[str, ...]
    """Those it takes; empty: any."""
    step: str
    """How its buyers approve: `redirect` or `qr`."""
    answer: str | None
    """What its messages must be answered with, word by word; `None`: a 2xx is enough."""

    async def onboard(self, applicant: Applicant) -> str:
        """Open a seller's own account with the provider; returns its reference."""

    async def link(self, seller_ref: str, *, return_url: str) -> str | None:
        """The provider's page on which the seller says who they are; `None`: nothing is left to say."""

    async def find_seller(self, seller_ref: str) -> Standing:
        """How a seller's account stands."""

    async def authorise(self, charge: Charge) -> Started:
        """Ask for a payment. Without the capability `capture`, approval captures at once."""

    async def capture(self, payment_id: PaymentId, provider_ref: str, *, money: Money) -> None:
        """Take what was authorised, or with `partial_capture` a part of it; its message says what was taken."""

    async def refund(self, repayment: Repayment) -> Repaid:
        """Ask for money to go back. Done when the answer or a message says so."""

    async def defend(self, dispute_ref: str, *, evidence: str) -> None:
        """Answer a chargeback with evidence."""

    async def release(self, handover: Handover) -> Handed:
        """Let money go into a seller's own account. Done when the answer or a message says so."""

    async def find_payment(self, payment_id: PaymentId, provider_ref: str) -> Report | None:
        """How a payment stands, as its message would say it; `None`: there is no news of it."""

    async def find_refund(self, repayment: Repayment, provider_ref: str) -> Report | None:
        """How a refund stands that the provider knows by that name."""

    async def find_release(self, handover: Handover) -> Report | None:
        """How a release stands."""

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Report:
        """Check and read a message; refuses with `SignatureRefused`. Header names are in lower case."""


class Unable:
    """Every service refused with `CannotDo`; an adapter derives from it and writes what it can do."""

    name: str = ""
    can: frozenset[Capability] = frozenset()
    currencies: tuple[str, ...] = ()
    step: str = "redirect"
    answer: str | None = None

    def _cannot(self, capability: Capability) -> CannotDo:
        assert capability not in self.can, f"{self.name} says that it can {capability.value}"
        return CannotDo(provider=self.name, capability=capability.value)

    async def onboard(self, applicant: Applicant) -> str:
        raise self._cannot(Capability.onboard)

    async def link(self, seller_ref: str, *, return_url: str) -> str | None:
        raise self._cannot(Capability.onboard)

    async def find_seller(self, seller_ref: str) -> Standing:
        raise self._cannot(Capability.onboard)

    async def authorise(self, charge: Charge) -> Started:
        raise self._cannot(Capability.authorise)

    async def capture(self, payment_id: PaymentId, provider_ref: str, *, money: Money) -> None:
        raise self._cannot(Capability.capture)

    async def refund(self, repayment: Repayment) -> Repaid:
        raise self._cannot(Capability.refund)

    async def defend(self, dispute_ref: str, *, evidence: str) -> None:
        raise self._cannot(Capability.dispute)

    async def release(self, handover: Handover) -> Handed:
        raise self._cannot(Capability.release)

    async def find_payment(self, payment_id: PaymentId, provider_ref: str) -> Report | None:
        raise self._cannot(Capability.look_up)

    async def find_refund(self, repayment: Repayment, provider_ref: str) -> Report | None:
        raise self._cannot(Capability.look_up)

    async def find_release(self, handover: Handover) -> Report | None:
        raise self._cannot(Capability.look_up)
