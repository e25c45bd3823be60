"""The words of fun: kinds, states, what is planned, what viewers see, and what is refused. No I/O here."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, NewType
from uuid import UUID

import msgspec

from laotie.base.ids import AccountId, CartItemId, OrderId, ShopId, ShowId, SkuId, ViewerId
from laotie.base.money import Money
from laotie.base.refusals import Conflict, Forbidden, Invalid, TooFast
from laotie.fun.draw import Prize

ActivityId = NewType("ActivityId", UUID)
BargainId = NewType("BargainId", UUID)

TITLE_LENGTH_MAX = 60
OPTION_LENGTH_MAX = 60
OPTIONS_MAX = 10
PRIZES_MAX = 10
WINNERS_MAX = 500
SHARES_MAX = 10_000
HELPERS_MAX = 200
PIECES_MAX = 1_000
DURATION_S_MIN = 5
DURATION_S_MAX = 6 * 3_600
AMOUNT_MAX = 100_000_000
"""The most that one activity may hold, in minor units."""
OPEN_MAX = 5
"""Activities that one show has open at the same time."""
FUNDED_PER_DAY_MAX = 50
"""Activities with money that one streamer may start in 24 hours."""
ENTRIES_PER_DAY_MAX = 200
"""Activities with something to win that one account may take part in, in 24 hours."""
NONCE_LENGTH_MAX = 64
ENTRIES_MAX = 100_000
"""Of one activity: a proof has to be read by a browser."""
INVITED_S = 120
REVEAL_AFTER_S = 1
"""Between the entries' hash and the seed."""
GRANT_S = 600
WINNERS_SHOWN_MAX = 100
TOPUP_MAX = 5_000_000
LIKES_PER_VIEWER_MAX = 100
ORDERS_PER_VIEWER_MAX = 3
POINTS_PER_ORDER = 20


class Kind(StrEnum):
    """What is played."""

    red_packet = "red_packet"
    lottery = "lottery"
    quiz = "quiz"
    poll = "poll"
    bargain = "bargain"
    pk = "pk"


class State(StrEnum):
    """Where an activity stands; it never goes back."""

    ready = "ready"
    invited = "invited"
    """A duel that the other side has not agreed to."""
    open = "open"
    closed = "closed"
    """Nobody can enter any more; the entries' hash is public, the seed not yet."""
    settled = "settled"
    cancelled = "cancelled"


class Split(StrEnum):
    """How a red packet is divided."""

    lucky = "lucky"
    equal = "equal"


class Audience(StrEnum):
    """Who may take part. Never whoever has bought something: no purchase is needed here."""

    everyone = "everyone"
    followers = "followers"


class Funder(StrEnum):
    """Whose wallet the money comes from."""

    me = "me"
    shop = "shop"


class For(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may take part, and for how many minutes they must have followed."""

    who: Audience = Audience.everyone
    follow_minutes: Annotated[int, msgspec.Meta(ge=0, le=525_600)] = 0


class PacketDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So much money in so many shares."""

    amount: Money
    count: Annotated[int, msgspec.Meta(ge=1, le=SHARES_MAX)]
    split: Split = Split.lucky


class PrizeDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A prize for `count` people: money each, or a thing that the title names."""

    title: Annotated[str, msgspec.Meta(min_length=1, max_length=TITLE_LENGTH_MAX)]
    count: Annotated[int, msgspec.Meta(ge=1, le=WINNERS_MAX)]
    amount: Money | None = None


class BargainDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One piece of a cart item, down to `floor` with `helpers` people's help, for `pieces` buyers."""

    item_id: CartItemId
    sku_id: SkuId
    floor: Money
    helpers: Annotated[int, msgspec.Meta(ge=1, le=HELPERS_MAX)]
    pieces: Annotated[int, msgspec.Meta(ge=1, le=PIECES_MAX)]


class Draft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An activity as it is asked for, under the client's own id."""

    id: ActivityId
    kind: Kind
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=TITLE_LENGTH_MAX)]
    duration_s: Annotated[int, msgspec.Meta(ge=DURATION_S_MIN, le=DURATION_S_MAX)]
    funded_by: Funder = Funder.me
    audience: For | None = None
    packet: PacketDraft | None = None
    prizes: Annotated[tuple[PrizeDraft, ...], msgspec.Meta(max_length=PRIZES_MAX)] = ()
    question: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    options: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=OPTION_LENGTH_MAX)], ...],
        msgspec.Meta(max_length=OPTIONS_MAX),
    ] = ()
    answer: int | None = None
    bargain: BargainDraft | None = None
    rival_show_id: ShowId | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an activity's kind needs, as it is stored. Amounts in minor units of the activity's currency."""

    split: Split | None = None
    count: int = 0
    prizes: tuple[Prize, ...] = ()
    question: str | None = None
    options: tuple[str, ...] = ()
    answer: int | None = None
    item_id: CartItemId | None = None
    sku_id: SkuId | None = None
    price: int = 0
    floor: int = 0
    helpers: int = 0
    pieces: int = 0


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """An activity's row, whole."""

    id: ActivityId
    kind: Kind
    state: State
    show_id: ShowId
    shop_id: ShopId
    host_id: AccountId
    maker_id: AccountId
    rival_show_id: ShowId | None
    rival_host_id: AccountId | None
    title: str
    plan: Plan
    followers_only: bool
    follow_minutes: int
    duration_s: int
    digest: bytes
    version: int
    funder_id: UUID | None
    currency: str
    amount: int
    funded_at: datetime | None
    paid_amount: int
    returned_amount: int
    seed: bytes | None
    rules: str | None
    commitment: bytes | None
    head: bytes | None
    entry_count: int
    left_count: int | None
    counts: list[int]
    created_at: datetime
    opens_at: datetime | None
    closes_at: datetime | None
    closed_at: datetime | None
    settled_at: datetime | None

    @property
    def has_prize(self) -> bool:
        """Whether there is anything to win."""
        return self.kind in (Kind.red_packet, Kind.lottery, Kind.bargain) or bool(self.plan.prizes)

    @property
    def secret(self) -> str:
        """What is committed to and kept from everybody until the end: a quiz's answer."""
        return str(self.plan.answer) if self.kind is Kind.quiz else ""

    @property
    def is_revealed(self) -> bool:
        """Whether the seed is public."""
        return self.seed is not None and self.state in (State.settled, State.cancelled)


