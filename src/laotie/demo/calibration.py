"""How long people watch and how often they act: the simulated viewers' manners, measured on real ones.

The table beside this (`data/viewers.json`) was measured on a slice of KuaiRand-27K, real behaviour on Kuaishou; its sources and
licence are in `data/README.md`. The slice was chosen by likes and dislikes, so it says nothing about likes; and what
people buy is not in it. Both are assumptions of the demonstration and marked so where they are made.

`bin/calibrate` measures the table again from the slice, and draws real and simulated viewers side by side.
"""

import csv
import gzip
from bisect import bisect_right
from collections import Counter
from functools import cache
from importlib import resources
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec

BANDS = 5
"""Acts are told by how long was watched, in so many equal parts of the plays: who stays longer comments more."""
QUANTILES = 500
ACTS = ("is_follow", "is_comment", "is_forward")


class Band(msgspec.Struct, frozen=True):
    """Shares of the plays up to a length that came with each act."""

    up_to_ms: int
    follow: float
    comment: float
    forward: float


class Viewers(msgspec.Struct, frozen=True):
    """What was measured."""

    plays: int
    viewers: int
    click: float
    """Share of what was shown that was opened."""
    play_ms: list[int]
    """The time played: so many quantiles, evenly spaced, the shortest and the longest among them."""
    bands: list[Band]
    hours: list[int]
    """Plays by hour of the day."""


class Stay(NamedTuple):
    """What somebody does in one visit."""

    seconds: float
    follows: bool
    comments: bool
    forwards: bool


@cache
def measured() -> Viewers:
    """The table that comes with the demonstration."""
    table = resources.files("laotie.demo.data") / "viewers.json"
    return msgspec.json.decode(table.read_bytes(), type=Viewers)


def opens(chance: Random, viewers: Viewers | None = None) -> bool:
    """Whether somebody opens what they are shown."""
    return chance.random() < (viewers or measured()).click


def stay(chance: Random, viewers: Viewers | None = None) -> Stay:
    """One visit: how long, drawn between the measured quantiles, and what is done in it, as those do who stay so long."""
    table = viewers or measured()
    place = chance.random() * (len(table.play_ms) - 1)
    low = int(place)
    below, above = table.play_ms[low], table.play_ms[low + 1]
    millis = below + (above - below) * (place - low)
    band = table.bands[min(bisect_right([one.up_to_ms for one in table.bands], millis), len(table.bands) - 1)]
    return Stay(
        millis / 1000, chance.random() < band.follow, chance.random() < band.comment, chance.random() < band.forward
    )


def hour(chance: Random, viewers: Viewers | None = None) -> int:
    """At which hour of the day somebody comes."""
    return chance.choices(range(24), (viewers or measured()).hours)[0]


def measure(path: Path) -> Viewers:
    """The table of a slice of KuaiRand (CSV, gzip): acts and times of what was played, hours of all of it."""
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    plays = sorted((row for row in rows if int(row["play_time_ms"]) > 0), key=lambda row: int(row["play_time_ms"]))
    times = [int(row["play_time_ms"]) for row in plays]
    bands = []
    for number in range(BANDS):
        those = plays[number * len(plays) // BANDS : (number + 1) * len(plays) // BANDS]
        rates = [round(sum(row[act] == "1" for row in those) / len(those), 6) for act in ACTS]
        bands.append(Band(int(those[-1]["play_time_ms"]), *rates))
    hours = Counter(int(row["hourmin"]) // 100 for row in rows)
    return Viewers(
        plays=len(plays),
        viewers=len({row["user_id"] for row in plays}),
        click=round(sum(row["is_click"] == "1" for row in rows) / len(rows), 6),
        play_ms=[times[min(len(times) - 1, part * len(times) // QUANTILES)] for part in range(QUANTILES + 1)],
        bands=bands,
        hours=[hours[hour] for hour in range(24)],
    )
