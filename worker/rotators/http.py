"""Rotator `http`: asks a service for the new value by a templated request, revokes the old by another."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from vaultcore.errors import Cause, CounterpartError, InvalidInputError
from vaultcore.model import Kind
from vaultcore.references import texts_in
from vaultcore.secret import Secret
from worker.outbound import Response, cause_of
from worker.rotators import base
from worker.workflows.paths import take_path
from worker.workflows.templates import Scope, check, check_reads, find_reads, render

_REFUSALS = 2
"""How many refusals in a row are believed of a credential."""


_VALUE = ("rotation", "value")
_ID = ("rotation", "id")
_ALWAYS = frozenset({"label", "item"})
_SEEN: Mapping[str, frozenset[str]] = {
    "issue": _ALWAYS,
    "verify": _ALWAYS | {"value"},
    "revoke": _ALWAYS | {"value", "id"},
    "find": _ALWAYS,
    "inventory": frozenset({"item"}),
}
"""What each request sees of `rotation`."""


class Request(base.Settings):
    """One HTTP request; `url`, `headers` and `body` are templates, and a `body` that is not text is JSON."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    url: str
    headers: dict[str, str] = Field(default_factory=dict)
    body: str | dict[str, Any] | None = None

    @model_validator(mode="after")
    def _check_templates(self) -> "Request":
        for field, text, header in self.templates():
            problem = ""
            try:
                check(text, header=header)
            except InvalidInputError as error:
                problem = str(error)
            if problem:
                raise ValueError(f"{field}: {problem}")
        return self

    def templates(self) -> list[tuple[str, str, bool]]:
        """(field, text, whether it is a header) of each."""
        texts = [("url", self.url, False), *((f"headers.{n}", t, True) for n, t in self.headers.items())]
        return texts + [("body", text, False) for text in texts_in(self.body)]

    def asks_by_value_alone(self) -> bool:
        """Whether nothing but the credential in question opens it: no item does."""
        texts = [(text, header) for _, text, header in self.templates()]
        if any(check(text, header=header) for text, header in texts):
            return False
        return any(_VALUE in find_reads(text, header=header) for text, header in texts)


class HttpSettings(base.Settings):
    """Paths are dotted, as in `data.token`; `header:NAME` takes a header of the answer instead."""

    issue: Request = Field(description="the request that makes a credential; it should carry rotation.label")
    value: str = Field(default="token", description="the path of the value in the answer to issue")
    id: str | None = Field(default=None, description="the path of what the service calls it")
    expires: str | None = Field(default=None, description="the path of its expiry, ISO 8601 or Unix seconds")
    verify: Request = Field(description="a request that only an accepted credential, rotation.value, is served")
    verify_id: str | None = Field(default=None, description="the path of the credential's id in its answer")
    revoke: Request = Field(description="the request that takes rotation.id or rotation.value away")
    find: Request | None = Field(default=None, description="a request that lists what bears rotation.label")
    find_ids: str = Field(default="*.id", description="the path of the ids in its answer; * is every entry")
    find_label: str | None = Field(
        default=None,
        description="the path in each entry of what must be rotation.label, where find lists others too",
    )
    inventory: Request | None = Field(
        default=None,
        description="a request that lists all credentials of the account, in the shape that find has: after a "
        "restore, what the vault does not know is named",
    )
    inventory_label: str = Field(
        default="label", description="the path in each entry of the label that it bears"
    )
    inventory_gone: str | None = Field(
        default=None, description="the path in each entry of what is true once it works no longer (revoked)"
    )

    @model_validator(mode="after")
    def _check_find(self) -> "HttpSettings":
        if self.find is not None and self.id is None and self.verify_id is None:
            raise ValueError(
                "find needs id or verify_id: without it, what find lists cannot be told from the new credential"
            )
        return self

    @model_validator(mode="after")
    def _check_reads(self) -> "HttpSettings":
        for name, seen in _SEEN.items():
            request: Request | None = getattr(self, name)
            for field, text, header in [] if request is None else request.templates():
                problem = ""
                try:
                    paths = check_reads(text, {"rotation": seen}, header=header)
                except InvalidInputError as error:
                    paths, problem = (), str(error)
                if _ID in paths and self.id is None and self.verify_id is None:
                    problem = "rotation.id is not known without id or verify_id: set one of them"
                if problem:
                    raise ValueError(f"{name}.{field}: {problem}")
        return self


