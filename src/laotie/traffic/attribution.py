"""The rule of attribution: what a visit is credited with, as data with a version, and the touches that it reads.

A touch is that somebody came to something of a shop, and from where: raw, before any rule. The rule chooses among the
viewer's touches of that shop, those of the guests that became the viewer included, within its window. It is asked when a
visit opens (its source then holds for watch time, follows and orders of the visit), and for an order that names no visit.
Rules are added, never changed; one begins a minute ahead at the earliest, so that none is in force before it is known.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec

from laotie import fans, identity, live
from laotie.base.db import Tx
from laotie.base.entry import Credit, Source
from laotie.base.ids import AccountId, ShopId, ViewerId, VisitId
from laotie.base.refusals import Conflict, Invalid, TooFast

SHELF = ShopId(UUID(int=0))
"""The shelf as a whole, where no shop is meant."""

WINDOW_H_MAX = 2160
BEGINS_AHEAD = timedelta(minutes=1)
NOTE_LENGTH_MAX = 500
RULES_MAX = 1_000
SESSION = timedelta(minutes=30)
TOUCHES_PER_SESSION_MAX = 120
TOUCHES_READ_MAX = 10_000
EXPORTED_MAX = 10_000
FORGOTTEN_AT_ONCE = 10_000


class RuleKind(StrEnum):
    """Which of the touches is credited."""

    last_touch = "last_touch"
    first_touch = "first_touch"
    last_non_direct = "last_non_direct"


class AttributionRule(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the rule. `window_h` is how far back touches count."""

    version: int
    kind: RuleKind
    window_h: int
    valid_from: datetime
    note: str
    made_by: AccountId | None
    made_at: datetime


