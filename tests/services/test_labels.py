"""Labels of items, as rows: given, changed, recorded, found, carried along and gone with the item."""

from collections.abc import Callable

import pytest
from sqlalchemy import func, select, text

from tests.services.conftest import Moves
from tests.services.test_tampered import behind
from vaultcore.access import machine
from vaultcore.errors import InvalidInputError, TamperedError
from vaultcore.labels import join_line, parse_labels
from vaultcore.model import LabelMatch
from vaultcore.secret import Secret
from vaultcore.tables import audit, item_labels, items
from worker.bootstrap import Services
from worker.domain.changes import ItemChange
from worker.domain.item_states import ItemFilter
from worker.domain.paging import PageRequest
from worker.domain.policies import PolicyChange
from worker.rows.item_lists import ListedItem
from worker.services.items.page_update import Updated

NAME = "prod-orders-webhook-secret"
ALL = machine("test")


def make(services: Services, *labels: str, name: str = NAME) -> str:
    item, _ = services.items.creation.create(
        name,
        read_value=lambda: Secret(f"value of {name}"),
        owners=["operators"],
        expires_at=None,
        policy=PolicyChange(),
        labels=parse_labels(labels),
        actor="test",
    )
    return item.id


def label(services: Services, name: str = NAME, **wanted: str | None) -> Updated:
    return services.items.updates.update(name, ItemChange(labels=wanted), actor="test")


def shown(services: Services, name: str = NAME) -> str:
    return join_line(services.items.views.view(name).item.labels)


def found(services: Services, key: str, value: str | None = None) -> list[str]:
    wanted = ItemFilter(labels={LabelMatch(key=key, value=value)})
    page = services.lookup.lists.page_items(wanted, PageRequest(), seen_by=ALL)
    return [one.item.name for one in page.rows if isinstance(one, ListedItem)]


def last_record(moves: Moves, name: str) -> dict[str, object]:
    row = moves.sql(select(audit.c.details).where(audit.c.action == name).order_by(audit.c.seq.desc()).limit(1))
    return dict(row[0][0])


@pytest.mark.both
def test_labels_are_given_changed_recorded_and_gone_with_their_item(services: Services, moves: Moves) -> None:
    item_id = make(services, "team=payments", "env=prod", "kept")
    assert shown(services) == "env=prod, kept, team=payments"
    assert last_record(moves, "item.create")["labels"] == ["env=prod", "kept", "team=payments"]
    before = services.lookup.views.get_item(NAME)

    updated = label(services, env="stage", team=None, region="")
    assert [(one.field, one.before, one.after) for one in updated.changes] == [
        ("labels.env", "prod", "stage"),
        ("labels.team", "payments", None),
        ("labels.region", None, ""),
    ]
    assert shown(services) == "env=stage, kept, region"
    details = last_record(moves, "item.update")
    assert (details["labels_set"], details["labels_taken"]) == (["env=stage", "region"], ["team"])
    after = services.lookup.views.get_item(NAME)
    assert (after.policy, after.due_at, after.version) == (before.policy, before.due_at, before.version)

    assert (found(services, "env", "stage"), found(services, "env", "prod"), found(services, "team")) == (
        [NAME], [], [],
    )  # fmt: skip
    services.items.updates.update(NAME, ItemChange(name="prod-renamed-secret"), actor="test")
    assert shown(services, "prod-renamed-secret") == "env=stage, kept, region"
    services.items.deletion.delete("prod-renamed-secret", actor="test")
    assert moves.sql(select(item_labels).where(item_labels.c.item_id == item_id)) == []


def test_what_changes_nothing_writes_nothing(services: Services, moves: Moves) -> None:
    make(services, "env=prod")
    rows = moves.sql(select(func.count()).select_from(audit))
    for wanted in ({"env": "prod"}, {"not-there": None}, {}):
        updated = services.items.updates.update(NAME, ItemChange(labels=wanted), actor="test")
        assert updated.changes == ()
    assert moves.sql(select(func.count()).select_from(audit)) == rows


