"""The key set (JWKS, RFC 7517) of an item that signs: next, current and previous, public halves alone."""

from collections.abc import Iterable
from threading import Lock
from typing import Any

from vaultcore import rules
from vaultcore.database import Database
from vaultcore.errors import NightkeyError, RefusedError, TargetError, TroubleError
from vaultcore.model import Kind, Stage, Version
from vaultcore.secret import Secret
from vaultcore.vault import Vault
from vaultcore.versions import Purpose, Versions
from worker.signing.keys import check_installed, read_key

_ORDER = {Stage.PENDING: 0, Stage.CURRENT: 1, Stage.PREVIOUS: 2}
_ACTOR = "publishing"
_ROTATOR = "signing-key"


class KeySets:
    """Shows public halves: as stored when a key was made, or else taken from the key, once a process."""

    def __init__(self, *, database: Database, vault: Vault, versions: Versions) -> None:
        self._database = database
        self._vault = vault
        self._versions = versions
        self._known: dict[tuple[str, int], dict[str, Any] | str] = {}
        self._learning = Lock()

    def jwks(self, name: str) -> dict[str, list[dict[str, Any]]]:
        """The keys that a token may be signed by, next, current and previous in this order.

        `RefusedError` where the item has none to show: a key for callers, a shared key, another value.
        """
        with self._database.read() as connection:
            item = self._vault.get(connection, name)
            stored = self._versions.of_item(connection, item.id)
        if item.kind is Kind.API_KEY:
            raise RefusedError(f"{item.name} is a key for callers of ours: it signs nothing")
        if item.version is None:
            raise RefusedError(f"{item.name} has no key set: it waits for its value")
        keys: list[dict[str, Any]] = []
        for version in _listed(stored):
            public = self._public(version)
            if isinstance(public, str):
                raise RefusedError(f"{item.name} has no key set: {public}")
            keys.append(public)
        return {"keys": keys}

    def published(self, name: str) -> dict[str, list[dict[str, Any]]] | None:
        """The key set for everybody who asks, which only an item that rotates by `signing-key` has; None: there
        is none of that name.

        Whatever the name is, the same look at the rows is taken.
        """
        try:
            if not rules.is_item_id(name):
                rules.check_written(name)
            with self._database.read() as connection:
                stored = self._versions.of_rotator(connection, name, rotator=_ROTATOR)
            found = [self._public(version) for version in _listed(stored)]
        except TroubleError:
            raise  # the database is away: nobody may take that for a key set that is gone
        except NightkeyError:
            return None
        keys = [public for public in found if not isinstance(public, str)]
        return {"keys": keys} if keys and len(keys) == len(found) else None

    def _public(self, version: Version) -> dict[str, Any] | str:
        """The public half, or why there is none.

        Where it is not stored the value is revealed, once a process, and the audit keeps it whatever the value
        turns out to be: nobody can have it revealed, or the database written, by asking again.
        """
        stored = version.external.get("public")
        if isinstance(stored, dict):
            return stored
        known = (version.item_id, version.number)
        with self._learning:
            if known not in self._known:
                check_installed()
                self._known[known] = "it cannot be opened"  # unless it can
                with self._database.write() as connection:
                    value = self._versions.reveal(connection, *known, purpose=Purpose.PUBLISH, actor=_ACTOR)
                self._known[known] = _take_public(value)
            return self._known[known]


def _listed(stored: Iterable[Version]) -> list[Version]:
    return sorted(
        (version for version in stored if version.stage in _ORDER and version.filled),
        key=lambda version: (_ORDER[version.stage], -version.number),
    )


def _take_public(value: Secret) -> dict[str, Any] | str:
    try:
        public = read_key(value).public()
    except TargetError as error:
        return str(error)
    if public is None:
        return "it holds a shared key, which has no public half: give that to those who check its tokens"
    return public
