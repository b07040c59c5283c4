"""By which id a candidate may be revoked: the whole table of what is told, used, listed and shown."""

from itertools import product
from typing import Any

import pytest

from worker.rotators.http_owning import CandidateSign, Own, decide_own
from worker.rotators.http_search import Found

NO_LIST = Found(ids=frozenset(), doubt="no `find` is set to look it up")
EMPTY = Found(ids=frozenset())
OTHERS = Found(ids=frozenset({"late"}))
LISTED = Found(ids=frozenset({"told", "late"}))
DOUBTED = Found(ids=frozenset({"told"}), doubt="only a part of the list was read")
PARTIAL = Found(ids=frozenset({"late"}), doubt="only a part of the list was read")
THEIRS = Found(ids=frozenset(), others=frozenset({"told"}))
THEIRS_IN_PART = Found(ids=frozenset(), others=frozenset({"told"}), doubt="only a part of the list was read")
LISTS = (NO_LIST, EMPTY, OTHERS, LISTED, DOUBTED, PARTIAL, THEIRS, THEIRS_IN_PART)
UNKNOWN = "unknown"


def sign(**changes):
    known: dict[str, Any] = {
        "told": "told",
        "used": None,
        "refused": True,
        "shown": False,
        "asks_id": True,
        "by_id": True,
    }
    return CandidateSign(**(known | changes))


@pytest.mark.parametrize(
    ("changes", "found", "ids"),
    [
        # its use tells it
        ({"used": "told", "refused": False}, NO_LIST, {"told"}),
        ({"told": None, "used": "used", "refused": False}, EMPTY, {"used"}),
        ({"told": None, "used": "used", "refused": False}, NO_LIST, {"used"}),
        ({"used": "told", "refused": False}, EMPTY, {"told"}),  # some are slow to list
        # a list that has others for the label has it among them
        ({"told": None, "used": "used", "refused": False}, OTHERS, set()),
        ({"used": "told", "refused": False}, OTHERS, set()),
        ({"used": "told", "refused": False}, PARTIAL, {"told"}),
        # its use tells another id than issue: the list decides, or nobody
        ({"used": "another", "refused": False}, NO_LIST, UNKNOWN),
        ({"used": "another", "refused": False}, EMPTY, UNKNOWN),
        ({"used": "another", "refused": False}, OTHERS, UNKNOWN),
        ({"used": "another", "refused": False}, LISTED, {"told"}),
        ({"used": "another", "refused": False}, DOUBTED, {"told"}),
        ({"used": "late", "refused": False}, LISTED, {"told"}),
        ({"used": "late", "refused": False}, OTHERS, {"late"}),
        # what is listed without the label is never its own
        ({"used": "told", "refused": False}, THEIRS, UNKNOWN),
        ({"used": "another", "refused": False}, THEIRS, UNKNOWN),
        ({"told": None, "used": "told", "refused": False}, THEIRS, UNKNOWN),
        ({"told": None, "used": "told", "refused": False}, THEIRS_IN_PART, UNKNOWN),
        ({"shown": True}, THEIRS_IN_PART, UNKNOWN),
        ({"asks_id": False, "refused": False}, THEIRS_IN_PART, UNKNOWN),
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
    flags = product((True, False), repeat=3)
    for (refused, shown, asks_id), found, told in product(list(flags), LISTS, ("told", None)):
        own: Own = decide_own(sign(told=told, refused=refused, shown=shown, asks_id=asks_id), found)
        spoken_for = "told" in found.ids or shown or not (asks_id or refused)
        contradicted = found.doubt is None and "told" not in found.ids
        assert "told" not in own.ids or (spoken_for and not contradicted)
        if not own.ids and told == "told":
            assert own.unknown is not None or (shown and refused)


def test_no_id_is_revoked_that_is_listed_without_the_label_or_that_two_answers_contradict():
    for found, told, used in product(LISTS, ("told", "late", None), ("told", "late", "another")):
        own: Own = decide_own(sign(told=told, used=used, refused=False), found)
        assert not own.ids & found.others
        assert own.ids <= {told, used}
        assert own.ids <= found.ids or told in (None, used)
        assert own.used == used
