"""Whether credentials still work: chosen by each night, asked one after the other at each target, or by hand.

A check is a row: the night marks those that wait for their turn, whoever works takes the turn at the target by
a lease, and what was said is recorded with its finding and its audit row. One that was cut off waits on; it is
found by the next sweep, and asked again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.consumers import References
from vaultcore.database import Database
from vaultcore.errors import ConflictError, NotFoundError, RefusedError, TamperedError, UnreadableError
from vaultcore.ids import new_id
from vaultcore.model import Item, Policy
from vaultcore.vault import Vault
from worker.domain.commands import explain_waiting, quote_word
from worker.domain.credential_checks import (
    BEGUN_MAX,
    UNDISTURBED,
    WAITED_FOR,
    CheckAnswer,
    CheckCandidate,
    CheckOutcome,
    CheckPace,
    CheckStanding,
    again_at,
    choose,
    first_at,
    stand,
    way_back,
)
from worker.domain.findings import FindingKind
from worker.domain.reasons import Code, Reason
from worker.domain.work import AtTarget
from worker.log import get_logger
from worker.outbound import permitted_by
from worker.rotators.catalog import can_ask, find_target
from worker.rows import check_turns as turn_rows
from worker.rows import comparisons as comparison_rows
from worker.rows import consumers as consumer_rows
from worker.rows import credential_checks as check_rows
from worker.rows import findings as finding_rows
from worker.rows import rotations as rotation_rows
from worker.rows import target_capacity as capacity_rows
from worker.rows.credential_checks import DueCheck, LastCheck
from worker.services.rotation.credential_question import CredentialQuestion
from worker.services.rotation.lease import LeasedTurn, LeaseKeeper, Permission
from worker.services.rotation.refused_credentials import can_be_set_anew, find_refused_credential
from worker.services.rotation.target_capacity import TargetCapacity
from worker.services.upkeep.anchors import Anchors

ACTOR = "night"
_log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a check by hand came to. Where it was refused, `users` are the workflows that use the item, and
    `command` is what helps.
    """

    item_id: str
    item: str
    answer: CheckAnswer
    users: tuple[str, ...] = ()
    command: str | None = None


