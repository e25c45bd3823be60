"""Taking a payment: written down first, then asked of the provider with no transaction open, then the answer recorded.

The call is made by the door right after the commit, for speed, and by a job, for safety: whichever comes second finds
it done. The payment's id is the provider's idempotency key, so a call whose answer was lost may be repeated.
"""

from datetime import timedelta
from uuid import UUID

from laotie.base import jobs
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, OrderId, PaymentId
from laotie.base.logs import log
from laotie.base.money import Money
from laotie.base.refusals import IdReused
from laotie.base.settings import Settings
from laotie.events.payments import PaymentFailed
from laotie.payments.listing import get
from laotie.payments.model import (
    CALL_ATTEMPTS_MAX,
    Payment,
    PaymentState,
    ProviderDown,
    ProviderRefused,
    Purpose,
    pause_s,
)
from laotie.payments.provider import Charge, Started
from laotie.payments.providers import notify_url, open_provider

FIRST_JOB_AFTER_S = 3


async def start(
    tx: Tx, *, payment_id: PaymentId, order_id: OrderId, buyer_id: AccountId, money: Money, provider: str
) -> Payment:
    """Write down an attempt to pay an order; `authorise` then asks the provider.

    `payment_id` is made by the client: the same again gives the payment there is, with other content `IdReused`.
    """
    return await _start(tx, payment_id, order_id, buyer_id, money, provider, Purpose.order, None)


async def start_topup(
    tx: Tx, *, payment_id: PaymentId, buyer_id: AccountId, wallet_id: UUID, money: Money, provider: str
) -> Payment:
    """The same for money into a wallet, whose owner is an account or a shop."""
    return await _start(
        tx, payment_id, OrderId(payment_id), buyer_id, money, provider, Purpose.topup, wallet_id
    )


async def _start(
    tx: Tx,
    payment_id: PaymentId,
    order_id: OrderId,
    buyer_id: AccountId,
    money: Money,
    provider: str,
    purpose: Purpose,
    wallet_id: UUID | None,
) -> Payment:
    fresh = await tx.run(
        """
        INSERT INTO payments.payment (id, order_id, buyer_id, provider, amount, currency, state, created_at, changed_at,
                                      purpose, wallet_id)
        VALUES (%(id)s, %(order_id)s, %(buyer_id)s, %(provider)s, %(amount)s, %(currency)s, 'created', %(now)s, %(now)s,
                %(purpose)s, %(wallet_id)s)
        ON CONFLICT (id) DO NOTHING
        """,
        id=payment_id,
        order_id=order_id,
        buyer_id=buyer_id,
        provider=provider,
        amount=money.amount,
        currency=money.currency,
        purpose=purpose,
        wallet_id=wallet_id,
        now=tx.now,
    )
    payment = await get(tx, payment_id)
    asked = (order_id, buyer_id, provider, money.amount, money.currency, wallet_id)
    if asked != (
        payment.order_id, payment.buyer_id, payment.provider, payment.amount, payment.currency, payment.wallet_id
    ):  # fmt: skip
        raise IdReused()
    if fresh:
        later = tx.now + timedelta(seconds=FIRST_JOB_AFTER_S)
        await jobs.defer(tx, "payments.authorise", {"payment_id": payment_id}, at=later)
    return payment


async def authorise(db: Database, settings: Settings, payment_id: PaymentId) -> Payment:
    """Ask the provider for a payment that was written down; returns it as it then stands.

    Opens its own transactions; the provider is called between them. A provider that is down leaves the payment
    `created`; the job tries again, and after `CALL_ATTEMPTS_MAX` tries it has failed.
    """
    async with db.tx() as tx:
        payment = await get(tx, payment_id)
    if payment.state is not PaymentState.created:
        return payment
    charge = Charge(
        payment_id=payment_id,
        order_id=payment.order_id,
        buyer_id=payment.buyer_id,
        money=Money(payment.amount, payment.currency),
        return_url=f"{settings.base_url}{_return_path(payment)}",
        notify_url=notify_url(settings, payment.provider),
        capture=not settings.payment_authorise_first,
    )
    try:
        started = await open_provider(payment.provider, db=db, settings=settings).authorise(charge)
    except ProviderDown:
        log.warning("the payment provider is down", payment_id=str(payment_id), provider=payment.provider)
        return payment
    except ProviderRefused as refusal:
        return await _record_failure(db, payment_id, reason=refusal.reason)
    return await _record_start(db, payment_id, started, poll_after_s=settings.payment_poll_after_s)


