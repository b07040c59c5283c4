"""The vault's rules: names, values, stage moves, policies, due times, staleness, hygiene, durations."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vaultcore.errors import InvalidInputError
from vaultcore.model import Consumers, Hygiene, Kind, Mode, Policy, ReferenceState, Stage, Staleness
from vaultcore.rules import (
    check_expiry,
    check_move,
    check_name,
    check_policy,
    check_value,
    check_written,
    default_lead,
    due_at,
    expiry_of_next,
    fraction_of,
    hygiene,
    is_generic,
    is_item_id,
    is_misfit,
    kind_of,
    lead_of,
    needs_consumer,
    overlap_of,
    parse_duration,
    rotate_from,
    show_duration,
    spread_of,
    staleness,
    thresholds_of,
)

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
ITEM_ID = "vlt_01jq8zk4m5n6p7q8r9s0t1v2w3"


# Names and values


@pytest.mark.parametrize(
    "name",
    [
        "abc",
        "x" * 50,
        "prod-ticketing-api-token",
        "api-key: intake",
        "two words",
        "Zürich mail",
        "銀行の鍵",
        ITEM_ID[:-1],
        ITEM_ID + "x",
        "wfk_looks-like-a-key",
    ],
)
def test_a_name_that_a_template_can_name_is_taken(name):
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "ab", "x" * 51, "x" * 5000])
def test_a_name_of_the_wrong_length_is_refused_with_its_length(name):
    with pytest.raises(InvalidInputError, match=rf"{len(name)} characters: use 3 to 50") as caught:
        check_name(name)

    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("character", ['"', "{", "}", "\\", "|", "%"])
def test_a_character_that_a_template_cannot_name_is_refused_on_one_line(character):
    with pytest.raises(InvalidInputError, match="cannot name") as caught:
        check_name(f"prod{character}smtp")

    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "name", ["My App's API Token", "prod-<b>x</b>-token", "stripe_production_key", "ab\u00a0c"]
)
def test_what_a_template_names_may_be_older_than_the_rules_of_today(name):
    assert check_written(name) == name


@pytest.mark.parametrize("name", ["ab", "x" * 51, " abc", "ab\ncd", 'ab"cd', "ab\ud800cd", "ab|cd"])
def test_what_no_release_ever_took_is_no_name_in_a_template(name):
    with pytest.raises(InvalidInputError):
        check_written(name)


def test_a_name_that_looks_like_an_id_is_refused():
    with pytest.raises(InvalidInputError, match="looks like an item's id"):
        check_name(ITEM_ID)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ITEM_ID, True),
        (ITEM_ID.upper(), False),
        (ITEM_ID + "\n", False),
        (ITEM_ID[:-1], False),
        (ITEM_ID[:-1] + "u", False),
        ("rot_" + ITEM_ID[4:], False),
        ("", False),
    ],
)
def test_an_item_id_is_known_by_its_form(text, expected):
    assert is_item_id(text) is expected


@pytest.mark.parametrize(
    ("name", "kind"),
    [("api-key: intake", Kind.API_KEY), ("my-api-key:x", Kind.SECRET), ("api-key", Kind.SECRET)],
)
def test_the_prefix_alone_makes_an_api_key(name, kind):
    assert kind_of(name) is kind


@pytest.mark.parametrize("value", ["x", "x" * 2000, "ключ\n", " ", "\x00"])
def test_text_within_the_limit_is_a_value(value):
    assert check_value(value, name="prod-smtp") == value


@pytest.mark.parametrize(
    ("value", "says"),
    [("", "is empty"), ("q" * 2001, "2001 characters: 2000 at most"), ("qqq\ud800", "lone surrogates")],
)
def test_a_bad_value_is_refused_by_its_items_name_and_never_shown(value, says):
    with pytest.raises(InvalidInputError, match=says) as caught:
        check_value(value, name="prod-smtp")

    assert "prod-smtp" in str(caught.value)
    assert "qqq" not in str(caught.value)
    assert caught.value.__context__ is None, "the codec's error would hold the value"


@pytest.mark.parametrize("expires_at", [None, NOW + timedelta(microseconds=1), NOW + 900 * DAY])
def test_no_expiry_or_a_future_one_is_taken(expires_at):
    check_expiry(expires_at, name="prod-smtp", now=NOW)


@pytest.mark.parametrize("expires_at", [NOW, NOW - SECOND, NOW - 900 * DAY])
def test_an_expiry_that_is_not_in_the_future_is_refused(expires_at):
    with pytest.raises(InvalidInputError, match=r"prod-smtp.*not in the future"):
        check_expiry(expires_at, name="prod-smtp", now=NOW)


# Stage moves

LEGAL = {
    (Stage.PENDING, Stage.CURRENT),
    (Stage.PENDING, Stage.DESTROYED),
    (Stage.CURRENT, Stage.PREVIOUS),
    (Stage.CURRENT, Stage.DESTROYED),
    (Stage.PREVIOUS, Stage.CURRENT),
    (Stage.PREVIOUS, Stage.DESTROYED),
}


@pytest.mark.parametrize("old", Stage)
@pytest.mark.parametrize("new", Stage)
def test_these_moves_exist_and_no_others(old, new):
    if (old, new) in LEGAL:
        check_move(old, new)
    else:
        with pytest.raises(InvalidInputError, match=f"from {old} to {new}"):
            check_move(old, new)


class VersionsOfOneItem(RuleBasedStateMachine):
    """One item's versions, moved only as `check_move` allows, by what the vault offers, in any order."""

    def __init__(self):
        super().__init__()
        self.stages = [Stage.CURRENT]
        self.destroyed = set()

    def having(self, stage):
        return [number for number, held in enumerate(self.stages) if held is stage]

    def move(self, number, new):
        check_move(self.stages[number], new)
        self.stages[number] = new
        if new is Stage.DESTROYED:
            self.destroyed.add(number)

    def make_current(self, number):
        for old in self.having(Stage.CURRENT):
            self.move(old, Stage.PREVIOUS)
        self.move(number, Stage.CURRENT)

    @precondition(lambda self: not self.having(Stage.PENDING))
    @rule()
    def create(self):
        self.stages.append(Stage.PENDING)

    @precondition(lambda self: self.having(Stage.PENDING))
    @rule()
    def activate(self):
        self.make_current(self.having(Stage.PENDING)[0])

    @precondition(lambda self: self.having(Stage.PREVIOUS))
    @rule(data=st.data())
    def reactivate(self, data):
        self.make_current(data.draw(st.sampled_from(self.having(Stage.PREVIOUS))))

    @rule(data=st.data())
    def destroy(self, data):
        number = data.draw(st.integers(0, len(self.stages) - 1))
        if number in self.destroyed:
            with pytest.raises(InvalidInputError):
                self.move(number, Stage.DESTROYED)
        else:
            self.move(number, Stage.DESTROYED)

    @rule(data=st.data(), new=st.sampled_from(Stage))
    def meddle(self, data, new):
        """A caller that asks for any move at all, were it not for the other rules of uniqueness."""
        number = data.draw(st.integers(0, len(self.stages) - 1))
        old = self.stages[number]
        if new is Stage.CURRENT and self.having(Stage.CURRENT):
            return
        try:
            self.move(number, new)
        except InvalidInputError:
            assert self.stages[number] is old
        else:
            assert old is not Stage.DESTROYED
            assert new is not Stage.PENDING
            assert old is not new

    @invariant()
    def at_most_one_is_current(self):
        assert len(self.having(Stage.CURRENT)) <= 1

    @invariant()
    def at_most_one_is_pending(self):
        assert len(self.having(Stage.PENDING)) <= 1

    @invariant()
    def what_was_destroyed_stays_destroyed(self):
        assert self.destroyed == set(self.having(Stage.DESTROYED))


