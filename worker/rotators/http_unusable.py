"""What an answer to `issue` gave that cannot be used: taken back at once, where it is known beyond doubt."""

from dataclasses import replace
from enum import StrEnum

from vaultcore.errors import TargetError
from vaultcore.secret import Secret
from worker.outbound import Response
from worker.rotators import base
from worker.rotators.http_answers import read_id, take
from worker.rotators.http_proof import is_refused
from worker.rotators.http_requests import settings_of
from worker.rotators.http_settings import ID, VALUE
from worker.rotators.http_taking import choose_spared, find_where_it_can_be, name_new, revoke


class TakenBack(StrEnum):
    """`UNPROVEN`: something was revoked, and the service does not refuse the value."""

    NOT = "not"
    UNPROVEN = "unproven"
    PROVEN = "proven"


def take_back(job: base.Job, answer: Response) -> TakenBack:
    """Revokes what is the candidate's own as `undo` does, and shows its value to the service again: its refusal
    alone proves that nothing is left. Without an id to revoke by it is left to `undo`.
    """
    settings = settings_of(job)
    if settings.id is None or not settings.revoke.reads(ID) or settings.revoke.reads(VALUE):
        return TakenBack.NOT
    back = TakenBack.NOT
    try:
        value = _take_value(job, answer)
        if value is None:
            return back
        told = _take_id(job, answer, value)
        issued = replace(job, new=value, new_external={} if told is None else {"id": told})
        own = name_new(issued, value, find_where_it_can_be(issued))
        ids = own.ids - {None}
        if not ids or choose_spared(issued, ids):
            return back
        for external_id in ids:
            revoke(issued, external_id, value)
            back = TakenBack.UNPROVEN
        if is_refused(issued, value, expected=own.used or next(iter(ids))):
            back = TakenBack.PROVEN
    except TargetError:
        return back
    return back


def _take_value(job: base.Job, answer: Response) -> Secret | None:
    """The value, if it is one at all, and not the one in use: not even in part is it an id."""
    try:
        found = take(answer, settings_of(job).value, "issue", "value")
    except TargetError:
        return None
    if not isinstance(found, str) or not found or not _is_text(found):
        return None
    value = Secret(found)
    return None if value == job.old else value


def _take_id(job: base.Job, answer: Response, value: Secret) -> str | None:
    """What `issue` calls it; None where that cannot be read as an id."""
    try:
        known = (value, job.old, *job.values.values())
        return str(read_id(answer, settings_of(job).id or "", "issue", values=known))
    except TargetError:
        return None


def _is_text(found: str) -> bool:
    """JSON may hold half a character, which can be sent nowhere."""
    return not any("\ud800" <= char <= "\udfff" for char in found)
