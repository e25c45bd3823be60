"""What a player asks and gets: HLS playlists with low-latency parts, blocking reload, media (RFC 8216bis).

Every answer is complete: status, headers fit for a shared cache, body. Blocking requests are bounded in number by
`Waiters` and in time by `Limits.wait_s_max`; who times out gets what there is.
"""

import asyncio
import re
from collections.abc import Callable, Mapping

from laotie.media.model import Answer, Limits
from laotie.media.packager import Packager, Segment

MASTER = "master.m3u8"
LIVE = "live.m3u8"
MEDIA_NAME = re.compile(r"(?:s(\d{1,15})(?:\.(\d{1,4}))?\.m4s|init\.(\d{1,15})\.mp4)", re.ASCII)
PARTS_LISTED = 3
"""Segments at the live edge whose parts are listed; older ones only whole."""
AHEAD_MAX = 2

PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
FOREVER = "public, max-age=3600, immutable"
BRIEFLY = "public, max-age=1"
NEVER = "no-store"


class Waiters:
    """How many may wait at once, over all channels."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.count = 0

    async def wait(self, packager: Packager, until: Callable[[], bool], timeout_s: float) -> bool | None:
        """Whether `until` came true in time; nothing when too many wait already."""
        if until():
            return True
        if self.count >= self._limit:
            return None
        self.count += 1
        try:
            async with asyncio.timeout(timeout_s):
                while not until():
                    if packager.over:
                        return False
                    await packager.change()
            return True
        except TimeoutError:
            return False
        finally:
            self.count -= 1


class Player:
    """Answers for one channel's window; the text of a playlist is written once a change, however many ask."""

    def __init__(self, packager: Packager, limits: Limits, waiters: Waiters) -> None:
        self._packager = packager
        self._limits = limits
        self._waiters = waiters
        self._text: tuple[int, bytes] = (-1, b"")

    async def answer(self, path: str, query: Mapping[str, str]) -> Answer:
        """Answer one request below the channel's address."""
        if path == MASTER:
            return await self._master()
        if path == LIVE:
            return await self._live(query)
        named = MEDIA_NAME.fullmatch(path)
        if named is None:
            return missing()
        number, part, init = (int(text) if text else None for text in named.groups())
        if init is not None:
            found = self._packager.inits.get(init)
            return _media("video/mp4", found.data) if found else missing()
        assert number is not None
        return self._segment(number) if part is None else await self._part(number, part)

    async def _master(self) -> Answer:
        ready = await self._wait(lambda: self._packager.ready)
        if ready is None:
            return busy()
        return _playlist(master(self._packager), NEVER) if ready else missing()

    async def _live(self, query: Mapping[str, str]) -> Answer:
        packager = self._packager
        wanted = _wanted(query)
        if isinstance(wanted, Answer):
            return wanted
        ready = await self._wait(lambda: packager.ready)
        if ready is None:
            return busy()
        if not ready:
            return missing()
        if wanted is None:
            return _playlist(self._render(), NEVER)
        number, part = wanted
        if number > packager.next[0] + AHEAD_MAX:
            return Answer(400, {"content-type": "text/plain", "cache-control": NEVER}, b"too far ahead\n")
        there = await self._wait(lambda: _reached(packager, number, part))
        if there is None:
            return busy()
        return _playlist(self._render(), BRIEFLY if there else NEVER)

    def _segment(self, number: int) -> Answer:
        segment = self._packager.segment(number)
        return missing() if segment is None or segment.open else _media("video/mp4", segment.data())

    async def _part(self, number: int, part: int) -> Answer:
        """A part; the one that comes next is waited for, since the playlist hints at it."""
        packager = self._packager
        if (number, part) == packager.next and await self._wait(lambda: packager.next != (number, part)) is None:
            return busy()
        segment = packager.segment(number)
        if segment is None or part >= len(segment.parts):
            return missing()
        return _media("video/mp4", segment.parts[part].data)

    async def _wait(self, until: Callable[[], bool]) -> bool | None:
        return await self._waiters.wait(self._packager, until, self._limits.wait_s_max)

    def _render(self) -> bytes:
        if self._text[0] != self._packager.version:
            hold_back_s = max(self._limits.hold_back_s, 3 * self._packager.part_target_s)
            self._text = (self._packager.version, live(self._packager, hold_back_s=hold_back_s))
        return self._text[1]


