"""What a person can decide of a rotation, as buttons: each names its consequence, and asks once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from vaultcore.access import Action
from worker.domain.advice import Advice, Choice
from worker.domain.saga import State
from worker.services.rotation.views import RotationView
from worker.web.console.frame import Visitor
from worker.web.console.ways import item_path


@dataclass(frozen=True, kw_only=True)
class Button:
    """`path`: under the rotation's own. `words` name a workflow in braces. `asks_for`: the field that its form
    has, if any.
    """

    path: str
    action: Action
    words: str
    danger: bool = False
    asks_for: str = ""


BUTTONS: Final[Mapping[Choice, Button]] = {
    Choice.APPROVE: Button(path="approve", action=Action.ROTATION_APPROVE, words="Approve"),
    Choice.CANCEL: Button(
        path="cancel", action=Action.ROTATION_DECIDE, words="Cancel this rotation", danger=True
    ),
    Choice.RETRY: Button(path="retry", action=Action.ROTATION_DECIDE, words="Try again now"),
    Choice.ANOTHER: Button(
        path="another", action=Action.ROTATION_DECIDE, words="Make another new value", danger=True
    ),
    Choice.ROLL_BACK: Button(
        path="rollback", action=Action.ROTATION_DECIDE, words="Go back to the old value", danger=True
    ),
    Choice.ACCEPT: Button(
        path="accept", action=Action.ROTATION_ANSWER, words="Accept the new value", danger=True
    ),
    Choice.EXTEND: Button(
        path="extend", action=Action.ROTATION_DECIDE, words="Keep the old value until then", asks_for="until"
    ),
    Choice.PROVE: Button(path="prove", action=Action.ROTATION_DECIDE, words="Run {workflow} now"),
    Choice.WAIVE: Button(
        path="waive", action=Action.ROTATION_ANSWER, words="Answer for {workflow}", asks_for="why"
    ),
    Choice.WAIVE_CALLERS: Button(
        path="waive-callers", action=Action.ROTATION_ANSWER, words="Answer for its callers", asks_for="why"
    ),
    Choice.WAIVE_CHECK: Button(
        path="waive-check", action=Action.ROTATION_ANSWER, words="Vouch for the new value", asks_for="why"
    ),
}
"""Those that a page can do. What is left is a command, or a page of its own."""
REJECT: Final = Button(path="reject", action=Action.ROTATION_APPROVE, words="Reject", danger=True)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One that is open to who looks. `button` None: `link` leads to where it is done, or the command alone does
    it. `hurt`: the workflows that it concerns.
    """

    button: Button | None
    words: str
    does: str
    command: str
    workflow: str | None = None
    link: str = ""
    hurt: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Names its form's fields."""
        return f"{self.button.path if self.button else 'link'}-{self.workflow or ''}"


def find_decisions(view: RotationView, visitor: Visitor, owners: tuple[str, ...]) -> list[Offer]:
    """Safest first. `owners`: of the rotation's item."""
    open_to: dict[tuple[str, str], Offer] = {}
    for one in view.choices:
        for made in _show(one, view, visitor, owners):
            open_to.setdefault((made.words, made.command), made)
    return list(open_to.values())


def _show(advice: Advice, view: RotationView, visitor: Visitor, owners: tuple[str, ...]) -> Iterator[Offer]:
    does = advice.does[:1].upper() + advice.does[1:]
    button = BUTTONS.get(advice.choice)
    asked = view.rotation.state is State.REQUESTED
    if asked and advice.choice is Choice.CANCEL and visitor.may(REJECT.action, owners):
        button = REJECT
    if button is not None:
        if visitor.may(button.action, owners):
            yield Offer(
                button=button,
                words=button.words.format(workflow=advice.workflow),
                does=does,
                command=advice.command,
                workflow=advice.workflow,
                hurt=_name_consumers(view) if button.danger else (),
            )
    elif advice.choice is Choice.GIVE and visitor.may(Action.ITEM_REPLACE, owners):
        link = item_path(view.rotation.item)
        yield Offer(button=None, words="Give a value of your own", does=does, command=advice.command, link=link)
    elif advice.choice is Choice.REPORT and visitor.may(Action.RUN_REPORT):
        words = f"Report a run of {advice.workflow}"
        yield Offer(button=None, words=words, does=does, command=advice.command, workflow=advice.workflow)


def _name_consumers(view: RotationView) -> tuple[str, ...]:
    """Nobody uses what has not begun."""
    return tuple(one.name for one in view.consumer_proofs if one.consumer is not None)
