"""A policy in words: all of it, nothing of a setting's value, and what nobody chose said to be so."""

from dataclasses import fields, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.model import Consumers, Kind, Mode, Policy
from worker.domain.policies import PolicyChange, change_policy
from worker.wording.policies import explain_policy
from worker.wording.times import say_exactly

DAY = timedelta(days=1)
CHOSEN = Policy(
    mode=Mode.APPROVE,
    stated=True,
    rotator="http",
    settings={"verify": {"url": "https://example.com/hidden"}},
    lifetime=30 * DAY,
    lead=7 * DAY,
    spread=2 * DAY,
    overlap=3 * DAY,
    idle_after=10 * DAY,
    thresholds=(14, 3),
    windows=("0 2 * * 1-5 for 4h in Europe/Zurich",),
    freezes=("0 0 24 12 * for 10d in UTC",),
    expiry_first=False,
    canary="auto",
    four_eyes=True,
    approval=2 * DAY,
    pickup=5 * DAY,
    urgent=True,
    propagation=timedelta(minutes=5),
    answers=7,
    renew=True,
    target="crm",
    consumers=Consumers.NONE,
    copy_of="vlt_1",
    named="monthly",
)


def words(policy: Policy, **more: object) -> dict[str, str]:
    return {one.part: one.says for one in explain_policy(policy, kind=Kind.SECRET, **more)}  # type: ignore[arg-type]


def test_each_part_is_said_and_nothing_is_left_out() -> None:
    parts = {field.name for field in fields(Policy)} - {"stated"}
    for policy in (Policy(), CHOSEN):
        said = words(policy)
        assert set(said) == parts
        assert not [text for text in said.values() if not text or text.endswith(".")]
    assert all(
        one != other for one, other in zip(words(Policy()).values(), words(CHOSEN).values(), strict=True)
    )


def test_what_nobody_chose_is_told_from_what_somebody_did() -> None:
    assert all(one.is_default for one in explain_policy(Policy(), kind=Kind.SECRET))
    assert not [one.part for one in explain_policy(CHOSEN, kind=Kind.SECRET) if one.is_default]
    short = change_policy(None, PolicyChange(parts={"lifetime": "9d"}))
    defaults = {one.part: one.is_default for one in explain_policy(short, kind=Kind.SECRET)}
    assert not defaults["lifetime"]
    assert not defaults["mode"]  # it is somebody's word by now
    assert defaults["lead"]  # which follows the lifetime


@pytest.mark.parametrize(
    ("policy", "part", "says"),
    [
        (
            Policy(),
            "mode",
            "nobody has said how it is replaced: its owner is told in time, and nothing else happens",
        ),
        (Policy(stated=True), "mode", "its owner replaces it, and is told in time"),
        (CHOSEN, "mode", "Nightkey replaces it as soon as somebody has approved that"),
        (CHOSEN, "settings", "its rotator has 1 setting: verify"),
        (CHOSEN, "lifetime", "a new value works for 30 days"),
        (CHOSEN, "spread", "it may be due up to 2 days earlier, so that not all are due at once"),
        (CHOSEN, "overlap", "the old value works on for 3 days at least, and until every workflow is proven"),
        (
            Policy(overlap=0 * DAY),
            "overlap",
            "the old value goes as soon as every workflow is proven on the new one",
        ),
        (
            CHOSEN,
            "windows",
            "it is replaced by itself only while this is open: 0 2 * * 1-5 for 4h in Europe/Zurich",
        ),
        (
            CHOSEN,
            "canary",
            "the workflow that runs soonest moves first, and the others after its first good run",
        ),
        (
            replace(CHOSEN, canary="sync"),
            "canary",
            "workflow sync moves first, and the others after its first good run",
        ),
        (CHOSEN, "thresholds", "its owner is told 14 and 3 days before it lapses"),
        (Policy(thresholds=(7,)), "thresholds", "its owner is told 7 days before it lapses"),
        (CHOSEN, "answers", "the other side is believed after 7 good answers in a row"),
    ],
)
def test_words(policy: Policy, part: str, says: str) -> None:
    assert words(policy)[part] == says


def test_a_value_that_lives_shorter_than_its_policy_counts_on_is_due_by_its_own_life() -> None:
    said = words(Policy(lifetime=90 * DAY, lead=30 * DAY), life=10 * DAY)
    assert said["lead"] == "it is due 30 days before it lapses, and 5 days before with the value of now"


def test_a_copy_is_told_by_the_name_of_its_original() -> None:
    said = words(CHOSEN, original="prod-crm-token")
    assert said["copy_of"] == "it is a copy of prod-crm-token: it is replaced with that, and by nobody else"


@given(st.dictionaries(st.sampled_from(["url", "find", "value"]), st.just("s3cr3t-text"), min_size=1))
def test_no_value_of_a_setting_is_said(settings: dict[str, str]) -> None:
    assert "s3cr3t-text" not in " ".join(words(replace(CHOSEN, settings=settings)).values())


@pytest.mark.parametrize(
    ("length", "says"),
    [
        (timedelta(0), "no time"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(hours=36), "1 day 12 hours"),
        (90 * DAY, "90 days"),
        (timedelta(days=1, seconds=61), "1 day 1 minute 1 second"),
    ],
)
def test_a_length_is_said_whole(length: timedelta, says: str) -> None:
    assert say_exactly(length) == says