class HttpRotator:
    """Asks a service for the new credential by a templated request, and revokes the old one by another.

    On the other side it makes one credential and takes one away. It needs whatever lets it in there, as an
    item that the requests name (`{{ vault.NAME }}`). The request that issues should carry
    `{{ rotation.label }}`: if the answer is lost half-way, `find` looks that label up, and what it finds is
    revoked before another is issued, so that nothing is left behind; when the old credential is revoked, it
    is asked once more, for what took effect late. Without `find` a lost answer needs a person: the rotation
    is stuck, and says where to look. `inventory` lists all credentials of the account: after a vault was
    restored from a backup, those that it does not know are named, and none is touched.

    What the templates see: `rotation.label` and `rotation.item`; of the credential that is verified or
    revoked, `rotation.value`; and of the one that is revoked `rotation.id`, as `id` or `verify_id` tells it.
    """

    Settings: ClassVar[type[base.Settings]] = HttpSettings
    kind: ClassVar[Kind] = Kind.SECRET
    issues: ClassVar[bool] = True
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
    }

    def overlaps(self, settings: base.Settings) -> bool:  # noqa: ARG002  # the contract's
        return True

    def counterpart(self, settings: base.Settings) -> str | None:
        """The host that issues, as its URL has it; None where a template decides."""
        url = HttpSettings.model_validate(settings.model_dump()).issue.url
        netloc = urlsplit(url).netloc.rpartition("@")[2]
        return None if "{" in netloc else netloc.lower() or None

    def create(self, job: base.Job) -> base.Candidate:
        settings = _settings(job)
        answer = _send(settings.issue, job, what="issue")
        if answer.status == 409 and settings.find is not None:
            raise CounterpartError(
                "issue: one with this label is there already (409): it is revoked before the next try",
                cause=Cause.OUTAGE,
            )
        _expect(answer, "issue")
        value = _take(answer, settings.value)
        if not isinstance(value, str) or not value:
            raise CounterpartError(f"issue: no text at {settings.value}", cause=Cause.MISTAKE)
        return base.Candidate(
            value=Secret(value),
            external={} if settings.id is None else {"id": _read_id(answer, settings.id, "issue")},
            expires_at=_read_time(answer, settings.expires),
        )

    def install(self, job: base.Job) -> str:  # noqa: ARG002  # the contract's
        return "accepted since it was issued"

    def verify(self, job: base.Job, value: Secret) -> str:
        answer = self._ask(job, value)
        _expect(answer, "verify")
        return f"the service accepts it ({answer.status})"

    def revoke(self, job: base.Job) -> str:
        """Revoked, and then shown to the service once more: only its refusal proves it.

        It is revoked even if the service refuses it at first sight: one refusal may be a mistake of theirs.
        """
        if job.old is None:
            raise CounterpartError("the old value is not here to be revoked", cause=Cause.MISTAKE)
        external = dict(job.old_external)
        if not external and self._is_refused_again(job, job.old):
            return f"the service refused the old value already{self._sweep(job)}"
        external = external or self._learn_id(job, job.old)
        self._revoke(job, external.get("id"), job.old)
        if not self._is_refused(job, job.old):
            raise CounterpartError("revoke: the service still accepts the old value", cause=Cause.OUTAGE)
        return f"revoked, and the service refuses the old value{self._sweep(job)}"

    def undo(self, job: base.Job) -> str:
        """Revokes the new one by what is known of it, and whatever else bears this rotation's label.

        A new one that can be named by its use alone, and is refused, is gone already or never worked.
        """
        ids = self._issued_ids(job)
        for external_id in sorted(ids, key=str):
            self._revoke(job, external_id, job.new)
        if job.new is not None and not self._is_refused(job, job.new):
            raise CounterpartError("undo: the service still accepts the new value", cause=Cause.OUTAGE)
        return f"revoked what was issued ({len(ids)})"

    def list_outside(self, job: base.Job, own: Sequence[Secret]) -> list[base.Outside] | None:
        """What works there, by `inventory`, or else what bears this rotation's label, by `find`; None where
        that lists nothing, since others may bear labels that are not known here.
        """
        settings = _settings(job)
        what = "find" if settings.inventory is None else "inventory"
        request = settings.inventory or settings.find
        if request is None:
            return None
        answer = _send(request, job, what=what)
        _expect(answer, what)
        found = _all_outside(answer.body, settings, None if settings.inventory else job.label)
        ours = {str(self._learn_id(job, value).get("id")) for value in own} if found else set()
        others = [one for one in found if one.id not in ours]
        return others if others or settings.inventory is not None else None

    def _issued_ids(self, job: base.Job) -> set[str | None]:
        """Of what this rotation issued, as far as it is known; None is the new one, where it has no id."""
        settings = _settings(job)
        ids: set[str | None] = {str(job.new_external["id"])} if "id" in job.new_external else set()
        if settings.find is not None:
            return ids | self._find(job)
        if ids or (job.new is None and not job.unanswered):
            return ids
        if job.new is None:
            raise CounterpartError(
                f"undo: whether a credential was issued is not known, and no `find` is set to look it up: look "
                f"there for {job.label}, and revoke it",
                cause=Cause.MISTAKE,
            )
        if settings.verify_id is None:
            return {None}
        if self._is_refused_again(job, job.new):
            return set()
        return {str(self._learn_id(job, job.new)["id"])}

    def _find(self, job: base.Job) -> set[str]:
        """The ids of what bears this rotation's label, as text: one answer has a number where another has text,
        and a header has nothing else.
        """
        settings = _settings(job)
        if settings.find is None:
            return set()
        answer = _send(settings.find, job, what="find")
        _expect(answer, "find")
        return {str(found) for found in _all_ids(answer.body, settings, job.label)}

    def _sweep(self, job: base.Job) -> str:
        """Revokes what bears this rotation's label and is not the new credential: requests that were given
        up, and took effect all the same.

        The new one bears the label as well: where it is not among what was found, it cannot be told from the
        rest, and nothing is revoked.
        """
        found = self._find(job)
        if not found or job.new is None:
            return ""
        late = found - {self._kept_id(job, job.new, found)}
        for external_id in sorted(late):
            self._revoke(job, external_id, None)
        if self._is_refused_again(job, job.new):
            raise CounterpartError(
                f"revoke: the service refuses the new value by now; {len(late)} beside it, of the same label, "
                "were revoked",
                cause=Cause.MISTAKE,
            )
        return f"; revoked, too, what else bears its label ({len(late)})" if late else ""

    def _kept_id(self, job: base.Job, new: Secret, found: set[str]) -> str:
        external = dict(job.new_external) or self._learn_id(job, new)
        kept = str(external.get("id", "unknown"))
        if kept not in found:
            raise CounterpartError(
                f"find: the new credential, id {kept}, is not among the {len(found)} that it lists, so none "
                "of them was revoked: look there, and compare find_ids with id and verify_id",
                cause=Cause.MISTAKE,
            )
        return kept

    def _ask(self, job: base.Job, value: Secret) -> Response:
        return _send(_settings(job).verify, job, what="verify", value=value)

    def _is_refused(self, job: base.Job, value: Secret) -> bool:
        answer = self._ask(job, value)
        cause = cause_of(answer.status)
        if cause not in (None, Cause.REJECTED):
            _expect(answer, "verify")
        return cause is Cause.REJECTED

    def _is_refused_again(self, job: base.Job, value: Secret) -> bool:
        """Refused often enough to be believed: one refusal may be a mistake of theirs."""
        return all(self._is_refused(job, value) for _ in range(_REFUSALS))

    def _learn_id(self, job: base.Job, value: Secret) -> dict[str, Any]:
        """What the service calls a credential that was not made here: it says so when it is used."""
        path = _settings(job).verify_id
        if path is None:
            return {}
        answer = self._ask(job, value)
        _expect(answer, "verify")
        return {"id": _read_id(answer, path, "verify")}

    def _revoke(self, job: base.Job, external_id: object, value: Secret | None) -> None:
        """A repeat of a revocation that took effect is none that failed: what is gone is not found, and a
        credential that opens the request itself is refused there as everywhere.
        """
        request = _settings(job).revoke
        answer = _send(request, job, what="revoke", value=value, external_id=external_id)
        if answer.status in (404, 410):
            return
        refused = cause_of(answer.status) is Cause.REJECTED
        if (
            refused
            and value is not None
            and request.asks_by_value_alone()
            and self._is_refused_again(job, value)
        ):
            return
        _expect(answer, "revoke")


