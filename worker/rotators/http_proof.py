"""Whether the service takes a value, and what it calls it: as its answer to the request `verify` says."""

from collections.abc import Mapping
from typing import Any

from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from worker.domain.made_up import make_up
from worker.outbound import Response, nothing_shared, only_looking
from worker.rotators import base
from worker.rotators.http_answers import NoIdError, read_id
from worker.rotators.http_requests import check_good, send, settings_of

_REFUSALS = 2
"""How many refusals in a row are believed of a credential."""


class OtherIdError(TargetError):
    """A value is accepted, and its use tells another id than was told when it was issued: which of them is
    right is not known here, and another candidate would be told no better.
    """


def check_accepted(job: base.Job, value: Secret, *, expected: str | None = None) -> int:
    """The status with which the service takes this value. A rejection where it has answered, and not so.

    Where `verify_id` is set, a good answer says the id that the version has, or that is `expected`
    (`OtherIdError`); any, where it has none yet: by that it is revoked later. A value that another hand issued
    need not have one: then the service must refuse another in its place.
    """
    settings = settings_of(job)
    answer = _show(job, value)
    check_good(answer, settings.verify, "verify", judges=True)
    expected = expected or known_id(job, value)
    if settings.verify_id is None:
        return answer.status
    problem, told = "", None
    try:
        told = str(read_id(answer, settings.verify_id, "verify", values=(value,)))
    except NoIdError as error:
        problem = str(error)
    if problem and expected is None and _is_of_another_hand(job, value):
        _check_tells_apart(job, value, problem)
        return answer.status
    if problem:
        raise TargetError(problem, cause=Cause.REJECTED)
    if expected is not None and told != expected:
        raise OtherIdError(
            f"verify: the service takes the value for another credential than {expected}: compare id and "
            "verify_id",
            cause=Cause.MISTAKE,
        )
    return answer.status


def _show(job: base.Job, value: Secret) -> Response:
    """By a connection of its own: so often as it is shown, another machine of the service may be asked."""
    with nothing_shared(), only_looking():
        return send(settings_of(job).verify, job, what="verify", value=value)


def _is_of_another_hand(job: base.Job, value: Secret) -> bool:
    """An old value without an id; or a new one, where whatever is issued here has one: its owner gave it."""
    return value == job.old or (value == job.new and settings_of(job).id is not None)


def _check_tells_apart(job: base.Job, value: Secret, lacking: str) -> None:
    """That an answer without an id means something: some say yes to everybody for a while, and deny it in what
    they say, or answer with a page of their own.
    """
    made = make_up(value)
    if made is None:
        return
    try:
        check_good(_show(job, made), settings_of(job).verify, "verify", judges=True)
    except TargetError as error:
        if error.cause is not Cause.REJECTED:
            raise
        return
    raise TargetError(
        f"{lacking}, and to a made-up value it answers the same: whether the value is accepted cannot be told",
        cause=Cause.MISTAKE,
    )


def is_refused(job: base.Job, value: Secret, *, expected: str | None = None) -> bool:
    """One that is taken for another than is `expected` is none any more."""
    try:
        check_accepted(job, value, expected=expected)
    except OtherIdError:
        if expected is None:
            raise
        return True
    except TargetError as error:
        if error.cause is Cause.REJECTED:
            return True
        raise
    return False


def is_refused_again(job: base.Job, value: Secret) -> bool:
    """Refused often enough to be believed: one refusal may be a mistake of theirs."""
    return all(is_refused(job, value) for _ in range(_REFUSALS))


def learn_id(job: base.Job, value: Secret) -> str | None:
    """What the service calls a credential that was not made here: it says so when it is used."""
    settings = settings_of(job)
    if settings.verify_id is None:
        return None
    answer = _show(job, value)
    check_good(answer, settings.verify, "verify", judges=True)
    return str(read_id(answer, settings.verify_id, "verify", values=(job.old, job.new, value)))


def name_by_use(job: base.Job, value: Secret | None) -> str | None:
    """As `learn_id`; None where the service refuses the value, calls it nothing, or cannot be asked so."""
    if value is None:
        return None
    for _ in range(_REFUSALS):
        try:
            return learn_id(job, value)
        except TargetError as error:
            if error.cause is Cause.OUTAGE:
                raise
            if error.cause is not Cause.REJECTED:
                return None
    return None


def told_id(external: Mapping[str, Any]) -> str | None:
    """As text: one answer has a number where another has text, and a header has nothing else."""
    return None if external.get("id") is None else str(external["id"])


def known_id(job: base.Job, value: Secret) -> str | None:
    """What the service called that value when it issued it, if that is known."""
    if job.new is not None and value == job.new:
        return told_id(job.new_external)
    return told_id(job.old_external) if job.old is not None and value == job.old else None
