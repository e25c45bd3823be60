"""Providers' daily statements: read in each one's own form, matched line by line, every difference listed."""

from datetime import date, timedelta
from typing import Any

import pytest

from laotie import audit, payments
from laotie.base.db import Database
from laotie.base.ids import AccountId, OrderId, PaymentId, new_id
from laotie.base.money import Money
from laotie.payments import DifferenceKind, StatementUnreadable, sandbox_bank, statements
from laotie.payments.hearing import take_in
from laotie.payments.model import LineKind
from laotie.payments.provider import Report, ReportKind
from laotie.payments.sandbox import Trouble
from laotie.payments.sandbox_bank import DisputeReason
from laotie.payments.statements import read_statement
from market import Market

ALIPAY_COLUMNS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,"
    "支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,"
    "退款批次号/请求号,服务费（元）,分润（元）,备注"
)
WECHAT_COLUMNS = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,"
    "微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
)
STRIPE_COLUMNS = (
    "balance_transaction_id,created_utc,currency,gross,fee,net,reporting_category,source_id,payment_intent_id,"
    "payment_metadata[payment],refund_metadata[refund]"
)


def _alipay(*rows: str, paid: int | None = None, back: int | None = None) -> bytes:
    """As downloaded from Alipay: GBK, marks of `#`, cells padded with tabs."""
    lines = [
        "#支付宝业务明细查询",
        "#账号：[20881234567890120156]",
        "#起始日期：[2026年11月21日 00:00:00]   终止日期：[2026年11月22日 00:00:00]",
        "#-----------------------------------------业务明细列表----------------------------------------",
        ALIPAY_COLUMNS,
        *rows,
        "#-----------------------------------------业务明细列表结束------------------------------------",
        f"#交易合计：{sum('交易' in row for row in rows) if paid is None else paid}笔，商家实收共0.00元，商家优惠共0.00元",
        f"#退款合计：{sum('退款' in row for row in rows) if back is None else back}笔，商家实收退款共0.00元",
        "#导出时间：[2026年11月22日 09:00:00]",
    ]
    return "\r\n".join(lines).encode("gbk") + b"\r\n"


def _alipay_row(
    trade: str, ours: str, kind: str, amount: str, *, fee: str = "0.00", refund: str = "", at: str = "2026-11-21 16:14:24"
) -> str:
    cells = [trade + "\t", ours + "\t", kind + "\t", "海参", "2026-11-21 16:13:11", at, " ", " ", " ", " ", "**佳(yan***@163.com)\t",
             amount, amount, "0.00", "0.00", "0.00", "0.00", "0.00", "", "0.00", "0.00", refund, fee, "0.00", ""]  # fmt: skip
    return ",".join(cells)


def _wechat(*rows: str, count: int | None = None) -> bytes:
    """As downloaded from WeChat Pay: UTF-8 with a mark, each cell behind a backtick, the sums last."""
    total = len(rows) if count is None else count
    end = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
    return "\n".join([WECHAT_COLUMNS, *rows, end, f"`{total},`0.00,`0.00,`0.00,`0.00000,`0.00,`0.00"]).encode("utf-8-sig")


def _wechat_row(
    trade: str, ours: str, amount: str, *, refund: str = "0", refund_amount: str = "0.00", state: str = "SUCCESS",
    fee: str = "0.00000", currency: str = "CNY",
) -> str:  # fmt: skip
    cells = ["2026-11-21 16:14:24", "wx1", "1900007291", "0", "", trade, ours, "o1", "NATIVE", state, "OTHERS", currency, amount,
             "0.00", f"5{trade}" if refund != "0" else "0", refund, refund_amount, "0.00", "", "", "海参", "", fee, "0.60%", amount,
             refund_amount, ""]  # fmt: skip
    return ",".join(f"`{cell}" for cell in cells)


def test_alipay_s_file_is_read() -> None:
    sheet = read_statement(
        "alipay",
        _alipay(
            _alipay_row("2026112122001", "0" * 32, "交易", "19.99", fee="-0.12"),
            _alipay_row("2026112122001", "0" * 32, "退款", "-5.00", fee="0.03", refund="r1"),
        ),
    )
    assert sheet.day == date(2026, 11, 21)
    assert [(line.no, line.kind, line.reference, line.amount, line.fee) for line in sheet.lines] == [
        (6, LineKind.payment, "2026112122001", 1999, 12),
        (7, LineKind.refund, "r1", -500, -3),
    ]
    at = sheet.lines[0].moved_at
    assert at is not None and at.utcoffset() == timedelta(hours=8)


def test_wechat_s_file_is_read() -> None:
    sheet = read_statement(
        "wechat",
        _wechat(
            _wechat_row("4200001", "a", "19.99", fee="0.12000"),
            _wechat_row("4200001", "a", "19.99", refund="r1-0", refund_amount="5.00", state="REFUND", fee="-0.03500"),
        ),
    )
    assert sheet.day == date(2026, 11, 21)
    assert [(line.no, line.kind, line.ours, line.amount, line.fee) for line in sheet.lines] == [
        (2, LineKind.payment, "a", 1999, 12),
        (3, LineKind.refund, "r1-0", -500, -4),
    ]


