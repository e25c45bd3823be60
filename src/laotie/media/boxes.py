"""Fragmented MP4 as it comes out of a pipe: whole boxes, what `moov` says of the tracks, what `moof` says of time.

Reads only what packaging needs (ISO/IEC 14496-12 for boxes, -14 for `esds`, -15 for `avcC`). Media bytes are
copied once, when they are cut off the stream.
"""

from collections.abc import Iterator
from struct import unpack_from

import msgspec

from laotie.media.model import MediaBroken

BOX_SIZE_MAX = 32 * 1024 * 1024
CONTAINERS = frozenset((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf"))
NON_SYNC = 0x10000


class Track(msgspec.Struct, frozen=True):
    """One track of an init segment."""

    track_id: int
    kind: str
    """`vide` or `soun`."""
    timescale: int
    codec: str
    """RFC 6381, as a master playlist's CODECS wants it."""
    width: int = 0
    height: int = 0


class Run(msgspec.Struct, frozen=True):
    """What one fragment holds of one track; times in the track's timescale."""

    track_id: int
    decode_time: int
    duration: int
    sample_count: int
    sync: bool
    """It begins with a sample from which decoding can start."""


class BoxReader:
    """Cuts a byte stream into top-level boxes; holds at most one unfinished box."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytearray]]:
        """Give each whole box as (type, bytes), header included."""
        self._buffer += data
        while len(self._buffer) >= 8:
            size, kind = unpack_from(">I4s", self._buffer)
            if not 8 <= size <= BOX_SIZE_MAX:
                raise MediaBroken(reason=f"box {kind!r} of {size} bytes")
            if len(self._buffer) < size:
                return
            box = self._buffer[:size]
            del self._buffer[:size]
            yield kind, box


def tracks(moov: bytes | bytearray) -> list[Track]:
    """The tracks of a `moov` box, in order."""
    found: list[Track] = []
    for kind, start, end in _children(moov, 8, len(moov)):
        if kind == b"trak":
            found.append(_track(moov, start, end))
    if not found:
        raise MediaBroken(reason="moov without tracks")
    return found


def runs(moof: bytes | bytearray) -> list[Run]:
    """What each track has in this fragment."""
    return [_run(moof, start, end) for kind, start, end in _children(moof, 8, len(moof)) if kind == b"traf"]


def _children(box: bytes | bytearray, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, end) of the payloads in a stretch of boxes."""
    while start + 8 <= end:
        size, kind = unpack_from(">I4s", box, start)
        if size < 8 or start + size > end:
            raise MediaBroken(reason=f"box {kind!r} of {size} bytes inside {end - start}")
        yield kind, start + 8, start + size
        start += size


def _leaves(box: bytes | bytearray, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    for kind, inner, stop in _children(box, start, end):
        if kind in CONTAINERS:
            yield from _leaves(box, inner, stop)
        else:
            yield kind, inner, stop


def _track(moov: bytes | bytearray, start: int, end: int) -> Track:
    at = {kind: (inner, stop) for kind, inner, stop in _leaves(moov, start, end)}
    try:
        tkhd, mdhd, hdlr, stsd = at[b"tkhd"][0], at[b"mdhd"][0], at[b"hdlr"][0], at[b"stsd"]
    except KeyError as missing:
        raise MediaBroken(reason=f"track without {missing}") from None
    entry = next(_children(moov, stsd[0] + 8, stsd[1]), None)
    if entry is None:
        raise MediaBroken(reason="track without a sample entry")
    name, inner, stop = entry
    kind = bytes(moov[hdlr + 8 : hdlr + 12]).decode("latin-1")
    width, height = unpack_from(">HH", moov, inner + 24) if kind == "vide" else (0, 0)
    return Track(
        track_id=_u32(moov, tkhd + (20 if moov[tkhd] else 12)),
        kind=kind,
        timescale=_u32(moov, mdhd + (20 if moov[mdhd] else 12)),
        codec=_codec(moov, name, inner, stop),
        width=width,
        height=height,
    )


def _codec(moov: bytes | bytearray, name: bytes, start: int, end: int) -> str:
    # A visual sample entry has 78 bytes before its boxes, an audio one 28.
    if name in (b"avc1", b"avc3"):
        for kind, inner, _ in _children(moov, start + 78, end):
            if kind == b"avcC":
                return f"{name.decode()}.{bytes(moov[inner + 1 : inner + 4]).hex()}"
    if name == b"mp4a":
        for kind, inner, stop in _children(moov, start + 28, end):
            if kind == b"esds":
                return _esds_codec(bytes(moov[inner + 4 : stop]))
    return name.decode("latin-1")


def _esds_codec(data: bytes) -> str:
    """`mp4a.<object type>.<audio object type>` out of the nested descriptors 3 → 4 → 5."""
    at, object_type = 0, 0
    while at < len(data):
        tag, at = data[at], at + 1
        size = 0
        while at < len(data):
            byte, at = data[at], at + 1
            size = size << 7 | byte & 0x7F
            if not byte & 0x80:
                break
        if tag == 3:
            at += 3
        elif tag == 4:
            object_type = data[at] if at < len(data) else 0
            at += 13
        elif tag == 5 and at + 1 < len(data):
            audio = data[at] >> 3
            if audio == 31:
                audio = 32 + ((data[at] & 7) << 3 | data[at + 1] >> 5)
            return f"mp4a.{object_type:x}.{audio}"
        else:
            at += size
    return f"mp4a.{object_type:x}"


def _run(moof: bytes | bytearray, start: int, end: int) -> Run:
    track_id = decode_time = duration = count = default_duration = default_flags = 0
    sync: bool | None = None
    for kind, at, _stop in _children(moof, start, end):
        flags = _u32(moof, at) & 0xFFFFFF
        if kind == b"tfhd":
            track_id = _u32(moof, at + 4)
            cursor = at + 8 + (8 if flags & 1 else 0) + (4 if flags & 2 else 0)
            if flags & 8:
                default_duration, cursor = _u32(moof, cursor), cursor + 4
            cursor += 4 if flags & 0x10 else 0
            if flags & 0x20:
                default_flags = _u32(moof, cursor)
        elif kind == b"tfdt":
            decode_time = unpack_from(">Q", moof, at + 4)[0] if moof[at] else _u32(moof, at + 4)
        elif kind == b"trun":
            samples = _u32(moof, at + 4)
            cursor = at + 8 + (4 if flags & 1 else 0)
            first_flags = default_flags
            if flags & 4:
                first_flags, cursor = _u32(moof, cursor), cursor + 4
            step = 4 * (flags >> 8 & 0xF).bit_count()
            if cursor + samples * step > len(moof):
                raise MediaBroken(reason=f"trun of {samples} samples")
            if flags & 0x400 and samples and not flags & 4:
                first_flags = _u32(moof, cursor + 4 * (flags >> 8 & 3).bit_count())
            if flags & 0x100:
                duration += sum(_u32(moof, cursor + step * index) for index in range(samples))
            else:
                duration += default_duration * samples
            if sync is None and samples:
                sync = not first_flags & NON_SYNC
            count += samples
    return Run(track_id=track_id, decode_time=decode_time, duration=duration, sample_count=count, sync=bool(sync))


def _u32(box: bytes | bytearray, at: int) -> int:
    value: int = unpack_from(">I", box, at)[0]
    return value
