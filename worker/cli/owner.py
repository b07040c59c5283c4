"""`nightkey owner`: who is told, and where."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vaultcore.errors import InvalidInputError, RefusedError
from vaultcore.model import UNCHANGED
from vaultcore.quiet import parse_quiet
from vaultcore.secret import Secret
from worker.cli.commands import Commands
from worker.cli.inputs import confirm, read_text
from worker.cli.output import describe_all, note, print_json, print_lines, print_table, tell_unreadable
from worker.cli.progress import show_progress
from worker.cli.reach import warn_of_unreached
from worker.cli.session import Json, ask, open_services, who
from worker.domain.commands import quote_word
from worker.wording import say
from worker.wording.parts import say_count
from worker.wording.shapes import Shape, describe_owner

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

app = Commands(no_args_is_help=True, help="Who is told, and where.")

_PATH: Final = "/nightkey/owners"
RouteUrl = Annotated[
    str | None,
    typer.Option("--route", metavar="URL", help="An apprise URL without password or token."),
]
RouteFile = Annotated[
    Path | None,
    typer.Option("--route-file", metavar="PATH", help="A file that holds an apprise URL."),
]


Zone = Annotated[
    str | None, typer.Option("--zone", metavar="ZONE", help="Their time zone, such as Europe/Zurich.")
]
Quiet = Annotated[
    str | None,
    typer.Option("--quiet", metavar="22:00-07:00", help="When only what is urgent is sent, by their clock."),
]
Deputy = Annotated[
    str | None,
    typer.Option("--deputy", metavar="NAME", help="Who hears of what does not reach them, or lapses."),
]


@app.command()
def create(
    name: str,
    *,
    route: RouteUrl = None,
    route_file: RouteFile = None,
    zone: Zone = None,
    quiet: Quiet = None,
    deputy: Deputy = None,
    json: Json = False,
) -> None:
    """Create an owner, a person or a team. --route or --route-file says where to tell them."""
    services = open_services()
    owner = services.notices.address_book.create(
        name,
        route=_read_route(services, route, route_file),
        zone=zone or "UTC",
        quiet=None if quiet is None else parse_quiet(quiet),
        deputy=deputy,
        actor=who(),
    )
    _show(describe_owner(owner), json=json)
    warn_of_unreached(services, about={name})


@app.command()
def update(
    name: str,
    *,
    zone: Zone = None,
    quiet: Quiet = None,
    no_quiet: Annotated[bool, typer.Option("--no-quiet", help="They may be told at any hour.")] = False,
    deputy: Deputy = None,
    no_deputy: Annotated[bool, typer.Option("--no-deputy", help="Nobody stands in for them.")] = False,
    json: Json = False,
) -> None:
    """Change an owner's time zone, quiet hours or deputy."""
    if (quiet is not None and no_quiet) or (deputy is not None and no_deputy):
        raise InvalidInputError("an option and its opposite were given: choose one")
    if (zone, quiet, deputy) == (None, None, None) and not (no_quiet or no_deputy):
        raise InvalidInputError("what is to change? give --zone, --quiet, --no-quiet, --deputy or --no-deputy")

    def update_here(services: "Services") -> Shape:
        owner = services.notices.address_book.update(
            name,
            zone=UNCHANGED if zone is None else zone,
            quiet=None if no_quiet else UNCHANGED if quiet is None else parse_quiet(quiet),
            deputy=None if no_deputy else UNCHANGED if deputy is None else deputy,
            actor=who(),
        )
        warn_of_unreached(services, about={name})
        return describe_owner(owner)

    def update_there(server: "FarServer") -> Shape:
        said = {"zone": zone, "quiet": quiet, "deputy": deputy}
        ended = {part: None for part, ends in (("quiet", no_quiet), ("deputy", no_deputy)) if ends}
        change = {part: text for part, text in said.items() if text is not None} | ended
        changed: Shape = server.patch(_PATH, name, body=change)
        return changed

    _show(ask(update_here, update_there), json=json)


@app.command("route")
def add_route(
    name: str,
    *,
    route: RouteUrl = None,
    route_file: RouteFile = None,
    remove: Annotated[
        str | None, typer.Option("--remove", metavar="ID", help="Take this route away instead.")
    ] = None,
    json: Json = False,
) -> None:
    """Add a route to an owner, or take one away."""
    if (route is None and route_file is None) == (remove is None):
        raise InvalidInputError(
            "which route? give --route-file PATH, or --route URL if it holds no token, or --remove ID"
        )
    services = open_services()
    address_book = services.notices.address_book
    given = _read_route(services, route, route_file)
    if given is not None:
        owner = address_book.add_route(name, given, actor=who())
    else:
        owner = address_book.remove_route(name, remove or "", actor=who())
    _show(describe_owner(owner), json=json)
    warn_of_unreached(services, about={name})


