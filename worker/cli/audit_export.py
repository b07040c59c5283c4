"""`nightkey audit export`, and how such a file is checked: the record of a period, signed, for an auditor."""

import json as jsonlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, TYPE_CHECKING, Annotated, Any, Final

import typer

from vaultcore.errors import InvalidInputError
from worker.cli.audit_list import RECORD
from worker.cli.inputs import parse_begin, parse_end, read_text
from worker.cli.output import note, print_json, print_lines, write_text
from worker.cli.screen import show_moment
from worker.cli.session import Json, ask, is_far, open_server, open_services, who
from worker.cli.spreadsheet import write_rows
from worker.wording.parts import say_count
from worker.wording.plain import Shape

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

_STDOUT: Final = Path("-")
_TOTALS: Final = '"totals": '
_COLUMNS: Final = (
    "id", "item", "timeliness", "late_seconds", "lapses_at", "replaced_at", "opened_at", "ended_at", "state",
    "reason", "error", "asked_by", "approved_by", "emergency", "rotator", "target", "old_version",
    "new_version", "shown_by", "proofs", "waivers", "edited", "unreadable",
)  # fmt: skip


def export(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Where to write it; - is standard output."),
    ],
    *,
    begin: Annotated[
        str,
        typer.Option("--from", metavar="TIME", help="Then or later: 2026-10-01, or 90d: the last 90 days."),
    ],
    end: Annotated[
        str | None,
        typer.Option("--to", metavar="TIME", help="Before then; of a day, also on that day. Default: now."),
    ] = None,
    table: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="The rotations as a table, too, unsigned.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace files that are there.")] = False,
) -> None:
    """Write the record of a period into one signed file. It is JSON, for an auditor.

    Of each rotation: what was replaced, when, in time or late, proven by what, waived by whom; then every row
    of the audit log, with its hash. No values. `nightkey audit verify --export FILE` checks it, also without
    the vault. 1 if something of it was edited behind the vault's back: the file says what.
    """
    for path in (file, table):
        if path is not None and path != _STDOUT and path.exists() and not replace:
            raise InvalidInputError(f"{path} is there already: name another file, or add --replace")

    def write_here(services: "Services") -> Shape:
        now = services.clock()
        until = None if end is None else parse_end(end, now)
        lines = services.upkeep.audit_export.write(parse_begin(begin, now), until, actor=who())
        return _write(lines, file, table)

    def write_there(server: "FarServer") -> Shape:
        now = server.clock()
        asked = {"from": parse_begin(begin, now).isoformat()}
        if end is not None:
            asked["to"] = parse_end(end, now).isoformat()
        document = server.document(RECORD, "export", **asked).decode()
        return _write(document.splitlines(keepends=True), file, table)

    totals = ask(write_here, write_there)
    if file != _STDOUT:
        counted = _count(totals["rotations"], totals["record"])
        print_lines([f"exported: {file} ({counted})", *([f"as a table: {table}"] if table is not None else [])])
    for problem in totals["problems"]:
        note(f"nightkey: audit: {problem}")
    if totals["problems"]:
        raise typer.Exit(1)


def show_key(*, json: Json = False) -> None:
    """Print the public key that exports are checked with. Publish it where an auditor trusts it."""
    key = ask(
        lambda services: services.upkeep.audit_export.describe_key(),
        lambda server: server.get(RECORD, "key"),
    )
    if json:
        print_json(key)
    else:
        write_text(key["pem"])


