"""Tokens: what was signed opens, anything else is refused; entry tokens credit what they may."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laotie.base.clock import Clock
from laotie.base.entry import Entry, EntryNotYours, Source, mint_entry, open_visit, read_visit, sign_visit
from laotie.base.ids import ShowId, ViewerId, new_id
from laotie.base.signer import Signer, TokenExpired, TokenInvalid

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ME, OTHER, SHOW = ViewerId(UUID(int=1)), ViewerId(UUID(int=2)), ShowId(UUID(int=3))


class Note(msgspec.Struct, frozen=True):
    text: str


def test_a_token_opens_for_its_purpose_alone(signer: Signer) -> None:
    token = signer.sign("a", Note("x"))
    assert signer.open("a", token, Note, age_max_s=10) == Note("x")
    with pytest.raises(TokenInvalid):
        signer.open("b", token, Note, age_max_s=10)


def test_a_token_expires(signer: Signer, clock: Clock) -> None:
    token = signer.sign("a", Note("x"))
    clock.advance(seconds=12)
    with pytest.raises(TokenExpired):
        signer.open("a", token, Note, age_max_s=10)


def test_an_older_key_still_opens_and_the_newest_signs() -> None:
    clock = Clock()
    old, new = "old key 0123456789 0123456789 0123", "new key 0123456789 0123456789 0123"
    token = Signer([old], clock).sign("a", Note("x"))
    assert Signer([old, new], clock).open("a", token, Note, age_max_s=10) == Note("x")
    with pytest.raises(TokenInvalid):
        Signer([old], clock).open("a", Signer([old, new], clock).sign("a", Note("x")), Note, age_max_s=10)


@given(st.text(max_size=200))
def test_no_text_but_a_signed_one_opens(text: str) -> None:
    with pytest.raises((TokenInvalid, TokenExpired)):
        Signer(["k" * 32], Clock()).open("a", text, Note, age_max_s=10)


def entry(source: Source, viewer_id: ViewerId | None) -> Entry:
    return Entry(source=source, placement="discover", at=NOW, viewer_id=viewer_id, position=3)


def test_a_feed_entry_becomes_a_visit_of_its_source(signer: Signer) -> None:
    token = mint_entry(signer, entry(Source.public_organic, ME))
    visit = open_visit(signer, token, viewer_id=ME, merged=frozenset(), show_id=SHOW, at=NOW)
    assert (visit.source, visit.position, visit.viewer_id) == (Source.public_organic, 3, ME)
    assert read_visit(signer, sign_visit(signer, visit)) == visit


def test_a_feed_entry_of_somebody_else_is_refused_but_of_my_guest_self_is_mine(signer: Signer) -> None:
    token = mint_entry(signer, entry(Source.public_organic, OTHER))
    with pytest.raises(EntryNotYours):
        open_visit(signer, token, viewer_id=ME, merged=frozenset(), show_id=SHOW, at=NOW)
    assert open_visit(signer, token, viewer_id=ME, merged=frozenset({OTHER}), show_id=SHOW, at=NOW).viewer_id == ME


def test_a_share_link_credits_only_share(signer: Signer) -> None:
    token = mint_entry(signer, Entry(source=Source.share, placement="share", at=NOW, sharer_id=OTHER))
    visit = open_visit(signer, token, viewer_id=ME, merged=frozenset(), show_id=SHOW, at=NOW)
    assert (visit.source, visit.sharer_id) == (Source.share, OTHER)


def test_without_an_entry_the_visit_is_direct(signer: Signer) -> None:
    assert open_visit(signer, None, viewer_id=ME, merged=frozenset(), show_id=SHOW, at=NOW).source is Source.direct


def test_ids_grow_with_time() -> None:
    ids = [new_id() for _ in range(1000)]
    assert ids == sorted(ids)
