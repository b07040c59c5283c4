"""What is a violation of an item at rest, and of one that waits for a person."""

import pytest

from tests.faults.invariants import Held, Known, find_violations
from vaultcore.model import Stage

ITEM = Known(
    item="prod-crm-token",
    versions=[
        Held(number=1, stage=Stage.PREVIOUS, digest="old"),
        Held(number=2, stage=Stage.CURRENT, digest="new"),
    ],
    unfinished=[],
    run="completed",
)


@pytest.mark.parametrize(
    ("accepted", "at_rest", "found"),
    [
        ({"new": "tok_2"}, True, []),
        ({"old": "tok_1"}, True, ["prod-crm-token: version 2 is current, and the target refuses it"]),
        ({"old": "tok_1"}, False, []),
        ({}, False, []),
        (
            {"lost": "tok_3"},
            False,
            ["prod-crm-token: the target accepts tok_3, of which the vault knows nothing"],
        ),
    ],
)
def test_a_value_that_lapses_while_a_person_is_waited_for_is_none(
    accepted: dict[str, str], at_rest: bool, found: list[str]
) -> None:
    assert find_violations(ITEM, accepted, at_rest=at_rest) == found
