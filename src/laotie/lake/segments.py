"""Segments: acts on the local disk within a second, until they are parts of the lake.

Each process writes files of its own, in a directory that it holds a lock on; whose lock is free is dead, and what it left
is taken over. What was written is synced before it counts as written; a torn end is cut off when it is read.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from laotie.base.holding import AlreadyRunning, hold
from laotie.lake.acts import Act
from laotie.lake.batches import write_batch
from laotie.lake.stores import sync_directory

SEGMENT_BYTES_MAX = 8 * 1024 * 1024
BYTES_MAX = 2 * 1024 * 1024 * 1024
"""Beyond it, because the lake takes nothing, what comes is lost."""
BATCH_ACTS_MAX = 50_000
LOCK = "lock"
SUFFIX = ".segment"
SHIPPING = ".shipping"


class Segments:
    """One process's files. Threads may share it."""

    def __init__(self, directory: Path, *, segment_bytes_max: int = SEGMENT_BYTES_MAX, bytes_max: int = BYTES_MAX) -> None:
        self.writer = os.urandom(8)
        self.place = directory / self.writer.hex()
        self._directory = directory
        self._segment_bytes_max = segment_bytes_max
        self._bytes_max = bytes_max
        self._lock: IO[str] | None = None
        self._descriptor: int | None = None
        self._size = 0
        self._number = 0
        self._next = 0
        self._one_at_a_time = threading.Lock()

    def write(self, acts: Sequence[Act]) -> None:
        """All of these, on the disk when this returns; or an `OSError`, and none of them need be there."""
        with self._one_at_a_time:
            for begin in range(0, len(acts), BATCH_ACTS_MAX):
                some = acts[begin : begin + BATCH_ACTS_MAX]
                first, self._next = self._next, self._next + len(some)
                self._put(write_batch(self.writer, first, some))
            if self._descriptor is not None:
                os.fdatasync(self._descriptor)

    def settle(self) -> None:
        """Be seen by the other processes, as one that lives."""
        with self._one_at_a_time:
            if self._lock is None:
                self._settle()

    def end(self) -> list[Path]:
        """End the segment that is being written, and list all that are left here; the next act begins another."""
        with self._one_at_a_time:
            self._rotate()
            return list_segments(self.place)

    def close(self) -> None:
        """Nothing more comes; whoever likes may take over what is left. With nothing left, nothing stays."""
        with self._one_at_a_time:
            self._rotate()
            if self._lock is not None:
                if not list_segments(self.place):
                    remove(self.place)
                self._lock.close()
                self._lock = None

    def _put(self, frame: bytes) -> None:
        if self._descriptor is None or self._size >= self._segment_bytes_max:
            self._begin()
        assert self._descriptor is not None
        rest = memoryview(frame)
        try:
            while rest:
                written = os.write(self._descriptor, rest)
                self._size += written
                rest = rest[written:]
        except OSError:
            self._rotate()  # a torn batch ends its segment
            raise

    def _begin(self) -> None:
        self._rotate()
        if self._lock is None:
            self._settle()
        if sum(path.stat().st_size for path in list_segments(self.place)) >= self._bytes_max:
            raise OSError(f"{self.place} holds {self._bytes_max} bytes already")
        self._number += 1
        self._descriptor = os.open(self._path(), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = 0
        sync_directory(str(self.place))

    def _rotate(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _settle(self) -> None:
        """Hold the directory before it is to be seen, so that nobody takes a newcomer for dead."""
        beside = self._directory / f".{self.writer.hex()}"
        lock = hold(beside, LOCK)
        try:
            beside.rename(self.place)
        except OSError:
            lock.close()
            raise
        self._lock = lock
        sync_directory(str(self._directory))

    def _path(self) -> Path:
        return self.place / f"{self._number:012d}{SUFFIX}"


def list_segments(place: Path) -> list[Path]:
    """A process's segments, in the order they were written; also those whose shipping was begun."""
    return sorted([*place.glob(f"*{SUFFIX}"), *place.glob(f"*{SHIPPING}")])


def list_dead(directory: Path) -> Iterator[Path]:
    """What processes that are gone have left. Each is held while it is looked at."""
    for place in sorted(directory.glob("[!.]*")):
        try:
            lock = hold(place, LOCK)
        except (AlreadyRunning, OSError):
            continue
        with lock:
            yield place


def discard(place: Path) -> None:
    """Take a dead process's directory away if nothing is left in it."""
    try:
        lock = hold(place, LOCK)
    except (AlreadyRunning, OSError):
        return
    with lock:
        if not list_segments(place):
            remove(place)


def list_processes(directory: Path) -> list[Path]:
    """All processes' directories, the living and the dead."""
    return sorted(directory.glob("[!.]*"))


def remove(place: Path) -> None:
    """Take away a process's directory, in which nothing is left."""
    (place / LOCK).unlink(missing_ok=True)
    place.rmdir()
