"""The demo's organisation, read from the folder `sample` beside this file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from vaultcore.rules import parse_duration


@dataclass(frozen=True, kw_only=True)
class SampleItem:
    """An item as the file has it; `value` says where its first value comes from."""

    name: str
    owner: str
    age: timedelta
    expires_in: timedelta | None
    value: str | None
    account: str | None
    policy: Mapping[str, Any] | None
    replaced: timedelta | None


@dataclass(frozen=True, kw_only=True)
class SampleWorkflow:
    source: str
    text: str
    age: timedelta
    ran: timedelta | None


@dataclass(frozen=True, kw_only=True)
class Sample:
    owners: Mapping[str, tuple[str, ...]]
    items: tuple[SampleItem, ...]
    workflows: tuple[SampleWorkflow, ...]


def load_sample(places: Mapping[str, str]) -> Sample:
    """Reads the folder with each `@NAME@` replaced by a place: where the targets listen."""
    folder = Path(__file__).with_name("sample")
    raw = tomllib.loads(_fill((folder / "organisation.toml").read_text(), places))
    return Sample(
        owners={owner["name"]: tuple(owner["routes"]) for owner in raw["owner"]},
        items=tuple(_read_item(item, folder, places) for item in raw["item"]),
        workflows=tuple(
            SampleWorkflow(
                source=entry["file"],
                text=_fill((folder / entry["file"]).read_text(), places),
                age=parse_duration(entry["age"]),
                ran=_duration(entry.get("ran")),
            )
            for entry in raw["workflow"]
        ),
    )


def _read_item(item: Mapping[str, Any], folder: Path, places: Mapping[str, str]) -> SampleItem:
    policy = item.get("policy")
    if "policy_file" in item:
        account = {"ACCOUNT": item.get("account", "")}
        policy = tomllib.loads(_fill((folder / item["policy_file"]).read_text(), {**places, **account}))
    if "mode" in item and policy is not None:
        policy = {**policy, "mode": item["mode"]}
    return SampleItem(
        name=item["name"],
        owner=item["owner"],
        age=parse_duration(item["age"]),
        expires_in=_duration(item.get("expires_in")),
        value=item.get("value"),
        account=item.get("account"),
        policy=policy,
        replaced=_duration(item.get("replaced")),
    )


def _duration(text: str | None) -> timedelta | None:
    if text is None:
        return None
    duration = parse_duration(text.removeprefix("-"))
    return -duration if text.startswith("-") else duration


def _fill(text: str, places: Mapping[str, str]) -> str:
    for name, place in places.items():
        text = text.replace(f"@{name}@", place)
    return text
