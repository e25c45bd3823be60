"""Entry attribution (E8): what a client can and cannot have credited."""

from datetime import timedelta

import pytest

from laotie import fans, live, traffic
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.entry import (
    ENTRY_AGE_MAX_S,
    VISIT_AGE_MAX_S,
    Entry,
    EntryElsewhere,
    EntryNotYours,
    Source,
    Visit,
    mint_entry,
    read_visit,
)
from laotie.base.ids import ShowId
from laotie.base.refusals import NotFound
from laotie.base.signer import Signer, TokenExpired, TokenInvalid
from laotie.identity import Actor, Scope, TokenScope, grant_seat
from laotie.identity.guests import merge_guest
from stage import Host, guest, host, join


async def enter(db: Database, signer: Signer, viewer: Actor, one: Host, entry: str | None) -> Visit:
    async with db.tx() as tx:
        admission = await traffic.enter(tx, signer, viewer, one.show_id, entry=entry)
    ticket = live.read_ticket(signer, admission.ticket)
    visit = read_visit(signer, admission.visit)
    assert ticket.visit == visit and (ticket.viewer_id, ticket.show_id) == (viewer.viewer_id, one.show_id)
    assert admission.expires_at - tx.now == timedelta(seconds=60)
    return visit


async def feed_entry(db: Database, signer: Signer, viewer: Actor) -> str:
    async with db.read() as tx:
        (card,) = (await traffic.list_discover(tx, signer, viewer)).items
    assert card.entry is not None
    return card.entry


async def share_entry(db: Database, signer: Signer, sharer: Actor, one: Host) -> str:
    async with db.read() as tx:
        link = await traffic.share(tx, signer, sharer, one.show_id)
    assert link.url == f"/s/{one.show_id}?entry={link.entry}"
    return link.entry


async def test_without_a_token_a_visit_is_direct(db: Database, signer: Signer) -> None:
    visit = await enter(db, signer, guest(), await host(db), None)
    assert (visit.source, visit.placement, visit.position) == (Source.direct, "direct", None)


async def test_a_feeds_token_is_credited_with_its_place(db: Database, signer: Signer) -> None:
    one, viewer = await host(db), guest()
    visit = await enter(db, signer, viewer, one, await feed_entry(db, signer, viewer))
    assert (visit.source, visit.placement, visit.position) == (Source.public_organic, "discover", 0)


async def test_a_token_cannot_be_forged(db: Database, signer: Signer, clock: Clock) -> None:
    one, viewer = await host(db), guest()
    mine = await feed_entry(db, signer, viewer)
    body, *rest = mine.split(".")
    paid = Entry(source=Source.public_paid, placement="slot", at=clock.now(), viewer_id=viewer.viewer_id)
    another = Signer(["another key that nobody here has, 32+"], clock)
    stolen_body = mint_entry(another, paid).split(".")[0]
    ticket = (await _admission(db, signer, viewer, one)).ticket
    for forged in (
        "",
        "x",
        "..",
        body,
        mint_entry(another, paid),
        ".".join([stolen_body, *rest]),
        mine[:-20] + ("A" if mine[-20] != "A" else "B") + mine[-19:],
        signer.sign("visit", paid),
        ticket,
        "é" * 50,
        "\x00",
    ):
        with pytest.raises(TokenInvalid):
            await enter(db, signer, viewer, one, forged)


async def _admission(db: Database, signer: Signer, viewer: Actor, one: Host) -> traffic.Admission:
    async with db.tx() as tx:
        return await traffic.enter(tx, signer, viewer, one.show_id, entry=None)


async def test_a_token_is_worth_nothing_after_its_day(db: Database, signer: Signer, clock: Clock) -> None:
    one, viewer = await host(db), guest()
    tokens = [await feed_entry(db, signer, viewer), await share_entry(db, signer, viewer, one)]
    clock.advance(seconds=ENTRY_AGE_MAX_S + 2)
    for token in tokens:
        with pytest.raises(TokenExpired):
            await enter(db, signer, viewer, one, token)


async def test_somebody_elses_feed_token_is_refused(db: Database, signer: Signer) -> None:
    one, viewer = await host(db), guest()
    token = await feed_entry(db, signer, viewer)
    for thief in (guest(), await join(db, "thief")):
        with pytest.raises(EntryNotYours):
            await enter(db, signer, thief, one, token)


async def test_a_token_leads_into_its_own_show_only(db: Database, signer: Signer) -> None:
    one, viewer = await host(db), guest()
    tokens = [await feed_entry(db, signer, viewer), await share_entry(db, signer, viewer, one)]
    other = await host(db, "other")
    for token in tokens:
        with pytest.raises(EntryElsewhere):
            await enter(db, signer, viewer, other, token)


async def test_a_shared_link_serves_anybody_and_credits_the_share_and_its_sharer(db: Database, signer: Signer) -> None:
    one, sharer = await host(db), await join(db, "sharer")
    token = await share_entry(db, signer, sharer, one)
    for visitor in (guest(), await join(db, "visitor"), sharer):
        visit = await enter(db, signer, visitor, one, token)
        assert (visit.source, visit.placement) == (Source.share, "share-link")
        assert (visit.sharer_id, visit.campaign) == (sharer.viewer_id, None)


