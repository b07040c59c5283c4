"""The command `nightkey`: one noun a file. Errors are one line on standard error, and an exit status.

0 done, 1 something in the night failed, 2 wrong use or configuration, 3 refused.
"""

import os
import sys
from importlib import metadata
from typing import Annotated

import typer

from vaultcore.errors import NightkeyError
from worker.cli import (
    audit,
    backup,
    calendar,
    claim,
    demo,
    finding,
    init,
    item,
    key,
    kinds,
    notice,
    owner,
    reconcile,
    restore,
    rotation,
    run,
    scan,
    serve,
    status,
    up,
    workflow,
)
from worker.cli.session import Home

app = typer.Typer(
    name="nightkey",
    help="Keeps the credentials that workflows depend on from lapsing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("init")(init.init)
app.add_typer(item.app, name="item")
app.add_typer(owner.app, name="owner")
app.add_typer(workflow.app, name="workflow")
app.command("scan")(scan.scan)
app.command("night")(scan.night)
app.command("up")(up.up)
app.command("serve")(serve.serve)
app.add_typer(rotation.app, name="rotation")
app.add_typer(run.app, name="run")
app.add_typer(finding.app, name="finding")
app.add_typer(notice.app, name="notice")
app.command("calendar")(calendar.calendar)
app.command("claim")(claim.claim)
app.add_typer(key.app, name="key")
app.add_typer(kinds.nodes, name="node")
app.add_typer(kinds.rotators, name="rotator")
app.add_typer(audit.app, name="audit")
app.command("backup")(backup.backup)
app.command("restore")(restore.restore)
app.add_typer(reconcile.app, name="reconcile")
app.command("status")(status.status)
app.command("demo")(demo.demo)


def _say_version(asked: bool) -> None:  # typer's contract
    if asked:
        print(metadata.version("nightkey"))  # noqa: T201  # the answer
        raise typer.Exit


@app.callback()
def nightkey(
    *,
    home: Home = None,
    version: Annotated[
        bool, typer.Option("--version", help="Say the version and stop.", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    """Keeps the credentials that workflows depend on from lapsing."""
    _ = home, version  # their callbacks have taken effect


def main() -> None:
    """The entry point: runs the command and turns whatever went wrong into one line."""
    try:
        _run()
    except NightkeyError as error:
        problem, exit_status = str(error), error.exit_status
    except KeyboardInterrupt:
        problem, exit_status = "interrupted", 130
    except BrokenPipeError:  # who reads has read enough; an answer that is given once does not come here
        _drop_output()
        sys.exit(0)
    except OSError as error:
        problem, exit_status = f"{error.strerror or type(error).__name__} {_where(error)}", 1
    except Exception as error:  # noqa: BLE001  # the edge: its text and frames may quote anything
        problem, exit_status = f"unexpected {type(error).__name__} {_where(error)}", 1
    else:
        return
    print(f"nightkey: {problem}", file=sys.stderr)  # noqa: T201  # the error
    sys.exit(exit_status)


def _run() -> None:
    """The command, with its answer written out: a full disk is told of here, and not after the exit status."""
    lost = ""
    try:
        app()
    except SystemExit as ended:
        lost = _write_out()
        if not lost or ended.code:
            raise
    except BaseException:
        _write_out()
        raise
    if lost:
        raise NightkeyError(f"the answer could not be written: {lost}")


def _write_out() -> str:
    """Why the answer was not taken whole; empty if it was, or if who reads it has read enough."""
    problem = ""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
    except OSError as error:
        problem = error.strerror or type(error).__name__
        _drop_output()
    return problem


def _drop_output() -> None:
    """What is left in the buffer goes nowhere, so that the interpreter's own last try does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _where(error: BaseException) -> str:
    """File and line of the innermost frame of ours: enough to report it, nothing of what it held."""
    where = ""
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        if name.startswith(("worker.", "vaultcore.")):
            where = f"at {name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return where


if __name__ == "__main__":
    main()
