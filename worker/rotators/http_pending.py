"""What a service does later: asked for (202, with the place to ask at), and asked after until it is done."""

import time
from datetime import UTC, datetime
from typing import Final

from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from worker.domain.json_paths import take_path
from worker.outbound import Response, say_status
from worker.outbound.wishes import asked_to_wait
from worker.rotators import base
from worker.rotators.http_pages import NextPage, lead_on
from worker.rotators.http_progress import JobProgress, judge_progress
from worker.rotators.http_requests import poll, send, settings_of, write_url
from worker.rotators.http_settings import HttpSettings, Request

POLLS_MAX: Final = 60
"""How often the end of one call is asked for."""
_ACCEPTED = 202
_PAUSE, _PAUSE_MAX = 0.25, 4.0
"""Seconds between two questions where the service does not say it: doubled each time."""
_MARGIN = 0.05
"""Seconds by which clocks may differ about when it may be asked again."""
_PLACES = ("operation-location", "azure-asyncoperation", "location")
"""Headers that name where to ask, the first before the others."""
_RESULTS = ("resourceLocation", "resource_location", "resultUrl", "result_url")


def ask(
    request: Request,
    job: base.Job,
    *,
    what: str,
    value: Secret | None = None,
    external_id: object = None,
    cursor: str | None = None,
    at: str | None = None,
) -> Response:
    """As `send`; where the service says that it does it later (202) and where to ask, what it says in the end.

    It is asked at its own origin alone, with the headers of the request, within the time that one call may
    take, as often as `POLLS_MAX`, and not before it asked to be. An end that is not reached so is an outage: it
    may take effect all the same. Where 202 is what `expect` names, it is the answer.
    """
    ends = time.monotonic() + job.http.timeout
    url = at
    if url is None:
        url = write_url(request, job, what=what, value=value, external_id=external_id, cursor=cursor)
    first = send(request, job, what=what, value=value, external_id=external_id, cursor=cursor, at=url)
    if not is_unfinished(first, request):
        return first
    place = _find_place(first, url)
    if place is None or _holds_result(first, settings_of(job), what, done=False):
        return first
    pending = _Pending(request, job, what, value=value, external_id=external_id, ends=ends)
    return pending.follow(first, url, place)


class _UntoldError(TargetError):
    """Nothing is told of the end."""


