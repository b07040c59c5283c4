"""What a night waits for, with more rotations than are read at once."""

from tests.counting import count_on
from tests.services.staging import Staged, begin_by_hand
from worker.rows.rotations import walk_moving

MORE_THAN_A_PAGE = 101


def test_who_asks_whether_anything_moves_reads_one_page_and_who_asks_for_all_gets_each_once(
    staged: Staged,
) -> None:
    organisation, _ = staged
    services = organisation.services
    opened = []
    for number in range(MORE_THAN_A_PAGE):
        name = f"secret-{number}"
        organisation.add_item(name, f"a-value-of-{name}", days=3, mode="auto", rotator="random", lead="14d")
        opened.append(begin_by_hand(organisation, name))
    services.night.nights.begin(services.clock(), by_hand=True)
    with services.database.read() as connection:
        with count_on(services.database.engine) as counted:
            assert next(walk_moving(connection, begun_by=services.clock())).id == min(opened)
        assert len(counted.statements) == 1
        found = [one.id for one in walk_moving(connection, begun_by=services.clock())]
    assert found == sorted(opened)
    assert services.night.nights.close(services.clock()) is None
    services.rotation.rotations.drive(opened[0])
    with services.database.read() as connection:
        assert len(list(walk_moving(connection, begun_by=services.clock()))) == MORE_THAN_A_PAGE - 1
