"""What the broker's channels have set aside, told: counted in a row, and to the operators once a day."""

from collections.abc import Callable, Mapping
from datetime import datetime

from vaultcore.database import Database
from worker.domain.messages import MessageFault
from worker.domain.notice_kinds import NoticeKind
from worker.domain.problems import ProblemKind
from worker.rows import messages as message_rows
from worker.rows.problems import read_set_aside
from worker.services.notices.outbox import Outbox


class ForeignMessages:
    def __init__(self, *, database: Database, outbox: Outbox, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock

    def tell(self, counts: Mapping[MessageFault, int]) -> None:
        """Somebody else may write to the broker: with the first of a day the operators hear of it at once; the
        night, and `status`, say how many there were. The same of what nobody took in time; but no night fails
        by that.
        """
        now = self._clock()
        with self._database.write() as connection:
            day = message_rows.add(connection, counts, now=now)
            for problem in read_set_aside(connection, since=now):
                self._outbox.tell_operators(
                    connection,
                    kind=NoticeKind.MESSAGES_SET_ASIDE,
                    dedupe_key=f"messages:{problem.kind}:{day:%Y-%m-%d}",
                    data={
                        "problem": problem,
                        "left_over": problem.kind is ProblemKind.LEFT_OVER,
                    },
                )
