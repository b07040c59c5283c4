"""Valkey or Redis: how it is set, as INFO says, and how long its lists are."""

from typing import Any, Final

from worker.broker.queues import FORMER, QUEUES
from worker.broker.reaching import reach_broker
from worker.config import Settings
from worker.domain.broker_address import name_addresses
from worker.domain.diagnosis import RedisFacts

_ASKED: Final = ("server", "persistence", "memory", "replication")


def look_at_redis(settings: Settings) -> RedisFacts:
    with reach_broker(settings) as connection, connection.channel() as channel:
        from redis.exceptions import NoPermissionError, ResponseError  # noqa: PLC0415  # an extra, and it is there

        client: Any = channel.client
        info: dict[str, str] = {}
        try:
            for section in _ASKED:
                info |= {name: str(value) for name, value in client.info(section).items()}
        except (NoPermissionError, ResponseError):
            info = {}
        return RedisFacts(
            where=name_addresses(settings.broker_url).partition(" at ")[2],
            info=info,
            waiting={name: int(client.llen(name)) for name in QUEUES.values()},
            former=int(client.llen(FORMER)),
        )