def master(packager: Packager) -> bytes:
    """The entry: one rendition, with what a player must know before it fetches."""
    newest = packager.segments[-1]
    closed = [segment for segment in packager.segments if not segment.open and segment.duration_s] or [newest]
    rates = [8 * segment.size / max(segment.duration_s, 0.1) for segment in closed]
    facts = [f"BANDWIDTH={round(max(rates) * 1.1)}", f"AVERAGE-BANDWIDTH={round(sum(rates) / len(rates))}"]
    facts.append(f'CODECS="{newest.init.codecs}"')
    if (picture := newest.init.picture) is not None:
        facts.append(f"RESOLUTION={picture.width}x{picture.height}")
    lines = ["#EXTM3U", "#EXT-X-VERSION:9", f"#EXT-X-STREAM-INF:{','.join(facts)}", LIVE, ""]
    return "\n".join(lines).encode()


def live(packager: Packager, *, hold_back_s: float) -> bytes:
    """The media playlist as it stands."""
    listed = packager.listed()
    first = listed[0]
    control = f"CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={hold_back_s:.3f},HOLD-BACK={3 * packager.target_s}"
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:9",
        f"#EXT-X-TARGETDURATION:{packager.target_s}",
        f"#EXT-X-SERVER-CONTROL:{control}",
        f"#EXT-X-PART-INF:PART-TARGET={packager.part_target_s:.3f}",
        f"#EXT-X-MEDIA-SEQUENCE:{first.number}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{first.discontinuities - first.discontinuous}",
    ]
    if all(segment.independent for segment in listed):
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    init = None
    with_parts = len(listed) - PARTS_LISTED - listed[-1].open
    for index, segment in enumerate(listed):
        if segment.discontinuous:
            lines.append("#EXT-X-DISCONTINUITY")
        if segment.init is not init:
            init = segment.init
            lines.append(f'#EXT-X-MAP:URI="init.{init.number}.mp4"')
        instant = segment.begins_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{instant}")
        if index >= with_parts:
            lines += _parts(segment)
        if not segment.open:
            lines += [f"#EXTINF:{segment.duration_s:.5f},", f"s{segment.number}.m4s"]
    if packager.over:
        lines.append("#EXT-X-ENDLIST")
    else:
        number, part = packager.next
        lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="s{number}.{part}.m4s"')
    return "\n".join([*lines, ""]).encode()


def missing() -> Answer:
    """Not here, or not yet: a player asks again."""
    return Answer(404, {"content-type": "text/plain", "cache-control": NEVER, "retry-after": "1"}, b"not here\n")


def busy() -> Answer:
    """Too many wait."""
    return Answer(503, {"content-type": "text/plain", "cache-control": NEVER, "retry-after": "1"}, b"too busy\n")


def _parts(segment: Segment) -> list[str]:
    return [
        f'#EXT-X-PART:DURATION={part.duration_s:.5f},URI="s{segment.number}.{index}.m4s"'
        + (",INDEPENDENT=YES" if part.independent else "")
        for index, part in enumerate(segment.parts)
    ]


def _wanted(query: Mapping[str, str]) -> tuple[int, int | None] | Answer | None:
    """The segment and part that a request wants to see in its answer."""
    number, part = query.get("_HLS_msn"), query.get("_HLS_part")
    if number is None and part is None:
        return None
    texts = [text for text in (number, part) if text is not None]
    if number is None or not all(text.isascii() and text.isdigit() and len(text) <= 15 for text in texts):
        return Answer(400, {"content-type": "text/plain", "cache-control": NEVER}, b"malformed _HLS_msn or _HLS_part\n")
    return int(number), int(part) if part is not None else None


def _reached(packager: Packager, number: int, part: int | None) -> bool:
    """The playlist holds that part; without a part, that whole segment."""
    next_number, next_part = packager.next
    if next_number <= number:
        return next_number == number and part is not None and next_part > part
    segment = packager.segment(number)
    # A part past the segment's last stands for the first of the following one.
    if part is not None and segment is not None and part >= len(segment.parts):
        return (next_number, next_part) > (number + 1, 0)
    return True


def _playlist(text: bytes, cache: str) -> Answer:
    return Answer(200, {"content-type": PLAYLIST_TYPE, "cache-control": cache, **OPEN}, text)


def _media(kind: str, data: bytes) -> Answer:
    return Answer(200, {"content-type": kind, "cache-control": FOREVER, **OPEN}, data)


OPEN = {"access-control-allow-origin": "*"}
"""The same media may be played from another address of the house (a CDN, an embedding page)."""
