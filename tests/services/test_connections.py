"""How many connections rotations open to a target: those who issue share one, and each proof has its own."""

import pytest

from tests.organisation import Organisation
from tests.services.staging import ScriptedService, Staged, get_rotation
from worker.domain.saga import State
from worker.outbound import sessions
from worker.outbound.transport import HttpLine

pytestmark = pytest.mark.rules


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is, no connection is idle for too long."""
    monkeypatch.setattr(HttpLine, "idle_seconds", 600.0)
    monkeypatch.setattr(sessions, "AGE_MAX_SECONDS", 600.0)


def _add(organisation: Organisation, name: str) -> str:
    """A token that a workflow uses."""
    organisation.add_token(name, name)
    organisation.add_workflow(f"use-{name}", name)
    return name


def _count_calls(service: ScriptedService) -> tuple[int, int]:
    """Calls of those who issue, and calls with the values themselves."""
    issuing = sum(service.calls(method) for method in ("GET", "POST", "DELETE"))
    return issuing, len(service.requests) - issuing


def test_one_connection_serves_who_issues_and_revokes_through_a_rotation(staged: Staged) -> None:
    """One in an emergency takes the old token away at once."""
    organisation, service = staged
    opening = organisation.services.rotation.opening
    rotation_id = opening.request_emergency(_add(organisation, "prod-crm-token"), asked_by="test").id
    organisation.services.rotation.rotations.drive(rotation_id)
    assert get_rotation(organisation, rotation_id).state is State.DONE
    issuing, proving = _count_calls(service)
    assert issuing > 1
    assert service.connections == 1 + proving


def test_as_many_connections_as_are_driven_at_once_serve_who_issues_through_a_night_by_hand(
    staged: Staged,
) -> None:
    organisation, service = staged
    for name in ("one", "two", "three"):
        _add(organisation, f"prod-crm-{name}")
    night = organisation.services.night.inline_night.run_night(lambda _: None, wait=False)
    rotated = organisation.services.night.inline_night.list_rotations(night.slot)
    assert [one.state for one in rotated] == [State.WATCHING] * 3
    issuing, proving = _count_calls(service)
    assert issuing >= 3
    assert 1 <= service.connections - proving <= organisation.services.settings.target_at_once
