"""A fault for every promise: SQL that breaks it behind the house's back. The last statement names the subject.

Run as a superuser with triggers and foreign keys off, as somebody who means harm would.
"""

from typing import LiteralString, NamedTuple

from laotie.base.db import Tx


class Fault(NamedTuple):
    """What is wrong, and how to make it so."""

    name: str
    steps: tuple[LiteralString, ...]


def _on_account(kind: LiteralString, columns: LiteralString, subject: LiteralString) -> tuple[LiteralString, ...]:
    """Five units more on an account that nobody moved; `subject` names it in the finding."""
    return (
        "INSERT INTO ledger.account (id, kind, owner_id, currency, opened_at) VALUES ('00000000-0000-4000-8000-0000000000f1', '"
        + kind
        + "', '00000000-0000-4000-8000-0000000000f2', 'CNY', now())",
        "INSERT INTO ledger.balance (account_id, " + columns + ") VALUES ('00000000-0000-4000-8000-0000000000f1', 5)",
        "SELECT " + subject,
    )


_OWNER = "'00000000-0000-4000-8000-0000000000f2'"
_TEAM: LiteralString = """
    INSERT INTO offers.team (id, offer_id, shop_id, product_id, opened_by, size, state, held_count, opened_at, deadline_at)
    VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 3, 'gathering',
"""
_WAVE: LiteralString = """
    INSERT INTO live.wave (id, show_id, item_id, product_id, no, state, created_at, opened_at, ends_at, digest)
    VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, 'open', now(), now(),
"""
_TRANSFER: LiteralString = """
    INSERT INTO ledger.transfer (id, debit_id, credit_id, amount, currency, phase, settles_id, reason, subject_id, made_at)
"""
_CASE: LiteralString = """
    INSERT INTO aftersales.case (id, digest, order_id, shop_id, buyer_id, kind, reason, state, currency, amount, is_part,
                                 must_return, opened_at, changed_at, due_at)
    SELECT '00000000-0000-4000-8000-0000000000f3', '', id, shop_id, buyer_id, 'refund_only', 'x', 'asked', currency, 1,
           false, false, now(), now(), %s FROM orders."order" WHERE state = 'paid' LIMIT 1
"""
_SALE: LiteralString = """
    INSERT INTO settlement.line (id, kind, shop_id, order_id, currency, goods_amount, platform_bps, platform_amount,
                                 net_amount, booked_on, booked_at, subject_id)
    VALUES (gen_random_uuid(), 'sale', gen_random_uuid(), '00000000-0000-4000-8000-0000000000f4', 'CNY', 1000, 100,
"""
_DUE: LiteralString = """
    INSERT INTO settlement.due (order_id, no, shop_id, currency, goods_amount, shipping_amount, subsidy_amount,
                                platform_bps, payment_bps, streamer_bps, held_id, payable_id, completed_at, due_at)
    VALUES ('00000000-0000-4000-8000-0000000000f4', 0, gen_random_uuid(), 'CNY', 1000, 0, 0, 100, 0, 0,
            gen_random_uuid(), gen_random_uuid(), now(),
"""

