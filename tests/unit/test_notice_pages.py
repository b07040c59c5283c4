"""A notice leads to the page of the console where its reader does what it asks for."""

import re
from pathlib import Path

import pytest

from tests.unit.test_letters import DATA, ZONE
from worker.delivery.formats import to_text
from worker.delivery.letters import Letters
from worker.domain.notice_pages import find_page
from worker.domain.notices import PICKUP_MARK
from worker.web.app import PAGES

BASE = "https://nightkey.example.org/console"


@pytest.mark.parametrize(
    ("kind", "data", "page"),
    [
        ("digest", {"owner": "a&b team"}, "/findings?owner=a%26b%20team"),
        ("pickup", {"item": "api-key:x", "token": "clm_1_ab"}, "/pickup#clm_1_ab"),
        ("pickup-reminder", {"item": "api-key:x", "token": "clm_1_ab"}, "/pickup#clm_1_ab"),
        ("rotation-requested", {"item": "prod-x-token", "rotation": "rot_1"}, "/rotations/rot_1"),
        ("drifted", {"item": "a/b?c#d"}, "/items/a%2Fb%3Fc%23d"),
        ("departure", {"name": "ada"}, "/"),
        ("night-failed", {"night": None, "problems": []}, "/"),
    ],
)
def test_each_kind_leads_to_its_page(kind: str, data: dict[str, object], page: str) -> None:
    assert find_page(kind, data) == page


@pytest.mark.parametrize("kind", DATA)
def test_the_message_of_each_kind_has_an_address_that_there_is(kind: str, tmp_path: Path) -> None:
    routes = [route.path_regex for noun in PAGES for route in noun.router.routes if "GET" in route.methods]
    message = Letters(tmp_path, console=BASE).write(kind, DATA[kind], zone=ZONE)
    (address,) = re.findall(r"https://\S+?(?=>|\s|$)", to_text(message.body))
    path = address.removeprefix("https://nightkey.example.org").partition("#")[0].partition("?")[0]
    assert any(pattern.match(path) for pattern in routes), address


@pytest.mark.parametrize("kind", ["pickup", "pickup-reminder"])
def test_the_token_that_is_put_in_when_a_notice_leaves_is_in_its_address_too(kind: str, tmp_path: Path) -> None:
    message = Letters(tmp_path, console=BASE).write(kind, DATA[kind], zone=ZONE)
    assert f"<{BASE}/pickup#clm_1_ab>" in message.body.replace(PICKUP_MARK, "clm_1_ab")


def test_without_an_address_of_the_console_it_names_none(tmp_path: Path) -> None:
    for kind, data in DATA.items():
        assert "browser" not in to_text(Letters(tmp_path).write(kind, data, zone=ZONE).body)


def test_a_template_of_ones_own_has_it_too(tmp_path: Path) -> None:
    (tmp_path / "test.md").write_text(
        '{% extends "nightkey/layout.md" %}{% block subject %}Hello{% endblock %}'
        "{% block body %}You{% endblock %}"
    )
    message = Letters(tmp_path, console=BASE).write("test", DATA["test"], zone=ZONE)
    assert message.passed_over is None
    assert f"{BASE}/" in to_text(message.body)
