"""How the documents of workflows are read, and what is said of them line by line."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from vaultcore.errors import InvalidInputError
from worker.cli.inputs import read_document
from worker.domain.places import Place
from worker.services.runs.documents import Applied, DocumentChange
from worker.workflows.remarks import Remark, Weight
from worker.workflows.workflow import Workflow

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


def describe_applied(applied: Applied) -> dict[str, Any]:
    workflow = applied.workflow
    if workflow is None:
        return {"name": applied.name, "change": applied.change, "why": applied.why}
    return {
        "id": workflow.id,
        "name": workflow.name,
        "change": applied.change,
        "created": applied.change is DocumentChange.CREATED,
        "runs": workflow.runs,
        "why": workflow.explain_place(),
        "missing": applied.missing,
        "unknown": applied.unknown,
        "remarks": [describe_remark(remark) for remark in workflow.definition.remarks],
    }


def describe_remark(remark: Remark) -> dict[str, Any]:
    return {"weight": remark.weight, "where": remark.where, "what": remark.what}


def show_remarks(workflow: Workflow, *, most: int | None = _REMARKS_MAX) -> Iterator[str]:
    """What is kept without being understood, and what cannot run here."""
    remarks = sorted(workflow.definition.remarks, key=lambda remark: remark.weight is Weight.KEPT)
    for remark in remarks[:most]:
        yield f"  {_SAID[remark.weight]}: {remark}"
    if most is not None and len(remarks) > most:
        yield f"  … and {len(remarks) - most} more: nightkey workflow lint shows them all"


def show_place(applied: Applied) -> Iterator[str]:
    """What is to be known of where it runs from now on."""
    workflow = applied.workflow
    if workflow is None or applied.change is DocumentChange.UNCHANGED:
        return
    if workflow.runs is Place.HERE:
        if workflow.active and workflow.schedule_type != "manual" and _was_retrieved(workflow):
            when = f"{workflow.schedule_type} {workflow.schedule_value}"
            yield f"  its schedule runs it here from now on ({when});"
            yield "  if another engine goes on running it, apply it with --runs elsewhere"
        return
    if workflow.stays_away:
        yield "  it runs elsewhere, as was said"
    tested = [
        node_id
        for node_id in workflow.definition.node_ids()
        if workflow.definition.why_untested(node_id) is None
        and workflow.definition.component(node_id).value_fields
    ]
    if tested:
        yield f"  tested here all the same, where a test can be: {_list(tested, 'node')}"


def show_missing(applied: Applied) -> Iterator[str]:
    """What it names that is not there; of one that is as it was that has been said."""
    if applied.change is DocumentChange.UNCHANGED:
        return
    lines = [f"{applied.name} names {name}, which does not exist (yet)" for name in applied.missing]
    lines += [f"{applied.name} starts workflow {name}, which does not exist (yet)" for name in applied.unknown]
    yield from lines[:_MISSING_MAX]
    if len(lines) > _MISSING_MAX:
        yield f"{applied.name} names {len(lines) - _MISSING_MAX} more: nightkey workflow lint shows them all"


def show_summary(applied: Sequence[Applied], *, refused: int = 0) -> Iterator[str]:
    """What came of them all, and once what it means that some run elsewhere."""
    if refused:
        yield f"nothing would be stored: {refused} of {len(applied) + refused} refused"
        return
    if len(applied) > 1:
        counted = Counter(one.change for one in applied)
        yield ", ".join(f"{counted[change]} {change}" for change in DocumentChange if counted[change])
    away = [
        one
        for one in applied
        if one.change is not DocumentChange.UNCHANGED
        and one.workflow is not None
        and one.workflow.runs is Place.ELSEWHERE
        and one.workflow.definition.uses(here=False)
    ]
    if away:
        runs = f"{len(away)} of them run elsewhere" if len(applied) > 1 else "it runs elsewhere"
        yield f"{runs}, and what is used there is watched here all the same."
        yield "Nightkey gives no value to another engine: a rotator or a person must. A new one is"
        yield "proven there by reported runs that name it, and the old one is kept until then:"
        yield "nightkey run report NAME --status completed --started-at TIME --used ITEM=VERSION"


def _was_retrieved(workflow: Workflow) -> bool:
    """Whether the document was given out by an engine that has it."""
    document = workflow.definition.document
    return any((document.created_at, document.updated_at, document.next_run_at, document.webhook_url))


def _list(names: Sequence[str], what: str) -> str:
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"{what}{'s' if len(names) > 1 else ''} {shown}"
