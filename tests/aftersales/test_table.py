"""The table by itself: everything is reachable, everything ends by time, and the page is drawn from it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laotie import aftersales
from laotie.aftersales import (
    ENDS,
    Act,
    ActRefused,
    Case,
    CaseKind,
    CaseState,
    Party,
    Reason,
    acts_of,
    after_time,
    rights,
)
from laotie.aftersales.acts import PARTY_OF, _applied
from laotie.aftersales.model import CaseId, EntryId, Line, Step
from laotie.aftersales.table import TABLE, TERMS, Move, Owed, judge, judge_opening, owed
from laotie.base.ids import AccountId, OrderId, ProductId, ShopId, SkuId, new_id

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PAID = 9_900


def make_case(kind: CaseKind = CaseKind.return_refund, *, must_return: bool | None = None) -> Case:
    return Case(
        id=CaseId(new_id()),
        digest=b"",
        order_id=OrderId(new_id()),
        shop_id=ShopId(new_id()),
        buyer_id=AccountId(new_id()),
        kind=kind,
        reason=Reason.damaged,
        statute=None,
        state=CaseState.requested,
        currency="CNY",
        amount=PAID,
        is_part=False,
        must_return=kind is not CaseKind.refund_only if must_return is None else must_return,
        is_back=False,
        is_guaranteed=False,
        is_unsent=False,
        exchange_sku_id=SkuId(new_id()) if kind is CaseKind.exchange else None,
        offer_kind=None,
        offer_amount=None,
        return_carrier=None,
        return_number=None,
        replacement_carrier=None,
        replacement_number=None,
        freight_amount=0,
        freight_by=Party.shop,
        freight_paid_amount=0,
        freight_is_pledged=False,
        refunded_amount=0,
        guarantee_amount=0,
        opened_at=NOW,
        changed_at=NOW,
        due_at=None,
        closed_at=None,
        entry_count=0,
    )


LINE = Line(
    no=1,
    sku_id=SkuId(new_id()),
    product_id=ProductId(new_id()),
    pledge_id=None,
    title="海参",
    options={},
    quantity=1,
    bought_quantity=1,
    amount=PAID,
)
FIELDS = {
    Act.counter: {"kind": CaseKind.refund_only, "amount": 1_000},
    Act.dispute_goods: {"text": "worn", "amount": 1_000},
    Act.send_back: {"carrier": "SF", "number": "1"},
    Act.send_replacement: {"carrier": "SF", "number": "2"},
    Act.refuse: {"text": "no"},
    Act.decide_for_buyer: {"text": "because"},
    Act.decide_for_shop: {"text": "because"},
    Act.decide_split: {"text": "because", "amount": 1_000},
}


def walk(case: Case, act: Act, now: datetime) -> Case:
    """The case after an act, as the room's own code makes it, without any table in a database."""
    if act is Act.time_over:
        move = judge(case, act, Party.house, now)
        case = msgspec.structs.replace(case, is_back=case.is_back or case.state is CaseState.sent_back)
    else:
        case, _ = _applied(case, [LINE], Step(id=EntryId(new_id()), act=act, **FIELDS.get(act, {})))  # type: ignore[arg-type]
        move = judge(case, act, PARTY_OF[act], now)
    return _in(case, move)


def _in(case: Case, move: Move) -> Case:
    return msgspec.structs.replace(case, state=move.state, due_at=move.due_at)


def begin(kind: CaseKind, act: Act, *, must_return: bool | None = None) -> Case:
    case = make_case(kind, must_return=must_return)
    return _in(case, judge_opening(case, act, NOW))


def beginnings() -> list[Case]:
    return [
        *(begin(kind, Act.open) for kind in CaseKind if kind is not CaseKind.withdrawal),
        begin(CaseKind.withdrawal, Act.open_by_right),
        begin(CaseKind.withdrawal, Act.open_by_right, must_return=False),
        begin(CaseKind.refund_only, Act.open_guaranteed),
    ]


def everything_reachable() -> dict[tuple[CaseState, Owed, CaseKind], Case]:
    """Every standing that acts and time can bring about, one case of each."""
    waiting, found = beginnings(), {}
    while waiting:
        case = waiting.pop()
        key = (case.state, owed(case), case.kind)
        if key in found:
            continue
        found[key] = case
        acts = [act for party in Party for act in acts_of(case, party)]
        waiting += [walk(case, act, case.due_at or NOW) for act in acts]
    return found