def test_stripe_s_file_is_read_in_each_currency_s_own_digits() -> None:
    rows = [
        "txn_1,2026-11-21 08:00:00,cny,19.99,0.98,19.01,charge,ch_1,pi_1,p1,",
        "txn_2,2026-11-21 09:00:00,cny,-5.00,0.00,-5.00,refund,re_1,pi_1,p1,r1",
        "txn_3,2026-11-21 10:00:00,jpy,-700,15,-715,dispute,du_1,pi_2,,",
        "txn_4,2026-11-21 11:00:00,jpy,700,0,700,dispute_reversal,du_1,pi_2,,",
        "txn_5,2026-11-21 12:00:00,cny,-2.00,0.00,-2.00,fee,,,,",
        "txn_6,2026-11-21 13:00:00,cny,-12.00,0.00,-12.00,payout,po_1,,,",
    ]
    sheet = read_statement("stripe", "\n".join([STRIPE_COLUMNS, *rows]).encode())
    assert [(line.kind, line.reference, line.amount, line.fee, line.currency) for line in sheet.lines] == [
        (LineKind.payment, "pi_1", 1999, 98, "CNY"),
        (LineKind.refund, "re_1", -500, 0, "CNY"),
        (LineKind.reversal, "du_1", -700, 15, "JPY"),
        (LineKind.restoration, "du_1", 700, 0, "JPY"),
        (LineKind.fee, "txn_5", -200, 0, "CNY"),
        (LineKind.own, "po_1", -1200, 0, "CNY"),
    ]


SANDBOX = "laotie sandbox statement,2026-11-21\nkind,number,merchant_id,amount,fee,currency,moved_at\n"


