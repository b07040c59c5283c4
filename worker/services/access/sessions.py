"""The use cases of the console's sessions: a link that signs in once, who is signed in, and signing out."""

from vaultcore.database import Database
from vaultcore.errors import RefusedError
from vaultcore.principals import Principals
from vaultcore.secret import Secret
from vaultcore.sessions import ConsoleSession, OpenedSession, Sessions


class SignIns:
    def __init__(self, *, database: Database, principals: Principals, sessions: Sessions) -> None:
        self._database = database
        self._principals = principals
        self._sessions = sessions

    def make_link(self, name: str | None, *, actor: str) -> Secret:
        """What a link holds that signs in once: as a principal, or, without a name, with the rights of whoever
        may read the keyring. `RefusedError` for a principal that is let in no more.
        """
        with self._database.write() as connection:
            found = None if name is None else self._principals.get(connection, name)
            if found is not None and found.disabled_at is not None:
                raise RefusedError(f"principal {found.name} is let in no more: create another")
            return self._sessions.make_link(connection, found, actor=actor)

    def use_link(self, token: Secret) -> OpenedSession | None:
        """Signs in. None: nobody made such a link, it was used, or its time is over."""
        with self._database.write() as connection:
            return self._sessions.use_link(connection, token)

    def find(self, token: Secret) -> ConsoleSession | None:
        """Who presents this; None: nobody who is signed in."""
        with self._database.read() as connection:
            return self._sessions.find(connection, token)

    def end(self, session: ConsoleSession) -> None:
        """Signs out, at once."""
        with self._database.write() as connection:
            self._sessions.end(connection, session)
