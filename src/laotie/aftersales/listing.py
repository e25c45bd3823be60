"""Cases as people read them: one with its log, a buyer's, a shop's queue, the operators' queue."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import msgspec

from laotie import catalog, identity, orders
from laotie.aftersales.exhibits import Exhibit, find_exhibit, list_exhibits
from laotie.aftersales.model import PAGE_SIZE_MAX, Case, CaseId, CaseState, Entry, ExhibitId, Line, Party
from laotie.aftersales.rows import find_case, find_cases, list_entries, list_lines
from laotie.base.db import Tx
from laotie.base.ids import AccountId, OrderId, ShopId
from laotie.base.refusals import Invalid, NotFound
from laotie.identity import Actor, Role, Scope

LAST_ID = UUID(int=2**128 - 1)
EXPORTED_MAX = 1_000


class Queue(StrEnum):
    """Which of a shop's cases."""

    waiting = "waiting"
    """It is the shop's turn."""
    open = "open"
    closed = "closed"


TURN_OF_SHOP = (CaseState.requested, CaseState.sent_back, CaseState.preparing)


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """A case in a list."""

    case: Case
    lines: list[Line]
    images: dict[int, str]
    shop_name: str
    buyer_name: str


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A case with all that its sides may see; `party` is whoever looks."""

    brief: Brief
    party: Party
    entries: list[Entry]
    exhibits: list[Exhibit]
    order: orders.Order


class Page(NamedTuple):
    """A part of a list, and where it goes on."""

    items: list[Brief]
    next: str | None


class CursorRefused(Invalid, code="case-cursor-refused"):
    """A list goes on with the `next` of the page before, as it was given."""


async def get_case(tx: Tx, actor: Actor, case_id: CaseId) -> Seen:
    """A case for its buyer, its shop's staff (scope `orders`), or an operator, whose look is on record."""
    case = await find_case(tx, case_id)
    if case is None:
        raise NotFound()
    party = await _see(tx, actor, case)
    if party is Party.operator:
        await identity.record(tx, actor, "case.read", subject=str(case_id))
    return Seen(
        brief=(await _briefs(tx, [case]))[0],
        party=party,
        entries=await list_entries(tx, case_id),
        exhibits=await list_exhibits(tx, case_id),
        order=(await orders.find_orders(tx, [case.order_id]))[case.order_id],
    )


async def get_exhibit(tx: Tx, actor: Actor, exhibit_id: ExhibitId) -> Exhibit:
    """A file of a case, for the sides of it; that a shop or an operator looked is on record."""
    exhibit = await find_exhibit(tx, exhibit_id)
    case = await find_case(tx, exhibit.case_id) if exhibit is not None else None
    if exhibit is None or case is None or exhibit.state != "ready":
        raise NotFound()
    if await _see(tx, actor, case) is not Party.buyer:
        await identity.record(tx, actor, "case.evidence_read", subject=str(case.id), exhibit_id=exhibit_id)
    return exhibit


async def list_of_own_order(tx: Tx, actor: Actor, order_id: OrderId) -> list[Brief]:
    """The cases about the buyer's own order, newest first."""
    order = await orders.get_own(tx, actor, order_id)
    ids = await tx.all(
        CaseId,
        "SELECT id FROM aftersales.case WHERE order_id = %(id)s ORDER BY opened_at DESC, id DESC LIMIT %(limit)s",
        id=order.id,
        limit=PAGE_SIZE_MAX,
    )
    return await _read_many(tx, ids)


async def list_own(tx: Tx, actor: Actor, *, after: CaseId | None, limit: int) -> Page:
    """The buyer's cases, newest first."""
    limit = min(limit, PAGE_SIZE_MAX)
    ids = await tx.all(
        CaseId,
        """
        SELECT id FROM aftersales.case WHERE buyer_id = %(buyer_id)s AND id < %(before)s
        ORDER BY id DESC LIMIT %(limit)s
        """,
        buyer_id=actor.signed_in(),
        before=after or LAST_ID,
        limit=limit + 1,
    )
    return Page(await _read_many(tx, ids[:limit]), str(ids[limit - 1]) if len(ids) > limit else None)


async def list_of_shop(
    tx: Tx, actor: Actor, shop_id: ShopId, *, queue: Queue, after: str | None, limit: int
) -> Page:
    """The shop's cases: what is open by deadline, what is closed the latest first. Needs the scope `orders`."""
    await identity.require_seat(tx, actor, shop_id, Scope.orders)
    limit = min(limit, PAGE_SIZE_MAX)
    if queue is Queue.closed:
        at, id_ = _instant_and_id(after)
        rows = await tx.tuples(
            """
            SELECT id, closed_at FROM aftersales.case
            WHERE shop_id = %(shop_id)s AND closed_at IS NOT NULL
              AND (%(at)s::timestamptz IS NULL OR (closed_at, id) < (%(at)s, %(id)s))
            ORDER BY closed_at DESC, id DESC LIMIT %(limit)s
            """,
            shop_id=shop_id,
            at=at,
            id=id_,
            limit=limit + 1,
        )
        return await _page(tx, rows, limit)
    states = list(TURN_OF_SHOP) if queue is Queue.waiting else list(CaseState)
    return await _by_deadline(tx, states, shop_id, after, limit)