TestVersionsOfOneItem = VersionsOfOneItem.TestCase


# Policies

GOOD = Policy(
    mode=Mode.AUTO,
    stated=True,
    rotator="random",
    lifetime=90 * DAY,
    lead=14 * DAY,
    overlap=DAY,
)


def change(**fields):
    return Policy(**{**vars(GOOD), **fields})


@pytest.mark.parametrize(
    ("policy", "kind"),
    [
        (Policy(), Kind.SECRET),
        (Policy(), Kind.API_KEY),
        (GOOD, Kind.SECRET),
        (change(lifetime=None), Kind.SECRET),
        (change(overlap=timedelta(0)), Kind.SECRET),
        (change(overlap=14 * DAY), Kind.SECRET),
        (change(lead=90 * DAY - SECOND), Kind.SECRET),
        (change(mode=Mode.APPROVE), Kind.SECRET),
        (change(thresholds=()), Kind.SECRET),
        (change(thresholds=(0,)), Kind.SECRET),
        (change(rotator="workflow-api-key"), Kind.API_KEY),
        (change(mode=Mode.NOTIFY, rotator=None, lead=2 * DAY, overlap=3 * DAY), Kind.SECRET),
    ],
)
def test_a_policy_that_can_be_kept_is_taken(policy, kind):
    check_policy(policy, name="prod-smtp", kind=kind)