class Line(msgspec.Struct, frozen=True):
    """A text of the page by its key, with what it speaks of."""

    key: str
    facts: dict[str, int | str]


class Packet(msgspec.Struct, frozen=True, kw_only=True):
    """A red packet."""

    split: Split
    amount: Money
    count: int
    left: int


class PrizeView(msgspec.Struct, frozen=True):
    """A prize for `count` people."""

    title: str
    count: int
    amount: Money | None


class Option(msgspec.Struct, frozen=True):
    """One of the answers, from 1 on; how many chose it, once that may be known."""

    no: int
    text: str
    count: int | None


class BargainOffer(msgspec.Struct, frozen=True, kw_only=True):
    """What can be bargained for."""

    item_id: CartItemId
    sku_id: SkuId
    price: Money
    floor: Money
    helpers: int
    pieces: int
    left: int


class Streamer(msgspec.Struct, frozen=True):
    """One side's streamer."""

    id: AccountId
    name: str
    avatar: str | None


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a duel: `score = likes + 20 · orders`, bounded a viewer."""

    show_id: ShowId
    streamer: Streamer
    score: int
    likes: int
    orders: int


class Duel(msgspec.Struct, frozen=True):
    """Two rooms against each other; nobody has won a draw."""

    sides: tuple[Side, ...]
    winner_show_id: ShowId | None


class Winner(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who got something, by alias and the beginning of the name."""

    no: int
    entrant: str
    name: str
    prize: str | None
    amount: Money | None


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """An activity as everybody sees it, in the API and on the socket."""

    id: ActivityId
    kind: Kind
    state: State
    show_id: ShowId
    title: str
    version: int
    audience: For
    duration_s: int
    opens_at: datetime | None
    closes_at: datetime | None
    settled_at: datetime | None
    entries: int
    rules: list[Line]
    odds: Line | None
    money: Money | None
    packet: Packet | None
    prizes: list[PrizeView]
    question: str | None
    options: list[Option]
    answer: int | None
    bargain: BargainOffer | None
    pk: Duel | None
    winners: list[Winner]
    commitment: str | None
    entries_hash: str | None
    seed: str | None
    proof: str | None


class Mine(msgspec.Struct, frozen=True, kw_only=True):
    """My own part in an activity. `head` is my receipt: the chain of entries with mine as its last."""

    no: int
    head: str
    choice: int | None
    bargain_id: UUID | None
    """Whom I helped."""
    prize: str | None
    amount: Money | None
    won: bool
    at: datetime


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody wants in: a grab, an entry, a vote, an answer; or helps with a bargain, then that is the subject."""

    subject_id: UUID
    viewer_id: ViewerId
    has_account: bool
    nonce: str = ""
    choice: int | None = None
    is_help: bool = False


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """In. `amount`: what a red packet gave, or what help took off. `again`: it had been said before."""

    activity_id: ActivityId
    no: int
    head: str
    choice: int | None
    amount: Money | None
    again: bool
    bargain_id: BargainId | None = None
    price: Money | None = None


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A price of one's own for one piece."""

    id: UUID
    item_id: CartItemId
    sku_id: SkuId
    price: Money
    valid_until: datetime
    order_id: OrderId | None
    """The order that used it."""


