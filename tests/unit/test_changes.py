"""What a change of an item changed: all of it, and nothing else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from vaultcore.model import Item, Kind, Label, Mode, Policy
from worker.domain.changes import Change, compare
from worker.wording.changes import say_change

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SETTINGS = {"length": 48, "verify": {"url": "https://x", "headers": {}}, "install": [{"url": "https://y"}]}
ITEM = Item(
    id="vlt_1", name="prod-smtp", kind=Kind.SECRET, owners=("maria",),
    policy=Policy(mode=Mode.AUTO, stated=True, rotator="random", settings=SETTINGS, lifetime=90 * DAY),
    version=1, expires_at=NOW + 9 * DAY, due_at=NOW, hold_until=None, created_at=NOW, updated_at=NOW,
)  # fmt: skip


def changed(**fields):
    return {(one.field, one.before, one.after) for one in compare(ITEM, replace(ITEM, **fields))}


def policy(**fields):
    return replace(ITEM.policy, **fields)


def test_what_does_not_differ_is_not_told():
    assert changed() == set()
    assert changed(updated_at=NOW + DAY, due_at=None, hold_until=NOW) == set()


def test_each_field_that_differs_is_told_with_what_it_was():
    assert changed(name="prod-mail", version=2, expires_at=None, owners=("maria", "platform")) == {
        ("name", "prod-smtp", "prod-mail"),
        ("version", 1, 2),
        ("expires_at", NOW + 9 * DAY, None),
        ("owners", ("maria",), ("maria", "platform")),
    }
    assert changed(policy=policy(lead=3 * DAY, windows=("0 2 * * * for 4h in UTC",))) == {
        ("lead", 14 * DAY, 3 * DAY),
        ("windows", (), ("0 2 * * * for 4h in UTC",)),
    }


def test_settings_are_told_part_by_part():
    settings = {"verify": {"url": "https://z", "headers": {"A": "1"}}, "install": [{"url": "https://y"}, {}]}
    found = compare(ITEM, replace(ITEM, policy=policy(settings=settings)))
    assert {one.field: (one.before, one.after) for one in found} == {
        "settings.length": (48, None),
        "settings.verify.url": ("https://x", "https://z"),
        "settings.verify.headers": ({}, None),
        "settings.verify.headers.A": (None, "1"),
        "settings.install.1": (None, {}),
    }


def test_labels_are_told_one_by_one():
    now = (Label(key="env", value="stage"), Label(key="new_at", value=""))
    was = replace(ITEM, labels=(Label(key="env", value="prod"), Label(key="team", value="a")))
    found = compare(was, replace(was, labels=now))
    assert {one.field: (one.before, one.after) for one in found} == {
        "labels.env": ("prod", "stage"),
        "labels.team": ("a", None),
        "labels.new_at": (None, ""),
    }
    assert {say_change(one) for one in found} == {
        "label env: prod -> stage",
        "label team: a -> none",
        "label new_at: none -> ''",
    }


def test_they_come_in_the_order_of_an_item():
    found = compare(ITEM, replace(ITEM, owners=(), policy=policy(rotator="http", settings={"a": 1})))
    assert [one.field for one in found][:3] == ["owners", "rotator", "settings.length"]
    assert found[0] == Change(field="owners", before=("maria",), after=())
