"""What is found, and in which order: tables of titles and questions on the index alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laotie.base.ids import new_id
from laotie.bench.search import Oracle, make_questions, shop_id
from laotie.bench.shelf import make_brands, make_goods
from laotie.search import Ask, Document, Index, Place, ShelfSort, merit_of, nearest
from laotie.search.synonyms import SynonymGroup, alternatives_of
from laotie.search.tiers import with_synonyms
from laotie.search.words import cut, fold, is_one_edit, read_query, singular

AT = datetime(2026, 1, 1, tzinfo=UTC)
SHOP = new_id()
SYNONYMS = alternatives_of(
    [
        SynonymGroup(new_id(), ["口红", "唇膏", "lipstick"], AT),
        SynonymGroup(new_id(), ["蓝牙耳机", "bluetooth earphones"], AT),
    ]
)


def document(title: str, **more: object) -> Document:
    """A product on the shelf, in stock."""
    return Document(
        **{  # type: ignore[arg-type]
            "id": new_id(), "shop_id": SHOP, "title": title, "currency": "CNY", "price_amount": 1_000, "in_stock": True,
            "created_at": AT, **more,
        }
    )  # fmt: skip


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    made = Index(tmp_path / "index")
    yield made
    made.close()


class Titles:
    """An index, and what it finds as titles."""

    def __init__(self, index: Index, documents: list[Document]) -> None:
        self.index = index
        self.known = {one.id: one.title for one in documents}
        index.add_many(documents)
        index.commit()

    def find(self, text: str, **more: object) -> list[str]:
        found = self.index.find(Ask(text=text, **more), synonyms=SYNONYMS)  # type: ignore[arg-type]
        return [self.known[hit.id] for hit in found.hits]


SHELF = (
    "哑光口红礼盒装", "Matte lipstick set", "滋润唇膏", "小米无线蓝牙耳机", "Bluetooth earphones Pro", "iPhone15 手机壳",
    "碎花连衣裙女士夏季", "Silk dress", "保温杯", "Lip gloss", "龙井茶", "Café au lait mug", "全棉四件套",
)  # fmt: skip


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Titles]:
    """`SHELF`, for tests that only ask."""
    made = Index(tmp_path_factory.mktemp("filled"))
    yield Titles(made, [document(title) for title in SHELF])
    made.close()


@pytest.mark.parametrize(
    ("typed", "first", "not_found"),
    [
        ("口红", ["哑光口红礼盒装"], ["保温杯"]),
        ("lipstick", ["Matte lipstick set"], ["Silk dress"]),
        ("哑光 口红", ["哑光口红礼盒装"], ["滋润唇膏"]),
        ("lipsticks", ["Matte lipstick set"], ["保温杯"]),  # plural
        ("LIPSTICK", ["Matte lipstick set"], []),
        ("ｌｉｐｓｔｉｃｋ", ["Matte lipstick set"], []),  # full width
        ("lpistick", ["Matte lipstick set"], ["保温杯"]),  # two letters changed about
        ("lipstik", ["Matte lipstick set"], ["Silk dress"]),
        ("bluetooh earphones", ["Bluetooth earphones Pro"], ["保温杯"]),
        ("lipst", ["Matte lipstick set"], []),  # begun
        ("lips", ["Lip gloss", "Matte lipstick set"], []),
        ("kouhong", ["哑光口红礼盒装"], ["保温杯"]),  # by sound
        ("口虹", ["哑光口红礼盒装"], ["保温杯"]),  # another character of the same sound
        ("藍牙耳機", ["小米无线蓝牙耳机"], ["保温杯"]),  # traditional
        ("耳机", ["小米无线蓝牙耳机"], ["保温杯"]),
        ("iphone 15", ["iPhone15 手机壳"], []),
        ("iPhone15手机壳", ["iPhone15 手机壳"], []),
        ("cafe", ["Café au lait mug"], []),
        ("衣裙", ["碎花连衣裙女士夏季"], []),  # no word of the dictionary's cut, but it stands there
    ],
)
def test_what_is_typed_is_found(filled: Titles, typed: str, first: list[str], not_found: list[str]) -> None:
    found = filled.find(typed)
    assert found[: len(first)] == first
    assert not set(found) & set(not_found)


def test_words_that_mean_the_same_are_found_behind_the_word_itself(filled: Titles) -> None:
    titles = filled
    for typed, own in (("口红", "哑光口红礼盒装"), ("lipstick", "Matte lipstick set"), ("唇膏", "滋润唇膏")):
        found = titles.find(typed)
        assert found[0] == own
        assert set(found[:3]) == {"哑光口红礼盒装", "Matte lipstick set", "滋润唇膏"}
    assert titles.find("bluetooth earphones")[:2] == ["Bluetooth earphones Pro", "小米无线蓝牙耳机"]
    assert with_synonyms(("matte", "bluetooth", "earphone"), SYNONYMS)[1] == {("bluetooth", "earphone"), ("蓝牙", "耳机")}


def test_the_better_tier_comes_first_and_merit_orders_within_it(index: Index) -> None:
    titles = Titles(
        index,
        [
            document("Rain coat", description="Goes with a lipstick", sold=10_000),
            document("Powder", brand="Lipstick House", sold=5_000),
            document("Lipstick red", sold=3),
            document("Lipstick blue", sold=900),
            document("Lipstick sold out", sold=2_000, in_stock=False),
            document("Lipstick loved", sold=3, review_count=40, star_sum=200),
            document("Lipstick loathed", sold=3, review_count=40, star_sum=60),
            document("Lipstick"),
            document("Lipstickery"),
            document("唇膏"),
        ],
    )
    assert titles.find("lipstick") == [
        "Lipstick", "Lipstick blue", "Lipstick loved", "Lipstick red", "Lipstick loathed", "Lipstick sold out", "Powder",
        "唇膏", "Lipstickery", "Rain coat",
    ]  # fmt: skip


def test_merit_is_the_written_formula() -> None:
    assert merit_of(document("x")) == 10_000
    assert merit_of(document("x", in_stock=False)) == 2_000
    assert merit_of(document("x", sold=255)) == 14_000
    assert merit_of(document("x", review_count=31, star_sum=155)) == 12_000
    assert merit_of(document("x", review_count=1, star_sum=1, in_stock=False)) == 1_600


def test_filters_and_orders(index: Index) -> None:
    brand, other = new_id(), new_id()
    titles = Titles(
        index,
        [
            document("red dress", price_amount=900, category="Dresses", brand_id=brand, sold=5, created_at=AT),
            document("blue dress", price_amount=100, in_stock=False, sold=50, created_at=AT + timedelta(days=2)),
            document("green dress", price_amount=500, is_guaranteed=True, created_at=AT + timedelta(days=1)),
            document("dollar dress", price_amount=300, currency="USD", shop_id=other, created_at=AT - timedelta(days=1)),
        ],
    )
    assert titles.find("dress", category="Dresses") == ["red dress"]
    assert titles.find("", category="Dresses") == ["red dress"]
    assert titles.find("dress", brand_id=brand) == ["red dress"]
    assert titles.find("dress", shop_id=other) == ["dollar dress"]
    assert titles.find("dress", is_guaranteed=True) == ["green dress"]
    assert set(titles.find("dress", in_stock=True)) == {"red dress", "green dress", "dollar dress"}
    assert titles.find("dress", currency="CNY", price_min=200, price_max=500) == ["green dress"]
    assert titles.find("dress", without_shops=frozenset({SHOP})) == ["dollar dress"]
    blue = next(id_ for id_, title in titles.known.items() if title == "blue dress")
    assert titles.find("dress", among=frozenset({blue})) == ["blue dress"]
    assert titles.find("dress", among=frozenset()) == []
    assert titles.find("dress", sort=ShelfSort.sales)[:2] == ["blue dress", "red dress"]
    assert titles.find("dress", sort=ShelfSort.newest) == ["blue dress", "green dress", "red dress", "dollar dress"]
    in_yuan = {"sort": ShelfSort.price_up, "currency": "CNY"}
    assert titles.find("dress", **in_yuan) == ["blue dress", "green dress", "red dress"]
    assert titles.find("", **{**in_yuan, "sort": ShelfSort.price_down}) == ["red dress", "green dress", "blue dress"]
    facets = index.count(Ask(text="dress"), synonyms=SYNONYMS)
    assert facets.total == 4
    assert facets.categories == [("Dresses", 1)]
    assert facets.brands == [(brand, 1)]
    assert facets.shops == [(SHOP, 3), (other, 1)]
    assert facets.currencies == [("CNY", 3), ("USD", 1)]


@pytest.mark.parametrize("sort", list(ShelfSort))
def test_pages_show_everything_once_and_stay_when_something_comes(index: Index, sort: ShelfSort) -> None:
    titles = Titles(
        index,
        [document(f"Lipstick {number}", sold=number % 3) for number in range(23)]
        + [document("Powder", category="lipstick"), document("唇膏"), document("Cream", description="lipstick")],
    )
    whole = index.find(Ask(text="lipstick", sort=sort), synonyms=SYNONYMS, limit=50).hits
    assert len(whole) == 25  # what only the description tells is not asked for where so much is found
    seen, after = [], None
    while True:
        page = index.find(Ask(text="lipstick", sort=sort), synonyms=SYNONYMS, after=after, limit=4)
        seen += page.hits
        if after is None:
            index.add_many([document("Lipstick of a best seller", sold=10**6, price_amount=1, created_at=AT + timedelta(9))])
            index.commit()
        if page.is_over:
            break
        after = Place(page.hits[-1].tier, page.hits[-1].key, len(seen))
    if sort is not ShelfSort.price_down:  # there the newcomer belongs on the last page
        assert seen == whole
    assert len({hit.id for hit in seen} & set(titles.known)) == 25


def test_far_tiers_are_asked_only_while_too_little_is_found(index: Index) -> None:
    titles = Titles(index, [document(f"Lipstick {number}") for number in range(12)] + [document("Lopstick")])
    assert "Lopstick" not in titles.find("lipstick")
    assert len(titles.find("lopstick")) == 13
    few = index.find(Ask(text="lopstick"), limit=1)
    after = Place(few.hits[-1].tier, few.hits[-1].key, 1)
    assert not few.is_over
    assert len(index.find(Ask(text="lopstick"), after=after).hits) == 12


def test_what_is_changed_or_dropped_is_found_so(index: Index) -> None:
    one = document("Lipstick")
    titles = Titles(index, [one])
    changed = msgspec.structs.replace(one, title="Powder")
    index.add_many([changed])
    assert titles.find("lipstick") == ["Lipstick"]  # not before the commit
    index.commit()
    assert titles.find("lipstick") == []
    assert titles.find("powder") == ["Lipstick"]
    index.drop_many([one.id])
    index.commit()
    assert titles.find("powder") == [] and index.size == 0


@pytest.mark.parametrize(
    "typed",
    [
        "", " ", "%", "'; DROP TABLE catalog.product; --", "title:* OR id:[a TO z]", "(((", "\\", "~", "*", "口" * 200, "a" * 200,
        "lip " * 50, "\x00\ud800", "🛍️💄", "AND OR NOT", "^~\"", "\u202e", "-1", "é" * 200,
    ],
)  # fmt: skip
def test_nothing_that_can_be_typed_is_a_command(filled: Titles, typed: str) -> None:
    for sort in ShelfSort:
        assert len(filled.find(typed, sort=sort)) <= len(SHELF)
    filled.index.suggest(typed)
    assert filled.index.count(Ask(text=typed)).total <= len(SHELF)


def test_suggestions_go_on_from_what_is_typed(index: Index) -> None:
    Titles(index, [document("Matte lipstick"), document("Red lipstick"), document("Lip gloss"), document("哑光口红")])
    assert index.suggest("lip")[:2] == ["lipstick", "lip"]
    assert index.suggest("matte li") == ["matte lipstick", "matte lip"]
    assert index.suggest("口") == ["口红"]
    assert index.suggest("kou") == ["口红"]
    assert index.suggest("") == []
    assert index.suggest("zzz") == []


def test_words_are_folded_and_cut() -> None:
    assert cut(fold("藍牙耳機 ＰＲＯ２ Earphones")) == ["蓝牙", "耳机", "pro", "2", "earphone"]
    assert [singular(word) for word in ("berries", "boxes", "dress", "shoes", "glasses", "bus", "cakes", "is")] == [
        "berry", "box", "dress", "shoe", "glass", "bus", "cake", "is",
    ]  # fmt: skip
    assert (read_query("a lips").words, read_query("a lips").begun) == (("a", "lip"), "lips")
    assert read_query("x").begun == "" and read_query("lips!").begun == ""
    assert len(read_query("a b c d e f g h i j k l m n o p").words) == 12


def test_the_nearest_spelling_is_told() -> None:
    assert nearest("matte lpistick", ["Matte lipstick set"]) == "matte lipstick"
    assert nearest("lipsticks", ["Matte lipstick"]) is None
    assert nearest("zebra", ["Matte lipstick"]) is None
    assert nearest("", ["x"]) is None
    edits = [("abc", "abd"), ("abc", "ab"), ("abc", "abcd"), ("abc", "acb"), ("abc", "xabc")]
    assert all(is_one_edit(*pair) for pair in edits)
    assert not any(is_one_edit(*pair) for pair in [("abc", "abc"), ("abc", "cba"), ("abc", "axd"), ("ab", "abcd")])


TITLE = st.text(
    st.one_of(st.sampled_from("口红唇膏哑光蓝牙耳机和服务 礼盒"), st.sampled_from("abcdef123 -/'éßÅ"), st.characters(codec="utf-8")),
    min_size=1,
    max_size=60,
)


@given(titles=st.lists(TITLE, min_size=1, max_size=12, unique_by=fold))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_listed_is_found_first_by_its_own_title(index: Index, titles: list[str]) -> None:
    known = {}
    for title in titles:
        one = document(title)
        known[one.id] = title
    index.add_many([document(title, id=id_) for id_, title in known.items()])
    index.commit()
    try:
        for title in titles:
            if cut(fold(title)):
                found = index.find(Ask(text=title))
                assert found.hits and known[found.hits[0].id] == title
    finally:
        index.drop_many(known)
        index.commit()




def test_the_best_ten_are_those_of_an_oracle_that_looks_at_every_product(index: Index) -> None:
    goods = list(make_goods(600))
    brands = make_brands()
    index.add_many(
        Document(
            id=one.id,
            shop_id=shop_id(one.shop),
            shop_name=f"Shop {one.shop}",
            title=one.title,
            category=one.category,
            brand=" ".join(brands[one.brand_no]),
            description=one.description,
            currency="CNY" if one.is_chinese else "USD",
            price_amount=one.price_amount,
            in_stock=one.stock > 0,
            sold=one.sold,
            created_at=one.created_at,
        )
        for one in goods
    )
    index.commit()
    oracle, shares = Oracle(goods), []
    for question in make_questions(goods)[::9]:
        best = oracle.best(question, 10)
        found = {hit.id for hit in index.find(question.ask, limit=10).hits}
        shares.append(sum(one in found for one in best) / len(best) if best else 1.0)
    assert sum(shares) / len(shares) > 0.94
