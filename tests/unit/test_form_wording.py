"""What a refusal says to who fills in a form: what to choose there, and no option of the command line."""

import pytest

from vaultcore.model import Kind, Mode, Policy
from vaultcore.rules import check_policy
from worker.domain.commands import explain_missing_expiry
from worker.domain.consumption import unread_rotation
from worker.wording.forms import say_for_forms
from worker.wording.reasons import say


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        (
            "it needs one: add --rotator NAME, or choose --mode notify",
            "it needs one: choose a rotator, which an admin may, or leave it to its owner",
        ),
        ("say so by `nightkey x y --mode notify`", "say so by `nightkey x y --mode notify`"),
        ("add --strange thing", "add --strange thing"),
    ],
)
def test_options_are_choices_and_commands_stay(sentence: str, said: str) -> None:
    assert say_for_forms(sentence) == said


def test_what_forms_may_be_refused_names_no_option() -> None:
    with pytest.raises(Exception, match="--rotator") as refused:
        check_policy(Policy(mode=Mode.AUTO), name="prod-token", kind=Kind.SECRET)
    for sentence in (
        str(refused.value),
        explain_missing_expiry("prod-token"),
        say(unread_rotation("prod-token")),
    ):
        assert "--" not in "".join(say_for_forms(sentence).split("`")[::2])
