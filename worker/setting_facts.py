"""What a person is told of each setting: what holds, in which unit, where it comes from, and what it means."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from worker.settings import Settings

_UNITS: Final = ("seconds", "hours", "days", "bytes")
"""The last word of a setting's name says it."""
_ADDRESSES: Final = ("database_url", "broker_url", "outbound_proxy")
_HIDDEN: Final = "set, and not shown"
_LOGIN: Final = re.compile(r"(?<=://)[^/@\s]*:[^/\s]*@")


@dataclass(frozen=True, kw_only=True)
class SettingFact:
    """`value` and `default` as the file has them, without a password; empty: there is none. `source`: the
    variable or the line that gives it; None: the default holds.
    """

    name: str
    value: str
    unit: str
    default: str
    source: str | None
    means: str


def list_facts(settings: Settings, origins: Mapping[str, str | None]) -> list[SettingFact]:
    """A fact for each setting, in the order in which the model has them."""
    return [
        SettingFact(
            name=name,
            value=_show(name, getattr(settings, name)),
            unit=find_unit(name),
            default=show_default(name),
            source=source,
            means=explain(name),
        )
        for name, source in origins.items()
    ]


def explain(name: str) -> str:
    return Settings.model_fields[name].description or ""


def find_unit(name: str) -> str:
    """`seconds`, `hours`, `days` or `bytes`; empty: it is a number of what the setting names, or no number."""
    last = name.rpartition("_")[2]
    return last if last in _UNITS else ""


def show_default(name: str) -> str:
    return _show(name, Settings.model_fields[name].default)


def _show(name: str, value: object) -> str:
    if value is None or value in ("", ()):
        return ""
    if isinstance(value, SecretStr):
        return _HIDDEN
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if name in _ADDRESSES:
        plain, _, more = _LOGIN.sub("…@", str(value)).partition("?")
        return json.dumps(f"{plain}?…" if more else plain, ensure_ascii=False)
    return json.dumps(str(value) if isinstance(value, str | Path) else value, ensure_ascii=False)
