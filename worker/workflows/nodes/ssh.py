"""`ssh`: commands on another host, which is known by its key."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from vaultcore.errors import Cause, InvalidInputError, TargetError
from vaultcore.secret import Secret
from worker.outbound.ssh import Login, RanCommand, Server, Session, open_session, parse_host_key
from worker.workflows.nodes.base import Execution, Fields, NodeKind, OneWayOn, Outcome


class SshFields(Fields):
    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=22, ge=1, le=65_535)
    username: str = Field(min_length=1, max_length=255, description="a template, as the key and password are")
    host_key: str = Field(
        max_length=4000,
        description="the host's public key in a line (ssh-ed25519 AAAA…), or the fingerprint of the key "
        "that it shows first (SHA256:…)",
    )
    auth_method: Literal["key", "password"] = "key"
    private_key: str | None = Field(
        default=None, max_length=20_000, description="in OpenSSH's format or PEM, not encrypted"
    )
    password: str | None = Field(default=None, max_length=4000)
    commands: list[str] = Field(
        min_length=1,
        max_length=50,
        description="templates, each run by the user's shell, one by one; no value may stand in them",
    )
    stdin: str = Field(
        default="",
        description="a template: what each command reads; for values, and for what comes from outside",
    )
    rejected_statuses: list[Annotated[int, Field(ge=1, le=255)]] = Field(
        default_factory=list,
        max_length=50,
        description="statuses by which a command says that it refuses the value in stdin",
    )
    ignore_status: bool = Field(default=False, description="whether a command that fails counts as success")
    timeout: float = Field(default=60, gt=0, le=300, description="seconds for all of it")

    @field_validator("host_key")
    @classmethod
    def _check_host_key(cls, text: str) -> str:
        try:
            parse_host_key(text)
        except InvalidInputError as error:
            raise ValueError(str(error)) from None
        return text

    @model_validator(mode="after")
    def _check_login(self) -> "SshFields":
        means = {"key": self.private_key, "password": self.password}
        if [name for name, text in means.items() if text is not None] != [self.auth_method]:
            raise ValueError("authMethod: key goes with privateKey alone, and password with password alone")
        return self


class Ssh(OneWayOn):
    """Runs commands on another host by SSH.

    The host is known by the key in `hostKey`; one that shows another is refused before anything is said to it,
    which is a mistake that names the fingerprint it showed. Nothing that belongs to the worker's own user is
    used: no agent, no keys, no known_hosts, no configuration.
    It needs a login by key or by password, as items (`{{ vault.NAME }}`). A value may not stand in a command,
    since everybody on that host can read command lines: it goes into `stdin`. So should anything that comes
    from outside, which in a command line could be a command of its own.
    A login that the host refuses judges the credential; a host that is away, breaks off or takes too long is an
    outage. A command that ends with another status than 0 is a mistake, and those after it are not run, unless
    `ignoreStatus` is set; one of `rejectedStatuses` judges the value that the command read from `stdin`. All
    that the commands say may have 1,048,576 bytes; more is a mistake.
    Its test logs in and runs `true`: it shows that the login works, and nothing of `stdin`.
    """

    component_id: ClassVar[str] = "ssh"
    kind: ClassVar[NodeKind] = NodeKind.ACTION
    Fields: ClassVar[type[Fields]] = SshFields
    value_fields: ClassVar[frozenset[str]] = frozenset({"username", "privateKey", "password", "stdin"})
    needs: ClassVar[tuple[str, str] | None] = ("asyncssh", "ssh")
    example: ClassVar[Mapping[str, Any]] = {
        "host": "files.example.org",
        "username": "robot",
        "hostKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
        "privateKey": "{{ vault.prod-files-ssh-key }}",
        "commands": ["ls incoming", "cat > orders.csv"],
        "stdin": "{{ export.body }}",
    }

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        """Output: for each command that ran, `{"command", "stdout", "stderr", "exit_status"}`: its number from
        0, and as status None if the host did not say, or minus the number of a signal that ended it.
        """
        wanted = SshFields.model_validate(fields)
        commands = [_render_command(number, text, execution) for number, text in enumerate(wanted.commands)]
        return _run_all(wanted, commands, execution)

    def test(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        wanted = SshFields.model_validate(fields)
        return _run_all(wanted.model_copy(update={"stdin": "", "rejected_statuses": []}), ["true"], execution)


def _run_all(wanted: SshFields, commands: list[str], execution: Execution) -> Outcome:
    server = Server(host=wanted.host, port=wanted.port, host_key=parse_host_key(wanted.host_key))
    seconds = min(wanted.timeout, execution.seconds)
    output: list[dict[str, Any]] = []
    with open_session(execution.network, server, _render_login(wanted, execution), seconds=seconds) as session:
        # Only now: a login that was refused above says nothing of a value that commands would have read.
        given = execution.render(wanted.stdin).encode()
        for number, command in enumerate(commands):
            ran = _run_one(session, number, command, given)
            output.append(_show(number, ran))
            if ran.status in wanted.rejected_statuses:
                failure = f"command {number} refused what it read, with status {ran.status}"
                return Outcome(output=output, failure=failure, cause=Cause.REJECTED)
            if ran.status != 0 and not wanted.ignore_status:
                told = "without a status" if ran.status is None else f"with status {ran.status}"
                return Outcome(output=output, failure=f"command {number} ended {told}", cause=Cause.MISTAKE)
    return Outcome(output=output)


def _run_one(session: Session, number: int, command: str, given: bytes) -> RanCommand:
    failure: TargetError
    try:
        return session.run(command, given)
    except TargetError as error:
        failure = TargetError(f"command {number}: {error}", cause=error.cause, retry_at=error.retry_at)
    raise failure


def _render_command(number: int, text: str, execution: Execution) -> str:
    """The command, unless a value went into it, be it by way of another node."""
    before, execution.tainted = execution.tainted, False
    command = execution.render(text)
    holds_value, execution.tainted = execution.tainted, execution.tainted or before
    if holds_value:
        raise TargetError(
            f"a value may not stand in command {number}, since everybody on that host can read command lines: "
            "let the command read it, and put it into stdin",
            cause=Cause.MISTAKE,
        )
    if "\0" in command:
        raise TargetError(f"command {number} holds a NUL, which no shell takes", cause=Cause.MISTAKE)
    return command


def _render_login(wanted: SshFields, execution: Execution) -> Login:
    key, password = (
        None if text is None else Secret(execution.render(text))
        for text in (wanted.private_key, wanted.password)
    )
    return Login(username=execution.render(wanted.username), private_key=key, password=password)


def _show(number: int, ran: RanCommand) -> dict[str, Any]:
    return {
        "command": number,
        "stdout": ran.stdout.decode(errors="replace"),
        "stderr": ran.stderr.decode(errors="replace"),
        "exit_status": ran.status,
    }
