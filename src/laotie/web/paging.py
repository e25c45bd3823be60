"""Lists over HTTP: `{items, next}`, continued with `?after=<next>`, at most `limit` at a time."""

from typing import Annotated, Generic, TypeVar
from uuid import UUID

import msgspec
from litestar.params import QueryParameter

T = TypeVar("T")

LIMIT_DEFAULT = 30
LIMIT_MAX = 100
CURSOR_LENGTH_MAX = 200

After = Annotated[UUID | None, QueryParameter(name="after", description="The `next` of the page before.")]
"""For lists kept in order of their ids. Write `after: After = None`."""

Cursor = Annotated[
    str | None,
    QueryParameter(name="after", max_length=CURSOR_LENGTH_MAX, description="The `next` of the page before."),
]
"""For lists in another order, whose room gives an opaque cursor. Write `after: Cursor = None`."""

Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=LIMIT_MAX, description="Most items of one page.")]
"""Write `limit: Limit = LIMIT_DEFAULT`."""


class Page(msgspec.Struct, Generic[T], kw_only=True):
    """A part of a list, and where the next part begins (`null` at the end)."""

    items: list[T]
    next: str | None = None