def test_every_state_and_every_row_is_reached() -> None:
    found = everything_reachable()
    assert {state for state, _, _ in found} == set(CaseState)
    used = {
        index
        for index, row in enumerate(TABLE)
        for state, due, _ in found
        if row.state is None or (row.state is state and row.owed in (None, due))
    }
    assert used == set(range(len(TABLE)))


def test_every_standing_ends_by_time_alone() -> None:
    for case in everything_reachable().values():
        steps = 0
        while case.state not in ENDS:
            assert case.due_at is not None
            assert after_time(case) is not None
            case, steps = walk(case, Act.time_over, case.due_at), steps + 1
            assert steps < 6
        assert case.due_at is None
        assert [act for party in Party for act in acts_of(case, party)] == []


def test_time_acts_when_the_term_is_over_and_not_before() -> None:
    case = begin(CaseKind.refund_only, Act.open)
    assert case.due_at == NOW + TERMS[CaseState.requested]
    with pytest.raises(ActRefused):
        judge(case, Act.time_over, Party.house, case.due_at - timedelta(microseconds=1))
    assert judge(case, Act.time_over, Party.house, case.due_at).state is CaseState.refunded


def test_who_is_not_in_the_row_is_refused() -> None:
    for case in everything_reachable().values():
        for act in Act:
            for party in Party:
                if act in acts_of(case, party):
                    continue
                with pytest.raises(ActRefused):
                    judge(case, act, party, (case.due_at or NOW) + timedelta(days=1))


def test_no_two_rows_answer_the_same_question() -> None:
    for first in TABLE:
        for second in TABLE:
            same = (first.state, first.act, first.party) == (second.state, second.act, second.party)
            if first is not second and same:
                assert first.owed is not second.owed
                assert None not in (first.owed, second.owed)


def test_goods_and_money_are_never_both_the_shops() -> None:
    for case in everything_reachable().values():
        ended = case.state in (CaseState.expired, CaseState.withdrawn)
        assert not (ended and case.is_back), f"the shop has the goods, and the buyer nothing: {case.kind}"


@given(st.data(), st.sampled_from(range(len(beginnings()))))
def test_whatever_the_sides_do_every_walk_stays_in_the_table(data: st.DataObject, start: int) -> None:
    case, now = beginnings()[start], NOW
    for _ in range(25):
        if case.state in ENDS:
            assert case.due_at is None
            return
        assert case.due_at is not None
        assert case.due_at > now
        acts = [act for party in Party for act in acts_of(case, party)]
        act = data.draw(st.sampled_from(acts))
        now = case.due_at if act is Act.time_over else now + timedelta(seconds=1)
        case = walk(case, act, now)
        assert case.amount <= PAID


def test_the_page_is_what_the_code_says() -> None:
    page = Path(__file__).parents[2] / "docs" / "aftersales.md"
    assert page.read_text() == aftersales.document(), "run `laotie aftersales`"


@pytest.mark.parametrize(
    ("country", "days", "shipping"), [("CN", 7, False), ("de", 14, True), ("JP", 7, False), (None, 7, False)]
)
def test_the_law_is_that_of_the_parcels_place(country: str | None, days: int, shipping: bool) -> None:
    statute = rights.statute_of(country)
    assert (statute.days, statute.refunds_shipping) == (days, shipping)


@pytest.mark.parametrize(
    ("category", "unsealed", "excluded"),
    [
        ("生鲜", False, True),
        ("Made to Measure", False, True),
        ("美妆", False, False),
        ("美妆", True, True),
        ("帽子", True, False),
    ],
)
def test_excluded_goods_are_named_with_their_law(category: str, unsealed: bool, excluded: bool) -> None:
    right = rights.withdrawal_of(category=category, country="CN", delivered_at=NOW, promised_days=None)
    assert right.excludes(is_unsealed=unsealed) is excluded
    assert not excluded or (right.ground is not None and right.law is not None and right.law.startswith("Art. 25"))


def test_a_guarantee_makes_the_time_longer_and_never_shorter() -> None:
    for promised, days in ((None, 7), (3, 7), (30, 30)):
        right = rights.withdrawal_of(category="", country="CN", delivered_at=NOW, promised_days=promised)
        assert right.until == NOW + timedelta(days=days)
