"""Rotator `recipe`: a value drawn here, and put to work by lists of workflow nodes."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from vaultcore.errors import Cause, InvalidInputError, TargetError
from vaultcore.model import Kind
from vaultcore.secret import Secret
from worker.domain.states import RunStatus
from worker.rotators import base
from worker.rotators.random import RandomSettings, draw
from worker.workflows.definition import Definition, chain_nodes
from worker.workflows.results import RunResult
from worker.workflows.runner import Runner
from worker.workflows.templates import check_reads
from worker.workflows.texts import Text, find_texts
from worker.workflows.url_hosts import check_host, find_kept_out
from worker.workflows.uses import find_data_paths

Nodes = list[dict[str, Any]]
_LISTS = ("install", "verify", "revoke", "undo")
_NEW = ("rotation", "new")
_OLD = ("rotation", "old")
_VALUES = (_NEW, _OLD)
_PLACES = frozenset({"host", "wsdl", "endpoint"})
"""Fields that name a place, beside `url`, which has a path as well."""
_OF_WORKFLOWS = frozenset({"delay", "iterator", "trigger_workflow"})
"""Components that a list of nodes cannot hold: no run of it is stored."""


class RecipeSettings(base.RotatorSettings):
    generate: RandomSettings = Field(default=RandomSettings(), description="as the settings of rotator random")
    install: Nodes = Field(
        min_length=1, max_length=50, description="nodes by which the other side learns the value"
    )
    verify: Nodes = Field(
        min_length=1, max_length=50, description="nodes that succeed with an accepted rotation.new alone"
    )
    revoke: Nodes = Field(
        default_factory=list,
        max_length=50,
        description="nodes that take rotation.old away, where it still works",
    )
    undo: Nodes = Field(
        min_length=1,
        max_length=50,
        description="nodes after which rotation.old works, and rotation.new does not",
    )
    overlaps: bool = Field(default=False, description="whether both values work between install and revoke")

    @model_validator(mode="after")
    def _check_nodes(self) -> "RecipeSettings":
        for name in _LISTS:
            problem = ""
            try:
                if getattr(self, name):
                    definition = chain_nodes(name, getattr(self, name))
                    _check_components(definition)
                    _check_reads(definition)
            except InvalidInputError as error:
                problem = str(error).partition("\n")[0]
            if problem:
                raise ValueError(problem)
        if not any(path == _NEW[: len(path)] for path in find_data_paths(self.verify)):
            raise ValueError("verify: no node names rotation.new, so nothing would be proven of it")
        if self.overlaps and not self.revoke:
            raise ValueError("revoke: what overlaps must be taken away: name the nodes that do")
        return self


class RecipeRotator:
    """Draws a value here, and lets workflow nodes bring it to the other side.

    Whatever a node reaches can be rotated so: `install`, `verify`, `revoke` and `undo` are lists of nodes as a
    workflow has them, run one after the other. Their templates see `rotation.new` and `rotation.old`,
    `rotation.label` (the same for every try of one rotation), `rotation.item` (its name) and the outputs of
    nodes before; `vault.NAME` is another item, such as an administrator's password. In `verify`,
    `rotation.new` is the value in question: it is asked with the old one too, which must be refused once it
    was revoked, and accepted once the new one was undone. A node there is tested rather than run if
    `rotation.new`, or what came of it in a node before, goes into what its test does: `smtp` with that
    password logs in and sends no mail, `ssh` with that login runs `true`, `webhook` and `soap` send what
    `testMethod` and `testOperation` name. Where the value goes into the rest alone, such as a body or the
    `stdin` of commands that another login runs, the node itself is run, and must leave nothing behind. What
    is refused judges the value only if the value went into it; commands say so by `rejectedStatuses`. A list
    that used the value nowhere proves nothing, and is a mistake.

    On the other side it changes what its nodes change. It needs nodes that may be repeated: a list that was
    cut off is run again from its beginning. Without `overlaps` the old value stops working when the new one is
    installed, and workflows that run before the tests are over fail with it; `undo` puts it back. What cannot
    be undone is stuck, with both values kept.
    """

    Settings: ClassVar[type[base.RotatorSettings]] = RecipeSettings
    kind: ClassVar[Kind] = Kind.SECRET
    issues: ClassVar[bool] = False
    needs: ClassVar[tuple[str, str] | None] = None
    example: ClassVar[Mapping[str, Any]] = {
        "generate": {"length": 32},
        "install": [
            {
                "componentId": "webhook",
                "method": "PUT",
                "url": "https://mail.example.org/api/users/robot/password",
                "headers": {"Authorization": "Bearer {{ vault.prod-mail-admin-token }}"},
                "body": {"password": "{{ rotation.new }}"},
            }
        ],
        "verify": [
            {
                "componentId": "webhook",
                "method": "GET",
                "url": "https://mail.example.org/api/login",
                "headers": {"X-User": "robot", "X-Password": "{{ rotation.new }}"},
            }
        ],
        "undo": [
            {
                "componentId": "webhook",
                "method": "PUT",
                "url": "https://mail.example.org/api/users/robot/password",
                "headers": {"Authorization": "Bearer {{ vault.prod-mail-admin-token }}"},
                "body": {"password": "{{ rotation.old }}"},
            }
        ],
    }

    def overlaps(self, settings: base.RotatorSettings) -> bool:
        return _read(settings).overlaps

    def target(self, settings: base.RotatorSettings) -> str | None:
        """The host of the first node that installs, where it is written out."""
        first = _read(settings).install[0]
        found = first.get("host") or urlsplit(str(first.get("url", ""))).netloc.rpartition("@")[2]
        return None if not found or "{" in str(found) else str(found).lower()

    def sets_anew(self, settings: base.RotatorSettings) -> bool:
        """Where no node that must run sees the old value."""
        found = _read(settings)
        return not any(path == _OLD[: len(path)] for path in find_data_paths([*found.install, *found.revoke]))

    def create(self, job: base.Job) -> base.Candidate:
        return base.Candidate(value=draw(_read(job.settings).generate))

    def install(self, job: base.Job) -> str:
        if job.new is None:
            raise TargetError("the new value is not here to be installed", cause=Cause.MISTAKE)
        return f"installed by {_run('install', job, new=job.new)}"

    def verify(self, job: base.Job, value: Secret) -> str:
        return f"accepted by {_run('verify', job, new=value)}"

    def revoke(self, job: base.Job) -> str:
        if job.old is None:
            raise TargetError("the old value is not here to be revoked", cause=Cause.MISTAKE)
        if _read(job.settings).revoke:
            _run("revoke", job, new=job.new)
        self._expect_refusal(job, job.old, "revoke: the old value is still accepted")
        return "the old value is refused"

    def undo(self, job: base.Job) -> str:
        if job.new is None:
            return "nothing was installed"
        _run("undo", job, new=job.new)
        self._expect_refusal(job, job.new, "undo: the new value is still accepted")
        return "the new value is refused"

    def _expect_refusal(self, job: base.Job, value: Secret, problem: str) -> None:
        try:
            _run("verify", job, new=value)
        except TargetError as error:
            if error.cause is Cause.REJECTED:
                return
            raise
        raise TargetError(problem, cause=Cause.OUTAGE)


def _read(settings: base.RotatorSettings) -> RecipeSettings:
    if not isinstance(settings, RecipeSettings):
        raise TargetError("the settings are of another rotator", cause=Cause.MISTAKE)
    return settings


def _check_components(definition: Definition) -> None:
    """`InvalidInputError`, naming the node, for what only a run of a stored workflow can do."""
    for node_id in definition.node_ids():
        component_id = definition.component(node_id).component_id
        if component_id in _OF_WORKFLOWS:
            raise InvalidInputError(
                f"{definition.name}: node {node_id}, field data.componentId: {component_id} cannot stand in a "
                "recipe: only a workflow can wait, or start another"
            )


def _check_reads(definition: Definition) -> None:
    """`InvalidInputError`, naming the node and the field, for a template that needs what it will not see."""
    seen: dict[str, frozenset[str] | None] = {"rotation": frozenset({"label", "item", "new", "old"})}
    for node_id in definition.order():
        for one in find_texts(definition.nodes[node_id].data):
            problem = ""
            try:
                check_reads(one.text, seen, header=one.path.startswith("headers."))
                _check_place(one)
            except InvalidInputError as error:
                problem = str(error)
            if problem:
                where = f"{definition.name}: node {node_id}, field data.{one.path}"
                raise InvalidInputError(f"{where}: {problem}")
        seen[node_id] = None


def _check_place(one: Text) -> None:
    """`InvalidInputError` where whom a node talks to could be made of a value: that is looked up, and shown."""
    if one.path == "url":
        check_host(one.text, _VALUES, escapes=False)
    elif one.path in _PLACES:
        for name in find_kept_out(one.text, _VALUES):
            raise InvalidInputError(f"{name} may not stand where a node is told whom to talk to: write it out")


def _run(name: str, job: base.Job, *, new: Secret | None) -> str:
    """Runs one list; a failure keeps the cause that its node found, unless another credential was refused where
    the new one is to be proven.
    """
    definition: Definition = chain_nodes(name, getattr(_read(job.settings), name))
    known = {"label": job.label, "item": job.item}
    hidden = {"new": new, "old": job.old}
    known |= {key: value.expose() for key, value in hidden.items() if value is not None}
    result = Runner(job.http, job.network).run(
        definition,
        context={"rotation": known},
        values=job.values,
        hidden=[value for value in hidden.values() if value is not None],
        proves=_NEW if name == "verify" else None,
        clock=_now,
    )
    if name == "verify":
        _check_tried(result)
    if result.status != RunStatus.COMPLETED:
        raise TargetError(
            f"{name}, node {result.error_node}: {result.error_message}", cause=result.cause or Cause.MISTAKE
        )
    return ", ".join(log.node_id for log in result.logs[1:])


def _check_tried(result: RunResult) -> None:
    """What did not use the value neither proves nor refuses it."""
    problem = ""
    if result.status == RunStatus.COMPLETED and not result.tried:
        problem = "verify: rotation.new went into no node that ran, so nothing is proven"
    elif result.cause is Cause.REJECTED and not result.tried:
        problem = (
            f"verify, node {result.error_node}: {result.error_message}: "
            "that is another credential, since rotation.new did not go into it"
        )
    if problem:
        raise TargetError(problem, cause=Cause.MISTAKE)


def _now() -> datetime:
    """Of logs that nobody keeps."""
    return datetime.now(UTC)
