"""Groups of commands, and options that many commands take: written once, and added to each."""

import inspect
import os
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_type_hints

import typer

from vaultcore.errors import InvalidInputError
from worker.cli.screen import AnswerForm, screen
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
        metavar="PATH",
        callback=_use_home,
        is_eager=True,  # whatever else is given may be looked up there
        show_default=False,
        help=f"The data folder. Default: {HOME_VARIABLE}, then ~/.nightkey.",
    ),
]
Options = Mapping[str, tuple[Any, Any]]
"""By the name of their parameter: the annotation that typer reads, and the default."""

_HOME: Options = {"home": (Home, None)}


_FORMS: Options = {
    "json": (Annotated[bool, typer.Option("--json", help="Answer with one JSON document: -o json.")], False),
    "answer_as": (
        Annotated[
            AnswerForm | None,
            typer.Option(
                "--output",
                "-o",
                show_default=False,
                help="As a table, as one with every column, as JSON, or as CSV. Default: table.",
            ),
        ],
        None,
    ),
}
_LOOKS: Final = frozenset("list show status scan preview template roles lint impact explain".split())
"""Commands that only show: what they answer may go through a pager. No value comes from any of them."""


class Commands(typer.Typer):
    """A group whose commands all take --home, and --output where they can answer with a document (`json`); one
    that has an option of that name keeps its own. `pages`: whether a long answer goes through a pager, where
    the command's name does not say so.
    """

    def __init__(self, **given: Any) -> None:  # noqa: ANN401  # as typer's
        super().__init__(
            **{
                "add_completion": False,
                "pretty_exceptions_enable": False,
                "rich_markup_mode": None,
                "context_settings": {"help_option_names": ["--help", "-h"]},
                **given,
            }
        )

    def command(self, name: str | None = None, *, pages: bool | None = None, **given: Any) -> Callable[[F], F]:  # noqa: ANN401  # as typer's
        register = super().command(name, **given)

        def take(function: F) -> F:
            known = inspect.signature(function).parameters
            full: Callable[..., Any] = function
            if (name or function.__name__) in _LOOKS if pages is None else pages:
                full = _page(full)
            if "json" in known and "output" not in known:
                full = add_options(full, _FORMS, _read_form, gives="json")
            register(full if "home" in known else add_options(full, _HOME, lambda _: {}))
            return function

        return take


def _page(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(**given: Any) -> Any:  # noqa: ANN401  # whatever the command answers
        from worker.cli.output import pages  # noqa: PLC0415  # --help must not wait for it

        with pages():
            return function(**given)

    return call


def _read_form(said: dict[str, Any]) -> dict[str, Any]:
    """Whether the command answers with a document: CSV is written of the same one as JSON."""
    form = said["answer_as"] or (AnswerForm.JSON if said["json"] else AnswerForm.TABLE)
    if said["json"] and form is not AnswerForm.JSON:
        raise InvalidInputError(f"--json and --output {form}: choose one")
    screen().form = form
    return {"json": form in (AnswerForm.JSON, AnswerForm.CSV)}


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
