"""The first words of the command, by what a person is about to do."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Noun:
    """The first word of a command: `module` of `worker.cli` has what it does, as `attribute`, in one sentence
    `says`. `attribute` is a group of commands, or the function of a single one.
    """

    name: str
    module: str
    says: str
    attribute: str = "app"
    is_hidden: bool = False


SECTIONS: Final[dict[str, tuple[Noun, ...]]] = {
    "Begin": (
        Noun(
            name="init",
            module="init",
            attribute="init",
            says="Make a vault: data folder, keyring, database, settings file.",
        ),
        Noun(name="demo", module="demo", attribute="demo", says="Show a whole night for real."),
        Noun(
            name="help",
            module="help",
            attribute="show_help",
            says="Explain a topic, or a command: the words after it.",
        ),
        Noun(
            name="settings", module="settings", says="What can be set: what it means, and where it comes from."
        ),
    ),
    "What is kept": (
        Noun(name="item", module="item", says="The credentials: metadata in, metadata out, values only in."),
        Noun(name="policy", module="policy", says="How items are kept from lapsing, in words and by name."),
        Noun(name="owner", module="owner", says="Who is told, and where."),
        Noun(name="workflow", module="workflow", says="What uses the credentials."),
    ),
    "What there is to do": (
        Noun(name="status", module="status", attribute="status", says="How things stand, worst first."),
        Noun(name="scan", module="scan", attribute="scan", says="Say what is found and what would be done."),
        Noun(name="finding", module="finding", says="What was found, and what a person knows of."),
        Noun(
            name="calendar",
            module="calendar",
            attribute="calendar",
            says="Write coming expiries as an .ics calendar: one event for each.",
        ),
        Noun(
            name="pickup",
            module="pickup",
            attribute="pickup",
            says="Collect a generated key with the token from a notice.",
        ),
    ),
    "Nights and rotations": (
        Noun(name="night", module="night", says="One whole night, now, in this process; what nights did."),
        Noun(
            name="rotation", module="rotation", says="Replacements, step by step, and what you decide of them."
        ),
        Noun(name="run", module="run", says="What runs came to, and those of another engine."),
        Noun(name="notice", module="notice", says="What owners were told."),
    ),
    "What runs": (
        Noun(
            name="up",
            module="up",
            attribute="up",
            says="Run beat, workers and the server until SIGTERM or Ctrl-C.",
        ),
        Noun(
            name="serve",
            module="serve",
            attribute="serve",
            says="Give the console, and answer calls over HTTP.",
        ),
        Noun(
            name="doctor",
            module="doctor",
            attribute="doctor",
            says="Say of the installation what is well, and what is missing.",
        ),
        Noun(name="console", module="console", says="The pages for a browser, which `up` and `serve` give."),
    ),
    "Who may do what, and what was done": (
        Noun(
            name="principal",
            module="principal",
            says="People and services that may ask over HTTP: roles and tokens.",
        ),
        Noun(name="audit", module="audit", says="The record of every change."),
        Noun(name="key", module="key", says="Keys that callers present, and those that sign."),
    ),
    "Keep it safe": (
        Noun(
            name="backup",
            module="backup",
            attribute="backup",
            says="Write the vault into one file, and verify it.",
        ),
        Noun(
            name="restore",
            module="restore",
            attribute="restore",
            says="Put the vault back from a backup.",
        ),
        Noun(
            name="reconcile",
            module="reconcile",
            says="After a restore: which values are in use, asked of each target.",
        ),
        Noun(
            name="migrate-to",
            module="migrate_to",
            attribute="migrate_to",
            says="Move the vault to another database, such as PostgreSQL.",
        ),
        Noun(name="keyring", module="keyring", says="The file with the keys that the vault hangs on."),
    ),
    "What can be used": (
        Noun(name="node", module="kinds", attribute="nodes", says="What a workflow's nodes can be."),
        Noun(name="rotator", module="kinds", attribute="rotators", says="How a credential can be replaced."),
    ),
}
"""By their heading."""

OLD: Final = (
    # notices that went out name it so
    Noun(
        name="claim",
        module="pickup",
        attribute="pickup",
        says="Collect a generated key with the token from a notice.",
        is_hidden=True,
    ),
)
NOUNS: Final = {noun.name: noun for noun in (*(one for part in SECTIONS.values() for one in part), *OLD)}
