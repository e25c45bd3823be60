"""What a bank hears of a batch, and what it says of it: a payment file out, a result file in.

A file is made of what was sent, of nothing else, and without a clock or chance: the same batch gives the same bytes. The
digest is kept at the first time and compared at every later one.

CSV for Chinese banks (their upload tools map columns by the header), ISO 20022 pain.001.001.09 for IBANs.
"""

import csv
import hashlib
import io
import xml.etree.ElementTree as ET
from datetime import UTC
from enum import StrEnum
from uuid import UUID

import msgspec

from laotie import identity
from laotie.base.cells import BYTE_ORDER_MARK, unguard, write_line
from laotie.base.db import Tx
from laotie.base.money import AmountUnreadable, Money, parse
from laotie.base.signer import Signer
from laotie.identity import Actor
from laotie.settlement.accounts import open_numbers
from laotie.settlement.batches import hold_batch
from laotie.settlement.payout_model import (
    BATCH_PAYOUTS_MAX,
    AccountForm,
    BankAccountId,
    BankFileChanged,
    Batch,
    BatchMoved,
    BatchState,
    Channel,
    NotInGbk,
    Payout,
    PayoutId,
    PayoutState,
    ResultRow,
    ResultsUnreadable,
    Route,
    spell,
)

CSV_HEADER = (
    "序号", "收款账号", "收款户名", "收款账户类型", "开户银行", "开户支行", "金额", "币种", "用途", "业务参考号"
)  # fmt: skip
PURPOSE_TEXT = "货款"
PAIN_SPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"

RESULT_COLUMNS = {
    "reference": ("reference", "业务参考号", "endtoendid"),
    "outcome": ("outcome", "result", "status", "处理结果", "状态", "交易状态"),
    "amount": ("amount", "金额", "交易金额"),
    "reason": ("reason", "失败原因", "原因", "备注"),
    "bank_reference": ("bank_reference", "银行流水号", "流水号"),
}
OUTCOMES = {
    **dict.fromkeys(("paid", "success", "accc", "acsc", "成功", "交易成功", "已付"), PayoutState.paid),
    **dict.fromkeys(("returned", "failed", "rjct", "失败", "交易失败", "退票", "退汇"), PayoutState.returned),
}


class FileForm(StrEnum):
    """In what form a batch's file is wanted."""

    csv = "csv"
    csv_gbk = "csv-gbk"
    pain = "pain.001"

    @property
    def channel(self) -> Channel:
        """Whose batches have it."""
        return Channel.iban if self is FileForm.pain else Channel.cn


class BankFile(msgspec.Struct, frozen=True):
    """A file with its digest (SHA-256, hex)."""

    name: str
    media_type: str
    content: bytes
    digest: str


async def make_file(tx: Tx, actor: Actor, signer: Signer, batch_id: UUID, form: FileForm) -> BankFile:
    """The file of a batch that was sent, for an operator; written to the audit log.

    Refuses `BatchMoved`, `NotInGbk`, and `BankFileChanged` when it would not be the file that was handed out before.
    """
    operator_id = actor.require_operator()
    batch = await hold_batch(tx, batch_id)  # type: ignore[arg-type]
    if batch.state not in (BatchState.sent, BatchState.closed) or batch.channel != form.channel:
        raise BatchMoved(state=batch.state)
    assert batch.route is Route.bank
    payouts = await tx.all(
        Payout,
        """
        SELECT * FROM settlement.payout_shown WHERE batch_id = %(id)s AND state IN ('sent', 'paid', 'returned')
        ORDER BY owner_id LIMIT %(limit)s
        """,
        id=batch_id,
        limit=BATCH_PAYOUTS_MAX,
    )
    numbers = await open_numbers(tx, signer, [one.account_id for one in payouts if one.account_id is not None])
    if form is FileForm.pain:
        content = write_pain(batch, payouts, numbers)
    else:
        content = write_csv(payouts, numbers, encoding="gbk" if form is FileForm.csv_gbk else "utf-8")
    digest = hashlib.sha256(content).hexdigest()
    await tx.run(
        """
        INSERT INTO settlement.bank_file (batch_id, form, digest, byte_count, made_by, made_at)
        VALUES (%(batch_id)s, %(form)s, %(digest)s, %(byte_count)s, %(by)s, %(now)s) ON CONFLICT DO NOTHING
        """,
        batch_id=batch_id,
        form=form,
        digest=digest,
        byte_count=len(content),
        by=operator_id,
        now=tx.now,
    )
    kept = await tx.one(
        str, "SELECT digest FROM settlement.bank_file WHERE batch_id = %(id)s AND form = %(form)s", id=batch_id, form=form
    )
    if kept != digest:
        raise BankFileChanged(digest=kept)
    await identity.record(
        tx, actor, "payout_file.downloaded", subject=str(batch_id), form=form, digest=digest, payout_count=len(payouts)
    )
    is_pain = form is FileForm.pain
    name = f"payouts-{batch.currency}-{batch_id.hex[-12:]}.{'xml' if is_pain else 'csv'}"
    return BankFile(name, "application/xml" if is_pain else "text/csv", content, digest)


def write_csv(payouts: list[Payout], numbers: dict[BankAccountId, str], *, encoding: str) -> bytes:
    """A line a payout, in `utf-8` (marked, for spreadsheets) or `gbk`."""
    lines = [write_line(CSV_HEADER)]
    for no, one in enumerate(payouts, start=1):
        lines.append(
            write_line(
                [
                    no,
                    numbers.get(one.account_id, "") if one.account_id else "",
                    one.holder,
                    "对公" if one.account_form is AccountForm.company else "对私",
                    one.bank,
                    one.branch,
                    Money(one.amount, one.currency),
                    one.currency,
                    PURPOSE_TEXT,
                    one.id.hex,
                ]
            )
        )
        try:
            lines[-1].encode(encoding)
        except UnicodeEncodeError:
            raise NotInGbk(holder=one.holder or "") from None
    mark = BYTE_ORDER_MARK if encoding == "utf-8" else ""
    return (mark + "".join(lines)).encode(encoding)


