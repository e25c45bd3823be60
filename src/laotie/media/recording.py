"""A recording: what was kept of a channel, and where on it an instant lies.

Two files that only grow: `media`, the init segments and segments as they were played, and `index`, one JSON line for
each. The index is the truth: a line that cannot be read is a piece that is not there, and whatever follows the last
good line was being written when the process died. Positions are microseconds of media since the recording's first
picture, instants are wall clock; a recording maps one onto the other exactly, and says where and why nothing was kept.
Writing is `recorder`'s, clips are `clip`'s.
"""

import zlib
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import msgspec

from laotie.media import metrics

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
GAP_MIN_US = 250_000
"""Less than this between two pieces is a clock that was set right, not a gap."""
SLIP_US = 1_000
"""Less than this is rounding: the pieces touch."""
GROUP_US = 5_500_000
"""Pieces are fetched this much at a time; a nine-hour playlist has 6,000 lines instead of 32,000."""
GROUP_US_MAX = 24_000_000
CHECKED_MAX = 64
"""So many of the last pieces are compared with their sums when a recording is opened again."""


class Why(StrEnum):
    """Why a stretch of a show was not kept."""

    encoder = "encoder"
    """Nothing came in: the encoder was away, or was set up anew."""
    server = "server"
    """The process that records was not running."""
    disk_full = "disk_full"
    disk_slow = "disk_slow"
    damaged = "damaged"
    """It was kept, but its entry in the index cannot be read."""


class Opening(msgspec.Struct, frozen=True, array_like=True, tag="i"):
    """An init segment: how to decode the pieces that name it."""

    at: int
    size: int
    sum: int
    codecs: str
    width: int
    height: int


class Piece(msgspec.Struct, frozen=True, array_like=True, tag="s"):
    """One segment: where its bytes are, when it was filmed, how long it is."""

    at: int
    size: int
    sum: int
    opening: int
    """Where the init segment's bytes begin."""
    begins_us: int
    duration_us: int
    key: bool
    """Decoding can start here."""
    broken: bool
    """Its timestamps do not go on from the piece before."""
    why: str = ""
    """Why what lay before it is missing."""

    @property
    def ends_us(self) -> int:
        """The instant after its last picture."""
        return self.begins_us + self.duration_us


class Ending(msgspec.Struct, frozen=True, array_like=True, tag="e"):
    """Nothing more was to be recorded from here on; a recording may be taken up again."""

    at_us: int
    why: str = ""


Line = Opening | Piece | Ending
_decode = msgspec.json.Decoder(Line).decode
encode_line = msgspec.json.Encoder().encode


class Gap(msgspec.Struct, frozen=True):
    """A stretch of the show that was not kept: from and to on the wall clock, and where on the recording it lies."""

    begins_at: datetime
    ends_at: datetime
    position_us: int
    why: Why


class Span(msgspec.Struct, frozen=True):
    """A stretch without any break: instant and position advance together."""

    position_us: int
    duration_us: int
    begins_at: datetime


class Moment(msgspec.Struct, frozen=True):
    """Where an instant lies on a recording. In a gap it is the first position after it."""

    position_us: int
    is_kept: bool


class Group(msgspec.Struct, frozen=True):
    """Pieces that are fetched as one."""

    first: int
    count: int
    position_us: int
    duration_us: int


