"""`laotie import online-retail`: a real retailer's invoices become products, customers and order history.

Two passes, each holding a batch at most: the first learns names and prices and takes the file's fingerprint, the second
imports. A batch of whole invoices is one transaction that also moves the run's position, so an import that was killed
goes on where it stopped. At the end what the file said is compared with what the database holds.
"""

import hashlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from uuid import uuid5

import msgspec

from laotie import catalog, identity, orders
from laotie.base.cells import write_line
from laotie.base.db import Database
from laotie.base.ids import AccountId, ProductId, ShopId, SkuId
from laotie.base.money import Money
from laotie.base.refusals import Refusal
from laotie.imports.invoices import CURRENCY, Deal, FileRefused, Refused, read
from laotie.imports.naming import CHARGES_CATEGORY, Naming, category_of

BATCH_ROWS = 10_000
PRODUCTS_A_BATCH = 500
CODES_MAX = 500_000
SAID_LENGTH_MAX = 2_000

Progress = Callable[[str, int, int | None], None]
"""Hears (what is being done, how far, of how many)."""


class Counts(msgspec.Struct, kw_only=True):
    """What came of the records so far. Amounts in pence; sums over all records, unreadable ones aside, as pounds."""

    rows: int = 0
    value: str = "0"
    order_lines: int = 0
    sold_amount: int = 0
    return_lines: int = 0
    returned_amount: int = 0
    refused: dict[str, int] = {}
    refused_value: str = "0"
    customers: int = 0
    without_customer: int = 0
    repeated: int = 0


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """An import, reconciled. `sound` says that every equation below holds."""

    run: orders.history.ImportRun
    products: int
    counts: Counts
    kept: orders.history.Kept
    resumed_at: int

    @property
    def imported(self) -> int:
        """Records that are in the database as lines of orders or returns."""
        return self.counts.order_lines + self.counts.return_lines

    @property
    def refused(self) -> int:
        """Records that are not."""
        return sum(self.counts.refused.values())

    @property
    def equations(self) -> list[tuple[str, bool]]:
        """What must be equal, and whether it is."""
        counts, kept = self.counts, self.kept
        imported_value = Decimal(counts.sold_amount - counts.returned_amount) / 100
        return [
            (f"{counts.rows} rows read = {self.imported} imported + {self.refused} refused",
             counts.rows == self.imported + self.refused),
            (f"{counts.value} value read = {imported_value} imported + {counts.refused_value} refused",
             Decimal(counts.value) == imported_value + Decimal(counts.refused_value)),
            (f"{kept.order_lines} order lines in the database, worth {_pounds(kept.sold_amount)}",
             (kept.order_lines, kept.sold_amount) == (counts.order_lines, counts.sold_amount)),
            (f"{kept.return_lines} return lines in the database, worth {_pounds(kept.returned_amount)}",
             (kept.return_lines, kept.returned_amount) == (counts.return_lines, counts.returned_amount)),
            (f"{kept.refused} refused rows in the database", kept.refused == self.refused),
        ]  # fmt: skip

    @property
    def sound(self) -> bool:
        """Whether the import adds up."""
        return all(holds for _, holds in self.equations)


async def import_online_retail(
    db: Database,
    path: Path,
    shop_id: ShopId,
    *,
    opening_stock: int = 0,
    progress: Progress = lambda _what, _done, _of: None,
) -> Summary:
    """Import the file into a shop whose currency is the pound; opens its own transactions.

    Products that the shop has already stay as they are. New ones are listed with `opening_stock` pieces (the file
    tells nothing of stock). Repeated with the same file it only tells again what came of it. Refuses `FileRefused`.
    """
    async with db.read() as tx:
        shop = await catalog.get_shop(tx, shop_id)
    if shop.currency != CURRENCY:
        raise FileRefused(reason=f"The file's prices are in {CURRENCY}, the shop's in {shop.currency}")
    fingerprint = hashlib.sha256()
    names, rows = _learn(path, fingerprint.update, progress)
    async with db.tx() as tx:
        run = await orders.history.open_run(tx, shop_id, digest=fingerprint.digest(), name=path.name)
    resumed_at = run.position
    if run.state == "running":
        await _add_products(db, shop, names, opening_stock, progress)
        async with db.read() as tx:
            codes = await catalog.list_codes(tx, shop_id)
        run = await _import_rows(db, path, run, codes, progress, rows)
    await orders.facts.tell_imports(db)
    async with db.read() as tx:
        kept = await orders.history.count_kept(tx, run)
    counts = msgspec.convert(run.counts, Counts)
    return Summary(run=run, products=len(names), counts=counts, kept=kept, resumed_at=resumed_at)


