"""The product sheet: a CSV of a shop's products, out and in again, the same columns both ways.

One row a SKU. Rows are brought up to date by SKU code, so a sheet may be imported twice, or again after an
interruption. A bad row is reported with its line and the reason, and never spoils the rows beside it. Cells that a
spreadsheet would run as a formula carry an apostrophe in front, which the import takes away again.
"""

import codecs
import csv
import io
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import IO, TypeVar
from uuid import UUID

import msgspec
from psycopg.errors import UniqueViolation

from laotie import identity
from laotie.base.cells import unguard, write_line
from laotie.base.db import Database, Tx, retried
from laotie.base.ids import ProductId, ShopId
from laotie.base.money import Money, exponent, parse, parse_percent, percent
from laotie.base.refusals import Conflict, Invalid, Refusal
from laotie.catalog.brand_model import BrandId
from laotie.catalog.brands import find_brands
from laotie.catalog.intake import Outcome, Row, take_in
from laotie.catalog.listing import list_own_products
from laotie.catalog.model import (
    NUMBER_MAX,
    STOCK_MAX,
    Product,
    ProductState,
    Shop,
    Sku,
    SkuState,
    check_number,
    check_price,
    clean_images,
    clean_options,
    clean_text,
)
from laotie.catalog.shipping import find_template_names
from laotie.catalog.shops import get_shop

COLUMNS = {
    "code": "The SKU's own code, unique in the shop. Required. A code that is there already is brought up to date.",
    "product": "Which product the SKU belongs to: the product's code or id. Rows of one product stand together. "
    "Empty: a product of its own.",
    "title": "The product's name. Required for a new product; empty keeps the name.",
    "description": "Text about the product; may have several lines.",
    "category": "One category, free text.",
    "images": "Up to nine addresses, separated by blanks.",
    "state": "`draft`, `listed` or `delisted`. Empty: as it is; a new product is a draft.",
    "price": "Like 12.50, with a point. Required for a new SKU; empty keeps the price.",
    "list_price": "The crossed-out price; empty: none.",
    "currency": "Three letters; must be the shop's currency. Empty: the shop's.",
    "stock": "Pieces that can be bought. Received with a new SKU; for one that is there only counted when asked for.",
    "sku_state": "`active` or `retired`. Empty: as it is; a new SKU is active.",
    "tax_rate": "The tax that the price contains, in per cent, like 13 or 7.7. Empty: as it is; a new product has none.",
    "shipping": "The name of one of the shop's shipping templates; empty: the shop's default.",
    "weight_grams": "What one piece weighs, packed. Empty: as it is; a new SKU weighs nothing.",
    "brand": "The name of a verified brand, which the shop may sell. Empty: none.",
}
"""What the columns mean, in the order of the export. Beside them, `option:<name>` holds an option's value."""

State = TypeVar("State", ProductState, SkuState)

OPTION = "option:"
ROWS_MAX = 200_000
BATCH_SIZE_MAX = 500
COLUMNS_MAX = 64
ERRORS_SHOWN_MAX = 1_000

TEMPLATE = [
    ["code", "product", "title", "description", "category", "images", "state", "price", "list_price", "currency",
     "stock", "sku_state", "tax_rate", "shipping", "weight_grams", "brand", "option:颜色", "option:尺码"],
    ["TEE-RED-110", "TEE", "儿童纯棉T恤", "新疆长绒棉，可机洗", "童装", "", "listed", "59.00", "79.00", "CNY",
     "40", "active", "13", "", "180", "", "红", "110"],
    ["TEE-BLUE-120", "TEE", "儿童纯棉T恤", "新疆长绒棉，可机洗", "童装", "", "listed", "59.00", "79.00", "CNY",
     "25", "active", "13", "", "190", "", "蓝", "120"],
    ["CUCUMBER-500", "", "淡干海参 500g", "大连近海底播", "海产", "", "draft", "899.00", "", "CNY",
     "12", "active", "9", "", "620", "", "", ""],
]  # fmt: skip


class SheetRefused(Invalid, code="sheet-refused"):
    """The file cannot be read as a product sheet; nothing was imported."""

    reason: str


class RowRefused(Invalid, code="row-refused"):
    """A cell of the row is not acceptable."""

    field: str
    reason: str


class CodeRepeated(Conflict, code="code-repeated"):
    """The same SKU code stood in an earlier line of this file."""

    line: int


