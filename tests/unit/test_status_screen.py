"""`status` at a terminal: one screen, whatever has failed, and every failure counted."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from worker.cli.screen import begin_screen
from worker.cli.status_screen import show_status

NOW = datetime(2026, 3, 1, 2, tzinfo=UTC)
KINDS = ("stuck", "not replaced", "retrying")


def stand(problems: int, findings: int) -> dict[str, Any]:
    return {
        "problems": [
            f"prod-service-{one}-token is stuck: {'its target refused it ' * 4}" for one in range(problems)
        ],
        "kinds": [KINDS[one % 3] for one in range(problems)],
        "last_night": None,
        "by_hand": None,
        "next_night": NOW,
        "items": 1000,
        "workflows": 200,
        "rotations": {"stuck": problems},
        "notices": {},
        "findings": [
            {"kind": "lapsed", "item": f"prod-service-{one}-token", "workflow": None, "detail": "lapsed " * 9}
            for one in range(findings)
        ],
    }


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    begin_screen(lambda: NOW)
    monkeypatch.setattr("worker.cli.screen.is_watched", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.mark.usefixtures("at_a_terminal")
@pytest.mark.parametrize("lines", range(14, 60))
@pytest.mark.parametrize(("problems", "findings"), [(0, 0), (0, 1000), (1, 0), (9, 3), (1000, 1000)])
def test_it_fits_and_what_is_not_shown_is_counted(problems: int, findings: int, lines: int) -> None:
    shown = show_status(stand(problems, findings), lines=lines)

    assert len(shown) <= lines
    assert max(map(len, shown)) <= 80
    assert shown[0] == ("not well:" if problems else "all is well")
    text = " ".join(" ".join(shown).split())
    told = len(re.findall("is stuck", text))
    counted = re.search(r"and ([\d,]+) more \(([^)]*)\)", text)
    more = _read(counted[1]) if counted else 0
    assert told + more == problems
    if counted:
        assert sum(map(_read, re.findall(r"\d[\d,]*", counted[2]))) == more
    assert f"{f'{findings:,}' if findings else 'no'} open finding" in text


def _read(number: str) -> int:
    return int(number.strip(",").replace(",", ""))


@pytest.mark.usefixtures("at_a_terminal")
def test_the_worst_come_first_and_more_room_shows_more() -> None:
    few, many = (show_status(stand(1000, 1000), lines=lines) for lines in (20, 50))
    assert "prod-service-0-token" in few[1]
    assert len(few) < len(many)
    assert sum("is stuck" in line for line in many) == 8, "no more than a person reads at once"