@pytest.mark.parametrize(
    ("policy", "kind", "says"),
    [
        (change(lead=timedelta(0)), Kind.SECRET, "lead must be longer"),
        (change(lead=-DAY), Kind.SECRET, "lead must be longer"),
        (change(lifetime=timedelta(0)), Kind.SECRET, "lifetime must be longer"),
        (change(overlap=-SECOND), Kind.SECRET, "overlap, spread and propagation cannot be negative"),
        (change(spread=-SECOND), Kind.SECRET, "overlap, spread and propagation"),
        (change(propagation=-SECOND), Kind.SECRET, "overlap, spread and propagation"),
        (change(idle_after=timedelta(0)), Kind.SECRET, "idle_after must be longer"),
        (change(approval=timedelta(0)), Kind.SECRET, "approval must be longer"),
        (
            change(spread=76 * DAY),
            Kind.SECRET,
            r"lead \(14d\) with its spread \(76d\) is not shorter than the lifetime \(90d\)",
        ),
        (change(thresholds=(7, -1)), Kind.SECRET, "thresholds are days"),
        (change(lead=90 * DAY), Kind.SECRET, r"lead \(90d\) is not shorter than the lifetime \(90d\)"),
        (change(rotator=None), Kind.SECRET, "mode auto needs a rotator"),
        (change(mode=Mode.APPROVE, rotator=None), Kind.SECRET, "mode approve needs a rotator"),
        (change(overlap=14 * DAY + SECOND), Kind.SECRET, r"overlap \(14d1s\) is longer than the lead \(14d\)"),
        (change(rotator="workflow-api-key"), Kind.SECRET, "must start with api-key:"),
        (change(rotator="http"), Kind.API_KEY, "rotated by workflow-api-key alone"),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused_by_name_on_one_line(policy, kind, says):
    with pytest.raises(InvalidInputError, match=says) as caught:
        check_policy(policy, name="prod-smtp", kind=kind)

    assert str(caught.value).startswith("policy of prod-smtp: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lifetime", "lead"),
    [(None, 14 * DAY), (365 * DAY, 14 * DAY), (42 * DAY, 14 * DAY), (30 * DAY, 10 * DAY), (3 * DAY, DAY)],
)
def test_the_lead_nobody_gave_fits_the_lifetime(lifetime, lead):
    assert default_lead(lifetime) == lead


@given(st.timedeltas(min_value=SECOND, max_value=36500 * DAY))
def test_the_lead_nobody_gave_never_contradicts_the_lifetime(lifetime):
    check_policy(
        change(lifetime=lifetime, lead=default_lead(lifetime), overlap=timedelta(0)),
        name="prod-smtp",
        kind=Kind.SECRET,
    )


# Due times

EXPIRY = NOW + 100 * DAY


@pytest.mark.parametrize(
    ("policy", "days_before"),
    [
        (change(mode=Mode.AUTO, lead=14 * DAY, thresholds=(30,)), 14),
        (change(mode=Mode.AUTO, lead=40 * DAY, thresholds=(30,)), 40),
        (change(mode=Mode.APPROVE, lead=14 * DAY, thresholds=(3, 30)), 30),
        (change(mode=Mode.APPROVE, lead=40 * DAY, thresholds=(30,)), 40),
        (change(mode=Mode.APPROVE, lead=14 * DAY, thresholds=()), 14),
        (change(mode=Mode.NOTIFY, lead=40 * DAY, thresholds=(7, 30, 1)), 30),
        (change(mode=Mode.NOTIFY, lead=40 * DAY, thresholds=()), 0),
        (Policy(), 30),
    ],
)
def test_an_item_is_due_when_its_mode_first_has_something_to_do(policy, days_before):
    policy = replace(policy, spread=timedelta(0))

    assert due_at(policy, EXPIRY, item_id="vlt_1") == EXPIRY - days_before * DAY


@pytest.mark.parametrize(
    ("policy", "spread"),
    [
        (change(lead=14 * DAY, lifetime=90 * DAY), 3.5 * DAY),
        (change(lead=14 * DAY, lifetime=None), 3.5 * DAY),
        (change(lead=28 * DAY, lifetime=30 * DAY), 0.5 * DAY),
        (change(spread=DAY), DAY),
        (change(spread=timedelta(0)), timedelta(0)),
    ],
)
def test_the_spread_nobody_gave_is_a_quarter_of_the_lead_and_of_what_it_leaves(policy, spread):
    assert spread_of(policy) == spread


@given(st.lists(st.text(min_size=1), min_size=2, max_size=50, unique=True))
def test_each_item_is_due_at_its_own_moment_of_the_spread_and_always_at_the_same(item_ids):
    policy = change(lead=14 * DAY, spread=DAY)
    moments = [rotate_from(policy, EXPIRY, item_id=item_id) for item_id in item_ids]

    assert len(set(moments)) == len(moments)
    assert all(EXPIRY - 15 * DAY < moment <= EXPIRY - 14 * DAY for moment in moments)
    assert moments == [rotate_from(policy, EXPIRY, item_id=item_id) for item_id in item_ids]


def test_a_thousand_items_of_one_day_are_spread_evenly():
    policy = change(lead=14 * DAY, spread=DAY)
    hours = Counter(
        (rotate_from(policy, EXPIRY, item_id=f"vlt_{number}") - EXPIRY) // timedelta(hours=6)
        for number in range(1000)
    )

    assert len(hours) == 4
    assert all(200 <= number <= 300 for number in hours.values())


@pytest.mark.parametrize("mode", Mode)
def test_what_never_expires_is_never_due(mode):
    assert due_at(change(mode=mode), None, item_id="vlt_1") is None


# Staleness

FRESH = ReferenceState(
    active=True,
    item_id=ITEM_ID,
    expires_at=NOW + DAY,
    current=3,
    activated_at=NOW - 10 * DAY,
    overlap=DAY,
    pinned=None,
    last_version=3,
    idle_at=NOW + DAY,
)


def state(**fields):
    return ReferenceState(**{**vars(FRESH), **fields})


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (FRESH, ()),
        (state(last_version=None, idle_at=None, expires_at=None), ()),
        (state(item_id=None), (Staleness.MISSING,)),
        (state(expires_at=NOW), (Staleness.EXPIRED,)),
        (state(expires_at=NOW + SECOND), ()),
        (state(pinned=3), ()),
        (state(pinned=2), (Staleness.SUPERSEDED,)),
        (state(pinned=2, activated_at=NOW), (Staleness.SUPERSEDED,)),
        (state(pinned=3, last_version=2), ()),
        (state(last_version=2), (Staleness.SUPERSEDED,)),
        (state(last_version=2, activated_at=NOW - DAY), (Staleness.SUPERSEDED,)),
        (state(last_version=2, activated_at=NOW - DAY + SECOND), ()),
        (state(last_version=2, activated_at=None), (Staleness.SUPERSEDED,)),
        (state(idle_at=NOW), (Staleness.IDLE,)),
        (
            state(expires_at=NOW, pinned=2, idle_at=NOW),
            (Staleness.EXPIRED, Staleness.SUPERSEDED, Staleness.IDLE),
        ),
        (state(item_id=None, expires_at=NOW, pinned=2, idle_at=NOW), (Staleness.MISSING,)),
        (state(active=False, item_id=None), ()),
        (state(active=False, expires_at=NOW, pinned=2, idle_at=NOW), ()),
    ],
)
def test_a_reference_is_stale_in_these_ways(reference, expected):
    assert staleness(reference, NOW) == expected


