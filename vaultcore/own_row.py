"""The vault's own row: which vault this is, and which keyring opens it."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, insert, select

from vaultcore.row_macs import RowMacs
from vaultcore.stored import unreadable_fields
from vaultcore.tables import deployment


class Identity(NamedTuple):
    """`keyring_check`: what its keyring makes of `id`."""

    id: str
    keyring_check: str


@dataclass(frozen=True, kw_only=True)
class OwnRow:
    """Which vault it is, and the digest of that; `mac` None: it was not signed yet. `signed`: up to which
    generation of tables its rows have digests; None: of the first.
    """

    id: str
    keyring_check: str
    signed: int | None
    mac: bytes | None

    def is_ours(self, macs: RowMacs) -> bool:
        """Whether it is as one of us wrote it."""
        return macs.holds(deployment, vars(self))


def read_own_row(connection: Connection) -> OwnRow | None:
    """None where the database does not say which vault it is: there is no such row, or more than one, or it
    cannot be read.
    """
    rows = connection.execute(select(deployment)).all()
    if len(rows) != 1 or unreadable_fields(rows[0]):
        return None
    own = rows[0]
    return OwnRow(id=own.id, keyring_check=own.keyring_check, signed=own.signed, mac=own.mac)


def read_identity(connection: Connection) -> Identity | None:
    """Also of a release that kept no digests of its rows; None: there is no such row."""
    row = connection.execute(select(deployment.c.id, deployment.c.keyring_check)).one_or_none()
    return None if row is None else Identity(id=row.id, keyring_check=row.keyring_check)


def has_own_row(connection: Connection) -> bool:
    return connection.execute(select(deployment.c.id)).first() is not None


def write_own_row(connection: Connection, deployment_id: str, *, keyring_check: str, at: datetime) -> None:
    """Once, when the vault is made."""
    connection.execute(insert(deployment).values(id=deployment_id, keyring_check=keyring_check, created_at=at))
