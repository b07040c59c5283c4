"""How the demo speaks: one aligned line an event, in colour where a person watches."""

from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.text import Text


@dataclass(frozen=True, kw_only=True)
class Line:
    at: datetime
    what: str
    subject: str
    text: str
    bad: bool = False


class Stage:
    """Where the lines go. Plain text where nobody watches."""

    def __init__(self, began: datetime) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._began = began

    def title(self, text: str) -> None:
        self._console.print()
        self._console.print(Text(text, style="bold"))

    def say(self, text: str) -> None:
        self._console.print(Text(f"  {text}"))

    def show(self, line: Line) -> None:
        seconds = max((line.at - self._began).total_seconds(), 0)
        text = Text(f"  {seconds:5.1f}s  {line.what:<14} {line.subject:<29} ")
        text.append(line.text, style="red" if line.bad else "")
        self._console.print(text)

    def check(self, text: str, *, holds: bool) -> None:
        mark = Text("  ok    " if holds else "  WRONG ", style="green" if holds else "bold red")
        self._console.print(mark + Text(text))
