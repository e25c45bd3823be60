"""Draws: the shares always add up, nothing is likelier than anything else, a forged proof is found out."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from draw_vectors import make_proof, make_vectors
from laotie.cli.draws import verify_draw
from laotie.fun import draw

VECTORS = Path(__file__).with_name("vectors.json")

keys = st.binary(min_size=32, max_size=32)


@st.composite
def packets(given_: Any) -> tuple[bytes, int, int]:
    count = given_(st.integers(1, 300))
    return given_(keys), given_(st.integers(count, 1_000_000)), count


@given(packets())
def test_lucky_shares_add_up_to_the_packet_and_each_is_at_least_one(packet: tuple[bytes, int, int]) -> None:
    key, amount, count = packet
    shares = draw.split_lucky(key, amount, count)
    assert len(shares) == count
    assert sum(shares) == amount
    assert min(shares) >= 1


@given(packets())
def test_equal_shares_add_up_and_differ_by_one_at_most(packet: tuple[bytes, int, int]) -> None:
    _, amount, count = packet
    shares = draw.split_equal(amount, count)
    assert sum(shares) == amount and max(shares) - min(shares) <= 1 and min(shares) >= 1


@given(keys, st.integers(0, 200), st.integers(0, 250))
def test_nobody_is_drawn_twice(key: bytes, population: int, count: int) -> None:
    drawn = draw.pick(key, population, count)
    assert len(drawn) == len(set(drawn)) == min(count, population)
    assert all(0 <= place < population for place in drawn)


@given(keys, st.integers(1, draw.WORD))
def test_the_dice_stay_below_their_bound(key: bytes, bound: int) -> None:
    dice = draw.Dice(key)
    assert all(0 <= dice.below(bound) < bound for _ in range(4))


def test_words_beyond_the_last_whole_multiple_are_thrown_away() -> None:
    bound = 2**63 + 1  # almost half of all words are beyond it
    key = hashlib.sha256(b"rejection").digest()
    words = draw._words(key)
    dice = draw.Dice(key)
    kept = [word for word in (next(words) for _ in range(100)) if word < bound]
    assert [dice.below(bound) for _ in range(len(kept))] == kept
    assert 30 < len(kept) < 70


def test_every_entry_is_drawn_equally_often() -> None:
    wins: Counter[int] = Counter()
    for number in range(6_000):
        wins.update(draw.pick(hashlib.sha256(number.to_bytes(4, "big")).digest(), 12, 3))
    expected = 6_000 * 3 / 12
    chi_squared = sum((count - expected) ** 2 / expected for count in wins.values())
    assert len(wins) == 12
    assert chi_squared < 31.3  # 11 degrees of freedom, one in a thousand


def test_every_place_in_the_line_gets_the_same_on_average() -> None:
    sums = [0] * 10
    for number in range(4_000):
        for place, share in enumerate(draw.split_lucky(hashlib.sha256(b"%d" % number).digest(), 1_000, 10)):
            sums[place] += share
    assert all(96 < total / 4_000 < 104 for total in sums)


def test_the_published_vectors_are_what_this_program_makes() -> None:
    assert json.loads(VECTORS.read_text()) == make_vectors()


@pytest.mark.parametrize("case", json.loads(VECTORS.read_text())["cases"], ids=lambda case: case["name"])
def test_vectors_are_judged_as_they_say(case: dict[str, Any]) -> None:
    findings = draw.verify(draw.read_proof(json.dumps(case["proof"]).encode()))
    assert all(finding.holds for finding in findings) is case["valid"]


FORGERIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another seed": lambda proof: proof.update(seed="00" * 32),
    "other rules": lambda proof: proof.update(rules=proof["rules"].replace('"count":2', '"count":3')),
    "an entry less": lambda proof: proof["entries"].pop(),
    "two entries swapped": lambda proof: proof["entries"].insert(0, proof["entries"].pop()),
    "another's nonce": lambda proof: proof["entries"][1].__setitem__(3, "other"),
    "somebody twice": lambda proof: proof["entries"][2].__setitem__(1, proof["entries"][1][1]),
    "another winner": lambda proof: proof["outcome"][0].__setitem__(0, 99),
    "more money": lambda proof: proof["outcome"][0].__setitem__(3, 10**6),
    "late entry": lambda proof: proof["entries"][-1].__setitem__(2, 2_000_000_000_000),
    "not hexadecimal": lambda proof: proof.update(seed="xyz"),
    "unknown form": lambda proof: proof.update(format="laotie-draw-9"),
    "a number below zero": lambda proof: proof["entries"][0].__setitem__(0, -1),
    "billions of prizes": lambda proof: proof.update(rules=proof["rules"].replace('"count":2', '"count":9999999999')),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_proof_does_not_hold(forge: Callable[[dict[str, Any]], object]) -> None:
    proof = json.loads(msgspec.json.encode(make_proof("lottery")))
    assert all(finding.holds for finding in draw.verify(msgspec.convert(proof, draw.Proof)))
    forge(proof)
    assert not all(finding.holds for finding in draw.verify(msgspec.convert(proof, draw.Proof)))


def test_the_commitment_says_nothing_about_the_outcome_before_the_entries_are_known() -> None:
    seed, rules = b"\x01" * 32, draw.read_rules(make_proof("lottery").rules)
    chain = draw.first_link(draw.commit(seed, "", ""))
    one = [draw.Entry(no, f"{no:032x}", 0, "a", "") for no in range(1, 21)]
    heads = [draw.next_link(chain, draw.Entry(20, "0" * 32, 0, nonce, "")) for nonce in ("a", "b")]
    assert draw.decide(seed, rules, "", one, heads[0]) != draw.decide(seed, rules, "", one, heads[1])


@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_no_file_breaks_the_verifier(body: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        draw.read_proof(body)


def test_a_secret_answer_is_part_of_the_commitment() -> None:
    assert draw.commit(b"\x00" * 32, "{}", "1") != draw.commit(b"\x00" * 32, "{}", "2")
    assert draw.commit(b"\x00" * 32, "{}1", "") != draw.commit(b"\x00" * 32, "{}", "1")


def test_an_alias_belongs_to_one_activity() -> None:
    viewer = UUID(int=7)
    assert draw.alias(UUID(int=1), viewer) != draw.alias(UUID(int=2), viewer)


def test_verify_draw_ends_with_0_for_a_good_file_and_1_for_a_bad_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad, none = tmp_path / "good.json", tmp_path / "bad.json", tmp_path / "none.json"
    proof = json.loads(msgspec.json.encode(make_proof("red_packet")))
    good.write_text(json.dumps(proof))
    bad.write_text(json.dumps(proof | {"seed": "11" * 32}))
    for path, code, said in ((good, 0, "committed to"), (bad, 1, "cannot be believed"), (none, 1, "cannot be believed")):
        with pytest.raises(SystemExit) as ended:
            verify_draw(path)
        assert ended.value.code == code
        assert said in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        verify_draw(bad, json=True)
    assert json.loads(capsys.readouterr().out)["valid"] is False
