"""A policy from what somebody wrote: each part by its name. What the command line adds is in `test_inputs`."""

import copy
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.errors import InvalidInputError
from vaultcore.model import Kind, Mode, Policy
from vaultcore.rows import policy_from_json, policy_to_json
from vaultcore.rules import check_policy, show_duration
from worker.domain.policies import PolicyChange, build_policy, change_policy

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BASE = Policy(mode=Mode.AUTO, stated=True, rotator="http", lifetime=60 * DAY, lead=7 * DAY, overlap=2 * DAY)
PARTS = {field.name for field in fields(Policy)} - {"stated", "named"}


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("mode", "approve", Mode.APPROVE),
        ("rotator", "random", "random"),
        ("settings", {"url": "https://x", "body": {"a": 1}}, {"url": "https://x", "body": {"a": 1}}),
        ("settings", {}, {}),
        ("lifetime", "30d", 30 * DAY),
        ("lead", "5d12h", 5.5 * DAY),
        ("spread", "2d", 2 * DAY),
        ("spread", "0s", timedelta(0)),
        ("overlap", "0s", timedelta(0)),
        ("idle_after", "26w", 182 * DAY),
        ("thresholds", [7, 30, 1, 7], (30, 7, 1)),
        ("thresholds", [0], (0,)),
        (
            "windows",
            ["0  2 * * mon-fri for 240m in Europe/Zurich", "0 9 * * * for 1h"],
            ("0 2 * * MON-FRI for 4h in Europe/Zurich", "0 9 * * * for 1h in UTC"),
        ),
        ("windows", [], ()),
        ("freezes", ["0 0 20 12 * for 14d in Europe/Zurich"], ("0 0 20 12 * for 14d in Europe/Zurich",)),
        ("freezes", [], ()),
        ("expiry_first", False, False),
        ("canary", "auto", "auto"),
        ("canary", None, None),
        ("canary", "x" * 200, "x" * 200),
        ("four_eyes", True, True),
        ("approval", "3d", 3 * DAY),
        ("pickup", "3d", 3 * DAY),
        ("propagation", "2m", HOUR / 30),
        ("answers", 1, 1),
        ("renew", True, True),
        ("target", "crm.example.com", "crm.example.com"),
        ("target", None, None),
    ],
)
def test_each_part_is_read_and_leaves_the_others(name, given, expected):
    policy = build_policy(BASE, {name: given})

    assert getattr(policy, name) == expected
    assert type(getattr(policy, name)) is type(expected)
    for other in PARTS - {name}:
        assert getattr(policy, other) == getattr(BASE, other)


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("mode", "always", "mode 'always' does not exist: choose auto, approve or notify"),
        ("mode", None, "mode 'None' does not exist"),
        ("rotator", 5, "rotator is the name of one"),
        ("rotator", ["http"], "rotator is the name of one"),
        ("settings", "url=https://x", "settings is an object"),
        ("settings", None, "settings is an object"),
        *(
            (name, given, f"{name} is true or false")
            for name in ("expiry_first", "four_eyes")
            for given in (1, "no")
        ),
        *(
            (name, given, f"{name} is a list of texts")
            for name in ("windows", "freezes")
            for given in ("0 2 * * * for 4h", [5], None, {"a": 1})
        ),
        ("windows", ["always"], "'always'"),
        ("freezes", ["0 2 * * * for 4h in Mars"], "'Mars' is not a time zone"),
        *(
            (name, given, f"{name} is a name of 1 to 200 printable characters")
            for name in ("canary", "target")
            for given in ("", "x" * 201, 5, ["auto"], False)
        ),
        *(
            ("thresholds", given, "thresholds is a list of whole days before expiry")
            for given in (7, [], ["7"], [1.5], [True], None, (7,))
        ),
        *(
            ("answers", given, "answers is a whole number of good answers in a row, 1 to 20")
            for given in (0, 21, -1, "3", 1.5, True)
        ),
        *(
            (name, given, f"'{given}' is not a duration")
            for name in (
                "lifetime",
                "lead",
                "spread",
                "overlap",
                "idle_after",
                "approval",
                "pickup",
                "propagation",
            )
            for given in ("soon", 90, -1, None, "")
            if given is not None or name not in ("lifetime", "spread")
        ),
    ],
)
def test_a_part_that_cannot_be_meant_is_refused_on_one_line(name, given, says):
    with pytest.raises(InvalidInputError) as refusal:
        build_policy(BASE, {name: given})

    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"colour": 1}, "colour"),
        ({"mode": "auto", "zeal": 1, "colour": 1}, "colour, zeal"),
        ({"stated": True}, "stated"),
    ],
)
def test_what_is_no_part_is_refused_with_all_that_are(given, names):
    with pytest.raises(InvalidInputError) as refusal:
        build_policy(BASE, given)

    said, _, parts = str(refusal.value).partition(" is not part of a policy: it has ")
    assert said == names
    assert set(parts.split(", ")) == PARTS


