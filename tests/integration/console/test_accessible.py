"""axe finds nothing serious on any page, in either scheme; on a small screen none is wide, no row tall."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.integration.console.morning import MAIL, SALES, TICKETS, Morning, make_morning
from worker.web.api.asking import ACTION
from worker.web.app import PAGES
from worker.web.console.visits import PageRoute

WHOLE = {"resultTypes": ["violations"]}
SERIOUS = ("serious", "critical")
OF_COLOURS = {**WHOLE, "runOnly": ["color-contrast", "link-in-text-block"]}
SCHEMES: dict[Any, dict[str, Any]] = {"light": WHOLE, "dark": OF_COLOURS}
"""And of what axe is asked in each: the second differs from the first in its colours, and in nothing else."""
ROW_MAX = 44
"""Pixels of a row that is one line."""
_TALLEST = """Math.max(0, ...[
    ...document.querySelectorAll('table.rows:not(.stacks) tbody tr:not(:has(.wraps))')]
    .map((row) => Math.round(row.getBoundingClientRect().height)))"""


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Morning]:
    with make_morning(tmp_path_factory.mktemp("accessible")) as made:
        yield made


@pytest.mark.long
def test_axe_finds_nothing_serious_on_any_page(morning: Morning, page: Page) -> None:
    token = morning.services.access.sign_ins.make_link(None, actor="user:test")
    page.goto(f"{morning.front.url}/console/sign-in")
    found = judge(page, "/console/sign-in")
    page.goto(f"{morning.front.url}/console/link/{token.expose()}")
    paths = list_pages(morning)
    assert len(paths) >= 15
    for path in paths:
        answered = page.goto(f"{morning.front.url}{path}")
        assert answered is not None
        assert answered.status == 200, path
        if page.title():  # what a page asks for while one types is none
            found += judge(page, path)
    assert found == []


_TWO_FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""What follows a change of size is drawn by then."""


def judge(page: Page, path: str) -> list[str]:
    found = []
    for scheme, asked in SCHEMES.items():
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": 1120, "height": 800})
        wrong = [
            one for one in Axe().run(page, options=asked).response["violations"] if one["impact"] in SERIOUS
        ]
        found += [f"{path} {scheme} {one['id']}: {one['nodes'][0]['html'][:200]}" for one in wrong]
    page.set_viewport_size({"width": 360, "height": 800})
    page.evaluate(_TWO_FRAMES)
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    tall = page.evaluate(_TALLEST)
    found += [f"{path} is {wider} px wider than a small screen"] if wider > 0 else []
    return [*found, *([f"{path} has a row of {tall} px there"] if tall > ROW_MAX else [])]


def list_pages(morning: Morning) -> list[str]:
    """Every page that is looked at, with something to look at."""
    rotations = [morning.rotation(item) for item in (TICKETS, SALES, MAIL)]
    real = {
        "items": [morning.services.lookup.views.get_item(SALES).id],
        "rotations": rotations,
        "workflows": ["sales-sync"],
        "calendar": [f"{morning.clock.now:%Y-%m-%d}"],
        "notices": [one.id for one in morning.organisation.notices()][:1],
        "owners": ["sales"],
        "owners-digest": ["sales"],
        "owners-leave": ["sales"],
        "findings": [one.finding.id for one in morning.services.lookup.views.list_findings()][:1],
        "principals": ["viewer"],
    }
    found = []
    for noun in PAGES:
        for route in noun.router.routes:
            if isinstance(route, PageRoute) and "GET" in route.methods:
                names = list(route.param_convertors)
                assert ACTION in (route.openapi_extra or {})
                if not names:
                    found.append(route.path_format)
                    continue
                given = real[route.path_format.split("/")[2]]
                found += [route.path_format.format(**{names[0]: one}) for one in given]
    return found
