"""What the pages name is there: tests, files, functions, settings, and the pages that they lead to."""

import os
import re
from pathlib import Path

import pytest

from worker.setting_facts import explain, find_unit, show_default
from worker.settings import Settings
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


def test_the_page_of_settings_says_what_the_command_says() -> None:
    page = ROOT / "deploy" / "settings.md"
    told = _write_settings()
    if os.environ.get("NIGHTKEY_APPROVE"):
        page.write_text(told)

    assert page.read_text() == told


def _write_settings() -> str:
    lines = [
        "# Settings",
        "",
        "Each can be given in `nightkey.toml` by its name, or as the variable `NIGHTKEY_<NAME>`, which wins:",
        "[installing.md](installing.md). `nightkey settings list` says of each what holds here.",
        "",
        "| setting | default | unit | means |",
        "| --- | --- | --- | --- |",
    ]
    for name in Settings.model_fields:
        if name == "home":
            continue
        default = f"`{show_default(name)}`" if show_default(name) else "none"
        means = re.sub(r"deploy/([a-z]+[.]md)", r"[\1](\1)", explain(name))
        lines.append(f"| `{name}` | {default} | {find_unit(name)} | {means} |")
    return "\n".join([*lines, ""])