def _return_path(payment: Payment) -> str:
    if payment.purpose is Purpose.topup:
        return f"/me/wallet?payment={payment.id}"
    return f"/orders/{payment.order_id}/result"


@jobs.task("payments.capture")
async def _capture(context: jobs.Context, payment_id: str) -> None:
    """Take what the provider keeps ready; its message says what it took. Refused for good: the payment has failed."""
    async with context.db.tx() as tx:
        payment = await get(tx, PaymentId(UUID(payment_id)))
    if payment.state is not PaymentState.authorised or payment.provider_ref is None:
        return
    provider = open_provider(payment.provider, db=context.db, settings=context.settings)
    try:
        await provider.capture(payment.id, payment.provider_ref, money=Money(payment.amount, payment.currency))
    except ProviderRefused as refusal:
        await _record_failure(context.db, payment.id, reason=refusal.reason)
    except ProviderDown:
        log.warning("the payment provider is down", payment_id=payment_id, provider=payment.provider)
        await _capture_later(context, payment.id)


async def _capture_later(context: jobs.Context, payment_id: PaymentId) -> None:
    async with context.db.tx() as tx:
        attempts = await tx.one(
            int,
            "UPDATE payments.payment SET attempts = attempts + 1 WHERE id = %(id)s RETURNING attempts",
            id=payment_id,
        )
        later = tx.now + timedelta(seconds=pause_s(attempts))
        await jobs.defer(tx, "payments.capture", {"payment_id": payment_id}, at=later)


@jobs.task("payments.authorise")
async def _authorise_again(context: jobs.Context, payment_id: str) -> None:
    payment = await authorise(context.db, context.settings, PaymentId(UUID(payment_id)))
    if payment.state is not PaymentState.created:
        return
    async with context.db.tx() as tx:
        attempts = await tx.one(
            int,
            "UPDATE payments.payment SET attempts = attempts + 1 WHERE id = %(id)s RETURNING attempts",
            id=payment.id,
        )
        if attempts < CALL_ATTEMPTS_MAX:
            later = tx.now + timedelta(seconds=pause_s(attempts))
            await jobs.defer(tx, "payments.authorise", {"payment_id": payment.id}, at=later)
    if attempts >= CALL_ATTEMPTS_MAX:
        await _record_failure(context.db, payment.id, reason="provider-down")


async def _record_start(db: Database, payment_id: PaymentId, started: Started, *, poll_after_s: int) -> Payment:
    """The provider's message may have been quicker than its answer: then only the reference is new."""
    async with db.tx() as tx:
        await tx.run(
            """
            UPDATE payments.payment
            SET provider_ref = coalesce(provider_ref, %(provider_ref)s), next_url = %(next_url)s,
                next_kind = %(next_kind)s,
                state = CASE WHEN state = 'created' THEN 'pending' ELSE state END, changed_at = %(now)s,
                poll_at = %(poll_at)s
            WHERE id = %(id)s
            """,
            id=payment_id,
            provider_ref=started.provider_ref,
            next_url=started.next_url,
            next_kind=started.next_kind,
            poll_at=tx.now + timedelta(seconds=poll_after_s),
            now=tx.now,
        )
        return await get(tx, payment_id)


async def _record_failure(db: Database, payment_id: PaymentId, *, reason: str) -> Payment:
    async with db.tx() as tx:
        failed = await tx.run(
            """
            UPDATE payments.payment SET state = 'failed', failure = %(reason)s, changed_at = %(now)s
            WHERE id = %(id)s AND state IN ('created', 'pending', 'authorised')
            """,
            id=payment_id,
            reason=reason[:200],
            now=tx.now,
        )
        payment = await get(tx, payment_id)
        if failed:
            tx.tell(PaymentFailed(payment_id=payment_id, order_id=payment.order_id, reason=reason[:200]))
        return payment
