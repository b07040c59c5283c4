"""Rotator `postgres-role` against a real PostgreSQL: the contract, and what its log never holds."""

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import select

from nightkey_demo.faces import SIGN_IN_PATH
from nightkey_demo.target_systems import start_target_systems
from tests.conftest import Clock
from tests.counting import count_on
from tests.organisation import Organisation
from tests.postgres import run_sql, start_postgres
from tests.services.staging import drive_on, get_rotation, make_services
from tests.ways_out import HTTP, NETWORK
from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from vaultcore.tables import audit
from worker.domain.credential_checks import CheckOutcome
from worker.domain.saga import State
from worker.outbound import sessions, sessions_kept
from worker.rotators.base import Job
from worker.rotators.postgres_role import PostgresRoleRotator
from worker.rotators.postgres_session import PostgresSession
from worker.testing import Link, RotatorContract, StagedRotator

ADMIN = "the-password-of-rotator"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server that asks for passwords, and logs every statement."""
    with start_postgres() as address:
        with psycopg.connect(address) as connection:
            hba = Path(_show(connection, "hba_file"))
        hba.write_text("local all postgres trust\nlocal all all scram-sha-256\n")
        run_sql(address, "ALTER SYSTEM SET log_statement = 'all'")
        run_sql(address, "ALTER SYSTEM SET log_connections = 'on'")
        run_sql(address, "SELECT pg_reload_conf()")
        _wait_until_passwords_are_asked_for(address)
        _create_role(address, "rotator CREATEROLE", ADMIN)
        yield address


def _create_role(address: str, role: str, password: str, *, by: str = "postgres") -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        verifier = connection.pgconn.encrypt_password(password.encode(), b"", b"scram-sha-256").decode()
        connection.execute(f"SET ROLE {by}; CREATE ROLE {role} LOGIN PASSWORD '{verifier}'")


def _show(connection: psycopg.Connection[Any], name: str) -> str:
    row = connection.execute(f"SELECT current_setting('{name}')").fetchone()
    assert row is not None
    return str(row[0])


def _wait_until_passwords_are_asked_for(address: str) -> None:
    """A new connection reads the rules that the server has read: it does so before long."""
    run_sql(address, "CREATE ROLE probe LOGIN PASSWORD 'one'")
    for _ in range(1000):
        if not _lets_in(address, "probe", "another"):
            return
    raise AssertionError("the server has not read its rules")


def _lets_in(address: str, role: str, password: str) -> bool:
    try:
        psycopg.connect(address, user=role, password=password, dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


class PostgresContract(RotatorContract):
    roles: tuple[str, ...]
    admin = True

    @pytest.fixture(autouse=True)
    def _serve(self, server: str) -> Iterator[None]:
        self.server = server
        with sessions_kept():  # as whoever drives a rotation does
            yield

    @contextmanager
    def stage(self) -> Iterator[StagedRotator]:
        roles = [f"{role}_{secrets.token_hex(4)}" for role in self.roles]
        old = "password-of-old"
        for role, password in zip(roles, (old, secrets.token_hex(8)), strict=False):
            _create_role(self.server, role, password, by="rotator")
        directory = self.server.partition("host=")[2]
        with Link(f"{directory}/.s.PGSQL.5432") as link:
            settings: dict[str, Any] = {"host": "127.0.0.1", "port": link.port, "roles": roles, "tls": "off"}
            if self.admin:
                settings |= {"admin": "rotator", "admin_password": "{{ vault.prod-db-rotator-password }}"}
            if len(roles) == 2:
                settings["form"] = "url"
                old = f"postgresql://{roles[0]}:{old}@127.0.0.1:{link.port}/postgres"
            yield StagedRotator(
                rotator=PostgresRoleRotator(),
                settings=settings,
                old=Secret(old),
                link=link,
                accepts=lambda value: _lets_in(self.server, *_split(value, roles[0])),
                values={"prod-db-rotator-password": Secret(ADMIN)},
                end_at=lambda end: _end(self.server, roles, end),
                ends=lambda value: _find_end(self.server, _split(value, roles[0])[0]),
            )


def _end(address: str, roles: list[str], end: datetime) -> None:
    for role in roles:
        run_sql(address, f"ALTER ROLE {role} VALID UNTIL '{end.isoformat()}'")


def _find_end(address: str, role: str) -> datetime | None:
    with psycopg.connect(address) as connection:
        found = connection.execute("SELECT rolvaliduntil FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
    assert found is not None
    return found[0]


def _split(value: Secret, role: str) -> tuple[str, str]:
    """Role and password of a value of either form."""
    text = value.expose()
    if not text.startswith("postgresql://"):
        return role, text
    role, _, rest = text.removeprefix("postgresql://").partition(":")
    return role, rest.partition("@")[0]


class TestOneRole(PostgresContract):
    roles = ("orders",)


class TestOneRoleThatSetsItsOwn(PostgresContract):
    roles = ("orders",)
    admin = False


class TestTwoRolesInTurn(PostgresContract):
    roles = ("orders_a", "orders_b")

    def test_the_roles_take_turns(self) -> None:
        with self.stage() as stage:
            first = _split(stage.old, "")[0]
            made = stage.rotator.create(stage.job())
            assert _split(made.value, "")[0] != first
            stage.rotator.install(stage.job(made))
            stage.rotator.revoke(stage.job(made))
            stage.old = made.value
            again = stage.rotator.create(stage.job())
            assert _split(again.value, "")[0] == first


def _install(stage: StagedRotator, *, wanted: datetime | None) -> tuple[Job, str]:
    """The job of a new password that is to lapse then, installed and accepted, and its role."""
    made = stage.rotator.create(stage.job())
    job = stage.job(made, expires_at=wanted)
    stage.rotator.install(job)
    stage.rotator.verify(job, made.value)
    return job, str(made.external["role"])


@pytest.mark.parametrize("contract", [TestOneRole(), TestTwoRolesInTurn()])
def test_a_login_that_dies_in_two_minutes_is_moved_to_the_end_of_its_version(
    server: str, contract: PostgresContract
) -> None:
    now, contract.server = datetime.now(UTC), server
    with contract.stage() as stage:
        assert stage.end_at is not None
        stage.end_at(now + timedelta(minutes=2))
        wanted = now + timedelta(days=90)
        job, role = _install(stage, wanted=wanted)
        assert _find_end(server, role) == wanted
        assert PostgresRoleRotator().read_end(job) == wanted


@pytest.mark.parametrize(
    ("ends", "wanted"),
    [
        pytest.param(None, timedelta(days=90), id="it has none, and gets none"),
        pytest.param(timedelta(days=400), timedelta(days=90), id="it is later"),
        pytest.param(timedelta(minutes=2), None, id="nothing says when the version lapses"),
    ],
)
def test_an_end_that_is_not_ours_to_move_is_left_and_read(
    server: str, ends: timedelta | None, wanted: timedelta | None
) -> None:
    contract = TestOneRole()
    now, contract.server = datetime.now(UTC), server
    with contract.stage() as stage:
        if ends is not None:
            assert stage.end_at is not None
            stage.end_at(now + ends)
        job, role = _install(stage, wanted=None if wanted is None else now + wanted)
        assert _find_end(server, role) == (None if ends is None else now + ends)
        assert PostgresRoleRotator().read_end(job) == (None if ends is None else now + ends)


def test_a_role_that_sets_its_own_password_cannot_move_its_end_and_tells_it(server: str) -> None:
    contract = TestOneRoleThatSetsItsOwn()
    now, contract.server = datetime.now(UTC), server
    with contract.stage() as stage:
        assert stage.end_at is not None
        stage.end_at(now + timedelta(minutes=2))
        job, _ = _install(stage, wanted=now + timedelta(days=90))
        assert PostgresRoleRotator().read_end(job) == now + timedelta(minutes=2)


def test_a_rotation_takes_the_roles_end_for_the_items_expiry(server: str, tmp_path: Path, clock: Clock) -> None:
    """The whole way: the policy says 90 days, and the login dies in two minutes."""
    contract = TestOneRoleThatSetsItsOwn()
    contract.server = server
    clock.now = datetime.now(UTC)
    ends = clock.now + timedelta(minutes=2)
    services = make_services(tmp_path, "", clock)
    with contract.stage() as stage, closing(services), start_target_systems() as targets:
        assert stage.end_at is not None
        stage.end_at(ends)
        organisation = Organisation(services, targets)
        organisation.add_owner("support")
        organisation.add_item(
            "prod-orders-db-password",
            stage.old.expose(),
            days=5,
            mode="auto",
            rotator="postgres-role",
            lifetime="90d",
            settings=stage.settings,
        )
        (rotation,) = organisation.night()
        assert rotation.state is State.WATCHING
        assert organisation.item("prod-orders-db-password").expires_at == ends
        with services.database.read() as connection:
            noted = connection.execute(select(audit).where(audit.c.action == "version.end-nearer")).one()
        assert noted.actor == rotation.id


def test_a_password_that_was_changed_behind_nightkeys_back_is_found_and_set_anew_by_one_command(
    server: str, tmp_path: Path, clock: Clock
) -> None:
    """By the admin's rights: what is refused is not needed for it."""
    name = "prod-orders-db-password"
    with open_organisation(server, tmp_path, clock) as (organisation, stage):
        services = organisation.services
        checks = services.rotation.credential_checks
        organisation.add_item(
            name,
            stage.old.expose(),
            days=300,
            mode="auto",
            rotator="postgres-role",
            lifetime="300d",
            propagation="0s",
            settings=stage.settings,
        )
        assert checks.check_now(name, actor="test").answer.outcome is CheckOutcome.ACCEPTED
        run_sql(server, f"ALTER ROLE {stage.settings['roles'][0]} PASSWORD 'set-by-another-hand'")
        checked = checks.check_now(name, actor="test")
        assert checked.answer.outcome is CheckOutcome.REFUSED
        assert checked.command == f"nightkey item rotate {name}"
        assert ("refused", name) in organisation.findings()
        rotation_id = services.rotation.opening.request(name, asked_by="test").id
        organisation.drive()
        assert get_rotation(organisation, rotation_id).state is State.WATCHING
        assert ("refused", name) not in organisation.findings()
        assert checks.check_now(name, actor="test").answer.outcome is CheckOutcome.ACCEPTED
        assert not _lets_in(server, stage.settings["roles"][0], "set-by-another-hand")


