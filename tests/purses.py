"""Money that comes into a wallet or a deposit: its payment was started over HTTP, and here its provider captures it."""

from typing import Any

from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.ids import PaymentId, new_id
from laotie.base.money import Money
from laotie.base.outbox import Relay
from laotie.payments.hearing import take_in
from laotie.payments.provider import Report, ReportKind
from laotie.worker.loops import all_reactions


async def capture(db: Database, bus: LocalBus, payment: dict[str, Any]) -> None:
    """All of it is captured, and every room has heard."""
    report = Report(
        event_id=str(new_id()),
        kind=ReportKind.captured,
        name="payment.captured",
        payment_id=PaymentId(payment["id"]),
        money=Money(payment["amount"]["amount"], payment["amount"]["currency"]),
    )
    async with db.tx() as tx:
        await take_in(tx, "sandbox", report, b"")
    relay = Relay(db, bus, all_reactions())
    while await relay.drain():
        continue
