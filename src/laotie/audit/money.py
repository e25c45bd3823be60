"""Promises about money: the ledger by itself, and each kind of account against the room that says what it must hold."""

from laotie import aftersales, fun, ledger, offers, orders, payments, settlement, trust
from laotie.audit import anchors
from laotie.audit.goods import count_orders
from laotie.audit.model import Look, Seen, Wrong, differences, forgotten, wrong_of
from laotie.events.payments import PaymentCaptured, PaymentRefunded, PaymentRestored, PaymentReversed
from laotie.ledger import AccountKind, checking


async def check_balances(look: Look) -> Seen:
    """Balances against transfers; over what changed, from the sums at the last anchor on."""
    tx = look.tx
    wrong = [Wrong(f"all of {key}", "0", str(amount)) for key, amount in (await checking.sum_currencies(tx)).items()]
    wrong += wrong_of(await checking.list_stray_deltas(tx)) + wrong_of(await checking.list_unanswered(tx))
    if look.touched is not None:
        off = await anchors.list_balances_off(tx, sorted(look.touched.accounts))
        doubtful = bool(off)
        if doubtful:  # a balance, or what we keep of its past: the transfers themselves decide
            off = await checking.list_balances_off(tx)
        return Seen(len(look.touched.accounts), wrong + wrong_of(off), {anchors.SUMS_STALE: int(doubtful and not off)})
    counts = await checking.count_rows(tx)
    wrong += wrong_of(await checking.list_balances_off(tx))
    return Seen(counts.transfers, wrong, {"accounts": counts.accounts, "holds_open": counts.holds_open})


async def check_currencies(look: Look) -> Seen:
    """Transfers against the accounts on their two sides."""
    since = checking.ALWAYS if look.touched is None else look.touched.since
    return Seen(
        await checking.count_since(look.tx, since), wrong_of(await checking.list_misplaced(look.tx, since=since))
    )


async def check_holds(look: Look) -> Seen:
    """What settles a hold against the hold."""
    since = checking.ALWAYS if look.touched is None else look.touched.since
    return Seen(
        await checking.count_since(look.tx, since), wrong_of(await checking.list_settled_wrong(look.tx, since=since))
    )


async def check_anchors(look: Look) -> Seen:
    """The ledger's past against its seals."""
    rows, off = await anchors.list_broken(look.tx)
    return Seen(rows, off)


async def check_totals(look: Look) -> Seen:
    """Orders against their lines."""
    ids = None if look.touched is None else sorted(look.touched.orders)
    off = await orders.evidence.list_total_off(look.tx, ids)
    facts = await orders.evidence.count_states(look.tx) if ids is None else {}
    return Seen(await count_orders(look, ids), forgotten(off, "the sum of its lines"), facts)


async def check_given_back(look: Look) -> Seen:
    """What orders say was given or taken back against the rows that say what and when."""
    ids = None if look.touched is None else sorted(look.touched.orders)
    off = await orders.evidence.list_given_back_off(look.tx, ids)
    return Seen(await count_orders(look, ids), forgotten(off, "what was written down of it"))


async def check_shops_money(look: Look) -> Seen:
    """What buyers paid for a shop's orders and nobody was given yet, against the orders."""
    tx = look.tx
    expected = await orders.evidence.sum_held(tx)
    on_its_way = await payments.evidence.list_open_refunds(tx) + await orders.evidence.list_waiting_refunds(tx)
    on_its_way += [
        (one.event.order_id, one.event.payment_id, one.event.amount)
        for one in await look.waiting()
        if isinstance(one.event, PaymentRefunded)
    ]
    payers = await orders.evidence.find_payers(tx, sorted({order_id for order_id, _, _ in on_its_way}))
    for order_id, payment_id, amount in on_its_way:
        if order_id in payers and payers[order_id][2] == payment_id:
            key = payers[order_id][:2]
            expected[key] = expected.get(key, 0) + amount
    for taken in (await aftersales.evidence.sum_freight_by_shop(tx), await settlement.evidence.sum_taken(tx)):
        for key, amount in taken.items():
            expected[key] = expected.get(key, 0) - amount
    held = await ledger.list_balances(tx, AccountKind.shop_held)
    return Seen(
        len(expected),
        differences(
            {f"{shop_id} {currency}": amount for (shop_id, currency), amount in expected.items()},
            {f"{account.owner_id} {account.currency}": amount for account, amount in held.items()},
        ),
    )


