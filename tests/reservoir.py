"""What the lake is told of money, against the books: the rows that wait for it, the ledger by order, what can be told again."""

from collections import Counter
from typing import NamedTuple
from uuid import UUID

from laotie.base.db import Database, Tx
from laotie.lake.facts import MoneyKind, MoneyRow, Row, _decode
from laotie.orders import facts

HELD = {MoneyKind.placed, MoneyKind.repriced, MoneyKind.cancelled}


class Of(NamedTuple):
    """An order as the ledger knows it: by its purchase and its shop."""

    purchase_id: UUID
    shop_id: UUID
    currency: str


async def told_rows(db: Database) -> dict[UUID, Row]:
    """What was told and has not been drained."""
    async with db.read() as tx:
        rows = [_decode(row) for row in await tx.all(bytes, "SELECT row FROM lake.waiting ORDER BY seq")]
    return {row.id: row for row in rows}


async def told_money(db: Database) -> dict[UUID, MoneyRow]:
    """Of money."""
    return {id_: row for id_, row in (await told_rows(db)).items() if isinstance(row, MoneyRow)}


async def tellable_money(db: Database, *, page: int = 7) -> dict[UUID, MoneyRow]:
    """What the orders' books say when they are asked to tell it all again."""
    found: dict[UUID, MoneyRow] = {}
    after: UUID | None = facts.FIRST
    while after is not None:
        async with db.read() as tx:
            rows, after = await facts.export(tx, after, page)
        assert not found.keys() & {row.id for row in rows}
        found |= {row.id: row for row in rows}
    return found


async def sums_of(db: Database, rows: list[MoneyRow]) -> tuple[Counter[Of], Counter[Of]]:
    """By order: what is held or was (placed, repriced, cancelled), and what was paid and not given or taken back."""
    async with db.read() as tx:
        purchases = dict(await tx.tuples('SELECT id, coalesce(purchase_id, id) FROM orders."order"'))
    held: Counter[Of] = Counter()
    paid: Counter[Of] = Counter()
    for row in rows:
        key = Of(purchases[row.order_id], row.shop_id, row.currency)
        (held if row.kind in HELD else paid)[key] += row.amounts.amount
    return held, paid


async def ledger_sums(tx: Tx) -> tuple[Counter[Of], Counter[Of]]:
    """The same from the ledger's transfers between the provider and what is held for a shop."""
    rows = await tx.tuples(
        """
        SELECT t.subject_id, s.owner_id, t.currency,
               sum(CASE t.phase WHEN 'pending' THEN t.amount WHEN 'voided' THEN -t.amount ELSE 0 END)::bigint,
               sum(CASE WHEN t.phase <> 'posted' THEN 0 WHEN s.id = t.credit_id THEN t.amount ELSE -t.amount END)::bigint
        FROM ledger.transfer AS t
        JOIN ledger.account AS s ON s.id IN (t.debit_id, t.credit_id) AND s.kind = 'shop_held'
        JOIN ledger.account AS p ON p.id IN (t.debit_id, t.credit_id) AND p.kind = 'provider'
        GROUP BY 1, 2, 3
        """
    )
    held: Counter[Of] = Counter()
    paid: Counter[Of] = Counter()
    for purchase_id, shop_id, currency, held_amount, paid_amount in rows:
        held[Of(purchase_id, shop_id, currency)] = held_amount
        paid[Of(purchase_id, shop_id, currency)] = paid_amount
    return held, paid


async def check_money(db: Database, *, page: int = 7) -> list[MoneyRow]:
    """Nothing drained so far: what was told is what can be told again, and order by order what the ledger says."""
    told = await told_money(db)
    assert told == await tellable_money(db, page=page)
    held, paid = await sums_of(db, list(told.values()))
    async with db.read() as tx:
        ledger_held, ledger_paid = await ledger_sums(tx)
    assert {key: amount for key, amount in held.items() if amount} == {k: a for k, a in ledger_held.items() if a}
    assert {key: amount for key, amount in paid.items() if amount} == {k: a for k, a in ledger_paid.items() if a}
    return list(told.values())
