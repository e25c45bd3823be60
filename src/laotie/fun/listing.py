"""Reads: activities as everybody sees them, one's own part in them, and the proof of a draw.

What is secret stays out of every view until it is revealed: the seed, a quiz's answer and its counts.
"""

from collections import defaultdict
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from laotie import identity, live
from laotie.base.db import Tx
from laotie.base.ids import AccountId, ShowId, ViewerId
from laotie.base.money import Money
from laotie.base.refusals import NotFound
from laotie.fun import draw, rows
from laotie.fun.bargains import mask
from laotie.fun.deadlines import list_entries
from laotie.fun.model import (
    GRANT_S,
    LIKES_PER_VIEWER_MAX,
    ORDERS_PER_VIEWER_MAX,
    POINTS_PER_ORDER,
    WINNERS_SHOWN_MAX,
    Activity,
    ActivityId,
    Audience,
    BargainOffer,
    DrawSealed,
    Duel,
    For,
    Held,
    Kind,
    Line,
    Mine,
    Option,
    Packet,
    PrizeView,
    Side,
    Split,
    State,
    Streamer,
    Winner,
)

PAGE_SIZE_MAX = 100
RUNNING_SHOWN_MAX = 20
SETTLED_SHOWN_S = 60
EXPORTED_MAX = 10_000


class _Won(NamedTuple):
    no: int
    viewer_id: ViewerId
    prize: int | None
    amount: int | None


class _Score(NamedTuple):
    show_id: ShowId
    likes: int
    orders: int


async def list_of_show(
    tx: Tx, show_id: ShowId, *, with_planned: bool, after: UUID | None = None, limit: int = PAGE_SIZE_MAX
) -> list[Activity]:
    """A show's activities, the latest first; what is only planned is for the show's own people."""
    found = await tx.all(
        UUID,
        """
        SELECT id FROM fun.activity
        WHERE (show_id = %(show_id)s OR rival_show_id = %(show_id)s)
          AND (%(with_planned)s OR opens_at IS NOT NULL)
          AND (%(after)s::uuid IS NULL OR (created_at, id) < (SELECT created_at, id FROM fun.activity WHERE id = %(after)s))
        ORDER BY created_at DESC, id DESC LIMIT %(limit)s
        """,
        show_id=show_id,
        with_planned=with_planned,
        after=after,
        limit=min(limit, PAGE_SIZE_MAX),
    )
    return await find_activities(tx, [ActivityId(one) for one in found])


async def list_running(tx: Tx, show_id: ShowId) -> list[Activity]:
    """What somebody who comes in now should see: running, or settled a moment ago."""
    found = await tx.all(
        UUID,
        """
        SELECT id FROM fun.activity
        WHERE (show_id = %(show_id)s OR rival_show_id = %(show_id)s) AND opens_at IS NOT NULL
          AND (state IN ('open', 'closed') OR settled_at > %(since)s)
        ORDER BY opens_at, id LIMIT %(limit)s
        """,
        show_id=show_id,
        since=tx.now - timedelta(seconds=SETTLED_SHOWN_S),
        limit=RUNNING_SHOWN_MAX,
    )
    return await find_activities(tx, [ActivityId(one) for one in found])


async def get_activity(tx: Tx, activity_id: ActivityId) -> Activity:
    """One activity, or `NotFound`."""
    found = await find_activities(tx, [activity_id])
    if not found:
        raise NotFound()
    return found[0]


async def find_activities(tx: Tx, activity_ids: list[ActivityId]) -> list[Activity]:
    """Those that exist, in the order asked, in a handful of queries."""
    held = await rows.find_many(tx, activity_ids)
    won = await _find_won(tx, held)
    scores = await _find_scores(tx, held)
    hosts = {one.show_id: one.host_id for one in held} | {
        one.rival_show_id: one.rival_host_id for one in held if one.rival_show_id and one.rival_host_id
    }
    people = {AccountId(one.viewer_id) for winners in won.values() for one in winners}
    people |= {hosts[one.show_id] for sides in scores.values() for one in sides}
    people |= {one.rival_host_id for one in held if one.rival_host_id is not None} | {
        one.host_id for one in held if one.kind is Kind.pk
    }
    profiles = await live.find_people(tx, sorted(people))
    return [
        _view(one, won.get(one.id, []), _duel(one, scores.get(one.id, []), profiles), profiles) for one in held
    ]


