"""`nightkey notice`: what owners were told, and whether it reached them."""

import typer

from worker.cli.output import print_json, print_table
from worker.cli.session import Home, Json, open_services

app = typer.Typer(no_args_is_help=True, help="What owners were told.")


@app.command("list")
def list_notices(*, json: Json = False, home: Home = None) -> None:
    """List notices, newest first: waiting, sent, failed, or unrouted."""
    _ = home
    rows = [vars(notice) for notice in open_services().notifying.latest()]
    if json:
        print_json(rows)
    else:
        print_table(rows, ("created_at", "owner", "kind", "state", "subject", "error"), "no notices yet")
