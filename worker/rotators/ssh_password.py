"""Rotator `ssh-password`: a password of a user, set by a command that reads it."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field, model_validator

from vaultcore.errors import Cause, InvalidInputError, TargetError
from vaultcore.model import Kind
from vaultcore.secret import Secret
from worker.outbound.sessions import forget_sessions_of
from worker.outbound.ssh import SSH, Login, log_in, open_session, parse_host_key, share_session
from worker.rotators import base
from worker.rotators.random import RandomSettings, draw
from worker.rotators.ssh_login import require, server_of
from worker.workflows.templates import Scope, check, render

_ENDS_LINES = "\n\r\0"
"""What ends a line to one program or another: chpasswd takes what follows for another user's password."""
_NAME = r"^[^:\x00-\x1f\x7f-\x9f]+$"
"""No colon either, which ends the name in such a line."""


class SshPasswordSettings(base.RotatorSettings):
    """`command` and `stdin` see `rotation.username`; `stdin` sees `rotation.new`, the password that is to be
    set, and `rotation.old`, the one that works now.
    """

    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=22, ge=1, le=65_535)
    username: str = Field(min_length=1, max_length=255, pattern=_NAME, description="whose password it is")
    host_key: str = Field(
        max_length=4000, description="the host's public key in a line (ssh-ed25519 AAAA…), or SHA256:…"
    )
    command: str = Field(
        min_length=1,
        max_length=4000,
        description="a template: sets the password that it reads, as chpasswd does",
    )
    stdin: str = Field(
        default="{{ rotation.username }}:{{ rotation.new }}\n",
        max_length=4000,
        description="a template: what the command reads; for passwd, the old one and twice the new one",
    )
    admin: str | None = Field(
        default=None,
        max_length=255,
        pattern=_NAME,
        description="who runs the command; without one, the user itself",
    )
    admin_key: str | None = Field(default=None, description="a template: {{ vault.NAME }}")
    admin_password: str | None = Field(default=None, description="the same, where admin has no key")
    generate: RandomSettings = Field(default=RandomSettings(), description="as the settings of rotator random")
    timeout: float = Field(default=30, gt=0, le=300, description="seconds for each login with all that follows")

    @model_validator(mode="after")
    def _check(self) -> "SshPasswordSettings":
        logins = [text for text in (self.admin_key, self.admin_password) if text is not None]
        problem = ""
        if len(logins) != (self.admin is not None):
            problem = "admin: it goes with either admin_key or admin_password"
        if "rotation.new" not in self.stdin:
            problem = "stdin: it must hold {{ rotation.new }}"
        if not (self.generate.characters or "x").isprintable():
            problem = "generate.characters: what cannot be printed cannot be read from a line"
        problem = problem or self._check_texts()
        if problem:
            raise ValueError(problem)
        return self

    def _check_texts(self) -> str:
        field = "host_key"
        try:
            parse_host_key(self.host_key)
            for name in ("stdin", "admin_key", "admin_password", "command"):
                field = name
                uses = check(getattr(self, name) or "")
            if uses:
                return "command: a value may not stand here: let it read the value from stdin"
            self.render_command()
        except (InvalidInputError, TargetError) as error:
            return f"{field}: {error}"
        return ""

    def render_command(self) -> str:
        """Without any value in its sight."""
        return render(self.command, Scope(context={"rotation": {"username": self.username}}, values={})).text


