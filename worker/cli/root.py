"""The first word of a command. What stands behind it is imported when it is asked for, so that help waits for
nothing.
"""

from collections.abc import Callable, Iterator, MutableMapping
from functools import partial
from importlib import import_module
from typing import Any

import typer
from typer.core import CompletionItem, TyperGroup  # type: ignore[attr-defined]
from typer.main import get_command, get_group

from vaultcore.errors import InvalidInputError
from worker.cli.commands import Commands
from worker.cli.completion import Finder, complete, find_finder
from worker.cli.examples import EXAMPLES, write_epilog
from worker.cli.nouns import NOUNS, SECTIONS, Noun
from worker.cli.usage import UsageError, describe_usage, shows_help
from worker.cli.value_names import name_values


class RootGroup(TyperGroup):
    """The nouns. Their list costs the import of none of them."""

    def __init__(self, **given: Any) -> None:  # noqa: ANN401  # as typer's
        super().__init__(**{**given, "commands": None})
        self.commands = _Nouns()

    def make_context(self, *given: Any, **more: Any) -> Any:  # noqa: ANN401  # as typer's
        return _in_our_words(lambda: super(RootGroup, self).make_context(*given, **more))

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  # as typer's
        return _in_our_words(lambda: super(RootGroup, self).invoke(ctx))

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002  # as typer's
        width = max(len(name) for name in NOUNS)
        for heading, nouns in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(noun.name.ljust(width), noun.says) for noun in nouns])


def _in_our_words(ask: Callable[[], Any]) -> Any:  # noqa: ANN401  # whatever the command answers
    """Words that cannot be used are an error as all others are: one line."""
    try:
        return ask()
    except UsageError as error:
        if shows_help(error):
            raise
        problem = describe_usage(error)
    raise InvalidInputError(problem)


class _Nouns(MutableMapping[str, Any]):
    """The command of each noun, made at the first look at it."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  # typer's command
        if name not in self._made:
            noun = NOUNS[name]
            command = _make(noun, getattr(import_module(f"worker.cli.{noun.module}"), noun.attribute))
            command.name = name
            _furnish(command, (name,))
            command.help = command.help or noun.says
            self._made[name] = command
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:  # noqa: ANN401  # likewise
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(NOUNS)

    def __len__(self) -> int:
        return len(NOUNS)


def _make(noun: Noun, found: Any) -> Any:  # noqa: ANN401  # typer's command
    if isinstance(found, typer.Typer):
        return get_group(found)
    alone = Commands()
    alone.command(noun.name, hidden=noun.is_hidden)(found)
    return get_command(alone)


def _furnish(command: Any, path: tuple[str, ...]) -> None:  # noqa: ANN401  # likewise
    """Help ends with examples, and shells offer names of the vault wherever one can stand."""
    for name, other in getattr(command, "commands", {}).items():
        _furnish(other, (*path, name))
    name_values(command)
    if " ".join(path) in EXAMPLES:
        command.epilog = write_epilog(" ".join(path))
    for parameter in command.params:
        finder = find_finder(path, parameter.name)
        if finder is not None:
            parameter.shell_complete = partial(_offer, finder)


def _offer(finder: Finder, _: Any, begun: str) -> list[CompletionItem]:  # noqa: ANN401  # typer's context
    return [CompletionItem(name) for name in complete(finder, begun)]
