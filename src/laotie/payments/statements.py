"""Reading providers' daily statements: each in its own form, all into the same lines. No I/O here.

What cannot be read is refused with its line; nothing is skipped in silence. A file that says how many lines it has must
have them, so that one that was cut off is noticed.
"""

import csv
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo

from laotie.base.money import AmountUnreadable, UnknownCurrency, parse
from laotie.payments.model import STATEMENT_BYTES_MAX, STATEMENT_LINES_MAX, Line, LineKind, Sheet, StatementUnreadable
from laotie.payments.sandbox_bank import STATEMENT_COLUMNS, STATEMENT_NAME

SHANGHAI = ZoneInfo("Asia/Shanghai")
ZONES: dict[str, ZoneInfo] = {"alipay": SHANGHAI, "wechat": SHANGHAI}
"""In which zone a provider's day begins; the others: UTC."""

Row = dict[str, str]


def read_statement(provider: str, content: bytes) -> Sheet:
    """The lines of a statement. Refuses `StatementUnreadable`, with the line where it knows it."""
    if provider not in READERS:
        raise StatementUnreadable(reason=f"statements of {provider} cannot be read")
    if len(content) > STATEMENT_BYTES_MAX:
        raise StatementUnreadable(reason=f"more than {STATEMENT_BYTES_MAX} bytes")
    sheet = READERS[provider](content)
    if len(sheet.lines) > STATEMENT_LINES_MAX:
        raise StatementUnreadable(reason=f"more than {STATEMENT_LINES_MAX} lines")
    return sheet


def _read_sandbox(content: bytes) -> Sheet:
    rows = list(_cells(content, "utf-8"))
    if len(rows) < 3 or rows[0][1][0] != STATEMENT_NAME or tuple(rows[1][1]) != STATEMENT_COLUMNS:
        raise StatementUnreadable(reason="not a statement of the sandbox", line=1)
    lines = []
    for no, cells in rows[2:-1]:
        row = _row(no, list(STATEMENT_COLUMNS), cells)
        kind = _kind(no, row["kind"])
        lines.append(
            Line(
                no=no,
                kind=kind,
                reference=row["number"],
                ours=row["merchant_id"],
                amount=_amount(no, row["amount"], row["currency"]),
                fee=_amount(no, row["fee"], row["currency"]),
                currency=row["currency"],
                moved_at=_instant(no, row["moved_at"], UTC),
            )
        )
    _check_count(rows[-1][0], "".join(rows[-1][1]), f"lines{len(lines)}")
    return Sheet(day=_day(1, rows[0][1][1] if len(rows[0][1]) > 1 else ""), lines=lines)


STRIPE_KINDS = {
    "charge": LineKind.payment,
    "refund": LineKind.refund,
    "dispute": LineKind.reversal,
    "dispute_reversal": LineKind.restoration,
    "transfer": LineKind.release,
    "payout": LineKind.own,
    "payout_reversal": LineKind.own,
    "fee": LineKind.fee,
}
STRIPE_NEEDED = (
    "balance_transaction_id", "created_utc", "currency", "gross", "fee", "reporting_category", "source_id",
    "payment_intent_id",
)  # fmt: skip


def _read_stripe(content: bytes) -> Sheet:
    """Itemised balance change from activity: https://docs.stripe.com/reports/report-types/balance."""
    lines = []
    days = set()
    for no, row in _table(content, "utf-8-sig", STRIPE_NEEDED):
        currency = row["currency"].upper()
        kind = STRIPE_KINDS.get(row["reporting_category"], LineKind.other)
        moved_at = _instant(no, row["created_utc"], UTC)
        days.add(moved_at.date())
        payment = kind is LineKind.payment
        lines.append(
            Line(
                no=no,
                kind=kind,
                reference=(row["payment_intent_id"] if payment else row["source_id"]) or row["balance_transaction_id"],
                ours=row.get("payment_metadata[payment]" if payment else "refund_metadata[refund]", ""),
                amount=_amount(no, row["gross"], currency),
                fee=_amount(no, row["fee"], currency),
                currency=currency,
                moved_at=moved_at,
            )
        )
    return Sheet(day=days.pop() if len(days) == 1 else None, lines=lines)


