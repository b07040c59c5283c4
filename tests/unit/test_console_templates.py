"""What the templates of the console must not do, since no page shows it."""

import re
from importlib.resources import files

import pytest

TEMPLATES = sorted(
    (one for one in (files("worker.web.console") / "templates").iterdir() if one.name.endswith(".html")),
    key=lambda one: one.name,
)
NAME_IN_COMMAND = re.compile(r"~ ([\w.]+\.(?:name|owner|item))(?!\|quote_word)\b(?!\|)(?!\))")


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda one: one.name)
def test_a_name_in_a_command_that_is_copied_is_quoted(template) -> None:
    """A name may hold blanks, and what a shell reads as more than a word."""
    commands = re.findall(r"parts\.command\((.*?)\) ?}}", template.read_text())
    bare = [one for command in commands for one in NAME_IN_COMMAND.findall(command)]
    assert bare == []


def test_the_templates_are_found() -> None:
    assert len(TEMPLATES) > 30
