"""Who holds the watermark, and letting go of what nobody will ever bring in: the acts on a disk that is lost.

A process holds it by what it last said (`lake.process`), a fact by lying in the outbox, a row by waiting for the drain. Each
of them lets go by itself, but for a fact that is parked (`base.outbox.retry_parked`) and a process whose disk is gone.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

import msgspec

from laotie.base.db import Tx
from laotie.base.outbox import find_oldest_of
from laotie.base.refusals import Conflict, NotFound
from laotie.lake.facts import TAGS

SILENT = timedelta(minutes=2)
"""A process tells every few seconds that it lives, also one whose lake takes nothing."""


class NoSuchProcess(NotFound, code="no-such-process"):
    """No process of this name holds the watermark (any more)."""

    name: str


class ProcessLives(Conflict, code="process-lives"):
    """This process was heard of just now: it brings its acts in when the lake takes them."""

    name: str
    heard_at: datetime


class ActsAreHere(Conflict, code="acts-are-here"):
    """The process is gone, but its directory is here: the next start, or `laotie lake compact`, brings its acts in."""

    name: str
    place: str


class HolderKind(StrEnum):
    """What holds the watermark back."""

    process = "process"
    fact = "fact"
    row = "row"


class Holder(msgspec.Struct, frozen=True):
    """Somebody who may still bring in something of since `since`.

    `name`: a process's, a fact's or a row's id. `of`: its host and directory, the fact's tag, the row's topic.
    """

    kind: HolderKind
    name: str
    since: datetime
    of: str = ""
    place: str = ""
    heard_at: datetime | None = None
    is_parked: bool = False
    error: str | None = None


class _Process(msgspec.Struct, frozen=True):
    name: str
    until_at: datetime
    told_at: datetime
    host: str
    place: str


class _Row(msgspec.Struct, frozen=True):
    id: str
    topic: str
    told_at: datetime


async def list_holders(tx: Tx) -> list[Holder]:
    """Each process, the oldest fact and the oldest row, who holds it longest first. Transactions under way are not among them."""
    processes = await tx.all(_Process, "SELECT name, until_at, told_at, host, place FROM lake.process")
    holders = [_holder_of(one) for one in processes]
    fact = await find_oldest_of(tx, TAGS)
    if fact is not None:
        holders.append(
            Holder(HolderKind.fact, str(fact.id), fact.told_at, fact.tag, is_parked=fact.parked, error=fact.error)
        )
    row = await tx.maybe(
        _Row, "SELECT id::text AS id, topic, told_at FROM lake.waiting ORDER BY told_at, seq LIMIT 1"
    )
    if row is not None:
        holders.append(Holder(HolderKind.row, row.id, row.told_at, row.topic))
    return sorted(holders, key=lambda one: (one.since, one.name))


async def declare_lost(tx: Tx, name: str, *, directory: Path) -> Holder:
    """Let go of what this process had not brought in; what it had said of itself. `directory`: where processes of this machine write.

    Refuses `NoSuchProcess`; `ProcessLives` when it was heard of lately; `ActsAreHere` when nothing need be lost.
    """
    found = await tx.maybe(
        _Process,
        "SELECT name, until_at, told_at, host, place FROM lake.process WHERE name = %(name)s FOR UPDATE",
        name=name,
    )
    if found is None:
        raise NoSuchProcess(name=name)
    if found.told_at > tx.now - SILENT:
        raise ProcessLives(name=name, heard_at=found.told_at)
    for place in (directory / name, Path(found.place or "/nowhere")):
        if place.is_dir():
            raise ActsAreHere(name=name, place=str(place))
    await tx.run("DELETE FROM lake.process WHERE name = %(name)s", name=name)
    return _holder_of(found)


def advise(holder: Holder) -> str:
    """What an operator can do about it."""
    match holder.kind:
        case HolderKind.fact if holder.is_parked:
            return f"failed too often to be tried again: `laotie outbox retry {holder.name}`"
        case HolderKind.fact:
            return "is in the outbox: the worker carries it"
        case HolderKind.row:
            return "waits until the lake's disk or store takes it"
    return (
        f"if it runs, it brings its acts in when the lake takes them; if {holder.place or 'its directory'} is there, the next start"
        f" does; if its disk is lost: `laotie lake declare-lost {holder.name} --reason …`"
    )


def _holder_of(process: _Process) -> Holder:
    return Holder(
        HolderKind.process, process.name, process.until_at, process.host, place=process.place, heard_at=process.told_at
    )