def test_whoever_states_any_part_states_a_policy():
    assert build_policy(None, {}) == Policy()
    assert build_policy(BASE, {}) is BASE
    assert build_policy(None, {"thresholds": [7]}).stated


# What follows from what was given


@pytest.mark.parametrize(
    ("base", "given", "expected"),
    [
        # A lead that nobody chose, or that fits no longer, follows the lifetime.
        (Policy(), {"lifetime": "9d"}, {"lead": 3 * DAY}),
        (Policy(lifetime=9 * DAY, lead=3 * DAY), {"lifetime": "365d"}, {"lead": 14 * DAY}),
        (BASE, {"lifetime": "6d"}, {"lead": 2 * DAY, "overlap": 2 * DAY}),
        (BASE, {"lifetime": "9d"}, {"lead": 7 * DAY}),
        (BASE, {"lifetime": "365d"}, {"lead": 7 * DAY}),
        (BASE, {"lifetime": "9d", "lead": "1d"}, {"lead": DAY, "overlap": DAY / 2}),
        # An overlap that was not given never exceeds the lead.
        (BASE, {"lead": "1d"}, {"overlap": DAY / 2}),
        (BASE, {"lead": "2d"}, {"overlap": 2 * DAY}),
        (BASE, {"lead": "1d", "overlap": "2d"}, {"overlap": 2 * DAY}),
        (BASE, {"lifetime": "3d"}, {"lead": DAY, "overlap": DAY / 2}),
        # What is replaced has a lifetime; what is only watched need not.
        (None, {"mode": "auto"}, {"lifetime": 90 * DAY, "lead": 14 * DAY}),
        (None, {"mode": "approve", "lead": "40d"}, {"lifetime": 120 * DAY, "lead": 40 * DAY}),
        (None, {"mode": "notify"}, {"lifetime": None}),
        (None, {"mode": "notify", "rotator": "http"}, {"lifetime": None}),
        (BASE, {"mode": "notify"}, {"lifetime": 60 * DAY, "rotator": "http"}),
    ],
)
def test_what_was_not_given_follows_what_was(base, given, expected):
    policy = build_policy(base, given)

    assert {name: getattr(policy, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("base", "given", "rotator"),
    [
        (None, {"mode": "auto"}, "random"),
        (None, {"mode": "approve"}, "random"),
        (None, {"mode": "notify"}, None),
        (None, {"lead": "7d"}, None),
        (None, {"mode": "auto", "rotator": "http"}, "http"),
        (None, {"mode": "auto", "rotator": None}, None),
        (BASE, {"mode": "approve"}, "http"),
    ],
)
def test_the_default_rotator_is_for_who_wants_replacement_and_names_none(base, given, rotator):
    assert build_policy(base, given, default_rotator="random").rotator == rotator


# Settings, part by part

SETTINGS = {
    "length": 48,
    "verify": {"url": "https://x", "headers": {"A": "1"}},
    "install": [{"data": {"url": "https://y"}}],
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"assigned": {"length": "20"}}, SETTINGS | {"length": "20"}),
        ({"assigned": {"verify": {"url": "https://z"}}},
         SETTINGS | {"verify": {"url": "https://z", "headers": {"A": "1"}}}),
        ({"assigned": {"verify": {"headers": {"B": "2"}}}},
         SETTINGS | {"verify": {"url": "https://x", "headers": {"A": "1", "B": "2"}}}),
        ({"assigned": {"install": {"0": {"data": {"url": "https://z"}}}}},
         SETTINGS | {"install": [{"data": {"url": "https://z"}}]}),
        ({"assigned": {"new": {"a": "1"}}}, SETTINGS | {"new": {"a": "1"}}),
        ({"unset": ("length",)}, {key: SETTINGS[key] for key in ("verify", "install")}),
        ({"unset": ("verify.headers.A",)}, SETTINGS | {"verify": {"url": "https://x", "headers": {}}}),
        ({"unset": ("verify",), "assigned": {"verify": {"url": "https://z"}}},
         SETTINGS | {"verify": {"url": "https://z"}}),
        ({"parts": {"settings": {"a": 1, "b": {"c": 2}}}}, {"a": 1, "b": {"c": 2}}),
        ({"parts": {"settings": {"a": 1, "b": {"c": 2}}}, "assigned": {"b": {"d": "3"}}, "unset": ("a",)},
         {"b": {"c": 2, "d": "3"}}),
        ({"parts": {"mode": "approve"}}, SETTINGS),
    ],
)  # fmt: skip
def test_of_settings_only_what_is_named_changes(change, expected):
    base = replace(BASE, settings=SETTINGS)
    before = copy.deepcopy(SETTINGS)
    assert change_policy(base, PolicyChange(**change)).settings == expected
    assert before == SETTINGS


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"unset": ("lenght",)},
            "--unset lenght: there is no such setting; here there are install, length, verify",
        ),
        (
            {"unset": ("verify.uri",)},
            "--unset verify.uri: there is no such setting; here there are headers, url",
        ),
        ({"unset": ("length.a",)}, "--unset length.a: there is no such setting"),
        (
            {"unset": ("length", "length")},
            "--unset length: there is no such setting; here there are install, verify",
        ),
        ({"unset": ("",)}, "there is no such setting"),
        (
            {"assigned": {"install": {"1": {"x": "y"}}}},
            "--set install.1: install is a list of 1, so name one",
        ),
        ({"assigned": {"install": {"data": "y"}}}, "--set install.data: install is a list of 1"),
    ],
)
def test_a_setting_that_is_not_there_cannot_be_changed_or_taken_away(change, says):
    with pytest.raises(InvalidInputError) as refusal:
        change_policy(replace(BASE, settings=SETTINGS), PolicyChange(**change))

    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


