"""Why it changed: shares that add up, whatever is zero, whichever way round."""

import random
from decimal import Decimal
from math import isclose, log

from hypothesis import given, settings
from hypothesis import strategies as st

from laotie.insight.explain import Counts, Factor, Row, Share, attribute, tell, value_of

SOURCES = ("direct", "private", "public_organic", "shelf")


@st.composite
def counts(draw: st.DrawFn, source: str) -> Counts:
    """A source of a period as the identities give it: buyers are among the viewers, orders have buyers, money has orders."""
    uv = draw(st.integers(0, 10**7))
    buyers = draw(st.integers(0, uv)) if uv else 0
    orders = buyers + draw(st.integers(0, 10**5)) if buyers else 0
    gmv = draw(st.integers(-(10**14), 10**14) | st.just(0)) if orders else 0
    watch = draw(st.integers(0, 10**15) | st.just(0)) if uv else 0
    return Counts(source=source, uv=uv, watch_us=watch, buyers=buyers, orders=orders, gmv=gmv)


@st.composite
def periods(draw: st.DrawFn) -> list[Row]:
    """Some sources of a period."""
    return [draw(counts(source)) for source in draw(st.lists(st.sampled_from(SOURCES), unique=True))]


def amounts(shares: list[Share]) -> dict[tuple[str, Factor], int]:
    return {(share.source, share.factor): share.amount for share in shares}


@settings(max_examples=150, deadline=None)
@given(periods(), periods(), st.randoms(use_true_random=False))
def test_shares_add_up_by_source_turn_with_time_and_ignore_order(
    before: list[Row], after: list[Row], shuffle: random.Random
) -> None:
    shares = attribute(before, after)
    for source in SOURCES:
        difference = sum(row.gmv for row in after if row.source == source) - sum(
            row.gmv for row in before if row.source == source
        )
        assert sum(share.amount for share in shares if share.source == source) == difference
    assert amounts(attribute(after, before)) == {key: -amount for key, amount in amounts(shares).items()}
    shuffle.shuffle(before)
    shuffle.shuffle(after)
    assert attribute(before, after) == shares


def test_every_share_is_the_published_formula_to_less_than_a_unit() -> None:
    before = Counts(source="slot", uv=1000, watch_us=90_000_000, buyers=50, orders=60, gmv=1_200_000)
    after = Counts(source="slot", uv=1400, watch_us=98_000_000, buyers=70, orders=91, gmv=1_729_000)
    mean = (after.gmv - before.gmv) / (log(after.gmv) - log(before.gmv))
    expected = {
        Factor.uv: mean * log(1400 / 1000),
        Factor.watch_per_viewer: mean * log((98 / 1400) / (90 / 1000)),
        Factor.buyers_per_watch: mean * log((70 / 98) / (50 / 90)),
        Factor.orders_per_buyer: mean * log((91 / 70) / (60 / 50)),
        Factor.gmv_per_order: mean * log((1_729_000 / 91) / (1_200_000 / 60)),
    }
    found = {share.factor: share.amount for share in attribute([before], [after])}
    assert found.keys() == expected.keys()
    assert all(abs(found[factor] - amount) < 1 for factor, amount in expected.items())


def test_a_growing_factor_is_given_more_and_a_shrinking_one_less_than_nothing() -> None:
    before = Counts(source="share", uv=100, watch_us=1000, buyers=10, orders=10, gmv=1000)
    after = Counts(source="share", uv=200, watch_us=2000, buyers=10, orders=10, gmv=1000)
    found = {share.factor: share.amount for share in attribute([before], [after])}
    assert found == {
        Factor.uv: 693,  # 1000·ln 2 = 693.1, and as much is lost by fewer of them buying
        Factor.watch_per_viewer: 0,
        Factor.buyers_per_watch: -693,
        Factor.orders_per_buyer: 0,
        Factor.gmv_per_order: 0,
    }


def test_the_factor_that_enters_or_leaves_takes_it_all() -> None:
    full = Counts(source="slot", uv=10, watch_us=900, buyers=2, orders=3, gmv=500)
    cases = {
        Factor.uv: Counts(source="slot"),
        Factor.buyers_per_watch: Counts(source="slot", uv=7, watch_us=300),
        Factor.gmv_per_order: Counts(source="slot", uv=7, watch_us=300, buyers=1, orders=1),
        Factor.conversion: Counts(source="slot", uv=7),
    }
    for factor, empty in cases.items():
        assert {share.factor: share.amount for share in attribute([empty], [full]) if share.amount} == {factor: 500}, (
            factor
        )
        assert {share.factor: share.amount for share in attribute([full], [empty]) if share.amount} == {factor: -500}, (
            factor
        )


