"""The table of who may do what, as a page."""

from vaultcore.access import MEANINGS, RULES, Action, Role

_INTRODUCTION = """\
# Who may do what

Principals are people and services that ask over HTTP. Each may do what its roles say, and nothing without one.
An owner may do it to items of theirs (with *theirs*), and sees no others. Whoever may read the keyring of the
machine needs no role: its own command line may do everything.

What is a principal's token is changed by who has `principal.manage`; its next key is collected by that
principal, or by who may do all that it may. A name that a workflow waits for is given to an item with
`item.redirect`. With mode `auto` in place of another nobody is asked any more: that takes `rotation.approve`,
or `item.redirect` where the policy has `four_eyes`.

This page is what `nightkey principal roles` prints.
"""
_COLUMNS = (Role.VIEWER, Role.OWNER, Role.OPERATOR, Role.APPROVER, Role.AUDITOR, Role.ADMIN)


def write_page() -> str:
    """Markdown: a row for each action, a column for each role."""
    head = ["action", "is to", *_COLUMNS]
    rows = [[f"`{action}`", MEANINGS[action], *(_mark(action, role) for role in _COLUMNS)] for action in Action]
    lines = [head, ["---"] * len(head), *rows]
    return _INTRODUCTION + "\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _mark(action: Action, role: Role) -> str:
    rule = RULES[action]
    if role in rule.anywhere:
        return "yes"
    return "theirs" if role is Role.OWNER and rule.theirs else ""
