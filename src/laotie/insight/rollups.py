"""Roll-ups: who was where on a day, and what each order added, worked out once a day instead of at every question.

They are exact sets, never sketches: a row for each viewer of a show, day and source, and one for each order. They lie in the
lake under `rollup/`, a file a day. A file's name says of which parts it was made, so it is either still right or not looked at:
late parts, merged parts and erased ones have other names, and that day is worked out anew. A guest who signs in changes the
days on which that guest is, and no others. What no file says is computed when it is asked, which is how today is known;
the answer is always that of the whole computation.

A day's parts say nothing about another day, but for spans of watching over midnight. What these add to the day before, or
take from it where tabs overlap, is written with the later day, so that one more day is only that day's work.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from laotie.insight.engine import Engine
from laotie.insight.model import Definition, Measure, Tables
from laotie.insight.people import known
from laotie.insight.surfaces import SURFACE_DAYS, sum_surfaces, surface_days
from laotie.insight.terms import COMPONENTS, order_days
from laotie.insight.watch import ROW, credit, credit_stays, list_stays, merge, midnight_us, number
from laotie.lake import Lake, Part, list_parts, read_retired
from laotie.lake.model import ALL_DAY
from laotie.lake.parts import group_parts
from laotie.lake.stores import is_disk, make_place

VERSION = 1
"""Part of every name: another way to compute is another file."""
PLACE = "rollup"
BATCH_BYTES = 440 * 1024 * 1024
"""Parts of so many bytes are worked out in one go; what an engine needs for it is a small multiple."""
STALE_S = 3_600
"""What is not right any more is kept so long for whoever is reading it."""
ONE_DAY = timedelta(days=1)

_PLACES = ("show_id", "shop_id", "streamer_id")
_VIEWER = (*ROW, "shop_id", "streamer_id")
VIEWER_DAYS = pa.schema(
    {"day": pa.date32(), **dict.fromkeys((*_PLACES, "viewer_id"), pa.binary()), "source": pa.string(), "is_fan": pa.bool_()}
    | dict.fromkeys(("visits", "watch_us"), pa.int64())
)
ORDER_DAYS = pa.schema(
    {"day": pa.date32(), "kind": pa.string(), **dict.fromkeys(("order_id", "buyer_id", *_PLACES), pa.binary())}
    | {"source": pa.string(), "is_fan": pa.bool_(), "currency": pa.string()}
    | dict.fromkeys(("amount", *COMPONENTS), pa.int64())
)


FEW = ["show_id", "shop_id", "streamer_id", "source", "kind", "currency"]
"""Columns with few values in many rows."""


class Kind(NamedTuple):
    """A roll-up: its name, what it is made of, what its files hold, and whose ids are in it."""

    name: str
    topics: tuple[str, ...]
    schema: pa.Schema
    person: str


VIEWERS = Kind("viewer_days", ("visit", "watch"), VIEWER_DAYS, "viewer_id")
ORDERS = Kind("order_days", ("money",), ORDER_DAYS, "buyer_id")
SURFACES = Kind("surface_days", ("visit", "play"), SURFACE_DAYS, "viewer_id")
IDENTITY = (VIEWERS, ORDERS)
"""What GMV is taken apart with."""
KINDS = (*IDENTITY, SURFACES)


class Found(NamedTuple):
    """Of some days: the files that are right, the days that no file is right about, and the files that are all that is left."""

    files: tuple[str, ...]
    dirty: tuple[date, ...]
    frozen: tuple[str, ...]


class Over(NamedTuple):
    """Spans that began the day before: since which hour of it, and until which hour of their own day."""

    since_hour: int
    until_hour: int


NO_HOUR = 24
"""No span began the day before."""


class Worked(NamedTuple):
    """What is to be written: the names of the days' files, and their rows, which say whose they are (`home`)."""

    kind: Kind
    names: Mapping[date, str]
    rows: tuple[pa.Table, ...]


