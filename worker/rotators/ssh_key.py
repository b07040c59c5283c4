"""Rotator `ssh-key`: a new pair of keys, let in by the old one."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field, model_validator

from vaultcore.errors import Cause, CounterpartError, InvalidInputError
from vaultcore.model import Kind
from vaultcore.secret import Secret
from worker.outbound.ssh import Login, Server, Session, log_in, open_session, parse_host_key, read_private_key
from worker.rotators import base
from worker.rotators.authorized_keys import (
    Entry,
    add_beside,
    find_end,
    read_entries,
    remove,
    sum_as_cksum,
)
from worker.workflows.templates import Scope, check, render

_TRIES = 5
"""How often the file is read again because somebody else wrote it meanwhile."""
_MARK = b"nightkey: authorized_keys follows\n"
"""Before the file, after whatever the user's shell says when it starts."""
_CHANGED, _UNWRITTEN, _LINK, _MISSING, _FOREIGN = 3, 4, 5, 6, 7
_READ = (
    f'[ -L "$1" ] && exit {_LINK}; [ -f "$1" ] || exit {_MISSING}; echo "{_MARK.decode().strip()}"; cat < "$1"'
)
_WRITE = (
    # Who may do what with a file, as far as sshd and others who read it can tell: its mode and its owner, and
    # its group where that may do more or less than others. A mark for more rights (ACL) is a part of the mode.
    'look() { set -- $(LC_ALL=C ls -ldn "$1"); mode=$1; owner=$3; group=$4; '
    "for_user=$(cut_mode 2-4); for_group=$(cut_mode 5-7); for_others=$(cut_mode 8-10); "
    '[ "$for_group" != "$for_others" ] || group=any; }; '
    'cut_mode() { printf %s "$mode" | cut -c "$1" | tr -d -; }; '
    'give_up() { rm -f "$t"; exit "$1"; }; '
    'umask 077; f=$1; t="$1.$2.$$"; rm -f "$1.$2".*; '
    'look "$f"; before="$mode $owner $group"; '
    f"case $mode in -?????????*) ;; *) give_up {_UNWRITTEN} ;; esac; "
    # A connection that breaks off looks to `cat` like an end: so what came is summed up before it counts.
    'cp -p "$f" "$t" && chmod u+w "$t" && cat > "$t" && [ "$(cksum < "$t")" = "$4" ] && '
    f'chmod "u=$for_user,g=$for_group,o=$for_others" "$t" || give_up {_UNWRITTEN}; '
    f'look "$t"; [ "$mode $owner $group" = "$before" ] || give_up {_FOREIGN}; '
    f'[ "$(cksum < "$f")" = "$3" ] || give_up {_CHANGED}; '
    f'mv -f "$t" "$f" || give_up {_UNWRITTEN}'
)


