"""Reading the Online Retail file: each record is a sale, a return, or refused with a reason. No database here.

The file (Chen, Sain and Guo 2012, UCI) has a line an invoice and product. What was found in it and what is done:

* An invoice that begins with C is a return; its quantities are negative. One that begins with A adjusts bad debt.
* A quarter of the records name no customer: each such invoice has a buyer of its own, a guest without account.
* Records without a price note stock adjustments and gifts ("damaged", "?", "found"): refused, their value is zero.
* Postage, carriage, discounts and manual entries belong to what the customer owed: imported, as charges. Fees, bank
  charges, bad debt, samples and commission are the shop's own bookkeeping: refused, with their value in the summary.
* A price below a penny (0.001, to give something away) is no amount of money: refused.
* The same record twice on one invoice is kept: a till scans the same thing twice (70 % have quantity 1).
* Codes differ in case only (85123a): the same product. Times are local to London.
"""

import csv
import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple
from zoneinfo import ZoneInfo

from laotie.base.refusals import Invalid

HEADER = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
CURRENCY = "GBP"
LINE_LENGTH_MAX = 1 << 20
QUANTITY_MAX = 10**6
PRICE_MAX = Decimal(10**6)
CHARGES = {"POST": "Postage", "DOT": "Dotcom postage", "C2": "Carriage", "M": "Manual entry", "D": "Discount"}
BOOKKEEPING = frozenset({"AMAZONFEE", "BANK CHARGES", "B", "S", "CRUK"})

_LONDON = ZoneInfo("Europe/London")
_INVOICE = re.compile(r"[A-Z]?\d{1,12}", re.ASCII)
_CODE = re.compile(r"[A-Z0-9_ .\-]{1,32}", re.ASCII)
_CUSTOMER = re.compile(r"(\d{1,10})(?:\.0)?", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,12}(?:\.\d{1,6})?", re.ASCII)


class FileRefused(Invalid, code="file-refused"):
    """The file cannot be read as Online Retail; nothing was imported."""

    reason: str


class Deal(NamedTuple):
    """A record that is imported. `quantity` is positive for returns too; prices are in minor units."""

    line: int
    invoice: str
    is_return: bool
    code: str
    description: str
    quantity: int
    price_amount: int
    at: datetime
    customer: str | None
    said: tuple[str, ...]


class Refused(NamedTuple):
    """A record that is not, and why. `value` is quantity times price, where both can be read."""

    line: int
    reason: str
    said: tuple[str, ...]
    value: Decimal | None


def read(path: Path, *, hear: Callable[[bytes], None] = lambda _: None) -> Iterator[Deal | Refused]:
    """Every record after the header, in order, gzip or plain; `hear` gets the content as it is read.

    Holds one record at a time. Refuses a file without the header, or a damaged gzip.
    """
    with path.open("rb") as plain:
        zipped = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        file: BinaryIO = gzip.GzipFile(fileobj=plain) if zipped else plain  # type: ignore[assignment]
        records = csv.reader(_lines(file, hear))
        try:
            header = next(records, [])
        except csv.Error:
            header = []
        if [name.strip().lstrip("\ufeff") for name in header] != HEADER:
            raise FileRefused(reason=f"The first line must be {','.join(HEADER)}")
        while True:
            line = records.line_num + 1
            try:
                cells = next(records)
            except StopIteration:
                return
            except csv.Error as error:
                yield Refused(line, f"unreadable: {error}", (), None)
                continue
            if cells:
                yield _judge(line, tuple(cells))


def _lines(file: BinaryIO, hear: Callable[[bytes], None]) -> Iterator[str]:
    try:
        while raw := file.readline(LINE_LENGTH_MAX):
            hear(raw)
            yield raw.decode("utf-8", "surrogateescape")
    except (EOFError, OSError, zlib.error) as error:
        raise FileRefused(reason=f"The file is damaged: {error}") from None


def _judge(line: int, said: tuple[str, ...]) -> Deal | Refused:
    if len(said) != len(HEADER):
        return Refused(line, "cells-missing" if len(said) < len(HEADER) else "cells-too-many", said, None)
    invoice, code, description, quantity_text, time_text, price_text, customer_text, _country = said
    if not "".join(said).isprintable():
        return Refused(line, "text-unreadable", said, None)
    quantity, price = _number(quantity_text), _number(price_text)
    if quantity is None or quantity != quantity.to_integral_value():
        return Refused(line, "quantity-unreadable", said, None)
    if price is None:
        return Refused(line, "price-unreadable", said, None)
    value = quantity * price
    invoice, code = invoice.strip().upper(), code.strip().upper()
    at = _instant(time_text.strip())
    customer = _CUSTOMER.fullmatch(customer_text.strip())
    is_return = invoice.startswith("C")
    reason = (
        "invoice-unreadable"
        if not _INVOICE.fullmatch(invoice)
        else "code-unreadable"
        if not _CODE.fullmatch(code)
        else "time-unreadable"
        if at is None
        else "customer-unreadable"
        if customer is None and customer_text.strip()
        else "bookkeeping"
        if code in BOOKKEEPING or invoice.startswith("A")
        else _reason_of_amounts(quantity, price, is_return=is_return)
    )
    if reason is not None or at is None:
        return Refused(line, reason or "time-unreadable", said, value)
    return Deal(
        line=line,
        invoice=invoice,
        is_return=is_return,
        code=code,
        description=" ".join(description.split()),
        quantity=abs(int(quantity)),
        price_amount=int(price * 100),
        at=at,
        customer=customer.group(1) if customer else None,
        said=said,
    )


def _reason_of_amounts(quantity: Decimal, price: Decimal, *, is_return: bool) -> str | None:
    if price == 0:
        return "price-zero"
    if price < 0:
        return "price-negative"
    if price * 100 != (price * 100).to_integral_value():
        return "price-below-a-penny"
    if quantity == 0:
        return "quantity-zero"
    if (quantity < 0) is not is_return:
        return "quantity-negative" if quantity < 0 else "return-of-positive-quantity"
    if abs(quantity) > QUANTITY_MAX or price > PRICE_MAX:
        return "amount-beyond-measure"
    return None


@lru_cache(maxsize=4096)
def _number(text: str) -> Decimal | None:
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


@lru_cache(maxsize=1024)
def _instant(text: str) -> datetime | None:
    try:
        local = datetime.strptime(text, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 (the zone follows)
    except ValueError:
        return None
    return local.replace(tzinfo=_LONDON).astimezone(UTC) if 1990 <= local.year < 2100 else None
