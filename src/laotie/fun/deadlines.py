"""Deadlines that act by themselves: entries close, draws are held and paid, invitations lapse, money goes back.

Each act is a move of one held activity, in one transaction with its transfers, so it happens exactly once however many
workers look, and whenever one of them dies.
"""

from uuid import UUID

from laotie import ledger, messages
from laotie.base.db import Database, Tx
from laotie.base.ids import ViewerId
from laotie.base.logs import log
from laotie.base.refusals import Unavailable
from laotie.events.fun import PrizeWon
from laotie.fun import draw, rows
from laotie.fun.model import REVEAL_AFTER_S, ActivityId, Held, Kind, State

TURN_SIZE_MAX = 20
PAUSE_S = 30


async def work_deadlines(db: Database, *, size: int = TURN_SIZE_MAX) -> int:
    """Do what is due, `size` activities at most; returns how many were taken up."""
    async with db.tx() as tx:
        due = await tx.all(
            UUID,
            """
            SELECT id FROM fun.activity WHERE due_at <= %(now)s ORDER BY due_at LIMIT %(size)s FOR UPDATE SKIP LOCKED
            """,
            now=tx.now,
            size=size,
        )
        for activity_id, held in sorted((await rows.hold_many(tx, [ActivityId(one) for one in due])).items()):
            try:
                async with tx.savepoint():
                    await _act(tx, held)
            except Unavailable:
                raise
            except Exception:
                log.exception("an activity could not be moved on; it is tried again", activity_id=str(activity_id))
                await tx.run(
                    """
                    UPDATE fun.activity SET due_at = %(now)s::timestamptz + make_interval(secs => %(pause_s)s)
                    WHERE id = %(id)s
                    """,
                    id=activity_id,
                    now=tx.now,
                    pause_s=PAUSE_S,
                )
        return len(due)


async def _act(tx: Tx, held: Held) -> None:
    if held.state is State.invited:
        await rows.move(tx, held, State.cancelled)
    elif held.state is State.open and held.kind is not Kind.pk:
        await rows.move(tx, held, State.closed, due_in_s=REVEAL_AFTER_S)
    else:
        assert held.state in (State.open, State.closed)
        await _settle(tx, held)


async def _settle(tx: Tx, held: Held) -> None:
    """Hold the draw, pay the winners, give the rest back, and make the seed public: all of it or nothing."""
    paid = await _award(tx, held) if held.kind in (Kind.lottery, Kind.quiz) else 0
    await rows.return_rest(tx, held, paid=paid)
    await rows.move(tx, held, State.settled)


async def _award(tx: Tx, held: Held) -> int:
    assert held.seed is not None and held.rules is not None and held.head is not None
    entries = await list_entries(tx, held)
    rules = draw.read_rules(held.rules)
    awards = draw.decide(held.seed, rules, held.secret, [entry for _, entry in entries], held.head)
    winners = [(entries[award.no - 1][0], award) for award in awards]
    await tx.run(
        """
        UPDATE fun.entry SET prize = won.prize, amount = nullif(won.amount, 0)
        FROM unnest(%(numbers)s::integer[], %(prizes)s::smallint[], %(amounts)s::bigint[]) AS won (no, prize, amount)
        WHERE entry.activity_id = %(id)s AND entry.no = won.no
        """,
        id=held.id,
        numbers=[award.no for award in awards],
        prizes=[award.prize for award in awards],
        amounts=[award.amount for award in awards],
    )
    await ledger.transfer_many(
        tx, [rows.payout(held, viewer_id, award.amount, "prize") for viewer_id, award in winners if award.amount]
    )
    for number, prize in enumerate(rules.prizes):
        lucky = [viewer_id for viewer_id, award in winners if award.prize == number]
        facts = {"title": held.title, "prize": prize.title}
        await messages.notify_many(tx, lucky, "prize_won", facts, f"/shows/{held.show_id}", once=held.id)
    for viewer_id, award in winners:
        tx.tell(
            PrizeWon(
                activity_id=held.id,
                show_id=held.show_id,
                viewer_id=viewer_id,
                title=held.title,
                prize=rules.prizes[award.prize].title,
                amount=award.amount,
                currency=held.currency,
            )
        )
    return sum(award.amount for award in awards)


async def list_entries(tx: Tx, held: Held) -> list[tuple[ViewerId, draw.Entry]]:
    """Everybody who entered, in order, as the chain of entries has them."""
    found = await tx.tuples(
        """
        SELECT viewer_id, no, entered_at, nonce, coalesce(choice, '') FROM fun.entry
        WHERE activity_id = %(id)s ORDER BY no
        """,
        id=held.id,
    )
    return [
        (viewer_id, draw.Entry(no, draw.alias(held.id, viewer_id), draw.ms_of(at), nonce, choice))
        for viewer_id, no, at, nonce, choice in found
    ]
