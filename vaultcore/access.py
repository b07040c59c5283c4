"""Who may do what: the one table that command line, interface and console ask. Pure. Denied by default.

There is no action to read a value, and so no role that may. Whoever may read the keyring needs no permission:
the machine's own command line acts as `MACHINE`.

Changing where a value is sent (a workflow, a rotator's address, a policy's target) is as good as reading it. So
that is an action of its own, `ITEM_REDIRECT` and `WORKFLOW_APPLY`, which an item's owner does not have.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from vaultcore.errors import NotAllowedError


class Role(StrEnum):
    """What a person or a service is for. Somebody may have several."""

    VIEWER = "viewer"
    """Sees everything but the record: no value, since nobody does."""
    OWNER = "owner"
    """Answers for the items that are theirs, and sees those alone."""
    OPERATOR = "operator"
    """Keeps the nights going: all items, but neither where values are sent, nor approvals."""
    APPROVER = "approver"
    """Agrees to what somebody else asked for."""
    AUDITOR = "auditor"
    """Reads the record, and proves it."""
    ADMIN = "admin"
    """Says who may do what, and where values are sent."""


class Action(StrEnum):
    """What is asked for, by noun and verb."""

    ITEM_SEE = "item.see"
    ITEM_CREATE = "item.create"
    ITEM_UPDATE = "item.update"
    ITEM_REPLACE = "item.replace"
    ITEM_REDIRECT = "item.redirect"
    ITEM_CHECK = "item.check"
    ITEM_DELETE = "item.delete"
    ITEM_ROTATE = "item.rotate"
    ITEM_EMERGENCY = "item.emergency"
    METADATA_SEE = "metadata.see"
    METADATA_APPLY = "metadata.apply"
    WORKFLOW_SEE = "workflow.see"
    WORKFLOW_APPLY = "workflow.apply"
    WORKFLOW_RUN = "workflow.run"
    WORKFLOW_PIN = "workflow.pin"
    RUN_REPORT = "run.report"
    OWNER_SEE = "owner.see"
    OWNER_UPDATE = "owner.update"
    OWNER_MANAGE = "owner.manage"
    ROTATION_SEE = "rotation.see"
    ROTATION_APPROVE = "rotation.approve"
    ROTATION_DECIDE = "rotation.decide"
    ROTATION_ANSWER = "rotation.answer"
    FINDING_SEE = "finding.see"
    FINDING_QUIET = "finding.quiet"
    NOTICE_SEE = "notice.see"
    NOTICE_RETRY = "notice.retry"
    NIGHT_SEE = "night.see"
    NIGHT_RUN = "night.run"
    PICKUP_COLLECT = "pickup.collect"
    AUDIT_READ = "audit.read"
    AUDIT_ANCHOR = "audit.anchor"
    KEY_CHECK = "key.check"
    PRINCIPAL_SEE = "principal.see"
    PRINCIPAL_MANAGE = "principal.manage"


MEANINGS: Final[Mapping[Action, str]] = {
    Action.ITEM_SEE: "list and show items: names, expiry, plan, versions, users; never a value",
    Action.ITEM_CREATE: "add an item with its value",
    Action.ITEM_UPDATE: "change its name, expiry, owners, and when it is rotated",
    Action.ITEM_REPLACE: "give it a new value",
    Action.ITEM_REDIRECT: "change where its value is sent: its rotator, the rotator's settings, its target",
    Action.ITEM_CHECK: "ask the other side whether its value still works",
    Action.ITEM_DELETE: "delete it",
    Action.ITEM_ROTATE: "ask for its rotation",
    Action.ITEM_EMERGENCY: "rotate it without tests and overlap",
    Action.METADATA_SEE: "have all of it as files, and see what files would change",
    Action.METADATA_APPLY: "change it as files say; each change takes its own right as well",
    Action.WORKFLOW_SEE: "list and show workflows and their runs",
    Action.WORKFLOW_APPLY: "store a workflow, and so say where values are sent",
    Action.WORKFLOW_RUN: "run or test a workflow or a node",
    Action.WORKFLOW_PIN: "pin a workflow to a version, and unpin it",
    Action.RUN_REPORT: "report the run of another engine",
    Action.OWNER_SEE: "list and show owners, routes masked",
    Action.OWNER_UPDATE: "change an owner's quiet hours, time zone and deputy, and try their routes",
    Action.OWNER_MANAGE: "create, rename and delete owners, change routes, replace what a leaver knew",
    Action.ROTATION_SEE: "list and show rotations",
    Action.ROTATION_APPROVE: "approve or reject a rotation that somebody else asked for",
    Action.ROTATION_DECIDE: "cancel, retry, roll back, extend, prove",
    Action.ROTATION_ANSWER: "accept what is stuck, waive a proof: answer for what nothing has shown",
    Action.FINDING_SEE: "list findings",
    Action.FINDING_QUIET: "acknowledge or snooze a finding",
    Action.NOTICE_SEE: "list and show notices",
    Action.NOTICE_RETRY: "send a notice again",
    Action.NIGHT_SEE: "see nights, the calendar and the state of the whole",
    Action.NIGHT_RUN: "begin a night by hand",
    Action.PICKUP_COLLECT: "collect a generated key, with its token, once",
    Action.AUDIT_READ: "read and verify the record",
    Action.AUDIT_ANCHOR: "write an anchor of the record",
    Action.KEY_CHECK: "say whose key it is that somebody presents; that counts as a use of it",
    Action.PRINCIPAL_SEE: "list who may do what",
    Action.PRINCIPAL_MANAGE: "create principals, give and take roles and tokens",
}

_EVERYBODY: Final = frozenset(Role) - {Role.OWNER}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """`anywhere`: roles that may do it to everything. `theirs`: an item's owner may do it to what is theirs."""

    anywhere: frozenset[Role]
    theirs: bool = False