class SshKeySettings(base.Settings):
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

    It needs a POSIX shell there with cp, cat, cksum, chmod, cut, ls, mv, rm and tr, the host's key, and as the
    item's value a private key that works now and is not encrypted. The old key does the work itself; one that
    may run no command of ours (command=, internal-sftp) needs an `admin`, who is the file's owner or root.

    Half-way, the old key or both are let in, and each step can be done again: a line that is there is not
    added, one that is gone is not missed, and a file that did not arrive whole is thrown away. With the new
    line in its place the old key must log in as before, or else the line is taken out again. The new line
    bears the rotation's label as its comment, by which leftovers are found. Revoking logs in by the new key;
    both it and undoing are proven by a login that is refused.
    """

    Settings: ClassVar[type[base.Settings]] = SshKeySettings
    kind: ClassVar[Kind] = Kind.SECRET
    issues: ClassVar[bool] = False
    needs: ClassVar[tuple[str, str] | None] = ("asyncssh", "ssh")
    example: ClassVar[Mapping[str, Any]] = {
        "host": "files.example.org",
        "username": "robot",
        "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
    }

    def overlaps(self, settings: base.Settings) -> bool:  # noqa: ARG002  # the contract's
        return True

    def counterpart(self, settings: base.Settings) -> str | None:
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
        except CounterpartError as error:
            if error.cause is not Cause.REJECTED or not self._is_accepted(job, job.new):
                raise
            return "the new key is let in already, and the old one no more"
        return "its line was added" if added else "its line was there already"

    def verify(self, job: base.Job, value: Secret) -> str:
        settings = _read(job.settings)
        login = Login(username=settings.username, private_key=value)
        log_in(job.network, _server(settings), login, seconds=settings.timeout)
        return f"{settings.host} lets {settings.username} in by it"

    def read_end(self, job: base.Job) -> datetime | None:
        new = _read_key(job.new)
        with _open_for_writing(job, job.new) as session:
            content = _read_file(session, job)
        try:
            ends = [find_end(entry.options) for entry in read_entries(content) if entry.blob == new.blob]
            return min((end for end in ends if end is not None), default=None)
        except ValueError:
            pass
        raise CounterpartError(
            f"the new key's line in {_read(job.settings).file} has an expiry-time that is no time: correct it",
            cause=Cause.MISTAKE,
        )

    def revoke(self, job: base.Job) -> str:
        old, new = _read_key(job.old), _read_key(job.new)

        def drop(content: bytes) -> bytes:
            if all(entry.blob != new.blob for entry in read_entries(content)):
                raise LookupError
            return remove(content, lambda entry: entry.blob == old.blob or _is_left_over(entry, new.blob, job))

        with _open_for_writing(job, job.new) as session:
            dropped = _edit(session, job, drop)
        self._expect_refusal(job, job.old, "revoke: the host still lets the old key in")
        return f"its line was {'removed' if dropped else 'gone already'}, and the host refuses the old key"

    def undo(self, job: base.Job) -> str:
        if job.new is None:
            return "nothing was installed"
        with _open_for_writing(job, job.old) as session:
            dropped = _take_back(session, job)
        self._expect_refusal(job, job.new, "undo: the host still lets the new key in")
        return f"its line was {'removed' if dropped else 'not there'}, and the host refuses the new key"

    def _keep_old(self, session: Session, job: base.Job) -> None:
        """The old key is let in with the new line in the file; else it is taken out while we are in."""
        if self._is_accepted(job, job.old):
            return
        _take_back(session, job)
        settings = _read(job.settings)
        raise CounterpartError(
            f"{settings.host} refuses the old key with the new line in {settings.file}, so that was taken out "
            "again: the host's log says why",
            cause=Cause.MISTAKE,
        )

    def _is_accepted(self, job: base.Job, value: Secret | None) -> bool:
        try:
            self.verify(job, _require(value))
        except CounterpartError as error:
            if error.cause is Cause.REJECTED:
                return False
            raise
        return True

    def _expect_refusal(self, job: base.Job, value: Secret | None, problem: str) -> None:
        if self._is_accepted(job, value):
            raise CounterpartError(f"{problem}: look for another line or file that has it", cause=Cause.MISTAKE)


@dataclass(frozen=True, kw_only=True)
class _PublicKey:
    """`line` without a comment, and `blob`, which is its second word decoded."""

    line: bytes
    blob: bytes


def _is_left_over(entry: Entry, kept: bytes, job: base.Job) -> bool:
    """Made for this rotation, and not the key that is kept."""
    return entry.comment == job.label.encode() and entry.blob != kept


def _read(settings: base.Settings) -> SshKeySettings:
    if not isinstance(settings, SshKeySettings):
        raise CounterpartError("the settings are of another rotator", cause=Cause.MISTAKE)
    return settings


def _require(value: Secret | None) -> Secret:
    if value is None:
        raise CounterpartError("the value is not here", cause=Cause.MISTAKE)
    return value


def _read_key(value: Secret | None) -> _PublicKey:
    key = read_private_key(_require(value))
    line = b" ".join(key.export_public_key("openssh").split()[:2])
    return _PublicKey(line=line, blob=key.public_data)


def _server(settings: SshKeySettings) -> Server:
    return Server(host=settings.host, port=settings.port, host_key=parse_host_key(settings.host_key))


@contextmanager
def _open_for_writing(job: base.Job, value: Secret | None) -> Iterator[Session]:
    """By the admin; where there is none, by the user itself with the key `value`."""
    settings = _read(job.settings)
    login = Login(username=settings.username, private_key=_require(value))
    if settings.admin is not None:
        key = render(settings.admin_key or "", Scope(context={}, values=job.values)).text
        login = Login(username=settings.admin, private_key=Secret(key))
    problem = ""
    try:
        with open_session(job.network, _server(settings), login, seconds=settings.timeout) as session:
            yield session
    except CounterpartError as error:
        if error.cause is not Cause.REJECTED or settings.admin is None:
            raise
        problem = f"{settings.host} does not let {settings.admin} in, who writes the file"
    if problem:
        raise CounterpartError(problem, cause=Cause.MISTAKE)


def _edit(session: Session, job: base.Job, change: Callable[[bytes], bytes]) -> bool:
    """Changes the file as a whole or not at all; whether there was anything to change."""
    status: int | None = None
    for _ in range(_TRIES):
        content = _read_file(session, job)
        try:
            changed = change(content)
        except LookupError:
            break
        if changed == content:
            return False
        status = _write_file(session, job, content, changed)
        if status == 0:
            return True
    else:
        raise _explain_writing(job, status)
    raise CounterpartError(
        f"{_read(job.settings).file} has no line for the key that is to stay or to be followed: "
        "look where the host lets it in",
        cause=Cause.MISTAKE,
    )


def _take_back(session: Session, job: base.Job) -> bool:
    """The new key's line is gone, with what is left over from this rotation; whether there was any."""
    old, new = _read_key(job.old), _read_key(job.new)

    def drop(content: bytes) -> bytes:
        return remove(content, lambda entry: entry.blob == new.blob or _is_left_over(entry, old.blob, job))

    return _edit(session, job, drop)


def _explain_writing(job: base.Job, status: int | None) -> CounterpartError:
    file = _read(job.settings).file
    if status == _CHANGED:
        return CounterpartError(f"{file} is changed by somebody else all the time", cause=Cause.OUTAGE)
    problem = "look whether the disk is full, and whose it is"
    if status == _FOREIGN:
        problem = "its owner, group or rights would change: name its owner as admin, or root"
    return CounterpartError(f"{file} cannot be written: {problem}", cause=Cause.MISTAKE)


def _read_file(session: Session, job: base.Job) -> bytes:
    file = _read(job.settings).file
    ran = session.run(_quote(_READ, file))
    _, mark, content = ran.stdout.partition(_MARK)
    if ran.status == 0 and mark:
        return content
    problem = {
        _LINK: f"{file} is a symbolic link, which is not replaced: name the file itself",
        _MISSING: f"{file} is not there: name the file in which the host looks keys up",
    }.get(ran.status or 0, f"{file} cannot be read: the login may run no command of ours, so name an admin")
    raise CounterpartError(problem, cause=Cause.MISTAKE)


def _write_file(session: Session, job: base.Job, before: bytes, after: bytes) -> int | None:
    sums = (sum_as_cksum(before), sum_as_cksum(after))
    return session.run(_quote(_WRITE, _read(job.settings).file, job.label, *sums), after).status


def _quote(script: str, *arguments: str) -> str:
    """For whatever shell the user has, which hands it on to one of POSIX."""
    return shlex.join(["sh", "-c", script, "nightkey", *arguments])
