"""Sellers' own accounts at providers: asked for, opened by the provider, and as ready as the provider says.

A shop or a streamer has one account with each provider. Its state is never taken from a message, whose order nobody
promises: a message only says that it is time to ask. Accounts that wait are asked after as payments are.
"""

from datetime import timedelta
from uuid import UUID

from laotie.base import jobs
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, new_id
from laotie.base.logs import log
from laotie.base.refusals import NotFound
from laotie.base.settings import Settings
from laotie.events.payments import SellerChanged
from laotie.payments.model import (
    CannotDo,
    ProviderDown,
    ProviderRefused,
    Seller,
    SellerId,
    SellerKind,
    SellerNotOpen,
    SellerState,
)
from laotie.payments.provider import Applicant, Capability, Standing
from laotie.payments.providers import can, open_provider

RETURN_PATH = "/console/getting-paid"


async def apply_as_seller(
    tx: Tx,
    settings: Settings,
    *,
    provider: str,
    owner_id: UUID,
    kind: SellerKind,
    name: str,
    country: str,
    asked_by: AccountId,
) -> Seller:
    """Write down that a seller wants an account there; `onboard` then asks the provider. Again: the one there is.

    Refuses `NoSuchProvider`, `CannotDo`.
    """
    if Capability.onboard not in can(settings, provider):
        raise CannotDo(provider=provider, capability=Capability.onboard.value)
    await tx.run(
        """
        INSERT INTO payments.seller (id, provider, owner_id, kind, name, country, state, asked_by, asked_at, changed_at)
        VALUES (%(id)s, %(provider)s, %(owner_id)s, %(kind)s, %(name)s, %(country)s, 'asked', %(by)s, %(now)s, %(now)s)
        ON CONFLICT (provider, owner_id) DO NOTHING
        """,
        id=new_id(),
        provider=provider,
        owner_id=owner_id,
        kind=kind,
        name=name[:200],
        country=country,
        by=asked_by,
        now=tx.now,
    )
    found = await find_seller(tx, provider=provider, owner_id=owner_id)
    assert found is not None
    return found


async def onboard(db: Database, settings: Settings, seller_id: SellerId) -> tuple[Seller, str | None]:
    """Open the account at the provider if it is not, and say where the seller goes on (`None`: nothing is left to say).

    Opens its own transactions; the provider is called between them. The address is good for a short time and once: ask
    again for another. Refuses `SellerNotOpen` of one that the provider has refused, `ProviderDown`, `ProviderRefused`.
    """
    async with db.tx() as tx:
        seller = await get_seller(tx, seller_id)
    if seller.state is SellerState.refused:
        raise SellerNotOpen(state=seller.state, reason=seller.reason)
    provider = open_provider(seller.provider, db=db, settings=settings)
    return_url = f"{settings.base_url}{RETURN_PATH}"
    ref = seller.provider_ref
    if ref is None:
        ref = await provider.onboard(
            Applicant(
                seller_id=seller.id,
                kind=seller.kind,
                name=seller.name,
                country=seller.country,
                asked_by=seller.asked_by,
                return_url=return_url,
            )
        )
        async with db.tx() as tx:
            await tx.run(
                """
                UPDATE payments.seller SET provider_ref = %(ref)s, state = 'pending', poll_at = %(poll_at)s,
                    changed_at = %(now)s
                WHERE id = %(id)s AND provider_ref IS NULL
                """,
                ref=ref,
                poll_at=tx.now + timedelta(seconds=settings.payment_poll_after_s),
                id=seller_id,
                now=tx.now,
            )
    url = await provider.link(ref, return_url=return_url)
    return await check_seller(db, settings, seller_id), url


async def check_seller(db: Database, settings: Settings, seller_id: SellerId) -> Seller:
    """Ask the provider how an account stands, and write it down. Tells `SellerChanged`. Opens its own transactions."""
    async with db.tx() as tx:
        seller = await get_seller(tx, seller_id)
    if seller.provider_ref is None:
        return seller
    try:
        standing = await open_provider(seller.provider, db=db, settings=settings).find_seller(seller.provider_ref)
    except (ProviderDown, ProviderRefused) as refusal:
        log.warning("a seller's account could not be asked after", seller_id=str(seller_id), refusal=str(refusal))
        return seller
    async with db.tx() as tx:
        await _record(tx, seller_id, standing)
        return await get_seller(tx, seller_id)


async def _record(tx: Tx, seller_id: SellerId, standing: Standing) -> None:
    changed = await tx.maybe(
        Seller,
        """
        UPDATE payments.seller SET state = %(state)s, reason = %(reason)s, changed_at = %(now)s, polls = 0,
            poll_at = CASE WHEN %(state)s IN ('ready', 'refused') THEN NULL ELSE coalesce(poll_at, %(now)s) END
        WHERE id = %(id)s AND (state, reason) <> (%(state)s, %(reason)s)
        RETURNING id, provider, owner_id, kind, name, country, provider_ref, state, reason, asked_by, asked_at, changed_at
        """,
        state=standing.state,
        reason=standing.reason[:200],
        id=seller_id,
        now=tx.now,
    )
    if changed is not None:
        tx.tell(
            SellerChanged(
                provider=changed.provider,
                owner_id=changed.owner_id,
                kind=changed.kind,
                state=changed.state,
                reason=changed.reason,
                changed_at=tx.now,
            )
        )


async def hear(tx: Tx, provider: str, seller_ref: str) -> bool:
    """A message says that an account may stand otherwise: a job asks. False: no account of ours."""
    seller_id = await tx.maybe(
        SellerId,
        "SELECT id FROM payments.seller WHERE provider = %(provider)s AND provider_ref = %(ref)s",
        provider=provider,
        ref=seller_ref,
    )
    if seller_id is not None:
        await jobs.defer(tx, "payments.check_seller", {"seller_id": seller_id})
    return seller_id is not None


@jobs.task("payments.check_seller")
async def _check(context: jobs.Context, seller_id: str) -> None:
    await check_seller(context.db, context.settings, SellerId(UUID(seller_id)))


async def find_seller(tx: Tx, *, provider: str, owner_id: UUID) -> Seller | None:
    """The account of a shop or streamer at a provider, if there is one."""
    return await tx.maybe(
        Seller,
        """
        SELECT id, provider, owner_id, kind, name, country, provider_ref, state, reason, asked_by, asked_at, changed_at
        FROM payments.seller WHERE provider = %(provider)s AND owner_id = %(owner_id)s
        """,
        provider=provider,
        owner_id=owner_id,
    )


async def get_seller(tx: Tx, seller_id: SellerId) -> Seller:
    """One account. Absent: `NotFound`."""
    found = await tx.maybe(
        Seller,
        """
        SELECT id, provider, owner_id, kind, name, country, provider_ref, state, reason, asked_by, asked_at, changed_at
        FROM payments.seller WHERE id = %(id)s
        """,
        id=seller_id,
    )
    if found is None:
        raise NotFound()
    return found


async def list_sellers(
    tx: Tx, *, owner_ids: list[UUID] | None = None, after: SellerId | None = None, limit: int = 50
) -> list[Seller]:
    """Accounts, newest first; with owners given, theirs alone."""
    return await tx.all(
        Seller,
        """
        SELECT id, provider, owner_id, kind, name, country, provider_ref, state, reason, asked_by, asked_at, changed_at
        FROM payments.seller
        WHERE (%(owner_ids)s::uuid[] IS NULL OR owner_id = ANY(%(owner_ids)s))
          AND (%(after)s::uuid IS NULL OR id < %(after)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        owner_ids=owner_ids,
        after=after,
        limit=limit,
    )
