"""The key set (JWKS, RFC 7517) of an item that signs: next, current and previous, public halves alone."""

from typing import Any

from sqlalchemy import Connection

from vaultcore.database import Database
from vaultcore.errors import CounterpartError, RefusedError
from vaultcore.model import Item, Kind, Stage, Version
from vaultcore.vault import Vault
from vaultcore.versions import Purpose, Versions
from worker.signing.keys import read_key

_ORDER = {Stage.PENDING: 0, Stage.CURRENT: 1, Stage.PREVIOUS: 2}
_ACTOR = "publishing"
_ROTATOR = "signing-key"


class Publishing:
    """Shows public halves: as stored when a key was made, or else taken from the key, once a process."""

    def __init__(self, *, database: Database, vault: Vault, versions: Versions) -> None:
        self._database = database
        self._vault = vault
        self._versions = versions
        self._known: dict[tuple[str, int], dict[str, Any]] = {}

    def jwks(self, name: str, *, published: bool = False) -> dict[str, list[dict[str, Any]]]:
        """The keys that a token may be signed by, next, current and previous in this order.

        `RefusedError` where the item has none to show: a key for callers, a shared key, another value.
        `published`: for everybody who asks, so only of an item that rotates by `signing-key`.
        """
        with self._database.read() as connection:
            item = self._vault.get(connection, name)
            stored = self._versions.of_item(connection, item.id)
        if item.kind is Kind.API_KEY:
            raise RefusedError(f"{item.name} is a key for callers of ours: it signs nothing")
        if published and item.policy.rotator != _ROTATOR:
            raise RefusedError(f"{item.name} is not rotated by {_ROTATOR}: its key set is nobody's to ask for")
        listed = sorted(
            (version for version in stored if version.stage in _ORDER and version.filled),
            key=lambda version: (_ORDER[version.stage], -version.number),
        )
        return {"keys": [self._public(item, version) for version in listed]}

    def _public(self, item: Item, version: Version) -> dict[str, Any]:
        stored = version.external.get("public")
        if isinstance(stored, dict):
            return stored
        known = (item.id, version.number)
        if known not in self._known:
            with self._database.write() as connection:
                self._known[known] = self._read(connection, item, version.number)
        return self._known[known]

    def _read(self, connection: Connection, item: Item, number: int) -> dict[str, Any]:
        value = self._versions.reveal(connection, item.id, number, purpose=Purpose.PUBLISH, actor=_ACTOR)
        problem = "it holds a shared key, which has no public half: give that to those who check its tokens"
        try:
            public = read_key(value).public()
        except CounterpartError as error:
            public, problem = None, str(error)
        if public is None:
            raise RefusedError(f"{item.name} has no key set: {problem}")
        return public
