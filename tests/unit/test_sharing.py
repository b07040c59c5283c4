"""Which items that hold one credential are told of, and of each other how."""

from hypothesis import given
from hypothesis import strategies as st

from worker.domain.sharing import Sharer, find_shared
from worker.wording.reasons import say


def make(*families: int) -> list[Sharer]:
    """Items, the oldest first: the first of a family is the original, the others are its copies."""
    seen: set[int] = set()
    made = []
    for number, family in enumerate(families):
        name = f"o{family}" if family not in seen else f"c{number}"
        made.append(Sharer(item_id=name, item=name, copy_of=None if family not in seen else f"o{family}"))
        seen.add(family)
    return made


@given(st.lists(st.integers(0, 3), max_size=12))
def test_all_are_told_where_there_are_two_families_and_nobody_where_there_is_one(families: list[int]) -> None:
    sharers = make(*families)
    found = find_shared(sharers, None)
    told = [one.item for one in found]
    assert told == ([one.item for one in sharers] if len(set(families)) > 1 else [])
    for one, finding in zip(sharers, found, strict=False):
        assert f" {one.item}:" not in say(finding.detail)
        assert finding.command is not None
        assert "--copy-of" in finding.command


def test_the_younger_is_to_become_the_copy_whoever_reads_of_it() -> None:
    commands = {one.command for one in find_shared(make(0, 1), "db:5432 role orders")}
    assert commands == {"nightkey item update o1 --mode notify --copy-of o0"}


def test_of_many_some_are_named() -> None:
    found = find_shared(make(*range(50)), None)
    assert len(found) == 50
    assert say(found[10].detail).startswith("it has the same value as o0, o1, o2: ")


def test_the_original_that_is_named_is_no_copy_itself_and_what_is_to_become_one_has_none() -> None:
    copy = Sharer(item_id="c", item="copy", copy_of="o", original="gone elsewhere")
    single = Sharer(item_id="s", item="single", copy_of=None)
    for sharers in ([copy, single], [single, copy]):
        commands = {one.command for one in find_shared(sharers, None)}
        assert commands == {"nightkey item update single --mode notify --copy-of 'gone elsewhere'"}
