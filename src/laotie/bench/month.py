"""A month of a market, made up: behaviour and money in a lake, day after day, in the memory of one day.

Shows are of very different size (Zipf), most in the evening and some past midnight. Viewers come by all sources, as guests
and as accounts; stated shares of them have a second tab or device open, lose the connection and come back, or look away.
While it makes them the generator keeps what it made: money by kind, and how long every person saw a show, by sorting all
spans, which shares no code with what is measured.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from laotie.base.entry import Source
from laotie.base.ids import new_id
from laotie.lake import TOPICS, Lake
from laotie.lake.parts import COMPRESSION, ROW_GROUP_ROWS

BEGINS_ON = date(2026, 10, 1)
DAYS = 30
HOUR_US, BEAT_US = 3_600_000_000, 10_000_000
ORDERS_PER_EVENT = 0.03
EVENTS_PER_STAY = 21.9
"""Of one connection, measured: coming and leaving, about 18 heartbeats, 2.3 other acts."""
BEATS_MEDIAN, BEATS_SIGMA, BEATS_MAX = 14.0, 1.0, 720

SEVERAL_SHARE = 0.12
"""Stays during which the same person opens a second tab or device, half of them from another source."""
RECONNECTS_SHARE = 0.20
HIDDEN_SHARE = 0.15
GUESTS_SHARE = 0.40
GUESTS_MERGED_SHARE = 0.25
SHELF_SHARE = 0.05
"""Visits without a show."""
SHARES = {
    "second tab or device": SEVERAL_SHARE, "reconnects": RECONNECTS_SHARE, "looks away": HIDDEN_SHARE,
    "guests": GUESTS_SHARE, "guests who sign in": GUESTS_MERGED_SHARE, "shelf": SHELF_SHARE,
}  # fmt: skip

SOURCES = [Source.private, Source.public_organic, Source.public_paid, Source.slot, Source.share, Source.direct, Source.shelf]
SOURCE_WEIGHTS = np.array([0.26, 0.34, 0.12, 0.06, 0.10, 0.12])
SHELF = len(SOURCES) - 1
PAID_SHARE, REPRICED_SHARE, REFUNDED_SHARE, REVERSED_SHARE = 0.85, 0.01, 0.06, 0.004
KINDS = ["placed", "repriced", "cancelled", "paid", "refunded", "reversed", "restored"]
COUNTED = {"placed": ("placed", "repriced"), "paid": ("paid",), "net": ("paid", "refunded", "reversed", "restored")}

VIEWER, CONNECTION, SHOW, SHOP, STREAMER, ORDER, FACT = range(1, 8)
"""What an id is of: its first byte, so that none meets another's."""


class Made(msgspec.Struct):
    """What the generator knows of the month that it made."""

    events: int = 0
    orders: int = 0
    watch_rows: int = 0
    bytes: int = 0
    shows: int = 0
    money: dict[str, list[int]] = msgspec.field(default_factory=dict)
    """The ledger: what each kind of GMV came to on each day."""
    watch_us: int = 0
    """What people watched by spans that end before `days` are over, tabs merged."""
    shared_share: float = 0.0
    """Of all watch rows, those of people who had more than one connection in the show."""


class Stays(NamedTuple):
    """Connections of one day's shows, a column each."""

    viewer: np.ndarray
    person: np.ndarray
    show: np.ndarray
    visit: np.ndarray
    connection: np.ndarray
    source: np.ndarray
    is_fan: np.ndarray
    begins_us: np.ndarray
    beats: np.ndarray
    is_guest: np.ndarray


Columns = dict[str, np.ndarray]


def make_month(lake: Lake, events: int, *, days: int = DAYS, more_days: int = 0, seed: int = 1) -> Made:
    """Fill the lake with about so many behaviour events in `days`, and as many a day in some more; what they hold."""
    maker = _Maker(lake, events, days, more_days, seed)
    for number in range(days):
        maker.make_day(number)
    made = msgspec.structs.replace(maker.made)
    for number in range(days, days + more_days):
        maker.make_day(number)
    return made


