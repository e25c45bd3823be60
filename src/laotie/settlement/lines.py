"""Lines of statements, each with its transfers in the ledger; written together or not at all, never changed.

A line's transfers have the line's id as subject, so lines and ledger can be compared one by one.
"""

from collections.abc import Iterable
from uuid import UUID, uuid5

from laotie import ledger
from laotie.base.db import Tx
from laotie.base.ids import AccountId, ShopId, TransferId
from laotie.ledger import Account, AccountKind, Transfer
from laotie.settlement.model import Line, LineId, LineKind, day_of


def payable(owner_id: UUID, currency: str) -> Account:
    """What is owed to a shop or a streamer."""
    return Account(AccountKind.payable, currency, owner_id)


async def book_many(tx: Tx, lines: list[Line], *, reason: str) -> None:
    """Write lines about orders and move their money: out of what buyers paid to whoever it belongs to, or back."""
    if not lines:
        return
    await _insert(tx, lines)
    await ledger.transfer_many(tx, [transfer for line in lines for transfer in _transfers(line, reason)])


async def book_owner(
    tx: Tx,
    *,
    line_id: UUID,
    kind: LineKind,
    owner_id: UUID,
    is_shop: bool,
    currency: str,
    amount: int,
    against: Account,
    reason: str,
    subject_id: UUID,
    zone: str,
) -> None:
    """Change what is owed to one owner by `amount` (minor units, either sign) against another account, with its line."""
    assert amount and kind in (LineKind.payout, LineKind.payout_back, LineKind.correction)
    line = Line(
        id=LineId(line_id),
        kind=kind,
        shop_id=ShopId(owner_id) if is_shop else None,
        streamer_id=None if is_shop else AccountId(owner_id),
        currency=currency,
        streamer_amount=0 if is_shop else amount,
        net_amount=amount if is_shop else 0,
        booked_on=day_of(tx.now, zone),
        booked_at=tx.now,
        subject_id=subject_id,
    )
    await _insert(tx, [line])
    own = payable(owner_id, currency)
    await ledger.transfer_many(
        tx,
        [
            Transfer(
                TransferId(line_id),
                debit=against if amount > 0 else own,
                credit=own if amount > 0 else against,
                amount=abs(amount),
                reason=reason,
                subject_id=line_id,
            )
        ],
    )


def _transfers(line: Line, reason: str) -> Iterable[Transfer]:
    """From what buyers paid for the shop's orders to the four, or back where the amount is below zero."""
    assert line.shop_id is not None
    held = Account(AccountKind.shop_held, line.currency, line.shop_id)
    sides = (
        (payable(line.shop_id, line.currency), line.net_amount),
        (Account(AccountKind.commission, line.currency), line.platform_amount),
        (Account(AccountKind.payment_fee, line.currency), line.payment_amount),
        (payable(line.streamer_id, line.currency) if line.streamer_id else held, line.streamer_amount),
    )
    for number, (account, amount) in enumerate(sides):
        if amount:
            yield Transfer(
                TransferId(uuid5(line.id, str(number))),
                debit=held if amount > 0 else account,
                credit=account if amount > 0 else held,
                amount=abs(amount),
                reason=reason,
                subject_id=line.id,
            )


async def _insert(tx: Tx, lines: list[Line]) -> None:
    await tx.run(
        """
        INSERT INTO settlement.line (id, kind, shop_id, streamer_id, order_id, no, currency, goods_amount,
            shipping_amount, subsidy_amount, platform_bps, payment_bps, streamer_bps, platform_amount, payment_amount,
            streamer_amount, net_amount, booked_on, booked_at, subject_id)
        SELECT * FROM unnest(%(ids)s::uuid[], %(kinds)s::text[], %(shops)s::uuid[], %(streamers)s::uuid[],
            %(orders)s::uuid[], %(numbers)s::smallint[], %(currencies)s::text[], %(goods)s::bigint[],
            %(shippings)s::bigint[], %(subsidies)s::bigint[], %(platform_rates)s::integer[],
            %(payment_rates)s::integer[], %(streamer_rates)s::integer[], %(platforms)s::bigint[],
            %(payments)s::bigint[], %(shares)s::bigint[], %(nets)s::bigint[], %(days)s::date[],
            %(times)s::timestamptz[], %(subjects)s::uuid[])
        """,
        ids=[line.id for line in lines],
        kinds=[line.kind for line in lines],
        shops=[line.shop_id for line in lines],
        streamers=[line.streamer_id for line in lines],
        orders=[line.order_id for line in lines],
        numbers=[line.no for line in lines],
        currencies=[line.currency for line in lines],
        goods=[line.goods_amount for line in lines],
        shippings=[line.shipping_amount for line in lines],
        subsidies=[line.subsidy_amount for line in lines],
        platform_rates=[line.platform_bps for line in lines],
        payment_rates=[line.payment_bps for line in lines],
        streamer_rates=[line.streamer_bps for line in lines],
        platforms=[line.platform_amount for line in lines],
        payments=[line.payment_amount for line in lines],
        shares=[line.streamer_amount for line in lines],
        nets=[line.net_amount for line in lines],
        days=[line.booked_on for line in lines],
        times=[line.booked_at for line in lines],
        subjects=[line.subject_id for line in lines],
    )


async def find_payable(tx: Tx, owner_id: UUID) -> dict[str, int]:
    """What is owed to a shop or a streamer, by currency, exact at this instant; below zero: what they owe."""
    balances = await ledger.list_balances(tx, AccountKind.payable, owner_id)
    return {account.currency: amount for account, amount in balances.items()}
