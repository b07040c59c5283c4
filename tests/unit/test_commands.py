"""Commands that messages hand out are whole: nothing but PATH is left to fill in."""

from datetime import timedelta

import pytest

from worker.domain.commands import replace_command


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
