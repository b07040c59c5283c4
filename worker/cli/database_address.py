"""The address of a database as a person gives it: as an argument, in a file, or in the environment."""

import os
from pathlib import Path

from sqlalchemy import URL

from vaultcore.addresses import has_password, parse_address
from vaultcore.errors import InvalidInputError
from worker.cli.inputs import read_document
from worker.cli.output import note
from worker.domain.commands import quote_word
from worker.origins import MOVE_VARIABLE
from worker.ownership import is_readable_by_all

_URL_MAX = 4096


def read_address(url: str | None, file: str | None) -> URL:
    """Of the argument, which has no password; of the file, or standard input (`-`); or of the variable."""
    given = os.environ.get(MOVE_VARIABLE, "").strip()
    if url is not None and file is not None:
        raise InvalidInputError("the URL is given twice: as an argument, or by --url-file")
    if url is not None:
        found = parse_address(url)
        if has_password(found):
            raise InvalidInputError(
                "a password on the command line is seen by others on this machine, and kept by the shell: give "
                f"the URL by --url-file PATH (- is standard input), or in {MOVE_VARIABLE}"
            )
        return found
    if file is not None:
        found = parse_address(read_document(file, most=_URL_MAX)[0].strip())
        if file != "-" and has_password(found) and is_readable_by_all(Path(file)):
            word = quote_word(file)
            note(f"nightkey: warning: {file} holds a password, and everybody may read it: chmod o-r {word}")
        return found
    if not given:
        raise InvalidInputError(
            f"name the database: its URL, --url-file PATH (- is standard input), or {MOVE_VARIABLE}"
        )
    return parse_address(given)
