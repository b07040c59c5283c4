"""Names that were exchanged behind the vault's back: whoever is looked up by one is not who was meant."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, select, update

from tests.organisation import Organisation
from tests.services.staging import TOKEN, Staged, add_route, stage, told
from tests.services.test_tampered import behind, night, tampered
from vaultcore.tables import items, owners
from worker.bootstrap import Services
from worker.rows.tables import heartbeats
from worker.signing.keys import generate


@pytest.fixture
def kept(tmp_path: Path, clock: Any) -> Iterator[Staged]:
    """An organisation to whose heartbeat somebody listens."""
    with stage(tmp_path, "", clock, heartbeat_url="http://127.0.0.1:9/beat") as made:
        yield made


def exchange(services: Services, table: Table, one: str, other: str) -> None:
    with behind(services) as connection:
        for before, after in ((one, "t"), (other, one), ("t", other)):
            connection.execute(update(table).where(table.c.name == before).values(name=after))


def paths(organisation: Organisation) -> set[str]:
    return {post.path for post in organisation.targets.sink.requests}


def test_whoever_was_given_the_name_of_the_operators_hears_nothing_of_theirs(kept: Staged, clock: Any) -> None:
    organisation, _ = kept
    services = organisation.services
    organisation.add_owner("mallory")
    organisation.add_item("prod-of-nobody", "value", owner=None, days=5, mode="notify")
    organisation.add_token(TOKEN, "support")
    organisation.add_workflow("ticket-sync", TOKEN)
    add_route(organisation, "operators")
    exchange(services, owners, "operators", "mallory")
    assert night(organisation) == "failed"
    assert "/mallory" not in paths(organisation)
    assert "/operators" not in paths(organisation), "whose own row is not ours either"
    with services.database.read() as connection:
        beats = connection.execute(select(heartbeats.c.beat, heartbeats.c.text)).all()
    assert {row.beat for row in beats} == {"start", "fail"}
    (text,) = (row.text for row in beats if row.beat == "fail")
    assert "nothing is sent to the operators" in text
    assert len(tampered(services)) == 2
    exchange(services, owners, "operators", "mallory")
    organisation.deliver()
    assert "/operators" in paths(organisation), "what waited goes to whom it was written"
    assert "/mallory" not in paths(organisation)
    assert told(organisation, "night-failed") != []


def test_the_key_set_of_a_name_is_that_of_nobody_else(kept: Staged) -> None:
    organisation, _ = kept
    services = organisation.services
    for name in ("prod-signing-key", "mallorys-key"):
        organisation.add_item(
            name, generate("EdDSA").expose(), days=60, mode="auto", rotator="signing-key", lifetime="90d",
            settings={"algorithm": "EdDSA"},
        )  # fmt: skip
    shown = services.runs.key_sets.published("prod-signing-key")
    assert shown is not None
    exchange(services, items, "prod-signing-key", "mallorys-key")
    assert services.runs.key_sets.published("prod-signing-key") is None
    assert services.runs.key_sets.published("mallorys-key") is None
    exchange(services, items, "prod-signing-key", "mallorys-key")
    assert services.runs.key_sets.published("prod-signing-key") == shown
