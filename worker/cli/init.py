"""`nightkey init`: makes the data folder, or what is missing of it."""

from worker.cli.output import print_json, print_lines
from worker.cli.reach import warn_of_unreached
from worker.cli.session import Json, open_services, open_settings
from worker.domain.commands import quote_word


def init(*, json: Json = False) -> None:
    """Make a vault: data folder, keyring, database, settings file. What is there already is left alone."""
    from worker.installation import initialise  # noqa: PLC0415  # --help must not wait for it

    settings = open_settings()
    made = initialise(settings)
    if json:
        print_json({"home": str(settings.home), "made": made})
    else:
        print_lines(f"made {thing}" for thing in made)
        print_lines([f"ready: {settings.home}" if made else f"everything is there already: {settings.home}"])
        if made:
            print_lines(["", *_tell_next(settings.operators)])
    warn_of_unreached(open_services())


def _tell_next(operators: str) -> list[str]:
    """The commands that a new vault waits for, as they can be typed."""
    commands = {
        f"nightkey owner route {quote_word(operators)} --route-file PATH": "where failed nights are told",
        "nightkey item import FILE --dry-run": "what a file with your credentials would bring in",
        "nightkey up": "the nights, and the console",
    }
    width = max(map(len, commands))
    return ["next:", *(f"  {command:<{width}}  {says}" for command, says in commands.items())]
