"""What people write in files: workflows, and the templates within them and of notices."""

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.mutating import SEEDS, json_texts, texts
from tests.fuzz.surfaces import Surface
from tests.unit.test_letters import DATA
from tests.unit.test_templates import SCOPE
from vaultcore.references import find_uses
from worker.delivery.letters import Letters
from worker.workflows.definition import load_definition
from worker.workflows.templates import check, find_reads, render

_WORKFLOWS = [
    json.loads(path.read_text()) for path in sorted((Path(__file__).parents[1] / "sdx").glob("*.json"))
]


def _load(text: str) -> object:
    definition = load_definition(text, source="w.json")
    return [str(one) for one in definition.remarks], definition.uses(here=True), definition.order


def _render(text: str) -> object:
    find_uses(text)
    check(text)
    find_reads(text)
    return render(text, SCOPE)


def _write(text: str) -> object:
    """As a preview does, which says what is wrong; and as a notice is written, which must leave."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "digest.md").write_text(text, encoding="utf-8", errors="replace")
        letters = Letters(Path(folder))
        given: dict[str, Any] = {"kind": "digest", "data": DATA["digest"]}
        letters.write(**given, zone="UTC")
        return letters.try_out(**given, zone="UTC")


def _texts(surface: str) -> st.SearchStrategy[str]:
    return texts(**SEEDS[surface]).map(lambda text: text.encode("utf-8", "replace").decode())


WORKFLOW_FILES = Surface(inputs=json_texts(_WORKFLOWS, **SEEDS["workflows"]), take=_load)
TEMPLATES = Surface(inputs=_texts("liquid"), take=_render)
LETTERS = Surface(inputs=_texts("jinja"), take=_write)
