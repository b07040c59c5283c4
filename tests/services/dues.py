"""What a sweep finds due, of one task."""

from worker.bootstrap import Services
from worker.domain.work import Task


def find_due(services: Services, task: Task) -> list[str]:
    return [work.about for work in services.night.resume_sweep.find_work() if work.task is task]