class RowError(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was not imported: the line it begins in, the column where it is known, and why."""

    line: int
    field: str | None
    code: str
    reason: str


class SheetReport(msgspec.Struct, kw_only=True):
    """What an import did: `read = created + updated + unchanged + refused`."""

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    refused_by_code: dict[str, int] = {}
    errors: list[RowError] = []
    """The first thousand of what was refused."""
    dry_run: bool = False


class _RehearsalOverError(Exception):
    """Rolls a dry run's batch back."""


async def import_sheet(
    db: Database,
    actor: identity.Actor | None,
    shop_id: ShopId,
    file: IO[bytes],
    *,
    dry_run: bool = False,
    set_stock: bool = False,
    refused: Callable[[RowError], None] = lambda _: None,
    progress: Callable[[int], None] = lambda _: None,
) -> SheetReport:
    """Import a seekable file; `actor` is `None` for the operator's own command line.

    Opens a transaction for every few hundred rows, so that sales go on beside it. `refused` hears every bad row,
    `progress` the rows read so far. Refuses the whole file (`SheetRefused`) before anything is written when it is not
    UTF-8, has no header, or a column that is not known.
    """
    async with db.read() as tx:
        if actor is not None:
            await identity.require_seat(tx, actor, shop_id, identity.Scope.catalog)
        shop = await get_shop(tx, shop_id)
        templates = await find_template_names(tx, shop_id)
    _check_encoding(file)
    file.seek(0)
    reader = _Reader(file, shop, templates)
    report = SheetReport(dry_run=dry_run)
    by_code: Counter[str] = Counter()
    for batch in reader.batches():
        good = [(line, row) for line, row in batch if isinstance(row, Row)]
        outcomes = iter(await _take_in(db, shop, [row for _, row in good], dry_run=dry_run, set_stock=set_stock))
        for line, row in batch:
            outcome = row if isinstance(row, Refusal) else next(outcomes)
            report.read += 1
            if isinstance(outcome, Outcome):
                report.created += outcome.did == "created"
                report.updated += outcome.did == "updated"
                report.unchanged += outcome.did == "unchanged"
                continue
            error = _explain(line, outcome)
            report.refused += 1
            by_code[error.code] += 1
            if len(report.errors) < ERRORS_SHOWN_MAX:
                report.errors.append(error)
            refused(error)
        progress(report.read)
    report.refused_by_code = dict(by_code.most_common())
    assert report.read == report.created + report.updated + report.unchanged + report.refused
    return report


async def export_sheet(tx: Tx, actor: identity.Actor, shop_id: ShopId) -> AsyncIterator[str]:
    """The shop's products as CSV, piece by piece: UTF-8 with a mark, so that spreadsheets open it as it is meant.

    Needs the scope `catalog`. Newest products first.
    """
    await identity.require_seat(tx, actor, shop_id, identity.Scope.catalog)
    names = await tx.all(
        str,
        """
        SELECT DISTINCT name FROM catalog.sku CROSS JOIN LATERAL jsonb_object_keys(options) AS name
        WHERE shop_id = %(shop_id)s ORDER BY name
        """,
        shop_id=shop_id,
    )
    templates: dict[UUID, str] = {id_: name for name, id_ in (await find_template_names(tx, shop_id)).items()}
    yield "\ufeff" + write_line([*COLUMNS, *(OPTION + name for name in names)])
    after: ProductId | None = None
    while True:
        page = await list_own_products(tx, actor, shop_id, after=after, limit=100)
        named = {BrandId(product.brand_id) for product in page.items if product.brand_id is not None}
        brands: dict[UUID, str] = {id_: brand.name for id_, brand in (await find_brands(tx, named)).items()}
        yield "".join(write_line(_cells(product, sku, names, templates, brands)) for product in page.items for sku in product.skus)
        if page.next is None:
            return
        after = ProductId(page.next)


def template() -> str:
    """An example sheet to begin with."""
    return "\ufeff" + "".join(write_line(row) for row in TEMPLATE)


def _cells(
    product: Product, sku: Sku, names: list[str], templates: Mapping[UUID, str], brands: Mapping[UUID, str]
) -> list[str]:
    values = {
        "code": sku.code,
        "product": product.code or str(product.id),
        "title": product.title,
        "description": product.description,
        "category": product.category,
        "images": " ".join(product.images),
        "state": product.state.value,
        "price": _amount(sku.price),
        "list_price": "" if sku.list_price is None else _amount(sku.list_price),
        "currency": sku.currency,
        "stock": str(sku.available),
        "sku_state": sku.state.value,
        "tax_rate": percent(product.tax_bps),
        "shipping": templates.get(product.shipping_template_id, "") if product.shipping_template_id else "",
        "weight_grams": str(sku.weight_grams),
        "brand": brands.get(product.brand_id, "") if product.brand_id else "",
    }
    return [*(values[column] for column in COLUMNS), *(sku.options.get(name, "") for name in names)]


def _amount(money: Money) -> str:
    return str(money).partition(" ")[0]


def _check_encoding(file: IO[bytes]) -> None:
    """Read the file once; refuse what is not UTF-8 and say what it looks like instead."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    first = True
    while chunk := file.read(1 << 20):
        if first and chunk[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise SheetRefused(reason="The file is UTF-16; save it as “CSV UTF-8”.")
        if first and chunk[:2] in (b"PK", b"\xd0\xcf"):
            raise SheetRefused(reason="The file is a workbook, not CSV; save it as “CSV UTF-8”.")
        first = False
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError:
            raise SheetRefused(reason=_guess(chunk)) from None
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise SheetRefused(reason="The file breaks off in the middle of a character.") from None


def _guess(chunk: bytes) -> str:
    try:
        chunk[: len(chunk) // 2 * 2].decode("gb18030")
    except UnicodeDecodeError:
        return "The file is not UTF-8; save it as “CSV UTF-8”."
    return "The file is not UTF-8 but probably GBK; save it as “CSV UTF-8”."


class _Reader:
    """Turns the file into cleaned rows (or refusals) with the line each begins in."""

    def __init__(self, file: IO[bytes], shop: Shop, templates: Mapping[str, UUID]) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        self._shop = shop
        self._templates = templates
        self._lines = csv.reader(text, strict=True)
        self._header = self._read_header()
        self._seen: dict[str, int] = {}

    def _read_header(self) -> list[str]:
        try:
            header = [unguard(cell).strip() for cell in next(self._lines, [])]
        except csv.Error as error:
            raise SheetRefused(reason=f"The header cannot be read: {error}.") from None
        while header and not header[-1]:
            header.pop()
        unknown = [name for name in header if name not in COLUMNS and not _is_option(name)]
        if "code" not in header:
            raise SheetRefused(reason=f"The first line must name the columns; `code` is missing. Known: {_known()}.")
        if unknown:
            raise SheetRefused(reason=f"Unknown column {unknown[0][:60]!r}. Known: {_known()}.")
        if len(set(header)) < len(header) or len(header) > COLUMNS_MAX:
            raise SheetRefused(reason="A column is named twice, or there are too many.")
        return header

    def batches(self) -> Iterator[list[tuple[int, Row | Refusal]]]:
        """Batches of whole products, as far as a product's rows stand together."""
        batch: list[tuple[int, Row | Refusal]] = []
        last: str | None = None
        for line, row in self._rows():
            name = row.product if isinstance(row, Row) else None
            if len(batch) >= BATCH_SIZE_MAX and (name is None or name != last or len(batch) >= 2 * BATCH_SIZE_MAX):
                yield batch
                batch = []
            batch.append((line, row))
            last = name
        if batch:
            yield batch

    def _rows(self) -> Iterator[tuple[int, Row | Refusal]]:
        count = 0
        while True:
            line = self._lines.line_num + 1
            try:
                cells = next(self._lines)
            except StopIteration:
                return
            except csv.Error as error:
                yield line, RowRefused(field="row", reason=f"cannot be read as CSV: {error}")
                continue
            if not any(cell.strip() for cell in cells):
                continue
            count += 1
            if count > ROWS_MAX:
                raise SheetRefused(reason=f"A sheet has at most {ROWS_MAX} rows; what stood before was imported.")
            try:
                yield line, self._clean(line, cells)
            except Refusal as refusal:
                yield line, refusal

    def _clean(self, line: int, cells: list[str]) -> Row:
        if len(cells) < len(self._header) or any(cell.strip() for cell in cells[len(self._header) :]):
            raise RowRefused(field="row", reason=f"has {len(cells)} cells where the header has {len(self._header)}")
        values = dict(zip(self._header, (unguard(cell) for cell in cells), strict=False))
        row = _row_of(values, self._shop, self._templates)
        if row.code in self._seen:
            raise CodeRepeated(line=self._seen[row.code])
        self._seen[row.code] = line
        return row


def _row_of(values: dict[str, str], shop: Shop, templates: Mapping[str, UUID]) -> Row:
    """A row out of its cells, cleaned by the rules of the catalogue."""
    given = {name: value.strip() for name, value in values.items()}
    if given.get("currency", "") not in ("", shop.currency):
        raise RowRefused(field="currency", reason=f"the shop's currency is {shop.currency}")
    product = given.get("product", "")
    title = given.get("title", "")
    return Row(
        code=clean_text("code", given["code"], required=True),
        product=clean_text("product", product, kind="code") if product else None,
        title=clean_text("title", title) if title else None,
        description=clean_text("description", values["description"], lines=True) if "description" in values else None,
        images=clean_images(given["images"].split()) if "images" in given else None,
        category=clean_text("category", given["category"]) if "category" in given else None,
        state=_choice(ProductState, "state", given),
        options=_options(given),
        price_amount=_price("price", given, shop),
        list_price_amount=_price("list_price", given, shop),
        keep_list_price="list_price" not in given,
        sku_state=_choice(SkuState, "sku_state", given),
        stock=_stock(given.get("stock", "")),
        tax_bps=_tax(given.get("tax_rate", "")),
        shipping_template_id=_template(given.get("shipping", ""), templates),
        keep_shipping_template="shipping" not in given,
        weight_grams=_weight(given.get("weight_grams", "")),
        brand=clean_text("brand", given["brand"], kind="name") if "brand" in given else None,
    )


def _options(given: dict[str, str]) -> dict[str, str] | None:
    names = [name for name in given if _is_option(name)]
    if not names:
        return None
    return clean_options({name.removeprefix(OPTION): given[name] for name in names if given[name]})


def _choice(kind: type[State], field: str, given: dict[str, str]) -> State | None:
    text = given.get(field, "").lower()
    if not text:
        return None
    try:
        return kind(text)
    except ValueError:
        raise RowRefused(field=field, reason=f"one of {', '.join(kind)}") from None


def _price(field: str, given: dict[str, str], shop: Shop) -> int | None:
    text = given.get(field, "")
    if not text:
        return None
    try:
        return check_price(parse(text, shop.currency), currency=shop.currency)
    except Refusal:
        limits = f"above zero, {exponent(shop.currency)} decimals at most"
        raise RowRefused(field=field, reason=f"{text[:40]!r} is not a price in {shop.currency} ({limits})") from None


def _stock(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > 12 or int(text) > STOCK_MAX:
        raise RowRefused(field="stock", reason=f"{text[:40]!r} is not a whole number from 0 to {STOCK_MAX}")
    return int(text)


def _tax(text: str) -> int | None:
    if not text:
        return None
    try:
        return check_number("tax_bps", parse_percent(text.removesuffix("%")))
    except Refusal:
        reason = f"{text[:40]!r} is not a rate from 0 to 50 per cent, with two decimals at most"
        raise RowRefused(field="tax_rate", reason=reason) from None


def _template(name: str, templates: Mapping[str, UUID]) -> UUID | None:
    if name and name not in templates:
        raise RowRefused(field="shipping", reason=f"the shop has no shipping template {name[:40]!r}")
    return templates[name] if name else None


def _weight(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > 8 or int(text) > NUMBER_MAX["weight_grams"]:
        reason = f"{text[:40]!r} is not a whole number of grams up to {NUMBER_MAX['weight_grams']}"
        raise RowRefused(field="weight_grams", reason=reason)
    return int(text)


def _is_option(name: str) -> bool:
    return name.startswith(OPTION) and bool(name.removeprefix(OPTION).strip())


def _known() -> str:
    return f"{', '.join(COLUMNS)}, {OPTION}<name>"


async def _take_in(
    db: Database, shop: Shop, rows: list[Row], *, dry_run: bool, set_stock: bool
) -> list[Outcome | Refusal]:
    async def once() -> list[Outcome | Refusal]:
        outcomes: list[Outcome | Refusal] = []
        try:
            async with db.tx() as tx:
                outcomes = await take_in(tx, shop, rows, set_stock=set_stock)
                if dry_run:
                    raise _RehearsalOverError
        except _RehearsalOverError:
            pass
        return outcomes

    return await retried(3, once, on=UniqueViolation) if rows else []


def _explain(line: int, refusal: Refusal) -> RowError:
    facts = refusal.facts()
    field = facts.pop("field", None)
    reason = facts.pop("reason", None)
    if reason is None:
        shown = ", ".join(f"{name}: {value}" for name, value in facts.items())
        reason = f"{refusal.title.rstrip('.')}{f' ({shown})' if shown else ''}"
    return RowError(line=line, field=field, code=refusal.code, reason=reason)
