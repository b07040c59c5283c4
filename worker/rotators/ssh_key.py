"""Rotator `ssh-key`: a new pair of keys, let in by the old one."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field, model_validator

from vaultcore.errors import Cause, InvalidInputError, TargetError, raise_alone
from vaultcore.model import Kind
from vaultcore.secret import Secret
from worker.outbound.sessions import forget_sessions_of
from worker.outbound.ssh import (
    SSH,
    Login,
    Session,
    log_in,
    open_session,
    parse_host_key,
    read_private_key,
    share_session,
)
from worker.rotators import base
from worker.rotators.authorized_keys import (
    KeyLine,
    add_beside,
    find_end,
    read_entries,
    remove,
)
from worker.rotators.ssh_file import FileChangedError, RemoteFile
from worker.rotators.ssh_login import require, server_of
from worker.workflows.templates import Scope, check, render

_TRIES = 5
"""How often the file is read again because somebody else wrote it meanwhile."""


class SshKeySettings(base.RotatorSettings):
    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=22, ge=1, le=65_535)
    username: str = Field(min_length=1, max_length=255, description="whom the key lets in")
    host_key: str = Field(
        max_length=4000, description="the host's public key in a line (ssh-ed25519 AAAA…), or SHA256:…"
    )
    file: str = Field(
        default=".ssh/authorized_keys",
        pattern=r"^[^-\x00-\x1f][^\x00-\x1f]*$",
        max_length=1000,
        description="where sshd looks the keys of username up, from the home of who writes it",
    )
    admin: str | None = Field(
        default=None,
        max_length=255,
        description="who writes the file, where the key itself may run no command; without one, username",
    )
    admin_key: str | None = Field(default=None, description="a template: {{ vault.NAME }}")
    timeout: float = Field(default=30, gt=0, le=300, description="seconds for each login with all that follows")

    @model_validator(mode="after")
    def _check(self) -> "SshKeySettings":
        problem, field = "", "host_key"
        try:
            parse_host_key(self.host_key)
            field = "admin_key"
            check(self.admin_key or "")
        except InvalidInputError as error:
            problem = f"{field}: {error}"
        if (self.admin is None) != (self.admin_key is None):
            problem = "admin_key: admin and admin_key go together"
        elif self.admin is not None and not self.file.startswith("/"):
            problem = "file: name it from / on, since admin has another home"
        if problem:
            raise ValueError(problem)
        return self


class SshKeyRotator:
    """Replaces a key by a new Ed25519 pair, which the old one lets in.

    On the other side it changes one file, `authorized_keys` of the user: it adds a line for the new key, with
    the options of the old one's line (such as from= or restrict), and takes the old line away when nobody needs
    it any more. Every other line stays as it is, byte for byte. The file is written anew beside the old one and
    renamed; if somebody else wrote it meanwhile, it is read again. Where it would not keep its mode and its
    owner, it is not written. An end of the old line (expiry-time=) is not carried along: the new line ends with
    the new version, or later where the old one did, and not at all where the item has no expiry. What stands
    there is read, and is the version's expiry where it is the nearer one.

    It needs SFTP there with OpenSSH's posix-rename, the host's key, and as the item's value a private key that
    works now and is not encrypted. The old key does the work itself; one that may not (command=) needs an
    `admin`, who is the file's owner or root.

    Half-way, the old key or both are let in, and each step can be done again: a line that is there is not
    added, one that is gone is not missed, and a file that did not arrive whole is thrown away. With the new
    line in its place the old key must log in as before, or else the file is put back as it was, together with
    rights that SFTP does not tell of (ACL). The new line bears the rotation's label as its comment, by which
    leftovers are found. One login proves the new key. Revoking logs in by it; both it and undoing are proven by
    a login that is refused.
    """

    Settings: ClassVar[type[base.RotatorSettings]] = SshKeySettings
    kind: ClassVar[Kind] = Kind.SECRET
    issues: ClassVar[bool] = False
    creates_here: ClassVar[bool] = True
    answers_needed: ClassVar[int] = 1
    needs: ClassVar[tuple[str, str] | None] = ("asyncssh", "ssh")
    example: ClassVar[Mapping[str, Any]] = {
        "host": "files.example.org",
        "username": "robot",
        "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
    }

    def overlaps(self, settings: base.RotatorSettings) -> bool:  # noqa: ARG002  # the contract's
        return True

    def target(self, settings: base.RotatorSettings) -> str | None:
        found = _read(settings)
        return f"{found.host.lower()}:{found.port}"

    def create(self, job: base.Job) -> base.Candidate:
        import asyncssh  # noqa: PLC0415  # an extra

        made = asyncssh.generate_private_key("ssh-ed25519", comment=job.label)
        return base.Candidate(
            value=Secret(made.export_private_key("openssh").decode()),
            external={"fingerprint": made.get_fingerprint()},
        )

    def install(self, job: base.Job) -> str:
        old, new = _read_key(job.old), _read_key(job.new)
        line = new.line + b" " + job.label.encode()

        def add(content: bytes) -> bytes:
            return add_beside(content, old=old.blob, public_line=line, new=new.blob, end=job.expires_at)

        try:
            with _open_for_writing(job, job.old) as session:
                added = _edit(session, job, add)
                if added or _read(job.settings).admin is not None:
                    self._keep_old(session, job)
                _find_file(session, job).drop_kept()
        except TargetError as error:
            if error.cause is not Cause.REJECTED or not self._is_accepted(job, job.new):
                raise
            return "the new key is let in already, and the old one no more"
        return "its line was added" if added else "its line was there already"

    def verify(self, job: base.Job, value: Secret) -> str:
        settings = _read(job.settings)
        login = Login(username=settings.username, private_key=value)
        log_in(job.network, server_of(settings), login, seconds=settings.timeout)
        return f"{settings.host} lets {settings.username} in by it"

    def read_end(self, job: base.Job) -> datetime | None:
        new = _read_key(job.new)
        with _open_for_writing(job, job.new) as session:
            content = _find_file(session, job).read()
        try:
            ends = [find_end(entry.options) for entry in read_entries(content) if entry.blob == new.blob]
        except ValueError:
            raise TargetError(
                f"the new key's line in {_read(job.settings).file} has an expiry-time that is no time: "
                "correct it",
                cause=Cause.MISTAKE,
            ) from None
        return min((end for end in ends if end is not None), default=None)

    def revoke(self, job: base.Job) -> str:
        old, new = _read_key(job.old), _read_key(job.new)

        def drop(content: bytes) -> bytes:
            if all(entry.blob != new.blob for entry in read_entries(content)):
                raise LookupError
            return remove(content, lambda entry: entry.blob == old.blob or _is_left_over(entry, new.blob, job))

        with _open_for_writing(job, job.new) as session:
            dropped = _edit(session, job, drop)
            _find_file(session, job).drop_kept()
        self._expect_refusal(job, job.old, "revoke: the host still lets the old key in")
        return f"its line was {'removed' if dropped else 'gone already'}, and the host refuses the old key"

    def undo(self, job: base.Job) -> str:
        if job.new is None:
            return "nothing was installed"
        with _open_for_writing(job, job.old) as session:
            dropped = _take_back(session, job)
            _find_file(session, job).drop_kept()
        self._expect_refusal(job, job.new, "undo: the host still lets the new key in")
        return f"its line was {'removed' if dropped else 'not there'}, and the host refuses the new key"

    def _keep_old(self, session: Session, job: base.Job) -> None:
        """The old key is let in with the new line in the file; else it is taken out while we are in."""
        if self._is_accepted(job, job.old):
            return
        _take_back(session, job)
        settings = _read(job.settings)
        raise TargetError(
            f"{settings.host} refuses the old key with the new line in {settings.file}, so that was taken out "
            "again: the host's log says why",
            cause=Cause.MISTAKE,
        )

    def _is_accepted(self, job: base.Job, value: Secret | None) -> bool:
        try:
            self.verify(job, require(value))
        except TargetError as error:
            if error.cause is Cause.REJECTED:
                return False
            raise
        return True

    def _expect_refusal(self, job: base.Job, value: Secret | None, problem: str) -> None:
        if self._is_accepted(job, value):
            raise TargetError(f"{problem}: look for another line or file that has it", cause=Cause.MISTAKE)


@dataclass(frozen=True, kw_only=True)
class _PublicKey:
    """`line` without a comment, and `blob`, which is its second word decoded."""

    line: bytes
    blob: bytes


def _is_left_over(entry: KeyLine, kept: bytes, job: base.Job) -> bool:
    """Made for this rotation, and not the key that is kept."""
    return entry.comment == job.label.encode() and entry.blob != kept


def _read(settings: base.RotatorSettings) -> SshKeySettings:
    if not isinstance(settings, SshKeySettings):
        raise TargetError("the settings are of another rotator", cause=Cause.MISTAKE)
    return settings


def _read_key(value: Secret | None) -> _PublicKey:
    key = read_private_key(require(value))
    line = b" ".join(key.export_public_key("openssh").split()[:2])
    return _PublicKey(line=line, blob=key.public_data)


@contextmanager
def _open_for_writing(job: base.Job, value: Secret | None) -> Iterator[Session]:
    """By the admin; where there is none, by the user itself with the key `value`."""
    settings = _read(job.settings)
    login = Login(username=settings.username, private_key=require(value))
    if settings.admin is not None:
        key = render(settings.admin_key or "", Scope(context={}, values=job.values)).text
        login = Login(username=settings.admin, private_key=Secret(key))
    problem = ""
    try:
        enter = open_session if settings.admin is None else share_session
        with enter(job.network, server_of(settings), login, seconds=settings.timeout) as session:
            yield session
    except TargetError as error:
        if error.cause is not Cause.REJECTED or settings.admin is None:
            raise
        problem = f"{settings.host} does not let {settings.admin} in, who writes the file"
    finally:
        forget_sessions_of(SSH, settings.username)
    if problem:
        raise_alone(TargetError(problem, cause=Cause.MISTAKE))


def _find_file(session: Session, job: base.Job) -> RemoteFile:
    return RemoteFile(session, _read(job.settings).file, job.label)


def _edit(session: Session, job: base.Job, change: Callable[[bytes], bytes]) -> bool:
    """Changes the file as a whole or not at all; whether there was anything to change."""
    file, name = _find_file(session, job), _read(job.settings).file
    for _ in range(_TRIES):
        content = file.read()
        try:
            changed = change(content)
        except LookupError:
            raise TargetError(
                f"{name} has no line for the key that is to stay or to be followed: "
                "look where the host lets it in",
                cause=Cause.MISTAKE,
            ) from None
        if changed == content:
            return False
        with suppress(FileChangedError):
            file.replace(content, changed)
            return True
    raise TargetError(f"{name} is changed by somebody else all the time", cause=Cause.OUTAGE)


def _take_back(session: Session, job: base.Job) -> bool:
    """The new key's line is gone, with what is left over from this rotation; whether there was any."""
    old, new = _read_key(job.old), _read_key(job.new)

    def drop(content: bytes) -> bytes:
        return remove(content, lambda entry: entry.blob == new.blob or _is_left_over(entry, old.blob, job))

    return _edit(session, job, drop)
