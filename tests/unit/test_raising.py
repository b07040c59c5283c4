"""What hangs on an error that a context manager raises for what its block raised: nothing."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from vaultcore import archive
from vaultcore.database import Database
from vaultcore.errors import NightkeyError


def ask(connection: Any) -> None:
    connection.execute(text("SELECT :value FROM nowhere"), {"value": "canary-7a1"})


def fail_to_read(_: object) -> None:
    raise EOFError("canary-7a1")


@pytest.mark.parametrize(
    ("enter", "act"),
    [
        (lambda folder: Database(f"sqlite:///{folder}/x.db").read(), ask),
        (lambda folder: Database(f"sqlite:///{folder}/x.db").write(), ask),
        (archive._reading, fail_to_read),
    ],
    ids=["read", "write", "archive"],
)
def test_nothing_hangs_on_what_a_block_ends_with(
    tmp_path: Path,
    enter: Callable[[Path], AbstractContextManager[Any]],
    act: Callable[[Any], None],
) -> None:
    with pytest.raises(NightkeyError) as caught, enter(tmp_path) as given:
        act(given)
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)
    assert "canary-7a1" not in str(caught.value)
