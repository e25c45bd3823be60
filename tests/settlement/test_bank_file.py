"""Files to and from banks: the same bytes for the same batch, valid by ISO's own schema, results row by row."""

import csv
import io
from pathlib import Path
from uuid import UUID

import pytest
import sepaxml
import xmlschema

from bursary import CARD, IBAN, Bursary, an_account, an_iban
from laotie import settlement
from laotie.base.cells import BYTE_ORDER_MARK
from laotie.base.ids import new_id
from laotie.identity import Actor
from laotie.settlement import BatchState, PayoutState
from laotie.settlement.bank_file import BankFile, FileForm, make_file, read_results
from laotie.settlement.payout_model import (
    BankFileChanged,
    BatchMoved,
    NotInGbk,
    PayerUnknown,
    ResultsUnreadable,
    checked,
)

SCHEMA = Path(sepaxml.__file__).parent / "schemas" / "pain.001.001.09.xsd"


@pytest.fixture(scope="module")
def schema() -> xmlschema.XMLSchema:
    """ISO's own."""
    return xmlschema.XMLSchema(str(SCHEMA))


async def file_of(bursary: Bursary, actor: Actor, batch: settlement.Batch, form: FileForm) -> BankFile:
    async with bursary.db.tx() as tx:
        return await make_file(tx, actor, bursary.signer, batch.id, form)


async def test_a_chinese_bank_gets_the_same_bytes_each_time(bursary: Bursary) -> None:
    one, two = await bursary.operator(), await bursary.operator()
    await bursary.ready(owed=123_456)
    await bursary.ready(owed=1_000)
    batch = await bursary.sent(one, two)
    file = await file_of(bursary, one, batch, FileForm.csv)
    await bursary.note(one, (await bursary.payouts(batch))[0], "paid")
    await bursary.wait(hours=24)
    assert await file_of(bursary, two, batch, FileForm.csv) == file
    rows = list(csv.DictReader(io.StringIO(file.content.decode("utf-8-sig"))))
    assert file.content.decode().startswith(BYTE_ORDER_MARK)
    assert sorted((row["收款账号"], row["收款户名"], row["金额"], row["币种"]) for row in rows) == [
        (CARD, "王小明", "10.00", "CNY"), (CARD, "王小明", "1234.56", "CNY")
    ]  # fmt: skip
    assert {UUID(row["业务参考号"]) for row in rows} == {one.id for one in await bursary.payouts(batch)}
    gbk = await file_of(bursary, one, batch, FileForm.csv_gbk)
    assert gbk.content.decode("gbk") == file.content.decode("utf-8-sig") and gbk.digest != file.digest
    assert await bursary.acts("payout_file") == ["payout_file.downloaded"] * 3


async def test_a_name_that_gbk_does_not_know_is_said_not_mangled(bursary: Bursary) -> None:
    one, two = await bursary.operator(), await bursary.operator()
    await bursary.ready(owed=5_000, account=an_account(holder="王㙍𠮷"))
    batch = await bursary.sent(one, two)
    with pytest.raises(NotInGbk):
        await file_of(bursary, one, batch, FileForm.csv_gbk)
    await file_of(bursary, one, batch, FileForm.csv)


async def test_a_file_that_would_not_be_the_same_is_not_handed_out(bursary: Bursary) -> None:
    one, two = await bursary.operator(), await bursary.operator()
    await bursary.ready(owed=5_000)
    batch = await bursary.sent(one, two)
    await file_of(bursary, one, batch, FileForm.csv)
    async with bursary.db.tx() as tx:
        await tx.run("UPDATE settlement.payout SET amount = amount + 1")
    with pytest.raises(BankFileChanged):
        await file_of(bursary, one, batch, FileForm.csv)


async def test_there_is_no_file_before_it_is_sent_nor_in_another_form(bursary: Bursary) -> None:
    one, two = await bursary.operator(), await bursary.operator()
    await bursary.ready(owed=5_000)
    batch = await bursary.draft(one)
    for _ in range(2):
        with pytest.raises(BatchMoved):
            await file_of(bursary, one, batch, FileForm.csv)
        await bursary.approve(two, batch)
    await bursary.send(one, batch)
    with pytest.raises(BatchMoved):
        await file_of(bursary, one, batch, FileForm.pain)


