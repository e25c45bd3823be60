"""A case's row, its lines and its log: read, held, written. The log is only added to."""

import hashlib
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from laotie.aftersales.model import (
    ENTRIES_PER_CASE_MAX,
    Act,
    Case,
    CaseFull,
    CaseId,
    CaseState,
    Entry,
    EntryId,
    Line,
    Party,
)
from laotie.base.db import Tx
from laotie.base.ids import AccountId, OrderId

_encode = msgspec.json.Encoder(order="sorted").encode


def digest_of(*content: Any) -> bytes:
    """What makes two requests under one id the same."""
    return hashlib.blake2b(_encode(content), digest_size=16).digest()


async def find_case(tx: Tx, case_id: CaseId) -> Case | None:
    """A case, whoever's it is."""
    return next(iter((await find_cases(tx, [case_id])).values()), None)


async def find_cases(tx: Tx, case_ids: list[CaseId]) -> dict[CaseId, Case]:
    """Those of the cases that exist, by id, in the order asked for."""
    rows = await tx.all(
        Case,
        """
        SELECT id, digest, order_id, shop_id, buyer_id, kind, reason, statute, state, currency, amount, is_part,
               must_return, is_back, is_guaranteed, is_unsent, exchange_sku_id, offer_kind, offer_amount, return_carrier,
               return_number, replacement_carrier, replacement_number, freight_amount, freight_by, freight_paid_amount,
               freight_is_pledged, refunded_amount, guarantee_amount, opened_at, changed_at, due_at, closed_at, entry_count
        FROM aftersales.case WHERE id = ANY(%(ids)s)
        """,
        ids=case_ids,
    )
    found = {case.id: case for case in rows}
    return {case_id: found[case_id] for case_id in case_ids if case_id in found}


async def hold_case(tx: Tx, case_id: CaseId) -> Case | None:
    """The case, its row locked until the transaction's end. The caller holds the order already."""
    await tx.run("SELECT FROM aftersales.case WHERE id = %(id)s FOR NO KEY UPDATE", id=case_id)
    return await find_case(tx, case_id)


async def add_case(tx: Tx, case: Case, lines: list[Line]) -> None:
    """Write a new case; its order is held."""
    await tx.run(
        """
        INSERT INTO aftersales.case (id, digest, order_id, shop_id, buyer_id, kind, reason, statute, state, currency,
            amount, is_part, must_return, is_guaranteed, is_unsent, exchange_sku_id, freight_by, opened_at, changed_at, due_at,
            closed_at)
        VALUES (%(id)s, %(digest)s, %(order_id)s, %(shop_id)s, %(buyer_id)s, %(kind)s, %(reason)s, %(statute)s, %(state)s,
            %(currency)s, %(amount)s, %(is_part)s, %(must_return)s, %(is_guaranteed)s, %(is_unsent)s, %(exchange_sku_id)s,
            %(freight_by)s, %(opened_at)s, %(changed_at)s, %(due_at)s, %(closed_at)s)
        """,
        **msgspec.structs.asdict(case),
    )
    await tx.run(
        """
        INSERT INTO aftersales.line (case_id, no, order_id, sku_id, product_id, pledge_id, title, options, quantity,
                                     bought_quantity, amount)
        SELECT %(case_id)s, no, %(order_id)s, sku_id, product_id, pledge_id, title, options::jsonb, quantity, bought, amount
        FROM unnest(%(numbers)s::smallint[], %(skus)s::uuid[], %(products)s::uuid[], %(pledges)s::uuid[],
                    %(titles)s::text[], %(options)s::text[], %(quantities)s::integer[], %(bought)s::integer[],
                    %(amounts)s::bigint[])
          AS line (no, sku_id, product_id, pledge_id, title, options, quantity, bought, amount)
        """,
        case_id=case.id,
        order_id=case.order_id,
        numbers=[line.no for line in lines],
        skus=[line.sku_id for line in lines],
        products=[line.product_id for line in lines],
        pledges=[line.pledge_id for line in lines],
        titles=[line.title for line in lines],
        options=[_encode(line.options).decode() for line in lines],
        quantities=[line.quantity for line in lines],
        bought=[line.bought_quantity for line in lines],
        amounts=[line.amount for line in lines],
    )


