"""How long a replay, a clip or a video was in sight: beats of its page, bounded by the clock here.

A beat says how much of the time since the last one the picture ran in sight, and shows the answer to that one, so that it
was heard. No more is believed than has passed here since that answer, and nothing when the beat comes too late, as in the
live room. So the spans of a play follow each other; whoever shows an answer twice covers the same time twice, and what
several spans of a person cover counts once (`insight.watch`). Nothing is kept: the answer is the state, signed.
"""

from typing import NamedTuple
from uuid import UUID

import msgspec

from laotie.base.entry import VISIT_AGE_MAX_S, EntryElsewhere, Visit
from laotie.base.ids import VisitId
from laotie.base.signer import Signer, TokenInvalid
from laotie.traffic.surfaces import SURFACE

BEAT_S = 10
BEAT_SLACK_S = 5


class PlayHeard(msgspec.Struct, frozen=True):
    """A beat was heard, and `counted_ms` of it believed. The next shows `beat`, after `beat_s` seconds or when the picture stops."""

    beat: str
    beat_s: int
    counted_ms: int


class Span(NamedTuple):
    """From an instant to another, in microseconds of UTC."""

    since_us: int
    until_us: int


class _Beat(msgspec.Struct, frozen=True):
    play_id: UUID
    visit_id: VisitId
    at_us: int


def hear_play(
    signer: Signer, visit: Visit, play_id: UUID, *, beat: str | None, shown_ms: int, now_us: int
) -> tuple[PlayHeard, Span | None]:
    """Answer a beat of a play, and what is believed of it. Without `beat` the play begins.

    Refuses a visit to anything but a replay, a clip or a video, and an answer that was forged or given to another play.
    """
    if SURFACE.fullmatch(visit.placement) is None:
        raise EntryElsewhere()
    counted_us = 0
    if beat is not None:
        last = signer.open("beat", beat, _Beat, age_max_s=VISIT_AGE_MAX_S)
        if (last.play_id, last.visit_id) != (play_id, visit.id):
            raise TokenInvalid(purpose="beat")
        counted_us = credit_us(shown_ms * 1_000, passed_us=now_us - last.at_us)
    answer = signer.sign("beat", _Beat(play_id, visit.id, now_us))
    return PlayHeard(answer, BEAT_S, counted_us // 1_000), Span(now_us - counted_us, now_us) if counted_us else None


def credit_us(shown_us: int, *, passed_us: int) -> int:
    """How much of what a page says it showed is believed, when so much time has passed here since the last beat."""
    if not 0 < passed_us <= (BEAT_S + BEAT_SLACK_S) * 1_000_000:
        return 0
    return max(0, min(shown_us, passed_us))