class Parts:
    """The parts of some days, listed once."""

    def __init__(self, lake: Lake, topics: Iterable[str], since: date | None, until: date | None) -> None:
        self._of: dict[tuple[str, date], list[Part]] = {}
        for topic in topics:
            for part in list_parts(lake, topic, since, until):
                self._of.setdefault((topic, part.day), []).append(part)

    def days(self, topics: Iterable[str]) -> list[date]:
        """The days that have any."""
        return sorted({day for topic, day in self._of if topic in topics})

    def of(self, topic: str, day: date, hour: int = 0) -> list[Part]:
        """A topic's parts of a day that may hold rows from an hour on."""
        return [part for part in self._of.get((topic, day), ()) if part.hour >= hour or part.hour == ALL_DAY]


class Rollups:
    """The roll-ups of one lake. Files are written by `refresh` alone; two processes at once write the same."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake

    def refresh(
        self, engine: Engine, since: date | None = None, until: date | None = None, kinds: Sequence[Kind] = IDENTITY
    ) -> list[date]:
        """Work out the days from `since` to the day before `until` that no file is right about; those days."""
        done: set[date] = set()
        with ThreadPoolExecutor(1) as writer:
            writing: Future[None] | None = None
            for kind in kinds:
                parts = self._list(kind, since, until)
                days = self._days(kind, parts, since, until)
                for batch in _batch(self._find(engine, kind, days, parts).dirty, kind, parts):
                    worked = self._work_out(engine, kind, batch, parts)
                    if writing is not None:
                        writing.result()
                    writing = writer.submit(self._write_days, worked)  # while the next batch is worked out
                    done.update(batch)
            if writing is not None:
                writing.result()
        return sorted(done)

    def viewer_days(self, engine: Engine, since: date | None = None, until: date | None = None) -> ir.Table:
        """Who was where: (day, show_id, shop_id, streamer_id, source, is_fan, viewer_id, visits, watch_us), each once."""
        beyond = until + ONE_DAY if until is not None else None
        parts = self._list(VIEWERS, since, beyond)
        days = self._days(VIEWERS, parts, since, beyond)
        found = self._find(engine, VIEWERS, days, parts)
        pieces = [engine.read_files(found.files, VIEWER_DAYS), *self._thaw(engine, VIEWERS, found)]
        if found.dirty:
            pieces += [piece.drop("home") for piece in self._viewers(engine, found.dirty, parts)[0]]
        rows = _within(ibis.union(*(piece.select(VIEWER_DAYS.names) for piece in pieces)), since, until)
        return with_shows(_sum_viewers(rows), engine.read("show"))

    def order_days(self, engine: Engine, since: date | None = None, until: date | None = None) -> ir.Table:
        """What each order added to each kind of GMV on each day, with the buyer's account."""
        parts = self._list(ORDERS, since, until)
        days = self._days(ORDERS, parts, since, until)
        found = self._find(engine, ORDERS, days, parts)
        rows = engine.read_files(found.files, ORDER_DAYS)
        if found.dirty:
            rows = ibis.union(rows, self._orders(engine, found.dirty, parts).select(ORDER_DAYS.names))
        return rows

    def surface_days(self, engine: Engine, since: date | None = None, until: date | None = None) -> ir.Table:
        """Who was where beside live rooms, and how long they watched there what was played."""
        parts = self._list(SURFACES, since, until)
        found = self._find(engine, SURFACES, self._days(SURFACES, parts, since, until), parts)
        pieces = [engine.read_files(found.files, SURFACE_DAYS), *self._thaw(engine, SURFACES, found)]
        if found.dirty:
            pieces.append(self._surfaces(engine, found.dirty, parts))
        return sum_surfaces(ibis.union(*pieces)) if len(pieces) > 1 else pieces[0]

    def freeze(self, engine: Engine, days: Sequence[date]) -> None:
        """Have one right file for each of these days: their behaviour is about to go, and the file is all that stays of it."""
        if not days:
            return
        since, until = min(days), max(days) + ONE_DAY
        self.refresh(engine, since, until, KINDS)
        for kind in (VIEWERS, SURFACES):
            parts = self._list(kind, since, until)
            found = self._find(engine, kind, self._days(kind, parts, since, until), parts)
            right = {*found.files, *found.frozen}
            for day in days:
                for path in self._list_files(kind, day):
                    if path not in right:
                        self.lake.fs.rm(path)

    # Which files are right.

    def _days(self, kind: Kind, parts: Parts, since: date | None, until: date | None) -> list[date]:
        """The days that have parts, and those that have had some."""
        days = {day for day in (*parts.days(kind.topics), *self._frozen(kind)) if since is None or day >= since}
        return sorted(day for day in days if until is None or day < until)

    def _frozen(self, kind: Kind) -> set[date]:
        """The days of which the file is all that is left; of the one after them it tells what spans over midnight came from."""
        last, place = read_retired(self.lake), f"{self.lake.root}/{PLACE}/{kind.name}"
        if kind is ORDERS or last is None or not self.lake.fs.exists(place):
            return set()
        names = (str(path).rstrip("/").rpartition("/")[2] for path in self.lake.fs.ls(place, detail=False))
        return {day for day in map(date.fromisoformat, names) if day <= last and self._list_files(kind, day)}

    def _list(self, kind: Kind, since: date | None, until: date | None) -> Parts:
        """The parts, also of the day before, whose last hours tell what spans over midnight add."""
        return Parts(self.lake, kind.topics, since - ONE_DAY if since is not None else None, until)

    def _find(self, engine: Engine, kind: Kind, days: Sequence[date], parts: Parts) -> Found:
        files: list[tuple[date, str]] = []
        frozen = self._frozen(kind)
        kept = {day: self._list_files(kind, day)[-1] for day in days if day in frozen}
        for day in days:
            own = self._list_files(kind, day) if day not in kept else []
            files += [
                (day, path)
                for path in own
                if path.rpartition("/")[2].startswith(self._name(kind, day, parts, _hour_of(path)))
            ]
        merged = self._find_merged(engine, kind, files)
        right = kept | {day: path for day, path in files if path not in merged}
        dirty = tuple(day for day in days if day not in right)
        return Found(tuple(path for day, path in right.items() if day not in kept), dirty, tuple(kept.values()))

    def _thaw(self, engine: Engine, kind: Kind, found: Found) -> list[ir.Table]:
        """The rows of files that are all that is left; guests who have become accounts since are those.

        Of whoever watched as both at once, that time counts as both: the spans that would tell are gone.
        """
        if not found.frozen:
            return []
        rows = known(engine.read_files(found.frozen, kind.schema), engine.read("person"), kind.person)
        return [rows.mutate(**{kind.person: rows.who}).select(kind.schema.names)]

    def _find_merged(self, engine: Engine, kind: Kind, files: Sequence[tuple[date, str]]) -> set[str]:
        """The files with a guest in them who is an account by now."""
        people = list_parts(self.lake, "person")
        digest = _digest(people)
        unsure = [(day, path) for day, path in files if not path.endswith(f"-{digest}.parquet") and (path, digest) not in _unmerged]
        if not unsure or not people:
            return set()
        guests = engine.read_parts("person", people).select("guest_id").distinct()
        rows = engine.read_files([path for _, path in unsure], kind.schema)
        merged = rows.semi_join(guests, rows[kind.person] == guests.guest_id).select("day").distinct()
        touched = {row["day"] for row in engine.run(merged).to_pylist()}
        # A file's rows may be of the day before as well.
        found = {path for day, path in unsure if touched & {day, day - ONE_DAY}}
        _remember((path, digest) for _, path in unsure if path not in found)
        return found

    def _name(self, kind: Kind, day: date, parts: Parts, hour: int) -> str:
        """How the name of a file of that day begins. `hour`: from when on the day before matters, or `NO_HOUR`.

        It ends in the parts of `person` that were known.
        """
        own = [part for topic in kind.topics for part in parts.of(topic, day)]
        before = parts.of("watch", day - ONE_DAY, hour) if hour < NO_HOUR else []
        return f"{_digest(own, VERSION, str(self.lake.zone))}-{hour:02}-{_digest(before)}-"

    def _list_files(self, kind: Kind, day: date) -> list[str]:
        try:
            paths = map(str, self.lake.fs.ls(self._place(kind, day), detail=False))
        except FileNotFoundError:
            return []
        return sorted(path for path in paths if path.endswith(".parquet"))

    def _place(self, kind: Kind, day: date) -> str:
        return f"{self.lake.root}/{PLACE}/{kind.name}/{day}"

    # Working out.

    def _work_out(self, engine: Engine, kind: Kind, days: Sequence[date], parts: Parts) -> Worked:
        over: Mapping[date, Over] = {}
        people = _digest(list_parts(self.lake, "person"))
        if kind is VIEWERS:
            pieces, over = self._viewers(engine, days, parts)
        elif kind is SURFACES:
            surfaces = self._surfaces(engine, days, parts)
            pieces = [surfaces.mutate(home=surfaces.day)]
        else:
            orders = self._orders(engine, days, parts)
            pieces = [orders.mutate(home=orders.day)]
        found = tuple(engine.run(piece) for piece in pieces)
        engine.forget()
        hours = {day: over[day].since_hour if day in over else NO_HOUR for day in days}
        return Worked(kind, {day: self._name(kind, day, parts, hour) + people for day, hour in hours.items()}, found)

    def _viewers(
        self, engine: Engine, days: Sequence[date], parts: Parts
    ) -> tuple[list[ir.Table], Mapping[date, Over]]:
        """What the parts of each of these days say (`home`): of that day, and of the one before. And who came over midnight."""
        person = engine.keep(engine.read("person").select("guest_id", "account_id"))
        watch, zone, apart = self._rows(engine, "watch", days, parts), self.lake.zone, {"home": "day"}
        stays = engine.keep(list_stays(watch, person, zone=zone, is_orderly=True, apart=apart))
        seen = credit_stays(watch, stays, engine.keep(number(stays, zone=zone, apart=apart)), is_orderly=True, apart=apart)
        over = self._find_over(engine, stays)
        visits = _visits(self._rows(engine, "visit", days, parts), person)
        both = ibis.union(*(piece.select("home", *VIEWER_DAYS.names) for piece in (visits, _watched(seen))))
        pieces = [_sum_viewers(both, "home")]
        if over:
            before = [part for day, one in over.items() for part in parts.of("watch", day - ONE_DAY, one.since_hour)]
            after = [part for day, one in over.items() for part in parts.of("watch", day) if part.hour <= one.until_hour]
            pieces.append(
                _watched(_correct(self._unique(engine, "watch", before), self._unique(engine, "watch", after), person, self.lake))
            )
        return pieces, over

    def _orders(self, engine: Engine, days: Sequence[date], parts: Parts) -> ir.Table:
        money = known(self._rows(engine, "money", days, parts), engine.read("person"), "buyer_id")
        return order_days(money.drop("buyer_id").rename(buyer_id="who"))

    def _surfaces(self, engine: Engine, days: Sequence[date], parts: Parts) -> ir.Table:
        visit, play = (self._rows(engine, topic, days, parts) for topic in SURFACES.topics)
        return surface_days(visit, play, engine.read("person"), zone=self.lake.zone)

    def _find_over(self, engine: Engine, stays: ir.Table) -> dict[date, Over]:
        """The days into which somebody watched from the day before, and on which hours those connections were open."""
        over = stays.filter(stays.begins_us < midnight_us(stays.home, self.lake.zone))
        found = engine.run(over.group_by("home").agg(since_us=over.begins_us.min(), until_us=over.ends_us.max()))
        reached: dict[date, Over] = {}
        for row in found.to_pylist():
            since_us = max(row["since_us"], self.lake.bounds_of(row["home"] - ONE_DAY)[0])
            reached[row["home"]] = Over(self.lake.hour_of(since_us)[1], self.lake.hour_of(row["until_us"])[1])
        return reached

    def _rows(self, engine: Engine, topic: str, days: Sequence[date], parts: Parts) -> ir.Table:
        return self._unique(engine, topic, [part for day in days for part in parts.of(topic, day)])

    def _unique(self, engine: Engine, topic: str, parts: Sequence[Part]) -> ir.Table:
        """Each row once. A part has an id once, and the same row is always of the same hour: hours of one part are as they are."""
        groups = group_parts(parts)
        whole = [part for members in groups if len(members) == 1 for part in members]
        loose = [part for members in groups if len(members) > 1 for part in members]
        if not loose:
            return engine.read_parts(topic, whole)
        once = engine.read_parts(topic, loose).distinct(on="id", keep="first")
        if not whole:
            return once
        rows = engine.read_parts(topic, whole)
        return ibis.union(rows, once.select(rows.columns))

    def _write_days(self, worked: Worked) -> None:
        schema = worked.kind.schema
        for day, name in worked.names.items():
            of_day = [rows.filter(pc.equal(rows["home"], pa.scalar(day))).select(schema.names) for rows in worked.rows]
            self._write(worked.kind, day, name, pa.concat_tables([rows.cast(schema) for rows in of_day]))

    def _write(self, kind: Kind, day: date, name: str, rows: pa.Table) -> None:
        """The file, whole or not at all; files that are not right any more go when nobody reads them."""
        place, fs = self._place(kind, day), self.lake.fs
        make_place(fs, place)
        path = f"{place}/{name}.parquet"
        if is_disk(fs):
            beside = f"{path}.{uuid4().hex}.tmp"
            with fs.open(beside, "wb") as file:
                pq.write_table(rows, file, compression="zstd", use_dictionary=FEW)
            fs.mv(beside, path)
        else:
            whole = pa.BufferOutputStream()
            pq.write_table(rows, whole, compression="zstd", use_dictionary=FEW)
            fs.pipe_file(path, whole.getvalue().to_pybytes())
        now = fs.modified(path)
        for old in self._list_files(kind, day):
            if old.rpartition("/")[2] != f"{name}.parquet" and (now - fs.modified(old)).total_seconds() > STALE_S:
                fs.rm(old)


