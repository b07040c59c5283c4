"""What `--help` says in a terminal of 80 columns."""

from collections.abc import Iterator
from typing import cast

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from worker.cli.main import app


def _groups(group: TyperGroup, *path: str) -> Iterator[tuple[tuple[str, ...], TyperGroup]]:
    yield path, group
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _groups(command, *path, name)


@pytest.mark.parametrize(("path", "group"), list(_groups(cast("TyperGroup", get_command(app)))), ids=str)
def test_a_list_of_commands_says_each_in_a_whole_sentence(path: tuple[str, ...], group: TyperGroup) -> None:
    context = group.make_context(" ".join(("nightkey", *path)), ["--version"], resilient_parsing=True)
    context.terminal_width = 80
    _, commands = group.get_help(context).split("Commands:\n")
    lines = commands.splitlines()
    assert len(lines) == sum(not command.hidden for command in group.commands.values())
    assert [line for line in lines if "..." in line or not line.endswith((".", "…")) or len(line) > 80] == []
