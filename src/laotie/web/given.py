"""How a handler says where an argument comes from: `Given[…]`, `FromPath[UUID]`, `FromQuery[str]`, `JSONBody[…]`."""

from typing import Annotated, TypeVar

from litestar.di import Dependency
from litestar.params import FromPath, FromQuery, JSONBody

T = TypeVar("T")

Given = Annotated[T, Dependency()]
"""One of the things `web.app` provides by name: actor, db, settings, signer, bus, clock, till, media, house, …"""

__all__ = ["FromPath", "FromQuery", "Given", "JSONBody"]
