"""Drafting: who can be paid now gets a payout in a batch, by hand or once a day, and their money is set aside for it.

In chunks, a transaction each, one drafter at a time (an advisory lock, before the batch's row). Ids follow from the day,
the batch and the owner: whatever a crash left is gone on with, nobody is drafted twice and nobody is skipped.
"""

from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from laotie import identity, ledger
from laotie.base.db import Database, Tx
from laotie.base.money import exponent
from laotie.base.refusals import IdReused
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.ledger import Account, AccountKind
from laotie.settlement.batches import find_batch
from laotie.settlement.lines import book_owner
from laotie.settlement.model import LineKind, day_of
from laotie.settlement.payees import PAGE_SIZE_MAX, list_payees, list_providers
from laotie.settlement.payout_model import (
    BATCH_PAYOUTS_MAX,
    CHUNK,
    Batch,
    BatchId,
    BatchState,
    Channel,
    NothingToPay,
    Payee,
    Route,
    Waiting,
    daily_batch_id,
    payout_id,
)

DRAFT_LOCK = 0x9A707


async def draft_batch(
    db: Database, actor: Actor, settings: Settings, batch_id: BatchId, *, channel: str, currency: str
) -> Batch:
    """Draft a payout for everybody who can be paid now over a channel. For operators; opens its own transactions.

    The same id again gives the same batch. Refuses `NothingToPay`, `IdReused`.
    """
    operator_id = actor.require_operator()
    exponent(currency)
    while await draft_some(db, settings, batch_id, channel=channel, currency=currency, actor=actor):
        pass
    async with db.read() as tx:
        batch = await find_batch(tx, batch_id)
    if batch is None:
        raise NothingToPay()
    if (batch.channel, batch.currency, batch.drafted_by) != (channel, currency, operator_id):
        raise IdReused()
    return batch


async def draft_day(db: Database, settings: Settings) -> int:
    """The day's batches: one for each channel and currency, more where one is too small. Once a day."""
    async with db.read() as tx:
        day = day_of(tx.now, settings.books_zone)
        hour = tx.now.astimezone(ZoneInfo(settings.books_zone)).hour
        if not 0 <= settings.payout_draft_hour <= hour or await tx.all(
            bool, "SELECT true FROM settlement.payout_day WHERE day_on = %(day)s", day=day
        ):
            return 0
        wanted = await _list_channels(tx, settings)
    for channel, currency in wanted:
        no, is_full = 0, True
        while is_full:
            batch_id = daily_batch_id(day.isoformat(), channel, currency, no)
            while await draft_some(db, settings, batch_id, channel=channel, currency=currency):
                pass
            async with db.read() as tx:
                batch = await find_batch(tx, batch_id)
            is_full = batch is not None and sum(batch.counts.values()) >= BATCH_PAYOUTS_MAX
            no += 1
    async with db.tx() as tx:
        await tx.run(
            "INSERT INTO settlement.payout_day (day_on, drafted_at) VALUES (%(day)s, %(now)s) ON CONFLICT DO NOTHING",
            day=day,
            now=tx.now,
        )
    return 0


async def _list_channels(tx: Tx, settings: Settings) -> list[tuple[str, str]]:
    currencies = {account.currency for account in await ledger.list_balances(tx, AccountKind.payable)}
    return [
        (channel, currency)
        for currency in sorted(currencies)
        for channel in [*map(str, Channel), *list_providers(settings, currency)]
    ]