@pytest.mark.parametrize(
    ("provider", "content", "line"),
    [
        ("gold", b"", None),
        ("sandbox", b"", 1),
        ("sandbox", SANDBOX.encode(), 1),
        ("sandbox", (SANDBOX + "payment,n,x,1.00,0,CNY,2026-11-21T00:00:00+00:00\nlines,2\n").encode(), 4),
        ("sandbox", (SANDBOX + "payment,n,x,1.001,0,CNY,2026-11-21T00:00:00+00:00\nlines,1\n").encode(), 3),
        ("sandbox", (SANDBOX + "payment,n,x,1.00,0,XXX,2026-11-21T00:00:00+00:00\nlines,1\n").encode(), 3),
        ("sandbox", (SANDBOX + "gift,n,x,1.00,0,CNY,2026-11-21T00:00:00+00:00\nlines,1\n").encode(), 3),
        ("sandbox", (SANDBOX + "payment,n,x,1.00,0,CNY,yesterday\nlines,1\n").encode(), 3),
        ("sandbox", (SANDBOX + "payment,n,x,1.00\nlines,1\n").encode(), 3),
        ("stripe", b"", None),
        ("stripe", b"id,amount\n1,2\n", 1),
        ("stripe", f"{STRIPE_COLUMNS}\ntxn_1,2026-11-21 08:00:00,cny,19.999,0,0,charge,ch,pi,,\n".encode(), 2),
        ("stripe", f'{STRIPE_COLUMNS}\n"txn_1,2026\n'.encode(), 2),
        ("alipay", "not alipay".encode("gbk"), 1),
        ("alipay", b"#\xff\xff", 1),
        ("alipay", _alipay(_alipay_row("1", "2", "交易", "x")), 6),
        ("alipay", _alipay(_alipay_row("1", "2", "交易", "1.00", at="soon")), 6),
        ("alipay", _alipay(_alipay_row("1", "2", "交易", "1.00"), paid=2), 8),
        ("alipay", _alipay(_alipay_row("1", "2", "交易", "1.00")).partition(b"#----")[0] + b"#" * 3, None),
        ("wechat", _wechat(_wechat_row("1", "2", "1.00"), count=2), 4),
        ("wechat", _wechat(_wechat_row("1", "2", "1.00").replace("`", "", 1)), 2),
        ("wechat", _wechat(_wechat_row("1", "2", "1.00")).partition("总".encode())[0], 2),
        ("wechat", _wechat(_wechat_row("1", "2", "1.00", fee="free")), 2),
        ("wechat", b"a,b,c\n", 1),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(provider: str, content: bytes, line: int | None) -> None:
    with pytest.raises(StatementUnreadable) as refused:
        read_statement(provider, content)
    assert refused.value.facts()["line"] == line, refused.value


async def _capture(db: Database, provider: str, charge: str, amount: int = 1999) -> PaymentId:
    payment_id = PaymentId(new_id())
    async with db.tx() as tx:
        await payments.start(
            tx, payment_id=payment_id, order_id=OrderId(new_id()), buyer_id=AccountId(new_id()),
            money=Money(amount, "CNY"), provider=provider,
        )  # fmt: skip
        report = Report(event_id=charge, kind=ReportKind.captured, name="paid", payment_id=payment_id,
                        charge_ref=charge, money=Money(amount, "CNY"))  # fmt: skip
        await take_in(tx, provider, report, b"")
    return payment_id


async def _differences(db: Database, statement: payments.Statement) -> list[tuple[DifferenceKind, int | None, str, str]]:
    async with db.read() as tx:
        found = await payments.list_differences(tx, statement.id)
    return [(one.kind, one.line_no, one.expected, one.found) for _, one in found]


async def test_every_kind_of_difference_is_listed_and_the_same_file_is_matched_anew(db: Database) -> None:
    fine, other, foreign, lacking = [await _capture(db, "wechat", f"42{number}") for number in range(4)]
    del lacking
    today = db.clock.now().astimezone(statements.SHANGHAI).date()
    rows = [
        _wechat_row("420", fine.hex, "19.99", fee="0.12000"),
        _wechat_row("421", other.hex, "18.99"),
        _wechat_row("422", foreign.hex, "19.99", currency="USD"),
        _wechat_row("420", fine.hex, "19.99"),
        _wechat_row("999", "somebody else's", "1.00"),
    ]
    content = _wechat(*rows).replace(b"2026-11-21 16:14:24", f"{today} 00:30:00".encode())
    statement = await audit.reconcile(db, "wechat", content, name="bill.csv")
    expected = [
        (DifferenceKind.amount_differs, 3, "payment 19.99 CNY", "payment 18.99 CNY"),
        (DifferenceKind.currency_differs, 4, "payment 19.99 CNY", "payment 19.99 USD"),
        (DifferenceKind.twice, 5, "payment 19.99 CNY", "payment 19.99 CNY"),
        (DifferenceKind.missing_here, 6, "nothing", "payment 1.00 CNY"),
        (DifferenceKind.missing_there, None, "payment 19.99 CNY", "nothing"),
    ]
    assert await _differences(db, statement) == expected
    again = await audit.reconcile(db, "wechat", content, name="another name.csv")
    assert (again.id, again.name, again.difference_count) == (statement.id, "bill.csv", len(expected))
    assert await _differences(db, again) == expected
    tomorrow = today + timedelta(days=1)
    next_day = _wechat(_wechat_row("423", "?", "19.99")).replace(b"2026-11-21", str(tomorrow).encode())
    following = await audit.reconcile(db, "wechat", next_day, name="next.csv")
    assert await _differences(db, following) == []
    first = await audit.reconcile_again(db, statement.id)
    assert await _differences(db, first) == expected[:-1]
    with pytest.raises(StatementUnreadable):
        await audit.reconcile(db, "wechat", content, name="bill.csv", day=tomorrow)
    async with db.read() as tx:
        assert [one.id for one in await payments.list_statements(tx)] == [following.id, statement.id]
        assert await tx.one(bytes, "SELECT content FROM payments.statement WHERE id = %(id)s", id=statement.id) == content


async def test_the_sandbox_s_own_statement_agrees_with_all_three_books(market: Market) -> None:
    buyer = await market.buyer()
    order_id = await market.place(buyer, await market.add_item())
    first = await market.start_payment(buyer, order_id)
    second = await market.start_payment(buyer, order_id)
    for payment_id in (first, second):
        await market.decide(buyer, payment_id, trouble=Trouble.duplicate)
        await market.settle()
    dispute_id = new_id()
    async with market.db.tx() as tx:
        await sandbox_bank.open_dispute(
            tx, buyer.signed_in(), first, dispute_id, reason=DisputeReason.duplicate, amount=500
        )
    await market.settle()
    async with market.db.tx() as tx:
        await sandbox_bank.decide_dispute(tx, buyer.signed_in(), dispute_id, won=True)
    await market.settle()
    day = market.db.clock.now().date()

    async def match(**changes: Any) -> payments.Statement:
        async with market.db.read() as tx:
            text = await sandbox_bank.write_statement(tx, day)
        for old, new in changes.items():
            text = text.replace(old, new)
        return await audit.reconcile(market.db, "sandbox", text.encode(), name="sandbox.csv")

    statement = await match()
    assert (statement.line_count, await _differences(market.db, statement)) == (5, [])
    async with market.db.tx() as tx:
        assert await payments.list_orders_of_statement(tx, statement.id) == {order_id}
        await tx.run(
            "UPDATE payments.payment SET captured_amount = 9000, refunded_amount = 0, state = 'captured' WHERE id = %(id)s",
            id=first,
        )
    kinds = {one[0] for one in await _differences(market.db, await match())}
    assert kinds == {DifferenceKind.amount_differs, DifferenceKind.ledger_differs}
