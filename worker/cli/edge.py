"""The edge of the command line: whatever a command raises becomes one line and an exit status."""

from vaultcore.errors import NightkeyError
from vaultcore.troubles import explain
from worker.cli.terminal import fit

_LINE_MAX = 1000


def check_words(words: list[str]) -> str | None:
    """What no command could use: an argument that is not text in the encoding of this system."""
    for number, word in enumerate(words, start=1):
        try:
            word.encode()
        except UnicodeEncodeError:
            shown = word.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            return f"argument {number} is not UTF-8 text: {fit(shown)[:100]}: write it in UTF-8"
    return None


def shorten(problem: str) -> str:
    """Each line of it as a person can read it: what it is about stands first, and what to do last."""
    return "\n".join(
        line if len(line) <= _LINE_MAX else f"{line[: _LINE_MAX - 300]} … {line[-290:]}"
        for line in problem.split("\n")
    )


def describe_error(error: BaseException) -> tuple[str, int]:
    """The line, and the exit status. Of what nobody foresaw only the type and the place are told: its text and
    its frames may quote anything.
    """
    if isinstance(error, NightkeyError):
        return str(error), error.exit_status
    trouble = explain(error)
    if trouble is not None:
        return str(trouble), trouble.exit_status
    if isinstance(error, EOFError):
        return "the input ended before it was answered: nothing was changed", 2
    if isinstance(error, RecursionError):
        return "what was given is nested too deeply", 2
    if isinstance(error, OSError):
        return f"{error.strerror or type(error).__name__} {_where(error)}", 1
    return f"unexpected {type(error).__name__} {_where(error)}: please report this", 1


def _where(error: BaseException) -> str:
    """File and line of the innermost frame of ours: enough to report it, nothing of what it held."""
    where = ""
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        if name.startswith(("worker.", "vaultcore.")):
            where = f"at {name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return where
