"""Surfaces beside the live room: a replay, a clip, a short video. What is bought there is credited there.

A surface is named by its placement, `replay:{show}`, `clip:{id}` or `video:{id}`. A visit to one keeps the source the
viewer came from (a feed card, a shared link, the room they were in), and its placement is the surface: that is what
the order carries.
"""

import re
from datetime import datetime, timedelta

import msgspec

from laotie.base.db import Tx
from laotie.base.entry import (
    BEARER_SOURCES,
    ENTRY_AGE_MAX_S,
    VISIT_AGE_MAX_S,
    Entry,
    EntryElsewhere,
    EntryNotYours,
    Source,
    Visit,
    mint_entry,
    read_visit,
    sign_visit,
)
from laotie.base.ids import ShowId, VisitId, new_id
from laotie.base.signer import Signer, TokenExpired
from laotie.identity import Actor
from laotie.traffic.entrance import merged_into
from laotie.traffic.model import ShareLink

SURFACE = re.compile(r"(?:replay|clip|video):[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class SurfaceVisit(msgspec.Struct, frozen=True):
    """A visit that orders and follows carry."""

    visit: str
    expires_at: datetime


async def open_surface_visit(
    tx: Tx,
    signer: Signer,
    actor: Actor,
    placement: str,
    *,
    show_id: ShowId | None,
    entry: str | None,
    visit: str | None,
) -> SurfaceVisit:
    """Exchange an entry token, or the visit one comes from, for a visit to a surface; with neither it is `direct`.

    `show_id` is the show that the surface belongs to, if there is one: whom a follow is credited to. Refuses what is
    forged, expired, somebody else's or leads elsewhere; of an expired visit nothing is kept but the surface.
    """
    assert SURFACE.fullmatch(placement), placement
    merged = await merged_into(tx, actor)
    source, campaign, position, sharer_id = Source.direct, None, None, None
    if entry is not None:
        opened = signer.open("entry", entry, Entry, age_max_s=ENTRY_AGE_MAX_S)
        if opened.source not in BEARER_SOURCES and opened.viewer_id not in (actor.viewer_id, *merged):
            raise EntryNotYours()
        if opened.subject not in (None, placement, str(show_id)):
            raise EntryElsewhere()
        source, campaign, position, sharer_id = opened.source, opened.campaign, opened.position, opened.sharer_id
    elif visit is not None and (before := _read(signer, visit)) is not None:
        if before.viewer_id not in (actor.viewer_id, *merged):
            raise EntryNotYours()
        source, campaign, position, sharer_id = before.source, before.campaign, before.position, before.sharer_id
    made = Visit(
        id=VisitId(new_id()),
        viewer_id=actor.viewer_id,
        show_id=show_id,
        source=source,
        placement=placement,
        at=tx.now,
        campaign=campaign,
        position=position,
        sharer_id=sharer_id,
    )
    return SurfaceVisit(sign_visit(signer, made), tx.now + timedelta(seconds=VISIT_AGE_MAX_S))


def share_surface(tx: Tx, signer: Signer, actor: Actor, placement: str, *, path: str) -> ShareLink:
    """A link to a surface that anybody may open; `path` is where its page is. It credits the share alone."""
    shared = Entry(source=Source.share, placement=placement, at=tx.now, sharer_id=actor.viewer_id, subject=placement)
    entry = mint_entry(signer, shared)
    return ShareLink(url=f"{path}{'&' if '?' in path else '?'}entry={entry}", entry=entry)


def _read(signer: Signer, visit: str) -> Visit | None:
    try:
        return read_visit(signer, visit)
    except TokenExpired:
        return None
