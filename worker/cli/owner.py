"""`nightkey owner`: who is told, and where."""

from typing import TYPE_CHECKING, Annotated

import typer

from vaultcore.errors import InvalidInputError
from vaultcore.model import UNCHANGED
from vaultcore.quiet import parse_quiet
from worker.cli.commands import Commands
from worker.cli.departure import leave
from worker.cli.output import describe_all, print_json, print_lines, print_table, tell_unreadable
from worker.cli.owner_changes import delete, rename
from worker.cli.owner_routes import (
    OWNERS,
    RouteFile,
    RouteUrl,
    change_routes,
    check_routes,
    describe_hours,
    find_secret,
    read_route,
    show_owner,
)
from worker.cli.reach import take_warnings, warn_of_unreached
from worker.cli.session import Json, ask, who
from worker.wording.plain import Shape
from worker.wording.shapes import describe_owner

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

app = Commands(no_args_is_help=True)

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

    def create_here(services: "Services") -> Shape:
        owner = services.notices.address_book.create(
            name,
            route=read_route(route, route_file, find_secret=services.notices.address_book.find_secret),
            zone=zone or "UTC",
            quiet=None if quiet is None else parse_quiet(quiet),
            deputy=deputy,
            actor=who(),
        )
        warn_of_unreached(services, about={name})
        return describe_owner(owner)

    def create_there(server: "FarServer") -> Shape:
        said = {
            "name": name,
            "route": read_route(route, route_file, find_secret=find_secret),
            "zone": zone,
            "quiet": quiet,
            "deputy": deputy,
        }
        given = {part: text for part, text in said.items() if text is not None}
        return take_warnings(server.post(OWNERS, body=given))

    show_owner(ask(create_here, create_there), json=json)


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
        return take_warnings(server.patch(OWNERS, name, body=change))

    show_owner(ask(update_here, update_there), json=json)


app.command("route")(change_routes)


@app.command()
def show(name: str, *, json: Json = False) -> None:
    """Show an owner: time zone, quiet hours, deputy and routes. Routes are masked, with whom they lead to."""

    def find_here(services: "Services") -> Shape:
        owner = describe_owner(services.notices.address_book.get(name))
        warn_of_unreached(services, about={name})
        return owner

    owner = ask(find_here, lambda server: take_warnings(server.get(OWNERS, name)))
    if json:
        print_json(owner)
        return
    deputy = owner["deputy"] or "nobody"
    print_lines([f"owner {owner['name']} ({owner['id']}): {describe_hours(owner)}, deputy {deputy}"])
    of_routes = ("route_ids", "routes", "recipients", "routed_at")
    rows = [
        {"id": route_id, "shown": shown, "recipients": ", ".join(recipients), "created_at": at}
        for route_id, shown, recipients, at in zip(*(owner[part] for part in of_routes), strict=True)
    ]
    print_table(rows, ("id", "shown", "recipients", "created_at"), "no route yet")


app.command("test")(check_routes)


@app.command("list")
def list_owners(*, json: Json = False) -> None:
    """List owners and their routes, masked."""
    rows, errors = ask(
        lambda services: describe_all(services.lookup.views.list_owners(), describe_owner),
        lambda server: server.whole_list(OWNERS),
    )
    if json:
        print_json(rows)
    else:
        columns = ("name", "routes", "zone", "quiet", "deputy", "created_at")
        print_table(rows, columns, "no owners yet", unread=errors, spare=("created_at", "quiet", "zone"))
    tell_unreadable(errors)


app.command("rename")(rename)
app.command("delete")(delete)
app.command("leave")(leave)
