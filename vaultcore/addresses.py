"""The address of a database: read from what a person wrote, and shown without its password."""

from contextlib import suppress
from pathlib import PurePath

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from vaultcore.errors import InvalidInputError


def parse_address(text: str) -> URL:
    """The URL; the error quotes nothing of it. A file is named by its whole path: whoever is to find it again
    may work in another folder.
    """
    found: URL | None = None
    with suppress(ArgumentError, ValueError):  # the second: a port that is no number
        found = make_url(text)
    if found is None:
        raise InvalidInputError(
            "the URL is none: write postgresql://user@host/name, or sqlite:////path/to/file.db"
        )
    if found.drivername == "postgres":
        found = found.set(drivername="postgresql")
    if found.get_backend_name() == "sqlite" and not PurePath(found.database or "").is_absolute():
        raise InvalidInputError("the URL names no file by its whole path: write sqlite:////path/to/file.db")
    return found._replace(password=None) if found.password == "" else found  # `set` takes None for no change


def show_address(url: URL) -> str:
    """Without what is secret: *** stands for it."""
    secrets = _find_secrets(url)
    shown = url.difference_update_query(secrets).render_as_string(hide_password=True)
    masked = "&".join(f"{name}=***" for name in secrets)
    return f"{shown}{'&' if '?' in shown else '?'}{masked}" if masked else shown


def has_password(url: URL) -> bool:
    return url.password is not None or bool(_find_secrets(url))


def _find_secrets(url: URL) -> list[str]:
    """The parameters of it that hold a password."""
    return [name for name in url.query if "password" in name]