class Touch(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody came to something of a shop, and from where."""

    shop_id: ShopId
    at: datetime
    visit_id: VisitId
    source: Source
    placement: str
    campaign: str | None = None
    position: int | None = None
    sharer_id: ViewerId | None = None
    streamer_id: AccountId | None = None
    is_fan: bool = False

    def credit(self, rule_version: int) -> Credit:
        """What is credited to it."""
        return Credit(
            source=self.source,
            placement=self.placement,
            visit_id=self.visit_id,
            campaign=self.campaign,
            streamer_id=self.streamer_id,
            is_fan=self.is_fan,
            rule_version=rule_version,
        )


class RuleTooEarly(Invalid, code="rule-too-early"):
    """A rule begins a minute from now at the earliest, and after every other one."""

    earliest_at: datetime


class AttributionRefused(Invalid, code="attribution-refused"):
    """The window is one hour to ninety days, and the note is short."""

    window_h_max: int
    note_length_max: int


class RulesFull(Conflict, code="rules-full"):
    """There are as many versions as there may be."""

    count_max: int


def choose(kind: RuleKind, touches: Iterable[Touch]) -> Touch | None:
    """The touch that is credited, of those within the window. At one instant the higher visit id is the later touch."""
    inside = sorted(touches, key=lambda touch: (touch.at, touch.visit_id))
    if not inside:
        return None
    if kind is RuleKind.first_touch:
        return inside[0]
    if kind is RuleKind.last_non_direct:
        return next((touch for touch in reversed(inside) if touch.source is not Source.direct), inside[-1])
    return inside[-1]


async def find_rule(tx: Tx) -> AttributionRule:
    """The rule in force at this instant."""
    return await tx.one(
        AttributionRule,
        """
        SELECT version, kind, window_h, valid_from, note, made_by, made_at FROM traffic.attribution_rule
        WHERE valid_from <= %(now)s ORDER BY valid_from DESC LIMIT 1
        """,
        now=tx.now,
    )


async def list_rules(tx: Tx) -> list[AttributionRule]:
    """Every version, the latest first."""
    return await tx.all(
        AttributionRule,
        """
        SELECT version, kind, window_h, valid_from, note, made_by, made_at FROM traffic.attribution_rule
        ORDER BY version DESC LIMIT %(limit)s
        """,
        limit=RULES_MAX,
    )


async def add_rule(
    tx: Tx, operator_id: AccountId, kind: RuleKind, *, window_h: int, valid_from: datetime, note: str
) -> AttributionRule:
    """Have another rule from an instant on. Refuses `RuleTooEarly`, `AttributionRefused`, `RulesFull`. Locks the table of rules."""
    if not 1 <= window_h <= WINDOW_H_MAX or len(note) > NOTE_LENGTH_MAX or "\x00" in note:
        raise AttributionRefused(window_h_max=WINDOW_H_MAX, note_length_max=NOTE_LENGTH_MAX)
    await tx.run("LOCK TABLE traffic.attribution_rule IN SHARE ROW EXCLUSIVE MODE")
    ((version, begins_at),) = await tx.tuples("SELECT max(version), max(valid_from) FROM traffic.attribution_rule")
    if version >= RULES_MAX:
        raise RulesFull(count_max=RULES_MAX)
    earliest_at = max(tx.now + BEGINS_AHEAD, begins_at + BEGINS_AHEAD)
    if valid_from < earliest_at:
        raise RuleTooEarly(earliest_at=earliest_at)
    return await tx.one(
        AttributionRule,
        """
        INSERT INTO traffic.attribution_rule (version, kind, window_h, valid_from, note, made_by, made_at)
        VALUES (%(version)s, %(kind)s, %(window_h)s, %(valid_from)s, %(note)s, %(made_by)s, %(now)s)
        RETURNING version, kind, window_h, valid_from, note, made_by, made_at
        """,
        version=version + 1,
        kind=kind,
        window_h=window_h,
        valid_from=valid_from,
        note=note,
        made_by=operator_id,
        now=tx.now,
    )


class Kept(msgspec.Struct, frozen=True):
    """A touch as it was kept: the visit that it goes on with, if it does, and the rule in force."""

    again: VisitId | None
    is_full: bool
    version: int
    kind: RuleKind
    window_h: int


async def keep_touch(tx: Tx, viewer_id: ViewerId, touch: Touch, *, is_shelf: bool = False) -> Kept:
    """Remember a touch. One like the last within half an hour is the same visit going on, and leaves no new trace.

    On the shelf of one shop all of half an hour is one visit, however each page was found. Refuses `TooFast` beyond 120
    touches of one viewer in half an hour. To lose one in a crash would be to lose behaviour, not money, so the transaction
    need not wait for the disk.
    """
    kept = await tx.one(
        Kept,
        """
        WITH recent AS (
            SELECT visit_id, at, found.is_alike,
                   found.is_alike AND placement = %(placement)s AND campaign IS NOT DISTINCT FROM %(campaign)s AS is_same
            FROM traffic.touch
            CROSS JOIN LATERAL (
                SELECT shop_id = %(shop_id)s AND source = %(source)s
                       AND streamer_id IS NOT DISTINCT FROM %(streamer_id)s AS is_alike) AS found
            WHERE viewer_id = %(viewer_id)s AND at > %(since)s
        ), again AS (
            SELECT visit_id FROM recent WHERE is_same OR (is_alike AND %(is_shelf)s) ORDER BY at DESC LIMIT 1
        ), bound AS (
            SELECT count(*) >= %(touches_max)s AND NOT coalesce(bool_or(is_same), false) AS is_full FROM recent
        ), kept AS (
            INSERT INTO traffic.touch (viewer_id, shop_id, at, visit_id, source, placement, campaign, position,
                                       sharer_id, streamer_id, is_fan)
            SELECT %(viewer_id)s, %(shop_id)s, %(now)s, coalesce((SELECT visit_id FROM again), %(visit_id)s),
                   %(source)s, %(placement)s, %(campaign)s, %(position)s, %(sharer_id)s, %(streamer_id)s, %(is_fan)s
            FROM bound WHERE NOT is_full AND NOT EXISTS (SELECT FROM recent WHERE is_same)
            ON CONFLICT DO NOTHING
        )
        SELECT (SELECT visit_id FROM again) AS again, bound.is_full, rule.version, rule.kind, rule.window_h
        FROM bound, (SELECT version, kind, window_h, set_config('synchronous_commit', 'off', true)
                     FROM traffic.attribution_rule WHERE valid_from <= %(now)s ORDER BY valid_from DESC LIMIT 1) AS rule
        """,
        viewer_id=viewer_id,
        shop_id=touch.shop_id,
        now=touch.at,
        since=touch.at - SESSION,
        visit_id=touch.visit_id,
        source=touch.source,
        placement=touch.placement,
        campaign=touch.campaign,
        position=touch.position,
        sharer_id=touch.sharer_id,
        streamer_id=touch.streamer_id,
        is_fan=touch.is_fan,
        is_shelf=is_shelf,
        touches_max=TOUCHES_PER_SESSION_MAX,
    )
    if kept.is_full:
        raise TooFast(retry_after_s=60)
    return kept


async def find_touches(
    tx: Tx, viewer_ids: Iterable[ViewerId], shop_ids: Iterable[ShopId], *, since: datetime
) -> dict[ShopId, list[Touch]]:
    """What is remembered of a viewer (and the guests that became them) at these shops, the latest ten thousand."""
    found: dict[ShopId, list[Touch]] = defaultdict(list)
    for touch in await tx.all(
        Touch,
        """
        SELECT shop_id, at, visit_id, source, placement, campaign, position, sharer_id, streamer_id, is_fan
        FROM traffic.touch
        WHERE viewer_id = ANY(%(viewer_ids)s::uuid[]) AND shop_id = ANY(%(shop_ids)s::uuid[]) AND at >= %(since)s
        ORDER BY at DESC, visit_id DESC LIMIT %(limit)s
        """,
        viewer_ids=list(viewer_ids),
        shop_ids=list(shop_ids),
        since=since,
        limit=TOUCHES_READ_MAX,
    ):
        found[touch.shop_id].append(touch)
    return found


async def credit_shops(
    tx: Tx, viewer_id: ViewerId, merged: frozenset[ViewerId], shop_ids: Iterable[ShopId], *, source: Source
) -> dict[ShopId, Credit]:
    """What is done at these shops without a visit is credited with: the touch that the rule chooses, else `source`.

    Without any touch the placement is the source's own name, and fan status is that of this instant.
    """
    rule = await find_rule(tx)
    shops = list(dict.fromkeys(shop_ids))
    touches = await find_touches(tx, [viewer_id, *merged], shops, since=tx.now - timedelta(hours=rule.window_h))
    found: dict[ShopId, Credit] = {}
    for shop_id in shops:
        chosen = choose(rule.kind, touches.get(shop_id, []))
        if chosen is not None:
            found[shop_id] = chosen.credit(rule.version)
            continue
        is_fan = await is_fan_of_shop(tx, viewer_id, shop_id)
        found[shop_id] = Credit(source=source, placement=source.value, is_fan=is_fan, rule_version=rule.version)
    return found


async def is_fan_of_shop(tx: Tx, viewer_id: ViewerId, shop_id: ShopId) -> bool:
    """Whether a viewer follows one of the shop's streamers."""
    streamers = await live.list_streamers_of(tx, shop_id)
    return any(await fans.is_following_many(tx, [(viewer_id, streamer_id) for streamer_id in streamers]))


async def forget_touches(tx: Tx) -> int:
    """Drop some of what no window reaches any more; how many."""
    return await tx.run(
        """
        DELETE FROM traffic.touch WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM traffic.touch WHERE at < %(before)s LIMIT %(limit)s))
        """,
        before=tx.now - timedelta(hours=WINDOW_H_MAX),
        limit=FORGOTTEN_AT_ONCE,
    )


async def erase_touches(tx: Tx, viewer_ids: list[ViewerId]) -> None:
    """A person left: nothing is remembered of where they came from, nor whom their links brought."""
    await tx.run("DELETE FROM traffic.touch WHERE viewer_id = ANY(%(ids)s::uuid[])", ids=viewer_ids)
    await tx.run(
        "UPDATE traffic.touch SET sharer_id = NULL WHERE sharer_id = ANY(%(ids)s::uuid[])", ids=viewer_ids
    )


async def export_touches(tx: Tx, account_id: AccountId) -> list[Touch]:
    """What is remembered of a person (for their export), the latest first."""
    viewer_id = ViewerId(account_id)
    viewer_ids = [viewer_id, *await identity.merged_guests(tx, viewer_id)]
    return await tx.all(
        Touch,
        """
        SELECT shop_id, at, visit_id, source, placement, campaign, position, sharer_id, streamer_id, is_fan
        FROM traffic.touch WHERE viewer_id = ANY(%(ids)s::uuid[]) ORDER BY at DESC, visit_id DESC LIMIT %(limit)s
        """,
        ids=viewer_ids,
        limit=EXPORTED_MAX,
    )
