"""Key sets: `GET /workflows/vault/{item}/jwks.json`, for those who check what an item signs.

Open to everybody, as key sets are: public halves of items that rotate by `signing-key`, and of no other.
Whatever else is asked for is not there.
"""

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import worker.web.slashes  # noqa: F401  # the route has a parameter of its kind
from worker.bootstrap import Services
from worker.web.answers import HttpProblem, answer

CACHE_SECONDS = 60
"""How long others may keep a key set: less than the shortest time by which `ahead` is worth setting."""

_LOOKS_MAX = 4


class PublishedKeySets:
    def __init__(self, services: Services) -> None:
        self._key_sets = services.runs.key_sets
        self._looks = CapacityLimiter(_LOOKS_MAX)

    def routes(self) -> list[Route]:
        return [Route("/workflows/vault/{item:name}/jwks.json", self.show, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        found = await to_thread.run_sync(
            self._key_sets.published, request.path_params["item"], limiter=self._looks
        )
        if found is None:
            raise HttpProblem(404, "not_found", "there is no key set of that name")
        return answer(found, headers={"Cache-Control": f"public, max-age={CACHE_SECONDS}"})
