"""What `--help` says in a terminal of 80 columns, and what it costs."""

import subprocess
import sys
from collections.abc import Iterator
from typing import cast

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from worker.cli.main import app
from worker.cli.nouns import NOUNS, SECTIONS, Noun

ROOT = cast("TyperGroup", get_command(app))
SLOW = (
    "sqlalchemy",
    "pydantic",
    "structlog",
    "celery",
    "httpx",
    "apprise",
    "liquid",
    "rich",
    "worker.bootstrap",
)


def _groups(group: TyperGroup, *path: str) -> Iterator[tuple[tuple[str, ...], TyperGroup]]:
    yield path, group
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _groups(command, *path, name)


def _help(group: TyperGroup, *path: str) -> str:
    context = group.make_context(" ".join(("nightkey", *path)), ["--help"], resilient_parsing=True)
    context.terminal_width = 80
    return group.get_help(context)


@pytest.mark.parametrize(("path", "group"), list(_groups(ROOT))[1:], ids=str)
def test_a_list_of_commands_says_each_in_a_whole_sentence(path: tuple[str, ...], group: TyperGroup) -> None:
    _, commands = _help(group, *path).split("Commands:\n")
    lines = commands.splitlines()
    assert len(lines) == sum(not command.hidden for command in group.commands.values())
    assert [line for line in lines if "..." in line or not line.endswith((".", "…")) or len(line) > 80] == []


def test_the_first_words_stand_under_what_a_person_is_about_to_do() -> None:
    _, *parts = _help(ROOT).split("\n\n")
    listed = {
        part.splitlines()[0].removesuffix(":"): [line.split()[0] for line in part.splitlines()[1:]]
        for part in parts[1:]
    }

    assert listed.pop("Options") == ["--home", "--version", "-h,"]
    assert listed == {heading: [noun.name for noun in nouns] for heading, nouns in SECTIONS.items()}
    assert [line for part in parts for line in part.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("noun", NOUNS.values(), ids=lambda noun: noun.name)
def test_the_list_says_of_a_command_what_its_own_help_begins_with(noun: Noun) -> None:
    whole = " ".join((ROOT.commands[noun.name].help or "").split())

    assert whole.startswith(noun.says.split("; ")[0].rstrip("."))


def test_the_list_of_commands_waits_for_nothing_that_is_slow() -> None:
    asked = (
        "import sys; sys.argv = ['nightkey', '--help']\n"
        "from worker.cli.main import main\n"
        "try: main()\n"
        f"finally: print(sorted(set({SLOW!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)

    assert "What is kept:" in done.stdout
    assert done.stderr == "[]\n"
