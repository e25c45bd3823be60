"""The frames: everything that travels on a room's socket, in both directions, as plain tagged types.

Upstream frames are strict: an unknown field, a wrong type, a string too long is refused. Downstream frames may gain
fields. `frames.json` at the root of the repository is the JSON Schema of both, written from here; `docs/protocol.md`
tells the story.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from laotie import fun
from laotie.base.ids import CartItemId, OrderId, SkuId, ViewerId
from laotie.base.money import Money
from laotie.base.refusals import Refusal
from laotie.live import CartItem, ChatRules, Playback, Right, Show

TICKET_LENGTH_MAX = 4096
CHAT_TEXT_LENGTH_MAX = 2000
"""What is read at all; what is accepted after cleaning is `Limits.chat_length_max`."""
LINES_MAX = 50
COUPONS_MAX = 20
LIKES_MAX = 50
VERSION_MAX = 2**53 - 1
"""JavaScript's largest whole number."""


class Up(msgspec.Struct, frozen=True, tag_field="t", forbid_unknown_fields=True):
    """What a client sends."""


class Resume(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a returning client stands."""

    v: Annotated[int, msgspec.Meta(ge=0, le=VERSION_MAX)]


class Hello(Up, frozen=True, tag="hello"):
    """The first frame of a connection: who is here, for which show, and what they have seen already."""

    ticket: Annotated[str, msgspec.Meta(min_length=1, max_length=TICKET_LENGTH_MAX)]
    resume: Resume | None = None


class BuyLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing wanted at the price shown (minor units of the shop's currency)."""

    sku: SkuId
    qty: Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
    price: Annotated[int, msgspec.Meta(ge=0, le=10**15)]
    item: CartItemId | None = None
    grant: UUID | None = None
    """A price of one's own (a bargain's), for one piece."""


class Buy(Up, frozen=True, tag="buy"):
    """A purchase. `id` is the client's own and makes repeating safe."""

    id: UUID
    lines: Annotated[tuple[BuyLine, ...], msgspec.Meta(max_length=LINES_MAX)]
    coupons: Annotated[tuple[UUID, ...], msgspec.Meta(max_length=COUPONS_MAX)] = ()
    """Claims of coupons to redeem: all of them, or nothing is bought."""
    total: Annotated[int, msgspec.Meta(ge=0, le=10**15)] | None = None
    """What the buyer saw as the total without shipping; at another one nothing is bought."""


class Chat(Up, frozen=True, tag="chat"):
    """Something to say to the room."""

    id: UUID
    text: Annotated[str, msgspec.Meta(max_length=CHAT_TEXT_LENGTH_MAX)]


class Like(Up, frozen=True, tag="like"):
    """Taps on the heart since the last such frame."""

    n: Annotated[int, msgspec.Meta(ge=1, le=LIKES_MAX)]


class Beat(Up, frozen=True, tag="beat"):
    """Sent every `beat_s` seconds: is the picture visible, and which version has been applied."""

    visible: bool
    v: Annotated[int, msgspec.Meta(ge=0, le=VERSION_MAX)]


class Resync(Up, frozen=True, tag="resync"):
    """Frames are missing: send a fresh welcome."""


class Click(Up, frozen=True, tag="click"):
    """An item of the cart was looked at."""

    item: CartItemId


class Part(Up, frozen=True, kw_only=True):
    """Taking part in the activity `id`; `nonce` (of the client's own) is mixed into the draw."""

    id: UUID
    nonce: Annotated[str, msgspec.Meta(max_length=64)] = ""


class Grab(Part, frozen=True, kw_only=True, tag="grab"):
    """A share of a red packet."""


class Enter(Part, frozen=True, kw_only=True, tag="enter"):
    """Into a lottery."""


class Vote(Part, frozen=True, kw_only=True, tag="vote"):
    """For an option of a poll, from 1 on."""

    choice: Annotated[int, msgspec.Meta(ge=0, le=1_000)]


class Answer(Part, frozen=True, kw_only=True, tag="answer"):
    """To a quiz, from 1 on."""

    choice: Annotated[int, msgspec.Meta(ge=0, le=1_000)]


class Help(Part, frozen=True, kw_only=True, tag="help"):
    """With the bargain `id`."""


Upstream = Hello | Buy | Chat | Like | Beat | Resync | Click | Grab | Enter | Vote | Answer | Help

read = msgspec.json.Decoder(Upstream).decode


class Down(msgspec.Struct, frozen=True, kw_only=True, tag_field="t"):
    """What the server sends."""


class You(msgspec.Struct, frozen=True, kw_only=True):
    """The viewer as the room knows them. `staff`: a seat on this shop's orders."""

    viewer_id: ViewerId
    name: str
    guest: bool
    staff: bool
    follows: bool
    muted: bool = False
    muted_until: datetime | None = None
    mute_reason: str = ""
    followed_at: datetime | None = None
    rights: list[Right] = []


class Speaker(msgspec.Struct, frozen=True, kw_only=True):
    """Who said something."""

    id: ViewerId
    name: str
    level: int = 0


class Said(Down, frozen=True, kw_only=True, tag="chat"):
    """Someone said something. May be sampled when very many speak at once."""

    id: UUID
    from_: Speaker = msgspec.field(name="from")
    text: str
    at: datetime


class Unsay(Down, frozen=True, kw_only=True, tag="unsay"):
    """Something that was said is taken back; it goes from every screen."""

    id: UUID


class Rules(Down, frozen=True, kw_only=True, tag="rules"):
    """What the room asks of who wants to speak: seconds between two texts, to follow, for how many minutes already."""

    slow_s: int
    fans_only: bool
    followed_min: int
    review_all: bool


class Joined(Down, frozen=True, kw_only=True, tag="join"):
    """`n` people came in, the last of them `name`."""

    name: str
    n: int


class Bought(Down, frozen=True, kw_only=True, tag="bought"):
    """`n` purchases since the last such notice; the last was of `title`, by someone whose name begins so."""

    name: str
    title: str
    n: int


class Counts(Down, frozen=True, kw_only=True, tag="counts"):
    """People watching now, and hearts so far."""

    viewers: int
    likes: int


class Stock(Down, frozen=True, kw_only=True, tag="stock"):
    """How many pieces are left. An absolute value: the last one counts."""

    sku: SkuId
    available: int


class Item(CartItem, frozen=True, kw_only=True, tag_field="t", tag="item"):
    """An item of the cart, new or changed, as a whole."""


class Gone(Down, frozen=True, kw_only=True, tag="gone"):
    """An item has left the cart."""

    item: CartItemId


class Pin(Down, frozen=True, kw_only=True, tag="pin"):
    """The item being explained now, or none."""

    item: CartItemId | None
    at: datetime


class ShowState(Down, frozen=True, kw_only=True, tag="show"):
    """The show has started, ended, is called something else, or its picture came or went."""

    state: str
    title: str
    cover: str | None
    playback: Playback | None


class Happening(fun.Activity, frozen=True, kw_only=True, tag_field="t", tag="activity"):
    """An activity appeared, changed or ended, as a whole."""


RoomFrame = Said | Unsay | Rules | Joined | Bought | Counts | Stock | Item | Gone | Pin | ShowState | Happening


class Welcome(Down, frozen=True, kw_only=True, tag="welcome"):
    """The room as a whole at version `v`. Whatever the client held before is void."""

    v: int
    you: You
    beat_s: int
    show: Show
    cart: list[CartItem]
    activities: list[fun.Activity]
    chat: list[Said]
    counts: Counts
    rules: Rules


class Batch(Down, frozen=True, kw_only=True, tag="batch"):
    """The room's frames that lead from one version to another."""

    from_: int = msgspec.field(name="from")
    v: int
    f: list[RoomFrame]


class OrderBrief(msgspec.Struct, frozen=True, kw_only=True):
    """An order as its buyer hears of it first."""

    id: OrderId
    state: str
    total: Money
    placed_at: datetime
    pay_by: datetime


class Order(Down, frozen=True, kw_only=True, tag="order"):
    """A purchase was accepted and is durable. `re` is the id of the `buy`."""

    re: UUID
    order: OrderBrief


class Refused(Down, frozen=True, kw_only=True, tag="refused"):
    """Something was refused. `re` is the id of the frame it answers, where it had one; facts follow by name."""

    re: UUID | None
    code: str
    title: str


class Paid(Down, frozen=True, kw_only=True, tag="paid"):
    """Your order is paid."""

    order: OrderId


class OrderMoved(Down, frozen=True, kw_only=True, tag="order_state"):
    """Your order has another state now."""

    order: OrderId
    state: str


class Sent(Down, frozen=True, kw_only=True, tag="sent"):
    """Your chat was accepted."""

    re: UUID


class Held(Down, frozen=True, kw_only=True, tag="held"):
    """Your chat waits for a moderator; only you see it until then."""

    re: UUID


class Reviewed(Down, frozen=True, kw_only=True, tag="reviewed"):
    """A moderator has looked at your chat: the room sees it now, or nobody does."""

    re: UUID
    approved: bool


class Standing(Down, frozen=True, kw_only=True, tag="standing"):
    """What you may do in this room has changed."""

    you: You


class WaitingText(msgspec.Struct, frozen=True, kw_only=True):
    """A text that waits for review, and why."""

    id: UUID
    from_: Speaker = msgspec.field(name="from")
    text: str
    why: str
    at: datetime


class Waiting(Down, frozen=True, kw_only=True, tag="waiting"):
    """For moderators: a text waits for review."""

    saying: WaitingText


class Decided(Down, frozen=True, kw_only=True, tag="decided"):
    """For moderators: a text no longer waits."""

    id: UUID
    approved: bool


class SaleLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a sale."""

    sku: SkuId
    item: CartItemId | None
    title: str
    qty: int
    price: int


class SaleBrief(msgspec.Struct, frozen=True, kw_only=True):
    """A sale as the shop's staff hear of it first."""

    id: OrderId
    buyer: str
    total: Money
    lines: tuple[SaleLine, ...]
    placed_at: datetime


class Pulse(Down, frozen=True, kw_only=True, tag="beat"):
    """Your beat was heard: the line lives, however quiet the room is."""


class Sale(Down, frozen=True, kw_only=True, tag="sale"):
    """For staff: an order was placed in this show."""

    order: SaleBrief


class SalesMore(Down, frozen=True, kw_only=True, tag="sales_more"):
    """For staff: `n` more orders were placed than could be shown one by one; ask the API."""

    n: int


class SalePaid(Down, frozen=True, kw_only=True, tag="sale_paid"):
    """For staff: an order of this show is paid."""

    order: OrderId


class IngestRefused(Down, frozen=True, kw_only=True, tag="ingest_refused"):
    """For staff: somebody who wanted to send this room's picture was refused; the key is masked."""

    door: str
    code: str
    title: str
    key: str
    address: str
    at: datetime


class Notice(Down, frozen=True, kw_only=True, tag="notice"):
    """You were told something: `kind` names the words, `facts` fill them in, a tap leads to `link`."""

    id: UUID
    kind: str
    facts: dict[str, Any]
    link: str
    at: datetime


class Entered(Down, frozen=True, kw_only=True, tag="entered"):
    """You are in the activity `re`, as number `no`. `head` is your receipt: the chain of entries up to you.

    `amount` is what a red packet gave; `again`: you were in already.
    """

    re: UUID
    no: int
    head: str
    choice: int | None
    amount: Money | None
    again: bool


class Helped(Down, frozen=True, kw_only=True, tag="helped"):
    """You took `cut` off the bargain `re`; `price` is what it is now (null when you had helped before)."""

    re: UUID
    no: int
    head: str
    cut: Money
    price: Money | None


class Won(Down, frozen=True, kw_only=True, tag="won"):
    """You won in the activity."""

    activity: UUID
    prize: str
    amount: Money | None


class Bargaining(fun.Bargain, frozen=True, kw_only=True, tag_field="t", tag="bargain"):
    """Your bargain: somebody helped."""


class Bye(Down, frozen=True, kw_only=True, tag="bye"):
    """The last frame: why the server closes."""

    code: str
    reason: str
    until: datetime | None = None


Downstream = (
    Welcome
    | Batch
    | Order
    | Refused
    | Paid
    | OrderMoved
    | Sent
    | Held
    | Reviewed
    | Standing
    | Waiting
    | Decided
    | Pulse
    | Sale
    | SalesMore
    | SalePaid
    | IngestRefused
    | Notice
    | Entered
    | Helped
    | Won
    | Bargaining
    | Bye
)

encode = msgspec.json.Encoder().encode


def rules_of(rules: ChatRules) -> Rules:
    """What everybody may know of a room's rules."""
    return Rules(
        slow_s=rules.slow_s,
        fans_only=rules.fans_only,
        followed_min=rules.followed_min,
        review_all=rules.review_all,
    )


def refuse(refusal: Refusal, re: UUID | None) -> bytes:
    """A refusal as a frame: the same facts that the web door would give."""
    return encode({"t": "refused", "re": re, "code": refusal.code, "title": refusal.title, **refusal.facts()})


def header(size: int) -> bytes:
    """The head of an unmasked WebSocket text frame (RFC 6455, 5.2)."""
    if size < 126:
        return bytes((0x81, size))
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")


def wrap(payload: bytes) -> bytes:
    """A WebSocket text frame as a server sends it, so that one copy serves every socket of a room."""
    return header(len(payload)) + payload


def batch(start: int, end: int, frames: Iterable[bytes]) -> bytes:
    """A `Batch` of frames that are encoded already, as a WebSocket frame."""
    return wrap(b'{"t":"batch","from":%d,"v":%d,"f":[%b]}' % (start, end, b",".join(frames)))


def frames_document() -> dict[str, Any]:
    """`frames.json`: the JSON Schema of both directions."""
    (up, down, room), components = msgspec.json.schema_components(
        [Upstream, Downstream, RoomFrame], ref_template="#/$defs/{name}"
    )
    components["Refused"]["additionalProperties"] = True
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Frames of a Laotie room socket",
        "description": "Written by `laotie frames` from laotie.gateway.frames; docs/protocol.md tells the story.",
        "oneOf": [{"$ref": "#/$defs/Upstream"}, {"$ref": "#/$defs/Downstream"}],
        "$defs": {"Upstream": up, "Downstream": down, "RoomFrame": room, **dict(sorted(components.items()))},
    }
