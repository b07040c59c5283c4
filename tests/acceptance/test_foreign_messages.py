"""`nightkey up` where somebody else writes to the embedded broker's folder."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Nightkey
from tests.acceptance.foreign import stand_firm
from tests.forged import Sealer, genuine, put, write
from worker.broker.aside import ENTRIES_MAX
from worker.broker.queues import QUEUES
from worker.domain.lines import Line
from worker.domain.messages import MessageFault

QUEUE = QUEUES[Line.NIGHT]


@pytest.fixture
def open_home(nightkey: Nightkey) -> Iterator[Path]:
    """Everybody may read the folder, and no umask closes what is made in it."""
    before = os.umask(0)
    nightkey.home.chmod(0o755)
    yield nightkey.home
    os.umask(before)


@pytest.mark.long
def test_forged_files_end_nobody_and_are_told_once(tmp_path: Path, nightkey: Nightkey, open_home: Path) -> None:
    folder = open_home / "broker" / "messages"
    for each in (folder.parent, folder):
        each.mkdir(mode=0o700)
    vault = Sealer.of(nightkey.home)
    again = json.dumps(genuine("nightkey.deliver", of=vault)).encode()
    with put(folder, QUEUE, vault) as forged:
        for number in range(3):
            write(folder / f"{number:020d}_again.{QUEUE}.msg", again)

        def look() -> None:
            assert not any(path.name in forged for path in folder.iterdir())
            assert ENTRIES_MAX / 2 < len(list((open_home / "broker" / "aside").iterdir())) <= len(forged)
            made = (*open_home.iterdir(), *(open_home / "broker").iterdir())
            ours = [path for path in made if path.name not in ("elsewhere", "pipe")]
            assert [path for path in ours if path.stat().st_mode & 0o077] == []
            assert {"up.lock", "vault.lock", "nightkey.db-wal", "aside"} <= {path.name for path in ours}

        late = list(forged.values()).count(MessageFault.STALE)
        stand_firm(nightkey, tmp_path, forged=len(forged) - late + 2, late=late, look=look)
    (others,) = [each for each in nightkey.json("status", status=1)["problems"] if "somebody else" in each]
    assert ", 2 put there again" in others
