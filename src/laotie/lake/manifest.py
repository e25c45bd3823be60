"""Which files of a day count: so that replacing files is one step for whoever reads.

Files that a writer brings count as soon as they are there. Files that replace others (merged, or without a person's rows)
bear `m-` before their name and count when the day's manifest says so, and what they replace no longer counts from that same
moment; it is deleted a while later, when nobody can be reading it any more. The manifest also knows how large each file of
the past is, so that one that is missing is missed.

Whoever replaces holds `locked`, and on an object store writes only what is still as it was read (`stores.replace_file`),
besides the worker's advisory lock. A reader reads the manifest first and lists the files then; either everything is as
before, or everything as afterwards.
"""

import fcntl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from laotie.base.refusals import Conflict
from laotie.lake.model import Part
from laotie.lake.stores import Overtaken, is_disk, read_tagged, replace_file

NAME = "_manifest.json"
REPLACING = "m-"
TRIES_MAX = 5
"""How often a manifest is read again because somebody else has just written it."""

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

    def swap(manifest: Manifest) -> Manifest:
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
        return Manifest(kept, ended)

    _change(fs, root, topic, day, swap)


def forget_gone(fs: Any, root: str, topic: str, day: date, *, before_us: int) -> int:
    """Delete the files that have not counted since before `before_us`. Returns how many."""
    old: list[str] = []

    def forget(manifest: Manifest) -> Manifest:
        old[:] = [path for path, since_us in manifest.gone.items() if since_us < before_us]
        for path in old:  # first the files: what is deleted and still told of is only deleted again
            with suppress(FileNotFoundError):
                fs.rm_file(f"{_place(root, topic, day)}/{path}")
        return Manifest(manifest.kept, {path: since_us for path, since_us in manifest.gone.items() if since_us >= before_us})

    _change(fs, root, topic, day, forget)
    return len(old)


@contextmanager
def locked(fs: Any, root: str) -> Iterator[None]:
    """Alone among those who replace files, on this machine. Held for milliseconds."""
    if not is_disk(fs):
        with _in_memory:
            yield
        return
    Path(root).mkdir(parents=True, exist_ok=True)
    with (Path(root) / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _change(fs: Any, root: str, topic: str, day: date, change: Callable[[Manifest], Manifest]) -> None:
    """Read, change, write, and if somebody else wrote meanwhile, from the beginning."""
    place = f"{_place(root, topic, day)}/{NAME}"
    wanted = None
    with locked(fs, root):
        for _ in range(TRIES_MAX):
            content, tag = read_tagged(fs, place)
            manifest = msgspec.json.decode(content, type=Manifest) if content is not None else Manifest()
            if manifest == wanted:
                return  # it was we: the answer to the last try was lost
            wanted = change(manifest)
            if wanted == manifest:
                return
            with suppress(Overtaken):
                replace_file(fs, place, msgspec.json.encode(wanted), tag=tag)
                return
    raise PartsMoved(path=place)


def _place(root: str, topic: str, day: date) -> str:
    return f"{root}/{topic}/day={day}"


def _below(part: Part) -> str:
    """A part's path below its day."""
    return part.path.split("/", 2)[2]

