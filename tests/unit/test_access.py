"""Who may do what: the table itself, and what is asked of it."""

import pytest

from vaultcore.access import (
    MEANINGS,
    RULES,
    Action,
    Principal,
    Role,
    check,
    find_gains,
    machine,
    may,
    may_ever,
)
from vaultcore.errors import NotAllowedError

ADMIN = frozenset({Role.ADMIN})
GAINED = [Action.ROTATION_APPROVE, Action.ROTATION_ANSWER, Action.PICKUP_COLLECT]


def someone(*roles, owners=()):
    return Principal(actor="person:ann", roles=frozenset(roles), owners=frozenset(owners))


def test_every_action_has_a_rule_and_a_meaning():
    assert set(RULES) == set(MEANINGS) == set(Action)


def test_no_action_reads_a_value():
    assert not [action for action in Action if "reveal" in action or "value" in action]


@pytest.mark.parametrize("action", Action)
def test_who_has_no_role_may_nothing(action):
    assert not may(someone(), action, owners=["own_a"])
    assert not may(someone(owners=["own_a"]), action, owners=["own_a"]), "to answer for it is a role, too"
    assert not may_ever(someone(owners=["own_a"]), action)


@pytest.mark.parametrize("action", Action)
def test_the_machine_may_everything(action):
    assert may(machine("user:root"), action)


@pytest.mark.parametrize("action", Action)
def test_an_owner_may_do_to_what_is_theirs_what_they_may_not_do_to_what_is_not(action):
    ann = someone(Role.OWNER, owners=["own_a", "own_b"])
    theirs, others, all_of_it = (may(ann, action, owners=owners) for owners in (["own_b"], ["own_c"], []))
    assert others == all_of_it
    assert theirs == (RULES[action].theirs or all_of_it)
    assert may_ever(ann, action) == theirs


@pytest.mark.parametrize(
    ("action", "roles"),
    [
        (Action.ITEM_REDIRECT, ADMIN),
        (Action.WORKFLOW_APPLY, ADMIN),
        (Action.OWNER_MANAGE, ADMIN),
        (Action.PRINCIPAL_MANAGE, ADMIN),
        (Action.PICKUP_COLLECT, frozenset()),
        (Action.AUDIT_READ, {Role.AUDITOR, Role.ADMIN}),
        (Action.ROTATION_APPROVE, {Role.APPROVER, Role.ADMIN}),
        (Action.ITEM_UPDATE, {Role.OPERATOR, Role.ADMIN}),
        (Action.ITEM_SEE, set(Role) - {Role.OWNER}),
    ],
)
def test_what_leads_values_elsewhere_takes_more_than_what_changes_a_date(action, roles):
    assert RULES[action].anywhere == roles


def test_where_values_are_sent_is_no_owners_to_change():
    assert not RULES[Action.ITEM_REDIRECT].theirs
    assert not RULES[Action.WORKFLOW_APPLY].theirs


def test_a_viewer_changes_nothing():
    seen = {action for action in Action if may(someone(Role.VIEWER), action)}
    assert {action.rpartition(".")[2] for action in seen} == {"see"}


def test_a_refusal_says_what_was_asked_and_who_may():
    with pytest.raises(NotAllowedError, match=r"\(item\.redirect\): it takes the role admin"):
        check(someone(Role.OPERATOR), Action.ITEM_REDIRECT)
    with pytest.raises(NotAllowedError, match=r"\(pickup\.collect\): only who answers") as refused:
        check(someone(Role.ADMIN), Action.PICKUP_COLLECT)
    assert refused.value.exit_status == 3
    check(someone(Role.ADMIN), Action.ITEM_REDIRECT)


def test_roles_add_up():
    both = someone(Role.AUDITOR, Role.OPERATOR)
    assert may(both, Action.AUDIT_READ)
    assert may(both, Action.ITEM_ROTATE)
    assert not may(both, Action.ROTATION_APPROVE)


def test_who_answers_for_items_sees_those_alone():
    assert not someone(Role.OWNER, owners=["own_a"]).sees_all
    assert someone(Role.VIEWER).sees_all
    assert machine("user:root").sees_all


@pytest.mark.parametrize(
    ("roles", "before", "gains"),
    [
        ([Role.OPERATOR, Role.OWNER], ["own_b"], GAINED),
        ([Role.OPERATOR, Role.OWNER], [], GAINED),
        ([Role.OPERATOR, Role.OWNER], ["own_a", "own_b"], []),
        ([Role.OPERATOR, Role.OWNER, Role.APPROVER], ["own_b"], [Action.PICKUP_COLLECT]),
        ([Role.OPERATOR], ["own_b"], []),
        ([Role.ADMIN, Role.OWNER], ["own_b"], []),
    ],
)
def test_what_one_would_gain_by_answering_for_an_item(roles, before, gains):
    assert find_gains(someone(*roles, owners=["own_a"]), before, ["own_a"]) == gains