ALIPAY_KINDS = {"交易": LineKind.payment, "退款": LineKind.refund}
ALIPAY_NEEDED = (
    "支付宝交易号", "商户订单号", "业务类型", "完成时间", "订单金额(元)", "退款批次号/请求号", "服务费(元)",
)  # fmt: skip


def _read_alipay(content: bytes) -> Sheet:
    """Business details of one day, in GBK: https://opendocs.alipay.com/open/204/106262."""
    text = _decode(content, "gb18030")
    if not text.startswith("#支付宝"):
        raise StatementUnreadable(reason="not a statement of Alipay", line=1)
    said: dict[LineKind, tuple[int, int]] = {}
    day = None
    columns: list[str] = []
    lines: list[Line] = []
    for no, cells in _split(text):
        first = cells[0]
        if first.startswith("#"):
            if found := re.match(r"#起始日期[：:]\s*\[(\d{4})年(\d{2})月(\d{2})日", first):
                day = _day(no, "-".join(found.groups()))
            if found := re.match(r"#(交易|退款)合计[：:]\s*(\d+)笔", first):
                said[ALIPAY_KINDS[found.group(1)]] = (no, int(found.group(2)))
            continue
        if not columns:
            columns = [cell.replace("（", "(").replace("）", ")") for cell in cells]
            _check_columns(no, columns, ALIPAY_NEEDED)
            continue
        row = _row(no, columns, cells)
        kind = ALIPAY_KINDS.get(row["业务类型"], LineKind.other)
        lines.append(
            Line(
                no=no,
                kind=kind,
                reference=row["退款批次号/请求号"] if kind is LineKind.refund else row["支付宝交易号"],
                ours=row["退款批次号/请求号"] if kind is LineKind.refund else row["商户订单号"],
                amount=_amount(no, row["订单金额(元)"], "CNY"),
                fee=-_amount(no, row["服务费(元)"] or "0", "CNY"),
                currency="CNY",
                moved_at=_instant(no, row["完成时间"], SHANGHAI),
            )
        )
    if not columns:
        raise StatementUnreadable(reason="the columns are missing")
    for kind, (no, count) in said.items():
        _check_count(no, str(sum(line.kind is kind for line in lines)), str(count))
    if not said:
        raise StatementUnreadable(reason="the end is missing", line=lines[-1].no if lines else None)
    return Sheet(day=day, lines=lines)


WECHAT_NEEDED = (
    "交易时间", "微信订单号", "商户订单号", "交易状态", "货币种类", "微信退款单号", "商户退款单号", "手续费", "订单金额",
    "申请退款金额",
)  # fmt: skip


def _read_wechat(content: bytes) -> Sheet:
    """All transactions of one day, each cell behind a backtick: https://pay.weixin.qq.com/doc/v3/merchant/4012791914."""
    rows = list(_cells(content, "utf-8-sig"))
    if not rows:
        raise StatementUnreadable(reason="the columns are missing")
    columns = rows[0][1]
    _check_columns(1, columns, WECHAT_NEEDED)
    total = next((index for index, (_, cells) in enumerate(rows) if cells[0] == "总交易单数"), None)
    if total is None or total + 1 >= len(rows):
        raise StatementUnreadable(reason="the end is missing", line=rows[-1][0])
    lines = []
    for no, cells in rows[1:total]:
        if not all(cell.startswith("`") for cell in cells):
            raise StatementUnreadable(reason="a cell has no backtick", line=no)
        row = _row(no, columns, [cell[1:] for cell in cells])
        refund = row["交易状态"] == "REFUND"
        known = refund or row["交易状态"] == "SUCCESS"
        lines.append(
            Line(
                no=no,
                kind=LineKind.refund if refund else LineKind.payment if known else LineKind.other,
                reference=row["微信退款单号"] if refund else row["微信订单号"],
                ours=row["商户退款单号"] if refund else row["商户订单号"],
                amount=-_amount(no, row["申请退款金额"], row["货币种类"])
                if refund
                else _amount(no, row["订单金额"], row["货币种类"]),
                fee=_fee(no, row["手续费"], row["货币种类"]),
                currency=row["货币种类"],
                moved_at=_instant(no, row["交易时间"], SHANGHAI),
            )
        )
    no, sums = rows[total + 1]
    _check_count(no, str(len(lines)), sums[0].removeprefix("`"))
    days = {line.moved_at.astimezone(SHANGHAI).date() for line in lines if line.moved_at is not None}
    return Sheet(day=days.pop() if len(days) == 1 else None, lines=lines)


