"""Messages by template: Jinja over Markdown, one template per kind, any of which an organisation can replace.

A template extends `nightkey/layout.md` with two blocks, `subject` and `body`, or another of ours, such as
`nightkey/digest.md`, of which it changes one. What it is given is text and never markup: it is escaped as it
is put in, except by `code`.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    FunctionLoader,
    PrefixLoader,
    StrictUndefined,
    Template,
    TemplateError,
)
from jinja2.loaders import split_template_path
from jinja2.sandbox import ImmutableSandboxedEnvironment

from vaultcore.errors import ConfigurationError, NotFoundError
from worker.delivery.jinja_bounds import BoundedEnvironment, TemplateBoundError, bounded, measure, spend
from worker.domain.notice_pages import find_page
from worker.domain.notices import Letter, Message
from worker.domain.problems import Problem
from worker.domain.reasons import Reason
from worker.wording.problems import describe
from worker.wording.reasons import say

_OWN = "nightkey"
_BUILT_IN = resources.files("worker.delivery") / "templates"
_ESCAPED = re.compile(r"([\\`*_\[\]<>#~|!&])")
_BEGINS = re.compile(r"^(\d+(?=[.)])|(?=[-+=]))")
"""What would make a list or a heading of a line that begins with it."""
_BREAKS = re.compile(r"\s+")
_WITHOUT = r"[^\\`*_\[\]<>#~|!&\s]++"
_HARMLESS = re.compile(rf"(?![-+=]|\d+[.)]){_WITHOUT}(?: {_WITHOUT})*+")
"""Words, with nothing in them that is escaped, and one blank between them."""
_SUBJECT_MAX = 200
_KIND_MAX = 40
_FILE_MAX = 100_000
"""Bytes of a template of an organisation."""
_FILES_MAX = 1000
_PROBLEM_MAX = 300
_SHOWN = 12
_LAYOUT = "layout.md"
_END = "\x1e"
"""Between subject and body, in what a template renders; no text holds it."""


_AS_IS: Final = frozenset({str, int, bool, type(None), datetime})
"""What most data is, which is given to a template as it is."""
_Stats = tuple[tuple[str, int, int], ...]
"""Path, size and time of the last change of each file."""


class _Markdown(str):
    """Text that is markup on purpose."""

    __slots__ = ()


_FORMER: Final = {"claim": "pickup", "claim-reminder": "pickup-reminder"}
"""Kinds that had another name: a template of the organisation's may still have it."""