class SshPasswordRotator:
    """Draws a new password for a user, and has it set by a command on the host.

    On the other side it changes the password of one user, by a command that reads it on its standard input,
    such as `chpasswd` run by an admin, or `passwd` run by the user itself. No command line holds a password.
    There is room for one: the old password stops working when the new one is set, and workflows that log in
    before the tests are over fail with it.

    It needs a command that may be repeated, the host's key, and a host that lets the user in by password. An
    `admin` logs in by a key or a password that is an item of its own; without one, the user itself does, with
    the password that works now. That password, and every other value in `stdin`, is one line: where one holds
    a line break or a NUL, nothing is changed.

    Half-way, either password works: setting it again does no harm, and undoing sets the old one again. Which
    one works is found by logging in, so that some logins are refused on purpose: leave room for them where
    accounts are locked after so many. One login proves the new password.
    """

    Settings: ClassVar[type[base.RotatorSettings]] = SshPasswordSettings
    kind: ClassVar[Kind] = Kind.SECRET
    issues: ClassVar[bool] = False
    creates_here: ClassVar[bool] = True
    answers_needed: ClassVar[int] = 1
    needs: ClassVar[tuple[str, str] | None] = ("asyncssh", "ssh")
    example: ClassVar[Mapping[str, Any]] = {
        "host": "files.example.org",
        "username": "robot",
        "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
        "command": "sudo -n chpasswd",
        "admin": "rotator",
        "admin_key": "{{ vault.prod-files-rotator-key }}",
    }

    def overlaps(self, settings: base.RotatorSettings) -> bool:  # noqa: ARG002  # the contract's
        return False

    def target(self, settings: base.RotatorSettings) -> str | None:
        found = _read(settings)
        return f"{found.host.lower()}:{found.port}"

    def sets_anew(self, settings: base.RotatorSettings) -> bool:
        """By an admin, whose command does not ask for the password that works now."""
        found = _read(settings)
        return found.admin is not None and "rotation.old" not in found.stdin

    def accounts(self, settings: base.RotatorSettings) -> Sequence[str]:
        return [f"user {_read(settings).username}"]

    def create(self, job: base.Job) -> base.Candidate:
        made = draw(_read(job.settings).generate)
        _check_both_ways(job, made)
        return base.Candidate(value=made)

    def install(self, job: base.Job) -> str:
        new = require(job.new)
        _check_both_ways(job, new)
        return self._change(job, to=new, of=job.old)

    def verify(self, job: base.Job, value: Secret) -> str:
        settings = _read(job.settings)
        login = Login(username=settings.username, password=value)
        log_in(job.network, server_of(settings), login, seconds=settings.timeout)
        return f"{settings.host} lets {settings.username} in by it"

    def revoke(self, job: base.Job) -> str:
        if self._is_accepted(job, require(job.old)):
            raise TargetError("revoke: the host still accepts the old password", cause=Cause.OUTAGE)
        return "the host refuses the old password"

    def undo(self, job: base.Job) -> str:
        if job.new is None:
            return "nothing was set"
        done = self._change(job, to=require(job.old), of=job.new)
        if self._is_accepted(job, job.new):
            raise TargetError("undo: the host still accepts the new password", cause=Cause.OUTAGE)
        return f"the old one: {done}; the host refuses the new one"

    def _change(self, job: base.Job, *, to: Secret, of: Secret | None) -> str:
        """Sets it. The user itself logs in with the password `of`; if refused, `to` may be set already."""
        settings = _read(job.settings)
        if settings.admin is not None:
            scope = Scope(context={}, values=job.values)
            key, password = (
                None if text is None else Secret(render(text, scope).text)
                for text in (settings.admin_key, settings.admin_password)
            )
            login = Login(username=settings.admin, private_key=key, password=password)
        else:
            login = Login(username=settings.username, password=require(of))
        try:
            status = _set_password(job, login, to=to, of=of)
        except TargetError as error:
            if error.cause is not Cause.REJECTED:
                raise
            problem = f"{settings.host} does not let {login.username} in, who sets the password"
        else:
            if status == 0:
                return "it was set"
            told = "without a status" if status is None else f"with status {status}"
            problem = f"the command that sets the password ended {told}"
        if self._is_accepted(job, to):  # by a try that was taken for cut off
            return "it was set already"
        raise TargetError(problem, cause=Cause.MISTAKE)

    def _is_accepted(self, job: base.Job, value: Secret) -> bool:
        try:
            self.verify(job, value)
        except TargetError as error:
            if error.cause is Cause.REJECTED:
                return False
            raise
        return True


def _read(settings: base.RotatorSettings) -> SshPasswordSettings:
    if not isinstance(settings, SshPasswordSettings):
        raise TargetError("the settings are of another rotator", cause=Cause.MISTAKE)
    return settings


def _set_password(job: base.Job, login: Login, *, to: Secret, of: Secret | None) -> int | None:
    """With which status the command ended."""
    settings = _read(job.settings)
    given = _render_stdin(job, to=to, of=of)
    enter = open_session if settings.admin is None else share_session
    try:
        with enter(job.network, server_of(settings), login, seconds=settings.timeout) as session:
            return session.run(settings.render_command(), given.encode()).status
    finally:
        forget_sessions_of(SSH, settings.username)


def _check_both_ways(job: base.Job, new: Secret) -> None:
    """The new password can be set, and the old one set again; told before anything is changed."""
    _render_stdin(job, to=new, of=job.old)
    if job.old is not None:
        _render_stdin(job, to=job.old, of=new)


def _render_stdin(job: base.Job, *, to: Secret, of: Secret | None) -> str:
    """What the command reads; a mistake if a value in it would be more than one line, or a part of one."""
    settings = _read(job.settings)
    known = {"username": settings.username, "new": to.expose()}
    if of is not None:
        known["old"] = of.expose()
    rendered = render(settings.stdin, Scope(context={"rotation": known}, values=job.values))
    given = {"a password of this item": to.expose() + known.get("old", "")}
    given |= {f"the value of {name}": job.values[name].expose() for name in sorted(rendered.used)}
    for name, text in given.items():
        if any(character in text for character in _ENDS_LINES):
            raise TargetError(
                f"{name} holds a line break or a NUL, which the command takes for its end: give one without",
                cause=Cause.MISTAKE,
            )
    return rendered.text
