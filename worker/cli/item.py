"""`nightkey item`: create, import, export, apply, list, show, impact, check, update, delete, rotate."""

from worker.cli.commands import Commands
from worker.cli.facts import print_facts
from worker.cli.item_answers import ITEMS, describe_item_whole, item_facts
from worker.cli.item_apply import apply
from worker.cli.item_check import check
from worker.cli.item_create import create
from worker.cli.item_delete import delete
from worker.cli.item_export import export
from worker.cli.item_impact import impact
from worker.cli.item_import import import_items
from worker.cli.item_list import list_items
from worker.cli.item_rotation import rotate
from worker.cli.item_update import update
from worker.cli.output import print_json, print_lines, print_table
from worker.cli.policy_parts import print_policy
from worker.cli.session import Json, ask
from worker.domain.consumption import explain_elsewhere
from worker.domain.places import Place
from worker.wording.shapes import flatten_item

app = Commands(no_args_is_help=True)


app.command()(create)
app.command("import")(import_items)
app.command("export")(export)
app.command("apply")(apply)


app.command("list")(list_items)


@app.command()
def show(name: str, *, json: Json = False) -> None:
    """Show an item, its versions, who uses it, and its policy. No value is ever shown."""
    item = ask(
        lambda services: describe_item_whole(services, name),
        lambda server: server.get(ITEMS, name),
    )
    original, copies = item["policy"]["copy_of"], item["copies"]
    if json:
        parts = ("copies", "checked", "explained", "versions", "references")
        own = {"copy_of": original} | {part: item[part] for part in parts}
        print_json(flatten_item(item) | own)
        return
    print_lines([item["name"]])
    print_facts(item_facts(item))
    if original is not None:
        print_lines([f"a copy of {original}: replaced with that, and by nobody else"])
    if copies:
        print_lines([f"its copies, which stop working when it is replaced: {', '.join(copies)}"])
    print_lines(["", "versions:"])
    none = "none" if item["command"] is None else f"none yet: {item['command']}"
    print_table(item["versions"], ("number", "stage", "expires_at", "activated_at", "destroyed_at"), none)
    print_lines(["", "used by:"])
    print_table(
        item["references"],
        (
            "name",
            "node",
            "active",
            "runs",
            "mentioned",
            "pinned",
            "last_version",
            "last_run_at",
            "proven_version",
        ),
        "nobody",
        spare=("mentioned", "pinned", "proven_version"),
    )
    away = {
        one["name"] for one in item["references"] if one["runs"] == Place.ELSEWHERE and not one["mentioned"]
    }
    if away:
        print_lines(["", explain_elsewhere(sorted(away))])
    print_policy(item["explained"], follows=item["policy"]["named"])


app.command()(check)
app.command()(impact)
app.command()(update)


app.command()(delete)
app.command()(rotate)
