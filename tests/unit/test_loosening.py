"""Whose word is done without by a change of a plan, and what that takes."""

import pytest

from vaultcore.access import Action
from vaultcore.model import Mode, Policy
from worker.domain.loosening import find_loosened

APPROVES, REDIRECTS = Action.ROTATION_APPROVE, Action.ITEM_REDIRECT


@pytest.mark.parametrize(
    ("before", "after", "takes"),
    [
        ({"mode": Mode.APPROVE}, {"mode": Mode.AUTO}, APPROVES),
        ({"mode": Mode.NOTIFY}, {"mode": Mode.AUTO}, APPROVES),
        ({"mode": Mode.APPROVE, "four_eyes": True}, {"mode": Mode.AUTO, "four_eyes": True}, REDIRECTS),
        ({"mode": Mode.NOTIFY}, {"mode": Mode.AUTO, "four_eyes": True}, REDIRECTS),
        ({"mode": Mode.NOTIFY, "stated": False}, {"mode": Mode.AUTO}, None),
        ({"mode": Mode.AUTO}, {"mode": Mode.AUTO}, None),
        ({"mode": Mode.AUTO}, {"mode": Mode.APPROVE}, None),
        ({"mode": Mode.APPROVE}, {"mode": Mode.NOTIFY}, None),
        ({"mode": Mode.NOTIFY}, {"mode": Mode.NOTIFY, "stated": False}, APPROVES),
        ({"mode": Mode.APPROVE, "four_eyes": True}, {"mode": Mode.NOTIFY, "stated": False}, REDIRECTS),
        ({"mode": Mode.NOTIFY, "stated": False}, {"mode": Mode.NOTIFY, "stated": False}, None),
    ],
)
def test_what_it_takes_to_ask_nobody_any_more(before, after, takes):
    stated = {"stated": True}
    assert find_loosened(Policy(**stated | before), Policy(**stated | after)) == takes
