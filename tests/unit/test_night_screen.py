"""What `night show` says is still open: the worst by name, and of many alike their number and a list."""

from datetime import UTC, datetime
from typing import Any

import pytest

from worker.cli.night import tell_open

NOW = datetime(2026, 3, 1, 2, tzinfo=UTC)


def look_ahead(turns: int) -> dict[str, Any]:
    return {
        "problems": [{"detail": "prod-x-token is stuck", "command": "nightkey rotation show rot_1"}],
        "owners_turn": [
            {"detail": f"prod-{number}-token lapsed 1 day ago", "command": None} for number in range(turns)
        ],
        "approvals": [],
        "more": 0,
    }


@pytest.mark.parametrize(("turns", "named", "others"), [(0, 0, 0), (10, 10, 0), (11, 10, 1), (2000, 10, 1990)])
def test_of_many_that_wait_for_their_owners_the_first_are_named(turns: int, named: int, others: int) -> None:
    lines = list(tell_open(look_ahead(turns), NOW))
    text = " ".join(" ".join(lines).split())
    assert lines[0] == f"still open ({turns + 1:,}):"
    assert text.count("lapsed 1 day ago") == named
    listed = "nightkey item list --state lapsed --state due --sort expires"
    assert (f"and {others:,} more that lapsed or are due: {listed}" in text) == bool(others)
    assert len(lines) <= 15
