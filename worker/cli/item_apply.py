"""`nightkey item apply`: the vault becomes as files say; first what that changes is shown."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaultcore.access import machine
from vaultcore.errors import InvalidInputError, RefusedError
from worker.cli.inputs import confirm
from worker.cli.item_export import METADATA
from worker.cli.metadata_files import MetadataFolder, read_folder, refuse_all
from worker.cli.output import note, print_json, print_lines
from worker.cli.reach import take_warnings
from worker.cli.session import Json, ask, who
from worker.domain.metadata_plan import StepDeed
from worker.wording.metadata import (
    ask_about,
    count_deeds,
    describe_applied,
    describe_metadata_plan,
    summarise_plan,
    tell_step,
)
from worker.wording.parts import say_count
from worker.wording.plain import Shape

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer


def apply(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Its .toml and .json files say it.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and stop.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Delete items, with their values, and named policies that no file names."),
    ] = False,
    skip_missing: Annotated[
        bool,
        typer.Option("--skip-missing", help="Go on without items that are not in the vault."),
    ] = False,
    json: Json = False,
) -> None:
    """Make the vault be as files say, once you agree.

    It shows each difference between the files of a folder and the owners, named policies and items of the
    vault, asks once, and does exactly that.

    What no file names is left alone, unless --prune. A file holds no value, so an item that is not in the vault
    is told with the command that adds it. Where the vault changed after the differences were shown, nothing is
    done. 1 where some of it could not be done: the same command does the rest.
    """
    read = read_folder(folder)

    def apply_here(services: "Services") -> tuple[Shape, Shape | None]:
        me = machine(who())
        plan: Shape = describe_metadata_plan(
            services.bulk.metadata.plan(read.document, prune=prune, principal=me)
        )
        if not _agree(read, plan, json=json, dry_run=dry_run, yes=yes, skip_missing=skip_missing):
            return plan, None
        applied = services.bulk.metadata.apply(
            read.document, prune=prune, skip_missing=skip_missing, seen=str(plan["mark"]), principal=me
        )
        return plan, describe_applied(applied, services.lookup.views.find_unreached())

    def apply_there(server: "FarServer") -> tuple[Shape, Shape | None]:
        wanted: dict[str, Any] = {**read.document, "prune": prune}
        plan = server.post(f"{METADATA}/plan", body=wanted, long=True)
        if not _agree(read, plan, json=json, dry_run=dry_run, yes=yes, skip_missing=skip_missing):
            return plan, None
        marked = wanted | {"mark": plan["mark"], "skip_missing": skip_missing}
        return plan, server.post(METADATA, body=marked, long=True)

    plan, applied = ask(apply_here, apply_there)
    if applied is not None:
        applied = take_warnings(applied)
    done, problem = (0, None) if applied is None else (applied["done"], applied["problem"])
    if json:
        print_json({**plan, "done": done, "problem": problem})
    elif applied is not None and problem is None:
        print_lines([f"done: {say_count(done, 'change')}"])
    if problem is not None:
        left = _count_changes(plan)
        note(
            f"nightkey: {done} of {left} changes are made, and then: {problem}; the same command does the rest"
        )
        raise typer.Exit(1)


def _agree(
    read: MetadataFolder, plan: Shape, *, json: bool, dry_run: bool, yes: bool, skip_missing: bool
) -> bool:
    """Shows the differences; whether they are to be made. An error where they cannot be, or nobody says so."""
    if plan["faults"]:
        raise refuse_all([read.tell(one) for one in plan["faults"]])
    if not json:
        for step in plan["steps"]:
            print_lines(tell_step(step))
        print_lines([summarise_plan(plan)])
    changes, missing = _count_changes(plan), count_deeds(plan)[StepDeed.ADD]
    if dry_run:
        return False
    if missing and not skip_missing:
        what = "1 item is not" if missing == 1 else f"{missing} items are not"
        raise RefusedError(
            f"nothing was changed: {what} in the vault; add what is missing, or go on without: --skip-missing"
        )
    if not changes:
        return False
    if yes:
        return True
    if json or not sys.stdin.isatty():
        raise InvalidInputError("there is nobody to ask: add --yes if that is what you want")
    if not confirm(ask_about(plan)):
        raise RefusedError("nothing was changed")
    return True


def _count_changes(plan: Shape) -> int:
    return sum(count_deeds(plan)[deed] for deed in (StepDeed.CREATE, StepDeed.CHANGE, StepDeed.DELETE))
