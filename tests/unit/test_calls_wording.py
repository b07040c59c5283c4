"""What a refusal says to who calls over HTTP: fields and calls, never an option of the command line."""

import ast
from itertools import pairwise
from pathlib import Path

import pytest

from vaultcore.errors import InvalidInputError
from worker.domain.commands import explain_missing_expiry, replace_command
from worker.web.codes import CODES
from worker.wording.calls import CALLS, say_for_calls

ROOT = Path(__file__).parents[2]
BELOW = ("vaultcore", "worker/domain", "worker/services", "worker/rotators", "worker/wording", "worker/rows",
         "worker/workflows", "worker/signing", "worker/delivery")  # fmt: skip


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("--until must lie in the future", "until must lie in the future"),
        ("wait for that, or add --in-freeze", "wait for that, or add in_freeze"),
        (
            "it is not so: `nightkey rotation cancel rot_1`, then ask again",
            "it is not so: POST /nightkey/rotations/rot_1/cancel, then ask again",
        ),
        (
            f"give it by `{replace_command('My key', None)}`",
            "give it by PUT /workflows/vault/My%20key with secret, expires_at 90d",
        ),
        (
            "do it by `nightkey item update x --copy-of none --value`",
            "do it by PATCH /nightkey/policies/x/target with copy_of none, secret",
        ),
        (
            "see to it (nightkey rotation show rot_1), then ask",
            "see to it (GET /nightkey/rotations/rot_1), then ask",
        ),
        ("`nightkey restore --adopt` keeps it", "nightkey restore, on the vault's own machine keeps it"),
        ("ask again: `nightkey item rotate x`", "ask again: POST /nightkey/rotations with item x"),
        (
            "no workflow 'x': `nightkey workflow list` shows them all",
            "no workflow 'x': GET /workflows shows them all",
        ),
        ("a name with -- two dashes, and x--y", "a name with -- two dashes, and x--y"),
        ("there is no item '--secret'", "there is no item '--secret'"),
        ("a nightkey's `song", "a nightkey's `song"),
    ],
)
def test_a_command_is_said_as_the_call_that_does_the_same(sentence: str, said: str) -> None:
    assert say_for_calls(sentence) == said


def test_a_missing_expiry_is_asked_for_by_its_fields() -> None:
    said = say_for_calls(explain_missing_expiry("prod-a-token"))
    assert "add expires_at TIME" in said
    assert "expires_at null if it never does" in said


def sentences() -> set[str]:
    """All constants of text below the edge that name a command or an option."""
    found = set()
    for folder in BELOW:
        for file in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(file.read_text())
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return {one for one in found if " --" in one or one.startswith("--") or "nightkey " in one}


def test_no_sentence_below_the_edge_names_an_option_to_a_caller() -> None:
    texts = sentences()
    assert len(texts) > 50
    for text in texts:
        said = say_for_calls(text)
        assert not [word for word in said.split() if word.startswith("--") and word[2:3].isalpha()], text
        if text.count("`") % 2 == 0:  # a part of a sentence may hold half a command
            assert not [name for name in CALLS if f"nightkey {name} " in f"{said} "], text


def test_what_is_said_holds_what_was_said_of_the_caller() -> None:
    error = InvalidInputError("node x: field y: --unset a.b: there is no such setting; here there are url")
    assert say_for_calls(str(error)) == (
        "node x: field y: unset a.b: there is no such setting; here there are url"
    )


def test_every_code_of_a_refusal_is_explained_by_its_status():
    told = {pair for path in sorted((ROOT / "worker/web").rglob("*.py")) for pair in _find_refusals(path)}
    assert len(told) > 20
    assert [code for status, code in told if not CODES.get(code, "").startswith(f"{status}.")] == []


def _find_refusals(path):
    """A status of a refusal, with its code behind it: in calls, and in tables."""
    for node in ast.walk(ast.parse(path.read_text())):
        given = node.args if isinstance(node, ast.Call) else node.elts if isinstance(node, ast.Tuple) else []
        constants = [one.value if isinstance(one, ast.Constant) else None for one in given]
        for status, code in pairwise(constants):
            if isinstance(status, int) and 400 <= status < 600 and isinstance(code, str):
                yield status, code
