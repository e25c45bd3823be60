"""The rule of stacking, as versioned data: what may be combined is an operator's to say, and every use names its version."""

from psycopg.types.json import Jsonb

from laotie import identity
from laotie.base.db import Tx
from laotie.identity import Actor
from laotie.offers import rows
from laotie.offers.model import COUPONS_PER_PURCHASE_MAX, LAYERS, Layer, Rule, RuleRefused


async def get_rule(tx: Tx) -> Rule:
    """The rule that stands."""
    return rows.rule_of((await tx.tuples(rows.LATEST_RULE))[0])


async def set_rule(tx: Tx, actor: Actor, *, most: dict[Layer, int], exclusions: list[tuple[Layer, Layer]]) -> Rule:
    """Make the next version. Operators may. The same as now changes nothing. Refuses `RuleRefused`."""
    maker_id = actor.require_operator()
    if set(most) != set(LAYERS) or not all(0 <= count <= COUPONS_PER_PURCHASE_MAX for count in most.values()):
        raise RuleRefused()
    pairs = sorted({(one, other) if one < other else (other, one) for one, other in exclusions if one is not other})
    await tx.run("LOCK TABLE offers.rule IN SHARE ROW EXCLUSIVE MODE")
    now = await get_rule(tx)
    if now.most == most and sorted(now.exclusions) == pairs:
        return now
    await tx.run(
        """
        INSERT INTO offers.rule (version, most, exclusions, made_by, made_at)
        VALUES (%(version)s, %(most)s, %(exclusions)s, %(made_by)s, %(now)s)
        """,
        version=now.version + 1,
        most=Jsonb(most),
        exclusions=Jsonb(pairs),
        made_by=maker_id,
        now=tx.now,
    )
    await identity.record(tx, actor, "stacking-rule.made", subject=str(now.version + 1))
    return await get_rule(tx)
