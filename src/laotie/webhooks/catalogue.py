"""The catalogue: which facts of the house shops may hear, with which fields, and the right that each takes.

A message is `{"type", "timestamp", "data"}`. Every field of a published fact is named here, as sent or as kept back, so
that a field added to a fact is decided upon before it leaves the house (the tests insist). What is sent names things
by id and says sums; no name, address or telephone number: who needs them asks the API, where reading them is recorded.
"""

import inspect
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from laotie.base.events import Event, tag_of
from laotie.events import aftersales, catalog, identity, orders, reviews, settlement, trust
from laotie.identity import Scope

PING = "webhook.ping"
PING_ABOUT = "Sent when somebody asks for a test; every endpoint gets it."


class EventType(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of fact: the scope that hearing it takes, what is sent of it, what is kept back, and the thing it is about."""

    kind: type[Event]
    scope: Scope
    sent: tuple[str, ...]
    kept_back: tuple[str, ...] = ()
    about: str
    is_level: bool = False
    """An absolute figure of that thing: of several at once only the newest is sent."""

    @property
    def tag(self) -> str:
        """What it is called in messages."""
        return tag_of(self.kind)

    @property
    def text(self) -> str:
        """One sentence on what happened."""
        return inspect.cleandoc(self.kind.__doc__ or "").splitlines()[0]

    def data_of(self, event: Event) -> dict[str, Any]:
        """What is sent of a fact."""
        return {name: getattr(event, name) for name in self.sent}

    def subject_of(self, event: Event) -> UUID:
        """The thing that a fact is about."""
        subject: UUID = getattr(event, self.about)
        return subject


def _of(
    kind: type[Event], scope: Scope, about: str, *, sent: str, kept_back: str = "", is_level: bool = False
) -> EventType:
    return EventType(
        kind=kind, scope=scope, sent=tuple(sent.split()), kept_back=tuple(kept_back.split()), about=about, is_level=is_level
    )


TYPES = (
    _of(
        orders.OrderPlaced, Scope.orders, "order_id",
        sent="order_id buyer_id shop_id show_id currency total_amount lines source placement placed_at pay_by",
        kept_back="client_id visit_id purchase_id credit amounts",
    ),
    _of(
        orders.OrderRepriced, Scope.orders, "order_id",
        sent="order_id buyer_id shop_id show_id currency total_amount repriced_at",
        kept_back="fact_id credit amounts",
    ),
    _of(
        orders.OrderPaid, Scope.orders, "order_id",
        sent="order_id buyer_id shop_id show_id currency total_amount paid_at",
        kept_back="credit amounts",
    ),
    _of(
        orders.OrderCancelled, Scope.orders, "order_id",
        sent="order_id buyer_id shop_id show_id reason cancelled_at",
        kept_back="currency credit amounts",
    ),
    _of(
        orders.OrderRefundAsked, Scope.orders, "order_id",
        sent="order_id refund_id buyer_id shop_id show_id currency amount reason whole asked_at",
    ),
    _of(
        orders.OrderRefunded, Scope.orders, "order_id",
        sent="order_id buyer_id shop_id show_id currency amount reason refunded_at",
        kept_back="refund_id fact_id credit amounts",
    ),
    _of(
        orders.OrderShipped, Scope.orders, "order_id",
        sent="order_id buyer_id shop_id show_id confirm_by shipped_at",
    ),
    _of(
        orders.OrderCompleted, Scope.orders, "order_id",
        sent="order_id buyer_id shop_id show_id by completed_at",
    ),
    _of(
        orders.DeliveryPromiseBroken, Scope.orders, "order_id",
        sent="order_id buyer_id shop_id promised_h ship_by broken_at",
    ),
    _of(
        orders.OrderReversed, Scope.orders, "order_id",
        sent="order_id buyer_id shop_id dispute_id amount currency reason restored reversed_at",
        kept_back="show_id fact_id credit amounts",
    ),
    _of(
        orders.ParcelDelivered, Scope.orders, "order_id",
        sent="parcel_id order_id buyer_id shop_id carrier number whole delivered_at",
    ),
    _of(
        aftersales.CaseOpened, Scope.orders, "case_id",
        sent="case_id order_id shop_id buyer_id kind reason currency amount opened_at",
    ),
    _of(
        aftersales.CaseMoved, Scope.orders, "case_id",
        sent="case_id order_id shop_id buyer_id act party state_before state due_at moved_at",
    ),
    _of(
        aftersales.CaseDecided, Scope.orders, "case_id",
        sent="case_id order_id shop_id buyer_id reason verdict amount currency overdue decided_at",
    ),
    _of(
        aftersales.CaseClosed, Scope.orders, "case_id",
        sent="case_id order_id shop_id buyer_id kind reason state currency refunded_amount closed_at",
    ),
    _of(
        aftersales.ReturnFreightPaid, Scope.orders, "case_id",
        sent="case_id order_id shop_id buyer_id currency amount paid_at",
    ),
    _of(
        reviews.ReviewWritten, Scope.orders, "review_id",
        sent="review_id product_id shop_id goods service shipping has_pictures",
        kept_back="order_id buyer_id",  # who wrote may have wished not to be named
    ),
    _of(
        catalog.ProductChanged, Scope.catalog, "product_id", is_level=True,
        sent="product_id shop_id version state",
    ),
    _of(
        catalog.StockChanged, Scope.catalog, "sku_id", is_level=True,
        sent="sku_id product_id shop_id available at",
    ),
    _of(
        catalog.BatchRecalled, Scope.catalog, "product_id",
        sent="batch_id product_id shop_id reason",
    ),
    _of(
        settlement.SettlementBooked, Scope.money, "batch_id",
        sent="batch_id shop_id currency order_count net_amount booked_at",
    ),
    _of(
        settlement.PayoutSent, Scope.money, "payout_id",
        sent="payout_id batch_id shop_id amount currency sent_at",
        kept_back="streamer_id",
    ),
    _of(
        settlement.PayoutPaid, Scope.money, "payout_id",
        sent="payout_id batch_id shop_id amount currency paid_at",
        kept_back="streamer_id",
    ),
    _of(
        settlement.PayoutReturned, Scope.money, "payout_id",
        sent="payout_id batch_id shop_id amount currency reason returned_at",
        kept_back="streamer_id",
    ),
    _of(
        trust.GuaranteePaid, Scope.money, "order_id",
        sent="payout_id shop_id buyer_id order_id line_no kind amount owed_amount currency paid_at",
    ),
    _of(
        trust.DepositShort, Scope.money, "shop_id",
        sent="shop_id missing_amount owed_amount currency limited_from",
    ),
    _of(
        trust.ShopLimited, Scope.money, "shop_id",
        sent="shop_id missing_amount owed_amount currency",
    ),
    _of(
        trust.ShopFreed, Scope.money, "shop_id",
        sent="shop_id",
    ),
    _of(
        identity.SeatGranted, Scope.staff, "account_id",
        sent="shop_id account_id scopes",
    ),
    _of(
        identity.SeatRevoked, Scope.staff, "account_id",
        sent="shop_id account_id",
    ),
)  # fmt: skip

CATALOGUE = {one.tag: one for one in TYPES}
"""Every type that an endpoint may hear, by its tag."""


def scope_of(tag: str) -> Scope:
    """The right that seeing a message of this type takes."""
    return CATALOGUE[tag].scope if tag in CATALOGUE else Scope.staff


def schema_of(one: EventType) -> dict[str, Any]:
    """The JSON Schema of a whole message of this type."""
    (described,), named = msgspec.json.schema_components([one.kind], ref_template="#/$defs/{name}")
    own = named.pop(described["$ref"].rpartition("/")[2])
    data = {
        "type": "object",
        "properties": {name: own["properties"][name] for name in one.sent},
        "required": list(one.sent),
    }
    return _message_schema(one.tag, one.text, data, named)


def ping_schema() -> dict[str, Any]:
    """The JSON Schema of a test message."""
    data = {
        "type": "object",
        "properties": {"endpoint_id": {"type": "string", "format": "uuid"}},
        "required": ["endpoint_id"],
    }
    return _message_schema(PING, PING_ABOUT, data, {})


def example_of(one: EventType) -> dict[str, Any]:
    """A message of this type, with plausible values."""
    data = {name: _sample(name, kind) for name, kind in _types(one.kind).items() if name in one.sent}
    data |= {name: value for name, value in SAMPLES_OF.get(one.tag, {}).items() if name in one.sent}
    return {"type": one.tag, "timestamp": SAMPLE_AT, "data": {name: data[name] for name in one.sent}}


def ping_example() -> dict[str, Any]:
    """A test message."""
    return {"type": PING, "timestamp": SAMPLE_AT, "data": {"endpoint_id": _sample("endpoint_id", msgspec.inspect.UUIDType())}}


def _message_schema(tag: str, text: str, data: dict[str, Any], named: dict[str, Any]) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": tag,
        "description": text,
        "type": "object",
        "properties": {
            "type": {"const": tag},
            "timestamp": {"type": "string", "format": "date-time", "description": "When it happened."},
            "data": data,
        },
        "required": ["type", "timestamp", "data"],
        **({"$defs": named} if named else {}),
    }


SAMPLE_AT = "2026-11-20T12:34:56.789012Z"
SAMPLES: dict[str, Any] = {
    "currency": "CNY", "title": "大连海参 500 g", "quantity": 1, "unit_price_amount": 9900, "total_amount": 9900,
    "amount": 9900, "source": "private", "placement": "follow-page", "reason": "quality", "state": "listed", "version": 3,
    "available": 42, "carrier": "sf", "number": "SF1234567890123", "whole": True, "by": "buyer", "promised_h": 48,
    "restored": False, "kind": "return_refund", "act": "grant", "party": "shop", "state_before": "asked", "verdict": "buyer",
    "overdue": False, "refunded_amount": 9900, "goods": 5, "service": 5, "shipping": 4, "has_pictures": True,
    "order_count": 128, "scopes": ["catalog", "orders"], "net_amount": 1_180_233,
    "line_no": 1, "owed_amount": 0, "missing_amount": 50_000,
}  # fmt: skip
SAMPLES_OF: dict[str, dict[str, Any]] = {
    "order.cancelled": {"reason": "payment-timeout"},
    "order.reversed": {"reason": "fraudulent"},
    "case.moved": {"state": "granted"},
    "case.closed": {"state": "refunded"},
    "catalog.batch_recalled": {"reason": "The cold chain was broken on the way."},
    "payout.sent": {"amount": 1_180_233},
    "payout.paid": {"amount": 1_180_233},
    "payout.returned": {"amount": 1_180_233, "reason": "The account is closed."},
    "trust.guarantee_paid": {"kind": "return_freight", "amount": 800},
}


def _types(kind: type) -> dict[str, msgspec.inspect.Type]:
    described = msgspec.inspect.type_info(kind)
    assert isinstance(described, msgspec.inspect.StructType)
    return {field.name: field.type for field in described.fields}


def _sample(name: str, kind: msgspec.inspect.Type) -> Any:
    if name in SAMPLES:
        return SAMPLES[name]
    if isinstance(kind, msgspec.inspect.UnionType):
        return _sample(name, next(one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType)))
    if isinstance(kind, msgspec.inspect.UUIDType):
        return str(UUID(int=(0x019A9F3C5A107000 << 64) | (1 << 63) | sum(name.encode()) % 4096))
    if isinstance(kind, msgspec.inspect.DateTimeType):
        return SAMPLE_AT
    if isinstance(kind, msgspec.inspect.StructType):
        return {field.name: _sample(field.name, field.type) for field in kind.fields}
    if isinstance(kind, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
        return [_sample(name, kind.item_type)]
    raise AssertionError(f"a sample for {name} is missing in webhooks.catalogue")


def write_document() -> str:
    """`docs/webhook-events.md`, from the catalogue above."""
    lines = [
        "# What webhooks tell",
        "",
        "Written by `laotie webhooks events --document docs/webhook-events.md`. How they are sent and checked:",
        "[webhooks.md](webhooks.md).",
        "Fields may be added; none is renamed or removed. Sums are whole minor units of `currency`, times UTC.",
        "Choosing a type takes its scope.",
        "",
        "| type | scope | when |",
        "| --- | --- | --- |",
        *(f"| [`{one.tag}`](#{one.tag.replace('.', '')}) | `{one.scope}` | {one.text} |" for one in TYPES),
        f"| [`{PING}`](#{PING.replace('.', '')}) | | {PING_ABOUT} |",
    ]
    for tag, text, example in (
        *((one.tag, one.text, example_of(one)) for one in TYPES),
        (PING, PING_ABOUT, ping_example()),
    ):
        sample = msgspec.json.format(msgspec.json.encode(example), indent=2).decode()
        lines += ["", f"## {tag}", "", text, "", "```json", sample, "```"]
    return "\n".join(lines) + "\n"


def encode_message(tag: str, at: datetime, data: dict[str, Any]) -> str:
    """The body, as it is kept, signed and sent."""
    return msgspec.json.encode({"type": tag, "timestamp": at, "data": data}).decode()