@app.command()
def show(name: str, *, json: Json = False) -> None:
    """Show an owner: time zone, quiet hours, deputy and routes. Routes are masked, with whom they lead to."""

    def find_here(services: "Services") -> Shape:
        owner = describe_owner(services.notices.address_book.get(name))
        warn_of_unreached(services, about={name})
        return owner

    owner = ask(find_here, lambda server: server.get(_PATH, name))
    if json:
        print_json(owner)
        return
    deputy = owner["deputy"] or "nobody"
    print_lines([f"owner {owner['name']} ({owner['id']}): {_describe_hours(owner)}, deputy {deputy}"])
    of_routes = ("route_ids", "routes", "recipients", "routed_at")
    rows = [
        {"id": route_id, "shown": shown, "recipients": ", ".join(recipients), "created_at": at}
        for route_id, shown, recipients, at in zip(*(owner[part] for part in of_routes), strict=True)
    ]
    print_table(rows, ("id", "shown", "recipients", "created_at"), "no route yet")


@app.command("test")
def check_routes(name: str, *, json: Json = False) -> None:
    """Send a test message to each recipient of an owner. It says what came of each.

    1 if any did not take it.
    """
    checked = open_services().notices.route_test.check(name)
    rows = [
        {
            "route": one.route,
            "id": one.id,
            "recipient": one.recipient,
            "taken": one.error is None,
            "error": one.error,
        }
        for one in checked
    ]
    if json:
        print_json(rows)
    else:
        print_table(rows, ("route", "recipient", "taken", "error"), f"{name} has no route")
    if not rows or any(one.error for one in checked):
        raise typer.Exit(1)


@app.command("list")
def list_owners(*, json: Json = False) -> None:
    """List owners and their routes, masked."""
    rows, errors = ask(
        lambda services: describe_all(services.views.list_owners(), describe_owner),
        lambda server: server.whole_list(_PATH),
    )
    if json:
        print_json(rows)
    else:
        columns = ("name", "routes", "zone", "quiet", "deputy", "created_at")
        print_table(rows, columns, "no owners yet", unread=errors, spare=("created_at", "quiet", "zone"))
    tell_unreadable(errors)


@app.command()
def leave(
    name: str,
    *,
    compromised: Annotated[
        bool, typer.Option("--compromised", help="Nothing overlaps: each old value is revoked at once.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    in_freeze: Annotated[bool, typer.Option("--in-freeze", help="Also what a freeze holds back.")] = False,
    json: Json = False,
) -> None:
    """Replace all that an owner or a login could read. That is what they own, gave, or collected.

    It goes on where it was interrupted when it is called again. 1 while anything of it is left.
    """
    services = open_services()
    readable = services.rotation.offboarding.preview(name)
    named = ", ".join(item.name for item in readable) or "-"
    note(f"{name} could read {say_count(len(readable), 'item')}: {named}")
    note("Their routes are taken away: what they would be told goes to their deputy or the operators.")
    if not yes:
        _confirm()
    with show_progress(services.night.inline_night) as tell:
        departure = services.night.departures.leave(
            name,
            tell,
            lambda left, total: note(f"{left.position} of {total}: {left.item}"),
            emergency=compromised,
            in_freeze=in_freeze,
            actor=who(),
        )
    rows = [vars(left) | {"why": say(left.why)} for left in departure.items]
    if json:
        print_json(
            {"id": departure.id, "name": departure.name, "items": rows, "finished_at": departure.finished_at}
        )
    else:
        print_table(rows, ("position", "item", "fate", "why"), "there is nothing that they could read")
        if departure.finished_at is None:
            note(
                f"some of it is left: `nightkey owner leave {quote_word(name)}` goes on, and says how it stands"
            )
    if departure.finished_at is None:
        raise typer.Exit(1)


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise InvalidInputError("there is no terminal to ask: add --yes if that is what you want")
    if not confirm("Replace them now?"):
        raise RefusedError("nothing was changed")


def _describe_hours(owner: Shape) -> str:
    return f"{owner['zone']}, quiet hours {owner['quiet'] or 'none'}"


def _show(owner: Shape, *, json: bool) -> None:
    if json:
        print_json(owner)
    else:
        routes = ", ".join(owner["routes"]) or "no route yet"
        deputy = "" if owner["deputy"] is None else f", deputy {owner['deputy']}"
        print_lines([f"owner {owner['name']} ({_describe_hours(owner)}{deputy}): {routes}"])


def _read_route(services: "Services", route: str | None, file: Path | None) -> Secret | None:
    """None: none was given. What holds a secret is taken from a file alone."""
    if route is not None and file is not None:
        raise InvalidInputError("give --route or --route-file, not both")
    if file is not None:
        return Secret(read_text(file).strip())
    if route is None:
        return None
    secret = services.notices.address_book.find_secret(Secret(route))
    if secret is not None:
        raise InvalidInputError(
            f"the route holds {secret}: others see the command line, and the shell's history keeps it: "
            "write the route into a file and give --route-file PATH"
        )
    return Secret(route)