class Recording:
    """The index in memory. Fed with lines in their order, by who writes and by who reads."""

    def __init__(self) -> None:
        self.openings: dict[int, Opening] = {}
        self.pieces: list[Piece] = []
        self.positions: list[int] = []
        """Where each piece begins, in microseconds of media."""
        self.duration_us = 0
        self.ended: Ending | None = None
        self.media_size = 0
        self.damaged = False
        """A line was skipped since the last piece."""
        self._groups: list[Group] = []
        self._grouped = 0

    def add(self, line: Line) -> bool:
        """Take the next line; says whether it fits behind the others."""
        if isinstance(line, Ending):
            self.ended = line
            return True
        if line.at < self.media_size or line.size <= 0:
            return False
        if isinstance(line, Opening):
            self.openings[line.at] = line
        else:
            last = self.pieces[-1] if self.pieces else None
            if line.opening not in self.openings or line.duration_us <= 0:
                return False
            if last is not None and line.begins_us < last.ends_us:
                return False
            if self.damaged and last is not None:
                line = msgspec.structs.replace(line, broken=True, why=line.why or Why.damaged)
            self.damaged = False
            self.pieces.append(line)
            self.positions.append(self.duration_us)
            self.duration_us += line.duration_us
            self.ended = None
        self.media_size = line.at + line.size
        return True

    def read(self, data: bytes, *, media_size: int) -> int:
        """Take every whole line; returns the bytes up to and with the last good one.

        A line that cannot be read or does not fit is skipped; one whose bytes are not in the media file is the end.
        """
        good = at = 0
        while (end := data.find(b"\n", at)) >= 0:
            raw, at = data[at:end], end + 1
            try:
                line = _decode(raw)
            except msgspec.DecodeError:
                self.damaged = True
                continue
            if not isinstance(line, Ending) and line.at + line.size > media_size:
                break
            if self.add(line):
                good = at
            else:
                self.damaged = True
        return good

    @property
    def begins_at(self) -> datetime | None:
        """The instant of the first picture."""
        return instant(self.pieces[0].begins_us) if self.pieces else None

    @property
    def ends_at(self) -> datetime | None:
        """The instant after the last picture."""
        return instant(self.pieces[-1].ends_us) if self.pieces else None

    def find_moment(self, at: datetime) -> Moment | None:
        """Where an instant lies; the beginning for what was before, the end for what came after; None when empty."""
        if not self.pieces:
            return None
        at_us = microseconds(at)
        index = bisect_right(self.pieces, at_us, key=lambda piece: piece.begins_us) - 1
        if index < 0:
            return Moment(0, False)
        inside_us = at_us - self.pieces[index].begins_us
        if inside_us < self.pieces[index].duration_us:
            return Moment(self.positions[index] + inside_us, True)
        following = self.positions[index + 1] if index + 1 < len(self.pieces) else self.duration_us
        return Moment(following, False)

    def find_instant(self, position_us: int) -> datetime | None:
        """When what is at a position was filmed; nothing outside of the recording."""
        if not 0 <= position_us < self.duration_us:
            return None
        index = self._at(position_us)
        return instant(self.pieces[index].begins_us + position_us - self.positions[index])

    def gaps(self) -> list[Gap]:
        """Where nothing was kept, in order; the last may be the show's own end."""
        found = []
        for index in range(1, len(self.pieces)):
            before, piece = self.pieces[index - 1], self.pieces[index]
            if piece.begins_us - before.ends_us >= GAP_MIN_US:
                found.append(_gap(before.ends_us, piece.begins_us, self.positions[index], piece.why))
        if self.pieces and self.ended is not None and self.ended.why:
            end_us = self.pieces[-1].ends_us
            if self.ended.at_us - end_us >= GAP_MIN_US:
                found.append(_gap(end_us, self.ended.at_us, self.duration_us, self.ended.why))
        return found

    def spans(self) -> list[Span]:
        """The stretches without a break, in order: enough to map instants and positions elsewhere."""
        starts = [
            index
            for index, piece in enumerate(self.pieces)
            if index == 0 or piece.begins_us != self.pieces[index - 1].ends_us
        ]
        ends = [*(self.positions[index] for index in starts[1:]), self.duration_us]
        return [
            Span(self.positions[index], end - self.positions[index], instant(self.pieces[index].begins_us))
            for index, end in zip(starts, ends, strict=True)
        ]

    def groups(self) -> list[Group]:
        """The pieces as they are fetched: from key frame to key frame, about six seconds; the same for ever.

        What is still growing is not among them until it is whole or the recording has ended.
        """
        found = self._groups
        first = self._grouped
        for index in range(first, len(self.pieces)):
            piece = self.pieces[index]
            length_us = self.positions[index] - self.positions[first]
            breaks = piece.broken or piece.opening != self.pieces[first].opening
            full = length_us >= GROUP_US and (piece.key or length_us >= GROUP_US_MAX)
            if index > first and (breaks or full):
                found.append(Group(first, index - first, self.positions[first], length_us))
                first = index
        self._grouped = first
        if self.ended is not None and first < len(self.pieces):
            rest_us = self.duration_us - self.positions[first]
            return [*found, Group(first, len(self.pieces) - first, self.positions[first], rest_us)]
        return list(found)

    def window(self, begins_at: datetime, ends_at: datetime) -> tuple[int, int]:
        """First and number of the pieces between two instants, widened to key frames; none where nothing was kept."""
        begins_us, ends_us = microseconds(begins_at), microseconds(ends_at)
        first = bisect_right(self.pieces, begins_us, key=lambda piece: piece.begins_us) - 1
        if first < 0 or self.pieces[first].ends_us <= begins_us:
            first += 1
        while 0 < first < len(self.pieces) and not self.pieces[first].key and not self.pieces[first].broken:
            first -= 1
        last = first
        while last < len(self.pieces) and self.pieces[last].begins_us < ends_us:
            last += 1
        return first, last - first

    def _at(self, position_us: int) -> int:
        return bisect_right(self.positions, position_us) - 1