class Rolled:
    """Tables of some days for measures: roll-ups as they lie there, topics as the engine reads them."""

    def __init__(self, engine: Engine, since: date | None = None, until: date | None = None) -> None:
        self._engine, self._days = engine, (since, until)
        self._rollups = Rollups(engine.lake)
        self.zone = engine.lake.zone

    def __getitem__(self, name: str) -> ir.Table:
        if name == VIEWERS.name:
            return self._rollups.viewer_days(self._engine, *self._days)
        if name == ORDERS.name:
            return self._rollups.order_days(self._engine, *self._days)
        if name == SURFACES.name:
            return self._rollups.surface_days(self._engine, *self._days)
        return self._engine.read(name) if name in ("person", "show") else self._engine.read(name, *self._days)


def viewer_days(visit: ir.Table, watch: ir.Table, person: ir.Table, show: ir.Table, **options: Any) -> ir.Table:
    """The same without any file: from the topics' rows, each of which is there once. `options` are `watch.merge`'s."""
    visits = _visits(visit, person).drop("home")
    seen = _watched(credit(watch, person, **options))
    return with_shows(_sum_viewers(ibis.union(*(piece.select(VIEWER_DAYS.names) for piece in (visits, seen)))), show)


def with_shows(rows: ir.Table, show: ir.Table) -> ir.Table:
    """Whose show it was. What is beside a show (the shelf) has its own shop."""
    newest = show.group_by("show_id").agg(
        show_shop=show.shop_id.argmax(show.at_us), show_streamer=show.streamer_id.argmax(show.at_us)
    )
    joined = rows.left_join(newest, rows.show_id == newest.show_id)
    return joined.select(
        *(name for name in VIEWER_DAYS.names if name not in ("shop_id", "streamer_id")),
        shop_id=ibis.coalesce(joined.show_shop, joined.shop_id),
        streamer_id=ibis.coalesce(joined.show_streamer, joined.streamer_id),
    ).select(VIEWER_DAYS.names)


