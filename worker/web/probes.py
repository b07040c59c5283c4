"""What other programs ask a server: whether it lives, whether it can work, and what there is to count.

`/healthz`: this process answers. `/readyz`: database and broker answer, and nights are on time. `/metrics`: for
Prometheus, read from the database when it is asked. The setting `open_probes` names those that anybody may ask;
the others want a token of who may see nights.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from anyio import CapacityLimiter, to_thread
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vaultcore.access import Action
from worker.bootstrap import Services
from worker.broker.reaching import reach_broker
from worker.log import get_logger
from worker.services.night.measures import Measures
from worker.settings import PROBES
from worker.web.answers import answer
from worker.web.api.asking import identify

_log = get_logger(__name__)
_AT_ONCE = 2


class Probes:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._limiter = CapacityLimiter(_AT_ONCE)
        self._registry = CollectorRegistry()
        self._registry.register(_VaultCollector(services))

    def routes(self) -> list[Route]:
        asked = {"healthz": self.live, "readyz": self.ready, "metrics": self.measure}
        return [Route(f"/{name}", asked[name], methods=["GET"]) for name in PROBES]

    async def live(self, request: Request) -> Response:
        await self._admit(request, "healthz")
        return answer({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """200 with what was looked at, or 503 with what is wrong."""
        await self._admit(request, "readyz")
        found = await to_thread.run_sync(self._look, limiter=self._limiter)
        good = all(state == "ok" for state in found.values())
        return answer({"status": "ok" if good else "not ready", **found}, status=200 if good else 503)

    async def measure(self, request: Request) -> Response:
        await self._admit(request, "metrics")
        text = await to_thread.run_sync(partial(generate_latest, self._registry), limiter=self._limiter)
        return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4, headers={"Cache-Control": "no-store"})

    async def _admit(self, request: Request, name: str) -> None:
        if name in self._services.settings.open_probes:
            return
        principal = await identify(request)
        await to_thread.run_sync(
            partial(self._services.access.principals.check_ever, principal, Action.NIGHT_SEE),
            limiter=self._limiter,
        )

    def _look(self) -> dict[str, str]:
        services = self._services
        return {
            "database": _try("database", services.database.ping),
            "broker": _try("broker", partial(_reach_broker, services)),
            "nights": _try("nights", services.overview.measures.is_night_on_time, otherwise="late"),
        }


def _try(name: str, look: Callable[[], bool], *, otherwise: str = "does not answer") -> str:
    try:
        return "ok" if look() else otherwise
    except Exception as error:  # noqa: BLE001  # whatever it is, that is the answer
        _log.error("probe.failed", probe=name, error=type(error).__name__)
        return "does not answer"


def _reach_broker(services: Services) -> bool:
    with reach_broker(services.settings) as connection:
        return bool(connection.connected)


class _VaultCollector(Collector):
    def __init__(self, services: Services) -> None:
        self._services = services

    def describe(self) -> list[Metric]:
        """Nothing is read when it is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        found: Measures = self._services.overview.measures.read()
        yield _gauge(
            "items", "Items by the days until they lapse, each counted once.", "days_left", found.items
        )
        yield _gauge("rotations", "Rotations that there ever were, by state.", "state", found.rotations)
        yield _gauge("notices", "Notices by state.", "state", found.notices)
        yield _gauge("findings", "Open findings by kind.", "kind", found.findings)
        aside = CounterMetricFamily(
            "nightkey_messages_set_aside",
            "Messages at the broker that were not obeyed, by what was wrong with them.",
            labels=["reason"],
        )
        yield _fill(aside, found.messages_set_aside)
        lost = CounterMetricFamily("nightkey_leases_lost", "Leases on rotations that lapsed under a worker.")
        lost.add_metric([], found.leases_lost)
        yield lost
        if found.last_good is not None:
            yield GaugeMetricFamily(
                "nightkey_last_good_night_age_seconds",
                "How long ago the last night ended that ended well.",
                value=found.last_good.total_seconds(),
            )


def _gauge(name: str, meaning: str, label: str, values: Mapping[str, int]) -> Metric:
    return _fill(GaugeMetricFamily(f"nightkey_{name}", meaning, labels=[label]), values)


def _fill(family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[str, int]) -> Metric:
    """By its one label."""
    for value, number in values.items():
        family.add_metric([value], number)
    return family
