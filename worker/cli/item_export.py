"""`nightkey item export`: the vault's metadata as files for git."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vaultcore.access import machine
from vaultcore.errors import NightkeyError
from worker.cli.metadata_files import MetadataForm, write_folder
from worker.cli.output import print_json, print_lines, tell_unreadable
from worker.cli.session import Json, ask, who
from worker.domain.commands import quote_word
from worker.domain.metadata import Subject
from worker.wording.parts import say_count
from worker.wording.plain import to_plain

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

METADATA: Final = "/nightkey/metadata"
Found = tuple[dict[str, Any], list[NightkeyError]]


def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where owners, policies and items go.")],
    *,
    form: Annotated[
        MetadataForm, typer.Option("--format", help="What form the files have.")
    ] = MetadataForm.TOML,
    json: Json = False,
) -> None:
    """Write owners, policies and items as files for git.

    No value is in it, no route, no expiry and no time: the same vault gives the same files, sorted by name.
    Nothing is committed. `nightkey item apply FOLDER` makes a vault be as the files say.
    """

    def export_here(services: "Services") -> Found:
        exported = services.bulk.metadata.export(machine(who()))
        return to_plain(exported.document), [*exported.errors]

    def export_there(server: "FarServer") -> Found:
        found = server.get(METADATA)
        left = found.pop("unread")
        return found, [NightkeyError(f"{left} more cannot be read there: they are left out")] if left else []

    document, errors = ask(export_here, export_there)
    files = write_folder(folder, document, form)
    counts = {subject.value: len(document[subject]) for subject in Subject}
    if json:
        print_json({"files": [str(file) for file in files], **counts})
    else:
        policies = "1 named policy" if counts["policies"] == 1 else f"{counts['policies']} named policies"
        told = f"{say_count(counts['owners'], 'owner')}, {policies}, {say_count(counts['items'], 'item')}"
        print_lines([f"written to {folder}: {told}", f"see what they would change: {_again(folder)}"])
    tell_unreadable(errors)


def _again(folder: Path) -> str:
    return f"nightkey item apply {quote_word(str(folder))} --dry-run"