@pytest.mark.parametrize(
    ("lifetime", "awaited", "expected"),
    [
        (None, None, None),
        (30 * DAY, None, NOW + 30 * DAY),
        (None, NOW + SECOND, NOW + SECOND),
        (30 * DAY, NOW + SECOND, NOW + SECOND),
        (None, NOW, None),
        (30 * DAY, NOW, NOW + 30 * DAY),
    ],
)
def test_a_next_value_lapses_when_its_metadata_said_or_after_the_lifetime(lifetime, awaited, expected):
    assert expiry_of_next(Policy(lifetime=lifetime), NOW, awaited=awaited) == expected


@pytest.mark.parametrize("mode", [Mode.NOTIFY, Mode.APPROVE, Mode.AUTO])
def test_what_waits_for_its_value_is_due_at_its_first_threshold_whatever_its_mode(mode):
    policy = Policy(mode=mode, rotator="random", thresholds=(9, 1))
    assert due_at(policy, NOW, item_id=ITEM_ID, waits=True) == NOW - 9 * DAY


# Hygiene


@pytest.mark.parametrize(
    ("lacks", "expected"),
    [
        ({}, ()),
        ({"owned": False}, (Hygiene.NO_OWNER,)),
        ({"expires": False}, (Hygiene.NO_EXPIRY,)),
        ({"policy": Policy()}, (Hygiene.NO_PLAN,)),
        ({"name": "prod-token"}, (Hygiene.GENERIC_NAME,)),
        ({"name": "api-key: ticketing", "kind": Kind.API_KEY}, ()),
        ({"name": "api-key: prod", "kind": Kind.API_KEY}, (Hygiene.GENERIC_NAME,)),
        ({"waits": True}, (Hygiene.NO_VALUE,)),
        ({"owned": False, "waits": True}, (Hygiene.NO_OWNER, Hygiene.NO_VALUE)),
        (
            {"owned": False, "expires": False, "policy": Policy(), "name": "token"},
            (Hygiene.NO_OWNER, Hygiene.NO_EXPIRY, Hygiene.NO_PLAN, Hygiene.GENERIC_NAME),
        ),
    ],
)
def test_what_an_item_lacks_is_said_in_a_fixed_order(lacks, expected):
    given_all = {"name": "prod-smtp-mail", "owned": True, "expires": True, "policy": GOOD, "kind": Kind.SECRET}

    assert hygiene(**{**given_all, **lacks}) == expected