def write_pain(batch: Batch, payouts: list[Payout], numbers: dict[BankAccountId, str]) -> bytes:
    """ISO 20022 pain.001.001.09: one payment information, executed on the day it was sent (UTC).

    Source: ISO 20022 message definition report, payments initiation; EPC132-08 for transfers in euros.
    """
    assert batch.payer is not None and batch.sent_at is not None
    total = Money(sum(one.amount for one in payouts), batch.currency)
    is_euro = batch.currency == "EUR"
    root = ET.Element("Document", xmlns=PAIN_SPACE)
    message = ET.SubElement(root, "CstmrCdtTrfInitn")
    sent_at = batch.sent_at.astimezone(UTC)
    header = ET.SubElement(message, "GrpHdr")
    _put(header, "MsgId", batch.id.hex)
    _put(header, "CreDtTm", sent_at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    _put(header, "NbOfTxs", str(len(payouts)))
    _put(header, "CtrlSum", _decimal(total))
    _put(header, "InitgPty/Nm", _name(batch.payer.name))
    info = ET.SubElement(message, "PmtInf")
    _put(info, "PmtInfId", batch.id.hex)
    _put(info, "PmtMtd", "TRF")
    _put(info, "NbOfTxs", str(len(payouts)))
    _put(info, "CtrlSum", _decimal(total))
    if is_euro:
        _put(info, "PmtTpInf/SvcLvl/Cd", "SEPA")
    _put(info, "ReqdExctnDt/Dt", sent_at.date().isoformat())
    _put(info, "Dbtr/Nm", _name(batch.payer.name))
    _put(info, "DbtrAcct/Id/IBAN", batch.payer.iban)
    if batch.payer.bic:
        _put(info, "DbtrAgt/FinInstnId/BICFI", batch.payer.bic)
    else:
        _put(info, "DbtrAgt/FinInstnId/Othr/Id", "NOTPROVIDED")
    _put(info, "ChrgBr", "SLEV" if is_euro else "SHAR")
    for one in payouts:
        transfer = ET.SubElement(info, "CdtTrfTxInf")
        _put(transfer, "PmtId/EndToEndId", one.id.hex)
        _put(transfer, "Amt/InstdAmt", _decimal(Money(one.amount, one.currency))).set("Ccy", one.currency)
        if one.bic:
            _put(transfer, "CdtrAgt/FinInstnId/BICFI", one.bic)
        _put(transfer, "Cdtr/Nm", _name(one.holder or ""))
        _put(transfer, "CdtrAcct/Id/IBAN", numbers.get(one.account_id, "") if one.account_id else "")
        _put(transfer, "RmtInf/Ustrd", f"Payout {one.id.hex}")
    ET.indent(root, space=" ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'.encode()


def read_results(content: bytes, *, currency: str) -> list[ResultRow]:
    """The rows of a result file (UTF-8 or GB18030), or `ResultsUnreadable` with the line, and nothing is applied.

    A header in English or Chinese says which column is which; `reference` and `outcome` are needed.
    """
    lines = list(csv.reader(io.StringIO(_decode(content))))
    if not lines:
        raise ResultsUnreadable(line_no=1, reason="empty")
    header = [cell.strip().lower() for cell in lines[0]]
    columns = {
        name: next((header.index(alias) for alias in aliases if alias in header), None)
        for name, aliases in RESULT_COLUMNS.items()
    }
    for needed in ("reference", "outcome"):
        if columns[needed] is None:
            raise ResultsUnreadable(line_no=1, reason=f"no-column-{needed}")
    if len(lines) > BATCH_PAYOUTS_MAX * 2:
        raise ResultsUnreadable(line_no=len(lines), reason="too-long")
    return [
        _read_row(number, {name: _cell(line, at) for name, at in columns.items()}, currency)
        for number, line in enumerate(lines[1:], start=2)
        if any(cell.strip() for cell in line)
    ]


def _read_row(number: int, cells: dict[str, str], currency: str) -> ResultRow:
    outcome = OUTCOMES.get(cells["outcome"].lower())
    if outcome is None:
        raise ResultsUnreadable(line_no=number, reason="outcome")
    try:
        amount = parse(cells["amount"].replace(",", ""), currency).amount if cells["amount"] else None
    except AmountUnreadable:
        raise ResultsUnreadable(line_no=number, reason="amount") from None
    try:
        id_ = PayoutId(UUID(cells["reference"]))
    except ValueError:
        id_ = None
    return ResultRow(
        line_no=number,
        reference=cells["reference"][:64],
        payout_id=id_,
        outcome=outcome,
        amount=amount,
        reason=" ".join(cells["reason"].split())[:200],
        bank_reference=cells["bank_reference"][:64] or None,
    )


def _decode(content: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise ResultsUnreadable(line_no=1, reason="encoding")


def _cell(line: list[str], at: int | None) -> str:
    return unguard(line[at].strip()) if at is not None and at < len(line) else ""


def _put(parent: ET.Element, path: str, text: str) -> ET.Element:
    """A new element at the end, with the ones around it."""
    for tag in path.split("/"):
        parent = ET.SubElement(parent, tag)
    parent.text = text
    return parent


def _name(name: str) -> str:
    return spell(name) or name[:70]


def _decimal(money: Money) -> str:
    return str(money).rpartition(" ")[0]