def test_a_role_that_never_ends_has_no_end(server: str) -> None:
    contract = TestOneRole()
    contract.server = server
    with contract.stage() as stage:
        run_sql(server, f"ALTER ROLE {stage.settings['roles'][0]} VALID UNTIL 'infinity'")
        job, _ = _install(stage, wanted=datetime.now(UTC) + timedelta(days=90))
        assert PostgresRoleRotator().read_end(job) is None


ODD_PASSWORDS = {
    "umlaut": "pässword",
    "composed": "pa\u0308ssword",
    "wide": "\uff50ass",
    "hard_space": "a\u00a0b",
    "soft_hyphen": "I\u00adX",
    "ligature": "ﬁve",
    "right_to_left": "سر",
    "quoted": "it's \\ \"%41",
    "tab": "tab\there",
    "nothing_else_than_a_soft_hyphen": "\u00ad",
    "mixed_directions": "mixed سر and latin",
    "private": "private \ue000",
    "newer_than_the_rules": "new \u20b9",
}


@pytest.mark.parametrize("password", ODD_PASSWORDS.values(), ids=ODD_PASSWORDS)
@pytest.mark.parametrize("admin", [True, False])
def test_a_password_that_a_hand_has_set_is_put_back(server: str, password: str, *, admin: bool) -> None:
    contract = TestOneRole()
    contract.server, contract.admin = server, admin
    with contract.stage() as stage:
        role = stage.settings["roles"][0]
        quoted = password.replace("'", "''")
        run_sql(server, f"ALTER ROLE {role} PASSWORD '{quoted}'")  # the server makes the verifier
        stage.old = Secret(password)
        made = stage.rotator.create(stage.job())
        stage.rotator.install(stage.job(made))
        assert not _lets_in(server, role, password)
        stage.rotator.undo(stage.job(made))
        assert _lets_in(server, role, password)
        assert not _lets_in(server, role, made.value.expose())