class _Pending:
    """A call that was accepted, whose end is asked for until then by a steady clock."""

    def __init__(
        self,
        request: Request,
        job: base.Job,
        what: str,
        *,
        value: Secret | None,
        external_id: object,
        ends: float,
    ) -> None:
        self._request, self._job, self._what = request, job, what
        self._value, self._external_id = value, external_id
        self._ends = ends

    def follow(self, first: Response, url: str, place: str) -> Response:
        """The answer in the end. Where it is told nowhere, what a revocation came to is shown by the credential
        if a check tells: then the answer is that it was accepted.
        """
        try:
            return self._follow(first, place, result=_find_other(first, url, place))
        except _UntoldError:
            if self._what != "revoke" or self._job.unproven:
                raise
        return first

    def _follow(self, answer: Response, place: str, *, result: str | None) -> Response:
        pause, waits = _PAUSE, True
        for _ in range(POLLS_MAX):
            if waits:
                self._wait(answer, pause)
                pause = min(2 * pause, _PAUSE_MAX)
            answer = self._poll(place)
            waits = answer.status == _ACCEPTED or answer.cause is Cause.OUTAGE
            if waits:
                place = _find_place(answer, place) or place
                continue
            if 300 <= answer.status < 400:
                place = self._check(_find_place(answer, place))
                continue
            progress = self._judge(answer)
            if progress is JobProgress.DONE:
                elsewhere = _find_result(answer, place) or result
                if self._is_the_end(answer) or elsewhere in (None, place):
                    return answer
                place, result = self._check(elsewhere), None
            waits = progress is JobProgress.UNDER_WAY
        raise self._fail(f"it was asked for its end {POLLS_MAX} times, and has not told it", Cause.OUTAGE)

    def _judge(self, answer: Response) -> JobProgress:
        if not 200 <= answer.status < 300:
            raise self._leave(f"where it is to be asked for its end, it {say_status(answer.status)}")
        progress = judge_progress(answer.body)
        if progress is JobProgress.FAILED:
            raise self._fail("it says that it failed")
        if self._what != "revoke" and _holds_result(answer, settings_of(self._job), self._what, done=False):
            return JobProgress.DONE
        return progress

    def _is_the_end(self, answer: Response) -> bool:
        """Of an answer that is under way no more."""
        return self._what == "revoke" or _holds_result(answer, settings_of(self._job), self._what, done=True)

    def _wait(self, answer: Response, pause: float) -> None:
        now = datetime.now(UTC)
        until = asked_to_wait(answer.headers, now)
        seconds = pause if until is None else (until - now).total_seconds() + _MARGIN
        if seconds >= self._ends - time.monotonic():
            problem = f"it was not done within {self._job.http.timeout:g} seconds"
            raise self._fail(problem, Cause.OUTAGE, retry_at=answer.retry_at)
        time.sleep(seconds)

    def _poll(self, place: str) -> Response:
        failure: TargetError
        try:
            return poll(
                self._request,
                self._job,
                place,
                what=self._what,
                value=self._value,
                external_id=self._external_id,
                timeout=max(self._ends - time.monotonic(), _MARGIN),
            )
        except TargetError as error:
            failure = error
        problem = str(failure).removeprefix(f"{self._what}: ")
        raise self._fail(problem, failure.cause, retry_at=failure.retry_at)

    def _check(self, place: str | None) -> str:
        if place is None:
            raise self._leave("it leads to another place for its end, which is not followed")
        return place

    def _leave(self, problem: str) -> "_UntoldError":
        failure = self._fail(problem)
        return _UntoldError(str(failure), cause=failure.cause, acted=True)

    def _fail(
        self, problem: str, cause: Cause = Cause.MISTAKE, *, retry_at: datetime | None = None
    ) -> TargetError:
        """It was accepted: what it does, it may do yet."""
        return TargetError(
            f"{self._what}: the service accepted it, to do it later (202): {problem}",
            cause=cause,
            acted=True,
            retry_at=retry_at,
        )


def is_unfinished(answer: Response, request: Request) -> bool:
    """Whether it says by its status that it does it later, and that is not the answer that `expect` names."""
    is_expected = request.expect is not None and _ACCEPTED in request.expect.status
    return answer.status == _ACCEPTED and not is_expected


def _holds_result(answer: Response, settings: HttpSettings, what: str, *, done: bool) -> bool:
    """Whether it has what the call was made for, whatever it says of itself. What is empty is a result of what
    is done alone, and then only a list: before, it is a place for what is to come.
    """
    path = {"issue": settings.value, "find": settings.find_ids, "inventory": settings.find_ids}.get(what)
    if path is None:
        return False
    if path.startswith("header:"):
        return bool(answer.headers.get(path.partition(":")[2].lower()))
    head, star, _ = path.partition("*")
    try:
        found = take_path(answer.body, head.strip("."))
    except TargetError:
        return False
    if star:
        return isinstance(found, list) and (done or bool(found))
    return found not in (None, "", [], {})


def _find_place(answer: Response, at: str) -> str | None:
    """Where it says to ask, if that is at its own origin; None: nowhere, or another place."""
    told = (answer.headers[name] for name in _PLACES if answer.headers.get(name))
    return next((place for one in told if (place := _lead(one, at)) is not None), None)


def _find_other(answer: Response, at: str, place: str) -> str | None:
    """Where the result will lie, beside where to ask: services that name both mean it so."""
    other = answer.headers.get("location")
    to = _lead(other, at) if other else None
    return None if to == place else to


def _find_result(answer: Response, at: str) -> str | None:
    told = [answer.body.get(name) for name in _RESULTS] if isinstance(answer.body, dict) else []
    return next((_lead(one, at) for one in told if isinstance(one, str) and one), None)


def _lead(url: str, at: str) -> str | None:
    step = lead_on(url, at)
    return step.url if isinstance(step, NextPage) else None
