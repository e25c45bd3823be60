"""Which providers there are, by name, and which of them this installation uses."""

from collections.abc import Callable

from laotie.base.db import Database
from laotie.base.settings import Settings
from laotie.payments.model import NoSuchProvider
from laotie.payments.provider import Provider
from laotie.payments.sandbox import Sandbox

PROVIDERS: dict[str, Callable[[Database, Settings], Provider]] = {"sandbox": Sandbox}


def open_provider(name: str, *, db: Database, settings: Settings) -> Provider:
    """The adapter, ready for use; refuses with `NoSuchProvider` when it is not the one that the settings name."""
    if name not in PROVIDERS or name != settings.payment_provider:
        raise NoSuchProvider()
    return PROVIDERS[name](db, settings)
