"""Orders: a purchase from the ask to its end.

Owns orders and their lines. The till decides purchases in batches; the order's life (address, payment, cancellation,
deadline) follows in `life` and `agenda`. Composes live (show prices), catalog (stock), ledger (holds) and payments.

Promises: never more sold than there is; an accepted order is durable before anyone hears of it; the same client id
gives the same answer for ever; whatever ends an unpaid order gives its stock back; money that comes too late, or a
second time, goes back by itself. Lock order: order, (show, cart item), SKU.
"""

from laotie import identity
from laotie.orders import history
from laotie.orders.agenda import sweep_unpaid, work_agenda
from laotie.orders.board import Board, get_board
from laotie.orders.evidence import Tally, find_in_flight, list_facts, sum_facts, tally
from laotie.orders.feed import ItemSales, ShowSales, fold_orders
from laotie.orders.life import attach_address, cancel, start_payment
from laotie.orders.listing import (
    Line,
    Order,
    Page,
    Sales,
    export,
    get_of_shop,
    get_own,
    get_sales,
    list_of_shop,
    list_own,
)
from laotie.orders.model import (
    AddressMissing,
    Ask,
    AskLine,
    EndReason,
    MixedShops,
    OrderNotOpen,
    OrderState,
    PayTimeOver,
    Placed,
    RefundReason,
    TooManyPayments,
)
from laotie.orders.surfaces import ReplaySales, SurfaceSales, get_replay_sales, sum_surfaces
from laotie.orders.till import Till

__all__ = [
    "AddressMissing",
    "Ask",
    "AskLine",
    "Board",
    "EndReason",
    "ItemSales",
    "Line",
    "MixedShops",
    "Order",
    "OrderNotOpen",
    "OrderState",
    "Page",
    "PayTimeOver",
    "Placed",
    "RefundReason",
    "ReplaySales",
    "Sales",
    "ShowSales",
    "SurfaceSales",
    "Tally",
    "Till",
    "TooManyPayments",
    "attach_address",
    "cancel",
    "export",
    "find_in_flight",
    "fold_orders",
    "get_board",
    "get_of_shop",
    "get_own",
    "get_replay_sales",
    "get_sales",
    "history",
    "list_facts",
    "list_of_shop",
    "list_own",
    "start_payment",
    "sum_facts",
    "sum_surfaces",
    "sweep_unpaid",
    "tally",
    "work_agenda",
]

identity.add_to_export("orders", export)
