"""An `up` at whose broker lies what is no message of ours: it is to do its work all the same."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.conftest import Nightkey
from tests.acceptance.running_up import apply_clockwork, ask, kill, run_up


def stand_firm(nightkey: Nightkey, folder: Path, *, forged: int, late: int, look: Callable[[], None]) -> None:
    """So many are there already, and so many of a day before. Each is set aside and counted, and told once; no
    worker ends by any of them, nor one that is begun anew; `look` looks while it works.
    """
    nightkey.settings |= {"NIGHTKEY_RING_SECONDS": "1", "NIGHTKEY_CONCURRENCY": "1"}
    runs = apply_clockwork(nightkey, folder)
    with run_up(nightkey) as up:
        up.wait_until(lambda: count_set_aside(nightkey) >= forged + late)
        worked = runs()
        up.wait_until(lambda: runs() > worked)
        assert "started again" not in up.said()
        look()
        (worker,) = up.children("worker")
        kill(worker)
        up.wait_until(lambda: bool(up.children("worker")) and up.children("worker") != [worker])
        worked = runs()
        up.wait_until(lambda: runs() > worked)
        assert up.said().count("started again") == 1
        assert up.stop() == 0
    assert count_set_aside(nightkey) == forged + late
    assert [notice["kind"] for notice in nightkey.json("notice", "list")] == ["messages-set-aside"] * 2
    problems = nightkey.json("status", status=1)["problems"]
    by_others, left_over = [each for each in problems if "at the broker" in each]
    assert by_others.startswith(f"{forged} messages of somebody else at the broker, the last ")
    assert left_over.startswith(f"{late} messages at the broker sent more than a day ago")
    assert "broker/aside" in by_others


def count_set_aside(nightkey: Nightkey) -> int:
    rows = ask(nightkey, "SELECT counts FROM sweeps WHERE job = 'messages'")
    return sum(sum(json.loads(counts).values()) for (counts,) in rows)
