"""Draws that anybody can repeat: commitment, chain of entries, unbiased choice. Pure; `docs/draws.md` is its twin.

The server fixes a secret seed and publishes `commitment = H(seed, rules, secret)` when entries open. Each entry is
hashed onto the ones before it, with a nonce of the client's; the last link is published when entries close. Then the
seed. Who wins, and how much, is a function of (seed, entries in order, rules) and nothing else. Bytes come from
HMAC-SHA256 in counter mode, whole numbers below n by rejection, so that no result is likelier than another.
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

import msgspec

FORMAT = "laotie-draw-1"
WORD = 1 << 64
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

PROOF_BYTES_MAX = 64 * 1024 * 1024


class Entry(NamedTuple):
    """One entry as the proof shows it: its place, who (an alias), when (ms since 1970), client's nonce, choice."""

    no: int
    entrant: str
    at_ms: int
    nonce: str
    choice: str


class Prize(msgspec.Struct, frozen=True):
    """`count` people win `amount` (minor units, 0 for a thing) each."""

    title: str
    count: int
    amount: int = 0


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What is committed to before anybody enters. Unknown kinds have no draw."""

    format: str
    activity: UUID
    kind: str
    opens_ms: int
    closes_ms: int
    currency: str
    amount: int = 0
    split: str = ""
    count: int = 0
    prizes: tuple[Prize, ...] = ()
    options: tuple[str, ...] = ()
    price: int = 0
    floor: int = 0
    helpers: int = 0


class Award(NamedTuple):
    """What an entry got: the number of its prize from 0 on (-1: none by title) and an amount in minor units."""

    no: int
    entrant: str
    prize: int
    amount: int


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The file that anybody can check without asking anybody. Hashes, seed and entrants in lower-case hex.

    `rules` is the very text that was committed to; `secret` the answer of a quiz, else empty.
    """

    format: str
    title: str
    rules: str
    secret: str
    commitment: str
    seed: str
    entries: list[Entry]
    entries_hash: str
    outcome: list[Award]


class Finding(msgspec.Struct, frozen=True):
    """One step of a check, in words, and whether it held."""

    check: str
    holds: bool
    detail: str = ""


def digest(tag: str, *parts: bytes) -> bytes:
    """SHA-256 of the domain tag, a zero byte, and each part behind its length (32 bits, big-endian)."""
    whole = hashlib.sha256(b"laotie/draw/v1/" + tag.encode() + b"\x00")
    for part in parts:
        whole.update(len(part).to_bytes(4, "big") + part)
    return whole.digest()


def ms_of(instant: datetime) -> int:
    """Whole milliseconds since 1970, exactly, the rest cut off."""
    return (instant - EPOCH) // timedelta(milliseconds=1)


def commit(seed: bytes, rules: str, secret: str) -> bytes:
    """What is published before entries open."""
    return digest("commitment", seed, rules.encode(), secret.encode())


def alias(activity_id: UUID, viewer_id: UUID) -> str:
    """An entrant's name in one proof: theirs to recognise, not a list of accounts."""
    return digest("entrant", activity_id.bytes, viewer_id.bytes)[:16].hex()


def first_link(commitment: bytes) -> bytes:
    """Where the chain of entries begins."""
    return digest("entries", commitment)


def next_link(head: bytes, entry: Entry) -> bytes:
    """The chain with one entry more. Whoever entered holds the link after their own, as a receipt."""
    return digest(
        "entry",
        head,
        entry.no.to_bytes(8, "big"),
        bytes.fromhex(entry.entrant),
        entry.at_ms.to_bytes(8, "big"),
        entry.nonce.encode(),
        entry.choice.encode(),
    )


class Dice:
    """Whole numbers from a key: HMAC-SHA256(key, counter as 64 bits), read as 64-bit big-endian words."""

    def __init__(self, key: bytes) -> None:
        self._words = _words(key)

    def below(self, bound: int) -> int:
        """A number from 0 to `bound` - 1, each equally likely: words beyond the last whole multiple are thrown away."""
        assert 0 < bound <= WORD
        limit = WORD - WORD % bound
        for word in self._words:
            if word < limit:
                return word % bound
        raise AssertionError("the words never end")


def _words(key: bytes) -> Iterator[int]:
    counter = 0
    while True:
        block = hmac.digest(key, counter.to_bytes(8, "big"), "sha256")
        for start in range(0, 32, 8):
            yield int.from_bytes(block[start : start + 8], "big")
        counter += 1


def key_of(seed: bytes, purpose: str, bound_to: bytes = b"") -> bytes:
    """A key for one purpose, out of the seed and what it is bound to."""
    return hmac.digest(seed, digest(purpose, bound_to), "sha256")


