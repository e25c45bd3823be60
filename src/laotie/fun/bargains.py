"""Bargains: a buyer's own, cut by others' help, and in the end a price of one's own that the till takes once."""

from datetime import timedelta
from uuid import UUID

import msgspec

from laotie import identity, live
from laotie.base.db import Tx
from laotie.base.ids import AccountId, new_id
from laotie.base.money import Money
from laotie.base.refusals import IdReused, NotFound
from laotie.fun import rows
from laotie.fun.model import (
    GRANT_S,
    ActivityId,
    ActivityNotOpen,
    ActivityOver,
    AllTaken,
    Bargain,
    BargainId,
    BargainState,
    Grant,
    Held,
    Kind,
    State,
    Streamer,
)
from laotie.identity import Actor


class _Row(msgspec.Struct, frozen=True):
    id: BargainId
    activity_id: ActivityId
    buyer_id: AccountId
    helped_count: int
    cut_amount: int
    grant_id: UUID | None


async def open_bargain(tx: Tx, actor: Actor, activity_id: ActivityId, bargain_id: BargainId) -> Bargain:
    """Begin one's own bargain; one a person and activity, the one there is is given again.

    Refuses `ActivityNotOpen`, `ActivityOver`, `IdReused`.
    """
    buyer_id = actor.signed_in()
    held = await rows.hold(tx, activity_id)
    if held.kind is not Kind.bargain:
        raise NotFound()
    _require_open(tx, held)
    inserted = await tx.run(
        """
        INSERT INTO fun.bargain (id, activity_id, buyer_id, opened_at)
        VALUES (%(id)s, %(activity_id)s, %(buyer_id)s, %(now)s) ON CONFLICT DO NOTHING
        """,
        id=bargain_id,
        activity_id=activity_id,
        buyer_id=buyer_id,
        now=tx.now,
    )
    own = await tx.maybe(
        BargainId,
        "SELECT id FROM fun.bargain WHERE activity_id = %(activity_id)s AND buyer_id = %(buyer_id)s",
        activity_id=activity_id,
        buyer_id=buyer_id,
    )
    if own is None:
        assert not inserted
        raise IdReused()
    return await get_bargain(tx, actor, own)


async def take_price(tx: Tx, actor: Actor, bargain_id: BargainId) -> Bargain:
    """Take the price as it stands: for one piece, for a while. Asking again gives the same; nobody helps after that.

    Refuses `AllTaken` when all pieces are, `ActivityOver` in the end; a stranger's bargain is `NotFound`.
    """
    buyer_id = actor.signed_in()
    activity_id = await tx.maybe(
        ActivityId,
        "SELECT activity_id FROM fun.bargain WHERE id = %(id)s AND buyer_id = %(buyer_id)s",
        id=bargain_id,
        buyer_id=buyer_id,
    )
    if activity_id is None:
        raise NotFound()
    held = await rows.hold(tx, activity_id)
    bargain = await _get(tx, bargain_id)
    if bargain.grant_id is not None:
        return await get_bargain(tx, actor, bargain_id)
    _require_open(tx, held)
    if not held.left_count:
        raise AllTaken()
    assert held.plan.item_id is not None and held.plan.sku_id is not None
    grant_id = new_id()
    await live.grant_price(
        tx,
        grant_id,
        buyer_id,
        show_id=held.show_id,
        item_id=held.plan.item_id,
        sku_id=held.plan.sku_id,
        price=Money(held.plan.price - bargain.cut_amount, held.currency),
        reason_id=held.id,
        valid_until=tx.now + timedelta(seconds=GRANT_S),
    )
    await tx.run("UPDATE fun.bargain SET grant_id = %(grant_id)s WHERE id = %(id)s", grant_id=grant_id, id=bargain_id)
    await tx.run(
        "UPDATE fun.activity SET left_count = left_count - 1, version = version + 1 WHERE id = %(id)s", id=held.id
    )
    rows.tell(tx, held)
    return await get_bargain(tx, actor, bargain_id)


async def get_bargain(tx: Tx, actor: Actor, bargain_id: BargainId) -> Bargain:
    """A bargain as the actor may see it, or `NotFound`."""
    bargain = await _get(tx, bargain_id)
    held = (await rows.find_many(tx, [bargain.activity_id]))[0]
    plan = held.plan
    assert plan.item_id is not None and plan.sku_id is not None and held.closes_at is not None
    buyer = (await identity.find_profiles(tx, [bargain.buyer_id])).get(bargain.buyer_id)
    is_own = actor.account_id == bargain.buyer_id
    cut = await tx.maybe(
        int,
        """
        SELECT amount FROM fun.entry
        WHERE activity_id = %(id)s AND viewer_id = %(viewer_id)s AND choice = %(bargain_id)s
        """,
        id=held.id,
        viewer_id=actor.viewer_id,
        bargain_id=str(bargain_id),
    )
    is_running = held.state is State.open and tx.now < held.closes_at
    return Bargain(
        id=bargain.id,
        activity_id=held.id,
        show_id=held.show_id,
        item_id=plan.item_id,
        sku_id=plan.sku_id,
        buyer=Streamer(bargain.buyer_id, mask(buyer.name if buyer else ""), buyer.avatar if buyer else None),
        price=Money(plan.price - bargain.cut_amount, held.currency),
        start=Money(plan.price, held.currency),
        floor=Money(plan.floor, held.currency),
        helpers=plan.helpers,
        helped=bargain.helped_count,
        ends_at=held.closes_at,
        state=BargainState.granted
        if bargain.grant_id is not None
        else (BargainState.open if is_running else BargainState.over),
        grant=await _find_grant(tx, bargain.grant_id) if is_own and bargain.grant_id is not None else None,
        mine_cut=Money(cut, held.currency) if cut is not None else None,
    )


async def _find_grant(tx: Tx, grant_id: UUID) -> Grant | None:
    found = (await live.find_grants(tx, [grant_id])).get(grant_id)
    if found is None:
        return None
    return Grant(
        id=found.id,
        item_id=found.item_id,
        sku_id=found.sku_id,
        price=Money(found.price_amount, found.currency),
        valid_until=found.valid_until,
        order_id=found.order_id,
    )


async def _get(tx: Tx, bargain_id: BargainId) -> _Row:
    bargain = await tx.maybe(
        _Row,
        """
        SELECT id, activity_id, buyer_id, helped_count, cut_amount, grant_id FROM fun.bargain WHERE id = %(id)s
        """,
        id=bargain_id,
    )
    if bargain is None:
        raise NotFound()
    return bargain


def _require_open(tx: Tx, held: Held) -> None:
    if held.state is not State.open:
        raise ActivityNotOpen(state=held.state)
    assert held.closes_at is not None
    if tx.now >= held.closes_at:
        raise ActivityOver(closed_at=held.closes_at)


def mask(name: str) -> str:
    """Enough of a name to be a person, too little to know which."""
    return f"{name[0]}**" if name else "**"