async def find_mine(tx: Tx, viewer_id: ViewerId, activity_ids: list[ActivityId]) -> dict[ActivityId, Mine]:
    """The viewer's own part in each; where there is none, it is left out."""
    found = await tx.tuples(
        """
        SELECT entry.activity_id, entry.no, entry.head, entry.choice, entry.prize, entry.amount, activity.currency,
               activity.kind, entry.entered_at, activity.plan
        FROM fun.entry JOIN fun.activity ON activity.id = entry.activity_id
        WHERE entry.viewer_id = %(viewer_id)s AND entry.activity_id = ANY(%(ids)s::uuid[])
        """,
        viewer_id=viewer_id,
        ids=activity_ids,
    )
    return {
        activity_id: Mine(
            no=no,
            head=head.hex(),
            choice=int(choice) if choice is not None and kind != Kind.bargain else None,
            bargain_id=UUID(choice) if choice is not None and kind == Kind.bargain else None,
            prize=plan["prizes"][prize]["title"] if prize is not None else None,
            amount=Money(amount, currency) if amount is not None else None,
            won=prize is not None or (amount is not None and kind == Kind.red_packet),
            at=at,
        )
        for activity_id, no, head, choice, prize, amount, currency, kind, at, plan in found
    }


async def get_proof(tx: Tx, activity_id: ActivityId) -> draw.Proof:
    """All that is needed to repeat the draw; `DrawSealed` until the seed is public."""
    found = await rows.find_many(tx, [activity_id])
    if not found or found[0].kind is Kind.pk:
        raise NotFound()
    held = found[0]
    if not held.is_revealed:
        if held.state is State.cancelled:
            raise NotFound()
        raise DrawSealed(state=held.state, closes_at=held.closes_at)
    assert held.seed is not None and held.rules is not None and held.commitment is not None and held.head is not None
    entries = [entry for _, entry in await list_entries(tx, held)]
    awarded = await tx.tuples(
        """
        SELECT no, prize, coalesce(amount, 0) FROM fun.entry
        WHERE activity_id = %(id)s AND (prize IS NOT NULL OR amount IS NOT NULL) ORDER BY no
        """,
        id=held.id,
    )
    return draw.Proof(
        format=draw.FORMAT,
        title=held.title,
        rules=held.rules,
        secret=held.secret,
        commitment=held.commitment.hex(),
        seed=held.seed.hex(),
        entries=entries,
        entries_hash=held.head.hex(),
        outcome=[
            draw.Award(no, entries[no - 1].entrant, prize if prize is not None else -1, amount)
            for no, prize, amount in awarded
        ],
    )


class Export(msgspec.Struct, frozen=True):
    """What this room holds about a person: what they took part in, and what they got."""

    entries: list[Mine]


async def export(tx: Tx, account_id: AccountId) -> Export:
    """What this room holds about a person (for their export)."""
    ids = await tx.all(
        UUID,
        "SELECT activity_id FROM fun.entry WHERE viewer_id = %(id)s ORDER BY entered_at DESC LIMIT %(limit)s",
        id=account_id,
        limit=EXPORTED_MAX,
    )
    mine = await find_mine(tx, ViewerId(account_id), [ActivityId(one) for one in ids])
    return Export(list(mine.values()))


identity.add_to_export("fun", export)


async def _find_won(tx: Tx, held: list[Held]) -> dict[ActivityId, list[_Won]]:
    wanted = [one.id for one in held if one.is_revealed and one.kind in (Kind.red_packet, Kind.lottery, Kind.quiz)]
    if not wanted:
        return {}
    found = await tx.tuples(
        """
        SELECT asked.id, won.no, won.viewer_id, won.prize, won.amount FROM unnest(%(ids)s::uuid[]) AS asked (id)
        CROSS JOIN LATERAL (
            SELECT no, viewer_id, prize, amount FROM fun.entry
            WHERE activity_id = asked.id AND (prize IS NOT NULL OR amount IS NOT NULL)
            ORDER BY prize NULLS LAST, amount DESC NULLS LAST, no LIMIT %(limit)s
        ) AS won
        """,
        ids=wanted,
        limit=WINNERS_SHOWN_MAX,
    )
    won: dict[ActivityId, list[_Won]] = defaultdict(list)
    for activity_id, *rest in found:
        won[activity_id].append(_Won(*rest))
    return won


async def _find_scores(tx: Tx, held: list[Held]) -> dict[ActivityId, list[_Score]]:
    duels = [one.id for one in held if one.kind is Kind.pk]
    scores: dict[ActivityId, list[_Score]] = defaultdict(list)
    if duels:
        for activity_id, *rest in await tx.tuples(
            "SELECT activity_id, show_id, likes, orders FROM fun.pk_side WHERE activity_id = ANY(%(ids)s)", ids=duels
        ):
            scores[activity_id].append(_Score(*rest))
    return scores


def _duel(held: Held, scores: list[_Score], people: dict[AccountId, live.Person]) -> Duel | None:
    if held.kind is not Kind.pk:
        return None
    by_show = {score.show_id: score for score in scores}
    sides = []
    for show_id, host_id in ((held.show_id, held.host_id), (held.rival_show_id, held.rival_host_id)):
        assert show_id is not None and host_id is not None
        score = by_show.get(show_id, _Score(show_id, 0, 0))
        person = people[host_id]
        sides.append(
            Side(
                show_id=show_id,
                streamer=Streamer(person.id, person.name, person.avatar),
                score=score.likes + POINTS_PER_ORDER * score.orders,
                likes=score.likes,
                orders=score.orders,
            )
        )
    one, other = sides
    winner = None
    if held.state is State.settled and one.score != other.score:
        winner = one.show_id if one.score > other.score else other.show_id
    return Duel((one, other), winner)