@pytest.mark.parametrize("password", ["", "null\0here", "half \ud800"])
@pytest.mark.parametrize("step", ["create", "install"])
def test_a_password_that_no_role_has_is_refused_before_anything_is_asked(password: str, step: str) -> None:
    job = replace(
        make_url_job(None, form="password", roles=["orders"]), old=Secret(password), new=Secret("new")
    )
    with pytest.raises(TargetError, match="the password of role orders is empty, or has") as caught:
        getattr(PostgresRoleRotator(), step)(job)
    assert caught.value.cause is Cause.MISTAKE


def make_url_job(old: str | None, **settings: Any) -> Job:
    described = {
        "host": "db.internal",
        "roles": ["orders_a", "orders/b"],
        "admin": "rotator",
        "admin_password": "{{ vault.prod-db-rotator-password }}",
        "form": "url",
    }
    return Job(
        label="nightkey-rot_1",
        item="prod-db-url",
        settings=PostgresRoleRotator.Settings.model_validate(described | settings),
        old=None if old is None else Secret(old),
        new=None,
        old_external={},
        new_external={},
        values={},
        http=HTTP,
        network=NETWORK,
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "postgresql://orders_a:pw@pgbouncer.internal:6432/orders?sslmode=verify-full&target_session_attrs=any",
            "postgresql://orders%2Fb:@@pgbouncer.internal:6432/orders?sslmode=verify-full&target_session_attrs=any",
        ),
        ("postgres://orders%2Fb:p%40w@db", "postgres://orders_a:@@db"),
        ("postgresql+psycopg://orders_a:p@w@[::1]:5432/", "postgresql+psycopg://orders%2Fb:@@[::1]:5432/"),
        ("postgresql://orders_a:pw@a:1,b:2?a=/x@y", "postgresql://orders%2Fb:@@a:1,b:2?a=/x@y"),
        ("postgresql://orders_a:pw@/orders?host=/run/pg#", "postgresql://orders%2Fb:@@/orders?host=/run/pg#"),
    ],
)
def test_of_an_address_only_role_and_password_are_replaced(old: str, new: str) -> None:
    made = PostgresRoleRotator().create(make_url_job(old)).value.expose()
    before, after = new.split("@@")
    assert made.startswith(before)
    assert re.fullmatch("[0-9A-Za-z]{40}@" + re.escape(after), made.removeprefix(before))