async def test_only_a_share_is_signed_without_a_viewer(signer: Signer, clock: Clock) -> None:
    for source in Source:
        if source is not Source.share:
            with pytest.raises(AssertionError):
                mint_entry(signer, Entry(source=source, placement="x", at=clock.now()))


async def test_a_guests_token_is_good_after_signing_in(db: Database, signer: Signer) -> None:
    one, before, account = await host(db), guest(), await join(db, "viewer")
    token = await feed_entry(db, signer, before)
    with pytest.raises(EntryNotYours):
        await enter(db, signer, account, one, token)
    async with db.tx() as tx:
        assert account.account_id is not None
        await merge_guest(tx, before.viewer_id, account.account_id)
    visit = await enter(db, signer, account, one, token)
    assert (visit.viewer_id, visit.source) == (account.viewer_id, Source.public_organic)


async def test_a_ticket_is_signed_for_a_minute_and_says_who_comes(db: Database, signer: Signer, clock: Clock) -> None:
    one, viewer = await host(db), await join(db, "viewer")
    async with db.tx() as tx:
        await fans.follow(tx, viewer.viewer_id, one.id)
    first, second = await _admission(db, signer, viewer, one), await _admission(db, signer, viewer, one)
    ticket = live.read_ticket(signer, first.ticket)
    assert ticket == live.Ticket(
        jti=ticket.jti,
        viewer_id=viewer.viewer_id,
        account_id=viewer.account_id,
        name="viewer",
        show_id=one.show_id,
        shop_id=one.shop_id,
        visit=ticket.visit,
        scopes=frozenset(),
        follows=True,
        followed_at=ticket.followed_at,
        fan_level=0,
    )
    assert ticket.followed_at is not None
    assert live.read_ticket(signer, second.ticket).jti != ticket.jti
    with pytest.raises(TokenInvalid):
        live.read_ticket(signer, first.visit)
    clock.advance(seconds=62)
    with pytest.raises(TokenExpired):
        live.read_ticket(signer, first.ticket)


async def test_a_ticket_carries_the_seats_scopes_as_far_as_the_token_reaches(db: Database, signer: Signer) -> None:
    one, staff = await host(db), await join(db, "staff")
    async with db.tx() as tx:
        await grant_seat(tx, one.actor, one.shop_id, "staff", scopes=[Scope.show, Scope.orders])
    assert live.read_ticket(signer, (await _admission(db, signer, staff, one)).ticket).scopes == {"show", "orders"}
    program = Actor(
        viewer_id=guest().viewer_id,
        seat_holder_id=staff.account_id,
        token_scopes=frozenset({TokenScope.orders, TokenScope.money}),
    )
    ticket = live.read_ticket(signer, (await _admission(db, signer, program, one)).ticket)
    assert ticket.scopes == {"orders"} and ticket.account_id is None
    nobody = live.read_ticket(signer, (await _admission(db, signer, guest(), one)).ticket)
    assert nobody.scopes == frozenset() and nobody.name.startswith("游客")


async def test_an_ended_show_lets_nobody_in(db: Database, signer: Signer) -> None:
    one = await host(db)
    async with db.tx() as tx:
        await live.end_show(tx, one.actor, one.show_id)
    with pytest.raises(live.ShowEnded):
        await enter(db, signer, guest(), one, None)


async def test_a_show_that_is_not_there_lets_nobody_in(db: Database, signer: Signer) -> None:
    one = await host(db)
    stray = Host(one.actor, one.id, one.shop_id, one.room_id, ShowId(one.room_id))
    with pytest.raises(NotFound):
        await enter(db, signer, guest(), stray, None)


async def test_a_follow_is_credited_to_the_visit_in_that_streamers_show_alone(
    db: Database, signer: Signer, clock: Clock
) -> None:
    one, viewer = await host(db), guest()
    shared = await share_entry(db, signer, guest(), one)
    other = await host(db, "other")
    async with db.tx() as tx:
        token = (await traffic.enter(tx, signer, viewer, one.show_id, entry=shared)).visit
        traced = await traffic.trace_visit(tx, signer, viewer, token, streamer_id=one.id)
        assert traced is not None and traced.source is Source.share
        assert await traffic.trace_visit(tx, signer, viewer, token, streamer_id=other.id) is None
        with pytest.raises(EntryNotYours):
            await traffic.trace_visit(tx, signer, guest(), token, streamer_id=one.id)
        with pytest.raises(TokenInvalid):
            await traffic.trace_visit(tx, signer, viewer, shared, streamer_id=one.id)
    clock.advance(seconds=VISIT_AGE_MAX_S + 2)
    async with db.read() as tx:
        with pytest.raises(TokenExpired):
            await traffic.trace_visit(tx, signer, viewer, token, streamer_id=one.id)
