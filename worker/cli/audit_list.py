"""`nightkey audit list`: what was done, by whom and when, newest first."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vaultcore.errors import NightkeyError
from worker.cli.inputs import parse_begin, parse_end
from worker.cli.output import describe_all, note, print_json, print_table, tell_unreadable
from worker.cli.session import Json, ask
from worker.domain.paging import PageRequest
from worker.wording.record import describe_recorded, say_details

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

RECORD: Final = "/nightkey/audit"
LIMIT_MAX: Final = 10_000
Listed = tuple[list[Any], list[NightkeyError], bool]

Begin = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="Then or later: 2026-12-24, or 7d for the last 7 days."),
]
End = Annotated[
    str | None,
    typer.Option("--to", metavar="TIME", help="Before then; of a day, also on that day."),
]


def list_changes(
    *,
    item: Annotated[
        str | None, typer.Option("--item", help="Of this item and its rotations, also one that is gone.")
    ] = None,
    actor: Annotated[
        str | None, typer.Option("--actor", metavar="WHO", help="Done by them: `ada`, or `user:ada`.")
    ] = None,
    action: Annotated[
        str | None,
        typer.Option("--action", metavar="ACTION", help="Such as item.update, or item for all with items."),
    ] = None,
    about: Annotated[
        str | None, typer.Option("--about", metavar="ID", help="Of what has this id, as the record has it.")
    ] = None,
    begin: Begin = None,
    end: End = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=LIMIT_MAX, help="So many at most.")] = 50,
    json: Json = False,
) -> None:
    """List what was done, by whom, when, with what. Newest first.

    It is shown as it stands: `nightkey audit verify` proves that nothing in it was changed.
    """
    said = {"item": item, "actor": actor, "action": action, "subject": about}

    def list_here(services: "Services") -> Listed:
        from worker.rows.audit_lists import AuditFilter  # noqa: PLC0415  # as the services

        now = services.clock()
        wanted = AuditFilter(
            **said,
            after=None if begin is None else parse_begin(begin, now),
            before=None if end is None else parse_end(end, now),
        )
        found, more = services.lookup.lists.list_audit(wanted, PageRequest(), most=limit)
        rows, errors = describe_all(found, lambda row: describe_recorded(row, None))
        names = services.lookup.views.name_subjects({row["subject"] for row in rows})
        return [row | {"name": names.get(row["subject"])} for row in rows], errors, more

    def list_there(server: "FarServer") -> Listed:
        now = server.clock()
        after = None if begin is None else parse_begin(begin, now).isoformat()
        before = None if end is None else parse_end(end, now).isoformat()
        rows, errors = server.pages(RECORD, most=limit + 1, **said, after=after, before=before)
        return rows[:limit], errors, len(rows) + len(errors) > limit

    rows, errors, more = ask(list_here, list_there)
    if json:
        print_json(rows)
    else:
        print_table(
            [row | {"by": row["actor"], "about": row["name"] or row["subject"]} | _say(row) for row in rows],
            ("at", "by", "action", "about", "details"),
            "nothing like that is recorded",
            unread=errors,
            spare=("details",),
            hidden=("actor",),
        )
        if more:
            note(f"the {limit} newest: --limit shows more; --from, --to and the other options fewer")
    tell_unreadable(errors)


def _say(row: dict[str, Any]) -> dict[str, str]:
    return {"details": say_details(row["details"])}