@pytest.mark.parametrize(
    ("host", "where"),
    [("db.internal", "db.internal:5432"), ("10.0.0.1", "10.0.0.1:5432"), ("2001:db8::1", "[2001:db8::1]:5432")],
)
def test_without_an_old_address_the_settings_make_one_that_can_be_read(host: str, where: str) -> None:
    made = PostgresRoleRotator().create(make_url_job(None, host=host, database="a/b")).value.expose()
    assert made.startswith("postgresql://orders%2Fb:")
    assert made.endswith(f"@{where}/a%2Fb")
    assert urlsplit(made).hostname == host


@pytest.mark.parametrize(
    "old",
    [
        "",
        "pw",
        "postgresql://",
        "postgresql://db/orders",
        "postgresql://orders_a@db",
        "postgresql://orders_c:pw@db",
        "postgresql://orders_a:pw@db?password=another",
        "postgresql://orders_a:pw@db/?user=orders_c",
        "host=db user=orders_a password=pw",
    ],
)
def test_a_value_that_is_no_address_of_one_of_the_roles_is_a_mistake(old: str) -> None:
    with pytest.raises(TargetError, match="the value is no postgresql://role:password@") as caught:
        PostgresRoleRotator().create(make_url_job(old))
    assert caught.value.cause is Cause.MISTAKE


def _read_log(server: str) -> str:
    with psycopg.connect(server) as connection:
        return Path(_show(connection, "data_directory"), "log").read_text()


def test_no_statement_holds_a_password(server: str) -> None:
    contract = TestOneRole()
    contract.server = server
    with contract.stage() as stage:
        made = stage.rotator.create(stage.job())
        stage.rotator.install(stage.job(made))
        stage.rotator.undo(stage.job(made))
        log = _read_log(server)
        assert "ALTER ROLE" in log
        assert made.value.expose() not in log
        assert stage.old.expose() not in log


# Logins


class Logins:
    """Of each role, how many were let in and how many refused since this was made."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._begin = len(_read_log(server))

    def count(self, role: str) -> tuple[int, int]:
        log = _read_log(self._server)[self._begin :]
        return (
            len(re.findall(rf"connection authorized: user={role}\b", log)),
            len(re.findall(rf'password authentication failed for user "{role}"', log)),
        )


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is, no session is idle for too long."""
    monkeypatch.setattr(PostgresSession, "idle_seconds", 600.0)
    monkeypatch.setattr(sessions, "AGE_MAX_SECONDS", 600.0)


