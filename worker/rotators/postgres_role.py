"""Rotator `postgres-role`: the password of a database role, or of two roles in turn."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import parse_qsl, quote, unquote

from pydantic import Field, model_validator

from vaultcore.errors import Cause, InvalidInputError, TargetError, raise_alone
from vaultcore.model import Kind
from vaultcore.secret import Secret
from worker.domain.ends import NoEndError, read_end
from worker.outbound.sessions import forget_sessions_of
from worker.rotators import base
from worker.rotators.random import RandomSettings, draw
from worker.workflows.templates import Scope, check, check_reads, render

if TYPE_CHECKING:
    from worker.rotators.postgres_session import PostgresLogin, PostgresSession

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)((?:[/?#].*)?)", re.DOTALL)
_UNSAYABLE = re.compile("[\x00\ud800-\udfff]")
"""What PostgreSQL's protocol has no form for."""
_Name = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[^\x00]+$")]


class PostgresSettings(base.RotatorSettings):
    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=5432, ge=1, le=65_535)
    database: _Name = "postgres"
    roles: list[_Name] = Field(
        min_length=1, max_length=2, description="one role, or two that have the same rights and take turns"
    )
    admin: _Name | None = Field(
        default=None,
        description="the role that sets passwords; without one, the role its own",
    )
    admin_password: str | None = Field(default=None, description="a template: {{ vault.NAME }}")
    form: Literal["password", "url"] = Field(
        default="password",
        description="what the item's value is: the password, or postgresql://role:password@host…",
    )
    tls: Literal["verify", "off"] = Field(default="verify", description="off only where the way there is safe")
    length: int = Field(default=40, ge=16, le=200, description="of the password, in characters")
    timeout: float = Field(
        default=15, gt=0, le=300, description="seconds for a connection and all that is asked on it"
    )

    @model_validator(mode="after")
    def _check(self) -> "PostgresSettings":
        problem = ""
        if (self.admin is None) != (self.admin_password is None):
            problem = "admin_password: admin and admin_password go together"
        if len(self.roles) == 2 and (self.form != "url" or self.admin is None or len(set(self.roles)) == 1):
            problem = "roles: two in turn must differ, and need an admin, and form url to say which"
        if self.admin in self.roles:
            problem = "admin: it cannot be one of the roles that are rotated"
        try:
            check(self.admin_password or "")
            check_reads(self.admin_password or "", {})
        except InvalidInputError as error:
            problem = f"admin_password: {error}"
        if problem:
            raise ValueError(problem)
        return self


