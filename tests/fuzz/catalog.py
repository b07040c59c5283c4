"""Every surface by its name, opened on its own: some need a vault or a server to stand on."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from tests.fuzz import answers, documents, doors, imports, messages, rows, settings
from tests.fuzz.surfaces import Surface

Opener = Callable[[Path], AbstractContextManager[Surface]]
"""In a folder of its own, which is not there yet."""


def _at_once(surface: Surface) -> Opener:
    return lambda _: nullcontext(surface)


SURFACES: Mapping[str, Opener] = {
    "workflow files": _at_once(documents.WORKFLOW_FILES),
    "templates of workflows": _at_once(documents.TEMPLATES),
    "templates of notices": _at_once(documents.LETTERS),
    "imports": _at_once(imports.IMPORTS),
    "policies": _at_once(settings.POLICIES),
    "windows": _at_once(settings.WINDOWS),
    "dates": _at_once(settings.DATES),
    "routes": _at_once(settings.ROUTES),
    "keys": doors.open_keys,
    "pickups": doors.open_pickups,
    "messages": _at_once(messages.MESSAGES),
    "HTTP requests": doors.open_requests,
    "HTTP bodies": doors.open_bodies,
    "answers of targets": answers.open_answers,
    "database rows": rows.open_rows,
}