@lru_cache(maxsize=64)
def split_lucky(key: bytes, amount: int, count: int) -> tuple[int, ...]:
    """`count` shares of at least 1 that sum to `amount`: each up to about twice the mean of what is left, then shuffled."""
    assert 1 <= count <= amount
    dice = Dice(key)
    spare = amount - count
    shares = []
    for left in range(count, 1, -1):
        extra = dice.below(2 * spare // left + 1)
        shares.append(1 + extra)
        spare -= extra
    shares.append(1 + spare)
    for last in range(count - 1, 0, -1):
        other = dice.below(last + 1)
        shares[last], shares[other] = shares[other], shares[last]
    return tuple(shares)


@lru_cache(maxsize=64)
def split_equal(amount: int, count: int) -> tuple[int, ...]:
    """Equal shares; what does not divide goes to the first ones, one unit each."""
    assert 1 <= count <= amount
    share, rest = divmod(amount, count)
    return tuple(share + (number < rest) for number in range(count))


def packet_shares(seed: bytes, rules: Rules) -> tuple[int, ...]:
    """A red packet's shares in the order in which they are handed out."""
    if rules.split == "lucky":
        return split_lucky(key_of(seed, "split", rules.activity.bytes), rules.amount, rules.count)
    return split_equal(rules.amount, rules.count)


def bargain_cuts(seed: bytes, rules: Rules, bargain: str) -> tuple[int, ...]:
    """What each helper of one bargain takes off, in the order of help; all of them together reach the floor."""
    key = key_of(seed, "bargain", rules.activity.bytes + UUID(bargain).bytes)
    return split_lucky(key, rules.price - rules.floor, rules.helpers)


def pick(key: bytes, population: int, count: int) -> list[int]:
    """`count` different places out of `population`, in the order drawn (Fisher-Yates from the front)."""
    dice = Dice(key)
    order = list(range(population))
    for place in range(min(count, population)):
        other = place + dice.below(population - place)
        order[place], order[other] = order[other], order[place]
    return order[: min(count, population)]


def decide(seed: bytes, rules: Rules, secret: str, entries: list[Entry], head: bytes) -> list[Award]:
    """Who gets what, by the number of the entry: the whole outcome."""
    if rules.kind == "red_packet":
        shares = packet_shares(seed, rules)
        return [Award(one.no, one.entrant, -1, share) for one, share in zip(entries, shares, strict=False)]
    if rules.kind == "bargain":
        return list(_cut(seed, rules, entries))
    if rules.kind not in ("lottery", "quiz"):
        return []
    eligible = [one for one in entries if rules.kind == "lottery" or one.choice == secret]
    prizes = [(number, prize.amount) for number, prize in enumerate(rules.prizes) for _ in range(prize.count)]
    drawn = pick(key_of(seed, "draw", head), len(eligible), len(prizes))
    awards = [
        Award(eligible[place].no, eligible[place].entrant, number, amount)
        for place, (number, amount) in zip(drawn, prizes, strict=False)
    ]
    return sorted(awards)


def _cut(seed: bytes, rules: Rules, entries: list[Entry]) -> Iterator[Award]:
    helped: dict[str, int] = {}
    for one in entries:
        place = helped.get(one.choice, 0)
        helped[one.choice] = place + 1
        yield Award(one.no, one.entrant, -1, bargain_cuts(seed, rules, one.choice)[place])


def read_rules(text: str) -> Rules:
    """The rules that a text states (raises `msgspec.MsgspecError`)."""
    return msgspec.json.decode(text, type=Rules)


def read_proof(body: bytes) -> Proof:
    """A proof file (raises `msgspec.MsgspecError`)."""
    return msgspec.json.decode(body, type=Proof)


def verify(proof: Proof) -> list[Finding]:
    """Check a proof step by step, offline; all findings hold, or something is not as promised."""
    found: list[Finding] = []

    def note(check: str, holds: bool, detail: str = "") -> bool:
        found.append(Finding(check, holds, detail))
        return holds

    try:
        rules = read_rules(proof.rules)
        seed, commitment = bytes.fromhex(proof.seed), bytes.fromhex(proof.commitment)
        head = _chain(commitment, proof.entries)
    except (ValueError, OverflowError, msgspec.MsgspecError) as error:
        note("the file can be read", False, str(error)[:200])
        return found
    known = proof.format == rules.format == FORMAT and len(seed) == 32 and _is_sane(rules)
    if not note("the file is of a form that this program knows", known, rules.format[:40]):
        return found
    note("seed and rules are the ones that were committed to", commit(seed, proof.rules, proof.secret) == commitment)
    numbered = [one.no for one in proof.entries] == list(range(1, len(proof.entries) + 1))
    note("entries are numbered without a gap", numbered, f"{len(proof.entries)} entries")
    note("nobody is in twice", len({one.entrant for one in proof.entries}) == len(proof.entries))
    in_time = all(rules.opens_ms <= one.at_ms < rules.closes_ms for one in proof.entries)
    note("every entry came in its time", in_time)
    note("the entries are the ones whose hash was published", head.hex() == proof.entries_hash)
    try:
        outcome = decide(seed, rules, proof.secret, proof.entries, head)
    except (ValueError, IndexError, AssertionError):
        note("an outcome follows from them", False)
        return found
    note("the outcome is the one that follows", outcome == proof.outcome, f"{len(outcome)} awards")
    paid = sum(award.amount for award in outcome)
    if rules.kind != "bargain":
        note("no more was given than there was", paid <= rules.amount, f"{paid} of {rules.amount} {rules.currency}")
    if rules.kind == "red_packet":
        shares = packet_shares(seed, rules)
        exact = sum(shares) == rules.amount and min(shares) >= 1 and len(proof.entries) <= len(shares)
        note("the shares add up to the packet, each at least 1", exact, f"{len(shares)} shares")
    return found


def _chain(commitment: bytes, entries: Iterable[Entry]) -> bytes:
    head = first_link(commitment)
    for entry in entries:
        head = next_link(head, entry)
    return head


def _is_sane(rules: Rules) -> bool:
    """Bounds that keep a hostile file from costing more than a moment."""
    packet = rules.kind != "red_packet" or (1 <= rules.count <= min(rules.amount, 100_000))
    bargain = rules.kind != "bargain" or 1 <= rules.helpers <= min(rules.price - rules.floor, 100_000)
    prizes = all(prize.count >= 0 and prize.amount >= 0 for prize in rules.prizes)
    return packet and bargain and prizes and sum(prize.count for prize in rules.prizes) <= 100_000
