"""Letting money go into sellers' own accounts at a provider: asked for in a transaction, sent by a job, ended by news.

A provider that cannot be reached is asked again for as long as it takes, under the same id, so that nothing is handed
over twice; what it refuses for good ends in `ReleaseFailed` and nothing has moved.
"""

from datetime import timedelta
from uuid import UUID

import msgspec

from laotie.base import jobs
from laotie.base.db import Tx
from laotie.base.logs import log
from laotie.base.money import Money
from laotie.base.refusals import IdReused
from laotie.events.payments import ReleaseDone, ReleaseFailed
from laotie.payments.model import (
    CannotDo,
    NoSuchProvider,
    ProviderDown,
    ProviderNotInstalled,
    ProviderNotReady,
    ProviderRefused,
    Release,
    ReleaseId,
    ReleaseState,
    SellerState,
    Verdict,
    pause_s,
)
from laotie.payments.provider import Handover, Report, ReportKind
from laotie.payments.providers import open_provider

ENDED = (ReleaseState.done, ReleaseState.failed)


class _Due(msgspec.Struct, frozen=True):
    """A release with the account that it goes to, if there is one."""

    provider: str
    amount: int
    currency: str
    state: ReleaseState
    attempts: int
    seller_ref: str | None
    seller_state: SellerState | None


async def release(
    tx: Tx, release_id: UUID, *, provider: str, owner_id: UUID, amount: int, currency: str
) -> Release:
    """Have `amount` (minor units) go into the own account of a shop or streamer at a provider; a job asks for it.

    Ends in `ReleaseDone` or `ReleaseFailed`, once. The same id again gives the release there is, with other content
    `IdReused`. Whether the account is ready is judged when the job runs; what may have been sent is left to the provider.
    """
    assert amount > 0
    fresh = await tx.run(
        """
        INSERT INTO payments.release (id, provider, owner_id, amount, currency, state, asked_at)
        VALUES (%(id)s, %(provider)s, %(owner_id)s, %(amount)s, %(currency)s, 'asked', %(now)s)
        ON CONFLICT (id) DO NOTHING
        """,
        id=release_id,
        provider=provider,
        owner_id=owner_id,
        amount=amount,
        currency=currency,
        now=tx.now,
    )
    found = await find_release(tx, ReleaseId(release_id))
    assert found is not None
    if (found.provider, found.owner_id, found.amount, found.currency) != (provider, owner_id, amount, currency):
        raise IdReused()
    if fresh:
        await jobs.defer(tx, "payments.release", {"release_id": release_id})
    return found


async def find_release(tx: Tx, release_id: ReleaseId) -> Release | None:
    """The release of that id, if there is one."""
    return await tx.maybe(
        Release,
        """
        SELECT id, provider, owner_id, amount, currency, state, provider_ref, reason, attempts, asked_at, settled_at
        FROM payments.release WHERE id = %(id)s
        """,
        id=release_id,
    )


async def list_open_releases(tx: Tx, *, after: ReleaseId | None = None, limit: int = 50) -> list[Release]:
    """Releases that have neither arrived nor failed, by id."""
    return await tx.all(
        Release,
        """
        SELECT id, provider, owner_id, amount, currency, state, provider_ref, reason, attempts, asked_at, settled_at
        FROM payments.release
        WHERE state IN ('asked', 'sent') AND (%(after)s::uuid IS NULL OR id > %(after)s) ORDER BY id LIMIT %(limit)s
        """,
        after=after,
        limit=limit,
    )


