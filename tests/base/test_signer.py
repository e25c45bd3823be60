"""Tokens: what was signed opens, anything else is refused; entry tokens credit what they may."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laotie.base.clock import Clock
from laotie.base.entry import (
    Entry,
    EntryElsewhere,
    EntryNotYours,
    Source,
    Visit,
    mint_entry,
    read_entry,
    read_visit,
    sign_visit,
)
from laotie.base.ids import ShowId, ViewerId, VisitId, new_id
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


def use(signer: Signer, token: str, *merged: ViewerId, at: str = str(SHOW)) -> Entry:
    return read_entry(signer, token, viewer_id=ME, merged=frozenset(merged), subjects=(at,))


def test_an_entry_says_where_it_was_shown(signer: Signer) -> None:
    opened = use(signer, mint_entry(signer, entry(Source.public_organic, ME)))
    assert (opened.source, opened.position, opened.viewer_id) == (Source.public_organic, 3, ME)


def test_a_visit_is_read_as_it_was_signed(signer: Signer) -> None:
    visit = Visit(id=VisitId(new_id()), viewer_id=ME, show_id=SHOW, source=Source.slot, placement="slot", at=NOW, is_fan=True)
    assert read_visit(signer, sign_visit(signer, visit)) == visit


def test_a_feed_entry_of_somebody_else_is_refused_but_of_my_guest_self_is_mine(signer: Signer) -> None:
    token = mint_entry(signer, entry(Source.public_organic, OTHER))
    with pytest.raises(EntryNotYours):
        use(signer, token)
    assert use(signer, token, OTHER).viewer_id == OTHER


def test_an_entry_leads_to_its_subject_alone(signer: Signer) -> None:
    token = mint_entry(signer, msgspec.structs.replace(entry(Source.slot, ME), subject=str(SHOW)))
    assert use(signer, token).subject == str(SHOW)
    with pytest.raises(EntryElsewhere):
        use(signer, token, at="clip:1")


def test_a_share_link_serves_anybody(signer: Signer) -> None:
    opened = use(signer, mint_entry(signer, Entry(source=Source.share, placement="share", at=NOW, sharer_id=OTHER)))
    assert (opened.source, opened.sharer_id) == (Source.share, OTHER)


def test_ids_grow_with_time() -> None:
    ids = [new_id() for _ in range(1000)]
    assert ids == sorted(ids)
