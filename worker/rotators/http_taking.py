"""How the rotator `http` takes credentials away: what is this rotation's, and nothing that is in use."""

from collections.abc import Set as AbstractSet

from vaultcore.errors import Cause, CounterpartError
from vaultcore.secret import Secret
from worker.rotators import base
from worker.rotators.http_answers import NoIdError
from worker.rotators.http_proof import is_refused_again, learn_id, told_id
from worker.rotators.http_requests import check_good, send, settings_of
from worker.rotators.http_search import Found, choose_sweepable, find_ours
from worker.rotators.http_settings import ID


def revoke(job: base.Job, external_id: object, value: Secret | None) -> None:
    """A repeat of a revocation that took effect is none that failed: what is gone is not found, and a
    credential that opens the request itself is refused there as everywhere.
    """
    request = settings_of(job).revoke
    answer = send(request, job, what="revoke", value=value, external_id=external_id)
    if answer.status in (404, 410):
        return
    refused = answer.cause is Cause.REJECTED
    if refused and value is not None and request.asks_by_value_alone() and is_refused_again(job, value):
        return
    check_good(answer, request, "revoke")


def check_not_held(job: base.Job, old_id: str | None) -> None:
    """What another version is called is not what the old value is called, whatever the service says."""
    if old_id in job.held:
        raise CounterpartError(
            f"revoke: the service calls the old value {old_id}, as a version that is in use: it is not "
            "revoked; look there, and see verify_id",
            cause=Cause.MISTAKE,
        )


def is_of_both(job: base.Job, old_id: str) -> bool:
    """Whether revoking by that id would take the new one away as well."""
    if job.new is None or not settings_of(job).revoke.reads(ID):
        return False
    try:
        return old_id == (told_id(job.new_external) or learn_id(job, job.new))
    except NoIdError:  # its owner gave it, and the service calls it nothing
        return False


def check_refused_already(job: base.Job, old: Secret, shared: str) -> None:
    if not is_refused_again(job, old):
        raise CounterpartError(
            f"revoke: the service calls the old and the new value {shared}, so that revoking by this id would "
            "end both: let revoke name rotation.value",
            cause=Cause.MISTAKE,
        )


def still_accepted(shared: AbstractSet[str | None]) -> CounterpartError:
    if not shared:
        return CounterpartError("undo: the service still accepts the new value", cause=Cause.OUTAGE)
    return CounterpartError(
        f"undo: the service calls the new value {', '.join(map(str, shared))}, as a version that is in use: it "
        "is not revoked, and works; look there which of them it is",
        cause=Cause.MISTAKE,
    )


def name_new(job: base.Job, new: Secret, found: Found) -> set[str | None]:
    """What the new one is called: as was told when it was issued, or as its use tells; None: by nothing but its
    value. Empty: it is refused, or among what was found.
    """
    told = told_id(job.new_external)
    if told is not None:
        return {told}
    if settings_of(job).verify_id is None:
        return set() if found.ids else {None}
    return set() if is_refused_again(job, new) else {learn_id(job, new)}


def find_where_it_can_be(job: base.Job) -> Found:
    """As `find_ours`; where the answer is none, that is a doubt: what is known is taken away all the same."""
    try:
        return find_ours(job)
    except CounterpartError as error:
        if error.cause is not Cause.MISTAKE:
            raise
        return Found(ids=frozenset(), doubt=str(error))


def may_be_unseen(job: base.Job) -> bool:
    """Whether something may be there that only a search would find."""
    return job.unanswered or (job.new is None and settings_of(job).find is not None)


def sweep(job: base.Job) -> str:
    """Revokes what bears this rotation's label and is not the new credential: requests that were given up,
    and took effect all the same.
    """
    if settings_of(job).find is None or job.new is None:
        return ""
    late = _find_late(job, job.new)
    for external_id in sorted(late.ids):
        revoke(job, external_id, None)
    if late.ids and is_refused_again(job, job.new):
        raise CounterpartError(
            f"revoke: the service refuses the new value by now; {len(late.ids)} beside it, of the same label, "
            "were revoked",
            cause=Cause.MISTAKE,
        )
    if job.unanswered and late.doubt is not None:
        raise CounterpartError(
            "revoke: the old value is revoked; whether another was issued beside the new one is not known, and "
            f"{late.doubt}: look there for {job.label}, and revoke it if it is not the new one",
            cause=Cause.MISTAKE,
        )
    swept = f"; revoked, too, what else bears its label ({len(late.ids)})" if late.ids else ""
    return swept + say_doubt(job, late)


def _find_late(job: base.Job, new: Secret) -> Found:
    """What bears the label beside the new one. That bears it as well: where it is not among what was found, it
    cannot be told from the rest, and nothing may be revoked.
    """
    found = find_ours(job)
    if not found.ids:
        unseen = "find does not list even the new one" if job.unanswered else None
        return Found(ids=frozenset(), doubt=found.doubt or unseen)
    kept = told_id(job.new_external) or learn_id(job, new) or "unknown"
    if kept in found.ids:
        return choose_sweepable(job, found, {kept})
    if found.doubt is not None:
        return Found(ids=frozenset(), doubt=found.doubt)
    raise CounterpartError(
        f"find: the new credential, id {kept}, is not among the {len(found.ids)} that it lists, so none of "
        "them was revoked: look there, and compare find_ids with id and verify_id",
        cause=Cause.MISTAKE,
    )


def say_doubt(job: base.Job, found: Found) -> str:
    """What was not looked for, where nothing was given up that could be there."""
    looked = settings_of(job).find is not None and found.doubt is not None
    return f"; nothing else was looked for: {found.doubt}" if looked else ""
