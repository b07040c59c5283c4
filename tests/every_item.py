"""Every item of a vault, each of which can be read."""

from sqlalchemy import Connection

from vaultcore.errors import UnreadableError
from vaultcore.model import Item
from vaultcore.vault import Vault


def every_item(vault: Vault, connection: Connection) -> list[Item]:
    """By name."""
    found = list[Item]()
    for one in vault.walk(connection):
        if isinstance(one, UnreadableError):
            raise one
        found.append(one)
    return found
