"""Ids that a person writes: any beginning will do that no other has."""

from typing import Annotated, Final

import typer

from vaultcore.access import machine
from vaultcore.ids import find_prefix
from worker.cli.session import is_far, open_services, who


def _complete(given: str) -> str:
    """A server far away does it itself, by what the token may see."""
    if find_prefix(given) is None or is_far():
        return given
    return open_services().lookup.lists.complete_id(given, seen_by=machine(who()))


_HELP: Final = "Its id, or the beginning of it"
RotationId = Annotated[str, typer.Argument(metavar="ROTATION", help=f"{_HELP}: rot_…", callback=_complete)]
FindingId = Annotated[str, typer.Argument(metavar="FINDING", help=f"{_HELP}: fnd_…", callback=_complete)]
NoticeId = Annotated[str, typer.Argument(metavar="NOTICE", help=f"{_HELP}: ntc_…", callback=_complete)]
RunId = Annotated[str, typer.Argument(metavar="RUN", help=f"{_HELP}: fl_run_…", callback=_complete)]
