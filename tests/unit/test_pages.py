"""What the pages name is there: tests, files, functions, settings, and the pages that they lead to."""

import re
from pathlib import Path

import pytest

from worker.config import Settings
from worker.wording.roles import write_page

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("deploy/**/*.md")])
CODE = "(?:worker|vaultcore|tests)/[a-z0-9_/]+[.]py"


def defined_in(path: Path) -> set[str]:
    """Functions, methods and classes."""
    return set(re.findall(r"^ *(?:def|class) (\w+)", path.read_text(), re.MULTILINE))


def test_each_threat_has_a_test_and_each_test_exists() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    table = text[text.index("## Threats") : text.index("## What is not protected")]
    threats = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert threats
    for threat in threats:
        named = re.findall(r"`([a-z_/]+[.]py)::(\w+)`", threat.split("|")[3])
        assert named, threat
        for file, test in named:
            assert test.startswith("test_")
            assert test in defined_in(ROOT / "tests" / file), f"{file}::{test}"


def test_each_function_on_a_rotations_way_exists() -> None:
    way = re.findall(rf"`({CODE})` `(\w+)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert len(way) > 25
    for file, name in way:
        assert name in defined_in(ROOT / file), f"{file} {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_file_and_page_that_is_named_exists(page: Path) -> None:
    text = page.read_text()
    if page.name != "CHANGELOG.md":  # it tells of what was, too
        for file in re.findall(rf"`({CODE})`", text):
            assert (ROOT / file).is_file(), file
    for link in re.findall(r"\]\(([^)#]+)", text):
        if not link.startswith("https://"):
            assert (page.parent / link).exists(), link


def test_the_page_of_roles_is_the_table_itself() -> None:
    assert (ROOT / "deploy" / "roles.md").read_text() == write_page()


def test_each_page_is_led_to_from_the_readme() -> None:
    found, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page not in found:
            found.add(page)
            links = re.findall(r"\]\(([^)#]+[.]md)", page.read_text())
            todo += [(page.parent / link).resolve() for link in links if not link.startswith("https://")]
    assert found == set(PAGES)


def test_the_page_of_settings_names_each_with_its_default_and_no_other() -> None:
    text = (ROOT / "deploy" / "installing.md").read_text()
    table = text[text.index("## Settings") : text.index("## Exit status")]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    told = {name: default for names, default in rows for name in re.findall("`([a-z_]+)`", names)}
    assert set(told) == set(Settings.model_fields) - {"home"}
    for names, default in rows:
        fields = [Settings.model_fields[name].default for name in re.findall("`([a-z_]+)`", names)]
        numbers = [str(field) for field in fields if isinstance(field, int | float)]
        if numbers:
            assert re.findall(r"\d+(?:[.]\d+)?", default) == numbers, names
