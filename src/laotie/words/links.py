"""Links and contacts: addresses of other places, also written so that a filter may miss them.

Rules, not a list of the web: a host with a known ending, whatever stands in for its dots; endings that are words of
their own (`it.is`) need a path or `www`. Contacts are the ways out of the room: a messenger named next to an id, and
telephone numbers.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from laotie.words.views import View

LINKS_ALLOWED_MAX = 50

ENDINGS = (
    "com|net|org|cn|info|biz|top|xyz|shop|vip|club|site|online|store|live|link|app|dev|io|cc|tv|co|icu|pw|tk|ml|ga|cf|gq"
    "|ru|uk|de|fr|jp|kr|hk|tw|sg|eu|asia|mobi|pro|fun|wang|ren|ltd|group|work|space|website|tech|cloud|art|bet|casino"
    "|porn|sex|xxx|click|download|loan|win|bid|men|party|date|stream|gd|ly|gl|ph|vn|th|id|br|ca|au"
)
WORDY = "me|in|is|it|to|so|my|no|at|be|us|am|do|im|la|st|sh|gg"
"""Endings that are also words or sounds: only with a path, or after `www`."""
DOT = r"(?:\s?(?:[.。·•∙｡]|\(\s?(?:dot|\.|点)\s?\)|\[\s?(?:dot|\.|点)\s?\]|点)\s?|\s(?:dot|d0t)\s)"
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,40}[a-z0-9])?"
LINK = re.compile(
    rf"(?:h(?:tt|xx)ps?\s?:?\s?/\s?/\s?|www{DOT})[^\s\u3400-\u9fff]{{2,200}}"
    rf"|(?<![a-z0-9@])(?:{LABEL}{DOT}){{1,4}}(?:{ENDINGS})(?![a-z0-9-])(?:/[^\s\u3400-\u9fff]*)?"
    rf"|(?<![a-z0-9@])(?:{LABEL}\.){{1,4}}(?:{WORDY})/[^\s\u3400-\u9fff]+"
    r"|(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?::\d{2,5}|/\S+)",
    re.ASCII,
)
HOST = re.compile(r"(?:[a-z]+:?//)?([^/:\s?#]+)")

MESSENGERS = (
    r"微信|薇信|威信|徽信|微❤|维信|v信|加v|加微|加薇|加威|+v|vx|wx|wechat|weixin|wei信|扣扣|企鹅号|企鹅群|q群|qq|叩叩"
    r"|whatsapp|telegram|电报|tg群|纸飞机|line id|snapchat|kakao"
).replace("+", r"\+")
CONTACT = re.compile(
    rf"(?:{MESSENGERS})[^a-z0-9\n]{{0,8}}(?:(?:号|id|number|群)[^a-z0-9\n]{{0,4}})?"
    r"(?:(?=[a-z0-9_-]{0,19}[\d_-])[a-z][a-z0-9_-]{4,19}|\d[\d\s-]{3,14}\d)",
    re.ASCII,
)
NUMERALS = str.maketrans("零〇一二三四五六七八九壹贰叁肆伍陆柒捌玖幺", "00123456789123456789" + "1")
PHONE = re.compile(r"(?<!\d)(?:(?:\+?86|0086)[\s-]?)?1[\s.*-]?[3-9](?:[\s.*-]?\d){9}(?!\d)", re.ASCII)


class Place(NamedTuple):
    """What was found, and where in the text as it was written."""

    what: str
    start: int
    end: int


def find_links(seen: View, allowed: frozenset[str]) -> Iterator[Place]:
    """Links to other places than the allowed hosts (and what lies below them)."""
    for found in LINK.finditer(seen.text):
        host = _host(found[0])
        if not any(host == one or host.endswith("." + one) for one in allowed):
            yield _place(seen, found, host)


def find_contacts(seen: View) -> Iterator[Place]:
    """Ids of messengers and telephone numbers, figures also written as characters."""
    figures = seen._replace(text=seen.text.translate(NUMERALS))
    for rule in (CONTACT, PHONE):
        for found in rule.finditer(figures.text):
            yield _place(seen, found, found[0])


def _host(link: str) -> str:
    plainly = re.sub(DOT, ".", link.replace("hxxp", "http"))
    found = HOST.match(re.sub(r"\s", "", plainly))
    return found[1].removeprefix("www.") if found else plainly


def _place(seen: View, found: re.Match[str], what: str) -> Place:
    return Place(what, seen.places[found.start()], seen.places[found.end() - 1] + 1)
