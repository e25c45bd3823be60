"""The feeds over HTTP: whom I follow, and what else is on."""

from typing import Annotated

from litestar import get
from litestar.params import HeaderParameter
from msgspec.structs import replace

from laotie import traffic
from laotie.base.db import Database
from laotie.base.signer import Signer
from laotie.identity import Actor
from laotie.live import ShowCard
from laotie.media import MediaServer
from laotie.web.given import Given
from laotie.web.live import with_cover
from laotie.web.paging import LIMIT_DEFAULT, Cursor, Limit, Page

Language = Annotated[str | None, HeaderParameter(name="accept-language", max_length=200)]


@get("/api/feed/following")
async def list_following(
    actor: Given[Actor], db: Given[Database], signer: Given[Signer], media: Given[MediaServer | None]
) -> Page[traffic.Followed]:
    """Everybody I follow, all of them: who is live first, then by how close we are."""
    async with db.read() as tx:
        followed = await traffic.list_following(tx, signer, actor)
    return Page(items=[replace(one, live=with_cover(one.live, media)) if one.live else one for one in followed])


@get("/api/feed/discover")
async def list_discover(
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    media: Given[MediaServer | None],
    after: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
    language: Language = None,
) -> Page[ShowCard]:
    """What is live now, by value, each with why it stands there (in Chinese or English, as `Accept-Language` says)."""
    async with db.read() as tx:
        page = await traffic.list_discover(tx, signer, actor, after=after, limit=limit, locale=language or "zh-CN")
    return Page(items=[with_cover(card, media) for card in page.items], next=page.next)


ROUTES = [list_following, list_discover]
