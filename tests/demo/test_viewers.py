"""The demonstration's viewers: manners as measured, and a past in which nobody buys who did not come."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import quantiles

import pyarrow as pa
import pytest

from lakes import open_lake
from laotie.base.ids import ShowId
from laotie.demo import calibration
from laotie.demo.market import demo_id
from laotie.demo.money import PAST_SHOWS
from laotie.demo.past_viewers import Show, imagine
from laotie.lake import TOPICS

NOW = datetime(2026, 11, 23, 4, tzinfo=UTC)


def test_simulated_stays_and_acts_are_those_of_the_table() -> None:
    chance, table = Random(1), calibration.measured()
    stays = [calibration.stay(chance) for _ in range(20_000)]
    simulated = quantiles([one.seconds for one in stays], n=4)
    measured = [table.play_ms[len(table.play_ms) * part // 4] / 1000 for part in (1, 2, 3)]
    assert simulated == pytest.approx(measured, rel=0.05)
    for act in ("follow", "comment", "forward"):
        rate = sum(getattr(one, f"{act}s") for one in stays) / len(stays)
        assert rate == pytest.approx(sum(getattr(band, act) for band in table.bands) / len(table.bands), abs=0.004), act
    assert sum(calibration.opens(chance) for _ in range(20_000)) / 20_000 == pytest.approx(table.click, abs=0.02)


def test_everybody_who_bought_came_before_and_no_act_is_outside_its_visit_or_in_the_future(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    shows = []
    for ago, bought in PAST_SHOWS.items():
        began_at = NOW - timedelta(days=ago)
        shows.append(Show(ShowId(demo_id("past show", ago)), began_at, began_at + timedelta(hours=1), bought))
    rows = imagine(shows, now=NOW, lake=lake)
    assert rows == imagine(shows, now=NOW, lake=lake), "the same in every run"
    for topic, those in rows.items():
        table = pa.Table.from_pylist(those, schema=TOPICS[topic].schema)
        assert len(set(table["id"].to_pylist())) == len(those), topic
        assert max(table["at_us"].to_pylist()) < NOW.timestamp() * 1_000_000, topic
    came = {(row["viewer_id"], row["show_id"]) for row in rows["visit"] if "show_id" in row}
    for show in shows:
        for one in show.bought:
            assert (demo_id("account", one.handle).bytes, show.show_id.bytes) in came
    watched = {row["visit_id"]: (row["since_us"], row["at_us"]) for row in rows["watch"]}
    assert all(since <= until for since, until in watched.values())
    for topic in ("chat", "like", "share"):
        assert all(watched[row["visit_id"]][0] <= row["at_us"] <= watched[row["visit_id"]][1] for row in rows[topic]), topic
