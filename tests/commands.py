"""The commands that `nightkey` has, by their words."""

from collections.abc import Iterator

from typer.core import TyperGroup


def walk_groups(group: TyperGroup, *path: str) -> Iterator[tuple[tuple[str, ...], TyperGroup]]:
    """The group itself, and all below it."""
    yield path, group
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from walk_groups(command, *path, name)


def walk_commands(group: TyperGroup) -> Iterator[tuple[str, ...]]:
    """Each that can be given and is not hidden: also a group that does something by itself."""
    for path, within in walk_groups(group):
        for name, command in within.commands.items():
            if not command.hidden and (not isinstance(command, TyperGroup) or command.invoke_without_command):
                yield (*path, name)