async def draft_some(
    db: Database, settings: Settings, batch_id: BatchId, *, channel: str, currency: str, actor: Actor | None = None
) -> bool:
    """Draft some payouts of a batch that is being drafted, or that does not exist yet; whether there may be more."""
    async with db.tx() as tx:
        await tx.run("SELECT pg_advisory_xact_lock(%(key)s)", key=DRAFT_LOCK)
        batch = await find_batch(tx, batch_id, lock=True)
        if batch is not None and (batch.state is not BatchState.drafting or batch.channel != channel):
            return False
        count = sum(batch.counts.values()) if batch else 0
        reached, payees = await _next_ready(
            tx,
            settings,
            channel,
            currency,
            after=batch.reached_id if batch else None,
            limit=min(CHUNK, BATCH_PAYOUTS_MAX - count),
        )
        if batch is None:
            if not payees:
                return False
            await _open_batch(tx, settings, batch_id, channel=channel, currency=currency, actor=actor)
        await _write_payouts(tx, settings, batch_id, payees)
        is_done = reached is None or count + len(payees) >= BATCH_PAYOUTS_MAX
        await tx.run(
            "UPDATE settlement.payout_batch SET reached_id = %(reached)s, state = %(state)s WHERE id = %(id)s",
            id=batch_id,
            reached=reached,
            state=BatchState.drafted if is_done else BatchState.drafting,
        )
        return not is_done


async def _next_ready(
    tx: Tx, settings: Settings, channel: str, currency: str, *, after: UUID | None, limit: int
) -> tuple[UUID | None, list[Payee]]:
    """The next owners who can be paid over a channel, and up to whom was looked; `None`: there is nobody further."""
    while True:
        page = await list_payees(tx, settings, currency=currency, after=after, limit=PAGE_SIZE_MAX)
        ready = [one for one in page if one.waiting is Waiting.ready and one.channel == channel]
        if len(ready) > limit:
            return ready[limit - 1].owner_id, ready[:limit]
        if len(page) < PAGE_SIZE_MAX:
            return None, ready
        after = page[-1].owner_id
        if ready:
            return after, ready


async def _open_batch(
    tx: Tx, settings: Settings, batch_id: BatchId, *, channel: str, currency: str, actor: Actor | None
) -> None:
    route = Route.bank if channel in list(Channel) else Route.provider
    await tx.run(
        """
        INSERT INTO settlement.payout_batch (id, route, channel, currency, minimum_amount, state, drafted_by, drafted_at)
        VALUES (%(id)s, %(route)s, %(channel)s, %(currency)s, %(minimum)s, 'drafting', %(by)s, %(now)s)
        """,
        id=batch_id,
        route=route,
        channel=channel,
        currency=currency,
        minimum=settings.payout_minimum,
        by=actor.require_operator() if actor else None,
        now=tx.now,
    )
    await identity.record(
        tx, actor, "payout_batch.drafted", subject=str(batch_id), route=route, channel=channel, currency=currency
    )


async def _write_payouts(tx: Tx, settings: Settings, batch_id: BatchId, payees: list[Payee]) -> None:
    """The payouts' rows, and their money out of what is owed."""
    if not payees:
        return
    written = await tx.all(
        UUID,
        """
        INSERT INTO settlement.payout (id, batch_id, owner_id, is_shop, currency, amount, account_id, state, drafted_at)
        SELECT id, %(batch_id)s, owner_id, is_shop, %(currency)s, amount, account_id, 'drafted', %(now)s
        FROM unnest(%(ids)s::uuid[], %(owners)s::uuid[], %(shops)s::boolean[], %(amounts)s::bigint[],
                    %(accounts)s::uuid[]) AS payee (id, owner_id, is_shop, amount, account_id)
        ON CONFLICT DO NOTHING RETURNING id
        """,
        batch_id=batch_id,
        currency=payees[0].currency,
        ids=[payout_id(batch_id, one.owner_id) for one in payees],
        owners=[one.owner_id for one in payees],
        shops=[one.is_shop for one in payees],
        amounts=[one.amount for one in payees],
        accounts=[one.account_id for one in payees],
        now=tx.now,
    )
    for one in payees:
        id_ = payout_id(batch_id, one.owner_id)
        if id_ in written:
            await book_owner(
                tx,
                line_id=uuid5(id_, "out"),
                kind=LineKind.payout,
                owner_id=one.owner_id,
                is_shop=one.is_shop,
                currency=one.currency,
                amount=-one.amount,
                against=on_its_way(one.owner_id, one.currency),
                reason="payout",
                subject_id=id_,
                zone=settings.books_zone,
            )


def on_its_way(owner_id: UUID, currency: str) -> Account:
    """An owner's money that is in a payout."""
    return Account(AccountKind.payout, currency, owner_id)