def verify_export(file: Path, key: Path | None, *, json: bool) -> None:
    """With a key: by that alone, wherever it is. Else with that of the vault, whose log must still have its
    rows; or of the server far away.
    """
    from vaultcore.audit_exports import LINE_MAX, check_lines, read_public  # noqa: PLC0415  # --help must not wait

    problem, checked = "", None
    try:
        with file.open("rb") as stream:
            lines = iter(lambda: stream.readline(LINE_MAX), b"")
            if key is not None:
                checked = check_lines(lines, _read_key(key))
            elif is_far():
                server = open_server()
                pem = "" if server is None else str(server.get(RECORD, "key")["pem"])
                checked = check_lines(lines, read_public(pem))
            else:
                checked = open_services().upkeep.audit_export.check(lines)
    except OSError as error:
        problem = f"cannot be read: {error.strerror or type(error).__name__}"
    except InvalidInputError as error:
        problem = str(error)
    if checked is None:
        raise InvalidInputError(problem if problem.startswith(str(key)) else f"{file}: {problem}")
    if json:
        print_json(
            {
                "whole": checked.holds,
                "export": checked.export,
                "rotations": checked.rotations,
                "rows": checked.rows,
                "problems": list(checked.problems),
            }
        )
    elif checked.holds:
        span = [_show_time(checked.export.get(part)) for part in ("from", "to")]
        counted = _count(checked.rotations, checked.rows)
        signed = f"whole, and signed by the key {checked.export['key']}"
        print_lines([f"{signed}: {span[0]} to {span[1]}, {counted}"])
    for one in checked.problems:
        note(f"nightkey: audit: {one}")
    if not checked.holds:
        raise typer.Exit(1)


# Inside


def _count(rotations: int, rows: int) -> str:
    return f"{say_count(rotations, 'rotation')}, {say_count(rows, 'row')} of the log"


def _read_key(file: Path) -> Any:  # noqa: ANN401  # a public key
    from vaultcore.audit_exports import read_public  # noqa: PLC0415  # as above

    problem = ""
    try:
        return read_public(read_text(file))
    except InvalidInputError as error:
        problem = str(error)
    raise InvalidInputError(problem if problem.startswith(str(file)) else f"{file}: {problem}")


def _show_time(text: Any) -> str:  # noqa: ANN401  # JSON
    try:
        return show_moment(datetime.fromisoformat(str(text)))
    except ValueError:
        return str(text)[:40]


def _write(lines: Iterable[str], file: Path, table: Path | None) -> Shape:
    """Both files on the way, line by line. What it says of itself at its end."""
    totals: dict[str, Any] = {}
    with _open(file) as out, _open(table) as rows:
        inside = False

        def told() -> Iterator[dict[str, Any]]:
            nonlocal inside
            for line in lines:
                _put(out, line)
                if line.startswith(_TOTALS):
                    totals.update(jsonlib.loads(line.removeprefix(_TOTALS).rstrip().removesuffix(",")))
                elif line in ('"rotations": [\n', "],\n"):
                    inside = line != "],\n"
                elif inside and rows is not None:
                    yield _flatten(jsonlib.loads(line.rstrip().removesuffix(",")))

        for row in write_rows(told(), _COLUMNS):
            _put(rows, row)
    return totals


def _flatten(rotation: dict[str, Any]) -> dict[str, Any]:
    proofs = [f"{one['who']} at {one['at']}" for one in rotation.get("proofs", ())]
    waived = [
        f"{one['for']} by {one['by']} at {one['at']}: {one['why']}" for one in rotation.get("waivers", ())
    ]
    return rotation | {"proofs": proofs, "waivers": waived}


def _put(stream: IO[str] | None, text: str) -> None:
    if stream is not None:
        stream.write(text)


class _Printed:
    """Standard output, for what is written into a file otherwise."""

    def write(self, text: str) -> None:
        write_text(text)


@contextmanager
def _open(path: Path | None) -> Iterator[Any]:
    """A file that is there whole, once this has ended well, and that its owner alone may read."""
    if path is None or path == _STDOUT:
        yield None if path is None else _Printed()
        return
    made, problem = None, ""
    try:
        folder = path.absolute().parent
        with NamedTemporaryFile(
            "w", encoding="utf-8", newline="", dir=folder, prefix=f".{path.name}.", delete=False
        ) as stream:
            made = Path(stream.name)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        made.replace(path)
        made = None
    except OSError as error:
        problem = f"{path} cannot be written: {error.strerror or type(error).__name__}"
    finally:
        if made is not None:
            with suppress(OSError):
                made.unlink(missing_ok=True)
    if problem:
        raise InvalidInputError(problem)
