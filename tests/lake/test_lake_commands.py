"""`laotie lake`: what it prints, and when it ends with 1."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from deeds import hearts, likes, make_stay, now_us
from lakes import open_lake
from laotie.base import logs
from laotie.cli import lake as commands
from laotie.lake import Act, Liked
from laotie.lake.ingest import SEGMENTS
from laotie.lake.segments import Segments


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory in which a process has died."""
    monkeypatch.setenv("LAOTIE_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(logs, "set_up", lambda **_: None)  # it would hold on to this test's standard error
    segments = Segments(tmp_path / SEGMENTS)
    impossible: list[Act] = [Liked(make_stay(), now_us(), 0)]
    segments.write([*likes(0, 10), *impossible])
    segments.close()
    return tmp_path


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return msgspec.json.decode(capsys.readouterr().out.splitlines()[-1])


def test_what_a_dead_process_left_is_seen_brought_in_and_verified(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.inspect(as_json=True)
    (process,) = said(capsys)["processes"]
    assert not process["is_alive"] and process["segments"] == 1
    commands.compact(as_json=True)
    assert said(capsys)["shipped"] == {
        "segments": 1, "rows": 10, "quarantined": 1, "duplicates": 0, "parts": 1,
    }  # fmt: skip
    assert hearts(open_lake(data / "lake")) == list(range(10))
    with pytest.raises(SystemExit) as ended:
        commands.verify(deep=True, as_json=True)
    verdict = said(capsys)
    assert ended.value.code == 0 and verdict["sound"] and verdict["rows"] == 10
    assert verdict["quarantine"] == [{"reason": "impossible count", "topic": "like", "rows": 1}]
    commands.inspect()
    assert "In quarantine: 1 × impossible count (like)" in capsys.readouterr().out


def test_a_cut_file_ends_verify_with_1(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.compact()
    (part,) = (data / "lake").glob("like/*/*/*.parquet")
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(SystemExit) as ended:
        commands.verify()
    assert ended.value.code == 1 and "file unreadable" in capsys.readouterr().out