READERS: dict[str, Callable[[bytes], Sheet]] = {
    "sandbox": _read_sandbox,
    "stripe": _read_stripe,
    "alipay": _read_alipay,
    "wechat": _read_wechat,
}


def _decode(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise StatementUnreadable(reason=f"it is not {encoding}", line=line) from None


def _cells(content: bytes, encoding: str) -> Iterator[tuple[int, list[str]]]:
    yield from _split(_decode(content, encoding))


def _split(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not empty with its line; cells without the blanks and tabs that some pad them with."""
    reader = csv.reader(text.splitlines(), strict=True)
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield reader.line_num, stripped
    except csv.Error as error:
        raise StatementUnreadable(reason=f"not CSV: {error}", line=reader.line_num) from None


def _table(content: bytes, encoding: str, needed: tuple[str, ...]) -> Iterator[tuple[int, Row]]:
    columns: list[str] = []
    for no, cells in _cells(content, encoding):
        if columns:
            yield no, _row(no, columns, cells)
        else:
            columns = cells
            _check_columns(no, columns, needed)
    if not columns:
        raise StatementUnreadable(reason="the columns are missing")


def _check_columns(no: int, columns: list[str], needed: tuple[str, ...]) -> None:
    missing = [name for name in needed if name not in columns]
    if missing:
        raise StatementUnreadable(reason=f"columns are missing: {', '.join(missing)}", line=no)


def _check_count(no: int, found: str, said: str) -> None:
    if found != said:
        raise StatementUnreadable(reason=f"the file says {said} and has {found}", line=no)


def _row(no: int, columns: list[str], cells: list[str]) -> Row:
    if len(cells) != len(columns):
        raise StatementUnreadable(reason=f"{len(cells)} cells instead of {len(columns)}", line=no)
    return dict(zip(columns, cells, strict=True))


def _kind(no: int, text: str) -> LineKind:
    try:
        return LineKind(text)
    except ValueError:
        raise StatementUnreadable(reason=f"no such kind: {text[:40]}", line=no) from None


def _amount(no: int, text: str, currency: str) -> int:
    try:
        return parse(text.replace(",", ""), currency).amount
    except (AmountUnreadable, UnknownCurrency):
        raise StatementUnreadable(reason=f"not an amount in {currency[:10]}: {text[:40]}", line=no) from None


def _fee(no: int, text: str, currency: str) -> int:
    """WeChat Pay states fees with five digits; what is less than half a cent is nothing."""
    whole, _, rest = text.partition(".")
    if not re.fullmatch(r"-?\d+", whole) or (rest and not rest.isdecimal()):
        raise StatementUnreadable(reason=f"not an amount in {currency[:10]}: {text[:40]}", line=no)
    thousandths = int((rest + "000")[:3])
    cents = (thousandths + 5) // 10
    amount = abs(int(whole)) * 100 + cents
    return -amount if whole.startswith("-") else amount


def _instant(no: int, text: str, zone: tzinfo) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise StatementUnreadable(reason=f"not a time: {text[:40]}", line=no) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=zone)


def _day(no: int, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise StatementUnreadable(reason=f"not a day: {text[:40]}", line=no) from None
