"""`nightkey settings`: what can be set, what holds, and what is wrong with it."""

from dataclasses import asdict
from typing import Annotated

import typer

from vaultcore.errors import ConfigurationError
from worker.cli.commands import Commands
from worker.cli.output import print_json, print_lines, print_table
from worker.cli.screen import AnswerForm, screen
from worker.cli.session import Json, open_settings, refuse_far
from worker.config import SETTINGS_FILE, find_origins, find_problems, unknown_variables
from worker.setting_facts import SettingFact, list_facts
from worker.wording.parts import say_count

app = Commands(no_args_is_help=True)


@app.command("list")
def list_settings(
    *,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only those that a variable or the file gives.")
    ] = False,
    json: Json = False,
) -> None:
    """List the settings: what holds, from where, and what it means.

    Passwords are not shown.
    """
    settings = open_settings()
    facts = [
        fact for fact in list_facts(settings, find_origins(settings)) if not changed or fact.source is not None
    ]
    if json:
        print_json([asdict(fact) for fact in facts])
        return
    if screen().form is AnswerForm.WIDE:
        print_table(
            [asdict(fact) for fact in facts], ("name", "value", "unit", "default", "source", "means"), ""
        )
    elif facts:
        print_lines(line for fact in facts for line in _tell(fact))
    else:
        print_lines([f"every setting has its default: change one in {settings.home / SETTINGS_FILE}"])


@app.command()
def check() -> None:
    """Say what is wrong with the settings, all of it; 2 if anything is."""
    refuse_far()
    wrong = [*find_problems(), *unknown_variables().values()]
    if wrong:
        raise ConfigurationError("\n".join(wrong))
    settings = open_settings()
    given = sum(source is not None for source in find_origins(settings).values())
    print_lines([f"the settings are right: {say_count(given, 'setting')} given, all others have their default"])


def _tell(fact: SettingFact) -> list[str]:
    """What holds, with where it comes from; beside a value that was given, the default whose place it takes."""
    held = f"{fact.value} {fact.unit}".rstrip() or "none"
    source = "default" if fact.source is None else f"{fact.source}; default: {fact.default or 'none'}"
    return [f"{fact.name} = {held}  ({source})", f"    {fact.means}"]