async def write_report(db: Database, summary: Summary, path: Path) -> int:
    """Write the refused records with line and reason as CSV; returns how many."""
    written = after = 0
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        file.write(write_line(["line", "reason", "row"]))
        while True:
            async with db.read() as tx:
                page = await orders.history.list_refused(tx, summary.run.id, after=after)
            if not page:
                return written
            file.writelines(write_line([row.line, row.reason, row.said]) for row in page)
            written += len(page)
            after = page[-1].line


def _learn(path: Path, hear: Callable[[bytes], None], progress: Progress) -> tuple[dict[str, Naming], int]:
    """Names and prices by code, from sales where there are any, else from returns; and how many records there are."""
    sold: dict[str, Naming] = {}
    returned: dict[str, Naming] = {}
    rows = 0
    for record in read(path, hear=hear):
        rows += 1
        if isinstance(record, Deal):
            names = returned if record.is_return else sold
            if record.code not in names:
                if len(names) >= CODES_MAX:
                    raise FileRefused(reason=f"The file has more than {CODES_MAX} product codes")
                names[record.code] = Naming()
            names[record.code].hear(record.description, record.price_amount)
        if rows % 10_000 == 0:
            progress("reading", rows, None)
    progress("reading", rows, rows)
    return {**returned, **sold}, rows


async def _add_products(
    db: Database, shop: catalog.Shop, names: dict[str, Naming], opening_stock: int, progress: Progress
) -> None:
    async with db.read() as tx:
        known = await catalog.list_codes(tx, shop.id)
    missing = [code for code in names if code not in known]
    for start in range(0, len(missing), PRODUCTS_A_BATCH):
        batch = [_product(code, names[code], opening_stock) for code in missing[start : start + PRODUCTS_A_BATCH]]
        async with db.tx() as tx:
            for answer in await catalog.take_in(tx, shop, batch):
                if isinstance(answer, Refusal):
                    raise answer
        progress("products", start + len(batch), len(missing))


def _product(code: str, naming: Naming, opening_stock: int) -> catalog.Row:
    title = catalog.clean_text("title", naming.title(code)[:200], required=True)
    category = category_of(code, title)
    charge = category == CHARGES_CATEGORY
    return catalog.Row(
        code=code,
        product=code,
        title=title,
        category=category,
        state=catalog.ProductState.delisted if charge else catalog.ProductState.listed,
        price_amount=naming.price_amount(),
        stock=0 if charge else opening_stock,
    )


async def _import_rows(
    db: Database,
    path: Path,
    run: orders.history.ImportRun,
    codes: dict[str, tuple[SkuId, ProductId, str]],
    progress: Progress,
    total: int,
) -> orders.history.ImportRun:
    counts = msgspec.convert(run.counts, Counts)
    records = read(path)
    for _ in range(run.position):
        next(records)
    for batch in _batches(records):
        run = await _import_batch(db, run, codes, counts, batch)
        progress("importing", run.position, total)
    async with db.tx() as tx:
        return await orders.history.import_history(
            tx,
            run,
            currency=CURRENCY,
            orders=[],
            returns=[],
            refused=[],
            position=run.position,
            counts=msgspec.to_builtins(counts),
            done=True,
        )


def _batches(records: Iterator[Deal | Refused]) -> Iterator[list[Deal | Refused]]:
    """Cut between invoices where possible, so that an invoice is one order in one transaction."""
    batch: list[Deal | Refused] = []
    invoice = ""
    for record in records:
        own = record.invoice if isinstance(record, Deal) else invoice
        if len(batch) >= BATCH_ROWS and (own != invoice or len(batch) >= 2 * BATCH_ROWS):
            yield batch
            batch = []
        batch.append(record)
        invoice = own
    if batch:
        yield batch


