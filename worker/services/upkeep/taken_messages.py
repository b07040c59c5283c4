"""Each message is taken once, whichever worker it comes to."""

from vaultcore.database import Database
from worker.rows import taken_messages as taken_rows


class TakenMessages:
    def __init__(self, *, database: Database) -> None:
        self._database = database

    def take(self, message_id: str) -> bool:
        """Whether nobody has taken it yet; from now on somebody has. If the machine loses its power, it may be
        as if nobody had: then it rings twice.
        """
        with self._database.write_lightly() as connection:
            return taken_rows.take(connection, message_id)
