"""One meaning a word: no two classes of the product share a name."""

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_class_has_a_name_of_its_own() -> None:
    names = Counter(
        node.name
        for package in ("vaultcore", "worker")
        for file in (ROOT / package).rglob("*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.ClassDef)
    )
    assert len(names) > 300
    assert [name for name, count in names.items() if count > 1] == []
