"""Who gets in, and what they get: pure, in the order of arrival, so that a batch answers as its asks one by one would.

An ask that is refused changes nothing for those behind it.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from laotie.base.ids import AccountId, ViewerId
from laotie.base.money import Money
from laotie.base.refusals import NotFound, Refusal, Unauthenticated
from laotie.fun import draw
from laotie.fun.model import (
    ENTRIES_MAX,
    ENTRIES_PER_DAY_MAX,
    NONCE_LENGTH_MAX,
    ActivityFull,
    ActivityId,
    ActivityNotOpen,
    ActivityOver,
    AllTaken,
    AlreadyEntered,
    Ask,
    AudienceRefused,
    BargainId,
    BargainOver,
    ChoiceRefused,
    Entered,
    Held,
    HelpedAlready,
    Kind,
    NonceRefused,
    OwnBargain,
    State,
    TooManyEntries,
)


class Known(NamedTuple):
    """An entry that is there."""

    no: int
    head: bytes
    choice: str | None
    amount: int | None


class OpenBargain(NamedTuple):
    """A bargain as the batch finds it."""

    id: BargainId
    activity_id: ActivityId
    buyer_id: AccountId
    helped_count: int
    cut_amount: int
    is_granted: bool


class Facts(NamedTuple):
    """What the judgement rests on, all read while the activities are held; it is changed as asks are taken."""

    activities: dict[ActivityId, Held]
    bargains: dict[BargainId, OpenBargain]
    known: dict[tuple[ActivityId, ViewerId], Known]
    follows: dict[tuple[ViewerId, AccountId], datetime]
    today: dict[ViewerId, int]
    now: datetime


class Taken(NamedTuple):
    """An accepted ask, ready to be written."""

    activity_id: ActivityId
    viewer_id: ViewerId
    no: int
    nonce: str
    choice: str | None
    amount: int | None
    head: bytes
    at: datetime


class Running(NamedTuple):
    """Where an activity stands after the asks so far."""

    head: bytes
    entries: int
    left: int | None
    counts: list[int]


class Outcome(NamedTuple):
    """Answers in the order of the asks, and what is to be written."""

    answers: list[Entered | Refusal]
    taken: list[Taken]
    running: dict[ActivityId, Running]
    bargains: dict[BargainId, OpenBargain]


def decide(asks: list[Ask], facts: Facts) -> Outcome:
    """Judge the asks in order; each sees what those before it left."""
    outcome = Outcome([], [], {}, {})
    for ask in asks:
        bargain = facts.bargains.get(BargainId(ask.subject_id)) if ask.is_help else None
        held = facts.activities.get(bargain.activity_id if bargain is not None else ActivityId(ask.subject_id))
        if held is None or (held.kind is Kind.bargain) != (bargain is not None) or held.kind is Kind.pk:
            outcome.answers.append(NotFound())
            continue
        known = facts.known.get((held.id, ask.viewer_id))
        answer = _answer_again(ask, held, known) if known is not None else _judge(ask, held, bargain, facts)
        if answer is None:
            answer = _take(ask, held, bargain, facts, outcome)
        outcome.answers.append(answer)
    return outcome


def _answer_again(ask: Ask, held: Held, known: Known) -> Entered | Refusal:
    """Who is in hears again what they heard first."""
    if held.kind is Kind.bargain:
        if known.choice != str(ask.subject_id):
            return HelpedAlready()
    elif known.choice != _choice_of(ask, held):
        return AlreadyEntered(choice=known.choice)
    return _entered(held, known, again=True)


def _judge(ask: Ask, held: Held, bargain: OpenBargain | None, facts: Facts) -> Refusal | None:
    if held.state is not State.open:
        return ActivityOver(closed_at=held.closed_at) if held.closed_at is not None else _not_open(held)
    assert held.closes_at is not None and held.opens_at is not None
    if facts.now >= held.closes_at:
        return ActivityOver(closed_at=held.closes_at)
    if not ask.has_account and held.kind is not Kind.poll:
        return Unauthenticated()
    options = len(held.plan.options)
    if options and (ask.choice is None or not 1 <= ask.choice <= options):
        return ChoiceRefused(options=options)
    if len(ask.nonce) > NONCE_LENGTH_MAX or not (ask.nonce.isascii() and (ask.nonce.isprintable() or not ask.nonce)):
        return NonceRefused()
    if held.followers_only:
        since = facts.follows.get((ask.viewer_id, held.host_id))
        if since is None or since > facts.now - timedelta(minutes=held.follow_minutes):
            return AudienceRefused(follow_minutes=held.follow_minutes)
    if bargain is not None:
        if bargain.buyer_id == ask.viewer_id:
            return OwnBargain()
        if bargain.is_granted or bargain.helped_count >= held.plan.helpers:
            return BargainOver()
    if held.has_prize and facts.today.get(ask.viewer_id, 0) >= ENTRIES_PER_DAY_MAX:
        return TooManyEntries(retry_after_s=3_600, limit=ENTRIES_PER_DAY_MAX)
    return None


def _not_open(held: Held) -> Refusal:
    return ActivityNotOpen(state=held.state)


def _take(ask: Ask, held: Held, bargain: OpenBargain | None, facts: Facts, outcome: Outcome) -> Entered | Refusal:
    running = outcome.running.get(held.id)
    if running is None:
        assert held.head is not None
        running = Running(held.head, held.entry_count, held.left_count, list(held.counts))
    if held.kind is Kind.red_packet and not running.left:
        return AllTaken()
    if running.entries >= ENTRIES_MAX:
        return ActivityFull()
    no = running.entries + 1
    choice = str(bargain.id) if bargain is not None else _choice_of(ask, held)
    at = max(facts.now, held.opens_at or facts.now)
    entry = draw.Entry(
        no=no,
        entrant=draw.alias(held.id, ask.viewer_id),
        at_ms=draw.ms_of(at),
        nonce=ask.nonce,
        choice=choice or "",
    )
    head = draw.next_link(running.head, entry)
    amount = _amount_of(held, no, bargain)
    left = running.left
    if held.kind is Kind.red_packet:
        assert left is not None
        left -= 1
    if held.plan.options:
        assert ask.choice is not None
        running.counts[ask.choice - 1] += 1
    outcome.running[held.id] = Running(head, no, left, running.counts)
    if bargain is not None:
        assert amount is not None
        bargain = bargain._replace(helped_count=bargain.helped_count + 1, cut_amount=bargain.cut_amount + amount)
        facts.bargains[bargain.id] = outcome.bargains[bargain.id] = bargain
    known = facts.known[held.id, ask.viewer_id] = Known(no, head, choice, amount)
    if held.has_prize:
        facts.today[ask.viewer_id] = facts.today.get(ask.viewer_id, 0) + 1
    outcome.taken.append(Taken(held.id, ask.viewer_id, no, ask.nonce, choice, amount, head, at))
    return _entered(held, known, again=False, bargain=bargain)


def _amount_of(held: Held, no: int, bargain: OpenBargain | None) -> int | None:
    """What this place in the line gets at once."""
    if held.kind not in (Kind.red_packet, Kind.bargain):
        return None
    assert held.seed is not None and held.rules is not None
    rules = draw.read_rules(held.rules)
    if bargain is not None:
        return draw.bargain_cuts(held.seed, rules, str(bargain.id))[bargain.helped_count]
    return draw.packet_shares(held.seed, rules)[no - 1]


def _choice_of(ask: Ask, held: Held) -> str | None:
    return str(ask.choice) if held.plan.options and ask.choice is not None else None


def _entered(held: Held, known: Known, *, again: bool, bargain: OpenBargain | None = None) -> Entered:
    amount = Money(known.amount, held.currency) if known.amount is not None else None
    is_help = held.kind is Kind.bargain
    return Entered(
        activity_id=held.id,
        no=known.no,
        head=known.head.hex(),
        choice=int(known.choice) if known.choice is not None and not is_help else None,
        amount=amount,
        again=again,
        bargain_id=bargain.id if bargain is not None else None,
        price=Money(held.plan.price - bargain.cut_amount, held.currency) if bargain is not None else None,
    )
