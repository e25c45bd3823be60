"""Asking providers for what they have not told: a message that is lost for good must not lose money.

Payments that wait, refunds, releases and sellers' accounts that are on their way are asked after: soon at first, then
ever less often, and not for ever. The answer comes in the words of a message and is taken in where messages are
(`hearing.take_in`); a message that comes all the same is old news then.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from laotie.base.db import Database, Tx
from laotie.base.ids import PaymentId
from laotie.base.logs import log
from laotie.base.money import Money
from laotie.base.refusals import Refusal
from laotie.base.settings import Settings
from laotie.payments import sellers
from laotie.payments.hearing import take_in
from laotie.payments.model import ProviderDown, RefundId, ReleaseId, SellerId
from laotie.payments.provider import Capability, Handover, Provider, Repayment, Report
from laotie.payments.providers import open_provider

ASKED_AT_ONCE = 20
PAYMENT_POLLS_MAX = 16
"""Two minutes at first, then double, six hours at most: two days and a half. A page that was left is not worth more."""
OWED_POLLS_MAX = 64
"""Refunds, releases and sellers' accounts: two weeks."""
PAUSE_MAX_S = 6 * 3_600


class _Question(NamedTuple):
    """What is asked of which provider."""

    provider: str
    subject: UUID
    ask: Callable[[Provider], Awaitable[Report | None]]


async def poll(db: Database, settings: Settings) -> int:
    """Ask after what is due, `ASKED_AT_ONCE` of each kind at most; returns how many. A provider that is down is left
    alone for the rest of the turn. Opens its own transactions; providers are called between them.
    """
    pace = {"after_s": settings.payment_poll_after_s, "pause_max_s": PAUSE_MAX_S, "limit": ASKED_AT_ONCE}
    async with db.tx() as tx:
        questions = [*await _ask_payments(tx, pace), *await _ask_refunds(tx, pace), *await _ask_releases(tx, pace)]
        seller_ids = await _take_sellers(tx, pace)
    silent: set[str] = set()
    for one in questions:
        if one.provider not in silent and not await _ask(db, settings, one):
            silent.add(one.provider)
    for seller_id in seller_ids:
        try:
            await sellers.check_seller(db, settings, seller_id)
        except Refusal as refusal:  # the provider is not set any more, or not ready
            log.warning("a seller's account could not be asked after", seller_id=str(seller_id), refusal=str(refusal))
    return len(questions) + len(seller_ids)


async def _ask(db: Database, settings: Settings, one: _Question) -> bool:
    """False: the provider is down."""
    try:
        provider = open_provider(one.provider, db=db, settings=settings)
        report = await one.ask(provider) if Capability.look_up in provider.can else None
    except ProviderDown:
        log.warning("a provider could not be asked: it is down", provider=one.provider, subject=str(one.subject))
        return False
    except Refusal as refusal:
        log.warning("a provider could not be asked", provider=one.provider, subject=str(one.subject), refusal=str(refusal))
        return True
    if report is not None:
        async with db.tx() as tx:
            verdict = await take_in(tx, one.provider, report, b"")
        log.info("asked", provider=one.provider, subject=str(one.subject), kind=report.name, verdict=verdict)
    return True


class _Payment(msgspec.Struct, frozen=True):
    id: PaymentId
    provider: str
    provider_ref: str


async def _ask_payments(tx: Tx, pace: dict[str, int]) -> list[_Question]:
    due = await tx.all(
        _Payment,
        """
        WITH due AS (
            SELECT id FROM payments.payment WHERE state IN ('pending', 'authorised') AND poll_at <= %(now)s
              AND provider_ref IS NOT NULL ORDER BY poll_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
        )
        UPDATE payments.payment AS p SET polls = polls + 1, poll_at = CASE WHEN polls + 1 < %(polls_max)s THEN
            %(now)s + make_interval(secs => least(%(pause_max_s)s, %(after_s)s * 2.0 ^ (polls + 1))) END
        FROM due WHERE p.id = due.id RETURNING p.id, p.provider, p.provider_ref
        """,
        **_bounds(tx.now, pace, PAYMENT_POLLS_MAX),
    )
    return [_Question(one.provider, one.id, _about_payment(one)) for one in due]


def _about_payment(one: _Payment) -> Callable[[Provider], Awaitable[Report | None]]:
    return lambda provider: provider.find_payment(one.id, one.provider_ref)


