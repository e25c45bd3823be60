"""Who hears of a case: the other side, and the operators once it is theirs; events for everybody else."""

from laotie import identity, messages
from laotie.aftersales.model import Act, Case, CaseState, Line, Party
from laotie.base.db import Tx
from laotie.base.ids import AccountId, ViewerId
from laotie.events.aftersales import CaseDecided, CaseMoved

OPERATORS_TOLD_MAX = 100
VERDICTS = {Act.decide_for_buyer: "buyer", Act.decide_for_shop: "shop", Act.decide_split: "split"}


async def tell_move(tx: Tx, case: Case, lines: list[Line], *, act: Act, party: Party, before: CaseState | None) -> None:
    """Tell `CaseMoved` (and `CaseDecided`), and give notice to whoever did not do it themselves."""
    if before is not None:
        tx.tell(
            CaseMoved(
                case_id=case.id,
                order_id=case.order_id,
                shop_id=case.shop_id,
                buyer_id=case.buyer_id,
                act=act,
                party=party,
                state_before=before,
                state=case.state,
                due_at=case.due_at,
                moved_at=tx.now,
            )
        )
    overdue = act is Act.time_over and before is CaseState.overdue
    if act in VERDICTS or overdue:
        tx.tell(
            CaseDecided(
                case_id=case.id,
                order_id=case.order_id,
                shop_id=case.shop_id,
                buyer_id=case.buyer_id,
                reason=case.reason,
                verdict=VERDICTS.get(act, "buyer"),
                amount=case.amount,
                currency=case.currency,
                overdue=overdue,
                decided_at=tx.now,
            )
        )
    facts: dict[str, object] = {"title": lines[0].title, "state": case.state, "due_at": case.due_at}
    if party is not Party.buyer or case.state is CaseState.refunded:
        await _notify(tx, [case.buyer_id], f"case_{case.state}", facts, f"/cases/{case.id}")
    if party is not Party.shop:
        seated = await identity.list_seated(tx, case.shop_id, identity.Scope.orders)
        await _notify(tx, seated, "case_for_shop", facts, f"/console/aftersales?open={case.id}")
    if case.state in (CaseState.arbitration, CaseState.overdue):
        operators = await identity.list_with_role(tx, identity.Role.operator, limit=OPERATORS_TOLD_MAX)
        await _notify(tx, operators, f"case_for_operator_{case.state}", facts, f"/console/arbitration?open={case.id}")


async def _notify(tx: Tx, accounts: list[AccountId], kind: str, facts: dict[str, object], link: str) -> None:
    await messages.notify_many(tx, [ViewerId(account) for account in accounts], kind, facts, link)