async def list_for_operators(tx: Tx, actor: Actor, *, after: str | None, limit: int) -> Page:
    """What waits for a decision, by deadline."""
    actor.require_operator()
    return await _by_deadline(tx, [CaseState.arbitration, CaseState.overdue], None, after, min(limit, PAGE_SIZE_MAX))


async def count_queues(tx: Tx, actor: Actor, shop_id: ShopId) -> dict[Queue, int]:
    """How many cases wait for the shop, and how many are open. Needs the scope `orders`."""
    await identity.require_seat(tx, actor, shop_id, Scope.orders)
    rows = await tx.tuples(
        """
        SELECT count(*) FILTER (WHERE state = ANY(%(states)s)), count(*) FROM aftersales.case
        WHERE shop_id = %(shop_id)s AND due_at IS NOT NULL
        """,
        states=list(TURN_OF_SHOP),
        shop_id=shop_id,
    )
    return {Queue.waiting: rows[0][0], Queue.open: rows[0][1]}


async def export(tx: Tx, account_id: AccountId) -> list[dict[str, object]]:
    """What this room holds about a person: their cases with the logs (for their export)."""
    ids = await tx.all(
        CaseId,
        "SELECT id FROM aftersales.case WHERE buyer_id = %(id)s ORDER BY id DESC LIMIT %(limit)s",
        id=account_id,
        limit=EXPORTED_MAX,
    )
    briefs = await _read_many(tx, ids)
    return [
        {"case": brief.case, "lines": brief.lines, "log": await list_entries(tx, brief.case.id)} for brief in briefs
    ]


async def _see(tx: Tx, actor: Actor, case: Case) -> Party:
    """As whom the actor sees the case; to strangers it is not there."""
    if actor.account_id == case.buyer_id:
        return Party.buyer
    if Role.operator in actor.roles:
        return Party.operator
    await identity.require_seat(tx, actor, case.shop_id, Scope.orders)
    return Party.shop


async def _by_deadline(
    tx: Tx, states: list[CaseState], shop_id: ShopId | None, after: str | None, limit: int
) -> Page:
    at, id_ = _instant_and_id(after)
    rows = await tx.tuples(
        """
        SELECT id, due_at FROM aftersales.case
        WHERE due_at IS NOT NULL AND state = ANY(%(states)s) AND (%(shop_id)s::uuid IS NULL OR shop_id = %(shop_id)s)
          AND (%(at)s::timestamptz IS NULL OR (due_at, id) > (%(at)s, %(id)s))
        ORDER BY due_at, id LIMIT %(limit)s
        """,
        states=states,
        shop_id=shop_id,
        at=at,
        id=id_,
        limit=limit + 1,
    )
    return await _page(tx, rows, limit)


async def _page(tx: Tx, rows: list[tuple[CaseId, datetime]], limit: int) -> Page:
    shown = rows[:limit]
    mark = f"{shown[-1][1].isoformat()}~{shown[-1][0]}" if len(rows) > limit else None
    return Page(await _read_many(tx, [case_id for case_id, _ in shown]), mark)


def _instant_and_id(cursor: str | None) -> tuple[datetime | None, UUID | None]:
    if cursor is None:
        return None, None
    instant, _, id_ = cursor.partition("~")
    try:
        at = datetime.fromisoformat(instant)
        if at.tzinfo is None:
            raise ValueError(instant)
        return at, UUID(id_)
    except ValueError:
        raise CursorRefused() from None


async def _read_many(tx: Tx, case_ids: list[CaseId]) -> list[Brief]:
    return await _briefs(tx, list((await find_cases(tx, case_ids)).values()))


async def _briefs(tx: Tx, cases: Iterable[Case]) -> list[Brief]:
    cases = list(cases)
    if not cases:
        return []
    lines = await list_lines(tx, [case.id for case in cases])
    cards = await catalog.find_cards(tx, [line.product_id for found in lines.values() for line in found])
    shops = await catalog.find_shops(tx, list({case.shop_id for case in cases}))
    buyers = await identity.find_profiles(tx, {case.buyer_id for case in cases})
    return [
        Brief(
            case=case,
            lines=lines[case.id],
            images={
                line.no: cards[line.product_id].image
                if line.product_id in cards
                else catalog.picture_of(line.product_id, [])
                for line in lines[case.id]
            },
            shop_name=shops[case.shop_id].name if case.shop_id in shops else "",
            buyer_name=buyers[case.buyer_id].name if case.buyer_id in buyers else "",
        )
        for case in cases
    ]