class BargainState(StrEnum):
    """Where somebody's bargain stands."""

    open = "open"
    granted = "granted"
    over = "over"


class Bargain(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's bargain. `grant` is shown to its buyer alone; `mine_cut` is what I took off."""

    id: BargainId
    activity_id: ActivityId
    show_id: ShowId
    item_id: CartItemId
    sku_id: SkuId
    buyer: Streamer
    price: Money
    start: Money
    floor: Money
    helpers: int
    helped: int
    ends_at: datetime
    state: BargainState
    grant: Grant | None = None
    mine_cut: Money | None = None
    entry: str | None = None
    """The way into the show for who came by the bargain's address: its buyer's share."""


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A draft to start from; `key` names its text."""

    key: str
    kind: Kind
    duration_s: int
    audience: For | None = None
    packet_split: Split | None = None
    packet_count: int | None = None
    packet_amount: int | None = None
    prizes: tuple[Prize, ...] = ()
    option_count: int = 0
    helpers: int = 0
    pieces: int = 0


TEMPLATES = (
    Template(
        key="fun.template.warm_up", kind=Kind.red_packet, duration_s=120, packet_split=Split.lucky,
        packet_count=50, packet_amount=5_000,
    ),
    Template(
        key="fun.template.thank_fans", kind=Kind.red_packet, duration_s=300, packet_split=Split.equal,
        packet_count=100, packet_amount=10_000, audience=For(Audience.followers, 10),
    ),
    Template(
        key="fun.template.lottery", kind=Kind.lottery, duration_s=300,
        prizes=(Prize("1", 1, 5_000), Prize("2", 3, 1_000)),
    ),
    Template(key="fun.template.quiz", kind=Kind.quiz, duration_s=30, option_count=4, prizes=(Prize("1", 3, 500),)),
    Template(key="fun.template.poll", kind=Kind.poll, duration_s=60, option_count=2),
    Template(key="fun.template.bargain", kind=Kind.bargain, duration_s=1_800, helpers=10, pieces=20),
    Template(key="fun.template.pk", kind=Kind.pk, duration_s=300),
)  # fmt: skip


class AmountRefused(Invalid, code="amount-refused"):
    """The amount is not between one minor unit and the most that is taken."""

    amount_max: Money


class DraftRefused(Invalid, code="activity-refused"):
    """The activity cannot be held like this."""

    reason: str


class ActivityNotOpen(Conflict, code="activity-not-open"):
    """This is not possible as the activity stands."""

    state: State


class ActivityOver(Conflict, code="activity-over"):
    """The time to take part is over."""

    closed_at: datetime


class AlreadyEntered(Conflict, code="already-entered"):
    """You have taken part already, with another choice; the first one counts."""

    choice: str | None


class ActivityFull(Conflict, code="activity-full"):
    """As many people take part as can."""


class AllTaken(Conflict, code="all-taken"):
    """Nothing is left."""


class ChoiceRefused(Invalid, code="choice-refused"):
    """Choose one of the options."""

    options: int


class NonceRefused(Invalid, code="nonce-refused"):
    """The nonce has to be printable ASCII, 64 characters at most."""


class AudienceRefused(Forbidden, code="audience-refused"):
    """This is for people who have followed the streamer for some time."""

    follow_minutes: int


class TooManyEntries(TooFast, code="too-many-entries"):
    """You have taken part in as many activities as one may in a day."""

    limit: int


class TooManyActivities(Conflict, code="too-many-activities"):
    """As many activities as are allowed are open already, or were held in the last 24 hours."""

    limit: int


class SpendLimitReached(Conflict, code="spend-limit-reached"):
    """With this, more would be given away within 24 hours than the platform allows."""

    limit: Money
    spent: Money


class HasEntries(Conflict, code="activity-has-entries"):
    """People have entered: the draw will be held."""

    entries: int


class DrawSealed(Conflict, code="draw-sealed"):
    """The seed is not public yet."""

    state: State
    closes_at: datetime | None


class HelpedAlready(Conflict, code="helped-already"):
    """You have helped somebody in this activity already."""


class OwnBargain(Conflict, code="own-bargain"):
    """Others help; oneself cannot."""


class BargainOver(Conflict, code="bargain-over"):
    """The price is as low as it gets, or has been taken."""


class NotAChoice(Conflict, code="rival-refused"):
    """That show cannot be the rival: it is not on air, or it is this one."""


