"""The options that say a policy, written once for every command that takes one."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from worker.cli.commands import Options, add_options
from worker.cli.inputs import read_policy_change

_OPTIONS: Options = {
    "lifetime": (
        Annotated[
            str | None, typer.Option("--lifetime", metavar="90d", help="How long each new version lives.")
        ],
        None,
    ),
    "mode": (Annotated[str | None, typer.Option("--mode", metavar="auto|approve|notify")], None),
    "rotator": (Annotated[str | None, typer.Option("--rotator", help="What makes the replacement.")], None),
    "settings": (
        Annotated[
            list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the rotator.")
        ],
        None,
    ),
    "lead": (
        Annotated[str | None, typer.Option("--lead", metavar="14d", help="How long before expiry it is due.")],
        None,
    ),
    "overlap": (
        Annotated[str | None, typer.Option("--overlap", metavar="1d", help="How long the old value works on.")],
        None,
    ),
    "windows": (
        Annotated[
            list[str] | None,
            typer.Option(
                "--window",
                metavar="'CRON for TIME [in ZONE]'",
                help="When it may be rotated by itself, such as '0 2 * * 1-5 for 4h in Europe/Zurich', in "
                "place of other windows; none: always.",
            ),
        ],
        None,
    ),
    "freezes": (
        Annotated[
            list[str] | None,
            typer.Option(
                "--freeze",
                metavar="'CRON for TIME [in ZONE]'",
                help="When nothing of it may change, in place of other freezes; none: never.",
            ),
        ],
        None,
    ),
    "canary": (
        Annotated[
            str | None,
            typer.Option("--canary", metavar="auto|WORKFLOW|none", help="The workflow that moves first."),
        ],
        None,
    ),
    "four_eyes": (
        Annotated[
            bool | None,
            typer.Option("--four-eyes/--no-four-eyes", help="Who asks for a rotation may not approve it."),
        ],
        None,
    ),
    "consumers": (
        Annotated[
            str | None,
            typer.Option(
                "--consumers",
                metavar="required|none",
                help="none: nothing here needs to read what replaces its value.",
            ),
        ],
        None,
    ),
    "copy_of": (
        Annotated[
            str | None,
            typer.Option(
                "--copy-of",
                metavar="ITEM|none",
                help="The item of which this one holds the same credential, so that only that one is replaced.",
            ),
        ],
        None,
    ),
    "file": (
        Annotated[
            Path | None,
            typer.Option(
                "--policy",
                metavar="FILE",
                help="A policy as TOML or JSON. What it names takes the place of what was there, its settings "
                "as a whole; what it does not name stays.",
            ),
        ],
        None,
    ),
}
_UNSET: Options = {
    "unset": (
        Annotated[
            list[str] | None,
            typer.Option(
                "--unset", metavar="KEY", help="Take a setting of the rotator away; KEY.PART for a part."
            ),
        ],
        None,
    )
}


def takes_policy(*, before: str, changes: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a command these options, before its parameter of that name; what they say comes as its `policy`.

    `changes`: of a policy that is there already, of which parts may be taken away.
    """

    def read(said: dict[str, Any]) -> dict[str, Any]:
        for name in ("settings", "unset"):
            said[name] = said.get(name) or ()
        return {"policy": read_policy_change(**said)}

    options = {**_OPTIONS, **(_UNSET if changes else {})}
    return lambda command: add_options(command, options, read, gives="policy", before=before)
