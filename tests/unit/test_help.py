"""What `--help` says in a terminal of 80 columns, and what it costs."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup

from tests.commands import walk_commands, walk_groups
from worker.cli.completion import Finder, find_finder, find_items, find_owners, find_workflows
from worker.cli.main import build_command
from worker.cli.nouns import NOUNS, SECTIONS, Noun
from worker.cli.topics import TOPICS

ROOT = build_command()
SLOW = (
    "sqlalchemy",
    "pydantic",
    "structlog",
    "celery",
    "httpx",
    "apprise",
    "liquid",
    "rich",
    "asyncio",
    "cryptography",
    "importlib.metadata",
    "worker.bootstrap",
    "worker.open_vault",
    "worker.wording.problems",
)


def _help(group: TyperGroup, *path: str) -> str:
    context = group.make_context(" ".join(("nightkey", *path)), ["--help"], resilient_parsing=True)
    context.terminal_width = 80
    return group.get_help(context)


@pytest.mark.parametrize(("path", "group"), list(walk_groups(ROOT))[1:], ids=str)
def test_a_list_of_commands_says_each_in_a_whole_sentence(path: tuple[str, ...], group: TyperGroup) -> None:
    _, commands = _help(group, *path).split("Commands:\n")
    lines = commands.split("\n\n")[0].splitlines()
    assert len(lines) == sum(not command.hidden for command in group.commands.values())
    assert [line for line in lines if "..." in line or not line.endswith((".", "…")) or len(line) > 80] == []


@pytest.mark.parametrize("path", list(walk_commands(ROOT)), ids=" ".join)
def test_no_help_names_a_type_of_the_code(path: tuple[str, ...]) -> None:
    command: Any = ROOT
    for word in path:
        command = command.commands[word]
    context = command.make_context(" ".join(("nightkey", *path)), ["--help"], resilient_parsing=True)
    shown = command.get_help(context)
    assert re.findall(r"<(?:str|int|float|path|bool|list)\b[^>]*>|\brange>", shown) == []
    usage = shown.split("\n\n")[0]
    assert re.findall(r"[{\[]([a-z]\w*)[}\]]", usage) == [], "arguments are told from commands by their letters"
    assert "[[" not in usage


def test_the_first_words_stand_under_what_a_person_is_about_to_do() -> None:
    _, *parts = _help(ROOT).split("\n\n")
    listed = {
        part.splitlines()[0].removesuffix(":"): re.findall(r"^  (\S+)", part, re.MULTILINE)
        for part in parts[1:]
    }

    assert listed.pop("Options") == ["--home", "--version", "--install-completion", "--show-completion", "-h,"]
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


def _runnable(text: str) -> list[list[str]]:
    """The commands that a topic shows, each as its words before what a reader fills in."""
    found = re.findall(r"(?:^  (?:.*\| )?|`)(nightkey [a-z][^`\n]*)", text, re.MULTILINE)
    return [re.split(r"  | -|`| [A-Z$]", one)[0].split()[1:] for one in found]


@pytest.mark.parametrize("name", TOPICS)
def test_a_topic_names_commands_and_a_page_that_exist_and_fits_a_terminal(name: str) -> None:
    topic = TOPICS[name]
    for words in _runnable(topic.text):
        command: Any = ROOT
        for word in words[:2]:
            command = getattr(command, "commands", {}).get(word, command)
        assert command.name in words, words
        assert not getattr(command, "commands", {}) or command.invoke_without_command, words
    assert (Path(__file__).parents[2] / topic.page).exists()
    assert [line for line in topic.text.splitlines() if line.startswith(" ") and len(line) > 80] == []


@pytest.mark.parametrize(
    ("path", "parameter", "finder"),
    [
        (("item", "rotate"), "name", find_items),
        (("reconcile", "run"), "names", find_items),
        (("workflow", "pin"), "item", find_items),
        (("owner", "leave"), "name", find_owners),
        (("calendar",), "owner", find_owners),
        (("workflow", "show"), "name", find_workflows),
        (("item", "list"), "used_by", find_workflows),
        (("item", "create"), "name", None),
        (("principal", "role"), "name", None),
        (("settings", "list"), "changed", None),
    ],
)
def test_what_can_stand_there_is_known(path: tuple[str, ...], parameter: str, finder: Finder | None) -> None:
    assert find_finder(path, parameter) is finder
