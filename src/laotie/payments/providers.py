"""Which providers there are, by name, and which of them this installation uses."""

from collections.abc import Callable
from importlib import import_module

from laotie.base.db import Database
from laotie.base.settings import Settings
from laotie.payments.model import (
    CurrencyNotTaken,
    NoSuchProvider,
    PaymentMethod,
    ProviderNotInstalled,
    ProviderNotReady,
)
from laotie.payments.provider import Capability, Provider

Open = Callable[[Database, Settings], Provider]

SANDBOX = "sandbox"

ADAPTERS: dict[str, str] = {
    "sandbox": "laotie.payments.sandbox:Sandbox",
    "stripe": "laotie.payments.stripe_adapter:Stripe",
    "alipay": "laotie.payments.alipay_adapter:Alipay",
    "wechat": "laotie.payments.wechat_adapter:Wechat",
}
"""Loaded when they are first used: the libraries of those that are not set need not be there."""


def names(settings: Settings) -> list[str]:
    """The providers that are set, in the order in which buyers see them."""
    return [name.strip() for name in settings.payment_providers.split(",") if name.strip()]


def open_provider(name: str, *, db: Database, settings: Settings) -> Provider:
    """The adapter, ready for use.

    Refuses `NoSuchProvider` when the settings do not name it (the sandbox is always there), `ProviderNotInstalled`
    when its library is missing, `ProviderNotReady` when its keys are.
    """
    # Developers pay in their sandbox shops with it, also where buyers cannot choose it (`check_method`).
    if name not in ADAPTERS or name not in (*names(settings), SANDBOX):
        raise NoSuchProvider()
    return _adapter(name)(db, settings)


def _adapter(name: str) -> Open:
    module, _, adapter = ADAPTERS[name].partition(":")
    try:
        found: Open = getattr(import_module(module), adapter)
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("laotie"):
            raise
        raise ProviderNotInstalled(provider=name, install=f"pip install 'laotie[{name}]'") from None
    return found


def list_methods(db: Database, settings: Settings, *, currency: str | None = None) -> list[PaymentMethod]:
    """The ways to pay that are set and ready, with what each can do; with a currency, those that take it.

    For whose money each may be used is `pooling`'s.
    """
    methods = []
    for name in names(settings):
        try:
            provider = open_provider(name, db=db, settings=settings)
        except (NoSuchProvider, ProviderNotInstalled, ProviderNotReady):
            continue
        if currency is None or not provider.currencies or currency in provider.currencies:
            methods.append(
                PaymentMethod(
                    method=name,
                    can=sorted(one.value for one in provider.can),
                    currencies=list(provider.currencies),
                    step=provider.step,
                )
            )
    return methods


def check_providers(db: Database, settings: Settings) -> None:
    """Whether each provider that is set can be used; refuses as `open_provider` does. For whoever starts the service."""
    for name in names(settings):
        open_provider(name, db=db, settings=settings)


def check_method(settings: Settings, name: str, *, currency: str) -> None:
    """Whether buyers may pay that way in that currency. Refuses `NoSuchProvider`, `CurrencyNotTaken`."""
    if name not in ADAPTERS or name not in names(settings):
        raise NoSuchProvider()
    taken = currencies(name)
    if taken and currency not in taken:
        raise CurrencyNotTaken(provider=name, currencies=list(taken))


def currencies(name: str) -> tuple[str, ...]:
    """Those that provider takes; empty: any."""
    found: tuple[str, ...] = getattr(_adapter(name), "currencies", ())
    return found


def takes(settings: Settings, name: str, currency: str) -> bool:
    """Whether that provider takes that currency."""
    try:
        check_method(settings, name, currency=currency)
    except CurrencyNotTaken:
        return False
    return True


def can(settings: Settings, name: str) -> frozenset[Capability]:
    """What that provider can do, whether or not its keys are set. Refuses `NoSuchProvider`, `ProviderNotInstalled`."""
    if name not in ADAPTERS or name not in names(settings):
        raise NoSuchProvider()
    found: frozenset[Capability] = getattr(_adapter(name), "can", frozenset())
    return found


def notify_url(settings: Settings, name: str) -> str:
    """Where that provider's messages go."""
    return f"{settings.base_url}/webhooks/{name}"