days = st.integers(1, 4000).map(lambda number: show_duration(number * DAY))


@given(
    st.sampled_from([None, BASE]),
    st.fixed_dictionaries(
        {"mode": st.sampled_from(["auto", "approve"])}, optional={"lifetime": days, "idle_after": days}
    ),
)
def test_defaults_never_contradict_what_was_given(base, given):
    check_policy(build_policy(base, given, default_rotator="random"), name="prod-smtp", kind=Kind.SECRET)


def test_settings_that_share_parts_without_end_are_refused_before_they_are_walked_through():
    shared = ["x"] * 5_000
    many: list[dict[str, Any]] = [{"a": [shared] * 5_000}, {"a": [[]] * 10_001}, {"a": [{}] * 10_001}]
    for settings in many:
        with pytest.raises(InvalidInputError, match="settings have more than 10000 parts"):
            build_policy(BASE, {"settings": settings})
    build_policy(BASE, {"settings": {"a": ["x"] * 9_900}})


@pytest.mark.parametrize(
    "change",
    [
        PolicyChange(parts={"n" * 60_000: 1}),
        PolicyChange(parts={f"name-{number}": 1 for number in range(5_000)}),
        PolicyChange(parts={"two\nlines\x1b[31m": 1}),
        PolicyChange(parts={"settings": {"n" * 60_000: object()}}),
        PolicyChange(parts={"settings": {"two\nlines": object()}}),
        PolicyChange(parts={"settings": {"n" * 60_000: 1}}, unset=("m" * 60_000,)),
        PolicyChange(parts={"settings": {"two\nlines": 1}}, unset=("two\rlines",)),
        PolicyChange(parts={"settings": {"a": [1]}}, assigned={"a": {"n" * 60_000: 1}}),
        PolicyChange(parts={"settings": {"n" * 60_000: [1]}}, assigned={"n" * 60_000: {"b": 1}}),
    ],
)
def test_what_is_said_of_a_name_is_one_line_of_a_length_that_can_be_read(change):
    with pytest.raises(InvalidInputError) as refusal:
        change_policy(BASE, change)
    assert len(str(refusal.value)) < 1_500
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    ("former", "now", "text", "value"),
    [
        ("claim", "pickup", "3d", 3 * DAY),
        ("settle", "propagation", "1h", timedelta(hours=1)),
        ("counterpart", "target", "crm", "crm"),
    ],
)
def test_a_part_is_read_by_its_former_name_too(former: str, now: str, text: str, value: Any) -> None:
    policy = build_policy(None, {former: text})
    assert getattr(policy, now) == value
    assert build_policy(None, {now: text}) == policy
    with pytest.raises(InvalidInputError, match=f"{former} is called {now} now: give one of them"):
        build_policy(None, {former: text, now: text})


def test_a_policy_that_was_stored_under_former_names_is_read() -> None:
    policy = replace(BASE, pickup=3 * DAY, propagation=HOUR, target="crm")
    stored = policy_to_json(policy)
    for former, now in (("claim_seconds", "pickup_seconds"), ("settle_seconds", "propagation_seconds")):
        stored[former] = stored.pop(now)
    stored["counterpart"] = stored.pop("target")
    assert policy_from_json(stored) == policy


@pytest.mark.parametrize("name", ["lifetime", "spread"])
def test_a_length_that_there_may_be_none_of_is_taken_away(name):
    base = Policy(stated=True, lifetime=timedelta(days=60), spread=timedelta(days=3))

    assert getattr(build_policy(base, {name: None}), name) is None


@pytest.mark.parametrize("lifetime", ["10s", "100s", "1d1s"])
def test_what_follows_from_a_lifetime_is_whole_seconds_as_it_is_stored(lifetime):
    policy = build_policy(None, {"lifetime": lifetime})

    assert not policy.lead.microseconds
    assert not policy.overlap.microseconds


def test_a_whole_policy_keeps_nothing_of_what_was_there():
    base = Policy(stated=True, lifetime=timedelta(days=60), urgent=True, named="weekly")

    policy = change_policy(base, PolicyChange(parts={"lead": "3d"}, whole=True, named="monthly"))

    assert policy == Policy(stated=True, lead=timedelta(days=3), named="monthly")
    assert change_policy(base, PolicyChange(whole=True)) == Policy()
