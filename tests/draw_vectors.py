"""Writes `vectors.json`: proofs that hold and proofs that don't, for every program that repeats draws.

    python tests/draw_vectors.py > tests/fun/vectors.json
"""

import hashlib
import json
from typing import Any
from uuid import UUID

import msgspec

from laotie.fun import draw

OPENS_MS = 1_790_000_000_000
ACTIVITY = UUID("01990000-0000-7000-8000-00000000000a")
BARGAINS = ("01990000-0000-7000-8000-0000000000b1", "01990000-0000-7000-8000-0000000000b2")
RULES: dict[str, dict[str, Any]] = {
    "red_packet": {"amount": 10_000, "split": "lucky", "count": 20},
    "red_packet equal": {"amount": 1_003, "split": "equal", "count": 10},
    "lottery": {"amount": 5_100, "prizes": (draw.Prize("First", 1, 5_000), draw.Prize("二等奖", 2, 50))},
    "quiz": {"amount": 600, "prizes": (draw.Prize("Quick", 3, 200),), "options": ("甲", "乙", "丙")},
    "poll": {"options": ("yes", "no")},
    "bargain": {"price": 9_900, "floor": 100, "helpers": 5},
}
NONCES = ("", "tap", "a nonce of the client", "0f" * 32)


def make_proof(name: str, *, people: int = 12) -> draw.Proof:
    """A proof of a draw in which so many took part, the same every time."""
    kind = name.split()[0]
    rules = draw.Rules(
        format=draw.FORMAT,
        activity=ACTIVITY,
        kind=kind,
        opens_ms=OPENS_MS,
        closes_ms=OPENS_MS + 60_000,
        currency="CNY",
        **RULES[name],
    )
    text = msgspec.json.encode(rules).decode()
    seed = hashlib.sha256(f"seed of {name}".encode()).digest()
    secret = "2" if kind == "quiz" else ""
    commitment = draw.commit(seed, text, secret)
    head = draw.first_link(commitment)
    entries = []
    people = min(people, 10 if kind == "bargain" else rules.count or people)
    for no in range(1, people + 1):
        entry = draw.Entry(
            no=no,
            entrant=draw.alias(ACTIVITY, UUID(int=no)),
            at_ms=OPENS_MS + 37 * no,
            nonce=NONCES[no % len(NONCES)],
            choice=_choice(kind, no),
        )
        entries.append(entry)
        head = draw.next_link(head, entry)
    return draw.Proof(
        format=draw.FORMAT,
        title=f"Vector: {name}",
        rules=text,
        secret=secret,
        commitment=commitment.hex(),
        seed=seed.hex(),
        entries=entries,
        entries_hash=head.hex(),
        outcome=draw.decide(seed, rules, secret, entries, head),
    )


def _choice(kind: str, no: int) -> str:
    if kind == "quiz":
        return str(no % 3 + 1)
    if kind == "poll":
        return str(no % 2 + 1)
    return BARGAINS[no % 2] if kind == "bargain" else ""


def make_vectors() -> dict[str, Any]:
    """The whole file."""
    cases = [
        {"name": name, "valid": True, "proof": _plain(name, people=12)} for name in RULES
    ]
    cases.append({"name": "lottery, nobody came", "valid": True, "proof": _plain("lottery", people=0)})
    cases.append({"name": "red packet, all taken", "valid": True, "proof": _plain("red_packet", people=20)})
    forged: dict[str, dict[str, Any]] = {
        "forged: another seed": {"seed": "00" * 32},
        "forged: another outcome": {"outcome": [[1, draw.alias(ACTIVITY, UUID(int=1)), 0, 5_000]]},
        "forged: other rules": {"rules": make_proof("lottery").rules.replace("5000", "5001")},
        "forged: another entries' hash": {"entries_hash": "ab" * 32},
        "forged: an entry is missing": {"entries": _plain("lottery", people=12)["entries"][:-1]},
    }
    for name, changes in forged.items():
        cases.append({"name": name, "valid": False, "proof": _plain("lottery", people=12) | changes})
    key = hashlib.sha256(b"dice").digest()
    dice = draw.Dice(key)
    return {
        "format": draw.FORMAT,
        "primitives": {
            "digest": {
                "tag": "commitment",
                "parts_hex": ["00ff", "", "7b7d"],
                "sha256": draw.digest("commitment", b"\x00\xff", b"", b"{}").hex(),
            },
            "alias": {
                "activity": str(ACTIVITY), "viewer": str(UUID(int=7)), "entrant": draw.alias(ACTIVITY, UUID(int=7))
            },
            "dice": {
                "key": key.hex(),
                "below": [[bound, str(dice.below(bound))] for bound in (6, 6, 10, 1_000, 2**32, 2**53, 3, 1)],
            },
            "key": {
                "seed": key.hex(), "purpose": "draw", "bound_to": "abcd", "key": draw.key_of(key, "draw", b"\xab\xcd").hex()
            },
            "split_lucky": {"key": key.hex(), "amount": 1_000, "count": 7, "shares": list(draw.split_lucky(key, 1_000, 7))},
            "split_equal": {"amount": 1_000, "count": 7, "shares": list(draw.split_equal(1_000, 7))},
            "pick": {"key": key.hex(), "population": 20, "count": 5, "places": draw.pick(key, 20, 5)},
        },
        "cases": cases,
    }  # fmt: skip


def _plain(name: str, *, people: int) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(msgspec.json.encode(make_proof(name, people=people)))
    return plain


if __name__ == "__main__":
    print(json.dumps(make_vectors(), ensure_ascii=False, indent=1))
