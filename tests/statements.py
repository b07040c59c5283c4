"""One store of compiled statements for all vaults of a process.

Each test has a vault of its own, and so an engine of its own, which would compile each statement anew: a third
of the time of a test.
"""

from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.util import LRUCache

from vaultcore.stored import read_json


class _Statements(LRUCache):
    """By what they are compiled for and not, as SQLAlchemy keeps them, by which engine."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(_forget_engine(key), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__(_forget_engine(key), compiled)


_STATEMENTS = _Statements(10_000)


def _forget_engine(key: Any) -> Any:
    dialect, *others = key
    return (dialect.name, dialect.driver, *others)


def share_statements() -> None:
    """From now on, for every engine that the vault makes: others read rows in another way."""
    event.listen(Engine, "engine_connect", _share)


def _share(connection: Connection) -> None:
    if getattr(connection.dialect, "_json_deserializer", None) is read_json:
        connection.execution_options(compiled_cache=_STATEMENTS)
