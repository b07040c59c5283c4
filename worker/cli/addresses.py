"""The address of a database as a person gives it: with its password, and shown without it."""

import os
from contextlib import suppress
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

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
        found = _parse(url)
        if _has_password(found):
            raise InvalidInputError(
                "a password on the command line is seen by others on this machine, and kept by the shell: give "
                f"the URL by --url-file PATH (- is standard input), or in {MOVE_VARIABLE}"
            )
        return found
    if file is not None:
        found = _parse(read_document(file, most=_URL_MAX)[0].strip())
        if file != "-" and _has_password(found) and is_readable_by_all(Path(file)):
            word = quote_word(file)
            note(f"nightkey: warning: {file} holds a password, and everybody may read it: chmod o-r {word}")
        return found
    if not given:
        raise InvalidInputError(
            f"name the database: its URL, --url-file PATH (- is standard input), or {MOVE_VARIABLE}"
        )
    return _parse(given)


def show_address(url: URL) -> str:
    """Without what is secret: *** stands for it."""
    secrets = _find_secrets(url)
    shown = url.difference_update_query(secrets).render_as_string(hide_password=True)
    masked = "&".join(f"{name}=***" for name in secrets)
    return f"{shown}{'&' if '?' in shown else '?'}{masked}" if masked else shown


def _parse(text: str) -> URL:
    """The URL; the error quotes nothing of it."""
    found: URL | None = None
    with suppress(ArgumentError, ValueError):  # the second: a port that is no number
        found = make_url(text)
    if found is None:
        raise InvalidInputError(
            "the URL is none: write postgresql://user@host/name, or sqlite:////path/to/file.db"
        )
    if found.drivername == "postgres":
        found = found.set(drivername="postgresql")
    return found._replace(password=None) if found.password == "" else found  # `set` takes None for no change


def _has_password(url: URL) -> bool:
    return url.password is not None or bool(_find_secrets(url))


def _find_secrets(url: URL) -> list[str]:
    """The parameters of it that hold a password."""
    return [name for name in url.query if "password" in name]