async def check_subsidies(look: Look) -> Seen:
    """What the platform has added, against the orders."""
    expected = await orders.evidence.sum_subsidies(look.tx)
    rows = len(expected)
    found = await ledger.list_balances(look.tx, AccountKind.subsidy)
    return Seen(rows, differences(expected, {account.currency: -amount for account, amount in found.items()}))


async def check_payments(look: Look) -> Seen:
    """Payments against refunds, chargebacks and states."""
    if look.touched is not None:
        ids = sorted(look.touched.payments)
        return Seen(len(ids), wrong_of(await payments.evidence.list_payments_off(look.tx, ids)))
    counts = await payments.evidence.count_rows(look.tx)
    return Seen(
        counts.payments,
        wrong_of(await payments.evidence.list_payments_off(look.tx)),
        {"captured": counts.captured, "refunds_open": counts.refunds_open},
    )


async def check_statements(look: Look) -> Seen:
    """What providers say, in messages and statements, against what was settled of it."""
    counts = await payments.evidence.count_rows(look.tx)
    return Seen(counts.statement_lines, wrong_of(await payments.evidence.list_unresolved(look.tx)))


async def check_wallets(look: Look) -> Seen:
    """Wallets, escrows and deposits against what was paid in."""
    tx = look.tx
    wallets = await ledger.list_balances(tx, AccountKind.wallet)
    escrows = await ledger.list_balances(tx, AccountKind.escrow)
    deposits = await ledger.list_balances(tx, AccountKind.deposit)
    expected = await payments.sum_topups(tx)
    for currency, amount in (await aftersales.sum_freight(tx)).items():
        expected[currency] = expected.get(currency, 0) + amount
    for one in await look.waiting():
        event = one.event
        if isinstance(event, PaymentCaptured | PaymentReversed | PaymentRestored) and event.purpose == payments.Purpose.topup:
            sign = 1 if isinstance(event, PaymentReversed) else -1
            expected[event.currency] = expected.get(event.currency, 0) + sign * event.amount
    found: dict[str, int] = {}
    for account, amount in [*wallets.items(), *escrows.items(), *deposits.items()]:
        found[account.currency] = found.get(account.currency, 0) + amount
    wrong = differences(
        {f"in {key}": amount for key, amount in expected.items()}, {f"in {key}": amount for key, amount in found.items()}
    )
    reversed_ = await payments.sum_reversed_of_wallets(tx)
    for account, amount in wallets.items():
        assert account.owner_id is not None
        least = -reversed_.get((account.owner_id, account.currency), 0)
        if amount < least:
            wrong.append(Wrong(f"wallet {account.owner_id}", f"{least} or more", str(amount)))
    return Seen(len(wallets), wrong)


async def check_escrows(look: Look) -> Seen:
    """Escrows against what their activities have still to give."""
    tally = await fun.tally(look.tx)
    held = await ledger.list_balances(look.tx, AccountKind.escrow)
    return Seen(
        tally.activities,
        differences(
            {str(key): amount for key, amount in tally.kept.items()},
            {str(account.owner_id): amount for account, amount in held.items()},
        ),
        {"escrows_open": len(tally.kept)},
    )


async def check_activities(look: Look) -> Seen:
    """Activities against their entries, and the time."""
    tally = await fun.tally(look.tx)
    wrong = forgotten(tally.paid_off, "paid as its entries say") + forgotten(tally.count_off, "as many entries as counted")
    return Seen(tally.entries, wrong + forgotten(tally.overdue, "ended in time"))


