"""Giving paid orders back, whole or a part at a time: money, the platform's part of it, and stock.

Each part of a line is worth its share of what was paid for the line, cumulatively: after `k` of `n` pieces, the whole
share of `k` pieces has been given back, so the parts of a line always add up to what was paid for it. What the platform
added by its coupons it takes back in the same proportion. What is granted while a chargeback has the money is owed until that
is won. Locks: orders, then (team), then SKUs.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from laotie import catalog, ledger, offers, payments
from laotie.base.db import Tx
from laotie.base.ids import OrderId, SkuId, TransferId, new_id
from laotie.base.money import Money, apportion
from laotie.base.refusals import IdReused, NotFound
from laotie.events.orders import OrderRefundAsked
from laotie.orders import feed
from laotie.orders.changes import Held, hold_many
from laotie.orders.model import NothingPaid, OrderState, RefundExceeds

CHARGEBACK_WON = "chargeback-won"

_PAID_STATES = (OrderState.paid, OrderState.shipped, OrderState.completed)


class Back(msgspec.Struct, frozen=True):
    """So many pieces of a line, and so much money for them (minor units). No pieces: money alone."""

    no: int
    quantity: int
    amount: int


class GivenBack(msgspec.Struct, frozen=True, kw_only=True):
    """What was given back of an order, at once. `amount` contains `shipping_amount`; `subsidy_amount` is apart.

    With it go the shop's own discount and the tax of what is given back, in the same proportion.
    """

    id: UUID
    order_id: OrderId
    amount: int
    shipping_amount: int
    subsidy_amount: int
    reason: str
    lines: list[Back]
    given_at: datetime
    shop_discount_amount: int = 0
    tax_amount: int = 0


class Refundable(Protocol):
    """A line, as far as its refunds are concerned."""

    @property
    def quantity(self) -> int: ...
    @property
    def unit_price_amount(self) -> int: ...
    @property
    def discount_amount(self) -> int: ...
    @property
    def refunded_quantity(self) -> int: ...
    @property
    def refunded_amount(self) -> int: ...


class _Row(msgspec.Struct, frozen=True):
    no: int
    sku_id: SkuId
    quantity: int
    unit_price_amount: int
    discount_amount: int
    subsidy_amount: int
    tax_amount: int
    refunded_quantity: int
    refunded_amount: int
    restocked_quantity: int
    shipped_quantity: int
    owed_amount: int

    @property
    def paid_amount(self) -> int:
        return self.quantity * self.unit_price_amount - self.discount_amount

    @property
    def left_amount(self) -> int:
        return self.paid_amount - self.refunded_amount

    def owed_after(self, asked: Back, paid: Back) -> int:
        """What is owed of the line then; the worth of pieces contains what was owed of pieces before them."""
        owed = asked.amount - paid.amount + (0 if asked.quantity else self.owed_amount)
        return min(owed, self.left_amount - paid.amount)

    def taken_with(self, back: Back) -> "_Taken":
        """What goes back beside the money once this does too."""
        until = self._taken(self.refunded_quantity + back.quantity, self.refunded_amount + back.amount)
        before = self._taken(self.refunded_quantity, self.refunded_amount)
        return _Taken(*(one - other for one, other in zip(until, before, strict=True)))

    def _taken(self, quantity: int, amount: int) -> "_Taken":
        shop_discount = self.discount_amount - self.subsidy_amount
        return _Taken(
            subsidy_taken(self.subsidy_amount, self.paid_amount, self.quantity, quantity, amount),
            subsidy_taken(shop_discount, self.paid_amount, self.quantity, quantity, amount),
            self.tax_amount * amount // self.paid_amount if self.paid_amount else 0,
        )


class _Taken(NamedTuple):
    """Discounts of the platform and of the shop, and tax."""

    subsidy: int = 0
    shop_discount: int = 0
    tax: int = 0

    def and_also(self, other: "_Taken") -> "_Taken":
        return _Taken(*(one + more for one, more in zip(self, other, strict=True)))


def subsidy_taken(subsidy_amount: int, paid_amount: int, quantity: int, back_quantity: int, back_amount: int) -> int:
    """How much of the platform's part of a line has gone back once so many pieces and so much money of it have."""
    return subsidy_amount * back_amount // paid_amount if paid_amount else subsidy_amount * back_quantity // quantity


def refundable(line: Refundable, quantity: int) -> int:
    """What that many more pieces of a line are worth, in minor units; exact over any sequence of parts."""
    assert 0 <= quantity <= line.quantity - line.refunded_quantity
    paid = line.quantity * line.unit_price_amount - line.discount_amount
    share = paid * (line.refunded_quantity + quantity) // line.quantity
    return max(0, share - line.refunded_amount)


