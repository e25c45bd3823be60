"""Activities: planned, started, agreed to, called off. Who may: a seat with the scope `show` in the show's shop.

Starting moves the money from wallet to escrow, draws the seed and publishes what it commits to, in one transaction.
Locks, in this order: the activity, the show's open ones (by an advisory lock), the funder's wallet.
"""

import secrets
import unicodedata
from datetime import timedelta
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from laotie import catalog, identity, ledger, live
from laotie.base.db import Tx
from laotie.base.ids import ShopId, ShowId, TransferId, new_id
from laotie.base.money import Money
from laotie.base.refusals import Forbidden, IdReused
from laotie.fun import rows
from laotie.fun.draw import Prize, commit, first_link, ms_of
from laotie.fun.model import (
    AMOUNT_MAX,
    FUNDED_PER_DAY_MAX,
    INVITED_S,
    OPEN_MAX,
    WINNERS_MAX,
    ActivityId,
    ActivityNotOpen,
    Audience,
    Draft,
    DraftRefused,
    For,
    Funder,
    HasEntries,
    Held,
    Kind,
    NotAChoice,
    Plan,
    SpendLimitReached,
    State,
    TooManyActivities,
)
from laotie.identity import Actor, Scope

DAY = timedelta(days=1)


class _Spent(msgspec.Struct, frozen=True):
    count: int
    amount: int


async def plan_activity(tx: Tx, actor: Actor, show_id: ShowId, draft: Draft) -> ActivityId:
    """Plan an activity of a show; a duel is an invitation at once. The same draft again is the same activity.

    Refuses `DraftRefused`, `IdReused`, `ShowEnded`; `Forbidden` when the shop's money is asked for without `money`.
    """
    show = await live.get_show(tx, show_id)
    await identity.require_seat(tx, actor, show.shop_id, Scope.show)
    if show.state is live.ShowState.ended:
        raise live.ShowEnded(show_id=show_id)
    digest = rows.digest_of(draft)
    currency = (await catalog.get_shop(tx, show.shop_id)).currency
    audience = draft.audience or For()
    plan, amount = await _plan_of(tx, show_id, draft, currency)
    rival = await _find_rival(tx, show, draft) if draft.kind is Kind.pk else None
    funder_id = await _find_funder(tx, actor, show.shop_id, draft.funded_by) if amount else None
    fresh = await tx.run(
        """
        INSERT INTO fun.activity (id, kind, state, show_id, shop_id, host_id, maker_id, rival_show_id, rival_host_id,
                                  title, plan, followers_only, follow_minutes, duration_s, digest, funder_id, currency,
                                  amount, left_count, counts, created_at, due_at)
        VALUES (%(id)s, %(kind)s, %(state)s, %(show_id)s, %(shop_id)s, %(host_id)s, %(maker_id)s, %(rival_show_id)s,
                %(rival_host_id)s, %(title)s, %(plan)s, %(followers_only)s, %(follow_minutes)s, %(duration_s)s,
                %(digest)s, %(funder_id)s, %(currency)s, %(amount)s, %(left)s, %(counts)s, %(now)s, %(due_at)s)
        ON CONFLICT (id) DO NOTHING
        """,
        id=draft.id,
        kind=draft.kind,
        state=State.ready if rival is None else State.invited,
        show_id=show_id,
        shop_id=show.shop_id,
        host_id=show.streamer.id,
        maker_id=actor.seat_holder_id,
        rival_show_id=None if rival is None else rival.id,
        rival_host_id=None if rival is None else rival.streamer.id,
        title=_clean(draft.title, "title"),
        plan=Jsonb(plan),
        followers_only=audience.who is Audience.followers,
        follow_minutes=audience.follow_minutes if audience.who is Audience.followers else 0,
        duration_s=draft.duration_s,
        digest=digest,
        funder_id=funder_id,
        currency=currency,
        amount=amount,
        left=plan.count or plan.pieces or None,
        counts=[0] * len(plan.options),
        now=tx.now,
        due_at=None if rival is None else tx.now + timedelta(seconds=INVITED_S),
    )
    held = await rows.hold(tx, draft.id)
    if (held.show_id, held.digest) != (show_id, digest):
        raise IdReused()
    if fresh and rival is not None:
        rows.tell(tx, held, version=held.version)
    return draft.id


