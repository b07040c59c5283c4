"""Commands that messages hand out are whole: nothing but PATH is left to fill in."""

from datetime import UTC, datetime, timedelta

import pytest

from vaultcore.model import Policy
from worker.domain.commands import first_value_command, replace_command

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("item", "lifetime", "command"),
    [
        ("prod-crm", None, "nightkey item update prod-crm --value-file PATH --expires-at 90d"),
        ("prod-crm", timedelta(days=30), "nightkey item update prod-crm --value-file PATH"),
        (
            "A key's",
            None,
            """nightkey item update 'A key'"'"'s' --value-file PATH --expires-at 90d""",
        ),
        ("api-key:partner", None, "nightkey item update api-key:partner --mode auto"),
    ],
)
def test_a_value_comes_with_its_expiry(item, lifetime, command):
    assert replace_command(item, lifetime) == command


@pytest.mark.parametrize(
    ("item", "lifetime", "left", "command"),
    [
        ("prod-crm", None, 5, "nightkey item update prod-crm --value-file PATH"),
        ("prod-crm", None, -5, "nightkey item update prod-crm --value-file PATH --expires-at 90d"),
        ("prod-crm", None, None, "nightkey item update prod-crm --value-file PATH --expires-at 90d"),
        ("prod-crm", 30, -5, "nightkey item update prod-crm --value-file PATH"),
        ("api-key:partner", None, 5, "nightkey item rotate api-key:partner"),
        ("api-key:partner", None, None, "nightkey item rotate api-key:partner"),
        ("api-key:partner", 30, -5, "nightkey item rotate api-key:partner"),
        (
            "api-key:partner",
            None,
            -5,
            "nightkey item update api-key:partner --expires-at 90d && nightkey item rotate api-key:partner",
        ),
    ],
)
def test_a_first_value_comes_with_an_expiry_where_nobody_knows_it(item, lifetime, left, command):
    policy = Policy(lifetime=None if lifetime is None else timedelta(days=lifetime))
    lapses = None if left is None else NOW + timedelta(days=left)
    assert first_value_command(item, policy, expires_at=lapses, now=NOW) == command
