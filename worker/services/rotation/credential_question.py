"""Asks the other side of one item whether it still accepts the current value. Nothing is changed by it.

What says yes is believed where the same check has refused a made-up value; what says no, when it says so twice.
"""

from vaultcore.errors import Cause, ConflictError, NightkeyError, TargetError, TroubleError
from vaultcore.model import Item, Stage
from vaultcore.versions import Purpose
from worker.domain.checks import Sight
from worker.domain.credential_checks import CheckAnswer, CheckOutcome
from worker.domain.reasons import Code, Reason
from worker.log import get_logger
from worker.rotators.catalog import can_ask, find_target
from worker.services.rotation.counter_checks import CounterChecks
from worker.services.rotation.jobs import Jobs
from worker.services.rotation.refusals import find_refusal

_log = get_logger(__name__)
_UNSEEN = {Sight.BLIND: Code.CHECK_BLIND, Sight.UNKNOWN: Code.CHECK_UNSHOWN}


class CredentialQuestion:
    def __init__(self, *, jobs: Jobs, counter_checks: CounterChecks) -> None:
        self._jobs = jobs
        self._counter_checks = counter_checks

    def ask(self, item: Item, *, actor: str) -> CheckAnswer:
        """`ConflictError` for who may ask no longer, and what the database lacks; nothing else is raised."""
        target = find_target(item.policy)
        if not can_ask(item.policy):
            code = Code.CHECK_NO_ROTATOR if item.policy.rotator is None else Code.WORKS_HERE
            return _answer(CheckOutcome.CANNOT_TELL, code, item, target)
        try:
            return self._ask_rotator(item, target, actor)
        except (ConflictError, TroubleError):
            raise
        except TargetError as error:
            if error.cause is Cause.OUTAGE:
                return _answer(CheckOutcome.UNREACHABLE, Code.CHECK_AWAY, item, target, text=str(error))
            return _answer(CheckOutcome.CANNOT_TELL, Code.CHECK_FAILED, item, target, text=str(error))
        except NightkeyError as error:
            return _answer(CheckOutcome.CANNOT_TELL, Code.CHECK_FAILED, item, target, text=str(error))
        except Exception as error:  # noqa: BLE001  # one bad rotator never stops the others
            _log.error("check.unexpected", item=item.name, item_id=item.id, error=type(error).__name__)
            return _answer(
                CheckOutcome.CANNOT_TELL, Code.ASKING_FAILED, item, target, error=type(error).__name__
            )

    def _ask_rotator(self, item: Item, target: str | None, actor: str) -> CheckAnswer:
        name = item.policy.rotator or ""
        rotator = self._jobs.load_rotator(name)
        question = self._jobs.make_question(
            item, rotation=None, actor=actor, purpose=Purpose.CHECK, stages=[Stage.CURRENT]
        )
        ((_, value),) = question.values
        refusal = find_refusal(rotator, question.job, value)
        if refusal is not None:
            return _answer(CheckOutcome.REFUSED, Code.CHECK_REFUSED, item, target, text=str(refusal))
        sight = self._counter_checks.of_verification(name, rotator, question.job, value)
        if sight is not Sight.SEES:
            return _answer(CheckOutcome.CANNOT_TELL, _UNSEEN[sight], item, target)
        return _answer(CheckOutcome.ACCEPTED, Code.CHECK_ACCEPTED, item, target)


def _answer(
    outcome: CheckOutcome,
    code: Code,
    item: Item,
    target: str | None,
    *,
    text: str | None = None,
    error: str | None = None,
) -> CheckAnswer:
    detail = Reason.of(code, target=target, version=item.version, text=text, error=error)
    return CheckAnswer(outcome=outcome, detail=detail, target=target)
