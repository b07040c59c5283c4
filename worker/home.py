"""What lies in the data folder, and what the settings name beside it, looked at before any of it is used."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from vaultcore.errors import ConfigurationError
from worker.config import SETTINGS_FILE, Settings
from worker.locks import LOCK_FILE
from worker.ownership import check_file, check_folder, is_readable_by_all

ANCHORS_FILE = "audit-anchors.jsonl"
UP_LOCK_FILE = "up.lock"
_BROKER = ("broker", "broker/messages", "broker/aside")
_SIDES = ("", "-wal", "-shm", "-journal")
_TEMPLATES_MAX = 1000


def check_home(settings: Settings) -> None:
    """`ConfigurationError` where somebody else owns, or may write, what Nightkey goes by: folder, locks,
    anchors, database, templates, broker. The settings and the keyring are looked at when they are read.
    """
    home = settings.home
    check_folder(home, "the data folder")
    for name in (ANCHORS_FILE, LOCK_FILE, UP_LOCK_FILE):
        check_file(home / name, "the file")
    for name in _BROKER:
        check_folder(home / name, "the broker's folder", link=False)
    database = find_database(settings)
    if database is not None:
        check_folder(database.parent, "the database's folder")
        for side in _SIDES:
            check_file(database.with_name(database.name + side), "the database")
    check_folder(settings.templates_path, "the folder of templates")
    for entry in _walk_templates(settings.templates_path):
        (check_folder if entry.is_dir() else check_file)(entry, "the template")
    if settings.outbound_ca is not None:
        check_file(settings.outbound_ca, "the authorities of outbound_ca")


def find_warning(settings: Settings) -> str | None:
    """What is not refused, and should not be so."""
    file = settings.home / SETTINGS_FILE
    if settings.has_stored_secret and is_readable_by_all(file):
        return f"the settings {file} hold a password, and everybody may read them: chmod o-r {file}"
    return None


def find_database(settings: Settings) -> Path | None:
    """The file itself, where a link leads to it: its log lies beside that. None: it is a server's."""
    try:
        url = make_url(settings.database)
    except (ArgumentError, ValueError):  # refused in words of its own when it is opened
        return None
    name = url.database or ""
    if url.get_backend_name() != "sqlite" or not name or name.startswith((":memory:", "file:")):
        return None
    return Path(name).resolve()


# Inside


def _walk_templates(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    found = list(islice(folder.rglob("*"), _TEMPLATES_MAX + 1))
    if len(found) > _TEMPLATES_MAX:
        raise ConfigurationError(
            f"the folder of templates {folder} holds more than {_TEMPLATES_MAX} files: name one of its own"
        )
    yield from found