FAULTS: dict[str, tuple[Fault, ...]] = {
    "stock": (
        Fault(
            "a piece is gone",
            ("UPDATE catalog.sku SET available = available - 1, sold = sold + 1 WHERE price_amount = 990 RETURNING id::text",),
        ),
    ),
    "asides": (
        Fault(
            "a piece is set aside for nobody",
            ("UPDATE catalog.sku SET available = available - 1, aside = 1 WHERE price_amount = 990 RETURNING id || ' all'",),
        ),
    ),
    "waves": (
        Fault("a wave has no pieces", (_WAVE + "NULL, '') RETURNING id::text",)),
        Fault("a wave never ended", (_WAVE + "'2001-01-01', '') RETURNING id::text",)),
        Fault(
            "pieces are set aside for no wave",
            ("INSERT INTO catalog.aside (id, sku_id, put, remaining) SELECT gen_random_uuid(), id, 1, 0 FROM catalog.sku "
             "LIMIT 1 RETURNING id::text",),
        ),
    ),
    "orders-stock": (
        Fault(
            "a movement is gone",
            ("DELETE FROM catalog.stock_movement WHERE ctid = "
             "(SELECT min(ctid) FROM catalog.stock_movement WHERE kind = 'sold') RETURNING order_id::text",),
        ),
    ),
    "orders-hold": (
        Fault(
            "a hold was never posted",
            ("DELETE FROM ledger.transfer WHERE ctid = (SELECT min(ctid) FROM ledger.transfer "
             "WHERE settles_id IS NOT NULL AND phase = 'posted') RETURNING subject_id::text",),
        ),
        Fault(
            "a hold is without an order",
            (_TRANSFER + "SELECT gen_random_uuid(), debit_id, credit_id, 1, currency, 'pending', NULL, 'order', "
             "gen_random_uuid(), now() FROM ledger.transfer WHERE phase = 'pending' LIMIT 1 RETURNING subject_id::text",),
        ),
    ),
    "orders-kept": (
        Fault(
            "an order was paid by nobody",
            ("""UPDATE orders."order" SET state = 'paid' WHERE state = 'placed' RETURNING id::text""",),
        ),
    ),
    "ledger-money": (
        Fault(
            "a capture was made up",
            ("UPDATE payments.payment SET state = 'captured', captured_at = now() WHERE state = 'failed' "
             "RETURNING order_id::text",),
        ),
    ),
    "orders-total": (
        Fault(
            "a total was changed",
            ("""UPDATE orders."order" SET total_amount = total_amount + 1 WHERE state = 'cancelled' RETURNING id::text""",),
        ),
    ),
    "orders-given-back": (
        Fault(
            "a refund is on the order alone",
            ("""UPDATE orders."order" SET refunded_amount = 1 WHERE state = 'paid' RETURNING id::text""",),
        ),
        Fault(
            "a chargeback is on the order alone",
            ("""UPDATE orders."order" SET reversed_amount = 1 WHERE state = 'paid' RETURNING id::text""",),
        ),
    ),
    "orders-deadline": (
        Fault(
            "a deadline was lost",
            ("UPDATE orders.sweep SET swept_to = 'ffffffff-ffff-ffff-ffff-ffffffffffff'",
             """SELECT min(id::text) FROM orders."order" WHERE state = 'placed'"""),
        ),
    ),
    "orders-overdue": (
        Fault(
            "a hold outlives its order's time",
            ("""UPDATE orders."order" SET pay_by = '2001-01-01' WHERE state = 'placed' RETURNING id::text""",),
        ),
        Fault(
            "an entry is stuck",
            ("INSERT INTO orders.agenda (kind, id, order_id, due_at) "
             "VALUES ('overdue', gen_random_uuid(), gen_random_uuid(), '2001-01-01') RETURNING order_id::text",),
        ),
    ),
    "orders-listed": (
        Fault(
            "a shop's list is wrong",
            ("UPDATE orders.shop_feed SET state = 'shipped' WHERE state = 'paid' RETURNING order_id::text",),
        ),
    ),
    "shows": (
        Fault("a paid order too many", ("UPDATE orders.show_total SET paid_orders = paid_orders + 1 RETURNING show_id::text",)),
        Fault("an amount is wrong", ("UPDATE orders.show_sale SET amount = amount + 1 RETURNING show_id::text",)),
    ),
    "parcels": (
        Fault("pieces were sent in no parcel", ("UPDATE orders.line SET shipped_quantity = 1 RETURNING order_id::text",)),
    ),
    "invoices": (
        Fault(
            "a number is missing",
            ("INSERT INTO orders.invoice_count (shop_id, last_number) VALUES (gen_random_uuid(), 7) RETURNING shop_id::text",),
        ),
    ),
    "ledger-balances": (
        Fault(
            "what is to be folded was touched",
            ("UPDATE ledger.delta SET credits_posted = credits_posted + 1 "
             "WHERE ctid = (SELECT min(ctid) FROM ledger.delta) RETURNING account_id::text",),
        ),
        Fault(
            "a balance drifts",
            ("UPDATE ledger.balance SET debits_posted = debits_posted + 1 "
             "WHERE ctid = (SELECT min(ctid) FROM ledger.balance) RETURNING account_id::text",),
        ),
        Fault(
            "money was made",
            ("UPDATE ledger.balance SET debits_posted = debits_posted + 1", "SELECT 'all of CNY'"),
        ),
        Fault(
            "money lies where nobody looks",
            ("INSERT INTO ledger.account (id, kind, currency, opened_at) "
             "VALUES ('00000000-0000-4000-8000-0000000000f1', 'released', 'CNY', now())",
             "INSERT INTO ledger.balance (account_id) VALUES ('00000000-0000-4000-8000-0000000000f1')",
             _TRANSFER + "SELECT gen_random_uuid(), (SELECT id FROM ledger.account WHERE kind = 'provider' LIMIT 1), "
             "'00000000-0000-4000-8000-0000000000f1', 5, 'CNY', 'posted', NULL, 'x', gen_random_uuid(), now()",
             "INSERT INTO ledger.delta (id, account_id, currency, debits_pending, credits_pending, debits_posted, "
             "credits_posted) SELECT gen_random_uuid(), id, 'CNY', 0, 0, CASE kind WHEN 'provider' THEN 5 ELSE 0 END, "
             "CASE kind WHEN 'provider' THEN 0 ELSE 5 END FROM ledger.account WHERE kind IN ('provider', 'released')",
             "SELECT '00000000-0000-4000-8000-0000000000f1'"),
        ),
        Fault(
            "something is left to fold in another currency",
            ("INSERT INTO ledger.delta (id, account_id, currency, debits_pending, credits_pending, debits_posted, "
             "credits_posted) SELECT gen_random_uuid(), id, 'XXX', 0, 0, 0, 0 FROM ledger.account LIMIT 1 RETURNING id::text",),
        ),
    ),
    "ledger-currencies": (
        Fault(
            "a transfer mixes currencies",
            (_TRANSFER + "SELECT gen_random_uuid(), debit_id, credit_id, 1, 'USD', 'posted', NULL, 'x', gen_random_uuid(), "
             "now() FROM ledger.transfer LIMIT 1 RETURNING id::text",),
        ),
        Fault(
            "a transfer to nowhere",
            (_TRANSFER + "SELECT gen_random_uuid(), gen_random_uuid(), credit_id, 1, 'CNY', 'posted', NULL, 'x', "
             "gen_random_uuid(), now() FROM ledger.transfer LIMIT 1 RETURNING id::text",),
        ),
    ),
    "ledger-holds": (
        Fault(
            "more was posted than held",
            ("UPDATE ledger.transfer SET amount = amount + 1 WHERE ctid = (SELECT min(ctid) FROM ledger.transfer "
             "WHERE settles_id IS NOT NULL) RETURNING settles_id::text",),
        ),
        Fault(
            "a hold was settled twice",
            ("DROP INDEX ledger.transfer_settles",
             _TRANSFER + "SELECT gen_random_uuid(), debit_id, credit_id, amount, currency, phase, settles_id, reason, "
             "subject_id, made_at FROM ledger.transfer WHERE settles_id IS NOT NULL LIMIT 1 RETURNING settles_id::text"),
        ),
    ),
    "ledger-anchors": (
        Fault(
            "an old transfer was rewritten",
            ("UPDATE ledger.transfer SET reason = 'another' WHERE made_at = (SELECT min(made_at) FROM ledger.transfer) "
             "RETURNING 'anchor 1'",),
        ),
        Fault(
            "an old transfer was slipped in",
            (_TRANSFER + "SELECT gen_random_uuid(), debit_id, credit_id, 1, currency, 'posted', NULL, 'x', gen_random_uuid(), "
             "made_at FROM ledger.transfer ORDER BY made_at LIMIT 1 RETURNING 'anchor 1'",),
        ),
    ),
    "shops-money": (
        Fault("a shop has what nobody paid", _on_account("shop_held", "credits_posted", _OWNER + " || ' CNY'")),
    ),
    "subsidies": (Fault("the platform added to nothing", _on_account("subsidy", "debits_posted", "'CNY'")),),
    "payments": (
        Fault(
            "a refund was forgotten",
            ("DELETE FROM payments.refund WHERE id = (SELECT min(id::text)::uuid FROM payments.refund) "
             "RETURNING payment_id::text",),
        ),
        Fault(
            "a state does not follow",
            ("UPDATE payments.payment SET state = 'reversed' WHERE state = 'captured' RETURNING id::text",),
        ),
    ),
    "statements": (
        Fault(
            "a provider says something else",
            ("INSERT INTO payments.discrepancy (id, provider, event_id, kind, expected, found, found_at) "
             "VALUES (gen_random_uuid(), 'sandbox', 'x', 'amount', '1', '2', now()) RETURNING id::text",),
        ),
        Fault(
            "a statement says something else",
            ("INSERT INTO payments.statement_difference (statement_id, no, kind, reference, expected, found) "
             "VALUES (gen_random_uuid(), 1, 'missing', 'x', '1', '2') RETURNING statement_id::text",),
        ),
    ),
    "wallets": (
        Fault("a wallet is below zero", _on_account("wallet", "debits_posted", "'wallet ' || " + _OWNER)),
        Fault("a wallet has what nobody paid in", _on_account("wallet", "credits_posted", "'in CNY'")),
    ),
    "escrows": (Fault("an escrow without an activity", _on_account("escrow", "credits_posted", _OWNER)),),
    "activities": (
        Fault(
            "an entry is counted that is not there",
            ("""
             INSERT INTO fun.activity (id, kind, state, show_id, shop_id, host_id, maker_id, title, plan, followers_only,
                 follow_minutes, duration_s, digest, currency, amount, entry_count, counts, created_at)
             VALUES (gen_random_uuid(), 'poll', 'closed', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),
                     gen_random_uuid(), 'x', '{}', false, 0, 1, '', 'CNY', 0, 1, '{}', now()) RETURNING id::text
             """,),
        ),
    ),
    "deposits": (
        Fault(
            "a deposit that is not in the ledger",
            ("INSERT INTO trust.deposit (shop_id, currency, put_in_amount, opened_at) "
             "VALUES (gen_random_uuid(), 'CNY', 5, now()) RETURNING 'deposit of ' || shop_id",),
        ),
    ),
    "coupons": (
        Fault(
            "a claim is counted that is not there",
            ("""
             INSERT INTO offers.coupon (id, shop_id, layer, title, kind, currency, threshold_amount, off_amount, new_buyer,
                 alone, quantity, per_person, budget_amount, claimed_count, starts_at, ends_at, made_by, digest, created_at)
             VALUES (gen_random_uuid(), gen_random_uuid(), 'shop', 'x', 'fixed', 'CNY', 0, 1, false, false, 1, 1, 1, 1,
                     now(), now() + interval '1 day', gen_random_uuid(), '', now()) RETURNING id::text
             """,),
        ),
    ),
    "discounts": (
        Fault(
            "an order was lowered by no coupon",
            ("""UPDATE orders."order" SET discount_amount = 1 WHERE state = 'paid' RETURNING 'amount'""",),
        ),
    ),
    "teams": (
        Fault("a seat is counted that is not there", (_TEAM + "1, now(), now() + interval '1 day') RETURNING id::text",)),
        Fault("a team outlives its deadline", (_TEAM + "0, '2001-01-01', '2001-01-02') RETURNING id::text",)),
        Fault(
            "a seat was taken with no order",
            ("INSERT INTO offers.seat (team_id, buyer_id, offer_id, order_id, quantity, state, taken_at) VALUES "
             "(gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, 'paid', now()) "
             "RETURNING order_id::text",),
        ),
    ),
    "settlement-worth": (
        Fault(
            "a completed order is due to nobody",
            ("""UPDATE orders."order" SET completed_at = now() WHERE state = 'paid' RETURNING id::text""",),
        ),
        Fault(
            "what was won back of an order that had been given back is due to nobody",
            ("""UPDATE orders."order" SET state = 'refunded', ended_at = now() WHERE state = 'paid' RETURNING id::text""",),
        ),
        Fault("something is due of no order", (_DUE + "now()) RETURNING order_id::text",)),
    ),
    "settlement-owed": (
        Fault(
            "a line has no transfer",
            ("INSERT INTO settlement.line (id, kind, shop_id, currency, net_amount, booked_on, booked_at, subject_id) VALUES "
             "(gen_random_uuid(), 'correction', gen_random_uuid(), 'CNY', 5, now(), now(), gen_random_uuid()) "
             "RETURNING shop_id || ' CNY'",),
        ),
    ),
    "settlement-divided": (
        Fault(
            "the platform took more than its rate",
            (_SALE + "11, 989, now(), now(), gen_random_uuid()) RETURNING id::text",),
        ),
        Fault(
            "an order is settled and due",
            (_DUE + "now())", _SALE + "10, 990, now(), now(), gen_random_uuid())",
             "SELECT '00000000-0000-4000-8000-0000000000f4'"),
        ),
        Fault("nobody settles", (_DUE + "'2001-01-01') RETURNING 'settlement'",)),
    ),
    "payouts": (Fault("money is on its way to nobody", _on_account("payout", "credits_posted", _OWNER + " || ' CNY'")),),
    "costs": (
        Fault("a cost that no provider stated", _on_account("provider_cost", "debits_posted", "'provider_cost CNY'")),
        Fault("a correction that nobody approved", _on_account("correction", "debits_posted", "'correction CNY'")),
    ),
    "claims": (
        Fault(
            "a case claims what was never sold",
            (_CASE.replace("%s", "now() + interval '1 day'"),
             """
             INSERT INTO aftersales.line (case_id, no, order_id, sku_id, product_id, title, options, quantity,
                                          bought_quantity, amount)
             SELECT claim.id, 1, order_id, gen_random_uuid(), gen_random_uuid(), 'x', '{}', 99, 99, 1
             FROM aftersales.case AS claim WHERE reason = 'x' RETURNING order_id || ' 1'
             """),
        ),
    ),
    "cases": (
        Fault(
            "a case stands where no entry led it",
            (_CASE.replace("%s", "now() + interval '1 day'"), "SELECT '00000000-0000-4000-8000-0000000000f3'"),
        ),
        Fault(
            "a term is over without consequence",
            (_CASE.replace("%s", "'2001-01-01'"), "SELECT '00000000-0000-4000-8000-0000000000f3'"),
        ),
    ),
    "lake-money": (
        Fault(
            "money moved that no figure knows of",
            ("""
             INSERT INTO ledger.transfer (id, debit_id, credit_id, amount, currency, phase, reason, subject_id, made_at)
             SELECT gen_random_uuid(), credit_id, debit_id, 7, currency, 'posted', 'refund', subject_id, made_at
             FROM ledger.transfer WHERE phase = 'posted' AND reason = 'paid' LIMIT 1
             RETURNING to_char(made_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD') || ' CNY refunded'
             """,),
        ),
        Fault(
            "a payment is gone from the ledger",
            ("""
             DELETE FROM ledger.transfer WHERE phase = 'posted' AND reason = 'paid'
             RETURNING to_char(made_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD') || ' CNY paid'
             """,),
        ),
    ),
    "reviews": (
        Fault(
            "a star nobody gave",
            ("INSERT INTO aftersales.review_sum (subject_id, review_count, goods_sum) VALUES (gen_random_uuid(), 1, 5) "
             "RETURNING subject_id::text",),
        ),
    ),
    "lake-current": (
        Fault(
            "a process whose disk is lost holds the watermark",
            ("INSERT INTO lake.process (name, until_at, told_at) VALUES ('0123456789abcdef', '2001-01-01', '2001-01-01') "
             "RETURNING 'process ' || name",),
        ),
        Fault(
            "a fact that no figure will ever know of is parked",
            ("INSERT INTO base.outbox (id, tag, body, told_at, parked) "
             "VALUES (gen_random_uuid(), 'order.paid', '{}', '2001-01-01', true) RETURNING 'fact ' || id",),
        ),
    ),
    "news": (
        Fault(
            "a fact is parked",
            ("INSERT INTO base.outbox (id, tag, body, told_at, parked) VALUES (gen_random_uuid(), 'x', '{}', now(), true) "
             "RETURNING 'outbox'",),
        ),
        Fault(
            "nobody carries",
            ("INSERT INTO base.outbox (id, tag, body, told_at) VALUES (gen_random_uuid(), 'x', '{}', '2001-01-01') "
             "RETURNING 'outbox'",),
        ),
    ),
    "webhooks": (
        Fault(
            "a delivery was lost",
            ("INSERT INTO webhooks.message (event_id, shop_id, type, body, delivery_count, at) "
             "VALUES (gen_random_uuid(), gen_random_uuid(), 'x', '{}', 1, now()) RETURNING event_id::text",),
        ),
        Fault(
            "a delivery is said to have arrived",
            ("INSERT INTO webhooks.delivery (id, event_id, endpoint_id, state, ended_at) "
             "VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'delivered', now()) RETURNING id::text",),
        ),
    ),
    "jobs": (
        Fault(
            "a job has failed",
            ("INSERT INTO procrastinate_jobs (task_name, queue_name, args, status) VALUES ('x', 'default', '{}', 'failed') "
             "RETURNING 'x ' || id",),
        ),
        Fault(
            "a job is forgotten",
            ("INSERT INTO procrastinate_jobs (task_name, queue_name, args, scheduled_at) "
             "VALUES ('x', 'default', '{}', '2001-01-01') RETURNING 'x ' || id",),
        ),
    ),
}


class Undo(Exception):
    """Roll the fault back."""


async def plant(tx: Tx, fault: Fault) -> str:
    """Break it, past triggers and foreign keys; returns what of it is broken."""
    await tx.run("SET LOCAL session_replication_role = replica")
    for step in fault.steps[:-1]:
        await tx.run(step)
    named = await tx.all(str, fault.steps[-1])
    assert named, f"nothing to break: {fault.name}"
    return named[0]
