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
from laotie.payments.provider import Provider

Open = Callable[[Database, Settings], Provider]

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

    Refuses `NoSuchProvider` when the settings do not name it, `ProviderNotInstalled` when its library is missing,
    `ProviderNotReady` when its keys are.
    """
    if name not in ADAPTERS or name not in names(settings):
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
    """The ways to pay that are set and ready, with what each can do; with a currency, those that take it."""
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
    currencies: tuple[str, ...] = getattr(_adapter(name), "currencies", ())
    if currencies and currency not in currencies:
        raise CurrencyNotTaken(provider=name, currencies=list(currencies))


def notify_url(settings: Settings, name: str) -> str:
    """Where that provider's messages go."""
    return f"{settings.base_url}/webhooks/{name}"
