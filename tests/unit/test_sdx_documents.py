"""The documents under `tests/sdx`, in the field's own form: each is read, and what it names is found."""

import json
from pathlib import Path
from typing import Any

import pytest

from vaultcore.errors import InvalidInputError
from worker.workflows.definition import Definition, load_definition
from worker.workflows.sources import Source, read_sources

CORPUS = Path(__file__).parents[1] / "sdx"
EXPECTED = json.loads((CORPUS / "expected.json").read_text())


def read_all() -> list[tuple[str, Definition, Any]]:
    """(name, definition, what is expected of it), those inside lists too."""
    found = []
    for name, expected in EXPECTED["documents"].items():
        found.append((name, load_definition((CORPUS / name).read_text(), source=name), expected))
    for name, every in EXPECTED["lists"].items():
        sources = read_sources((CORPUS / name).read_text(), source=name)
        for source, expected in zip(sources, every, strict=True):
            assert isinstance(source, Source)
            assert isinstance(source.read, Definition)
            found.append((f"{name}: {expected['name']}", source.read, expected))
    return found


ALL = [pytest.param(definition, expected, id=name) for name, definition, expected in read_all()]


@pytest.mark.parametrize(("definition", "expected"), ALL)
def test_each_reference_is_found_at_its_node_and_no_other(definition: Definition, expected: Any) -> None:
    found = {(use.node_id, use.use.written) for use in definition.uses(here=expected["runs"] == "here")}
    assert found == {tuple(pair) for pair in expected["references"]}


@pytest.mark.parametrize(("definition", "expected"), ALL)
def test_it_runs_where_it_can(definition: Definition, expected: Any) -> None:
    assert {remark.node_id for remark in definition.away} == set(expected["because"])
    assert ("elsewhere" if definition.away else "here") == expected["runs"]


@pytest.mark.parametrize("name", EXPECTED["documents"])
def test_it_is_kept_as_it_was_given(name: str) -> None:
    text = (CORPUS / name).read_text()
    assert load_definition(text, source=name).text == text


@pytest.mark.parametrize("name", EXPECTED["refused"])
def test_what_cannot_be_right_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        load_definition((CORPUS / "refused" / name).read_text(), source=name)
    assert EXPECTED["refused"][name] in str(caught.value)