async def save_case(tx: Tx, case: Case) -> None:
    """Write what may change of a case that is held."""
    await tx.run(
        """
        UPDATE aftersales.case SET kind = %(kind)s, state = %(state)s, amount = %(amount)s, is_part = %(is_part)s,
            must_return = %(must_return)s, is_back = %(is_back)s, offer_kind = %(offer_kind)s,
            offer_amount = %(offer_amount)s, exchange_sku_id = %(exchange_sku_id)s, return_carrier = %(return_carrier)s,
            return_number = %(return_number)s, replacement_carrier = %(replacement_carrier)s,
            replacement_number = %(replacement_number)s, freight_amount = %(freight_amount)s, freight_by = %(freight_by)s,
            freight_paid_amount = %(freight_paid_amount)s, freight_is_pledged = %(freight_is_pledged)s,
            refunded_amount = %(refunded_amount)s,
            guarantee_amount = %(guarantee_amount)s, changed_at = %(changed_at)s, due_at = %(due_at)s,
            closed_at = %(closed_at)s
        WHERE id = %(id)s
        """,
        **msgspec.structs.asdict(case),
    )


async def list_lines(tx: Tx, case_ids: list[CaseId]) -> dict[CaseId, list[Line]]:
    """The lines of cases, in order."""
    rows = await tx.all(
        _LineRow,
        """
        SELECT case_id, no, sku_id, product_id, pledge_id, title, options, quantity, bought_quantity, amount,
               restocked_quantity, written_off_quantity
        FROM aftersales.line WHERE case_id = ANY(%(ids)s) ORDER BY case_id, no
        """,
        ids=case_ids,
    )
    found: dict[CaseId, list[Line]] = {}
    for row in rows:
        found.setdefault(row.case_id, []).append(row)
    return found


async def count_claimed(tx: Tx, order_id: OrderId) -> dict[int, int]:
    """How many pieces of each line open cases are about. The caller holds the order."""
    return dict(
        await tx.tuples(
            """
            SELECT line.no, sum(line.quantity)::bigint FROM aftersales.line
            JOIN aftersales.case AS claim ON claim.id = line.case_id
            WHERE line.order_id = %(order_id)s AND claim.closed_at IS NULL GROUP BY line.no
            """,
            order_id=order_id,
        )
    )


async def add_entry(
    tx: Tx,
    case: Case,
    entry_id: EntryId,
    *,
    party: Party,
    actor_id: AccountId | None,
    act: Act,
    state_before: CaseState | None,
    text: str,
    facts: dict[str, Any],
    digest: bytes,
) -> int:
    """Add a line to the log of a case that is held; returns its number. Refuses `CaseFull` to people."""
    if case.entry_count >= ENTRIES_PER_CASE_MAX and act is Act.say:
        raise CaseFull(count_max=ENTRIES_PER_CASE_MAX)
    number = await tx.one(
        int,
        "UPDATE aftersales.case SET entry_count = entry_count + 1 WHERE id = %(id)s RETURNING entry_count",
        id=case.id,
    )
    await tx.run(
        """
        INSERT INTO aftersales.entry (id, case_id, no, at, party, actor_id, act, state_before, state, text, facts, digest)
        VALUES (%(id)s, %(case_id)s, %(no)s, %(now)s, %(party)s, %(actor_id)s, %(act)s, %(before)s, %(state)s, %(text)s,
                %(facts)s, %(digest)s)
        """,
        id=entry_id,
        case_id=case.id,
        no=number,
        now=tx.now,
        party=party,
        actor_id=actor_id,
        act=act,
        before=state_before,
        state=case.state,
        text=text,
        facts=Jsonb(facts),
        digest=digest,
    )
    return number


class Known(msgspec.Struct, frozen=True):
    """An entry that is in the log already."""

    case_id: CaseId
    digest: bytes


async def find_entry(tx: Tx, entry_id: EntryId) -> Known | None:
    """Whether this was done before."""
    return await tx.maybe(Known, "SELECT case_id, digest FROM aftersales.entry WHERE id = %(id)s", id=entry_id)


async def list_entries(tx: Tx, case_id: CaseId) -> list[Entry]:
    """The whole log, in order; it is bounded."""
    return await tx.all(
        Entry,
        """
        SELECT id, no, at, party, actor_id, act, state_before, state, text, facts FROM aftersales.entry
        WHERE case_id = %(id)s ORDER BY no
        """,
        id=case_id,
    )


class _LineRow(Line, frozen=True, kw_only=True):
    case_id: CaseId
