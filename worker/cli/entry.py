"""The command's way in: the rest is imported here, so that Ctrl-C has its one line from the first moment on."""

import sys


def main() -> None:
    try:
        from worker.cli.main import main as run  # noqa: PLC0415  # what takes the time is within the try

        run()
    except KeyboardInterrupt:
        print("nightkey: interrupted", file=sys.stderr)  # noqa: T201  # the error
        sys.exit(130)
