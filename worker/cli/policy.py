"""`nightkey policy`: named policies, and any policy in words."""

from typing import TYPE_CHECKING, Any, Final

from vaultcore.errors import NotFoundError
from worker.cli.commands import Commands
from worker.cli.item_answers import ITEMS, describe_item_whole
from worker.cli.output import describe_all, print_json, print_lines, print_table, print_text, tell_unreadable
from worker.cli.policy_parts import print_policy
from worker.cli.session import Json, ask
from worker.domain.metadata_writing import fill_parts
from worker.domain.toml_text import is_writable, write_toml
from worker.wording.metadata import describe_named_policy, describe_whole_policy
from worker.wording.parts import say_count
from worker.wording.plain import Shape

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

app = Commands(no_args_is_help=True, help="How items are kept from lapsing, in words and by name.")
_PATH: Final = "/nightkey/named-policies"
_SHOWN_MAX: Final = 20


@app.command("list")
def list_policies(*, json: Json = False) -> None:
    """List named policies. `nightkey item apply` makes and changes them; items is how many follow each."""
    rows, errors = ask(
        lambda services: describe_all(
            services.bulk.metadata.list_policies(), lambda one: describe_named_policy(one[0], items=one[1])
        ),
        lambda server: server.whole_list(_PATH),
    )
    if json:
        print_json(rows)
    else:
        columns = ("name", "mode", "rotator", "lifetime", "lead", "items")
        print_table(rows, columns, "no named policy yet", unread=errors, spare=("lead",), hidden=("parts",))
    tell_unreadable(errors)


@app.command()
def show(name: str, *, json: Json = False) -> None:
    """Show a named policy as a file has it, and who follows it."""
    policy = ask(lambda services: _find_named(services, name), lambda server: server.get(_PATH, name))
    if json:
        print_json({part: policy[part] for part in policy if part != "explained"})
        return
    parts = {"policies": {policy["name"]: fill_parts(policy["parts"])}}
    print_text(write_toml(parts) if is_writable(parts) else str(parts))
    followers = policy["followers"]
    more = f" and {len(followers) - _SHOWN_MAX:,} more" if len(followers) > _SHOWN_MAX else ""
    names = ", ".join(followers[:_SHOWN_MAX])
    told = (
        f"followed by {say_count(len(followers), 'item')}: {names}{more}" if followers else "no item follows it"
    )
    print_lines([told])


@app.command()
def explain(name: str, *, json: Json = False) -> None:
    """Say in words what a policy does. NAME is an item, or a named policy; what is default is told apart."""

    def find_here(services: "Services") -> tuple[Shape, str | None]:
        try:
            item = describe_item_whole(services, name)
        except NotFoundError as error:
            return _or_not(lambda: _find_named(services, name), error)
        return item, item["policy"]["named"]

    def find_there(server: "FarServer") -> tuple[Shape, str | None]:
        try:
            item = server.get(ITEMS, name)
        except NotFoundError as error:
            return _or_not(lambda: server.get(_PATH, name), error)
        return item, item["policy"]["named"]

    found, follows = ask(find_here, find_there)
    if json:
        print_json([{"of": found["name"], **one} for one in found["explained"]])
        return
    print_lines([found["name"] if "versions" in found else f"named policy {found['name']}"])
    print_policy(found["explained"], follows=follows)


def _or_not(find: Any, error: NotFoundError) -> tuple[Shape, None]:  # noqa: ANN401  # a call without arguments
    """The named policy; where there is none either, what was said of the item."""
    try:
        return find(), None
    except NotFoundError:
        pass
    raise NotFoundError(f"{error}; nor is there a named policy of that name: `nightkey policy list`")


def _find_named(services: "Services", name: str) -> dict[str, Any]:
    found = services.bulk.metadata.get_policy(name)
    return describe_whole_policy(found.policy, followers=found.followers)
