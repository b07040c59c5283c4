"""After a restore: each item is compared with its target before anything of it is rotated or revoked.

The target is asked which of the values here it accepts, and what of ours exists there that is unknown here.
Nothing is changed by that, here or there. What agrees goes on; what differs waits for a person.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.database import Database
from vaultcore.errors import NotFoundError, RefusedError, TamperedError, UnreadableError
from vaultcore.model import Item
from vaultcore.vault import Vault
from worker.domain.commands import quote_word, replace_command
from worker.domain.drift import DIFFERS, OWNERS_LOOK, RESOLVED, Judgement, Result
from worker.domain.findings import FindingKind, find_of_item
from worker.domain.notice_kinds import NoticeKind
from worker.domain.reasons import Code, Reason
from worker.rows import comparisons as comparison_rows
from worker.rows import findings as finding_rows
from worker.rows import rotations as rotation_rows
from worker.rows.comparisons import NamedComparison, StoredComparison
from worker.services.notices.outbox import Outbox
from worker.services.rotation.target_search import TargetSearch
from worker.wording.reasons import say

_AGAIN = timedelta(minutes=10)
_LATER = timedelta(hours=12)
"""When what differs is looked at once more, unless a rotation or a person asks before."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One item and what came of it."""

    item_id: str
    item: str
    result: Result
    detail: Reason


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Why a rotation must not act now: until it is asked again, or, without a time, until a person decides."""

    why: Reason
    again_at: datetime | None


class Comparison:
    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        audit: AuditLog,
        target_search: TargetSearch,
        outbox: Outbox,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit
        self._target_search = target_search
        self._outbox = outbox
        self._clock = clock

    def compare_due(self, tell: Callable[[Compared], None] = lambda _: None) -> list[Compared]:
        """Compares whatever waits for it, one item after the other; several processes share the work.

        A target that was away is not asked again for the next of its items: that waits for the next time.
        """
        done: list[Compared] = []
        away: dict[str, Reason] = {}
        with self._database.read() as connection:
            if not comparison_rows.is_due(connection, self._clock()):
                return done
        while True:
            with self._database.write() as connection:
                item_id = comparison_rows.lease_next(connection, self._clock(), pause=_AGAIN)
            if item_id is None:
                break
            compared = self.compare(item_id, away=away)
            if compared is not None:
                done.append(compared)
                tell(compared)
        self._tell_operators(done)
        return done

    def compare_now(self, names: Sequence[str] | None) -> list[Compared]:
        """At a person's word, however lately it was tried: these items, or all that are not resolved."""
        with self._database.read() as connection:
            if names is None:
                ids = list(comparison_rows.list_open(connection))
            else:
                ids = [self._vault.get(connection, name).id for name in names]
                for name, item_id in zip(names, ids, strict=True):
                    if comparison_rows.find_open(connection, item_id) is None:
                        raise RefusedError(f"{name} waits for no comparison: `nightkey reconcile list`")
        away: dict[str, Reason] = {}
        found = [self.compare(item_id, away=away) for item_id in ids]
        done = [one for one in found if one is not None]
        self._tell_operators(done)
        return done

    def compare(self, item_id: str, *, away: dict[str, Reason] | None = None) -> Compared | None:
        """Asks the target of one item and writes down what came of it. None: the item is gone.

        `away`: targets that did not answer, by what they said; added to here.
        """
        item, problem = None, ""
        try:
            with self._database.read() as connection:
                item = self._vault.get(connection, item_id)
                rotation = rotation_rows.find_open_rotation(connection, item_id)
        except NotFoundError:
            pass
        except UnreadableError as error:
            problem = str(error)
        if problem:
            name = item_id if item is None else item.name
            return self._record(
                item_id, name, Judgement(result=Result.CANNOT_ASK, detail=Reason.failed(problem))
            )
        if item is None:
            with self._database.write() as connection:
                comparison_rows.forget(connection, item_id)
            return None
        return self._record(
            item_id, item.name, self._target_search.ask(item, rotation, {} if away is None else away)
        )

    def hold(self, item: Item) -> Hold | None:
        """Whether a rotation of the item must wait; it is compared now if that has not led to anything yet.

        Asked before each step, so that what was under way in the copy does not go on by itself.
        """
        with self._database.read() as connection:
            if comparison_rows.find_open(connection, item.id) is None:
                return None
        compared = self.compare(item.id)
        if compared is None or compared.result in RESOLVED:
            return None
        if compared.result in DIFFERS:
            self._tell_operators([compared])
            return Hold(why=_explain(item.name, compared.detail), again_at=None)
        why = Reason.of(Code.TO_BE_COMPARED, detail=compared.detail)
        return Hold(why=why, again_at=self._clock() + _AGAIN)

    def refuse_differing(self, connection: Connection, item: Item) -> None:
        """Before a rotation is opened: one whose item differs would only get stuck."""
        found = comparison_rows.find_open(connection, item.id)
        if found is not None and found.result in DIFFERS:
            raise RefusedError(say(_explain(item.name, found.detail)))

    def is_open(self, connection: Connection, item_id: str) -> bool:
        """Whether nothing of the item may be revoked or destroyed yet."""
        return comparison_rows.find_open(connection, item_id) is not None

    def accept(self, name: str, *, actor: str) -> Compared:
        """A person has looked: what the vault holds is what it goes on with."""
        now = self._clock()
        with self._database.write() as connection:
            item = self._vault.get(connection, name)
            found = comparison_rows.find(connection, item.id)
            if found is None or (found.resolved_at is not None and found.result not in OWNERS_LOOK):
                raise RefusedError(f"{item.name} waits for no comparison: there is nothing to accept")
            comparison_rows.resolve(connection, item.id, at=now, by=actor)
            finding_rows.resolve(connection, FindingKind.DRIFTED, item.id, now)
            self._audit.append(
                connection, at=now, actor=actor, action="vault.accept", subject=item.id, result=found.result
            )
        return Compared(item_id=item.id, item=item.name, result=_result(found), detail=found.detail)

    def list_all(self) -> list[NamedComparison | TamperedError]:
        """Every item that was in the vault when it was put back, and what came of it; in the place of what was
        edited, the error that says so.
        """
        with self._database.read() as connection:
            return comparison_rows.list_all(connection)

    # Inside

    def _record(self, item_id: str, name: str, judged: Judgement) -> Compared:
        now = self._clock()
        with self._database.write() as connection:
            again = _LATER if judged.result in DIFFERS else _AGAIN
            comparison_rows.record(connection, item_id, judged, now=now, next_at=now + again)
            if judged.result in DIFFERS | OWNERS_LOOK:
                self._tell(connection, item_id, name, judged)
            elif judged.result in RESOLVED:
                finding_rows.resolve(connection, FindingKind.DRIFTED, item_id, now)
        return Compared(item_id=item_id, item=name, result=judged.result, detail=judged.detail)

    def _tell(self, connection: Connection, item_id: str, name: str, judged: Judgement) -> None:
        """A finding that stays until it agrees or a person accepts it; owners hear at once of a difference."""
        now = self._clock()
        command = f"nightkey reconcile accept {quote_word(name)}"
        differs = judged.result in DIFFERS
        finding = find_of_item(
            FindingKind.DRIFTED,
            item_id,
            name,
            level=2 if differs else 1,
            detail=Reason.of(Code.AFTER_RESTORE, detail=judged.detail),
            does=Reason.of(Code.DOES_NOTHING, why=Reason.of(Code.NOT_BEFORE_IT_AGREES)) if differs else None,
            command=command,
        )
        topic = finding_rows.record(connection, finding, now)
        restoration = comparison_rows.last_restoration(connection)
        if not differs or restoration is None:
            return
        told = self._outbox.tell_owners(
            connection,
            item_id,
            kind=NoticeKind.DRIFTED,
            dedupe_key=f"drifted:{restoration.id}:{item_id}:{judged.result.value}",
            data={
                "item": name,
                "detail": judged.detail,
                "made_at": restoration.made_at,
                "update": replace_command(name, None),
                "rotate": f"nightkey item rotate {quote_word(name)}",
                "accept": command,
            },
        )
        finding_rows.mark_told(connection, [(owner_id, topic, 2) for owner_id in told], night=None, now=now)

    def _tell_operators(self, done: Sequence[Compared]) -> None:
        """Once for each item and result: what a whole restore left differing."""
        differing = [one for one in done if one.result in DIFFERS]
        if not differing:
            return
        with self._database.write() as connection:
            restoration = comparison_rows.last_restoration(connection)
            if restoration is None:
                return
            first = differing[0]
            self._outbox.tell_operators(
                connection,
                kind=NoticeKind.RESTORED,
                dedupe_key=f"restored:{restoration.id}:{first.item_id}:{first.result.value}:{len(differing)}",
                data={
                    "at": restoration.at,
                    "made_at": restoration.made_at,
                    "differing": [
                        Reason.of(Code.DIFFERS_THERE, item=one.item, detail=one.detail) for one in differing
                    ],
                },
            )


def _result(stored: StoredComparison) -> Result:
    """What is stored; a word that none of us wrote says as much as no answer."""
    return Result(stored.result) if stored.result in list(Result) else Result.CANNOT_ASK


def _explain(name: str, detail: Reason) -> Reason:
    command = f"nightkey reconcile accept {quote_word(name)}"
    return Reason.of(Code.DIFFERS, item=name, detail=detail, command=command)
