"""`nightkey status`: how things stand, worst first, on one screen; once, or until Ctrl-C."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from vaultcore.errors import InvalidInputError, NightkeyError
from worker.cli.output import print_json, write_text
from worker.cli.screen import AnswerForm, screen, show_moment
from worker.cli.session import Json, open_server, open_services
from worker.cli.status_screen import show_status
from worker.cli.terminal import fit
from worker.cli.watch import check_watchable, count_lines, watch
from worker.wording.parts import say_count
from worker.wording.plain import Shape
from worker.wording.problems import describe
from worker.wording.shapes import describe_night

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer


def status(
    *,
    again: Annotated[
        bool, typer.Option("--watch", help="Draw it again and again, until Ctrl-C. It needs a terminal.")
    ] = False,
    every: Annotated[
        float | None,
        typer.Option("--every", metavar="SECONDS", min=1, max=3600, help="Of --watch: how often. Default: 5."),
    ] = None,
    json: Json = False,
) -> None:
    """How things stand, worst first. What is wrong, the last night, rotations, notices, findings.

    1 if anything failed, is overdue, or nobody is working; with --watch: if it was so when it was last drawn.
    """
    if again and screen().form is not AnswerForm.TABLE:
        raise InvalidInputError("--watch draws for a person: give it without --json and --output")
    if every is not None and not again:
        raise InvalidInputError("--every is for --watch: give both")
    if again:
        check_watchable()
    server = open_server()
    if server is None:
        services = open_services()
        wrong = _answer(lambda: _read_here(services), again=again, every=every or 5.0, json=json)
    else:
        wrong = _answer(lambda: _read_there(server), again=again, every=every or 5.0, json=json)
    if wrong:
        raise typer.Exit(1)


def _answer(read: Callable[[], Shape], *, again: bool, every: float, json: bool) -> bool:
    """Whether anything is wrong, as it was last shown."""
    if again:
        return _watch(read, every)
    found = read()
    if json:
        print_json({name: part for name, part in found.items() if name != "kinds"})
    else:
        for line in show_status(found, lines=count_lines() if screen().is_fitted else None):
            write_text(f"{line}\n")
    return bool(found["problems"])


def _watch(read: Callable[[], Shape], every: float) -> bool:
    """Whoever cannot be asked for a while is asked again; nobody knows that all is well meanwhile."""
    wrong = True

    def draw(lines: int) -> list[str]:
        nonlocal wrong
        wrong = True
        try:
            found = read()
        except NightkeyError as error:
            return fit(f"nightkey: {error}").splitlines()
        wrong = bool(found["problems"])
        return show_status(found, lines=lines)

    how_often = say_count(int(every) if every == int(every) else every, "second")
    watch(draw, every=every, head=lambda: f"{show_moment(screen().clock())}, every {how_often}; Ctrl-C ends it")
    return wrong


def _read_here(services: "Services") -> Shape:
    found = services.overview.status.read()
    return vars(found) | {
        "problems": [describe(problem) for problem in found.problems],
        "kinds": [_name_kind(problem.kind) for problem in found.problems],
        "last_night": found.last_night and describe_night(vars(found.last_night)),
        "by_hand": found.by_hand and describe_night(vars(found.by_hand)),
    }


def _read_there(server: "FarServer") -> Shape:
    found = server.get("/nightkey/status")
    return {name: part for name, part in found.items() if name != "good"} | {
        "problems": [one["detail"] for one in found["problems"]],
        "kinds": [_name_kind(one["kind"]) for one in found["problems"]],
        "last_night": found["last_night"] and describe_night(found["last_night"]),
        "by_hand": found["by_hand"] and describe_night(found["by_hand"]),
    }


def _name_kind(kind: str) -> str:
    return kind.replace("-", " ")