@pytest.mark.parametrize(
    ("name", "generic"),
    [
        ("token", True),
        ("PROD_API_KEY", True),
        ("test-2", True),
        ("my.secret:value", True),
        ("123", True),
        ("---", True),
        ("prod-ticketing-api-token", False),
        ("smtp", False),
        ("prodtoken7", False),
        ("zürich-token", False),
        ("銀行-token", False),
    ],
)
def test_a_name_is_generic_when_no_word_says_what_it_opens(name, generic):
    assert is_generic(name) is generic


# Durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("10s", 10),
        ("30m", 1800),
        ("12h", 43_200),
        ("90d", 7_776_000),
        ("2w", 1_209_600),
        ("1d12h", 129_600),
        ("12h1d", 129_600),
        ("1s1s", 2),
        ("007d", 604_800),
        ("36600d", 36_600 * 86_400),
    ],
)
def test_a_duration_is_read(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["", "d", "10", "1.5d", "-1d", "+1d", "1 d", " 1d", "1d ", "1d\n", "1D", "1y", "1mo", "1d,2h", "1d2"],
)
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(InvalidInputError, match="is not a duration: write it like 90d"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["36601d", "999999999w", "36600d1s"])
def test_more_than_a_hundred_years_is_refused(text):
    with pytest.raises(InvalidInputError, match="hundred years"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0s"),
        (-DAY, "0s"),
        (DAY, "1d"),
        (14 * DAY, "14d"),
        (timedelta(hours=36, seconds=1), "1d12h1s"),
        (timedelta(minutes=90), "1h30m"),
        (timedelta(seconds=1, microseconds=999_999), "1s"),
    ],
)
def test_a_duration_is_shown(duration, text):
    assert show_duration(duration) == text


@given(st.integers(0, 36_600 * 86_400))
def test_a_duration_that_is_shown_is_read_back(seconds):
    assert parse_duration(show_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from("wdhms")), min_size=1, max_size=6))
def test_a_duration_is_the_sum_of_its_parts(parts):
    whole = parse_duration("".join(f"{number}{unit}" for number, unit in parts))

    assert whole == sum((parse_duration(f"{number}{unit}") for number, unit in parts), timedelta(0))


def test_units_grow():
    lengths = [parse_duration(f"1{unit}") for unit in "smhdw"]

    assert all(shorter < longer for shorter, longer in pairwise(lengths))


