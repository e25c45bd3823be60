"""The keeper of one room: its regulations made quick, so that a text or a hello is judged without asking anybody.

Made anew whenever the regulations are read; knows neither sockets nor the database. Compiled word lists are shared by
all rooms that have the same ones.
"""

import math
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from uuid import UUID

from laotie import words
from laotie.base.ids import AccountId, ViewerId
from laotie.live import (
    ChatRules,
    FollowersOnly,
    FollowLonger,
    Muted,
    Regulations,
    Right,
    Sanction,
    SanctionKind,
    SlowMode,
    Target,
    TextBlocked,
    bare_address,
    gather_rights,
)

MATCHERS_KEPT = 256
REVIEW = "review"
"""Why a text waits when the room reviews all."""


class Speech(NamedTuple):
    """A text that may be said, as it is shown; `held` says why somebody has to look at it first."""

    text: str
    held: str | None = None


class Keeper:
    """One room's rules, rights and sanctions."""

    def __init__(self, regulations: Regulations) -> None:
        self.rules = regulations.rules
        self.room_id = regulations.room_id
        self.streamer_id = regulations.streamer_id
        self._rights = regulations.rights
        self._matcher = _matcher_of(self.rules)
        self._mutes: dict[ViewerId, list[Sanction]] = {}
        self._out: dict[UUID, list[Sanction]] = {}
        self._networks: dict[tuple[int, int], dict[int, list[Sanction]]] = {}
        for sanction in regulations.sanctions:
            self._enter(sanction)

    def _enter(self, sanction: Sanction) -> None:
        if sanction.kind is SanctionKind.mute:
            self._mutes.setdefault(sanction.viewer_id, []).append(sanction)
        elif sanction.target is Target.network:
            assert sanction.network is not None
            network = ip_network(sanction.network)
            same = self._networks.setdefault((network.version, network.prefixlen), {})
            same.setdefault(int(network.network_address), []).append(sanction)
        else:
            held = sanction.viewer_id if sanction.target is Target.account else sanction.device_id
            assert held is not None
            self._out.setdefault(held, []).append(sanction)

    def rights_of(self, account_id: AccountId | None, scopes: frozenset[str]) -> frozenset[Right]:
        """What somebody may do for order here."""
        return gather_rights(scopes, self._rights.get(account_id) if account_id is not None else None)

    def find_exclusion(
        self, viewer_id: ViewerId, device_id: UUID | None, address: str, now: datetime
    ) -> Sanction | None:
        """The ban or kick that keeps somebody out now."""
        found = [*self._out.get(viewer_id, ()), *(self._out.get(device_id, ()) if device_id is not None else ())]
        if self._networks and (bare := bare_address(address)) is not None:
            parsed = ip_address(bare)
            for (version, prefix), same in self._networks.items():
                if version == parsed.version:
                    shift = parsed.max_prefixlen - prefix
                    found += same.get(int(parsed) >> shift << shift, ())
        return _longest(found, now)

    def find_mute(self, viewer_id: ViewerId, now: datetime) -> Sanction | None:
        """The mute that is in force now."""
        return _longest(self._mutes.get(viewer_id, ()), now)

    def judge(
        self,
        text: str,
        *,
        viewer_id: ViewerId,
        rights: frozenset[Right],
        followed_at: datetime | None,
        since_last_s: float,
        now: datetime,
    ) -> Speech:
        """What becomes of a text: said, masked or held; or a refusal. Who keeps order is not held up by it."""
        mute = self.find_mute(viewer_id, now)
        if mute is not None:
            raise Muted(until=mute.ends_at, reason=mute.reason)
        if rights:
            return Speech(text)
        rules = self.rules
        if rules.fans_only or rules.followed_min:
            self._check_follow(followed_at, now)
        if since_last_s < rules.slow_s:
            raise SlowMode(retry_after_s=max(1, math.ceil(rules.slow_s - since_last_s)), every_s=rules.slow_s)
        verdict = self._matcher.judge(text)
        if verdict.action is words.Action.block:
            strict = next(one for one in verdict.found if one.action is words.Action.block)
            raise TextBlocked(kind=strict.kind, seen=strict.seen)
        if verdict.action is words.Action.hold:
            return Speech(text, ", ".join(dict.fromkeys(f"{one.list}: {one.seen}" for one in verdict.found))[:200])
        return Speech(verdict.text, REVIEW if rules.review_all else None)

    def _check_follow(self, followed_at: datetime | None, now: datetime) -> None:
        minutes = self.rules.followed_min
        if followed_at is None:
            raise FollowersOnly(followed_min=minutes)
        may_at = followed_at + timedelta(minutes=minutes)
        if now < may_at:
            raise FollowLonger(until=may_at)


def _longest(found: "list[Sanction] | tuple[()]", now: datetime) -> Sanction | None:
    in_force = [one for one in found if one.ends_at is None or one.ends_at > now]
    return max(in_force, key=lambda one: (one.ends_at is None, one.ends_at or now), default=None)


@lru_cache(MATCHERS_KEPT)
def _matcher_of(rules: ChatRules) -> words.Matcher:
    lists = (*words.house_lists(), *rules.lists) if rules.house_words else rules.lists
    return words.Matcher(lists, links=rules.links, contacts=rules.contacts, allowed_hosts=rules.allowed_hosts)
