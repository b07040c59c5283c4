"""`nightkey principal`: people and services that may ask over HTTP, their roles and their tokens."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaultcore.access import Role
from vaultcore.errors import InvalidInputError
from vaultcore.model import PrincipalKind
from worker.cli.commands import Commands
from worker.cli.handover import check_output
from worker.cli.item_answers import show_key
from worker.cli.output import print_json, print_lines, print_table, sort_out, tell_unreadable, write_text
from worker.cli.session import Json, open_services, who
from worker.wording.roles import write_page

if TYPE_CHECKING:
    from vaultcore.principals import StoredPrincipal
    from worker.services.principals import TokenView

app = Commands(
    no_args_is_help=True,
    help="People and services that may ask over HTTP: roles and tokens. Whoever may read the keyring needs "
    "none: the command line of that machine has full rights, one far away those of its token (deploy/far.md).",
)

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
    found = open_services().principals.create(
        name, kind=kind, roles=role or [], owners=owner or [], actor=who()
    )
    _show(found, json=json)


@app.command("list")
def list_principals(*, json: Json = False) -> None:
    """List principals, with their roles and tokens. Of a token: when it lapses, and when it was last used."""
    services = open_services()
    found, errors = sort_out(services.principals.list_all())
    rows = [describe(principal, tokens) for principal, tokens in found]
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
        keyring = services.settings.keyring_path
        print_lines(
            ["", f"whoever may read {keyring} needs no role: this machine's command line may do everything"]
        )
    tell_unreadable(errors)


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
    found = open_services().principals.change_roles(
        name,
        give=give or [],
        take=take or [],
        owners=[] if no_owner else owner,
        actor=who(),
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
    services = open_services()
    item, first = services.principals.issue_token(name, lifetime=lifetime, actor=who())
    if first is not None:
        show_key(services, item, first, json=json)


@app.command()
def revoke(
    name: str,
    *,
    token: Annotated[str | None, typer.Option("--token", metavar="ITEM", help="This token alone.")] = None,
    json: Json = False,
) -> None:
    """Let a principal in no more, at once; or only by one of its tokens."""
    principals = open_services().principals
    if token is None:
        _show(principals.revoke(name, actor=who()), json=json)
        return
    item = principals.revoke_token(name, token, actor=who())
    if json:
        print_json({"principal": name, "token": item.name, "revoked": True})
    else:
        print_lines([f"{item.name} lets nobody in any more"])


def describe(principal: "StoredPrincipal", tokens: "list[TokenView] | None" = None) -> dict[str, Any]:
    described: dict[str, Any] = {
        "id": principal.id,
        "name": principal.name,
        "kind": principal.kind,
        "roles": list(principal.roles),
        "owners": list(principal.owners),
        "created_at": principal.created_at,
        "disabled_at": principal.disabled_at,
    }
    if tokens is not None:
        described["tokens"] = [
            {
                "item": token.item.name,
                "item_id": token.item.id,
                "expires_at": token.item.expires_at,
                "last_used_at": token.last_used_at,
            }
            for token in tokens
        ]
    return described


def _line(token: dict[str, Any]) -> str:
    until = "" if token["expires_at"] is None else f" until {token['expires_at']:%Y-%m-%d}"
    return f"{token['item']}{until}"


def _show(principal: "StoredPrincipal", *, json: bool) -> None:
    if json:
        print_json(describe(principal))
        return
    roles = ", ".join(principal.roles) or "no role, so it may do nothing"
    of = f" for {', '.join(principal.owners)}" if principal.owners else ""
    out = "" if principal.disabled_at is None else ", let in no more"
    print_lines([f"{principal.kind} {principal.name} ({principal.id}): {roles}{of}{out}"])