class CredentialChecks:
    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        references: References,
        audit: AuditLog,
        question: CredentialQuestion,
        anchors: Anchors,
        pace: CheckPace,
        leases: LeaseKeeper,
        lease: timedelta,
        target_capacity: TargetCapacity,
        page_size: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._references = references
        self._audit = audit
        self._question = question
        self._anchors = anchors
        self._pace = pace
        self._leases = leases
        self._lease = lease
        self._target_capacity = target_capacity
        self._page_size = page_size
        self._clock = clock

    # By night

    def choose(self, night: datetime) -> None:
        """Marks what is asked of tonight, no more than so many of each target; safe to repeat."""
        now = self._clock()
        with self._database.write() as connection:
            check_rows.leave_others(connection, night)
        if not self._pace.is_on:
            return
        with self._database.read() as reading:
            for page in check_rows.walk_new(reading, page_size=self._page_size):
                first = {one: first_at(one, every=self._pace.every, now=now) for one in page}
                with self._database.write() as connection:
                    check_rows.enrol(connection, first)
        with self._database.read() as reading:
            taken = check_rows.count_chosen(reading, night)
            for due in check_rows.walk_due(reading, now, night=night, page_size=self._page_size):
                standing = {one.item_id: _stand(one, now) for one in due}
                asked = [one for one in due if standing[one.item_id] is CheckStanding.ASK]
                chosen, taken = choose(
                    [
                        CheckCandidate(item_id=one.item_id, target=_name_target(one.item_id, one.policy))
                        for one in asked
                    ],
                    taken,
                    per_target=self._pace.per_target,
                )
                nobody = [one for one, stands in standing.items() if stands is CheckStanding.NOBODY]
                with self._database.write() as connection:
                    check_rows.open_for(connection, night, chosen)
                    check_rows.put_off(connection, nobody, now + self._pace.every)

    def find_ready(self) -> list[str]:
        """The items whose turn it is: of each target that has capacity, and that nobody asks now, the one that
        has waited longest.
        """
        with self._database.read() as connection:
            waiting = check_rows.list_waiting(connection)
            first = {one.target: one.item_id for one in reversed(waiting)}
            now = self._clock()
            busy = turn_rows.list_busy(connection, first, now=now)
            busy |= capacity_rows.list_full(connection, at_once=self._target_capacity.at_once, now=now)
        return [item_id for target, item_id in first.items() if target not in busy]

    def run(self, item_id: str) -> AtTarget | None:
        """Asks of one that waits. Whose turn it is at that target then; None: nothing was asked, since it does
        not wait any more, or somebody is at its target.
        """
        self._anchors.refuse_older()
        with self._database.write() as connection:
            waiting = check_rows.find_waiting(connection, item_id)
            turn = None if waiting is None else self._take_turn(connection, item_id, waiting.target)
            begun = 0 if turn is None else check_rows.begin(connection, item_id)
        if turn is None:
            return None
        try:
            self._run(turn, begun)
        except ConflictError as error:
            _log.warning("check.conflict", item_id=item_id, problem=str(error))
            return None
        return self._target_capacity.find_next(turn.target, ended=1)

    def is_waiting(self, connection: Connection, night: datetime, *, since: datetime) -> bool:
        """Whether the night waits for its checks. What was not asked in hours is left to the next."""
        if self._clock() - since >= WAITED_FOR:
            check_rows.leave_night(connection, night)
        return check_rows.is_waiting(connection, night)

    def count(self, connection: Connection, night: datetime, *, since: datetime) -> dict[str, int]:
        """What a night has asked, and how often it was refused; nothing where it asked nothing."""
        found = check_rows.count_outcomes(connection, night, since=since)
        return {"checked": sum(found.values()), "refused": found.get(CheckOutcome.REFUSED, 0)} if found else {}

    # By hand

    def check_now(self, name: str, *, actor: str) -> Checked:
        """Asks at a person's word, whenever it was asked last. `RefusedError` where the answer would mean
        nothing, `ConflictError` while somebody else asks at the same target.
        """
        self._anchors.refuse_older()
        with self._database.write() as connection:
            item = self._vault.get(connection, name)
            self._refuse_senseless(connection, item)
            target = _name_target(item.id, item.policy)
            turn = self._take_turn(connection, item.id, target)
        if turn is None:
            raise ConflictError(f"others are checked or replaced at {target} just now: try again in a moment")
        answer = self._ask(turn, item, actor=actor)
        recorded = self._record(turn, item, answer, actor=actor)
        if not recorded:
            raise ConflictError(f"{item.name} was replaced while it was checked: check it again")
        if answer.outcome is not CheckOutcome.REFUSED:
            return Checked(item_id=item.id, item=item.name, answer=answer)
        with self._database.read() as connection:
            users = tuple(one.name for one in consumer_rows.consumers_of(connection, item.id))
            command = way_back(
                item.name,
                can_set_anew=can_be_set_anew(connection, self._references, item.id, item.policy),
                lifetime=item.policy.lifetime,
            )
        return Checked(item_id=item.id, item=item.name, answer=answer, users=users, command=command)

    # Inside

    def _run(self, turn: LeasedTurn, begun: int) -> None:
        item, asks = None, False
        try:
            with self._database.read() as connection:
                item = self._vault.get(connection, turn.item_id)
                asks = self._may_ask(connection, item)
        except NotFoundError:
            with self._database.write() as connection:
                check_rows.forget(connection, turn.item_id)
        except (UnreadableError, TamperedError):  # the scan, or the check of all rows, makes a finding of it
            _log.error("check.unreadable", item_id=turn.item_id)
        if item is None or not asks:
            with self._database.write() as connection:
                check_rows.leave_item(connection, turn.item_id)
                turn_rows.give_back(connection, turn.target, turn.holder)
            return
        if begun > BEGUN_MAX:
            cut_off = Reason.of(Code.CHECK_CUT_OFF, number=BEGUN_MAX)
            answer = CheckAnswer(outcome=CheckOutcome.CANNOT_TELL, detail=cut_off)
        else:
            answer = self._ask(turn, item, actor=ACTOR)
        self._record(turn, item, answer, actor=ACTOR)

    def _ask(self, turn: LeasedTurn, item: Item, *, actor: str) -> CheckAnswer:
        permission = Permission(self._database, turn, clock=self._clock)
        try:
            with self._leases.hold(turn, self._lease), permitted_by(permission.check):
                return self._question.ask(item, actor=actor)
        except (KeyboardInterrupt, SystemExit):  # told to stop: unless a call is under way, the next may ask
            if not permission.has_acted:
                with self._database.write() as connection:
                    turn_rows.give_back(connection, turn.target, turn.holder)
            raise

    def _record(self, turn: LeasedTurn, item: Item, answer: CheckAnswer, *, actor: str) -> bool:
        """What was said, its finding and its audit row, in one transaction. False: the value is another by now,
        or a rotation is at it, so that it says nothing of what there is.
        """
        now = self._clock()
        with self._database.write() as connection:
            if not turn_rows.is_held(connection, turn.target, turn.holder, now=now, lock=True):
                raise ConflictError(f"{turn.name} was taken over by another worker")
            turn_rows.give_back(connection, turn.target, turn.holder)
            try:
                current = self._vault.get(connection, item.id, lock=True)
            except NotFoundError:
                check_rows.forget(connection, item.id)
                return False
            if current.version != item.version or not self._may_ask(connection, current):
                check_rows.leave_item(connection, item.id)
                return False
            self._write(connection, current, answer, now)
            if answer.outcome is CheckOutcome.UNREACHABLE:
                check_rows.leave_target(connection, turn.target)
            self._audit.append(
                connection,
                at=now,
                actor=actor,
                action="item.check",
                subject=item.id,
                version=item.version,
                outcome=answer.outcome.value,
            )
        _log.info("check.done", item=item.name, item_id=item.id, outcome=answer.outcome.value)
        return True

    def _write(self, connection: Connection, item: Item, answer: CheckAnswer, now: datetime) -> None:
        away = answer.outcome is CheckOutcome.UNREACHABLE
        outages = check_rows.count_outages(connection, item.id) + 1 if away else 0
        next_at = again_at(answer.outcome, outages=outages, every=self._pace.every, now=now)
        check_rows.record(
            connection,
            item.id,
            answer,
            number=item.version or 0,
            outages=outages,
            now=now,
            next_at=next_at,
        )
        if answer.outcome is CheckOutcome.REFUSED:
            last = LastCheck(
                number=item.version or 0,
                outcome=answer.outcome,
                detail=answer.detail,
                checked_at=now,
                next_at=next_at,
            )
            found = find_refused_credential(
                connection, self._references, item_id=item.id, name=item.name, policy=item.policy, check=last
            )
            finding_rows.record(connection, found, now)
        elif answer.outcome is CheckOutcome.ACCEPTED:
            finding_rows.resolve(connection, FindingKind.REFUSED, item.id, now)

    def _take_turn(self, connection: Connection, item_id: str, target: str) -> LeasedTurn | None:
        now = self._clock()
        turn = LeasedTurn(target=target, holder=new_id("trn", now), item_id=item_id)
        taken = turn_rows.take(
            connection,
            target,
            item_id=item_id,
            holder=turn.holder,
            now=now,
            lease=self._lease,
            at_once=self._target_capacity.at_once,
        )
        return turn if taken else None

    def _may_ask(self, connection: Connection, item: Item) -> bool:
        """Whether an answer would say something of the value that there is."""
        rotation = rotation_rows.find_open_rotation(connection, item.id)
        rotating = rotation is not None and rotation.state not in UNDISTURBED
        return (
            item.version is not None and not rotating and comparison_rows.find_open(connection, item.id) is None
        )

    def _refuse_senseless(self, connection: Connection, item: Item) -> None:
        if item.version is None:
            raise RefusedError(explain_waiting(item, self._clock()))
        rotation = rotation_rows.find_open_rotation(connection, item.id)
        if rotation is not None and rotation.state not in UNDISTURBED:
            raise RefusedError(
                f"{item.name} is being replaced, and tested by that: nightkey rotation show {rotation.id}"
            )
        if comparison_rows.find_open(connection, item.id) is not None:
            raise RefusedError(
                f"{item.name} is to be compared with its target since the restore: "
                f"nightkey reconcile run {quote_word(item.name)}"
            )


def _stand(due: DueCheck, now: datetime) -> CheckStanding:
    return stand(
        asks=can_ask(due.policy),
        has_value=due.number is not None,
        expires_at=due.expires_at,
        rotating=due.rotating,
        differs=due.differs,
        now=now,
    )


def _name_target(item_id: str, policy: Policy) -> str:
    """Where one asks at a time: the target system, or the item alone where its rotator names none."""
    return (find_target(policy) or item_id)[:300]
