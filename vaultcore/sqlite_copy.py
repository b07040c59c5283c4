"""Copies of a SQLite database: made while others write, checked, and put in the place of another."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from vaultcore.database import Database
from vaultcore.errors import InvalidInputError, NightkeyError, RefusedError

_SIDES = ("-wal", "-shm", "-journal")
_ASK_SECONDS = 2.0


def copy_database(database: Database, target: Path) -> None:
    """One state of the database as one file, by SQLite's own backup: what is in its log is in the copy.

    All pages in one step: a step that is left to others in between begins anew with each of their commits.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    try:
        with database.engine.connect() as connection, closing(sqlite3.connect(target)) as copy:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)  # noqa: S101  # the dialect's driver
            driver.backup(copy, pages=-1)
        drop_log(target)
    except sqlite3.Error as error:
        raise NightkeyError(f"the database cannot be copied: {error}") from None


def make_private(file: Path) -> None:
    """Before anything is in it: its log takes its mode from it. What cannot be made, who opens it tells."""
    with suppress(OSError):
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    if file.is_file():
        with suppress(OSError):
            file.chmod(0o600)


def find_damage(file: Path) -> str | None:
    """What SQLite finds wrong in the file; None: nothing."""
    try:
        with closing(sqlite3.connect(file)) as connection:
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else str(found)


def list_tables(file: Path) -> list[str]:
    """Those of any SQLite file, which stays as it is."""
    problem = ""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
            )
            return [name for (name,) in found]
    except sqlite3.DatabaseError as error:
        problem = str(error)
    raise InvalidInputError(f"{file} cannot be read as a SQLite database: {problem}")


def drop_log(file: Path) -> None:
    """All of it in the one file: its log is written back and gone."""
    with closing(sqlite3.connect(file, timeout=_ASK_SECONDS)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    descriptor = os.open(file, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_in_place(copy: Path, file: Path, *, kept: Path) -> bool:
    """The copy takes the place of the file, which is kept under another name; whether there was one.

    The old one is linked before it is replaced, so that the place is never empty. `RefusedError` while another
    process has it open. One that is damaged is kept as it is, with its log.
    """
    had = file.exists()
    if had:
        _close_log(file)
        for side in ("", *_SIDES):
            beside = file.with_name(file.name + side)
            if beside.exists():
                _keep(beside, kept.with_name(kept.name + side))
    for side in _SIDES:
        file.with_name(file.name + side).unlink(missing_ok=True)
    copy.replace(file)
    sync_folder(file.parent)
    return had


def _keep(file: Path, kept: Path) -> None:
    """Under another name too; where the file system has no second names, under that alone."""
    try:
        os.link(file, kept)
    except FileExistsError:
        raise
    except OSError:
        file.rename(kept)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _close_log(file: Path) -> None:
    """Leaving the write-ahead log takes the database alone: it tells whether anybody else has it open."""
    try:
        drop_log(file)
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            return
    except sqlite3.DatabaseError:  # it is none any more, which may be why another is put in its place
        return
    else:
        return
    raise RefusedError(f"another process has {file} open: stop it, then repeat this")