def playlist(recording: Recording, groups: list[Group], *, over: bool, place: str = "") -> bytes:
    """An HLS playlist of these groups: a VOD, or one that still grows. `place` is put before each name."""
    longest_us = max((group.duration_us for group in groups), default=2_000_000)
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{-(-longest_us // 1_000_000)}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        f"#EXT-X-PLAYLIST-TYPE:{'VOD' if over else 'EVENT'}",
    ]
    opening = None
    before: Piece | None = None
    for group in groups:
        piece = recording.pieces[group.first]
        breaks = before is not None and (piece.broken or piece.opening != opening)
        if breaks:
            lines.append("#EXT-X-DISCONTINUITY")
        if piece.opening != opening:
            opening = piece.opening
            lines.append(f'#EXT-X-MAP:URI="{place}i{opening}.mp4"')
        if before is None or breaks or piece.begins_us != before.ends_us:
            stamp = instant(piece.begins_us).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{stamp}")
        lines += [f"#EXTINF:{group.duration_us / 1e6:.6f},", f"{place}s{group.first}.{group.count}.m4s"]
        before = recording.pieces[group.first + group.count - 1]
    if over:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join([*lines, ""]).encode()


def group_window(recording: Recording, first: int, count: int) -> list[Group]:
    """The pieces of a window as a clip fetches them."""
    groups: list[Group] = []
    for index in range(first, first + count):
        piece = recording.pieces[index]
        last = groups[-1] if groups else None
        breaks = piece.broken or piece.opening != recording.pieces[index - 1].opening
        if last is None or breaks or (last.duration_us >= GROUP_US and piece.key):
            groups.append(Group(index, 1, recording.positions[index], piece.duration_us))
        else:
            groups[-1] = Group(last.first, last.count + 1, last.position_us, last.duration_us + piece.duration_us)
    return groups


def instant(at_us: int) -> datetime:
    """An instant from microseconds since 1970."""
    return EPOCH + timedelta(microseconds=at_us)


def microseconds(at: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (at - EPOCH) // timedelta(microseconds=1)


def _gap(begins_us: int, ends_us: int, position_us: int, why: str) -> Gap:
    known = Why(why) if why in Why.__members__ else Why.encoder
    return Gap(instant(begins_us), instant(ends_us), position_us, known)


class Archive:
    """The recordings under one directory, read as they grow; safe to use from several threads."""

    KEPT_MAX = 64

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, tuple[Recording, int, int]] = {}

    def directory(self, name: str) -> Path:
        """Where a recording is, or would be."""
        return self.root / name

    def find(self, name: str) -> Recording | None:
        """A recording as it stands on disk; None when there is none, or nothing was kept."""
        directory = self.directory(name)
        try:
            media_size = (directory / "media").stat().st_size
            stat = (directory / "index").stat()
        except OSError:
            self._known.pop(name, None)
            return None
        recording, read_to, inode = self._known.get(name, (Recording(), 0, stat.st_ino))
        if inode != stat.st_ino or read_to > stat.st_size or recording.media_size > media_size:
            recording, read_to = Recording(), 0
        if read_to < stat.st_size:
            with (directory / "index").open("rb") as file:
                file.seek(read_to)
                read_to += recording.read(file.read(), media_size=media_size)
            while len(self._known) >= self.KEPT_MAX:
                self._known.pop(next(iter(self._known)))
            self._known[name] = (recording, read_to, stat.st_ino)
        return recording if recording.pieces else None

    def fetch(self, name: str, at: int, size: int) -> bytes:
        """A stretch of the media file."""
        with (self.directory(name) / "media").open("rb") as file:
            file.seek(at)
            return file.read(size)

    def fetch_pieces(self, name: str, first: int, count: int) -> bytes | None:
        """These pieces' bytes; None when there are no such pieces."""
        recording = self.find(name)
        if recording is None or count < 1 or first + count > len(recording.pieces):
            return None
        pieces = recording.pieces[first : first + count]
        last = pieces[-1]
        if pieces[0].at + sum(piece.size for piece in pieces) == last.at + last.size:
            return self.fetch(name, pieces[0].at, last.at + last.size - pieces[0].at)
        return b"".join(self.fetch(name, piece.at, piece.size) for piece in pieces)

    def fetch_opening(self, name: str, at: int) -> bytes | None:
        """An init segment's bytes; None when there is no such."""
        recording = self.find(name)
        opening = recording.openings.get(at) if recording is not None else None
        return self.fetch(name, opening.at, opening.size) if opening is not None else None

    def list_names(self) -> list[str]:
        """Every recording there is."""
        if not self.root.is_dir():
            return []
        return sorted(entry.name for entry in self.root.iterdir() if (entry / "index").is_file())

    def disk_use(self) -> int:
        """Bytes that all recordings and what was cut from them take."""
        taken = sum(path.stat().st_size for path in _files(self.root)) if self.root.is_dir() else 0
        metrics.RECORDINGS_BYTES.set(taken)
        return taken

    def remove(self, name: str) -> None:
        """Forget a recording and everything cut from it. The index goes first: half a removal is no recording."""
        self._known.pop(name, None)
        directory = self.directory(name)
        (directory / "index").unlink(missing_ok=True)
        for path in sorted(_files(directory), reverse=True):
            path.unlink(missing_ok=True)
        for path in sorted((one for one in directory.rglob("*") if one.is_dir()), reverse=True):
            path.rmdir()
        if directory.is_dir():
            directory.rmdir()


def mend(directory: Path) -> Recording:
    """Make a recording that was left in the middle of a write whole again, and return it; at most that piece is lost.

    Both files are cut behind the last piece whose bytes have the sum that its line says.
    """
    index, media = directory / "index", directory / "media"
    recording = Recording()
    if not index.exists() or not media.exists():
        index.write_bytes(b"")
        media.write_bytes(b"")
        return recording
    data = index.read_bytes()
    good = recording.read(data, media_size=media.stat().st_size)
    kept = data[:good]
    with media.open("r+b") as file:
        for _ in range(CHECKED_MAX):
            last = recording.pieces[-1] if recording.pieces else None
            if last is None or _sum_at(file, last.at, last.size) == last.sum:
                break
            kept = kept[: kept.rstrip(b"\n").rfind(b"\n") + 1]
            recording = Recording()
            recording.read(kept, media_size=media.stat().st_size)
        file.truncate(recording.media_size)
    if len(kept) < len(data):
        fresh = directory / "index.mended"
        fresh.write_bytes(kept)
        fresh.rename(index)  # another file, so that whoever reads along begins anew
    return recording


def _sum_at(file: object, at: int, size: int) -> int:
    file.seek(at)  # type: ignore[attr-defined]
    return zlib.crc32(file.read(size))  # type: ignore[attr-defined]


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in directory.rglob("*") if path.is_file())
