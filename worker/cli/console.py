"""`nightkey console`: a link that signs a browser in once."""

from typing import Annotated

import typer

from worker.cli.commands import Commands
from worker.cli.handover import check_output
from worker.cli.output import note, print_json, write_text
from worker.cli.session import Json, open_services, who

app = Commands(no_args_is_help=True)


@app.command("open")
def open_console(
    *,
    as_whom: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="PRINCIPAL", help="As whom. Default: you, with all rights, as on this machine."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Print a link that signs a browser in once, within ten minutes.

    Whoever has the link can do what the principal may do; without --as, everything.
    """
    check_output()
    services = open_services()
    token = services.access.sign_ins.make_link(as_whom, actor=who())
    settings = services.settings
    base = settings.console_url or f"http://{settings.listen}"
    address = f"{base}/console/link/{token.expose()}"
    if json:
        print_json({"url": address})
        return
    write_text(f"{address}\n")
    note(
        "it signs in once, within ten minutes; whoever opens it is " + (as_whom or f"{who()}, with all rights")
    )