def _view(held: Held, won: list[_Won], duel: Duel | None, people: dict[AccountId, live.Person]) -> Activity:
    plan = held.plan

    def money(amount: int) -> Money:
        return Money(amount, held.currency)

    is_over = held.state in (State.closed, State.settled, State.cancelled)
    shows_counts = held.kind is Kind.poll or held.is_revealed
    return Activity(
        id=held.id,
        kind=held.kind,
        state=held.state,
        show_id=held.show_id,
        title=held.title,
        version=held.version,
        audience=For(Audience.followers if held.followers_only else Audience.everyone, held.follow_minutes),
        duration_s=held.duration_s,
        opens_at=held.opens_at,
        closes_at=held.closes_at,
        settled_at=held.settled_at,
        entries=held.entry_count,
        rules=_rules(held),
        odds=_odds(held),
        money=money(held.amount) if held.amount else None,
        packet=Packet(split=plan.split, amount=money(held.amount), count=plan.count, left=held.left_count or 0)
        if plan.split is not None
        else None,
        prizes=[PrizeView(one.title, one.count, money(one.amount) if one.amount else None) for one in plan.prizes],
        question=plan.question,
        options=[
            Option(no, text, held.counts[no - 1] if shows_counts else None)
            for no, text in enumerate(plan.options, start=1)
        ],
        answer=plan.answer if held.is_revealed else None,
        bargain=BargainOffer(
            item_id=plan.item_id,
            sku_id=plan.sku_id,
            price=money(plan.price),
            floor=money(plan.floor),
            helpers=plan.helpers,
            pieces=plan.pieces,
            left=held.left_count or 0,
        )
        if plan.item_id is not None and plan.sku_id is not None
        else None,
        pk=duel,
        winners=[
            Winner(
                no=one.no,
                entrant=draw.alias(held.id, one.viewer_id),
                name=mask(people[AccountId(one.viewer_id)].name),
                prize=plan.prizes[one.prize].title if one.prize is not None else None,
                amount=money(one.amount) if one.amount else None,
            )
            for one in won
        ],
        commitment=held.commitment.hex() if held.commitment is not None else None,
        entries_hash=held.head.hex() if held.head is not None and is_over else None,
        seed=held.seed.hex() if held.seed is not None and held.is_revealed else None,
        proof=f"/api/draws/{held.id}/proof" if held.is_revealed else None,
    )


def _rules(held: Held) -> list[Line]:
    """What one should know before taking part, as keys of the page's texts."""
    lines = [Line("fun.rule.no_purchase", {})]
    if held.kind is not Kind.pk:
        lines.append(Line("fun.rule.one_each", {}))
    lines.append(Line("fun.rule.ends", {"seconds": held.duration_s}))
    if held.followers_only:
        lines.append(Line("fun.rule.followers", {"minutes": held.follow_minutes}))
    lines.append(Line("fun.rule.guests_too" if held.kind is Kind.poll else "fun.rule.accounts_only", {}))
    match held.kind:
        case Kind.red_packet:
            lines.append(Line("fun.rule.lucky" if held.plan.split is Split.lucky else "fun.rule.equal", {}))
        case Kind.quiz:
            lines.append(Line("fun.rule.right_answers", {}))
        case Kind.bargain:
            lines.append(Line("fun.rule.bargain", {"helpers": held.plan.helpers, "minutes": GRANT_S // 60}))
        case Kind.pk:
            lines.append(
                Line(
                    "fun.rule.pk",
                    {
                        "likes_max": LIKES_PER_VIEWER_MAX,
                        "orders_max": ORDERS_PER_VIEWER_MAX,
                        "points_per_order": POINTS_PER_ORDER,
                    },
                )
            )
        case _:
            pass
    if held.amount:
        lines.append(Line("fun.rule.rest_returns", {}))
    if held.has_prize:
        lines.append(Line("fun.rule.verifiable", {}))
    return lines


def _odds(held: Held) -> Line | None:
    """How likely it is to get something, with what is known now."""
    winners = sum(prize.count for prize in held.plan.prizes)
    match held.kind:
        case Kind.red_packet:
            return Line("fun.odds.packet", {"shares": held.plan.count, "left": held.left_count or 0})
        case Kind.lottery:
            return Line("fun.odds.lottery", {"winners": winners, "entries": held.entry_count})
        case Kind.quiz if winners:
            return Line("fun.odds.quiz", {"winners": winners, "entries": held.entry_count})
        case Kind.bargain:
            return Line("fun.odds.bargain", {"helpers": held.plan.helpers, "left": held.left_count or 0})
    return None
