"""Where a viewer came from: entry tokens, signed by the server wherever it places something, and the visit they open.

A feed slot, a search result, a share link carries an entry token. It is exchanged when the viewer enters a show and
lives on in the visit token, which follows and orders carry. No token: `direct`. Feed, slot and paid tokens are bound
to the viewer they were shown to; a share token is a bearer and credits only `share`.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

from laotie.base.ids import AccountId, ShopId, ShowId, ViewerId, VisitId
from laotie.base.refusals import Refusal
from laotie.base.signer import Signer

ENTRY_AGE_MAX_S = 24 * 3600
VISIT_AGE_MAX_S = 24 * 3600


class Source(StrEnum):
    """The kinds of traffic. Fan status is a second axis, never a source."""

    private = "private"
    public_organic = "public_organic"
    public_paid = "public_paid"
    slot = "slot"
    shelf = "shelf"
    share = "share"
    pk = "pk"
    direct = "direct"


BEARER_SOURCES = frozenset({Source.share})


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One placement shown to one viewer (or, for a share link, to whoever opens it).

    `subject` is the show (or the surface, `clip:…`) that the placement leads to; without one it leads to any.
    """

    source: Source
    placement: str
    at: datetime
    viewer_id: ViewerId | None = None
    sharer_id: ViewerId | None = None
    campaign: str | None = None
    position: int | None = None
    subject: str | None = None


class Credit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an order or a follow is credited with: where from, whether a fan came, and by which version of the rule."""

    source: Source
    placement: str
    visit_id: VisitId | None = None
    campaign: str | None = None
    streamer_id: AccountId | None = None
    is_fan: bool = False
    rule_version: int = 1


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """One stay of one viewer in one show, or on a surface beside it, with where they came from.

    On a surface `placement` names it (`clip:…`), and there need not be a show; on the shelf there is neither. The source
    is what the rule of `rule_version` credits the visit with. `is_fan`: the viewer followed the streamer (on the shelf:
    one of the shop's) when they came.
    """

    id: VisitId
    viewer_id: ViewerId
    show_id: ShowId | None
    source: Source
    placement: str
    at: datetime
    campaign: str | None = None
    position: int | None = None
    sharer_id: ViewerId | None = None
    shop_id: ShopId | None = None
    streamer_id: AccountId | None = None
    is_fan: bool = False
    rule_version: int = 1
    counts: bool = True
    """Whether a visitor came: the shop's own people, and strangers whom nobody would know again, are none."""

    @property
    def credit(self) -> Credit:
        """What is done on this visit is credited with this."""
        return Credit(
            source=self.source,
            placement=self.placement,
            visit_id=self.id,
            campaign=self.campaign,
            streamer_id=self.streamer_id,
            is_fan=self.is_fan,
            rule_version=self.rule_version,
        )


class EntryNotYours(Refusal, code="entry-not-yours", status=403):
    """This entry was shown to somebody else."""


class EntryElsewhere(Refusal, code="entry-elsewhere", status=403):
    """This entry leads to another show."""


def mint_entry(signer: Signer, entry: Entry) -> str:
    """A token for a placement. All but bearer sources name the viewer."""
    assert entry.viewer_id is not None or entry.source in BEARER_SOURCES
    return signer.sign("entry", entry)


def read_entry(
    signer: Signer, token: str, *, viewer_id: ViewerId, merged: frozenset[ViewerId], subjects: tuple[str, ...]
) -> Entry:
    """The entry in a token, for who uses it and where it is used.

    `merged` are the guest ids that have become this viewer; `subjects` name the place, once or twice. Refuses a forged or
    expired token, one that was shown to somebody else, and one that leads elsewhere. A bearer's is a share, whatever it says.
    """
    entry = signer.open("entry", token, Entry, age_max_s=ENTRY_AGE_MAX_S)
    if entry.source not in BEARER_SOURCES and entry.viewer_id != viewer_id and entry.viewer_id not in merged:
        raise EntryNotYours()
    if entry.subject is not None and entry.subject not in subjects:
        raise EntryElsewhere()
    return entry


def is_of_surface(placement: str) -> bool:
    """Whether a visit's placement names a surface beside the live room."""
    return ":" in placement


def sign_visit(signer: Signer, visit: Visit) -> str:
    """The visit as a token that follows and orders carry."""
    return signer.sign("visit", visit)


def read_visit(signer: Signer, token: str) -> Visit:
    """The visit in a token, or a refusal."""
    return signer.open("visit", token, Visit, age_max_s=VISIT_AGE_MAX_S)
