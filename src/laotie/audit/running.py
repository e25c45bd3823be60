"""Promises about what keeps running: deadlines that act, news that arrive, jobs that get done."""

from datetime import datetime, timedelta

from laotie import orders, webhooks
from laotie.audit.goods import GRACE, count_orders
from laotie.audit.model import Look, Seen, Wrong, forgotten, wrong_of
from laotie.base import jobs
from laotie.base.outbox import measure_backlog

NEWS_LATE = timedelta(hours=1)
JOBS_LATE_S = 3_600.0


async def check_deadlines(look: Look) -> Seen:
    """Every unpaid order, and with it its hold and its stock, comes to an end."""
    rows = await count_orders(look, None)
    return Seen(rows, forgotten(await orders.evidence.list_never_due(look.tx), "on the agenda"))


async def check_overdue(look: Look) -> Seen:
    """No hold is older than its order's time to pay; nothing on the agenda is stuck."""
    off = await orders.evidence.list_overdue(look.tx, look.tx.now - GRACE)
    return Seen(await count_orders(look, None), wrong_of(off))


async def check_news(look: Look) -> Seen:
    """Every fact told is carried."""
    backlog = await measure_backlog(look.tx)
    wrong = [Wrong("outbox", "nothing parked", f"{backlog.parked} parked")] if backlog.parked else []
    by_the_wall = await look.tx.one(datetime, "SELECT now()")  # as for jobs: nobody moves the database's clock
    if backlog.oldest_at is not None and backlog.oldest_at < by_the_wall - NEWS_LATE:
        wrong.append(Wrong("outbox", "carried within the hour", f"told at {backlog.oldest_at:%Y-%m-%d %H:%M}"))
    return Seen(backlog.waiting + backlog.parked, wrong, {"parked": backlog.parked})


async def check_jobs(look: Look) -> Seen:
    """Every job is done, in time."""
    off = await jobs.list_failed(look.tx, late_s=JOBS_LATE_S)
    wrong = [Wrong(f"{one.name} {one.id}", "done", "failed" if one.state == "failed" else "late") for one in off]
    return Seen(await jobs.count_waiting(look.tx), wrong)


async def check_webhooks(look: Look) -> Seen:
    """Every message has its deliveries, each its attempts, and none lies about."""
    tally = await webhooks.tally(look.tx)
    wrong = forgotten(tally.lost, "as many deliveries as it was told to")
    wrong += forgotten(tally.attempts_off, "as its attempts say") + forgotten(tally.overdue, "on its way in time")
    return Seen(tally.deliveries, wrong, {"waiting": tally.waiting, "given_up": tally.given_up})
