"""What an insight endpoint answers, as a file: `?format=csv` or `?format=parquet` of exactly the rows that are shown.

A handler makes its view and the flat rows of it, and gives both to `give`. `x_amount`, minor units, is the column `x` in
whole units in CSV (as in `web.exports`) and stays `x_amount` beside `currency` in Parquet. Text is guarded in CSV alone.
"""

import io
import types
import typing
from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar, cast
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from litestar import Response
from litestar.params import QueryParameter

from laotie.base.cells import BYTE_ORDER_MARK, write_line
from laotie.base.db import encode
from laotie.web.exports import cells_of, columns_of

T = TypeVar("T")
PARQUET = "application/vnd.apache.parquet"


class FigureForm(StrEnum):
    """How figures are written."""

    json = "json"
    csv = "csv"
    parquet = "parquet"


InFigureForm = Annotated[
    FigureForm,
    QueryParameter(name="format", description="JSON, or the rows as a file: CSV for spreadsheets, Parquet for analysis."),
]

_KINDS: dict[Any, pa.DataType] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    date: pa.date32(),
    datetime: pa.timestamp("us", "UTC"),
}


def give(form: FigureForm, answer: T, rows: Sequence[msgspec.Struct], row: type[msgspec.Struct], *, name: str) -> Response[T]:
    """The answer itself, or its rows as a file called `name`. `row` says the columns, also where there are no rows."""
    if form is FigureForm.json:
        return Response(answer, headers={"cache-control": "no-store"})
    body, kind = (write_csv(rows, row), "text/csv") if form is FigureForm.csv else (write_parquet(rows, row), PARQUET)
    headers = {"content-disposition": f'attachment; filename="{name}.{form}"', "cache-control": "no-store"}
    return cast("Response[T]", Response(body, media_type=kind, headers=headers))


def write_csv(rows: Sequence[msgspec.Struct], row: type[msgspec.Struct]) -> bytes:
    """A head and a line a row, as spreadsheets read it."""
    lines = [write_line(columns_of(row)), *(write_line(cells_of(one)) for one in rows)]
    return (BYTE_ORDER_MARK + "".join(lines)).encode()


def write_parquet(rows: Sequence[msgspec.Struct], row: type[msgspec.Struct]) -> bytes:
    """The same rows with their types; ids are text."""
    hints = typing.get_type_hints(row)
    schema = pa.schema([pa.field(name, _kind_of(hints[name])) for name in row.__struct_fields__])
    columns = [pa.array([_plain(getattr(one, field.name)) for one in rows], field.type) for field in schema]
    file = io.BytesIO()
    pq.write_table(pa.table(columns, schema=schema), file, compression="zstd")
    return file.getvalue()


def _kind_of(hint: Any) -> pa.DataType:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(one for one in typing.get_args(hint) if one is not type(None))
    hint = getattr(hint, "__supertype__", hint)
    return _KINDS.get(hint, pa.string())


def _plain(value: Any) -> Any:
    match value:
        case UUID():
            return str(value)
        case list() | dict():
            return encode(value).decode()
        case _:
            return value