async def give_back(
    tx: Tx,
    order_id: OrderId,
    *,
    refund_id: UUID,
    lines: Sequence[Back],
    shipping_amount: int = 0,
    reason: str,
    restock: Sequence[tuple[int, int]] = (),
    as_left: bool = False,
) -> GivenBack:
    """Give part of a paid order back: ask the provider for the money, put `restock` pieces (line, pieces) on the shelf.

    The same `refund_id` again changes nothing. Refuses `NothingPaid` and `RefundExceeds`; then nothing has happened.
    With `as_left`, where a chargeback has taken some of it already, what is left is paid and the rest is owed: it goes
    to the buyer should the chargeback be won. Tells `OrderRefundAsked` at once, and `OrderRefunded` when the provider
    has paid. An order of which nothing is left becomes `refunded`.
    """
    order = (await hold_many(tx, [order_id])).get(order_id)
    if order is None:
        raise NotFound()
    before = await find_given_back(tx, refund_id)
    if before is not None:
        said, paid = _content(before.lines, before.shipping_amount), _content(lines, shipping_amount)
        if before.order_id != order_id or (said[0] != paid[0] if as_left else said != paid):
            raise IdReused()
        return before
    if order.state not in _PAID_STATES and not (as_left and order.state is OrderState.refunded):
        raise NothingPaid(state=order.state)
    assert len({back.no for back in lines}) == len(lines), "each line is named once"
    assert all(back.quantity >= 0 and back.amount >= 0 for back in lines)
    rows = await _read_lines(tx, order)
    if as_left:
        lines, shipping_amount = await _cut(tx, order, rows, lines, shipping_amount)
    return await _give(tx, order, rows, refund_id, lines, shipping_amount, reason, restock)


def _content(lines: Sequence[Back], shipping_amount: int) -> tuple[list[tuple[int, int]], list[int]]:
    return [(back.no, back.quantity) for back in lines], [*(back.amount for back in lines), shipping_amount]


async def give_owed(tx: Tx, order: Held, *, refund_id: UUID) -> int:
    """A chargeback on this order, which is held, was won: give the buyer what had been granted and it had taken; how much.

    What chargebacks still have of the order counts as given. Of one that was given back whole and of which nothing was
    ever sent, the buyer is owed everything.
    """
    rows = await _read_lines(tx, order)
    due = await tx.one(
        _Due,
        """
        SELECT total_amount - refunded_amount - reversed_amount AS left_amount, reversed_amount,
               shipping_amount - refunded_shipping_amount AS shipping_amount, owed_shipping_amount
        FROM orders."order" WHERE id = %(id)s
        """,
        id=order.id,
    )
    unsent = order.state is OrderState.refunded and not any(row.shipped_quantity for row in rows.values())
    owed = {no: row.left_amount if unsent else row.owed_amount for no, row in sorted(rows.items())}
    shipping = due.shipping_amount if unsent else due.owed_shipping_amount
    amount = min(due.left_amount, sum(owed.values()) + shipping - due.reversed_amount)
    if amount > 0 and order.payment_id is not None:  # what another chargeback has taken meanwhile is not there to be paid
        amount = min(amount, (await payments.get(tx, order.payment_id)).left_amount)
    if amount <= 0:
        return 0
    *parts, of_shipping = apportion(amount, [*owed.values(), shipping])
    lines = [Back(no, 0, part) for no, part in zip(owed, parts, strict=True) if part]
    await _write_owed(
        tx,
        order,
        {back.no: max(0, rows[back.no].owed_amount - back.amount) for back in lines},
        max(0, due.owed_shipping_amount - of_shipping),
    )
    await _give(tx, order, rows, refund_id, lines, of_shipping, CHARGEBACK_WON, ())
    return amount


class _Due(msgspec.Struct, frozen=True):
    left_amount: int
    reversed_amount: int
    shipping_amount: int
    owed_shipping_amount: int


async def _cut(
    tx: Tx, order: Held, rows: dict[int, _Row], lines: Sequence[Back], shipping_amount: int
) -> tuple[list[Back], int]:
    """What of this can be paid, goods before shipping; the rest is written down as owed."""
    left = await _left_of(tx, order)
    paid: list[Back] = []
    for back in lines:
        amount = min(back.amount, left)
        left -= amount
        paid.append(Back(back.no, back.quantity, amount))
    shipping = min(shipping_amount, left)
    pairs = [(asked, one) for asked, one in zip(lines, paid, strict=True) if asked.no in rows]
    owed = {asked.no: rows[asked.no].owed_after(asked, one) for asked, one in pairs}
    await _write_owed(tx, order, owed, shipping_amount - shipping)
    return paid, shipping


