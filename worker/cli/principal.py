"""`nightkey principal`: people and services that may ask over HTTP, their roles and their tokens."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vaultcore.access import Role
from vaultcore.errors import InvalidInputError, sort_out
from vaultcore.model import PrincipalKind
from worker.cli.commands import Commands
from worker.cli.handover import check_output
from worker.cli.item_answers import hand_over_made, show_key
from worker.cli.output import print_json, print_lines, print_table, tell_unreadable, write_text
from worker.cli.session import Json, ask, who
from worker.domain.commands import quote_word
from worker.wording.people import describe_bearer, describe_principal
from worker.wording.plain import Shape
from worker.wording.roles import write_page

if TYPE_CHECKING:
    from vaultcore.errors import NightkeyError
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

app = Commands(
    no_args_is_help=True,
    help="People and services that may ask over HTTP: roles and tokens. Whoever may read the keyring needs "
    "none: the command line of that machine has full rights, one far away those of its token (deploy/far.md).",
)

_PATH: Final = "/nightkey/principals"
Roles = Annotated[list[Role] | None, typer.Option("--role", help="What it may do; several times for several.")]
OwnerNames = Annotated[
    list[str] | None, typer.Option("--owner", help="For whom it answers, with the role owner.")
]


@app.command()
def create(
    name: str,
    *,
    kind: Annotated[
        PrincipalKind, typer.Option("--kind", help="Somebody, or a program.")
    ] = PrincipalKind.SERVICE,
    role: Roles = None,
    owner: OwnerNames = None,
    json: Json = False,
) -> None:
    """Create a principal. It may do what its roles say (deploy/roles.md), and nothing without one."""
    roles, owners = role or [], owner or []
    found = ask(
        lambda services: describe_principal(
            services.access.principals.create(name, kind=kind, roles=roles, owners=owners, actor=who())
        ),
        lambda server: server.post(_PATH, body={"name": name, "kind": kind, "roles": roles, "owners": owners}),
    )
    _show(found, json=json)


@app.command("list")
def list_principals(*, json: Json = False) -> None:
    """List principals, with their roles and tokens. Of a token: when it lapses, and when it was last used."""
    rows, errors, note = ask(_list_here, lambda server: (*server.whole_list(_PATH), ""))
    if json:
        print_json(rows)
    else:
        print_table(
            [row | {"tokens": ", ".join(map(_line, row["tokens"]))} for row in rows],
            ("name", "kind", "roles", "owners", "disabled_at", "tokens"),
            "no principals yet: nightkey principal create NAME --role viewer",
            unread=errors,
            spare=("disabled_at", "owners"),
        )
        print_lines(["", note] if note else [])
    tell_unreadable(errors)


def _list_here(services: "Services") -> "tuple[list[dict[str, Any]], list[NightkeyError], str]":
    found, errors = sort_out(services.access.principals.list_all())
    rows = [describe_bearer(principal, tokens) for principal, tokens in found]
    keyring = services.settings.keyring_path
    return (
        rows,
        errors,
        f"whoever may read {keyring} needs no role: this machine's command line may do everything",
    )


@app.command()
def roles() -> None:
    """Print the table of who may do what, as a page of Markdown."""
    write_text(write_page())


@app.command("role")
def change_roles(
    name: str,
    *,
    give: Annotated[list[Role] | None, typer.Option("--give", help="A role that it has from now on.")] = None,
    take: Annotated[list[Role] | None, typer.Option("--take", help="A role that it has no more.")] = None,
    owner: OwnerNames = None,
    no_owner: Annotated[bool, typer.Option("--no-owner", help="It answers for nobody.")] = False,
    json: Json = False,
) -> None:
    """Give or take roles, and say for which owners it answers."""
    if not (give or take or owner or no_owner):
        raise InvalidInputError("what is to change? give --give, --take, --owner or --no-owner")
    owners = [] if no_owner else owner
    said = {"give": give or [], "take": take or []} | ({} if owners is None else {"owners": owners})
    found = ask(
        lambda services: describe_principal(
            services.access.principals.change_roles(
                name, give=give or [], take=take or [], owners=owners, actor=who()
            )
        ),
        lambda server: server.patch(_PATH, name, body=said),
    )
    _show(found, json=json)


@app.command("token")
def issue_token(
    name: str,
    *,
    lifetime: Annotated[
        str, typer.Option("--lifetime", metavar="90d", help="How long each one lives.")
    ] = "90d",
    json: Json = False,
) -> None:
    """Make a token for a principal, and show it once. Before it lapses its owners can collect the next one."""
    check_output()

    def issue_here(services: "Services") -> None:
        item, first = services.access.principals.issue_token(name, lifetime=lifetime, actor=who())
        if first is not None:
            show_key(services, item, first, json=json)

    def issue_there(server: "FarServer") -> None:
        made = server.post(_PATH, name, "tokens", body={"lifetime": lifetime})
        hand_over_made(made, again=f"nightkey principal token {quote_word(name)}", json=json)

    ask(issue_here, issue_there)


@app.command()
def revoke(
    name: str,
    *,
    token: Annotated[str | None, typer.Option("--token", metavar="ITEM", help="This token alone.")] = None,
    json: Json = False,
) -> None:
    """Let a principal in no more, at once; or only by one of its tokens."""
    if token is None:
        found = ask(
            lambda services: describe_principal(services.access.principals.revoke(name, actor=who())),
            lambda server: server.post(_PATH, name, "revoke"),
        )
        _show(found, json=json)
        return
    revoked = ask(
        lambda services: {
            "principal": name,
            "token": services.access.principals.revoke_token(name, token, actor=who()).name,
            "revoked": True,
        },
        lambda server: server.post(_PATH, name, "tokens", token, "revoke"),
    )
    if json:
        print_json(revoked)
    else:
        print_lines([f"{revoked['token']} lets nobody in any more"])


def _line(token: dict[str, Any]) -> str:
    until = "" if token["expires_at"] is None else f" until {token['expires_at']:%Y-%m-%d}"
    return f"{token['item']}{until}"


def _show(principal: Shape, *, json: bool) -> None:
    if json:
        print_json(principal)
        return
    roles = ", ".join(principal["roles"]) or "no role, so it may do nothing"
    of = f" for {', '.join(principal['owners'])}" if principal["owners"] else ""
    out = "" if principal["disabled_at"] is None else ", let in no more"
    kind = PrincipalKind(principal["kind"]).value
    print_lines([f"{kind} {principal['name']} ({principal['id']}): {roles}{of}{out}"])