class _Refund(msgspec.Struct, frozen=True):
    id: RefundId
    payment_id: PaymentId
    provider: str
    provider_ref: str
    payment_ref: str
    charge_ref: str | None
    amount: int
    taken: int
    currency: str
    reason: str
    failures: int


async def _ask_refunds(tx: Tx, pace: dict[str, int]) -> list[_Question]:
    due = await tx.all(
        _Refund,
        """
        WITH due AS (
            SELECT id FROM payments.refund WHERE state = 'sent' AND poll_at <= %(now)s
            ORDER BY poll_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
        )
        UPDATE payments.refund AS r SET polls = r.polls + 1, poll_at = CASE WHEN r.polls + 1 < %(polls_max)s THEN
            %(now)s + make_interval(secs => least(%(pause_max_s)s, %(after_s)s * 2.0 ^ (r.polls + 1))) END
        FROM due, payments.payment AS p WHERE r.id = due.id AND p.id = r.payment_id
        RETURNING r.id, r.payment_id, p.provider, coalesce(r.provider_ref, '') AS provider_ref,
                  coalesce(p.provider_ref, '') AS payment_ref, p.charge_ref, r.amount,
                  coalesce(p.captured_amount, p.amount) AS taken, p.currency, r.reason, r.failures
        """,
        **_bounds(tx.now, pace, OWED_POLLS_MAX),
    )
    return [_Question(one.provider, one.id, _about_refund(one)) for one in due]


def _about_refund(one: _Refund) -> Callable[[Provider], Awaitable[Report | None]]:
    repayment = Repayment(
        refund_id=one.id,
        payment_id=one.payment_id,
        provider_ref=one.payment_ref,
        money=Money(one.amount, one.currency),
        reason=one.reason,
        charge_ref=one.charge_ref,
        total=Money(one.taken, one.currency),
        attempt=one.failures,
    )
    return lambda provider: provider.find_refund(repayment, one.provider_ref)


class _Release(msgspec.Struct, frozen=True):
    id: ReleaseId
    provider: str
    seller_ref: str
    amount: int
    currency: str
    attempts: int


async def _ask_releases(tx: Tx, pace: dict[str, int]) -> list[_Question]:
    due = await tx.all(
        _Release,
        """
        WITH due AS (
            SELECT id FROM payments.release WHERE state = 'sent' AND poll_at <= %(now)s
            ORDER BY poll_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
        )
        UPDATE payments.release AS r SET polls = r.polls + 1, poll_at = CASE WHEN r.polls + 1 < %(polls_max)s THEN
            %(now)s + make_interval(secs => least(%(pause_max_s)s, %(after_s)s * 2.0 ^ (r.polls + 1))) END
        FROM due, payments.seller AS s
        WHERE r.id = due.id AND s.provider = r.provider AND s.owner_id = r.owner_id
        RETURNING r.id, r.provider, coalesce(s.provider_ref, '') AS seller_ref, r.amount, r.currency, r.attempts
        """,
        **_bounds(tx.now, pace, OWED_POLLS_MAX),
    )
    return [_Question(one.provider, one.id, _about_release(one)) for one in due]


def _about_release(one: _Release) -> Callable[[Provider], Awaitable[Report | None]]:
    handover = Handover(
        release_id=one.id, seller_ref=one.seller_ref, money=Money(one.amount, one.currency), attempt=one.attempts
    )
    return lambda provider: provider.find_release(handover)


async def _take_sellers(tx: Tx, pace: dict[str, int]) -> list[SellerId]:
    return await tx.all(
        SellerId,
        """
        WITH due AS (
            SELECT id FROM payments.seller WHERE poll_at <= %(now)s
            ORDER BY poll_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
        )
        UPDATE payments.seller AS s SET polls = polls + 1, poll_at = CASE WHEN polls + 1 < %(polls_max)s THEN
            %(now)s + make_interval(secs => least(%(pause_max_s)s, %(after_s)s * 2.0 ^ (polls + 1))) END
        FROM due WHERE s.id = due.id RETURNING s.id
        """,
        **_bounds(tx.now, pace, OWED_POLLS_MAX),
    )


def _bounds(now: datetime, pace: dict[str, int], polls_max: int) -> dict[str, datetime | int]:
    return {**pace, "now": now, "polls_max": polls_max}