async def start_activity(tx: Tx, actor: Actor, activity_id: ActivityId, *, spend_per_day_max: int) -> None:
    """Open it for entries. Starting an open one changes nothing.

    Refuses `ActivityNotOpen`, `live.ShowEnded`, `TooManyActivities`, `SpendLimitReached`, `InsufficientFunds`.
    """
    held = await rows.hold(tx, activity_id)
    await identity.require_seat(tx, actor, held.shop_id, Scope.show)
    if held.state is State.open and held.kind is not Kind.pk:
        return
    if held.state is not State.ready:
        raise ActivityNotOpen(state=held.state)
    if held.kind is Kind.bargain:
        await _require_price(tx, held)
    await _fund(tx, actor, held, spend_per_day_max=spend_per_day_max)
    await _open(tx, held)


async def agree(tx: Tx, actor: Actor, activity_id: ActivityId) -> None:
    """The rival's side agrees to a duel, which begins at once. Agreeing again changes nothing."""
    held = await rows.hold(tx, activity_id)
    if held.rival_show_id is None:
        await identity.require_seat(tx, actor, held.shop_id, Scope.show)
        raise ActivityNotOpen(state=held.state)
    rival = await live.get_show(tx, held.rival_show_id)
    await identity.require_seat(tx, actor, rival.shop_id, Scope.show)
    if held.state is State.open:
        return
    if held.state is not State.invited:
        raise ActivityNotOpen(state=held.state)
    if rival.state is not live.ShowState.live:
        raise live.ShowEnded(show_id=rival.id)
    for show_id in sorted((held.show_id, rival.id)):
        await _one_at_a_time(tx, show_id)
    await _require_room(tx, rival.id)
    await tx.run(
        "INSERT INTO fun.pk_side (activity_id, show_id) VALUES (%(id)s, %(one)s), (%(id)s, %(other)s)",
        id=held.id,
        one=held.show_id,
        other=held.rival_show_id,
    )
    await _open(tx, held)


async def cancel_activity(tx: Tx, actor: Actor, activity_id: ActivityId) -> None:
    """Call it off; money that nobody got goes back. Calling off what is called off changes nothing.

    A draw that people have entered is held: `HasEntries`. A running red packet ends with what was grabbed; of a duel
    either side may call off the invitation. Refuses `ActivityNotOpen` what is over.
    """
    held = await rows.hold(tx, activity_id)
    await _require_side(tx, actor, held)
    if held.state is State.cancelled:
        return
    if held.state not in (State.ready, State.invited, State.open):
        raise ActivityNotOpen(state=held.state)
    if held.state is State.open:
        if held.kind is Kind.pk:
            raise ActivityNotOpen(state=held.state)
        if held.entry_count and held.kind is not Kind.red_packet:
            raise HasEntries(entries=held.entry_count)
    await rows.return_rest(tx, held, paid=0)
    await rows.move(tx, held, State.cancelled)


async def _require_side(tx: Tx, actor: Actor, held: Held) -> None:
    if held.rival_show_id is not None:
        rival = await live.get_show(tx, held.rival_show_id)
        seat = await identity.find_seat(tx, actor, rival.shop_id)
        if seat is not None:
            await identity.require_seat(tx, actor, rival.shop_id, Scope.show)
            return
    await identity.require_seat(tx, actor, held.shop_id, Scope.show)


