"""The feeds over HTTP: whom I follow, and what else is on; and the rule by which what follows is credited."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.params import HeaderParameter
from msgspec.structs import replace

from laotie import identity, traffic
from laotie.base.db import Database
from laotie.base.signer import Signer
from laotie.identity import Actor
from laotie.live import ShowCard
from laotie.media import MediaServer
from laotie.web.given import Given, JSONBody
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


class NewAttributionRule(msgspec.Struct, forbid_unknown_fields=True):
    """A rule from an instant on; how far back touches count, in hours."""

    kind: traffic.RuleKind
    window_h: Annotated[int, msgspec.Meta(ge=1, le=traffic.WINDOW_H_MAX)]
    valid_from: datetime
    note: Annotated[str, msgspec.Meta(max_length=traffic.NOTE_LENGTH_MAX, pattern=r"^[^\x00]*$")] = ""


class AttributionRules(msgspec.Struct):
    """Every version, the latest first; `current` is the one in force."""

    items: list[traffic.AttributionRule]
    current: int


@get("/api/attribution-rules")
async def list_attribution_rules(actor: Given[Actor], db: Given[Database]) -> AttributionRules:
    """By which rules orders and follows are credited, for operators."""
    actor.require_operator()
    async with db.read() as tx:
        return AttributionRules(await traffic.list_rules(tx), (await traffic.find_rule(tx)).version)


@post("/api/attribution-rules", status_code=201)
async def add_attribution_rule(
    data: JSONBody[NewAttributionRule], actor: Given[Actor], db: Given[Database]
) -> traffic.AttributionRule:
    """Have another rule from an instant on, a minute ahead at the earliest. What was credited before stays."""
    operator_id = actor.require_operator()
    async with db.tx() as tx:
        rule = await traffic.add_rule(
            tx, operator_id, data.kind, window_h=data.window_h, valid_from=data.valid_from, note=data.note.strip()
        )
        await identity.record(tx, actor, "attribution.rule_added", subject=str(rule.version), kind=rule.kind)
        return rule


ROUTES = [list_following, list_discover, list_attribution_rules, add_attribution_rule]
