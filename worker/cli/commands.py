"""Groups of commands, and options that many commands take: written once, and added to each."""

import inspect
import os
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from worker.origins import HOME_VARIABLE

F = TypeVar("F", bound=Callable[..., Any])


def _use_home(home: Path | None) -> Path | None:
    if home is not None:
        os.environ[HOME_VARIABLE] = str(home)
    return home


Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        callback=_use_home,
        show_default=False,
        help=f"The data folder. Default: {HOME_VARIABLE}, then ~/.nightkey.",
    ),
]
Options = Mapping[str, tuple[Any, Any]]
"""By the name of their parameter: the annotation that typer reads, and the default."""

_HOME: Options = {"home": (Home, None)}


class Commands(typer.Typer):
    """A group whose commands all take --home; one that has an option of that name keeps its own."""

    def command(self, name: str | None = None, **given: Any) -> Callable[[F], F]:  # noqa: ANN401  # as typer's
        register = super().command(name, **given)

        def take(function: F) -> F:
            known = inspect.signature(function).parameters
            register(function if "home" in known else add_options(function, _HOME, lambda _: {}))
            return function

        return take


def add_options(
    function: Callable[..., Any],
    options: Options,
    read: Callable[[dict[str, Any]], dict[str, Any]],
    *,
    gives: str = "",
    before: str = "",
) -> Callable[..., Any]:
    """The command with more options, at the end or `before` its parameter of that name. `read` makes of what
    they say the argument that the command takes in their place, by the name that it `gives`.
    """
    signature = inspect.signature(function, eval_str=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in options.items()
    ]

    @wraps(function)
    def call(**given: Any) -> Any:  # noqa: ANN401  # whatever the command answers
        said = {name: given.pop(name) for name in options}
        return function(**given, **read(said))

    own = [one for one in signature.parameters.values() if one.name != gives]
    place = next((number for number, one in enumerate(own) if one.name == before), len(own))
    keyword = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
    call.__signature__ = signature.replace(parameters=[*keyword[:place], *added, *keyword[place:]])  # type: ignore[attr-defined]
    hints = get_type_hints(function, include_extras=True)
    call.__annotations__ = {
        **{name: hint for name, hint in hints.items() if name != gives},
        **{name: annotation for name, (annotation, _) in options.items()},
    }
    return call
