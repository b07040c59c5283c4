"""`nightkey help`: what several commands share, or what one of them takes."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from vaultcore.errors import InvalidInputError
from worker.cli.output import pages, print_lines, write_text
from worker.cli.topics import TOPICS


def show_help(
    context: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[TOPIC|COMMAND]", help="None: the topics that there are.")
    ] = None,
) -> None:
    """Explain a topic, or a command: the words after it."""
    with pages():
        if not words:
            width = max(map(len, TOPICS))
            print_lines(f"nightkey help {name:<{width}}  {topic.says}" for name, topic in TOPICS.items())
            print_lines(["", "nightkey help COMMAND says what a command takes: nightkey help item list"])
        elif len(words) == 1 and words[0] in TOPICS and words[0] not in _commands(context.find_root().command):
            print_lines(_tell(words[0]))
        else:
            write_text(f"{_find_help(context.find_root(), words)}\n")


def _tell(name: str) -> Iterator[str]:
    """Paragraphs as the terminal parts them, and lines that are set in as they are."""
    topic = TOPICS[name]
    for part in topic.text.strip("\n").split("\n\n"):
        yield from part.splitlines() if part.startswith(" ") else [" ".join(part.split())]
        yield ""
    yield f"more: {topic.page}"


def _find_help(context: Any, words: list[str]) -> str:  # noqa: ANN401  # typer's context
    command = context.command
    for number, word in enumerate(words):
        found = _commands(command).get(word)
        if found is None:
            raise InvalidInputError(
                f"there is neither a topic nor a command {' '.join(words[: number + 1])!r}: "
                "nightkey help lists the topics, nightkey --help the commands"
            )
        context = context.__class__(found, info_name=word, parent=context)
        command = found
    return str(command.get_help(context))


def _commands(command: Any) -> Any:  # noqa: ANN401  # typer's groups have them
    return getattr(command, "commands", {})
