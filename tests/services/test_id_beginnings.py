"""The beginning of an id, in the place of the whole one."""

import pytest

from tests.conftest import Clock
from tests.many_items import fill, make_id, owner_of
from vaultcore.access import Action, Principal, Role, machine
from vaultcore.errors import AmbiguousError, NotFoundError
from worker.bootstrap import Services

pytestmark = pytest.mark.rules


NUMBER = 210
EVERYBODY = machine("test")
BEGINNING = "01k00002"
"""Of what has the numbers 200 to 209; of rotations 200 alone has one."""


@pytest.fixture
def filled(services: Services, clock: Clock) -> Services:
    fill(services.database, NUMBER, clock())
    return services


@pytest.mark.both
def test_a_beginning_that_is_one_things_alone_is_that_one(filled: Services) -> None:
    complete = filled.lookup.lists.complete_id
    assert complete(f"rot_{BEGINNING}", seen_by=EVERYBODY) == make_id("rot", 200)
    assert complete(f"vlt_{BEGINNING}07", seen_by=EVERYBODY) == make_id("vlt", 207)
    assert complete("fl_01k0000007", seen_by=EVERYBODY) == make_id("fl", 7)
    assert filled.lookup.views.get_item(f"vlt_{BEGINNING}07").id == make_id("vlt", 207)
    assert filled.lookup.views.view_workflow("fl_01k0000007").workflow.name == "workflow 7"


def test_one_of_several_is_refused_with_their_names(filled: Services) -> None:
    with pytest.raises(AmbiguousError) as refused:
        filled.lookup.lists.complete_id(f"vlt_{BEGINNING}", seen_by=EVERYBODY)
    assert refused.value.candidates == tuple(make_id("vlt", number) for number in range(200, 205))
    assert str(refused.value).startswith(f"vlt_{BEGINNING} is the beginning of {make_id('vlt', 200)}, ")
    assert str(refused.value).endswith("and others: write more of the one")
    with pytest.raises(AmbiguousError, match="rot_0 is the beginning of"):
        filled.lookup.lists.complete_id("rot_0", seen_by=EVERYBODY)
    with pytest.raises(AmbiguousError):
        filled.lookup.views.get_item(f"vlt_{BEGINNING}")


@pytest.mark.parametrize(
    "given", ["", "rot", "rot_", "rot_9", "rot_01k0000l", "prod-crm-token", "own_0", "vlt_0%"]
)
def test_what_begins_nothing_stays_as_it_is(filled: Services, given: str) -> None:
    assert filled.lookup.lists.complete_id(given, seen_by=EVERYBODY) == given


def test_a_whole_id_is_not_looked_for(filled: Services) -> None:
    assert filled.lookup.lists.complete_id(make_id("rot", 77), seen_by=EVERYBODY) == make_id("rot", 77)
    with pytest.raises(NotFoundError):
        filled.lookup.views.get_item("vlt_01k00099")


@pytest.mark.both
def test_nobody_learns_what_they_may_not_see(filled: Services) -> None:
    """What others have neither makes a beginning ambiguous nor completes it."""
    mine = 200
    name = f"team-{owner_of(mine, NUMBER):02d}"
    theirs = next(n for n in range(201, 210) if owner_of(n, NUMBER) != owner_of(mine, NUMBER))
    asks = Principal(actor="service:mine", roles=frozenset({Role.OWNER}), owners=frozenset({name}))
    complete = filled.lookup.lists.complete_id
    assert complete(f"vlt_{BEGINNING}", seen_by=asks) == make_id("vlt", mine)
    assert complete(f"rot_{BEGINNING}", seen_by=asks) == make_id("rot", mine)
    hidden = f"vlt_{BEGINNING}{theirs % 100:02d}"
    assert complete(hidden, seen_by=asks) == hidden
    with pytest.raises(NotFoundError, match="that you may see"):
        filled.access.principals.find_item(asks, f"vlt_{BEGINNING}", Action.ITEM_SEE)
