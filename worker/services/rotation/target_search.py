"""Asks the target of one item which of the values here it accepts, and what of ours exists there besides.

Nothing is changed by it, here or there; what it cannot find out is an answer, too.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from vaultcore.database import Database
from vaultcore.errors import Cause, NightkeyError, NotFoundError, TargetError
from vaultcore.model import Item, Kind
from vaultcore.secret import Secret
from worker.domain.drift import Asked, Judgement, Result, judge
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation
from worker.log import get_logger
from worker.rotators.base import Outside, Rotator, asks_nobody
from worker.rotators.catalog import find_target, parse_settings
from worker.rows import rotations as rotation_rows
from worker.services.rotation.jobs import Jobs, TargetQuestion
from worker.services.rotation.refusals import find_refusal

_log = get_logger(__name__)
ACTOR = "restore"
_LABEL = "nightkey-"


class TargetSearch:
    def __init__(self, *, database: Database, jobs: Jobs) -> None:
        self._database = database
        self._jobs = jobs

    def ask(self, item: Item, rotation: Rotation | None, away: dict[str, Reason]) -> Judgement:
        """`rotation`: the item's open one. `away`: targets that did not answer before, by what they said;
        they are not asked again, and one that does not answer now is added.
        """
        if item.kind is Kind.API_KEY:
            is_made = rotation is not None and rotation.new_number is not None
            detail = Reason.of(Code.KEY_UNDER_WAY) if is_made else Reason.of(Code.KEYS_UNKNOWN)
            return Judgement(result=Result.CANNOT_ASK if is_made else Result.NOT_ASKED, detail=detail)
        if item.policy.rotator is None:
            return Judgement(result=Result.NOT_ASKED, detail=Reason.of(Code.NO_ROTATOR))
        target = find_target(item.policy)
        if target is not None and target in away:
            return Judgement(result=Result.UNREACHABLE, detail=away[target])
        try:
            return self._ask_rotator(item, rotation)
        except TargetError as error:
            said = Reason.failed(str(error))
            if error.cause is Cause.OUTAGE:
                if target is not None:
                    away[target] = said
                return Judgement(result=Result.UNREACHABLE, detail=said)
            return Judgement(result=Result.CANNOT_ASK, detail=said)
        except NightkeyError as error:
            return Judgement(result=Result.CANNOT_ASK, detail=Reason.failed(str(error)))
        except Exception as error:  # noqa: BLE001  # one bad rotator never stops the others
            _log.error("compare.unexpected", item=item.name, item_id=item.id, error=type(error).__name__)
            said = Reason.of(Code.ASKING_FAILED, error=type(error).__name__)
            return Judgement(result=Result.CANNOT_ASK, detail=said)

    def _ask_rotator(self, item: Item, rotation: Rotation | None) -> Judgement:
        rotator = self._jobs.load_rotator(item.policy.rotator or "")
        if asks_nobody(rotator, parse_settings(item.policy.rotator or "", item.policy.settings)):
            return Judgement(result=Result.HERE_ALONE, detail=Reason.of(Code.WORKS_HERE))
        question = self._jobs.make_question(item, rotation=rotation, actor=ACTOR)
        asked, accepted = [], []
        for version, value in question.values:
            takes = find_refusal(rotator, question.job, value) is None
            asked.append(Asked(number=version.number, stage=version.stage, accepted=takes))
            accepted += [value] if takes else []
        unknown = self._find_unknown(item, rotator, question, accepted)
        return judge(
            asked, unknown, overlaps=rotator.overlaps(question.job.settings), rotating=rotation is not None
        )

    def _find_unknown(
        self, item: Item, rotator: Rotator, question: TargetQuestion, accepted: Sequence[Secret]
    ) -> list[str] | None:
        """What exists outside, bears a label of ours or none, and is nothing that the vault knows of; None
        where that cannot be listed.
        """
        ask = getattr(rotator, "list_outside", None)
        found: list[Outside] | None = None if ask is None else ask(question.job, accepted)
        if found is None:
            return None
        others = [one for one in found if one.id not in question.known]
        with self._database.read() as connection:
            return [_show(one) for one in others if self._is_ours(connection, item, one)]

    def _is_ours(self, connection: Connection, item: Item, one: Outside) -> bool:
        """Not what somebody else made there, nor what a rotation of another item did."""
        if one.label is None:
            return True
        if not one.label.startswith(_LABEL):
            return False
        try:
            known = rotation_rows.get_rotation(connection, one.label.removeprefix(_LABEL))
        except NotFoundError:
            return True
        return known.item_id == item.id


def _show(one: Outside) -> str:
    return one.id if one.label is None else f"{one.id} ({one.label})"
