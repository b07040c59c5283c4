"""`nightkey night`: a whole night now, and what nights came to."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vaultcore.access import machine
from vaultcore.errors import InvalidInputError, NightkeyError, NotFoundError
from worker.cli.commands import Commands, Home
from worker.cli.inputs import parse_time
from worker.cli.output import describe_all, note, print_json, print_lines, print_table, tell_unreadable
from worker.cli.progress import show_progress
from worker.cli.screen import show_moment
from worker.cli.session import Json, ask, who
from worker.domain.commands import quote_word
from worker.domain.states import NightOutcome
from worker.wording.nights import (
    describe_outlook,
    describe_summary,
    describe_whole_night,
    list_counts,
    say_coming,
    say_head,
    say_night,
    say_rotation,
    say_took,
)
from worker.wording.parts import say_count
from worker.wording.plain import Shape
from worker.wording.problems import describe as describe_problem
from worker.wording.shapes import describe_rotation
from worker.wording.times import say_distance

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

app = Commands(invoke_without_command=True)

_PATH: Final = "/nightkey/nights"
_OUTLOOK: Final = "/nightkey/outlook"
_NOUNS = ("rotations", "findings")
"""The counts of a night that are nouns; what is due, retired or unreadable is the same for one."""
_WIDTH: Final = 80
_TURNS_MAX: Final = 10
"""Items that wait for their owners and are named each; of others there is a list."""
_SPANS: Final = (
    (re.compile(r"\d{4}-\d\d-\d\d"), timedelta(days=1)),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(Z|[+-]\d\d:\d\d| \S+)?"), timedelta(minutes=1)),
)
"""How much of the time one means who writes it so: a day, a minute."""
_MOMENT: Final = timedelta(microseconds=1)


@app.callback()
def night(
    context: typer.Context,
    *,
    no_wait: Annotated[
        bool,
        typer.Option("--no-wait", help="Leave what has to be tried again to the worker, or to the next night."),
    ] = False,
    json: Json = False,
    home: Home = None,
) -> None:
    """One whole night, now, in this process. It ends when its rotations and notices are done.

    1 if anything is unfinished, failed or overdue then, whichever night it comes from. Far away it is begun,
    and the workers there go on with it.
    """
    _ = home  # its callback has taken effect
    if context.invoked_subcommand is None:
        ask(
            lambda services: _run_here(services, no_wait=no_wait, json=json),
            lambda s: _begin_there(s, json=json),
        )
    elif no_wait or json:
        raise InvalidInputError(
            f"--json goes behind `night {context.invoked_subcommand}`, and --no-wait is of `night` alone"
        )


def _run_here(services: "Services", *, no_wait: bool, json: bool) -> None:
    inline = services.night.inline_night
    with show_progress(inline) as tell:
        result = inline.run_night(tell, note, wait=not no_wait)
    problems = [describe_problem(problem) for problem in result.problems]
    if json:
        print_json(
            {
                "slot": result.slot,
                "outcome": NightOutcome.FAILED if problems else NightOutcome.GOOD,
                "counts": result.counts,
                "rotations": [describe_rotation(rotation) for rotation in inline.list_rotations(result.slot)],
                "problems": problems,
            }
        )
    else:
        counted = ", ".join(
            say_count(number, what.removesuffix("s")) if what in _NOUNS else f"{number:,} {what}"
            for what, number in result.counts.items()
        )
        print_lines([f"the night ended {'badly' if problems else 'well'}: {counted}"])
        for problem in problems:
            note(f"nightkey: {problem}")
    if problems:
        raise typer.Exit(1)


def _begin_there(server: "FarServer", *, json: bool) -> None:
    begun = server.post(_PATH, long=True)
    if json:
        print_json(begun)
        return
    opened = say_count(begun["counts"].get("rotations", 0), "rotation")
    print_lines([f"the night has begun, and opened {opened}: the workers there go on with it"])
    note(f"how it goes: nightkey night show {quote_word(begun['slot'].isoformat())}")


@app.command("list")
def list_nights(
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="So many, the last ones first.")] = 25,
    json: Json = False,
) -> None:
    """List nights, the last ones first. Of each: how it ended, and what it came to."""
    rows, errors = ask(
        lambda services: describe_all(
            services.overview.night_summaries.list_all(before=None, limit=limit, seen_by=machine(who())),
            describe_summary,
        ),
        lambda server: server.whole_list(_PATH, size=limit),
    )
    if json:
        print_json(rows)
    else:
        print_table([_row(row) for row in rows], _COLUMNS, "there was no night yet", unread=errors)
    tell_unreadable(errors)


_COLUMNS: Final = ("night", "ended", "found", "rotated", "proven", "back", "waits", "told", "by")


def _row(night: Shape) -> dict[str, Any]:
    ended = {"ended well": "well", "did not end well": "not well"}
    state = say_night(night)[1]
    return {
        "night": show_moment(night["slot"]),  # by which `night show` finds it
        "ended": ended.get(state, "not yet"),
        "back": night["rolled_back"],
        "waits": night["waiting"],
        "by": "hand" if night["by_hand"] else "time",
        **{name: night[name] for name in ("found", "rotated", "proven", "told")},
    }


@app.command()
def show(
    when: Annotated[
        str | None,
        typer.Argument(metavar="[WHEN]", help="A date or a time; without it the last night."),
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Show what a night came to, what is still open, and what comes. It says of each rotation why."""
    nights, outlook, now = ask(
        lambda services: _find_here(services, when), lambda server: _find_there(server, when)
    )
    if json:
        print_json({"nights": nights, "outlook": outlook})
        return
    for one in nights:
        print_lines(_tell_night(one, now))
    if not nights:
        print_lines(["there was no night yet: `nightkey up` begins them, or by hand: nightkey night", ""])
    print_lines(tell_open(outlook, now))
    print_lines(_tell_coming(outlook, now))