async def _open(tx: Tx, held: Held) -> None:
    show = await live.get_show(tx, held.show_id)
    if show.state is not live.ShowState.live:
        raise live.ShowEnded(show_id=held.show_id)
    await _require_room(tx, held.show_id)
    opens_at = tx.now.replace(microsecond=tx.now.microsecond // 1000 * 1000)
    closes_at = opens_at + timedelta(seconds=held.duration_s)
    seed = secrets.token_bytes(32)
    rules = msgspec.json.encode(
        rows.rules_of(held, opens_ms=ms_of(opens_at), closes_ms=ms_of(closes_at))
    ).decode()
    commitment = commit(seed, rules, held.secret)
    drawn = held.kind is not Kind.pk
    await tx.run(
        """
        UPDATE fun.activity
        SET state = 'open', version = version + 1, opens_at = %(opens_at)s, closes_at = %(closes_at)s,
            due_at = %(closes_at)s, seed = %(seed)s, rules = %(rules)s, commitment = %(commitment)s, head = %(head)s
        WHERE id = %(id)s
        """,
        id=held.id,
        opens_at=opens_at,
        closes_at=closes_at,
        seed=seed if drawn else None,
        rules=rules if drawn else None,
        commitment=commitment if drawn else None,
        head=first_link(commitment) if drawn else None,
    )
    rows.tell(tx, held, state=State.open)


async def _require_room(tx: Tx, show_id: ShowId) -> None:
    """At most so many open at once; two starts follow one another."""
    await _one_at_a_time(tx, show_id)
    open_count = await tx.one(
        int,
        """
        SELECT count(*) FROM fun.activity
        WHERE (show_id = %(id)s OR rival_show_id = %(id)s) AND state IN ('open', 'closed')
        """,
        id=show_id,
    )
    if open_count >= OPEN_MAX:
        raise TooManyActivities(limit=OPEN_MAX)


async def _fund(tx: Tx, actor: Actor, held: Held, *, spend_per_day_max: int) -> None:
    if not held.amount:
        return
    assert held.funder_id is not None
    if held.funder_id == held.shop_id:
        await identity.require_seat(tx, actor, held.shop_id, Scope.money)
    elif held.funder_id != actor.seat_holder_id:
        raise Forbidden()
    await _one_at_a_time(tx, held.host_id)
    spent = await tx.one(
        _Spent,
        """
        SELECT count(*) AS count, coalesce(sum(amount - returned_amount), 0)::bigint AS amount FROM fun.activity
        WHERE host_id = %(host_id)s AND funded_at > %(since)s AND currency = %(currency)s
        """,
        host_id=held.host_id,
        since=tx.now - DAY,
        currency=held.currency,
    )
    if spent.count >= FUNDED_PER_DAY_MAX:
        raise TooManyActivities(limit=FUNDED_PER_DAY_MAX)
    if spent.amount + held.amount > spend_per_day_max:
        raise SpendLimitReached(
            limit=Money(spend_per_day_max, held.currency), spent=Money(spent.amount, held.currency)
        )
    await ledger.spend(
        tx,
        ledger.Transfer(
            TransferId(new_id()),
            debit=rows.wallet_of(held.funder_id, held.currency),
            credit=rows.escrow_of(held.id, held.currency),
            amount=held.amount,
            reason="wallet.escrow",
            subject_id=held.id,
        ),
    )
    await tx.run("UPDATE fun.activity SET funded_at = %(now)s WHERE id = %(id)s", now=tx.now, id=held.id)


async def _one_at_a_time(tx: Tx, subject_id: UUID) -> None:
    """Starts that count the same things follow one another."""
    key = int.from_bytes(subject_id.bytes[8:], "big", signed=True) ^ 0x46554E  # not the show's gate
    await tx.run("SELECT pg_advisory_xact_lock(%(key)s)", key=key)


async def _find_funder(tx: Tx, actor: Actor, shop_id: ShopId, funder: Funder) -> UUID:
    if funder is Funder.shop:
        await identity.require_seat(tx, actor, shop_id, Scope.money)
        return shop_id
    assert actor.seat_holder_id is not None
    return actor.seat_holder_id


async def _find_rival(tx: Tx, show: live.Show, draft: Draft) -> live.Show:
    if draft.rival_show_id is None:
        raise DraftRefused(reason="rival_show_id is missing")
    rival = (await live.find_shows(tx, [draft.rival_show_id])).get(draft.rival_show_id)
    if rival is None or rival.id == show.id or rival.state is not live.ShowState.live:
        raise NotAChoice()
    return rival


async def _plan_of(tx: Tx, show_id: ShowId, draft: Draft, currency: str) -> tuple[Plan, int]:
    """The plan and the money it takes, or `DraftRefused`."""
    _require_parts(draft)
    if draft.packet is not None:
        amount = _amount(draft.packet.amount, currency)
        if amount < draft.packet.count:
            raise DraftRefused(reason="every share needs at least one minor unit")
        return Plan(split=draft.packet.split, count=draft.packet.count), amount
    if draft.bargain is not None:
        return await _plan_bargain(tx, show_id, draft, currency), 0
    prizes = tuple(
        Prize(_clean(one.title, "prize"), one.count, _amount(one.amount, currency) if one.amount is not None else 0)
        for one in draft.prizes
    )
    if sum(prize.count for prize in prizes) > WINNERS_MAX:
        raise DraftRefused(reason=f"at most {WINNERS_MAX} winners")
    total = sum(prize.count * prize.amount for prize in prizes)
    if total > AMOUNT_MAX:
        raise DraftRefused(reason="too much money")
    if draft.kind is Kind.quiz and (draft.answer is None or not 1 <= draft.answer <= len(draft.options)):
        raise DraftRefused(reason="answer is one of the options, from 1 on")
    question = _clean(draft.question, "question") if draft.question is not None else None
    options = tuple(_clean(option, "option") for option in draft.options)
    return Plan(prizes=prizes, question=question, options=options, answer=draft.answer), total


PARTS: dict[Kind, tuple[frozenset[str], frozenset[str]]] = {
    Kind.red_packet: (frozenset({"packet"}), frozenset()),
    Kind.lottery: (frozenset({"prizes"}), frozenset()),
    Kind.quiz: (frozenset({"question", "options", "answer"}), frozenset({"prizes"})),
    Kind.poll: (frozenset({"question", "options"}), frozenset()),
    Kind.bargain: (frozenset({"bargain"}), frozenset()),
    Kind.pk: (frozenset({"rival_show_id"}), frozenset()),
}
"""By kind, the parts of a draft that it needs, and those it may have."""


def _require_parts(draft: Draft) -> None:
    needed, allowed = PARTS[draft.kind]
    every = frozenset().union(*(one | other for one, other in PARTS.values()))
    present = {name for name in every if getattr(draft, name) not in (None, ())}
    if not needed <= present <= needed | allowed:
        names = sorted(needed ^ present - allowed)
        raise DraftRefused(reason=f"{draft.kind} needs {sorted(needed)}; look at {names}")
    if "options" in needed and len(draft.options) < 2:
        raise DraftRefused(reason="at least two options")


async def _plan_bargain(tx: Tx, show_id: ShowId, draft: Draft, currency: str) -> Plan:
    asked = draft.bargain
    assert asked is not None
    item = next((one for one in await live.list_cart(tx, show_id) if one.id == asked.item_id), None)
    sku = next((one for one in item.skus if one.sku_id == asked.sku_id), None) if item is not None else None
    if sku is None:
        raise DraftRefused(reason="the show's cart has no such item")
    floor = _amount(asked.floor, currency)
    if sku.price.amount - floor < asked.helpers:
        raise DraftRefused(reason="every helper has to take off at least one minor unit")
    return Plan(
        item_id=asked.item_id,
        sku_id=asked.sku_id,
        price=sku.price.amount,
        floor=floor,
        helpers=asked.helpers,
        pieces=asked.pieces,
    )


async def _require_price(tx: Tx, held: Held) -> None:
    """The price that is bargained down is the one of now."""
    cart = await live.list_cart(tx, held.show_id)
    prices = {(item.id, sku.sku_id): sku.price.amount for item in cart for sku in item.skus}
    assert held.plan.item_id is not None and held.plan.sku_id is not None
    if prices.get((held.plan.item_id, held.plan.sku_id)) != held.plan.price:
        raise DraftRefused(reason="the item's price has changed; plan it again")


def _amount(money: Money, currency: str) -> int:
    if money.currency != currency:
        raise DraftRefused(reason=f"the shop settles in {currency}")
    if not 0 < money.amount <= AMOUNT_MAX:
        raise DraftRefused(reason=f"an amount is from 1 to {AMOUNT_MAX}")
    return money.amount


def _clean(text: str, part: str) -> str:
    """One line of characters that can be shown, or `DraftRefused`."""
    cleaned = " ".join(unicodedata.normalize("NFC", text).split())
    if not cleaned or any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co") for character in cleaned):
        raise DraftRefused(reason=f"{part} is empty or cannot be shown")
    return cleaned