def _visits(visit: ir.Table, person: ir.Table) -> ir.Table:
    """Who came, a row each time. In a show, whose it is says the show."""
    inside = visit.show_id.notnull()
    visit = known(
        visit.mutate(
            shop_id=ibis.ifelse(inside, ibis.null("binary"), visit.shop_id),
            streamer_id=ibis.ifelse(inside, ibis.null("binary"), visit.streamer_id),
        ),
        person,
    )
    keys = [name for name in _VIEWER if name != "viewer_id"]
    return visit.select(
        *keys, viewer_id=visit.who, home=visit.day, visits=ibis.literal(1, "int64"), watch_us=ibis.literal(0, "int64")
    )


def _watched(seen: ir.Table) -> ir.Table:
    nobody = ibis.null("binary")
    return seen.mutate(shop_id=nobody, streamer_id=nobody, visits=ibis.literal(0, "int64"))


def _sum_viewers(rows: ir.Table, *apart: str) -> ir.Table:
    summed = rows.group_by(*apart, *_VIEWER).agg(visits=rows.visits.sum().cast("int64"), watch_us=rows.watch_us.sum().cast("int64"))
    return summed.filter((summed.visits > 0) | (summed.watch_us > 0))


def _correct(before: ir.Table, over: ir.Table, person: ir.Table, lake: Lake) -> ir.Table:
    """What spans over midnight change on the day before, beyond what their own day says of it: both, less what each says.

    `before`: the spans of the day before that reach as far; only those of whoever watched over midnight are looked at.
    """
    over = over.filter(over.since_us < midnight_us(over.day, lake.zone)).mutate(home=over.day)
    here = known(over, person).select(over_day="home", over_who="who", over_show="show_id").distinct()
    before = known(before.mutate(home=(before.day.cast("timestamp") + ibis.interval(days=1)).cast("date")), person)
    before = before.semi_join(
        here, [before.home == here.over_day, before.who == here.over_who, before.show_id.identical_to(here.over_show)]
    )
    columns = over.columns
    told = ibis.union(over.mutate(is_over=True), before.select(columns).mutate(is_over=False))
    alone = told.mutate(role=ibis.ifelse(told.is_over, 1, 2).cast("int8"))
    merged = merge(
        ibis.union(told.mutate(role=ibis.literal(0, "int8")), alone),
        person, zone=lake.zone, apart={"home": "home", "role": "role"},
    )  # fmt: skip
    merged = merged.filter(merged.day == (merged.home.cast("timestamp") - ibis.interval(days=1)).cast("date"))
    signed = merged.mutate(signed_us=ibis.ifelse(merged.role == 0, merged.watch_us, -merged.watch_us))
    changed = signed.group_by("home", *ROW).agg(watch_us=signed.signed_us.sum().cast("int64"))
    return changed.filter(changed.watch_us != 0)


