"""How pages show moments: as the reader's clock has them, with UTC on hover, in sentences, too."""

import re
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from worker.wording.times import say_clock, say_distance, say_utc

_SAID: Final = re.compile(r"(?P<moment>\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?) UTC|`(?P<command>[^`]+)`")
"""What a sentence says of a moment, as `worker.wording` writes it, and of what to type."""
_MARK: Final = '<time datetime="{}" title="{}">{}</time>'


class Times:
    """For one page: `now`, and the visitor's zone."""

    def __init__(self, now: datetime, zone: ZoneInfo) -> None:
        self.now = now
        self._zone = zone

    def distance(self, moment: datetime | None, otherwise: str = "never") -> Markup:
        """`in 5 days`, with the exact moment on hover."""
        return self._mark(moment, "" if moment is None else say_distance(moment, self.now), otherwise)

    def clock(self, moment: datetime | None, otherwise: str = "never") -> Markup:
        """What the clock shows then in the visitor's zone, with UTC on hover."""
        return self._mark(moment, "" if moment is None else say_clock(moment, self._zone), otherwise)

    def span(self, start: datetime, end: datetime | None) -> Markup:
        """From one moment to another; of the second only what differs: `2026-11-27 04:49 to 04:52 CET`."""
        if end is None:
            return self.clock(start)
        first, last = start.astimezone(self._zone), end.astimezone(self._zone)
        if first.date() != last.date() or first.tzname() != last.tzname():
            return Markup("{} to {}").format(self.clock(start), self.clock(end))
        begins = self._mark(start, f"{first:%Y-%m-%d %H:%M}", "")
        if f"{first:%H:%M}" == f"{last:%H:%M}":
            return self.clock(start)
        return Markup("{} to {}").format(begins, self._mark(end, f"{last:%H:%M %Z}", ""))

    def day(self, moment: datetime, form: str = "%a %-d %b") -> str:
        return moment.astimezone(self._zone).strftime(form)

    def say(self, sentence: str) -> Markup:
        """A sentence with its moments as the reader's clock has them, and what to type as a command."""
        parts, end = [], 0
        for found in _SAID.finditer(sentence):
            parts += [escape(sentence[end : found.start()]), self._show(found)]
            end = found.end()
        return Markup("").join([*parts, escape(sentence[end:])])

    def _show(self, found: re.Match[str]) -> Markup:
        command = found["command"]
        if command is not None:
            return Markup('<code class="command" data-copy="{0}">{0}</code>').format(command)
        try:
            moment = datetime.fromisoformat(found["moment"]).replace(tzinfo=UTC)
        except ValueError:  # a text of somebody else that only looks like one
            return escape(found[0])
        return self.clock(moment)

    def _mark(self, moment: datetime | None, text: str, otherwise: str) -> Markup:
        if moment is None:
            return Markup('<span class="quiet">{}</span>').format(otherwise)
        exact = f"{say_clock(moment, self._zone)}, {say_utc(moment)}"
        return Markup(_MARK).format(moment.astimezone(UTC).isoformat(), exact, text)  # noqa: S704  # ours