class Letters:
    """`folder`: where the organisation's own templates are; it need not be there. `console`: the address of the
    console, to whose pages messages lead; empty: to none.
    """

    def __init__(self, folder: Path, *, console: str = "") -> None:
        self._folder = folder
        self._console = console
        own = FunctionLoader(_read_built_in)
        self._built_in = _set_up(ImmutableSandboxedEnvironment, PrefixLoader({_OWN: own}), _escape)
        self._environment = _set_up(
            BoundedEnvironment,
            ChoiceLoader([_SmallFiles(folder), PrefixLoader({_OWN: own}), FunctionLoader(self._stand_in)]),
            _spend_and_escape,
        )
        self._given_up: dict[str, tuple[str | None, str]] = {}
        """Kinds whose template, as it was by this fingerprint, is not tried again, and why."""
        self._known: tuple[_Stats, str] | None = None

    def write(self, kind: str, data: Mapping[str, Any], *, zone: str) -> Letter:
        """The message of a kind, with times in the reader's zone.

        A template of the organisation that fails is passed over: no notice is lost for it, and the letter says
        why. One that cannot be read, or came to a limit, is not tried again until it is changed: a night may
        have a thousand notices.
        """
        try:
            message = self._write_own(kind, data, zone)
            return Letter(subject=message.subject, body=message.body)
        except Exception as error:  # noqa: BLE001  # their template may do whatever Jinja lets it
            problem = _say(error)
        message = self._write_ours(kind, data, zone)
        return Letter(subject=message.subject, body=message.body, passed_over=problem)

    def try_out(self, kind: str, data: Mapping[str, Any], *, zone: str) -> Message:
        """As `write`, but a template that fails is a `ConfigurationError` that says where."""
        problem = ""
        self._given_up.pop(kind, None)
        try:
            return self._write_own(kind, data, zone)
        except Exception as error:  # noqa: BLE001  # as above
            number = getattr(error, "lineno", None)
            line = f", line {number}" if number else ""
            problem = f"template {self._folder / kind}.md{line}: {_say(error)}"
        raise ConfigurationError(problem)

    def _write_own(self, kind: str, data: Mapping[str, Any], zone: str) -> Message:
        """By the organisation's template; by ours, which needs no bounds, where there is none of theirs."""
        if not (self._folder / f"{kind}.md").is_file():
            return self._write_ours(kind, data, zone)
        if kind in self._given_up:
            before, problem = self._given_up.pop(kind)
            if before == self.fingerprint(kind):
                self._given_up[kind] = before, problem
                raise TemplateBoundError(problem)
        try:
            with bounded():
                template = self._environment.get_template(f"{kind}.md")
        except Exception as error:
            self._given_up[kind] = self.fingerprint(kind), _say(error)
            raise
        try:
            with bounded():
                return self._fill(template, kind, data, zone)
        except TemplateBoundError as error:
            self._given_up[kind] = self.fingerprint(kind), _say(error)
            raise

    def _write_ours(self, kind: str, data: Mapping[str, Any], zone: str) -> Message:
        return self._fill(self._built_in.get_template(f"{_OWN}/{kind}.md"), kind, data, zone)

    def _fill(self, template: Template, kind: str, data: Mapping[str, Any], zone: str) -> Message:
        page = f"<{self._console}{find_page(kind, data)}>" if self._console else None
        return _write(template, data, zone, page=page)

    def fingerprint(self, kind: str) -> str | None:
        """Of the organisation's own template of a kind, and of what it may include; None: there is none."""
        try:
            return self._find_fingerprint() if (self._folder / f"{kind}.md").is_file() else None
        except OSError:  # taken away at this moment
            return None

    def _find_fingerprint(self) -> str:
        files = sorted(path for path in islice(self._folder.rglob("*"), _FILES_MAX) if path.is_file())
        stats = tuple(
            (str(file), found.st_size, found.st_mtime_ns) for file in files for found in [file.stat()]
        )
        if self._known is None or self._known[0] != stats:
            made = sha256()
            for file in files:
                with file.open("rb") as stream:
                    content = sha256(stream.read(_FILE_MAX + 1)).hexdigest()
                made.update(f"{file.relative_to(self._folder)}\0{content}\0".encode(errors="surrogateescape"))
            self._known = stats, made.hexdigest()[:_SHOWN]
        return self._known[1]

    def _stand_in(self, name: str) -> tuple[str, str | None, Callable[[], bool]] | None:
        """Ours, until there is one of the organisation's."""
        source = _read_built_in(name)
        return None if source is None else (source, None, lambda: not (self._folder / name).is_file())

    def kinds(self) -> dict[str, Path | None]:
        """Each kind of message, and the organisation's own template of it, if there is one."""
        found = {}
        for kind in sorted(Path(path.name).stem for path in _BUILT_IN.iterdir() if path.name != _LAYOUT):
            own = self._folder / f"{kind}.md"
            found[kind] = own if own.is_file() else None
        return found

    def source(self, kind: str) -> str:
        """The built-in template of a kind: where an organisation's own begins."""
        text = _read_built_in(f"{kind}.md") if len(kind) <= _KIND_MAX else None
        if text is None:
            raise NotFoundError(f"no kind of message {kind[:40]!r}: there are {', '.join(self.kinds())}")
        return text

    def check(self) -> list[str]:
        """What is wrong with the organisation's own templates, as sentences."""
        return [
            f"template {self._folder / kind}.md cannot be read, so ours is used: {problem}"
            for kind, problem in self.find_broken().items()
        ]

    def find_broken(self) -> dict[str, str]:
        """Kinds whose template of the organisation's cannot be read, and why."""
        problems = {}
        for former, kind in _FORMER.items():
            if (self._folder / f"{former}.md").is_file() and not (self._folder / f"{kind}.md").is_file():
                problems[kind] = f"it is still called {former}.md: rename it to {kind}.md"
        for kind, own in self.kinds().items():
            if own is not None:
                try:
                    self._environment.get_template(f"{kind}.md")
                except Exception as error:  # noqa: BLE001  # what Python raises for too deep a nesting, too
                    problems[kind] = _say(error)
        return problems


