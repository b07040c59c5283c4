"""How the rotator `http` takes credentials away: what is this rotation's, and nothing that is in use."""

from collections.abc import Set as AbstractSet
from dataclasses import replace

from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from worker.rotators import base
from worker.rotators.http_answers import NoIdError
from worker.rotators.http_lists import list_all
from worker.rotators.http_owning import CandidateSign, Own, decide_own
from worker.rotators.http_pending import ask
from worker.rotators.http_progress import JobProgress, judge_progress
from worker.rotators.http_proof import is_refused_again, learn_id, name_by_use, told_id
from worker.rotators.http_requests import check_good, settings_of
from worker.rotators.http_search import Found, choose_leftovers, doubt_filter, find_ours
from worker.rotators.http_settings import ID


def revoke(job: base.Job, external_id: object, value: Secret | None) -> bool:
    """A repeat of a revocation that took effect is none that failed: what is gone is not found, and a
    credential that opens the request itself is refused there as everywhere.

    Whether that shows it to be gone: by its value alone, what never was in effect there looks the same; and a
    body that says that it failed shows nothing.
    """
    request = settings_of(job).revoke
    answer = ask(request, job, what="revoke", value=value, external_id=external_id)
    by_id = request.reads(ID)
    if answer.status in (404, 410):
        return by_id
    refused = answer.cause is Cause.REJECTED
    if refused and value is not None and request.asks_by_value_alone() and is_refused_again(job, value):
        return False
    check_good(answer, request, "revoke")
    return judge_progress(answer.body) is not JobProgress.FAILED


def revoke_unproven(job: base.Job, external_id: object, value: Secret) -> None:
    """As `revoke`, where nothing else tells whether it worked: not found may be the wrong place."""
    request = settings_of(job).revoke
    answer = ask(request, job, what="revoke", value=value, external_id=external_id)
    if answer.status in (404, 410):
        raise TargetError(
            f"revoke: the service answered {answer.status}, and no check can show whether the old value is "
            "gone: look there, and then `nightkey rotation accept`",
            cause=Cause.MISTAKE,
        )
    check_good(answer, request, "revoke")
    if judge_progress(answer.body) is JobProgress.FAILED:
        raise TargetError(
            "revoke: the service says that it failed, and no check can show whether the old value is gone: "
            "look there, and then `nightkey rotation accept`",
            cause=Cause.MISTAKE,
        )


def name_old(job: base.Job, old: Secret) -> str | None:
    """What the old one is called, as it was told and as its use tells; None: by nothing but its value."""
    told = told_id(job.old_external)
    if told is None:
        used = learn_id(job, old)
        if used is None and settings_of(job).revoke.reads(ID):
            raise TargetError(
                "revoke: what the service calls the old value is not known: set verify_id and `nightkey "
                "rotation retry`, or revoke it there and `nightkey rotation accept`",
                cause=Cause.MISTAKE,
            )
        check_not_held(job, used)
        return used
    used = name_by_use(job, old)
    if used not in (None, told):
        raise TargetError(
            f"revoke: the service takes the old value for {used}, and called it {told} when it issued it: "
            "nothing is revoked; compare id and verify_id",
            cause=Cause.MISTAKE,
        )
    return told


def check_not_held(job: base.Job, old_id: str | None) -> None:
    """What another version is called is not what the old value is called, whatever the service says."""
    if old_id in job.held:
        raise TargetError(
            f"revoke: the service calls the old value {old_id}, as a version that is in use: it is not "
            "revoked; look there, and see verify_id",
            cause=Cause.MISTAKE,
        )


def is_of_both(job: base.Job, old_id: str) -> bool:
    """Whether revoking by that id would take the new one away as well: as it was told, or as its use tells."""
    if job.new is None or not settings_of(job).revoke.reads(ID):
        return False
    told = told_id(job.new_external)
    if told is not None:
        return old_id in (told, name_by_use(job, job.new))
    try:
        return old_id == learn_id(job, job.new)
    except NoIdError:  # its owner gave it, and the service calls it nothing
        return False


def check_refused_already(job: base.Job, old: Secret, shared: str) -> None:
    if not is_refused_again(job, old):
        raise TargetError(
            f"revoke: the service calls the old and the new value {shared}, so that revoking by this id would "
            "end both: let revoke name rotation.value",
            cause=Cause.MISTAKE,
        )


def still_accepted(job: base.Job, own: Own, spared: AbstractSet[str | None], found: Found) -> TargetError:
    """What is said of a new one that works on, by how it was to be revoked."""
    shared, told = own.ids & spared, own.ids - found.ids - {None}
    if shared:
        return TargetError(
            f"undo: the service calls the new value {_list(shared)}, as a version that is in use: it is not "
            f"revoked, and works; look there which of them it is, and for {job.label}",
            cause=Cause.MISTAKE,
        )
    more, cause = "", Cause.OUTAGE
    if own.unknown is not None:
        more = f"; {own.unknown}, so that nothing is revoked by it: look there for {job.label}, and revoke it"
        cause = Cause.OUTAGE if own.doubt is None else Cause.MISTAKE
    elif not own.ids:
        more = f", and what its use calls it is not what find lists: look there for {job.label}, and revoke it"
    elif told and settings_of(job).find is None:
        called, helps = ("issue", "verify_id or find") if own.used is None else ("its use", "find")
        more = (
            f", though {_list(told)} was revoked, as {called} called it: look there whether that was "
            f"another's, and for {job.label}; set {helps}"
        )
    return TargetError(f"undo: the service still accepts the new value{more}", cause=cause)


