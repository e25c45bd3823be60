"""Orders: a purchase from the ask to its end.

Owns orders and their lines. The till decides purchases in batches; the order's life (address, payment, cancellation,
deadline) follows in `life` and `agenda`. Composes live (show prices), catalog (stock), ledger (holds) and payments.

Promises: never more sold than there is; an accepted order is durable before anyone hears of it; the same client id
gives the same answer for ever; whatever ends an unpaid order gives its stock back; money that comes too late, or a
second time, goes back by itself. Lock order: order, (show, cart item), SKU.
"""

from laotie import identity, trust
from laotie.orders import (
    carriers,
    delivery,
    evidence,
    exporting,
    facts,
    history,
    invoices,
    parcels,
    protection,
    shipments,
    shipping_sheet,
    tracking,
)
from laotie.orders.agenda import sweep_unpaid, work_agenda
from laotie.orders.baskets import BasketFull, BasketLine, Trouble, export_basket, list_basket, put_line, take_out
from laotie.orders.board import Board, get_board
from laotie.orders.changes import Held, hold_many
from laotie.orders.delivery import (
    complete_order,
    find_categories,
    is_promise_broken,
    pause_completion,
    resume_completion,
    work_deliveries,
)
from laotie.orders.evidence import find_in_flight, list_facts, sum_discounts, sum_facts
from laotie.orders.feed import ItemSales, ShowSales, fold_orders
from laotie.orders.giving_back import Back, GivenBack, give_back, list_given_back, refundable
from laotie.orders.life import attach_address, cancel, price_delivery, start_payment
from laotie.orders.listing import (
    Line,
    Order,
    Page,
    Sales,
    count_paid,
    export,
    find_orders,
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
    MixedCurrencies,
    NothingPaid,
    OrderNotOpen,
    OrderState,
    PaymentUnderWay,
    PayTimeOver,
    Placed,
    RefundExceeds,
    RefundReason,
    TooManyPayments,
    TotalChanged,
)
from laotie.orders.packing import Piece
from laotie.orders.parcels import Parcel, ParcelState, list_parcels, note_returned
from laotie.orders.quoting import Quote, QuotedLine, QuotedOrder, WantedLine, quote
from laotie.orders.standing import claim_coupon, find_buyer, find_buyers
from laotie.orders.surfaces import ReplaySales, SurfaceSales, get_replay_sales, sum_surfaces
from laotie.orders.teams import find_teams_of, may_ship, work_teams
from laotie.orders.till import Till
from laotie.orders.worth import LineWorth, Worth, find_worth

__all__ = [
    "AddressMissing",
    "Ask",
    "AskLine",
    "Back",
    "BasketFull",
    "BasketLine",
    "Board",
    "EndReason",
    "GivenBack",
    "Held",
    "ItemSales",
    "Line",
    "LineWorth",
    "MixedCurrencies",
    "NothingPaid",
    "Order",
    "OrderNotOpen",
    "OrderState",
    "Page",
    "Parcel",
    "ParcelState",
    "PayTimeOver",
    "PaymentUnderWay",
    "Piece",
    "Placed",
    "Quote",
    "QuotedLine",
    "QuotedOrder",
    "RefundExceeds",
    "RefundReason",
    "ReplaySales",
    "Sales",
    "ShowSales",
    "SurfaceSales",
    "Till",
    "TooManyPayments",
    "TotalChanged",
    "Trouble",
    "WantedLine",
    "Worth",
    "attach_address",
    "cancel",
    "carriers",
    "claim_coupon",
    "complete_order",
    "delivery",
    "evidence",
    "export",
    "export_basket",
    "exporting",
    "facts",
    "find_buyer",
    "find_buyers",
    "find_categories",
    "find_in_flight",
    "find_orders",
    "find_teams_of",
    "find_worth",
    "fold_orders",
    "get_board",
    "get_of_shop",
    "get_own",
    "get_replay_sales",
    "get_sales",
    "give_back",
    "history",
    "hold_many",
    "invoices",
    "is_promise_broken",
    "list_basket",
    "list_facts",
    "list_given_back",
    "list_of_shop",
    "list_own",
    "list_parcels",
    "may_ship",
    "note_returned",
    "parcels",
    "pause_completion",
    "price_delivery",
    "protection",
    "put_line",
    "quote",
    "refundable",
    "resume_completion",
    "shipments",
    "shipping_sheet",
    "start_payment",
    "sum_discounts",
    "sum_facts",
    "sum_surfaces",
    "sweep_unpaid",
    "take_out",
    "tracking",
    "work_agenda",
    "work_deliveries",
    "work_teams",
]

identity.add_to_export("orders", export)
identity.add_to_export("invoices", invoices.export)
identity.add_to_export("basket", export_basket)
trust.count_orders_with(count_paid)
