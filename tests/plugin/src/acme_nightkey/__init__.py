"""A rotator and a node for Acme's mailboxes: what somebody writes who needs more than Nightkey brings."""

import secrets
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from vaultcore.errors import Cause, TargetError
from vaultcore.model import Kind
from vaultcore.secret import Secret
from worker.outbound import Response, cause_of
from worker.rotators import base
from worker.workflows.nodes.base import Execution, Fields, NodeKind, OneWayOn, Outcome
from worker.workflows.templates import Scope, render


class MailboxSettings(base.RotatorSettings):
    url: str = Field(
        min_length=1, description="of the mailbox's administration, such as https://mail.acme.example"
    )
    admin_token: str = Field(description="a template: {{ vault.NAME }}")


class MailboxRotator:
    """Adds a password to a mailbox of Acme's, and takes the old one away.

    Both work side by side until then. It needs an administrator's token. A password that was added and
    forgotten is found in none of our lists, but every try of one rotation adds the same one.
    """

    Settings: ClassVar[type[base.RotatorSettings]] = MailboxSettings
    kind: ClassVar[Kind] = Kind.SECRET
    issues: ClassVar[bool] = False
    needs: ClassVar[tuple[str, str] | None] = None
    example: ClassVar[Mapping[str, Any]] = {
        "url": "https://mail.acme.example",
        "admin_token": "{{ vault.prod-acme-admin-token }}",
    }

    def overlaps(self, settings: base.RotatorSettings) -> bool:
        return True

    def target(self, settings: base.RotatorSettings) -> str | None:
        return "acme"

    def create(self, job: base.Job) -> base.Candidate:
        return base.Candidate(value=Secret(secrets.token_urlsafe(24)))

    def install(self, job: base.Job) -> str:
        _administer(job, "/passwords", job.new)
        return "added beside the old one"

    def verify(self, job: base.Job, value: Secret) -> str:
        answer = job.http.request(
            "GET", f"{_read(job).url}/login", headers={"X-Password": value.expose()}, timeout=10
        )
        _expect(answer, "login")
        return "the mailbox lets it in"

    def revoke(self, job: base.Job) -> str:
        _administer(job, "/passwords/drop", job.old)
        return "taken away"

    def undo(self, job: base.Job) -> str:
        if job.new is not None:
            _administer(job, "/passwords/drop", job.new)
        return "taken away"


class LogInFields(Fields):
    url: str = Field(min_length=1)
    password: str = Field(description="a template")


class LogIn(OneWayOn):
    """Logs in to a mailbox of Acme's. Its test is the same: nothing is left behind."""

    component_id: ClassVar[str] = "acme_login"
    kind: ClassVar[NodeKind] = NodeKind.ACTION
    Fields: ClassVar[type[Fields]] = LogInFields
    value_fields: ClassVar[frozenset[str]] = frozenset({"password"})
    example: ClassVar[Mapping[str, Any]] = {
        "url": "https://mail.acme.example",
        "password": "{{ vault.prod-acme-password }}",
    }

    def run(self, fields: Any, execution: Execution) -> Outcome:
        found = LogInFields.model_validate(fields)
        answer = execution.http.request(
            "GET", f"{found.url}/login", headers={"X-Password": execution.render(found.password)}
        )
        cause = cause_of(answer.status)
        failure = None if cause is None else f"the mailbox answered {answer.status}"
        return Outcome(output={"status": answer.status}, failure=failure, cause=cause)


def _read(job: base.Job) -> MailboxSettings:
    if not isinstance(job.settings, MailboxSettings):
        raise TargetError("the settings are of another rotator", cause=Cause.MISTAKE)
    return job.settings


def _administer(job: base.Job, path: str, value: Secret | None) -> None:
    if value is None:
        raise TargetError("the value is not here", cause=Cause.MISTAKE)
    token = render(_read(job).admin_token, Scope(context={}, values=job.values)).text
    body = '{"password": "' + value.expose() + '"}'
    answer = job.http.request(
        "POST", _read(job).url + path, headers={"Authorization": f"Bearer {token}"}, content=body
    )
    _expect(answer, path.strip("/"))


def _expect(answer: Response, what: str) -> None:
    cause = cause_of(answer.status)
    if cause is not None:
        raise TargetError(f"{what}: the mailbox answered {answer.status}", cause=cause)
