"""`nightkey owner`: who is told, and where."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from vaultcore.errors import InvalidInputError, RefusedError
from vaultcore.model import Owner
from vaultcore.secret import Secret
from worker.cli.inputs import read_text
from worker.cli.output import note, print_json, print_lines, print_table
from worker.cli.progress import show_progress
from worker.cli.session import Home, Json, open_services, who
from worker.domain.commands import quote_word

app = typer.Typer(no_args_is_help=True, help="Who is told, and where.")

RouteUrl = Annotated[
    str | None,
    typer.Option("--route", metavar="URL", help="An apprise URL without tokens in it."),
]
RouteFile = Annotated[
    Path | None,
    typer.Option("--route-file", metavar="PATH", help="A file that holds an apprise URL."),
]


@app.command()
def create(
    name: str,
    *,
    route: RouteUrl = None,
    route_file: RouteFile = None,
    json: Json = False,
    home: Home = None,
) -> None:
    """Create an owner, and with --route or --route-file where to tell them."""
    _ = home
    services = open_services()
    url = _read_route(route, route_file)
    shown = None if url is None else _check(services, url)
    with services.database.write() as connection:
        owner = services.owners.create(connection, name, actor=who())
        if url is not None and shown is not None:
            services.owners.add_route(connection, owner, url, shown=shown, actor=who())
        owner = services.owners.get(connection, name)
    _show(owner, json=json)


@app.command("route")
def add_route(
    name: str,
    *,
    route: RouteUrl = None,
    route_file: RouteFile = None,
    json: Json = False,
    home: Home = None,
) -> None:
    """Add a route to an owner."""
    _ = home
    url = _read_route(route, route_file)
    if url is None:
        raise InvalidInputError("which route? give --route-file PATH, or --route URL if it holds no token")
    services = open_services()
    shown = _check(services, url)
    with services.database.write() as connection:
        owner = services.owners.get(connection, name)
        services.owners.add_route(connection, owner, url, shown=shown, actor=who())
        owner = services.owners.get(connection, name)
    _show(owner, json=json)


@app.command("list")
def list_owners(*, json: Json = False, home: Home = None) -> None:
    """List owners and their routes, masked."""
    _ = home
    services = open_services()
    with services.database.read() as connection:
        rows = [describe(owner) for owner in services.owners.all(connection)]
    if json:
        print_json(rows)
    else:
        print_table(rows, ("name", "routes", "created_at"), "no owners yet")


@app.command()
def leave(
    name: str,
    *,
    compromised: Annotated[
        bool, typer.Option("--compromised", help="Nothing overlaps: each old value is revoked at once.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    in_freeze: Annotated[bool, typer.Option("--in-freeze", help="Also what a freeze holds for.")] = False,
    json: Json = False,
    home: Home = None,
) -> None:
    """Replace everything that an owner or a login could read: what they own, gave, or collected.

    It goes on where it was interrupted when it is called again. 1 while anything of it is left.
    """
    _ = home
    services = open_services()
    readable = services.leaving.preview(name)
    note(f"{name} could read {len(readable)} items: {', '.join(item.name for item in readable) or '-'}")
    if not yes:
        _confirm()
    departure = services.leaving.begin(name, hurried=compromised, actor=who())
    total = len(departure.items)
    with show_progress() as tell:
        after = 0
        while opened := services.leaving.open_next(departure, after=after, actor=who(), in_freeze=in_freeze):
            left, rotation = opened
            note(f"{left.position} of {total}: {left.item}")
            if departure.hurried:
                services.driving.run_hurried(left.item_id, tell, asked_by=who())
            else:
                services.driving.run_rotation(rotation.id, tell)
            after = left.position
    departure = services.leaving.finish(departure.id)
    rows = [vars(left) for left in departure.items]
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
    if not typer.confirm("Replace them now?", err=True):
        raise RefusedError("nothing was changed")


def describe(owner: Owner) -> dict[str, Any]:
    return {
        "id": owner.id,
        "name": owner.name,
        "routes": [route.shown for route in owner.routes],
        "created_at": owner.created_at,
    }


def _show(owner: Owner, *, json: bool) -> None:
    if json:
        print_json(describe(owner))
    else:
        routes = ", ".join(route.shown for route in owner.routes) or "no route yet"
        print_lines([f"owner {owner.name}: {routes}"])


def _read_route(url: str | None, file: Path | None) -> Secret | None:
    if url is not None and file is not None:
        raise InvalidInputError("give --route or --route-file, not both")
    if url is not None:
        return Secret(url)
    return None if file is None else Secret(read_text(file).strip())


def _check(services: Any, url: Secret) -> str:  # noqa: ANN401  # Services, imported late
    from worker.delivery.routes import check_route  # noqa: PLC0415  # as the services

    shown = check_route(url, schemes=services.settings.route_schemes)
    services.sender.check(url)
    return shown
