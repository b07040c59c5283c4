"""From files to what has to be done: nothing for what is so, all of it for what is not, and never more."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.policy_strategies import PARTS
from vaultcore.labels import change_labels
from vaultcore.model import UNCHANGED, Item, Kind, Label, NamedPolicy, Owner, Policy, Unchanged
from vaultcore.quiet import parse_quiet
from worker.domain.changes import ItemChange
from worker.domain.metadata import OwnerEntry, PolicyEntry
from worker.domain.metadata_plan import MetadataPlan, StepDeed, VaultState, plan_metadata
from worker.domain.metadata_reading import read_metadata
from worker.domain.metadata_writing import write_document
from worker.domain.policies import PolicyChange, change_policy, find_default_rotator
from worker.domain.policy_parts import lay_over

NOW = datetime(2026, 3, 1, 2, tzinfo=UTC)
NAMES = ("prod-crm-token", "prod-ftp-password", "api-key:orders")


def make_item(name: str = NAMES[0], policy: Policy | None = None, **more: Any) -> Item:
    usual: dict[str, Any] = {
        "owners": ("platform",),
        "version": 1,
        "expires_at": None,
        "due_at": None,
        "hold_until": None,
    }
    kind = Kind.API_KEY if name.startswith("api-key:") else Kind.SECRET
    dates: dict[str, Any] = {"created_at": NOW, "updated_at": NOW}
    return Item(id=f"vlt_{name}", name=name, kind=kind, policy=policy or Policy(), **usual | dates | more)


def make_owner(name: str = "platform", **more: Any) -> Owner:
    usual = {"zone": "UTC", "quiet": None, "deputy": None, "routes": ()}
    return Owner(id=f"own_{name}", name=name, created_at=NOW, **usual | more)


def make_policy(name: str, parts: Mapping[str, Any]) -> NamedPolicy:
    return NamedPolicy(id=f"pol_{name}", name=name, parts=parts, created_at=NOW, updated_at=NOW)


def make_state(*things: Owner | NamedPolicy | Item, tokens: tuple[str, ...] = ()) -> VaultState:
    def named(kind: type) -> dict[str, Any]:
        return {one.name: one for one in things if isinstance(one, kind)}

    return VaultState(owners=named(Owner), policies=named(NamedPolicy), items=named(Item), tokens=tokens)


def write(state: VaultState) -> Any:
    return write_document(
        owners=state.owners.values(), policies=state.policies.values(), items=state.items.values()
    )


def plan(document: Any, state: VaultState, *, prune: bool = False) -> MetadataPlan:
    wanted, faults = read_metadata(document)
    assert faults == []
    return plan_metadata(wanted, state, prune=prune)


def do(made: MetadataPlan, state: VaultState) -> VaultState:
    """The state after all steps."""
    owners, policies, items = dict(state.owners), dict(state.policies), dict(state.items)
    for step in made.steps:
        if step.deed is StepDeed.DELETE:
            (items if step.subject == "items" else policies).pop(step.name)
        elif step.deed is StepDeed.KEEP:
            continue
        elif isinstance(step.wanted, OwnerEntry):
            parts = {part: getattr(step.wanted, part) for part in ("zone", "quiet", "deputy")}
            given = {part: one for part, one in parts.items() if not isinstance(one, Unchanged)}
            owners[step.name] = replace(owners.get(step.name) or make_owner(step.name), **given)
        elif isinstance(step.wanted, PolicyEntry):
            policies[step.name] = make_policy(step.name, dict(step.wanted.parts))
        elif isinstance(step.wanted, ItemChange):
            change, item = step.wanted, items[step.name]
            rotator = find_default_rotator(item.name)
            items[step.name] = replace(
                item,
                owners=item.owners if change.owners is UNCHANGED else tuple(sorted(change.owners)),  # type: ignore[arg-type]
                labels=change_labels(item.labels, change.labels),
                policy=change_policy(item.policy, change.policy, default_rotator=rotator),
            )
    return VaultState(owners=owners, policies=policies, items=items, tokens=state.tokens)


@st.composite
def states(draw: st.DrawFn) -> VaultState:
    written = {name: draw(PARTS.filter(bool)) for name in draw(st.sets(st.sampled_from(["monthly", "weekly"])))}
    named = {name: one.parts for name, one in read_metadata({"policies": written})[0].policies.items()}
    owners = [make_owner(zone=draw(st.sampled_from(["UTC", "Europe/Zurich"]))), make_owner("others")]
    quiet = draw(st.sampled_from([None, parse_quiet("22:00-07:00")]))
    owners.append(make_owner("team", quiet=quiet, deputy=draw(st.sampled_from([None, "others"]))))
    items = []
    for name in NAMES:
        follows = draw(st.sampled_from([None, *sorted(named)]))
        own = draw(st.none() | PARTS)
        policy = Policy() if own is None else lay_over({}, own, item=name)
        if follows is not None:
            policy = replace(lay_over(named[follows], draw(PARTS), item=name), named=follows)
        labels = draw(st.dictionaries(st.sampled_from(["env", "team"]), st.text("ab=, ", max_size=3)))
        owned = draw(st.sets(st.sampled_from(["platform", "others"])))
        items.append(
            make_item(
                name,
                policy,
                owners=tuple(sorted(owned)),
                labels=change_labels((), labels),
            )
        )
    return make_state(*owners, *(make_policy(name, parts) for name, parts in named.items()), *items)


@settings(max_examples=40)
@given(states())
def test_what_was_written_changes_nothing(state: VaultState) -> None:
    assert plan(write(state), state, prune=True).of(*set(StepDeed) - {StepDeed.KEEP}) == []


@settings(max_examples=40)
@given(states(), states())
def test_another_vault_with_the_same_names_becomes_equal(here: VaultState, there: VaultState) -> None:
    document = write(here)

    after = do(plan(document, there, prune=True), there)

    assert write(after) == document
    assert {name: one.policy for name, one in after.items.items()} == {
        name: one.policy for name, one in here.items.items()
    }
    assert plan(document, after).of(StepDeed.CREATE, StepDeed.CHANGE, StepDeed.DELETE) == []


MONTHLY = make_policy("monthly", {"lifetime": "30d", "lead": "5d"})
FOLLOWS = replace(lay_over(MONTHLY.parts, {}, item=NAMES[0]), named="monthly")
OWN = replace(lay_over(MONTHLY.parts, {"lead": "9d"}, item=NAMES[1]), named="monthly")


def test_a_changed_policy_changes_who_follows_it_and_not_what_is_their_own() -> None:
    state = make_state(make_owner(), MONTHLY, make_item(NAMES[0], FOLLOWS), make_item(NAMES[1], OWN))

    made = plan({"policies": {"monthly": {"lifetime": "40d", "lead": "6d"}}}, state)

    told = [(one.name, [(c.field, c.before, c.after) for c in one.changes]) for one in made.steps]
    day = timedelta(days=1)
    assert told == [
        (NAMES[0], [("lifetime", 30 * day, 40 * day), ("lead", 5 * day, 6 * day)]),
        (NAMES[1], [("lifetime", 30 * day, 40 * day)]),
        ("monthly", [("lifetime", "30d", "40d"), ("lead", "5d", "6d")]),
    ]


def test_who_was_cut_off_before_the_policy_itself_is_changed_to_the_same_again() -> None:
    state = make_state(make_owner(), MONTHLY, make_item(NAMES[0], FOLLOWS), make_item(NAMES[1], OWN))
    document = {"policies": {"monthly": {"lifetime": "40d", "lead": "6d"}}}
    whole = plan(document, state)
    for cut in range(len(whole.steps)):
        half = do(replace(whole, steps=whole.steps[:cut]), state)

        assert do(plan(document, half), half).items == do(whole, state).items


def test_what_no_file_names_is_left_alone() -> None:
    state = make_state(make_owner(), MONTHLY, make_item(NAMES[0], FOLLOWS), make_item(NAMES[1], OWN))

    made = plan({"items": {NAMES[0]: {"owners": []}}}, state)

    assert [(one.name, one.deed) for one in made.steps] == [(NAMES[0], StepDeed.CHANGE)]
    assert [one.field for one in made.steps[0].changes] == ["owners"]


def test_prune_deletes_what_no_file_names_but_no_token_no_owner_and_no_policy_in_use() -> None:
    weekly = make_policy("weekly", {"lifetime": "7d", "lead": "1d"})
    token = make_item(NAMES[2], replace(FOLLOWS, named="monthly"))
    state = make_state(
        make_owner(), MONTHLY, weekly, make_item(NAMES[0]), make_item(NAMES[1]), token, tokens=(NAMES[2],)
    )

    made = plan({"items": {NAMES[0]: {}}}, state, prune=True)

    assert [one.name for one in made.of(StepDeed.DELETE)] == [NAMES[1], "weekly"]


def test_prune_of_files_that_name_no_item_is_refused() -> None:
    made = plan({"owners": {"platform": {}}}, make_state(make_owner(), make_item()), prune=True)

    assert [one.key for one in made.faults] == ["--prune"]


def test_an_item_that_is_not_there_is_told_and_not_made() -> None:
    made = plan({"items": {NAMES[0]: {"owners": ["platform"]}}}, make_state(make_owner()))

    assert [(one.name, one.deed) for one in made.steps] == [(NAMES[0], StepDeed.ADD)]


@pytest.mark.parametrize(
    ("document", "key", "says"),
    [
        ({"items": {"a-token": {"owners": ["nobody"]}}}, "items.a-token.owners", "no owner 'nobody'"),
        ({"items": {"a-token": {"policy": "yearly"}}}, "items.a-token.policy", "no policy 'yearly'"),
        ({"owners": {"new": {"deputy": "ghost"}}}, "owners.new.deputy", "no owner 'ghost'"),
        ({"owners": {"new": {"deputy": "new"}}}, "owners.new.deputy", "their own deputy"),
    ],
)
def test_a_name_that_nothing_has_is_a_fault(document: Any, key: str, says: str) -> None:
    faults = plan(document, make_state(make_owner())).faults

    assert [one.key for one in faults] == [key]
    assert says in faults[0].says


@pytest.mark.parametrize(
    ("document", "key", "says"),
    [
        ({"item": {}}, "item", "none of the tables"),
        ({"items": []}, "items", "a table"),
        ({"items": {"a-token": "x"}}, "items.a-token", "a table"),
        ({"items": {"a-token": {"value": "s3cr3t"}}}, "items.a-token.value", "no place in these files"),
        ({"items": {"a-token": {"expires_at": "2026"}}}, "items.a-token.expires_at", "belongs to a value"),
        ({"items": {"a-token": {"colour": 1}}}, "items.a-token.colour", "none of owners, labels, policy"),
        ({"items": {"a-token": {"owners": "x"}}}, "items.a-token.owners", "a list of names"),
        ({"items": {"a-token": {"labels": {"env": 1}}}}, "items.a-token.labels", "a table of texts"),
        ({"items": {"a-token": {"labels": {"é": "x"}}}}, "items.a-token.labels", "label key"),
        ({"items": {"a-token": {"policy": 5}}}, "items.a-token.policy", "the name of a policy"),
        ({"items": {"a-token": {"policy": {"lead": "x"}}}}, "items.a-token.policy.lead", "not a duration"),
        (
            {"items": {"a-token": {"policy": {"lede": "1d"}}}},
            "items.a-token.policy.lede",
            "not part of a policy",
        ),
        ({"items": {"a-token": {"policy": {"settings": "{"}}}}, "items.a-token.policy.settings", "not JSON"),
        ({"items": {"api-key:x": {"policy": {"mode": 1}}}}, 'items."api-key:x".policy.mode', "does not exist"),
        ({"policies": {"monthly": {}}}, "policies.monthly", "it says nothing"),
        ({"policies": {"monthly": {"copy_of": "x"}}}, "policies.monthly.copy_of", "its own matter"),
        ({"owners": {"team": {"routes": ["json://x"]}}}, "owners.team.routes", "routes are secret"),
        ({"owners": {"team": {"zone": "Mars"}}}, "owners.team.zone", "time zone"),
        ({"owners": {"team": {"quiet": "always"}}}, "owners.team.quiet", "not quiet hours"),
        ({"owners": {"team": {"deputy": 5}}}, "owners.team.deputy", "a text"),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_key(document: Any, key: str, says: str) -> None:
    _, faults = read_metadata(document)

    assert [one.key for one in faults] == [key]
    assert says in faults[0].says
    assert "s3cr3t" not in str(faults)


def test_every_fault_is_told_at_once() -> None:
    document = {"items": {"a-token": {"owners": 1, "policy": {"lead": "x", "mode": "y"}}, "b-token": 5}}

    assert len(read_metadata(document)[1]) == 4


def test_the_mark_is_another_one_when_something_of_the_plan_is() -> None:
    state = make_state(make_owner(), make_item(), make_item(NAMES[1]))
    document = {"items": {NAMES[0]: {"labels": {"env": "prod"}}, NAMES[1]: {}}}
    mark = plan(document, state).mark

    assert plan(document, state).mark == mark
    elsewhere = make_state(*state.owners.values(), make_item(), make_item(NAMES[1], owners=()))
    assert plan(document, elsewhere).mark == mark, "what it does not touch may change"
    touched = make_item(labels=(Label(key="env", value="stage"),))
    for item in (touched, make_item(updated_at=NOW + timedelta(seconds=1))):
        assert plan(document, make_state(make_owner(), item, make_item(NAMES[1]))).mark != mark
    other = {"items": {NAMES[0]: {"labels": {"env": "test"}}}}
    assert plan(other, state).mark != mark


def test_of_what_an_item_follows_only_what_is_its_own_is_written() -> None:
    state = make_state(make_owner(), MONTHLY, make_item(NAMES[0], FOLLOWS), make_item(NAMES[1], OWN))

    items = write(state)["items"]

    assert items[NAMES[0]]["policy"] == "monthly"
    assert items[NAMES[1]]["policy"] == {"named": "monthly", "lead": "9d"}
    assert write(make_state(make_item()))["items"][NAMES[0]] == {
        "owners": ["platform"],
        "labels": {},
        "policy": {},
    }
    assert isinstance(read_metadata({"items": {NAMES[0]: {}}})[0].items[NAMES[0]].plan, Unchanged)


def test_a_policy_stops_being_followed_where_a_file_says_parts_alone() -> None:
    state = make_state(make_owner(), MONTHLY, make_item(NAMES[0], FOLLOWS))

    made = plan({"items": {NAMES[0]: {"policy": {"lifetime": "30d", "lead": "5d"}}}}, state)

    assert [(c.field, c.before, c.after) for c in made.steps[0].changes] == [("named", "monthly", None)]
    change = made.steps[0].wanted
    assert isinstance(change, ItemChange)
    assert change.policy == PolicyChange(parts={"lifetime": "30d", "lead": "5d"}, whole=True)
