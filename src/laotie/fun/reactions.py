"""What fun does on hearing news: money for a wallet is credited or charged back, a paid order cheers in a duel."""

from laotie.base.db import Tx
from laotie.base.ids import ViewerId
from laotie.base.outbox import on
from laotie.events.orders import OrderPaid
from laotie.events.payments import PaymentCaptured, PaymentRestored, PaymentReversed
from laotie.fun.duel import Cheer, cheer_many, find_running_duels
from laotie.fun.wallet import bring_back, credit, take_back


async def _cheer(tx: Tx, event: OrderPaid) -> None:
    if event.show_id is None:
        return
    duel = (await find_running_duels(tx, [event.show_id])).get(event.show_id)
    if duel is not None:
        await cheer_many(tx, [Cheer(duel, event.show_id, ViewerId(event.buyer_id), orders=1)])


REACTIONS = [
    on(PaymentCaptured, credit),
    on(PaymentReversed, take_back),
    on(PaymentRestored, bring_back),
    on(OrderPaid, _cheer),
]
