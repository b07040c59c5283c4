"""`nightkey owner route` and `owner test`: where an owner is told, and whether that arrives."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vaultcore.errors import InvalidInputError
from vaultcore.secret import Secret
from worker.cli.inputs import read_text
from worker.cli.output import print_json, print_lines, print_table
from worker.cli.reach import take_warnings, warn_of_unreached
from worker.cli.session import Json, ask, who
from worker.wording.people import describe_tried_route
from worker.wording.plain import Shape
from worker.wording.shapes import describe_owner

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

OWNERS: Final = "/nightkey/owners"
RouteUrl = Annotated[
    str | None,
    typer.Option("--route", metavar="URL", help="An apprise URL without password or token."),
]
RouteFile = Annotated[
    Path | None,
    typer.Option("--route-file", metavar="PATH", help="A file that holds an apprise URL."),
]


def change_routes(
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

    def change_here(services: "Services") -> Shape:
        address_book = services.notices.address_book
        given = read_route(route, route_file, find_secret=address_book.find_secret)
        if given is not None:
            owner = address_book.add_route(name, given, actor=who())
        else:
            owner = address_book.remove_route(name, remove or "", actor=who())
        warn_of_unreached(services, about={name})
        return describe_owner(owner)

    def change_there(server: "FarServer") -> Shape:
        given = read_route(route, route_file, find_secret=find_secret)
        if given is not None:
            return take_warnings(server.post(OWNERS, name, "routes", body={"route": given}))
        server.delete(OWNERS, name, "routes", remove or "")
        return take_warnings(server.get(OWNERS, name))

    show_owner(ask(change_here, change_there), json=json)


def check_routes(name: str, *, json: Json = False) -> None:
    """Send a test message to each recipient of an owner. It says what came of each.

    1 if any did not take it.
    """
    rows = ask(
        lambda services: [describe_tried_route(one) for one in services.notices.route_test.check(name)],
        lambda server: list(server.post(OWNERS, name, "test", long=True)),
    )
    if json:
        print_json(rows)
    else:
        print_table(rows, ("route", "recipient", "taken", "error"), f"{name} has no route")
    if not all(one["taken"] for one in rows) or not rows:
        raise typer.Exit(1)


def show_owner(owner: Shape, *, json: bool) -> None:
    if json:
        print_json(owner)
    else:
        routes = ", ".join(owner["routes"]) or "no route yet"
        deputy = "" if owner["deputy"] is None else f", deputy {owner['deputy']}"
        print_lines([f"owner {owner['name']} ({describe_hours(owner)}{deputy}): {routes}"])


def describe_hours(owner: Shape) -> str:
    return f"{owner['zone']}, quiet hours {owner['quiet'] or 'none'}"


def read_route(
    route: str | None, file: Path | None, *, find_secret: Callable[[Secret], str | None]
) -> Secret | None:
    """None: none was given. What holds a secret, as `find_secret` says it, is taken from a file alone."""
    if route is not None and file is not None:
        raise InvalidInputError("give --route or --route-file, not both")
    if file is not None:
        return Secret(read_text(file).strip())
    if route is None:
        return None
    secret = find_secret(Secret(route))
    if secret is not None:
        raise InvalidInputError(
            f"the route holds {secret}: others see the command line, and the shell's history keeps it: "
            "write the route into a file and give --route-file PATH"
        )
    return Secret(route)


def find_secret(route: Secret) -> str | None:
    """As `AddressBook.find_secret`, where there is no vault: the schemes are judged by the server."""
    from worker.delivery.listening import listen  # noqa: PLC0415  # apprise is slow
    from worker.delivery.private import find_secret as find  # noqa: PLC0415  # likewise

    with listen():
        return find(route.expose().strip())
