"""The catalogue cannot drift: every field of a fact is decided upon, documents and schemas say what is really sent."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from laotie import webhooks
from laotie.base.events import known_tags
from laotie.webhooks.catalogue import TYPES, EventType, encode_message

ROOT = Path(__file__).parents[2]
PERSONAL = re.compile(r"name|address|phone|note|email|handle|avatar|visit|client_id|text", re.IGNORECASE)


def check(schema: Any, said: Any) -> None:
    jsonschema_rs.validator_for(schema).validate(said)


@pytest.mark.parametrize("one", TYPES, ids=lambda one: one.tag)
def test_each_field_is_sent_or_kept_back_and_the_example_is_a_real_fact(one: EventType) -> None:
    fields = {field.name for field in msgspec.structs.fields(one.kind)}
    assert set(one.sent) | set(one.kept_back) == fields, "a new field: decide whether it leaves the house"
    assert not set(one.sent) & set(one.kept_back)
    assert "shop_id" in fields and one.about in fields
    assert not [name for name in one.sent if PERSONAL.search(name)]
    said = webhooks.example_of(one)
    needed = {field.name for field in msgspec.structs.fields(one.kind) if field.required}
    kept_back: dict[str, Any] = dict.fromkeys(needed & set(one.kept_back), "019a9f3c-5a10-7000-8000-0000000002e6")
    fact = msgspec.convert({"tag": one.tag, **said["data"], **kept_back}, one.kind)
    body = msgspec.json.decode(encode_message(one.tag, fact_time(said), one.data_of(fact)))
    assert body == said, "what is sent of it is what the example shows"
    check(webhooks.schema_of(one), body)
    with pytest.raises(jsonschema_rs.ValidationError):
        check(webhooks.schema_of(one), {**body, "type": "other"})
    lacking = {**body, "data": {key: value for key, value in body["data"].items() if key != one.about}}
    with pytest.raises(jsonschema_rs.ValidationError):
        check(webhooks.schema_of(one), lacking)


def fact_time(said: Any) -> datetime:
    return msgspec.convert(said["timestamp"], datetime)


def test_the_ping_is_described_too() -> None:
    check(webhooks.ping_schema(), webhooks.ping_example())


def test_every_type_is_a_fact_of_the_house_and_none_is_left_out_by_accident() -> None:
    rooms = ("order.", "parcel.", "case.", "settlement.", "payout.")
    left_out = {tag for tag in known_tags() if tag.startswith(rooms)} - webhooks.CATALOGUE.keys()
    assert left_out == set()
    assert webhooks.CATALOGUE.keys() <= set(known_tags())


def test_the_committed_page_is_what_the_catalogue_says() -> None:
    page = (ROOT / "docs" / "webhook-events.md").read_text(encoding="utf-8")
    assert page == webhooks.write_document(), "run: laotie webhooks events --document docs/webhook-events.md"


def test_the_console_has_words_for_every_type_in_both_languages() -> None:
    for language in ("en", "zh-CN"):
        words = msgspec.json.decode((ROOT / "ui/src/console/locales" / f"{language}.json").read_bytes())
        tags = {f"{group}.{name}" for group, names in words["webhooks"]["types"].items() for name in names}
        assert tags == {*webhooks.CATALOGUE, webhooks.PING}, language