async def _write_owed(tx: Tx, order: Held, lines: dict[int, int], shipping_amount: int) -> None:
    """What is owed from now on of these lines, and of the shipping."""
    await tx.run(
        """
        UPDATE orders.line SET owed_amount = owed.amount
        FROM unnest(%(numbers)s::smallint[], %(amounts)s::bigint[]) AS owed (no, amount)
        WHERE line.order_id = %(order_id)s AND line.no = owed.no AND line.owed_amount <> owed.amount
        """,
        order_id=order.id,
        numbers=list(lines),
        amounts=list(lines.values()),
    )
    await tx.run(
        """
        UPDATE orders."order" SET owed_shipping_amount = %(amount)s
        WHERE id = %(id)s AND owed_shipping_amount <> %(amount)s
        """,
        id=order.id,
        amount=shipping_amount,
    )


async def _left_of(tx: Tx, order: Held) -> int:
    return await tx.one(
        int, 'SELECT total_amount - refunded_amount - reversed_amount FROM orders."order" WHERE id = %(id)s', id=order.id
    )


async def _give(
    tx: Tx,
    order: Held,
    rows: dict[int, _Row],
    refund_id: UUID,
    lines: Sequence[Back],
    shipping_amount: int,
    reason: str,
    restock: Sequence[tuple[int, int]],
) -> GivenBack:
    """Move money and pieces and write it down; the order is held and paid."""
    amount = shipping_amount + sum(back.amount for back in lines)
    taken = await _write_lines(tx, order, rows, lines, dict(restock))
    whole = await _write_order(tx, order, amount, shipping_amount)
    if whole:
        await offers.give_up_seat(tx, order.id)
    given = GivenBack(
        id=refund_id,
        order_id=order.id,
        amount=amount,
        shipping_amount=shipping_amount,
        subsidy_amount=taken.subsidy,
        reason=reason,
        lines=list(lines),
        given_at=tx.now,
        shop_discount_amount=taken.shop_discount,
        tax_amount=taken.tax,
    )
    await _record(tx, given)
    if amount:
        assert order.payment_id is not None
        await payments.refund(
            tx,
            refund_id=payments.RefundId(refund_id),
            payment_id=order.payment_id,
            amount=amount,
            reason=reason,
            order_id=order.id,
        )
    if taken.subsidy:
        await _take_subsidy_back(tx, order, taken.subsidy)
    tx.tell(
        OrderRefundAsked(
            order_id=order.id,
            refund_id=refund_id,
            buyer_id=order.buyer_id,
            shop_id=order.shop_id,
            show_id=order.show_id,
            currency=order.currency,
            amount=amount,
            reason=reason,
            whole=whole,
            asked_at=tx.now,
        )
    )
    if restock:
        await catalog.return_many(tx, [(rows[no].sku_id, pieces, order.id, None) for no, pieces in sorted(restock)])
    if whole and order.discount_amount and not any(row.shipped_quantity for row in rows.values()):
        await offers.give_back_many(tx, [order.id])
    return given


async def give_back_whole(tx: Tx, order: Held, *, refund_id: UUID, reason: str) -> GivenBack:
    """Give everything back that is left of a held order of which nothing was sent; its pieces go to the shelf."""
    rows = [row for _, row in sorted((await _read_lines(tx, order)).items())]
    left = [(row, row.quantity - row.refunded_quantity) for row in rows if row.quantity > row.refunded_quantity]
    shipping_amount = await tx.one(
        int, 'SELECT shipping_amount - refunded_shipping_amount FROM orders."order" WHERE id = %(id)s', id=order.id
    )
    return await give_back(
        tx,
        order.id,
        refund_id=refund_id,
        lines=[Back(row.no, pieces, refundable(row, pieces)) for row, pieces in left],
        shipping_amount=shipping_amount,
        reason=reason,
        restock=[(row.no, row.quantity - row.restocked_quantity) for row, _ in left if row.quantity > row.restocked_quantity],
        as_left=True,
    )


async def list_given_back(tx: Tx, order_id: OrderId) -> list[GivenBack]:
    """Everything that was given back of an order, oldest first."""
    return await tx.all(
        GivenBack,
        """
        SELECT id, order_id, amount, shipping_amount, subsidy_amount, reason, lines, given_at, shop_discount_amount,
               tax_amount
        FROM orders.given_back WHERE order_id = %(order_id)s ORDER BY given_at, id
        """,
        order_id=order_id,
    )


async def find_given_back(tx: Tx, refund_id: UUID) -> GivenBack | None:
    """What was given back under this id."""
    return await tx.maybe(
        GivenBack,
        """
        SELECT id, order_id, amount, shipping_amount, subsidy_amount, reason, lines, given_at, shop_discount_amount,
               tax_amount
        FROM orders.given_back WHERE id = %(id)s
        """,
        id=refund_id,
    )