def _within(rows: ir.Table, since: date | None, until: date | None) -> ir.Table:
    if since is not None:
        rows = rows.filter(rows.day >= since)
    if until is not None:
        rows = rows.filter(rows.day < until)
    return rows


def _batch(days: Sequence[date], kind: Kind, parts: Parts) -> Iterator[list[date]]:
    batch: list[date] = []
    size = 0
    for day in days:
        bytes_ = sum(part.bytes for topic in kind.topics for part in parts.of(topic, day))
        if batch and size + bytes_ > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(day)
        size += bytes_
    if batch:
        yield batch


def _digest(parts: Iterable[Part], *more: object) -> str:
    told = [f"{part.path}:{part.bytes}" for part in sorted(parts)] + [str(one) for one in more]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:20]


def _hour_of(path: str) -> int:
    name = path.rpartition("/")[2].split("-")
    return int(name[1]) if len(name) == 4 and name[1].isdigit() else NO_HOUR


KNOWN_MAX = 10_000
_unmerged: set[tuple[str, str]] = set()
"""Files that were looked at and have no guest of these parts of `person` in them."""


def _remember(looked_at: Iterable[tuple[str, str]]) -> None:
    if len(_unmerged) >= KNOWN_MAX:
        _unmerged.clear()
    _unmerged.update(looked_at)


def _compute_viewers(lake: Tables) -> ir.Table:
    return viewer_days(lake["visit"], lake["watch"], lake["person"], lake["show"], zone=lake.zone)


def _compute_watch(lake: Tables) -> ir.Table:
    return merge(lake["watch"], lake["person"], zone=lake.zone).order_by(ROW)


DEFINITIONS: tuple[Definition, ...] = ()

MEASURES = (
    Measure("viewer_days", lambda lake: _compute_viewers(lake).order_by(*_VIEWER)),
    Measure("watch", _compute_watch),
)