class _SmallFiles(FileSystemLoader):
    """The organisation's templates, of `_FILE_MAX` bytes at most."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Any]:
        file = Path(self.searchpath[0]).joinpath(*split_template_path(template))
        if file.is_file() and file.stat().st_size > _FILE_MAX:
            raise TemplateError(f"it has more than {_FILE_MAX} bytes")
        return super().get_source(environment, template)


def _set_up(
    kind: type[ImmutableSandboxedEnvironment], loader: BaseLoader, finalize: Callable[[object], object]
) -> Environment:
    environment = kind(
        loader=loader,
        undefined=StrictUndefined,
        autoescape=False,  # it is Markdown: `finalize` escapes for that
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = _show_code
    return environment


def _write(template: Template, data: Mapping[str, Any], zone: str, *, page: str | None) -> Message:
    known = {
        **_put_into_words(data),
        "local": lambda time: _show_local(time, zone),
        "end_of_subject": _Markdown(_END),
        "page": page and _Markdown(page),
    }
    subject, separator, body = template.render(known).partition(_END)
    if not separator:
        raise ValueError(f'it begins with no {{% extends "{_OWN}/{_LAYOUT}" %}}, nor with another of {_OWN}/')
    subject = _unescape(" ".join(subject.split()))
    body = re.sub(r"\n{3,}", "\n\n", body).strip("\n")
    if not subject or not body:
        raise ValueError(f"its block {'body' if subject else 'subject'} is empty")
    if data.get("token", "") not in body:
        raise ValueError("its body does not show {{ token | code }}, without which nobody can collect the key")
    return Message(subject=subject[:_SUBJECT_MAX], body=body + "\n")


def _put_into_words(data: Any) -> Any:  # noqa: ANN401  # what a template is given
    """Codes become what they say to people: a template knows texts alone."""
    if type(data) in _AS_IS:
        return data
    if isinstance(data, Reason):
        return say(data)
    if isinstance(data, Problem):
        return describe(data)
    if isinstance(data, Mapping):
        return {name: _put_into_words(one) for name, one in data.items()}
    if isinstance(data, list | tuple):
        return [_put_into_words(one) for one in data]
    return data


def _say(error: Exception) -> str:
    """On one line, and not long."""
    if isinstance(error, RecursionError | MemoryError):
        return "it is nested too deeply (recursion)"
    return _flatten(str(error))[:_PROBLEM_MAX] or type(error).__name__


def _spend_and_escape(value: object) -> object:
    """What a template of the organisation's shows counts towards its bounds."""
    spend(measure(value))
    return _escape(value)


def _escape(value: object) -> object:
    """Data is never markup, and never breaks a line."""
    if isinstance(value, _Markdown) or not isinstance(value, str):
        return value
    if _HARMLESS.fullmatch(value) and value.isprintable():
        return value
    flat = _flatten(value)
    return _BEGINS.sub(r"\1\\", _ESCAPED.sub(r"\\\1", flat))


def _flatten(text: str) -> str:
    """On one line, and without what steers a terminal or turns the direction of a text."""
    spaced = _BREAKS.sub(" ", text)
    if not spaced.isprintable():  # most is, and has none of these
        spaced = "".join(c for c in spaced if unicodedata.category(c) not in ("Cc", "Cf"))
    return spaced.strip()


def _unescape(text: str) -> str:
    return re.sub(r"\\([\\`*_\[\]<>#~|!&=.)+-])", r"\1", text)


def _show_code(text: str) -> _Markdown:
    """A command on a line of its own: to be copied as it is."""
    return _Markdown("    " + _flatten(text))


def _show_local(time: datetime, zone: str) -> str:
    return f"{time.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M %Z}"


def _read_built_in(name: str) -> str | None:
    file = _BUILT_IN / name
    return file.read_text(encoding="utf-8") if "/" not in name and file.is_file() else None
