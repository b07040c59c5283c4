"""Undoing at a service that tells ids rightly, wrongly or not at all: nobody else's is revoked, and what may be
left outside is told with its label.
"""

from dataclasses import replace

import pytest

from nightkey_demo.loopback import Answer, Incoming
from tests.http_rotator import ROTATOR, make_job
from tests.numbered import NumberedTokens
from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from worker.rotators.base import Candidate

OLD, THEIRS, NEW = 1, 2, 3
LABEL = "nightkey-rot_1"
TOLD = {"whole": NEW, "the old one's id": OLD, "another's id": THEIRS, "lost": None}
BLIND = {("no find", "no id asked", "another's id", "right"), ("no find", "id asked", "another's id", "wrong")}
"""Nothing could contradict what was told with a value that works: it is believed, and what came is told."""


class Losing(NumberedTokens):
    """`losing`: it does what is asked, and the answer is lost."""

    losing = ""

    def respond(self, incoming: Incoming) -> Answer:
        answer = super().respond(incoming)
        if incoming.method == self.losing:
            self.losing = ""
            return Answer(status=504)
        return answer


def undo(job):
    """What it failed with, if it did."""
    try:
        ROTATOR.undo(job)
    except TargetError as error:
        return error
    return None


@pytest.mark.parametrize("works", [True, False], ids=["accepted", "refused"])
@pytest.mark.parametrize("answer", TOLD)
@pytest.mark.parametrize(
    ("verify", "use"), [("id asked", "right"), ("no id asked", "right"), ("id asked", "wrong")]
)
@pytest.mark.parametrize("search", ["find", "no find"])
@pytest.mark.parametrize("repeated", ["once", "after a lost answer"])
def test_undoing_takes_away_its_own_or_says_what_may_be_left(search, verify, use, answer, works, repeated):
    """`use` is wrong: the service takes the new value for another's."""
    told = TOLD[answer]
    wrong = {NEW: THEIRS} if use == "wrong" else {}
    with Losing(issued=lambda number: told or number, used=lambda number: wrong.get(number, number)) as service:
        settings = service.describe(
            **({} if search == "find" else {"find": None}),
            **({} if verify == "id asked" else {"verify_id": None}),
        )
        old = Secret(service.issue())
        service.issue("of another team")
        job = replace(
            make_job(service, old=old, settings=settings, external={"id": OLD}), unanswered=told is None
        )
        made = _ask(service, job)
        new = service.live[NEW][1]
        service.deaf = set() if works else {new}
        if told is not None:
            job = replace(job, new=made.value, new_external=made.external)
        failures = []
        if repeated != "once":
            service.losing = "DELETE"
            failures.append(undo(job))
        failures.append(undo(job))
        blind = (search, verify, answer, use) in BLIND and works
        assert OLD in service.live
        assert THEIRS in service.live or blind
        gone = NEW not in service.live
        for failure in failures:
            assert failure is None or LABEL in str(failure) or failure.cause is Cause.OUTAGE
        if not gone:
            assert failures[-1] is not None, "it is left outside, and nobody is told"
            assert LABEL in str(failures[-1]), str(failures[-1])
        if search == "find":
            assert gone, str(failures[-1])


def _ask(service: Losing, job) -> Candidate | None:
    if job.unanswered:
        service.losing = "POST"
    try:
        return ROTATOR.create(job)
    except TargetError:
        assert job.unanswered
        return None


@pytest.mark.parametrize("labels", ["filtered", "told"])
@pytest.mark.parametrize("told", [NEW, None], ids=["told", "not told"])
def test_what_its_use_calls_as_another_s_is_left_alone_where_a_list_knows_better(told, labels):
    class Listing(NumberedTokens):
        """Lists all it has, with their labels."""

        def respond(self, incoming: Incoming) -> Answer:
            if incoming.method == "GET" and incoming.path == "/all":
                listed = [{"id": number, "label": label} for number, (label, _) in self.live.items()]
                return Answer(status=200, body=listed)
            return super().respond(incoming)

    with Listing(used=lambda number: THEIRS if number == NEW else number) as service:
        search = {"method": "GET", "url": f"{service.url}/all"}
        settings = service.describe(
            None,
            **({} if labels == "filtered" else {"find": search, "find_label": "label"}),
            **({} if told else {"id": None}),
        )
        old = Secret(service.issue("the first"))
        service.issue("of another team")
        made = ROTATOR.create(make_job(service, old=old, settings=settings))
        job = make_job(service, old=old, made=made, settings=settings)
        failures = [undo(job), undo(job)]
        assert set(service.live) == {OLD, THEIRS}
        assert all(failure is None or LABEL in str(failure) for failure in failures)


def test_what_its_use_calls_as_a_listed_one_is_not_revoked_where_the_list_filters_nothing():
    class Whole(NumberedTokens):
        def respond(self, incoming: Incoming) -> Answer:
            if incoming.method == "GET" and incoming.path != "/me":
                return Answer(status=200, body=[{"id": number} for number in self.live])
            return super().respond(incoming)

    with Whole(
        issued=lambda _: "uuid-of-it", used=lambda number: THEIRS if number == NEW else number
    ) as service:
        settings = service.describe()
        old = Secret(service.issue())
        service.issue("of another team")
        made = ROTATOR.create(make_job(service, old=old, settings=settings))
        failure = undo(make_job(service, old=old, made=made, settings=settings))
        assert (failure.cause, LABEL in str(failure)) == (Cause.MISTAKE, True)
        assert set(service.live) == {OLD, THEIRS, NEW}


@pytest.mark.parametrize("way", ["find", "no find"])
def test_what_was_shown_to_work_is_undone_as_often_as_need_be(way):
    """The way of a candidate that was verified: nobody is asked to look for it."""
    with Losing() as service:
        settings = service.describe(**({} if way == "find" else {"find": None}))
        old = Secret(service.issue())
        made = ROTATOR.create(make_job(service, old=old, settings=settings))
        job = replace(make_job(service, old=old, made=made, settings=settings), shown=True)
        service.losing = "DELETE"
        assert undo(job) is not None
        assert [undo(job), undo(job)] == [None, None]
        assert list(service.live) == [1]


def test_what_is_neither_listed_nor_accepted_yet_is_looked_for_again_and_then_told():
    with Losing() as service:
        settings = service.describe()
        old = Secret(service.issue())
        made = ROTATOR.create(make_job(service, old=old, settings=settings))
        job = make_job(service, old=old, made=made, settings=settings)
        hidden = service.live.pop(2)  # neither list nor check has heard of it
        failure = undo(job)
        assert (failure.cause, "possibly left outside" in str(failure), LABEL in str(failure)) == (
            Cause.OUTAGE,
            True,
            True,
        )
        service.live[2] = hidden
        assert undo(job) is None
        assert list(service.live) == [1]
