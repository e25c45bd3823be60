"""What settlement does on hearing news: it notes the orders to look at."""

from uuid import uuid5

from laotie.base.db import Tx
from laotie.base.outbox import on
from laotie.events.aftersales import CaseClosed, CaseOpened, ReturnFreightPaid
from laotie.events.identity import AccountErased
from laotie.events.orders import OrderCompleted, OrderRefundAsked, OrderReversed
from laotie.events.payments import ReleaseDone, ReleaseFailed
from laotie.settlement.accounts import erase
from laotie.settlement.claims import note
from laotie.settlement.payouts import hear_release


async def _completed(tx: Tx, event: OrderCompleted) -> None:
    await note(tx, event.order_id, event.order_id)


async def _refunded(tx: Tx, event: OrderRefundAsked) -> None:
    await note(tx, event.order_id, event.refund_id)


async def _reversed(tx: Tx, event: OrderReversed) -> None:
    await note(tx, event.order_id, uuid5(event.dispute_id, f"{event.order_id} {event.restored}"))


async def _case_opened(tx: Tx, event: CaseOpened) -> None:
    await note(tx, event.order_id, uuid5(event.case_id, "opened"))


async def _case_closed(tx: Tx, event: CaseClosed) -> None:
    await note(tx, event.order_id, uuid5(event.case_id, "closed"))


async def _freight_paid(tx: Tx, event: ReturnFreightPaid) -> None:
    await note(tx, event.order_id, uuid5(event.case_id, "freight"), freight_amount=event.amount)


async def _left(tx: Tx, event: AccountErased) -> None:
    await erase(tx, event.account_id)


REACTIONS = [
    on(OrderCompleted, _completed),
    on(OrderRefundAsked, _refunded),
    on(OrderReversed, _reversed),
    on(CaseOpened, _case_opened),
    on(CaseClosed, _case_closed),
    on(ReturnFreightPaid, _freight_paid),
    on(AccountErased, _left),
    on(ReleaseDone, hear_release),
    on(ReleaseFailed, hear_release),
]
