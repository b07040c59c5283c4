"""`nightkey item update`, `rotate` and `delete` of several items: shown, asked about once, done by pages."""

import json
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import Nightkey
from tests.furnished import NOW, furnish
from tests.terminals import at_terminal, press_ctrl_c
from worker.cli.items_at_once import ChangeOptions, Foreseen, carry_out
from worker.domain.at_once import PAGE, ItemOutcome
from worker.domain.changes import Change
from worker.services.bulk.items_at_once import StoppedError

COMMAND = [sys.executable, "-c", "from worker.cli.entry import main; main()"]
NUMBER = PAGE + 30
CHANGED = Change(field="owners", before=("a",), after=("b",))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Nightkey:
    """A vault of more items than are changed in one transaction."""
    nightkey = Nightkey(tmp_path_factory.mktemp("full") / "home")
    furnish(nightkey.home, NUMBER)
    return nightkey


def owned(nightkey: Nightkey, owner: str) -> int:
    return len(nightkey.json("item", "list", "--owner", owner))


def test_a_question_is_asked_once_and_heeded(full: Nightkey) -> None:
    words = ("item", "update", "*", "--where-owner", "team-00", "--label", "asked=yes")
    question = f"Change {NUMBER // 2} items? [y/N]: "
    for answer, status, changed in (("n", 3, 0), ("y", 0, NUMBER // 2)):
        with at_terminal(words, full.environment, columns=80, at=NOW) as terminal:
            terminal.wait_for(question)
            assert f"{NUMBER // 2} items change\n" in terminal.shown
            terminal.type(f"{answer}\n")
            assert terminal.end() == status
        assert len(full.json("item", "list", "--label", "asked")) == changed
        assert ("nothing was changed" in terminal.shown) is (answer == "n")


def test_pages_follow_each_other_and_the_same_command_finds_nothing_left(full: Nightkey) -> None:
    words = ("item", "update", "*", "--owner", "team-07", "--label", "paged=yes", "--yes")
    done = full(*words).stdout.splitlines()
    assert done[-1] == f"{NUMBER} items changed"
    assert owned(full, "team-07") == NUMBER
    assert full(*words).stdout == f"no item changes, {NUMBER} are so already\n"
    assert len(full.json("item", "list", "--owner", "team-07", "--limit", "5")) == 5


def test_ctrl_c_at_the_question_changes_nothing(full: Nightkey) -> None:
    environment = {**full.environment, "TERM": "xterm"}
    words = [*COMMAND, "item", "update", "*", "--label", "never=yes"]
    shown, status = press_ctrl_c(words, environment, after="[y/N]: ")
    assert (shown.splitlines()[-1], status) == ("nightkey: interrupted", 130)
    assert full.json("item", "list", "--label", "never") == []


def test_with_one_that_is_refused_none_is_changed_unless_it_is_left_out(nightkey: Nightkey) -> None:
    for name, lead in (("prod-short-token", "20d"), ("prod-long-token", "200d")):
        plan = ("--lifetime", lead, "--expires-at", "300d", "--value-file", "-")
        nightkey("item", "create", name, "--owner", "operators", *plan, value=f"value of {name}")
    words = ("item", "update", "prod-*-token", "--lead", "100d")

    refused = nightkey(*words, "--yes", status=3)

    assert "1 item changes, 1 is refused" in refused.stdout
    assert "nothing was changed, since 1 item cannot be, such as" in refused.stderr
    assert "--skip-refused changes the others" in refused.stderr
    tried = nightkey.json(*words, "--dry-run", status=1)
    assert [(one["name"], one["outcome"], one["done"]) for one in tried["items"]] == [
        ("prod-long-token", "changes", False),
        ("prod-short-token", "refused", False),
    ]
    done = nightkey.json(*words, "--skip-refused", "--yes", status=1)
    assert [(one["name"], one["done"]) for one in done["items"]] == [
        ("prod-long-token", True),
        ("prod-short-token", False),
    ]
    assert nightkey.json("item", "show", "prod-long-token")["lead"] == "100d"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "say which items are meant"),
        (("*", "--owner", "operators"), "there is no terminal to ask: add --yes"),
        (("*", "--name", "prod-other-token"), "--name goes with one item"),
        (("prod-crm-token", "--value-file", "-", "--dry-run"), "--value or --value-file goes with one item"),
        (("--where-state", "odd", "--no-owner"), "--where-state 'odd': use one of well"),
        (("--where-mode", "odd", "--no-owner"), "--where-mode 'odd': use one of auto"),
        (("odd-*", "--no-owner"), "no item is called like 'odd-*'"),
        (("prod-odd-token", "prod-crm-token", "--no-owner"), "prod-odd-token"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
def test_what_is_not_meant_so_is_told_and_nothing_changed(
    full: Nightkey, words: tuple[str, ...], says: str
) -> None:
    done = full("item", "update", *words, status=2, value="")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_none_that_is_like_that_is_no_failure(full: Nightkey) -> None:
    done = full("item", "update", "--where-label", "no-such-label", "--no-owner", "--yes")
    assert done.stdout == "no item is like that\n"


def test_what_comes_up_at_a_later_page_says_how_far_it_went(capsys: pytest.CaptureFixture[str]) -> None:
    foreseen = [ItemOutcome(id=f"{n}", name=f"item-{n}", changes=(CHANGED,)) for n in range(2 * PAGE + 1)]
    pages: list[int] = []

    def change(page: object) -> list[ItemOutcome]:
        assert isinstance(page, list)
        if len(pages) == 1:
            raise StoppedError("item-250 is not as you have seen it")
        pages.append(len(page))
        return page

    options = ChangeOptions(dry_run=False, yes=True, skips=False, json=False)
    with pytest.raises(Exception, match="item-250 is not as you have seen it") as caught:
        carry_out(Foreseen(outcomes=foreseen, unread=[], change=change), options)
    assert str(caught.value).endswith(
        "200 items changed, and 201 left as they were: the same command does the rest"
    )
    assert pages == [PAGE]
    assert "401 items change" in capsys.readouterr().out


# Deleted, and rotated


def test_many_are_deleted_by_pages_once_somebody_says_so(full: Nightkey, tmp_path: Path) -> None:
    listed = tmp_path / "listed.json"
    listed.write_text(json.dumps([{"name": f"temp-{place:03}-token"} for place in range(NUMBER)]))
    full("item", "import", str(listed), "--owner", "team-00", "--format", "sdx")
    words = ("item", "delete", "temp-*")
    question = f"Delete {NUMBER} items and every value of them? [y/N]: "
    for answer, status, left in (("n", 3, NUMBER), ("y", 0, 0)):
        with at_terminal(words, full.environment, columns=80, at=NOW) as terminal:
            terminal.wait_for(question)
            assert f"{NUMBER} items are deleted\n" in terminal.shown
            assert max(map(len, terminal.shown.splitlines())) <= 80
            terminal.type(f"{answer}\n")
            assert terminal.end() == status
        assert len(full.json("item", "list", "--name", "temp-")) == left


def test_what_uses_those_that_cannot_be_deleted_is_told(full: Nightkey) -> None:
    some, most = ("item", "delete", "*-service-21?-token"), ("item", "delete", "*-service-*", "--dry-run")
    told = full.json(*some, "--dry-run", status=1)["items"]
    shown = full(*some, "--yes", status=3)
    used = [one for one in told if one["used_by"]]
    assert len(told) == 10
    assert len(used) > 5
    assert all(one["used_by"][0] in one["why"] for one in used)
    assert all(f"{one['name']}  " in shown.stdout for one in told)
    assert "nothing was done, since 10 items cannot be" in shown.stderr
    assert "other reasons: -o json has them all" in full(*most, status=1).stdout
    assert len(full.json("item", "list", "--name", "-service-")) == NUMBER


def test_which_can_be_rotated_and_why_others_cannot_is_shown_before(nightkey: Nightkey) -> None:
    plan = ("--mode", "auto", "--rotator", "random", "--consumers", "none", "--lifetime", "90d")
    due = ("--owner", "operators", "--expires-at", "30d", "--value-file", "-")
    for name, more in (("prod-a-secret", plan), ("prod-b-secret", plan), ("prod-c-token", ())):
        nightkey("item", "create", name, *due, *more, value=f"value of {name}")
    words = ("item", "rotate", "prod-*")

    refused = nightkey(*words, "--yes", status=3)

    assert refused.stdout.splitlines()[0].split() == ["item", "what", "rotator", "target", "used", "by"]
    assert "2 items are replaced, 1 is refused" in refused.stdout
    assert "prod-c-token  is replaced by its owner alone (mode notify)" in refused.stdout
    assert "nothing was done, since 1 item cannot be, such as prod-c-token is" in refused.stderr
    assert nightkey.json("rotation", "list") == []
    asked = nightkey(*words, "--rotator", "random", status=2)
    assert "there is no terminal to ask: add --yes" in asked.stderr
    tried = nightkey.json(*words, "--dry-run", status=1)
    assert [(one["outcome"], one["done"]) for one in tried["items"]] == [
        ("replace", False),
        ("replace", False),
        ("refused", False),
    ]
    done = nightkey(*words, "--skip-refused", "--yes", status=1)
    assert done.stdout.splitlines()[-1] == "2 items are replaced, or on the way"
    assert {one["item"]: one["state"] for one in nightkey.json("rotation", "list")} == {
        "prod-a-secret": "watching",
        "prod-b-secret": "watching",
    }
    known = nightkey(*words, "--where-rotator", "random", "--compromised", "--yes")
    assert "The values are revoked as soon as there are new ones" in known.stderr
    assert {one["state"] for one in nightkey.json("rotation", "list")} == {"done"}
    assert {one["version"] for one in nightkey.json("item", "list", "--rotator", "random")} == {3}


def test_a_command_for_several_says_what_is_meant(nightkey: Nightkey) -> None:
    for verb in ("rotate", "delete"):
        assert "say which items are meant" in nightkey("item", verb, status=2).stderr
        assert "no item is called like 'odd-*'" in nightkey("item", verb, "odd-*", "--yes", status=2).stderr
        assert nightkey("item", verb, "--label", "odd", "--yes").stdout == "no item is like that\n"
