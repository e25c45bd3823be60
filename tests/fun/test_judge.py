"""The judgement is pure: a batch answers exactly as its asks would one by one."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from laotie import fun
from laotie.base.ids import AccountId, ShopId, ShowId, ViewerId
from laotie.base.refusals import Refusal
from laotie.fun import draw
from laotie.fun.judge import Facts, Outcome, decide
from laotie.fun.model import Held, Plan, Split
from laotie.fun.rows import rules_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PACKET, POLL, OVER = (fun.ActivityId(UUID(int=number)) for number in (1, 2, 3))


def held(activity_id: fun.ActivityId, kind: fun.Kind, plan: Plan, *, closes_in_s: int = 60) -> Held:
    amount = 500 if plan.split else 0
    bare = Held(
        id=activity_id, kind=kind, state=fun.State.open, show_id=ShowId(UUID(int=9)), shop_id=ShopId(UUID(int=9)),
        host_id=AccountId(UUID(int=9)), maker_id=AccountId(UUID(int=9)), rival_show_id=None, rival_host_id=None,
        title="…", plan=plan, followers_only=False, follow_minutes=0, duration_s=60, digest=b"", version=1,
        funder_id=None, currency="CNY", amount=amount, funded_at=None, paid_amount=0, returned_amount=0,
        seed=b"\x05" * 32, rules=None, commitment=None, head=draw.first_link(b""), entry_count=0,
        left_count=plan.count or None, counts=[0] * len(plan.options), created_at=NOW,
        opens_at=NOW - timedelta(seconds=60), closes_at=NOW + timedelta(seconds=closes_in_s), closed_at=None,
        settled_at=None,
    )  # fmt: skip
    rules = msgspec.json.encode(rules_of(bare, opens_ms=0, closes_ms=1)).decode()
    return msgspec.structs.replace(bare, rules=rules)


def fresh_facts() -> Facts:
    activities = [
        held(PACKET, fun.Kind.red_packet, Plan(split=Split.lucky, count=4)),
        held(POLL, fun.Kind.poll, Plan(question="?", options=("a", "b"))),
        held(OVER, fun.Kind.poll, Plan(question="?", options=("a", "b")), closes_in_s=0),
    ]
    return Facts({one.id: one for one in activities}, {}, {}, {}, {}, NOW)


asks = st.builds(
    fun.Ask,
    subject_id=st.sampled_from([PACKET, POLL, OVER, fun.ActivityId(UUID(int=4))]),
    viewer_id=st.integers(10, 16).map(lambda number: ViewerId(UUID(int=number))),
    has_account=st.booleans(),
    nonce=st.sampled_from(["", "n", "é", "x" * 65]),
    choice=st.sampled_from([None, 0, 1, 2, 3]),
    is_help=st.booleans(),
)


@given(st.lists(asks, max_size=30))
def test_a_batch_answers_as_its_asks_one_by_one(batch: list[fun.Ask]) -> None:
    together = decide(batch, fresh_facts())
    facts = fresh_facts()
    alone: list[fun.Entered | Refusal] = []
    for ask in batch:
        outcome = decide([ask], facts)
        alone += outcome.answers
        carry_on(facts, outcome)
    assert [shape(one) for one in together.answers] == [shape(one) for one in alone]


@given(st.lists(asks, max_size=60))
def test_nobody_is_in_twice_and_no_more_is_given_than_there_is(batch: list[fun.Ask]) -> None:
    outcome = decide(batch, fresh_facts())
    assert len({(one.activity_id, one.viewer_id) for one in outcome.taken}) == len(outcome.taken)
    shares = [one.amount for one in outcome.taken if one.activity_id == PACKET]
    assert len(shares) <= 4 and sum(share or 0 for share in shares) <= 500
    assert sum(share or 0 for share in shares) == 500 or len(shares) < 4
    running = outcome.running.get(POLL)
    assert running is None or sum(running.counts) == running.entries


def carry_on(facts: Facts, outcome: Outcome) -> None:
    """What the database would hold by the next batch."""
    for activity_id, running in outcome.running.items():
        facts.activities[activity_id] = msgspec.structs.replace(
            facts.activities[activity_id],
            head=running.head, entry_count=running.entries, left_count=running.left, counts=running.counts,
        )  # fmt: skip


def shape(answer: fun.Entered | Refusal) -> object:
    return answer if isinstance(answer, fun.Entered) else (answer.code, answer.facts())