def _list(ids: AbstractSet[str | None]) -> str:
    return ", ".join(sorted(map(str, ids)))


def name_new(job: base.Job, new: Secret, found: Found) -> Own:
    """What the new one is called beyond doubt: see `decide_own`."""
    settings = settings_of(job)
    told, used = told_id(job.new_external), name_by_use(job, new)
    by_id = settings.revoke.reads(ID)
    if by_id:
        found = _trust_filter(job, told, used, found)
    is_plain = used is not None or not by_id or told in found.ids
    sign = CandidateSign(
        told=told,
        used=used,
        refused=not is_plain and is_refused_again(job, new),
        shown=job.shown,
        asks_id=settings.verify_id is not None,
        by_id=by_id,
    )
    return replace(decide_own(sign, found), doubt=found.doubt)


def _trust_filter(job: base.Job, told: str | None, used: str | None, found: Found) -> Found:
    """The list, where it decides what the new one is called; nothing, where it filters nothing."""
    decides = told is not None and told != used and not found.ids.isdisjoint({told, used})
    unfiltered = doubt_filter(job) if decides else None
    return found if unfiltered is None else replace(found, ids=frozenset(), doubt=unfiltered)


def say_left(job: base.Job, own: Own) -> TargetError:
    """The new one is refused, and nothing shows that it is gone: some are slow to list and to accept, so it is
    looked for again where there is a list.
    """
    why = "the service refuses it for its own revocation, too"
    if own.unknown is not None:
        why = f"{own.unknown}, so that nothing is revoked by it"
    return TargetError(
        f"undo: the new value is refused, and possibly left outside: {why}: look there for {job.label}, and "
        "revoke it",
        cause=Cause.MISTAKE if own.doubt is not None else Cause.OUTAGE,
    )


def choose_spared(job: base.Job, ids: AbstractSet[str | None]) -> AbstractSet[str | None]:
    """Which of these are called as a version that is in use, or as the old value was told or its use tells."""
    if not ids or not settings_of(job).revoke.reads(ID):
        return frozenset()
    of_old = {name_by_use(job, job.old), told_id(job.old_external)} - {None}
    return (ids & job.held) | (ids & of_old)


def find_where_it_can_be(job: base.Job) -> Found:
    """As `find_ours`; where the answer is none, that is a doubt: what is known is taken away all the same."""
    try:
        return find_ours(job)
    except TargetError as error:
        if error.cause is not Cause.MISTAKE:
            raise
        return Found(ids=frozenset(), doubt=str(error))


def may_be_unseen(job: base.Job) -> bool:
    """Whether something may be there that only a search would find."""
    return job.unanswered or (job.new is None and settings_of(job).find is not None)


def revoke_leftovers(job: base.Job) -> str:
    """Revokes what bears this rotation's label and is not the new credential: requests that were given up,
    and took effect all the same.
    """
    if settings_of(job).find is None or job.new is None:
        return ""
    late = _find_late(job, job.new)
    late_ids = late.ids - choose_spared(job, late.ids)
    revoke_found(job, late_ids, what="revoke")
    if late_ids and is_refused_again(job, job.new):
        raise TargetError(
            f"revoke: the service refuses the new value by now; {len(late_ids)} beside it, of the same label, "
            "were revoked",
            cause=Cause.MISTAKE,
        )
    if job.unanswered and late.doubt is not None:
        raise TargetError(
            "revoke: the old value is revoked; whether another was issued beside the new one is not known, and "
            f"{late.doubt}: look there for {job.label}, and revoke it if it is not the new one",
            cause=Cause.MISTAKE,
        )
    revoked = f"; revoked, too, what else bears its label ({len(late_ids)})" if late_ids else ""
    return revoked + say_doubt(job, late)


def revoke_found(job: base.Job, ids: AbstractSet[str], *, what: str) -> None:
    """Revokes what a search found, which has no value here that could be shown to be refused: so the search is
    asked again. What it still lists, and does not say to be gone, is an outage: some are slow to forget.
    """
    for external_id in sorted(ids):
        revoke(job, external_id, None)
    check_unlisted(job, ids, what=what)


def check_unlisted(job: base.Job, ids: AbstractSet[str], *, what: str) -> None:
    """`find`, asked again, lists none of these, or says that they are gone."""
    settings = settings_of(job)
    if not ids or settings.find is None:
        return
    entries = list_all(settings.find, job, what="find", none_is_empty=True).entries
    listed = {one.read_id() for one in entries if one.tells(settings.inventory_gone) is not True}
    left = len(ids & listed)
    if left:
        raise TargetError(
            f"{what}: find still lists what was revoked ({left}), so that it may be left outside: look there "
            f"for {job.label}; if it is shown as revoked, say where in inventory_gone",
            cause=Cause.OUTAGE,
        )


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
        return choose_leftovers(job, found, {kept})
    if found.doubt is not None:
        return Found(ids=frozenset(), doubt=found.doubt)
    raise TargetError(
        f"find: the new credential, id {kept}, is not among the {len(found.ids)} that it lists, so none of "
        "them was revoked: look there, and compare find_ids with id and verify_id",
        cause=Cause.MISTAKE,
    )


def say_doubt(job: base.Job, found: Found) -> str:
    """What was not looked for, where nothing was given up that could be there."""
    looked = settings_of(job).find is not None and found.doubt is not None
    return f"; nothing else was looked for: {found.doubt}" if looked else ""
