"""Answers that are given once: written past all buffers, and gone out before anything is forgotten."""

import json
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress

from vaultcore.errors import NightkeyError
from worker.cli.output import note_at_once
from worker.cli.screen import AnswerForm, screen
from worker.cli.spreadsheet import write_csv
from worker.cli.terminal import was_closed
from worker.wording.plain import to_plain


class AnswerLostError(NightkeyError):
    """Standard output did not take all of it: the message is only the reason."""


def check_output() -> None:
    """Before anything is made or marked: an answer could go nowhere."""
    if sys.stdout is None or was_closed("stdout"):
        raise AnswerLostError("standard output is closed: there is nowhere to show a key")


def hint(text: str) -> None:
    """A note beside the answer, which is given although nobody may see that."""
    if sys.stderr is not None:
        with suppress(OSError):
            note_at_once(text)


def hand_over(text: str) -> None:
    """Writes the whole text; a file has it on the disk then. `AnswerLostError` if it was not taken.

    A pipe takes what nobody may read: no write can know of that.
    """
    check_output()
    problem = ""
    try:
        sys.stdout.flush()
        left = text.encode(sys.stdout.encoding, errors="backslashreplace")
        number = sys.stdout.fileno()
        while left:
            left = left[os.write(number, left) :]
        if stat.S_ISREG(os.fstat(number).st_mode):
            os.fsync(number)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    if problem:
        raise AnswerLostError(problem)


def hand_over_json(document: Mapping[str, object]) -> None:
    """As one JSON document, in ASCII, which every encoding has; or as CSV, where that was asked for."""
    is_csv = screen().form is AnswerForm.CSV
    hand_over(write_csv(document) if is_csv else json.dumps(to_plain(document), indent=2) + "\n")
