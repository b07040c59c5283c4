"""By which id a candidate may be revoked: the whole table of what is told, used, listed and shown."""

from itertools import product

import pytest

from worker.rotators.http_owning import Own, Sign, decide_own
from worker.rotators.http_search import Found

NO_LIST = Found(ids=frozenset(), doubt="no `find` is set to look it up")
EMPTY = Found(ids=frozenset())
OTHERS = Found(ids=frozenset({"late"}))
LISTED = Found(ids=frozenset({"told", "late"}))
DOUBTED = Found(ids=frozenset({"told"}), doubt="only a part of the list was read")
PARTIAL = Found(ids=frozenset({"late"}), doubt="only a part of the list was read")
UNKNOWN = "unknown"


def sign(**changes):
    known = {"told": "told", "used": None, "refused": True, "shown": False, "asks_id": True, "by_id": True}
    return Sign(**(known | changes))


@pytest.mark.parametrize(
    ("changes", "found", "ids"),
    [
        # its use tells it
        ({"used": "told", "refused": False}, NO_LIST, {"told"}),
        ({"used": "another", "refused": False}, NO_LIST, {"another"}),
        ({"used": "another", "refused": False}, LISTED, {"another"}),
        ({"told": None, "used": "used", "refused": False}, EMPTY, {"used"}),
        # refused, and never shown to work: only its label tells
        ({}, LISTED, {"told"}),
        ({}, DOUBTED, {"told"}),
        ({}, NO_LIST, UNKNOWN),
        ({}, PARTIAL, UNKNOWN),
        ({}, EMPTY, UNKNOWN),
        ({}, OTHERS, UNKNOWN),
        ({"told": None}, NO_LIST, UNKNOWN),
        ({"told": None}, EMPTY, UNKNOWN),
        ({"told": None}, OTHERS, set()),  # what bears the label is swept, and it is among that
        ({"asks_id": False}, LISTED, {"told"}),
        ({"asks_id": False}, NO_LIST, UNKNOWN),
        ({"asks_id": False}, EMPTY, UNKNOWN),
        # refused, and it was shown to work: it is gone, or what was told is its own
        ({"shown": True}, LISTED, {"told"}),
        ({"shown": True}, NO_LIST, {"told"}),
        ({"shown": True}, PARTIAL, {"told"}),
        ({"shown": True}, EMPTY, set()),
        ({"shown": True, "told": None}, NO_LIST, set()),
        ({"shown": True, "asks_id": False}, NO_LIST, {"told"}),
        # accepted, and its use does not tell what it is called
        ({"asks_id": False, "refused": False}, LISTED, {"told"}),
        ({"asks_id": False, "refused": False}, NO_LIST, {"told"}),
        ({"asks_id": False, "refused": False}, PARTIAL, {"told"}),
        ({"asks_id": False, "refused": False}, EMPTY, UNKNOWN),  # the list knows better than issue
        ({"asks_id": False, "refused": False}, OTHERS, UNKNOWN),
        # by its value alone
        ({"by_id": False, "asks_id": False, "told": None}, NO_LIST, {None}),
        ({"by_id": False}, NO_LIST, {"told"}),
    ],
)
def test_what_may_be_revoked_as_the_candidate(changes, found, ids):
    own = decide_own(sign(**changes), found)
    assert (own.unknown is not None) == (ids == UNKNOWN)
    assert own.ids == (set() if ids == UNKNOWN else ids)


def test_no_id_is_revoked_that_neither_a_label_nor_a_good_answer_speaks_for():
    """Whatever else is so: all signs, before all lists."""
    lists = (NO_LIST, EMPTY, OTHERS, LISTED, DOUBTED, PARTIAL)
    flags = product((True, False), repeat=3)
    for (refused, shown, asks_id), found, told in product(list(flags), lists, ("told", None)):
        own: Own = decide_own(sign(told=told, refused=refused, shown=shown, asks_id=asks_id), found)
        spoken_for = "told" in found.ids or shown or not (asks_id or refused)
        contradicted = found.doubt is None and "told" not in found.ids
        assert "told" not in own.ids or (spoken_for and not contradicted)
        if not own.ids and told == "told":
            assert own.unknown is not None or (shown and refused)
