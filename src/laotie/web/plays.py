"""Watching a replay, a clip or a short video, over HTTP: how long it was in sight, for the lake."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import put

from laotie import traffic
from laotie.base.db import Database
from laotie.base.signer import Signer, TokenExpired
from laotie.identity import Actor
from laotie.web import acts
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.house import House

Token = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]


class PlayBeat(msgspec.Struct, forbid_unknown_fields=True):
    """How long the picture ran in sight since the last answer. `visit` is the surface's; `beat`, the last answer's, begins as null."""

    visit: Token
    beat: Token | None = None
    shown_ms: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0


@put("/api/plays/{play_id:uuid}")
async def beat_play(
    play_id: FromPath[UUID],
    data: JSONBody[PlayBeat],
    actor: Given[Actor],
    db: Given[Database],
    signer: Given[Signer],
    house: Given[House],
) -> traffic.PlayHeard:
    """Say that a replay, a clip or a video runs in sight: every ten seconds, and whenever it stops.

    Under the page's own id. No more counts than has passed here since the last answer, and nothing after fifteen seconds of silence.
    """
    visit = traffic.read_own_visit(signer, actor, None, data.visit)
    if visit is None:  # another's, unless it is the guest's that this account was
        async with db.read() as tx:
            visit = traffic.read_own_visit(signer, actor, await traffic.merged_into(tx, actor), data.visit)
    if visit is None:
        raise TokenExpired(purpose="visit")
    heard, span = traffic.hear_play(
        signer, visit, play_id, beat=data.beat, shown_ms=data.shown_ms, now_us=house.clock.now_us()
    )
    if span is not None:
        acts.tell_play(house, visit, play_id, span)
    return heard


ROUTES = [beat_play]
