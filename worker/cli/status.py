"""`nightkey status`: how things stand, worst first, on one screen."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import typer

from worker.cli.colours import paint_bad, paint_good
from worker.cli.facts import say_when
from worker.cli.output import print_json, print_lines, print_table
from worker.cli.screen import AnswerForm, screen, show_moment
from worker.cli.session import Json, ask
from worker.wording import describe
from worker.wording.parts import say_count
from worker.wording.shapes import Shape, describe_night

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

_SHOWN: Final = 8
"""Problems, and findings, that stand on one screen; `wide` has them all."""


def status(*, json: Json = False) -> None:
    """How things stand, worst first. What is wrong, the last night, rotations, notices, findings.

    1 if anything failed, is overdue, or nobody is working.
    """
    found = ask(_read_here, _read_there)
    problems = found["problems"]
    if json:
        print_json(found)
    else:
        if problems:
            print_lines(["not well:"], paint=paint_bad)
            print_lines(_first(problems, "status -o wide"))
        else:
            print_lines(["all is well"], paint=paint_good)
        print_lines(["", *_lines(found)])
        _print_findings(found["findings"])
    if problems:
        raise typer.Exit(1)


def _read_here(services: "Services") -> Shape:
    found = services.overview.status.read()
    return vars(found) | {
        "problems": [describe(problem) for problem in found.problems],
        "last_night": found.last_night and describe_night(vars(found.last_night)),
        "by_hand": found.by_hand and describe_night(vars(found.by_hand)),
    }


def _read_there(server: "FarServer") -> Shape:
    found = server.get("/nightkey/status")
    return {name: part for name, part in found.items() if name != "good"} | {
        "problems": [one["detail"] for one in found["problems"]],
        "last_night": found["last_night"] and describe_night(found["last_night"]),
        "by_hand": found["by_hand"] and describe_night(found["by_hand"]),
    }


def _print_findings(findings: Sequence[Shape]) -> None:
    """The worst of them; of all of them their number."""
    if not findings:
        print_lines(["", "no open findings"])
        return
    print_lines(["", f"{say_count(len(findings), 'open finding')}:"])
    shown = findings if screen().form is AnswerForm.WIDE else findings[:_SHOWN]
    print_table(shown, ("kind", "item", "workflow", "detail"), "none", spare=("workflow",))
    if len(findings) > len(shown):
        counted = Counter(str(one["kind"]) for one in findings)
        kinds = ", ".join(f"{number} {kind}" for kind, number in counted.items())
        print_lines([f"of {kinds}: nightkey finding list"])


def _first(lines: Sequence[str], command: str) -> list[str]:
    """As many as a person reads at once, and how many others there are."""
    shown = lines if screen().form is AnswerForm.WIDE else lines[:_SHOWN]
    rest = len(lines) - len(shown)
    return [f"  {line}" for line in shown] + ([f"  and {rest} more: nightkey {command}"] if rest else [])


def _lines(status: Shape) -> list[str]:
    lines = [f"last night: {_show_night(status['last_night'])}"]
    if status["by_hand"] is not None:
        lines.append(f"since then, by hand: {_show_night(status['by_hand'])}")
    lines += [
        f"next night: {say_when(status['next_night'])}",
        f"{say_count(status['items'], 'item')}, {say_count(status['workflows'], 'workflow')}",
    ]
    for what, counts in (("rotations", status["rotations"]), ("notices", status["notices"])):
        counted = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
        lines.append(f"{what}: {counted or 'none'}")
    return lines


def _show_night(night: Shape | None) -> str:
    if night is None:
        return "none yet"
    outcome = {"good": "ended well", "failed": "did not end well"}.get(night["outcome"] or "", "has not ended")
    return f"{show_moment(night['slot'])}, {outcome}"
