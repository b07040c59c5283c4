"""A value that is made here: it is stored whole, whatever another rotation or release has left there."""

import pytest
from sqlalchemy import update

from tests.services.staging import Staged, begin_by_hand, get_rotation
from worker.domain.saga import State
from worker.rows.tables import rotations

NAME = "random-password"


@pytest.fixture
def rotation_id(staged: Staged) -> str:
    organisation, _ = staged
    organisation.add_item(NAME, "a-first-value-of-it", days=3, mode="auto", rotator="random", lead="14d")
    return begin_by_hand(organisation, NAME)


def test_a_version_that_another_rotation_left_behind_does_not_stand_in_its_way(
    staged: Staged, rotation_id: str
) -> None:
    organisation, _ = staged
    services = organisation.services
    with services.database.write() as connection:
        item_id = services.vault.get(connection, NAME).id
        assert services.versions.begin_pending(connection, item_id, actor="another") == 2
    services.rotation.rotations.drive(rotation_id)
    rotation = get_rotation(organisation, rotation_id)
    assert (rotation.state, rotation.new_number) == (State.WATCHING, 3)
    assert organisation.stages(NAME) == ["previous", "destroyed", "current"]
    assert services.upkeep.anchors.verify().whole


def test_an_empty_version_of_the_release_before_is_filled(staged: Staged, rotation_id: str) -> None:
    organisation, _ = staged
    services = organisation.services
    with services.database.write() as connection:
        item_id = services.vault.get(connection, NAME).id
        number = services.versions.begin_pending(connection, item_id, actor=rotation_id)
        connection.execute(update(rotations).where(rotations.c.id == rotation_id).values(new_number=number))
    services.rotation.rotations.drive(rotation_id)
    rotation = get_rotation(organisation, rotation_id)
    assert (rotation.state, rotation.new_number) == (State.WATCHING, number)
    assert organisation.stages(NAME) == ["previous", "current"]
