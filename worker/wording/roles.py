"""The table of who may do what, as a page."""

from typing import Final

from vaultcore.access import MEANINGS, RULES, Action, Role, machine, may

_INTRODUCTION = """\
# Who may do what

Principals are people and services that ask over HTTP. Each may do what its roles say, and nothing without one.
An owner may do it to items of theirs (with *theirs*), and sees no others. The last column is no role: it is the
command line of the vault's own machine, which whoever may read the keyring has.

What is a principal's token is changed by who has `principal.manage`; its next key is collected by that
principal, or by who may do all that it may. A name that a workflow waits for is given to an item with
`item.redirect`. With mode `auto` in place of another nobody is asked any more: that takes `rotation.approve`,
or `item.redirect` where the policy has `four_eyes`. Nobody makes an item their own by themselves, and so may
approve what an owner may: somebody else, or an admin, gives it to them.

This page is what `nightkey principal roles` prints.
"""
COLUMNS: Final = (Role.VIEWER, Role.OWNER, Role.OPERATOR, Role.APPROVER, Role.AUDITOR, Role.ADMIN)


_MACHINE: Final = "the machine's own command line"


def write_page() -> str:
    """Markdown: a row for each action, a column for each role, and one for who needs none."""
    head = ["action", "is to", *COLUMNS, _MACHINE]
    here = machine("")
    rows = [
        [
            f"`{action}`",
            MEANINGS[action],
            *(mark_role(action, role) for role in COLUMNS),
            "yes" if may(here, action) else "",
        ]
        for action in Action
    ]
    lines = [head, ["---"] * len(head), *rows]
    return _INTRODUCTION + "\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def mark_role(action: Action, role: Role) -> str:
    rule = RULES[action]
    if role in rule.anywhere:
        return "yes"
    return "theirs" if role is Role.OWNER and rule.theirs else ""
