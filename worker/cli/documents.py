"""How the documents of workflows are read, and what is said of them line by line."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from vaultcore.errors import InvalidInputError
from worker.cli.inputs import read_document
from worker.domain.places import Place
from worker.services.runs.documents import DocumentChange
from worker.wording.plain import Shape
from worker.workflows.remarks import Weight

INPUT: Final = Path("-")
_FILE_MAX: Final = 64 * 1024 * 1024
_REMARKS_MAX: Final = 5
_MISSING_MAX: Final = 5
_SAID: Final = {
    Weight.WRONG: "wrong",
    Weight.ELSEWHERE: "cannot run here",
    Weight.KEPT: "kept",
}


def read_documents(paths: Sequence[Path]) -> list[tuple[str, str]]:
    """(name, text) of each file; of a folder its `.json` files, those in folders inside too; `-` is standard
    input.
    """
    if not paths:
        if sys.stdin.isatty():
            raise InvalidInputError("give files, folders of them, or - for standard input")
        paths = [INPUT]
    files = [file for path in paths for file in (_find_in(path) if path.is_dir() else [path])]
    if not files:
        raise InvalidInputError(f"there is no .json file in {', '.join(str(path) for path in paths)}")
    read = [read_document(str(file), most=_FILE_MAX) for file in files]
    return [(name, text) for text, name in read]


def _find_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() == ".json" and file.is_file())


def flatten_applied(one: Shape) -> dict[str, Any]:
    """What came of a document, as one object."""
    if one["refused"] is not None:
        return {"refused": one["refused"]}
    workflow = one["workflow"]
    if workflow is None:
        return {"name": one["name"], "change": one["change"], "why": one["why"]}
    return {
        "id": workflow["id"],
        "name": workflow["name"],
        "change": one["change"],
        "created": one["change"] == DocumentChange.CREATED,
        **{name: workflow[name] for name in ("runs", "why", "missing", "unknown", "remarks")},
    }


def show_remarks(given: Sequence[Shape], *, most: int | None = _REMARKS_MAX) -> Iterator[str]:
    """What is kept without being understood, and what cannot run here."""
    remarks = sorted(given, key=lambda remark: bool(remark["weight"] == Weight.KEPT))
    for remark in remarks[:most]:
        line = f"{remark['where']}: {remark['what']}"
        yield f"  {_SAID[Weight(remark['weight'])]}: {''.join(c if c.isprintable() else '?' for c in line)}"
    if most is not None and len(remarks) > most:
        yield f"  … and {len(remarks) - most} more: nightkey workflow lint shows them all"


def show_place(applied: Shape) -> Iterator[str]:
    """What is to be known of where it runs from now on."""
    workflow = applied["workflow"]
    if workflow is None or applied["change"] == DocumentChange.UNCHANGED:
        return
    if workflow["runs"] == Place.HERE:
        if workflow["schedule"] is not None:
            yield f"  its schedule runs it here from now on ({workflow['schedule']});"
            yield "  if another engine goes on running it, apply it with --runs elsewhere"
        return
    if workflow["stays_away"]:
        yield "  it runs elsewhere, as was said"
    if workflow["tested"]:
        yield f"  tested here all the same, where a test can be: {_list(workflow['tested'], 'node')}"


def show_missing(applied: Shape) -> Iterator[str]:
    """What it names that is not there; of one that is as it was that has been said."""
    workflow = applied["workflow"]
    if workflow is None or applied["change"] == DocumentChange.UNCHANGED:
        return
    name = applied["name"]
    lines = [f"{name} names {one}, which does not exist (yet)" for one in workflow["missing"]]
    lines += [f"{name} starts workflow {one}, which does not exist (yet)" for one in workflow["unknown"]]
    yield from lines[:_MISSING_MAX]
    if len(lines) > _MISSING_MAX:
        yield f"{name} names {len(lines) - _MISSING_MAX} more: nightkey workflow lint shows them all"


def show_summary(applied: Sequence[Shape], *, refused: int = 0) -> Iterator[str]:
    """What came of them all, and once what it means that some run elsewhere."""
    if refused:
        yield f"nothing would be stored: {refused} of {len(applied) + refused} refused"
        return
    if len(applied) > 1:
        counted = Counter(str(one["change"]) for one in applied)
        yield ", ".join(f"{counted[change]} {change}" for change in DocumentChange if counted[change])
    away = [
        one
        for one in applied
        if one["change"] != DocumentChange.UNCHANGED
        and one["workflow"] is not None
        and one["workflow"]["uses_elsewhere"]
    ]
    if away:
        runs = f"{len(away)} of them run elsewhere" if len(applied) > 1 else "it runs elsewhere"
        yield f"{runs}, and what is used there is watched here all the same."
        yield "Nightkey gives no value to another engine: a rotator or a person must. A new one is"
        yield "proven there by reported runs that name it, and the old one is kept until then:"
        yield "nightkey run report NAME --status completed --started-at TIME --used ITEM=VERSION"


def _list(names: Sequence[str], what: str) -> str:
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"{what}{'s' if len(names) > 1 else ''} {shown}"