async def take_in(tx: Tx, provider: str, report: Report) -> Verdict:
    """What a provider says of a release, once. `discrepancy`: it is not one of ours, or of another sum or end."""
    assert report.release_id is not None
    due = await tx.maybe(
        Release,
        """
        SELECT id, provider, owner_id, amount, currency, state, provider_ref, reason, attempts, asked_at, settled_at
        FROM payments.release WHERE id = %(id)s AND provider = %(provider)s FOR UPDATE
        """,
        id=report.release_id,
        provider=provider,
    )
    if due is None or report.money != Money(due.amount, due.currency):
        return Verdict.discrepancy
    state = ReleaseState.done if report.kind is ReportKind.released else ReleaseState.failed
    if due.state in ENDED:
        return Verdict.stale if due.state is state else Verdict.discrepancy
    reason = report.reason[:200] if state is ReleaseState.failed else ""
    await tx.run(
        """
        UPDATE payments.release SET state = %(state)s, reason = %(reason)s, settled_at = %(now)s,
            provider_ref = coalesce(provider_ref, %(ref)s) WHERE id = %(id)s
        """,
        state=state,
        reason=reason,
        ref=report.provider_ref,
        id=due.id,
        now=tx.now,
    )
    if state is ReleaseState.done:
        tx.tell(
            ReleaseDone(
                release_id=due.id,
                provider=provider,
                owner_id=due.owner_id,
                amount=due.amount,
                currency=due.currency,
                released_at=tx.now,
            )
        )
    else:
        tx.tell(
            ReleaseFailed(
                release_id=due.id,
                provider=provider,
                owner_id=due.owner_id,
                amount=due.amount,
                currency=due.currency,
                reason=reason,
                failed_at=tx.now,
            )
        )
    return Verdict.applied


@jobs.task("payments.release")
async def _send(context: jobs.Context, release_id: str) -> None:
    id_ = ReleaseId(UUID(release_id))
    async with context.db.tx() as tx:
        due = await tx.one(
            _Due,
            """
            SELECT r.provider, r.amount, r.currency, r.state, r.attempts, s.provider_ref AS seller_ref,
                   s.state AS seller_state
            FROM payments.release AS r
            LEFT JOIN payments.seller AS s ON s.provider = r.provider AND s.owner_id = r.owner_id
            WHERE r.id = %(id)s
            """,
            id=id_,
        )
    if due.state is not ReleaseState.asked:
        return
    if due.seller_ref is None or (due.seller_state is not SellerState.ready and not due.attempts):
        state = due.seller_state or SellerState.asked
        await _end(context, id_, due, ReportKind.release_failed, reason=f"seller-{state}")
        return
    handover = Handover(
        release_id=id_, seller_ref=due.seller_ref, money=Money(due.amount, due.currency), attempt=due.attempts
    )
    try:
        handed = await open_provider(due.provider, db=context.db, settings=context.settings).release(handover)
    except (ProviderRefused, CannotDo) as refusal:
        reason = refusal.reason if isinstance(refusal, ProviderRefused) else refusal.code
        await _end(context, id_, due, ReportKind.release_failed, reason=reason)
        return
    except (NoSuchProvider, ProviderDown, ProviderNotInstalled, ProviderNotReady) as refusal:
        log.warning("money could not be let go; it is tried again", release_id=release_id, refusal=str(refusal))
        await _try_later(context, id_)
        return
    async with context.db.tx() as tx:
        await tx.run(
            """
            UPDATE payments.release SET provider_ref = coalesce(provider_ref, %(ref)s), poll_at = %(poll_at)s,
                state = CASE WHEN state = 'asked' THEN 'sent' ELSE state END
            WHERE id = %(id)s
            """,
            ref=handed.provider_ref,
            poll_at=tx.now + timedelta(seconds=context.settings.payment_poll_after_s),
            id=id_,
        )
    if handed.done:
        await _end(context, id_, due, ReportKind.released, ref=handed.provider_ref)


async def _end(
    context: jobs.Context, release_id: ReleaseId, due: _Due, kind: ReportKind, *, reason: str = "", ref: str | None = None
) -> None:
    """An answer that says how it ended; a message that was quicker has said so already."""
    report = Report(
        event_id=f"answer:{release_id}",
        kind=kind,
        name="release",
        release_id=release_id,
        provider_ref=ref,
        money=Money(due.amount, due.currency),
        reason=reason,
    )
    async with context.db.tx() as tx:
        await take_in(tx, due.provider, report)


async def _try_later(context: jobs.Context, release_id: ReleaseId) -> None:
    async with context.db.tx() as tx:
        attempts = await tx.one(
            int,
            "UPDATE payments.release SET attempts = attempts + 1 WHERE id = %(id)s RETURNING attempts",
            id=release_id,
        )
        later = tx.now + timedelta(seconds=pause_s(attempts))
        await jobs.defer(tx, "payments.release", {"release_id": release_id}, at=later)
