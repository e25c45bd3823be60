"""Everything that is promised of the books, each with its check. docs/invariants.md and the status page are made from this.

A new promise is a line here; `tests/audit` asks for a fault to plant, the pages for its words in both languages.
"""

from laotie import settlement
from laotie.audit import goods, money, running
from laotie.audit.comparing import BUYERS, CATALOG, LEDGER, ORDERS, PAYMENTS, Side, agree, compare
from laotie.audit.model import About, Look, Promise, Seen, Wrong

SETTLEMENT = Side("settlement", settlement.sum_facts, settlement.list_facts, settlement.evidence.list_facts_of)


async def _check_worth(look: Look) -> Seen:
    """Settlement hears of orders by news; what it has heard of and not looked at is on its way."""
    waiting = {getattr(one.event, "order_id", None) for one in await look.waiting()}
    waiting |= await settlement.find_in_flight(look.tx)
    differing = await compare(look, "worth", ORDERS, SETTLEMENT)
    ids = None if look.touched is None else sorted(look.touched.orders)
    return Seen(
        await goods.count_orders(look, ids),
        [Wrong(str(order_id), ours, theirs) for order_id, ours, theirs in differing if order_id not in waiting],
    )


PROMISES: tuple[Promise, ...] = (
    Promise(
        code="stock",
        about=About.goods,
        rooms=("catalog",),
        says="stock: received = available + aside + reserved + sold, and each is the sum of its movements",
        how="Each SKU's five figures against the sums of its movements, a row each in an append-only table.",
        check=goods.check_stock,
        narrow=True,
    ),
    Promise(
        code="asides",
        about=About.goods,
        rooms=("catalog",),
        says="stock: what is set aside for each wave is the sum of its movements",
        how="Each aside against its movements, and each SKU's figure against its open asides.",
        check=goods.check_asides,
    ),
    Promise(
        code="waves",
        about=About.goods,
        rooms=("live", "catalog"),
        says="waves: pieces are set aside as long as a wave lasts, and back on the shelf when it is over, in time",
        how="Each wave's state against the asides under its id; no aside without a wave; none open past its end.",
        check=goods.check_waves,
    ),
    Promise(
        code="orders-stock",
        about=About.goods,
        rooms=("orders", "aftersales", "catalog"),
        says="orders: each order's pieces are reserved, released or sold as its state says",
        how="Facts of each order (SKU, pieces reserved, released, sold, returned) from both sides, as sums of hashes.",
        check=agree("stock", BUYERS, CATALOG),
        narrow=True,
    ),
    Promise(
        code="orders-hold",
        about=About.money,
        rooms=("orders", "ledger"),
        says="orders: each order's hold is pending, posted or voided as its state says; no hold is without an order",
        how="Facts of each purchase (amount and phase) from both sides; a fact that only one side has is a finding.",
        check=agree("hold", ORDERS, LEDGER),
        narrow=True,
    ),
    Promise(
        code="orders-kept",
        about=About.money,
        rooms=("orders", "payments"),
        says="orders: what is kept of payments is the total of the paid order, and nothing else",
        how="What each paid purchase is still worth against its captures less refunds and chargebacks.",
        check=agree("kept", ORDERS, PAYMENTS, excused=True),
        narrow=True,
    ),
    Promise(
        code="ledger-money",
        about=About.money,
        rooms=("payments", "ledger"),
        says="ledger: money at the provider is what payments captured less what they gave back",
        how="Each purchase's payments against its transfers in and out of the provider's account.",
        check=agree("money", PAYMENTS, LEDGER, excused=True),
        narrow=True,
    ),
    Promise(
        code="orders-total",
        about=About.orders,
        rooms=("orders",),
        says="orders: each total is the sum of its lines",
        how="Total, discount, subsidy and refunds of each order against its lines and shipping.",
        check=money.check_totals,
        narrow=True,
    ),
    Promise(
        code="orders-given-back",
        about=About.orders,
        rooms=("orders",),
        says="orders: what was given back or taken back of each order is written down, each time",
        how="The sums on the order against the append-only rows of refunds, and against chargebacks that stand.",
        check=money.check_given_back,
        narrow=True,
    ),
    Promise(
        code="orders-deadline",
        about=About.orders,
        rooms=("orders",),
        says="orders: each unpaid order comes to its deadline",
        how="Unpaid orders that the sweep has passed against the agenda.",
        check=running.check_deadlines,
    ),
    Promise(
        code="orders-overdue",
        about=About.orders,
        rooms=("orders", "ledger"),
        says="orders: no hold is older than its order's time to pay, and nothing on the agenda is stuck",
        how="Unpaid orders and entries of the agenda whose time was over a quarter of an hour ago.",
        check=running.check_overdue,
    ),
    Promise(
        code="orders-listed",
        about=About.orders,
        rooms=("orders",),
        says="orders: each order is in its shop's list",
        how="Folded orders against the shop's list, by state.",
        check=goods.check_lists,
        narrow=True,
    ),
    Promise(
        code="shows",
        about=About.orders,
        rooms=("orders",),
        says="shows: what a show is told it sold is what was ordered and paid",
        how="Folded counts and amounts of each show against its orders and lines.",
        check=goods.check_shows,
    ),
    Promise(
        code="parcels",
        about=About.goods,
        rooms=("orders",),
        says="parcels: pieces that were sent are the pieces in parcels",
        how="Each line's shipped pieces against the lines of its parcels that were not taken back.",
        check=goods.check_parcels,
        narrow=True,
    ),
    Promise(
        code="invoices",
        about=About.orders,
        rooms=("orders",),
        says="invoices: a shop's numbers run without a gap",
        how="Each shop's last number against its invoices' highest number and how many there are.",
        check=goods.check_invoices,
    ),
    Promise(
        code="ledger-balances",
        about=About.money,
        rooms=("ledger",),
        says="ledger: all balances sum to zero, and each is the sum of its transfers",
        how="Per currency, all sums; per account, the folded balance and what waits to be folded against its transfers.",
        check=money.check_balances,
        narrow=True,
    ),
    Promise(
        code="ledger-currencies",
        about=About.money,
        rooms=("ledger",),
        says="ledger: no transfer mixes currencies or touches an account that does not exist",
        how="Each transfer's currency against those of its two accounts.",
        check=money.check_currencies,
        narrow=True,
    ),
    Promise(
        code="ledger-holds",
        about=About.money,
        rooms=("ledger",),
        says="ledger: each hold is settled at most once, and exactly",
        how="Each settling transfer against its hold: phase, amount, accounts; and how often a hold is settled.",
        check=money.check_holds,
        narrow=True,
    ),
    Promise(
        code="ledger-anchors",
        about=About.money,
        rooms=("ledger", "audit"),
        says="ledger: transfers that were sealed are as they were",
        how="The chained digests of all sealed stretches, made again. What is younger than an hour is not sealed yet.",
        check=money.check_anchors,
    ),
    Promise(
        code="shops-money",
        about=About.money,
        rooms=("orders", "payments", "aftersales", "settlement", "ledger"),
        says="ledger: what is held for each shop is what was paid for its orders, less refunds, ways back and settlement",
        how="Per shop and currency, the orders with refunds on their way, less freight and lines, against `shop_held`.",
        check=money.check_shops_money,
    ),
    Promise(
        code="subsidies",
        about=About.money,
        rooms=("orders", "ledger"),
        says="ledger: what the platform has added is what its coupons came to",
        how="Per currency, subsidies of paid orders less what came back, against `subsidy`.",
        check=money.check_subsidies,
    ),
    Promise(
        code="payments",
        about=About.money,
        rooms=("payments",),
        says="payments: amounts given back are the sums of refunds, and states follow",
        how="Each payment against its refunds and chargebacks; its state against its amounts.",
        check=money.check_payments,
        narrow=True,
    ),
    Promise(
        code="statements",
        about=About.money,
        rooms=("payments",),
        says="payments: providers' messages and statements agree with the books, or somebody has settled the difference",
        how="Differences by message and by statement that two operators have not settled.",
        check=money.check_statements,
    ),
    Promise(
        code="wallets",
        about=About.money,
        rooms=("payments", "aftersales", "ledger"),
        says="ledger: wallets, escrows and deposits hold what was paid into wallets; none is below zero but by a chargeback",
        how="Per currency, top-ups less chargebacks, and ways back paid by shops, against the three kinds of accounts.",
        check=money.check_wallets,
    ),
    Promise(
        code="escrows",
        about=About.money,
        rooms=("fun", "ledger"),
        says="fun: each escrow holds what its activity has still to give; of one that has ended, nothing",
        how="Each activity's amount less paid and returned against its escrow account.",
        check=money.check_escrows,
    ),
    Promise(
        code="activities",
        about=About.money,
        rooms=("fun",),
        says="fun: entries are counted and paid as written, deadlines have acted",
        how="Each activity's count and payments against its entries; none is due for five minutes.",
        check=money.check_activities,
    ),
    Promise(
        code="deposits",
        about=About.money,
        rooms=("trust", "ledger"),
        says="trust: each deposit is what was put in less payouts less what was taken back; payouts are within their caps",
        how="Each deposit against its movements, payouts and account; payouts against pledges and months.",
        check=money.check_deposits,
    ),
    Promise(
        code="coupons",
        about=About.orders,
        rooms=("offers",),
        says="offers: claims, uses and budget of each coupon are the sums of what was done with it; no claim is spent twice",
        how="Each coupon's three figures against claims and applications; each application against its claim.",
        check=money.check_coupons,
    ),
    Promise(
        code="discounts",
        about=About.orders,
        rooms=("offers", "orders"),
        says="offers: what coupons took off, and the platform's part of it, is on the orders",
        how="Applications against orders: how many, how much, how much of it the platform's.",
        check=money.check_discounts,
    ),
    Promise(
        code="teams",
        about=About.orders,
        rooms=("offers", "orders"),
        says="teams: seats are counted as they are, each is taken with an order in its state, deadlines have acted",
        how="Each team against its seats, each seat against its order, teams past their deadline.",
        check=goods.check_teams,
    ),
    Promise(
        code="settlement-worth",
        about=About.settlement,
        rooms=("orders", "settlement"),
        says="settlement: what is due and what was settled of each completed order is what it is worth",
        how="Each completed order's worth against its claims and its lines, together.",
        check=_check_worth,
        narrow=True,
    ),
    Promise(
        code="settlement-owed",
        about=About.settlement,
        rooms=("settlement", "ledger"),
        says="settlement: an owner's lines add up to what the ledger says is owed; so do commission and fees",
        how="Per owner and currency, lines against `payable`; per currency, against `commission` and `payment_fee`.",
        check=money.check_owed,
    ),
    Promise(
        code="settlement-divided",
        about=About.settlement,
        rooms=("settlement",),
        says="settlement: every order is settled once, in time, and divided by its own rates",
        how="Each sale's parts against its rates; orders that are due and settled, or settled twice; claims due for an hour.",
        check=money.check_divided,
    ),
    Promise(
        code="payouts",
        about=About.settlement,
        rooms=("settlement", "ledger"),
        says="payouts: money on its way out is that of payouts which have neither arrived nor come back",
        how="Per owner and currency, payouts that are drafted or sent against the `payout` account.",
        check=money.check_payouts,
    ),
    Promise(
        code="costs",
        about=About.money,
        rooms=("payments", "settlement", "ledger"),
        says="ledger: providers' costs are those of their statements, corrections those that two operators approved",
        how="Per currency, fees against `provider_cost`; corrections and settled differences against `correction`.",
        check=money.check_costs,
    ),
    Promise(
        code="claims",
        about=About.orders,
        rooms=("aftersales", "orders"),
        says="after-sales: open cases claim pieces that are left, closed ones gave what their orders gave",
        how="Pieces and money of cases against their orders' lines.",
        check=goods.check_claims,
    ),
    Promise(
        code="cases",
        about=About.orders,
        rooms=("aftersales",),
        says="after-sales: each case stands where its log says, and nothing is overdue",
        how="Each case against the last entry of its append-only log, and against its term.",
        check=goods.check_cases,
    ),
    Promise(
        code="reviews",
        about=About.orders,
        rooms=("aftersales",),
        says="reviews: stars and counts of products and shops are those of the reviews that are shown",
        how="Each product's and shop's seven sums against its shown reviews.",
        check=goods.check_reviews,
    ),
    Promise(
        code="news",
        about=About.service,
        rooms=("base",),
        says="news: every fact told has been carried, or waits for its turn",
        how="The outbox: nothing parked, nothing older than an hour.",
        check=running.check_news,
    ),
    Promise(
        code="webhooks",
        about=About.service,
        rooms=("webhooks",),
        says="webhooks: each message has its deliveries, each delivery its attempts, and none lies about",
        how="Messages against deliveries, deliveries against attempts; nothing due for ten minutes at an endpoint in service.",
        check=running.check_webhooks,
    ),
    Promise(
        code="jobs",
        about=About.service,
        rooms=("base",),
        says="jobs: every job that was asked for is done, or waits for its turn",
        how="The queue: nothing failed for good, nothing late by an hour.",
        check=running.check_jobs,
    ),
)
BY_CODE = {promise.code: promise for promise in PROMISES}


def document() -> str:
    """docs/invariants.md."""
    lines = [
        "# What the books promise",
        "",
        "Written by `laotie audit --document` from `src/laotie/audit/promises.py`; a test refuses drift. How and when it is",
        "checked is in [running.md](running.md#the-watch) and [ADR 0035](adr/0035-the-watch.md). Every promise has a fault that",
        "is planted by `tests/audit/test_faults.py` and found within one cycle.",
        "",
        "*minutely*: also looked at every minute, over what has changed since; the others are looked at whole, as often as",
        "they are cheap, and all of them in every whole check.",
        "",
        "| promise | what is compared | rooms | minutely |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| **{one.code}**: {one.says} | {one.how} | {', '.join(one.rooms)} | {'yes' if one.narrow else ''} |"
        for one in PROMISES
    ]
    return "\n".join(lines) + "\n"