@pytest.mark.parametrize("currency", ["EUR", "JPY"])
async def test_pain_001_is_what_isos_schema_asks_for(bursary: Bursary, schema: xmlschema.XMLSchema, currency: str) -> None:
    one, two = await bursary.operator(), await bursary.operator()
    for owed in (7_001, 1_000):
        account = checked(an_iban(currency=currency, bic="COBADEFFXXX" if owed == 1_000 else None))
        await bursary.ready(owed=owed, currency=currency, account=account)
    batch = await bursary.sent(one, two, channel="iban", currency=currency)
    file = await file_of(bursary, one, batch, FileForm.pain)
    assert await file_of(bursary, two, batch, FileForm.pain) == file
    text = file.content.decode()
    schema.validate(text)
    assert text.count(IBAN) == 2 and "Zoe Muller" in text
    assert ("<Cd>SEPA</Cd>" in text) is (currency == "EUR")
    total = "8001" if currency == "JPY" else "80.01"
    assert text.count(f"<CtrlSum>{total}</CtrlSum>") == 2 and text.count("<NbOfTxs>2</NbOfTxs>") == 2


async def test_without_the_platforms_own_account_nothing_goes_by_iban(bursary: Bursary) -> None:
    one, two = await bursary.operator(), await bursary.operator()
    bursary.settings = type(bursary.settings)()
    await bursary.ready(owed=5_000, currency="EUR", account=an_iban())
    batch = await bursary.draft(one, channel="iban", currency="EUR")
    await bursary.approve(two, batch)
    with pytest.raises(PayerUnknown):
        await bursary.send(one, batch)
    assert (await bursary.batch(batch.id)).state is BatchState.approved


async def test_results_are_taken_row_by_row_and_may_be_brought_again(bursary: Bursary) -> None:
    one, two = await bursary.operator(), await bursary.operator()
    for owed in (5_000, 6_000, 7_000, 8_000):
        await bursary.ready(owed=owed)
    batch = await bursary.sent(one, two)
    payouts = sorted(await bursary.payouts(batch), key=lambda each: each.amount)
    file = "业务参考号,处理结果,金额,失败原因,银行流水号\r\n" + "".join(
        f"{reference},{result},{amount},{reason},F1\r\n"
        for reference, result, amount, reason in (
            (payouts[0].id.hex, "交易成功", "50.00", ""),
            (payouts[1].id, "退汇", "60.00", "账户已销户"),
            (payouts[2].id.hex, "成功", "70.01", ""),
            (payouts[3].id.hex, "失败", "80.00", ""),
            (new_id().hex, "成功", "", ""),
            ("SALARY-1", "成功", "", ""),
        )
    )
    for _ in range(2):
        rows = read_results(file.encode("gb18030"), currency="CNY")
        refused = await settlement.payouts.bring_results(bursary.db, one, bursary.settings, batch.id, rows, digest="d")
        assert [(row.line_no, why) for row, why in refused] == [
            (4, "amount"), (5, "reason"), (6, "unknown"), (7, "unknown")
        ]  # fmt: skip
        assert (await bursary.batch(batch.id)).counts == {"paid": 1, "returned": 1, "sent": 2}
    contrary = read_results(f"reference,outcome\n{payouts[1].id.hex},paid\n".encode(), currency="CNY")
    refused = await settlement.payouts.bring_results(bursary.db, one, bursary.settings, batch.id, contrary, digest="e")
    assert [why for _, why in refused] == ["moved"]
    assert (await bursary.payouts(batch))[0].bank_reference in (None, "F1")
    await bursary.check_books()


@pytest.mark.parametrize(
    ("content", "line_no", "reason"),
    [
        (b"", 1, "empty"),
        (b"\xff\xfe\x00", 1, "encoding"),
        (b"a,b\n", 1, "no-column-reference"),
        (b"reference\n", 1, "no-column-outcome"),
        (b"reference,outcome\nx,perhaps\n", 2, "outcome"),
        (b"reference,outcome,amount\nx,paid,1.005\n", 2, "amount"),
    ],
)
def test_a_result_file_that_cannot_be_read_says_where(content: bytes, line_no: int, reason: str) -> None:
    with pytest.raises(ResultsUnreadable) as caught:
        read_results(content, currency="CNY")
    assert (caught.value.line_no, caught.value.reason) == (line_no, reason)


def test_what_a_spreadsheet_guards_is_read_as_it_was() -> None:
    (row,) = read_results(b"reference,outcome,reason\n1,ACSC,'=x\n", currency="CNY")
    assert (row.payout_id, row.outcome, row.reason) == (None, PayoutState.paid, "=x")
