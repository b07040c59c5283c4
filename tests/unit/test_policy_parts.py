"""What has to be written down of a policy: enough to make the same of it again, and nothing that follows."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given

from tests.policy_strategies import PARTS
from vaultcore.model import Mode, Policy
from worker.domain.policies import build_policy, find_default_rotator
from worker.domain.policy_parts import find_own_parts, lay_over

ITEM = "prod-crm-token"
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("base", "given_parts", "own"),
    [
        ({}, {}, {}),
        ({}, {"mode": "notify"}, {"mode": "notify"}),
        ({}, {"lifetime": "30d"}, {"lifetime": "30d"}),
        ({}, {"mode": "auto", "rotator": "random"}, {"mode": "auto", "rotator": "random"}),
        ({}, {"lifetime": "30d", "lead": "5d"}, {"lifetime": "30d", "lead": "5d"}),
        ({"lifetime": "30d"}, {"lifetime": "30d"}, {}),
        ({"lifetime": "30d"}, {"lifetime": "30d", "lead": "5d"}, {"lead": "5d"}),
        ({"lifetime": "30d", "lead": "5d"}, {"mode": "notify"}, {"lifetime": None, "lead": "14d"}),
        (
            {"rotator": "http", "settings": {"a": 1}},
            {"settings": {"b": 2}},
            {"rotator": None, "settings": {"b": 2}},
        ),
    ],
)
def test_as_few_parts_as_there_can_be(base, given_parts, own):
    policy = build_policy(None, given_parts)

    assert find_own_parts(policy, base, item=ITEM) == own


def test_a_key_for_callers_has_its_rotator_without_a_word():
    policy = build_policy(None, {"mode": "auto"}, default_rotator=find_default_rotator("api-key:orders"))

    assert find_own_parts(policy, {}, item="api-key:orders") == {"mode": "auto"}
    assert find_own_parts(policy, {}, item=ITEM) == {"mode": "auto", "rotator": "workflow-api-key"}


@given(base=PARTS, parts=PARTS)
def test_base_and_own_parts_make_the_same_policy_again(base, parts):
    policy = build_policy(None, parts)

    own = find_own_parts(policy, base, item=ITEM)

    built = lay_over(base, own, item=ITEM)
    assert replace(built, stated=policy.stated) == policy
    assert built.stated or not policy.stated


def test_a_policy_that_nobody_stated_says_nothing():
    assert find_own_parts(Policy(), {}, item=ITEM) == {}
    assert find_own_parts(Policy(stated=True), {}, item=ITEM) == {"mode": Mode.NOTIFY}
