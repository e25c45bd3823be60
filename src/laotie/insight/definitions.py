"""Every number's definition, and every measure, put together from the modules that own them.

A new module of measures is a line in `MODULES`. The SQL that is shown is made from the expression that is run.
"""

from functools import cache
from types import ModuleType

import ibis
import ibis.expr.types as ir

from laotie.insight import (
    acquisition,
    explain,
    funnel,
    goals,
    growth,
    identities,
    lifetime,
    purpose,
    repurchase,
    rollups,
    steps,
    surfaces,
    terms,
)
from laotie.insight.engine import empty
from laotie.insight.model import ROLLUPS, Definition, Measure
from laotie.insight.rollups import Rolled
from laotie.insight.watch import USUAL_ZONE

MODULES: tuple[ModuleType, ...] = (
    terms, identities, rollups, surfaces, purpose, acquisition, lifetime, funnel, growth, goals, explain, steps, repurchase,
)  # fmt: skip

DEFINITIONS: dict[str, Definition] = {one.key: one for module in MODULES for one in module.DEFINITIONS}
MEASURES: dict[str, Measure] = {one.name: one for module in MODULES for one in module.MEASURES}


Computed = Rolled
"""Tables of some days: what measures are asked of."""


class Named:
    """Tables without an engine behind them, to show what is asked of one."""

    zone = USUAL_ZONE

    def __getitem__(self, name: str) -> ir.Table:
        if name in ROLLUPS:
            return ibis.table(ROLLUPS[name], name=name)
        return ibis.table(ibis.Schema.from_pyarrow(empty(name).schema), name=name)


@cache
def sql_of(name: str) -> str:
    """A measure's query, as DuckDB is asked it: over the lake's topics, and roll-ups that have a measure of their own."""
    return str(ibis.to_sql(MEASURES[name].compute(Named()), dialect="duckdb"))
