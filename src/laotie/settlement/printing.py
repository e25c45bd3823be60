"""A statement as sheet (CSV) and as paper (PDF). Nothing is made of a statement that does not add up.

The sheet holds every line and the running balance; parts that are taken off are negative, so a row adds up. It is
written to a file first and only then sent: a slow reader holds no snapshot, and a fault is an answer, not half a file.
The paper holds every line of an ordinary month, and the days of a huge one.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable
from datetime import date, datetime
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

import msgspec

from laotie.base.cells import BYTE_ORDER_MARK, Cell, write_line
from laotie.base.db import Tx
from laotie.base.logs import log
from laotie.base.money import Money, exponent, percent
from laotie.base.refusals import Unavailable
from laotie.settlement.model import LineKind
from laotie.settlement.statements import Entry, Statement, Sum, require_lines, require_sound, walk_entries

PRESS = Path(__file__).with_name("press.py")
PRESS_S_MAX = 60
LINES_PRINTED_MAX = 1_000
"""A month with more lines is printed by day."""
KEPT_IN_MEMORY_MAX = 1024 * 1024
CHUNK = 64 * 1024

COLUMNS = [
    "booked_on", "booked_at", "kind", "order_id", "no", "goods", "shipping", "subsidy", "platform_percent", "platform",
    "payment_percent", "payment", "streamer_percent", "streamer", "amount", "balance", "currency", "shop_id",
    "streamer_id", "line_id", "subject_id",
]  # fmt: skip

_places = asyncio.Semaphore(1)


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of text; `widths` are shares of the page, `align` is L or R for each column."""

    title: str
    widths: list[int]
    align: list[str]
    head: list[str]
    rows: list[list[str]]
    foot: list[str] | None = None


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What the press sets."""

    lang: str
    title: str
    subtitle: str
    made_at: datetime
    facts: list[tuple[str, str]]
    figures: list[tuple[str, str]]
    tables: list[Table]
    notes: list[str]
    foot: str


async def write_sheet(tx: Tx, statement: Statement) -> IO[bytes]:
    """The statement as CSV in a file that is gone when it is closed. Refuses `StatementOff`."""
    require_sound(statement)
    currency, balance = statement.currency, statement.opening_amount
    file = tempfile.SpooledTemporaryFile(KEPT_IN_MEMORY_MAX)  # noqa: SIM115  whoever sends it closes it
    try:
        file.write((BYTE_ORDER_MARK + write_line(COLUMNS)).encode())
        file.write(_mark("opening", statement.month_on, balance, currency))
        async for entry in walk_entries(tx, statement.owner_id, statement.month_on, currency):
            balance += entry.amount
            file.write(write_line(_cells(entry, balance, currency)).encode())
        assert balance == statement.closing_amount, "one snapshot, two sums"
        file.write(_mark("closing", None, balance, currency))
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


async def read_sheet(file: IO[bytes]) -> AsyncIterator[bytes]:
    """The sheet in pieces; closes it at the end."""
    with file:
        while piece := file.read(CHUNK):
            yield piece


async def compose(tx: Tx, statement: Statement, owner: str, *, lang: str, zone: str) -> Document:
    """The paper of a statement in a language (`zh-CN` or `en`), to be set by `set_type`. Refuses `StatementOff`, `StatementEmpty`."""
    require_sound(statement)
    require_lines(statement)
    entries = None
    if statement.total.line_count <= LINES_PRINTED_MAX:
        entries = [one async for one in walk_entries(tx, statement.owner_id, statement.month_on, statement.currency)]
    return lay_out(statement, entries, owner, lang=lang, zone=zone)


async def set_type(document: Document) -> bytes:
    """The document as PDF, set by another process, one at a time."""
    async with _places:
        press = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", str(PRESS)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(PRESS_S_MAX):
                paper, said = await press.communicate(msgspec.json.encode(document))
        except TimeoutError:
            raise Unavailable(part="press") from None
        finally:
            if press.returncode is None:
                press.kill()
                await press.wait()
    if press.returncode:
        log.error("the press failed", said=said.decode(errors="replace")[-500:])
        raise Unavailable(part="press")
    return paper


def lay_out(statement: Statement, entries: Iterable[Entry] | None, owner: str, *, lang: str, zone: str) -> Document:
    """What is on the paper: sums by kind, then every line, or every day where there are no entries. Pure."""
    words = WORDS[lang]
    local = statement.drawn_at.astimezone(ZoneInfo(zone))
    currency = statement.currency

    def figure(amount: int) -> str:
        return _figure(amount, currency)

    return Document(
        lang=lang,
        title=words["title"],
        subtitle=f"{owner} · {_month(statement.month_on, lang)} · {currency}",
        made_at=statement.drawn_at,
        facts=[
            (words["owner"], f"{owner} ({statement.owner_id})"),
            (words["drawn"], f"{local:%Y-%m-%d %H:%M} ({zone})"),
            (
                words["checked"],
                words["open" if statement.is_open else "sound"].format(amount=figure(statement.ledger_amount)),
            ),
        ],
        figures=[
            (words["opening"], figure(statement.opening_amount)),
            (words["change"], figure(statement.total.amount)),
            (words["closing"], figure(statement.closing_amount)),
        ],
        tables=[
            _table(
                words,
                words["kinds"],
                [
                    (words[f"kind.{kind}"], "", str(total.line_count), _parts(total, currency))
                    for kind, total in statement.sums.items()
                ],
                ("", str(statement.total.line_count), _parts(statement.total, currency)),
                ("kind", None, "lines"),
            ),
            _days(words, statement) if entries is None else _lines(words, statement, entries),
        ],
        notes=[words["note"], *([words["huge"].format(count=statement.total.line_count)] if entries is None else [])],
        foot=f"{words['title']} · {owner} · {statement.month_on:%Y-%m} · {currency}",
    )


def _table(
    words: dict[str, str],
    title: str,
    rows: list[tuple[str, str, str, list[str]]],
    total: tuple[str, str, list[str]],
    heads: tuple[str, str | None, str],
) -> Table:
    """First column, an optional second, one more, and the split."""
    has_second = heads[1] is not None

    def of(first: str, second: str, third: str, parts: list[str]) -> list[str]:
        return [first, *([second] if has_second else []), third, *parts]

    return Table(
        title=title,
        widths=_widths(has_second),
        align=["L", *(["L"] if has_second else []), "L" if has_second else "R", *["R"] * 7],
        head=of(
            words[heads[0]],
            words[heads[1]] if heads[1] is not None else "",
            words[heads[2]],
            [words[one] for one in ("goods", "shipping", "subsidy", "platform", "payment", "streamer", "amount")],
        ),
        rows=[of(*row) for row in rows],
        foot=of(words["total"], total[0], total[1], total[2]),
    )


def _widths(has_second: bool) -> list[int]:
    return [13, *([19] if has_second else []), 14, *[14] * 7]


def _lines(words: dict[str, str], statement: Statement, entries: Iterable[Entry]) -> Table:
    return _table(
        words,
        words["lines_title"],
        [
            (
                entry.booked_on.isoformat(),
                words[f"kind.{entry.kind}"],
                "" if entry.order_id is None else entry.order_id.hex[-10:].upper(),
                _parts(entry, statement.currency),
            )
            for entry in entries
        ],
        ("", "", _parts(statement.total, statement.currency)),
        ("day", "kind", "order"),
    )


def _days(words: dict[str, str], statement: Statement) -> Table:
    return _table(
        words,
        words["days_title"],
        [
            (day.isoformat(), "", str(total.line_count), _parts(total, statement.currency))
            for day, total in statement.days.items()
        ],
        ("", str(statement.total.line_count), _parts(statement.total, statement.currency)),
        ("day", None, "lines"),
    )


def _parts(of: Sum | Entry, currency: str) -> list[str]:
    """The split as it adds up from left to right."""
    return [
        _figure(amount, currency) if amount else ""
        for amount in (
            of.goods_amount,
            of.shipping_amount,
            of.subsidy_amount,
            -of.platform_amount,
            -of.payment_amount,
            -of.streamer_amount,
        )
    ] + [_figure(of.amount, currency)]


def _figure(amount: int, currency: str) -> str:
    """12,345.67 as accounts are written in both languages."""
    digits = exponent(currency)
    whole, rest = divmod(abs(amount), 10**digits)
    return f"{'-' if amount < 0 else ''}{whole:,}" + (f".{rest:0{digits}d}" if digits else "")


def _month(month_on: date, lang: str) -> str:
    return f"{month_on.year}年{month_on.month}月" if lang == "zh-CN" else f"{month_on:%B %Y}"


def _mark(kind: str, day_on: date | None, balance: int, currency: str) -> bytes:
    """The line of a sheet before or after all others."""
    cells: list[Cell] = [None] * len(COLUMNS)
    cells[0], cells[2] = day_on, kind
    cells[COLUMNS.index("balance")], cells[COLUMNS.index("currency")] = Money(balance, currency), currency
    return write_line(cells).encode()


def _cells(entry: Entry, balance: int, currency: str) -> list[Cell]:
    def money(amount: int) -> Money:
        return Money(amount, currency)

    return [
        entry.booked_on,
        entry.booked_at,
        str(entry.kind),
        entry.order_id,
        entry.no,
        money(entry.goods_amount),
        money(entry.shipping_amount),
        money(entry.subsidy_amount),
        percent(entry.platform_bps),
        money(-entry.platform_amount),
        percent(entry.payment_bps),
        money(-entry.payment_amount),
        percent(entry.streamer_bps),
        money(-entry.streamer_amount),
        money(entry.amount),
        money(balance),
        currency,
        entry.shop_id,
        entry.streamer_id,
        entry.id,
        entry.subject_id,
    ]


WORDS = {
    "zh-CN": {
        "title": "结算单", "owner": "账户", "drawn": "出具时间", "checked": "核对", "opening": "期初余额",
        "change": "本期变动", "closing": "期末余额", "kinds": "按类型汇总", "lines_title": "逐笔明细", "days_title": "按日汇总",
        "kind": "类型", "lines": "笔数", "day": "日期", "order": "订单号", "goods": "货款", "shipping": "运费",
        "subsidy": "平台补贴", "platform": "平台佣金", "payment": "支付手续费", "streamer": "主播分成", "amount": "净额",
        "total": "合计",
        "sound": "期初加逐笔等于期末，并与总账该日余额 {amount} 一致",
        "open": "本月未结束；截至出具时间，期初加逐笔等于期末，并与总账余额 {amount} 一致",
        "note": "净额 = 货款 + 运费 + 平台补贴 - 平台佣金 - 支付手续费 - 主播分成；提现、提现退回和更正只有净额。"
        "各项定义见使用手册“结算”一章。",
        "huge": "本月共 {count} 笔，纸面按日汇总；每一笔都在 CSV 明细里。",
        "kind.sale": "订单结算", "kind.refund": "退款追回", "kind.freight": "退货运费", "kind.payout": "提现",
        "kind.payout_back": "提现退回", "kind.correction": "更正",
    },
    "en": {
        "title": "Settlement statement", "owner": "Account", "drawn": "Drawn", "checked": "Checked",
        "opening": "Opening balance", "change": "Change", "closing": "Closing balance", "kinds": "By kind",
        "lines_title": "Every line", "days_title": "By day", "kind": "Kind", "lines": "Lines", "day": "Day", "order": "Order",
        "goods": "Goods", "shipping": "Shipping", "subsidy": "Subsidy", "platform": "Commission", "payment": "Payment fee",
        "streamer": "Streamer", "amount": "Net", "total": "Total",
        "sound": "Opening plus lines equals closing, and the ledger's balance of that day, {amount}",
        "open": "The month is not over; up to now opening plus lines equals closing, and the ledger's balance, {amount}",
        "note": "Net = goods + shipping + subsidy - commission - payment fee - streamer; payouts, returned payouts and corrections"
        " have a net alone. Every term is defined in the manual, under Settlement.",
        "huge": "This month has {count} lines, so the paper sums up days; the CSV holds every line.",
        "kind.sale": "Order settled", "kind.refund": "Refund clawed back", "kind.freight": "Return freight",
        "kind.payout": "Payout", "kind.payout_back": "Payout returned", "kind.correction": "Correction",
    },
}  # fmt: skip

assert all(f"kind.{kind}" in words for words in WORDS.values() for kind in LineKind)
