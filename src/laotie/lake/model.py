"""The lake's words: topics with a typed schema and a version, days, parts.

A topic is a table that only grows. Its files are Parquet, `<topic>/day=YYYY-MM-DD/hour=HH/<part>.parquet`, by day and hour
of the books' zone; of days long past `hour=all`, one file a day. Ids are 16 bytes without a logical type (Spark refuses
Parquet's UUID); instants are whole microseconds of UTC since 1970, names end in `_us`; amounts are minor units. A row's `id`
makes it one row, however often it comes.
"""

from datetime import date
from typing import NamedTuple

import msgspec
import pyarrow as pa

ID = pa.binary(16)
WORD = pa.dictionary(pa.int32(), pa.string())


class Topic(NamedTuple):
    """A table of the lake. A column may be added at the end, nullable, with the next version; nothing else changes."""

    name: str
    version: int
    schema: pa.Schema
    about: str


def _topic(name: str, version: int, about: str, *columns: tuple[str, pa.DataType] | tuple[str, pa.DataType, str]) -> Topic:
    fields = [pa.field(column[0], column[1], nullable=len(column) == 3) for column in columns]
    fields = [pa.field("id", ID, nullable=False), pa.field("at_us", pa.int64(), nullable=False), *fields]
    metadata = {"laotie.topic": name, "laotie.version": str(version)}
    return Topic(name, version, pa.schema(fields, metadata=metadata), about)


_WHO: tuple[tuple[str, pa.DataType], ...] = (("viewer_id", ID), ("visit_id", ID))
_FROM: tuple[tuple[str, pa.DataType] | tuple[str, pa.DataType, str], ...] = (
    ("source", WORD),
    ("is_fan", pa.bool_()),
    ("show_id", ID, "null"),
)

VISIT = _topic(
    "visit", 1, "Somebody came: into a show, onto a surface beside it, or onto the shelf.",
    *_WHO, *_FROM,
    ("placement", WORD), ("campaign", WORD, "null"), ("position", pa.int32(), "null"), ("sharer_id", ID, "null"),
    ("shop_id", ID, "null"), ("streamer_id", ID, "null"), ("is_guest", pa.bool_()), ("connection_id", ID),
)  # fmt: skip
WATCH = _topic(
    "watch", 1, "The picture was in sight, acknowledged, from `since_us` to `at_us`.",
    *_WHO, *_FROM, ("since_us", pa.int64()), ("connection_id", ID),
)  # fmt: skip
LEAVE = _topic(
    "leave", 1, "Went away, having watched so long on this connection.",
    *_WHO, *_FROM, ("watched_ms", pa.int64()), ("connection_id", ID),
)  # fmt: skip
LIKE = _topic("like", 1, "Sent hearts.", *_WHO, *_FROM, ("count", pa.int32()))
CHAT = _topic("chat", 1, "Said something (never what).", *_WHO, *_FROM, ("length", pa.int32()))
CLICK = _topic(
    "click", 1, "Looked at a product: in the cart of a show (`item_id`), or on its page.",
    *_WHO, *_FROM, ("item_id", ID, "null"), ("product_id", ID, "null"), ("shop_id", ID, "null"),
)  # fmt: skip
CART = _topic(
    "cart", 1, "Put something into the basket.",
    *_WHO, *_FROM, ("product_id", ID), ("sku_id", ID), ("shop_id", ID), ("quantity", pa.int32()),
)  # fmt: skip
SHARE = _topic("share", 1, "Asked for a link to share.", *_WHO, *_FROM, ("placement", WORD))
SEARCH = _topic("search", 1, "Searched the shelf (never for what).", *_WHO, *_FROM, ("hits", pa.int32()))
PLAY = _topic(
    "play", 1,
    "A replay, clip or video ran in sight, acknowledged, from `since_us` to `at_us`; `placement` names it. Never over midnight.",
    *_WHO, *_FROM,
    ("placement", WORD), ("shop_id", ID, "null"), ("streamer_id", ID, "null"), ("since_us", pa.int64()), ("connection_id", ID),
)  # fmt: skip
FOLLOW = _topic(
    "follow", 1, "Began (`begins`) or ceased to follow a streamer. The visit may be unknown (sixteen zero bytes).",
    *_WHO, *_FROM, ("streamer_id", ID), ("begins", pa.bool_()), ("placement", WORD),
)  # fmt: skip
MONEY = _topic(
    "money", 1,
    "Money of an order: `placed`, `repriced`, `cancelled`, `paid`, `refunded`, `reversed`, `restored`. Amounts are signed as"
    " they change what the buyer owes or has paid (`cancelled`, `refunded` and `reversed` are negative, `repriced` may be), so"
    " a sum of rows is a sum of money; amount = goods - shop_discount - platform_discount + shipping, and tax is part of it.",
    ("kind", WORD), ("order_id", ID), ("buyer_id", ID), ("shop_id", ID), ("show_id", ID, "null"),
    ("streamer_id", ID, "null"), ("visit_id", ID, "null"), ("source", WORD), ("placement", WORD),
    ("campaign", WORD, "null"), ("is_fan", pa.bool_()), ("rule_version", pa.int32()), ("currency", WORD),
    ("goods_amount", pa.int64()), ("shipping_amount", pa.int64()), ("tax_amount", pa.int64()),
    ("shop_discount_amount", pa.int64()), ("platform_discount_amount", pa.int64()), ("amount", pa.int64()),
)  # fmt: skip
SHOW = _topic(
    "show", 1, "A show began or ended. The row of the highest `at_us` counts.",
    ("show_id", ID), ("shop_id", ID), ("streamer_id", ID), ("title", pa.string()),
    ("started_us", pa.int64(), "null"), ("ended_us", pa.int64(), "null"),
)  # fmt: skip
PERSON = _topic(
    "person", 1, "A guest became an account: all that the guest did is the account's.", ("guest_id", ID), ("account_id", ID)
)

BEHAVIOUR = (VISIT, WATCH, LEAVE, LIKE, CHAT, CLICK, CART, SHARE, SEARCH, PLAY)
FACTS = (MONEY, SHOW, FOLLOW, PERSON)
TOPICS = {topic.name: topic for topic in (*BEHAVIOUR, *FACTS)}


ALL_DAY = -1
"""The hour of a file that holds a whole day."""


class Part(msgspec.Struct, frozen=True, order=True):
    """One file: its day and hour in the books' zone (or `ALL_DAY`), and its path below the lake."""

    topic: str
    day: date
    hour: int
    path: str
    bytes: int