async def _import_batch(
    db: Database,
    run: orders.history.ImportRun,
    codes: dict[str, tuple[SkuId, ProductId, str]],
    counts: Counts,
    batch: list[Deal | Refused],
) -> orders.history.ImportRun:
    async with db.tx() as tx:
        named = {(record.invoice, _buyer(run.shop_id, record)) for record in batch if isinstance(record, Deal)}
        foreign = await orders.history.find_foreign(tx, run, sorted(named))
        judged = [
            Refused(record.line, "imported-before", record.said, _value(record))
            if isinstance(record, Deal) and record.invoice in foreign
            else record
            for record in batch
        ]
        good = [record for record in judged if isinstance(record, Deal)]
        bad = [record for record in judged if isinstance(record, Refused)]
        counts.customers += await identity.add_pseudonyms(tx, _people(run.shop_id, good))
        _count(counts, good, bad)
        return await orders.history.import_history(
            tx,
            run,
            currency=CURRENCY,
            orders=_deals(run.shop_id, codes, [record for record in good if not record.is_return]),
            returns=_deals(run.shop_id, codes, [record for record in good if record.is_return]),
            refused=[orders.history.RefusedRow(record.line, record.reason, _said(record.said)) for record in bad],
            position=run.position + len(batch),
            counts=msgspec.to_builtins(counts),
        )


def _deals(
    shop_id: ShopId, codes: dict[str, tuple[SkuId, ProductId, str]], records: list[Deal]
) -> list[orders.history.PastDeal]:
    deals: dict[tuple[str, AccountId], orders.history.PastDeal] = {}
    for record in records:
        sku_id, product_id, title = codes[record.code]
        key = (record.invoice, _buyer(shop_id, record))
        if key not in deals:
            known = orders.history.UNKNOWN_BUYER if record.customer is None else orders.history.KNOWN_BUYER
            deals[key] = orders.history.PastDeal(*key, record.at, [], known)
        deals[key].lines.append(
            orders.history.PastLine(sku_id, product_id, title, record.quantity, record.price_amount)
        )
    return list(deals.values())


def _people(shop_id: ShopId, records: list[Deal]) -> list[identity.Pseudonym]:
    people: dict[str, identity.Pseudonym] = {}
    for record in records:
        if record.customer is not None and record.customer not in people:
            people[record.customer] = identity.Pseudonym(
                _buyer(shop_id, record), f"Customer {record.customer}", record.at
            )
    return list(people.values())


def _buyer(shop_id: ShopId, record: Deal) -> AccountId:
    """The customer's account, or a guest for this one invoice: nobody knows who it was."""
    return _person(
        shop_id, f"invoice:{record.invoice}" if record.customer is None else f"customer:{record.customer}"
    )


@lru_cache(maxsize=8192)
def _person(shop_id: ShopId, name: str) -> AccountId:
    return AccountId(uuid5(shop_id, name))


def _count(counts: Counts, good: list[Deal], bad: list[Refused]) -> None:
    value = Decimal(counts.value)
    refused_value = Decimal(counts.refused_value)
    seen: set[tuple[str, ...]] = set()
    for record in good:
        amount = record.quantity * record.price_amount
        if record.is_return:
            counts.return_lines += 1
            counts.returned_amount += amount
        else:
            counts.order_lines += 1
            counts.sold_amount += amount
        counts.without_customer += record.customer is None
        counts.repeated += record.said in seen
        seen.add(record.said)
        value += _value(record)
    for refused in bad:
        reason = refused.reason.partition(":")[0]
        counts.refused[reason] = counts.refused.get(reason, 0) + 1
        value += refused.value or 0
        refused_value += refused.value or 0
    counts.rows += len(good) + len(bad)
    counts.value, counts.refused_value = str(value), str(refused_value)


def _value(record: Deal) -> Decimal:
    """Straight from the file's own figures, so that the comparison means something."""
    return Decimal(record.said[3].strip()) * Decimal(record.said[5].strip())


def _said(cells: tuple[str, ...]) -> str:
    text = ",".join(cells).encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
    return text[:SAID_LENGTH_MAX]


def _pounds(amount: int) -> str:
    return str(Money(amount, CURRENCY))


