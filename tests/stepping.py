"""A rotation, step by step: a worker that is told to stop gives it back after the step that was due."""

from worker.bootstrap import Services
from worker.services.rotation.advance import Advanced


def advance(services: Services, rotation_id: str) -> Advanced | None:
    """Does the one step that is due; None if there is none, or somebody else is at it."""
    return services.rotation.rotations.drive(rotation_id, stopped=lambda: True)