class _Maker:
    def __init__(self, lake: Lake, events: int, days: int, more_days: int, seed: int) -> None:
        self.lake = lake
        self.made = Made(money={name: [0] * (days + more_days) for name in COUNTED})
        self.begins_us = lake.bounds_of(BEGINS_ON)[0]
        self.random = np.random.default_rng(seed)
        self.stays_a_day = max(20, round(events / days / EVENTS_PER_STAY / (1 + SEVERAL_SHARE + RECONNECTS_SHARE)))
        self.viewers = max(50, self.stays_a_day * days // 5)
        self.rooms = int(np.clip(events // 25_000, 12, 400))
        weights = 1 / np.arange(1, self.rooms + 1) ** 1.05
        self.room_weights = weights / weights.sum()
        self.ends_us = lake.bounds_of(BEGINS_ON + timedelta(days=days))[0]
        self.waiting: dict[str, list[Columns]] = {}
        self.shared_rows = 0
        self.counts = {CONNECTION: 0, ORDER: 0, FACT: 0}

    def make_day(self, number: int) -> None:
        day = BEGINS_ON + timedelta(days=number)
        begins_us, ends_us = self.lake.bounds_of(day)
        self._open_shows(number, begins_us)
        stays = self._make_stays(number, begins_us)
        self._keep("visit", self._visits(stays))
        watch = self._watch(stays)
        self._keep("watch", watch)
        self._measure(watch, stays)
        count = self._acts(stays) + len(stays.viewer) * 2 + len(watch["at_us"])
        self.made.events += count
        self._keep("money", self._money(stays, round(count * ORDERS_PER_EVENT)))
        self._keep("person", self._people(stays, ends_us))
        for topic in list(self.waiting):
            self._write(topic, day, begins_us, ends_us)

    def _keep(self, topic: str, columns: Columns) -> None:
        columns.setdefault("id", self._number(FACT, len(columns["at_us"])))
        self.waiting.setdefault(topic, []).append(columns)

    def _number(self, kind: int, count: int) -> np.ndarray:
        first = self.counts[kind]
        self.counts[kind] += count
        return np.arange(first, first + count)

    def _open_shows(self, number: int, begins_us: int) -> None:
        """A show a room and day: in the evening mostly."""
        draw = self.random
        self.began_us = begins_us + (draw.choice(
            [9, 12, 14, 18, 19, 20, 21, 22], self.rooms, p=[0.06, 0.08, 0.08, 0.14, 0.2, 0.22, 0.14, 0.08]
        ) * 3600 + draw.integers(0, 1800, self.rooms)) * 1_000_000  # fmt: skip
        self.lasted_us = draw.integers(2 * HOUR_US, 4 * HOUR_US, self.rooms)
        rooms = np.arange(self.rooms)
        self._keep(
            "show",
            {
                "at_us": self.began_us, "show_id": number * self.rooms + rooms, "shop_id": rooms, "streamer_id": rooms,
                "started_us": self.began_us,
            },
        )  # fmt: skip
        self.made.shows += self.rooms

    def _make_stays(self, number: int, begins_us: int) -> Stays:
        draw, count = self.random, self.stays_a_day
        rooms = draw.choice(self.rooms, count, p=self.room_weights)
        person = (self.viewers * draw.random(count) ** 2).astype(np.int64)
        viewer, is_guest = self._as_guests(person, number)
        begins = self.began_us[rooms] + (self.lasted_us[rooms] * draw.random(count)).astype(np.int64)
        beats = np.clip(draw.lognormal(np.log(BEATS_MEDIAN), BEATS_SIGMA, count).astype(np.int64), 1, BEATS_MAX)
        source = draw.choice(SHELF, count, p=SOURCE_WEIGHTS)
        is_fan = (person * 2654435761 % 97 + rooms) % 10 < 3
        show = number * self.rooms + rooms
        shelf = draw.random(count) < SHELF_SHARE
        show, source, beats = np.where(shelf, -1, show), np.where(shelf, SHELF, source), np.where(shelf, 0, beats)
        # A second tab or device of the same person: part of them as a guest, half of them from elsewhere.
        again = np.flatnonzero((draw.random(count) < SEVERAL_SHARE) & ~shelf)
        viewer_again, guest_again = self._as_guests(person[again], number)
        source_again = np.where(draw.random(len(again)) < 0.5, source[again], draw.choice(SHELF, len(again), p=SOURCE_WEIGHTS))
        later = (draw.random(len(again)) * beats[again] * BEAT_US).astype(np.int64)
        beats_again = np.clip(draw.lognormal(np.log(BEATS_MEDIAN), BEATS_SIGMA, len(again)).astype(np.int64), 1, BEATS_MAX)
        both = [
            np.concatenate(pair) for pair in (
                (viewer, viewer_again), (person, person[again]), (show, show[again]), (source, source_again),
                (is_fan, is_fan[again]), (begins, begins[again] + later), (beats, beats_again), (is_guest, guest_again),
            )
        ]  # fmt: skip
        viewer, person, show, source, is_fan, begins, beats, is_guest = both
        visit = self._number(CONNECTION, len(viewer))
        # A connection that broke and came back some seconds later, on the same visit.
        broke = np.flatnonzero((draw.random(len(viewer)) < RECONNECTS_SHARE) & (beats > 1))
        kept = 1 + (draw.random(len(broke)) * (beats[broke] - 1)).astype(np.int64)
        rest = beats[broke] - kept
        back_us = begins[broke] + kept * BEAT_US + draw.integers(1_000_000, 8_000_000, len(broke))
        beats[broke] = kept
        return Stays(
            np.concatenate([viewer, viewer[broke]]), np.concatenate([person, person[broke]]),
            np.concatenate([show, show[broke]]), np.concatenate([visit, visit[broke]]),
            np.concatenate([visit, self._number(CONNECTION, len(broke))]), np.concatenate([source, source[broke]]),
            np.concatenate([is_fan, is_fan[broke]]), np.concatenate([begins, back_us]), np.concatenate([beats, rest]),
            np.concatenate([is_guest, is_guest[broke]]),
        )  # fmt: skip

    def _as_guests(self, person: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
        """A person as a guest of this week, or as the account. Guests have numbers above all accounts'."""
        is_guest = self.random.random(len(person)) < GUESTS_SHARE
        return np.where(is_guest, self.viewers + person * 8 + number // 7, person), is_guest

    def _people(self, stays: Stays, ends_us: int) -> Columns:
        """The guests of the day who have an account, said anew each day, as news may be."""
        guests, first = np.unique(stays.viewer[stays.is_guest], return_index=True)
        accounts = stays.person[stays.is_guest][first]
        merged = self._signs_in(guests)
        return {"at_us": np.full(merged.sum(), ends_us - 1), "guest_id": guests[merged], "account_id": accounts[merged]}

    def _signs_in(self, guests: np.ndarray) -> np.ndarray:
        return (guests * 2654435761 >> 7) % 100 < GUESTS_MERGED_SHARE * 100

    def _visits(self, stays: Stays) -> Columns:
        return {
            "at_us": stays.begins_us, "viewer_id": stays.viewer, "visit_id": stays.visit, "connection_id": stays.connection,
            "source": stays.source, "placement": stays.source, "is_fan": stays.is_fan, "show_id": stays.show,
            "shop_id": np.where(stays.show < 0, stays.visit % self.rooms, -1), "is_guest": stays.is_guest,
        }  # fmt: skip

    def _watch(self, stays: Stays) -> Columns:
        """A heartbeat every ten seconds, from the one before to this one; whoever looks away for a while has none."""
        draw = self.random
        stay = np.repeat(np.arange(len(stays.beats)), stays.beats)
        first = np.cumsum(stays.beats) - stays.beats
        beat = np.arange(len(stay)) - first[stay]
        until = stays.begins_us[stay] + (beat + 1) * BEAT_US + draw.integers(-50_000, 50_000, len(stay))
        since = np.empty_like(until)
        since[1:] = until[:-1]
        starts = first[stays.beats > 0]
        since[starts] = stays.begins_us[stay[starts]]
        away = np.where(draw.random(len(stays.beats)) < HIDDEN_SHARE, draw.integers(0, 12, len(stays.beats)), BEATS_MAX)
        seen = (beat < away[stay]) | (beat > away[stay] * 2 + 2)
        stay = stay[seen]
        # Who breaks off never overlaps himself: the next connection begins a second after the last beat at the earliest.
        return {
            "at_us": until[seen], "since_us": since[seen], "viewer_id": stays.viewer[stay], "visit_id": stays.visit[stay],
            "connection_id": stays.connection[stay], "source": stays.source[stay], "is_fan": stays.is_fan[stay],
            "show_id": stays.show[stay], "_stay": stay,
        }  # fmt: skip

    def _measure(self, watch: Columns, stays: Stays) -> None:
        """How long each person saw each show: all spans in order, and how far each reaches beyond those before it."""
        stay = watch.pop("_stay")
        guest_alone = stays.is_guest & ~self._signs_in(stays.viewer)
        who = np.where(guest_alone, stays.viewer, stays.person)[stay]
        inside = watch["at_us"] < self.ends_us
        order = np.lexsort((watch["since_us"], watch["show_id"], who))
        order = order[inside[order]]
        who, show = who[order], watch["show_id"][order]
        since, until = watch["since_us"][order], watch["at_us"][order]
        new = np.ones(len(who), bool)
        new[1:] = (who[1:] != who[:-1]) | (show[1:] != show[:-1])
        group = np.cumsum(new)
        base = since.min() if len(since) else 0
        assert not len(since) or int(group[-1]) < 2**21, "too many viewers a day to be told apart in 64 bits"
        reached = np.maximum.accumulate(until - base + (group << 42))
        before = np.empty_like(reached)
        before[1:] = reached[:-1]
        before[:1] = 0
        start = np.maximum(since - base + (group << 42), before)
        self.made.watch_us += int(np.maximum(until - base + (group << 42) - start, 0).sum())
        self.made.watch_rows += len(who)
        connection = watch["connection_id"][order]
        switches = np.zeros(int(group[-1]) + 1 if len(group) else 1, bool)
        switches[group[1:][(connection[1:] != connection[:-1]) & ~new[1:]]] = True
        self.shared_rows += int(switches[group].sum()) if len(group) else 0
        self.made.shared_share = round(self.shared_rows / max(1, self.made.watch_rows), 3)

    def _acts(self, stays: Stays) -> int:
        """Leaving, hearts, clicks and words: nothing that is measured, but part of a lake."""
        draw, count = self.random, 0
        lasted = stays.beats * BEAT_US
        for topic, mean, column in (("leave", 0, "watched_ms"), ("like", 0.9, "count"), ("click", 1.0, ""), ("chat", 0.5, "length")):
            of = np.flatnonzero(stays.show >= 0)
            of = np.arange(len(stays.viewer)) if topic == "leave" else np.repeat(of, draw.poisson(mean, len(of)))
            at = stays.begins_us[of] + (lasted[of] if topic == "leave" else (lasted[of] * draw.random(len(of))).astype(np.int64))
            rows = {
                "at_us": at, "viewer_id": stays.viewer[of], "visit_id": stays.visit[of], "source": stays.source[of],
                "is_fan": stays.is_fan[of], "show_id": stays.show[of],
            }  # fmt: skip
            if column:
                rows[column] = lasted[of] // 1000 if topic == "leave" else draw.integers(1, 20, len(of))
            if topic == "leave":
                rows["connection_id"] = stays.connection[of]
            self._keep(topic, rows)
            count += len(of) if topic != "leave" else 0
        return count

    def _money(self, stays: Stays, orders: int) -> Columns:
        """Orders of people who are there, what was paid of them, and what went back in the days after."""
        draw = self.random
        stay = draw.integers(0, len(stays.viewer), orders)
        at = stays.begins_us[stay] + (draw.random(orders) * (stays.beats[stay] * BEAT_US + 60_000_000)).astype(np.int64)
        goods = np.clip(draw.lognormal(8.7, 0.9, orders).astype(np.int64), 100, 5_000_000)
        shop_off = np.where(draw.random(orders) < 0.3, goods // 10, 0)
        platform_off = np.where(draw.random(orders) < 0.2, goods // 20, 0)
        shipping = np.where(draw.random(orders) < 0.4, 800, 0)
        number = self._number(ORDER, orders)
        everyone = np.arange(orders)
        paid = draw.random(orders) < PAID_SHARE
        refunded = paid & (draw.random(orders) < REFUNDED_SHARE)
        reversed_ = paid & ~refunded & (draw.random(orders) < REVERSED_SHARE)
        restored = reversed_ & (draw.random(orders) < 0.5)
        repriced = draw.random(orders) < REPRICED_SHARE
        unpaid = ~paid & ~repriced
        day_us = 24 * HOUR_US
        pieces: list[Columns] = []
        for kind, which, late_us, sign in (
            ("placed", everyone, 0, 1), ("repriced", np.flatnonzero(repriced), 60_000_000, 0),
            ("cancelled", np.flatnonzero(unpaid), 1_800_000_000, -1), ("paid", np.flatnonzero(paid), 600_000_000, 1),
            ("refunded", np.flatnonzero(refunded), 9 * day_us, -1), ("reversed", np.flatnonzero(reversed_), 12 * day_us, -1),
            ("restored", np.flatnonzero(restored), 20 * day_us, 1),
        ):  # fmt: skip
            wait = (draw.random(len(which)) * late_us).astype(np.int64)
            if kind == "restored":
                wait += 12 * day_us
            parts = [one[which] * sign for one in (goods, shipping, shop_off, platform_off)]
            if kind == "repriced":
                parts[1] = np.full(len(which), 300)
            if kind == "refunded":
                parts = [np.where(number[which] % 3 == 0, -(-one // 2), one) for one in parts]
            pieces.append({
                "at_us": at[which] + wait, "kind": np.full(len(which), KINDS.index(kind)), "order_id": number[which],
                "buyer_id": stays.person[stay[which]], "show_id": stays.show[stay[which]],
                "source": stays.source[stay[which]], "is_fan": stays.is_fan[stay[which]], "visit_id": stays.visit[stay[which]],
                "goods_amount": parts[0], "shipping_amount": parts[1], "shop_discount_amount": parts[2],
                "platform_discount_amount": parts[3], "amount": parts[0] + parts[1] - parts[2] - parts[3],
            })  # fmt: skip
        rows = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
        rows["shop_id"] = np.where(rows["show_id"] < 0, rows["visit_id"] % self.rooms, rows["show_id"] % self.rooms)
        rows["streamer_id"] = np.where(rows["show_id"] < 0, -1, rows["show_id"] % self.rooms)
        rows["tax_amount"] = rows["amount"] * 13 // 113
        rows["placement"] = rows["source"]
        self.made.orders += orders
        day = (rows["at_us"] - self.begins_us) // day_us
        for name, kinds in COUNTED.items():
            counted = np.isin(rows["kind"], [KINDS.index(kind) for kind in kinds])
            of_day = self.made.money[name]
            for one in range(len(of_day)):
                of_day[one] += int(rows["amount"][counted & (day == one)].sum())
        return rows

    def _write(self, topic: str, day: date, begins_us: int, ends_us: int) -> None:
        """What belongs to the day, a part an hour; what is later waits for its day."""
        pieces = self.waiting.pop(topic)
        rows = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
        later = rows["at_us"] >= ends_us
        if later.any():
            self.waiting[topic] = [{name: column[later] for name, column in rows.items()}]
        hour = (rows["at_us"] - begins_us) // HOUR_US
        key = rows.get("viewer_id", rows.get("order_id", rows["id"]))
        order = np.lexsort((rows["at_us"], key, hour))
        order = order[: len(order) - int(later.sum())]
        cuts = np.searchsorted(hour[order], np.arange(25))
        for one in range(24):
            chosen = order[cuts[one] : cuts[one + 1]]
            if len(chosen):
                table = _table(topic, {name: column[chosen] for name, column in rows.items()})
                self.made.bytes += _write_part(Path(self.lake.root, topic, f"day={day}", f"hour={one:02}"), table)


IDS: Mapping[str, int] = {
    "id": FACT, "viewer_id": VIEWER, "buyer_id": VIEWER, "guest_id": VIEWER, "account_id": VIEWER, "visit_id": CONNECTION,
    "connection_id": CONNECTION, "show_id": SHOW, "shop_id": SHOP, "streamer_id": STREAMER, "order_id": ORDER,
}  # fmt: skip
_WORDS: Mapping[str, list[str]] = {"source": [str(one) for one in SOURCES], "placement": [str(one) for one in SOURCES], "kind": KINDS}


def ids_of(kind: int, numbers: np.ndarray) -> pa.Array:
    """Sixteen bytes for each number, in the numbers' order, the second half of no pattern; null below zero."""
    halves = np.empty((len(numbers), 2), ">u8")
    low = numbers.astype(np.uint64)
    halves[:, 0] = (np.uint64(kind) << np.uint64(56)) | (low << np.uint64(8))
    mixed = (low + np.uint64(kind)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    halves[:, 1] = mixed ^ (mixed >> np.uint64(32))
    known = numbers >= 0
    bits = None if known.all() else pa.py_buffer(np.packbits(known, bitorder="little").tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(numbers), [bits, pa.py_buffer(halves.tobytes())])


def _write_part(place: Path, table: pa.Table) -> int:
    """As the lake writes a part, but without waiting for the disk; how large it is."""
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{new_id().hex}.parquet"
    pq.write_table(table, path, compression=COMPRESSION, row_group_size=ROW_GROUP_ROWS)
    return path.stat().st_size


def _table(topic: str, rows: Columns) -> pa.Table:
    arrays: list[Any] = []
    count = len(rows["at_us"])
    for field in TOPICS[topic].schema:
        column = rows.get(field.name)
        if field.name in IDS:
            arrays.append(pa.nulls(count, field.type) if column is None else ids_of(IDS[field.name], column))
        elif field.name in _WORDS and column is not None:
            arrays.append(pa.DictionaryArray.from_arrays(pa.array(column.astype(np.int32)), pa.array(_WORDS[field.name])))
        elif column is not None:
            arrays.append(pa.array(column).cast(field.type))
        elif field.name == "currency":
            arrays.append(pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array(["CNY"])))
        elif field.name == "rule_version":
            arrays.append(pa.array(np.ones(count, np.int32)))
        elif field.nullable:
            arrays.append(pa.nulls(count, field.type))
        else:
            arrays.append(pa.array([""] * count, field.type))
    return pa.Table.from_arrays(arrays, schema=TOPICS[topic].schema)