async def check_deposits(look: Look) -> Seen:
    """Deposits against what was put in, paid and taken back; payouts against their caps."""
    tally = await trust.tally(look.tx)
    held = await ledger.list_balances(look.tx, AccountKind.deposit)
    wrong = differences(
        {f"deposit of {key}": amount for key, amount in tally.held.items()},
        {f"deposit of {account.owner_id}": amount for account, amount in held.items()},
    )
    wrong += [Wrong(f"sums of {key}", "those of its movements and payouts", "others") for key in tally.sums_off]
    wrong += [Wrong(f"month of {key}", "its payouts, within its cap", "something else") for key in tally.months_off]
    wrong += [Wrong(f"cap of {key}", "what its pledge allows", "more") for key in tally.caps_off]
    return Seen(tally.deposits + tally.payouts, wrong)


async def check_coupons(look: Look) -> Seen:
    """Coupons against claims and uses."""
    tally = await offers.tally(look.tx)
    sound = tally.is_sound
    return Seen(tally.coupons, [] if sound else wrong_of(await offers.evidence.list_coupons_off(look.tx)))


async def check_discounts(look: Look) -> Seen:
    """What coupons took off against what orders were lowered by."""
    names = ("orders", "amount", "subsidy")
    taken = dict(zip(names, await orders.sum_discounts(look.tx), strict=True))
    given = dict(zip(names, await offers.sum_applied(look.tx), strict=True))
    return Seen(taken["orders"], differences(given, taken))


async def check_owed(look: Look) -> Seen:
    """Lines of statements against the ledger."""
    tally = await settlement.tally(look.tx)
    payable = await ledger.list_balances(look.tx, AccountKind.payable)
    commission = await ledger.list_balances(look.tx, AccountKind.commission)
    fees = await ledger.list_balances(look.tx, AccountKind.payment_fee)
    wrong = differences(
        {f"{owner_id} {currency}": amount for (owner_id, currency), amount in tally.owed.items()},
        {f"{account.owner_id} {account.currency}": amount for account, amount in payable.items()},
    )
    for name, expected, found in (("commission", tally.platform, commission), ("fees", tally.payment, fees)):
        wrong += differences(
            {f"{name} in {currency}": amount for currency, amount in expected.items()},
            {f"{name} in {account.currency}": amount for account, amount in found.items()},
        )
    return Seen(tally.lines, wrong)


async def check_divided(look: Look) -> Seen:
    """Sales on statements against their rates, each order once, each in time."""
    tally = await settlement.tally(look.tx)
    wrong = forgotten(tally.split_off, "divided by its own rates") + forgotten(tally.twice, "settled once")
    if tally.late:
        wrong.append(Wrong("settlement", "nothing due for an hour", f"{tally.late} claims"))
    return Seen(tally.lines + tally.claims, wrong)


async def check_payouts(look: Look) -> Seen:
    """Money on its way out against the payouts that have not ended."""
    expected = await settlement.evidence.sum_payouts(look.tx)
    found = await ledger.list_balances(look.tx, AccountKind.payout)
    return Seen(
        await settlement.evidence.count_payouts(look.tx),
        differences(
            {f"{owner_id} {currency}": amount for (owner_id, currency), amount in expected.items()},
            {f"{account.owner_id} {account.currency}": amount for account, amount in found.items()},
        ),
    )


async def check_costs(look: Look) -> Seen:
    """What providers cost and what was corrected by hand, against statements and what two operators approved."""
    fees = await payments.evidence.sum_fees(look.tx)
    corrected = await settlement.evidence.sum_corrections(look.tx)
    for currency, amount in (await payments.evidence.sum_resolutions(look.tx)).items():
        corrected[currency] = corrected.get(currency, 0) - amount
    wrong: list[Wrong] = []
    for kind, expected in ((AccountKind.provider_cost, fees), (AccountKind.correction, corrected)):
        found = await ledger.list_balances(look.tx, kind)
        wrong += differences(
            {f"{kind} {currency}": amount for currency, amount in expected.items()},
            {f"{kind} {account.currency}": -amount for account, amount in found.items()},
        )
    return Seen(len(fees) + len(corrected), wrong)