def _rule(*roles: Role, theirs: bool = False) -> Rule:
    return Rule(anywhere=frozenset({*roles, Role.ADMIN}), theirs=theirs)


RULES: Final[Mapping[Action, Rule]] = {
    Action.ITEM_SEE: _rule(*_EVERYBODY, theirs=True),
    Action.ITEM_CREATE: _rule(Role.OPERATOR, theirs=True),
    Action.ITEM_UPDATE: _rule(Role.OPERATOR, theirs=True),
    Action.ITEM_REPLACE: _rule(Role.OPERATOR, theirs=True),
    Action.ITEM_REDIRECT: _rule(),
    Action.ITEM_CHECK: _rule(Role.OPERATOR, theirs=True),
    Action.ITEM_DELETE: _rule(Role.OPERATOR, theirs=True),
    Action.ITEM_ROTATE: _rule(Role.OPERATOR, theirs=True),
    Action.ITEM_EMERGENCY: _rule(Role.OPERATOR, theirs=True),
    Action.METADATA_SEE: _rule(*_EVERYBODY),
    Action.METADATA_APPLY: _rule(Role.OPERATOR),
    Action.WORKFLOW_SEE: _rule(*_EVERYBODY, Role.OWNER),
    Action.WORKFLOW_APPLY: _rule(),
    Action.WORKFLOW_RUN: _rule(Role.OPERATOR),
    Action.WORKFLOW_PIN: _rule(Role.OPERATOR),
    Action.RUN_REPORT: _rule(Role.OPERATOR),
    Action.OWNER_SEE: _rule(*_EVERYBODY, Role.OWNER),
    Action.OWNER_UPDATE: _rule(Role.OPERATOR, theirs=True),
    Action.OWNER_MANAGE: _rule(),
    Action.ROTATION_SEE: _rule(*_EVERYBODY, theirs=True),
    Action.ROTATION_APPROVE: _rule(Role.APPROVER, theirs=True),
    Action.ROTATION_DECIDE: _rule(Role.OPERATOR, theirs=True),
    Action.ROTATION_ANSWER: _rule(Role.APPROVER, theirs=True),
    Action.FINDING_SEE: _rule(*_EVERYBODY, theirs=True),
    Action.FINDING_QUIET: _rule(Role.OPERATOR, theirs=True),
    Action.NOTICE_SEE: _rule(Role.OPERATOR, Role.AUDITOR, theirs=True),
    Action.NOTICE_RETRY: _rule(Role.OPERATOR),
    Action.NIGHT_SEE: _rule(*_EVERYBODY, Role.OWNER),
    Action.NIGHT_RUN: _rule(Role.OPERATOR),
    Action.PICKUP_COLLECT: Rule(anywhere=frozenset(), theirs=True),
    Action.AUDIT_READ: _rule(Role.AUDITOR),
    Action.AUDIT_ANCHOR: _rule(Role.AUDITOR),
    Action.KEY_CHECK: _rule(Role.OPERATOR, theirs=True),
    Action.PRINCIPAL_SEE: _rule(Role.AUDITOR),
    Action.PRINCIPAL_MANAGE: _rule(),
}
"""Who may do what to what. An action without a row here is nobody's."""


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A person or a service, as it asks. `actor`: by what name the record has it. `owners`: for which owners it
    answers, by name, with the role `owner`. `machine`: it may read the keyring, and so may do everything.
    """

    actor: str
    roles: frozenset[Role] = frozenset()
    owners: frozenset[str] = field(default_factory=frozenset)
    machine: bool = False

    @property
    def sees_all(self) -> bool:
        """Whether it sees more than what is its own."""
        return may(self, Action.ITEM_SEE)


def may(principal: Principal, action: Action, *, owners: Collection[str] = ()) -> bool:
    """Whether the principal may do this to what these owners, by name, answer for; without any: to all."""
    if principal.machine:
        return True
    rule = RULES.get(action)
    if rule is None:
        return False
    if principal.roles & rule.anywhere:
        return True
    return rule.theirs and Role.OWNER in principal.roles and bool(principal.owners & set(owners))


def whose(principal: Principal, action: Action) -> frozenset[str] | None:
    """The owners, by name, to whose things the principal may do this; None: to all."""
    if may(principal, action):
        return None
    return frozenset(owner for owner in principal.owners if may(principal, action, owners=[owner]))


def may_ever(principal: Principal, action: Action) -> bool:
    """Whether there may be anything that the principal may do this to: what a menu shows."""
    return may(principal, action, owners=principal.owners)


def find_gains(principal: Principal, before: Collection[str], after: Collection[str]) -> list[Action]:
    """What the principal could do to an item as soon as these owners answered for it, and cannot do now. Who
    says who may do what gains nothing: they have it anyway.
    """
    if may(principal, Action.PRINCIPAL_MANAGE):
        return []
    able = (one for one in Action if may(principal, one, owners=after))
    return [one for one in able if not may(principal, one, owners=before)]


def covers(principal: Principal, other: Principal) -> bool:
    """Whether the principal may do all that the other may: then the other's token gives it nothing more."""
    return all(
        mine is None or (theirs is not None and theirs <= mine)
        for mine, theirs in ((whose(principal, action), whose(other, action)) for action in Action)
    )


def check(principal: Principal, action: Action, *, owners: Collection[str] = ()) -> None:
    """`NotAllowedError`, which says what is asked for and which roles have it."""
    if not may(principal, action, owners=owners):
        raise NotAllowedError(action, sorted(RULES[action].anywhere) if action in RULES else [])


def machine(actor: str) -> Principal:
    """Whoever works with the machine's own command line."""
    return Principal(actor=actor, machine=True)
