"""What a node gives may be no object: a SOAP service answers with a number. It is kept and shown as it is."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert

from tests.desk import BOTH, Desk, name_database, open_desk
from tests.integration.test_api import DOCUMENT
from vaultcore.access import Role
from vaultcore.damage import is_sound
from worker.rows.tables import run_logs

OUTPUTS = [1, 0, -3, 1.5, True, None, "1", "", [1], {"a": 1}]


@pytest.fixture(scope="module", params=BOTH)
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("bare"), name_database(request)) as opened:
        yield opened


def test_whatever_a_node_gave_is_shown_and_is_no_damage(desk: Desk) -> None:
    workflow = desk.ask(Role.ADMIN, "POST", "/workflows", DOCUMENT).body["id"]
    run = desk.ask(Role.OPERATOR, "POST", f"/workflows/{workflow}/execute", {}).body["id"]
    rows: list[dict[str, Any]] = [
        {
            "id": f"log_{number:026}",
            "run_id": run,
            "node_id": f"n{number}",
            "component_id": "soap",
            "status": "success",
            "output": output,
            "created_at": desk.services.clock(),
        }
        for number, output in enumerate(OUTPUTS)
    ]
    with desk.services.database.write() as connection:
        connection.execute(insert(run_logs), rows)
        dialect = connection.dialect.name
    with desk.services.database.read() as connection:
        sound = connection.execute(run_logs.select().where(is_sound(run_logs.c.output, dialect))).all()
    assert len(sound) == len(OUTPUTS)
    for place in (f"/workflows/runs/{run}", f"/workflows/{workflow}/logs"):
        shown = desk.ask(Role.VIEWER, "GET", place)
        assert shown.status == 200, shown
        logs = shown.body["logs"] if isinstance(shown.body, dict) else shown.body
        given = {log["node_id"]: log["output"] for log in logs}
        assert [given[f"n{number}"] for number in range(len(OUTPUTS))] == OUTPUTS
        assert given["n4"] is True
