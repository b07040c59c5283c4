"""What must be true after a soak has come to rest, beside what chaos asks: nights, logs, and values."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from vaultcore.errors import NightkeyError
from worker.bootstrap import Services
from worker.rows.nights import NIGHT_JOB
from worker.rows.tables import rotations, sweeps

_VALUE = re.compile(rb"[A-Za-z0-9]{40,}")
_LENGTH = 40
_OF_BROKERS = ("celery.", "kombu.", "beat.not-rung")
_TRACE = "Traceback (most recent call last)"


def find_night_violations(services: Services) -> list[str]:
    """Each night is done, and nobody did one that somebody else had done: an item is rotated once in it.

    The scan of a night that was cut off is begun anew a quarter of an hour later. By then another night is due
    here, which looks at everything; the former stays without a scan.
    """
    twice = (
        select(rotations.c.night, rotations.c.item, func.count())
        .where(rotations.c.night.is_not(None))
        .group_by(rotations.c.night, rotations.c.item)
        .having(func.count() > 1)
    )
    undone = select(sweeps.c.slot).where(
        sweeps.c.job == NIGHT_JOB, sweeps.c.scanned_at.is_not(None), sweeps.c.done_at.is_(None)
    )
    with services.database.read() as connection:
        found = [
            f"the night of {night} rotated {item} {number} times"
            for night, item, number in connection.execute(twice)
        ]
        return found + [f"the night of {slot} was not closed" for slot in connection.execute(undone).scalars()]


def find_log_violations(logs: Iterable[Path]) -> list[str]:
    """An error is one line, whatever went away, and of our own tree; how a broker was lost its client says."""
    ours = _names(NightkeyError)
    found: Counter[str] = Counter()
    for log in logs:
        lines = log.read_text(errors="replace").splitlines()
        for number, line in enumerate(lines):
            if _TRACE in line:
                found[f"{log.name}: a traceback, which ends {_find_end(lines[number + 1 :])!r}"] += 1
                continue
            said = _read(line)
            error, event = said.get("error"), str(said.get("event"))
            if error is not None and error not in ours and not event.startswith(_OF_BROKERS):
                found[f"{log.name}: {event}, by {error}"] += 1
    return [f"{number} times in {problem}" for problem, number in found.items()]


def find_values(values: Iterable[str], places: Iterable[Path]) -> list[str]:
    """Files in which one of these stands as it is. A value is of 40 letters and digits, and is not shown."""
    wanted = {value.encode() for value in values}
    found = []
    for place in places:
        for file in [place] if place.is_file() else sorted(place.rglob("*")):
            try:
                content = file.read_bytes() if file.is_file() and not file.is_symlink() else b""
            except OSError:  # it has gone since it was listed
                continue
            if any(_is_among(run, wanted) for run in _VALUE.findall(content)):
                found.append(f"a value stands in {file}")
    return found


def _names(kind: type[Exception]) -> set[str]:
    """With all that derive from it."""
    return {kind.__name__}.union(*(_names(one) for one in kind.__subclasses__()))


def _read(line: str) -> dict[str, Any]:
    """What is no JSON is what `up` itself tells people."""
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _is_among(run: bytes, wanted: set[bytes]) -> bool:
    return any(run[at : at + _LENGTH] in wanted for at in range(len(run) - _LENGTH + 1))


def _find_end(lines: list[str]) -> str:
    """The line that says what it was: the first below it that is not indented."""
    return next((line[:200] for line in lines if line and not line.startswith(" ")), "")