@contextmanager
def open_organisation(
    server: str, folder: Path, clock: Clock, *, store: str = ""
) -> Iterator[tuple[Organisation, StagedRotator]]:
    """With an item for who sets passwords, and a role whose password may be replaced. `store`: the database of
    the vault; its own file, if none is given.
    """
    contract = TestOneRole()
    contract.server = server
    services = make_services(folder, store, clock)
    with closing(services), start_target_systems() as targets, contract.stage() as stage:
        organisation = Organisation(services, targets)
        organisation.add_owner("support")
        organisation.add_item("prod-db-rotator-password", ADMIN, days=300, mode="notify")
        yield organisation, stage


STATEMENTS = {"sqlite": (55, 51), "postgresql": (55, 51)}
"""Of a rotation with a workflow at most: the first one at a target, and those after it."""


def _add_role(organisation: Organisation, stage: StagedRotator, **policy: Any) -> str:
    """An item for the role; its name."""
    (role,) = stage.settings["roles"]
    name = f"prod-{role.replace('_', '-')}-password"
    organisation.add_item(
        name,
        stage.old.expose(),
        days=5,
        mode="auto",
        rotator="postgres-role",
        lifetime="90d",
        propagation="0s",
        settings=stage.settings,
        **policy,
    )
    return name


@pytest.mark.usefixtures("unhurried")
def test_a_role_with_a_workflow_costs_the_vault_no_more_than_its_bars(
    server: str, tmp_path: Path, clock: Clock, database_url: str
) -> None:
    """Commits and statements until it watches; the first time with what it takes to learn what a node tells."""
    with open_organisation(server, tmp_path, clock, store=database_url) as (organisation, stage):
        services = organisation.services
        name = _add_role(organisation, stage, overlap="1h")
        organisation.add_workflow("reports", name, path=SIGN_IN_PATH)
        for statements in STATEMENTS[services.database.engine.dialect.name]:
            rotation = services.rotation.opening.request(name, asked_by="test")
            with count_on(services.database.engine) as counted:
                services.rotation.rotations.drive(rotation.id)
            assert get_rotation(organisation, rotation.id).state is State.WATCHING
            assert counted.commits <= 8
            assert len(counted.statements) <= statements
            services.runs.runs.start("reports", actor="test")
            drive_on(
                organisation, clock, until=lambda: all(one.finished_at for one in organisation.rotations())
            )


@pytest.mark.usefixtures("unhurried")
def test_one_login_of_the_admin_serves_three_rotations_and_each_proof_logs_in_for_itself(
    server: str, tmp_path: Path, clock: Clock
) -> None:
    with open_organisation(server, tmp_path, clock) as (organisation, first):
        services = organisation.services
        roles = [first.settings["roles"][0], *(f"more_{secrets.token_hex(4)}" for _ in range(3))]
        for role in roles[1:]:
            _create_role(server, role, first.old.expose(), by="rotator")
        stages = [replace(first, settings={**first.settings, "roles": [role]}) for role in roles]
        logins = Logins(server)
        rotations = [
            services.rotation.opening.request(_add_role(organisation, stage), asked_by="test").id
            for stage in stages
        ]
        services.rotation.rotations.drive(rotations[0])
        proof = logins.count(roles[0])
        assert logins.count("rotator") == (1, 0)
        with sessions_kept():
            for rotation_id in rotations[1:]:
                services.rotation.rotations.drive(rotation_id)
        assert {get_rotation(organisation, one).state for one in rotations} == {State.WATCHING}
        assert logins.count("rotator") == (2, 0), "one for the first drive, and one for the three together"
        assert [logins.count(role) for role in roles] == [proof] * 4
        assert proof == (1, 0), "the new password once: none that was made up, since SCRAM proves both sides"