def _settings(job: base.Job) -> HttpSettings:
    if not isinstance(job.settings, HttpSettings):
        raise CounterpartError("the settings are of another rotator", cause=Cause.MISTAKE)
    return job.settings


def _send(
    request: Request,
    job: base.Job,
    *,
    what: str,
    value: Secret | None = None,
    external_id: object = None,
) -> Response:
    known: dict[str, Any] = {"label": job.label, "item": job.item}
    if value is not None:
        known["value"] = value.expose()
    if external_id is not None:
        known["id"] = external_id
    scope = Scope(context={"rotation": known}, values=job.values)
    failure: CounterpartError
    sent = False
    try:
        body = _render_all(request.body, scope)
        headers = {name: render(text, scope, header=True).text for name, text in request.headers.items()}
        if body is not None and not isinstance(body, str):
            body = json.dumps(body)
            if "content-type" not in map(str.lower, headers):
                headers["Content-Type"] = "application/json"
        url = render(request.url, scope).text
        sent = True
        return job.http.request(request.method, url, headers=headers, content=body)
    except CounterpartError as error:
        failure = CounterpartError(f"{what}: {error}", cause=error.cause, acted=sent and error.acted)
    raise failure


def _take(answer: Response, path: str) -> Any:  # noqa: ANN401  # JSON
    """What lies at the path in the body, or in a header."""
    where, separator, name = path.partition(":")
    if separator and where == "header":
        return answer.headers.get(name.lower())
    return take_path(answer.body, path)


