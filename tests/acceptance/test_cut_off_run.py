"""A run whose process was killed in its middle keeps no old value for ever, where nights are all there is."""

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nightkey_demo.http_sink import HttpSink
from tests.acceptance.conftest import LOOPBACK, Nightkey
from tests.ways_out import LOOPBACK as PLACES
from vaultcore.secret import Secret
from worker.bootstrap import Services
from worker.config import load_settings
from worker.domain.policies import build_policy
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows import rotations as rotation_rows
from worker.wording.reasons import say_each

ITEM = "prod-ticketing-token"


class Clock:
    """The real time, turned on."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def workflow(url: str) -> str:
    """It calls the sink with the item, each hour."""
    headers = {"Authorization": f"Bearer {{{{ vault.{ITEM} }}}}"}
    call = {"componentId": "webhook", "method": "POST", "url": f"{url}/use", "headers": headers}
    return json.dumps(
        {
            "name": "sync",
            "schedule_type": "interval",
            "schedule_value": "1 hour",
            "nodes": [
                {"id": "start", "type": "trigger", "data": {"componentId": "schedule_trigger"}},
                {"id": "call", "type": "action", "data": call},
            ],
            "edges": [{"id": "e1", "source": "start", "target": "call"}],
        }
    )


def night(services: Services) -> Rotation:
    services.night.inline_night.run_night(lambda _: None)
    with services.database.read() as connection:
        (rotation,) = rotation_rows.list_rotations(connection)
    return rotation


def test_nights_alone_end_a_run_that_was_killed_and_retire_what_it_held(
    nightkey: Nightkey, tmp_path: Path
) -> None:
    clock = Clock()
    services = Services(load_settings(nightkey.home, outbound_private=PLACES), clock)
    with HttpSink() as sink:
        with services.database.write() as connection:
            services.vault.create(
                connection,
                name=ITEM,
                value=Secret("the first value"),
                expires_at=clock() + timedelta(days=5),
                policy=build_policy(
                    None,
                    {"mode": "auto", "rotator": "random", "lifetime": "90d", "lead": "14d", "overlap": "1h"},
                ),
                actor="test",
            )
        services.runs.documents.apply([("sync.json", workflow(sink.url))], actor="test")
        sink.hang()
        with subprocess.Popen(
            [sys.executable, "-m", "worker.cli.main", "workflow", "run", "sync"],
            env=nightkey.environment | LOOPBACK,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            sink.wait_for(1, timeout=240)
            process.send_signal(signal.SIGKILL)
        assert night(services).state is State.WATCHING
        clock.ahead += timedelta(minutes=30)
        (reason,) = [why for why in say_each(night(services).waits_for) if why.startswith("a run of")]
        assert reason == "a run of sync that began with the old value"
        clock.ahead += timedelta(hours=2)
        rotation = night(services)
        assert rotation.state is State.DONE
        with services.database.read() as connection:
            stages = [v.stage.value for v in services.versions.of_item(connection, rotation.item_id)]
        assert stages == ["destroyed", "current"]
    services.close()
