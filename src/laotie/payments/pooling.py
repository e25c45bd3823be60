"""Pooling, off by default: money of other people's sales is taken only by a provider that splits it.

Where a provider splits, what a buyer pays stays with the provider until it goes into each seller's own account there.
Where it does not, the money would lie with the house, and holding other people's money is a regulated business in most
places. So such a payment is refused unless the shop is the house's own, or `LAOTIE_POOLING` says that it is allowed.
"""

import msgspec

from laotie.base.db import Database
from laotie.base.ids import ShopId
from laotie.base.settings import Settings
from laotie.payments.model import NoSuchProvider, PaymentMethod, PoolingOff, ProviderNotInstalled, ProviderNotReady
from laotie.payments.provider import Capability
from laotie.payments.providers import can, currencies, list_methods, names, open_provider, takes

WHY = "this provider cannot split payments, so the money of other people's sales would lie with the house"


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A provider that is set, as operators see it. `problem`: why it cannot be used just now."""

    provider: str
    can: list[str]
    currencies: list[str]
    splits: bool
    """It can take money for anybody's sales."""
    problem: str | None


def splits(settings: Settings, provider: str) -> bool:
    """Whether what it takes goes to each seller without passing through the house's hands."""
    return {Capability.split, Capability.release} <= can(settings, provider)


def check_pooling(settings: Settings, provider: str, *, others: list[ShopId], currency: str) -> None:
    """Whether money for these shops, which are not the house's own, may be taken so; empty: for somebody's wallet.

    Refuses `PoolingOff`, with what can be done instead.
    """
    if settings.pooling or splits(settings, provider):
        return
    raise PoolingOff(
        provider=provider,
        shop_ids=others,
        why=WHY,
        instead=[name for name in splitting(settings) if takes(settings, name, currency)],
    )


def list_channels(db: Database, settings: Settings) -> list[Channel]:
    """Every provider that is set, ready or not."""
    found = []
    for name in names(settings):
        problem = None
        try:
            open_provider(name, db=db, settings=settings)
            able = can(settings, name)
        except (NoSuchProvider, ProviderNotInstalled, ProviderNotReady) as refusal:
            problem = str(refusal)
            able = frozenset() if not isinstance(refusal, ProviderNotReady) else can(settings, name)
        found.append(
            Channel(
                provider=name,
                can=sorted(one.value for one in able),
                currencies=list(currencies(name)) if problem is None else [],
                splits={Capability.split, Capability.release} <= able,
                problem=problem,
            )
        )
    return found


def list_usable(
    db: Database, settings: Settings, *, currency: str | None, others: bool
) -> list[PaymentMethod]:
    """The ways to pay that may be used; with `others`, for money that is not the house's own."""
    found = list_methods(db, settings, currency=currency)
    if settings.pooling or not others:
        return found
    return [one for one in found if splits(settings, one.method)]


def splitting(settings: Settings) -> list[str]:
    """The providers that are set and split, in the order in which buyers see them."""
    found = []
    for name in names(settings):
        try:
            if splits(settings, name):
                found.append(name)
        except (NoSuchProvider, ProviderNotInstalled):
            continue
    return found
