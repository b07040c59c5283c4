"""What an approval is bound to: it no longer holds when the value or the policy has changed."""

import copy
import json
import re
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest

from vaultcore.model import Consumers, Item, Kind, Mode, Policy
from vaultcore.rows import policy_from_json, policy_to_json
from worker.domain.approvals import digest_request

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)

POLICY = Policy(
    mode=Mode.APPROVE,
    stated=True,
    rotator="http",
    settings={"url": "https://crm.example.com", "body": {"a": "1", "b": ["x", 2]}},
    lifetime=90 * DAY,
    windows=("0 2 * * * for 4h in UTC",),
)
ITEM = Item(
    id="vlt_1",
    name="prod-crm",
    kind=Kind.SECRET,
    owners=("ops",),
    policy=POLICY,
    version=4,
    expires_at=NOW + 10 * DAY,
    due_at=NOW,
    hold_until=None,
    created_at=NOW,
    updated_at=NOW,
)
CHANGES = {
    "mode": Mode.AUTO,
    "stated": False,
    "rotator": "random",
    "settings": {"url": "https://evil.example.com", "body": {"a": "1", "b": ["x", 2]}},
    "lifetime": 91 * DAY,
    "lead": 15 * DAY,
    "spread": DAY,
    "overlap": 2 * DAY,
    "idle_after": DAY,
    "thresholds": (30, 14, 7),
    "windows": ("0 3 * * * for 4h in UTC",),
    "freezes": ("0 0 20 12 * for 14d in UTC",),
    "expiry_first": False,
    "canary": "auto",
    "four_eyes": True,
    "approval": DAY,
    "propagation": DAY,
    "copy_of": "vlt_0000000000000000000000000a",
    "answers": 1,
    "renew": True,
    "target": "crm",
    "pickup": DAY,
    "urgent": True,
    "consumers": Consumers.NONE,
}


def with_policy(**changed):
    return replace(ITEM, policy=replace(POLICY, **changed))


def test_a_digest_is_64_hex_digits_and_the_same_for_the_same_request():
    again = replace(ITEM, policy=replace(POLICY, settings=copy.deepcopy(POLICY.settings)))

    assert re.fullmatch("[0-9a-f]{64}", digest_request(ITEM))
    assert digest_request(again) == digest_request(ITEM)


def test_an_approval_of_an_earlier_release_still_holds():
    """Where a policy said nothing of them, three good answers were asked for."""
    given = "ce9631fc16417f71347b124ab9e3828219d74d16423de8216c532b208e455daa"
    stored = policy_to_json(replace(POLICY, answers=3))
    for policy in (stored, {name: value for name, value in stored.items() if name != "answers"}):
        assert digest_request(replace(ITEM, policy=policy_from_json(policy))) == given


@pytest.mark.parametrize("answers", [1, 3])
def test_how_many_answers_are_believed_is_approved_where_the_rotator_decides_it_too(answers):
    assert digest_request(with_policy(answers=answers)) != digest_request(with_policy(answers=None))


def test_the_table_changes_each_part_of_a_policy():
    assert CHANGES.keys() == {field.name for field in fields(Policy)} - {"named"}


def test_whose_policy_it_follows_is_not_approved_but_what_that_says():
    assert digest_request(with_policy(named="monthly")) == digest_request(ITEM)


@pytest.mark.parametrize("name", CHANGES)
def test_each_part_of_the_policy_is_approved(name):
    assert digest_request(with_policy(**{name: CHANGES[name]})) != digest_request(ITEM)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"url": "https://crm.example.com"},
        {"url": "https://crm.example.com", "body": {"a": "2", "b": ["x", 2]}},
        {"url": "https://crm.example.com", "body": {"a": "1", "b": ["x", "2"]}},
        {"url": "https://crm.example.com", "body": {"a": "1", "b": [2, "x"]}},
    ],
)
def test_what_is_sent_is_approved_down_to_its_parts(settings):
    assert digest_request(with_policy(settings=settings)) != digest_request(ITEM)


@pytest.mark.parametrize("changed", [{"id": "vlt_2"}, {"version": 5}, {"version": None}])
def test_an_approval_is_for_one_item_and_one_value(changed):
    assert digest_request(replace(ITEM, **changed)) != digest_request(ITEM)


@pytest.mark.parametrize(
    "changed",
    [
        {"hold_until": NOW + DAY},
        {"updated_at": NOW + DAY},
        {"due_at": NOW + DAY},
        {"owners": ("finance",)},
        {"name": "prod-crm-eu"},
    ],
)
def test_what_says_nothing_of_the_replacement_may_change(changed):
    assert digest_request(replace(ITEM, **changed)) == digest_request(ITEM)


def test_the_order_in_which_settings_are_stored_changes_nothing():
    turned = {name: POLICY.settings[name] for name in reversed(list(POLICY.settings))}
    stored = json.loads(json.dumps(POLICY.settings, sort_keys=True))

    assert list(turned) != list(POLICY.settings)
    assert digest_request(with_policy(settings=turned)) == digest_request(ITEM)
    assert digest_request(with_policy(settings=stored)) == digest_request(ITEM)
