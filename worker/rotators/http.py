"""Rotator `http`: asks a service for the new value by a templated request, revokes the old by another."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from vaultcore.errors import Cause, TargetError
from vaultcore.model import Kind
from vaultcore.secret import Secret
from worker.outbound import Response
from worker.rotators import base
from worker.rotators.http_answers import read_id, read_time, read_value
from worker.rotators.http_owning import Own
from worker.rotators.http_pending import ask
from worker.rotators.http_proof import (
    check_accepted,
    is_refused,
    is_refused_again,
    learn_id,
    told_id,
)
from worker.rotators.http_requests import check_good, settings_of
from worker.rotators.http_search import choose_leftovers, list_working
from worker.rotators.http_settings import ID, HttpSettings
from worker.rotators.http_taking import (
    check_refused_already,
    check_unlisted,
    choose_spared,
    find_where_it_can_be,
    is_of_both,
    may_be_unseen,
    name_new,
    name_old,
    revoke,
    revoke_found,
    revoke_leftovers,
    revoke_unproven,
    say_doubt,
    say_left,
    still_accepted,
)
from worker.rotators.http_unusable import TakenBack, take_back

_INSTALLED: Final = base.FixedSentence("accepted since it was issued")
_SAME: Final = base.FixedSentence("the new value is the old one: nothing to revoke")


class HttpRotator:
    """Asks a service for the new credential by a templated request, and revokes the old one by another.

    On the other side it makes one credential and takes one away. It needs whatever lets it in there, as an
    item that the requests name (`{{ vault.NAME }}`). The request that issues should carry
    `{{ rotation.label }}`: if the answer is lost half-way, `find` looks that label up, and what it finds is
    revoked before another is issued, so that nothing is left behind; when the old credential is revoked, it
    is asked once more, for what took effect late. Without `find` a lost answer needs a person: the rotation
    is stuck, and says where to look. `inventory` lists all credentials of the account: after a vault was
    restored from a backup, those that it does not know are named, and none is touched.

    Only what bears the label is taken away, and never what the service calls a version that is in use, of any
    item at this target, nor what `verify` tells of the old value, nor what is listed under another label.
    The new one is revoked where the list has it under the label; or, without a list, where `verify` has
    accepted its value, and called it so if it tells ids. Where `issue` and `verify` tell two ids of it, the
    list decides, or it is not revoked. A new one of which none of this is known is told to be possibly left
    outside, with the label to look for. Once something is swept, `find` is asked again: what it still lists,
    and does not say to be gone (`inventory_gone`), may be left outside, and the rotation is not done.

    Where the entries do not tell their labels (`find_label`), a label that nobody bears is asked for first: a
    service that lists anything for it filters nothing, and it is as if there were no `find`. Lists are read
    page by page, by `Link: rel=next` or by `find_next`, from the same host and 100 at most. A list that says
    that it is a part is never taken for all.

    What a service accepts to do later (202, with `Location` or `Operation-Location`) is asked for there until
    it is done: at its own origin alone, within the time that one call may take. What is not done by then is an
    outage, and looked for as after a lost answer. What is empty before the end is no result, and what ends with
    an error has failed.

    An answer is good if its status is one of 2xx, and what `expect` says of it holds. A redirect is none, and
    is not followed. Where `verify_id` is set, the answer to `verify` must name the id that the credential has:
    another one is a mistake in the settings or at the service, and no further candidate is made.

    What the templates see: `rotation.label` and `rotation.item`; of the credential that is verified or
    revoked, `rotation.value`; of the one that is revoked `rotation.id`, as `id` or `verify_id` tells it; and of
    the page that is asked for, `rotation.cursor`. In a URL these three are percent-encoded.
    """

    Settings: ClassVar[type[base.RotatorSettings]] = HttpSettings
    kind: ClassVar[Kind] = Kind.SECRET
    issues: ClassVar[bool] = True
    installs_nothing: ClassVar[bool] = True
    needs: ClassVar[tuple[str, str] | None] = None
    example: ClassVar[Mapping[str, Any]] = {
        "issue": {
            "method": "POST",
            "url": "https://auth.example.org/v1/tokens",
            "headers": {"Authorization": "Bearer {{ vault.prod-auth-admin-token }}"},
            "body": {"account": "orders", "label": "{{ rotation.label }}"},
        },
        "value": "token",
        "id": "id",
        "expires": "expires_at",
        "verify": {
            "method": "GET",
            "url": "https://auth.example.org/v1/whoami",
            "headers": {"Authorization": "Bearer {{ rotation.value }}"},
        },
        "verify_id": "token_id",
        "revoke": {
            "method": "DELETE",
            "url": "https://auth.example.org/v1/tokens/{{ rotation.id }}",
            "headers": {"Authorization": "Bearer {{ vault.prod-auth-admin-token }}"},
        },
        "find": {
            "method": "GET",
            "url": "https://auth.example.org/v1/tokens?label={{ rotation.label }}",
            "headers": {"Authorization": "Bearer {{ vault.prod-auth-admin-token }}"},
        },
        "find_ids": "tokens.*.id",
        "inventory_gone": "revoked",
    }

    def overlaps(self, settings: base.RotatorSettings) -> bool:
        return settings.overlaps if isinstance(settings, HttpSettings) else True

    def target(self, settings: base.RotatorSettings) -> str | None:
        """The host that issues, as its URL has it; None where a template decides."""
        url = _own(settings).issue.url
        netloc = urlsplit(url).netloc.rpartition("@")[2]
        return None if "{" in netloc else netloc.lower() or None

    def sets_anew(self, settings: base.RotatorSettings) -> bool:  # noqa: ARG002  # the contract's
        """Its requests are let in by the items that they name, and see the old value when that is revoked."""
        return True

    def explain_first(self, settings: base.RotatorSettings) -> str | None:
        """By its id alone, which only `verify_id` would tell of a value that was not issued here."""
        of_it = _own(settings)
        if of_it.verify_id is not None or not of_it.revoke.reads(ID):
            return None
        return (
            "nothing tells what the service calls a value that it did not issue here, so that it cannot be "
            "revoked: set verify_id, the path of the credential's id in the answer to verify"
        )

    def create(self, job: base.Job) -> base.Candidate:
        """What it made, and cannot be used, is revoked at once where its id is told."""
        settings = settings_of(job)
        answer = ask(settings.issue, job, what="issue")
        if answer.status == 409 and settings.find is not None:
            raise TargetError(
                "issue: one with this label is there already (409): it is revoked before the next try",
                cause=Cause.OUTAGE,
            )
        check_good(answer, settings.issue, "issue")
        failure: TargetError
        try:
            return _read_candidate(job, answer)
        except TargetError as error:
            failure = error
        back = take_back(job, answer) if failure.acted else TakenBack.NOT
        if back is TakenBack.PROVEN:
            message = f"{failure}; what was issued is revoked"
            failure = TargetError(message, cause=failure.cause, acted=settings.find is not None)
        elif back is TakenBack.UNPROVEN:
            why = f"it was revoked, and the service does not refuse it: look there for {job.label}"
            failure = TargetError(f"{failure}; {why}", cause=failure.cause, acted=True)
        raise failure

    def install(self, job: base.Job) -> str:  # noqa: ARG002  # the contract's
        return _INSTALLED

    def verify(self, job: base.Job, value: Secret) -> str:
        return f"the service accepts it ({check_accepted(job, value)})"

    def revoke(self, job: base.Job) -> str:
        """Revoked, and then shown to the service once more: only its refusal proves it.

        It is revoked even if the service refuses it at first sight: one refusal may be a mistake of theirs.
        Where no check can tell (`unproven`), a good answer to the request is all that there is.
        """
        if job.old is None:
            raise TargetError("the old value is not here to be revoked", cause=Cause.MISTAKE)
        if job.old == job.new:
            raise TargetError("revoke: the new value is the old one", cause=Cause.MISTAKE)
        if told_id(job.old_external) is None and is_refused_again(job, job.old):
            return f"the service refused the old value already{revoke_leftovers(job)}"
        old_id = name_old(job, job.old)
        if old_id is not None and is_of_both(job, old_id):
            check_refused_already(job, job.old, old_id)
            return f"the service refused the old value already{revoke_leftovers(job)}"
        if job.unproven:
            revoke_unproven(job, old_id, job.old)
            said = "revoked, as the service says; no check could show that it refuses the old value"
            return f"{said}{revoke_leftovers(job)}"
        revoke(job, old_id, job.old)
        if not is_refused(job, job.old, expected=old_id):
            raise TargetError("revoke: the service still accepts the old value", cause=Cause.OUTAGE)
        return f"revoked, and the service refuses the old value{revoke_leftovers(job)}"

    def undo(self, job: base.Job) -> str:
        """Revokes the new one by what it is called beyond doubt, and whatever else bears this rotation's label;
        nothing that is called as the old value is, or as a version that is in use. What may be left is told.
        """
        if job.new is not None and job.new == job.old:
            return _SAME
        found = find_where_it_can_be(job)
        own = Own(ids=frozenset()) if job.new is None else name_new(job, job.new, found)
        others = choose_leftovers(job, found, own.ids)
        spared = choose_spared(job, own.ids | others.ids)
        swept = others.ids - spared
        gone = [revoke(job, external_id, job.new) for external_id in own.ids - spared]
        revoke_found(job, swept, what="undo")
        if not job.shown and own.used is None:
            listed = found.ids & own.ids - spared
            check_unlisted(job, listed, what="undo")  # refused before shows nothing after
        expected = own.used or next(iter(own.ids), None)
        if job.new is not None and not is_refused(job, job.new, expected=expected):
            raise still_accepted(job, own, spared, found)
        if own.unknown is not None or not (job.shown or all(gone)):
            raise say_left(job, own)
        if others.doubt is not None and may_be_unseen(job):
            raise TargetError(
                f"undo: whether a credential was issued is not known, and {others.doubt}: look there for "
                f"{job.label}, and revoke it",
                cause=Cause.MISTAKE,
            )
        return f"revoked what was issued ({len(own.ids - spared) + len(swept)}){say_doubt(job, others)}"

    def list_outside(self, job: base.Job, own: Sequence[Secret]) -> list[base.Outside] | None:
        """What works there, by `inventory`, or else what bears this rotation's label, by `find`; None where
        that lists nothing, since others may bear labels that are not known here.
        """
        found, doubt = list_working(job)
        ours = {learn_id(job, value) for value in own} if found else set()
        others = [one for one in found if one.id not in ours]
        if not others and doubt is not None:
            raise TargetError(doubt, cause=Cause.MISTAKE)
        return others if others or settings_of(job).inventory is not None else None


def _own(settings: base.RotatorSettings) -> HttpSettings:
    if isinstance(settings, HttpSettings):
        return settings
    return HttpSettings.model_validate(settings.model_dump())


def _read_candidate(job: base.Job, answer: Response) -> base.Candidate:
    settings = settings_of(job)
    value = read_value(answer, settings, item=job.item)
    if value == job.old:
        raise TargetError(
            "issue: the service gave the value that is in use already: nothing is replaced",
            cause=Cause.MISTAKE,
            acted=False,
        )
    values = (value, job.old, *job.values.values())
    return base.Candidate(
        value=value,
        external={} if settings.id is None else {"id": read_id(answer, settings.id, "issue", values=values)},
        expires_at=read_time(answer, settings.expires, job.now),
    )