class PostgresRoleRotator:
    """Sets a new password for a PostgreSQL role, as a SCRAM verifier made here.

    On the other side it changes the password of a role by ALTER ROLE; no statement, and so no log of the
    server, holds the password itself. With one role the old password stops working when the new one is set,
    for new connections; those that are open stay. With two roles, which must have the same rights, each
    rotation gives a password to the one that is not in use, and takes it from the other when nobody needs it
    any more: no connection ever fails. The item's value is the password, or with form `url` the whole
    address, `postgresql://role:password@host:port/database`: only role and password are replaced in it, so
    that it may lead by a pooler, and ask for TLS (`?sslmode=verify-full`).

    It needs a server that asks for passwords by SCRAM-SHA-256 (nothing else is answered), and a role that may
    alter the others (CREATEROLE, and ADMIN on them), or, with one role and no admin, none: the role changes its
    own. Half-way through, a password that was set is set again, and undone by
    setting the old one; with two roles by taking it away.

    One login proves a new password: a role has one, and by SCRAM the server shows in turn that it knows it.
    Where several servers answer at the same address, and a standby may lag, say in the policy how many logins
    in a row are to be good (`answers`).

    A role whose passwords end (VALID UNTIL) is read once the new one is accepted: what it says is the
    version's expiry where that is the nearer one. An admin moves it on to the new version's expiry together
    with the password, never back, and gives none to a role that has none; a role alone may not. Undoing leaves
    it where it was moved to.
    """

    Settings: ClassVar[type[base.RotatorSettings]] = PostgresSettings
    kind: ClassVar[Kind] = Kind.SECRET
    issues: ClassVar[bool] = False
    creates_here: ClassVar[bool] = True
    answers_needed: ClassVar[int] = 1
    refuses_others: ClassVar[bool] = True
    needs: ClassVar[tuple[str, str] | None] = ("psycopg", "postgres")
    example: ClassVar[Mapping[str, Any]] = {
        "host": "db.example.org",
        "database": "orders",
        "roles": ["orders_a", "orders_b"],
        "admin": "rotator",
        "admin_password": "{{ vault.prod-db-rotator-password }}",
        "form": "url",
    }

    def overlaps(self, settings: base.RotatorSettings) -> bool:
        return len(_read(settings).roles) == 2

    def target(self, settings: base.RotatorSettings) -> str | None:
        found = _read(settings)
        return f"{found.host.lower()}:{found.port}"

    def sets_anew(self, settings: base.RotatorSettings) -> bool:
        return _read(settings).admin is not None

    def accounts(self, settings: base.RotatorSettings) -> Sequence[str]:
        return [f"role {role}" for role in _read(settings).roles]

    def create(self, job: base.Job) -> base.Candidate:
        settings = _read(job.settings)
        self._check_way_back(job)
        password = draw(RandomSettings(length=settings.length)).expose()
        role = next((role for role in settings.roles if role != self._role(job, job.old)), settings.roles[0])
        if settings.form == "password":
            return base.Candidate(value=Secret(password), external={"role": role})
        return base.Candidate(
            value=Secret(_make_address(settings, job.old, f"{quote(role, safe='')}:{password}")),
            external={"role": role},
        )

    def install(self, job: base.Job) -> str:
        role, password = self._parts(job, job.new)
        self._check_way_back(job)
        refused: TargetError | None = None
        try:
            self._set_password(job, role, password, by=job.old)
        except _NotLetInError as error:
            refused = error
        if refused is None:
            return f"role {role} has a new password"
        if self._is_accepted(job, job.new):  # by a try that was taken for cut off
            return f"role {role} has it already"
        raise refused

    def verify(self, job: base.Job, value: Secret) -> str:
        role, password = self._parts(job, value)
        with _open(job, role, password) as session:
            session.run("SELECT 1")
        return f"the database lets role {role} in"

    def read_end(self, job: base.Job) -> datetime | None:
        role, password = self._parts(job, job.new)
        if _read(job.settings).admin is not None:
            with suppress(_NotLetInError), _open_admin(job) as session:
                return _find_end(job, session, role)
        with _open(job, role, password) as session:
            return _find_end(job, session, role)

    def revoke(self, job: base.Job) -> str:
        role, _ = self._parts(job, job.old)
        if self.overlaps(job.settings) and role != self._role(job, job.new):
            self._set_password(job, role, None, by=None)
        if self._is_accepted(job, job.old):
            raise TargetError("revoke: the database still accepts the old password", cause=Cause.OUTAGE)
        return f"the database refuses the old password of role {role}"

    def undo(self, job: base.Job) -> str:
        if job.new is None:
            return "nothing was set"
        role, _ = self._parts(job, job.new)
        if self.overlaps(job.settings):
            self._set_password(job, role, None, by=None)
        elif not self._is_accepted(job, job.old):
            old_role, old_password = self._parts(job, job.old)
            self._set_password(job, old_role, old_password, by=job.new)
        if self._is_accepted(job, job.new):
            raise TargetError("undo: the database still accepts the new password", cause=Cause.OUTAGE)
        return f"the database refuses the new password of role {role}"

    def _check_way_back(self, job: base.Job) -> None:
        """Before anything is changed: whether the old password can be asked for, and put back."""
        if job.old is not None:
            _check_password(*self._parts(job, job.old))

    def _role(self, job: base.Job, value: Secret | None) -> str:
        """Whose password a value is: with form `url` it says so itself."""
        settings = _read(job.settings)
        if settings.form == "password" or value is None:
            return settings.roles[0]
        return self._parts(job, value)[0]

    def _parts(self, job: base.Job, value: Secret | None) -> tuple[str, str]:
        settings = _read(job.settings)
        if value is None:
            raise TargetError("the value is not here", cause=Cause.MISTAKE)
        if settings.form == "password":
            return settings.roles[0], value.expose()
        role, password = _read_login(value.expose())
        if role not in settings.roles or not password:
            raise TargetError(
                "the value is no postgresql://role:password@… of one of the roles",
                cause=Cause.MISTAKE,
            )
        return role, password

    def _is_accepted(self, job: base.Job, value: Secret | None) -> bool:
        if value is None:
            return False
        try:
            self.verify(job, value)
        except TargetError as error:
            if error.cause is Cause.REJECTED:
                return False
            raise
        return True

    def _set_password(self, job: base.Job, role: str, password: str | None, *, by: Secret | None) -> None:
        """By the admin; where there is none, by the role itself, which logs in with the value `by`."""
        from worker.rotators.postgres_session import POSTGRES  # noqa: PLC0415  # an extra

        alone = _read(job.settings).admin is None
        try:
            with self._open_alone(job, by) if alone else _open_admin(job) as session:
                end = ""
                if not alone and password is not None:
                    end = _move_end(job, _find_end(job, session, role))
                verifier = "NULL" if password is None else f"'{session.make_verifier(role, password)}'"
                session.run(f"ALTER ROLE {_quote_name(role)} PASSWORD {verifier}{end}")
        finally:
            forget_sessions_of(POSTGRES, role)

    @contextmanager
    def _open_alone(self, job: base.Job, by: Secret | None) -> Iterator["PostgresSession"]:
        role, password = self._parts(job, by)
        with _let_in(role), _open(job, role, password) as session:
            yield session


