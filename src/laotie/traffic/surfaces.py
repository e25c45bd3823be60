"""Surfaces beside the live room: a replay, a clip, a short video. What is bought there is credited there.

A surface is named by its placement, `replay:{show}`, `clip:{id}` or `video:{id}`. A visit to one keeps the source the
viewer came from (a feed card, a shared link, the room they were in), and its placement is the surface: that is what
the order carries.
"""

import re
from datetime import datetime, timedelta

import msgspec

from laotie import fans
from laotie.base.db import Tx
from laotie.base.entry import VISIT_AGE_MAX_S, Entry, Source, mint_entry
from laotie.base.ids import AccountId, ShopId, ShowId
from laotie.base.signer import Signer
from laotie.identity import Actor
from laotie.traffic.model import ShareLink
from laotie.traffic.visits import Opened, Place, open_visit, scopes_at

SURFACE = re.compile(r"(?:replay|clip|video):[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class SurfaceVisit(msgspec.Struct, frozen=True):
    """A visit that orders and follows carry."""

    visit: str
    expires_at: datetime

    @classmethod
    def of(cls, opened: Opened) -> "SurfaceVisit":
        """What the page gets of it."""
        return cls(opened.token, opened.visit.at + timedelta(seconds=VISIT_AGE_MAX_S))


class Surface(msgspec.Struct, frozen=True, kw_only=True):
    """A replay, a clip or a video: what names it, whose it is, and the show that it belongs to, if there is one."""

    placement: str
    shop_id: ShopId
    streamer_id: AccountId
    show_id: ShowId | None = None


async def open_surface_visit(
    tx: Tx, signer: Signer, actor: Actor, surface: Surface, *, entry: str | None, visit: str | None
) -> Opened:
    """Exchange an entry token, or the visit one comes from, for a visit to a surface; with neither it is `direct`.

    Refuses what is forged, expired, somebody else's or leads elsewhere; of an expired visit nothing is kept but the surface.
    """
    assert SURFACE.fullmatch(surface.placement), surface.placement
    place = Place(
        shop_id=surface.shop_id,
        subjects=(surface.placement, *([str(surface.show_id)] if surface.show_id is not None else [])),
        placement=surface.placement,
        is_surface=True,
        show_id=surface.show_id,
        streamer_id=surface.streamer_id,
    )
    return await open_visit(
        *(tx, signer, actor, place),
        entry=entry,
        visit=visit,
        is_fan=await fans.is_following(tx, actor.viewer_id, surface.streamer_id),
        is_staff=bool(await scopes_at(tx, actor, surface.shop_id)),
    )


def share_surface(signer: Signer, actor: Actor, placement: str, *, path: str, at: datetime) -> ShareLink:
    """A link to a surface that anybody may open; `path` is where its page is. It credits the share alone."""
    shared = Entry(source=Source.share, placement=placement, at=at, sharer_id=actor.viewer_id, subject=placement)
    entry = mint_entry(signer, shared)
    return ShareLink(url=f"{path}{'&' if '?' in path else '?'}entry={entry}", entry=entry)
