"""A folder of files that say one thing twice: told by name, and no more of it than a person reads."""

from pathlib import Path

import pytest

from vaultcore.errors import InvalidInputError
from worker.cli.metadata_files import read_folder


def write(folder: Path, name: str, items: int) -> None:
    text = "".join(f"[items.prod-{number:03d}-token]\nowners = []\n" for number in range(items))
    (folder / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("items", "lines", "last"), [(1, 1, "leave one of them"), (120, 51, "and 70 more")])
def test_what_stands_twice_is_named_up_to_a_number(tmp_path: Path, items: int, lines: int, last: str) -> None:
    for name in ("a.toml", "b.toml"):
        write(tmp_path, name, items)
    with pytest.raises(InvalidInputError) as refused:
        read_folder(tmp_path)
    told = str(refused.value).splitlines()
    assert len(told) == lines
    assert told[0].startswith(
        f"{tmp_path / 'b.toml'}: items.prod-000-token stands in {tmp_path / 'a.toml'}, too"
    )
    assert told[-1].endswith(last)