def test_zero_is_where_the_formula_goes_as_a_source_gets_smaller() -> None:
    """With everything else staying within bounds, the viewers' part of the difference comes ever closer to all of it."""
    few = Counts(source="slot", uv=1, watch_us=20, buyers=1, orders=2, gmv=900)
    parts = []
    for size in (10**3, 10**9, 10**27):
        many = Counts(
            source="slot", uv=10 * size, watch_us=300 * size, buyers=6 * size, orders=7 * size, gmv=4000 * size
        )
        found = {share.factor: share.amount for share in attribute([few], [many])}
        parts.append(abs(1 - found[Factor.uv] / (many.gmv - few.gmv)))
    assert parts == sorted(parts, reverse=True)
    assert parts[0] > 0.05 > 0.02 > parts[-1] > 0
    new = Counts(source="slot", uv=10, watch_us=300, buyers=6, orders=7, gmv=4000)
    assert {share.factor: share.amount for share in attribute([], [new])} == {
        Factor.uv: 4000, Factor.conversion: 0, Factor.gmv_per_order: 0,
    }  # fmt: skip


def test_below_zero_on_both_sides_is_the_mirror_image() -> None:
    low = [Counts(source="private", uv=10, watch_us=50, buyers=3, orders=4, gmv=-900)]
    lower = [Counts(source="private", uv=30, watch_us=80, buyers=6, orders=7, gmv=-1700)]
    mirrored = attribute(
        [Counts(source="private", uv=10, watch_us=50, buyers=3, orders=4, gmv=900)],
        [Counts(source="private", uv=30, watch_us=80, buyers=6, orders=7, gmv=1700)],
    )
    found = amounts(attribute(low, lower))
    assert all(abs(found[share.source, share.factor] + share.amount) <= 1 for share in mirrored)
    assert found["private", Factor.uv] < 0


def test_an_amount_that_turns_its_sign_is_the_price_s_doing() -> None:
    before = [Counts(source="private", uv=10, watch_us=50, buyers=3, orders=4, gmv=900)]
    after = [Counts(source="private", uv=40, watch_us=90, buyers=5, orders=5, gmv=-100)]
    assert {share.factor: share.amount for share in attribute(before, after) if share.amount} == {
        Factor.gmv_per_order: -1000
    }


def test_watched_in_one_period_only_is_explained_by_what_holds_in_both() -> None:
    before = [Counts(source="share", uv=100, buyers=10, orders=10, gmv=1000)]
    after = [Counts(source="share", uv=200, watch_us=50, buyers=20, orders=20, gmv=2000)]
    assert {share.factor: share.amount for share in attribute(before, after)} == {
        Factor.uv: 1000, Factor.conversion: 0, Factor.gmv_per_order: 0,
    }  # fmt: skip


def test_amounts_beyond_what_floats_hold_are_still_exact() -> None:
    before = Counts(source="slot", uv=3, watch_us=7, buyers=2, orders=2, gmv=10**30 + 1)
    after = Counts(source="slot", uv=5, watch_us=9, buyers=3, orders=4, gmv=10**30 + 3)
    shares = attribute([before], [after])
    assert sum(share.amount for share in shares) == 2
    uv = Decimal(next(share.amount for share in shares if share.factor is Factor.uv))
    assert isclose(uv, Decimal(10**30) * (Decimal(5) / 3).ln(), rel_tol=1e-15)


def test_the_sentence_names_what_pushed_and_what_pulled() -> None:
    before: list[Row] = [
        Counts(source="private", uv=100, watch_us=1000, buyers=10, orders=10, gmv=1000),
        Counts(source="slot", uv=100, watch_us=1000, buyers=10, orders=10, gmv=1000),
    ]
    after: list[Row] = [
        Counts(source="private", uv=300, watch_us=3000, buyers=30, orders=30, gmv=3000),
        Counts(source="slot", uv=100, watch_us=1000, buyers=10, orders=10, gmv=700),
    ]
    story = tell(before, after, attribute(before, after))
    assert (story.before, story.after) == (2000, 3700)
    assert story.pushed == (Share(source="private", factor=Factor.uv, amount=2000),)
    assert story.pulled == Share(source="slot", factor=Factor.gmv_per_order, amount=-300)
    assert value_of(after[1], Factor.gmv_per_order) == 70
    assert value_of(None, Factor.uv) == 0
    assert value_of(None, Factor.gmv_per_order) is None
    assert tell(after, after, attribute(after, after)).pushed == ()