class _NotLetInError(TargetError):
    """Who sets passwords is refused: that judges no value."""


def _read(settings: base.RotatorSettings) -> PostgresSettings:
    if not isinstance(settings, PostgresSettings):
        raise TargetError("the settings are of another rotator", cause=Cause.MISTAKE)
    return settings


def _make_address(settings: PostgresSettings, old: Secret | None, login: str) -> str:
    """The old address with another login: where it leads, and how, is not ours to change. Without an old one,
    what the settings say.
    """
    if old is None:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        return f"postgresql://{login}@{host}:{settings.port}/{quote(settings.database, safe='')}"
    scheme, authority, rest = _split_address(old.expose())
    return f"{scheme}://{login}@{authority.rpartition('@')[2]}{rest}"


def _split_address(address: str) -> tuple[str, str, str]:
    """(scheme, user, password and hosts, the rest) as they are written."""
    found = _ADDRESS.fullmatch(address)
    return ("", "", "") if found is None else (found[1], found[2], found[3])


def _read_login(address: str) -> tuple[str, str]:
    """Role and password; both empty where the address names them in another place, or is none."""
    _, authority, rest = _split_address(address)
    named = {name for name, _ in parse_qsl(rest.partition("?")[2], keep_blank_values=True)}
    if named & {"user", "password"}:
        return "", ""
    role, _, password = authority.rpartition("@")[0].partition(":")
    return unquote(role), unquote(password)


def _check_password(role: str, password: str) -> None:
    if not password or _UNSAYABLE.search(password) is not None:
        raise TargetError(
            f"the password of role {role} is empty, or has characters that no password has: set another by "
            "hand, and give it to the item",
            cause=Cause.MISTAKE,
        )


def _find_end(job: base.Job, session: "PostgresSession", role: str) -> datetime | None:
    """What the server answers: a number of seconds, `Infinity`, or null."""
    name = role.replace("'", "''")
    asked = "SELECT extract(epoch FROM rolvaliduntil)::text FROM pg_catalog.pg_roles WHERE rolname = "
    rows = session.run(f"{asked}'{name}'")
    found = rows[0][0] if rows and rows[0] else None
    if found is None or found == "Infinity":
        return None
    if found == "-Infinity":
        return job.now
    try:
        return read_end(found, job.now, called="valid_until")
    except NoEndError as error:
        told = f"the role's VALID UNTIL cannot be read: it is {error}"
        raise TargetError(told, cause=Cause.MISTAKE) from None


def _move_end(job: base.Job, end: datetime | None) -> str:
    """Where the role's passwords end before the new version does, they end with it from now on."""
    if end is None or job.expires_at is None or end >= job.expires_at:
        return ""
    return f" VALID UNTIL '{job.expires_at.isoformat()}'"


@contextmanager
def _open(job: base.Job, role: str, password: str) -> Iterator["PostgresSession"]:
    """A session of its own, so that it proves the password."""
    from worker.rotators.postgres_session import open_session  # noqa: PLC0415  # an extra

    with open_session(
        job.network, _describe_login(job, role, password), seconds=_read(job.settings).timeout
    ) as session:
        yield session


@contextmanager
def _open_admin(job: base.Job) -> Iterator["PostgresSession"]:
    """One that is open already, if there is one."""
    from worker.rotators.postgres_session import share_session  # noqa: PLC0415  # an extra

    settings = _read(job.settings)
    admin, password = (
        settings.admin or "",
        render(settings.admin_password or "", Scope(context={}, values=job.values)).text,
    )
    login = _describe_login(job, admin, password)
    with _let_in(admin), share_session(job.network, login, seconds=settings.timeout) as session:
        yield session


def _describe_login(job: base.Job, role: str, password: str) -> "PostgresLogin":
    from worker.rotators.postgres_session import PostgresLogin  # noqa: PLC0415  # an extra

    _check_password(role, password)
    settings = _read(job.settings)
    return PostgresLogin(
        host=settings.host,
        port=settings.port,
        database=settings.database,
        role=role,
        password=password,
        tls=settings.tls == "verify",
    )


@contextmanager
def _let_in(role: str) -> Iterator[None]:
    refused = False
    try:
        yield
    except TargetError as error:
        if error.cause is not Cause.REJECTED:
            raise
        refused = True
    if refused:
        problem = f"the database does not let {role} in, who sets passwords"
        raise_alone(_NotLetInError(problem, cause=Cause.MISTAKE))


def _quote_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