def _expect(answer: Response, what: str) -> None:
    cause = cause_of(answer.status)
    if cause is not None:
        message = f"{what}: the service answered {answer.status}"
        raise CounterpartError(message, cause=cause, acted=cause is Cause.OUTAGE)


def _render_all(data: Any, scope: Scope) -> Any:  # noqa: ANN401  # JSON
    if isinstance(data, str):
        return render(data, scope).text
    if isinstance(data, Mapping):
        return {key: _render_all(part, scope) for key, part in data.items()}
    if isinstance(data, list):
        return [_render_all(part, scope) for part in data]
    return data


def _all_ids(data: Any, settings: HttpSettings, label: str) -> list[str | int]:  # noqa: ANN401  # JSON
    """Every id that was found; null is an empty list, and any other answer is not taken for one."""
    head, star, tail = settings.find_ids.partition("*")
    path = settings.find_ids
    if not star:
        return [_check_id(take_path(data, path), path, "find")]
    entries = take_path(data, head.strip("."))
    if not isinstance(entries, list | None):
        raise CounterpartError(f"find: no list at {head}*", cause=Cause.MISTAKE)
    wanted = entries or ()
    if settings.find_label is not None:
        wanted = [entry for entry in wanted if take_path(entry, settings.find_label) == label]
    return [_check_id(take_path(entry, tail.strip(".")), tail.strip("."), "find") for entry in wanted]


def _all_outside(data: Any, settings: HttpSettings, label: str | None) -> list[base.Outside]:  # noqa: ANN401  # JSON
    """Every entry that works still, and bears the label where one is asked for."""
    head, star, tail = settings.find_ids.partition("*")
    if not star:
        return [base.Outside(id=str(found), label=label) for found in _all_ids(data, settings, label or "")]
    entries = take_path(data, head.strip("."))
    if not isinstance(entries, list | None):
        raise CounterpartError(f"no list at {head}*", cause=Cause.MISTAKE)
    path, found = tail.strip("."), []
    for entry in entries or ():
        bears = _look(entry, settings.inventory_label if label is None else settings.find_label)
        gone = _look(entry, settings.inventory_gone) is True
        if not gone and (label is None or settings.find_label is None or bears == label):
            shown = bears if isinstance(bears, str) else label
            found.append(base.Outside(id=str(_check_id(take_path(entry, path), path, "list")), label=shown))
    return found


def _look(entry: Any, path: str | None) -> Any:  # noqa: ANN401  # JSON
    """What lies at the path; None where nothing does."""
    try:
        return None if path is None else take_path(entry, path)
    except CounterpartError:
        return None


def _read_id(answer: Response, path: str, what: str) -> str | int:
    return _check_id(_take(answer, path), path, what)


def _check_id(found: object, path: str, what: str) -> str | int:
    if isinstance(found, str | int) and found != "":
        return found
    raise CounterpartError(f"{what}: no id at {path or '*'}", cause=Cause.MISTAKE)


def _read_time(answer: Response, path: str | None) -> datetime | None:
    found = None if path is None else _take(answer, path)
    if found is None:
        return None
    try:
        time = (
            datetime.fromtimestamp(found, UTC)
            if type(found) in (int, float)
            else datetime.fromisoformat(str(found))
        )
    except (ValueError, OverflowError, OSError):
        time = None
    if time is None:
        raise CounterpartError(f"issue: no time at {path}", cause=Cause.MISTAKE)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