async def _record(tx: Tx, given: GivenBack) -> None:
    await tx.run(
        """
        INSERT INTO orders.given_back (id, order_id, amount, shipping_amount, subsidy_amount, reason, lines, given_at,
                                       shop_discount_amount, tax_amount)
        VALUES (%(id)s, %(order_id)s, %(amount)s, %(shipping_amount)s, %(subsidy_amount)s, %(reason)s, %(lines)s,
                %(given_at)s, %(shop_discount_amount)s, %(tax_amount)s)
        """,
        id=given.id,
        order_id=given.order_id,
        amount=given.amount,
        shipping_amount=given.shipping_amount,
        subsidy_amount=given.subsidy_amount,
        reason=given.reason,
        lines=Jsonb(given.lines),
        given_at=given.given_at,
        shop_discount_amount=given.shop_discount_amount,
        tax_amount=given.tax_amount,
    )


async def _read_lines(tx: Tx, order: Held) -> dict[int, _Row]:
    rows = await tx.all(
        _Row,
        """
        SELECT no, sku_id, quantity, unit_price_amount, discount_amount, subsidy_amount, tax_amount,
               refunded_quantity, refunded_amount, restocked_quantity, shipped_quantity, owed_amount
        FROM orders.line WHERE order_id = %(order_id)s
        """,
        order_id=order.id,
    )
    return {row.no: row for row in rows}


async def _write_lines(
    tx: Tx, order: Held, rows: dict[int, _Row], lines: Sequence[Back], restock: dict[int, int]
) -> _Taken:
    """Raise what was given back of each line; returns what goes with it."""
    taken = _Taken()
    for back in lines:
        row = rows.get(back.no)
        if row is None:
            raise NotFound()
        quantity, amount = row.refunded_quantity + back.quantity, row.refunded_amount + back.amount
        if quantity > row.quantity or amount > row.paid_amount:
            left = Money(row.left_amount, order.currency)
            raise RefundExceeds(order_id=order.id, left=left)
        taken = taken.and_also(row.taken_with(back))
    assert all(
        no in rows and 0 < pieces <= rows[no].quantity - rows[no].restocked_quantity for no, pieces in restock.items()
    ), "no more pieces come back than were sold"
    touched = sorted({back.no for back in lines} | restock.keys())
    by_no = {back.no: back for back in lines}
    await tx.run(
        """
        UPDATE orders.line SET refunded_quantity = refunded_quantity + back.quantity,
            refunded_amount = refunded_amount + back.amount,
            restocked_quantity = restocked_quantity + back.restocked
        FROM unnest(%(numbers)s::smallint[], %(quantities)s::integer[], %(amounts)s::bigint[], %(restocked)s::integer[])
          AS back (no, quantity, amount, restocked)
        WHERE line.order_id = %(order_id)s AND line.no = back.no
        """,
        order_id=order.id,
        numbers=touched,
        quantities=[by_no[no].quantity if no in by_no else 0 for no in touched],
        amounts=[by_no[no].amount if no in by_no else 0 for no in touched],
        restocked=[restock.get(no, 0) for no in touched],
    )
    return taken


async def _write_order(tx: Tx, order: Held, amount: int, shipping_amount: int) -> bool:
    """Raise what was given back of the order; says whether nothing of it is left now, for the first time."""
    left = await tx.maybe(
        int,
        """
        UPDATE orders."order" SET refunded_amount = refunded_amount + %(amount)s,
            refunded_shipping_amount = refunded_shipping_amount + %(shipping_amount)s
        WHERE id = %(id)s AND refunded_amount + reversed_amount + %(amount)s <= total_amount
          AND refunded_shipping_amount + %(shipping_amount)s <= shipping_amount
        RETURNING total_amount - refunded_amount - reversed_amount
        """,
        id=order.id,
        amount=amount,
        shipping_amount=shipping_amount,
    )
    if left is None:
        raise RefundExceeds(order_id=order.id, left=Money(await _left_of(tx, order), order.currency))
    if left or order.state is OrderState.refunded:
        return False
    await tx.run(
        """UPDATE orders."order" SET state = 'refunded', ended_at = %(now)s WHERE id = %(id)s""",
        id=order.id,
        now=tx.now,
    )
    await feed.move_many(tx, [(order.shop_id, order.id)], before=order.state, now=OrderState.refunded)
    return True


async def _take_subsidy_back(tx: Tx, order: Held, amount: int) -> None:
    await ledger.transfer_many(
        tx,
        [
            ledger.Transfer(
                TransferId(new_id()),
                debit=ledger.Account(ledger.AccountKind.shop_held, order.currency, order.shop_id),
                credit=ledger.Account(ledger.AccountKind.subsidy, order.currency),
                amount=amount,
                reason="subsidy-back",
                subject_id=order.purchase_id,
            )
        ],
    )