def test_a_change_is_seen_before_and_refused_whole(services: Services, moves: Moves) -> None:
    make(services, "env=prod")
    preview = services.items.updates.preview(NAME, ItemChange(labels={"env": None, "team": "a"}))
    assert [one.field for one in preview] == ["labels.env", "labels.team"]
    assert shown(services) == "env=prod"
    for wanted in ({"a b": "x"}, {"env": "x" * 101}, {"env": "a\nb"}, {f"key-{n}": "" for n in range(32)}):
        with pytest.raises(InvalidInputError, match="label"):
            services.items.updates.update(
                NAME, ItemChange(name="prod-other-secret", labels=wanted), actor="test"
            )
    assert shown(services) == "env=prod"


def test_too_many_for_an_index_are_found_all_the_same(services: Services, moves: Moves) -> None:
    make(services, *(f"key-{n}={'x' * 90}" for n in range(7)), "env=prod")
    make(services, "env=prod", name="prod-short-secret")
    assert moves.sql(select(items.c.labelled).where(items.c.name == NAME))[0][0] is None
    assert found(services, "env", "prod") == [NAME, "prod-short-secret"]
    assert found(services, "key-6") == [NAME]
    label(services, **{f"key-{n}": None for n in range(7)})
    assert moves.sql(select(items.c.labelled).where(items.c.name == NAME))[0][0] == "\nenv=prod\n"


def test_an_item_that_came_in_without_a_value_is_labelled_too(services: Services, moves: Moves) -> None:
    moves.add(NAME)
    assert shown(services) == ""
    label(services, env="prod")
    moves.update(NAME, value="another-value")
    assert (shown(services), found(services, "env")) == ("env=prod", [NAME])


# Edited behind the vault's back

EDITS = {
    "another value": "UPDATE item_labels SET value = 'stage' WHERE item_id = :id",
    "another label": "INSERT INTO item_labels (item_id, key, value) VALUES (:id, 'tier', 'core')",
    "of another item": "UPDATE item_labels SET item_id = :id WHERE item_id <> :id",
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_forged_label_is_neither_shown_nor_signed_by_a_change(services: Services, edit: str) -> None:
    item_id = make(services, "env=prod")
    make(services, "tier=core", name="prod-other-secret")
    Moves.edited.add(id(services))
    with behind(services) as connection:
        connection.execute(text(EDITS[edit]), {"id": item_id})
    looks: list[Callable[[], object]] = [
        lambda: services.items.views.view(NAME),
        lambda: label(services, env=None),
        lambda: label(services, tier=None),
        lambda: services.items.updates.preview(NAME, ItemChange(labels={"team": "a"})),
    ]
    for look in looks:
        with pytest.raises(TamperedError, match="accept-row item_labels"):
            look()
    (wrong,) = services.upkeep.row_verification.check_all().wrong
    assert wrong.subject.startswith(f"item_labels {item_id} ")
    page = services.lookup.lists.page_items(ItemFilter(), PageRequest(), seen_by=ALL)
    assert sum(isinstance(one, TamperedError) for one in page.rows) >= 1
    assert services.lookup.views.get_item(NAME).name == NAME, (
        "what it is opened by, and replaced, is another matter"
    )
    services.items.updates.update(NAME, ItemChange(owners=[]), actor="test")


def test_a_forged_label_leads_no_change_to_an_item(services: Services) -> None:
    """By whichever column, and whatever the table of labels says."""
    item_id = make(services, "env=stage")
    make(services, "env=prod", name="prod-other-secret")
    Moves.edited.add(id(services))
    with behind(services) as connection:
        forged = "\nenv=prod\n"
        connection.execute(text("UPDATE items SET labelled = :l WHERE id = :id"), {"l": forged, "id": item_id})
        connection.execute(text("UPDATE item_labels SET value = 'prod' WHERE item_id = :id"), {"id": item_id})
    page = services.lookup.lists.page_items(
        ItemFilter(labels={LabelMatch(key="env", value="prod")}), PageRequest(), seen_by=ALL
    )
    assert [one.item.name for one in page.rows if isinstance(one, ListedItem)] == ["prod-other-secret"]
    assert sum(isinstance(one, TamperedError) for one in page.rows) == 1
