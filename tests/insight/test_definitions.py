"""Every number is defined once, in both languages, of terms that are defined too, by a query that is the one that runs."""

import duckdb
import pytest

from laotie.insight.definitions import DEFINITIONS, MEASURES, MODULES, sql_of
from laotie.insight.identities import FIVE


def test_no_two_modules_define_the_same() -> None:
    assert len(DEFINITIONS) == sum(len(module.DEFINITIONS) for module in MODULES)
    assert len(MEASURES) == sum(len(module.MEASURES) for module in MODULES)


def test_what_a_definition_speaks_of_is_defined() -> None:
    strangers = {(one.key, term) for one in DEFINITIONS.values() for term in one.terms if term not in DEFINITIONS}
    assert strangers == set()
    assert {one.key for one in DEFINITIONS.values() if one.measure is not None and one.measure not in MEASURES} == set()
    assert set(FIVE) <= DEFINITIONS.keys()


def test_a_definition_is_in_both_languages() -> None:
    for one in DEFINITIONS.values():
        assert one.name.zh and one.name.en and one.about.en.rstrip().endswith((".", "!"))
        assert any("\u4e00" <= letter <= "\u9fff" for letter in one.about.zh), one.key
        assert not any("\u4e00" <= letter <= "\u9fff" for letter in one.about.en + one.name.en), one.key


@pytest.mark.parametrize("name", MEASURES)
def test_the_query_that_is_shown_is_one_that_duckdb_reads(name: str) -> None:
    sql = sql_of(name)
    assert len(duckdb.extract_statements(sql)) == 1
    assert "memtable" not in sql and "read_parquet" not in sql, "a table of a running engine, not of the lake"