@pytest.mark.parametrize(
    ("policy", "kind", "expected"),
    [
        (Policy(mode=Mode.AUTO), Kind.SECRET, True),
        (Policy(mode=Mode.APPROVE), Kind.SECRET, True),
        (Policy(mode=Mode.NOTIFY), Kind.SECRET, False),
        (Policy(mode=Mode.AUTO), Kind.API_KEY, False),
        (Policy(mode=Mode.AUTO, consumers=Consumers.NONE), Kind.SECRET, False),
    ],
)
def test_what_we_replace_needs_somebody_here_who_reads_it(policy, kind, expected):
    assert needs_consumer(policy, kind) is expected


# What the other side really gives

lives = st.timedeltas(min_value=timedelta(minutes=1), max_value=400 * DAY)
leads = st.timedeltas(min_value=SECOND, max_value=60 * DAY)


@st.composite
def kept_policies(draw):
    """Policies that `check_policy` takes, of what is replaced."""
    lead = draw(leads)
    lifetime = draw(
        st.none() | st.timedeltas(min_value=SECOND, max_value=400 * DAY).map(lambda more: lead + more)
    )
    spread = draw(st.none() | st.timedeltas(timedelta(0), DAY if lifetime is None else (lifetime - lead) / 2))
    overlap = draw(st.timedeltas(timedelta(0), lead))
    return change(lifetime=lifetime, lead=lead, spread=spread, overlap=overlap)


@given(kept_policies(), lives, st.text())
def test_a_new_value_is_never_due_at_once_however_shortly_it_lives(policy, life, item_id):
    assert rotate_from(policy, NOW + life, item_id=item_id, life=life) > NOW
    assert due_at(policy, NOW + life, item_id=item_id, life=life) > NOW
    approved = replace(policy, mode=Mode.APPROVE)
    assert due_at(approved, NOW + life, item_id=item_id, life=life) > NOW


@given(kept_policies(), lives)
def test_the_overlap_is_over_before_the_next_value_is_due(policy, life):
    assert overlap_of(policy, life) <= min(policy.overlap, lead_of(policy, life))
    assert lead_of(policy, life) + spread_of(policy, life) < life
    assert all(timedelta(days=days) <= life / 2 for days in thresholds_of(policy, life))


@given(kept_policies(), st.text())
def test_what_lives_as_long_as_the_policy_says_has_the_policys_own_lead(policy, item_id):
    if policy.lifetime is not None:
        assert abs(lead_of(policy, policy.lifetime) - policy.lead) <= timedelta(milliseconds=1)
        assert not is_misfit(policy, policy.lifetime)
    assert lead_of(policy, None) == policy.lead
    assert rotate_from(policy, NOW, item_id=item_id) == NOW - policy.lead - spread_of(policy) * fraction_of(
        item_id
    )


@pytest.mark.parametrize(
    ("life", "lead", "overlap", "thresholds", "misfit"),
    [
        (None, 14 * DAY, DAY, (30, 14, 7, 3, 1, 0), False),
        (90 * DAY, 14 * DAY, DAY, (30, 14, 7, 3, 1, 0), False),
        (40 * DAY, 14 * DAY, DAY, (20, 14, 7, 3, 1, 0), False),
        (7 * DAY, 3.5 * DAY, DAY, (3, 1, 0), True),
        (DAY, DAY / 2, DAY / 2, (0,), True),
        (timedelta(hours=1), timedelta(minutes=30), timedelta(minutes=30), (0,), True),
    ],
)
def test_tokens_that_live_for_less_than_the_policy_counts_on(life, lead, overlap, thresholds, misfit):
    assert lead_of(GOOD, life) == lead
    assert overlap_of(GOOD, life) == overlap
    assert thresholds_of(GOOD, life) == thresholds
    assert is_misfit(GOOD, life) is misfit


@pytest.mark.parametrize(
    ("policy", "life", "misfit"),
    [
        (change(lifetime=7 * DAY, lead=2 * DAY), 7 * DAY - SECOND, False),
        (
            change(lifetime=timedelta(hours=2), lead=timedelta(hours=1), overlap=timedelta(0)),
            timedelta(hours=2),
            False,
        ),
        (change(lead=timedelta(hours=1), overlap=timedelta(0)), timedelta(hours=10), True),
        (change(lead=2 * DAY), 25 * DAY, False),
        (change(mode=Mode.APPROVE, lead=2 * DAY), 25 * DAY, True),
        (change(lifetime=None), 7 * DAY, True),
    ],
)
def test_settings_and_service_fit_or_not(policy, life, misfit):
    assert is_misfit(policy, life) is misfit