Found = tuple[list[Any], Any, datetime]


def _find_here(services: "Services", when: str | None) -> Found:
    me, summaries, now = machine(who()), services.overview.night_summaries, services.clock()

    def find_last(before: datetime) -> datetime | None:
        read, errors = describe_all(summaries.list_all(before=before, limit=1, seen_by=me), describe_summary)
        return _slot_of(read, errors)

    found = (
        summaries.last(seen_by=me)
        if when is None
        else [summaries.get(_find_slot(when, now, find_last), seen_by=me)]
    )
    nights = [describe_whole_night(one, sees=lambda *_: True) for one in found]
    return nights, describe_outlook(services.overview.outlook.read(seen_by=me), now), now


def _find_there(server: "FarServer", when: str | None) -> Found:
    now = server.clock()

    def find_last(before: datetime) -> datetime | None:
        return _slot_of(*server.whole_list(_PATH, before=before.isoformat(), size=1))

    if when is None:
        nights = server.get(_PATH, "last")
    else:
        nights = [server.get(_PATH, _find_slot(when, now, find_last).isoformat())]
    return nights, server.get(_OUTLOOK), now


def _slot_of(read: list[Any], errors: list[NightkeyError]) -> datetime | None:
    if errors:
        raise errors[0]
    return read[0]["slot"] if read else None


def _find_slot(when: str, now: datetime, find_last: Any) -> datetime:  # noqa: ANN401  # from a time to a slot
    """Of the last night that began on that day, in that minute, or at that very time."""
    time = parse_time(when, now)
    span = next((span for form, span in _SPANS if form.fullmatch(when.strip())), _MOMENT)
    slot: datetime | None = find_last(time + span)
    if slot is None or slot < time:
        raise NotFoundError(f"there is no night of {when[:40]!r}: `nightkey night list` shows which there were")
    return slot


def _tell_night(night: Shape, now: datetime) -> Iterator[str]:
    yield from _fill(f"{say_head(night)}: {say_night(night)[1]}{say_took(night, now)}", "")
    yield from _fill(", ".join(f"{one.number:,} {one.words}" for one in list_counts(night)), "  ")
    for problem in night["problems"]:
        yield from _fill(f"{problem['subject']}: {problem['detail']}".removeprefix(": "), "  not well: ")
    yield ""
    for rotation in night["rotations"]:
        yield from _fill(f"{rotation['item']}: {say_rotation(rotation, now)}", "  ")
    yield from (f"  {problem}" for problem in night["unread"])
    if night["more"] > 0:
        yield f"  and {night['more']:,} more: nightkey rotation list"
    if night["rotations"] or night["unread"] or night["more"] > 0:
        yield ""


def tell_open(outlook: Shape, now: datetime) -> Iterator[str]:
    number = outlook["more"] + sum(len(outlook[part]) for part in ("problems", "owners_turn", "approvals"))
    if not number:
        yield "nothing needs you"
        return
    yield f"still open ({number:,}):"
    turns = outlook["owners_turn"]
    for problem in (*outlook["problems"], *turns[:_TURNS_MAX]):
        command = "" if problem["command"] is None else f" ({problem['command']})"
        yield from _fill(f"{problem['detail']}{command}", "  ")
    if len(turns) > _TURNS_MAX:
        others = f"and {len(turns) - _TURNS_MAX:,} more that lapsed or are due"
        yield from _fill(f"{others}: nightkey item list --state lapsed --state due --sort expires", "  ")
    for one in outlook["approvals"]:
        ends = "" if one["ends_at"] is None else f", {say_distance(one['ends_at'], now)} at the latest"
        command = f"nightkey rotation approve {one['id']}"
        yield from _fill(f"{one['item']} waits for an approval{ends} ({command})", "  ")
    if outlook["more"]:
        yield f"  and {outlook['more']:,} more: nightkey finding list"


def _tell_coming(outlook: Shape, now: datetime) -> Iterable[str]:
    first = outlook["nights"][0]
    return ["", *_fill(say_coming(first, now), "")]


def _fill(text: str, lead: str) -> list[str]:
    """In lines of 80 columns, where no word is longer."""
    indent = " " * (len(lead) - len(lead.lstrip()) + 2)
    return wrap(
        text,
        _WIDTH,
        initial_indent=lead,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
