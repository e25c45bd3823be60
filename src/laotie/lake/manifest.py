"""Which files of a day count: so that replacing files is one step for whoever reads.

Files that a writer brings count as soon as they are there. Files that replace others (merged, or without a person's rows)
bear `m-` before their name and count when the day's manifest says so, and what they replace no longer counts from that same
moment; it is deleted a while later, when nobody can be reading it any more. The manifest also knows how large each file of
the past is, so that one that is missing is missed.

Whoever replaces holds `locked` (and on stores that cannot lock, the worker's advisory lock). A reader reads the manifest
first and lists the files then; either everything is as before, or everything as afterwards.
"""

import fcntl
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from laotie.base.refusals import Conflict
from laotie.lake.model import Part

NAME = "_manifest.json"
REPLACING = "m-"

_in_memory = threading.RLock()


class PartsMoved(Conflict, code="parts-moved"):
    """Somebody else has replaced these files in the meantime; look again."""

    path: str


class Manifest(msgspec.Struct, frozen=True):
    """Of one topic's day, by path below it: what is kept, with its bytes, and what no longer counts, with since when (µs)."""

    kept: dict[str, int] = {}
    gone: dict[str, int] = {}

    def counts(self, path: str) -> bool:
        """Whether a file counts."""
        return path in self.kept or (path not in self.gone and not path.rpartition("/")[2].startswith(REPLACING))


def read_manifest(fs: Any, root: str, topic: str, day: date) -> Manifest:
    """What a day's manifest says; nothing where there is none yet."""
    try:
        return msgspec.json.decode(fs.cat_file(f"{_place(root, topic, day)}/{NAME}"), type=Manifest)
    except FileNotFoundError:
        return Manifest()


def swap_parts(
    fs: Any, root: str, topic: str, day: date, *, gone: Sequence[Part], come: Sequence[Part], now_us: int
) -> None:
    """Have `come` count instead of `gone`, at once. Refuses with `PartsMoved` if one of `gone` does not count (any more).

    A part in both is kept: it is only put down in the manifest.
    """
    with locked(fs, root):
        manifest = read_manifest(fs, root, topic, day)
        for part in gone:
            if not manifest.counts(_below(part)):
                raise PartsMoved(path=part.path)
        kept = dict(manifest.kept)
        ended = dict(manifest.gone)
        for part in gone:
            kept.pop(_below(part), None)
            ended[_below(part)] = now_us
        for part in come:
            kept[_below(part)] = part.bytes
            ended.pop(_below(part), None)
        _write(fs, root, topic, day, Manifest(kept, ended))


def forget_gone(fs: Any, root: str, topic: str, day: date, *, before_us: int) -> int:
    """Delete the files that have not counted since before `before_us`. Returns how many."""
    with locked(fs, root):
        manifest = read_manifest(fs, root, topic, day)
        old = [path for path, since_us in manifest.gone.items() if since_us < before_us]
        for path in old:  # first the files: what is deleted and still told of is only deleted again
            with suppress(FileNotFoundError):
                fs.rm_file(f"{_place(root, topic, day)}/{path}")
        if old:
            left = {path: since_us for path, since_us in manifest.gone.items() if since_us >= before_us}
            _write(fs, root, topic, day, Manifest(manifest.kept, left))
    return len(old)


@contextmanager
def locked(fs: Any, root: str) -> Iterator[None]:
    """Alone among those who replace files, on this machine. Held for milliseconds."""
    if "file" not in fs.protocol:
        with _in_memory:
            yield
        return
    Path(root).mkdir(parents=True, exist_ok=True)
    with (Path(root) / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def put_file(fs: Any, place: str, content: bytes) -> None:
    """Write a small file, whole or not at all, and synced where the store is a disk."""
    if "file" not in fs.protocol:
        fs.pipe_file(place, content)
        return
    beside = f"{place}.tmp"
    with Path(beside).open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(beside).rename(place)
    sync_directory(place.rpartition("/")[0])


def sync_directory(place: str) -> None:
    """Have the disk know what is in a directory."""
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(fs: Any, root: str, topic: str, day: date, manifest: Manifest) -> None:
    put_file(fs, f"{_place(root, topic, day)}/{NAME}", msgspec.json.encode(manifest))


def _place(root: str, topic: str, day: date) -> str:
    return f"{root}/{topic}/day={day}"


def _below(part: Part) -> str:
    """A part's path below its day."""
    return part.path.split("/", 2)[2]

