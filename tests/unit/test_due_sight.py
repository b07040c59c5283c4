"""Due items are seen alike, whether a scan asks of each what its policy says, or knows it beforehand."""

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from vaultcore.model import Hygiene
from vaultcore.rows import policy_to_json
from worker.domain.limits import Caps, CapsLeft
from worker.domain.policies import build_policy
from worker.rows.due_items import DueRow
from worker.services.night.due import DueSight
from worker.services.night.due_policies import DuePolicies

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)
CAPS = Caps(night=10, target=10)
PLENTY = CapsLeft(caps=CAPS)
FULL_ELSEWHERE = CapsLeft(caps=CAPS, by_target={"elsewhere": 10})
"""There is room, but not for any target: so each item is looked at by itself."""
POLICIES = [
    json.dumps(policy_to_json(build_policy(None, {"rotator": "random", **parts})))
    for parts in (
        {"mode": "auto"},
        {"mode": "auto", "lifetime": "60d", "lead": "20d", "overlap": "10d", "consumers": "none"},
        {"mode": "auto", "windows": ["0 2 * * * for 1h"], "consumers": "none"},
        {"mode": "auto", "windows": ["0 12 * * * for 1h"], "spread": "5d", "consumers": "none"},
        {"mode": "approve"},
        {"mode": "notify"},
    )
]
resting = st.builds(
    DueRow,
    item_id=st.sampled_from([f"vlt_{number:026d}" for number in range(3)]),
    name=st.sampled_from(["prod-crm-token", "api-key:orders"]),
    policy=st.sampled_from(POLICIES),
    hygiene=st.sampled_from(["", Hygiene.NO_OWNER.value, f"{Hygiene.NO_OWNER} {Hygiene.NO_VALUE}"]),
    expires_at=st.timedeltas(min_value=-5 * DAY, max_value=30 * DAY).map(lambda away: NOW + away),
    life_seconds=st.none() | st.sampled_from([86_400, 30 * 86_400, 60 * 86_400]),
    hold_until=st.none() | st.sampled_from([NOW - DAY, NOW + DAY]),
    is_read=st.booleans(),
    rotation_id=st.just(None),
    rotation_state=st.just(None),
    differs=st.booleans(),
)
rotating = resting.map(lambda row: row._replace(rotation_id="rot_1", rotation_state="watching"))


@given(resting | rotating)
def test_what_is_known_beforehand_is_what_would_be_found_of_each(row):
    policies = DuePolicies(NOW, ())

    assert DueSight(NOW, PLENTY, policies).see(row) == DueSight(NOW, FULL_ELSEWHERE, policies).see(row)


def test_a_policy_that_many_items_share_is_read_once():
    policies, (first, second, *_) = DuePolicies(NOW, ()), POLICIES
    known = policies.read(first)
    assert policies.read("".join(first)) is known
    assert policies.read(second) is not known
    assert policies.read_times(first, 86_400) is policies.read_times(first, 86_400)
