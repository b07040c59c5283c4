"""The schema of a vault's database: the check that it is this release's, and the way there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event, inspect, text
from sqlalchemy.pool import ConnectionPoolEntry

from vaultcore.database import Database
from vaultcore.errors import ConfigurationError

SCHEMA_REVISION = "0042"
"""The newest file in `migrations/versions`; a test holds the two together."""

FIRST_REVISION = "0004"
"""The oldest file there; what came before was never released."""

MOVING = "moving"
"""The revision of a database into which a vault is being moved: until that has ended, it is none."""

MIGRATIONS = Path(__file__).parent / "migrations"


def knows_schema(revision: str) -> bool:
    """Whether this release can migrate from it."""
    return revision.isalnum() and any(MIGRATIONS.glob(f"versions/{revision}_*.py"))


def find_revision(database: Database) -> str | None:
    """The schema revision that the database is at; None: it has no schema of ours."""
    with database.read() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def check_schema(database: Database) -> None:
    """Refuses a database of another release, before anything is read from it."""
    found = find_revision(database)
    if found is None:
        raise ConfigurationError("the database holds no vault yet: run `nightkey init`")
    if found == MOVING:
        raise ConfigurationError(_explain_moving(database.where))
    if found != SCHEMA_REVISION:
        raise ConfigurationError(
            f"the database is at schema {found}, this release needs {SCHEMA_REVISION}: "
            "run `nightkey init` of the newer release to migrate it"
        )


def migrate(database: Database) -> None:
    """Brings the schema to this release's revision; a database that is there already is left alone.

    `ConfigurationError` for a schema that this release does not know.
    """
    from alembic import command  # noqa: PLC0415  # 150 ms that only init needs
    from alembic.config import Config  # noqa: PLC0415  # as above

    found = find_revision(database)
    if found == MOVING:
        raise ConfigurationError(_explain_moving(database.where))
    if found is not None and not knows_schema(found):
        raise ConfigurationError(
            f"the database is at schema {found}, and this release migrates from {FIRST_REVISION} to "
            f"{SCHEMA_REVISION}: "
            + (
                "no release ever had it, so make a new vault in another home, and give it the items anew"
                if found < FIRST_REVISION
                else "use the release that made it, or a newer one"
            )
        )
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with _without_foreign_keys(database), database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        if database.is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
            raise ConfigurationError("the database holds rows of nothing: restore it from its backup")


@contextmanager
def _without_foreign_keys(database: Database) -> Iterator[None]:
    """SQLite changes a table by making it anew, and meanwhile the rows of others belong to nothing."""
    if not database.is_sqlite:
        yield
        return

    def switch_off(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401  # DBAPI
        connection.execute("PRAGMA foreign_keys=OFF")

    database.engine.dispose()
    event.listen(database.engine, "connect", switch_off)
    try:
        yield
    finally:
        event.remove(database.engine, "connect", switch_off)
        database.engine.dispose()


def _explain_moving(where: str) -> str:
    return (
        f"{where} is half a vault: one is being moved there, and that has not ended. Set database_url back to "
        "where the vault is, and give `nightkey migrate-to` again: it goes on"
    )
