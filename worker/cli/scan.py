"""`nightkey scan`: what is found, and what a night would do."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from worker.cli.inputs import parse_time
from worker.cli.output import note, print_json, print_lines, print_table
from worker.cli.screen import show_moment
from worker.cli.session import Json, ask
from worker.wording.plain import Shape
from worker.wording.scans import describe_preview

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

_PATH: Final = "/nightkey/scan"


def scan(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="Look as if it were another time; nothing is written then."),
    ] = None,
    json: Json = False,
) -> None:
    """Say what is found and what would be done. Findings are recorded; nothing is rotated or sent."""
    records = at is None and not dry_run

    def scan_here(services: "Services") -> Shape:
        now = services.clock()
        if records:
            return describe_preview(services.night.nights.record())
        return describe_preview(services.scans.preview(now if at is None else parse_time(at, now)))

    def scan_there(server: "FarServer") -> Shape:
        time = None if at is None else parse_time(at, server.clock()).isoformat()
        found: Shape = server.post(_PATH, long=True) if records else server.get(_PATH, long=True, at=time)
        return found

    found = ask(scan_here, scan_there)
    if at is not None and not dry_run:
        note("looked at for another time than now: nothing was written")
    if json:
        print_json(found)
        return
    print_lines([f"as of {show_moment(found['at'])}", "", "would be done:"])
    print_table(found["actions"], ("item", "action", "why"), "nothing is due")
    print_lines(["", "found:"])
    print_table(found["findings"], ("kind", "item", "workflow", "detail"), "no findings", spare=("workflow",))