@pytest.mark.usefixtures("unhurried")
def test_no_session_outlives_the_password_that_it_logged_in_with(server: str) -> None:
    """The admin of one item is the role of another."""
    contract, admin = TestOneRole(), f"admin_{secrets.token_hex(4)}"
    contract.server = server
    _create_role(server, f"{admin} CREATEROLE", "the-first-of-admin", by="rotator")
    _create_role(server, f"{admin}_orders", "old", by=admin)
    with contract.stage() as stage, sessions_kept():
        settings = {"roles": [f"{admin}_orders"], "admin": admin, "admin_password": "{{ vault.prod-admin }}"}
        theirs = replace(
            stage,
            settings={**stage.settings, **settings},
            old=Secret("old"),
            values={"prod-admin": Secret("the-first-of-admin")},
        )
        logins = Logins(server)
        made = stage.rotator.create(theirs.job())
        for _ in range(2):
            stage.rotator.install(theirs.job(made))
        assert logins.count(admin) == (1, 0)
        of_admin = replace(
            stage, settings={**stage.settings, "roles": [admin]}, old=Secret("the-first-of-admin")
        )
        new = stage.rotator.create(of_admin.job())
        stage.rotator.install(of_admin.job(new))
        wait_until_gone(server, admin)
        theirs.values = {"prod-admin": new.value}
        stage.rotator.install(theirs.job(made))
        assert logins.count(admin) == (2, 0)
        theirs.values = {"prod-admin": Secret("the-first-of-admin")}
        another = stage.rotator.create(theirs.job())
        with pytest.raises(TargetError, match=f"does not let {admin} in"):
            stage.rotator.install(theirs.job(another))


def wait_until_gone(server: str, role: str) -> None:
    until = time.monotonic() + 120
    with psycopg.connect(server, autocommit=True) as connection:
        while connection.execute("SELECT 1 FROM pg_stat_activity WHERE usename = %s", [role]).fetchone():
            assert time.monotonic() < until, f"a session of {role} stays"


@pytest.mark.usefixtures("unhurried")
def test_a_session_that_the_server_has_ended_is_opened_anew(server: str) -> None:
    contract = TestOneRole()
    contract.server = server
    with contract.stage() as stage, sessions_kept():
        logins = Logins(server)
        made = stage.rotator.create(stage.job())
        stage.rotator.install(stage.job(made))
        run_sql(server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotator'")
        store = sessions.current_store()
        assert store is not None
        (idle,) = store._idle
        until = time.monotonic() + 120
        while idle.session.is_usable():  # until its goodbye has come through the link
            assert time.monotonic() < until
            time.sleep(0.01)
        stage.rotator.install(stage.job(made))
        assert logins.count("rotator") == (2, 0)


def test_an_admin_who_is_not_let_in_is_our_mistake_and_no_judgement_of_the_candidate(server: str) -> None:
    contract = TestOneRole()
    contract.server = server
    with contract.stage() as stage:
        stage.values = {"prod-db-rotator-password": Secret("not-the-one")}
        made = stage.rotator.create(stage.job())
        with pytest.raises(TargetError, match="does not let rotator in") as caught:
            stage.rotator.install(stage.job(made))
        assert caught.value.cause is Cause.MISTAKE


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"roles": ["a", "b"]}, "roles: two in turn"),
        ({"roles": ["a", "a"], "form": "url", "admin": "x", "admin_password": "y"}, "roles: two in turn"),
        ({"roles": ["a"], "admin": "x"}, "admin_password: admin and admin_password"),
        ({"roles": ["a"], "admin": "a", "admin_password": "y"}, "admin: it cannot be"),
        (
            {"roles": ["a"], "admin": "x", "admin_password": "{{ rotation.old }}"},
            "admin_password: rotation.old will not be there: this template sees vault.NAME",
        ),
        ({"roles": []}, "roles"),
        ({"roles": ["a"], "prot": 1}, "prot"),
    ],
)
def test_settings_that_contradict_themselves_are_refused_by_name(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        PostgresRoleRotator.Settings.model_validate({"host": "db", **changes})


def test_a_new_password_has_as_many_iterations_as_the_server_wants(server: str) -> None:
    contract = TestOneRole()
    contract.server = server
    run_sql(server, "ALTER ROLE rotator SET scram_iterations = 20000")
    try:
        with contract.stage() as stage:
            made = stage.rotator.create(stage.job())
            stage.rotator.install(stage.job(made))
            stage.rotator.verify(stage.job(made), made.value)
            (role,) = stage.settings["roles"]
            with psycopg.connect(server) as connection:
                stored = connection.execute(
                    "SELECT rolpassword FROM pg_authid WHERE rolname = %s", [role]
                ).fetchone()
    finally:
        run_sql(server, "ALTER ROLE rotator RESET scram_iterations")
    assert stored is not None
    assert stored[0].startswith("SCRAM-SHA-256$20000:")
